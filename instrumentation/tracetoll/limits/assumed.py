"""What a call is taken to have used where the provider does not tell: never usage, only a limit's spending.

A provider bills what it made, also where the connection was lost and nobody heard its counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tracetoll.limits.rules import spent
from tracetoll.usage import INPUT, OUTPUT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tracetoll.call import Ending
    from tracetoll.limits.claim import Claim

# Causes of a connection error that keep a request from ever being sent (httpx and httpcore have the same names), and
# what botocore calls them.
_NEVER_SENT: Final = frozenset(
    {
        *("ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError", "UnsupportedProtocol", "LocalProtocolError"),
        *("EndpointConnectionError", "ConnectTimeoutError", "ProxyConnectionError", "SSLError"),
    }
)
_CONNECTION: Final = ("Connection", "Timeout", "Transport", "Protocol", "ReadError", "WriteError")


def amounts(claim: Claim, ending: Ending) -> Sequence[int]:
    """Return what a call spent of each of its lines, from its usage or by what it must have come to."""
    usage, cost = ending.usage, ending.cost
    if usage is not None and (_whole(claim, ending) or not _maybe_billed(claim, ending)):
        found = spent(usage, cost)
        return [found[ruled.unit] for ruled in claim.applied]
    if not claim.call.sent:
        return [0] * len(claim.applied)
    if not _maybe_billed(claim, ending):
        return [1 if ruled.unit == "calls" else 0 for ruled in claim.applied]
    told = dict(usage) if usage is not None else {}
    need = claim.need
    if INPUT in told:
        need = need._replace(input=told[INPUT], input_bound=told[INPUT])
    output = max(told.get(OUTPUT, 0), so_far(claim) if _stream_began(claim) else need.usual_output)
    if claim.cap is not None or claim.asked.to_cap:
        output = min(output, claim.granted_output or output)
    assumed = []
    for ruled in claim.applied:
        # A strict limit takes the worst for granted.
        most = claim.granted_output if ruled.strict and claim.granted_output else output
        fixed, rate = ruled.takes(need, claim.asked, by_output=True)
        assumed.append(fixed + rate * most)
    return assumed


def so_far(claim: Claim) -> int:
    """Return how many tokens of output a running stream has probably brought."""
    learned = claim.kind.learned
    if claim.characters:
        return int(claim.text * learned.text_ratio.top) + 1
    return int(claim.chunks * learned.chunk.top)


def _stream_began(claim: Claim) -> bool:
    return claim.call.streaming and (claim.chunks > 0 or claim.call.received)


def _whole(claim: Claim, ending: Ending) -> bool:
    """Return whether the usage is all of it: a stream that did not come to its end has told a part at most."""
    usage = ending.usage
    if usage is None:
        return False
    if ending.outcome == "done" or not claim.call.streaming:
        return True
    return usage.output_tokens is not None and bool(claim.call.finish)


def _maybe_billed(claim: Claim, ending: Ending) -> bool:
    """Return whether the provider may have made an answer that it did not tell the usage of."""
    call = claim.call
    error = call.error
    if call.surface.usage is None or not call.sent:
        return False
    if ending.outcome != "failed" or _stream_began(claim):
        return True
    if error is None:
        return False  # the provider said that it failed
    return call.received or (getattr(error, "status_code", None) is None and _was_sent(error))


def _was_sent(error: BaseException) -> bool:
    """Return whether an exception without an answer came after the request had left."""
    names = [kind.__name__ for kind in type(error).__mro__]
    if not any(word in name for name in names for word in _CONNECTION):
        return False
    cause: BaseException | None = error
    while cause is not None:
        if type(cause).__name__ in _NEVER_SENT:
            return False
        # `raise … from None` hides the cause, and keeps it.
        cause = cause.__cause__ or (cause.__context__ if cause.__suppress_context__ else None)
    return True
