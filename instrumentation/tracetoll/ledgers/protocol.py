"""What a ledger promises, and the values that go in and out of one.

A ledger holds accounts: how much has been spent, and how much is reserved by calls that run. It is asked
before a call (`reserve`: every line fits, or nothing is taken) and told after it (`settle`: once per
reservation, however often it is said). Amounts are whole numbers: tokens, calls, nano-dollars. Time is the
ledger's own, so that processes which share one agree. A reservation is a lease: a process that is gone gives
back what it held.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tracetoll.limits.windows import Calendar, Rolling


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """What a ledger has to know of a limit. One per limit; compared by identity."""

    key: str
    """What the accounts of this limit have in common; stays when the amount changes."""
    bound: int | None
    """The most that spent and reserved may come to; None: only counted."""
    period: Rolling | Calendar | None = None
    waits: bool = False
    """Whether a call may wait for the period to move on."""
    passing: bool = False
    """Whether there is no end of subjects (traces), so that those longest unused are forgotten."""


class Line(NamedTuple):
    """One account's part of a reservation: `fixed` plus `rate` for each token of output."""

    rule: Rule
    account: str
    fixed: int
    rate: int = 0
    elastic: bool = False
    """Whether less output may be granted than is wanted, for this line's sake."""


class Output(NamedTuple):
    """How many tokens of output a call wants; how many are enough to go ahead with, if a line is elastic.

    Less than `enough` is only granted where more can never fit, also when a period that may be waited for has moved on;
    less than `least` never is.
    """

    wanted: int = 0
    enough: int = 0
    least: int = 0


@dataclass(slots=True, eq=False)
class Granted:
    """A reservation that holds."""

    id: int | str
    output: int
    """The tokens of output that were reserved."""


@dataclass(frozen=True, slots=True, eq=False)
class Refused:
    """A reservation that does not fit; nothing was taken."""

    line: Line
    spent: int
    reserved: int
    wanted: int
    blocking: tuple[str, ...]
    """The accounts that have no room."""
    may_fit: bool
    """Whether it may fit once calls that run have settled, or the period has moved on."""
    retry_s: float | None = None
    """After how many seconds the period moves on far enough, if that is what it takes."""
    resets_at: float | None = None
    """When the period ends, in seconds since the epoch; None: never."""


class Balance(NamedTuple):
    """How an account stands: `before` is what was spent before the last settlement, if this answers one."""

    account: str
    spent: int
    reserved: int
    before: int = 0
    resets_at: float | None = None


Reservation = Granted | Refused


class Ledger(Protocol):
    """Where accounts live. Safe to use from any thread. An unreachable one raises LedgerError."""

    def reserve(self, lines: Sequence[Line], output: Output, lease_s: float) -> Reservation:
        """Take every line, or none."""

    def extend(self, reservation: int | str, output: int) -> bool:
        """Take more, for `output` tokens of output in all; False, and nothing taken, if that does not fit."""

    def renew(self, reservation: int | str, lease_s: float) -> None:
        """Let a reservation live on for `lease_s` seconds from now."""

    def settle(self, reservation: int | str, amounts: Sequence[int]) -> Sequence[Balance]:
        """Give back what was reserved and spend `amounts`, one per line; nothing the second time."""

    def charge(self, lines: Sequence[Line], amounts: Sequence[int], ago_s: float | None = None) -> Sequence[Balance]:
        """Spend without having reserved: what is only learned of afterwards.

        Amounts below 0 are corrections of what was spent `ago_s` seconds ago, None: at some time. They leave a rolling
        window when that would have left it.
        """

    def balance(self, line: Line) -> Balance:
        """Return how a line's account stands now."""

    def balances(self) -> Iterable[tuple[Rule, Balance]]:
        """Return every account that this ledger knows."""

    def forget(self, account: str) -> None:
        """Forget an account and what was spent on it."""


class LedgerError(RuntimeError):
    """The ledger cannot be reached, or does not answer in time."""
