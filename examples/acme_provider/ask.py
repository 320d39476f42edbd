"""Ask Acme in each way, against a server on this machine: what is counted, and what a limit does.

pip install tracetoll[demo] ./examples/acme_provider
python examples/acme_provider/ask.py
"""

from __future__ import annotations

import asyncio
import json
import sys
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from acme_llm import Acme, AcmeError, AsyncAcme

from tracetoll import Instrumentor, Limit, LimitExceeded, limits
from tracetoll.console import print_trace
from tracetoll.local_provider import LocalProvider, Reply

sys.path.append(str(Path(__file__).parent.parent))
from _telemetry import spans_in_memory

if TYPE_CHECKING:
    from tracetoll.local_provider import Received

UNITS = {"read": 6, "cached": 4, "written": 5, "thought": 3}
NUMBERS = count(1)


def write(received: Received) -> Reply:
    """Answer as Acme does."""
    if received.fields["model"] == "acme-0":
        return Reply(404, json={"code": "retired", "message": "acme-0 is no more"})
    head = {"ref": f"text_{next(NUMBERS)}", "written_by": "acme-1-0604"}
    words = [f"word{place} " for place in range(received.fields.get("longest", UNITS["written"]))]
    last = {"stopped_by": "end", "units": {**UNITS, "written": len(words)}}
    if "ndjson" not in received.headers["accept"]:
        return Reply(json={**head, "text": "".join(words), **last})
    lines = [{**head, "text": word} for word in words] + [last]
    return Reply(body=b"".join(json.dumps(line).encode() + b"\n" for line in lines), chunk_bytes=64)


async def ask_async(url: str) -> None:
    """Ask once whole, once streamed."""
    client = AsyncAcme(url)
    await client.write("What is a toll?")
    print("".join([piece async for piece in client.write_stream("And who pays it?")]))
    await client.close()


spans = spans_in_memory()
Instrumentor().instrument()
with LocalProvider() as provider:
    provider.on("/v2/write", write)
    client = Acme(provider.url)
    client.write("What is a toll?")
    print("".join(client.write_stream("And who pays it?")))
    next(iter(client.write_stream("Who is let through?")))
    asyncio.run(ask_async(provider.url))
    try:
        client.write("What is a toll?", model="acme-0")
    except AcmeError as error:
        print(f"{error.code}: {error}")
    with limits(Limit(1, "calls")) as spend:
        client.write("One more?")
        try:
            client.write("And another?")
        except LimitExceeded:
            print(f"{spend.refused} refused")
    with limits(Limit(40, "output_tokens", at={1.0: "clamp"})):
        client.write("What is a toll?", longest=80)
    client.close()
    print(f"{len(provider.requests)} requests, the last one for {provider.requests[-1].fields['longest']} words")
    print_trace(spans.get_finished_spans())
