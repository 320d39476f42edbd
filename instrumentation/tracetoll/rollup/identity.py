"""One call, told of by several spans: which of them are about the same, and whose numbers hold.

Spans over one another are the easy case (`totals.around`). Here are those that lie beside one another: by the
id of the provider's answer, else by what they say and when.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracetoll import usage as u
from tracetoll.dialects.reader import CALLS
from tracetoll.rollup import totals
from tracetoll.rollup.state import nearest_open

if TYPE_CHECKING:
    from tracetoll.rollup.state import Ended, Node, Numbers, Trace
    from tracetoll.rollup.totals import Total


def counted_before(node: Node, ended: Ended, below: Total | None) -> Ended | None:
    """Return what has been counted already of the call that a span tells of."""
    if ended.answer is not None:
        known = node.trace.counted(ended.answer)
        if known is not None:
            return known
    if ended.kind not in CALLS:
        return None
    up = node.up
    if up is not None and up.done:
        # It ends after a span above it that told of a call: which is this one, unless both have an id.
        nearest_open(up)
        if up.call is not None and (ended.answer is None or up.call.answer is None):
            return up.call
    return None if below or ended.counts is None or _alone(node.trace, ended) else _told_at_once(node, ended)


def is_first(trace: Trace, ended: Ended) -> bool:
    """Return whether nothing in a trace can have told of a call before, as is so for most; else it is looked for."""
    return _alone(trace, ended) and (ended.answer is None or trace.counted(ended.answer) is None)


def _alone(trace: Trace, ended: Ended) -> bool:
    """Return whether all calls of a trace were told of by the same scope."""
    scopes = trace.scopes
    return not scopes or (len(scopes) == 1 and ended.scope in scopes)


def _told_at_once(node: Node, ended: Ended) -> Ended | None:
    """Return another scope's call with the same numbers, within the time of this one: there is no id in common.

    Or around it: who tells of its calls later, from a thread of its own, began after the call did, and ended before.
    A call of its own that ended before the other one would have been told of before.
    """
    for known in node.trace.alike(_numbers(ended)):
        if (
            ended.scope != known.scope
            and (known.scopes is None or ended.scope not in known.scopes)
            and (known.answer is None or ended.answer is None)
            and (_lies_in(known, ended) or _lies_in(ended, known))
        ):
            return known
    return None


def _lies_in(one: Ended, other: Ended) -> bool:
    return other.started_ns <= one.started_ns and one.ended_ns <= other.ended_ns


def change(node: Node, ended: Ended, below: Total | None, known: Ended) -> Total:
    """Return the total of a span whose call was counted before: what is below, and what it changes.

    The higher trust's numbers hold in the place of the others'; between equals, the larger ones do.
    """
    if ended.trust > known.trust:
        differs = totals.instead_of
    elif ended.trust == known.trust:
        differs = totals.more_than
    else:
        differs = totals.gaps_filled
    if below is None:
        return differs(ended.total, known.total)
    if nearest_open(known.where) is not node:
        around = totals.around_call if ended.kind in CALLS else totals.around
        return differs(around(ended.total, below), known.total)
    total = dict(below)
    totals.add(total, differs(ended.total, known.total))
    return total


def remember(node: Node, ended: Ended, known: Ended | None) -> None:
    """Remember that a call was counted, or that one more span has told of it."""
    trace = node.trace
    if known is None:
        if ended.kind in CALLS or ended.answer is not None:
            ended.where = node.up
            node.call = ended
            trace.count(ended, _numbers(ended))
        return
    node.call = known
    known.scopes = {*(known.scopes or ()), known.scope, ended.scope}
    if ended.trust > known.trust:
        known.total, known.trust = {**known.total, **ended.total}, ended.trust
    elif ended.trust == known.trust:
        known.total = totals.larger(ended.total, known.total)
    if known.answer is None:
        known.answer = ended.answer
        trace.name_answer(known)


def _numbers(ended: Ended) -> Numbers:
    total = ended.total
    return total.get(u.INPUT, 0), total.get(u.OUTPUT, 0)
