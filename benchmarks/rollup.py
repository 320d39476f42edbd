"""What the roll-up costs: per span in a tight loop, and in memory, for traces of every shape.

    python benchmarks/rollup.py [--spans 100000] [--rounds 15]

Each shape is made with no processor, with one that does nothing, and with the roll-up, in random order within a
round; the figures are medians of what the last two add per span, in microseconds of CPU: to a span from start to end,
and, where all spans are started first, to ending one. Ratios to the bare span compare across machines, microseconds
do not.
"""

from __future__ import annotations

import argparse
import gc
import random
import statistics
import time
from functools import partial
from operator import methodcaller
from typing import TYPE_CHECKING, Any, Final

import psutil
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.trace import set_span_in_context

from tracetoll import RollupProcessor

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.trace import Span, Tracer

CHAT = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o-mini"}
USAGE = {"gen_ai.usage.input_tokens": 120, "gen_ai.usage.output_tokens": 30}
PLAIN = {"http.request.method": "GET", "url.full": "http://127.0.0.1/", "http.response.status_code": 200}
AGENT = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "planner"}


class Nothing(SpanProcessor):
    """Does nothing."""


END: Final = methodcaller("end")


def one_trace(tracer: Tracer, spans: int, end: Callable[[Span], object] = END, *, call: bool) -> None:
    """Make a trace of one root and spans directly below it."""
    root = tracer.start_span("root")
    within = set_span_in_context(root)
    for _ in range(spans - 1):
        span = tracer.start_span("chat" if call else "step", within, attributes=CHAT if call else PLAIN)
        if call:
            span.set_attributes(USAGE)
        end(span)
    end(root)


