"""Read a span for the roll-up: what its emitter tells, and what OpenTelemetry itself says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from opentelemetry.trace import SpanKind, StatusCode

from tracetoll import usage as u
from tracetoll.dialects.reader import Reader
from tracetoll.dialects.words import NAMES_OF_CALLS, OURS
from tracetoll.pricing import Prices, complete_httpx2
from tracetoll.reading import count
from tracetoll.rollup import totals
from tracetoll.rollup.metrics import Labels
from tracetoll.rollup.state import Ended
from tracetoll.usage import NANO
from tracetoll_semconv import attributes as a

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan, Span

    from tracetoll.dialects.words import Kind
    from tracetoll.rollup.state import Node
    from tracetoll.rollup.totals import Total

_ERROR: Final = StatusCode.ERROR
_OUTGOING: Final = (SpanKind.CLIENT, SpanKind.PRODUCER)
_STORES: Final = frozenset({"db.system.name", "db.system"})
_REMOTE: Final = {
    "tracetoll.remote.input_tokens": u.INPUT,
    "tracetoll.remote.output_tokens": u.OUTPUT,
    "tracetoll.remote.cache_read.input_tokens": u.CACHE_READ,
    "tracetoll.remote.cache_write.input_tokens": u.CACHE_WRITE,
    "tracetoll.remote.reasoning.output_tokens": u.REASONING,
    "tracetoll.remote.inference_call.count": totals.CALLS,
    "tracetoll.remote.embedding_call.count": totals.EMBEDDINGS,
}
_REMOTE_MARK: Final = "tracetoll.remote.inference_call.count"
_LARGEST_COST: Final = 1e9


def _nothing() -> Ended:
    ended = Ended("none", 0)
    ended.total = {}
    return ended


PLAIN: Final = _nothing()
"""A span that has nothing to say; most have not."""


class SpanReader:
    """Reads spans of any emitter. Thread-safe."""

    def __init__(self) -> None:
        self._reader = Reader(Ended)
        self.prices: Prices | None = None
        complete_httpx2()
        """Made when they are needed, unless somebody shares theirs."""

    def read(self, span: ReadableSpan, node: Node) -> Ended:
        """Return what a span says."""
        fields = _fields(span)
        scope = _scope_name(span)
        ended = self._reader.read(scope, fields)
        if ended is not None:
            ended.scope = scope
            self._complete(ended, span, node, fields)
        elif node.top or _REMOTE_MARK in fields:
            ended = _nothing()
        elif span.kind in _OUTGOING and _STORES.isdisjoint(fields):
            ended = Ended("none", 0)
            ended.total = {totals.AWAY: 1}
        else:
            return PLAIN
        if _REMOTE_MARK in fields:
            ended.remote = _remote(fields)
        if node.top:
            ended.labels = Labels.of(span, fields)
        return ended

    def may_be_agent(self, span: Span) -> bool:
        """Return whether a span that runs is one that gets totals, or does not say yet what it is."""
        fields = _fields(span)
        kind = NAMES_OF_CALLS.get(fields.get(a.GEN_AI_OPERATION_NAME, "")) or self._reader.kind(
            _scope_name(span), fields
        )
        return kind is None or kind == "agent"

    def tells_totals(self, span: Span) -> bool:
        """Return whether a span with nothing below it tells what an agent or another service spent."""
        fields = _fields(span)
        return _REMOTE_MARK in fields or self._reader.kind(_scope_name(span), fields) == "agent"

    def kind_at_start(self, span: Span) -> Kind | None:
        """Return what a span that starts says that it is, by upstream's name of the operation."""
        return NAMES_OF_CALLS.get(_fields(span).get(a.GEN_AI_OPERATION_NAME, ""))

    def _complete(self, ended: Ended, span: ReadableSpan, node: Node, fields: dict[str, Any]) -> None:
        """Add what the emitter's table does not know."""
        counts = ended.counts
        if node.agent:
            ended.kind = "agent"
        elif ended.kind == "tool" and _is_within(node, fields.get(a.GEN_AI_TOOL_NAME)):
            ended.kind = "none"
        if counts is not None:
            if ended.trust < OURS:
                price = self._price(ended)
                if price is not None:
                    ended.cost = price
            ended.started_ns, ended.ended_ns = span.start_time or 0, span.end_time or 0
        failed = a.ERROR_TYPE in fields or span.status.status_code is _ERROR
        ended.total = totals.of(ended, failed=failed)

    def _price(self, ended: Ended) -> int | None:
        """Return what we know that somebody else's call costs, in nano-dollars."""
        if ended.model is None or ended.counts is None:
            return None
        if self.prices is None:
            self.prices = Prices()
        return self.prices.price(ended.provider, ended.model, ended.counts)


def _scope_name(span: ReadableSpan) -> str:
    scope = span.instrumentation_scope
    return scope.name if scope is not None else ""


def _fields(span: ReadableSpan) -> dict[str, Any]:
    """Return a span's attributes as a plain dictionary, which is read in a tenth of the time."""
    kept: Any = span._attributes  # noqa: SLF001  # the public property makes a proxy whose every read is a call
    found: dict[str, Any] = kept.copy() if kept is not None else {}
    return found


def is_within_call(node: Node, scope: str) -> bool:
    """Return whether a span is inside of a call, still open, that a scope tells of: that one settles itself."""
    up = node.up
    while up is not None:
        span = None if up.done else up()
        if span is not None and span.kind is SpanKind.CLIENT and _scope_name(span) == scope:
            return True
        up = up.up
    return False


def _is_within(node: Node, tool: object) -> bool:
    """Return whether the span above tells of the same run of a tool."""
    up = node.up
    span = up() if up is not None else None
    if span is None or tool is None:
        return False
    above = span.attributes or {}
    return above.get(a.GEN_AI_OPERATION_NAME) == "execute_tool" and above.get(a.GEN_AI_TOOL_NAME) == tool


def _remote(fields: dict[str, Any]) -> Total:
    """Return what another process has told that it spent for this span."""
    found = {name: number for attribute, name in _REMOTE.items() if (number := count(fields.get(attribute)))}
    cost = fields.get("tracetoll.remote.cost.amount")
    if isinstance(cost, int | float) and not isinstance(cost, bool) and 0 <= cost < _LARGEST_COST:
        found[totals.COST] = round(cost * NANO)
    if fields.get("tracetoll.remote.complete") is False:
        found[totals.LOST] = 1
    return found
