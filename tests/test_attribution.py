"""Attribution: on the call that costs, across tasks and processes, and on metrics only where listed."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import baggage, context
from surfaces import client

from tracetoll import attribution

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Telemetry

    from tracetoll.local_provider import LocalProvider

MESSAGES: Any = [{"role": "user", "content": "hi"}]


def ask(provider: LocalProvider) -> None:
    with client("openai", provider.url) as of:
        of.chat.completions.create(model="gpt-4o", messages=MESSAGES)


def test_every_key_is_on_the_call(provider: LocalProvider, instrumented: Telemetry) -> None:
    with attribution(
        user_id="u1",
        session_id="s1",
        feature="triage",
        team="support",
        prompt_name="p",
        **{"tenant": "acme", "my.own": "x"},
    ):
        ask(provider)

    told = instrumented.told()
    assert {
        "user.id": "u1",
        "session.id": "s1",
        "tracetoll.feature": "triage",
        "tracetoll.team": "support",
        "tracetoll.tenant": "acme",
        "gen_ai.prompt.name": "p",
        "my.own": "x",
    }.items() <= told.items()


def test_inner_blocks_win_and_outer_ones_come_back(provider: LocalProvider, instrumented: Telemetry) -> None:
    with attribution(user_id="u1", feature="a"):
        with attribution(feature="b", team=None):
            ask(provider)
        ask(provider)
    ask(provider)

    told = [dict(span.attributes or {}) for span in instrumented.spans]
    assert [("u1", "b"), ("u1", "a"), (None, None)] == [
        (one.get("user.id"), one.get("tracetoll.feature")) for one in told
    ]


def test_tasks_keep_theirs_apart(provider: LocalProvider, instrumented: Telemetry) -> None:
    async def work(user: str) -> None:
        async with client("openai", provider.url, asynchronous=True) as of:
            with attribution(user_id=user):
                await asyncio.sleep(0.001)
                await of.chat.completions.create(model=f"gpt-4o-{user}", messages=MESSAGES)

    async def many() -> None:
        await asyncio.gather(*(work(str(number)) for number in range(10)))

    asyncio.run(many())

    for span in instrumented.spans:
        told = dict(span.attributes or {})
        assert f"gpt-4o-{told['user.id']}" == told["gen_ai.request.model"]


def test_a_thread_has_it_where_the_context_is_carried_over(provider: LocalProvider, instrumented: Telemetry) -> None:
    with attribution(user_id="u1"):
        carried = contextvars.copy_context()
        thread = threading.Thread(target=carried.run, args=(ask, provider))
        thread.start()
        thread.join()

    assert "u1" == instrumented.told()["user.id"]


def test_baggage_that_comes_in_is_taken_and_the_block_wins(provider: LocalProvider, instrumented: Telemetry) -> None:
    carried = baggage.set_baggage("user.id", "from-afar", baggage.set_baggage("tracetoll.team", "t"))
    token = context.attach(baggage.set_baggage("password", "x", carried))

    with attribution(user_id="here"):
        ask(provider)
    context.detach(token)

    told = instrumented.told()
    assert ("here", "t") == (told["user.id"], told["tracetoll.team"])
    assert "password" not in told


def test_only_what_is_listed_goes_out_as_baggage(instrument: Callable[..., Telemetry]) -> None:
    instrument(baggage_out=["team"])

    with attribution(user_id="u1", team="support"):
        outgoing = dict(baggage.get_all())
    after = dict(baggage.get_all())

    assert {"tracetoll.team": "support"} == outgoing
    assert {} == after


def test_metrics_have_only_what_is_listed(provider: LocalProvider, instrument: Callable[..., Telemetry]) -> None:
    telemetry = instrument(metric_attributes=["feature"])

    with attribution(user_id="u1", feature="triage"):
        ask(provider)

    for points in telemetry.metrics().values():
        for point in points:
            assert "user.id" not in point.attributes
    (duration,) = telemetry.metrics()["gen_ai.client.operation.duration"]
    assert "triage" == duration.attributes["tracetoll.feature"]


def test_a_value_that_is_no_text_is_refused_with_the_way_out() -> None:
    with pytest.raises(TypeError, match=r"use str"):
        attribution(user_id=7)  # type: ignore[arg-type]
