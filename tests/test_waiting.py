"""The waiting room: by order of arrival, nobody passed, nobody forgotten; in threads and event loops at once."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from tracetoll.ledgers.memory import MemoryLedger
from tracetoll.ledgers.protocol import Granted, Line, Output, Rule
from tracetoll.limits.waiting import AsyncWaiter, Waiter, WaitingRoom

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

STUCK_S: Final = 30.0
"""After how long a test gives up on what should have happened at once."""
FOREVER_S: Final = 3600.0


def comes_back(work: Callable[[], object]) -> bool:
    """Return whether some work ends, rather than sleep forever."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(STUCK_S)
    return not thread.is_alive()


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run some work in an event loop; TimeoutError if it sleeps forever."""

    async def bounded() -> None:
        async with asyncio.timeout(STUCK_S):
            await work()

    asyncio.run(bounded(), debug=True)  # a loop that is called from the wrong thread then says so


# --- one waiter -----------------------------------------------------------------------------------


def test_a_wake_before_the_sleep_is_not_lost() -> None:
    waiter = Waiter()
    waiter.wake()

    assert comes_back(lambda: waiter.sleep(FOREVER_S))


def test_two_wakes_before_the_sleep_are_one() -> None:
    waiter = Waiter()
    waiter.wake()
    waiter.wake()
    waiter.sleep(FOREVER_S)
    late = threading.Thread(target=lambda: waiter.sleep(FOREVER_S), daemon=True)
    late.start()

    late.join(0.05)
    assert late.is_alive()
    waiter.wake()
    late.join(STUCK_S)
    assert not late.is_alive()


def test_a_sleep_ends_by_itself_and_the_next_one_can_be_woken() -> None:
    waiter = Waiter()

    for seconds in (0.01, 0.0, -1.0):
        waiter.sleep(seconds)
    waiter.wake()

    assert comes_back(lambda: waiter.sleep(FOREVER_S))


def test_a_sleeper_is_woken_by_another_thread() -> None:
    waiter = Waiter()
    threading.Timer(0.01, waiter.wake).start()

    assert comes_back(lambda: waiter.sleep(FOREVER_S))


def test_a_wake_before_the_sleep_is_not_lost_in_an_event_loop() -> None:
    async def work() -> None:
        waiter = AsyncWaiter()
        for _ in range(3):
            waiter.wake()
            await waiter.sleep_async(FOREVER_S)

    run(work)


def test_a_wake_long_before_the_sleep_is_not_lost_in_an_event_loop() -> None:
    async def work() -> None:
        waiter = AsyncWaiter()
        waiter.wake()
        for _ in range(5):
            await asyncio.sleep(0)
        await waiter.sleep_async(FOREVER_S)

    run(work)


def test_a_sleep_in_an_event_loop_ends_by_itself_and_the_next_one_can_be_woken() -> None:
    async def work() -> None:
        waiter = AsyncWaiter()
        for seconds in (0.01, 0.0, -1.0):
            await waiter.sleep_async(seconds)
        waiter.wake()
        await waiter.sleep_async(FOREVER_S)

    run(work)


def test_a_sleeper_in_an_event_loop_is_woken_by_another_thread_each_time() -> None:
    async def work() -> None:
        waiter = AsyncWaiter()
        for _ in range(200):
            thread = threading.Thread(target=waiter.wake)
            thread.start()
            await waiter.sleep_async(FOREVER_S)
            thread.join()

    run(work)


def test_a_loop_with_nothing_else_to_do_is_woken_by_another_thread() -> None:
    async def work() -> None:
        waiter = AsyncWaiter()
        timer = threading.Timer(0.02, waiter.wake)
        timer.start()
        await waiter.sleep_async(FOREVER_S)
        timer.join()

    run(work)


def test_a_sleeper_in_an_event_loop_is_woken_by_another_task() -> None:
    async def work() -> None:
        waiter = AsyncWaiter()
        asyncio.get_running_loop().call_later(0.01, waiter.wake)
        await waiter.sleep_async(FOREVER_S)

    run(work)


def test_the_loop_is_free_while_one_of_its_tasks_sleeps() -> None:
    seen: list[str] = []

    async def work() -> None:
        waiter = AsyncWaiter()

        async def other() -> None:
            seen.append("other")
            waiter.wake()

        task = asyncio.create_task(other())
        await waiter.sleep_async(FOREVER_S)
        seen.append("woken")
        await task

    run(work)

    assert ["other", "woken"] == seen


def test_waking_somebody_whose_loop_is_closed_does_no_harm() -> None:
    left: list[AsyncWaiter] = []

    async def work() -> None:
        left.append(AsyncWaiter())

    run(work)

    left[0].wake()


def test_under_another_event_loop_a_wake_is_noticed() -> None:
    trio = pytest.importorskip("trio", reason="trio is not installed")

    async def work() -> None:
        with trio.fail_after(STUCK_S):
            waiter = AsyncWaiter()
            waiter.wake()
            await waiter.sleep_async(FOREVER_S)
            threading.Timer(0.01, waiter.wake).start()
            await waiter.sleep_async(FOREVER_S)

    trio.run(work)


# --- the room -------------------------------------------------------------------------------------


class Noted(Waiter):
    """A waiter that remembers whether it was woken."""

    __slots__ = ("name", "woken")

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.woken = False

    def __repr__(self) -> str:
        return self.name

    def wake(self) -> None:
        self.woken = True
        super().wake()


def stand(room: WaitingRoom, *accounts: str) -> list[Noted]:
    """Let somebody arrive for each of some accounts, which are told as letters."""
    waiters = [Noted(f"{position}:{letters}") for position, letters in enumerate(accounts)]
    for waiter, letters in zip(waiters, accounts, strict=True):
        room.enter(waiter, letters)
    return waiters


def test_an_empty_room_lets_everybody_pass() -> None:
    room = WaitingRoom()

    assert not room
    assert [] == room.behind("ab")


def test_a_newcomer_stands_behind_everybody_at_the_same_account() -> None:
    room = WaitingRoom()
    stand(room, "a")

    assert room
    assert ["a"] == room.behind("ab")
    assert ["a"] == room.behind("ab", Waiter())


def test_only_who_came_first_is_behind_nobody() -> None:
    room = WaitingRoom()

    first, second, third = stand(room, "a", "ab", "b")

    assert [] == room.behind("a", first)
    assert ["a"] == room.behind("ab", second)
    assert ["b"] == room.behind("b", third)


def test_who_came_first_keeps_its_place_at_an_account_where_it_stands_later() -> None:
    room = WaitingRoom()
    first, second = stand(room, "a", "b")

    room.enter(first, "b")

    assert [] == room.behind("ab", first)
    assert ["b"] == room.behind("b", second)


def test_who_leaves_wakes_who_is_first_then_at_each_account() -> None:
    room = WaitingRoom()
    first, second, third, fourth = stand(room, "ab", "a", "ab", "c")

    room.leave(first)

    assert [True, True, False] == [one.woken for one in (second, third, fourth)]
    assert not first.accounts


def test_what_is_freed_wakes_who_is_first_there_and_nobody_else() -> None:
    room = WaitingRoom()
    first, second, third = stand(room, "a", "a", "b")

    room.freed("ax")

    assert [True, False, False] == [one.woken for one in (first, second, third)]


def test_leaving_twice_or_without_having_entered_does_no_harm() -> None:
    room = WaitingRoom()
    (only,) = stand(room, "ab")

    room.leave(only)
    room.leave(only)
    room.leave(Waiter())

    assert not room


INSIDE: Final = Bundle("inside")
SOME_ACCOUNTS: Final = st.lists(st.sampled_from("abcd"), max_size=3, unique=True)


class RoomMachine(RuleBasedStateMachine):
    """Any coming and going, compared with a list of who stands where in the order of arrival."""

    @initialize()
    def begin(self) -> None:
        self.room = WaitingRoom()
        self.arrived: list[Noted] = []
        self.standing: dict[Noted, set[str]] = {}

    def before(self, account: str, waiter: Noted | None) -> list[Noted]:
        """Return who came to an account before somebody, or all who stand there."""
        place = self.arrived.index(waiter) if waiter in self.arrived else None
        return [one for one in self.arrived[:place] if account in self.standing[one]]

    def woken(self) -> set[Noted]:
        found = {one for one in self.arrived if one.woken}
        for one in found:
            one.woken = False
        return found

    @rule(target=INSIDE, accounts=SOME_ACCOUNTS)
    def arrive(self, accounts: list[str]) -> Noted:
        waiter = Noted(f"w{len(self.arrived)}")
        self.room.enter(waiter, accounts)
        self.arrived.append(waiter)
        self.standing[waiter] = set(accounts)
        return waiter

    @rule(waiter=INSIDE, accounts=SOME_ACCOUNTS)
    def stand_elsewhere_too(self, waiter: Noted, accounts: list[str]) -> None:
        self.room.enter(waiter, accounts)
        self.standing[waiter] |= set(accounts)

    @rule(waiter=INSIDE)
    def leave(self, waiter: Noted) -> None:
        left = self.standing[waiter]
        self.standing[waiter] = set()

        self.room.leave(waiter)

        assert {self.before(account, None)[0] for account in left if self.before(account, None)} == self.woken()

    @rule(accounts=SOME_ACCOUNTS)
    def free(self, accounts: list[str]) -> None:
        self.room.freed(accounts)

        assert {self.before(account, None)[0] for account in accounts if self.before(account, None)} == self.woken()

    @invariant()
    def nobody_passes_anybody(self) -> None:
        for one in (*self.arrived, None):
            assert [account for account in "abcd" if self.before(account, one)] == self.room.behind("abcd", one)

    @invariant()
    def a_room_is_empty_once_all_have_left(self) -> None:
        assert any(self.standing.values()) == bool(self.room)


TestRoomMachine = RoomMachine.TestCase
TestRoomMachine.settings = settings(max_examples=50, deadline=None)


# --- threads and tasks at once --------------------------------------------------------------------

CAPACITY_OF_ONE: Final = Rule("one at a time", 1)


@dataclass
class Crossing:
    """Where calls wait for accounts that each let one call through at a time."""

    room: WaitingRoom = field(default_factory=WaitingRoom)
    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    passed: list[Turn] = field(default_factory=list)
    inside: dict[str, Turn] = field(default_factory=dict)
    collisions: list[Turn] = field(default_factory=list)


class Turn:
    """A call that waits for its accounts, goes through, and leaves."""

    def __init__(self, crossing: Crossing, accounts: Sequence[str], waiter: Waiter) -> None:
        self.crossing = crossing
        self.accounts = accounts
        self.waiter = waiter
        self.lines = [Line(CAPACITY_OF_ONE, account, 1) for account in accounts]
        self.held: Granted | None = None

    def arrive(self) -> None:
        self.crossing.room.enter(self.waiter, self.accounts)

    def granted(self) -> bool:
        crossing = self.crossing
        if crossing.room.behind(self.accounts, self.waiter):
            return False
        found = crossing.ledger.reserve(self.lines, Output(), FOREVER_S)
        if not isinstance(found, Granted):
            crossing.room.enter(self.waiter, found.blocking)
            return False
        self.held = found
        if any(account in crossing.inside for account in self.accounts):
            crossing.collisions.append(self)
        crossing.inside.update(dict.fromkeys(self.accounts, self))
        crossing.passed.append(self)
        return True

    def leave(self) -> None:
        """Leave, whether it was granted or has given up."""
        self.crossing.room.leave(self.waiter)
        if self.held is not None:
            for account in self.accounts:
                del self.crossing.inside[account]
            self.crossing.ledger.settle(self.held.id, [0] * len(self.lines))
            self.crossing.room.freed(self.accounts)


def walk(crossing: Crossing, accounts: Sequence[str]) -> None:
    turn = Turn(crossing, accounts, Waiter())
    turn.arrive()
    try:
        while not turn.granted():
            turn.waiter.sleep(FOREVER_S)
    finally:
        turn.leave()


async def walk_async(crossing: Crossing, accounts: Sequence[str]) -> None:
    waiter = AsyncWaiter()
    turn = Turn(crossing, accounts, waiter)
    turn.arrive()
    try:
        while not turn.granted():
            await waiter.sleep_async(FOREVER_S)
        await asyncio.sleep(0)
    finally:
        turn.leave()


async def walk_all(crossing: Crossing, steady: Sequence[Sequence[str]], giving_up: Sequence[Sequence[str]]) -> None:
    """Run one task for each; those that give up do so while they wait, or in the middle."""
    tasks = [asyncio.create_task(walk_async(crossing, accounts)) for accounts in steady]
    leaving = [asyncio.create_task(walk_async(crossing, accounts)) for accounts in giving_up]
    await asyncio.sleep(0)
    for task in leaving:
        await asyncio.sleep(0)
        task.cancel()
    await asyncio.gather(*tasks)
    for found in await asyncio.gather(*leaving, return_exceptions=True):
        assert found is None or isinstance(found, asyncio.CancelledError)


def walk_all_at_once(
    crossing: Crossing,
    threads: Sequence[Sequence[str]],
    tasks: Sequence[Sequence[str]],
    giving_up: Sequence[Sequence[str]] = (),
) -> None:
    """Return once all have had their turn; fails if they never have."""
    work: list[threading.Thread] = [
        threading.Thread(target=walk, args=(crossing, accounts), daemon=True) for accounts in threads
    ]
    work.append(
        threading.Thread(target=lambda: asyncio.run(walk_all(crossing, tasks, giving_up)), daemon=True),
    )
    for one in work:
        one.start()
    for one in work:
        one.join(STUCK_S)
    assert [] == [one for one in work if one.is_alive()], "somebody waits forever"


def check_crossed(crossing: Crossing) -> None:
    """Check that those who passed did so alone, in order of arrival at each account, and left nothing."""
    assert [] == crossing.collisions
    for account in {account for turn in crossing.passed for account in turn.accounts}:
        tickets = [turn.waiter.ticket for turn in crossing.passed if account in turn.accounts]
        assert sorted(tickets) == tickets
    assert not crossing.room
    assert {0} >= {balance.reserved for _, balance in crossing.ledger.balances()}


SETS_OF_ACCOUNTS: Final = st.lists(
    st.lists(st.sampled_from("abc"), min_size=1, max_size=3, unique=True), min_size=1, max_size=8
)


@settings(max_examples=60, deadline=None)
@given(SETS_OF_ACCOUNTS, SETS_OF_ACCOUNTS, SETS_OF_ACCOUNTS)
def test_all_have_their_turn_in_the_order_in_which_they_came(
    threads: list[list[str]], tasks: list[list[str]], giving_up: list[list[str]]
) -> None:
    crossing = Crossing()

    walk_all_at_once(crossing, threads, tasks, giving_up)

    check_crossed(crossing)
    steady = len(threads) + len(tasks)
    assert steady <= len(crossing.passed) <= steady + len(giving_up)


def test_a_hundred_calls_go_through_one_at_a_time() -> None:
    crossing = Crossing()

    walk_all_at_once(crossing, [["a"]] * 40, [["a"]] * 60)

    check_crossed(crossing)
    assert 100 == len(crossing.passed)


def test_a_task_that_is_cancelled_while_it_waits_leaves_no_trace_and_lets_the_next_one_go() -> None:
    crossing = Crossing()

    async def work() -> None:
        first = Turn(crossing, "a", Waiter())
        first.arrive()
        assert first.granted()
        cancelled = asyncio.create_task(walk_async(crossing, "ab"))
        await asyncio.sleep(0)
        after = asyncio.create_task(walk_async(crossing, "b"))
        await asyncio.sleep(0)
        assert ["a", "b"] == crossing.room.behind("ab")

        cancelled.cancel()
        await asyncio.gather(cancelled, return_exceptions=True)
        await after
        first.leave()

        assert cancelled.cancelled()

    run(work)

    assert ["a", "b"] == ["".join(turn.accounts) for turn in crossing.passed]
    check_crossed(crossing)
