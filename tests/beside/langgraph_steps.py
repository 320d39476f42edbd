"""Agents of LangGraph with one tool, which the model calls once, on LangChain's models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sdk_steps
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.prebuilt import create_react_agent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.language_models import BaseChatModel
    from scenario import Step


@tool
def search(query: str) -> str:
    """Return what the tariff says."""
    return f"{query}: 2.80 EUR for a lorry."


def _openai(url: str, model: str, **settings: Any) -> ChatOpenAI:
    return ChatOpenAI(model=model, base_url=f"{url}/v1", api_key="none", max_retries=0, **settings)


def _claude(url: str) -> ChatAnthropic:
    return ChatAnthropic(model="claude-haiku-4-5", base_url=url, api_key="none", max_retries=0, max_tokens=500)


def _turns() -> dict[str, list[Any]]:
    cached = [{"type": "text", "text": sdk_steps.TARIFF, "cache_control": {"type": "ephemeral"}}]
    return {"messages": [SystemMessage(cached), HumanMessage(sdk_steps.CALL_SEARCH)]}


def _agent(model: BaseChatModel) -> Any:
    return create_react_agent(model, [search])


async def _chat(url: str) -> None:
    _agent(_openai(url, "o4-mini")).invoke(_turns())


async def _chat_stream(url: str) -> None:
    async for _ in _agent(_openai(url, "o4-mini", stream_usage=True)).astream(_turns(), stream_mode="messages"):
        pass


async def _responses(url: str) -> None:
    await _agent(_openai(url, "gpt-5-mini", use_responses_api=True)).ainvoke(_turns())


async def _messages(url: str) -> None:
    _agent(_claude(url)).invoke(_turns())


async def _messages_stream(url: str) -> None:
    async for _ in _agent(_claude(url)).astream(_turns(), stream_mode="messages"):
        pass


STEPS: Mapping[str, Step] = {
    "agent on chat": _chat,
    "agent on chat, streamed": _chat_stream,
    "agent on responses": _responses,
    "agent on messages": _messages,
    "agent on messages, streamed": _messages_stream,
}
