"""Limits that travel: what goes out with a block, and what a request may spend that brings them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from limit_calls import ANSWER, INPUT, TOKENS, WORDS, accounts, chat, chat_async
from opentelemetry import baggage, context, trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from tracetoll import Instrumentor, Limit, LimitExceeded, agent, attribution, limits, tool
from tracetoll.local_provider import LocalProvider

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Telemetry

    Instrument = Callable[..., Telemetry]

ENTRY = "tracetoll.limits"
TRACE = 0x4BF92F3577B34DA6A3CE929D0E0E4736


@pytest.fixture
def provider() -> Iterator[LocalProvider]:
    with LocalProvider(script=lambda _: WORDS) as running:
        yield running


def outgoing() -> str | None:
    found = baggage.get_baggage(ENTRY)
    assert found is None or isinstance(found, str)
    return found


class Request:
    """A request that came in, with an entry of baggage; None: none."""

    def __init__(self, entry: str | None, trace_id: int | None = TRACE) -> None:
        self.within = context.Context()
        if trace_id is not None:
            remote = SpanContext(trace_id, 0x00F067AA0BA902B7, is_remote=True, trace_flags=TraceFlags(1))
            self.within = trace.set_span_in_context(NonRecordingSpan(remote), self.within)
        if entry is not None:
            self.within = baggage.set_baggage(ENTRY, entry, self.within)

    def __enter__(self) -> None:
        self._token = context.attach(self.within)

    def __exit__(self, *_: object) -> None:
        context.detach(self._token)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what we warned of, and forget it: the telemetry fixture wants no warnings."""
    found = [one.getMessage() for one in caplog.records if one.levelname == "WARNING" and one.name == "tracetoll"]
    caplog.clear()
    return found


# --- going out -------------------------------------------------------------------------------


def test_what_is_left_of_the_trace_goes_out_as_of_the_entry_of_a_block(
    provider: LocalProvider, instrument: Instrument
) -> None:
    instrument(limits=["5000 tokens per trace; 9 calls per trace; 2 usd per trace"], baggage_out=[ENTRY])

    with agent("planner"):
        before = outgoing()
        chat(provider, model="gpt-4o")
        during = outgoing()
        with tool("search"):
            after = outgoing()
        back = outgoing()

    dollars = (INPUT * 2.5 + ANSWER * 10) / 1e6
    assert "5000 tokens; 9 calls; 2 usd" == before
    assert f"{5000 - TOKENS} tokens; 8 calls; {2 - dollars:.7f} usd" == after
    assert before == during == back
    assert outgoing() is None


@pytest.mark.parametrize("block", [attribution(user_id="u1"), limits(), tool("search")])
def test_every_block_takes_stock_as_it_is_entered(block: Any, provider: LocalProvider, instrument: Instrument) -> None:
    instrument(limits=[Limit(3, "calls", per="trace")], baggage_out=[ENTRY])

    with agent("planner"):
        chat(provider)
        with block:
            assert "2 calls" == outgoing()
        assert "3 calls" == outgoing()


def test_each_step_of_a_generator_takes_stock(provider: LocalProvider, instrument: Instrument) -> None:
    instrument(limits=[Limit(3, "calls", per="trace")], baggage_out=[ENTRY])

    @agent("walker")
    def walk() -> Iterator[str | None]:
        yield outgoing()
        chat(provider)
        yield outgoing()
        yield outgoing()

    assert ["3 calls", "3 calls", "2 calls"] == list(walk())
    assert outgoing() is None


def test_what_is_left_of_blocks_goes_out_too_and_the_least_counts(
    provider: LocalProvider, instrument: Instrument
) -> None:
    instrument(limits=[Limit(9, "calls", per="trace")], baggage_out=[ENTRY])

    with agent("planner"), limits(Limit(4, "calls"), Limit(500, "output_tokens", strict=True)):
        chat(provider, max_tokens=60)
        with tool("search"):
            found = outgoing()

    assert f"3 calls; {500 - ANSWER} output_tokens strict" == found


def test_what_running_calls_hold_is_not_left(instrument: Instrument) -> None:
    instrument(limits=[Limit(3, "calls", per="trace")], baggage_out=[ENTRY])
    seen: list[str | None] = []

    def look(_: Any) -> str:
        with trace.use_span(span), tool("search"):
            seen.append(outgoing())
        return WORDS

    with LocalProvider(script=look) as provider, agent("planner") as span:
        chat(provider)

    assert ["2 calls"] == seen


