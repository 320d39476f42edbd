"""The ledger of one process: a dictionary of accounts under one lock."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from tracetoll.forks import call_in_child
from tracetoll.ledgers.accounts import NEVER, Account, Found, Kept, parts
from tracetoll.ledgers.lock import Lock
from tracetoll.ledgers.protocol import Balance, Granted, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tracetoll.ledgers.accounts import Draw, Held, Joint
    from tracetoll.ledgers.protocol import Line, Output, Reservation, Rule
    from tracetoll.limits.windows import Calendar, Period

ACCOUNTS_KEPT: Final = 50_000
"""How many accounts are kept at least, and half of how many at most, of limits with no end of subjects."""
_LATE_KEPT: Final = 10_000
_new_tuple: Final = tuple.__new__


class MemoryLedger:
    """Accounts in this process's memory. Spending is forgotten when the process ends.

    Rolling windows are kept in BUCKETS buckets: what is spent leaves the window when its whole bucket does, so
    it counts for the window's length and at most one bucket more. They follow the monotonic clock. Calendar
    windows follow the wall clock; where that is set back, the time stands still until it is caught up with.
    """

    def __init__(self, wall: Callable[[], float] = time.time, ticks: Callable[[], float] = time.monotonic) -> None:
        self._wall = wall
        self._ticks = ticks
        self._made = 0
        self._start_over()
        call_in_child(self, MemoryLedger._after_fork)

    def _start_over(self) -> None:
        self._lock = Lock()
        self._latest = 0.0
        self._era = object()
        """Replaced whenever a key may come to mean another account, or an account's period was another one."""
        # Two generations: what is not used while one fills up goes with the other.
        self._young: dict[str, Account] = {}
        self._old: dict[str, Account] = {}
        self._turn_at = ACCOUNTS_KEPT
        self._blown: dict[str, Account] = {}
        self._periods: dict[Calendar, Period] = {}
        self._held: dict[int, Held] = {}
        self._late: dict[int, Held] = {}
        self._next_expiry = NEVER

    def _after_fork(self) -> None:
        # What runs in the parent settles there. What was spent is known here too.
        accounts, blown, latest = {**self._old, **self._young}, self._blown, self._latest
        self._start_over()
        for account in accounts.values():
            account.reserved = 0
        self._young, self._blown, self._latest = accounts, blown, latest
        self._turn_at += len(accounts)

    # --- the ledger's promise ----------------------------------------------------------------

    def reserve(self, lines: Sequence[Line], output: Output, lease_s: float) -> Reservation:
        """Take every line, or none."""
        now, wall = self._ticks(), self._wall()
        wanted = output.wanted
        draws: list[Draw] = []
        starts: list[float] = []
        needs: list[int] = []
        lock = self._lock
        token = lock.token
        try:
            token.pop()
        except IndexError:
            lock.wait()
        try:
            if now >= self._next_expiry:
                self._expire(now)
            for rule, key, fixed, rate, _ in lines:
                account = self._young.get(key)
                if (
                    account is None
                    or account.rule is not rule
                    or account.ends <= (wall if account.buckets is None else now)
                ):
                    account = self._account(rule, key, now)
                need = fixed + rate * wanted
                bound = rule.bound
                if bound is not None and account.spent + account.reserved + need > bound:
                    return self._squeeze(lines, output, lease_s, now)
                draws.append((account, len(needs), NEVER))
                starts.append(account.started)
                needs.append(need)
            return self._held_now(lines, Found(draws, starts), needs, wanted, now + lease_s)
        finally:
            token.append(None)

    def take(self, joint: Joint, amounts: Sequence[int], output: int, lease_s: float) -> int | None:
        """Take these amounts of accounts, as their marks choose from them, and return the reservation.

        None, and nothing taken, where they do not simply fit. As `reserve`, which says what to do then, with less to
        do. The reservation cannot be extended.
        """
        ticks, wall = self._ticks, self._wall  # a method of an instance's own is looked up anew with each call
        now = ticks()
        lock = self._lock
        token = lock.token
        try:
            token.pop()
        except IndexError:
            lock.wait()
        try:
            found = joint.found
            if found.era is not self._era or wall() >= found.until:
                found = joint.found = self._find(joint, now)
            # What has left a rolling window may still be counted here: less fits then, not more.
            for account, unit, bound in found.draws:
                reserved = account.reserved + amounts[unit]
                if account.spent + reserved > bound:
                    for taken, one, _ in found.draws:
                        if taken is account:
                            return None
                        taken.reserved -= amounts[one]
                account.reserved = reserved
            made = self._made = self._made + 1
            expires = now + lease_s
            self._held[made] = (made, output, found, amounts, expires, ())
            if expires < self._next_expiry:  # noqa: PLR1730  # min() takes five times as long
                self._next_expiry = expires
            return made
        finally:
            token.append(None)

    def give(
        self, reservation: int | str, amounts: Sequence[int]
    ) -> tuple[tuple[Any, int] | None, Sequence[int] | None] | None:
        """Settle what `take` has taken: spend these amounts, as the accounts' marks choose from them.

        Return what stands for the account that is fullest, and what is spent of it; and what is spent of each, where
        somebody has to look at one. As `settle`, with less to do; None, and nothing done, where it was taken otherwise,
        the lease is over, or a period may be.
        """
        ticks = self._ticks  # as above
        now = ticks()
        lock = self._lock
        token = lock.token
        try:
            token.pop()
        except IndexError:
            lock.wait()
        try:
            held = self._held.pop(reservation, None)  # type: ignore[arg-type]  # ids are as we gave them
            if held is None or held[2].era is not self._era:
                self._put_back(held)
                return None
            _, _, found, taken, _, _ = held
            highest, fullest, alarmed = -1.0, None, False
            for account, unit, whole, alarm, whose in found.marked:
                buckets = account.buckets
                amount = amounts[unit]
                account.reserved -= taken[unit]
                if buckets is not None:
                    if account.ends <= now:
                        account.roll(now)
                    if buckets and now < account.full:  # as `remember` does, which is a call
                        buckets[-1][1] += amount
                    elif amount:
                        account.remember(amount, now)
                spent = account.spent = account.spent + amount
                if spent >= alarm:
                    alarmed = True
                share = spent / whole
                if share > highest:
                    highest, fullest = share, (whose, spent)
            told = [account.spent for account, _, _ in found.draws] if alarmed else None
            return fullest, told
        finally:
            token.append(None)

    def extend(self, reservation: int | str, output: int) -> bool:
        """Take more, for `output` tokens of output in all; False, and nothing taken, if that does not fit."""
        with self._lock:
            now = self._now()
            held = self._held.get(reservation)  # type: ignore[arg-type]  # ids are as we gave them
            if held is None:
                return False
            made, before, found, needs, expires, lines = held
            if not lines:
                return False
            more = output - before
            for line, (account, started, _) in zip(lines, parts(held), strict=True):
                bound = line.rule.bound
                if bound is None or not line.rate:
                    continue
                # Another account if this one was forgotten meanwhile.
                if self._account(line.rule, line.account, now) is not account or account.started != started:
                    continue
                if account.spent + account.reserved + line.rate * more > bound:
                    return False
            for line, (account, started, _) in zip(lines, parts(held), strict=True):
                if account.started == started:
                    account.reserved += line.rate * more
            needs = [need + line.rate * more for need, line in zip(needs, lines, strict=True)]
            self._held[made] = (made, output, found, needs, expires, lines)
            return True

    def renew(self, reservation: int | str, lease_s: float) -> None:
        """Let a reservation live on for `lease_s` seconds from now."""
        with self._lock:
            expires = self._now() + lease_s
            held = self._held.get(reservation)  # type: ignore[arg-type]  # ids are as we gave them
            if held is not None:
                made, output, found, needs, _, lines = held
                self._held[made] = (made, output, found, needs, expires, lines)
                self._next_expiry = min(self._next_expiry, expires)

    def settle(self, reservation: int | str, amounts: Sequence[int]) -> Sequence[Balance]:
        """Give back what was reserved and spend `amounts`, one per line; nothing the second time."""
        now = self._ticks()
        balances: list[Balance] = []
        lock = self._lock
        token = lock.token
        try:
            token.pop()
        except IndexError:
            lock.wait()
        try:
            held = self._held.pop(reservation, None)  # type: ignore[arg-type]  # ids are as we gave them
            returned = held is not None
            if held is None:
                held = self._late.pop(reservation, None)  # type: ignore[arg-type]  # ids are as we gave them
                if held is None:
                    return ()
            _, _, found, taken, _, _ = held
            for (account, position, _), started, amount in zip(found.draws, found.starts, amounts, strict=True):
                buckets = account.buckets
                if buckets is not None and account.ends <= now:
                    account.roll(now)
                before = spent = account.spent
                if account.started == started:
                    if returned:
                        account.reserved -= taken[position]
                    if amount:
                        account.spent = spent = before + amount
                        if buckets is not None:
                            account.remember(amount, now)
                # As Balance(...) does, in half the time: there is one per limit and call.
                balances.append(_new_tuple(Balance, (account.key, spent, account.reserved, before, None)))
            return balances
        finally:
            token.append(None)

    def charge(self, lines: Sequence[Line], amounts: Sequence[int], ago_s: float | None = None) -> Sequence[Balance]:
        """Spend without having reserved: what is only learned of afterwards.

        Amounts below 0 are corrections of what was spent `ago_s` seconds ago.
        """
        with self._lock:
            now = self._now()
            balances = []
            for line, amount in zip(lines, amounts, strict=True):
                account = self._account(line.rule, line.account, now)
                before = account.spent
                change = max(amount, -before)
                account.spent += change
                if account.buckets is not None and change < 0:
                    account.correct(change, None if ago_s is None else now - ago_s)
                elif account.buckets is not None and change:
                    account.remember(change, now)
                balances.append(Balance(account.key, account.spent, account.reserved, before))
            return balances

    def balance(self, line: Line) -> Balance:
        """Return how a line's account stands now."""
        with self._lock:
            account = self._account(line.rule, line.account, self._now())
            return Balance(account.key, account.spent, account.reserved, account.spent, self._resets_at(account))

    def balances(self) -> Iterable[tuple[Rule, Balance]]:
        """Return every account that this ledger knows."""
        with self._lock:
            now, wall = self._now(), self._wall_now()
            known = [*self._old.values(), *self._young.values()]
        # Outside the lock: there may be a hundred thousand, and calls are waiting.
        for account in known:
            over = account.ends <= (wall if account.buckets is None else now)
            if over and account.buckets is not None:
                with self._lock:
                    account.roll(now)
                over = False
            spent, reserved = (0, 0) if over else (account.spent, account.reserved)
            yield account.rule, Balance(account.key, spent, reserved, spent, self._resets_at(account))

    def forget(self, account: str) -> None:
        """Forget an account and what was spent on it; what is reserved on it settles into nothing."""
        with self._lock:
            self._era = object()
            self._young.pop(account, None)
            self._old.pop(account, None)
            self._blown.pop(account, None)

    # --- under the lock ----------------------------------------------------------------------

    def _now(self) -> float:
        """Return the time, with all leases that are over given back."""
        now = self._ticks()
        if now >= self._next_expiry:
            self._expire(now)
        return now

    def _held_now(self, lines: Sequence[Line], found: Found, needs: list[int], output: int, expires: float) -> Granted:
        for account, position, _ in found.draws:
            account.reserved += needs[position]
        made = self._made = self._made + 1
        self._held[made] = (made, output, found, needs, expires, lines)
        if expires < self._next_expiry:  # noqa: PLR1730  # as above
            self._next_expiry = expires
        return Granted(made, output)

    def _put_back(self, held: Held | None) -> None:
        """Hold again what was not to be settled here."""
        if held is not None:
            self._held[held[0]] = held

    def _squeeze(self, lines: Sequence[Line], output: Output, lease_s: float, now: float) -> Reservation:
        """Find out whether less output fits, or whether everything may fit later."""
        accounts = [self._account(line.rule, line.account, now) for line in lines]
        chosen = settled = ever = output.wanted
        for line, account in zip(lines, accounts, strict=True):
            if line.elastic and line.rate and line.rule.bound is not None:
                left = line.rule.bound - account.spent - line.fixed
                chosen = min(chosen, (left - account.reserved) // line.rate)
                settled = min(settled, left // line.rate)
                ever = min(ever, (left + account.spent if line.rule.waits else left) // line.rate)
        enough = min(output.enough, max(ever, min(output.least, output.wanted)))
        # Where there is too little now, lines that do not give way are held against what others have once all settled.
        given, asked = (chosen, chosen) if chosen >= enough else (enough, max(settled, enough))
        blocking, hopeless = [], []
        for line, account in zip(lines, accounts, strict=True):
            if line.rule.bound is None:
                continue
            need = line.fixed + line.rate * (given if line.elastic else asked)
            if account.spent + account.reserved + need > line.rule.bound:
                blocking.append((line, account, need))
                if account.spent + need > line.rule.bound:
                    hopeless.append((line, account, need))
        if not blocking:
            draws = [(account, position, NEVER) for position, account in enumerate(accounts)]
            found = Found(draws, [account.started for account in accounts])
            needs = [line.fixed + line.rate * chosen for line in lines]
            return self._held_now(lines, found, needs, chosen, now + lease_s)
        return self._refuse(blocking, hopeless, now)

    def _refuse(
        self, blocking: list[tuple[Line, Account, int]], hopeless: list[tuple[Line, Account, int]], now: float
    ) -> Refused:
        """Say which line does not fit: one that no settling call can help, if there is one."""
        retry_s: float | None = None
        for line, account, need in hopeless:
            after_s = self._moves_on_s(line, account, need, now) if line.rule.waits else None
            if after_s is None:
                return self._refusal(line, account, need, blocking, may_fit=False, retry_s=None)
            retry_s = after_s if retry_s is None else max(retry_s, after_s)
        line, account, need = (hopeless or blocking)[0]
        return self._refusal(line, account, need, blocking, may_fit=True, retry_s=retry_s)

    def _refusal(
        self,
        line: Line,
        account: Account,
        need: int,
        blocking: list[tuple[Line, Account, int]],
        *,
        may_fit: bool,
        retry_s: float | None,
    ) -> Refused:
        keys = tuple(other.key for _, other, _ in blocking)
        resets_at = self._resets_at(account)
        return Refused(line, account.spent, account.reserved, need, keys, may_fit, retry_s, resets_at)

    def _moves_on_s(self, line: Line, account: Account, need: int, now: float) -> float | None:
        """Return after how many seconds the period leaves room for `need`; None: never."""
        bound = line.rule.bound or 0
        if need > bound:
            return None
        if account.buckets is None:
            # Not the guarded time: where that stands still, it takes longer.
            return max(0.0, account.ends - self._wall()) if account.ends != NEVER else None
        left = account.spent
        for leaves, amount in account.buckets:
            left -= int(amount)
            if left + need <= bound:
                return max(0.0, leaves - now)
        return None

    def _resets_at(self, account: Account) -> float | None:
        if account.buckets is not None:
            last = account.buckets[-1][0] if account.buckets else None
            return self._wall() + last - self._ticks() if last is not None else None
        return account.ends if account.ends != NEVER else None

    def _account(self, rule: Rule, key: str, now: float) -> Account:
        """Return the account of a key, as of now."""
        account = self._young.get(key)
        if account is None:
            account = self._old.pop(key, None) or self._blown.pop(key, None) or Account(key, rule)
            self._young[key] = account
            if len(self._young) > self._turn_at:
                self._turn(now)
        if account.rule is not rule:
            account.follow(rule)
        if account.buckets is not None:
            if account.ends <= now:
                account.roll(now)
        elif rule.period is not None:
            period = self._period(rule.period)  # type: ignore[arg-type]  # a rolling one has buckets
            if account.started != period.start:
                if account.started:
                    self._era = object()
                account.started, account.ends = period.start, period.end
                account.spent = account.reserved = 0
        return account

    def _find(self, joint: Joint, now: float) -> Kept:
        """Find accounts as of now."""
        era = None
        while era is not self._era:  # finding one may begin a new era
            era = self._era
            accounts = [self._account(rule, key, now) for rule, key in zip(joint.rules, joint.keys, strict=True)]
        found = Kept(
            [
                (account, unit, NEVER if account.rule.bound is None else account.rule.bound)
                for account, (unit, *_) in zip(accounts, joint.marks, strict=True)
            ],
            [account.started for account in accounts],
        )
        found.marked = [(account, *mark) for account, mark in zip(accounts, joint.marks, strict=True)]
        found.era = era
        found.until = min((account.ends for account in accounts if account.buckets is None), default=NEVER)
        return found

    def _wall_now(self) -> float:
        self._latest = max(self._latest, self._wall())
        return self._latest

    def _period(self, calendar: Calendar) -> Period:
        wall = self._wall_now()
        period = self._periods.get(calendar)
        if period is None or period.end <= wall:
            period = self._periods[calendar] = calendar.period(wall)
        return period

    def _expire(self, now: float) -> None:
        """Give back what was reserved by calls that were never heard of again."""
        for made, held in list(self._held.items()):
            if held[4] > now:
                continue
            del self._held[made]
            self._late[made] = held  # should it settle after all, what it spent is spent
            for account, started, reserved in parts(held):
                if account.started == started:
                    account.reserved -= reserved
        while len(self._late) > _LATE_KEPT:
            del self._late[next(iter(self._late))]
        self._next_expiry = min((expires for *_, expires, _ in self._held.values()), default=NEVER)

    def _turn(self, now: float) -> None:
        """Start a new generation, and forget what the last one did not use, where it may be forgotten."""
        self._era = object()
        wall = self._wall_now()
        left, self._old, self._young = self._old, self._young, {}
        running = (*self._held.values(), *self._late.values())
        in_use = {id(account) for _, _, found, *_ in running for account, _, _ in found.draws}
        for key, account in left.items():
            if account.buckets is not None:
                account.roll(now)
            over = account.buckets is None and account.ends <= wall
            if id(account) in in_use:
                self._young[key] = account
            elif over or not account.spent:
                continue
            elif not account.rule.passing:
                self._young[key] = account
            elif account.rule.bound is not None and account.spent >= account.rule.bound:
                self._blown[key] = account  # a blown trace stays blown
        while len(self._blown) > ACCOUNTS_KEPT:
            del self._blown[next(iter(self._blown))]
        # Beside those that have to stay, or each new account would cost a look at all of them.
        self._turn_at = len(self._young) + ACCOUNTS_KEPT
