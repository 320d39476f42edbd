"""The metrics of whole traces: tokens, cost and calls, by who did them. Recorded when a local root ends."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from opentelemetry.metrics import Observation
from opentelemetry.trace import NonRecordingSpan, set_span_in_context

from tracetoll import usage as u
from tracetoll.rollup import totals
from tracetoll.rollup.spans import fields_of
from tracetoll.safety import contained
from tracetoll.usage import FEMTO
from tracetoll_semconv import attributes as a
from tracetoll_semconv import metrics as m

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from opentelemetry.metrics import CallbackOptions, Histogram, Meter
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import SpanContext

    from tracetoll.rollup.totals import Total
    from tracetoll_semconv.metrics import Metric

_RECORDING: Final = contained("recording the metrics of a trace")
_NOTED_AT_MOST: Final = 64
_NAMES_KEPT: Final = 200
OTHER: Final = "other"


class Labels(NamedTuple):
    """Who a trace is told under: the agent or workflow that its local root is, else the root's name."""

    operation: str | None
    agent: str | None
    workflow: str | None
    name: str
    context: SpanContext

    @classmethod
    def of(cls, span: ReadableSpan) -> Labels:
        """Return what a local root is told under."""
        told = fields_of(span)
        operation, agent = told.get(a.GEN_AI_OPERATION_NAME), told.get(a.GEN_AI_AGENT_NAME)
        workflow = told.get(a.GEN_AI_WORKFLOW_NAME)
        return cls(
            operation if isinstance(operation, str) else None,
            agent if isinstance(agent, str) else None,
            workflow if isinstance(workflow, str) else None,
            span.name,
            span.context,
        )


class TraceMetrics:
    """Histograms per trace. Thread-safe; a trace is only noted, and recorded with others before a collection."""

    def __init__(self, meter: Meter) -> None:
        self.following: Callable[[], int] = int
        """Tells how many traces the roll-up follows now."""
        self._followed = False
        self._noted: deque[tuple[Labels, Total]] = deque()
        self._names: set[str] = set()
        self._tokens = _histogram(meter, m.TRACE_TOKENS)
        self._cost = _histogram(meter, m.TRACE_COST)
        self._calls = _histogram(meter, m.TRACE_INFERENCE_CALLS)
        metric = m.ROLLUP_TRACES
        meter.create_observable_gauge(metric.name, [self._observe], metric.unit, metric.description)

    def note(self, root: ReadableSpan, total: Total) -> None:
        """Note one trace that has ended, if it called a model."""
        if u.INPUT not in total and u.OUTPUT not in total and totals.CALLS not in total:
            return
        self._noted.append((Labels.of(root), total))
        if len(self._noted) >= _NOTED_AT_MOST:
            self.flush()

    def flush(self) -> None:
        """Record every trace noted so far."""
        with _RECORDING:
            while True:
                try:
                    labels, total = self._noted.popleft()
                except IndexError:
                    return
                self._record(labels, total)

    def forget(self) -> None:
        """Drop what is noted: in a forked child it is the parent's to record."""
        self._noted.clear()

    def _observe(self, _: CallbackOptions) -> Iterable[Observation]:
        # Asked before histograms are collected, so none is noted too late.
        self.flush()
        following = self.following()
        self._followed = self._followed or bool(following)
        return [Observation(following)] if self._followed else ()

    def _record(self, labels: Labels, total: Total) -> None:
        told = self._attributes(labels)
        within = set_span_in_context(NonRecordingSpan(labels.context))  # so that exemplars lead to the trace
        for kind, name in (("input", u.INPUT), ("output", u.OUTPUT)):
            if name in total:
                self._tokens.record(total[name], {**told, a.GEN_AI_TOKEN_TYPE: kind}, within)
        if totals.COST in total:
            self._cost.record(total[totals.COST] / FEMTO, told, within)
        self._calls.record(total.get(totals.CALLS, 0), told, within)

    def _attributes(self, labels: Labels) -> dict[str, Any]:
        told = {
            name: value
            for name, value in (
                (a.GEN_AI_OPERATION_NAME, labels.operation),
                (a.GEN_AI_AGENT_NAME, labels.agent),
                (a.GEN_AI_WORKFLOW_NAME, labels.workflow),
            )
            if value is not None
        }
        if labels.agent is None and labels.workflow is None:
            told[a.TRACE_NAME] = self._bounded(labels.name)
        return told

    def _bounded(self, name: str) -> str:
        """Return a root's name; "other" once there are too many, because somebody puts ids into them."""
        if name not in self._names:
            if len(self._names) >= _NAMES_KEPT:
                return OTHER
            self._names.add(name)
        return name


def _histogram(meter: Meter, metric: Metric) -> Histogram:
    return meter.create_histogram(
        metric.name, metric.unit, metric.description, explicit_bucket_boundaries_advisory=metric.boundaries
    )
