"""The waiting room: calls that may fit once others have settled, in the order in which they came.

A call that waits holds nothing, so there is no deadlock. It stands in the queue of every account that had no
room for it; whoever comes later and needs one of these accounts stands behind it, so there is no starvation.
Whoever is first is woken when something settles, and tries again by itself.
"""

from __future__ import annotations

import contextlib
import threading
from bisect import insort
from itertools import count
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable

_TICKET: Final = attrgetter("ticket")
_OTHER_LOOPS_PAUSE_S: Final = 0.02


class Waiter:
    """A call that waits in a thread."""

    __slots__ = ("_asleep", "accounts", "ticket")

    def __init__(self) -> None:
        self.ticket = 0
        self.accounts: set[str] = set()
        # A bare lock: a finaliser may wake us wherever it strikes, and threading.Event has a lock of its own.
        self._asleep = threading.Lock()
        self._asleep.acquire()

    def wake(self) -> None:
        """Let the waiter try again."""
        with contextlib.suppress(RuntimeError):
            self._asleep.release()

    def sleep(self, seconds: float) -> None:
        """Wait until woken, at most `seconds`."""
        self._asleep.acquire(timeout=max(0.0, seconds))


class AsyncWaiter(Waiter):
    """A call that waits in an event loop: asyncio's, or any that anyio knows."""

    __slots__ = ("_future", "_loop", "_woken")

    def __init__(self) -> None:
        super().__init__()
        import asyncio  # noqa: PLC0415  # there where anybody waits in a loop; 16 ms for everybody else

        self._loop: asyncio.AbstractEventLoop | None = None
        with contextlib.suppress(RuntimeError):
            self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[None] | None = None
        self._woken = False

    def wake(self) -> None:
        """Let the waiter try again; from any thread."""
        self._woken = True
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed, and nobody waits any more
                self._loop.call_soon_threadsafe(self._rouse)

    def _rouse(self) -> None:
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    async def sleep_async(self, seconds: float) -> None:
        """Wait until woken, at most `seconds`."""
        if self._loop is None:
            import anyio  # noqa: PLC0415  # there with every SDK that can be used under another loop

            await anyio.sleep(0 if self._woken else min(seconds, _OTHER_LOOPS_PAUSE_S))
        elif not self._woken:
            self._future = self._loop.create_future()
            alarm = self._loop.call_later(max(0.0, seconds), self._rouse)
            try:
                if not self._woken:
                    await self._future
            finally:
                alarm.cancel()
                self._future = None
        self._woken = False


class WaitingRoom:
    """Who waits for which account. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tickets = count(1)
        self.queues: dict[str, list[Waiter]] = {}
        """Who waits at each account, in order."""

    def __bool__(self) -> bool:
        return bool(self.queues)

    def enter(self, waiter: Waiter, accounts: Iterable[str]) -> bool:
        """Stand in the queues of some accounts, beside those that one stands in already.

        Return whether any of them is new.
        """
        new = False
        with self._lock:
            if not waiter.ticket:
                waiter.ticket = next(self._tickets)
            for account in accounts:
                if account not in waiter.accounts:
                    waiter.accounts.add(account)
                    insort(self.queues.setdefault(account, []), waiter, key=_TICKET)
                    new = True
        return new

    def leave(self, waiter: Waiter) -> None:
        """Leave all queues, and let those behind try."""
        with self._lock:
            first = []
            for account in waiter.accounts:
                queue = self.queues[account]
                queue.remove(waiter)
                if queue:
                    first.append(queue[0])
                else:
                    del self.queues[account]
            waiter.accounts.clear()
        for one in first:
            one.wake()

    def behind(self, accounts: Iterable[str], waiter: Waiter | None = None) -> list[str]:
        """Return the accounts at which somebody came before `waiter`, or before a newcomer."""
        if not self.queues:
            return []
        with self._lock:
            queues = ((account, self.queues.get(account)) for account in accounts)
            return [
                account
                for account, queue in queues
                if queue and (waiter is None or not waiter.ticket or queue[0].ticket < waiter.ticket)
            ]

    def freed(self, accounts: Iterable[str]) -> None:
        """Let those try who are first at some accounts."""
        with self._lock:
            first: list[Any] = [queue[0] for account in accounts if (queue := self.queues.get(account))]
        for one in first:
            one.wake()
