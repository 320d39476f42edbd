"""The OpenTelemetry set-up of a command: spans are kept for printing, and sent where the variables say."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from tracetoll.cli.otlp import destination, metric_exporter, span_exporter
from tracetoll.cli.trouble import TroubleError
from tracetoll.cli.witness import WitnessedMetrics, WitnessedSpans

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricReader
    from opentelemetry.sdk.trace import ReadableSpan

    from tracetoll.cli.otlp import Destination


@dataclass(slots=True)
class Telemetry:
    """Tracer and meter provider of one run. `flush` ends them and returns what became of the export."""

    tracer_provider: TracerProvider
    meter_provider: MeterProvider
    _memory: InMemorySpanExporter
    _sent: list[tuple[Destination, WitnessedSpans | WitnessedMetrics]] = field(default_factory=list)
    _unreachable: list[Destination] = field(default_factory=list)

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        """The spans that have ended."""
        return self._memory.get_finished_spans()

    def flush(self) -> tuple[list[str], list[str]]:
        """Send what is left; return what was delivered, and what could not be."""
        exporters = logging.getLogger("opentelemetry")
        level = exporters.level
        exporters.setLevel(logging.CRITICAL)  # what went wrong is said once, by us
        try:
            self.tracer_provider.shutdown()
            self.meter_provider.shutdown()
        finally:
            exporters.setLevel(level)
        delivered, failed = [], []
        for to, witness in self._sent:
            what = "spans" if to.signal == "traces" else "metrics"
            if witness.delivered:
                delivered.append(f"sent {witness.delivered} {what} to {to.url} ({to.protocol})")
            else:
                failed.append(f"{to.url} did not take the {what}; its own log may say why{to.hint}")
        failed += [
            f"nothing listens at {to.url}, no {to.signal} were sent; start a collector there, or unset {to.variable}"
            for to in self._unreachable
        ]
        return delivered, failed


def set_up(service_name: str) -> Telemetry:
    """Return the set-up of a run. Raises `TroubleError` where the variables ask for what cannot be done."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        msg = "OTEL_SDK_DISABLED switches OpenTelemetry off, so there is nothing to see; unset it"
        raise TroubleError(msg)
    to_spans, to_metrics = destination("traces"), destination("metrics")
    given = Resource.create()
    named = not str(given.attributes.get(SERVICE_NAME, "unknown_service")).startswith("unknown_service")
    resource = given if named else given.merge(Resource({SERVICE_NAME: service_name}))
    memory = InMemorySpanExporter()
    tracer_provider = TracerProvider(resource=resource, sampler=ALWAYS_ON, shutdown_on_exit=False)
    tracer_provider.add_span_processor(SimpleSpanProcessor(memory))
    sent: list[tuple[Destination, WitnessedSpans | WitnessedMetrics]] = []
    readers: list[MetricReader] = []
    unreachable = [to for to in (to_spans, to_metrics) if to is not None and not to.reachable()]
    if to_spans is not None and to_spans not in unreachable:
        spans = WitnessedSpans(span_exporter(to_spans))
        tracer_provider.add_span_processor(BatchSpanProcessor(spans))
        sent.append((to_spans, spans))
    if to_metrics is not None and to_metrics not in unreachable:
        metrics = WitnessedMetrics(metric_exporter(to_metrics))
        readers.append(PeriodicExportingMetricReader(metrics, export_interval_millis=60_000))
        sent.append((to_metrics, metrics))
    meter_provider = MeterProvider(readers, resource=resource, shutdown_on_exit=False)
    return Telemetry(tracer_provider, meter_provider, memory, sent, unreachable)
