"""What calls have in common that say nothing unusual, and what is remembered of each."""

from __future__ import annotations

from operator import itemgetter, mul
from typing import TYPE_CHECKING, Any, Final

from tracetoll.rollup.state import NUMBERS, Ended
from tracetoll.usage import FEMTO_PER_NANO

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tracetoll.dialects.reader import Fields
    from tracetoll.dialects.words import Kind
    from tracetoll.rollup.state import Node
    from tracetoll.rollup.totals import Total


_OF_NUMBERS: Final = itemgetter(NUMBERS)


class Usual:
    """What calls have in common that are of one scope, have the same attributes, and say the same beside numbers."""

    __slots__ = ("answer", "cost", "counts", "kind", "names", "numbers", "rates", "scope", "trust")

    def __init__(self, scope: str) -> None:
        self.scope = scope
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

    def total(self, calls: Sequence[Record]) -> Total:
        """Return what some calls came to."""
        number = len(calls)
        sums = calls[0][NUMBERS] if number == 1 else tuple(map(sum, zip(*map(_OF_NUMBERS, calls), strict=True)))
        if self.rates is not None:
            sums = (*sums, sum(map(mul, sums, self.rates), number * self.rates[-1]))
        elif self.cost is not None:
            sums = (*sums[:-1], sums[-1] * FEMTO_PER_NANO)
        return dict(zip(self.names, (*sums, number, number, number)))  # noqa: B905  # what counts calls comes last

    def counted(self, record: Record) -> Ended:
        """Return what is to be known of such a call that was counted."""
        _, _, answer, begun, over, where, _ = record
        found = Ended(self.kind, self.trust)
        found.total = self.total((record,))
        found.scope, found.answer, found.where = self.scope, answer, where
        found.started_ns, found.ended_ns = begun, over
        return found


Record = tuple[Usual, tuple[int, ...], "str | None", int, int, "Node", int]
"""A usual call: its numbers, its answer, when it began and ended, the span that it is below, and its span's id."""
