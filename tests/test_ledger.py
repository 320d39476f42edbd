"""The ledger of one process keeps what every ledger promises, stays bounded, and is a forked child's own."""

from __future__ import annotations

import contextlib
import math
import os
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger_suite import LEASE_S, MACHINE_SETTINGS, Clock, LedgerMachine, LedgerSuite, granted, one, refused
from test_forks import in_child

from tracetoll.ledgers.accounts import Joint
from tracetoll.ledgers.lock import Lock
from tracetoll.ledgers.memory import ACCOUNTS_KEPT, MemoryLedger
from tracetoll.ledgers.protocol import Balance, Granted, Line, Output, Rule
from tracetoll.limits.windows import BUCKETS, Calendar, Rolling

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tracetoll.ledgers.protocol import Reservation

PERIODS = (None, Calendar("day"), Rolling(3600.0))
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


def memory(clock: Clock) -> MemoryLedger:
    return MemoryLedger(wall=lambda: clock.wall, ticks=lambda: clock.ticks)


class TestMemoryLedger(LedgerSuite):
    make = staticmethod(memory)


class MemoryMachine(LedgerMachine):
    make = staticmethod(memory)


TestMemoryMachine = MemoryMachine.TestCase
TestMemoryMachine.settings = MACHINE_SETTINGS


class ShortWay:
    """The same ledger, asked the short way where there is one: nobody may see a difference."""

    def __init__(self, clock: Clock) -> None:
        self.ledger = memory(clock)
        self.joints: dict[tuple[Line, ...], Joint] = {}
        self.taken: dict[int | str, Sequence[Line]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.ledger, name)

    def reserve(self, lines: Sequence[Line], output: Output, lease_s: float) -> Reservation:
        joint = self.joints.get(tuple(lines))
        if joint is None:
            marks = [(position, 1, 0, position) for position in range(len(lines))]
            joint = Joint([line.rule for line in lines], [line.account for line in lines], marks)
            self.joints[tuple(lines)] = joint
        needs = [line.fixed + line.rate * output.wanted for line in lines]
        taken = self.ledger.take(joint, needs, output.wanted, lease_s)
        if taken is None:
            return self.ledger.reserve(lines, output, lease_s)
        held = self.ledger._held  # noqa: SLF001  # as if it could be extended, to see that it is given back then
        held[taken] = (*held[taken][:-1], lines)
        self.taken[taken] = lines
        return Granted(taken, output.wanted)

    def settle(self, reservation: int | str, amounts: Sequence[int]) -> Sequence[Balance]:
        given = self.ledger.give(reservation, amounts)
        if given is None:
            return self.ledger.settle(reservation, amounts)
        fullest, spent = given
        assert spent is not None
        assert fullest is None or fullest[1] == max(spent)
        return [
            Balance(line.account, now, self.ledger.balance(line).reserved, now - amount)
            for line, now, amount in zip(self.taken[reservation], spent, amounts, strict=True)
        ]


class TestShortWay(LedgerSuite):
    make = staticmethod(ShortWay)


class ShortWayMachine(LedgerMachine):
    make = staticmethod(ShortWay)


TestShortWayMachine = ShortWayMachine.TestCase
TestShortWayMachine.settings = MACHINE_SETTINGS


def test_what_was_found_once_is_found_anew_the_next_day() -> None:
    clock = Clock()
    ledger, line = ShortWay(clock), one(Rule("a", 100, Calendar("day")), 40)
    ledger.settle(granted(ledger.reserve([line], Output(), LEASE_S)).id, [40])
    clock.advance(86_400)

    held = granted(ledger.reserve([line], Output(), LEASE_S))

    assert held.id in ledger.taken
    assert (0, 40) == ledger.balance(line)[1:3]
    ledger.settle(held.id, [30])
    assert (30, 0) == ledger.balance(line)[1:3]


def test_what_was_found_once_is_found_anew_after_it_was_forgotten() -> None:
    ledger, line = ShortWay(Clock()), one(Rule("a", 100), 60)
    ledger.settle(granted(ledger.reserve([line], Output(), LEASE_S)).id, [60])
    ledger.forget(line.account)

    held = granted(ledger.reserve([line], Output(), LEASE_S))

    assert held.id in ledger.taken
    assert (0, 60) == ledger.balance(line)[1:3]


