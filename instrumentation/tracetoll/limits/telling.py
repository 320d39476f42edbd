"""How a limit and its accounts are told to people: in exceptions, in events, on spans."""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from tracetoll.errors import BUDGET_EXCEEDED, LimitExceeded
from tracetoll.limits.windows import Calendar, zone_of
from tracetoll.signals import Standing
from tracetoll_semconv import attributes as a
from tracetoll_semconv import events

if TYPE_CHECKING:
    from tracetoll.limits.claim import Claim
    from tracetoll.limits.rules import Ruled


class Numbers(NamedTuple):
    """How an account stood when a call was refused, as counted."""

    spent: int = 0
    reserved: int = 0
    wanted: int = 0
    resets_at: float | None = None


def account_text(ruled: Ruled, key: str | None) -> str:
    """Return an account as people read it: the subject, and the calendar period. `key` None: the call itself."""
    if key is None:
        return "call"
    subject = key.partition(":")[2]
    period = ruled.limit.period
    return f"{subject}:{period.period(time.time()).label}" if isinstance(period, Calendar) else subject


def moment(ruled: Ruled, at: float | None) -> datetime | None:
    """Return a time in the limit's own time zone."""
    if at is None:
        return None
    return datetime.fromtimestamp(at, zone_of(ruled.limit.timezone))


def refusal(ruled: Ruled, numbers: Numbers) -> dict[str, Any]:
    """Return what the event of a refusal says beside how the limit stands."""
    return {
        a.ERROR_TYPE: BUDGET_EXCEEDED,
        a.BUDGET_RESERVED: float(ruled.shown(numbers.reserved)),
        a.BUDGET_WANTED: float(ruled.shown(numbers.wanted)),
    }


def exceeded(
    claim: Claim, ruled: Ruled, key: str | None, numbers: Numbers, *, because: str = "", action: str = "block"
) -> LimitExceeded:
    """Return what to raise, and note it for the call's span and event."""
    account = account_text(ruled, key)
    standing = Standing(ruled, account, numbers.spent, numbers.reserved, action=action)
    standing.state = "exceeded"
    claim.tightest = standing
    if action == "cut":
        claim.tell(events.BUDGET_CUT, standing, {a.ERROR_TYPE: BUDGET_EXCEEDED})
    else:
        standing.refused = True
        claim.tell(events.BUDGET_REFUSED, standing, refusal(ruled, numbers))
    return LimitExceeded(
        ruled.limit,
        account,
        spent=ruled.shown(numbers.spent),
        reserved=ruled.shown(numbers.reserved),
        wanted=ruled.shown(numbers.wanted),
        resets_at=moment(ruled, numbers.resets_at),
        because=because,
    )


def would_refuse(claim: Claim, ruled: Ruled, key: str | None, numbers: Numbers) -> None:
    """Note that a limit would have refused a call, if it did more than tell."""
    standing = Standing(ruled, account_text(ruled, key), numbers.spent, numbers.reserved, action="block")
    claim.tell(events.BUDGET_REFUSED, standing, refusal(ruled, numbers))
