"""Totals: what a span and everything below it came to, and how two of them become one.

A total is a dictionary from what is counted to a whole number; what nobody told is not in it. Siblings add up.
A span over spans that tell of the same call takes the larger number of each field (design: roll-up).
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from tracetoll import usage as u
from tracetoll.dialects.reader import CALLS as CALL_KINDS
from tracetoll.dialects.words import OURS
from tracetoll.usage import FEMTO, INPUT, OUTPUT
from tracetoll_semconv import attributes as a
from tracetoll_semconv.prefix import PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tracetoll.dialects.reader import Told

Total = dict[str, int]

CALLS: Final = "inference_call.count"
EMBEDDINGS: Final = "embedding_call.count"
TOOLS: Final = "tool_call.count"
ERRORS: Final = "error.count"
REFUSED: Final = "refused.count"
MISSING: Final = "usage_missing.count"
UNPRICED: Final = "unpriced.count"
COST: Final = "cost"
"""In 1e-15 USD: a token costs less than a nano-dollar, and nothing is rounded before it is told."""

# Not told on spans as they are.
OWN: Final = "own"
"""Calls of ours, which limits have been charged with already."""
LOST: Final = "lost"
"""Spans that fell out of the bounded state, with whatever they had."""
AWAY: Final = "away"
"""Requests to other services that may have spent something there, and have not told."""

# What is missing of a call; told by one of two spans of the same call, it is not.
_GAPS: Final = (MISSING, UNPRICED)
_COUNTED: Final = (CALLS, EMBEDDINGS, TOOLS, ERRORS, REFUSED, MISSING, UNPRICED)
_AMOUNTS: Final = frozenset((*u.COUNTS, COST))

_KEPT: Final = 500
_ATTRIBUTES: Final = {
    name: f"{PREFIX}.rollup.{name}" for name in (*u.COUNTS, *_COUNTED) if name != u.AUDIO_MILLISECONDS
}
_INPUT, _OUTPUT, _CALLS = (_ATTRIBUTES.pop(name) for name in (INPUT, OUTPUT, CALLS))  # always told
_FEW: Final = 4
_READ_FEW: Final = itemgetter(INPUT, OUTPUT, CALLS, COST)
_TOLD: Final[dict[tuple[str, ...], tuple[tuple[str, ...], bool]]] = {}
"""What `_told` has found of totals with some fields."""


def of(told: Told, *, failed: bool) -> Total:
    """Return what a span itself came to; what it has counted becomes a part of it."""
    kind, counts = told.kind, told.counts
    is_call = kind in CALL_KINDS
    if is_call and told.refused:
        return {REFUSED: 1}
    if counts is None:
        found: Total = {}
    else:
        found = counts
        if told.cost is not None:
            found[COST] = told.cost
        else:
            found[UNPRICED] = 1
    if is_call:
        found[CALLS if kind == "inference" else EMBEDDINGS] = 1
        if told.trust == OURS:
            found[OWN] = 1
        if failed:
            found[ERRORS] = 1
        elif told.missing:
            found[MISSING] = 1
    elif kind == "tool":
        found[TOOLS] = 1
        if failed:
            found[ERRORS] = 1
    return found


def add(total: Total, other: Mapping[str, int]) -> None:
    """Add a sibling's total, in place."""
    for name, amount in other.items():
        try:
            total[name] += amount
        except KeyError:
            total[name] = amount


def around(own: Total, below: Mapping[str, int]) -> Total:
    """Return the total of an agent, a tool or a wrapper over spans: usage that it tells is theirs."""
    total = dict(below)
    for name, amount in own.items():
        if name in _AMOUNTS:
            if amount > total.get(name, -1):
                total[name] = amount
        elif name not in _GAPS:
            total[name] = total.get(name, 0) + amount
    if UNPRICED in own and COST not in below and UNPRICED not in below:
        total[UNPRICED] = 1
    return total


