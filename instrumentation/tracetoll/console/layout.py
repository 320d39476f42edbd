"""Rows in columns: which columns there is room for, and how wide they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rich.console import ConsoleOptions
    from rich.text import Text

NAME_CELLS: Final = 28  # columns are dropped before names get narrower than this
GAP: Final = "  "


class Row(NamedTuple):
    """One line; the first column is `guide` and `name`."""

    guide: str
    name: str
    cells: Mapping[str, str]
    name_style: str = ""
    cell_style: str = ""
    mark: str = ""
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


class Signs(NamedTuple):
    """What a tree is drawn with."""

    branch: str
    last: str
    line: str
    space: str
    more: str
    failed: str


UNICODE: Final = Signs("├─ ", "└─ ", "│  ", "   ", "…", "✗ ")
ASCII: Final = Signs("|- ", "`- ", "|  ", "   ", "...", "! ")


def signs_for(options: ConsoleOptions) -> Signs:
    """Return signs that the file can encode."""
    return ASCII if options.ascii_only else UNICODE


class Layout:
    """Rows, and the columns that they get in a width."""

    def __init__(self, rows: Sequence[Row], signs: Signs, width: int) -> None:
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
        """The width in cells that is used."""
        return max(self._name_width + self._beside_name(), self._across)

    def lines(self) -> Iterator[Text]:
        """Yield the lines, the titles of the columns first."""
        from rich.text import Text  # noqa: PLC0415  # rich is loaded only when something is printed

        heads = {title: title for title in self._widths}
        for row in (Row("", "span", heads, name_style="dim", cell_style="dim"), *self._rows):
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

    def _name(self, row: Row) -> str:
        return f"{row.guide}{row.mark}{row.name}"

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
