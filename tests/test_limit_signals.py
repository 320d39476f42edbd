"""What limits tell: events, counters, gauges and histograms, which no sampler can take away."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from conftest import Telemetry
from limit_calls import (
    ANSWER,
    ASK_CHAT,
    TOKENS,
    WHOLE,
    WORDS,
    ask,
    chat,
    events,
    told,
)
from opentelemetry._logs import SeverityNumber
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, TraceIdRatioBased
from surfaces import Case, client

from tracetoll import Instrumentor, Limit, LimitExceeded, agent, attribution, limits
from tracetoll.local_provider import LocalProvider, Reply
from tracetoll_semconv import events as names
from tracetoll_semconv import metrics as m

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from opentelemetry.sdk.trace.sampling import Sampler

    Instrument = Callable[..., Telemetry]

BUDGET = "tracetoll.budget."
GAUGES = {"limit": m.BUDGET_LIMIT, "consumed": m.BUDGET_CONSUMED, "reserved": m.BUDGET_RESERVED}
STREAM = Case(ASK_CHAT, "stream")


@pytest.fixture
def provider() -> Iterator[LocalProvider]:
    with LocalProvider(script=lambda _: WORDS) as running:
        yield running


def names_of(telemetry: Telemetry) -> list[str]:
    return [str(record.event_name) for record in telemetry.logs]


def points(telemetry: Telemetry, metric: m.Metric) -> dict[tuple[tuple[str, Any], ...], Any]:
    """Return the values of a metric by its labels."""
    return {tuple(sorted(point.attributes.items())): point.value for point in telemetry.metrics()[metric.name]}


def labels(**given: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((f"{BUDGET}{name}", value) for name, value in given.items()))


def gauges(telemetry: Telemetry) -> dict[str, dict[tuple[tuple[str, Any], ...], Any]]:
    found = telemetry.metrics()
    return {
        name: {tuple(sorted(point.attributes.items())): point.value for point in found[metric.name]}
        for name, metric in {**GAUGES, "utilization": m.BUDGET_UTILIZATION}.items()
    }


# --- events ----------------------------------------------------------------------------------


def test_an_event_of_a_refusal_has_the_numbers(provider: LocalProvider, instrument: Instrument) -> None:
    limit = Limit(100, "output_tokens", per="user.id", window="day", name="free tier")
    telemetry = instrument(limits=[limit])

    with attribution(user_id="u1", feature="triage"):
        chat(provider, max_tokens=60)
        with pytest.raises(LimitExceeded) as raised:
            chat(provider, max_tokens=80)

    assert [names.BUDGET_REFUSED] == names_of(telemetry)
    (event,) = events(telemetry, names.BUDGET_REFUSED)
    assert {
        "tracetoll.budget.name": "free tier",
        "tracetoll.budget.scope": "user",
        "tracetoll.budget.unit": "output_token",
        "tracetoll.budget.limit": 100.0,
        "tracetoll.budget.consumed": float(ANSWER),
        "tracetoll.budget.reserved": 0.0,
        "tracetoll.budget.wanted": 80.0,
        "tracetoll.budget.utilization": ANSWER / 100,
        "tracetoll.budget.state": "exceeded",
        "tracetoll.budget.action": "block",
        "tracetoll.budget.refused": True,
        "tracetoll.budget.account": raised.value.account,
        "error.type": "budget_exceeded",
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o-mini",
        "user.id": "u1",
        "tracetoll.feature": "triage",
    } == event


def test_an_event_belongs_to_the_span_of_its_call(provider: LocalProvider, instrument: Instrument) -> None:
    telemetry = instrument(limits=[Limit(0, "calls")])

    with agent("a"), pytest.raises(LimitExceeded):
        chat(provider)

    context = telemetry.spans[0].get_span_context()
    assert context is not None
    (record,) = telemetry.logs
    assert (context.trace_id, context.span_id) == (record.trace_id, record.span_id)


@pytest.mark.parametrize(
    ("limit", "name", "severity"),
    [
        (Limit(0, "calls"), names.BUDGET_REFUSED, SeverityNumber.WARN),
        (Limit(10, "output_tokens", at={1.0: "warn"}), names.BUDGET_THRESHOLD_CROSSED, SeverityNumber.WARN),
        (Limit(24, "output_tokens", at={1.0: "cut"}), names.BUDGET_CUT, SeverityNumber.WARN),
        (Limit(30, "output_tokens", per="call", at={1.0: "clamp"}), names.BUDGET_CLAMPED, SeverityNumber.INFO),
        (Limit(0, "calls", at={1.0: "reroute gpt-4.1-nano"}), names.BUDGET_REROUTED, SeverityNumber.INFO),
    ],
    ids=lambda value: str(value) if not isinstance(value, SeverityNumber) else value.name,
)
def test_each_event_has_its_severity(
    limit: Limit, name: str, severity: SeverityNumber, provider: LocalProvider, instrument: Instrument
) -> None:
    telemetry = instrument(limits=[limit])

    try:
        ask(STREAM, provider, max_tokens=60)
    except LimitExceeded:
        assert name in {names.BUDGET_REFUSED, names.BUDGET_CUT}

    found = [record for record in telemetry.logs if record.event_name == name]
    assert [severity] == [record.severity_number for record in found]


def test_events_quote_no_content(provider: LocalProvider, instrument: Instrument) -> None:
    telemetry = instrument(limits=[Limit(30, "output_tokens", at={0.1: "warn", 1.0: "block"})])

    chat(provider, max_tokens=30)
    with pytest.raises(LimitExceeded):
        chat(provider)

    told_all = str([(record.body, record.attributes) for record in telemetry.logs])
    assert 3 == len(telemetry.logs)
    assert "bridge" not in told_all
    assert "word" not in told_all


def test_without_a_logger_provider_nothing_is_amiss(provider: LocalProvider, instrument: Instrument) -> None:
    instrument(logger_provider=None, limits=[Limit(10, "output_tokens", at={1.0: "warn"})])

    chat(provider)

    assert 1 == len(provider.requests)


def test_a_cut_of_a_call_that_waited_and_was_rerouted_tells_all_of_it(
    provider: LocalProvider, instrument: Instrument
) -> None:
    telemetry = instrument(
        limits=[
            Limit(0, "calls", at={1.0: "reroute gpt-4.1-nano"}),
            Limit(30, "output_tokens", per="call", at={1.0: "clamp"}),
            Limit(1, "calls", per="user.id", window="300ms", at={1.0: "throttle"}),
        ]
    )

    with attribution(user_id="u1"):
        chat(provider, max_tokens=60)
        chat(provider, max_tokens=60)

    told_of = names_of(telemetry)
    assert 2 == told_of.count(names.BUDGET_REROUTED)
    assert 2 == told_of.count(names.BUDGET_CLAMPED)
    assert 1 == told_of.count(names.BUDGET_WAITED)


# --- the counter of events -------------------------------------------------------------------


def test_events_are_counted_by_limit_state_and_action(provider: LocalProvider, instrument: Instrument) -> None:
    limit = Limit(100, "output_tokens", per="user.id", at={0.3: "warn", 1.0: "block"}, name="free tier")
    telemetry = instrument(limits=[limit])

    for user in ("u1", "u2"):
        with attribution(user_id=user):
            chat(provider, max_tokens=60)
            for _ in range(2):
                with pytest.raises(LimitExceeded):
                    chat(provider, max_tokens=80)

    same = {"name": "free tier", "scope": "user", "unit": "output_token"}
    assert {
        labels(**same, state="warning", action="warn"): 2,
        labels(**same, state="exceeded", action="block"): 4,
    } == points(telemetry, m.BUDGET_EVENTS)


# --- gauges ----------------------------------------------------------------------------------


def test_gauges_tell_how_each_limit_stands(provider: LocalProvider, instrument: Instrument) -> None:
    telemetry = instrument(limits=[Limit(200, "output_tokens", name="all"), Limit(0.001, "usd", name="money")])

    with client("openai", provider.url) as of:
        of.chat.completions.create(**ASK_CHAT.arguments, max_tokens=60)
        with of.chat.completions.create(**ASK_CHAT.arguments, max_tokens=70, stream=True) as stream:
            next(stream)
            found = gauges(telemetry)

    tokens = labels(name="all", scope="process", unit="output_token")
    money = labels(name="money", scope="process", unit="usd")
    assert {name: {tokens, money} for name in found} == {name: set(values) for name, values in found.items()}
    assert (200.0, ANSWER, 70, 0.2) == tuple(
        found[name][tokens] for name in ("limit", "consumed", "reserved", "utilization")
    )
    assert 0.001 == found["limit"][money]
    assert told(telemetry, 0)["tracetoll.cost.amount"] == pytest.approx(found["consumed"][money])
    assert 0.00004 < found["reserved"][money] < 0.00005  # 70 x 0.6 USD a million, and the question
    assert found["consumed"][money] / 0.001 == pytest.approx(found["utilization"][money])


def test_a_gauge_tells_the_fullest_account_and_no_subject(provider: LocalProvider, instrument: Instrument) -> None:
    telemetry = instrument(limits=[Limit(10, "calls", per="user.id", name="quota"), Limit(20, "calls", per="trace")])

    for user, number in (("u1", 1), ("u2", 3), ("u3", 2)):
        with agent("a"), attribution(user_id=user):
            for _ in range(number):
                chat(provider)

    found = gauges(telemetry)
    quota = labels(name="quota", scope="user", unit="call")
    trace = labels(name="20 calls per trace", scope="trace", unit="call")
    assert {quota: 3, trace: 3} == found["consumed"]
    assert {quota: 0.3, trace: 0.15} == found["utilization"]
    for values in telemetry.metrics().values():
        for point in values:
            assert not {"user.id", "tracetoll.budget.account"} & set(point.attributes)


def test_a_gauge_tells_each_subject_whose_attribute_is_listed(provider: LocalProvider, instrument: Instrument) -> None:
    telemetry = instrument(limits=[Limit(10, "calls", per="team", name="quota")], metric_attributes=["team"])

    for team, number in (("a", 1), ("b", 2)):
        with attribution(team=team):
            for _ in range(number):
                chat(provider)

    quota = dict(labels(name="quota", scope="team", unit="call"))
    assert {
        tuple(sorted({**quota, "tracetoll.team": "a"}.items())): 1,
        tuple(sorted({**quota, "tracetoll.team": "b"}.items())): 2,
    } == gauges(telemetry)["consumed"]


def test_a_gauge_goes_back_when_the_window_has_moved_on(provider: LocalProvider, instrument: Instrument) -> None:
    telemetry = instrument(limits=[Limit(10, "calls", window="200ms", name="slow")])
    chat(provider)
    key = labels(name="slow", scope="process", unit="call")
    full = gauges(telemetry)["consumed"]
    pause = threading.Event()

    for _ in range(100):
        if not any(gauges(telemetry)["consumed"].values()):
            break
        pause.wait(0.01)

    assert {key: 1} == full
    assert {key: 0} == gauges(telemetry)["consumed"]


# --- waiting ---------------------------------------------------------------------------------


def test_waits_are_in_a_histogram(provider: LocalProvider, instrument: Instrument) -> None:
    telemetry = instrument(limits=[Limit(1, "calls", window="300ms", at={1.0: "throttle"}, name="slow")])
    chat(provider)
    chat(provider)

    (point,) = telemetry.metrics()[m.BUDGET_WAIT_DURATION.name]
    assert labels(name="slow", scope="process", unit="call") == tuple(sorted(point.attributes.items()))
    assert (1, told(telemetry)["tracetoll.budget.wait.duration"]) == (point.count, point.sum)
    assert m.BUDGET_WAIT_DURATION.boundaries == point.explicit_bounds


# --- estimates -------------------------------------------------------------------------------


def test_the_error_of_estimates_is_counted(provider: LocalProvider, instrument: Instrument) -> None:
    telemetry = instrument(limits=[Limit(100_000, "tokens")])
    arguments = {**ASK_CHAT.arguments, **ASK_CHAT.stream_arguments, "stream": True}
    with client("openai", provider.url) as of, of.chat.completions.create(**arguments) as stream:
        reserved = next(iter(gauges(telemetry)["reserved"].values()))
        list(stream)

    found = {
        (dict(key)["gen_ai.token.type"], dict(key)["tracetoll.estimate.direction"]): value
        for key, value in points(telemetry, m.ESTIMATE_ERROR).items()
    }
    assert {("input", "over"), ("output", "over")} == set(found)
    assert reserved - TOKENS == sum(found.values())


def test_a_cap_is_no_estimate(provider: LocalProvider, instrument: Instrument) -> None:
    telemetry = instrument(limits=[Limit(100_000, "tokens")])

    chat(provider, max_tokens=60)

    assert {"input"} == {dict(key)["gen_ai.token.type"] for key in points(telemetry, m.ESTIMATE_ERROR)}


def test_estimates_learn(provider: LocalProvider, instrument: Instrument) -> None:
    telemetry = instrument(limits=[Limit(100_000, "tokens")])

    def error() -> int:
        return sum(points(telemetry, m.ESTIMATE_ERROR).values())

    chat(provider)
    first = error()
    chat(provider)
    second = error() - first

    assert second < first / 20


def test_without_limits_nothing_is_estimated(provider: LocalProvider, instrument: Instrument) -> None:
    telemetry = instrument()

    chat(provider)

    metrics = telemetry.metrics()
    assert [] == [name for name in metrics if name.startswith(("tracetoll.budget", "tracetoll.estimate"))]
    assert [] == telemetry.logs


# --- warnings beside limits ------------------------------------------------------------------


def full_of(provider: LocalProvider, input_tokens: int, output_tokens: int) -> None:
    """Have the next answer report this usage."""
    usage = {
        "prompt_tokens": input_tokens,
        "completion_tokens": output_tokens,
        "total_tokens": input_tokens + output_tokens,
    }
    message = {"role": "assistant", "content": "yes"}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    answer = {"id": "c", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini", "choices": choices}
    provider.enqueue(Reply(json={**answer, "usage": usage}))


@pytest.mark.parametrize(
    ("setting", "tokens", "events_told"),
    [
        ({}, 102_399, 0),
        ({}, 102_400, 1),
        ({"context_warning": 0.5}, 64_000, 1),
        ({"context_warning": "none"}, 128_000, 0),
    ],
)
def test_a_nearly_full_context_window_is_told(
    setting: dict[str, Any], tokens: int, events_told: int, provider: LocalProvider, instrument: Instrument
) -> None:
    telemetry = instrument(**setting)
    full_of(provider, tokens - 100, 100)

    chat(provider)

    found = events(telemetry, names.CONTEXT_NEARLY_FULL)
    assert events_told == len(found) == len(telemetry.logs)
    for event in found:
        assert (tokens / 128_000, 128_000) == (
            event["tracetoll.context.utilization"],
            event["tracetoll.context.window_size"],
        )
        assert "gpt-4o-mini" == event["gen_ai.request.model"]


@pytest.mark.parametrize("case", WHOLE)
def test_a_large_call_is_told(case: Case, provider: LocalProvider, instrument: Instrument) -> None:
    telemetry = instrument(call_warning=TOKENS)
    ask(case, provider)
    instrument_again = Instrumentor()
    instrument_again.uninstrument()
    instrument(call_warning=TOKENS + 1)
    ask(case, provider)

    (event,) = events(telemetry, names.BUDGET_THRESHOLD_CROSSED)
    assert ("large call", "warn", float(TOKENS), "call") == tuple(
        event[f"{BUDGET}{name}"] for name in ("name", "action", "consumed", "account")
    )
    assert 2 == len(provider.requests)


def test_a_task_that_uses_many_times_the_usual_is_told_once(provider: LocalProvider, instrument: Instrument) -> None:
    telemetry = instrument(task_factor=3)

    for _ in range(10):
        with agent("planner"):
            chat(provider)
    usual = names_of(telemetry)
    with agent("planner"):
        for _ in range(5):
            chat(provider)
    with agent("other"):
        for _ in range(5):
            chat(provider)

    assert [] == usual
    (event,) = events(telemetry, names.TASK_UNUSUAL)
    assert {
        "tracetoll.task.name": "planner",
        "tracetoll.task.tokens": 4 * TOKENS,
        "tracetoll.task.usual_tokens": pytest.approx(TOKENS),
    }.items() <= event.items()


def test_a_block_is_a_task_too_by_its_feature(provider: LocalProvider, instrument: Instrument) -> None:
    telemetry = instrument(task_factor=2)

    with attribution(feature="triage"):
        for _ in range(10):
            with limits():
                chat(provider)
        with limits():
            for _ in range(3):
                chat(provider)

    (event,) = events(telemetry, names.TASK_UNUSUAL)
    assert ("triage", 3 * TOKENS) == (event["tracetoll.task.name"], event["tracetoll.task.tokens"])


def test_a_fast_pace_is_told(provider: LocalProvider, instrument: Instrument) -> None:
    telemetry = instrument(limits=[Limit(500, "output_tokens", window="day", pace=0.1, name="day")])

    crossed = []
    for _ in range(3):
        chat(provider, max_tokens=60)
        crossed.append(len(events(telemetry, names.BUDGET_THRESHOLD_CROSSED)))

    assert [0, 1, 1] == crossed
    (event,) = events(telemetry, names.BUDGET_THRESHOLD_CROSSED)
    assert {
        "tracetoll.budget.name": "day (pace)",
        "tracetoll.budget.limit": 50.0,
        "tracetoll.budget.consumed": 2.0 * ANSWER,
        "tracetoll.budget.action": "warn",
    }.items() <= event.items()
    assert 3 == len(provider.requests)


def test_a_pace_refuses_nothing(provider: LocalProvider, instrument: Instrument) -> None:
    instrument(limits=[Limit(1000, "output_tokens", per="user.id", pace=0.001)])

    with attribution(user_id="u1"):
        for _ in range(3):
            chat(provider, max_tokens=60)

    assert 3 == len(provider.requests)


def test_the_tightest_clamp_is_the_one_that_is_told(provider: LocalProvider, instrument: Instrument) -> None:
    telemetry = instrument(
        limits=[
            Limit(1000, "output_tokens", per="user.id", at={1.0: "clamp"}, name="wide"),
            Limit(30, "output_tokens", at={1.0: "clamp"}, name="narrow"),
        ]
    )

    with attribution(user_id="u1"):
        chat(provider, max_tokens=60)

    (event,) = events(telemetry, names.BUDGET_CLAMPED)
    assert "narrow" == event["tracetoll.budget.name"]
    assert "narrow" == telemetry.told()["tracetoll.budget.name"]


# --- sampling --------------------------------------------------------------------------------


@pytest.mark.parametrize("sampler", [None, ALWAYS_OFF, TraceIdRatioBased(0.01)], ids=["all", "none", "1 %"])
def test_all_that_is_told_survives_sampling(
    sampler: Sampler | None, provider: LocalProvider, instrument: Instrument
) -> None:
    telemetry = Telemetry(sampler)
    instrument(
        **telemetry.providers,
        limits=[
            Limit(100, "output_tokens", at={0.3: "warn", 1.0: "block"}, name="all"),
            Limit(1, "calls", per="user.id", window="300ms", at={1.0: "throttle"}, name="slow"),
        ],
        task_factor=3,
        call_warning=TOKENS,
    )

    with attribution(user_id="u1"):
        chat(provider, max_tokens=45)
        chat(provider, max_tokens=45)
        with pytest.raises(LimitExceeded):
            chat(provider, max_tokens=45)
    told_of, metrics = sorted(names_of(telemetry)), telemetry.metrics()
    telemetry.shutdown()

    assert [
        names.BUDGET_REFUSED,
        *[names.BUDGET_THRESHOLD_CROSSED] * 5,  # 30 % once, two large calls, and the throttled account twice
        names.BUDGET_WAITED,
    ] == told_of
    assert 7 == sum(point.value for point in metrics[m.BUDGET_EVENTS.name])
    assert 1 == sum(point.count for point in metrics[m.BUDGET_WAIT_DURATION.name])
    assert {"all", "slow"} == {point.attributes[f"{BUDGET}name"] for point in metrics[m.BUDGET_CONSUMED.name]}
    assert sum(point.value for point in metrics[m.ESTIMATE_ERROR.name]) > 0
    if sampler is ALWAYS_OFF:
        assert () == telemetry.spans


def test_tasks_are_told_apart_without_sampling(provider: LocalProvider, instrument: Instrument) -> None:
    telemetry = Telemetry(ALWAYS_OFF)
    instrument(**telemetry.providers, task_factor=3)

    for number in (*[1] * 10, 5):
        with agent("planner"):
            for _ in range(number):
                chat(provider)
    found = names_of(telemetry)
    telemetry.shutdown()

    assert [names.TASK_UNUSUAL] == found