def around_call(own: Total, below: Total) -> Total:
    """Return the total of a call's span over spans; may return `below`. What both tell is the same call."""
    calls_below = below.get(CALLS, 0) + below.get(EMBEDDINGS, 0)
    if not calls_below and REFUSED in below and ERRORS in own:
        return below  # somebody else's span of a call that was never sent
    if MISSING in own and (CALLS if CALLS in own else EMBEDDINGS) in below and AWAY not in below:
        return below  # it knows nothing of its own
    total = dict(below)
    total.pop(AWAY, None)  # how the call went to the provider
    # Our numbers are the provider's own: what somebody else tells of the same calls adds nothing.
    exact = calls_below and below.get(OWN) == calls_below and MISSING not in below
    for name, amount in own.items():
        if name in _GAPS:
            if not calls_below:
                total[name] = amount
        elif amount > total.get(name, -1) and not (exact and name in _AMOUNTS):
            total[name] = amount
    # What it knows is known, whatever is missing below.
    if INPUT in own or OUTPUT in own:
        total.pop(MISSING, None)
    if COST in own:
        total.pop(UNPRICED, None)
    return total


def more_than(total: Mapping[str, int], counted: Mapping[str, int]) -> Total:
    """Return what a total has beyond what was counted for the same call already; gaps that it fills are below 0."""
    found = {
        name: amount - counted.get(name, 0)
        for name, amount in total.items()
        if name not in _GAPS and amount > counted.get(name, 0)
    }
    return {**found, **gaps_filled(total, counted)}


def instead_of(total: Mapping[str, int], counted: Mapping[str, int]) -> Total:
    """Return what a total changes if it holds in the place of what was counted for the same call already."""
    found = {name: amount - counted.get(name, 0) for name, amount in total.items() if name not in _GAPS}
    return {**{name: change for name, change in found.items() if change}, **gaps_filled(total, counted)}


def gaps_filled(total: Mapping[str, int], counted: Mapping[str, int]) -> Total:
    """Return only which gaps a total fills in what was counted for the same call already: amounts below 0."""
    found = {}
    if counted.get(MISSING) and (INPUT in total or OUTPUT in total):
        found[MISSING] = -counted[MISSING]
    if counted.get(UNPRICED) and COST in total:
        found[UNPRICED] = -counted[UNPRICED]
    return found


def larger(one: Mapping[str, int], other: Mapping[str, int]) -> Total:
    """Return, per field, the larger number; gaps that one of the two fills are none."""
    found = {name: max(one.get(name, 0), other.get(name, 0)) for name in one.keys() | other.keys()}
    for name in _GAPS:
        if name in found:
            found[name] = min(one.get(name, 0), other.get(name, 0))
    return found


def attributes(total: Mapping[str, int], complete: bool, scope: str) -> dict[str, Any]:  # noqa: FBT001  # twice the time by name
    """Return how a total is told on a span; `complete`: nothing below it is open, `scope`: what it is the total of."""
    if len(total) == _FEW + (OWN in total) and COST in total and CALLS in total and INPUT in total and OUTPUT in total:
        into, out, calls, cost = _READ_FEW(total)  # most have just these, and all below takes half as long again
        return {
            _INPUT: into,
            _OUTPUT: out,
            _CALLS: calls,
            a.ROLLUP_TOTAL_TOKENS: into + out,
            a.ROLLUP_COMPLETE: complete,
            a.ROLLUP_SCOPE: scope,
            a.ROLLUP_COST_AMOUNT: cost / FEMTO,
            a.ROLLUP_COST_CURRENCY: "USD",
        }
    names = (*total,)
    more, whole = _TOLD.get(names) or _told(names)
    into, out = total.get(INPUT, 0), total.get(OUTPUT, 0)
    found: dict[str, Any] = {
        _INPUT: into,
        _OUTPUT: out,
        _CALLS: total.get(CALLS, 0),
        a.ROLLUP_TOTAL_TOKENS: into + out,
        a.ROLLUP_COMPLETE: complete and (whole or (total.get(MISSING, 0) <= 0 and LOST not in total)),
        a.ROLLUP_SCOPE: scope,
    }
    if COST in total:
        found[a.ROLLUP_COST_AMOUNT] = total[COST] / FEMTO
        found[a.ROLLUP_COST_CURRENCY] = "USD"
    for name in more:
        if total[name] > 0:
            found[_ATTRIBUTES[name]] = total[name]
    return found


def _told(names: tuple[str, ...]) -> tuple[tuple[str, ...], bool]:
    """Return the fields of a total that are told as they are, which most have none of, and whether it can lack none."""
    if len(_TOLD) >= _KEPT:
        _TOLD.clear()
    _TOLD[names] = found = tuple(name for name in names if name in _ATTRIBUTES), not {MISSING, LOST} & {*names}
    return found
