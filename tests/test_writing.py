"""Attributes written past the SDK's checks are as it would have written them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.trace import INVALID_SPAN

from tracetoll.writing import set_attributes

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXT = st.text("ab", max_size=6)
VALUES = st.one_of(
    TEXT, st.integers(), st.floats(allow_nan=False), st.booleans(), st.lists(TEXT, max_size=3), st.tuples(TEXT, TEXT)
)
NAMES = st.sampled_from("abcdef")


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Leave out what the SDK says of attributes that it drops."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


@given(
    before=st.dictionaries(NAMES, VALUES, max_size=3),
    told=st.dictionaries(NAMES, VALUES),
    most=st.sampled_from([None, 1, 4, 128]),
    longest=st.sampled_from([None, None, 3]),
    ended=st.booleans(),
)
def test_they_are_what_the_sdk_makes_of_them(
    before: dict[str, Any], told: dict[str, Any], most: int | None, longest: int | None, *, ended: bool
) -> None:
    limits = SpanLimits(max_span_attributes=most, max_span_attribute_length=longest)
    provider = TracerProvider(span_limits=limits, shutdown_on_exit=False)
    theirs, ours = (provider.get_tracer("x").start_span("span", attributes=before) for _ in range(2))
    if ended:
        theirs.end()
        ours.end()

    theirs.set_attributes(told)
    set_attributes(ours, told)

    expected, found = (getattr(span, "attributes", None) for span in (theirs, ours))
    assert dict(expected or {}) == dict(found or {})


def test_a_span_that_is_not_the_sdks_is_left_to_itself() -> None:
    class Other:
        told: Any = None

        def set_attributes(self, told: Any) -> None:
            self.told = told

    other = Other()

    set_attributes(other, {"a": 1})
    set_attributes(INVALID_SPAN, {"a": 1})

    assert {"a": 1} == other.told
