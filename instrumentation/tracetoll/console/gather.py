"""Spans that start and end, gathered into trees; bounded in trees, in spans per tree, and in all."""

from __future__ import annotations

import heapq
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tracetoll.console.nodes import Node, Responses, add_up, top_down

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracetoll.console.nodes import SpanKey

MOST_TREES: Final = 1_000  # that have not ended; one more, and the one that rested longest is told as it stands
MOST_NODES: Final = 1_000  # in a tree; one more, and those that matter least are folded into their parents
MOST_IN_ALL: Final = 50_000  # nodes; one more, and spans are folded into their parents as soon as they end
FEW_NODES: Final = 50  # a tree of no more is not folded


@dataclass(slots=True, eq=False)
class Gathered:
    """What is known of one local root and the spans below it."""

    root: Node
    has_calls: bool = False
    is_late: bool = False  # the part of a tree that ended after the rest of it had been told
    open: int = 1
    unkept: int = 0  # of the open ones, those without a node
    size: int = 1
    fold_above: int = field(default_factory=lambda: MOST_NODES)
    first_start: int = 0
    last_end: int = 0
    deadline: float | None = None
    responses: Responses = field(default_factory=Responses)

    @property
    def seconds(self) -> float | None:
        """From the first start to the last end; None where nothing has ended."""
        return (self.last_end - self.first_start) / 1e9 if self.last_end else None


