"""One scripted run beside one package, in a process of its own: packages patch for good.

    python scenario.py PACKAGE CONFIGURATION FILE

runs inside the package's environment, and writes as JSON what the local provider handed out and what the roll-up
says, for each step and for the whole trace, and all spans.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict
from importlib import import_module, metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import arrangements
from opentelemetry import trace
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from packages import PACKAGES

from tracetoll import Instrumentor, RollupProcessor, agent
from tracetoll.local_provider import LocalProvider

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from opentelemetry.sdk.trace import ReadableSpan
    from packages import Configuration, Package

    Step: TypeAlias = Callable[[str], Awaitable[None]]

ROOT = "request"
AGENT = "invoke_agent "
PATIENCE_S = 20.0
TOLD = {
    "input_tokens": "tracetoll.rollup.input_tokens",
    "output_tokens": "tracetoll.rollup.output_tokens",
    "cache_read": "tracetoll.rollup.cache_read.input_tokens",
    "cache_write": "tracetoll.rollup.cache_write.input_tokens",
    "reasoning": "tracetoll.rollup.reasoning.output_tokens",
}
CALLS = ("tracetoll.rollup.inference_call.count", "tracetoll.rollup.embedding_call.count")


def told(span: ReadableSpan) -> dict[str, int]:
    """Return what a span's totals say; what they do not mention is 0."""
    attributes: Mapping[str, Any] = span.attributes or {}
    counts = {field: attributes.get(name, 0) for field, name in TOLD.items()}
    return {"calls": sum(attributes.get(name, 0) for name in CALLS), **counts}


def described(span: ReadableSpan) -> dict[str, Any]:
    """Return a span as plain data."""
    context = span.get_span_context()
    return {
        "scope": span.instrumentation_scope.name if span.instrumentation_scope is not None else "",
        "name": span.name,
        "id": trace.format_span_id(context.span_id) if context is not None else "",
        "parent": trace.format_span_id(span.parent.span_id) if span.parent is not None else None,
        "start": span.start_time,
        "end": span.end_time,
        "status": span.status.status_code.name,
        "attributes": {name: str(value)[:200] for name, value in (span.attributes or {}).items()},
    }


async def until_told(exporter: InMemorySpanExporter, name: str, number: int) -> None:
    """Wait for a package that tells of its calls later, from threads of its own."""
    for _ in range(int(PATIENCE_S / 0.01)):
        if sum(span.name == name for span in exporter.get_finished_spans()) >= number:
            return
        await asyncio.sleep(0.01)


async def run(package: Package, provider: LocalProvider, exporter: InMemorySpanExporter) -> dict[str, Any]:
    """Run all steps below one plain span, each in an agent of its own, and return what each was handed out."""
    module, _, table = package.steps.partition(":")
    steps: Mapping[str, Step] = getattr(import_module(module), table)
    handed_out = {}
    with trace.get_tracer("application").start_as_current_span(ROOT):
        for name, step in steps.items():
            before = provider.handed_out
            with agent(name):
                await step(provider.url)
                if package.late is not None:
                    await until_told(exporter, package.late, provider.handed_out.calls)
            handed_out[name] = asdict(provider.handed_out - before)
    return {**handed_out, ROOT: asdict(provider.handed_out)}


def arrange(package: Package, configuration: Configuration, exporter: InMemorySpanExporter) -> None:
    """Set up OpenTelemetry, the package, and what of ours the configuration has, in its order."""
    arrangements.PROVIDERS[package.provider]()
    if configuration == "before":
        Instrumentor().instrument()
    if package.arrangement is not None:
        arrangements.ARRANGEMENTS[package.arrangement]()
    for target in package.instrumentors:
        module, _, name = target.partition(":")
        getattr(import_module(module), name)().instrument()
    if configuration == "after":
        Instrumentor().instrument()
    current: Any = trace.get_tracer_provider()
    if configuration == "alone":
        current.add_span_processor(RollupProcessor())
    # The last one: a span that is seen there has been added up.
    current.add_span_processor(SimpleSpanProcessor(exporter))


def main(name: str, configuration: Configuration, file: str) -> None:
    """Run one package in one configuration."""
    package = PACKAGES[name]
    exporter = InMemorySpanExporter()
    arrange(package, configuration, exporter)
    with LocalProvider() as provider:
        handed_out = asyncio.run(run(package, provider, exporter))
    spans = exporter.get_finished_spans()
    totals = {span.name.removeprefix(AGENT): told(span) for span in spans if span.name.startswith(AGENT)}
    (root,) = (span for span in spans if span.name == ROOT)
    result = {
        "versions": {name: metadata.version(name) for name in (*package.shown, *package.beside)},
        "handed_out": handed_out,
        "told": {step: totals[step] for step in handed_out if step != ROOT} | {ROOT: told(root)},
        "complete": (root.attributes or {}).get("tracetoll.rollup.complete"),
        "spans": [described(span) for span in spans],
    }
    Path(file).write_text(json.dumps(result))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3])  # type: ignore[arg-type]  # one of the words of Configuration
