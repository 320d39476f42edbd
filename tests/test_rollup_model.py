"""The roll-up against a slow model of it: random trees, orders, dialects, threads, missing fields."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.trace import TracerProvider
from rollup_model import Story, rolled_up, stories

from tracetoll import RollupProcessor

if TYPE_CHECKING:
    from collections.abc import Callable

EXAMPLES = int(os.environ.get("TRACETOLL_EXAMPLES", "200"))


def told_of(told: dict[int, tuple[dict[str, int], bool]]) -> dict[int, tuple[dict[str, int], bool]]:
    return {
        place: ({name: n for name, n in total.items() if n > 0}, complete) for place, (total, complete) in told.items()
    }


def told_by(story: Story, run: Callable[[Callable[[], None]], object] = lambda step: step()) -> tuple[object, object]:
    """Return what the spans of a story say, and what of a trace is kept afterwards."""
    provider = TracerProvider(shutdown_on_exit=False)
    processor = RollupProcessor()
    provider.add_span_processor(processor)
    spans = story.act_out(provider, run)
    found = {place: told for place, span in enumerate(spans) if (told := rolled_up(span)) is not None}
    return told_of(found), processor._traces  # noqa: SLF001  # what nobody can see from outside


@settings(max_examples=EXAMPLES)
@given(stories() | stories(alike=True))
def test_totals_are_those_of_the_model(story: Story) -> None:
    found, kept = told_by(story)

    assert told_of(story.expected()) == found
    assert {} == kept


@settings(max_examples=max(EXAMPLES // 4, 1))
@given(stories() | stories(alike=True), st.data())
def test_it_does_not_matter_in_which_thread_a_span_ends(story: Story, data: st.DataObject) -> None:
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:

        def run(step: Callable[[], None]) -> None:
            where = data.draw(st.sampled_from([None, one, other]))
            if where is None:
                step()
            else:
                where.submit(step).result()

        found, kept = told_by(story, run)

    assert told_of(story.expected()) == found
    assert {} == kept
