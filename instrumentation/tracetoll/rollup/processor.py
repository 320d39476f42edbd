"""The roll-up: a span processor that adds up what the spans below a span came to (design: roll-up).

A total is written when its span is about to end, because nothing can be written later: `end` of agents, workflows
and local roots is ours for that moment.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from opentelemetry.metrics import get_meter
from opentelemetry.sdk.trace import SpanProcessor

from tracetoll.dialects.reader import CALLS
from tracetoll.dialects.words import OURS
from tracetoll.forks import call_in_child
from tracetoll.rollup import totals
from tracetoll.rollup.adder import Adder
from tracetoll.rollup.metrics import TraceMetrics
from tracetoll.rollup.spans import (
    PLAIN,
    SpanReader,
    fields_of,
    is_call_alone,
    is_within_call,
    kind_of,
    running_fields,
    scope_name,
)
from tracetoll.rollup.state import Node, Trace
from tracetoll.safety import fault
from tracetoll.version import __version__
from tracetoll.writing import set_attributes
from tracetoll_semconv import attributes as a

if TYPE_CHECKING:
    from collections import deque

    from opentelemetry.context import Context
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.sdk.trace import ReadableSpan, Span

    from tracetoll.dialects.words import Kind
    from tracetoll.pricing import Prices
    from tracetoll.rollup.foreign import Foreign
    from tracetoll.rollup.state import Ended
    from tracetoll.rollup.totals import Total

T = TypeVar("T")

SCOPE: Final = "tracetoll"
MAX_TRACES: Final = 10_000
MAX_SPANS: Final = 200_000
MAX_SPANS_PER_TRACE: Final = 100_000
MAX_IDLE_S: Final = 3600.0
_NOTED_AT_MOST: Final = 64
"""How many spans that have started or ended are noted until they are worked off together, which takes less."""
# A span's context is a tuple.
_TRACE_ID: Final = 0
_SPAN_ID: Final = 1
_IS_REMOTE: Final = 2
_SWEEP_AFTER: Final = 4096
_SWEEPS_PER_IDLE: Final = 60


class RollupProcessor(SpanProcessor):
    """Writes `tracetoll.rollup.*` on agents, workflows, tasks and local roots: totals of the calls below.

    Usable alone, `provider.add_span_processor(RollupProcessor())`, before or after exporters; `instrument()`
    adds one. Reads our own spans and those of other instrumentation. Never raises.

    State is bounded: traces not heard of for `max_idle_s` seconds are dropped, and the oldest ones beyond
    `max_traces`, or when more than `max_spans` spans are open; beyond `max_spans_per_trace` open spans of one trace,
    further ones are not followed. What is dropped makes totals say `tracetoll.rollup.complete` = false.
    `meter_provider` is where the metrics of traces go; the global one by default.
    """

    def __init__(
        self,
        *,
        meter_provider: MeterProvider | None = None,
        max_traces: int = MAX_TRACES,
        max_spans: int = MAX_SPANS,
        max_spans_per_trace: int = MAX_SPANS_PER_TRACE,
        max_idle_s: float = MAX_IDLE_S,
    ) -> None:
        self._max_traces = max_traces
        self._max_spans = max_spans
        self._max_spans_per_trace = max_spans_per_trace
        self._sweep_s = max_idle_s / _SWEEPS_PER_IDLE
        self._spans = SpanReader()
        self._adder = Adder(self._spans, self._watch, self._let_go)
        self._meter_provider = meter_provider
        self._metrics: TraceMetrics | None = None
        self._measured = True
        self._foreign: Foreign | None = None
        self.on = True
        """Whether spans are followed; instrument() and uninstrument() switch the one that they added."""
        self._start_over()
        call_in_child(self, RollupProcessor._start_over)

    def _start_over(self) -> None:
        self._traces: dict[int, Trace] = {}
        self._adder.start_over()
        self._notes, self._begun = self._adder.notes, self._adder.begun
        self._started = 0
        self._sweep_after = _SWEEP_AFTER
        self._epoch = 0
        self._next_sweep = time.monotonic() + self._sweep_s
        if self._metrics is not None:
            self._metrics.forget()

    def connect(self, foreign: Foreign, prices: Prices, metrics: TraceMetrics | None) -> None:
        """Tell limits of what others emit, with prices in common; record trace metrics, None: leave them out."""
        self._foreign = foreign
        self._spans.share(prices)
        self._metrics = metrics
        self._measured = metrics is not None
        if metrics is not None:
            metrics.following = self._following

    def disconnect(self) -> None:
        """Work alone again."""
        self.force_flush()
        self._foreign = self._metrics = None
        self._measured = True

    # --- what OpenTelemetry calls ------------------------------------------------------------

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002  # OpenTelemetry's name
        """Follow a span."""
        if not self.on:
            return
        try:
            self._started += 1
            if self._started >= self._sweep_after:
                self._sweep()
            context: Any = span._context  # noqa: SLF001  # see `on_end`
            parent: Any = span._parent  # noqa: SLF001
            trace = self._traces.get(context[_TRACE_ID]) or self._new_trace(context[_TRACE_ID])
            up = None
            if parent is not None:
                above = parent[_SPAN_ID]
                up = trace.open.get(above) or self._adder.above(trace, above, remote=parent[_IS_REMOTE])
            node = Node(span)
            node.key = key = context[_SPAN_ID]
            node.trace = trace
            node.up = up
            node.below = node.call = node.said = node.run = None
            node.open = 0
            node.done = node.agent = node.top = False
            operation = fields_of(span).get(a.GEN_AI_OPERATION_NAME)
            kind = None if operation is None else kind_of(operation)
            node.watched = kind is not None
            if up is None:
                self._begin_root(node, span, kind)
            else:
                self._begun.append(up)
                trace.several = True
                if kind == "agent":
                    self._begin_agent(node, span)
            if len(trace.open) < self._max_spans_per_trace:
                trace.open[key] = node
            else:
                self._adder.lost(node)
            if trace.gone:
                self._keep(trace)
        except Exception as error:
            if not fault("noting the start of a span", error):
                raise

    def on_end(self, span: ReadableSpan) -> None:
        """Note that a span has ended: what it came to is added up with others, before somebody asks."""
        try:
            # Properties of a span and of its context take four times as long.
            context: Any = span._context  # noqa: SLF001
            trace = self._traces.get(context[_TRACE_ID])
            if trace is None:
                return
            node = trace.open.pop(context[_SPAN_ID], None)
            if node is None:
                return
            up = node.up
            if node.done:
                self._end_closed(trace, node)
                return
            what = node.said or (span if self._foreign is None else self._on_behalf(self._foreign, node, span))
            if up is None and what is span and not (trace.open or trace.several) and is_call_alone(span):
                self._end_alone(trace, node)
                return
            trace.epoch = self._epoch
            notes = self._notes
            notes.append((node, what))
            # At once where totals are due, where a parent may have to be watched, and what limits have to hear of.
            if (
                up is None or not up.watched or not trace.open or what is not span or len(notes) >= _NOTED_AT_MOST
            ) and self._adder.added():
                self._tell()
        except Exception as error:
            if not fault("noting the end of a span", error):
                raise

    def shutdown(self) -> None:
        """Record the metrics that are noted."""
        self.force_flush()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002  # OpenTelemetry's name
        """Work off what is noted, and record the metrics; returns True."""
        self._adder.added()
        self._tell()
        if self._metrics is not None:
            self._metrics.flush()
        return True

    # --- following spans ---------------------------------------------------------------------

    def _on_behalf(self, foreign: Foreign, node: Node, span: ReadableSpan) -> ReadableSpan | Ended:
        """Return what a span says if limits have to hear of it: only here is known on whose behalf it is."""
        if scope_name(span) == SCOPE or self._spans.telling.isdisjoint(fields_of(span)):
            return span
        behalf = foreign.on_behalf(span)
        if behalf is None or is_within_call(node, SCOPE):
            return span
        ended = self._spans.read(span, node, fields_of(span))
        if ended.counts is not None and ended.trust < OURS:
            ended.behalf = behalf
        return ended

    def _begin_root(self, node: Node, span: Span, kind: Kind | None) -> None:
        node.top = True
        node.agent = kind == "agent"
        if kind not in CALLS:  # most calls have nothing below them; see `_watch`
            self._hook(node, span)
        trace, parent = node.trace, span.parent
        if parent is None or parent.is_remote:
            trace.root, trace.roots = node, trace.roots + 1

    def _begin_agent(self, node: Node, span: Span) -> None:
        if span.name.startswith("invoke_"):
            node.agent = True
            self._hook(node, span)
        else:
            node.watched = False

    def _watch(self, node: Node) -> None:
        """Be told when a span ends that has something below it, if it is one that gets totals."""
        if not node.watched:
            node.watched = True
            span = node()
            if span is not None and self._spans.may_be_agent(span):
                self._hook(node, span)

    def _tell(self) -> None:
        """Tell limits of calls that only others have told of, and note traces. Both have locks of their own."""
        adder = self._adder
        while adder.charges and (charge := _taken(adder.charges)):
            ended, beyond = charge
            if self._foreign is not None and ended.behalf is not None:
                self._foreign.charge(ended, beyond, ended.behalf)
        while adder.wholes and (whole := _taken(adder.wholes)):
            self._measure(*whole)

    def _measure(self, root: ReadableSpan, total: Total) -> None:
        """Note a trace for its metrics."""
        if self._metrics is None and self._measured:
            self._metrics = TraceMetrics(get_meter(SCOPE, __version__, self._meter_provider))
            self._metrics.following = self._following
        if self._metrics is not None:
            self._metrics.note(root, total)

    # --- writing -----------------------------------------------------------------------------

    def _hook(self, node: Node, span: Any) -> None:
        """Have `_ending` called when a span is about to end. A span has no other place to be told of that in."""
        node.watched = True
        span.end = partial(self._ending, node, span)

    def _ending(self, node: Node, span: Any, end_time: int | None = None) -> None:
        """Write the totals of a span, and end it.

        The node cannot tell the span here: in a finaliser, weak references are gone already.
        """
        try:  # noqa: SIM105  # suppress() takes as long as all the rest of this function
            del span.end
        except AttributeError:  # somebody has kept it, and calls it again
            pass
        try:
            if self.on:
                self._write(node, span)
        except Exception as error:
            if not fault("writing the totals of a span", error):
                raise
        finally:
            span.end(end_time)

    def _write(self, node: Node, span: Span) -> None:
        agent = self._spans.tells_only_below(span, node)
        if agent is None:
            self._write_own(node, span)
        elif agent or node.top:
            closed = self._adder.close(node, agent=agent)
            if closed is not None:
                total, complete, last = closed
                of = _of(node, span, total) if node.top else "descendants"
                set_attributes(span, totals.attributes(total, complete, of), plain=True)
                if last and total:
                    self._measure(span, total)

    def _write_own(self, node: Node, span: Span) -> None:
        """Write the totals of a span that tells something itself."""
        if not (node.agent or self._adder.has_below(node) or (node.top and self._spans.tells_totals(span))):
            return
        if not (node.top or node.agent or self._spans.may_be_agent(span)):
            return
        ended = self._spans.read(span, node, running_fields(span))
        is_agent = ended.kind == "agent"
        if not is_agent and not node.top:
            return
        below, total, complete = self._adder.so_far(node, ended)
        if not is_agent and (not total or (not below and ended.kind in CALLS)):
            return  # a call alone says everything itself
        set_attributes(span, totals.attributes(total, complete, _of(node, span, total)), plain=True)
        if ended.counts is None:  # else it matters when it ends
            node.said = ended

    def _end_alone(self, trace: Trace, node: Node) -> None:
        """Forget a trace that was nothing but one call, which says everything itself."""
        node.done = True
        self._let_go(trace)

    def _end_closed(self, trace: Trace, node: Node) -> None:
        """Note that a span has ended whose total was moved on when it was about to end."""
        trace.epoch = self._epoch
        if not trace.open:
            self._let_go(trace)
        elif node.up is None:
            self._notes.append((node, PLAIN))  # others may have been dropped
            self._adder.added()
        adder = self._adder
        if adder.wholes or adder.charges:
            self._tell()

    def _following(self) -> int:
        return len(self._traces)

    # --- keeping bounds ----------------------------------------------------------------------

    def _new_trace(self, key: int) -> Trace:
        if len(self._traces) >= self._max_traces:
            self._adder.tidy(list(self._traces.values()))
            self._drop_idle(self._max_traces * 9 // 10)
        return self._traces.setdefault(key, Trace(key, self._epoch))

    def _keep(self, trace: Trace) -> None:
        """Take back a trace that was let go of while a span of it started."""
        trace.gone = False
        self._traces[trace.key] = trace

    def _let_go(self, trace: Trace) -> None:
        """Forget a trace that has no open span."""
        if not trace.gone:
            trace.gone = True
            if self._traces.get(trace.key) is trace:
                del self._traces[trace.key]
            if trace.open:
                self._keep(trace)
            else:
                trace.forget()

    def _sweep(self) -> None:
        """Work off what is noted, and drop what was not heard of for long, or is too much."""
        self._started = 0
        traces = list(self._traces.values())
        self._adder.tidy(traces)
        now = time.monotonic()
        if now >= self._next_sweep:
            self._next_sweep = now + self._sweep_s
            self._epoch += 1
            for trace in traces:
                if trace.epoch < self._epoch - _SWEEPS_PER_IDLE:
                    self._drop(trace)
        following = sum(len(trace.open) for trace in traces)
        if following > self._max_spans:
            self._drop_idle(len(self._traces) * 9 // 10)
        self._sweep_after = max(_SWEEP_AFTER, following)  # all of them are looked at each time

    def _drop_idle(self, kept: int) -> None:
        """Drop the traces that were not heard of for longest, down to so many."""
        by_age = sorted(self._traces.values(), key=lambda trace: trace.epoch)
        for trace in by_age[: max(1, len(by_age) - kept)]:
            self._drop(trace)

    def _drop(self, trace: Trace) -> None:
        trace.gone = True
        self._traces.pop(trace.key, None)


def _of(node: Node, span: Span, total: Total) -> str:
    """Return what the total of a span is of."""
    if not node.top:
        return "descendants"
    return "process" if span._parent is not None or totals.AWAY in total else "trace"  # noqa: SLF001  # see `on_end`


def _taken(line: deque[T]) -> T | None:
    """Take what is next in line; None: another thread has taken the last one."""
    try:
        return line.popleft()
    except IndexError:
        return None
