"""One trace as a tree in a terminal: what each call used, took and cost, and the total."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from tracetoll.console.amounts import NOTHING
from tracetoll.console.layout import Layout, Row, signs_for
from tracetoll.console.lines import chosen, lines_below
from tracetoll.console.nodes import add_up, grown, running

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import IO

    from opentelemetry.sdk.trace import ReadableSpan
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.text import Text

    from tracetoll.console.amounts import Amount, Used
    from tracetoll.console.layout import Signs
    from tracetoll.console.lines import Line
    from tracetoll.console.nodes import Node


def render_tree(spans: Sequence[ReadableSpan], *, width: int | None = None, lines: int | None = None) -> RenderableType:
    """Return the spans of one trace as a tree that rich can print.

    A span whose parent is not among them is a root. Spans that used nothing themselves show in a dim
    style what their subtree used; the last line is the total, in which each call counts once, whatever
    spans report it. Columns are dropped, the least important first, where `width` (in cells, that of
    the console by default) is too narrow for them. Runs of equal spans are one line; with `lines`, a tree
    that would still have more of them shows those spans that cost most and those that failed, and under
    each span the sum of the others.
    """
    return Tree(grown(spans), width=width, most=lines)


def print_trace(spans: Sequence[ReadableSpan], file: IO[str] | None = None) -> None:
    """Print the spans of one trace as a tree; see `render_tree`.

    The file is standard output by default. One that is no terminal gets plain text, as wide as the tree
    needs it.
    """
    console_for(file or sys.stdout, tree := Tree(grown(spans))).print(tree)


def console_for(file: IO[str], tree: Tree) -> Console:
    """Return a rich console for a file: as wide as the terminal, or, where there is none, as the tree."""
    from rich.console import Console  # noqa: PLC0415  # rich is loaded only when something is printed

    console = Console(file=file, highlight=False)
    if not console.is_terminal:
        console.width = max(tree.natural_width(console.options), 1)
    return console


class Tree:
    """A tree that rich can print: laid out when it is printed, for the console that prints it.

    With `most`, it has about so many lines; see `tracetoll.console.lines`. `seconds` is how long the whole took,
    where nodes that are not kept must be thought of.
    """

    def __init__(
        self,
        roots: Sequence[Node],
        *,
        width: int | None = None,
        most: int | None = None,
        title: str = "",
        seconds: float | None = None,
    ) -> None:
        self._roots = roots
        self._width = width
        self._title = title
        nodes = add_up(roots)
        self._kept = None if most is None else chosen(roots, most)
        self._total = NOTHING
        for root in roots:
            self._total = self._total.plus(root.total)
        self._running = sum(1 for _ in running(nodes))
        self._decimals = _decimals(nodes, self._total)
        self._seconds = _between(nodes) if seconds is None else seconds

    def natural_width(self, options: ConsoleOptions) -> int:
        """Return the width in cells that the whole tree needs."""
        return max(Layout(list(self._rows(options)), signs_for(options), sys.maxsize).width, len(self._title))

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> Iterator[Text]:
        from rich.text import Text  # noqa: PLC0415  # rich is loaded only when something is printed

        width = options.max_width if self._width is None else self._width
        if self._title:
            yield Text(self._title, "dim", no_wrap=True, overflow="crop")
        yield from Layout(list(self._rows(options)), signs_for(options), width).lines()

    def _rows(self, options: ConsoleOptions) -> Iterator[Row]:
        signs = signs_for(options)
        # Last in, first out; no recursion, so that no trace is too deep.
        waiting = [("", "", line) for line in reversed(lines_below(self._roots, None, self._kept))]
        while waiting:
            guide, below, line = waiting.pop()
            yield self._row(guide, line, options)
            node = line.node
            children = [] if node is None else lines_below(node.children, node.folded, self._kept)
            for place, child in enumerate(reversed(children)):
                mark, deeper = (signs.last, signs.space) if place == 0 else (signs.branch, signs.line)
                waiting.append((below + mark, below + deeper, child))
        remarks = _remarks(self._total, self._running)
        if remarks:
            yield Row("", remarks, {}, name_style="dim", across=True)
        cells = _amounts(self._total, self._decimals) | {"time": _duration(self._seconds)}
        name = f"total: {self._total.calls:,} call{'' if self._total.calls == 1 else 's'}"
        yield Row("", name, cells, name_style="bold", cell_style="bold")

    def _row(self, guide: str, line: Line, options: ConsoleOptions) -> Row:
        cells = _amounts(line.used, self._decimals) | {"time": _duration(line.seconds)}
        failed = False
        if line.like is not None:
            failed = line.like.reading.failed
            cells["model"] = line.like.reading.model
            cells["outcome"] = "running" if line.like.is_running else line.like.reading.outcome
        return Row(
            guide,
            _plain(line.name, options),
            {title: _plain(cell, options) for title, cell in cells.items()},
            name_style="red" if failed else "",
            cell_style="dim" if line.dim else "",
            mark=_mark(line, signs_for(options), failed=failed),
        )


def _mark(line: Line, signs: Signs, *, failed: bool) -> str:
    more = line.more or (line.node is not None and line.node.is_running)
    return (signs.failed if failed else "") + (f"{signs.more} " if more else "")


def _plain(text: str, options: ConsoleOptions) -> str:
    """Return a text without what would steer the terminal or what the file cannot encode."""
    printable = "".join(sign if sign.isprintable() else " " for sign in text)
    return printable.encode(options.encoding, "replace").decode(options.encoding)


def _remarks(total: Used, running: int) -> str:
    """Return what the numbers of the total leave out."""
    left_out = {
        "running": running,
        "refused": total.refused,
        "without usage": total.silent,
        "unpriced": total.unpriced,
    }
    return ", ".join(f"{number:,} {what}" for what, number in left_out.items() if number)


def _amounts(used: Used, decimals: int) -> dict[str, str]:
    cells = {title: f"{int(amount):,}" for title, amount in used.amounts.items() if title != "cost"}
    if "cost" in used.amounts:
        cells["cost"] = _money(used.amounts["cost"], decimals)
    return cells


def _money(amount: Amount, decimals: int) -> str:
    smallest = 10**-decimals
    return f"<${smallest:.{decimals}f}" if 0 < amount < smallest / 2 else f"${amount:.{decimals}f}"


def _decimals(nodes: Iterable[Node], total: Used) -> int:
    """Return how many decimals all costs get, 4 to 6: enough for three digits of the smallest."""
    costs = [total.amounts.get("cost", 0), *(node.reading.used.amounts.get("cost", 0) for node in nodes)]
    smallest = min((cost for cost in costs if cost > 0), default=1)
    return next((decimals for decimals in (4, 5) if smallest * 10**decimals >= 100), 6)


def _between(nodes: Sequence[Node]) -> float | None:
    starts = [node.start for node in nodes if node.start is not None]
    ends = [node.end for node in nodes if node.end is not None]
    return (max(ends) - min(starts)) / 1e9 if starts and ends else None


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"
