"""Calls that say nothing unusual, as nearly all do: read and added up at one go. The adder does all the others.

A usual call succeeded, tells counts that need no working out, has nothing below it, and is one of a trace whose calls
are all told of by the same scope. Spans that tell of no usage, around such calls or not, are usual as well.
"""

from __future__ import annotations

import math
import time
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.trace import SpanKind, StatusCode

from tracetoll.dialects.reader import CALLS
from tracetoll.dialects.words import NAMES_OF_CALLS, OURS
from tracetoll.rollup import totals
from tracetoll.rollup.calls import Usual
from tracetoll.rollup.spans import REMOTE_MARK, fields_of
from tracetoll.rollup.state import ENDED_KEPT
from tracetoll.usage import NANO
from tracetoll_semconv import attributes as a

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.trace import ReadableSpan

    from tracetoll.dialects.reader import Fields, Shape
    from tracetoll.rollup.calls import Run
    from tracetoll.rollup.spans import SpanReader
    from tracetoll.rollup.state import Node
    from tracetoll.rollup.totals import Total

_ERROR: Final = StatusCode.ERROR
_INTERNAL: Final = SpanKind.INTERNAL
_SAID_KEPT: Final = 200
_FOUND_KEPT: Final = 10_000
_LARGEST_COST: Final = 1e9
_MOST_BITS: Final = 30
"""A larger number is no usual call's."""
_SPECIAL: Final = frozenset({a.ERROR_TYPE, a.CALL_OUTCOME, a.USAGE_SOURCE, REMOTE_MARK})
"""With one of these, a call has to be looked at more closely."""
_NO_ANSWERS: Final[list[str]] = []
_COUNTED: Final = {
    operation: totals.CALLS if kind == "inference" else totals.EMBEDDINGS
    for operation, kind in NAMES_OF_CALLS.items()
    if kind in CALLS
}


