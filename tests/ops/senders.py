"""Applications in this process that send over OTLP to a collector."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator

from tracetoll import Instrumentor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stack import Collector


class SameIds(IdGenerator):
    """Makes the same ids in each run, so that what is sampled by id is the same."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)  # noqa: S311  # nothing is secret here

    def generate_span_id(self) -> int:
        return self._random.getrandbits(64) or 1

    def generate_trace_id(self) -> int:
        return self._random.getrandbits(128) or 1


@dataclass(frozen=True, slots=True)
class Application:
    """OpenTelemetry providers that export to a collector."""

    tracer_provider: TracerProvider
    meter_provider: MeterProvider
    logger_provider: LoggerProvider

    def flush(self) -> None:
        self.tracer_provider.force_flush()
        self.meter_provider.force_flush()
        self.logger_provider.force_flush()


@contextmanager
def application(
    collector: Collector, service: str, *, span_exporter: Any = None, seed: int = 1, **settings: Any
) -> Iterator[Application]:
    """Yield an application that tracetoll instruments; everything has been sent at the end of the block."""
    resource = Resource.create({"service.name": service})
    tracer_provider = TracerProvider(resource=resource, id_generator=SameIds(seed), shutdown_on_exit=False)
    exporter = span_exporter or OTLPSpanExporter(endpoint=f"{collector.otlp}/v1/traces")
    tracer_provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=200))
    to_metrics = OTLPMetricExporter(endpoint=f"{collector.otlp}/v1/metrics")
    reader = PeriodicExportingMetricReader(to_metrics, export_interval_millis=3_600_000)
    meter_provider = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
    logger_provider = LoggerProvider(resource=resource, shutdown_on_exit=False)
    to_logs = OTLPLogExporter(endpoint=f"{collector.otlp}/v1/logs")
    logger_provider.add_log_record_processor(BatchLogRecordProcessor(to_logs))
    made = Application(tracer_provider, meter_provider, logger_provider)
    Instrumentor().instrument(
        tracer_provider=tracer_provider, meter_provider=meter_provider, logger_provider=logger_provider, **settings
    )
    try:
        yield made
        made.flush()
    finally:
        Instrumentor().uninstrument()
        for provider in (tracer_provider, meter_provider, logger_provider):
            provider.shutdown()
