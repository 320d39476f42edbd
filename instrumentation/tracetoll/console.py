"""One trace as a tree in a terminal: what each call used, took and cost, and the total."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import IO

    from opentelemetry.sdk.trace import ReadableSpan
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.text import Text

Amount = int | float
SpanId = tuple[int, int]

RUN_LENGTH: Final = 8  # longer runs of equal siblings become one line
SHOWN_OF_RUN: Final = 2
NAME_CELLS: Final = 28  # columns are dropped before names get narrower than this
GAP: Final = "  "

# Amounts by the attribute that a call has them in.
AMOUNTS: Final = {
    "input": "gen_ai.usage.input_tokens",
    "cached": "gen_ai.usage.cache_read.input_tokens",
    "written": "gen_ai.usage.cache_write.input_tokens",
    "output": "gen_ai.usage.output_tokens",
    "reasoning": "gen_ai.usage.reasoning.output_tokens",
    "cost": "tracetoll.cost.amount",
}
CALLS: Final = frozenset({"chat", "text_completion", "generate_content", "embeddings"})
REFUSED: Final = frozenset({"refused", "budget_exceeded"})


def render_tree(spans: Sequence[ReadableSpan], *, width: int | None = None) -> RenderableType:
    """Return the spans of one trace as a tree that rich can print.

    A span whose parent is not among them is a root. Spans that used nothing themselves show in a dim
    style what their subtree used; the last line is the total, in which each call counts once, whatever
    spans report it. Columns are dropped, the least important first, where `width` (in cells, that of
    the console by default) is too narrow for them.
    """
    return _Tree(spans, width)


def print_trace(spans: Sequence[ReadableSpan], file: IO[str] | None = None) -> None:
    """Print the spans of one trace as a tree; see `render_tree`.

    The file is standard output by default. One that is no terminal gets plain text, as wide as the tree
    needs it.
    """
    from rich.console import Console  # noqa: PLC0415  # rich is loaded only when something is printed

    console = Console(file=file or sys.stdout, highlight=False)
    tree = _Tree(spans, None)
    if not console.is_terminal:
        console.width = max(tree.natural_width(console.options), 1)
    console.print(tree)


@dataclass(frozen=True, slots=True)
class _Used:
    """What a span or a subtree used; an amount that nobody reported is missing, not 0."""

    amounts: Mapping[str, Amount] = field(default_factory=dict)
    calls: int = 0
    refused: int = 0  # calls that a limit kept from being sent; not in `calls`
    silent: int = 0  # calls without usage
    unpriced: int = 0  # calls with usage and without cost

    def plus(self, other: _Used) -> _Used:
        return self._joined(other, lambda mine, theirs: mine + theirs)

    def over(self, below: _Used) -> _Used:
        """Return what the subtree of a span used; over calls it reports their tokens again."""
        larger = self._joined(below, max)
        if not (self.calls and below.calls):
            return larger
        # What one of the two knows is known.
        return replace(larger, silent=min(self.silent, below.silent), unpriced=min(self.unpriced, below.unpriced))

    def _joined(self, other: _Used, join: Callable[[Amount, Amount], Amount]) -> _Used:
        names = self.amounts.keys() | other.amounts.keys()
        return _Used(
            {name: join(self.amounts.get(name, 0), other.amounts.get(name, 0)) for name in names},
            int(join(self.calls, other.calls)),
            int(join(self.refused, other.refused)),
            int(join(self.silent, other.silent)),
            int(join(self.unpriced, other.unpriced)),
        )


@dataclass(slots=True)
class _Node:
    """A span in the tree."""

    name: str
    model: str
    outcome: str
    failed: bool
    own: _Used
    seconds: float | None
    children: list[_Node]
    total: _Used

    @property
    def shown(self) -> _Used:
        return self.own if self.own.amounts or self.own.calls else self.total

    @property
    def likeness(self) -> tuple[str, str, str]:
        return self.name, self.model, self.outcome


class _Row(NamedTuple):
    guide: str
    name: str
    cells: Mapping[str, str]
    name_style: str = ""
    cell_style: str = ""
    failed: bool = False
    across: bool = False  # a line of text over all columns


class _Column(NamedTuple):
    title: str
    side: Literal["left", "right"]


# From left to right.
COLUMNS: Final = (
    _Column("model", "left"),
    _Column("input", "right"),
    _Column("cached", "right"),
    _Column("written", "right"),
    _Column("output", "right"),
    _Column("reasoning", "right"),
    _Column("cost", "right"),
    _Column("time", "right"),
    _Column("outcome", "left"),
)
# Which are dropped where it is narrow, first to last.
DROPPED: Final = ("written", "reasoning", "cached", "model", "outcome", "time", "input", "output", "cost")


class _Signs(NamedTuple):
    branch: str
    last: str
    line: str
    space: str
    more: str
    failed: str


UNICODE: Final = _Signs("├─ ", "└─ ", "│  ", "   ", "…", "✗ ")
ASCII: Final = _Signs("|- ", "`- ", "|  ", "   ", "...", "! ")


class _Tree:
    """What `render_tree` returns: laid out when it is printed, for the console that prints it."""

    def __init__(self, spans: Sequence[ReadableSpan], width: int | None) -> None:
        self._width = width
        self._roots = _grown(spans)
        starts = [span.start_time for span in spans if span.start_time is not None]
        ends = [span.end_time for span in spans if span.end_time is not None]
        self._seconds = (max(ends) - min(starts)) / 1e9 if starts and ends else None

    def natural_width(self, options: ConsoleOptions) -> int:
        """Return the width in cells that the whole tree needs."""
        return _Layout(list(self._rows(options)), _signs(options), sys.maxsize).width

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> Iterator[Text]:
        width = options.max_width if self._width is None else self._width
        yield from _Layout(list(self._rows(options)), _signs(options), width).lines()

    def _rows(self, options: ConsoleOptions) -> Iterator[_Row]:
        signs = _signs(options)
        total = _Used()
        for root in self._roots:
            total = total.plus(root.total)
        decimals = _decimals(self._roots, total)
        # Last in, first out; no recursion, so that no trace is too deep.
        waiting = [("", "", entry) for entry in reversed(_collapsed(self._roots, signs))]
        while waiting:
            guide, below, node = waiting.pop()
            cells = _amounts(node.shown, decimals) | {"model": node.model, "outcome": node.outcome}
            cells["time"] = _duration(node.seconds)
            yield _Row(
                guide,
                _plain(node.name, options),
                {title: _plain(cell, options) for title, cell in cells.items()},
                name_style="red" if node.failed else "",
                cell_style="" if node.shown is node.own else "dim",
                failed=node.failed,
            )
            children = _collapsed(node.children, signs)
            for place, child in enumerate(reversed(children)):
                mark, deeper = (signs.last, signs.space) if place == 0 else (signs.branch, signs.line)
                waiting.append((below + mark, below + deeper, child))
        remarks = _remarks(total)
        if remarks:
            yield _Row("", remarks, {}, name_style="dim", across=True)
        cells = _amounts(total, decimals) | {"time": _duration(self._seconds)}
        name = f"total: {total.calls} call{'' if total.calls == 1 else 's'}"
        yield _Row("", name, cells, name_style="bold", cell_style="bold")


class _Layout:
    """Rows in columns: which columns there is room for, and how wide they are."""

    def __init__(self, rows: Sequence[_Row], signs: _Signs, width: int) -> None:
        from rich.cells import cell_len  # noqa: PLC0415  # rich is loaded only when something is printed

        self._signs = signs
        self._rows = rows
        self._name_width = max(cell_len(self._name(row)) for row in rows if not row.across)
        self._across = max((cell_len(row.name) for row in rows if row.across), default=0)
        widths = {column.title: max(cell_len(row.cells.get(column.title, "")) for row in rows) for column in COLUMNS}
        # A column that says nothing is left out.
        titles = [title for title, cells in widths.items() if cells and not self._all_zero(title)]
        self._widths = {title: max(widths[title], len(title)) for title in titles}
        needed = min(self._name_width, NAME_CELLS, width * 3 // 5)
        for title in DROPPED:
            if needed + self._beside_name() > width:
                self._widths.pop(title, None)
        self._name_width = max(min(self._name_width, width - self._beside_name()), 1)

    @property
    def width(self) -> int:
        return max(self._name_width + self._beside_name(), self._across)

    def lines(self) -> Iterator[Text]:
        from rich.text import Text  # noqa: PLC0415  # rich is loaded only when something is printed

        heads = {title: title for title in self._widths}
        for row in (_Row("", "span", heads, name_style="dim", cell_style="dim"), *self._rows):
            line = Text(no_wrap=True, overflow="crop")
            line.append(row.name if row.across else self._fitted(self._name(row)), row.name_style)
            for column in () if row.across else COLUMNS:
                if column.title in self._widths:
                    cell = Text(row.cells.get(column.title, ""))
                    cell.align(column.side, self._widths[column.title])
                    line.append(GAP)
                    line.append(cell.plain, row.name_style if column.title == "outcome" else row.cell_style)
            line.rstrip()
            yield line

    def _name(self, row: _Row) -> str:
        return f"{row.guide}{self._signs.failed if row.failed else ''}{row.name}"

    def _beside_name(self) -> int:
        return sum(len(GAP) + width for width in self._widths.values())

    def _all_zero(self, title: str) -> bool:
        return all(row.cells.get(title, "") in {"", "0"} for row in self._rows)

    def _fitted(self, name: str) -> str:
        from rich.cells import cell_len, set_cell_size  # noqa: PLC0415  # rich is loaded only when something is printed

        if cell_len(name) <= self._name_width:
            return set_cell_size(name, self._name_width)
        more = self._signs.more[: self._name_width]
        return set_cell_size(name, self._name_width - len(more)) + more


def _signs(options: ConsoleOptions) -> _Signs:
    return ASCII if options.ascii_only else UNICODE


def _plain(text: str, options: ConsoleOptions) -> str:
    """Return a text without what would steer the terminal or what the file cannot encode."""
    printable = "".join(sign if sign.isprintable() else " " for sign in text)
    return printable.encode(options.encoding, "replace").decode(options.encoding)


def _grown(spans: Iterable[ReadableSpan]) -> list[_Node]:
    """Return the roots, children in the order of their start, totals added up from the leaves."""
    by_id: dict[SpanId, ReadableSpan] = {}
    for span in spans:
        if span.context is not None:
            by_id[span.context.trace_id, span.context.span_id] = span
    in_order = dict(sorted(by_id.items(), key=lambda item: item[1].start_time or 0))
    parents = {name: _parent(span, by_id) for name, span in in_order.items()}
    nodes = {name: _node(span) for name, span in in_order.items()}
    children: dict[SpanId | None, list[SpanId]] = {}
    for name, parent in parents.items():
        children.setdefault(parent, []).append(name)
    for name in _repeated(in_order, parents):
        nodes[name].total = _Used()
    top_down = list(children.get(None, ()))
    for name in top_down:
        top_down.extend(children.get(name, ()))
    for name in reversed(top_down):
        node = nodes[name]
        node.children = [nodes[child] for child in children.get(name, ())]
        below = _Used()
        for child in node.children:
            below = below.plus(child.total)
        node.total = node.total.over(below)
    return [nodes[name] for name in children.get(None, ())]


def _parent(span: ReadableSpan, by_id: Mapping[SpanId, ReadableSpan]) -> SpanId | None:
    if span.parent is None:
        return None
    name = (span.parent.trace_id, span.parent.span_id)
    return name if name in by_id else None


def _repeated(spans: Mapping[SpanId, ReadableSpan], parents: Mapping[SpanId, SpanId | None]) -> Iterator[SpanId]:
    """Yield spans that report a response again, which no span above them reports."""
    first: dict[tuple[int, object], SpanId] = {}
    for name, span in spans.items():
        response = (span.attributes or {}).get("gen_ai.response.id")
        if response is None:
            continue
        reported = first.setdefault((name[0], response), name)
        above: SpanId | None = name
        while above is not None and above != reported:
            above = parents[above]
        if above is None:
            yield name


def _node(span: ReadableSpan) -> _Node:
    attributes = span.attributes or {}

    def text(*names: str) -> str:
        return next((str(attributes[name]) for name in names if attributes.get(name)), "")

    amounts = {
        title: value
        for title, name in AMOUNTS.items()
        if isinstance(value := attributes.get(name), int | float) and not isinstance(value, bool)
    }
    ended = text("tracetoll.call.outcome")
    outcome = text("error.type") or ("" if ended == "done" else ended)
    failed = bool(attributes.get("error.type")) or not span.status.is_ok or ended in {"failed", "refused"}
    tokens = "input" in amounts or "output" in amounts
    call = text("gen_ai.operation.name") in CALLS or tokens
    refused = outcome in REFUSED or ended in REFUSED
    own = _Used(
        amounts,
        calls=int(call and not refused),
        refused=int(refused),
        silent=int(call and not tokens and not failed),
        unpriced=int(tokens and "cost" not in amounts),
    )
    start, end = span.start_time, span.end_time
    seconds = None if start is None or end is None else (end - start) / 1e9
    model = text("gen_ai.response.model", "gen_ai.request.model")
    return _Node(span.name, model, outcome or ("error" if failed else ""), failed, own, seconds, [], own)


def _collapsed(nodes: Sequence[_Node], signs: _Signs) -> list[_Node]:
    """Return siblings, those of a long run of equal ones but the first in one."""
    shown: list[_Node] = []
    for _, equal in groupby(nodes, key=lambda node: node.likeness):
        run = list(equal)
        if len(run) <= RUN_LENGTH:
            shown.extend(run)
            continue
        shown.extend(run[:SHOWN_OF_RUN])
        shown.append(_together(run[SHOWN_OF_RUN:], signs))
    return shown


def _together(run: Sequence[_Node], signs: _Signs) -> _Node:
    total = _Used()
    for node in run:
        total = total.plus(node.total)
    seconds = [node.seconds for node in run if node.seconds is not None]
    name = f"{signs.more} {len(run)} more {run[0].name}"
    return replace(run[0], name=name, own=_Used(), seconds=sum(seconds) if seconds else None, children=[], total=total)


def _remarks(total: _Used) -> str:
    """Return what the numbers of the total leave out."""
    left_out = {"refused": total.refused, "without usage": total.silent, "unpriced": total.unpriced}
    return ", ".join(f"{number} {what}" for what, number in left_out.items() if number)


def _amounts(used: _Used, decimals: int) -> dict[str, str]:
    cells = {title: f"{int(amount):,}" for title, amount in used.amounts.items() if title != "cost"}
    if "cost" in used.amounts:
        cells["cost"] = _money(used.amounts["cost"], decimals)
    return cells


def _money(amount: Amount, decimals: int) -> str:
    smallest = 10**-decimals
    return f"<${smallest:.{decimals}f}" if 0 < amount < smallest / 2 else f"${amount:.{decimals}f}"


def _decimals(roots: Iterable[_Node], total: _Used) -> int:
    """Return how many decimals all costs get, 4 to 6: enough for three digits of the smallest."""
    waiting = list(roots)
    costs = [total.amounts.get("cost", 0)]
    while waiting:
        node = waiting.pop()
        costs.append(node.own.amounts.get("cost", 0))
        waiting.extend(node.children)
    smallest = min((cost for cost in costs if cost > 0), default=1)
    return next((decimals for decimals in (4, 5) if smallest * 10**decimals >= 100), 6)


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"
