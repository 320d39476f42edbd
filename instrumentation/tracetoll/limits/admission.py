"""Admission: whether a call may go ahead, and what it turned out to take.

A claim is granted, refused, or has to wait; a granted one is settled exactly once, however the call ends.
"""

from __future__ import annotations

import gc
import time
from typing import TYPE_CHECKING, Any, Final

from tracetoll.ledgers.memory import MemoryLedger
from tracetoll.ledgers.protocol import Granted
from tracetoll.limits import checks
from tracetoll.limits.claim import LONGEST_UNKNOWN
from tracetoll.limits.claiming import Claims
from tracetoll.limits.estimate import text_length, text_length_of_bytes
from tracetoll.limits.following import follow
from tracetoll.limits.settling import Settling
from tracetoll.limits.telling import Numbers, account_text, exceeded
from tracetoll.limits.waiting import AsyncWaiter, Waiter, WaitingRoom
from tracetoll.signals import Standing
from tracetoll_semconv import attributes as a
from tracetoll_semconv import events

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping

    from tracetoll.call import Call, Ending
    from tracetoll.errors import LimitExceeded
    from tracetoll.ledgers.protocol import Balance, Ledger, Line, Refused
    from tracetoll.limits.claim import Claim
    from tracetoll.limits.rules import Ruled
    from tracetoll.pricing import Prices
    from tracetoll.signals import Signals

LEASE_S: Final = 900.0
"""How long a reservation lives without a sign of life; the SDKs give up on a request after 600 s."""
_RENEW_S: Final = 300.0
"""How often a stream that is still read says so to the ledger."""
_POLL_S: Final = 0.25
_COLLECT_AFTER_S: Final = 2.0
_COLLECT_PAUSE_S: Final = 5.0