@given(st.integers(0, 10_000), st.sampled_from((15.0, 60.0, 90.0, 3600.0, 86_400.0)))
def test_a_rolling_window_moves_on_by_whole_buckets(quarters: int, length_s: float) -> None:
    clock = Clock()
    ledger, line = memory(clock), one(Rule("a", 9, Rolling(length_s)), 0)
    clock.advance(quarters / 4)
    ledger.charge([line], [5])
    bucket_s = length_s / BUCKETS
    leaves = (clock.ticks // bucket_s + 1) * bucket_s + length_s

    clock.ticks = leaves - 0.125
    assert 5 == ledger.balance(line).spent
    clock.ticks = leaves
    assert 0 == ledger.balance(line).spent


# --- bounded --------------------------------------------------------------------------------------


@pytest.fixture
def few_kept(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr("tracetoll.ledgers.memory.ACCOUNTS_KEPT", 50)
    return 50


def pass_by(ledger: MemoryLedger, rule: Rule, subjects: int) -> None:
    """Spend a little on so many accounts of a limit."""
    for subject in range(subjects):
        ledger.charge([one(rule, 0, subject=f"passing {subject}")], [1])


def test_accounts_of_200_000_traces_stay_bounded() -> None:
    clock = Clock()
    ledger, rule, most = memory(clock), Rule("trace", 100, passing=True), 0
    for trace in range(200_000):
        held = granted(ledger.reserve([Line(rule, f"trace:{trace}", 10)], Output(), LEASE_S))
        ledger.settle(held.id, [5])
        if trace % 49_999 == 0:
            most = max(most, len(list(ledger.balances())))

    assert ACCOUNTS_KEPT < most <= 2 * ACCOUNTS_KEPT + 1
    assert 5 == ledger.balance(Line(rule, f"trace:{200_000 - ACCOUNTS_KEPT}", 0)).spent


@pytest.mark.usefixtures("few_kept")
@pytest.mark.parametrize("period", PERIODS)
def test_a_blown_trace_stays_blown_after_its_account_was_forgotten(period: Rolling | Calendar | None) -> None:
    clock = Clock()
    ledger, rule = memory(clock), Rule("trace", 100, period, passing=True)
    blown = one(rule, 1)
    ledger.charge([blown], [100])

    pass_by(ledger, rule, 1000)

    assert blown.account not in {balance.account for _, balance in ledger.balances()}
    assert not refused(ledger.reserve([blown], Output(), LEASE_S)).may_fit
    clock.advance(90_000)
    assert (0 if period else 100) == ledger.balance(blown).spent


@pytest.mark.parametrize("period", PERIODS)
def test_traces_that_were_not_used_for_long_are_forgotten(few_kept: int, period: Rolling | Calendar | None) -> None:
    ledger, rule = memory(Clock()), Rule("trace", 100, period, passing=True)

    pass_by(ledger, rule, 1000)

    assert 2 * few_kept >= len(list(ledger.balances()))


@pytest.mark.usefixtures("few_kept")
@pytest.mark.parametrize("period", PERIODS)
def test_what_a_user_spent_is_not_forgotten(period: Rolling | Calendar | None) -> None:
    ledger, user = memory(Clock()), one(Rule("user", 100, period), 1)
    ledger.charge([user], [42])

    pass_by(ledger, Rule("trace", 100, passing=True), 1000)

    assert 42 == ledger.balance(user).spent


def test_a_user_whose_day_is_over_is_forgotten(few_kept: int) -> None:
    clock = Clock()
    ledger = memory(clock)
    pass_by(ledger, Rule("user", 100, Calendar("day")), 1000)
    assert 1000 == len(list(ledger.balances()))

    clock.advance(86_400)
    pass_by(ledger, Rule("another", 100, Calendar("day"), passing=True), 2000)

    assert 2 * few_kept >= len(list(ledger.balances()))


@pytest.mark.usefixtures("few_kept")
@pytest.mark.parametrize("fixed", [0, 10])
@pytest.mark.parametrize("late", [False, True])
def test_the_account_of_a_running_call_is_not_forgotten(fixed: int, late: bool) -> None:
    clock = Clock()
    ledger, rule = memory(clock), Rule("trace", 100, passing=True)
    line = one(rule, fixed)
    held = granted(ledger.reserve([line], Output(), LEASE_S))
    clock.advance(LEASE_S if late else 0)

    pass_by(ledger, rule, 1000)
    ledger.settle(held.id, [100])

    assert (100, 0) == ledger.balance(line)[1:3]


def test_a_new_account_does_not_cost_a_look_at_all_that_stay(few_kept: int) -> None:
    clock = Clock()
    looks_at_the_clock = 0

    def wall() -> float:
        nonlocal looks_at_the_clock
        looks_at_the_clock += 1  # one per call for a limit without a calendar, and one when all are looked through
        return clock.wall

    ledger, rule, users = MemoryLedger(wall=wall, ticks=lambda: clock.ticks), Rule("user", 100), 2000
    for user in [*range(users), *range(users)]:
        ledger.settle(granted(ledger.reserve([one(rule, 1, subject=str(user))], Output(), LEASE_S)).id, [1])

    assert looks_at_the_clock - 2 * users <= 2 * users / few_kept


# --- forks ----------------------------------------------------------------------------------------


@forks
def test_a_child_knows_what_was_spent_and_holds_nothing_of_what_runs_in_its_parent() -> None:
    ledger, line = memory(Clock()), one(Rule("a", 100), 60)
    ledger.charge([line], [30])
    held = granted(ledger.reserve([line], Output(), LEASE_S))

    def work() -> bool:
        free = (30, 0) == ledger.balance(line)[1:3]
        own = granted(ledger.reserve([line], Output(), LEASE_S))
        ignored = not ledger.settle(held.id, [60]) and not ledger.extend(held.id, 1)
        ledger.settle(own.id, [50])
        return free and ignored and own.id != held.id and (80, 0) == ledger.balance(line)[1:3]

    assert in_child(work)
    assert (30, 60) == ledger.balance(line)[1:3]


@forks
@pytest.mark.usefixtures("few_kept")
def test_a_blown_trace_stays_blown_in_a_child() -> None:
    ledger, rule = memory(Clock()), Rule("trace", 100, passing=True)
    ledger.charge([one(rule, 1)], [100])
    pass_by(ledger, rule, 1000)

    assert in_child(lambda: not refused(ledger.reserve([one(rule, 1)], Output(), LEASE_S)).may_fit)


@forks
def test_a_clock_that_is_set_back_grants_nothing_in_a_child() -> None:
    clock = Clock()
    ledger, line = memory(clock), one(Rule("a", 100, Calendar("day")), 50)
    ledger.charge([line], [70])
    clock.wall -= 86_400

    assert in_child(lambda: 70 == ledger.balance(line).spent)


@forks
def test_a_child_does_not_wait_for_a_thread_of_its_parent() -> None:
    parent, inside, go_on = os.getpid(), threading.Event(), threading.Event()

    def wall() -> float:
        if os.getpid() == parent and threading.current_thread() is not threading.main_thread():
            inside.set()
            go_on.wait()
        return 0.0

    ledger, line = MemoryLedger(wall=wall), one(Rule("a", 100, Calendar("day")), 60)
    thread = threading.Thread(target=lambda: ledger.charge([line], [1]))
    thread.start()
    inside.wait()
    try:
        assert in_child(lambda: bool(granted(ledger.reserve([line], Output(), LEASE_S))))
    finally:
        go_on.set()
        thread.join()

    assert 1 == ledger.balance(line).spent


# --- its lock --------------------------------------------------------------------------------------


def test_one_thread_at_a_time_has_the_lock() -> None:
    lock, counted = Lock(), [0]

    def count() -> None:
        for _ in range(200):
            with lock:
                before = counted[0]
                time.sleep(0)  # another one comes in between, if it may
                counted[0] = before + 1

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [1600] == counted
    assert [None] == lock.token


def test_the_lock_is_given_back_when_something_goes_wrong() -> None:
    lock = Lock()

    with contextlib.suppress(ZeroDivisionError), lock:
        _ = 1 / 0

    assert [None] == lock.token


def test_who_has_waited_long_for_the_lock_gets_it_all_the_same() -> None:
    lock, passed = Lock(), threading.Event()

    def wait() -> None:
        with lock:
            passed.set()

    with lock:
        thread = threading.Thread(target=wait)
        thread.start()
        assert not passed.wait(0.3)
    assert passed.wait(10)
    thread.join()


@pytest.mark.parametrize("what", ["reserve", "settle", "take", "give", "charge"])
def test_everything_waits_for_the_lock(what: str) -> None:
    ledger, line = MemoryLedger(), one(Rule("a", 100), 40)
    short = Joint([line.rule], [line.account], [(0, 100.0, math.inf, None)])
    held = granted(ledger.reserve([line], Output(), LEASE_S)).id
    taken = ledger.take(short, [40], 0, LEASE_S)
    assert taken is not None
    operations: dict[str, Callable[[], object]] = {
        "reserve": lambda: ledger.reserve([line._replace(fixed=1)], Output(), LEASE_S),
        "take": lambda: ledger.take(short, [1], 0, LEASE_S),
        "settle": lambda: ledger.settle(held, [20]),
        "give": lambda: ledger.give(taken, [20]),
        "charge": lambda: ledger.charge([line], [3]),
    }
    lock = ledger._lock  # noqa: SLF001  # as if another thread was at it

    with lock:
        thread = threading.Thread(target=operations[what])
        thread.start()
        thread.join(0.1)
        assert thread.is_alive()
    thread.join()

    assert [None] == lock.token
    spent, reserved = {"reserve": (0, 81), "take": (0, 81), "charge": (3, 80)}.get(what, (20, 40))
    assert (spent, reserved) == ledger.balance(line)[1:3]
