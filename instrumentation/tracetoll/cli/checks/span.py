"""One span, through the exporter that the variables ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from tracetoll.cli.checks.section import Section, warnings_of
from tracetoll.cli.otlp import destination, span_exporter
from tracetoll.cli.trouble import TroubleError
from tracetoll.version import __version__

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from tracetoll.cli.otlp import Destination

NAME: Final = "tracetoll doctor"


def check_span() -> Section:
    """Make a span, send it where an endpoint is set and can be reached, and tell what became of it."""
    section = Section("test span", ("step", "outcome"))
    spans = _made()
    section.rows.append(("made", "yes" if spans else "no: the SDK is switched off"))
    try:
        to = destination("traces")
        if to is None:
            section.rows.append(("exported", "no: no endpoint is set"))
        elif not spans or not to.reachable():
            section.rows.append(("exported", "no"))
        elif _sent(spans, to):
            context = spans[0].context
            trace_id = format(context.trace_id, "032x") if context is not None else ""
            section.rows.append(("exported", f"yes: trace {trace_id} at {to.url}"))
        else:
            section.rows.append(("exported", "no"))
            section.attention.append(
                f"{to.url} did not take the test span: look at its log, and whether {to.variable}, its protocol "
                f"({to.protocol}) and its headers are right{to.hint}"
            )
    except TroubleError as trouble:
        section.rows.append(("exported", "no"))
        section.attention.append(str(trouble))
    return section


def _made() -> tuple[ReadableSpan, ...]:
    memory = InMemorySpanExporter()
    provider = TracerProvider(sampler=ALWAYS_ON, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(memory))
    provider.get_tracer("tracetoll", __version__).start_span(NAME).end()
    return memory.get_finished_spans()


def _sent(spans: tuple[ReadableSpan, ...], to: Destination) -> bool:
    """Return whether the collector took the spans; what an exporter logs may hold a key, so it is not shown."""
    exporter = span_exporter(to)
    with warnings_of("opentelemetry"):
        try:
            return exporter.export(spans) is SpanExportResult.SUCCESS
        except Exception:  # noqa: BLE001  # exporters raise what their transport raises
            return False
        finally:
            exporter.shutdown()
