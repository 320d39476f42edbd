"""Totals on agents, workflows and local roots, through the public face."""

from __future__ import annotations

import gc
import itertools
import logging
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import context, trace
from opentelemetry.propagate import extract, inject
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, TraceIdRatioBased
from opentelemetry.trace import NonRecordingSpan, SpanKind, Status, StatusCode, set_span_in_context
from rollup_model import remote_context
from surfaces import client
from test_forks import in_child

from tracetoll import Instrumentor, Limit, LimitExceeded, RollupProcessor, agent, limits, tool
from tracetoll.rollup import totals as rollup_totals
from tracetoll.rollup.state import Trace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import tzinfo

    from conftest import Telemetry
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import Span

    from tracetoll.local_provider import LocalProvider

ANSWER: dict[str, Any] = {"gen_ai.response.id": "answer-1"}
MESSAGES: Any = [{"role": "user", "content": "hi"}]
ROLLUP = "tracetoll.rollup."


def totals(span: ReadableSpan | Span) -> dict[str, Any]:
    """Return what a span says of its totals."""
    told = getattr(span, "attributes", None) or {}
    return {name.removeprefix(ROLLUP): value for name, value in told.items() if name.startswith(ROLLUP)}


def tokens(span: ReadableSpan | Span) -> tuple[int, int, int] | None:
    told = totals(span)
    if not told:
        return None
    return told["input_tokens"], told["output_tokens"], told["inference_call.count"]


class Alone:
    """A tracer provider with a roll-up and nothing else of ours."""

    def __init__(self, *processors: Any) -> None:
        self.exporter = InMemorySpanExporter()
        self.rollup = RollupProcessor()
        self.provider = TracerProvider(shutdown_on_exit=False)
        for one in processors or (self.rollup, SimpleSpanProcessor(self.exporter)):
            self.provider.add_span_processor(one)

    def span(self, name: str, parent: Span | None = None, *, scope: str = "application", **more: Any) -> Span:
        within = None if parent is None else set_span_in_context(parent)
        return self.provider.get_tracer(scope).start_span(name, within, **more)

    def chat(self, parent: Span | None, into: int, out: int, **told: Any) -> Span:
        """Make a call of a model that somebody else tells of, and end it."""
        model = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o-mini"}
        span = self.span("chat", parent, scope="somebody.else", attributes=model)
        span.set_attributes({"gen_ai.usage.input_tokens": into, "gen_ai.usage.output_tokens": out, **told})
        span.end()
        return span

    def agent(self, name: str, parent: Span | None = None) -> Span:
        attributes = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": name}
        return self.span(f"invoke_agent {name}", parent, attributes=attributes)

    @property
    def kept(self) -> int:
        """Return of how many traces something is kept."""
        return len(self.rollup._traces)  # noqa: SLF001  # nobody can see it from outside

    def named(self, name: str) -> ReadableSpan:
        return next(span for span in self.exporter.get_finished_spans() if span.name == name)


def warm(alone: Alone) -> None:
    """Have the roll-up look at what calls of `Alone` say, which it does once: from then on they are usual ones."""
    root = alone.agent("somebody")
    for told in ({}, ANSWER):
        alone.chat(root, 0, 0, **told)
    root.end()


