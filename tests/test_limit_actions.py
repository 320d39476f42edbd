"""What a limit does about a call: the server's own requests are the proof, and the accounts stand right afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import gc
import pickle
import threading
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import anthropic
import openai
import pytest
from conftest import Telemetry
from limit_calls import (
    ANSWER,
    ASK_CHAT,
    ASK_CLAUDE,
    ASKED,
    CAPPED,
    EVERY_WAY,
    HELPED,
    INPUT,
    MIXED,
    OTHERS_ASKED,
    OTHERS_STREAMED,
    STREAMED,
    TOKENS,
    WHOLE,
    WORDS,
    accounts,
    ask,
    capped,
    chat,
    chat_async,
    counted,
    events,
    sent_cap,
    told,
)
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, TraceIdRatioBased
from opentelemetry.trace import StatusCode
from surfaces import MESSAGES, OBSERVED, Case, both, cases, client, close, inside, read, run

from tracetoll import Instrumentor, Limit, LimitExceeded, agent, attribution, limits, safety
from tracetoll.limits import admission, claiming
from tracetoll.local_provider import LocalProvider, Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from opentelemetry.sdk.trace.sampling import Sampler

    from tracetoll.limits.limit import Crossing
    from tracetoll.local_provider import Received

    Instrument = Callable[..., Telemetry]

PROCESS = "process"


@pytest.fixture
def provider() -> Iterator[LocalProvider]:
    with LocalProvider(script=lambda _: WORDS) as running:
        yield running


@pytest.fixture
def rambler() -> Iterator[LocalProvider]:
    """Yield a provider that says as much as it may."""
    with LocalProvider(script=lambda _: f"{WORDS} " * 100) as running:
        yield running


def last_body(provider: LocalProvider) -> dict[str, Any]:
    return dict(provider.requests[-1].body)


# --- block -----------------------------------------------------------------------------------


@pytest.mark.parametrize("case", EVERY_WAY)
def test_a_refused_call_sends_no_request(case: Case, provider: LocalProvider, instrument: Instrument) -> None:
    instrument(limits=[Limit(1, "calls")])
    ask(case, provider)

    with pytest.raises(LimitExceeded):
        ask(case, provider)

    assert 1 == len(provider.requests)
    assert {PROCESS: (1, 0)} == accounts()


@pytest.mark.parametrize("case", MIXED)
def test_a_spent_limit_refuses_by_tokens(case: Case, provider: LocalProvider, instrument: Instrument) -> None:
    instrument(limits=[Limit(500, "tokens")])
    ask(case, provider, **capped(case, 50))

    with pytest.raises(LimitExceeded):
        ask(case, provider, **capped(case, 500 - TOKENS))

    handed_out = provider.handed_out
    assert (1, TOKENS) == (len(provider.requests), handed_out.input_tokens + handed_out.output_tokens)
    assert {PROCESS: (TOKENS, 0)} == accounts()


@pytest.mark.parametrize("case", [*cases((ASK_CHAT, ASK_CLAUDE), both("whole")), *OTHERS_ASKED])
def test_the_sdk_neither_wraps_nor_retries_a_refusal(
    case: Case, provider: LocalProvider, instrument: Instrument
) -> None:
    telemetry = instrument(limits=[Limit(0, "calls")])

    with pytest.raises(LimitExceeded) as raised:
        ask(case, provider)

    assert LimitExceeded is raised.type
    assert (None, None) == (raised.value.__cause__, raised.value.__context__)
    assert 1 == len(telemetry.spans)


@pytest.mark.parametrize("case", cases(OBSERVED, both("whole")))
def test_what_is_observed_is_charged_and_others_are_refused_then(
    case: Case, provider: LocalProvider, instrument: Instrument
) -> None:
    instrument(limits=[Limit(ANSWER, "output_tokens")])
    for _ in (1, 2):  # it was asked before we knew, so it is not refused itself
        assert case.ask(provider.url).error is None
    before = provider.handed_out

    with pytest.raises(LimitExceeded):
        chat(provider)

    assert before == provider.handed_out
    assert {PROCESS: (before.output_tokens, 0)} == accounts()


@pytest.mark.parametrize("case", cases([one for one in OBSERVED if one.of.rejected is not None], both("whole")))
def test_an_error_that_is_observed_is_a_call_that_spent_nothing(
    case: Case, provider: LocalProvider, instrument: Instrument
) -> None:
    instrument(limits=[Limit(5000, "tokens"), Limit(10, "calls", per="user.id")])
    rejected = case.surface.of.rejected
    assert rejected is not None
    provider.on("", lambda _: rejected(429))

    with attribution(user_id="u1"):
        case.ask(provider.url)

    assert {PROCESS: (0, 0), "user.id:u1": (1, 0)} == accounts()


def test_the_exception_tells_the_numbers_and_the_way_out(provider: LocalProvider, instrument: Instrument) -> None:
    limit = Limit(1000, "output_tokens", per="user.id", window="day", name="free tier")
    instrument(limits=[limit])

    with attribution(user_id="u1"):
        chat(provider, max_tokens=60)
        with pytest.raises(LimitExceeded) as raised:
            chat(provider, max_tokens=2000)

    error, today = raised.value, datetime.now(UTC)
    assert limit == error.limit
    assert f"user.id:u1:{today:%Y-%m-%d}" == error.account
    assert (ANSWER, 0, 2000) == (error.spent, error.reserved, error.wanted)
    assert error.resets_at is not None
    assert (UTC, 0, 0) == (error.resets_at.tzinfo, error.resets_at.hour, error.resets_at.minute)
    assert error.resets_at > today
    for piece in (
        "'free tier'",
        "1000 output_tokens per user.id per day",
        f"{ANSWER} spent",
        "2,000 more wanted",
        "raise its amount in instrument(limits=…)",
        error.resets_at.isoformat(timespec="seconds"),
    ):
        assert piece in str(error)


def test_the_exception_tells_what_running_calls_have_reserved(provider: LocalProvider, instrument: Instrument) -> None:
    instrument(limits=[Limit(100, "output_tokens", wait=0)])

    arguments = {**ASK_CHAT.arguments, "max_tokens": 70, "stream": True}
    with client("openai", provider.url) as of, of.chat.completions.create(**arguments) as stream:
        next(stream)
        with pytest.raises(LimitExceeded) as raised:
            chat(provider, max_tokens=50)

    assert (0, 70, 50) == (raised.value.spent, raised.value.reserved, raised.value.wanted)
    assert None is raised.value.resets_at


def test_the_exception_can_be_pickled(provider: LocalProvider, instrument: Instrument) -> None:
    instrument(limits=[Limit(0, "tokens", per="user.id", window="1h", where={"model": "gpt-*"}, name="none")])
    with attribution(user_id="u1"), pytest.raises(LimitExceeded) as raised:
        chat(provider)

    again = pickle.loads(pickle.dumps(raised.value))  # noqa: S301  # it is our own

    names = ("limit", "account", "spent", "reserved", "wanted", "resets_at")
    assert [getattr(raised.value, name) for name in names] == [getattr(again, name) for name in names]
    assert str(raised.value) == str(again)


@pytest.mark.parametrize("case", [*ASKED, *OTHERS_ASKED])
def test_the_span_of_a_refused_call_says_so(case: Case, provider: LocalProvider, instrument: Instrument) -> None:
    telemetry = instrument(limits=[Limit(10, "tokens", name="small")])

    with pytest.raises(LimitExceeded) as raised:
        ask(case, provider)

    span = telemetry.only_span()
    assert (StatusCode.ERROR, str(raised.value)) == (span.status.status_code, span.status.description)
    assert {
        "error.type": "budget_exceeded",
        "tracetoll.call.outcome": "refused",
        "tracetoll.budget.name": "small",
        "tracetoll.budget.scope": "process",
        "tracetoll.budget.unit": "token",
        "tracetoll.budget.limit": 10.0,
        "tracetoll.budget.consumed": 0.0,
        "tracetoll.budget.utilization": 0.0,
        "tracetoll.budget.state": "exceeded",
        "tracetoll.budget.action": "block",
        "tracetoll.budget.refused": True,
        **case.surface.model_told,
    }.items() <= telemetry.told().items()
    assert not [name for name in telemetry.told() if name.startswith(("gen_ai.usage", "tracetoll.cost"))]
    assert "tracetoll.usage.source" not in telemetry.told()


def test_a_refused_call_is_in_no_metric_of_calls(provider: LocalProvider, instrument: Instrument) -> None:
    telemetry = instrument(limits=[Limit(1, "calls")])
    chat(provider)

    with pytest.raises(LimitExceeded):
        chat(provider)

    metrics = telemetry.metrics()
    assert 1 == counted(telemetry)
    assert 2 == counted(telemetry, "gen_ai.client.token.usage")
    assert [] == metrics["tracetoll.usage.missing"]


def test_the_span_of_a_call_that_fits_says_how_the_fullest_limit_stands(
    provider: LocalProvider, instrument: Instrument
) -> None:
    telemetry = instrument(limits=[Limit(1000, "tokens", name="wide"), Limit(2, "calls", name="narrow")])

    chat(provider, max_tokens=60)

    assert {
        "tracetoll.budget.name": "narrow",
        "tracetoll.budget.limit": 2.0,
        "tracetoll.budget.consumed": 1.0,
        "tracetoll.budget.utilization": 0.5,
    }.items() <= telemetry.told().items()


@pytest.mark.parametrize("case", WHOLE)
def test_a_blown_trace_stays_blown_and_another_one_goes_on(
    case: Case, provider: LocalProvider, instrument: Instrument
) -> None:
    instrument(limits=[Limit(2 * ANSWER, "output_tokens", per="trace")])

    with agent("spendthrift"):
        ask(case, provider, **capped(case, ANSWER))
        ask(case, provider, **capped(case, ANSWER))
        for _ in range(3):
            with pytest.raises(LimitExceeded) as raised:
                ask(case, provider, **capped(case, ANSWER))
    with agent("other"):
        ask(case, provider, **capped(case, ANSWER))

    assert 3 == len(provider.requests)
    assert (2 * ANSWER, 0) == (raised.value.spent, raised.value.reserved)
    assert [(2 * ANSWER, 0), (ANSWER, 0)] == list(accounts().values())


def test_a_call_waits_for_running_ones_and_goes_through(
    provider: LocalProvider, instrument: Instrument, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "_POLL_S", 60.0)  # what settles wakes it, nothing else
    telemetry = instrument(limits=[Limit(100, "output_tokens")])
    arrived, go_on = threading.Event(), threading.Event()

    def held(received: Received) -> Reply:
        arrived.set()
        go_on.wait(5)
        return provider.built_in(received)

    provider.on("", held)
    call = partial(threading.Thread, target=chat, args=(provider,), kwargs={"max_tokens": 60}, daemon=True)
    threads = [call() for _ in range(2)]
    threads[0].start()
    assert arrived.wait(5)
    threads[1].start()
    asyncio.run(until(waiting))
    while_waiting = len(provider.requests)
    go_on.set()
    for thread in threads:
        thread.join(10)

    assert (1, 2) == (while_waiting, len(provider.requests))
    assert {PROCESS: (2 * ANSWER, 0)} == accounts()
    (event,) = events(telemetry, "tracetoll.budget.waited")
    assert ("none", 0.0) == (event["tracetoll.budget.action"], event["tracetoll.budget.consumed"])


def test_every_eighth_answer_is_learned_from_where_a_model_is_known_well(
    provider: LocalProvider, instrument: Instrument, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claiming, "_LEARNED_WELL", 2)
    instrument(limits=[Limit(100_000, "tokens")])

    for _ in range(3 + 4 * 8):
        chat(provider)

    engine = Instrumentor().engine
    assert engine is not None
    (learned,) = engine.admission.claims.learner._known.values()  # noqa: SLF001  # nobody can see it from outside
    assert 3 + 4 == learned.outputs


async def until(holds: Callable[[], bool]) -> None:
    """Wait for what others make come true."""
    for _ in range(5000):
        if holds():
            return
        await asyncio.sleep(0.001)
    raise AssertionError


def waiting() -> bool:
    """Tell whether some call waits for room."""
    engine = Instrumentor().engine
    return engine is not None and bool(engine.admission._room)  # noqa: SLF001  # nothing public tells


# --- clamp -----------------------------------------------------------------------------------


@pytest.mark.parametrize("case", MIXED)
def test_less_than_an_answer_needs_is_not_clamped_to(
    case: Case, provider: LocalProvider, instrument: Instrument
) -> None:
    telemetry = instrument(limits=[Limit(50, "output_tokens", at={1.0: "clamp"})])
    ask(case, provider, **capped(case, 45))

    with pytest.raises(LimitExceeded):  # less than any answer needs
        ask(case, provider, **capped(case, 45))

    assert [45] == [sent_cap(case, provider, number) for number in range(len(provider.requests))]
    assert {PROCESS: (ANSWER, 0)} == accounts()
    assert [] == events(telemetry, "tracetoll.budget.clamped")


@pytest.mark.parametrize("case", CAPPED)
def test_a_clamped_call_arrives_with_the_lowered_cap(
    case: Case, provider: LocalProvider, instrument: Instrument
) -> None:
    telemetry = instrument(limits=[Limit(30, "output_tokens", at={1.0: "clamp"}, name="short")])

    ask(case, provider, **capped(case, 45))

    assert 30 == sent_cap(case, provider)
    assert {PROCESS: (30, 0)} == accounts()
    assert {
        "gen_ai.request.max_tokens": 30,
        "gen_ai.usage.output_tokens": 30,
        "tracetoll.budget.action": "clamp",
        "tracetoll.budget.refused": False,
        "tracetoll.budget.name": "short",
    }.items() <= telemetry.told().items()
    (event,) = events(telemetry, "tracetoll.budget.clamped")
    assert ("short", 30) == (event["tracetoll.budget.name"], event["gen_ai.request.max_tokens"])


@pytest.mark.parametrize("case", MIXED)
def test_a_clamp_with_enough_left_leaves_the_cap_alone(
    case: Case, provider: LocalProvider, instrument: Instrument
) -> None:
    telemetry = instrument(limits=[Limit(1000, "tokens", at={1.0: "clamp"})])

    ask(case, provider, **capped(case, 45))

    assert 45 == sent_cap(case, provider)
    assert [] == events(telemetry, "tracetoll.budget.clamped")


@pytest.mark.parametrize("case", cases((ASK_CHAT,), both("whole", "stream")))
def test_an_uncapped_chat_gets_the_cap_of_openai(case: Case, provider: LocalProvider, instrument: Instrument) -> None:
    instrument(limits=[Limit(30, "output_tokens", at={1.0: "clamp"})])

    ask(case, provider)

    assert 30 == last_body(provider)["max_completion_tokens"]
    assert "max_tokens" not in last_body(provider)


@pytest.mark.parametrize("case", [one for one in ASKED if one.values[0].surface.method == "responses.create"])
def test_an_uncapped_response_gets_a_cap(case: Case, provider: LocalProvider, instrument: Instrument) -> None:
    instrument(limits=[Limit(30, "output_tokens", at={1.0: "clamp"})])

    ask(case, provider)

    assert 30 == last_body(provider)["max_output_tokens"]


def test_a_compatible_host_gets_the_older_cap(provider: LocalProvider, instrument: Instrument) -> None:
    instrument(limits=[Limit(30, "output_tokens", at={1.0: "clamp"})], provider_hosts={"127.0.0.1": "groq"})

    chat(provider)

    assert 30 == last_body(provider)["max_tokens"]
    assert "max_completion_tokens" not in last_body(provider)


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_a_cap_in_extra_body_is_lowered_where_it_is(name: str, provider: LocalProvider, instrument: Instrument) -> None:
    telemetry = instrument(limits=[Limit(30, "output_tokens", at={1.0: "clamp"})])
    extra = {name: 45, "user": "u1"}

    chat(provider, extra_body=extra)

    assert {name: 30, "user": "u1"}.items() <= last_body(provider).items()
    assert {name: 45, "user": "u1"} == extra
    assert {PROCESS: (30, 0)} == accounts()
    assert 30 == telemetry.told()["gen_ai.request.max_tokens"]


def test_extra_body_of_other_fields_does_not_undo_a_clamp(provider: LocalProvider, instrument: Instrument) -> None:
    instrument(limits=[Limit(30, "output_tokens", at={1.0: "clamp"})])

    chat(provider, max_tokens=45, extra_body={"metadata": {"a": "b"}})

    assert {"max_tokens": 30, "metadata": {"a": "b"}}.items() <= last_body(provider).items()


def test_the_applications_own_objects_stay_as_they_are(
    provider: LocalProvider, instrument: Instrument, monkeypatch: pytest.MonkeyPatch
) -> None:
    instrument(limits=[Limit(30, "output_tokens", at={1.0: "clamp"})])
    seen: list[Any] = []
    with client("openai", provider.url) as of:
        post = of.post

        def kept(path: str, **given: Any) -> Any:
            body = given["body"]
            seen.append(body)
            seen.append({**body, "messages": copy.deepcopy(body["messages"])})
            return post(path, **given)

        monkeypatch.setattr(of.chat.completions, "_post", kept)
        of.chat.completions.create(**ASK_CHAT.arguments, max_tokens=45)

    body, before = seen
    assert (30, 45) == (last_body(provider)["max_tokens"], before["max_tokens"])
    assert before == body


def test_options_of_the_sdk_can_be_used_twice(provider: LocalProvider, instrument: Instrument) -> None:
    instrument(limits=[Limit(70, "output_tokens", at={1.0: "clamp"})])
    options = openai._models.FinalRequestOptions.construct(  # noqa: SLF001  # what low-level callers hold
        method="post", url="/chat/completions", json_data={**ASK_CHAT.arguments, "max_tokens": 200}
    )
    with client("openai", provider.url) as of:
        of.request(openai.types.chat.ChatCompletion, options)
        of.request(openai.types.chat.ChatCompletion, options)

    assert [70, 30] == [request.body["max_tokens"] for request in provider.requests]
    assert 200 == options.json_data["max_tokens"]


def test_a_clamp_keeps_the_cap_above_the_thinking_budget(provider: LocalProvider, instrument: Instrument) -> None:
    instrument(limits=[Limit(2000, "output_tokens", at={1.0: "clamp"})])
    thinking = {"thinking": {"type": "enabled", "budget_tokens": 1024}}

    with client("anthropic", provider.url) as of:
        asked = {"model": "claude-haiku-4-5", "messages": MESSAGES, "max_tokens": 4000}
        of.messages.create(**asked, extra_body=thinking)
        larger = {"thinking": {"type": "enabled", "budget_tokens": 1990}}
        with pytest.raises(LimitExceeded):
            of.messages.create(**asked, extra_body=larger)

    assert [2000] == [request.body["max_tokens"] for request in provider.requests]
    assert [thinking["thinking"]] == [request.body["thinking"] for request in provider.requests]


def test_choices_share_what_is_left(provider: LocalProvider, instrument: Instrument) -> None:
    instrument(limits=[Limit(60, "output_tokens", at={1.0: "clamp"})])

    chat(provider, n=2, max_tokens=100)

    assert 30 == last_body(provider)["max_tokens"]
    assert {PROCESS: (60, 0)} == accounts()


def test_the_tightest_of_several_clamps_counts(provider: LocalProvider, instrument: Instrument) -> None:
    instrument(
        limits=[
            Limit(50, "output_tokens", per="user.id", at={1.0: "clamp"}),
            Limit(30, "output_tokens", at={1.0: "clamp"}),
            Limit(40, "output_tokens", per="call", at={1.0: "clamp"}),
        ]
    )

    with attribution(user_id="u1"):
        chat(provider, max_tokens=100)

    assert 30 == last_body(provider)["max_tokens"]
    assert {"user.id:u1": (30, 0), PROCESS: (30, 0)} == accounts()


def test_a_limit_that_clamps_also_lets_shorter_answers_pass_another_that_blocks(
    provider: LocalProvider, instrument: Instrument
) -> None:
    instrument(
        limits=[Limit(40, "output_tokens", name="hard"), Limit(30, "output_tokens", per="trace", at={1.0: "clamp"})]
    )

    with agent("a"):
        chat(provider, max_tokens=100)

    assert 30 == last_body(provider)["max_tokens"]


# --- throttle --------------------------------------------------------------------------------


@pytest.mark.parametrize("case", MIXED)
def test_a_throttled_call_waits_and_goes_through(case: Case, provider: LocalProvider, instrument: Instrument) -> None:
    telemetry = instrument(limits=[Limit(1, "calls", window="300ms", at={1.0: "throttle"}, name="slow")])
    ask(case, provider)

    ask(case, provider)

    assert 2 == len(provider.requests)
    assert "tracetoll.budget.wait.duration" not in told(telemetry, 0)
    second = told(telemetry)
    assert second["tracetoll.budget.wait.duration"] > 0
    assert ("throttle", "slow", False) == tuple(
        second[f"tracetoll.budget.{name}"] for name in ("action", "name", "refused")
    )
    (event,) = events(telemetry, "tracetoll.budget.waited")
    assert second["tracetoll.budget.wait.duration"] == event["tracetoll.budget.wait.duration"]
    assert ("throttle", "process") == (event["tracetoll.budget.action"], event["tracetoll.budget.account"])
    assert StatusCode.UNSET is telemetry.spans[-1].status.status_code


def test_other_tasks_run_while_one_is_throttled(provider: LocalProvider, instrument: Instrument) -> None:
    instrument(limits=[Limit(1, "calls", window="300ms", at={1.0: "throttle"}, where={"model": "gpt-4o-mini"})])
    order: list[str] = []

    async def ask_of(model: str) -> None:
        await chat_async(provider, model=model)
        order.append(model)

    async def many() -> None:
        await ask_of("gpt-4o-mini")
        await asyncio.gather(ask_of("gpt-4o-mini"), ask_of("gpt-4o"))

    asyncio.run(many())

    assert ["gpt-4o-mini", "gpt-4o", "gpt-4o-mini"] == order


def test_other_threads_run_while_one_is_throttled(provider: LocalProvider, instrument: Instrument) -> None:
    instrument(limits=[Limit(1, "calls", window="300ms", at={1.0: "throttle"}, where={"model": "gpt-4o-mini"})])
    chat(provider)
    thread = threading.Thread(target=chat, args=(provider,))
    thread.start()
    asyncio.run(until(waiting))
    chat(provider, model="gpt-4o")
    thread.join()

    assert ["gpt-4o-mini", "gpt-4o", "gpt-4o-mini"] == [request.body["model"] for request in provider.requests]


@pytest.mark.parametrize("case", MIXED)
def test_a_call_that_would_wait_too_long_is_refused_at_once(
    case: Case, provider: LocalProvider, instrument: Instrument
) -> None:
    telemetry = instrument(limits=[Limit(1, "calls", window="1h", at={1.0: "throttle"}, wait=600)])
    ask(case, provider)

    with pytest.raises(LimitExceeded) as raised:  # or this test would take ten minutes
        ask(case, provider)

    assert 1 == len(provider.requests)
    assert raised.value.resets_at is not None
    assert "refused" == told(telemetry)["tracetoll.call.outcome"]
    assert [] == events(telemetry, "tracetoll.budget.waited")


def test_a_throttled_call_that_can_never_fit_is_refused(provider: LocalProvider, instrument: Instrument) -> None:
    instrument(limits=[Limit(30, "output_tokens", window="300ms", at={1.0: "throttle"})])

    with pytest.raises(LimitExceeded):
        chat(provider, max_tokens=31)

    assert [] == provider.requests


def test_without_any_wait_a_throttle_refuses(provider: LocalProvider, instrument: Instrument) -> None:
    instrument(limits=[Limit(1, "calls", window="300ms", at={1.0: "throttle"}, wait=0)])
    chat(provider)

    with pytest.raises(LimitExceeded):
        chat(provider)

    assert 1 == len(provider.requests)


# --- cut -------------------------------------------------------------------------------------


def slowly(provider: LocalProvider) -> None:
    """Have streams sent slowly enough to be cut before they have been sent."""

    def slow(received: Received) -> Reply:
        return replace(provider.built_in(received), event_delay_s=0.002)

    provider.on("", slow)


@pytest.mark.parametrize("case", [*STREAMED, *HELPED, *OTHERS_STREAMED])
def test_a_cut_stream_ends_at_a_chunk_boundary(case: Case, provider: LocalProvider, instrument: Instrument) -> None:
    telemetry = instrument(limits=[Limit(24, "output_tokens", at={1.0: "cut"}, name="scissors")])
    slowly(provider)
    parts: list[Any] = []

    with pytest.raises(LimitExceeded, match="the stream was ended") as raised:
        ask(case, provider, parts=parts)

    assert LimitExceeded is raised.type
    assert "scissors" == raised.value.limit.name
    assert parts
    assert provider.wait_idle()
    assert 1 == provider.disconnects
    span = telemetry.only_span()
    assert StatusCode.ERROR is span.status.status_code
    assert {
        "error.type": "budget_exceeded",
        "tracetoll.call.outcome": "cut",
        "tracetoll.budget.action": "cut",
        "tracetoll.budget.refused": False,
        "tracetoll.budget.name": "scissors",
    }.items() <= telemetry.told().items()
    (event,) = events(telemetry, "tracetoll.budget.cut")
    assert "scissors" == event["tracetoll.budget.name"]
    ((spent, reserved),) = accounts().values()
    assert 0 == reserved
    assert 0 < spent


@pytest.mark.parametrize("case", STREAMED)
def test_a_cut_stream_ends_its_per_call_limit(case: Case, provider: LocalProvider, instrument: Instrument) -> None:
    telemetry = instrument(limits=[Limit(24, "output_tokens", per="call", at={1.0: "cut"})])
    slowly(provider)
    parts: list[Any] = []

    with pytest.raises(LimitExceeded, match="the stream was ended") as raised:
        ask(case, provider, parts=parts)

    assert "call" == raised.value.account
    assert parts
    assert "cut" == telemetry.told()["tracetoll.call.outcome"]
    assert provider.wait_idle()
    assert 1 == provider.disconnects


@pytest.mark.parametrize("case", STREAMED)
def test_a_stream_with_enough_left_is_not_cut(case: Case, provider: LocalProvider, instrument: Instrument) -> None:
    instrument(limits=[Limit(1000, "tokens", at={1.0: "cut"})])

    ask(case, provider)

    assert {PROCESS: (TOKENS, 0)} == accounts()
    assert provider.wait_idle()
    assert 0 == provider.disconnects


@pytest.mark.parametrize("case", STREAMED)
def test_what_was_streamed_before_a_cut_is_what_the_server_sent(
    case: Case, provider: LocalProvider, instrument: Instrument
) -> None:
    instrument(limits=[Limit(24, "output_tokens", per="call", at={1.0: "cut"})])
    slowly(provider)
    parts: list[Any] = []

    with pytest.raises(LimitExceeded):
        ask(case, provider, parts=parts)

    said = "".join(text_of(part) for part in parts)
    assert said
    assert WORDS.startswith(said)
    assert WORDS != said


def text_of(event: Any) -> str:
    """Return what an event of a stream says."""
    if getattr(event, "choices", None):
        return event.choices[0].delta.content or ""
    delta = getattr(event, "delta", None)
    found = delta if isinstance(delta, str) else getattr(delta, "text", None)
    return found if isinstance(found, str) else ""


def test_after_a_cut_the_limit_refuses(provider: LocalProvider, instrument: Instrument) -> None:
    instrument(limits=[Limit(24, "output_tokens", at={1.0: "cut"})])
    slowly(provider)
    case = Case(ASK_CHAT, "stream")
    with pytest.raises(LimitExceeded):
        ask(case, provider)

    with pytest.raises(LimitExceeded):
        ask(case, provider)

    assert 1 == len(provider.requests)


def test_a_cut_also_refuses_a_call_that_cannot_fit(provider: LocalProvider, instrument: Instrument) -> None:
    instrument(limits=[Limit(24, "output_tokens", at={1.0: "cut"})])

    with pytest.raises(LimitExceeded):
        chat(provider, max_tokens=40)

    assert [] == provider.requests


def raw_stream(of: Any) -> Any:
    return of.chat.completions.with_raw_response.create(
        **ASK_CHAT.arguments, **ASK_CHAT.stream_arguments, stream=True
    ).parse()


def raw_lines(of: Any) -> Iterator[str]:
    with of.chat.completions.with_streaming_response.create(
        **ASK_CHAT.arguments, **ASK_CHAT.stream_arguments, stream=True
    ) as response:
        yield from response.iter_lines()


@pytest.mark.parametrize("asking", [raw_stream, raw_lines])
def test_a_stream_that_is_read_raw_is_cut_too(
    asking: Callable[[Any], Any], rambler: LocalProvider, instrument: Instrument
) -> None:
    instrument(limits=[Limit(100, "output_tokens", at={1.0: "cut"})])

    with client("openai", rambler.url) as of, pytest.raises(LimitExceeded):
        for _ in asking(of):
            pass

    ((spent, reserved),) = accounts().values()
    assert spent < 200
    assert 0 == reserved


@pytest.mark.parametrize("read", [9, 30, 90])
@pytest.mark.parametrize("before", [1, 40])  # the text of every stream is counted only until a model is known
def test_a_stream_that_is_left_spends_about_what_came_of_it(
    before: int, read: int, rambler: LocalProvider, instrument: Instrument
) -> None:
    instrument(limits=[Limit(10**6, "output_tokens")])
    arguments = {**ASK_CHAT.arguments, **ASK_CHAT.stream_arguments, "max_tokens": 200, "stream": True}
    with client("openai", rambler.url) as of:
        for _ in range(before):
            chunks = len(list(of.chat.completions.create(**arguments)))  # what is learned from
        ((whole, _),) = accounts().values()
        stream = of.chat.completions.create(**arguments)
        for _ in zip(range(read), stream, strict=False):
            pass
        stream.close()

    ((spent, reserved),) = accounts().values()
    assert chunks > 100
    assert whole / before * read / chunks == pytest.approx(spent - whole, rel=0.2)
    assert 0 == reserved


def test_pieces_of_bytes_and_events_of_a_stream_are_told_apart(rambler: LocalProvider, instrument: Instrument) -> None:
    instrument(limits=[Limit(10**6, "output_tokens")])
    arguments = {**ASK_CHAT.arguments, **ASK_CHAT.stream_arguments, "max_tokens": 200, "stream": True}

    def in_pieces(share: float) -> float:
        """Read a share of the bytes of a stream; return which it was."""
        rambler.on("", lambda received: replace(rambler.built_in(received), chunk_bytes=2000, event_delay_s=0.001))
        events = 0
        with of.chat.completions.with_streaming_response.create(**arguments) as response:
            for piece in response.iter_bytes():
                events += piece.count(b"data:")
                if events > chunks * share:
                    break
        rambler.on("", rambler.built_in)
        return events / chunks

    with client("openai", rambler.url) as of:
        chunks = len(list(of.chat.completions.create(**arguments)))
        ((whole, _),) = accounts().values()
        in_pieces(1.5)
        for _ in range(40):  # until a model is known so well that the text of few streams is counted
            list(of.chat.completions.create(**arguments))
        ((before, _),) = accounts().values()
        read = in_pieces(0.5)
        ((spent, _),) = accounts().values()
        stream = of.chat.completions.create(**arguments)
        for _ in zip(range(50), stream, strict=False):
            pass
        stream.close()

    ((after, _),) = accounts().values()
    assert 42 * whole == before
    assert whole * read == pytest.approx(spent - before, rel=0.2)
    assert whole * 50 / chunks == pytest.approx(after - spent, rel=0.2)


# --- reroute ---------------------------------------------------------------------------------


@pytest.mark.parametrize("case", ASKED)
def test_a_rerouted_call_asks_the_other_model(case: Case, provider: LocalProvider, instrument: Instrument) -> None:
    cheaper = "claude-3-haiku-20240307" if case.surface.sdk == "anthropic" else "gpt-4.1-nano"
    telemetry = instrument(limits=[Limit(100, "output_tokens", at={0.5: f"reroute {cheaper}", 1.0: "block"})])
    ask(case, provider, **capped(case, 45))

    ask(case, provider, **capped(case, 45))

    assert [case.surface.model, cheaper] == [request.body["model"] for request in provider.requests]
    first, second = (dict(span.attributes or {}) for span in telemetry.spans)
    assert "tracetoll.reroute.from_model" not in first
    assert (cheaper, case.surface.model) == (second["gen_ai.request.model"], second["tracetoll.reroute.from_model"])
    assert f"chat {cheaper}" == telemetry.spans[-1].name
    assert "reroute" == second["tracetoll.budget.action"]
    (event,) = events(telemetry, "tracetoll.budget.rerouted")
    assert (cheaper, case.surface.model) == (event["gen_ai.request.model"], event["tracetoll.reroute.from_model"])
    assert {PROCESS: (2 * ANSWER, 0)} == accounts()


def test_only_above_its_threshold_a_limit_reroutes(provider: LocalProvider, instrument: Instrument) -> None:
    instrument(limits=[Limit(100, "output_tokens", at={0.5: "reroute gpt-4.1-nano"})])

    chat(provider, max_tokens=50)
    chat(provider, max_tokens=10)
    chat(provider, max_tokens=1)

    assert ["gpt-4o-mini", "gpt-4o-mini", "gpt-4.1-nano"] == [request.body["model"] for request in provider.requests]


def test_rerouting_by_patterns_leaves_other_models_alone(provider: LocalProvider, instrument: Instrument) -> None:
    instrument(limits=[Limit(0, "tokens", at={1.0: "reroute gpt-4o=gpt-4o-mini gpt-5*=gpt-4.1-nano"})])

    for model in ("gpt-4o", "gpt-5.1", "gpt-4.1"):
        chat(provider, model=model)

    assert ["gpt-4o-mini", "gpt-4.1-nano", "gpt-4.1"] == [request.body["model"] for request in provider.requests]


def test_a_limit_per_call_reroutes_large_calls_only(provider: LocalProvider, instrument: Instrument) -> None:
    instrument(limits=[Limit(30, "output_tokens", per="call", at={1.0: "reroute gpt-4.1-nano"})])

    chat(provider, max_tokens=31)
    chat(provider, max_tokens=30)

    assert ["gpt-4.1-nano", "gpt-4o-mini"] == [request.body["model"] for request in provider.requests]


def test_a_rerouted_call_goes_to_the_accounts_of_its_new_model(provider: LocalProvider, instrument: Instrument) -> None:
    reroute = {1.0: "reroute gpt-4.1-nano"}
    instrument(limits=[Limit(0, "calls", at=reroute), Limit(100, "output_tokens", per="gen_ai.request.model")])

    chat(provider, max_tokens=60)

    assert {PROCESS: (1, 0), "gen_ai.request.model:gpt-4.1-nano": (ANSWER, 0)} == accounts()


def test_the_applications_own_request_keeps_its_model(provider: LocalProvider, instrument: Instrument) -> None:
    instrument(limits=[Limit(0, "calls", at={1.0: "reroute gpt-4.1-nano"})])
    arguments = {**ASK_CHAT.arguments}

    with client("openai", provider.url) as of:
        of.chat.completions.create(**arguments)

    assert ASK_CHAT.arguments == arguments
    assert "gpt-4.1-nano" == last_body(provider)["model"]


# --- warn, and callbacks ---------------------------------------------------------------------


@pytest.mark.parametrize("case", WHOLE)
def test_each_threshold_is_told_once(case: Case, provider: LocalProvider, instrument: Instrument) -> None:
    telemetry = instrument(limits=[Limit(100, "output_tokens", at={0.5: "warn", 1.0: "warn"}, name="watched")])

    crossed = []
    for _ in range(4):
        ask(case, provider)
        crossed.append(
            [event["tracetoll.budget.threshold"] for event in events(telemetry, "tracetoll.budget.threshold_crossed")]
        )

    assert [[], [0.5], [0.5, 1.0], [0.5, 1.0]] == crossed
    assert 4 == len(provider.requests)
    last = events(telemetry, "tracetoll.budget.threshold_crossed")[-1]
    assert {
        "tracetoll.budget.name": "watched",
        "tracetoll.budget.account": "process",
        "tracetoll.budget.action": "warn",
        "tracetoll.budget.state": "exceeded",
        "tracetoll.budget.consumed": 3.0 * ANSWER,
        "gen_ai.request.model": case.surface.model,
    }.items() <= last.items()


def test_each_subject_crosses_on_its_own(provider: LocalProvider, instrument: Instrument) -> None:
    telemetry = instrument(limits=[Limit(30, "output_tokens", per="user.id", at={1.0: "warn"})])

    for user in ("u1", "u2", "u1"):
        with attribution(user_id=user):
            chat(provider)

    crossings = events(telemetry, "tracetoll.budget.threshold_crossed")
    assert ["user.id:u1", "user.id:u2"] == [event["tracetoll.budget.account"] for event in crossings]


def test_a_callback_is_told_of_the_crossing(provider: LocalProvider, instrument: Instrument) -> None:
    crossings: list[Crossing] = []
    limit = Limit(50, "output_tokens", per="user.id", window="day", at={0.8: ("warn", crossings.append)})
    telemetry = instrument(limits=[limit])

    with attribution(user_id="u1"):
        chat(provider)
        chat(provider)

    (crossing,) = crossings
    assert (limit, 0.8, ANSWER) == (crossing.limit, crossing.threshold, crossing.spent)
    assert crossing.account.startswith("user.id:u1:")
    assert crossing.resets_at is not None
    assert {"call", "warn"} == {
        event["tracetoll.budget.action"] for event in events(telemetry, "tracetoll.budget.threshold_crossed")
    }


def test_a_callback_of_a_limit_in_dollars_is_told_dollars(provider: LocalProvider, instrument: Instrument) -> None:
    crossings: list[Crossing] = []
    telemetry = instrument(limits=[Limit(0.00001, "usd", at={1.0: crossings.append})])

    chat(provider)

    (crossing,) = crossings
    assert telemetry.told()["tracetoll.cost.amount"] == pytest.approx(crossing.spent)


@pytest.mark.parametrize("case", MIXED)
def test_a_callback_that_raises_does_not_reach_the_application(
    case: Case,
    provider: LocalProvider,
    instrument: Instrument,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.delenv(safety.RAISE_FAULTS_VARIABLE)
    monkeypatch.setattr(safety, "_last_logged", {})

    def fails(_: Crossing) -> None:
        raise LookupError

    instrument(limits=[Limit(10, "output_tokens", at={1.0: fails})])

    ask(case, provider)

    assert {PROCESS: (ANSWER, 0)} == accounts()
    (record,) = [one for one in caplog.records if one.levelname == "WARNING" and one.name == "tracetoll"]
    assert "calling a limit's callback" in record.getMessage()
    caplog.clear()


# --- shadow ----------------------------------------------------------------------------------


@pytest.mark.parametrize("case", MIXED)
@pytest.mark.parametrize("action", ["block", "clamp", "cut", "throttle"])
def test_a_shadow_only_tells(action: str, case: Case, provider: LocalProvider, instrument: Instrument) -> None:
    window = "1h" if action == "throttle" else None
    limit = Limit(24, "output_tokens", window=window, at={1.0: action}, shadow=True, name="ghost")
    telemetry = instrument(limits=[limit])

    ask(case, provider, **capped(case, 45))
    ask(case, provider, **capped(case, 45))

    assert [45, 45] == [sent_cap(case, provider, number) for number in range(2)]
    assert provider.wait_idle()
    assert 0 == provider.disconnects
    assert {PROCESS: (2 * ANSWER, 0)} == accounts()
    assert [StatusCode.UNSET] * 2 == [span.status.status_code for span in telemetry.spans]
    refusals = events(telemetry, "tracetoll.budget.refused")
    assert [("ghost", True, False)] * 2 == [
        tuple(event[f"tracetoll.budget.{name}"] for name in ("name", "shadow", "refused")) for event in refusals
    ]
    assert [0.0, float(ANSWER)] == [event["tracetoll.budget.consumed"] for event in refusals]


def test_a_shadow_per_call_only_tells(provider: LocalProvider, instrument: Instrument) -> None:
    telemetry = instrument(limits=[Limit(24, "output_tokens", per="call", shadow=True)])

    chat(provider, max_tokens=45)
    chat(provider, max_tokens=24)

    assert 2 == len(provider.requests)
    (event,) = events(telemetry, "tracetoll.budget.refused")
    assert (True, 45.0) == (event["tracetoll.budget.shadow"], event["tracetoll.budget.wanted"])


def test_a_shadow_does_not_reroute(provider: LocalProvider, instrument: Instrument) -> None:
    telemetry = instrument(limits=[Limit(0, "calls", at={1.0: "reroute gpt-4.1-nano"}, shadow=True)])

    chat(provider)

    assert "gpt-4o-mini" == last_body(provider)["model"]
    (event,) = events(telemetry, "tracetoll.budget.rerouted")
    assert event["tracetoll.budget.shadow"]


def test_a_shadow_calls_nobody_back(provider: LocalProvider, instrument: Instrument) -> None:
    crossings: list[Crossing] = []
    instrument(limits=[Limit(10, "output_tokens", at={1.0: crossings.append}, shadow=True)])

    chat(provider)

    assert [] == crossings


@pytest.mark.parametrize("model", ["gpt-4o-mini", "unheard-of"])
@pytest.mark.parametrize("per", ["call", "process"])
def test_a_strict_shadow_caps_nothing(per: str, model: str, provider: LocalProvider, instrument: Instrument) -> None:
    instrument(limits=[Limit(300, "tokens", per=per, strict=True, shadow=True)])

    chat(provider, model=model)

    assert {"model", "messages"} == set(last_body(provider))


def test_a_strict_shadow_makes_no_other_limit_refuse(provider: LocalProvider, instrument: Instrument) -> None:
    instrument(limits=[Limit(5000, "tokens", per="trace"), Limit(300, "tokens", strict=True, shadow=True)])

    with agent("a"):
        chat(provider)

    assert 1 == len(provider.requests)


# --- strict ----------------------------------------------------------------------------------


def spend_all(case: Case, of: LocalProvider, **arguments: Any) -> list[int | None]:
    """Ask until that is refused; return the caps that arrived."""
    for _ in range(50):
        try:
            ask(case, of, **arguments)
        except LimitExceeded:
            return [
                request.body.get("max_completion_tokens", sent_cap(case, of, number))
                for number, request in enumerate(of.requests)
            ]
    raise AssertionError


@pytest.mark.parametrize("case", [one for one in ASKED if one.values[0].surface is not ASK_CLAUDE])
@pytest.mark.parametrize("action", ["block", "clamp"])
def test_an_uncapped_call_of_a_strict_limit_is_sent_with_a_cap_that_fits(
    action: str, case: Case, rambler: LocalProvider, instrument: Instrument
) -> None:
    instrument(limits=[Limit(600, "tokens", strict=True, at={1.0: action})])

    caps = spend_all(case, rambler)

    handed_out = rambler.handed_out
    together = handed_out.input_tokens + handed_out.output_tokens
    assert {PROCESS: (together, 0)} == accounts()
    assert 350 < together <= 600
    assert all(cap is not None and 16 <= cap < 600 for cap in caps)


@pytest.mark.parametrize("case", MIXED)
def test_a_capped_call_of_a_strict_limit_keeps_its_cap(
    case: Case, rambler: LocalProvider, instrument: Instrument
) -> None:
    instrument(limits=[Limit(1000, "tokens", strict=True)])

    caps = spend_all(case, rambler, **capped(case, 100))

    assert {100} == set(caps)
    ((spent, reserved),) = accounts().values()
    assert spent <= 1000
    assert 0 == reserved


@pytest.mark.parametrize(
    "limit",
    [
        Limit(600, "tokens", strict=True, at={1.0: "cut"}),
        Limit(600, "tokens", at={1.0: ("clamp", "cut")}),
        Limit(600, "tokens", at={0.9: "clamp", 1.0: "cut"}),
    ],
    ids=str,
)
def test_a_limit_that_also_cuts_still_caps_what_is_not_streamed(
    limit: Limit, rambler: LocalProvider, instrument: Instrument
) -> None:
    instrument(limits=[limit])

    spend_all(Case(ASK_CHAT), rambler)

    ((spent, _),) = accounts().values()
    assert spent <= 600


def test_a_strict_limit_that_only_warns_caps_nothing(provider: LocalProvider, instrument: Instrument) -> None:
    instrument(limits=[Limit(300, "tokens", strict=True, at={1.0: "warn"})])

    chat(provider, model="unheard-of")

    assert {"model", "messages"} == set(last_body(provider))


CAPPING = pytest.mark.parametrize(
    "capping",
    [Limit(9000, "output_tokens", strict=True), Limit(9000, "output_tokens", at={1.0: "clamp"})],
    ids=["strict", "clamp"],
)


@pytest.mark.parametrize("beside", [Limit(600, "tokens", per=per) for per in ("gen_ai.request.model", "call")], ids=str)
@CAPPING
def test_a_cap_that_one_limit_asks_for_leaves_room_in_all(
    capping: Limit, beside: Limit, rambler: LocalProvider, instrument: Instrument
) -> None:
    instrument(limits=[beside, capping])

    chat(rambler)

    handed_out = rambler.handed_out
    assert 550 < handed_out.input_tokens + handed_out.output_tokens <= 600


def test_a_cap_is_told_as_lowered_by_the_limit_that_leaves_the_least(
    provider: LocalProvider, instrument: Instrument
) -> None:
    shadow = Limit(100, "tokens", shadow=True, name="shadow")
    clamp, block = Limit(9000, "tokens", at={1.0: "clamp"}, name="clamp"), Limit(600, "tokens", name="block")
    telemetry = instrument(limits=[shadow, clamp, block])

    chat(provider)

    (event,) = events(telemetry, "tracetoll.budget.clamped")
    assert "block" == event["tracetoll.budget.name"] == told(telemetry)["tracetoll.budget.name"]


@CAPPING
def test_a_throttle_waits_for_the_usual_answer_where_another_limit_has_calls_capped(
    capping: Limit, rambler: LocalProvider, instrument: Instrument
) -> None:
    throttle = Limit(600, "tokens", per="gen_ai.request.model", window="300ms", at={1.0: "throttle"})
    telemetry = instrument(limits=[throttle, capping])
    chat(rambler, max_tokens=400)

    chat(rambler)

    assert 400 < last_body(rambler)["max_completion_tokens"] < 600
    assert told(telemetry)["tracetoll.budget.wait.duration"] > 0


@pytest.mark.parametrize("wait", [0, 60])
def test_a_strict_throttle_gives_what_is_left_of_a_period_that_is_too_long_to_wait_for(
    wait: int, rambler: LocalProvider, instrument: Instrument
) -> None:
    instrument(limits=[Limit(600, "tokens", window="1h", strict=True, at={1.0: "throttle"}, wait=wait)])

    chat(rambler, max_tokens=300)  # what answers usually have, from now on

    chat(rambler)

    assert 100 < last_body(rambler)["max_completion_tokens"] < 300
    ((spent, _),) = accounts().values()
    assert spent <= 600


@CAPPING
def test_what_only_tells_and_what_reroutes_go_by_the_usual_answer_where_another_limit_has_calls_capped(
    capping: Limit, provider: LocalProvider, instrument: Instrument
) -> None:
    ghosts = [Limit(3000, "tokens", per=per, shadow=True) for per in ("trace", "call")]
    telemetry = instrument(limits=[*ghosts, Limit(5000, "tokens", at={0.5: "reroute gpt-4.1-nano"}), capping])

    with agent("a"):
        chat(provider)

    assert "gpt-4o-mini" == last_body(provider)["model"]
    assert 9000 == last_body(provider)["max_completion_tokens"]
    assert [] == events(telemetry, "tracetoll.budget.refused")


# --- per call --------------------------------------------------------------------------------


@pytest.mark.parametrize("case", MIXED)
def test_a_limit_per_call_refuses_large_calls_and_counts_nothing(
    case: Case, provider: LocalProvider, instrument: Instrument
) -> None:
    instrument(limits=[Limit(50, "output_tokens", per="call")])
    for _ in range(3):
        ask(case, provider, **capped(case, 50))

    with pytest.raises(LimitExceeded) as raised:
        ask(case, provider, **capped(case, 51))

    assert ("call", 0, 51) == (raised.value.account, raised.value.spent, raised.value.wanted)
    assert 3 == len(provider.requests)
    assert {} == accounts()


def test_dollars_of_one_call(provider: LocalProvider, instrument: Instrument) -> None:
    instrument(limits=[Limit(0.00005, "usd", per="call")])
    chat(provider, max_tokens=50)

    with pytest.raises(LimitExceeded) as raised:
        chat(provider, max_tokens=100)

    assert 1 == len(provider.requests)
    assert 0.00006 < raised.value.wanted < 0.00007  # 100 tokens for 0.6 USD a million, and the question


def test_a_share_of_the_context_window(provider: LocalProvider, instrument: Instrument) -> None:
    instrument(limits=[Limit(0.5, "context_window")])
    chat(provider, max_tokens=16_000)
    chat(provider, max_tokens=63_000)

    with pytest.raises(LimitExceeded) as raised:
        chat(provider, max_tokens=64_001)

    assert "50% context_window" in str(raised.value)
    assert 2 == len(provider.requests)


def test_clamp_fills_the_context_window_at_most(provider: LocalProvider, instrument: Instrument) -> None:
    instrument(limits=[Limit(0.5, "context_window", at={1.0: "clamp"})])

    chat(provider, max_tokens=100_000)

    assert 63_900 < last_body(provider)["max_tokens"] < 64_000


@pytest.mark.parametrize("first", ["block", "clamp"])
def test_a_call_is_clamped_for_one_limit_before_it_is_held_to_another(
    first: str, provider: LocalProvider, instrument: Instrument
) -> None:
    both_limits = [
        Limit(40, "output_tokens", per="call", at={1.0: "block"}),
        Limit(30, "output_tokens", per="call", at={1.0: "clamp"}),
    ]
    instrument(limits=both_limits if first == "block" else both_limits[::-1])

    chat(provider, max_tokens=100)

    assert 30 == last_body(provider)["max_tokens"]


# --- units, and dollars ----------------------------------------------------------------------


@pytest.mark.parametrize("case", ASKED)
def test_every_unit_counts_what_the_server_handed_out(
    case: Case, provider: LocalProvider, instrument: Instrument
) -> None:
    units = ("tokens", "input_tokens", "output_tokens", "calls")
    instrument(limits=[Limit(10_000, unit, per=f"my.{unit}") for unit in units])

    with attribution(**{f"my.{unit}": "x" for unit in units}):
        ask(case, provider)
        ask(case, provider)

    expected = {"tokens": 2 * TOKENS, "input_tokens": 2 * INPUT, "output_tokens": 2 * ANSWER, "calls": 2}
    assert {f"my.{unit}:x": (amount, 0) for unit, amount in expected.items()} == accounts()
    handed_out = provider.handed_out
    assert (2 * INPUT, 2 * ANSWER) == (handed_out.input_tokens, handed_out.output_tokens)


@pytest.mark.parametrize(
    ("unit", "most", "wanted"), [("calls", 1, 1), ("input_tokens", 3, 9), ("output_tokens", 60, 50)]
)
def test_every_unit_refuses(unit: str, most: int, wanted: int, provider: LocalProvider, instrument: Instrument) -> None:
    instrument(limits=[Limit(most, unit, where={"model": "gpt-4o"})])
    chat(provider, max_tokens=50)
    if unit != "input_tokens":
        chat(provider, model="gpt-4o", max_tokens=50)

    with pytest.raises(LimitExceeded) as raised:
        chat(provider, model="gpt-4o", max_tokens=50)

    assert raised.value.wanted >= wanted
    assert (1 if unit == "input_tokens" else 2) == len(provider.requests)


@pytest.mark.parametrize("case", MIXED)
def test_dollars_are_those_on_the_spans(case: Case, provider: LocalProvider, instrument: Instrument) -> None:
    telemetry = instrument(limits=[Limit(0.001, "usd")])

    refused = False
    for _ in range(12):
        try:
            ask(case, provider, **capped(case, 60))
        except LimitExceeded:
            refused = True
            break

    ((spent, reserved),) = accounts().values()
    told_usd = sum(dict(span.attributes or {}).get("tracetoll.cost.amount", 0.0) for span in telemetry.spans)
    assert 1e-9 * spent == pytest.approx(told_usd)
    assert 0 == reserved
    assert 0 < spent <= 1_000_000
    assert refused == (case.surface is ASK_CLAUDE)  # 40 tokens of its cost more than all of the other's


def test_dollars_refuse(provider: LocalProvider, instrument: Instrument) -> None:
    instrument(limits=[Limit(0.00006, "usd")])
    chat(provider, max_tokens=60)

    with pytest.raises(LimitExceeded) as raised:
        chat(provider, max_tokens=60)

    assert 0.00002535 == pytest.approx(raised.value.spent)  # 9 x 0.15 + 40 x 0.60 USD a million
    assert 1 == len(provider.requests)


def test_clamp_gives_as_much_as_the_dollars_buy(provider: LocalProvider, instrument: Instrument) -> None:
    instrument(limits=[Limit(0.00002, "usd", at={1.0: "clamp"})])

    chat(provider, max_tokens=60)

    assert 20 < last_body(provider)["max_tokens"] < 34
    ((spent, _),) = accounts().values()
    assert spent <= 20_000


def test_without_a_price_a_limit_that_says_so_refuses(provider: LocalProvider, instrument: Instrument) -> None:
    instrument(limits=[Limit(1, "usd", unpriced="block")])
    chat(provider)

    with pytest.raises(LimitExceeded, match=r"price of 'unheard-of' is not known.*unpriced=block"):
        chat(provider, model="unheard-of")

    assert 1 == len(provider.requests)


def test_without_a_price_a_limit_warns_once(
    provider: LocalProvider, instrument: Instrument, caplog: pytest.LogCaptureFixture
) -> None:
    telemetry = instrument(limits=[Limit(1, "usd", name="money")])

    for _ in range(3):
        chat(provider, model="unheard-of")

    assert 3 == len(provider.requests)
    (record,) = [one for one in caplog.records if one.levelname == "WARNING" and one.name == "tracetoll"]
    assert "limit 'money' cannot count calls of model 'unheard-of'" in record.getMessage()
    (event,) = events(telemetry, "tracetoll.budget.unpriced")
    assert ("money", "unpriced") == (event["tracetoll.budget.name"], event["tracetoll.budget.state"])
    caplog.clear()


def test_without_a_price_a_limit_may_allow_silently(provider: LocalProvider, instrument: Instrument) -> None:
    telemetry = instrument(limits=[Limit(1, "usd", unpriced="allow")])

    chat(provider, model="unheard-of")

    assert [] == telemetry.logs
    assert {PROCESS: (0, 0)} == accounts()


# --- what fails, is cancelled, or is left ----------------------------------------------------


@pytest.mark.parametrize("case", MIXED)
@pytest.mark.parametrize("status", [400, 429, 500])
def test_a_call_that_the_provider_rejects_spends_no_tokens(
    status: int, case: Case, provider: LocalProvider, instrument: Instrument
) -> None:
    instrument(limits=[Limit(5000, "tokens"), Limit(10, "calls", per="user.id")])
    provider.enqueue(Reply.openai_error(status, "no", "no"))

    with attribution(user_id="u1"), pytest.raises((openai.APIStatusError, anthropic.APIStatusError)):
        ask(case, provider)

    assert {PROCESS: (0, 0), "user.id:u1": (1, 0)} == accounts()


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_call_that_reaches_nobody_spends_no_tokens(
    asynchronous: bool, provider: LocalProvider, instrument: Instrument
) -> None:
    instrument(limits=[Limit(5000, "tokens")])
    provider.close()

    with pytest.raises(openai.APIConnectionError):
        asyncio.run(chat_async(provider)) if asynchronous else chat(provider)

    assert {PROCESS: (0, 0)} == accounts()


def test_a_call_with_retries_is_one_call(provider: LocalProvider, instrument: Instrument) -> None:
    instrument(limits=[Limit(5000, "tokens"), Limit(1, "calls", per="user.id")])
    headers = {"retry-after-ms": "1"}
    provider.enqueue(Reply(500, json={}, headers=headers), Reply(500, json={}, headers=headers))

    with client("openai", provider.url, max_retries=2) as of, attribution(user_id="u1"):
        of.chat.completions.create(**ASK_CHAT.arguments)

    assert 3 == len(provider.requests)
    assert {PROCESS: (TOKENS, 0), "user.id:u1": (1, 0)} == accounts()


@pytest.mark.parametrize("case", STREAMED)
@pytest.mark.parametrize("how", ["closed", "dropped", "left"])
def test_a_stream_that_is_left_keeps_nothing_reserved(
    how: str, case: Case, provider: LocalProvider, instrument: Instrument
) -> None:
    instrument(limits=[Limit(1000, "tokens")])

    run(leave(case, provider, how), asynchronous=case.asynchronous)
    gc.collect()

    ((spent, reserved),) = accounts().values()
    assert 0 == reserved
    assert 0 < spent < 200


async def leave(case: Case, provider: LocalProvider, how: str) -> None:
    """Read a part of a stream, and close or drop it, or leave its block."""
    async with inside(case.client(provider.url)) as of:
        stream = await case.answer(of, **capped(case, 60))
        await read(stream, 1)
        if how == "left":
            with contextlib.suppress(LookupError):
                async with inside(stream):
                    raise LookupError
        if how == "closed":
            await close(stream)


@pytest.mark.parametrize("case", STREAMED)
def test_a_stream_that_breaks_off_counts_what_it_brought(
    case: Case, provider: LocalProvider, instrument: Instrument
) -> None:
    instrument(limits=[Limit(1000, "output_tokens")])
    everything = provider.built_in
    sent: list[int] = []

    def broken(received: Received) -> Reply:
        whole = everything(received)
        size = sum(map(len, whole.pieces()))
        sent.append(size)
        return Reply(events=whole.events, headers=whole.headers, cut_after_bytes=size * 3 // 5)

    provider.on("", broken)
    parts: list[Any] = []

    with pytest.raises(Exception) as raised:  # noqa: PT011  # each HTTP library has its own
        ask(case, provider, parts=parts, **capped(case, 60))

    assert not isinstance(raised.value, LimitExceeded)
    delivered = len("".join(map(text_of, parts)).split())
    ((spent, reserved),) = accounts().values()
    assert 0 == reserved
    assert delivered > 8
    assert spent >= delivered


def test_a_cancelled_task_keeps_nothing_reserved(provider: LocalProvider, instrument: Instrument) -> None:
    instrument(limits=[Limit(1000, "tokens")])
    go_on = threading.Event()

    def held(received: Received) -> Reply:
        go_on.wait(5)
        return provider.built_in(received)

    provider.on("", held)

    async def many() -> None:
        task = asyncio.create_task(chat_async(provider, max_tokens=60))
        await until(lambda: bool(provider.requests))
        assert accounts()[PROCESS][1] > 0
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(many())
    go_on.set()

    ((spent, reserved),) = accounts().values()
    assert 0 == reserved
    assert 0 < spent < 120  # it was sent, and may be billed


def test_a_task_cancelled_while_it_waits_was_never_made(provider: LocalProvider, instrument: Instrument) -> None:
    telemetry = instrument(limits=[Limit(1, "calls", window="1h", at={1.0: "throttle"}, wait=7200)])

    async def many() -> None:
        await chat_async(provider)
        task = asyncio.create_task(chat_async(provider))
        await until(waiting)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with limits() as spend:
        asyncio.run(many())

    assert not waiting()
    assert 1 == len(provider.requests)
    assert {PROCESS: (1, 0)} == accounts()
    assert "cancelled" == told(telemetry)["tracetoll.call.outcome"]
    assert 0 == spend.missing
    assert [] == telemetry.metrics()["tracetoll.usage.missing"]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_who_stands_behind_a_cancelled_task_goes_on(
    asynchronous: bool, provider: LocalProvider, instrument: Instrument
) -> None:
    instrument(limits=[Limit(1, "calls", window="300ms", at={1.0: "throttle"})])

    async def many() -> None:
        await chat_async(provider)
        first = asyncio.create_task(chat_async(provider))
        await until(waiting)
        behind = asyncio.create_task(asyncio.to_thread(chat, provider) if not asynchronous else chat_async(provider))
        await asyncio.sleep(0.01)
        first.cancel()
        await behind

    asyncio.run(many())

    assert 2 == len(provider.requests)
    assert not waiting()


def test_a_background_answer_comes_to_what_is_learned_of_it_later(
    provider: LocalProvider, instrument: Instrument
) -> None:
    if not hasattr(openai.OpenAI, "responses"):
        pytest.skip("this openai has no responses")
    instrument(limits=[Limit(5000, "tokens"), Limit(10, "calls", per="user.id")])

    with client("openai", provider.url) as of, attribution(user_id="u1"):
        answer = of.responses.create(model="gpt-4o-mini", input="What?", background=True, max_output_tokens=60)
        ((before, reserved), _) = accounts().values()
        while answer.status in {"queued", "in_progress"}:
            answer = of.responses.retrieve(answer.id)

    handed_out = provider.handed_out
    assert 0 == reserved
    assert before > 0
    together = handed_out.input_tokens + handed_out.output_tokens
    assert {PROCESS: (together, 0), "user.id:u1": (1, 0)} == accounts()


# --- estimates -------------------------------------------------------------------------------


@pytest.mark.parametrize("case", WHOLE)
def test_what_was_not_given_is_no_part_of_the_estimate(
    case: Case, provider: LocalProvider, instrument: Instrument
) -> None:
    instrument(limits=[Limit(0, "input_tokens")])

    with pytest.raises(LimitExceeded) as raised:
        ask(case, provider)

    assert raised.value.wanted <= len(str(case.surface.arguments))


# --- hierarchies -----------------------------------------------------------------------------

LEVELS = ("call", "trace", "user.id", "team", "tenant")
SUBJECTS = {"user.id": "user.id:u1", "team": "tracetoll.team:t1", "tenant": "tracetoll.tenant:acme"}


def hierarchy(narrow: str = "", amount: int = 5000) -> list[Limit]:
    """Return a limit for each level, one of them perhaps narrower."""
    return [Limit(amount if level == narrow else 5000, "output_tokens", per=level, name=level) for level in LEVELS]


@pytest.mark.parametrize("case", MIXED)
def test_a_call_goes_to_all_of_its_accounts(case: Case, provider: LocalProvider, instrument: Instrument) -> None:
    instrument(limits=hierarchy())

    with agent("a") as span, attribution(user_id="u1", team="t1", tenant="acme"):
        ask(case, provider)

    trace = f"trace:{span.get_span_context().trace_id:032x}"
    assert dict.fromkeys((trace, *SUBJECTS.values()), (ANSWER, 0)) == accounts()


@pytest.mark.parametrize("narrow", LEVELS)
@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_refusal_by_one_leaves_the_others_untouched(
    asynchronous: bool, narrow: str, provider: LocalProvider, instrument: Instrument
) -> None:
    telemetry = instrument(limits=hierarchy(narrow, 75))
    case = Case(ASK_CHAT, asynchronous=asynchronous)

    with agent("a"), attribution(user_id="u1", team="t1", tenant="acme"):
        ask(case, provider, max_tokens=60)
        before = accounts()
        with pytest.raises(LimitExceeded) as raised:
            ask(case, provider, max_tokens=80)

    assert 1 == len(provider.requests)
    assert narrow == raised.value.limit.name
    assert before == accounts()
    assert {(ANSWER, 0)} == set(before.values())
    (event,) = events(telemetry, "tracetoll.budget.refused")
    assert narrow == event["tracetoll.budget.name"]


def test_another_subject_has_an_account_of_its_own(provider: LocalProvider, instrument: Instrument) -> None:
    instrument(limits=hierarchy("user.id", 75))
    with agent("a"), attribution(team="t1", tenant="acme"):
        with attribution(user_id="u1"):
            chat(provider, max_tokens=60)
            with pytest.raises(LimitExceeded):
                chat(provider, max_tokens=60)
        with attribution(user_id="u2"):
            chat(provider, max_tokens=60)

    assert 2 == len(provider.requests)
    found = accounts()
    assert [(ANSWER, 0), (ANSWER, 0)] == [found[f"user.id:{user}"] for user in ("u1", "u2")]
    assert (2 * ANSWER, 0) == found["tracetoll.tenant:acme"]


# --- sampling --------------------------------------------------------------------------------


@pytest.mark.parametrize("sampler", [None, ALWAYS_OFF, TraceIdRatioBased(0.01)], ids=["all", "none", "1 %"])
@pytest.mark.parametrize("case", MIXED)
def test_sampling_changes_neither_spending_nor_refusals(
    case: Case, sampler: Sampler | None, provider: LocalProvider, instrument: Instrument
) -> None:
    telemetry = Telemetry(sampler)
    instrument(**telemetry.providers, limits=[Limit(95, "output_tokens", per="trace"), Limit(4, "calls")])

    refused: list[list[bool]] = []
    for _ in range(3):
        refused.append([])
        with agent("a"):
            for _ in range(3):
                try:
                    ask(case, provider, **capped(case, 50))
                    refused[-1].append(False)
                except LimitExceeded:
                    refused[-1].append(True)
    telemetry.shutdown()

    assert [[False, False, True], [False, False, True], [True, True, True]] == refused
    assert 4 == len(provider.requests)
    spent = sorted(accounts().values())
    assert [(4, 0), (2 * ANSWER, 0), (2 * ANSWER, 0)] == [one for one in spent if one != (0, 0)]