def chains(tracer: Tracer, spans: int, end: Callable[[Span], object] = END) -> None:
    """Make a trace of one root and chains of four below it, the last of which tells usage."""
    root = tracer.start_span("root")
    for _ in range((spans - 1) // 4):
        within, chain = set_span_in_context(root), []
        for _ in range(4):
            chain.append(tracer.start_span("step", within, attributes=CHAT))
            within = set_span_in_context(chain[-1])
        chain[-1].set_attributes(USAGE)
        for span in reversed(chain):
            end(span)
    end(root)


def agents(tracer: Tracer, spans: int, end: Callable[[Span], object] = END) -> None:
    """Make small traces as agents make them: a request, an agent, two steps, two calls of a model."""
    for _ in range(spans // 6):
        root = tracer.start_span("POST /ask")
        agent = tracer.start_span("invoke_agent planner", set_span_in_context(root), attributes=AGENT)
        within = set_span_in_context(agent)
        for name in ("step", "chat", "step", "chat"):
            span = tracer.start_span(name, within, attributes=CHAT if name == "chat" else PLAIN)
            if name == "chat":
                span.set_attributes(USAGE)
            end(span)
        end(agent)
        end(root)


def at_once(tracer: Tracer, spans: int, end: Callable[[Span], object] = END) -> None:
    """Make traces of calls at once, up to 1,000 of them, a call of each in turn."""
    roots = [tracer.start_span("root") for _ in range(min(1000, spans // 10))]
    around = [set_span_in_context(root) for root in roots]
    for _ in range(spans // len(roots) - 1):
        for within in around:
            span = tracer.start_span("chat", within, attributes=CHAT)
            span.set_attributes(USAGE)
            end(span)
    for root in roots:
        end(root)


SHAPES: dict[str, Callable[..., None]] = {
    "one trace, plain spans": partial(one_trace, call=False),
    "one trace, calls of models": partial(one_trace, call=True),
    "one trace, chains of four": chains,
    "traces of agents, 6 spans each": agents,
    "traces at once, calls in turn": at_once,
}


def tracer(processor: SpanProcessor | None) -> Tracer:
    """Return a tracer with a processor."""
    provider = TracerProvider(shutdown_on_exit=False)
    if processor is not None:
        provider.add_span_processor(processor)
    return provider.get_tracer("benchmark")


def whole(make: Callable[..., None], tracer: Tracer, spans: int) -> float:
    """Return microseconds per span from its start to its end."""
    begun = time.process_time_ns()
    make(tracer, spans)
    return (time.process_time_ns() - begun) / spans / 1e3


def ends(make: Callable[..., None], tracer: Tracer, spans: int) -> float:
    """Return microseconds per span of ending it, with all of them started before."""
    started: list[Span] = []
    make(tracer, spans, started.append)
    gc.freeze()
    begun = time.process_time_ns()
    for span in started:
        span.end()
    taken = (time.process_time_ns() - begun) / spans / 1e3
    gc.unfreeze()
    return taken


def added(
    make: Callable[..., None], measure: Callable[..., float], spans: int, rounds: int
) -> tuple[float, float, float]:
    """Return microseconds of a bare span, and what a processor that does nothing and the roll-up add to it."""
    rollup = RollupProcessor(max_traces=10**6, max_spans=10**6, max_spans_per_trace=10**6)
    tracers = {"bare": tracer(None), "nothing": tracer(Nothing()), "rollup": tracer(rollup)}
    found: dict[str, list[float]] = {name: [] for name in tracers}
    for one in tracers.values():
        make(one, min(spans, 2000))
    for _ in range(rounds):
        for name in random.sample(list(tracers), len(tracers)):
            gc.collect()
            found[name].append(measure(make, tracers[name], spans))
    bare = statistics.median(found["bare"])
    return bare, *(
        statistics.median(value - base for value, base in zip(found[name], found["bare"], strict=True))
        for name in ("nothing", "rollup")
    )  # type: ignore[return-value]  # three


def measured(spans: int, rounds: int) -> None:
    """Print what the metrics of traces add where there is a meter provider: the SDK's share, and ours."""
    meters = MeterProvider([InMemoryMetricReader()])
    tracers = {"rollup": tracer(RollupProcessor()), "metrics": tracer(RollupProcessor(meter_provider=meters))}
    found: dict[str, list[float]] = {name: [] for name in tracers}
    for _ in range(rounds):
        for name in random.sample(list(tracers), len(tracers)):
            gc.collect()
            found[name].append(ends(agents, tracers[name], spans) * 6)
    without, metrics = (statistics.median(found[name]) for name in tracers)
    histogram = meters.get_meter("benchmark").create_histogram("benchmark")
    within = set_span_in_context(tracers["rollup"].start_span("for an exemplar"))
    begun = time.process_time_ns()
    for number in range(10_000):
        histogram.record(number, {"gen_ai.agent.name": "planner", "gen_ai.token.type": "input"}, within)
    record = (time.process_time_ns() - begun) / 1e7
    print(
        f"traces of agents, metrics with a meter provider: {metrics - without:.1f} us per trace, of which "
        f"the SDK takes {4 * record:.1f} us to record four measurements"
    )


def usage(*, named: bool) -> dict[str, Any]:
    """Return what a call used; `named`: and a new answer's id, as most emitters tell it."""
    return {**USAGE, "gen_ai.response.id": f"chatcmpl-{random.getrandbits(96):024x}"} if named else USAGE


def thousand(tracer: Tracer, *, named: bool) -> float:
    """Return microseconds per span of ending 1,000 traces of 1,000 spans, a call of each in turn: 1,000 are open."""
    roots = [tracer.start_span("root") for _ in range(1000)]
    around = [set_span_in_context(root) for root in roots]
    taken = 0
    for number in range(1000):
        last = number == 999
        started = roots if last else [tracer.start_span("chat", within, attributes=CHAT) for within in around]
        if not last:
            for span in started:
                span.set_attributes(usage(named=named))
        begun = time.process_time_ns()
        for span in started:
            span.end()
        taken += time.process_time_ns() - begun
    return taken / 1e9


def thousands(rounds: int) -> None:
    """Print what ends of a million spans take; the garbage collector is off, as what is open would be looked at."""
    makers: dict[str, Callable[[], SpanProcessor | None]] = {
        "bare": lambda: None,
        "nothing": Nothing,
        "rollup": RollupProcessor,
    }
    for named in (False, True):
        found: dict[str, list[float]] = {name: [] for name in makers}
        for _ in range(rounds):
            for name in random.sample(list(makers), len(makers)):
                gc.collect()
                gc.disable()
                found[name].append(thousand(tracer(makers[name]()), named=named))
                gc.enable()
        bare, nothing, rollup = (statistics.median(found[name]) for name in makers)
        print(
            f"1,000 traces at once of 1,000 spans{', with ids of answers' if named else ''}: its end {bare:.1f} us; "
            f"added by a processor that does nothing {nothing - bare:.2f} us, by the roll-up {rollup - bare:.2f} us "
            f"({(rollup - bare) / bare:.2f} of it)"
        )


def resident() -> float:
    """Return the MiB of memory that this process has."""
    gc.collect()
    return psutil.Process().memory_info().rss / 2**20


def memory(spans: int) -> None:
    """Print what is held after traces of every shape."""
    rollup = RollupProcessor()
    kept: Any = rollup._traces  # noqa: SLF001  # nobody can see it from outside
    own = tracer(rollup)
    one_trace(own, spans, call=True)
    print(f"one trace of {spans:,} spans: {resident():.1f} MiB, {len(kept)} traces kept")
    for part in range(1, 6):
        for _ in range(spans // 5):
            one_trace(own, 2, call=True)
        print(f"{part * spans // 5:,} small traces: {resident():.1f} MiB, {len(kept)} traces kept")
    roots = [own.start_span("root") for _ in range(1000)]
    for part in range(spans // 1000 * 10 // 2):
        for root in roots:
            within = set_span_in_context(root)
            for _ in range(2):
                span = own.start_span("chat", within, attributes=CHAT)
                span.set_attributes(usage(named=True))
                span.end()
        if part % 100 == 99:
            print(f"1,000 traces at once, {(part + 1) * 2000:,} spans: {resident():.1f} MiB, {len(kept)} traces kept")
    for root in roots:
        root.end()
    for part in range(1, 6):
        for _ in range(spans // 5):
            own.start_span("never ended")
        print(f"{part * spans // 5:,} spans never ended: {resident():.1f} MiB, {len(kept)} traces kept")


def main() -> None:
    """Measure everything, and print it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--spans", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    for spans in (1_000, arguments.spans):
        rounds = arguments.rounds * (10 if spans == 1_000 else 1)
        for name, make in SHAPES.items():
            for what, measure in (("a bare span", whole), ("its end", ends)):
                bare, nothing, rollup = added(make, measure, spans, rounds)
                print(
                    f"{name}, {spans:,} spans: {what} {bare:.1f} us; added by a processor that does nothing "
                    f"{nothing:.2f} us, by the roll-up {rollup:.2f} us ({rollup / bare:.2f} of it)"
                )
    measured(1_000, arguments.rounds * 10)
    if arguments.spans >= 100_000:  # a quarter of a minute each
        thousands(max(1, arguments.rounds // 5))
    memory(arguments.spans)


if __name__ == "__main__":
    main()