class UsualCalls:
    """Adds up usual calls, and spans that say nothing. Under the adder's lock.

    Calls below the same span are added up together, before anybody asks for what they came to.
    """

    def __init__(self, reader: SpanReader, watch: Callable[[Node], None]) -> None:
        self._reader = reader
        self._shapes = reader.shapes
        self._telling = reader.telling
        self._telling_more = (reader.telling | reader.answers | _SPECIAL) - {a.GEN_AI_OPERATION_NAME}
        self._watch = watch
        self._until = math.inf
        """Until when the prices hold, by the monotonic clock."""
        self._found: list[Usual] = []
        """All of these that hold, forgotten since by their shapes or not."""

    def begin(self) -> None:
        """Look at prices anew where they are old."""
        if self._until != math.inf and time.monotonic() >= self._until:
            self._until = math.inf
            self._look_anew()

    def _look_anew(self) -> None:
        """Use nothing any longer that was found out of calls so far."""
        for usual in self._found:
            usual.keys = None
        self._found.clear()

    def add(self, node: Node, span: ReadableSpan) -> bool:  # noqa: C901, PLR0911, PLR0912  # in parts it takes half as long again
        """Add up a span that has ended; or do nothing and return False, if there is more to it."""
        up = node.up
        if up is None or up.done or node.agent:
            return False
        if node.run is not None:
            node.fold()
        kept: Any = span._attributes  # noqa: SLF001  # as `fields_of`, which is a call
        try:
            fields = kept._dict  # noqa: SLF001  # as above
        except AttributeError:
            fields = fields_of(span)
        run, usual = up.run, None
        if run is not None:
            usual = run[0]
            if usual.keys != (*fields,):
                usual = None
        if node.below is not None or (usual is None and self._telling.isdisjoint(fields)):
            return self._add_around(node, up, span, fields)
        emitter: Any = span._instrumentation_scope  # noqa: SLF001  # see `fields_of`
        trace = node.trace
        if emitter is None or (trace.scope != (scope := emitter._name) and trace.scope):  # noqa: SLF001  # as above
            return False
        if usual is None or usual.said != usual.saying(fields):
            run, usual = None, self._find(scope, fields)
            if usual is None:
                return False
        if node.open or span._status._status_code is _ERROR:  # noqa: SLF001  # as above
            return False
        numbers = usual.numbers(fields)
        for number in numbers:
            if number.__class__ is not int or number >> _MOST_BITS:  # -1 of one below 0
                return False
        if usual.cost is not None:
            cost = fields[usual.cost]
            if cost.__class__ is not float or not 0 <= cost < _LARGEST_COST:
                return False
            numbers = (*numbers, round(cost * NANO))
        answer = None
        if usual.answer is not None:
            answer = fields[usual.answer]
            if answer.__class__ is not str or answer in trace.answers or answer in trace.older_answers:
                return False
        if run is None or len(run[2]) >= up.room:
            run = self._begin_run(up, usual)
        calls = run[2]
        calls += (*numbers, span._start_time or 0, span._end_time or 0, node.key)  # noqa: SLF001  # as above
        if answer is not None:
            run[3].append(answer)  # after the call, as a garbage collection may look at both in between
            trace.name(answer, run)
        node.done = True
        up.open -= 1
        return True

    def _add_around(self, node: Node, up: Node, span: ReadableSpan, fields: Fields) -> bool:
        """Add up a span that says nothing, or nothing but what is below it."""
        below = node.below
        if self._telling.isdisjoint(fields):
            if span._kind is not _INTERNAL:  # noqa: SLF001  # see `fields_of`
                return False
        elif not below or not self._passes_on(node, span, fields, below):
            return False
        node.done = True
        up.open += node.open - 1
        trace = node.trace
        ended = trace.ended
        if len(ended) < ENDED_KEPT:  # as `Trace.end`, which is a call
            ended[node.key] = up
        else:
            trace.end(node.key, up)
        if below:
            node.below = None
            if up.below is None:
                up.below = below
                if not up.watched:
                    self._watch(up)
            else:
                totals.add(up.below, below)
        return True

    def _passes_on(self, node: Node, span: ReadableSpan, fields: Fields, below: Total) -> bool:
        """Return whether a span over others says of itself only that it is a call of a kind that is below."""
        if not self._telling_more.isdisjoint(fields) or node.open or span._status.status_code is _ERROR:  # noqa: SLF001
            return False
        operation = fields[a.GEN_AI_OPERATION_NAME]
        return operation.__class__ is str and _COUNTED.get(operation) in below and totals.AWAY not in below

    def _begin_run(self, up: Node, usual: Usual) -> Run:
        """Begin with calls below a span that are added up when somebody asks, or when they are many."""
        full = False
        if up.run is not None:
            full = len(up.run[2]) >= up.run[0].room
            up.fold()
        run: Run = (usual, up, [], _NO_ANSWERS if usual.answer is None else [])
        up.run, up.room = run, usual.room
        trace = up.trace
        trace.follow(run, full=full)
        if trace.scope != usual.scope:
            trace.told_by(usual.scope)
        if not up.watched:
            self._watch(up)
        return run

    def _find(self, scope: str, fields: Fields) -> Usual | None:
        """Return what is to be known of calls like this one; None: they may be unusual."""
        shape = self._shapes.get((scope, *fields))
        if shape is None:
            return None
        try:
            usual: Usual | None = shape.usual.get(shape.saying(fields))
            if usual is None or usual.keys is None:
                usual = self._look(shape, scope, fields)
        except TypeError:  # a value that is a mapping
            return None
        return usual if usual.counts else None

    def _look(self, shape: Shape, scope: str, fields: Fields) -> Usual:
        """Find out what is to be known of spans like this one."""
        usual = Usual(scope, shape, fields)
        kind, provider, model = shape.said(fields) if shape.told_plainly else (None, "", None)
        if kind in CALLS and _SPECIAL.isdisjoint(fields):
            usual.kind, usual.trust = kind, shape.trust
            if shape.counts is not None:
                self._price(usual, shape, totals.CALLS if kind == "inference" else totals.EMBEDDINGS, provider, model)
        if len(shape.usual) >= _SAID_KEPT:
            shape.usual.clear()
        shape.usual[usual.said] = usual
        if len(self._found) >= _FOUND_KEPT:
            self._look_anew()
        self._found.append(usual)
        return usual

    def _price(self, usual: Usual, shape: Shape, calls: str, provider: str, model: str | None) -> None:
        """Find out what such calls cost, and whether that takes no more than their counts."""
        counts = tuple(name for name, _, _ in shape.counts or ())
        cost = totals.UNPRICED
        own = usual.trust >= OURS
        if own and shape.cost:
            cost, usual.cost = totals.COST, shape.cost[0]
        elif not own and model is not None:
            known = self._reader.known_price(provider, model)
            self._until = min(self._until, known.until)
            if known.rates is not None and known.rates.units:
                alone = dict(known.rates.alone(counts))
                if not alone:
                    return
                cost = totals.COST
                usual.rates = (*(alone.get(name, 0) for name in counts), known.rates.per_request)
            elif shape.cost:
                return
        usual.tells(counts, _reading(tuple(alias for _, alias, _ in shape.counts or ())))
        usual.names = (*counts, cost, calls, *((totals.OWN,) if own else ()))
        usual.answer = shape.answer[0] if shape.answer else None


def _reading(attributes: tuple[str, ...]) -> Callable[[Fields], tuple[Any, ...]]:
    """Return what reads the values of some attributes."""
    if len(attributes) > 1:
        return itemgetter(*attributes)
    return lambda fields: (fields[attributes[0]],)
