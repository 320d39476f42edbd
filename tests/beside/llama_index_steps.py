"""Agents of LlamaIndex with one tool, which the model calls once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sdk_steps
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.anthropic import Anthropic
from llama_index.llms.openai import OpenAI, OpenAIResponses

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llama_index.core.llms.function_calling import FunctionCallingLLM
    from scenario import Step


def search(query: str) -> str:
    """Return what the tariff says."""
    return f"{query}: 2.80 EUR for a lorry."


def _agent(model: FunctionCallingLLM, *, streaming: bool = False) -> FunctionAgent:
    tools = [FunctionTool.from_defaults(search)]
    return FunctionAgent(name="clerk", llm=model, tools=tools, system_prompt=sdk_steps.TARIFF, streaming=streaming)


def _openai(url: str) -> OpenAI:
    return OpenAI(model="gpt-4o-mini", api_base=f"{url}/v1", api_key="none", max_retries=0)


def _claude(url: str) -> Anthropic:
    return Anthropic(model="claude-haiku-4-5", base_url=url, api_key="none", max_retries=0)


async def _chat(url: str) -> None:
    await _agent(_openai(url)).run(sdk_steps.CALL_SEARCH)


async def _plain_chat(url: str) -> None:
    _openai(url).chat([ChatMessage(sdk_steps.QUESTION)])


async def _responses(url: str) -> None:
    model = OpenAIResponses(model="gpt-4.1-mini", api_base=f"{url}/v1", api_key="none", max_retries=0)
    await _agent(model).run(sdk_steps.CALL_SEARCH)


async def _messages(url: str) -> None:
    await _agent(_claude(url)).run(sdk_steps.CALL_SEARCH)


async def _messages_stream(url: str) -> None:
    await _agent(_claude(url), streaming=True).run(sdk_steps.CALL_SEARCH)


STEPS: Mapping[str, Step] = {
    "chat": _plain_chat,
    "agent on chat": _chat,
    "agent on responses": _responses,
    "agent on messages": _messages,
    "agent on messages, streamed": _messages_stream,
}