def test_nothing_of_the_senders_own_goes_out(instrument: Instrument) -> None:
    instrument(
        limits=[
            Limit(10, "calls", per="trace", name="secret name", where={"tenant": "acme", "model": "gpt-4o*"}),
            Limit(20, "calls", per="trace", where={"tenant": "zeta"}),
            Limit(30, "calls", per="user.id"),
            Limit(40, "calls", per="process"),
            Limit(50, "calls", per="trace", shadow=True),
            Limit(60, "calls", per="trace", at={1.0: "warn"}),
            Limit(70, "calls", per="call"),
            Limit(0.5, "context_window"),
        ],
        baggage_out=[ENTRY],
    )

    with attribution(tenant="acme", user_id="u1"), agent("planner"):
        found = outgoing()

    assert "10 calls where gen_ai.request.model=gpt-4o*" == found


def test_nothing_goes_out_where_it_is_not_listed(instrument: Instrument) -> None:
    instrument(limits=[Limit(3, "calls", per="trace")])

    with agent("planner"), limits(Limit(1, "calls")):
        assert {} == baggage.get_all()


def test_nothing_goes_out_after_uninstrument(instrument: Instrument) -> None:
    instrument(limits=[Limit(3, "calls", per="trace")], baggage_out=[ENTRY])
    Instrumentor().uninstrument()

    with agent("planner"), limits(Limit(1, "calls")):
        assert {} == baggage.get_all()


def test_nothing_goes_out_where_there_is_no_limit(instrument: Instrument) -> None:
    instrument(baggage_out=[ENTRY])

    with agent("planner"), limits():
        assert {} == baggage.get_all()


def test_an_entry_is_not_long(instrument: Instrument) -> None:
    models = [f"model-{number}-{'x' * 40}" for number in range(50)]
    instrument(limits=[Limit(3, "calls", per="trace", where={"model": one}) for one in models], baggage_out=[ENTRY])

    with agent("planner"):
        found = outgoing()

    assert 900 < len(str(found)) <= 1000


# --- coming in -------------------------------------------------------------------------------


def test_a_request_spends_no_more_than_its_caller_had_left(provider: LocalProvider, instrument: Instrument) -> None:
    telemetry = instrument(baggage_in=[ENTRY])

    with Request("2 calls; 5000 tokens"):
        chat(provider)
        with agent("clerk"):
            chat(provider)
            with pytest.raises(LimitExceeded) as raised:
                chat(provider)

    assert 2 == len(provider.requests)
    assert "the limit came with it" in str(raised.value)
    assert raised.value.account.startswith(f"request:{TRACE:032x}:")
    told = dict(telemetry.spans[-2].attributes or {})
    assert ("request", True) == (told["tracetoll.budget.name"], told["tracetoll.budget.refused"])
    assert ENTRY not in told


def test_a_request_with_nothing_left_sends_nothing(provider: LocalProvider, instrument: Instrument) -> None:
    instrument(baggage_in=[ENTRY])

    with Request("0 tokens"), pytest.raises(LimitExceeded):
        asyncio.run(chat_async(provider))

    assert [] == provider.requests


def test_requests_with_the_same_entry_share_what_is_left(provider: LocalProvider, instrument: Instrument) -> None:
    instrument(baggage_in=[ENTRY])

    with Request("1 call"):
        chat(provider)
    with Request("1 call"), pytest.raises(LimitExceeded):
        chat(provider)
    with Request("1 call", TRACE + 1):
        chat(provider)
    with Request("1 calls"):  # a later block of the caller has something left again
        chat(provider)

    assert 3 == len(provider.requests)


def test_limits_of_models_hold_for_them_only(provider: LocalProvider, instrument: Instrument) -> None:
    instrument(baggage_in=[ENTRY])

    with Request("0 calls where model=gpt-4o"):
        chat(provider, model="gpt-4o-mini")
        with pytest.raises(LimitExceeded):
            chat(provider, model="gpt-4o")


@pytest.mark.parametrize("listed", [None, ["user.id"]])
def test_a_request_gives_no_orders_where_that_is_not_listed(
    listed: Any, provider: LocalProvider, instrument: Instrument
) -> None:
    instrument(baggage_in=listed)

    with Request("0 calls"):
        chat(provider)

    assert 1 == len(provider.requests)


