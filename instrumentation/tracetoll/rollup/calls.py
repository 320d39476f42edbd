"""What calls have in common that say nothing unusual, and what is remembered of each."""

from __future__ import annotations

from operator import mul
from typing import TYPE_CHECKING, Any, Final

from tracetoll.rollup.state import Ended
from tracetoll.usage import FEMTO_PER_NANO

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracetoll.dialects.reader import Fields, Shape
    from tracetoll.dialects.words import Kind
    from tracetoll.rollup.state import Node
    from tracetoll.rollup.totals import Total


_BESIDE: Final = 3
"""How many numbers are kept of a call beside its own: when it began and ended, and its span's id."""
_ADDED_AT_ONCE: Final = 32
"""How many usual calls below a span are added up at once, at most."""


class Usual:
    """What calls have in common that are of one scope, have the same attributes, and say the same beside numbers."""

    __slots__ = (
        "answer", "columns", "cost", "counts", "keys", "kind", "names", "numbers", "rates", "room",
        "said", "saying", "scope", "trust", "width",
    )  # fmt: skip

    def __init__(self, scope: str, shape: Shape, fields: Fields) -> None:
        self.scope = scope
        self.keys: tuple[str, ...] | None = (*fields,)
        """The attributes of such a span; None: what is known of it is too old."""
        self.saying = shape.saying
        self.said = shape.saying(fields)
        """What it says beside numbers."""
        self.kind: Kind = "none"
        self.trust = 0
        self.counts: tuple[str, ...] = ()
        """The counts that they tell; none: there is something unusual about them."""
        self.numbers: Callable[[Fields], tuple[Any, ...]] = tuple
        """Reads these."""
        self.cost: str | None = None
        """The attribute that tells the cost, in USD; it is the last of the numbers, in nano-dollars."""
        self.rates: tuple[int, ...] | None = None
        """Else what each of the counts costs, and a call, in 1e-15 USD."""
        self.names: tuple[str, ...] = ()
        """The fields of a call's total: the counts, the cost or that there is no price, and what such a call is."""
        self.answer: str | None = None
        """The attribute with the answer's id."""

    def tells(self, counts: tuple[str, ...], numbers: Callable[[Fields], tuple[Any, ...]]) -> None:
        """Set which counts such calls tell, and what reads them; the attribute of their cost is set before."""
        self.counts, self.numbers = counts, numbers
        self.width = len(counts) + (self.cost is not None) + _BESIDE
        self.room = self.width * _ADDED_AT_ONCE
        self.columns = tuple(slice(at, None, self.width) for at in range(self.width - _BESIDE))
        """Where the numbers of each of many calls are that one of the counts has."""

    def total(self, calls: list[int]) -> Total:
        """Return what some calls came to."""
        number = len(calls) // self.width
        sums = calls[:-_BESIDE] if number == 1 else list(map(sum, map(calls.__getitem__, self.columns)))
        if self.rates is not None:
            sums.append(sum(map(mul, sums, self.rates), number * self.rates[-1]))
        elif self.cost is not None:
            sums[-1] *= FEMTO_PER_NANO
        return dict(zip(self.names, (*sums, number, number, number)))  # noqa: B905  # what counts calls comes last

    def above(self, run: Run, key: int) -> Node | None:
        """Return what a call is below, by its span's id; None: it is none of these."""
        _, where, calls, _ = run
        return where if key in calls[self.width - 1 :: self.width] else None

    def counted(self, run: Run) -> list[tuple[Ended, int]]:
        """Return what is to be known of such calls that were counted, each with its span's id."""
        _, where, calls, answers = run
        made = []
        for at in range(0, len(calls), self.width):
            call = calls[at : at + self.width]
            one = Ended(self.kind, self.trust)
            one.total, one.scope, one.where = self.total(call), self.scope, where
            one.started_ns, one.ended_ns, key = call[-_BESIDE:]
            made.append((one, key))
        for (one, _), answer in zip(made, answers):  # noqa: B905  # most have none, and the last one's may be still to come
            one.answer = answer
        return made


Run = tuple[Usual, "Node", list[int], list[str]]
"""Usual calls below a span, one after another: what they have in common, the span, of each call its numbers, when it
began and ended and its span's id, and their answers' ids, if such calls tell any.

The numbers follow one another: a tuple for each call, and one of its own numbers, would be two more to be freed later,
which takes half a microsecond per call where many traces are open.
"""