class Admission:
    """Holds calls to their limits. One per instrument(); thread-safe."""

    def __init__(self, ledger: Ledger, prices: Prices, signals: Signals, idle: Callable[[], object]) -> None:
        self.ledger = ledger
        # A class made from it may do otherwise when it is asked to reserve.
        self._memory = ledger if type(ledger) is MemoryLedger else None
        self.claims = Claims(prices)
        self._signals = signals
        self._idle = idle
        """What to do while waiting: close calls that were forgotten, because they hold reservations."""
        self._room = WaitingRoom()
        self._settling = Settling(ledger, self._memory, self.claims, signals, self._room)
        self.settle = self._settling.settle
        """See `Settling.settle`. Each call comes by here, and a method of our own would be one more to call."""
        self._collected = 0.0
        signals.watch(self.standings)

    def standings(self) -> Iterable[tuple[Ruled, Balance]]:
        """Return the limits that apply to every call, with each of their accounts."""
        by_rule = {ruled.rule: ruled for ruled in self.claims.rules}
        for rule, balance in self.ledger.balances():
            ruled = by_rule.get(rule)
            if ruled is not None:
                yield ruled, balance._replace(account=balance.account.partition(":")[2])

    # --- before the call ---------------------------------------------------------------------

    def claim(self, call: Call, body: Any) -> Claim | None:
        """Make a call's claim and try it: None if nothing limits the call; `waiting` if it has to wait.

        Raises LimitExceeded if it can never fit.
        """
        claim = self.claims.make(call, body)
        if claim is None:
            return None
        call.claim = claim
        plan, memory = claim.plan, self._memory
        if plan.simple and claim.fits and memory is not None and not self._room.queues:
            into, cap = claim.input, claim.cap
            output = claim.usual_output if cap is None else cap
            out = output * claim.choices
            usd = plan.per_call + plan.per_input * into + plan.per_output * out
            # By unit, as `rules.amounts`, which is a call.
            taken = memory.take(claim.place.joint, (into + out, into, out, usd, 1, into + out), output, LEASE_S)
            if taken is not None:
                claim.reservation, claim.granted_output = taken, output
                return claim
        self._ask(claim)
        return claim

    def _ask(self, claim: Claim) -> None:
        """Look at everything that may be in a claim's way. Raises LimitExceeded."""
        if claim.wants.special:
            checks.reroute(claim, self.ledger, self.claims)
            checks.check_prices(claim)
            checks.check_shadows(claim, self.ledger)
        if claim.own and not claim.fits:
            checks.check_own(claim)
        if not claim.lines:
            self._granted(claim, claim.output.wanted)
            return
        if self._room.queues and self._room.behind(line.account for line in claim.lines):
            claim.waiting = True
            return
        found = self.ledger.reserve(claim.lines, claim.output, LEASE_S)
        if isinstance(found, Granted):
            claim.reservation = found.id
            claim.granted_output = found.output
            if claim.wants.caps:
                self._granted(claim, found.output)
        elif found.may_fit:
            claim.waiting = True
        else:
            raise self._refused(claim, found)

    def wait(self, claim: Claim) -> None:
        """Wait in this thread until a claim is granted. Raises LimitExceeded."""
        waiter = Waiter()
        steps = self._steps(claim, waiter)
        try:
            for seconds in steps:
                waiter.sleep(seconds)
        finally:
            steps.close()

    async def wait_async(self, claim: Claim) -> None:
        """Wait in this task until a claim is granted. Raises LimitExceeded."""
        waiter = AsyncWaiter()
        steps = self._steps(claim, waiter)
        try:
            for seconds in steps:
                await waiter.sleep_async(seconds)
        finally:
            steps.close()

    def _steps(self, claim: Claim, waiter: Waiter) -> Generator[float]:
        """Yield how long to sleep before the next try, until the claim is granted. Raises LimitExceeded."""
        started = time.monotonic()
        accounts = [line.account for line in claim.lines]
        self._room.enter(waiter, self._room.behind(accounts))
        refused: Refused | None = None
        last = False
        """Whether this is the last try: with as little output as makes a call worth while."""
        deadline = started + min((ruled.limit.wait for ruled in claim.applied), default=0.0)
        try:
            while True:
                self._idle()
                now = time.monotonic()
                last = last or now >= deadline
                if last or not self._room.behind(accounts, waiter) or self._hopeless(claim):
                    output = claim.output
                    if last:
                        output = output._replace(enough=output.least)
                    found = self.ledger.reserve(claim.lines, output, LEASE_S)
                    if isinstance(found, Granted):
                        claim.reservation = found.id
                        break
                    refused = found
                    limit = self._ruled(claim, found.line).limit
                    deadline = started + limit.wait
                    if last or not found.may_fit:
                        raise self._refused(claim, found, waited_s=now - started)
                    if found.retry_s is not None and now + found.retry_s > deadline:
                        last = True
                        continue
                    if self._room.enter(waiter, found.blocking):
                        continue  # what settled before we stood there has woken nobody
                    self._collect(now, started)
                    pause = _POLL_S if found.retry_s is None else min(_POLL_S, found.retry_s + 0.001)
                else:
                    pause = _POLL_S
                yield min(pause, max(0.001, deadline - now))
        finally:
            self._room.leave(waiter)
            claim.waited_s = time.monotonic() - started
        claim.waiting = False
        self._granted(claim, found.output)
        if refused is not None:
            ruled = self._ruled(claim, refused.line)
            action = "throttle" if refused.retry_s is not None else "none"
            standing = Standing(ruled, account_text(ruled, refused.line.account), refused.spent, refused.reserved)
            standing.action = action
            claim.tightest = standing
            claim.tell(events.BUDGET_WAITED, standing, {a.BUDGET_WAIT_DURATION: claim.waited_s})

    def _hopeless(self, claim: Claim) -> bool:
        """Return whether a call in the queue can never fit, so that it need not wait its turn to hear so."""
        least = claim.output.least
        for line in claim.lines:
            if line.rule.bound is None or line.rule.waits:
                continue
            need = line.fixed + line.rate * (least if line.elastic else claim.output.wanted)
            if self.ledger.balance(line).spent + need > line.rule.bound:
                return True
        return False

    def _collect(self, now: float, started: float) -> None:
        """Collect garbage if a call has long waited: a stream that was dropped unread may hold what it needs."""
        if now - started > _COLLECT_AFTER_S and now - self._collected > _COLLECT_PAUSE_S:
            self._collected = now
            gc.collect()
            self._idle()

    def _granted(self, claim: Claim, output: int) -> None:
        """Note what was granted, and what of the request has to change for it."""
        claim.granted_output = output
        if not claim.wants.caps or claim.cap_field is None:
            return  # no limit minds how long the answer is
        rules = (*claim.applied, *claim.own)
        asked, wanted = claim.asked, claim.kind.longest or LONGEST_UNKNOWN
        if claim.cap is not None:
            lowered = output < claim.cap and any(ruled.clamps for ruled in rules)
            if not lowered:
                return
        else:
            if not any(ruled.caps(asked) for ruled in rules):
                return
            lowered = output < wanted
            if not lowered and claim.kind.longest is not None:
                return  # the model cannot give more
        claim.change(claim.cap_field, output)
        if lowered and any(ruled.clamps for ruled in rules):
            self._clamped(claim, output)

    def _clamped(self, claim: Claim, output: int) -> None:
        """Note which limit lowered the cap: the one that leaves the least."""
        least: tuple[int, Ruled, str | None, int] | None = None
        for ruled, line in checks.with_lines(claim):
            fixed, rate = ruled.takes(claim.need, claim.asked)
            bound = ruled.hard if line is not None else checks.own_bound(ruled, claim)
            if not rate or bound is None or ruled.limit.shadow or not ruled.elastic(claim.asked):
                continue
            spent = self.ledger.balance(line).spent if line is not None else 0
            left = (bound - spent - fixed) // rate
            if least is None or left < least[0]:
                least = (left, ruled, line.account if line is not None else None, spent)
        if least is not None:
            _, ruled, account, spent = least
            claim.tightest = Standing(ruled, account_text(ruled, account), spent, action="clamp")
            claim.tell(events.BUDGET_CLAMPED, claim.tightest, {a.GEN_AI_REQUEST_MAX_TOKENS: output})

    def told(self, claim: Claim) -> None:
        """Tell what happened before the call had a span."""
        later, claim.later = claim.later, ()
        for event, standing, more in later:
            self._signals.tell(event, claim.call, standing, more)

    # --- while a stream runs -----------------------------------------------------------------

    def saw(self, claim: Claim, event: object) -> LimitExceeded | None:
        """Take an event of a stream, or some of its bytes; return what to end it with if a limit says so."""
        if claim.measured:
            claim.characters += text_length_of_bytes(event) if isinstance(event, bytes) else text_length(event)
            claim.looked += 1
        claim.look_after(claim.chunks)
        now = time.perf_counter()
        if now - claim.renewed > _RENEW_S and claim.reservation is not None:
            claim.renewed = now
            self.ledger.renew(claim.reservation, LEASE_S)
        if not claim.watching:
            return None
        found = follow(claim, self.ledger)
        if found is not None:
            self.told(claim)
        return found

    # --- after the call ----------------------------------------------------------------------

    def charge(self, call: Call, ending: Ending) -> None:
        """Spend what is only learned of now: a call that was made earlier, or elsewhere."""
        if ending.usage is None and call.surface.billed == "later" and call.surface.metrics:
            self._settling.exempt(call)
        self._settling.charge(call, ending)

    def charge_elsewhere(self, call: Call, found: Mapping[str, int], chosen: Callable[[Ruled], bool]) -> None:
        """Spend what another process has spent for this one, by unit, on the accounts of the limits `chosen`."""
        self._settling.charge_elsewhere(call, found, chosen)

    def drop(self, call: Call) -> None:
        """End what nothing else has ended of a call's reservation: it was never made, or we have failed.

        Where the request may have been sent, what was reserved is taken for spent.
        """
        claim = call.claim
        if claim is None or claim.reservation is None:
            return
        reservation, claim.reservation, claim.settled = claim.reservation, None, True
        output = claim.granted_output if call.sent else 0
        spent = [line.fixed + line.rate * output if call.sent else 0 for line in claim.lines]
        self.ledger.settle(reservation, spent)
        self._freed(claim)

    def _freed(self, claim: Claim) -> None:
        self._room.freed(line.account for line in claim.lines)

    def _refused(self, claim: Claim, refused: Refused, waited_s: float = 0.0) -> LimitExceeded:
        ruled = self._ruled(claim, refused.line)
        because = f" after waiting {waited_s:.1f} s" if waited_s else ""
        numbers = Numbers(refused.spent, refused.reserved, refused.wanted, refused.resets_at)
        return exceeded(claim, ruled, refused.line.account, numbers, because=because)

    @staticmethod
    def _ruled(claim: Claim, line: Line) -> Ruled:
        return next(ruled for ruled, own in zip(claim.applied, claim.lines, strict=True) if own is line)
