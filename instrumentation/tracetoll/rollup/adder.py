"""Adding up: a span's total moves to the nearest ancestor that is open, one step per span that ends.

Whoever gets the lock does it at once, and works off what others have noted who did not get it: only who needs what came
of it waits, and a span that ends inside of a garbage collection does no harm.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from tracetoll.dialects.reader import CALLS
from tracetoll.rollup import identity, totals
from tracetoll.rollup.spans import PLAIN, fields_of
from tracetoll.rollup.state import ENDED_KEPT, Ended, nearest_open
from tracetoll.rollup.usual import UsualCalls
from tracetoll.safety import fault

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

    from tracetoll.rollup.spans import SpanReader
    from tracetoll.rollup.state import Node, Trace
    from tracetoll.rollup.totals import Total

_ANSWERS_KEPT: Final = 100_000
"""How many answers of all traces are remembered, before those not told of lately are forgotten."""
_FEW_OPEN: Final = 128
"""How many spans may be open for all of them to be looked at when a local root ends; else it is done now and then."""
LOST: Final = Ended("none", 0)
"""A span that was dropped without having been ended, or was one too many."""
LOST.total = {totals.LOST: 1}


class Adder:
    """Adds up spans. Thread-safe."""

    def __init__(
        self,
        reader: SpanReader,
        watch: Callable[[Node], None],
        let_go: Callable[[Trace], None],
    ) -> None:
        self._reader = reader
        self._watch = watch
        """Called for a span when it has something below for the first time."""
        self._let_go = let_go
        """Called for a trace that has no open span."""
        self.start_over()

    def start_over(self) -> None:
        """Forget everything: in a forked child, what runs in the parent ends there."""
        self._usual = UsualCalls(self._reader, self._watch)
        self.begun: deque[Node] = deque()
        """What a span has started below."""
        self.notes: deque[tuple[Node, Ended | ReadableSpan]] = deque()
        """Spans that have ended: themselves, or what they say."""
        self.charges: deque[tuple[Ended, Total]] = deque()
        """Calls that only others have told of, and what they came to; for limits."""
        self.wholes: deque[tuple[ReadableSpan, Total]] = deque()
        """Local roots that have ended, and their totals; for metrics."""
        # Its holder may get it once more: a garbage collection runs finalisers anywhere, and these may end spans.
        self._lock = threading.RLock()
        self._busy = False
        """Whether the lock's holder is at work already, and nothing may be changed."""

    def added(self) -> bool:
        """Work off the notes, unless somebody else is at it. Returns whether there are `charges` or `wholes`."""
        while (self.notes or self.begun) and self._lock.acquire(False):  # noqa: FBT003  # a lock's own; by name takes twice as long
            alone, self._busy = not self._busy, True
            try:
                if not alone:
                    break
                self._apply_notes()
            finally:
                self._busy = not alone
                self._lock.release()
        return bool(self.charges or self.wholes)

    def lost(self, node: Node) -> None:
        """Note a span that is one too many."""
        self.notes.append((node, LOST))

    def tidy(self, traces: Sequence[Trace]) -> None:
        """Give up spans that were collected, and that nobody has ended since, and forget what is remembered too much.

        Or do nothing, if somebody else is at work.
        """
        if self._lock.acquire(blocking=False):
            alone, self._busy = not self._busy, True
            try:
                if alone:
                    self._apply_notes()
                    for trace in traces:
                        self._forget_dropped(trace)
                    if sum(trace.remembered for trace in traces) > _ANSWERS_KEPT:
                        for trace in traces:
                            trace.age()
            finally:
                self._busy = not alone
                self._lock.release()

    def close(self, node: Node, *, agent: bool) -> tuple[Total, bool, bool] | None:
        """Add up a span that is about to end, and tells no more than what is below it, as far as it has ended.

        Returns its total, whether nothing below is open any more, and whether nothing above is; None where there is
        nothing to write.
        """
        self._lock.acquire()
        alone, self._busy = not self._busy, True
        try:
            if not alone:
                return node.folded(), not node.open and not node.trace.gone, False
            self._apply_notes()
            if node.run is not None:
                node.fold()
            below = node.below
            if node.done or not (below or agent):
                return None
            complete = not node.open and not node.trace.gone
            up = self._pass_on(node, below)
            if below is None:
                below = {}
            elif up is not None and up.below is below:
                below = below.copy()
            return below, complete, up is None
        finally:
            self._busy = not alone
            self._lock.release()

    def above(self, trace: Trace, key: int, *, remote: bool) -> Node | None:
        """Return the nearest ancestor that is open of a span that is not, by its key; see `Trace.above`."""
        if not (trace.roots or trace.several):
            return None  # as for most: its first span
        self._lock.acquire()
        alone, self._busy = not self._busy, True
        try:
            if alone:
                self._apply_notes()
            return trace.above(key, remote=remote)
        finally:
            self._busy = not alone
            self._lock.release()

    def has_below(self, node: Node) -> bool:
        """Return whether something below a span may have been counted."""
        self.added()
        return bool(node.below or node.run is not None or self.notes or self.begun)

    def so_far(self, node: Node, ended: Ended) -> tuple[Total | None, Total, bool]:
        """Return what is below a span that is about to end, its total, and whether nothing below is open any more."""
        self._lock.acquire()
        alone, self._busy = not self._busy, True
        try:
            if alone:
                self._apply_notes()
            below = node.folded() or None
            known = identity.counted_before(node, ended, below)
            return below, _total(node, ended, below, known) or {}, not node.open and not node.trace.gone
        finally:
            self._busy = not alone
            self._lock.release()

    # --- under the lock ----------------------------------------------------------------------

    def _apply_notes(self) -> None:
        begun, notes, usual = self.begun, self.notes, self._usual
        if not (notes or begun):
            return
        usual.begin()
        what: Any
        while notes:  # nobody else takes any
            node, what = notes.popleft()
            try:
                if begun:
                    _count_open(begun)  # in any case what has started before this one has ended
                if what.__class__ is Ended:
                    self._apply(node, what)
                elif not usual.add(node, what):
                    self._apply(node, self._reader.read(what, node, fields_of(what)))
            except Exception as error:
                if not fault("adding up a span", error):
                    raise
        _count_open(begun)

    def _forget_dropped(self, trace: Trace) -> None:
        for node in trace.open.copy().values():
            if node() is None and trace.open.pop(node.key, None) is not None:
                self._apply(node, LOST)

    def _apply(self, node: Node, ended: Ended) -> None:
        """Move what a span came to on to its nearest open ancestor."""
        if not node.done:
            self._add_up(node, ended)
        trace = node.trace
        if not trace.open:
            self._let_go(trace)
        elif node.up is None and ended is not LOST and len(trace.open) <= _FEW_OPEN:
            self._forget_dropped(trace)  # so that nothing stays of a trace whose root has ended

    def _add_up(self, node: Node, ended: Ended) -> None:
        node.fold()
        below = node.below
        total = below if ended is PLAIN else self._say(node, ended, below)
        up = self._pass_on(node, dict(total) if total and total is ended.total else total)  # it may be remembered
        if up is None and total and ended.root is not None and (below or ended.remote or ended.kind not in CALLS):
            # The metrics of calls tell the same of a call alone.
            self.wholes.append((ended.root, dict(total)))

    def _pass_on(self, node: Node, total: Total | None) -> Node | None:
        """Move the total of a span that has ended on to its nearest open ancestor, which is returned."""
        node.done, node.below = True, None
        up = node.up
        if up is not None and up.done:
            up = node.nearest()
        if up is not None:
            up.open += node.open - 1
            if total:
                if up.below is not None:
                    totals.add(up.below, total)
                else:
                    up.below = total
                    if not up.watched:
                        self._watch(up)
        trace = node.trace
        ended = trace.ended
        if len(ended) < ENDED_KEPT:  # as `Trace.end`, which is a call
            ended[node.key] = up
        else:
            trace.end(node.key, up)
        return up

    def _say(self, node: Node, ended: Ended, below: Total | None) -> Total | None:
        """Return the total of a span that says something itself, and note what limits have to hear of."""
        if ended is LOST:
            total = dict(LOST.total)
            totals.add(total, below or {})
            return total
        up = node.up
        late = up is not None and up.done
        is_call = ended.counts is not None and ended.kind in CALLS
        if not is_call and ended.answer is None and not late:
            return _total(node, ended, below, None)
        known = None
        if not (is_call and not late and below is None and identity.is_first(node.trace, ended)):
            known = identity.counted_before(node, ended, below)
        found = _total(node, ended, below, known)
        identity.remember(node, ended, known)
        # What is around a call of ours tells of it again, and limits know it.
        if ended.behalf is not None and not (below and totals.OWN in below):
            beyond = totals.more_than(found or {}, below or {})
            if beyond:
                self.charges.append((ended, beyond))
        return found


def _count_open(begun: deque[Node]) -> None:
    """Count spans that have started at what is above them."""
    while begun:
        up: Any = begun.popleft()
        if not up.done or (up := nearest_open(up)) is not None:
            up.open += 1


def _total(node: Node, ended: Ended, below: Total | None, known: Ended | None) -> Total | None:
    """Return the total of a span that says something itself; may return `below`, and changes neither."""
    total: Total | None
    if known is None and not below and ended.remote is None:
        return ended.total
    if known is not None:
        total = identity.change(node, ended, below, known)
    elif not below:
        total = ended.total
    elif not ended.total:
        total = below
    elif ended.kind in CALLS:
        total = totals.around_call(ended.total, below)
    else:
        total = totals.around(ended.total, below)
    if ended.remote is not None:
        total = dict(total or {})
        totals.add(total, ended.remote)
    return total
