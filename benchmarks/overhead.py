"""What tracetoll adds to a call, as a ratio to a bare span with the same metrics, in one process.

    python benchmarks/overhead.py [--rounds 60]

A round times, in random order, a block of calls without us, a block with us, and a block of calls each
followed by a bare span (20 attributes) and three histogram records: the floor where it really runs, with
caches cold. CPU time of all threads; medians of the differences within a round. The noise row is calls
against calls. Ratios are what to compare: the microseconds are this machine's, now.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import random
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import openai
import wire
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON
from opentelemetry.trace import SpanKind

from tracetoll import Instrumentor

if TYPE_CHECKING:
    from collections.abc import Callable

BLOCK = 10
SECONDS = [0.01 * 2**i for i in range(14)]
TOKENS = [4**i for i in range(14)]


class Nowhere(SpanExporter):
    """Drops every span."""

    def export(self, spans: Any) -> SpanExportResult:
        """Drop the spans."""
        del spans
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Do nothing."""


def providers(sampler: Any) -> tuple[TracerProvider, MeterProvider]:
    """Return OpenTelemetry providers as an application has them, exporting nowhere."""
    tracer_provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
    tracer_provider.add_span_processor(BatchSpanProcessor(Nowhere()))
    return tracer_provider, MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)


def bare_span(tracer_provider: TracerProvider, meter_provider: MeterProvider) -> Callable[[], None]:
    """Return the floor: one span with 12 + 8 attributes, and three histogram records."""
    tracer, meter = tracer_provider.get_tracer("bare"), meter_provider.get_meter("bare")
    seconds = meter.create_histogram("bare.duration", explicit_bucket_boundaries_advisory=SECONDS)
    tokens = meter.create_histogram("bare.tokens", explicit_bucket_boundaries_advisory=TOKENS)
    start = {
        f"request.{i}": value for i, value in enumerate(["chat", "openai", wire.MODEL, 0.7, 1.0, 1024, 42] + ["x"] * 5)
    }
    end = {f"response.{i}": value for i, value in enumerate(["chatcmpl-1", wire.MODEL, ("stop",), 1, 2, 3, 4, "x"])}

    def once() -> None:
        with tracer.start_as_current_span("chat", kind=SpanKind.CLIENT, attributes=start) as span:
            span.set_attributes(end)
        kind = {"operation": "chat", "provider": "openai", "asked": wire.MODEL, "answered": wire.MODEL, "host": "h"}
        seconds.record(0.1, kind)
        tokens.record(1234, {**kind, "type": "input"})
        tokens.record(321, {**kind, "type": "output"})

    return once


class Calls:
    """The kinds of calls that are measured, on clients that answer themselves."""

    def __init__(self) -> None:
        http = wire.http_library()
        sync, asynchronous = wire.transports()
        self.client = openai.OpenAI(api_key="x", max_retries=0, http_client=http.Client(transport=sync))
        self.async_client = openai.AsyncOpenAI(
            api_key="x", max_retries=0, http_client=http.AsyncClient(transport=asynchronous)
        )
        self.loop = asyncio.new_event_loop()

    def chat(self, times: int) -> None:
        """Make chat calls."""
        for _ in range(times):
            self.client.chat.completions.create(messages=wire.MESSAGES, **wire.SETTINGS)

    def chat_async(self, times: int) -> None:
        """Make asynchronous chat calls, one after the other."""

        async def go() -> None:
            for _ in range(times):
                await self.async_client.chat.completions.create(messages=wire.MESSAGES, **wire.SETTINGS)

        self.loop.run_until_complete(go())

    def large(self, times: int) -> None:
        """Make chat calls with 400 KB of prompt."""
        for _ in range(times):
            self.client.chat.completions.create(messages=wire.LARGE, **wire.SETTINGS)

    def stream(self, chunks: int) -> Callable[[int], None]:
        """Return what makes streamed chat calls of so many chunks."""

        def go(times: int) -> None:
            for _ in range(times):
                for _chunk in self.client.chat.completions.create(
                    messages=wire.MESSAGES,
                    stream=True,
                    stream_options={"include_usage": True},
                    extra_headers={wire.CHUNKS_HEADER: str(chunks)},
                    **wire.SETTINGS,
                ):
                    pass

        return go


