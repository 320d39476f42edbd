"""What the console's tree printer adds to a span, in one process.

    python benchmarks/console.py [--rounds 30]

A round times, in random order, traces of one agent span with 20 spans below it, with and without the
printer beside the exporter. CPU time of the thread that makes the spans, and of all threads: the difference of
the two is what printing costs beside it. Medians of the differences within a round.
"""

from __future__ import annotations

import argparse
import gc
import io
import random
import statistics
import time
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from tracetoll.console import TreePrinter

if TYPE_CHECKING:
    from collections.abc import Mapping

TRACES: Final = 50
SPANS: Final = 20
LARGE: Final = 20_000

CALL: Final[Mapping[str, Any]] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.response.model": "gpt-4o-2024-08-06",
    "gen_ai.usage.input_tokens": 1_234,
    "gen_ai.usage.output_tokens": 56,
    "tracetoll.cost.amount": 0.003645,
    **{f"other.{place}": place for place in range(14)},
}
OTHER: Final[Mapping[str, Any]] = {f"other.{place}": place for place in range(20)}


class Nowhere(SpanExporter):
    """Drops every span."""

    def export(self, spans: Any) -> SpanExportResult:
        """Drop the spans."""
        del spans
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Do nothing."""


def tracer_provider(*, printing: bool) -> TracerProvider:
    """Return a tracer provider that exports nowhere, and prints nowhere or not at all."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(Nowhere()))
    if printing:
        provider.add_span_processor(TreePrinter(io.StringIO()))
    return provider


def one_trace(provider: TracerProvider, spans: int, attributes: Mapping[str, Any]) -> None:
    """Make a trace: one span, and so many below it."""
    tracer = provider.get_tracer("bench")
    with tracer.start_as_current_span("agent"):
        for _ in range(spans):
            tracer.start_span("chat gpt-4o", attributes=attributes).end()


def measure(attributes: Mapping[str, Any], rounds: int) -> tuple[float, float]:
    """Return microseconds per span: in the thread that makes it, and in all."""
    providers = {name: tracer_provider(printing=name == "on") for name in ("on", "off")}
    found: dict[str, list[tuple[float, float]]] = {"on": [], "off": []}
    for _ in range(rounds):
        for name in random.sample(list(providers), 2):
            provider = providers[name]
            thread, process = time.thread_time_ns(), time.process_time_ns()
            for _ in range(TRACES):
                one_trace(provider, SPANS, attributes)
            thread = time.thread_time_ns() - thread
            provider.force_flush()
            process = time.process_time_ns() - process
            number = TRACES * (SPANS + 1) * 1e3
            found[name].append((thread / number, process / number))
    for provider in providers.values():
        provider.shutdown()
    pairs = list(zip(found["on"], found["off"], strict=True))
    return (
        statistics.median(on[0] - off[0] for on, off in pairs),
        statistics.median(on[1] - off[1] for on, off in pairs),
    )


def measure_large() -> float:
    """Return microseconds per span, in the thread that makes it, of a trace that is folded again and again."""
    taken = {}
    for printing in (True, False):
        provider = tracer_provider(printing=printing)
        begun = time.thread_time_ns()
        one_trace(provider, LARGE, CALL)
        taken[printing] = time.thread_time_ns() - begun
        provider.shutdown()
    return (taken[True] - taken[False]) / LARGE / 1e3


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    rounds = parser.parse_args().rounds
    gc.collect()
    gc.freeze()
    print(f"{'added to a span':40}{'its thread':>12}{'all threads':>13}   CPU us")
    for name, attributes in (("model call, 20 attributes", CALL), ("other span, 20 attributes", OTHER)):
        thread, process = measure(attributes, rounds)
        print(f"{name:40}{thread:12.1f}{process:13.1f}")
    print(f"{f'model call in a trace of {LARGE:,}':40}{statistics.median(measure_large() for _ in range(5)):12.1f}")


if __name__ == "__main__":
    main()
