"""Settling: what a call turned out to take, which thresholds that crosses, and what is learned from it."""

from __future__ import annotations

import logging
from time import monotonic
from typing import TYPE_CHECKING, Final, NamedTuple

from tracetoll.limits import assumed, rules
from tracetoll.limits.checks import with_lines
from tracetoll.limits.limit import Crossing
from tracetoll.limits.telling import account_text, moment
from tracetoll.limits.windows import Rolling
from tracetoll.safety import contained
from tracetoll.signals import Standing
from tracetoll.usage import INPUT, OUTPUT, Usage
from tracetoll_semconv import attributes as a
from tracetoll_semconv import events

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from tracetoll.call import Call, Ending
    from tracetoll.ledgers.memory import MemoryLedger
    from tracetoll.ledgers.protocol import Balance, Ledger, Line
    from tracetoll.limits.claim import Claim
    from tracetoll.limits.claiming import Claims
    from tracetoll.limits.rules import Alarm, Ruled
    from tracetoll.limits.waiting import WaitingRoom
    from tracetoll.signals import Signals

log: Final = logging.getLogger("tracetoll")

_CALLING_BACK: Final = contained("calling a limit's callback")
_DEFERRED_KEPT: Final = 10_000


class Deferred(NamedTuple):
    """What was assumed of a call whose usage will be fetched later."""

    claim: Claim
    spent: Sequence[int]
    periods: Sequence[float | None]
    """When the period of each account ends."""
    since: float
    """When that was, by the monotonic clock."""


