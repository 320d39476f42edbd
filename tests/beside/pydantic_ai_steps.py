"""Agents of Pydantic AI with one tool, which the model calls once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sdk_steps
from pydantic_ai import Agent
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_ai.models import Model
    from scenario import Step


def search(query: str) -> str:
    return f"{query}: 2.80 EUR for a lorry."


def _agent(model: Model) -> Agent:
    return Agent(model, name="clerk", instructions=sdk_steps.TARIFF, tools=[search])


async def _chat(url: str) -> None:
    async with sdk_steps.async_openai(url) as client:
        model = OpenAIChatModel("gpt-4o-mini", provider=OpenAIProvider(openai_client=client))
        await _agent(model).run(sdk_steps.CALL_SEARCH)


async def _chat_stream(url: str) -> None:
    async with sdk_steps.async_openai(url) as client:
        model = OpenAIChatModel("o4-mini", provider=OpenAIProvider(openai_client=client))
        async with _agent(model).run_stream(sdk_steps.CALL_SEARCH) as run:
            await run.get_output()


async def _responses(url: str) -> None:
    async with sdk_steps.async_openai(url) as client:
        model = OpenAIResponsesModel("gpt-5-mini", provider=OpenAIProvider(openai_client=client))
        await _agent(model).run(sdk_steps.CALL_SEARCH)


async def _messages(url: str) -> None:
    async with sdk_steps.async_anthropic(url) as client:
        model = AnthropicModel(
            "claude-haiku-4-5",
            provider=AnthropicProvider(anthropic_client=client),
            settings={"anthropic_cache_instructions": True},
        )
        await _agent(model).run(sdk_steps.CALL_SEARCH)


async def _messages_stream(url: str) -> None:
    async with sdk_steps.async_anthropic(url) as client:
        model = AnthropicModel(
            "claude-haiku-4-5",
            provider=AnthropicProvider(anthropic_client=client),
            settings={"anthropic_cache_instructions": True},
        )
        async with _agent(model).run_stream(sdk_steps.CALL_SEARCH) as run:
            await run.get_output()


STEPS: Mapping[str, Step] = {
    "agent on chat": _chat,
    "agent on chat, streamed": _chat_stream,
    "agent on responses": _responses,
    "agent on messages": _messages,
    "agent on messages, streamed": _messages_stream,
}
