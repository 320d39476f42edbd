"""The page that compares packages is what its data and our files say, and we count whatever another package counts."""

from __future__ import annotations

from collections import Counter

import comparison
import pytest
from comparison import ABSENT, COUNTED, SEEN, Row

DATA = comparison.data()
ROWS = [row for sdk in DATA["sdk"] for row in comparison.rows(sdk)]

# Provider files that are not there yet, by the names in docs/comparison.toml.
AWAITED_FILES: set[str] = set()
# Rows that are not counted yet by a file that is there.
AWAITED: set[str] = set()


def row(*ours: str, counts: frozenset[str] = frozenset()) -> Row:
    return Row(sdk="", what="", ours=ours, counts=counts, said={})


def awaited(one: Row) -> bool:
    return one.name in AWAITED or any(name.partition(": ")[0] in AWAITED_FILES for name in one.ours)


def test_the_page_is_what_the_data_and_the_provider_files_say() -> None:
    page = comparison.PAGE.read_text()

    assert page == comparison.page(page), "run make providers"
    assert page.count(f"on {DATA['read']},") == page.count(f"on {DATA['baseline']['date']} ") == 1


def test_we_count_what_others_count_or_say_why_not() -> None:
    gaps = [
        one.name
        for one in ROWS
        if one.counted_by_others and one.our_mark() != COUNTED and not one.reason and not awaited(one)
    ]

    assert [] == gaps


def test_a_file_that_is_there_is_awaited_no_more() -> None:
    assert [] == [name for name in AWAITED_FILES if comparison.provider(name) is not None]


def test_a_row_that_is_counted_or_explained_is_awaited_no_more() -> None:
    left = {one.name for one in ROWS if one.our_mark() != COUNTED and not one.reason}

    assert set() == AWAITED - left


def test_no_reason_is_given_for_what_is_counted() -> None:
    assert [] == [one.name for one in ROWS if one.reason and one.our_mark() == COUNTED]


def test_rows_name_surfaces_that_are_there() -> None:
    named = {
        name
        for one in ROWS
        if one.counted_by_others and not one.reason and one.name not in AWAITED
        for name in one.ours
        if comparison.provider(name.partition(": ")[0]) is not None
    }

    assert set() == {name for name in named if not comparison.found(name)}


def test_rows_have_names_of_their_own_and_packages_are_all_used() -> None:
    assert [] == [name for name, times in Counter(one.name for one in ROWS).items() if times > 1]
    assert set(DATA["package"]) == {package for one in ROWS for by in one.said.values() for package in by}


@pytest.mark.parametrize(
    ("mark", "one"),
    [
        (COUNTED, row("openai: POST /chat/completions")),
        (COUNTED, row("openai: POST *completions")),
        (COUNTED, row("openai: RealtimeConnection: response.done")),
        (COUNTED, row("anthropic: GET /v1/messages/batches/{id}/results")),
        (COUNTED, row("google-genai: POST /{model}:generateContent", counts=frozenset({"tool use"}))),
        (ABSENT, row("openai: POST /embeddings", counts=frozenset({"reasoning"}))),
        (SEEN, row("openai: POST /moderations")),
        (SEEN, row("openai: POST /chat/completions", "openai: POST /moderations")),
        (ABSENT, row("openai: POST /chat/completions", "openai: POST /nothing")),
        (ABSENT, row("no-such-sdk: *")),
        (ABSENT, row()),
    ],
)
def test_our_column_is_read_from_the_provider_files(mark: str, one: Row) -> None:
    assert mark == one.our_mark()


def test_tables_stand_straight_in_a_terminal() -> None:
    lines = comparison.tables(DATA).splitlines()

    widths: list[set[int]] = [set()]
    for line in lines:
        if line.startswith("|"):
            widths[-1].add(len(line))
        elif widths[-1]:
            widths.append(set())
    assert len(DATA["sdk"]) == len([width for width in widths if len(width) == 1])
