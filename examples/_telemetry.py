"""For the examples: an OpenTelemetry set-up that keeps spans in memory, so that they can be printed.

An application of yours exports them instead: give the tracer provider a BatchSpanProcessor(OTLPSpanExporter()).
"""

from __future__ import annotations

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


def spans_in_memory() -> InMemorySpanExporter:
    """Make a tracer provider the global one, and return where its spans go."""
    spans = InMemorySpanExporter()
    tracer_provider = TracerProvider()
    tracer_provider.add_span_processor(SimpleSpanProcessor(spans))
    trace.set_tracer_provider(tracer_provider)
    return spans
