"""The metrics of whole traces: tokens, cost and calls, by who did them. Recorded when a local root ends."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from opentelemetry.context import Context
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
_LABELS_KEPT: Final = 500
_NOWHERE: Final = Context()
_NAMES: Final = (a.GEN_AI_OPERATION_NAME, a.GEN_AI_AGENT_NAME, a.GEN_AI_WORKFLOW_NAME)
_NAMED: Final = frozenset(_NAMES)

Labels = tuple["str | None", "str | None", "str | None", str]
"""Who a trace is told under: the operation, agent and workflow that its local root is, and the root's name."""


class Attributes(NamedTuple):
    """The attributes that a trace is told under."""

    trace: dict[str, Any]
    input: dict[str, Any]
    output: dict[str, Any]


def _labels(span: ReadableSpan) -> Labels:
    """Return who a trace is told under, by its local root."""
    told = fields_of(span)
    if _NAMED.isdisjoint(told):
        return None, None, None, span._name  # noqa: SLF001  # see `fields_of`
    operation, agent, workflow = (told.get(name) for name in _NAMES)
    return (
        operation if isinstance(operation, str) else None,
        agent if isinstance(agent, str) else None,
        workflow if isinstance(workflow, str) else None,
        span.name,
    )


class TraceMetrics:
    """Histograms per trace. Thread-safe; a trace is only noted, and recorded with others before a collection."""

    def __init__(self, meter: Meter) -> None:
        self.following: Callable[[], int] = int
        """Tells how many traces the roll-up follows now."""
        self._followed = False
        self._noted: deque[tuple[Labels, SpanContext, Total]] = deque()
        self._told: dict[Labels, Attributes] = {}
        self._names: set[str] = set()
        self._tokens = _histogram(meter, m.TRACE_TOKENS)
        self._cost = _histogram(meter, m.TRACE_COST)
        self._calls = _histogram(meter, m.TRACE_INFERENCE_CALLS)
        metric = m.ROLLUP_TRACES
        meter.create_observable_gauge(metric.name, [self._observe], metric.unit, metric.description)

    def note(self, root: ReadableSpan, total: Total) -> None:
        """Note one trace that has ended, if it called a model, and somebody hears of it."""
        if getattr(self._calls, "_real_instrument", self) is None:
            return  # there is no meter provider yet, and what stands for its histograms would drop all of it
        if u.INPUT not in total and u.OUTPUT not in total and totals.CALLS not in total:
            return
        context: Any = root._context  # noqa: SLF001  # see `fields_of`
        self._noted.append((_labels(root), context, total))
        if len(self._noted) >= _NOTED_AT_MOST:
            self.flush()

    def flush(self) -> None:
        """Record every trace noted so far."""
        with _RECORDING:
            while True:
                try:
                    labels, context, total = self._noted.popleft()
                except IndexError:
                    return
                self._record(labels, context, total)

    def forget(self) -> None:
        """Drop what is noted: in a forked child it is the parent's to record."""
        self._noted.clear()

    def _observe(self, _: CallbackOptions) -> Iterable[Observation]:
        # Asked before histograms are collected, so none is noted too late.
        self.flush()
        following = self.following()
        self._followed = self._followed or bool(following)
        return [Observation(following)] if self._followed else ()

    def _record(self, labels: Labels, context: SpanContext, total: Total) -> None:
        told, into, out = self._told.get(labels) or self._tell(labels)
        within = set_span_in_context(NonRecordingSpan(context), _NOWHERE)  # so that exemplars lead to the trace
        if u.INPUT in total:
            self._tokens.record(total[u.INPUT], into, within)
        if u.OUTPUT in total:
            self._tokens.record(total[u.OUTPUT], out, within)
        if totals.COST in total:
            self._cost.record(total[totals.COST] / FEMTO, told, within)
        self._calls.record(total.get(totals.CALLS, 0), told, within)

    def _tell(self, labels: Labels) -> Attributes:
        """Return the attributes of such traces, and remember them."""
        *who, name = labels
        told: dict[str, Any] = {key: value for key, value in zip(_NAMES, who, strict=True) if value is not None}
        if a.GEN_AI_AGENT_NAME not in told and a.GEN_AI_WORKFLOW_NAME not in told:
            told[a.TRACE_NAME] = self._bounded(name)
        if len(self._told) >= _LABELS_KEPT:
            self._told.clear()
        self._told[labels] = found = Attributes(
            told, {**told, a.GEN_AI_TOKEN_TYPE: "input"}, {**told, a.GEN_AI_TOKEN_TYPE: "output"}
        )
        return found

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
