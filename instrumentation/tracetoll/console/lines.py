"""Which spans of a trace get a line of their own, and which are summed up in one."""

from __future__ import annotations

import heapq
from itertools import groupby
from typing import TYPE_CHECKING, Final, NamedTuple

from tracetoll.console.nodes import Folded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tracetoll.console.amounts import Used
    from tracetoll.console.nodes import Node

RUN_LENGTH: Final = 8  # longer runs of equal siblings become one line
SHOWN_OF_RUN: Final = 2
# In a trace that has more lines than it may have:
DEEPEST: Final = 12
WIDEST: Final = 20  # children of one span


class Line(NamedTuple):
    """A span, or several in one."""

    name: str
    used: Used
    seconds: float | None
    node: Node | None = None  # whose children come next
    like: Node | None = None  # what the spans of the line have in common; None: nothing
    more: bool = False  # stands for several spans
    dim: bool = False  # the amounts are those of what is below


def lines_below(nodes: Sequence[Node], folded: Folded | None, kept: frozenset[Node] | None) -> list[Line]:
    """Return the lines of siblings: runs of equal ones in one, or all that are not `kept` in one."""
    lines = _runs(nodes) if kept is None else [_line(node) for node in nodes if node in kept]
    hidden = [] if kept is None else [node for node in nodes if node not in kept]
    if len(hidden) == 1 and hidden[0].spans == 1 and folded is None:
        return [_line(node) for node in nodes]  # its own line is no longer than a sum
    if hidden or folded is not None:
        lines.append(_rest(hidden, folded))
    return lines


def chosen(roots: Sequence[Node], most: int) -> frozenset[Node] | None:
    """Return the nodes that get lines, where all would need more than `most`; None: there is room for all.

    Half of them are those that cost most, half those that failed, each with the spans above it.
    """
    return _choose(roots, most) if _count(roots, most) > most else None


def _line(node: Node) -> Line:
    return Line(node.name, node.shown, node.seconds, node, node, dim=node.shown is not node.reading.used)


def _runs(nodes: Sequence[Node]) -> list[Line]:
    shown: list[Line] = []
    for _, equal in groupby(nodes, key=_likeness):
        run = list(equal)
        if len(run) <= RUN_LENGTH:
            shown.extend(map(_line, run))
            continue
        dearest = sorted(run, key=lambda node: node.weight[:2], reverse=True)[:SHOWN_OF_RUN]
        shown.extend(_line(node) for node in run if node in dearest)
        shown.append(_rest([node for node in run if node not in dearest], None, run[0]))
    return shown


def _likeness(node: Node) -> tuple[str, str, str, bool, bool]:
    return node.name, node.reading.model, node.reading.outcome, node.is_running, node.failures > 0


def _rest(nodes: Sequence[Node], folded: Folded | None, like: Node | None = None) -> Line:
    together = Folded()
    for node in nodes:
        together.add(node)
    number, timed = len(nodes), any(node.seconds is not None for node in nodes)
    if folded is not None:
        together.names |= folded.names
        together.spans += folded.spans
        together.failures += folded.failures
        together.seconds += folded.seconds
        together.used = together.used.plus(folded.used)
        timed = True
    if like is None:
        number = together.spans
    of = together.names.pop() if len(together.names) == 1 else "spans"
    failures = f", {together.failures:,} failed" if together.failures and like is None else ""
    name = f"{number:,} more {of}{failures}"
    return Line(name, together.used, together.seconds if timed else None, like=like, more=True, dim=True)


def _count(roots: Sequence[Node], most: int) -> int:
    """Return how many lines there are with runs in one; counting ends above `most`."""
    number, waiting = 0, lines_below(roots, None, None)
    while waiting and number <= most:
        number += 1
        node = waiting.pop().node
        if node is not None:
            waiting.extend(lines_below(node.children, node.folded, None))
    return number


class _Candidate(NamedTuple):
    weight: tuple[float, ...]  # negative, for the heap
    place: int
    node: Node
    depth: int


def _choose(roots: Sequence[Node], most: int) -> frozenset[Node]:
    kept: set[Node] = set()
    dear: list[_Candidate] = []
    failed: list[_Candidate] = []
    children: dict[Node | None, int] = {}
    lines = place = 0

    def offer(nodes: Sequence[Node], depth: int) -> None:
        nonlocal place
        for node in nodes:
            place += 1
            candidate = _Candidate(tuple(-part for part in node.weight), place, node, depth)
            heapq.heappush(dear, candidate)
            if node.failures:
                heapq.heappush(failed, candidate)

    offer(roots, 1)
    while dear or failed:
        node, depth = heapq.heappop(failed if failed and (len(kept) % 2 or not dear) else dear)[2:]
        below = 1 if node.children or node.folded is not None else 0  # a line for what is not shown
        width = children.get(node.parent, 0)
        if node in kept or depth > DEEPEST or width >= WIDEST or lines + 1 + below > most - 1:
            continue
        kept.add(node)
        children[node.parent] = width + 1
        lines += 1 + below
        offer(node.children, depth + 1)
    return frozenset(kept)
