"""What the roll-up costs: per span in a tight loop, and in memory, for traces of every shape.

    python benchmarks/rollup.py [--spans 100000] [--rounds 15]

Each shape is made with no processor, with one that does nothing, and with the roll-up, in random order within a
round; the figures are medians of what the last two add per span, in microseconds of CPU. Ratios to the bare span
compare across machines, microseconds do not.
"""

from __future__ import annotations

import argparse
import gc
import random
import statistics
import time
from typing import TYPE_CHECKING, Any

import psutil
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.trace import set_span_in_context

from tracetoll import RollupProcessor

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.trace import Tracer

CHAT = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o-mini"}
USAGE = {"gen_ai.usage.input_tokens": 120, "gen_ai.usage.output_tokens": 30}
PLAIN = {"http.request.method": "GET", "url.full": "http://127.0.0.1/", "http.response.status_code": 200}
AGENT = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "planner"}


class Nothing(SpanProcessor):
    """Does nothing."""


def one_trace(tracer: Tracer, spans: int, *, call: bool) -> None:
    """Make a trace of one root and spans directly below it."""
    root = tracer.start_span("root")
    within = set_span_in_context(root)
    for _ in range(spans - 1):
        span = tracer.start_span("chat" if call else "step", within, attributes=CHAT if call else PLAIN)
        if call:
            span.set_attributes(USAGE)
        span.end()
    root.end()


def agents(tracer: Tracer, spans: int) -> None:
    """Make small traces as agents make them: a request, an agent, two steps, two calls of a model."""
    for _ in range(spans // 6):
        root = tracer.start_span("POST /ask")
        agent = tracer.start_span("invoke_agent planner", set_span_in_context(root), attributes=AGENT)
        within = set_span_in_context(agent)
        for name in ("step", "chat", "step", "chat"):
            span = tracer.start_span(name, within, attributes=CHAT if name == "chat" else PLAIN)
            if name == "chat":
                span.set_attributes(USAGE)
            span.end()
        agent.end()
        root.end()


SHAPES: dict[str, Callable[[Tracer, int], None]] = {
    "one trace, plain spans": lambda tracer, spans: one_trace(tracer, spans, call=False),
    "one trace, calls of models": lambda tracer, spans: one_trace(tracer, spans, call=True),
    "traces of agents, 6 spans each": agents,
}


def tracer(processor: SpanProcessor | None) -> Tracer:
    """Return a tracer with a processor."""
    provider = TracerProvider(shutdown_on_exit=False)
    if processor is not None:
        provider.add_span_processor(processor)
    return provider.get_tracer("benchmark")


def added(make: Callable[[Tracer, int], None], spans: int, rounds: int) -> tuple[float, float, float]:
    """Return microseconds of a bare span, and what a processor that does nothing and the roll-up add to it."""
    tracers = {"bare": tracer(None), "nothing": tracer(Nothing()), "rollup": tracer(RollupProcessor())}
    found: dict[str, list[float]] = {name: [] for name in tracers}
    for one in tracers.values():
        make(one, min(spans, 2000))
    for _ in range(rounds):
        for name in random.sample(list(tracers), len(tracers)):
            gc.collect()
            begun = time.process_time_ns()
            make(tracers[name], spans)
            found[name].append((time.process_time_ns() - begun) / spans / 1e3)
    bare = statistics.median(found["bare"])
    return bare, *(
        statistics.median(value - base for value, base in zip(found[name], found["bare"], strict=True))
        for name in ("nothing", "rollup")
    )  # type: ignore[return-value]  # three


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
                span.set_attributes(USAGE)
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
            bare, nothing, rollup = added(make, spans, rounds)
            print(
                f"{name}, {spans:,} spans: a bare span {bare:.1f} us; added by a processor that does nothing "
                f"{nothing:.2f} us, by the roll-up {rollup:.2f} us ({rollup / bare:.2f} bare spans)"
            )
    memory(arguments.spans)


if __name__ == "__main__":
    main()
