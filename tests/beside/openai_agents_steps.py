"""Agents of the OpenAI Agents SDK with one tool, which the model calls once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sdk_steps
from agents import Agent, Model, OpenAIChatCompletionsModel, OpenAIResponsesModel, Runner, function_tool

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scenario import Step


@function_tool
def search(query: str) -> str:
    """Return what the tariff says."""
    return f"{query}: 2.80 EUR for a lorry."


def _agent(model: Model) -> Agent:
    return Agent(name="clerk", instructions=sdk_steps.TARIFF, tools=[search], model=model)


async def _chat(url: str) -> None:
    async with sdk_steps.async_openai(url) as client:
        await Runner.run(_agent(OpenAIChatCompletionsModel("o4-mini", client)), sdk_steps.CALL_SEARCH)


async def _responses(url: str) -> None:
    async with sdk_steps.async_openai(url) as client:
        await Runner.run(_agent(OpenAIResponsesModel("gpt-5-mini", client)), sdk_steps.CALL_SEARCH)


async def _responses_stream(url: str) -> None:
    async with sdk_steps.async_openai(url) as client:
        run = Runner.run_streamed(_agent(OpenAIResponsesModel("gpt-5-mini", client)), sdk_steps.CALL_SEARCH)
        async for _ in run.stream_events():
            pass


STEPS: Mapping[str, Step] = {
    "agent on chat": _chat,
    "agent on responses": _responses,
    "agent on responses, streamed": _responses_stream,
}
