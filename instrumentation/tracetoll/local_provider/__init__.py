"""A small HTTP server that speaks the wire formats of OpenAI, Anthropic and Amazon Bedrock.

For the demo and for tests:

    with LocalProvider() as provider:
        client = OpenAI(base_url=f"{provider.url}/v1", api_key="none")

It answers on its own with made-up text and exact usage; `enqueue` and `on` put other replies in the
way. Needs aiohttp, which the `demo` extra brings.
"""

from tracetoll.local_provider.answers import Script, ToolCall, ToolCalls
from tracetoll.local_provider.server import LocalProvider
from tracetoll.local_provider.tally import HandedOut
from tracetoll.local_provider.wire import Event, Received, Reply, sse

__all__ = ["Event", "HandedOut", "LocalProvider", "Received", "Reply", "Script", "ToolCall", "ToolCalls", "sse"]
