"""Calls for the tests of limits: each API in each way it can be asked, and how the accounts stand afterwards."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from surfaces import (
    BETA_CHAT,
    CHAT,
    CLAUDE,
    MESSAGES,
    QUESTION,
    RESPONSES,
    Case,
    both,
    client,
    each,
    inside,
    resource,
    run,
    settled,
)

from tracetoll import Instrumentor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from conftest import Telemetry
    from surfaces import Surface

    from tracetoll.local_provider import LocalProvider

ANSWER = 40
"""Output tokens of every answer that has room for them."""
WORDS = " ".join(["word"] * ANSWER)
INPUT = 9
"""Input tokens of every question."""
TOKENS = INPUT + ANSWER

ASK_CHAT = replace(CHAT, arguments={"model": "gpt-4o-mini", "messages": MESSAGES})
ASK_BETA_CHAT = replace(BETA_CHAT, arguments=ASK_CHAT.arguments)
ASK_RESPONSES = replace(RESPONSES, arguments={"model": "gpt-4o-mini", "input": QUESTION})
ASK_CLAUDE = replace(CLAUDE, arguments={"model": "claude-haiku-4-5", "messages": MESSAGES, "max_tokens": 60})
APIS = (ASK_CHAT, ASK_RESPONSES, ASK_CLAUDE)
CAPS = {ASK_CHAT.path: "max_tokens", ASK_RESPONSES.path: "max_output_tokens", ASK_CLAUDE.path: "max_tokens"}


def cases(surfaces: Sequence[Surface], ways: Sequence[str]) -> list[Any]:
    """Return a parameter for each API in each way; what this version of an SDK lacks is skipped."""
    every = (
        Case(surface, way.removeprefix("async "), way.startswith("async "))  # type: ignore[arg-type]
        for surface, way in itertools.product(surfaces, ways)
    )
    return [
        pytest.param(case, id=str(case), marks=[pytest.mark.skip(reason=case.missing)] if case.missing else [])
        for case in every
        if case.makes_sense or case.how == "stream"
    ]


WHOLE = cases(APIS, both("whole"))
STREAMED = cases(APIS, both("stream"))
HELPED = cases((*APIS, ASK_BETA_CHAT), both("helper"))
ASKED = cases(APIS, both("whole", "stream"))
MIXED = cases(APIS, ("whole", "async stream"))
EVERY_WAY = [*ASKED, *HELPED]


def capped(case: Case, tokens: int) -> dict[str, int]:
    """Return the argument that caps the answer to a call."""
    return {CAPS[case.surface.path]: tokens}


def ask(case: Case, provider: LocalProvider, *, parts: list[Any] | None = None, **arguments: Any) -> list[Any]:
    """Return the answer, or what was streamed of it; that is also put into `parts`, as it comes."""
    heard = [] if parts is None else parts
    run(_ask(case, provider.url, heard, arguments), asynchronous=case.asynchronous)
    return heard


async def _ask(case: Case, url: str, heard: list[Any], arguments: Mapping[str, Any]) -> None:
    surface = case.surface
    given = {**surface.arguments, **arguments}
    async with inside(client(surface.sdk, url, asynchronous=case.asynchronous)) as of:
        where, name = resource(of, case.method)
        method = getattr(where, name)
        if case.how == "whole":
            heard.append(await settled(method(**given)))
            return
        given |= surface.stream_arguments
        asked = method(**given) if case.how == "helper" else await settled(method(**given, stream=True))
        async with inside(asked) as stream:
            async for part in each(stream):
                heard.append(part)  # noqa: PERF401  # one by one: it may end with an exception


def chat(provider: LocalProvider, **arguments: Any) -> Any:
    """Return the answer to one plain question."""
    with client("openai", provider.url) as of:
        return of.chat.completions.create(**{**ASK_CHAT.arguments, **arguments})


async def chat_async(provider: LocalProvider, **arguments: Any) -> Any:
    """Return the answer to one plain question."""
    async with client("openai", provider.url, asynchronous=True) as of:
        return await of.chat.completions.create(**{**ASK_CHAT.arguments, **arguments})


def accounts() -> dict[str, tuple[int, int]]:
    """Return (spent, reserved) of each account, by its subject; no two limits of a test have the same one."""
    engine = Instrumentor().engine
    assert engine is not None
    found = [balance for _, balance in engine.admission.ledger.balances()]
    by_subject = {one.account.partition(":")[2]: (one.spent, one.reserved) for one in found}
    assert len(found) == len(by_subject)
    return by_subject


def events(telemetry: Telemetry, name: str) -> list[dict[str, Any]]:
    """Return the attributes of all events of a name."""
    return [dict(record.attributes) for record in telemetry.logs if record.event_name == name]


def told(telemetry: Telemetry, number: int = -1) -> dict[str, Any]:
    """Return the attributes of the span that ended as the last, or as another one."""
    return dict(telemetry.spans[number].attributes or {})


def counted(telemetry: Telemetry, metric: str = "gen_ai.client.operation.duration") -> int:
    """Return how many times a histogram was recorded."""
    return sum(point.count for point in telemetry.metrics()[metric])