def test_without_a_trace_each_call_is_held_alone(
    provider: LocalProvider, instrument: Instrument, caplog: pytest.LogCaptureFixture
) -> None:
    instrument(baggage_in=[ENTRY])

    for _ in range(2):
        with Request("1 call", None):
            chat(provider)
            chat(provider)
    with Request("1 call", None), limits():
        chat(provider)
        with pytest.raises(LimitExceeded):
            chat(provider)

    (warning,) = warnings(caplog)
    assert "no trace" in warning


MALFORMED = [
    "lots",
    "5",
    "-1 calls",
    "5 calls per user.id",
    "5 calls per day",
    "5 calls warn",
    "5 calls throttle wait 1s",
    "5 calls reroute gpt-4o",
    "5 calls shadow",
    "0.5 context_window",
    "5 calls named x",
    "5 calls where tenant=acme",
    "0 calls " + "x" * 1000,
    "",
    ";;",
]


@pytest.mark.parametrize("entry", MALFORMED)
def test_a_malformed_entry_is_ignored_with_one_warning(
    entry: str, provider: LocalProvider, instrument: Instrument, caplog: pytest.LogCaptureFixture
) -> None:
    instrument(baggage_in=[ENTRY])

    for _ in range(2):
        with Request(entry):
            chat(provider)
    with Request("more"):
        chat(provider)

    (warning,) = warnings(caplog)
    assert "tracetoll.limits" in warning
    assert len(warning) < 300
    assert {} == accounts()


def test_what_is_right_in_an_entry_holds_beside_what_is_wrong(
    provider: LocalProvider, instrument: Instrument, caplog: pytest.LogCaptureFixture
) -> None:
    instrument(baggage_in=[ENTRY])

    with Request("many tokens; 0 calls"), pytest.raises(LimitExceeded):
        chat(provider)

    assert 1 == len(warnings(caplog))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(entry=st.text() | st.text('0123456789 ;"=,.$%tokenscalsudper', max_size=60))
def test_no_entry_harms_the_application(entry: str, telemetry: Telemetry, caplog: pytest.LogCaptureFixture) -> None:
    Instrumentor().instrument(**telemetry.providers, baggage_in=[ENTRY], baggage_out=[ENTRY])
    engine = Instrumentor().engine
    assert engine is not None

    with Request(entry), agent("planner"):
        engine.scopes(context.get_current())
    Instrumentor().uninstrument()
    warnings(caplog)


def test_entries_and_rules_are_bounded(instrument: Instrument) -> None:
    instrument(baggage_in=[ENTRY], baggage_out=[ENTRY])
    engine = Instrumentor().engine
    assert engine is not None

    for number in range(2500):
        with Request(f"{number} calls"), tool("search"):
            pass

    travel = engine.travel
    assert max(len(travel._read), len(travel._suffixes)) <= 1000  # noqa: SLF001  # what is bounded


# --- passing on ------------------------------------------------------------------------------


def test_a_service_in_the_middle_passes_on_what_it_leaves(provider: LocalProvider, instrument: Instrument) -> None:
    instrument(limits=[Limit(2, "calls", per="trace")], baggage_in=[ENTRY], baggage_out=[ENTRY])

    with Request("5 calls; 5000 tokens"), agent("clerk"):
        first = outgoing()
        chat(provider)
        with tool("search"):
            second = outgoing()
            chat(provider)  # held to what came in, not to what goes out

    assert ("2 calls; 5000 tokens", f"1 calls; {5000 - TOKENS} tokens") == (first, second)
    engine = Instrumentor().engine
    assert engine is not None
    assert [2, 2, 2 * TOKENS] == sorted(balance.spent for _, balance in engine.admission.ledger.balances())


def test_a_service_that_takes_no_orders_still_passes_them_on(instrument: Instrument) -> None:
    instrument(limits=[Limit(7, "calls", per="trace")], baggage_out=[ENTRY])

    with Request("5 calls; 5000 tokens"), agent("clerk"):
        mixed = outgoing()
    Instrumentor().uninstrument()
    instrument(baggage_out=[ENTRY])
    with Request("5 calls of a kind"), agent("clerk"):
        untouched = outgoing()

    assert ("5 calls; 5000 tokens", "5 calls of a kind") == (mixed, untouched)
