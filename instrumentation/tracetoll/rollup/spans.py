"""Read a span for the roll-up: what its emitter tells, and what OpenTelemetry itself says of it."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.trace import SpanKind, StatusCode

from tracetoll import usage as u
from tracetoll.dialects.reader import CALLS, Reader
from tracetoll.dialects.words import NAMES_OF_CALLS, OURS
from tracetoll.pricing import Prices, complete_httpx2
from tracetoll.reading import count
from tracetoll.rollup import totals
from tracetoll.rollup.state import Ended
from tracetoll.usage import FEMTO_PER_NANO, NANO
from tracetoll_semconv import attributes as a

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan, Span

    from tracetoll.dialects.reader import Fields
    from tracetoll.dialects.words import Kind
    from tracetoll.pricing import Known
    from tracetoll.rollup.state import Node
    from tracetoll.rollup.totals import Total

_ERROR: Final = StatusCode.ERROR
_OUTGOING: Final = (SpanKind.CLIENT, SpanKind.PRODUCER)
_STORES: Final = frozenset({"db.system.name", "db.system"})
_COUNTED: Final = CALLS | {"tool"}
_REMOTE: Final = {
    "tracetoll.remote.input_tokens": u.INPUT,
    "tracetoll.remote.output_tokens": u.OUTPUT,
    "tracetoll.remote.cache_read.input_tokens": u.CACHE_READ,
    "tracetoll.remote.cache_write.input_tokens": u.CACHE_WRITE,
    "tracetoll.remote.reasoning.output_tokens": u.REASONING,
    "tracetoll.remote.inference_call.count": totals.CALLS,
    "tracetoll.remote.embedding_call.count": totals.EMBEDDINGS,
}
REMOTE_MARK: Final = "tracetoll.remote.inference_call.count"
_LARGEST_COST: Final = 1e9
# Properties take four times as long, and two of them are asked of each span.
_KEPT: Final = attrgetter("_instrumentation_scope", "_status", "_start_time", "_end_time")


def _nothing(**total: int) -> Ended:
    ended = Ended("none", 0)
    ended.total = total
    return ended


PLAIN: Final = _nothing()
"""A span that has nothing to say; most have not."""
_REQUEST: Final = _nothing(**{totals.AWAY: 1})


class SpanReader:
    """Reads spans of any emitter. Thread-safe."""

    def __init__(self) -> None:
        self._reader = Reader(Ended)
        self.telling = self._reader.telling | {REMOTE_MARK}
        """A span with none of these attributes says nothing."""
        self.answers = self._reader.answers
        """Attributes that name the answer of a call."""
        self.shapes = self._reader.shapes
        self.prices: Prices | None = None
        complete_httpx2()
        """Made when they are needed, unless somebody shares theirs."""

    def read(self, span: ReadableSpan, node: Node, fields: Fields) -> Ended:
        """Return what a span says, of which `fields` are the attributes."""
        told = None
        if not self.telling.isdisjoint(fields):
            scope, status, begun, over = _KEPT(span)
            scope = scope.name if scope is not None else ""
            told = self._reader.read(scope, fields)
            if told is not None:
                told.scope = scope
                told.started_ns, told.ended_ns = begun or 0, over or 0
                self._complete(told, node, fields, failed=a.ERROR_TYPE in fields or status.status_code is _ERROR)
            if REMOTE_MARK in fields:
                told = told or _nothing()
                told.remote = _remote(fields)
        if node.top:
            told = told or _nothing()
            told.root = span
        elif told is None:
            return _REQUEST if span.kind in _OUTGOING and _STORES.isdisjoint(fields) else PLAIN
        return told

    def tells_only_below(self, span: Span, node: Node) -> bool | None:
        """Return whether a span that runs is an agent, if its total is what is below it; None: it tells more."""
        fields = running_fields(span)
        if self.telling.isdisjoint(fields):
            return False
        shape = self._reader.shape(scope_name(span), fields)
        if REMOTE_MARK in fields or (shape.table is not None and shape.counts is not None):
            return None
        kind = None if shape.table is None else shape.said(fields).kind
        if kind is None:
            return False
        if kind in _COUNTED:
            return None
        return node.agent or kind == "agent"

    def may_be_agent(self, span: Span) -> bool:
        """Return whether a span that runs is one that gets totals, or does not say yet what it is."""
        kind = kind_of(fields_of(span).get(a.GEN_AI_OPERATION_NAME)) or self._reader.kind(
            scope_name(span), running_fields(span)
        )
        return kind is None or kind == "agent"

    def tells_totals(self, span: Span) -> bool:
        """Return whether a span with nothing below it tells what an agent or another service spent."""
        fields = running_fields(span)
        return REMOTE_MARK in fields or self._reader.kind(scope_name(span), fields) == "agent"

    def _complete(self, ended: Ended, node: Node, fields: Fields, *, failed: bool) -> None:
        """Add what the emitter's table does not know."""
        if node.agent:
            ended.kind = "agent"
        elif ended.kind == "tool" and _is_within(node, fields.get(a.GEN_AI_TOOL_NAME)):
            ended.kind = "none"
        if ended.trust < OURS and ended.counts is not None and ended.model is not None:
            price = self._priced(ended.provider, ended.model, ended.counts)
            if price is not None:
                ended.cost = price
        ended.total = totals.of(ended, failed=failed)

    def share(self, prices: Prices) -> None:
        """Use somebody else's prices from now on."""
        self.prices = prices
        self.shapes.clear()

    def known_price(self, provider: str, model: str) -> Known:
        """Return what we know of the price of somebody else's calls."""
        return self._prices().known(provider, model)

    def _priced(self, provider: str, model: str, counts: Total) -> int | None:
        """Return what we know that somebody else's call costs, in 1e-15 USD."""
        return self._prices().price(provider, model, counts)

    def _prices(self) -> Prices:
        if self.prices is None:
            self.prices = Prices()
        return self.prices


