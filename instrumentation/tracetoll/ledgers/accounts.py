"""What a ledger in memory keeps: accounts, what is reserved on them, and where calls find theirs again.

All of it is only touched under the ledger's lock.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

from tracetoll.limits.windows import BUCKETS, Rolling

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tracetoll.ledgers.protocol import Line, Rule

NEVER: Final = float("inf")


class Account:
    """One limit's counter for one subject."""

    __slots__ = ("buckets", "ends", "full", "key", "reserved", "rule", "spent", "started")

    def __init__(self, key: str, rule: Rule) -> None:
        self.key = key
        self.spent = 0
        self.reserved = 0
        self.started = 0.0
        """When the account's calendar period started; a reservation of another period is not this one's."""
        self.ends = NEVER
        """When the calendar period ends, by the wall clock; when the oldest bucket leaves, by the monotonic one."""
        self.buckets: deque[list[float]] | None = None
        """[when the bucket leaves the window, what was spent in it]; None: not a rolling window."""
        self.follow(rule)

    def follow(self, rule: Rule) -> None:
        """Follow a new rule: the limit was changed while it was in use."""
        if isinstance(rule.period, Rolling) and self.buckets is None:
            self.buckets = deque()
            self.ends = NEVER
        self.full = 0.0
        """Until when what is spent goes into the newest bucket, by the monotonic clock."""
        self.rule = rule

    def remember(self, amount: int, now: float) -> None:
        """Put what is spent into the bucket of now."""
        buckets = self.buckets
        if buckets and now < self.full:
            buckets[-1][1] += amount
            return
        period = self.rule.period
        if buckets is None or not isinstance(period, Rolling):
            return
        length = period.seconds / BUCKETS
        self.full = (now // length + 1) * length
        leaves = self.full + period.seconds
        if buckets and buckets[-1][0] >= leaves:
            buckets[-1][1] += amount
        else:
            buckets.append([leaves, amount])
        self.ends = buckets[0][0]

    def correct(self, change: int, when: float | None) -> None:
        """Take back what was counted too much: of what was spent `when` it was counted, by the monotonic clock.

        Beyond that, or if nobody knows when, of what was spent first: what is left counts as long as it may.
        """
        buckets = tuple(self.buckets or ())
        period = self.rule.period
        if when is not None and isinstance(period, Rolling):
            length = period.seconds / BUCKETS
            leaves = (when // length + 1) * length + period.seconds
            buckets = (*reversed([one for one in buckets if one[0] <= leaves]), *buckets)
        for bucket in buckets:
            taken = min(bucket[1], -change)
            bucket[1] -= taken
            change += int(taken)

    def roll(self, now: float) -> None:
        """Forget the buckets that have left the window."""
        buckets = self.buckets
        if buckets is None:
            return
        while buckets and buckets[0][0] <= now:
            self.spent -= int(buckets.popleft()[1])
        self.ends = buckets[0][0] if buckets else NEVER


# Plain tuples: they are taken apart for each limit of each call, and named ones take many times as long.
Draw = tuple[Account, int, float]
"""What a reservation takes from: an account; which of the amounts that it takes is this one's; the most that spent and
reserved may come to, infinity where it is only counted.
"""
Mark = tuple[int, float, float, Any]
"""What a call spends of an account when it settles: which of its amounts; of what it is told as a share; from how much
on somebody has to look, infinity for never; and what stands for the account where it is told.
"""


class Found:
    """Accounts of one call, as they were found."""

    __slots__ = ("draws", "starts")

    era: object = None
    """Of which of the ledger's eras they are, where others take from them too; in another one they may be others, or in
    another period.
    """
    marked: Sequence[tuple[Account, int, float, float, Any]] = ()
    """Each account with its mark, where others take from them too."""

    def __init__(self, draws: Sequence[Draw], starts: Sequence[float]) -> None:
        self.draws = draws
        self.starts = starts
        """When the period of each account started; a reservation is not given back to another one."""


class Kept(Found):
    """Accounts that were found for one call, and that others take from too."""

    __slots__ = ("era", "marked", "until")

    def __init__(self, draws: Sequence[Draw], starts: Sequence[float]) -> None:
        super().__init__(draws, starts)
        self.marked = ()
        self.era = None
        self.until = 0.0
        """When the first of their calendar periods ends, by the wall clock."""


Held = tuple[int, int, Found, "Sequence[int]", float, "Sequence[Line]"]
"""A reservation that runs: its id; for how much output it is; its accounts; the amounts that it takes, as draws choose
from them; when its lease ends, by the monotonic clock; and the lines that it was made of, where it may grow. A plain
tuple, as above: to make an object takes ten times as long.
"""


def parts(held: Held) -> Iterable[tuple[Account, float, int]]:
    """Return each account of a reservation, the start of its period, and what is reserved on it."""
    _, _, found, amounts, _, _ = held
    for (account, position, _), started in zip(found.draws, found.starts, strict=True):
        yield account, started, amounts[position]


class Joint:
    """Accounts that calls take from together, one call after the other; found once."""

    __slots__ = ("found", "keys", "marks", "rules")

    def __init__(self, rules: Sequence[Rule], keys: Sequence[str], marks: Sequence[Mark]) -> None:
        self.rules = rules
        self.keys = keys
        self.marks = marks
        self.found = Kept((), ())