def measure(run: Callable[[int], None], floor: Callable[[], None], calls: int, rounds: int) -> dict[str, float]:
    """Return CPU microseconds per call: `base` itself, and what is `added` by us, the `floor` and `noise`."""
    patches = Instrumentor().patches
    assert patches is not None

    def block(*, on: bool, each: Callable[[], None] | None = None) -> float:
        patches.switch.on = on
        run(1)
        begun = time.process_time_ns()
        if each is None:
            run(calls)
        else:
            for _ in range(calls):
                run(1)
                each()
        return (time.process_time_ns() - begun) / calls / 1e3

    found: dict[str, list[float]] = {"base": [], "added": [], "floor": [], "noise": []}
    for _ in range(rounds):
        jobs = {
            "base": lambda: block(on=False),
            "added": lambda: block(on=True),
            "floor": lambda: block(on=False, each=floor),
            "noise": lambda: block(on=False),
        }
        times = {name: jobs[name]() for name in random.sample(list(jobs), len(jobs))}
        for name, one in times.items():
            found[name].append(one if name == "base" else one - times["base"])
    patches.switch.on = True
    return {name: statistics.median(values) for name, values in found.items()} | {
        "added_mean": statistics.fmean(found["added"])
    }


def per_chunk_ns() -> tuple[float, float]:
    """Return nanoseconds per chunk of a plain iterator, and of one that we tap, in a tight loop."""
    from openai.types.chat import ChatCompletionChunk  # noqa: PLC0415

    from tracetoll.streams import SyncTap  # noqa: PLC0415

    raw = {
        "id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": None}],
    }  # fmt: skip
    chunks = [ChatCompletionChunk.model_validate(raw)] * 100_000
    engine = Instrumentor().engine
    assert engine is not None
    seam_call = engine.open(_chat_surface(), _target(), {"model": "m"}, streaming=True)
    assert seam_call is not None

    def timed(iterator: Any) -> float:
        begun = time.process_time_ns()
        for _ in iterator:
            pass
        return (time.process_time_ns() - begun) / len(chunks)

    plain = min(timed(iter(chunks)) for _ in range(5))
    tapped = min(timed(SyncTap(iter(chunks), seam_call)) for _ in range(5))
    return plain, tapped


def _chat_surface() -> Any:
    from tracetoll.providers.openai import CHAT  # noqa: PLC0415

    return CHAT


def _target() -> Any:
    from tracetoll.targets import Target  # noqa: PLC0415

    return Target("openai", "api.openai.com", None)


def start_up_ms() -> float:
    """Return CPU milliseconds that import and instrument() add to a process that has imported openai."""
    program = (
        "import time, openai, openai.resources.chat.completions, opentelemetry.sdk.trace.export,"
        "opentelemetry.sdk.metrics.export\n"
        "begun = time.process_time_ns()\n"
        "from tracetoll import Instrumentor\n"
        "Instrumentor().instrument()\n"
        "print((time.process_time_ns() - begun) / 1e6)\n"
    )
    runs = [
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True) for _ in range(6)
    ]
    return min(float(run.stdout) for run in runs)


def main() -> None:
    """Measure everything, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=60)
    rounds = parser.parse_args().rounds
    logging.disable(logging.WARNING)
    calls = Calls()
    print(f"{'':24}{'call':>9}{'added':>9}{'(mean)':>9}{'floor':>9}{'noise':>9}{'ratio':>8}   CPU us")
    for label, sampler in (("", ALWAYS_ON), (", unsampled", ALWAYS_OFF)):
        tracer_provider, meter_provider = providers(sampler)
        floor = bare_span(*providers(sampler))
        Instrumentor().instrument(tracer_provider=tracer_provider, meter_provider=meter_provider)
        kinds: dict[str, tuple[Callable[[int], None], int]] = {
            "chat": (calls.chat, BLOCK),
            "chat, async": (calls.chat_async, BLOCK),
            "stream, 20 chunks": (calls.stream(20), 4),
            "stream, 200 chunks": (calls.stream(200), 1),
            "400 KB prompt": (calls.large, 1),
        }
        for name, (run, block) in kinds.items():
            if label and "chat" not in name:
                continue
            for _ in range(3):
                run(20)
            gc.collect()
            gc.freeze()
            found = measure(run, floor, block, rounds)
            print(
                f"{name + label:24}{found['base']:9.0f}{found['added']:9.0f}{found['added_mean']:9.0f}"
                f"{found['floor']:9.0f}{found['noise']:9.0f}{found['added'] / found['floor']:8.2f}"
            )
        if not label:
            plain, tapped = per_chunk_ns()
            print(f"{'per chunk, tight loop':24}{plain:9.0f}{tapped - plain:9.0f}   ns")
        Instrumentor().uninstrument()
    print(f"{'import + instrument':24}{'':9}{start_up_ms():9.0f}   ms")


if __name__ == "__main__":
    main()
