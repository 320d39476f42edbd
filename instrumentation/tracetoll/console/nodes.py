"""Spans as a tree of light nodes, with totals that stay right when nodes are folded into their parent."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tracetoll.console.amounts import NOT_READ, NOTHING, Reading, Used, read

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

SpanKey = tuple[int, int]  # trace id and span id

REMEMBERED: Final = 4_096  # responses per trace; a span that reports one again ends soon after the first


@dataclass(slots=True)
class Folded:
    """Spans that are no longer kept one by one."""

    spans: int = 0
    failures: int = 0
    seconds: float = 0.0  # of the topmost ones
    used: Used = NOTHING
    names: set[str] = field(default_factory=set)  # of the topmost ones; more than one say nothing, and are not kept

    def add(self, node: Node) -> None:
        """Take in a node whose totals are added up, with all that is below it."""
        self.spans += node.spans
        self.failures += node.failures
        self.seconds += node.seconds or 0.0
        self.used = self.used.plus(node.total)
        if len(self.names) < 2:
            self.names.add(node.name)


@dataclass(slots=True, eq=False)
class Node:
    """A span in the tree: names, times and amounts, nothing else of it."""

    key: SpanKey
    name: str
    start: int | None
    parent: Node | None = None
    end: int | None = None
    is_call: bool = False  # by what was known when it started
    reading: Reading = NOT_READ
    repeated: bool = False  # reports an answer that another span has reported
    children: list[Node] = field(default_factory=list)
    folded: Folded | None = None
    # Of the subtree, by add_up().
    total: Used = NOTHING
    spans: int = 1
    failures: int = 0

    @property
    def seconds(self) -> float | None:
        """How long the span took; None while it runs."""
        return None if self.start is None or self.end is None else (self.end - self.start) / 1e9

    @property
    def is_running(self) -> bool:
        """Whether the span has not ended."""
        return self.end is None

    @property
    def shown(self) -> Used:
        """What stands beside the span: its own amounts, or those of its subtree."""
        return self.reading.used if self.reading.used.amounts or self.reading.used.calls else self.total

    @property
    def weight(self) -> tuple[float, float, float]:
        """How much the subtree matters, among others: by cost, then tokens, then time."""
        amounts = self.total.amounts
        return amounts.get("cost", 0), amounts.get("input", 0) + amounts.get("output", 0), self.seconds or 0.0

    def take(self, name: str, end: int, reading: Reading) -> None:
        """Note what is known when the span has ended."""
        self.name, self.end, self.reading = name, end, reading

    def add_up(self) -> None:
        """Set the totals, from those of the children."""
        below = self.folded.used if self.folded is not None else NOTHING
        self.spans = 1 + (self.folded.spans if self.folded is not None else 0)
        self.failures = int(self.reading.failed) + (self.folded.failures if self.folded is not None else 0)
        for child in self.children:
            below = below.plus(child.total)
            self.spans += child.spans
            self.failures += child.failures
        self.total = NOTHING if self.repeated else self.reading.used.over(below)

    def fold(self, child: Node) -> None:
        """Take in a child that will not be kept; its totals are added up."""
        if self.folded is None:
            self.folded = Folded()
        self.folded.add(child)


class Responses:
    """Which span told of an answer first, so that an answer that two spans report counts once."""

    def __init__(self) -> None:
        self._first: dict[str, Node] = {}

    def mark(self, node: Node) -> None:
        """Mark a node that reports an answer again; one above or below the first is no repetition, see `Used.over`."""
        response = node.reading.response
        if response is None:
            return
        first = self._first.setdefault(response, node)
        node.repeated = first is not node and not _is_above(first, node) and not _is_above(node, first)
        if len(self._first) > REMEMBERED:
            del self._first[next(iter(self._first))]


def _is_above(upper: Node, lower: Node) -> bool:
    above = lower.parent
    while above is not None and above is not upper:
        above = above.parent
    return above is not None


def top_down(roots: Iterable[Node]) -> list[Node]:
    """Return the nodes of trees, parents before children."""
    nodes = list(roots)
    for node in nodes:
        nodes.extend(node.children)
    return nodes


def add_up(roots: Sequence[Node]) -> list[Node]:
    """Set all totals, from the leaves on; return the nodes, parents before children."""
    nodes = top_down(roots)
    for node in reversed(nodes):
        node.add_up()
    return nodes


def grown(spans: Iterable[ReadableSpan]) -> list[Node]:
    """Return the roots of spans that have ended, children in the order of their start."""
    by_key: dict[SpanKey, tuple[Node, SpanKey | None]] = {}
    for span in spans:
        if span.context is not None:
            key = (span.context.trace_id, span.context.span_id)
            above = None if span.parent is None else (span.parent.trace_id, span.parent.span_id)
            by_key[key] = Node(key, span.name, span.start_time, end=span.end_time, reading=read(span)), above
    roots = []
    for node, above in sorted(by_key.values(), key=lambda entry: entry[0].start or 0):
        if above not in by_key or above is None:
            roots.append(node)
        else:
            node.parent = by_key[above][0]
            node.parent.children.append(node)
    responses = Responses()
    for node in sorted(top_down(roots), key=lambda node: node.end or 0):
        responses.mark(node)
    return roots


def running(nodes: Iterable[Node]) -> Iterator[Node]:
    """Yield the nodes whose spans have not ended."""
    return (node for node in nodes if node.is_running)
