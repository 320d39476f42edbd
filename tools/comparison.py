"""Write docs/comparison.md from docs/comparison.toml; what is ours is found in the provider files.

python tools/comparison.py            write it
python tools/comparison.py --check    exit 1 with a diff where it is out of date
"""

from __future__ import annotations

import importlib
import re
import sys
import textwrap
import tomllib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pages import write_or_check
from providers import counts, surfaces

from tracetoll.providers.index import KNOWN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from tracetoll.providers.words import Surface

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "comparison.md"
DATA = ROOT / "docs" / "comparison.toml"
SECTION = re.compile(r"(<!-- (\w+) -->\n).*?(<!-- /\2 -->)", re.DOTALL)
WIDTH = 150

COUNTED, ESTIMATED, SEEN, UNREAD, ABSENT = "●", "~", "○", "?", "-"
# What a row says of a package, and how that is marked; the first that is said holds for the column.
SAID = {"reads": COUNTED, "estimates": ESTIMATED, "spans": SEEN}
BASELINE = (
    "Packages",
    "SDKs",
    "Cases",
    "Exact %",
    "Counted twice",
    "SDK's span too",
    "Left open",
    "Abandoned that never end",
)


@dataclass(frozen=True, slots=True)
class Row:
    """One surface of an SDK, or one number of a surface: who counts it."""

    sdk: str
    what: str
    ours: tuple[str, ...]
    counts: frozenset[str]
    said: Mapping[str, Mapping[str, str]]
    unread: frozenset[str] = frozenset()
    reason: str = ""
    note: str = ""

    @property
    def name(self) -> str:
        """Tell the rows of all SDKs apart."""
        return f"{self.sdk}: {self.what}"

    @property
    def counted_by_others(self) -> bool:
        """Return whether any other package gives numbers, be they estimates."""
        return bool(self.said["reads"] or self.said["estimates"])

    def mark(self, column: str, packages: Mapping[str, Any]) -> str:
        """Return the mark of one family of packages."""
        for said, mark in SAID.items():
            if any(packages[package]["column"] == column for package in self.said[said]):
                return mark
        return UNREAD if column in self.unread else ABSENT

    def our_mark(self) -> str:
        """Return our own mark: the worst of all surfaces that the row names."""
        marks = [_mark(name, self.counts) for name in self.ours]
        return min(marks, key=(ABSENT, SEEN, COUNTED).index, default=ABSENT)


def data() -> dict[str, Any]:
    """Return what has been read in other packages."""
    return tomllib.loads(DATA.read_text())


def rows(sdk: Mapping[str, Any]) -> list[Row]:
    """Return the rows of one SDK."""
    return [
        Row(
            sdk=sdk["name"],
            what=row["what"],
            ours=tuple(row["ours"]),
            counts=frozenset(row.get("counts", ())),
            said={said: row.get(said, {}) for said in SAID},
            unread=frozenset(row.get("unread", ())),
            reason=row.get("reason", ""),
            note=row.get("note", ""),
        )
        for row in sdk["row"]
    ]


def provider(name: str) -> str | None:
    """Return the provider file of that name, or for the distribution of that name; None if there is none."""
    wanted = _plain(name)
    return next((file for file, sdk in KNOWN.items() if wanted in {_plain(file), _plain(sdk.distribution)}), None)


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@cache
def ours(file: str) -> tuple[tuple[str, frozenset[str] | None], ...]:
    """Return the keys of a provider file, and which counts each may tell; None where no tokens are reported."""
    seams = importlib.import_module(f"tracetoll.providers.{file}").SEAMS
    return tuple((key, _told(surface)) for key, surface in _surfaces(seams))


def found(name: str) -> list[frozenset[str] | None]:
    """Return what the surfaces tell that "file: pattern of keys" names."""
    file, _, pattern = name.partition(": ")
    known = provider(file)
    return [told for key, told in ours(known) if fnmatchcase(key, pattern)] if known is not None else []


def _surfaces(seams: tuple[Any, ...]) -> Iterator[tuple[str, Surface]]:
    yield from ((key.replace("`", ""), surface) for key, surface in surfaces(seams))
    for seam in seams:
        for key, families in getattr(seam, "families", {}).items():
            yield from ((key, family.surface) for family in families)


def _told(surface: Surface) -> frozenset[str] | None:
    usage = surface.line.usage if surface.line is not None else surface.usage
    return frozenset(counts(usage)) if usage is not None else None


def _mark(name: str, wanted: frozenset[str]) -> str:
    told = found(name)
    if any(one is not None and wanted <= one for one in told):
        return COUNTED
    return SEEN if any(one is None for one in told) else ABSENT


# --- the page --------------------------------------------------------------------------------


