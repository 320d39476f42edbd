"""What is looked at before the ledger is asked: prices, rerouting, limits of one call, limits that only tell."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from tracetoll.limits.telling import Numbers, account_text, exceeded, would_refuse
from tracetoll.signals import Standing
from tracetoll_semconv import attributes as a
from tracetoll_semconv import events

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tracetoll.ledgers.protocol import Ledger, Line
    from tracetoll.limits.claim import Claim
    from tracetoll.limits.claiming import Claims
    from tracetoll.limits.rules import Alarm, Ruled


def with_lines(claim: Claim) -> Iterable[tuple[Ruled, Line | None]]:
    """Yield every limit of a claim with its line; None for limits of the call itself."""
    yield from zip(claim.applied, claim.lines, strict=True)
    for ruled in claim.own:
        yield ruled, None


def check_prices(claim: Claim) -> None:
    """Raise LimitExceeded for a call that has no known price where a limit in dollars says so."""
    if claim.rates is not None:
        return
    for ruled, line in with_lines(claim):
        if ruled.unit == "usd" and ruled.limit.unpriced == "block":
            account = line.account if line is not None else None
            if ruled.limit.shadow:
                would_refuse(claim, ruled, account, Numbers())
                continue
            because = f": the price of {claim.call.model!r} is not known, and the limit says unpriced=block"
            raise exceeded(claim, ruled, account, Numbers(), because=because)


def check_shadows(claim: Claim, ledger: Ledger) -> None:
    """Note which limits would have refused the call, if they did more than tell."""
    for ruled, line in zip(claim.applied, claim.lines, strict=True):
        if ruled.shadowed and ruled.hard is not None:
            balance = ledger.balance(line)
            need = line.fixed + line.rate * (claim.output.least if line.elastic else claim.output.wanted)
            if balance.spent + balance.reserved + need > ruled.hard:
                would_refuse(claim, ruled, line.account, Numbers(balance.spent, balance.reserved, need))


def own_bound(ruled: Ruled, claim: Claim) -> int | None:
    """Return what one call may take by a limit that is about one call; None: no bound, or none is known."""
    if ruled.hard is None or ruled.hard_share is None:
        return None
    if ruled.unit != "context_window":
        return ruled.hard
    window = claim.window
    return None if window is None else int(window * float(ruled.limit.amount) * ruled.hard_share)


def check_own(claim: Claim) -> None:
    """Hold the call to the limits that are about one call. Raises LimitExceeded."""
    # What lowers the cap comes first: the others are to be held against what is left of it.
    for ruled in sorted(claim.own, key=lambda one: not one.elastic(claim.asked)):
        bound = own_bound(ruled, claim)
        if bound is None:
            continue
        elastic = ruled.elastic(claim.asked)
        fixed, rate = ruled.takes(claim.need, claim.asked)
        output = claim.output
        if elastic and rate and (bound - fixed) // rate >= output.least:
            if not ruled.limit.shadow:
                wanted = min(output.wanted, (bound - fixed) // rate)
                claim.output = output._replace(wanted=wanted, enough=min(output.enough, wanted))
            continue
        numbers = Numbers(wanted=fixed + rate * output.wanted)
        if numbers.wanted <= bound:
            continue
        if not ruled.limit.shadow:
            raise exceeded(claim, ruled, None, numbers)
        would_refuse(claim, ruled, None, numbers)


def reroute(claim: Claim, ledger: Ledger, claims: Claims) -> None:
    """Have another model asked, once, where a limit says so."""
    for ruled, line in with_lines(claim):
        for alarm in ruled.reroutes:
            if claim.call.model is not None and _reroute(claim, ruled, line, alarm, ledger):
                claim.start_over()
                claims.fill(claim)
                return


def _reroute(claim: Claim, ruled: Ruled, line: Line | None, alarm: Alarm, ledger: Ledger) -> bool:
    """Change the model of a call if a threshold says so; return whether it was changed."""
    # By what answers usually have, unless this limit itself has them capped.
    fixed, rate = ruled.takes(claim.need, claim.asked._replace(to_cap=False))
    spent = reserved = 0
    if line is not None:
        _, spent, reserved, *_ = ledger.balance(line)
    model = claim.call.model or ""
    target = next((to for of, to in alarm.threshold.action.models if fnmatchcase(model, of)), model)
    if target == model or spent + reserved + fixed + rate * claim.output.wanted <= alarm.amount:
        return False
    account = account_text(ruled, line.account if line is not None else None)
    standing = Standing(ruled, account, spent, reserved, action="reroute")
    claim.tell(events.BUDGET_REROUTED, standing, {a.REROUTE_FROM_MODEL: model})
    if ruled.limit.shadow:
        return False
    claim.rerouted_from, claim.call.model = model, target
    claim.change("model", target)
    claim.tightest = standing
    return True
