"""What every ledger promises, as tests: examples, runs that are compared with a slow model, and threads.

A test module runs all of it for one ledger by subclassing LedgerSuite and LedgerMachine, and saying how that ledger
is made. Its time is the Clock's, so that no test depends on how fast anything is.
"""

from __future__ import annotations

import math
import os
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, precondition
from hypothesis.stateful import rule as step

from tracetoll.ledgers.protocol import Balance, Granted, Line, Output, Refused, Rule
from tracetoll.limits.windows import BUCKETS, Calendar, Period, Rolling

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tracetoll.ledgers.protocol import Ledger, Reservation

NOON: Final = 1_774_008_000.0  # 2026-03-20T12:00Z
LEASE_S: Final = 900.0
MACHINE_SETTINGS: Final = settings(
    max_examples=int(os.environ.get("TRACETOLL_EXAMPLES", "150")),
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


class Clock:
    """The time of a test: it stands still until it is moved. All steps are exact in binary."""

    def __init__(self, wall: float = NOON) -> None:
        self.ticks = 4096.0
        self.wall = wall

    def advance(self, seconds: float) -> None:
        self.ticks += seconds
        self.wall += seconds


def granted(found: Reservation) -> Granted:
    assert isinstance(found, Granted), found
    return found


def refused(found: Reservation) -> Refused:
    assert isinstance(found, Refused), found
    return found


def one(rule: Rule, fixed: int, rate: int = 0, *, elastic: bool = False, subject: str = "x") -> Line:
    return Line(rule, f"{rule.key}:{subject}", fixed, rate, elastic)


class LedgerSuite:
    """Examples of what a ledger promises; subclass it and say how the ledger is made."""

    @staticmethod
    def make(clock: Clock) -> Ledger:
        raise NotImplementedError

    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    def ledger(self, clock: Clock) -> Ledger:
        return self.make(clock)

    # --- reserve and settle ------------------------------------------------------------------

    def test_what_is_reserved_is_not_there_for_others(self, ledger: Ledger) -> None:
        line = one(Rule("a", 100), 60)
        granted(ledger.reserve([line], Output(), LEASE_S))

        found = refused(ledger.reserve([line], Output(), LEASE_S))

        assert (0, 60, 60, True) == (found.spent, found.reserved, found.wanted, found.may_fit)
        assert Balance(line.account, 0, 60) == ledger.balance(line)

    def test_what_fits_exactly_fits(self, ledger: Ledger) -> None:
        line = one(Rule("a", 100), 100)

        granted(ledger.reserve([line], Output(), LEASE_S))

    def test_the_output_that_is_wanted_is_reserved_at_the_rate_of_each_line(self, ledger: Ledger) -> None:
        tokens, money = one(Rule("a", 10**20), 5, 1), one(Rule("b", 10**20), 7, 10**15)

        found = granted(ledger.reserve([tokens, money], Output(40, 40, 40), LEASE_S))

        assert 40 == found.output
        assert [45, 7 + 40 * 10**15] == [ledger.balance(line).reserved for line in (tokens, money)]

    def test_a_refused_reservation_takes_nothing_of_any_account(self, ledger: Ledger) -> None:
        roomy, narrow = one(Rule("a", 100), 50), one(Rule("b", 10), 50)

        found = refused(ledger.reserve([roomy, narrow, roomy._replace(account="a:y")], Output(), LEASE_S))

        assert narrow is found.line
        assert (narrow.account,) == found.blocking
        assert [0, 0, 0] == [ledger.balance(line).reserved for line in (roomy, narrow, roomy._replace(account="a:y"))]

    def test_a_refusal_names_every_account_without_room(self, ledger: Ledger) -> None:
        lines = [one(Rule("a", 10), 6), one(Rule("b", 100), 6), one(Rule("c", 10), 6)]
        granted(ledger.reserve(lines, Output(), LEASE_S))

        found = refused(ledger.reserve(lines, Output(), LEASE_S))

        assert ("a:x", "c:x") == found.blocking

    def test_settling_gives_back_what_was_reserved_and_spends_what_was_used(self, ledger: Ledger) -> None:
        line = one(Rule("a", 100), 60)
        held = granted(ledger.reserve([line], Output(), LEASE_S))

        (told,) = ledger.settle(held.id, [25])

        assert Balance(line.account, 25, 0, 0) == told
        assert (25, 0) == ledger.balance(line)[1:3]

    def test_settling_again_does_nothing(self, ledger: Ledger) -> None:
        line = one(Rule("a", 100), 60)
        held = granted(ledger.reserve([line], Output(), LEASE_S))
        ledger.settle(held.id, [25])

        assert not ledger.settle(held.id, [25])
        assert (25, 0) == ledger.balance(line)[1:3]

    def test_more_may_be_spent_than_was_reserved_and_then_nothing_fits_any_more(self, ledger: Ledger) -> None:
        line = one(Rule("a", 100), 60)
        held = granted(ledger.reserve([line], Output(), LEASE_S))
        ledger.settle(held.id, [130])

        found = refused(ledger.reserve([line._replace(fixed=1)], Output(), LEASE_S))

        assert (130, 0, False) == (found.spent, found.reserved, found.may_fit)

    def test_a_limit_without_a_bound_only_counts(self, ledger: Ledger) -> None:
        line = one(Rule("a", None), 10**30)

        held = granted(ledger.reserve([line], Output(), LEASE_S))
        (told,) = ledger.settle(held.id, [10**18])

        assert 10**18 == told.spent

    def test_a_bound_of_nothing_grants_nothing_but_nothing(self, ledger: Ledger) -> None:
        line = one(Rule("a", 0), 1)

        assert not refused(ledger.reserve([line], Output(), LEASE_S)).may_fit
        granted(ledger.reserve([line._replace(fixed=0)], Output(), LEASE_S))

    def test_a_refusal_names_the_line_that_no_settling_call_can_help(self, ledger: Ledger) -> None:
        busy, spent = one(Rule("a", 10), 6), one(Rule("b", 10), 6)
        granted(ledger.reserve([busy], Output(), LEASE_S))
        ledger.charge([spent], [5])

        found = refused(ledger.reserve([busy, spent], Output(), LEASE_S))

        assert spent is found.line
        assert not found.may_fit
        assert ("a:x", "b:x") == found.blocking

    def test_what_was_spent_stays_when_the_amount_of_a_limit_is_changed(self, ledger: Ledger) -> None:
        ledger.charge([one(Rule("a", 100), 0)], [90])
        raised = one(Rule("a", 200), 100)

        granted(ledger.reserve([raised], Output(), LEASE_S))

        assert (90, 100) == ledger.balance(raised)[1:3]

    # --- less output than is wanted ----------------------------------------------------------

    def test_an_elastic_line_is_granted_the_most_that_fits(self, ledger: Ledger) -> None:
        line = one(Rule("a", 100), 10, 4, elastic=True)

        found = granted(ledger.reserve([line], Output(50, 50, 5), LEASE_S))

        assert 22 == found.output
        assert 98 == ledger.balance(line).reserved

    def test_a_line_that_is_not_elastic_is_not_granted_less(self, ledger: Ledger) -> None:
        line = one(Rule("a", 100), 10, 4)

        assert not refused(ledger.reserve([line], Output(50, 5, 5), LEASE_S)).may_fit

    def test_less_than_enough_is_refused_while_more_may_fit_later(self, ledger: Ledger) -> None:
        line = one(Rule("a", 100), 0, 1, elastic=True)
        held = granted(ledger.reserve([line], Output(90, 90, 5), LEASE_S))

        found = refused(ledger.reserve([line], Output(80, 20, 5), LEASE_S))
        ledger.settle(held.id, [85])

        assert found.may_fit
        assert 15 == granted(ledger.reserve([line], Output(80, 20, 5), LEASE_S)).output

    def test_less_than_enough_is_refused_while_a_period_may_be_waited_for(self, clock: Clock, ledger: Ledger) -> None:
        line = one(Rule("a", 100, Rolling(60.0), waits=True), 0, 1, elastic=True)
        ledger.charge([line], [90])

        found = refused(ledger.reserve([line], Output(80, 20, 5), LEASE_S))

        assert (True, 20) == (found.may_fit, found.wanted)
        assert found.retry_s is not None
        assert 10 == granted(ledger.reserve([line], Output(80, 5, 5), LEASE_S)).output
        clock.advance(found.retry_s)
        assert 80 == granted(ledger.reserve([line], Output(80, 20, 5), LEASE_S)).output

    def test_less_than_the_least_is_never_granted(self, ledger: Ledger) -> None:
        line = one(Rule("a", 100), 96, 1, elastic=True)

        found = refused(ledger.reserve([line], Output(80, 20, 5), LEASE_S))

        assert (101, False) == (found.wanted, found.may_fit)

    def test_the_narrowest_elastic_line_decides_for_all(self, ledger: Ledger) -> None:
        lines = [one(Rule("a", 100), 0, 1, elastic=True), one(Rule("b", 100), 0, 3, elastic=True)]

        assert 33 == granted(ledger.reserve(lines, Output(80, 20, 5), LEASE_S)).output
        assert [33, 99] == [ledger.balance(line).reserved for line in lines]

    # --- extend ------------------------------------------------------------------------------

    def test_more_output_is_taken_from_every_line_or_from_none(self, ledger: Ledger) -> None:
        lines = [one(Rule("a", 100), 10, 1), one(Rule("b", 50), 0, 1)]
        held = granted(ledger.reserve(lines, Output(20, 20, 20), LEASE_S))

        assert ledger.extend(held.id, 50)
        assert not ledger.extend(held.id, 51)
        assert [60, 50] == [ledger.balance(line).reserved for line in lines]

    def test_what_is_settled_or_unknown_is_not_extended(self, ledger: Ledger) -> None:
        line = one(Rule("a", 100), 10, 1)
        held = granted(ledger.reserve([line], Output(20, 20, 20), LEASE_S))
        ledger.settle(held.id, [0])

        assert not ledger.extend(held.id, 30)
        assert 0 == ledger.balance(line).reserved

    # --- leases ------------------------------------------------------------------------------

    def test_what_is_never_heard_of_again_is_given_back_when_its_lease_is_over(
        self, ledger: Ledger, clock: Clock
    ) -> None:
        line = one(Rule("a", 100), 60)
        granted(ledger.reserve([line], Output(), LEASE_S))

        clock.advance(LEASE_S - 1)
        assert 60 == ledger.balance(line).reserved
        clock.advance(1)
        assert 0 == ledger.balance(line).reserved
        granted(ledger.reserve([line], Output(), LEASE_S))

    def test_what_settles_after_its_lease_is_over_is_spent_all_the_same(self, ledger: Ledger, clock: Clock) -> None:
        line = one(Rule("a", 100), 60)
        late = granted(ledger.reserve([line], Output(), LEASE_S))
        clock.advance(LEASE_S)
        granted(ledger.reserve([line], Output(), LEASE_S))

        ledger.settle(late.id, [55])
        ledger.settle(late.id, [55])

        assert (55, 60) == ledger.balance(line)[1:3]

    @pytest.mark.parametrize("lease_s", [100.0, 5000.0])
    def test_a_renewed_lease_lasts_from_now(self, ledger: Ledger, clock: Clock, lease_s: float) -> None:
        line = one(Rule("a", 100), 60)
        held = granted(ledger.reserve([line], Output(), LEASE_S))
        clock.advance(50)

        ledger.renew(held.id, lease_s)

        clock.advance(lease_s - 1)
        assert 60 == ledger.balance(line).reserved
        clock.advance(1)
        assert 0 == ledger.balance(line).reserved

    # --- windows -----------------------------------------------------------------------------

    @pytest.mark.parametrize("after_s", [0, 0.5, 7, 59.75])
    def test_what_is_spent_in_a_rolling_window_counts_for_its_length_and_at_most_a_bucket_more(
        self, ledger: Ledger, clock: Clock, after_s: float
    ) -> None:
        line = one(Rule("a", 100, Rolling(60.0)), 0)
        clock.advance(after_s)
        ledger.charge([line], [10])

        clock.advance(59.75)
        assert 10 == ledger.balance(line).spent
        clock.advance(1.25)
        assert 0 == ledger.balance(line).spent

    def test_a_call_that_waits_for_a_rolling_window_fits_when_it_was_told(self, ledger: Ledger, clock: Clock) -> None:
        line = one(Rule("a", 100, Rolling(60.0), waits=True), 40)
        for _ in range(3):
            ledger.charge([line], [30])
            clock.advance(10)

        found = refused(ledger.reserve([line], Output(), LEASE_S))
        assert found.may_fit
        assert found.retry_s is not None
        assert 30 <= found.retry_s <= 31
        clock.advance(found.retry_s)

        granted(ledger.reserve([line], Output(), LEASE_S))

    def test_a_call_that_may_not_wait_for_its_window_is_refused_for_good(self, ledger: Ledger, clock: Clock) -> None:
        line = one(Rule("a", 100, Rolling(60.0)), 50)
        ledger.charge([line], [60])

        found = refused(ledger.reserve([line], Output(), LEASE_S))

        assert (False, None) == (found.may_fit, found.retry_s)
        assert found.resets_at is not None
        assert 60 <= found.resets_at - clock.wall <= 61

    def test_a_call_that_no_window_can_hold_does_not_wait(self, ledger: Ledger) -> None:
        for period in (Rolling(60.0), Calendar("day"), None):
            line = one(Rule(f"a{period}", 100, period, waits=True), 101)

            found = refused(ledger.reserve([line], Output(), LEASE_S))

            assert (False, None) == (found.may_fit, found.retry_s)

    def test_a_correction_in_a_rolling_window_never_grants_more_later(self, ledger: Ledger, clock: Clock) -> None:
        line = one(Rule("a", 100, Rolling(60.0)), 101)
        ledger.charge([line], [100])
        clock.advance(30)
        ledger.charge([line], [-80])
        assert 20 == ledger.balance(line).spent

        clock.advance(31)

        assert 0 == ledger.balance(line).spent
        refused(ledger.reserve([line], Output(), LEASE_S))

    def test_a_correction_is_of_what_was_spent_when_it_says(self, ledger: Ledger, clock: Clock) -> None:
        line = one(Rule("a", 100, Rolling(60.0)), 0)
        for amount in (20, 50, 30):
            ledger.charge([line], [amount])
            clock.advance(10)
        ledger.charge([line], [-40], 19.5)  # of the 50

        spent = [ledger.balance(line).spent]
        for _ in range(3):
            clock.advance(10.0 if len(spent) > 1 else 31.0)
            spent.append(ledger.balance(line).spent)

        assert [60, 40, 30, 0] == spent

    def test_a_correction_of_more_than_was_spent_then_goes_on_with_what_was_spent_before(
        self, ledger: Ledger, clock: Clock
    ) -> None:
        line = one(Rule("a", 100, Rolling(60.0)), 0)
        for amount in (20, 50, 30):
            ledger.charge([line], [amount])
            clock.advance(10)
        ledger.charge([line], [-85], 19.5)

        clock.advance(31)

        assert 15 == ledger.balance(line).spent

    def test_a_correction_leaves_what_was_spent_last(self, ledger: Ledger, clock: Clock) -> None:
        line = one(Rule("a", 100, Rolling(60.0)), 0)
        ledger.charge([line], [40])
        clock.advance(30)
        ledger.charge([line], [50])
        ledger.charge([line], [-60])

        clock.advance(31)

        assert 30 == ledger.balance(line).spent

    @pytest.mark.parametrize(
        ("zone", "start", "hours"),
        [
            ("Europe/Berlin", 1_774_738_800.0, 23),  # 2026-03-29
            ("Europe/Berlin", 1_792_879_200.0, 25),  # 2026-10-25
            ("Australia/Lord_Howe", 1_775_307_600.0, 24.5),  # 2026-04-05
            ("UTC", 1_774_742_400.0, 24),
        ],
    )
    def test_a_day_is_as_long_as_the_clocks_make_it(self, zone: str, start: float, hours: float) -> None:
        clock = Clock(start)
        ledger = self.make(clock)
        line = one(Rule("a", 100, Calendar("day", zone), waits=True), 50)
        ledger.charge([line], [80])

        found = refused(ledger.reserve([line], Output(), LEASE_S))
        clock.advance(hours * 3600 - 0.25)
        refused(ledger.reserve([line], Output(), LEASE_S))
        clock.advance(0.25)

        assert (True, hours * 3600, start + hours * 3600) == (found.may_fit, found.retry_s, found.resets_at)
        assert 0 == ledger.balance(line).spent
        granted(ledger.reserve([line], Output(), LEASE_S))

    def test_what_is_settled_after_its_day_belongs_to_that_day(self, ledger: Ledger, clock: Clock) -> None:
        line = one(Rule("a", 100, Calendar("hour")), 60)
        held = granted(ledger.reserve([line], Output(), 9999.0))
        clock.advance(3600)
        assert (0, 0) == ledger.balance(line)[1:3]
        granted(ledger.reserve([line], Output(), LEASE_S))

        ledger.settle(held.id, [60])

        assert (0, 60) == ledger.balance(line)[1:3]

    def test_a_clock_that_is_set_back_neither_grants_nor_loses(self, ledger: Ledger, clock: Clock) -> None:
        line = one(Rule("a", 100, Calendar("day"), waits=True), 50)
        ledger.charge([line], [100])
        clock.advance(86_400)
        ledger.charge([line], [70])
        clock.wall -= 86_400

        assert 70 == ledger.balance(line).spent
        assert 70 == next(balance.spent for _, balance in ledger.balances())
        found = refused(ledger.reserve([line], Output(), LEASE_S))
        assert found.retry_s is not None
        clock.advance(found.retry_s - 1)
        refused(ledger.reserve([line], Output(), LEASE_S))
        clock.advance(1)
        granted(ledger.reserve([line], Output(), LEASE_S))

    # --- the rest ----------------------------------------------------------------------------

    def test_a_charge_is_spent_even_beyond_the_bound(self, ledger: Ledger) -> None:
        line = one(Rule("a", 100), 0)

        (first,) = ledger.charge([line], [70])
        (second,) = ledger.charge([line], [50])

        assert (Balance("a:x", 70, 0, 0), Balance("a:x", 120, 0, 70)) == (first, second)

    def test_a_correction_takes_back_no_more_than_was_spent(self, ledger: Ledger) -> None:
        line = one(Rule("a", 100), 0)
        ledger.charge([line], [70])

        (told,) = ledger.charge([line], [-90])

        assert Balance("a:x", 0, 0, 70) == told

    def test_a_forgotten_account_starts_anew_and_what_was_reserved_on_it_settles_into_nothing(
        self, ledger: Ledger
    ) -> None:
        line, other = one(Rule("a", 100), 60, 1), one(Rule("b", 100), 60)
        held = granted(ledger.reserve([line, other], Output(), LEASE_S))
        ledger.charge([line], [30])

        ledger.forget(line.account)
        assert (0, 0) == ledger.balance(line)[1:3]
        granted(ledger.reserve([line._replace(fixed=100)], Output(), LEASE_S))
        assert ledger.extend(held.id, 10)
        ledger.settle(held.id, [40, 40])

        assert (0, 100) == ledger.balance(line)[1:3]
        assert (40, 0) == ledger.balance(other)[1:3]

    def test_every_account_is_listed(self, ledger: Ledger) -> None:
        lines = [one(Rule("a", 9), 4), one(Rule("b", 9, Rolling(60.0)), 5), one(Rule("c", 9, Calendar("month")), 6)]
        held = granted(ledger.reserve(lines, Output(), LEASE_S))
        ledger.settle(held.id, [1, 2, 3])
        granted(ledger.reserve(lines[:1], Output(), LEASE_S))

        found = {balance.account: (rule.key, balance.spent, balance.reserved) for rule, balance in ledger.balances()}

        assert {"a:x": ("a", 1, 4), "b:x": ("b", 2, 0), "c:x": ("c", 3, 0)} == found

    # --- many at once ------------------------------------------------------------------------

    threads, rounds = 16, 150

    def test_many_threads_never_exceed_a_bound_and_lose_nothing(self, ledger: Ledger) -> None:
        rules = [
            *(Rule("a", 1_000_000), Rule("b", 9_000), Rule("c", 50_000, Rolling(60.0))),
            *(Rule("d", 40_000, Calendar("day")), Rule("e", 1_500, passing=True)),
        ]
        shared = [one(rule, 0) for rule in rules]
        over: list[Balance] = []
        done = threading.Event()

        def exceeded(line: Line, balance: Balance) -> bool:
            return balance.spent + balance.reserved > (line.rule.bound or 0)

        def watch() -> None:
            by_account = {line.account: line for line in shared}
            while not done.is_set():
                over.extend(found for line in shared if exceeded(line, found := ledger.balance(line)))
                over.extend(found for _, found in ledger.balances() if exceeded(by_account[found.account], found))

        def work(seed: int) -> dict[str, int]:
            chance = random.Random(seed)  # noqa: S311  # repeatable, not secret
            spent = dict.fromkeys((line.account for line in shared), 0)
            for _ in range(self.rounds):
                lines = [
                    line._replace(fixed=chance.randint(0, 30), rate=chance.randint(0, 2), elastic=chance.random() < 0.5)
                    for line in chance.sample(shared, chance.randint(1, 5))
                ]
                found = ledger.reserve(lines, Output(chance.randint(10, 40), 5, 3), LEASE_S)
                if isinstance(found, Granted):
                    amounts = [chance.randint(0, line.fixed + line.rate * found.output) for line in lines]
                    told = ledger.settle(found.id, amounts)
                    assert [line.account for line in lines] == [balance.account for balance in told]
                    for line, amount in zip(lines, amounts, strict=True):
                        spent[line.account] += amount
            return spent

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            with ThreadPoolExecutor(self.threads) as pool:
                worked = list(pool.map(work, range(self.threads)))
        finally:
            done.set()
            watcher.join()

        assert [] == over
        for line in shared:
            assert (sum(spent[line.account] for spent in worked), 0) == ledger.balance(line)[1:3]


# --- the model -----------------------------------------------------------------------------------


class Window:
    """Amounts with the times at which they were spent; each counts for `kept_s` seconds."""

    def __init__(self, kept_s: float) -> None:
        self._kept_s = kept_s
        self._spent: list[tuple[float, int]] = []

    def total(self, now: float) -> int:
        return sum(amount for at, amount in self._spent if now < at + self._kept_s)

    def spend(self, now: float, amount: int) -> None:
        """Remember an amount; one below 0 takes back what was spent first."""
        if amount >= 0:
            self._spent.append((now, amount))
            return
        kept = []
        for at, was in self._spent:
            taken = min(was, -amount) if now < at + self._kept_s else 0
            amount += taken
            kept.append((at, was - taken))
        self._spent = kept


class Modelled:
    """An account as a list of all that was ever spent on it."""

    def __init__(self, line: Line) -> None:
        self.line = line
        length = line.rule.period.seconds if isinstance(line.rule.period, Rolling) else math.inf
        self._lengths = (length, length + length / BUCKETS)
        self.period: Period | None = None
        self.exceeded = False
        """Whether it was told of more than had been reserved, and so may be above its bound."""
        self.empty()

    def empty(self) -> None:
        self.surely, self.possibly = map(Window, self._lengths)

    def spend(self, now: float, amount: int) -> None:
        self.surely.spend(now, amount)
        self.possibly.spend(now, amount)


@dataclass(eq=False)
class Part:
    account: Modelled
    period: Period | None
    reserved: int

    @property
    def counts(self) -> bool:
        """Whether the period that it was reserved in goes on."""
        return self.period == self.account.period


@dataclass(eq=False)
class Running:
    id: int | str
    lines: list[Line]
    parts: list[Part]
    output: int
    expires: float
    state: str = "held"


class Model:
    """A ledger that takes its time: nothing is summed up, all is looked through on each question."""

    def __init__(self, clock: Clock, lines: Sequence[Line]) -> None:
        self.clock = clock
        self.accounts = {line.account: Modelled(line) for line in lines}
        self.running: list[Running] = []
        self.latest = clock.wall
        self.look()

    def look(self) -> None:
        """Follow the clock, which is never believed to go back."""
        self.latest = max(self.latest, self.clock.wall)
        for account in self.accounts.values():
            if isinstance(account.line.rule.period, Calendar):
                period = account.line.rule.period.period(self.latest)
                if period != account.period:
                    account.period = period
                    account.empty()
        for running in self.running:
            if running.state == "held" and running.expires <= self.clock.ticks:
                running.state = "late"

    def reserved(self, account: Modelled) -> int:
        held = (part for running in self.running if running.state == "held" for part in running.parts)
        return sum(part.reserved for part in held if part.account is account and part.counts)

    def hold(self, found: Granted, lines: list[Line], lease_s: float) -> Running:
        accounts = [self.accounts[line.account] for line in lines]
        parts = [
            Part(account, account.period, line.fixed + line.rate * found.output)
            for line, account in zip(lines, accounts, strict=True)
        ]
        running = Running(found.id, lines, parts, found.output, self.clock.ticks + lease_s)
        self.running.append(running)
        return running

    def settle(self, running: Running, amounts: Sequence[int]) -> None:
        for part, amount in zip(running.parts, amounts, strict=True):
            if part.counts:
                part.account.spend(self.clock.ticks, amount)
                if amount > (part.reserved if running.state == "held" else 0):
                    part.account.exceeded = True
        running.state = "settled"

    def forget(self, name: str) -> None:
        account = self.accounts[name]
        self.accounts[name] = Modelled(account.line)
        self.look()

    def known(self, account: Modelled) -> bool:
        return self.accounts[account.line.account] is account


class Room:
    """What an account has left, as the ledger itself says; that this is right is checked after every step."""

    def __init__(self, line: Line, balance: Balance) -> None:
        self.line = line
        self.spent = balance.spent
        self.reserved = balance.reserved

    def has(self, amount: int) -> bool:
        bound = self.line.rule.bound
        return bound is None or self.spent + self.reserved + amount <= bound

    def fits(self, tokens: int) -> bool:
        return self.has(self.line.fixed + self.line.rate * tokens)

    @property
    def gives_less(self) -> bool:
        return self.line.elastic and self.line.rate > 0


def output_to_grant(rooms: Sequence[Room], output: Output) -> int | None:
    """Return how much output a call has to be granted, found by trying; None: it has to be refused."""
    if all(room.fits(output.wanted) for room in rooms):
        return output.wanted
    elastic = [room for room in rooms if room.gives_less]
    offers = range(output.wanted, output.least - 1, -1)
    most = next((tokens for tokens in offers if all(room.fits(tokens) for room in elastic)), None)
    alone = with_settled(elastic, lambda _: 0, moved_on=True)
    ever = next((tokens for tokens in offers if all(room.fits(tokens) for room in alone)), None)
    if most is None or ever is None or most < min(output.enough, ever):
        return None
    return most if all(room.fits(most) for room in rooms) else None


def with_settled(rooms: Sequence[Room], share: Callable[[Room], int], *, moved_on: bool = False) -> list[Room]:
    """Return the rooms after every running call has settled, at `share(room)` of what it held there.

    `moved_on`: and after the period of those that wait for it has.
    """
    return [
        Room(room.line, Balance(room.line.account, spent + share(room), 0))
        for room in rooms
        for spent in [0 if moved_on and room.line.rule.waits else room.spent]
    ]


# --- the machine ---------------------------------------------------------------------------------

STARTS: Final = (
    NOON,
    1_774_745_999.75,  # Berlin, 2026-03-29: just before 02:00 becomes 03:00
    1_792_886_400.0,  # Berlin, 2026-10-25: 02:00, for the first time
    1_775_314_799.0,  # Lord Howe, 2026-04-05: just before 02:00 becomes 01:30
    1_772_945_999.0,  # Havana, 2026-03-08: there is no midnight
    1_793_505_600.0,  # Havana, 2026-11-01: shortly before 01:00 becomes 00:00
    1_767_225_599.0,  # the last second of 2025 in UTC
)
RULES: Final = (
    *(Rule("life", 300), Rule("trace", 90, passing=True), Rule("seen", None)),
    *(Rule("quarter", 60, Rolling(15.0)), Rule("pace", 80, Rolling(60.0), waits=True)),
    *(Rule("hourly", 200, Rolling(3600.0), waits=True), Rule("minute", 70, Calendar("minute"), waits=True)),
    *(Rule("hour", 90, Calendar("hour", "Australia/Lord_Howe")), Rule("day", 120, Calendar("day", "Europe/Berlin"))),
    *(Rule("havana", 120, Calendar("day", "America/Havana"), waits=True), Rule("month", 300, Calendar("month"))),
)
ACCOUNTS: Final = (*(one(rule, 0) for rule in RULES), *(one(rule, 0, subject="y") for rule in RULES[:2]))
WAITING: Final = tuple(line for line in ACCOUNTS if line.rule.waits)


def some_lines(of: Sequence[Line]) -> st.SearchStrategy[list[Line]]:
    line = st.builds(
        lambda line, fixed, rate, elastic: line._replace(fixed=fixed, rate=rate, elastic=elastic),
        st.sampled_from(of),
        st.integers(0, 30),
        st.integers(0, 3),
        st.booleans(),
    )
    return st.lists(line, min_size=1, max_size=4, unique_by=lambda line: line.account)


ANY_LINES: Final = some_lines(ACCOUNTS) | some_lines(WAITING)
ANY_OUTPUT: Final = st.lists(st.integers(0, 40), min_size=3, max_size=3).map(lambda three: Output(*sorted(three)[::-1]))
SPENDING: Final = st.lists(st.sampled_from(("nothing", "half", "all")) | st.integers(0, 60), min_size=4, max_size=4)
LEASES: Final = st.sampled_from((10.0, 60.0, 900.0, 100_000.0))
SHORT: Final = st.sampled_from((0.25, 1.0, 5.0, 14.75, 15.0, 15.25, 61.0))
LONG: Final = st.sampled_from((900.0, 1800.0, 3600.0, 86_400.0, 2_700_000.0))
RUNNING: Final = Bundle("running")


class LedgerMachine(RuleBasedStateMachine):
    """Any run of a ledger, compared with the model; subclass it and say how the ledger is made."""

    def make(self, clock: Clock) -> Ledger:
        raise NotImplementedError

    @initialize(start=st.sampled_from(STARTS))
    def begin(self, start: float) -> None:
        self.clock = Clock(start)
        self.ledger = self.make(self.clock)
        self.model = Model(self.clock, ACCOUNTS)

    def rooms(self, lines: Sequence[Line]) -> list[Room]:
        return [Room(line, self.ledger.balance(line)) for line in lines]

    # --- what may happen ---------------------------------------------------------------------

    @step(target=RUNNING, lines=ANY_LINES, output=ANY_OUTPUT, lease_s=LEASES)
    def reserve(self, lines: list[Line], output: Output, lease_s: float) -> Any:
        rooms = self.rooms(lines)

        found = self.ledger.reserve(lines, output, lease_s)

        expected = output_to_grant(rooms, output)
        if isinstance(found, Refused):
            assert expected is None, found
            self.check_refusal(found, rooms, output)
            return multiple()
        assert expected == found.output
        assert found.id not in {running.id for running in self.model.running}
        return self.model.hold(found, lines, lease_s)

    @step(lines=ANY_LINES, output=ANY_OUTPUT)
    def reserve_once_nothing_runs_and_the_time_has_come(self, lines: list[Line], output: Output) -> None:
        found = self.ledger.reserve(lines, output, LEASE_S)
        if isinstance(found, Granted):
            self.model.settle(self.model.hold(found, lines, LEASE_S), [0] * len(lines))
            self.ledger.settle(found.id, [0] * len(lines))
            return
        for running in self.model.running:
            if running.state != "settled":
                self.ledger.settle(running.id, [0] * len(running.lines))
                self.model.settle(running, [0] * len(running.lines))
        self.clock.advance(found.retry_s or 0.0)

        again = self.ledger.reserve(lines, output, LEASE_S)

        # A line that gives way decides how much the others need, and it may have more room by now.
        mixed = 2 == len({line.elastic for line in lines if line.rate})
        if not found.may_fit:
            assert isinstance(again, Refused)
        elif not mixed:
            assert isinstance(again, Granted)
        self.model.look()
        if isinstance(again, Granted):
            self.model.hold(again, lines, LEASE_S)

    @step(running=RUNNING, spending=SPENDING)
    def settle(self, running: Running, spending: list[str | int]) -> None:
        shares = {"nothing": 0.0, "half": 0.5, "all": 1.0}
        amounts = [
            spent if isinstance(spent, int) else int(part.reserved * shares[spent])
            for spent, part in zip(spending, running.parts, strict=False)
        ]
        before = self.rooms(running.lines)
        again = running.state == "settled"

        told = self.ledger.settle(running.id, amounts)

        if again:
            assert not told
            return
        self.model.settle(running, amounts)
        assert [line.account for line in running.lines] == [balance.account for balance in told]
        for balance, room, part, amount in zip(told, before, running.parts, amounts, strict=True):
            if part.counts and self.model.known(part.account):
                assert (room.spent, room.spent + amount) == (balance.before, balance.spent)
                assert self.model.reserved(part.account) == balance.reserved

    @step(running=RUNNING, output=st.integers(0, 60))
    def extend(self, running: Running, output: int) -> None:
        more = output - running.output
        rooms = [
            room
            for room, part in zip(self.rooms(running.lines), running.parts, strict=True)
            if room.line.rate and part.counts and self.model.known(part.account)
        ]
        expected = running.state == "held" and all(room.has(room.line.rate * more) for room in rooms)

        assert expected == self.ledger.extend(running.id, output)

        if expected:
            running.output = output
            for line, part in zip(running.lines, running.parts, strict=True):
                part.reserved += line.rate * more

    @step(running=RUNNING, lease_s=LEASES)
    def renew(self, running: Running, lease_s: float) -> None:
        self.ledger.renew(running.id, lease_s)

        if running.state == "held":
            running.expires = self.clock.ticks + lease_s

    @step(lines=ANY_LINES, amounts=st.lists(st.integers(-60, 90), min_size=4, max_size=4))
    def charge(self, lines: list[Line], amounts: list[int]) -> None:
        before = self.rooms(lines)

        told = self.ledger.charge(lines, amounts[: len(lines)])

        for balance, room, amount in zip(told, before, amounts, strict=False):
            expected = max(0, room.spent + amount)
            assert Balance(room.line.account, expected, room.reserved, room.spent) == balance
            account = self.model.accounts[room.line.account]
            account.spend(self.clock.ticks, amount)
            account.exceeded |= amount > 0

    @precondition(lambda self: 3 == len(self.model.running) % 4)
    @step(line=st.sampled_from(ACCOUNTS))
    def forget(self, line: Line) -> None:
        self.ledger.forget(line.account)

        self.model.forget(line.account)

    @step(seconds=SHORT | LONG)
    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @step(seconds=SHORT | LONG, back=st.booleans())
    def set_the_wall_clock(self, seconds: float, back: bool) -> None:
        self.clock.wall += -seconds if back else seconds

    # --- what always holds -------------------------------------------------------------------

    @invariant()
    def every_account_is_as_the_model_has_it(self) -> None:
        self.model.look()
        for account in self.model.accounts.values():
            found = self.ledger.balance(account.line)
            surely, possibly = (window.total(self.clock.ticks) for window in (account.surely, account.possibly))
            assert surely <= found.spent <= possibly, account.line
            assert self.model.reserved(account) == found.reserved, account.line
            if account.period is not None:
                assert account.period.end == found.resets_at

    @invariant()
    def no_bound_is_exceeded_by_what_was_reserved(self) -> None:
        for account in self.model.accounts.values():
            found = self.ledger.balance(account.line)
            bound = account.line.rule.bound
            if bound is None or found.spent + found.reserved <= bound:
                account.exceeded = False
            assert not (bound is not None and found.spent + found.reserved > bound) or account.exceeded

    @invariant()
    def all_accounts_are_listed_as_they_are(self) -> None:
        expected = {line.account: self.ledger.balance(line) for line in ACCOUNTS}

        assert expected == {balance.account: balance for _, balance in self.ledger.balances()}

    def check_refusal(self, found: Refused, rooms: Sequence[Room], output: Output) -> None:
        """Check that a refusal tells the truth."""
        room = next(room for room in rooms if room.line is found.line)
        bound = room.line.rule.bound
        assert bound is not None
        assert (room.spent, room.reserved) == (found.spent, found.reserved)
        assert found.spent + found.reserved + found.wanted > bound
        assert room.line.account in found.blocking
        assert {room.line.account for room in rooms if not room.fits(output.wanted)} >= set(found.blocking)
        nothing_used = output_to_grant(with_settled(rooms, lambda _: 0), output)
        if not found.may_fit:
            assert nothing_used is None
            assert found.retry_s is None
            assert found.spent + found.wanted > bound
            assert found.wanted > bound or not room.line.rule.waits or room.line.rule.period is None
        elif found.retry_s is None:
            # Or else it fits beside one that gives way because others have used what they reserved.
            all_used = output_to_grant(with_settled(rooms, lambda one: one.reserved if one.gives_less else 0), output)
            assert nothing_used is not None or all_used is not None
        else:
            assert room.line.rule.waits
            assert found.wanted <= bound < found.spent + found.wanted
            period = room.line.rule.period
            assert found.retry_s >= 0
            if isinstance(period, Rolling):
                account = self.model.accounts[room.line.account]
                assert account.surely.total(self.clock.ticks + found.retry_s) + found.wanted <= bound