class Gatherer:
    """All trees that have not been told. Not safe for threads: its owner lets one in at a time.

    A tree is told, to `tell`, when its root and all spans below it have ended; `grace_s` after the end of
    its root at the latest. What has not ended by then becomes a tree of its own.
    """

    def __init__(self, grace_s: float, tell: Callable[[Gathered], None]) -> None:
        self._grace_s = grace_s
        self._tell = tell
        self._nodes: dict[SpanKey, tuple[Node, Gathered]] = {}
        self._trees: OrderedDict[Gathered, None] = OrderedDict()  # the one that rested longest first
        self._by_trace: dict[int, Gathered] = {}  # those with spans that are not kept one by one
        self._ended: OrderedDict[Gathered, None] = OrderedDict()  # their roots have; by deadline

    @property
    def deadline(self) -> float | None:
        """When the next tree is due at the latest, by the clock that `end` was given."""
        first = next(iter(self._ended), None)
        return None if first is None else first.deadline

    def start(self, key: SpanKey, parent: SpanKey | None, name: str, start: int, *, is_call: bool) -> None:
        """Take in a span that has started; `parent` is None where it has none in this process."""
        above, tree = self._place(key, parent)
        if tree is None:
            self._plant(Node(key, name, start, is_call=is_call))
            return
        tree.open += 1
        tree.has_calls = tree.has_calls or is_call
        self._trees.move_to_end(tree)
        if tree.size >= tree.fold_above or (len(self._nodes) >= MOST_IN_ALL and tree.size > FEW_NODES):
            self._fold(tree)
            above, _ = self._place(key, parent)
        if len(self._nodes) >= MOST_IN_ALL:
            tree.unkept += 1
            self._by_trace[key[0]] = tree
            return
        node = Node(key, name, start, above, is_call=is_call)
        (above or tree.root).children.append(node)
        tree.size += 1
        self._nodes[key] = node, tree

    def end(self, ended: Node, parent: SpanKey | None, now: float) -> None:
        """Take in a span that has ended, as a node with what is known of it; `now` in seconds."""
        node, tree = self._nodes.get(ended.key, (None, None))
        if node is None or tree is None:
            self._end_unkept(ended, parent)
            return
        if not node.is_running:
            return
        node.name, node.end, node.reading = ended.name, ended.end, ended.reading
        tree.responses.mark(node)
        if node is tree.root:
            tree.deadline = now + self._grace_s
            self._ended[tree] = None
        self._count_end(tree, node)

    def due(self, now: float) -> None:
        """Tell the trees whose time has come, as they stand."""
        while self._ended and (deadline := self.deadline) is not None and deadline <= now:
            self._tell_as_it_stands(next(iter(self._ended)))

    def flush(self) -> None:
        """Tell the trees whose roots have ended, as they stand."""
        while self._ended:
            self._tell_as_it_stands(next(iter(self._ended)))

    def close(self) -> None:
        """Tell all trees, as they stand, and forget everything."""
        for tree in list(self._trees):
            self._finish(tree)

    def leave(self) -> None:
        """Tell the trees whose roots have ended, as they stand, and forget everything."""
        self.flush()
        self.forget()

    def forget(self) -> None:
        """Forget everything that has not been told."""
        self._nodes.clear()
        self._trees.clear()
        self._by_trace.clear()
        self._ended.clear()

    def _place(self, key: SpanKey, parent: SpanKey | None) -> tuple[Node | None, Gathered | None]:
        if parent is None:
            return None, None
        node, tree = self._nodes.get(parent, (None, None))
        if tree is None and (tree := self._by_trace.get(key[0])) is not None:
            node = tree.root  # its parent may be one that is not kept
        return node, tree

    def _plant(self, root: Node, *, is_late: bool = False) -> Gathered:
        if len(self._trees) >= MOST_TREES:
            self._finish(next(iter(self._trees)))
        tree = Gathered(root, root.is_call, is_late, first_start=root.start or 0)
        self._trees[tree] = None
        self._nodes[root.key] = root, tree
        return tree

    def _end_unkept(self, ended: Node, parent: SpanKey | None) -> None:
        above, tree = self._place(ended.key, parent)
        if above is None or tree is None or not tree.unkept:
            return
        ended.parent = above
        tree.responses.mark(ended)
        ended.add_up()
        above.fold(ended)
        tree.unkept -= 1
        self._count_end(tree, ended)

    def _count_end(self, tree: Gathered, node: Node) -> None:
        tree.open -= 1
        tree.last_end = max(tree.last_end, node.end or 0)
        tree.has_calls = tree.has_calls or not node.reading.used.is_nothing
        self._trees.move_to_end(tree)
        if not tree.open and not tree.root.is_running:
            self._finish(tree)

    def _finish(self, tree: Gathered) -> None:
        self._drop(tree)
        if tree.has_calls:
            self._tell(tree)

    def _drop(self, tree: Gathered) -> None:
        for node in top_down([tree.root]):
            self._nodes.pop(node.key, None)
        self._trees.pop(tree, None)
        self._ended.pop(tree, None)
        if self._by_trace.get(tree.root.key[0]) is tree:
            del self._by_trace[tree.root.key[0]]

    def _tell_as_it_stands(self, tree: Gathered) -> None:
        if not tree.has_calls:
            self._ended.pop(tree)  # there may be some in what still runs; then it is told as a whole
            return
        running = [node for node in top_down([tree.root]) if node.is_running]
        self._finish(tree)
        # What has been told belongs to whoever prints it: what still runs goes on in nodes of its own.
        fresh: dict[Node | None, Node] = {}
        for node in running:
            again = Node(node.key, node.name, node.start, fresh.get(node.parent), is_call=node.is_call)
            fresh[node] = again
            if again.parent is None:
                self._plant(again, is_late=True)
                continue
            again.parent.children.append(again)
            part = self._nodes[again.parent.key][1]
            part.open += 1
            part.size += 1
            part.has_calls = part.has_calls or again.is_call
            self._nodes[again.key] = again, part

    def _fold(self, tree: Gathered) -> None:
        """Fold the half of a tree that matters least; spans that still run and those above them stay."""
        nodes = add_up([tree.root])
        children = {node: len(node.children) for node in nodes}
        leaves = [
            (*_keeping(node), place, node)
            for place, node in enumerate(nodes)
            if not node.children and not node.is_running and node.parent is not None
        ]
        heapq.heapify(leaves)
        gone: set[Node] = set()
        while leaves and len(nodes) - len(gone) > max(tree.size // 2, 1):
            *_, place, node = heapq.heappop(leaves)
            parent = node.parent
            if parent is None:
                continue
            parent.fold(node)
            gone.add(node)
            children[parent] -= 1
            if not children[parent] and not parent.is_running and parent.parent is not None:
                heapq.heappush(leaves, (*_keeping(parent), place, parent))
        for parent in {node.parent for node in gone}:
            if parent is not None:
                parent.children = [child for child in parent.children if child not in gone]
        for node in gone:
            self._nodes.pop(node.key, None)
        tree.size = len(nodes) - len(gone)
        tree.fold_above = max(MOST_NODES, 2 * tree.size)
        self._by_trace[tree.root.key[0]] = tree


def _keeping(node: Node) -> tuple[bool, float, float, float]:
    """Return how much a span is worth keeping, among others."""
    return node.failures > 0, *node.weight
