"""Beside other packages, and with their spans alone: each trace's total is what the provider handed out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from packages import CONFIGURATIONS, PACKAGES
from runs import COLUMNS, DOCUMENT, cells, off, reasons, result, stated

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from packages import Configuration

FIELDS_OF_A_SPAN = ("usage", "token_count", "response.id", "rollup")


def part(mark: str) -> list[str]:
    """Return the lines of the document between two marks."""
    return DOCUMENT.read_text().split(f"<!-- {mark} -->\n")[1].split(f"<!-- /{mark} -->")[0].splitlines()


def committed() -> dict[str, dict[str, str]]:
    """Return the rows of the table, by the first cell."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in part("table")[2:]]
    return {row[0]: dict(zip(COLUMNS, row, strict=True)) for row in rows}


def tree(spans: Sequence[Mapping[str, Any]], parent: str | None = None, depth: int = 0) -> Iterator[str]:
    """Yield a line for each span below another, with what it says of usage."""
    for span in sorted((one for one in spans if one["parent"] == parent), key=lambda one: one["start"]):
        said = {
            name: value
            for name, value in span["attributes"].items()
            if any(part_of in name for part_of in FIELDS_OF_A_SPAN) and "raw" not in name
        }
        yield f"{'  ' * depth}[{span['scope']}] {span['name']} {said}"
        yield from tree(spans, span["id"], depth + 1)


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
@pytest.mark.parametrize("name", PACKAGES)
def test_the_total_of_a_trace_is_what_the_provider_handed_out(name: str, configuration: Configuration) -> None:
    found = result(name, configuration)

    told = {step: off(handed_out, found["told"][step]) for step, handed_out in found["handed_out"].items()}
    assert stated(name, configuration) == {step: by for step, by in told.items() if by}, "\n".join(tree(found["spans"]))
    assert found["complete"] or configuration == "alone"
    texts = cells(name, configuration, found)
    assert texts.items() <= committed()[texts["Package"]].items()


@pytest.mark.parametrize("name", PACKAGES)
def test_beside_ours_calls_and_tokens_are_never_off(name: str) -> None:
    beside = [*PACKAGES[name].off.get("before", {}).values(), *PACKAGES[name].off.get("after", {}).values()]

    assert {(0, 0, 0)} >= {(known.calls, known.input_tokens, known.output_tokens) for known in beside}


def test_the_document_has_a_row_for_each_package_and_each_reason() -> None:
    assert list(PACKAGES) == list(committed())
    assert list(reasons()) == part("reasons")
