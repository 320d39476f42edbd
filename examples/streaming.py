"""Count streams: read to the end, asynchronous, and left half-way.

The application sees the SDK's own streams. A stream that is left ends its span then; what it used is only
known where the provider had told before.
"""

import asyncio

from _provider import local_unless_key
from _telemetry import spans_in_memory
from anthropic import AsyncAnthropic
from openai import OpenAI

from tracetoll import Instrumentor
from tracetoll.console import print_trace


def read_to_the_end(client: OpenAI) -> None:
    """Stream a chat; its usage is asked for without the application noticing, and the extra chunk is hidden."""
    stream = client.chat.completions.create(
        model="gpt-4o-mini", messages=[{"role": "user", "content": "Tell me of the ferry."}], stream=True
    )
    words = [chunk.choices[0].delta.content or "" for chunk in stream]
    print(f"read {len(words)} pieces")


def leave_half_way(client: OpenAI) -> None:
    """Stream a chat, and go after the first piece."""
    with client.chat.completions.create(
        model="gpt-4o-mini", messages=[{"role": "user", "content": "Tell me of the gulls."}], stream=True
    ) as stream:
        next(iter(stream))


async def read_a_helper_stream() -> None:
    """Use the SDK's own helper, which is counted like everything else."""
    async with (
        AsyncAnthropic() as client,
        client.messages.stream(
            model="claude-haiku-4-5",
            max_tokens=200,
            messages=[{"role": "user", "content": "Tell me of the tide."}],
        ) as stream,
    ):
        print(f"read {len([text async for text in stream.text_stream])} pieces")


spans = spans_in_memory()
# Hosts such as api.openai.com are asked for the usage of a stream anyway; this machine is not known to take that.
Instrumentor().instrument(stream_usage="always")
local_unless_key()
read_to_the_end(OpenAI())
leave_half_way(OpenAI())
asyncio.run(read_a_helper_stream())

print_trace(spans.get_finished_spans())
