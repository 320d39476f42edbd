"""Following a stream that a limit may cut: its reservation grows with it, until there is no more to be had."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tracetoll.limits import assumed
from tracetoll.limits.checks import own_bound
from tracetoll.limits.telling import Numbers, exceeded

if TYPE_CHECKING:
    from tracetoll.errors import LimitExceeded
    from tracetoll.ledgers.protocol import Ledger
    from tracetoll.limits.claim import Claim

_LEAST_GROWTH: Final = 32
_ENDED: Final = "; the stream was ended"


def follow(claim: Claim, ledger: Ledger) -> LimitExceeded | None:
    """Return what to end a stream with if it has to end, now that an event of it was taken."""
    so_far = assumed.so_far(claim)
    found = _own(claim, so_far)
    if found is not None or so_far <= claim.granted_output or claim.reservation is None:
        return found
    for more in (max(_LEAST_GROWTH, so_far // 4), 1):
        if ledger.extend(claim.reservation, so_far + more):
            claim.granted_output = so_far + more
            return None
    return _shared(claim, so_far, ledger)


def _own(claim: Claim, so_far: int) -> LimitExceeded | None:
    for ruled in claim.own:
        bound = own_bound(ruled, claim) if ruled.cuts else None
        if bound is not None:
            fixed, rate = ruled.takes(claim.need, claim.asked, by_output=True)
            if fixed + rate * so_far > bound:
                numbers = Numbers(spent=fixed + rate * so_far, wanted=rate)
                return exceeded(claim, ruled, None, numbers, because=_ENDED, action="cut")
    return None


def _shared(claim: Claim, so_far: int, ledger: Ledger) -> LimitExceeded | None:
    for ruled, line in zip(claim.applied, claim.lines, strict=True):
        if not ruled.cuts or line.rule.bound is None or not line.rate:
            continue
        balance = ledger.balance(line)
        more = line.rate * (so_far + 1 - claim.granted_output)
        if balance.spent + balance.reserved + more > line.rule.bound:
            numbers = Numbers(balance.spent, balance.reserved, more, balance.resets_at)
            return exceeded(claim, ruled, line.account, numbers, because=_ENDED, action="cut")
    return None
