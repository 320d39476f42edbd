"""Measure what the demo's telemetry weighs, and what a collector and ClickHouse need for it: docs/operations.md.

    python benchmarks/telemetry.py

Sizes are those of the demo's spans; the collector runs collector.yaml and is asked for its CPU time, so a busy machine
makes no difference. Needs the collector (tools/binaries.py), and the environment `history` for ClickHouse.
"""

from __future__ import annotations

import gzip
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any
from urllib.request import Request

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tracetoll import Instrumentor
from tracetoll.demo.run import run

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import stack  # noqa: E402  # what starts the collector is a tool

if TYPE_CHECKING:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

REQUESTS = 400
DEMOS_PER_REQUEST = 10
ROWS = 200_000


def demo() -> tuple[ExportTraceServiceRequest, int, int]:
    """Return the demo's spans as they go over the wire, how many there are, and how many of them are calls."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource.create({"service.name": "demo"}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    Instrumentor().instrument(tracer_provider=provider)
    run()
    Instrumentor().uninstrument()
    spans = exporter.get_finished_spans()
    calls = sum("gen_ai.usage.input_tokens" in (span.attributes or {}) for span in spans)
    return encode_spans(spans), len(spans), calls


def renamed(request: ExportTraceServiceRequest, times: int, random: Random) -> bytes:
    """Return a request with the same spans several times, under ids of their own."""
    made: Any = type(request)()
    for _ in range(times):
        copy: Any = type(request)()
        copy.CopyFrom(request)
        trace_id, ids = random.randbytes(16), {}
        for resource in copy.resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    span.trace_id = trace_id
                    span.span_id = ids.setdefault(bytes(span.span_id), random.randbytes(8))
                    if span.parent_span_id:
                        span.parent_span_id = ids.setdefault(bytes(span.parent_span_id), random.randbytes(8))
        made.resource_spans.extend(copy.resource_spans)
    content: bytes = made.SerializeToString()
    return content


def own(collector: stack.Collector, name: str) -> float:
    """Return a number that the collector tells of itself, over all of its labels."""
    text = stack.get(f"http://{collector.own_metrics}/metrics").decode()
    return sum(float(line.split()[-1]) for line in text.splitlines() if re.match(rf"{name}[ {{]", line))


def through_a_collector(request: ExportTraceServiceRequest, spans: int) -> None:
    """Print what a collector needs for each span, and how large the file of JSON lines becomes."""
    random = Random(7)  # noqa: S311  # ids, not secrets
    with tempfile.TemporaryDirectory() as place:
        settings = {
            "KIT_JAEGER": "127.0.0.1:9",
            "KIT_KEEP_PERCENT": 0,
            "KIT_DECISION_WAIT": "3s",
            "KIT_ROOT_WAIT": "1s",
        }
        with stack.Collector(Path(place), ports=stack.free_ports(5), **settings) as collector:
            before = own(collector, "otelcol_process_cpu_seconds_total")
            for _ in range(REQUESTS):
                body = renamed(request, DEMOS_PER_REQUEST, random)
                headers = {"content-type": "application/x-protobuf"}
                stack.direct.open(Request(f"{collector.otlp}/v1/traces", body, headers), timeout=30).close()  # noqa: S310  # on this machine
            sent = REQUESTS * DEMOS_PER_REQUEST * spans
            stack.until(lambda: own(collector, "otelcol_exporter_sent_spans_total") >= sent, 60, "the last span")
            cpu = own(collector, "otelcol_process_cpu_seconds_total") - before
            memory = own(collector, "otelcol_process_memory_rss_bytes") or own(collector, "otelcol_process_memory_rss")
        size = Path(place, "traces.jsonl").stat().st_size
    print(f"collector: {sent:,} spans in {cpu:.1f} s of CPU: {sent / cpu:,.0f} spans per core and second")
    print(f"collector: {memory / 1e6:.0f} MB of memory at their end")
    print(f"JSON lines: {size / sent:.0f} bytes a span")


def in_clickhouse() -> None:
    """Print how many bytes a span takes on ClickHouse's disk."""
    build = [sys.executable, ROOT / "tools" / "environment.py", "history"]
    python = subprocess.run(build, check=True, capture_output=True, text=True).stdout.strip()
    subprocess.run([python, Path(__file__).with_name("telemetry_clickhouse.py"), str(ROWS)], check=True)


def main() -> None:
    """Print everything."""
    request, spans, calls = demo()
    content = request.SerializeToString()
    print(f"demo: {spans} spans, {calls} calls: {spans / calls:.1f} spans a call")
    print(f"OTLP: {len(content) / spans:.0f} bytes a span, {len(gzip.compress(content)) / spans:.0f} with gzip")
    through_a_collector(request, spans)
    in_clickhouse()


if __name__ == "__main__":
    main()
