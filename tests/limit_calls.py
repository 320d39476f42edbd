"""Calls for the tests of limits: each API in each way it can be asked, and how the accounts stand afterwards."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from surfaces import BETA_CHAT, CHAT, CLAUDE, OTHERS, RESPONSES, both, cases, client, each, inside, run

from tracetoll import Instrumentor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from conftest import Telemetry
    from surfaces import Case

    from tracetoll.local_provider import LocalProvider

ANSWER = 40
"""Output tokens of every answer that has room for them."""
WORDS = " ".join(["word"] * ANSWER)
INPUT = 9
"""Input tokens of every question."""
TOKENS = INPUT + ANSWER

ASK_CHAT, ASK_BETA_CHAT, ASK_RESPONSES, ASK_CLAUDE = (
    replace(one, arguments=one.question) for one in (CHAT, BETA_CHAT, RESPONSES, CLAUDE)
)
APIS = (ASK_CHAT, ASK_RESPONSES, ASK_CLAUDE)
ASK_OTHERS = tuple(replace(one, arguments=one.question) for one in OTHERS if one.question is not None)
CAP_OTHERS = tuple(one for one in ASK_OTHERS if one.cap is not None)


WHOLE = cases(APIS, both("whole"))
STREAMED = cases(APIS, both("stream"))
HELPED = cases((*APIS, ASK_BETA_CHAT), both("helper"))
ASKED = cases(APIS, both("whole", "stream"))
MIXED = cases(APIS, ("whole", "async stream"))
OTHERS_ASKED = cases(ASK_OTHERS, both("whole", "stream"))
OTHERS_STREAMED = cases(ASK_OTHERS, both("stream"))
EVERY_WAY = [*ASKED, *HELPED, *OTHERS_ASKED]
CAPPED = [*ASKED, *HELPED, *cases(CAP_OTHERS, both("whole", "stream"))]


def capped(case: Case, tokens: int) -> Mapping[str, Any]:
    """Return the argument that caps the answer to a call."""
    assert case.surface.cap is not None
    return case.surface.cap(tokens)


def sent_cap(case: Case, provider: LocalProvider, number: int = -1) -> Any:
    """Return the cap that a request had, None if it had none."""
    found = provider.requests[number].body
    for key in (case.surface.sent_cap or "").split("."):
        found = found.get(key) if isinstance(found, dict) else None
    return found


def ask(case: Case, provider: LocalProvider, *, parts: list[Any] | None = None, **arguments: Any) -> list[Any]:
    """Return the answer, or what was streamed of it; that is also put into `parts`, as it comes."""
    heard = [] if parts is None else parts
    run(_ask(case, provider.url, heard, arguments), asynchronous=case.asynchronous)
    return heard


async def _ask(case: Case, url: str, heard: list[Any], arguments: Mapping[str, Any]) -> None:
    async with inside(case.client(url)) as of:
        answer = await case.answer(of, **arguments)
        if not case.streamed:
            heard.append(answer)
            return
        async with inside(answer) as stream:
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