class Settling:
    """Settles claims with a ledger. Thread-safe."""

    def __init__(
        self, ledger: Ledger, memory: MemoryLedger | None, claims: Claims, signals: Signals, room: WaitingRoom
    ) -> None:
        self._ledger = ledger
        self._memory = memory
        self._room = room
        self._claims = claims
        self._signals = signals
        self._deferred: dict[str, Deferred | None] = {}
        """What was assumed of pending answers, by their ids; None: no limit applied to the call."""
        self._unpriced: set[tuple[str, str | None]] = set()

    def settle(self, claim: Claim, ending: Ending) -> None:  # noqa: C901  # in pieces it takes longer, on each call
        """Give back what was reserved, and spend what the call came to. Does nothing the second time."""
        if claim.settled:
            return
        claim.settled = True
        usage, cost = ending.usage, ending.cost
        into = out = spent = None
        if usage is not None:
            told = usage._counts  # noqa: SLF001  # properties are looked up anew each time
            into, out = told.get(INPUT), told.get(OUTPUT)
            reservation, memory = claim.reservation, self._memory
            # As it was taken, without further ado; unless its lease or a period is over.
            if reservation is not None and memory is not None and ending.outcome == "done" and not usage.sides:
                spent = rules.amounts(into or 0, out or 0, (cost.amount or 0) if cost is not None else 0)
                given = memory.give(reservation, spent)
                if given is not None:
                    claim.reservation = None
                    claim.fullest, now = given
                    if now is not None:
                        self._look(claim, _changes_of(claim, now, spent))
        if claim.reservation is not None:
            self._settle(claim, ending, claim.reservation)
        if usage is not None:
            if claim.own and (spent is None or _alarming(spent, claim.plan.own_alarms)):
                self._look_at_own(claim, usage, ending)
            if cost is None or cost.amount is None:
                for ruled, line in with_lines(claim):
                    self._look_at_price(claim, ruled, line)
            self._claims.learn(claim, into, out, ending)
        if self._room.queues:
            self._room.freed(line.account for line in claim.lines)

    def _settle(self, claim: Claim, ending: Ending, reservation: int | str) -> None:
        call, usage = claim.call, ending.usage
        if usage is not None and ending.outcome == "done":
            found = rules.spent(usage, ending.cost)
            spent: Sequence[int] = [found[ruled.unit] for ruled in claim.applied]
        else:
            spent = assumed.amounts(claim, ending)
        balances = self._ledger.settle(reservation, spent)
        claim.reservation = None
        if usage is None and call.surface.billed != "now" and call.response_id is not None:
            self._defer(call.response_id, claim, spent)
        self._look(claim, _changes(balances))

    def charge(self, call: Call, ending: Ending) -> None:
        """Spend what is only learned of now: a call that was made earlier, or elsewhere."""
        usage = ending.usage
        if usage is None and (ending.outcome != "failed" or call.surface.billed != "now"):
            return
        found = rules.spent(usage or Usage(), ending.cost)
        if call.response_id is not None and call.response_id in self._deferred:
            earlier = self._deferred.pop(call.response_id)
            if earlier is not None:
                self._correct(earlier, found)
            return
        claim = self._claims.make(call, {})
        if claim is not None and claim.lines:
            spent = [found[ruled.unit] for ruled in claim.applied]
            self._look(claim, _changes(self._ledger.charge(claim.lines, spent)))

    def charge_elsewhere(self, call: Call, found: Mapping[str, int], chosen: Callable[[Ruled], bool]) -> None:
        """Spend what another process has spent for this one, by unit, on the accounts of the limits `chosen`.

        `call` stands for all of its calls.
        """
        claim = self._claims.make(call, {})
        if claim is None:
            return
        kept = [(ruled, line) for ruled, line in zip(claim.applied, claim.lines, strict=True) if chosen(ruled)]
        claim.applied = [ruled for ruled, _ in kept]
        claim.lines = [line for _, line in kept]
        if kept:
            spent = [found[ruled.unit] for ruled in claim.applied]
            self._look(claim, _changes(self._ledger.charge(claim.lines, spent)))

    def exempt(self, call: Call) -> None:
        """Remember that no limit applied to a call whose usage will be fetched later."""
        if call.response_id is not None:
            self._keep(call.response_id, None)

    def _correct(self, earlier: Deferred, found: Mapping[str, int]) -> None:
        """Put what a call really took in the place of what was assumed of it."""
        claim = earlier.claim
        changes = []
        for ruled, line, before, ends in zip(claim.applied, claim.lines, earlier.spent, earlier.periods, strict=True):
            change = 0 if ruled.unit == "calls" else found[ruled.unit] - before  # it counted as a call when it was made
            if change < 0 and self._has_passed(ruled, line, ends, earlier.since):
                change = 0  # it would take away what others have spent since
            changes.append(change)
        ago_s = monotonic() - earlier.since
        self._look(claim, _changes(self._ledger.charge(claim.lines, changes, ago_s)))

    def _has_passed(self, ruled: Ruled, line: Line, ends: float | None, since: float) -> bool:
        """Return whether a call belongs to a period that is over."""
        period = ruled.limit.period
        if period is None:
            return False
        if isinstance(period, Rolling):
            return monotonic() - since >= period.seconds
        return self._ledger.balance(line).resets_at != ends

    def _defer(self, answer: str, claim: Claim, spent: Sequence[int]) -> None:
        """Remember what was assumed of a call whose usage will be fetched later."""
        periods = [self._ledger.balance(line).resets_at for line in claim.lines]
        self._keep(answer, Deferred(claim, spent, periods, monotonic()))

    def _keep(self, answer: str, deferred: Deferred | None) -> None:
        if len(self._deferred) >= _DEFERRED_KEPT:
            del self._deferred[next(iter(self._deferred))]
        self._deferred[answer] = deferred

    def _look(self, claim: Claim, changes: Sequence[tuple[int, int]]) -> None:
        """Tell which thresholds were crossed, and find the account that is fullest.

        `changes` are what is spent of each account now, and what was before.
        """
        fullest = -1.0
        told = claim.call.span.is_recording()
        for position, (spent, before) in enumerate(changes):
            ruled = claim.applied[position]
            if told:  # only a span shows it
                share = spent / ruled.whole if ruled.whole else float(bool(spent))
                if share > fullest:
                    fullest = share
                    claim.fullest = (ruled, spent)
            if spent >= ruled.first_alarm and before < spent:
                for alarm in ruled.alarms:
                    if before < alarm.amount <= spent:
                        self._crossed(claim, ruled, alarm, spent, claim.lines[position])

    def _look_at_own(self, claim: Claim, usage: Usage, ending: Ending) -> None:
        """Tell which thresholds of one call were crossed."""
        found = rules.spent(usage, ending.cost)
        for ruled in claim.own:
            spent, whole = found[ruled.unit], float(ruled.whole)
            if ruled.unit == "context_window":
                window = ending.cost.context_window if ending.cost is not None else None
                if not window or usage.context_tokens is None:
                    continue
                spent, whole = usage.context_tokens, float(ruled.limit.amount) * window
            for alarm in ruled.alarms:
                if spent >= alarm.threshold.share * whole:
                    self._crossed(claim, ruled, alarm, spent, None)

    def _crossed(self, claim: Claim, ruled: Ruled, alarm: Alarm, spent: int, line: Line | None) -> None:
        """Tell that a threshold was crossed, and call back who wants to know."""
        action, share = alarm.threshold.action, alarm.threshold.share
        account = account_text(ruled, line.account if line is not None else None)
        standing = Standing(ruled, account, spent, action=action.kind)
        self._signals.tell(events.BUDGET_THRESHOLD_CROSSED, claim.call, standing, {a.BUDGET_THRESHOLD: share})
        if action.callback is not None and not ruled.limit.shadow:
            with _CALLING_BACK:
                ends = self._ledger.balance(line).resets_at if line is not None else None
                action.callback(Crossing(ruled.limit, account, share, ruled.shown(spent), moment(ruled, ends)))

    def _look_at_price(self, claim: Claim, ruled: Ruled, line: Line | None) -> None:
        """Tell, once per limit and model, that a limit in dollars cannot count a call."""
        key = (ruled.key, claim.call.model)
        if ruled.unit != "usd" or ruled.limit.unpriced != "warn" or key in self._unpriced:
            return
        if len(self._unpriced) < _DEFERRED_KEPT:
            self._unpriced.add(key)
        log.warning(
            "limit %r cannot count calls of model %r: its price is not known; set unpriced=block to refuse them",
            ruled.name,
            claim.call.model,
        )
        standing = Standing(ruled, account_text(ruled, line.account if line is not None else None), 0)
        standing.state = "unpriced"
        self._signals.tell(events.BUDGET_UNPRICED, claim.call, standing, {})


def _alarming(spent: Sequence[int], alarms: Sequence[tuple[int, int]]) -> bool:
    """Return whether what one call took, by unit, may have crossed a threshold."""
    for unit, first in alarms:  # noqa: SIM110  # any() takes twice as long
        if spent[unit] >= first:
            return True
    return False


def _changes_of(claim: Claim, now: Sequence[int], amounts: Sequence[int]) -> Sequence[tuple[int, int]]:
    """Return what is spent of each account of a claim, and what was before, as `_look` takes it."""
    return [(spent, spent - amounts[unit]) for spent, (unit, *_) in zip(now, claim.place.group.marks, strict=True)]


def _changes(balances: Iterable[Balance]) -> Sequence[tuple[int, int]]:
    return [(balance.spent, balance.before) for balance in balances]