def remembered(trace: Any) -> int:
    """Return how many usual calls of a trace are remembered."""
    return sum(len(run[2]) // run[0].width for run in trace.latest)


@pytest.fixture
def alone() -> Alone:
    return Alone()


def ask(provider: LocalProvider, **more: Any) -> Any:
    with client("openai", provider.url) as of:
        return of.chat.completions.create(model="gpt-4o", messages=MESSAGES, **more)


# --- with everything of ours ------------------------------------------------------------------


def test_agents_and_the_root_say_what_the_provider_handed_out(provider: LocalProvider, instrumented: Telemetry) -> None:
    tracer = instrumented.tracer_provider.get_tracer("application")

    with tracer.start_as_current_span("POST /ask"), agent("planner"):
        ask(provider)
        with tool("search"), agent("clerk"):
            ask(provider)
            with client("openai", provider.url) as of:
                of.embeddings.create(model="text-embedding-3-small", input="hi")
                list(
                    of.chat.completions.create(
                        model="gpt-4o", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
                    )
                )

    handed_out = provider.handed_out
    by_name = {span.name: totals(span) for span in instrumented.spans}
    whole, clerk = by_name["POST /ask"], by_name["invoke_agent clerk"]
    assert (handed_out.input_tokens, handed_out.output_tokens) == (whole["input_tokens"], whole["output_tokens"])
    assert (3, 1, 1) == tuple(whole[f"{what}.count"] for what in ("inference_call", "embedding_call", "tool_call"))
    assert (2, 1) == (clerk["inference_call.count"], clerk["embedding_call.count"])
    assert by_name["invoke_agent planner"] == {**whole, "scope": "descendants"}
    assert (True, "trace", "USD") == (whole["complete"], whole["scope"], whole["cost.currency"])
    costs = [span.attributes.get("tracetoll.cost.amount", 0) for span in instrumented.spans if span.attributes]
    assert pytest.approx(sum(costs)) == whole["cost.amount"]


def test_a_plain_sum_over_our_spans_is_what_the_provider_handed_out(
    provider: LocalProvider, instrumented: Telemetry
) -> None:
    with agent("planner"), tool("search"), agent("clerk"):
        ask(provider)
        ask(provider)

    name = "gen_ai.usage.input_tokens"
    assert provider.handed_out.input_tokens == sum((span.attributes or {}).get(name, 0) for span in instrumented.spans)


def test_a_call_alone_has_no_totals_beside_its_usage(provider: LocalProvider, instrumented: Telemetry) -> None:
    ask(provider)

    assert {} == totals(instrumented.only_span())


def test_a_refused_call_is_no_call(provider: LocalProvider, instrument: Callable[..., Telemetry]) -> None:
    telemetry = instrument(limits=[Limit(1, "calls", per="trace")])

    with agent("planner"):
        ask(provider)
        with pytest.raises(LimitExceeded):
            ask(provider)

    told = totals(telemetry.spans[-1])
    assert (1, 1, True) == (told["inference_call.count"], told["refused.count"], told["complete"])


@pytest.mark.parametrize("sampler", [ALWAYS_OFF, TraceIdRatioBased(0.01)], ids=["none", "one in a hundred"])
def test_what_is_sampled_changes_no_limit_and_no_metric(sampler: Any, provider: LocalProvider) -> None:
    reader, tracer_provider = InMemoryMetricReader(), TracerProvider(sampler=sampler, shutdown_on_exit=False)
    given = {"tracer_provider": tracer_provider, "meter_provider": MeterProvider([reader], shutdown_on_exit=False)}
    Instrumentor().instrument(**given, limits=[Limit(2, "calls", per="trace")])
    rollup = Instrumentor().rollup

    refused = 0
    for _ in range(5):
        with agent("planner"):
            ask(provider)
            ask(provider)
            with pytest.raises(LimitExceeded):
                ask(provider)
            refused += 1
    found = {
        metric.name: sum(getattr(point, "sum", None) or getattr(point, "value", 0) for point in metric.data.data_points)
        for resource in reader.get_metrics_data().resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    Instrumentor().uninstrument()

    handed_out = provider.handed_out
    assert 10 == handed_out.calls == found["gen_ai.invoke_agent.inference_calls"]
    assert handed_out.input_tokens == found["gen_ai.client.inference.usage.input_tokens"]
    assert handed_out.input_tokens + handed_out.output_tokens == found["gen_ai.client.token.usage"]
    assert 5 == refused
    assert rollup is not None
    assert {} == rollup._traces  # noqa: SLF001  # nobody can see it from outside


def test_metrics_of_traces_go_by_agent_or_by_the_roots_name(provider: LocalProvider, instrumented: Telemetry) -> None:
    tracer = instrumented.tracer_provider.get_tracer("application")

    with agent("planner"):
        ask(provider)
        ask(provider)
    with tracer.start_as_current_span("GET /answer"), agent("clerk"):  # the trace's, not the agent's
        ask(provider)
    with tracer.start_as_current_span("GET /health"):
        pass
    found = instrumented.metrics()

    calls = {
        point.attributes.get("gen_ai.agent.name") or point.attributes["tracetoll.trace.name"]: point.sum
        for point in found["tracetoll.trace.inference_calls"]
    }
    assert {"planner": 2, "GET /answer": 1} == calls
    handed_out = provider.handed_out
    assert handed_out.input_tokens + handed_out.output_tokens == sum(p.sum for p in found["tracetoll.trace.tokens"])
    assert {1} == {point.count for point in found["tracetoll.trace.cost"]}


def test_metrics_of_traces_leave_calls_alone_to_the_metrics_of_calls(
    provider: LocalProvider, instrumented: Telemetry
) -> None:
    tracer = instrumented.tracer_provider.get_tracer("somebody.else")
    named = {"gen_ai.operation.name": "chat"}

    ask(provider)
    with tracer.start_as_current_span("around", attributes=named):
        ask(provider)
    with tracer.start_as_current_span("a gateway's", attributes=named) as span:
        span.set_attributes({"tracetoll.remote.input_tokens": 100, "tracetoll.remote.inference_call.count": 2})
    found = instrumented.metrics()

    calls = {point.attributes["tracetoll.trace.name"]: point.sum for point in found["tracetoll.trace.inference_calls"]}
    assert {"around", "a gateway's"} == calls.keys()
    assert 1 == calls["around"]


def test_root_names_are_bounded_on_metrics(alone: Alone) -> None:
    reader = InMemoryMetricReader()
    rollup = RollupProcessor(meter_provider=MeterProvider([reader], shutdown_on_exit=False))
    alone.provider.add_span_processor(rollup)

    for number in range(1100):
        root = alone.span(f"GET /user/{number}")
        alone.chat(root, 1, 1)
        root.end()
    rollup.force_flush()

    (metric,) = (
        metric
        for resource in reader.get_metrics_data().resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == "tracetoll.trace.inference_calls"
    )
    names = {point.attributes["tracetoll.trace.name"] for point in metric.data.data_points}
    assert (201, True) == (len(names), "other" in names)
    metrics: Any = rollup._metrics  # noqa: SLF001  # nobody can see it from outside
    assert len(metrics._told) <= 500  # noqa: SLF001  # as above


def test_uninstrument_leaves_spans_alone_and_instrument_adds_one_rollup(
    provider: LocalProvider, instrument: Callable[..., Telemetry]
) -> None:
    telemetry = instrument()
    Instrumentor().uninstrument()
    with agent("before"):
        telemetry.tracer_provider.get_tracer("x").start_span("chat").end()
    instrument()

    with agent("after"):
        ask(provider)

    before, after = (next(span for span in telemetry.spans if name in span.name) for name in ("before", "after"))
    assert {} == totals(before)
    assert 1 == totals(after)["inference_call.count"]
    processors = telemetry.tracer_provider._active_span_processor._span_processors  # noqa: SLF001  # no public way
    assert 1 == sum(isinstance(one, RollupProcessor) for one in processors)


def test_a_rollup_of_the_application_is_used_and_stays(
    telemetry: Telemetry, instrument: Callable[..., Telemetry]
) -> None:
    own = RollupProcessor()
    telemetry.tracer_provider.add_span_processor(own)

    instrument()
    used = Instrumentor().rollup
    Instrumentor().uninstrument()

    assert used is own
    assert own.on


def test_a_provider_that_takes_no_processor_costs_no_call(
    provider: LocalProvider, telemetry: Telemetry, instrument: Callable[..., Telemetry], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACETOLL_RAISE_FAULTS", "0")
    monkeypatch.setattr(telemetry.tracer_provider, "add_span_processor", None.__bool__)  # takes no argument
    logging.getLogger("tracetoll").disabled = True

    instrument()
    ask(provider)
    logging.getLogger("tracetoll").disabled = False

    assert "chat gpt-4o" == telemetry.only_span().name
    assert {} == totals(telemetry.only_span())


def test_rollup_can_be_switched_off(provider: LocalProvider, instrument: Callable[..., Telemetry]) -> None:
    telemetry = instrument(rollup=False)

    with agent("planner"):
        ask(provider)

    assert {} == totals(telemetry.spans[-1])


# --- alone ------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["before", "after"])
def test_it_does_not_matter_whether_exporters_come_before_or_after(order: str) -> None:
    exporter = InMemorySpanExporter()
    processors = [RollupProcessor(), SimpleSpanProcessor(exporter)]
    alone = Alone(*(processors if order == "before" else reversed(processors)))
    root = alone.span("root")

    alone.chat(root, 120, 30)
    root.end()

    assert (120, 30, 1) == tokens(exporter.get_finished_spans()[-1])


def test_calls_of_others_get_a_cost(alone: Alone) -> None:
    root = alone.span("root")
    alone.chat(root, 1_000_000, 0)
    alone.chat(root, 10, 0, **{"gen_ai.request.model": "nobody-knows", "gen_ai.usage.cost": 0.5})
    alone.chat(root, 10, 0, **{"gen_ai.request.model": "nobody-knows"})
    root.end()

    told = totals(root)
    assert (0.65, 1) == (pytest.approx(told["cost.amount"]), told["unpriced.count"])


def test_calls_that_differ_beside_their_numbers_are_told_apart_below_the_same_span(alone: Alone) -> None:
    warm(alone)
    root = alone.span("root")
    for _ in range(40):
        for model in ("gpt-4o", "gpt-4o-mini"):
            alone.chat(root, 1_000_000, 0, **{"gen_ai.request.model": model, "gen_ai.output.type": "text"})
        alone.chat(root, 1_000_000, 0, **{"error.type": "timeout"})  # as many attributes, but another one
    root.end()

    told = totals(root)
    assert (120, 40) == (told["inference_call.count"], told["error.count"])
    assert told["cost.amount"] == pytest.approx(40 * (0.15 + 2.5 + 0.15))


def test_what_is_kept_of_how_calls_look_does_not_grow(alone: Alone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracetoll.rollup.usual._FOUND_KEPT", 50)
    root = alone.span("root")
    for number in range(500):
        alone.chat(root, 1, 2, **{"gen_ai.request.model": f"model {number % 200}"})
    alone.rollup.force_flush()

    assert len(alone.rollup._adder._usual._found) <= 50  # noqa: SLF001  # nobody can see it from outside
    root.end()
    assert (500, 1000, 500) == tokens(root)


def test_calls_of_others_cost_what_they_cost_at_their_time_of_day(
    alone: Alone, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, ticks = datetime(2026, 11, 29, 16, 29, tzinfo=UTC), time.monotonic

    class Clock(datetime):
        @classmethod
        def now(cls, _: tzinfo | None = None) -> Clock:  # type: ignore[override]
            return now  # type: ignore[return-value]

    monkeypatch.setattr("tracetoll.pricing.datetime", Clock)
    deepseek = {"gen_ai.provider.name": "deepseek", "gen_ai.request.model": "deepseek-chat"}
    root = alone.span("root")
    for minutes in (0, 2):  # off-peak prices, half of the others, begin at 16:30
        now += timedelta(minutes=minutes)
        monkeypatch.setattr(time, "monotonic", lambda minutes=minutes: ticks() + 60 * minutes)
        for _ in range(3):
            alone.chat(root, 1_000_000, 0, **deepseek)
        alone.provider.force_flush()  # what waits is priced when it is added up
    root.end()

    assert totals(root)["cost.amount"] == pytest.approx(3 * 0.27 + 3 * 0.135)


def test_a_child_that_ends_late_counts_for_the_nearest_ancestor_that_is_open(alone: Alone) -> None:
    root = alone.agent("outer")
    inner = alone.agent("inner", root)
    late = alone.span("late", inner)
    alone.chat(inner, 1, 1)
    inner.end()

    alone.chat(late, 10, 10)
    late.end()
    alone.chat(inner, 100, 100)  # starts below a span that has ended
    root.end()

    assert ((1, 1, 1), False) == (tokens(inner), totals(inner)["complete"])
    assert ((111, 111, 3), True) == (tokens(root), totals(root)["complete"])


@pytest.mark.parametrize("since", [0, 1, 40])
@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("what", ["call", "step"])
def test_what_starts_below_a_span_that_has_ended_counts_where_the_span_does(
    alone: Alone, what: str, again: bool, since: int
) -> None:
    warm(alone)
    tracer = alone.provider.get_tracer("application")
    roots = [tracer.start_span(f"root {number}", remote_context()) for number in range(2)]  # none stands in for all
    agents = [alone.agent(f"agent {number}", root) for number, root in enumerate(roots)]
    ended, _ = alone.chat(agents[0], 1, 1), alone.chat(agents[1], 1, 1)
    if what == "step":
        ended = alone.span("step", agents[0])
        ended.end()
    for _ in range(since):
        alone.chat(agents[0], 0, 0)
        alone.chat(agents[1], 0, 0)
    if again:
        for _ in range(2):
            alone.chat(agents[1], 0, 0, **ANSWER)

    alone.chat(ended, 10, 10)
    for span in (*agents, *roots):
        span.end()

    assert (
        [(11, 11, 2 + since), (1, 1, 1 + since + again)]
        == [tokens(one) for one in agents]
        == [tokens(one) for one in roots]
    )
    assert all(totals(span)["complete"] for span in (*agents, *roots))


def test_a_remote_parent_makes_a_local_root_of_its_own_process(alone: Alone) -> None:
    root = alone.provider.get_tracer("application").start_span("POST /ask", remote_context())

    alone.chat(root, 1, 2)
    root.end()

    assert ((1, 2, 1), "process") == (tokens(root), totals(root)["scope"])


def test_a_parent_that_is_told_of_as_remote_may_be_of_this_process(alone: Alone) -> None:
    root = alone.span("root")
    carrier: dict[str, str] = {}
    inject(carrier, set_span_in_context(root))

    call = alone.provider.get_tracer("somebody.else").start_span("chat", extract(carrier))
    call.set_attributes({"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 7})
    call.end()
    root.end()

    assert (7, 0, 1) == tokens(root)


@pytest.mark.parametrize(
    ("attributes", "scope"), [({}, "process"), ({"db.system.name": "redis"}, "trace")], ids=["a service", "a store"]
)
def test_a_request_to_another_service_makes_a_total_that_of_this_process(
    attributes: dict[str, str], scope: str, alone: Alone
) -> None:
    root = alone.span("root")

    alone.span("GET", root, kind=SpanKind.CLIENT, attributes=attributes).end()
    alone.chat(root, 1, 2)
    root.end()

    assert scope == totals(root)["scope"]


def test_the_http_request_of_a_model_call_is_no_request_to_another_service(alone: Alone) -> None:
    root = alone.span("root")
    call = alone.span("chat", root, scope="somebody.else", attributes={"gen_ai.operation.name": "chat"})

    alone.span("POST", call, kind=SpanKind.CLIENT).end()
    call.set_attribute("gen_ai.usage.input_tokens", 3)
    call.end()
    root.end()

    assert "trace" == totals(root)["scope"]


def test_what_a_service_has_told_counts_beside_what_is_below(alone: Alone) -> None:
    root, lone = alone.span("root"), alone.span("GET /other")
    remote = {"tracetoll.remote.input_tokens": 100, "tracetoll.remote.inference_call.count": 2}
    request = alone.span("GET", root, kind=SpanKind.CLIENT, attributes=remote)

    alone.chat(request, 10, 1)
    request.end()
    lone.set_attributes(remote)
    lone.end()
    root.end()

    assert ((110, 1, 3), "trace") == (tokens(root), totals(root)["scope"])
    assert (100, 0, 2) == tokens(lone)


def test_an_agent_whose_calls_nobody_sees_has_what_it_tells_itself(alone: Alone) -> None:
    root = alone.span("root")
    told = {"openinference.span.kind": "AGENT", "llm.token_count.prompt": 70, "llm.token_count.completion": 7}
    unseen = alone.span("claude", root, scope="openinference.instrumentation.claude")
    unseen.set_attributes(told)
    unseen.end()
    root.end()

    assert (70, 7, 0) == tokens(root)


@pytest.mark.parametrize("beside", [False, True])
def test_an_agent_that_tells_more_than_its_calls_that_are_seen_has_that(alone: Alone, beside: bool) -> None:
    root = alone.span("root") if beside else None
    seen = alone.span("claude", root, scope="openinference.instrumentation.claude")
    alone.chat(seen, 10, 1)
    seen.set_attributes(
        {"openinference.span.kind": "AGENT", "llm.token_count.prompt": 70, "llm.token_count.completion": 7}
    )
    seen.end()
    if root is not None:
        root.end()
        assert (70, 7, 1) == tokens(root)

    assert (70, 7, 1) == tokens(seen)


def test_numbers_that_are_none_are_not_added_up(alone: Alone) -> None:
    root = alone.agent("planner")

    alone.chat(root, 1, 2)
    alone.chat(root, -5, 2)
    alone.chat(root, 2**60, 2)
    alone.chat(root, 2**40, 2)
    root.end()

    assert (1 + 2**40, 8, 4) == tokens(root)


def test_links_lead_no_totals_anywhere(alone: Alone) -> None:
    root, other = alone.span("root"), alone.span("consumer")
    alone.chat(root, 1, 2)

    linked = alone.span("linked", other, links=[trace.Link(root.get_span_context())])
    alone.chat(linked, 10, 20)
    linked.end()
    other.end()
    root.end()

    assert ((1, 2, 1), (10, 20, 1)) == (tokens(root), tokens(other))


def test_a_call_without_usage_and_a_failed_one_are_told_apart(alone: Alone) -> None:
    root = alone.agent("planner")
    for failed in (False, True):
        span = alone.span("chat", root, attributes={"gen_ai.operation.name": "chat"})
        if failed:
            span.set_status(Status(StatusCode.ERROR))
        span.end()
    root.end()

    told = totals(root)
    assert (2, 1, 1) == tuple(told[f"{what}.count"] for what in ("inference_call", "usage_missing", "error"))
    assert not told["complete"]


def test_an_agent_without_calls_says_so(alone: Alone) -> None:
    root = alone.agent("idle")

    root.end()

    assert ((0, 0, 0), True) == (tokens(root), totals(root)["complete"])


def test_a_tool_told_of_twice_ran_once(alone: Alone) -> None:
    root = alone.agent("planner")
    named = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"}
    outer = alone.span("execute_tool search", root, attributes=named)

    alone.span("tools/call search", outer, attributes=named).end()
    alone.span("execute_tool other", outer, attributes={**named, "gen_ai.tool.name": "other"}).end()
    outer.end()
    root.end()

    assert 2 == totals(root)["tool_call.count"]


def test_who_is_trusted_more_holds_where_two_tell_of_the_same_answer(alone: Alone) -> None:
    root = alone.span("root")
    answer = {"gen_ai.response.id": "resp-1"}
    alone.chat(root, 9, 79, **answer)
    ours = alone.span("chat", root, scope="tracetoll", attributes={"gen_ai.operation.name": "chat"})

    ours.set_attributes({"gen_ai.usage.input_tokens": 9, "gen_ai.usage.output_tokens": 78, **answer})
    ours.end()
    alone.chat(root, 9, 99, **answer)
    root.end()

    assert (9, 78, 1) == tokens(root)


def test_without_an_id_the_same_numbers_at_the_same_time_are_one_call(alone: Alone) -> None:
    root = alone.span("root")
    around = alone.span("ChatOpenAI", root, scope="openinference.instrumentation.langchain")
    alone.chat(root, 9, 28, **{"gen_ai.response.id": "resp-1"})  # a sibling, within its time

    around.set_attributes(
        {"openinference.span.kind": "LLM", "llm.token_count.prompt": 9, "llm.token_count.completion": 28}
    )
    around.end()
    alone.chat(root, 9, 28, **{"gen_ai.response.id": "resp-2"})  # later: another one
    root.end()

    assert (18, 56, 2) == tokens(root)


@pytest.mark.parametrize("between", ["nothing", "many calls elsewhere", "an answer told of twice"])
def test_the_latest_calls_of_every_agent_are_known_again_without_an_id(alone: Alone, between: str) -> None:
    warm(alone)
    root = alone.span("root")
    first, second = (alone.agent(name, root) for name in ("first", "second"))
    began = time.time_ns()
    alone.chat(first, 5, 5)
    if between == "many calls elsewhere":
        for _ in range(200):
            alone.chat(second, 0, 0)
    elif between == "an answer told of twice":
        for _ in range(2):
            alone.chat(second, 0, 0, **ANSWER)
    alone.chat(first, 7, 9)

    told = {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 7, "gen_ai.usage.output_tokens": 9}
    alone.span("chat", root, scope="another", attributes=told, start_time=began).end()
    for span in (first, second, root):
        span.end()

    elsewhere = {"nothing": 0, "many calls elsewhere": 200, "an answer told of twice": 1}[between]
    assert [(12, 14, 2), (12, 14, 2 + elsewhere)] == [tokens(first), tokens(root)]


def test_the_latest_calls_are_known_again_however_much_they_tell(alone: Alone) -> None:
    told: dict[str, Any] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.usage.cache_read.input_tokens": 1,
        "gen_ai.usage.reasoning.output_tokens": 1,
        "tracetoll.cost.amount": 0.5,
    }

    def ours(into: int, out: int) -> None:
        more = {"gen_ai.usage.input_tokens": into, "gen_ai.usage.output_tokens": out}
        step = alone.span("step", root)
        alone.span("chat", step, scope="tracetoll", attributes=told | more).end()
        step.end()

    root = alone.span("before")
    ours(1, 1)  # from now on they are usual ones
    root.end()
    root = alone.span("root")
    began = time.time_ns()
    ours(7, 9)
    for _ in range(60):
        ours(2, 2)

    again = {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 7, "gen_ai.usage.output_tokens": 9}
    alone.span("chat", root, scope="another", attributes=again, start_time=began).end()
    root.end()

    assert (127, 129, 61) == tokens(root)


def test_a_call_that_two_emitters_tell_of_counts_once_however_usual_it_is_for_both(alone: Alone) -> None:
    told = {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 7, "gen_ai.usage.output_tokens": 9}
    for scope in ("one", "another"):
        with trace.use_span(alone.span("before"), end_on_exit=True):
            alone.provider.get_tracer(scope).start_span("chat", attributes=told).end()
    root = alone.span("root")

    spans = [alone.span("chat", root, scope=scope, attributes=told) for scope in ("one", "another")]
    for span in (*reversed(spans), root):
        span.end()

    assert (7, 9, 1) == tokens(root)


def test_calls_with_different_ids_are_two_whatever_their_numbers(alone: Alone) -> None:
    warm(alone)
    root = alone.span("root")
    began = time.time_ns()
    alone.chat(root, 5, 5, **{"gen_ai.response.id": "resp-0"})
    alone.chat(root, 7, 9, **{"gen_ai.response.id": "resp-1"})

    told = {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 7, "gen_ai.usage.output_tokens": 9}
    told |= {"gen_ai.response.id": "resp-2"}  # type: ignore[dict-item]
    alone.span("chat", root, scope="another", attributes=told, start_time=began).end()
    root.end()

    assert (19, 23, 3) == tokens(root)


@pytest.mark.parametrize("made_up", [{}, {"gen_ai.response.id": "call-1"}])
def test_a_call_that_is_told_of_later_by_somebody_else_is_the_one_it_lies_in(alone: Alone, made_up: Any) -> None:
    root = alone.span("root")
    ours = alone.span("embeddings", root, scope="tracetoll", attributes={"gen_ai.operation.name": "embeddings"})
    began, ended = time.time_ns(), time.time_ns() + 1_000
    time.sleep(0.001)
    ours.set_attribute("gen_ai.usage.input_tokens", 9)
    ours.end()

    # As LiteLLM's callback does, which makes up an id where the provider told none.
    told = {"gen_ai.operation.name": "aembedding", "gen_ai.usage.input_tokens": 9}
    alone.span("litellm_request", ours, scope="litellm", attributes={**told, **made_up}, start_time=began).end(ended)
    alone.span("litellm_request", root, scope="litellm", attributes=told).end()  # another one, after that
    root.end()

    assert (18, 2) == (totals(root)["input_tokens"], totals(root)["embedding_call.count"])


def test_a_call_that_ends_after_the_call_above_it_is_that_call(alone: Alone) -> None:
    root = alone.span("root")
    outer = alone.span("chat", root, scope="one", attributes={"gen_ai.operation.name": "chat"})
    between = alone.span("request", outer)
    inner = alone.span("chat", between, scope="other", attributes={"gen_ai.operation.name": "chat"})
    for span in (outer, between, inner):
        span.set_attributes({"gen_ai.usage.input_tokens": 9} if span is not between else {})
        span.end()
    root.end()

    assert (9, 0, 1) == tokens(root)


def test_calls_of_ours_settle_what_is_around_them(alone: Alone) -> None:
    root = alone.span("root")
    around = alone.span("chat", root, scope="somebody.else", attributes={"gen_ai.operation.name": "chat"})
    ours = alone.span("chat", around, scope="tracetoll", attributes={"gen_ai.operation.name": "chat"})
    for span, out in ((ours, 78), (around, 79)):
        span.set_attributes({"gen_ai.usage.input_tokens": 9, "gen_ai.usage.output_tokens": out})
        span.end()
    root.end()

    assert (9, 78, 1) == tokens(root)


def test_an_agent_may_say_late_what_it_is(alone: Alone) -> None:
    root = alone.span("root")
    late = alone.span("AgentExecutor", root)

    alone.chat(late, 1, 2)
    late.set_attribute("openinference.span.kind", "AGENT")
    late.end()
    root.end()

    assert ((1, 2, 1), "descendants") == (tokens(late), totals(late)["scope"])


def test_an_agent_stays_one_whatever_others_write_over_it(alone: Alone) -> None:
    root = alone.span("root")
    attributes = {"gen_ai.operation.name": "invoke_agent"}
    inner = alone.span("invoke_agent x", root, scope="openinference.instrumentation.x", attributes=attributes)

    alone.chat(inner, 1, 2)
    inner.set_attribute("openinference.span.kind", "GUARDRAIL")
    inner.end()
    root.end()

    assert ((1, 2, 1), "descendants") == (tokens(inner), totals(inner)["scope"])


def test_a_span_that_starts_when_all_above_it_have_ended_is_a_local_root(alone: Alone) -> None:
    root = alone.span("root")
    running = alone.span("still running", root)
    passed = alone.span("passed", root)
    passed.end()
    root.end()

    background = alone.span("background", passed)
    alone.chat(background, 1, 2)
    background.end()
    running.end()

    assert (1, 2, 1) == tokens(background)
    assert 0 == alone.kept


def test_a_captured_end_writes_totals_too(alone: Alone) -> None:
    root = alone.span("root")
    end = root.end
    alone.chat(root, 1, 2)

    end()

    assert (1, 2, 1) == tokens(root)


def test_an_end_that_is_called_again_changes_nothing(alone: Alone) -> None:
    root = alone.agent("outer")
    inner = alone.agent("inner", root)
    end = inner.end
    alone.chat(inner, 1, 2)

    end()
    end()
    root.end()

    assert ((1, 2, 1), True) == (tokens(inner), totals(inner)["complete"])
    assert ((1, 2, 1), True) == (tokens(root), totals(root)["complete"])


def test_what_starts_below_a_span_while_it_ends_counts_for_the_nearest_that_is_open() -> None:
    made = []

    class Last(SpanProcessor):
        """Makes a call below an agent when it hears that the agent has ended, which is before the roll-up does."""

        def on_end(self, span: ReadableSpan) -> None:
            if span.name == "invoke_agent inner":
                made.append(alone.span("late", NonRecordingSpan(span.context)))

    alone = Alone()
    alone = Alone(Last(), alone.rollup, SimpleSpanProcessor(alone.exporter))
    outer = alone.agent("outer")
    inner = alone.agent("inner", outer)
    alone.chat(inner, 1, 2)

    inner.end()
    alone.chat(made[0], 10, 20)
    made[0].end()
    outer.end()

    assert ((1, 2, 1), True) == (tokens(inner), totals(inner)["complete"])
    assert ((11, 22, 2), True) == (tokens(outer), totals(outer)["complete"])


def test_end_times_given_by_the_application_are_kept(alone: Alone) -> None:
    root = alone.span("root", start_time=1_000)
    alone.chat(root, 1, 2)

    root.end(end_time=2_000)

    assert 2_000 == alone.named("root").end_time
    assert "end" not in vars(root)


@pytest.mark.parametrize(
    ("limits_of", "expected"),
    [
        ({"max_span_attribute_length": 4}, ("trac", (1, 2, 1))),
        ({"max_span_attributes": 9}, ("trace", (1, 2, 1))),
        ({"max_span_attributes": 2}, ("trace", None)),
    ],
    ids=["length", "just enough", "number"],
)
def test_totals_keep_to_the_limits_of_spans(limits_of: dict[str, int], expected: tuple[str, Any]) -> None:
    provider = TracerProvider(span_limits=SpanLimits(**limits_of), shutdown_on_exit=False)
    provider.add_span_processor(RollupProcessor())
    tracer = provider.get_tracer("somebody.else")
    root = tracer.start_span("root", attributes={"before": "x"})

    call = tracer.start_span("chat", set_span_in_context(root))
    call.set_attributes({"gen_ai.usage.input_tokens": 1, "gen_ai.usage.output_tokens": 2})
    call.end()
    root.end()

    assert len(root.attributes or {}) <= limits_of.get("max_span_attributes", 128)  # type: ignore[attr-defined]
    told = totals(root)
    assert expected == (told["scope"], tokens(root) if len(told) > 2 else None)


def test_many_threads_add_up_to_the_last_token(alone: Alone) -> None:
    root = alone.agent("planner")

    def work(_: int) -> None:
        inner = alone.agent("worker", root)
        for _ in range(200):
            alone.chat(inner, 3, 2)
        inner.end()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(16)))
    root.end()

    assert ((9600, 6400, 3200), True) == (tokens(root), totals(root)["complete"])
    assert 0 == alone.kept


@pytest.mark.parametrize("what", ["call", "late call", "agent", "agent that tells usage"])
def test_a_span_that_a_collection_ends_while_others_are_added_up_does_no_harm(alone: Alone, what: str) -> None:
    root = alone.agent("planner")
    ended = alone.chat(root, 0, 0)

    class Dropped:
        """Ends a call, or an agent with one, wherever a garbage collection strikes."""

        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            inner = {"call": root, "late call": ended}.get(what) or alone.agent("inner", root)
            alone.chat(inner, 1, 1)
            if what == "agent that tells usage":
                inner.set_attribute("gen_ai.usage.input_tokens", 1)
            if what.startswith("agent"):
                inner.end()

    class Model(str):
        """The name of a model: whoever looks it up sets off a collection, as any allocation may."""

        __slots__ = ()
        __eq__ = str.__eq__

        def __hash__(self) -> int:
            gc.collect()
            return super().__hash__()

    gc.disable()  # elsewhere it would find the SDK at work, which has a lock then
    try:
        for _ in range(100):
            Dropped()
            alone.chat(root, 1, 1, **{"gen_ai.request.model": Model("gpt-4o-mini")})
    finally:
        gc.enable()
    gc.collect()
    root.end()

    assert ((200, 200, 201), True) == (tokens(root), totals(root)["complete"])


def test_an_agent_that_a_collection_ends_as_soon_as_the_lock_is_taken_does_no_harm(alone: Alone) -> None:
    adder = alone.rollup._adder  # noqa: SLF001  # nobody can see it from outside
    lock = adder._lock  # noqa: SLF001  # as above
    root = alone.agent("planner")
    inner = alone.agent("inner", root)
    alone.chat(inner, 1, 2)
    to_end = [inner]

    class Struck:
        """The lock: what follows a call may be a garbage collection, from Python 3.12 on."""

        def acquire(self, *arguments: Any, **more: Any) -> bool:
            taken = bool(lock.acquire(*arguments, **more))
            if to_end:
                to_end.pop().end()
            return taken

        def release(self) -> None:
            lock.release()

    adder._lock = Struck()  # type: ignore[assignment]  # noqa: SLF001  # as above
    alone.chat(root, 10, 20)
    root.end()

    assert [(1, 2, 1), (11, 22, 2)] == [tokens(inner), tokens(root)]


@pytest.mark.parametrize("tells", [{}, {"gen_ai.usage.input_tokens": 1}], ids=["nothing", "usage"])
def test_an_agent_that_a_collection_ends_while_another_is_added_to_it_loses_nothing(
    alone: Alone, tells: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = alone.span("root")
    outer = alone.agent("outer", root)
    inner = alone.agent("inner", outer)
    alone.chat(outer, 10, 10)
    alone.chat(root, 100, 100, **ANSWER)
    alone.chat(inner, 1, 1)
    alone.rollup.force_flush()
    to_end = [outer]
    add = rollup_totals.add

    def struck(total: Any, more: Any) -> None:
        if to_end:
            to_end.pop().end()
        add(total, more)

    outer.set_attributes(tells)
    monkeypatch.setattr(rollup_totals, "add", struck)
    inner.end()
    root.end()

    assert (111, 111, 3) == tokens(root)


# --- bounds -----------------------------------------------------------------------------------


def test_an_agent_says_what_it_came_to_when_it_ended_whatever_ends_meanwhile(
    alone: Alone, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = alone.agent("planner")
    inner = alone.agent("inner", root)
    alone.chat(inner, 1, 2)
    written = rollup_totals.attributes

    def meanwhile(*total: Any) -> dict[str, Any]:
        monkeypatch.undo()
        alone.chat(root, 10, 20, **{"error.type": "timeout"})  # added to the total at once
        alone.rollup.force_flush()
        return written(*total)

    monkeypatch.setattr(rollup_totals, "attributes", meanwhile)
    inner.end()
    root.end()

    assert [(1, 2, 1), (11, 22, 2)] == [tokens(inner), tokens(root)]


def test_spans_that_are_dropped_without_being_ended_are_forgotten_and_missed(alone: Alone) -> None:
    root = alone.agent("planner")
    for _ in range(100):
        alone.span("never ended", root)
    gc.collect()

    alone.chat(root, 1, 2)
    root.end()

    assert ((1, 2, 1), False) == (tokens(root), totals(root)["complete"])
    assert 0 == alone.kept


def test_spans_that_are_dropped_are_forgotten_while_those_above_run(alone: Alone) -> None:
    root = alone.agent("planner")

    for _ in range(20_000):
        alone.span("never ended", root)

    followed = alone.rollup._traces.values()  # noqa: SLF001  # nobody can see it from outside
    assert sum(len(trace.open) for trace in followed) < 5_000
    alone.chat(root, 1, 2)
    root.end()
    assert ((1, 2, 1), False) == (tokens(root), totals(root)["complete"])


@pytest.mark.parametrize("what", ["call alone", "agent"])
def test_nothing_stays_of_a_trace(alone: Alone, what: str) -> None:
    def traces() -> int:
        return sum(isinstance(one, Trace) for one in gc.get_objects())

    warm(alone)
    gc.collect()
    gc.disable()
    try:
        before = traces()
        root = alone.agent("planner") if what == "agent" else None
        for _ in range(1 if root is None else 100):
            alone.chat(root, 1, 2)
        if root is not None:
            root.end()
        del root
        assert (0, before) == (alone.kept, traces())
    finally:
        gc.enable()


def test_what_is_kept_of_a_long_trace_does_not_grow(alone: Alone) -> None:
    roots = [alone.agent(f"agent {number}") for number in range(50)]

    for _ in range(400):
        for root in roots:  # in turn, so that none of them is the one that is worked off each time
            alone.chat(root, 1, 2)
            alone.span("step", root).end()

    followed = alone.rollup._traces.values()  # noqa: SLF001  # as above
    assert 50 == len(followed)
    assert all(len(trace.ended) + remembered(trace) < 300 for trace in followed)


@pytest.mark.parametrize(("agents", "calls"), [(1000, 1), (100, 10), (10, 100)])
def test_what_is_kept_of_calls_below_many_agents_does_not_grow(alone: Alone, agents: int, calls: int) -> None:
    root = alone.agent("outer")
    inner = [alone.agent(f"agent {number}", root) for number in range(agents)]

    for _ in range(calls):
        for one in inner:
            alone.chat(one, 1, 2)

    (followed,) = alone.rollup._traces.values()  # noqa: SLF001  # as above
    assert remembered(followed) < 600
    for span in (*inner, root):
        span.end()
    assert (1000, 2000, 1000) == tokens(root)


def test_what_is_kept_of_the_answers_of_many_traces_does_not_grow(
    alone: Alone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tracetoll.rollup.adder._ANSWERS_KEPT", 200)
    monkeypatch.setattr("tracetoll.rollup.processor._SWEEP_AFTER", 100)
    alone.rollup.force_flush()
    roots = [alone.agent(f"agent {number}") for number in range(50)]

    for number in range(100):
        for which, root in enumerate(roots):
            for _ in range(2):  # told of twice, it is one
                alone.chat(root, 1, 2, **{"gen_ai.response.id": f"answer {number} of {which}"})

    alone.rollup.force_flush()
    assert sum(trace.remembered for trace in alone.rollup._traces.values()) < 600  # noqa: SLF001  # as above
    for root in roots:
        root.end()
    assert {(100, 200, 100)} == {tokens(root) for root in roots}


def test_what_is_kept_of_a_trace_of_many_agents_does_not_grow(alone: Alone) -> None:
    root = alone.agent("outer")

    for number in range(1000):
        alone.agent(f"agent {number}", root).end()

    (followed,) = alone.rollup._traces.values()  # noqa: SLF001  # as above
    assert len(followed.ended) < 300


def test_traces_that_never_end_are_dropped_and_do_not_claim_to_be_complete() -> None:
    rollup = RollupProcessor(max_traces=50)
    alone = Alone(rollup)
    roots = [alone.agent(f"agent {number}") for number in range(200)]

    for root in roots:
        alone.chat(root, 1, 2)
        root.end()

    assert len(rollup._traces) <= 50  # noqa: SLF001  # nobody can see it from outside
    assert {True, False} == {bool(totals(root)["complete"]) for root in roots}
    assert all(tokens(root) == (1, 2, 1) for root in roots if totals(root)["complete"])


def test_more_spans_of_a_trace_than_are_followed_make_it_incomplete() -> None:
    alone = Alone(RollupProcessor(max_spans_per_trace=10))
    root = alone.agent("planner")
    children = [alone.span("child", root) for _ in range(20)]

    for child in children:
        alone.chat(child, 1, 1)
        child.end()
    root.end()

    # The first call starts while ten spans are open.
    assert ((19, 19, 19), False) == (tokens(root), totals(root)["complete"])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_has_totals_of_its_own(alone: Alone) -> None:
    parent = alone.span("of the parent")

    def work() -> bool:
        root = alone.agent("of the child")
        alone.chat(root, 1, 2)
        root.end()
        return tokens(root) == (1, 2, 1)

    assert in_child(work)
    alone.chat(parent, 10, 20)
    parent.end()
    assert (10, 20, 1) == tokens(parent)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_child_does_not_wait_for_a_thread_of_its_parent(alone: Alone) -> None:
    busy = alone.rollup._adder._lock  # noqa: SLF001  # as if another thread was adding up

    def work() -> bool:
        signal.alarm(30)
        root = alone.agent("of the child")
        alone.chat(root, 1, 2)
        root.end()
        return tokens(root) == (1, 2, 1)

    with busy:
        assert in_child(work)


def test_a_fault_of_ours_reaches_nobody(alone: Alone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACETOLL_RAISE_FAULTS", "0")
    monkeypatch.setattr(alone.rollup, "_spans", None)

    root = alone.agent("planner")
    alone.chat(root, 1, 2)
    root.end()

    assert {"invoke_agent planner", "chat"} == {span.name for span in alone.exporter.get_finished_spans()}


# --- limits and what others tell --------------------------------------------------------------


def foreign(telemetry: Telemetry, into: int, out: int, **told: Any) -> None:
    """Make a call of a model that only somebody else tells of."""
    tracer = telemetry.tracer_provider.get_tracer("somebody.else")
    with tracer.start_as_current_span("chat", attributes={"gen_ai.operation.name": "chat"}) as span:
        span.set_attributes({"gen_ai.usage.input_tokens": into, "gen_ai.usage.output_tokens": out, **told})


def test_a_trace_that_others_have_blown_refuses_the_next_call_of_ours(
    provider: LocalProvider, instrument: Callable[..., Telemetry]
) -> None:
    telemetry = instrument(limits=[Limit(10_000, "tokens", per="trace")])

    with agent("planner"), limits() as spend:
        ask(provider)
        own = spend.usage.total_tokens
        foreign(telemetry, 9_900, 200)
        with pytest.raises(LimitExceeded):
            ask(provider)

    assert 1 == len(provider.requests)
    assert (2, own + 10_100) == (spend.calls, spend.usage.total_tokens)


def test_a_call_alone_that_others_tell_of_is_charged(instrument: Callable[..., Telemetry]) -> None:
    telemetry = instrument(limits=[Limit(1_000_000, "tokens", per="process")])

    foreign(telemetry, 100, 20)

    assert [120] == spent()


def test_a_call_is_charged_that_ends_while_another_thread_adds_up(instrument: Callable[..., Telemetry]) -> None:
    telemetry = instrument(limits=[Limit(1_000_000, "tokens", per="process")])
    tracer = telemetry.tracer_provider.get_tracer("somebody.else")
    told = {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 20}
    meanwhile = tracer.start_span("chat", attributes=told)

    class Name(str):
        """The name of an operation: it is looked up while calls are added up."""

        __slots__ = ()
        __eq__ = str.__eq__

        def __hash__(self) -> int:
            if meanwhile.is_recording():
                thread = threading.Thread(target=meanwhile.end)
                thread.start()
                thread.join()
            return super().__hash__()

    within = set_span_in_context(tracer.start_span("root"))
    planner = tracer.start_span("invoke_agent planner", within, attributes={"gen_ai.operation.name": "invoke_agent"})
    ours = telemetry.tracer_provider.get_tracer("tracetoll")  # what we tell of was charged before
    call = ours.start_span("chat", set_span_in_context(planner), attributes=told)
    call.set_attribute("gen_ai.operation.name", Name("chat"))
    call.end()
    assert meanwhile.is_recording()
    planner.end()

    assert not meanwhile.is_recording()
    assert [120] == spent()


def test_what_is_around_a_call_of_ours_is_not_charged_again(
    provider: LocalProvider, instrument: Callable[..., Telemetry]
) -> None:
    telemetry = instrument(limits=[Limit(1_000_000, "tokens", per="process")])
    tracer = telemetry.tracer_provider.get_tracer("somebody.else")

    with tracer.start_as_current_span("chat", attributes={"gen_ai.operation.name": "chat"}) as span:
        ask(provider)
        handed_out = provider.handed_out
        span.set_attribute("gen_ai.usage.input_tokens", handed_out.input_tokens + 5)
        span.set_attribute("gen_ai.usage.output_tokens", handed_out.output_tokens)

    assert [handed_out.input_tokens + handed_out.output_tokens] == spent()


def test_what_ends_below_a_call_of_ours_that_has_ended_is_not_charged_again(
    provider: LocalProvider, instrument: Callable[..., Telemetry]
) -> None:
    telemetry = instrument(limits=[Limit(1_000_000, "tokens", per="process")])
    tracer = telemetry.tracer_provider.get_tracer("somebody.else")
    below: list[Any] = []

    class Follower(SpanProcessor):
        def on_start(self, span: Span, parent_context: Any = None) -> None:
            del parent_context
            if not below:
                below.append(None)
                below[0] = tracer.start_span(
                    "chat", set_span_in_context(span), attributes={"gen_ai.operation.name": "chat"}
                )

    telemetry.tracer_provider.add_span_processor(Follower())
    answer = ask(provider)
    handed_out = provider.handed_out
    below[0].set_attributes(
        {
            "gen_ai.response.id": answer.id,
            "gen_ai.usage.input_tokens": handed_out.input_tokens,
            "gen_ai.usage.output_tokens": handed_out.output_tokens,
        }
    )
    below[0].end()

    assert [handed_out.input_tokens + handed_out.output_tokens] == spent()


def test_what_is_assumed_of_a_call_of_ours_is_not_charged_beside_what_others_tell(
    provider: LocalProvider, instrument: Callable[..., Telemetry]
) -> None:
    telemetry = instrument(limits=[Limit(1_000_000, "tokens", per="process")], stream_usage="never")
    tracer = telemetry.tracer_provider.get_tracer("somebody.else")

    named = {"gen_ai.operation.name": "chat"}
    with client("openai", provider.url) as of, tracer.start_as_current_span("chat", attributes=named) as span:
        list(of.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True, max_tokens=50))
        span.set_attributes({"gen_ai.usage.input_tokens": 90_000, "gen_ai.usage.output_tokens": 10})

    assert 0 < spent()[0] < 90_000


@pytest.mark.parametrize("with_id", [True, False], ids=["with its id", "without"])
def test_a_call_that_another_package_makes_in_silence_is_charged_once(
    with_id: bool, provider: LocalProvider, instrument: Callable[..., Telemetry]
) -> None:
    telemetry = instrument(limits=[Limit(1_000_000, "tokens", per="process")])

    with agent("planner"):
        token = context.attach(context.set_value("suppress_instrumentation", value=True))
        answer = ask(provider)
        context.detach(token)
        handed_out = provider.handed_out
        told = {"gen_ai.response.id": answer.id} if with_id else {}
        foreign(telemetry, handed_out.input_tokens, handed_out.output_tokens, **told)

    assert [handed_out.input_tokens + handed_out.output_tokens] == spent()


def test_limits_hold_where_instrumentation_is_suppressed(
    provider: LocalProvider, instrument: Callable[..., Telemetry]
) -> None:
    telemetry = instrument(limits=[Limit(1, "calls")])
    token = context.attach(context.set_value("suppress_instrumentation", value=True))

    ask(provider)
    with pytest.raises(LimitExceeded):
        ask(provider)
    context.detach(token)

    assert (1, ()) == (len(provider.requests), telemetry.spans)


def spent() -> list[int]:
    engine = Instrumentor().engine
    assert engine is not None
    return [balance.spent for _, balance in engine.admission.ledger.balances()]


@pytest.fixture
def fresh_global_provider() -> Iterator[None]:
    """Have no global tracer provider, as in a process that has not set one yet."""
    before = trace._TRACER_PROVIDER, trace._TRACER_PROVIDER_SET_ONCE  # noqa: SLF001  # there is no public way
    trace._TRACER_PROVIDER = None  # noqa: SLF001
    trace._TRACER_PROVIDER_SET_ONCE = type(before[1])()  # noqa: SLF001
    yield
    trace._TRACER_PROVIDER, trace._TRACER_PROVIDER_SET_ONCE = before  # noqa: SLF001


@pytest.mark.usefixtures("fresh_global_provider")
def test_a_provider_that_is_set_after_instrument_gets_a_rollup_with_the_first_call(provider: LocalProvider) -> None:
    exporter = InMemorySpanExporter()
    Instrumentor().instrument()
    late = TracerProvider(shutdown_on_exit=False)
    late.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(late)

    for name in ("first", "second"):
        with agent(name):
            ask(provider)
    Instrumentor().uninstrument()

    assert 1 == totals(exporter.get_finished_spans()[-1])["inference_call.count"]


def test_nothing_is_kept_of_threads_that_were_busy_at_once() -> None:
    alone = Alone()
    started = threading.Barrier(8)

    def work(_: int) -> None:
        started.wait()
        for number in itertools.islice(itertools.count(), 100):
            root = alone.agent(f"agent {number % 7}")
            alone.chat(root, 1, 1)
            root.end()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))

    assert 0 == alone.kept
    roots = [span for span in alone.exporter.get_finished_spans() if "agent" in span.name]
    assert {(1, 1, 1)} == {tokens(span) for span in roots}
