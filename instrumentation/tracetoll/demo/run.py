"""Run the application: with the provider whose key is set, else with one on this machine."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from tracetoll import LimitExceeded, attribution
from tracetoll.demo.app import QUESTION, Models, plan
from tracetoll.demo.runaway import watch

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from tracetoll.local_provider import HandedOut, Received, ToolCalls

KEYS: Final[Mapping[str, str]] = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY"}


@dataclass(frozen=True, slots=True)
class Run:
    """What came out: the answer, who was really asked, and what the local provider says it handed out."""

    answer: str
    real: tuple[str, ...]
    local_port: int
    handed_out: HandedOut
    stopped: LimitExceeded | None = None
    """The limit that ended the run."""


def run() -> Run:
    """Return what came out of one run; the calls are attributed to a user, a session and a feature."""
    return _run(lambda models: plan(models, QUESTION), _say)


def run_away() -> Run:
    """Return what came out of a run that would never end; a limit has to be set."""
    return _run(watch, _say_again)


def _run(task: Callable[[Models], Awaitable[str]], script: Callable[[Received], ToolCalls | None]) -> Run:
    from tracetoll.local_provider import LocalProvider  # noqa: PLC0415  # aiohttp comes with an extra

    real = tuple(name for name, variable in KEYS.items() if os.environ.get(variable))
    answer, stopped = "", None
    with (
        LocalProvider(script=script) as provider,
        attribution(user_id="u-1042", session_id=f"s-{uuid4().hex[:8]}", feature="route-planning"),
    ):
        try:
            answer = asyncio.run(_with_models(task, provider.url, real))
        except LimitExceeded as error:
            stopped = error
        return Run(answer, real, int(provider.url.rpartition(":")[2]), provider.handed_out, stopped)


async def _with_models(task: Callable[[Models], Awaitable[str]], url: str, real: tuple[str, ...]) -> str:
    import anthropic  # noqa: PLC0415  # comes with an extra
    import openai  # noqa: PLC0415  # comes with an extra

    async with AsyncExitStack() as clients:
        # No proxy of the environment stands between this process and a server on the same machine.
        models = Models(
            await clients.enter_async_context(
                openai.AsyncOpenAI()
                if "openai" in real
                else openai.AsyncOpenAI(
                    base_url=f"{url}/v1",
                    api_key="none",
                    http_client=openai.DefaultAsyncHttpxClient(trust_env=False),
                )
            ),
            await clients.enter_async_context(
                anthropic.AsyncAnthropic()
                if "anthropic" in real
                else anthropic.AsyncAnthropic(
                    base_url=url, api_key="none", http_client=anthropic.DefaultAsyncHttpxClient(trust_env=False)
                )
            ),
        )
        return await task(models)


def _say(received: Received) -> ToolCalls | None:
    """Return the planner's tool calls; everything else the local provider makes up."""
    from tracetoll.local_provider import ToolCall, ToolCalls  # noqa: PLC0415  # aiohttp comes with an extra

    turns = received.fields.get("messages") or [{}]
    if not received.fields.get("tools") or turns[-1].get("role") != "user":
        return None
    return ToolCalls(
        (
            ToolCall("find_bridges", {"river": "Sallow"}),
            ToolCall("toll_of", {"bridge": "old town"}),
            ToolCall("way_over", {"bridge": "old town"}),
        )
    )


def _say_again(_: Received) -> ToolCalls:
    """Return the tool call of a model that goes round in circles."""
    from tracetoll.local_provider import ToolCall, ToolCalls  # noqa: PLC0415  # aiohttp comes with an extra

    return ToolCalls((ToolCall("find_bridges", {"river": "Sallow"}),))
