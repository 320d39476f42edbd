"""Print each trace as a tree when it ends, while the application runs.

`TRACETOLL_CONSOLE=tree`, or `Instrumentor().instrument(console="tree")`, does so on standard error for any application
that has set up OpenTelemetry's SDK. Here the trees go to standard output.
"""

import asyncio
import sys

from _provider import local_unless_key
from openai import AsyncOpenAI
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from tracetoll import Instrumentor, agent, tool
from tracetoll.console import TreePrinter


@tool("toll_of")
def toll_of(bridge: str) -> str:
    """Return what a lorry pays: an ordinary function."""
    return f"a lorry pays 2.80 EUR at the {bridge} bridge"


async def serve(client: AsyncOpenAI, request: int) -> None:
    """Answer one of many requests that are under way at once; each is a trace."""
    with agent(f"clerk of request {request}"):
        known = toll_of("harbour")
        for question in ("What does it cost?", "And for three?"):
            await client.chat.completions.create(
                model="gpt-4o", messages=[{"role": "user", "content": f"{question} Known: {known}."}]
            )


async def serve_many() -> None:
    """Answer three requests at once."""
    async with AsyncOpenAI() as client:
        await asyncio.gather(*(serve(client, request) for request in range(3)))


tracer_provider = TracerProvider()
tracer_provider.add_span_processor(TreePrinter(sys.stdout))
trace.set_tracer_provider(tracer_provider)
Instrumentor().instrument()
local_unless_key()
asyncio.run(serve_many())