def table(head: tuple[str, ...], body: list[list[str]], numbers: frozenset[int] = frozenset()) -> str:
    """Return a table whose columns stand under one another in a terminal too; columns of numbers stand to the right."""
    widths = [max(len(line[column]) for line in [list(head), *body]) for column in range(len(head))]

    def line(values: Iterable[str]) -> str:
        told = (
            v.rjust(w) if at in numbers else v.ljust(w) for at, (v, w) in enumerate(zip(values, widths, strict=True))
        )
        return f"| {' | '.join(told)} |"

    rule = "|".join(f"{'-' * (w + 1)}{':' if at in numbers else '-'}" for at, w in enumerate(widths))
    return "\n".join([line(head), f"|{rule}|", *(line(one) for one in body)])


def tables(told: Mapping[str, Any]) -> str:
    """Return the tables by SDK, each with what is to be said of its rows."""
    return "\n\n".join(_section(sdk, told) for sdk in told["sdk"])


def _section(sdk: Mapping[str, Any], told: Mapping[str, Any]) -> str:
    columns: list[str] = told["columns"]
    body: list[list[str]] = []
    remarks: list[str] = []
    for row in rows(sdk):
        mark = row.our_mark()
        remark = " ".join(filter(None, (row.reason if mark != COUNTED else "", row.note)))
        if remark:
            number = f"{len(remarks) + 1}. "
            remarks.append(textwrap.fill(number + remark, WIDTH, subsequent_indent=" " * len(number)))
        told_below = f" ({len(remarks)})" if remark else ""
        body.append([row.what + told_below, mark, *(row.mark(column, told["package"]) for column in columns)])
    head = [f"### {sdk['name']}", *([textwrap.fill(sdk["text"].strip(), WIDTH)] if "text" in sdk else [])]
    made = table(("Surface", "Ours", *columns), body)
    return "\n\n".join([*head, made, *(["\n".join(remarks)] if remarks else [])])


def summary(told: Mapping[str, Any]) -> str:
    """Return how many rows there are, and how many of them are counted."""
    every = [row for sdk in told["sdk"] for row in rows(sdk)]
    theirs = [row for row in every if row.counted_by_others]
    left = [row for row in theirs if row.our_mark() != COUNTED]
    meant = sum(bool(row.reason) for row in left)
    says = (
        f"Of {len(every)} rows, {len(theirs)} are counted or estimated by at least one other package. We count "
        f"{len(theirs) - len(left)} of those, and leave {meant} out for the reason below their tables."
    )
    if len(left) > meant:
        says += f" {len(left) - meant} are not counted yet."
    return textwrap.fill(says, WIDTH)


def baseline(told: Mapping[str, Any]) -> str:
    """Return what was measured of other packages."""
    measured = [
        [str(value) if not isinstance(value, int) else f"{value:,}" for value in row]
        for row in told["baseline"]["rows"]
    ]
    return table(BASELINE, measured, frozenset(range(2, len(BASELINE))))


def legend(told: Mapping[str, Any]) -> str:
    """Return what the columns are."""
    return "\n".join(f"- **{column}**: {told['families'][column]}" for column in told["columns"])


def sources(told: Mapping[str, Any]) -> str:
    """Return what was read for each row."""
    return "\n\n".join(_sources(sdk, told) for sdk in told["sdk"])


def _sources(sdk: Mapping[str, Any], told: Mapping[str, Any]) -> str:
    packages: Mapping[str, Any] = told["package"]
    lines: list[str] = []
    used: dict[str, None] = {}
    for row in rows(sdk):
        read = [(said, package, where) for said, by in row.said.items() for package, where in by.items()]
        used.update(dict.fromkeys(package for _, package, _ in read))
        parts = []
        for said, package, where in sorted(read, key=lambda one: list(packages).index(one[1])):
            places = ", ".join(f"`{place}`" for place in where.split(", "))
            parts.append(f"{package} {SAID[said]} {places}")
        if parts:
            lines.append(_item(f"{row.what}: {'; '.join(parts)}"))
    if not lines:
        return f"### Sources: {sdk['name']}\n\nNothing was found in the packages read."
    names = [
        _item(
            f"**{package}**: {packages[package]['name']} {packages[package]['version']}, in `{packages[package]['at']}`"
            + (f" ({packages[package]['note']})" if "note" in packages[package] else "")
        )
        for package in sorted(used, key=list(packages).index)
    ]
    return "\n".join([f"### Sources: {sdk['name']}", "", *names, "", *lines])


def _item(told: str) -> str:
    return textwrap.fill(f"- {told}", WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


PARTS: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "summary": summary,
    "legend": legend,
    "tables": tables,
    "baseline": baseline,
    "sources": sources,
}


def page(old: str) -> str:
    """Return the page with what is generated made anew."""
    told = data()
    return SECTION.sub(lambda part: f"{part[1]}\n{PARTS[part[2]](told)}\n\n{part[3]}", old)


if __name__ == "__main__":
    sys.exit(write_or_check(PAGE, page, "docs/comparison.toml and the provider files"))
