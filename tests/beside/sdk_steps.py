"""What the scripted agent asks the SDKs for themselves: sync and async, whole and streamed, cached, with reasoning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anthropic
import openai

from tracetoll import tool

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scenario import Step

QUESTION = "What does the bridge cost?"
CALL_SEARCH = 'call search {"query": "toll"}'
# Long enough for OpenAI's cache, which begins at 1,024 tokens.
TARIFF = "The keeper writes every crossing into a blue book. " * 140
MESSAGES: list[Any] = [{"role": "user", "content": QUESTION}]
LONG_MESSAGES: list[Any] = [{"role": "system", "content": TARIFF}, *MESSAGES]
CLAUDE: Mapping[str, Any] = {
    "model": "claude-haiku-4-5",
    "max_tokens": 500,
    "system": [{"type": "text", "text": TARIFF, "cache_control": {"type": "ephemeral"}}],
    "messages": MESSAGES,
    "thinking": {"type": "enabled", "budget_tokens": 1024},
}
USAGE_IN_STREAMS: Any = {"include_usage": True}


def openai_client(url: str) -> openai.OpenAI:
    http = openai.DefaultHttpxClient(verify=False, trust_env=False)
    return openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, http_client=http)


def async_openai(url: str) -> openai.AsyncOpenAI:
    http = openai.DefaultAsyncHttpxClient(verify=False, trust_env=False)
    return openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, http_client=http)


def anthropic_client(url: str) -> anthropic.Anthropic:
    http = anthropic.DefaultHttpxClient(verify=False, trust_env=False)
    return anthropic.Anthropic(base_url=url, api_key="none", max_retries=0, http_client=http)


def async_anthropic(url: str) -> anthropic.AsyncAnthropic:
    http = anthropic.DefaultAsyncHttpxClient(verify=False, trust_env=False)
    return anthropic.AsyncAnthropic(base_url=url, api_key="none", max_retries=0, http_client=http)


async def _chat(url: str) -> None:
    with openai_client(url) as client:
        client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)


async def _chat_async(url: str) -> None:
    async with async_openai(url) as client:
        await client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)


async def _chat_stream(url: str) -> None:
    with openai_client(url) as client:
        for _ in client.chat.completions.create(
            model="gpt-4o-mini", messages=MESSAGES, stream=True, stream_options=USAGE_IN_STREAMS
        ):
            pass


async def _chat_stream_async(url: str) -> None:
    async with async_openai(url) as client:
        async for _ in await client.chat.completions.create(
            model="gpt-4o-mini", messages=MESSAGES, stream=True, stream_options=USAGE_IN_STREAMS
        ):
            pass


async def _cached_chat(url: str) -> None:
    with openai_client(url) as client:
        for _ in range(2):
            client.chat.completions.create(model="o4-mini", messages=LONG_MESSAGES)


async def _responses(url: str) -> None:
    with openai_client(url) as client:
        for _ in range(2):
            client.responses.create(model="gpt-5-mini", instructions=TARIFF, input=QUESTION)


async def _responses_stream_async(url: str) -> None:
    async with async_openai(url) as client:
        async for _ in await client.responses.create(
            model="gpt-5-mini", instructions=TARIFF, input=QUESTION, stream=True
        ):
            pass


async def _embeddings(url: str) -> None:
    with tool("search"), openai_client(url) as client:
        client.embeddings.create(model="text-embedding-3-small", input=["one", "two words"])


async def _messages(url: str) -> None:
    with anthropic_client(url) as client:
        client.messages.create(**CLAUDE)


async def _messages_async(url: str) -> None:
    async with async_anthropic(url) as client:
        await client.messages.create(**CLAUDE)


async def _messages_stream(url: str) -> None:
    with anthropic_client(url) as client:
        for _ in client.messages.create(**CLAUDE, stream=True):
            pass


async def _messages_helper_async(url: str) -> None:
    async with async_anthropic(url) as client, client.messages.stream(**CLAUDE) as stream:
        await stream.until_done()


OPENAI: Mapping[str, Step] = {
    "chat": _chat,
    "chat, async": _chat_async,
    "chat, streamed": _chat_stream,
    "chat, streamed, async": _chat_stream_async,
    "chat, cached, reasoning": _cached_chat,
    "responses": _responses,
    "responses, streamed, async": _responses_stream_async,
    "embeddings": _embeddings,
}
ANTHROPIC: Mapping[str, Step] = {
    "messages, cache written": _messages,
    "messages, cache read, async": _messages_async,
    "messages, streamed": _messages_stream,
    "messages.stream(), async": _messages_helper_async,
}
STEPS: Mapping[str, Step] = {**OPENAI, **ANTHROPIC}
