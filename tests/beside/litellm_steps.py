"""LiteLLM, which calls the openai SDK for one provider and HTTP itself for the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import litellm
import sdk_steps

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scenario import Step


def _openai(url: str, model: str) -> dict[str, Any]:
    return {"model": model, "api_base": f"{url}/v1", "api_key": "none", "max_retries": 0}


async def _chat(url: str) -> None:
    for _ in range(2):
        litellm.completion(messages=sdk_steps.LONG_MESSAGES, **_openai(url, "openai/o4-mini"))


async def _chat_async(url: str) -> None:
    await litellm.acompletion(messages=sdk_steps.MESSAGES, **_openai(url, "openai/gpt-4o-mini"))


async def _chat_stream(url: str) -> None:
    for _ in litellm.completion(
        messages=sdk_steps.MESSAGES,
        stream=True,
        stream_options=sdk_steps.USAGE_IN_STREAMS,
        **_openai(url, "openai/gpt-4o-mini"),
    ):
        pass


async def _chat_stream_async(url: str) -> None:
    stream: Any = await litellm.acompletion(
        messages=sdk_steps.MESSAGES,
        stream=True,
        stream_options=sdk_steps.USAGE_IN_STREAMS,
        **_openai(url, "openai/gpt-4o-mini"),
    )
    async for _ in stream:
        pass


async def _embeddings(url: str) -> None:
    litellm.embedding(input=["one", "two words"], **_openai(url, "openai/text-embedding-3-small"))


async def _embeddings_async(url: str) -> None:
    await litellm.aembedding(input=["three", "four words"], **_openai(url, "openai/text-embedding-3-small"))


async def _responses(url: str) -> None:
    litellm.responses(input=sdk_steps.QUESTION, **_openai(url, "openai/o4-mini"))


async def _responses_async(url: str) -> None:
    await litellm.aresponses(input=sdk_steps.QUESTION, **_openai(url, "openai/o4-mini"))


async def _messages(url: str) -> None:
    settings: Any = {"api_base": url, "api_key": "none", "max_tokens": 50}
    await litellm.anthropic.messages.acreate(
        model="anthropic/claude-haiku-4-5", messages=sdk_steps.MESSAGES, **settings
    )


async def _images(url: str) -> None:
    litellm.image_generation(prompt=sdk_steps.QUESTION, **_openai(url, "openai/gpt-image-1"))


STEPS: Mapping[str, Step] = {
    "completion, cached, reasoning": _chat,
    "acompletion": _chat_async,
    "completion, streamed": _chat_stream,
    "acompletion, streamed": _chat_stream_async,
    "embedding": _embeddings,
    "aembedding": _embeddings_async,
    "responses": _responses,
    "aresponses": _responses_async,
    "messages": _messages,
    "image_generation": _images,
}