def kind_of(operation: object) -> Kind | None:
    """Return what upstream's name of an operation, which is there when a span starts, says that the span is."""
    return NAMES_OF_CALLS.get(operation) if isinstance(operation, str) else None


def scope_name(span: ReadableSpan) -> str:
    """Return the name of the scope that a span is of; empty: of none."""
    scope = span._instrumentation_scope  # noqa: SLF001  # as `_KEPT`
    return scope._name if scope is not None else ""  # noqa: SLF001  # as above


def fields_of(span: ReadableSpan) -> Fields:
    """Return the dictionary that a span has its attributes in, which is read in a tenth of the time.

    It changes under whoever reads it, until the span has ended.
    """
    kept: Any = span._attributes  # noqa: SLF001  # the public property makes a proxy whose every read is a call
    try:
        found: Fields = kept._dict  # noqa: SLF001  # as above
    except AttributeError:
        found = dict(kept or {})  # somebody else's span
    return found


def is_within_call(node: Node, scope: str) -> bool:
    """Return whether a span is inside of a call, still open, that a scope tells of: that one settles itself."""
    up = node.up
    while up is not None:
        span = None if up.done else up()
        if span is not None and span.kind is SpanKind.CLIENT and scope_name(span) == scope:
            return True
        up = up.up
    return False


def is_call_alone(span: ReadableSpan) -> bool:
    """Return whether a span with nothing below it says by upstream's names that it is a call, and nothing of others."""
    fields = fields_of(span)
    return kind_of(fields.get(a.GEN_AI_OPERATION_NAME)) in CALLS and REMOTE_MARK not in fields


def running_fields(span: ReadableSpan) -> Fields:
    """Return the attributes that a span has now."""
    kept: Any = span._attributes  # noqa: SLF001  # as `fields_of`
    try:
        found: Fields = kept._dict.copy()  # noqa: SLF001  # as above
    except AttributeError:
        found = dict(kept or {})
    return found


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
        found[totals.COST] = round(cost * NANO) * FEMTO_PER_NANO
    if fields.get("tracetoll.remote.complete") is False:
        found[totals.LOST] = 1
    return found
