"""Limits that travel: what is left of a trace's limits, as an entry of W3C baggage, and held to where it arrives.

The entry is `tracetoll.limits`, such as `11873 tokens; 0.42 usd`. Both sides have to list it: the caller in
TRACETOLL_BAGGAGE_OUT, who takes orders from outside in TRACETOLL_BAGGAGE_IN.
"""

from __future__ import annotations

import logging
from decimal import Decimal
from itertools import count
from typing import TYPE_CHECKING, Final

from opentelemetry import baggage
from opentelemetry import context as otel_context
from opentelemetry.trace import get_current_span

from tracetoll.attribution import current as current_attribution
from tracetoll.ledgers.protocol import Line
from tracetoll.limits.limit import WHERE, Limit
from tracetoll.limits.numbers import amount_text
from tracetoll.limits.rules import ruled
from tracetoll.limits.scope import Scope, current_scopes
from tracetoll.limits.text import parse_limits, show_limit
from tracetoll.safety import contained

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.context import Context

    from tracetoll.config import Settings
    from tracetoll.ledgers.protocol import Ledger
    from tracetoll.limits.claiming import Claims
    from tracetoll.limits.rules import Ruled

log: Final = logging.getLogger("tracetoll")

ENTRY: Final = "tracetoll.limits"
LONGEST: Final = 1000
"""How many characters of an entry are read, and written; baggage as a whole has 8,192 bytes."""
NAME: Final = "request"
SOURCE: Final = "the service that sent this request: the limit came with it"
_LIMITS_READ: Final = 16
_ENTRIES_KEPT: Final = 1000
_RULES_KEPT: Final = 1000
_OURS: Final = otel_context.create_key("tracetoll-limits")
_WRITING: Final = contained("putting limits into baggage")
_READING: Final = contained("reading limits from baggage")
_requests: Final = count(1)


def _incoming(within: Context) -> str | None:
    """Return the entry that came from outside; what this process put there itself is none."""
    entry = baggage.get_baggage(ENTRY, within)
    if not isinstance(entry, str):
        return None
    ours = otel_context.get_value(_OURS, within)
    return ours[1] if isinstance(ours, tuple) and ours[0] == entry else entry


class Travelling:
    """What goes out with a block, and what came in with a request. One per instrument(); thread-safe."""

    def __init__(self, claims: Claims, ledger: Ledger, settings: Settings) -> None:
        self._claims = claims
        self._ledger = ledger
        self._taken = ENTRY in settings.baggage_in
        self._baggage_in = settings.baggage_in - {ENTRY}
        self._read: dict[str, tuple[Ruled, ...]] = {}
        self._suffixes: dict[Ruled, str] = {}
        self._complained = False

    # --- coming in ---------------------------------------------------------------------------

    def scopes(self, within: Context) -> tuple[Scope, ...]:
        """Return the blocks that calls in this context belong to, the request with its limits as the outermost."""
        own = current_scopes.get()
        if within:
            with _READING:
                request = self._request(within, own)
                return own if request is None else (request, *own)
        return own

    def _request(self, within: Context, own: tuple[Scope, ...]) -> Scope | None:
        entry = _incoming(within)
        rules = self._rules(entry) if entry is not None else ()
        if entry is None or not rules:
            return None
        span = get_current_span(within).get_span_context()
        if span.is_valid:
            from hashlib import blake2s  # noqa: PLC0415  # for whoever has limits travel

            # Whoever asks again with the same entry has nothing more to give: all such requests share an account.
            digest = blake2s(entry.encode(errors="replace"), digest_size=4).hexdigest()
            return Scope(rules, f"request:{span.trace_id:032x}:{digest}")
        if own:
            return Scope(rules, f"request:{own[0].id}")
        self._complain("limits came with a request that has no trace: each call is held to them alone")
        return Scope(rules, f"request:{next(_requests)}")

    def _rules(self, entry: str) -> tuple[Ruled, ...]:
        """Return the limits of an entry, ready for use."""
        known = self._read.get(entry)
        if known is not None:
            return known
        limits = list(self._limits(entry))
        if len(self._read) >= _ENTRIES_KEPT:
            self._read.clear()
        found = self._read[entry] = ruled(limits, default_subject="scope", prefix="request|")
        return found

    def _limits(self, entry: str) -> Iterator[Limit]:
        found, wrong = parse_limits(entry) if len(entry) <= LONGEST else ([], [])
        usable = [limit for limit in found if _is_plain(limit)][:_LIMITS_READ]
        if self._taken and (not found or wrong or len(usable) < len(found)):
            self._complain(f"limits that came with a request are not as they should be and ignored: {entry[:100]!r}")
        for limit in usable:
            # All have one name, because names stand on metrics.
            yield Limit(limit.amount, limit.unit, where=limit.where, strict=limit.strict, name=NAME, source=SOURCE)

    def _complain(self, problem: str) -> None:
        """Log, once: who sends requests could otherwise fill the log."""
        if not self._complained:
            self._complained = True
            log.warning("%s (baggage %s; said once)", problem, ENTRY)

    # --- going out ---------------------------------------------------------------------------

    def left(self, within: Context) -> Context:
        """Return the context of a block with what is left of its limits as they stand now, if there are any."""
        with _WRITING:
            entry = self._entry(within)
            if entry:
                marked = otel_context.set_value(_OURS, (entry, _incoming(within)), within)
                return baggage.set_baggage(ENTRY, entry, marked)
        return within

    def _entry(self, within: Context) -> str:
        least: dict[str, tuple[int, Ruled]] = {}
        for rule, left in self._each_left(within):
            what = f"{rule.unit}{self._suffix(rule)}"
            if what not in least or left < least[what][0]:
                least[what] = (left, rule)
        if not least or (all(rule.limit.source == SOURCE for _, rule in least.values()) and not self._taken):
            return ""  # what came in travels on as it is
        found = ""
        for what, (left, rule) in least.items():
            amount = Decimal(left) / rule.limit.scale
            more = f"{'; ' if found else ''}{amount_text(amount, rule.unit)} {what}"
            if len(found) + len(more) <= LONGEST:
                found += more
        return found

    def _each_left(self, within: Context) -> Iterator[tuple[Ruled, int]]:
        """Yield the limits of this trace, its blocks and its request, and how much of each is left."""
        for rule, account in self._accounts(within):
            if rule.hard is not None and not rule.limit.shadow and rule.unit != "context_window":
                balance = self._ledger.balance(Line(rule.rule, f"{rule.key}:{account}", 0))
                yield rule, max(0, rule.hard - balance.spent - balance.reserved)
        entry = None if self._taken else _incoming(within)
        if entry is not None:
            # Not held to here, but whoever is asked next may be.
            for rule in self._rules(entry):
                yield rule, rule.whole

    def _accounts(self, within: Context) -> Iterator[tuple[Ruled, str]]:
        span = get_current_span(within).get_span_context()
        trace = f"trace:{span.trace_id:032x}" if span.is_valid else None
        scopes = self.scopes(within) if self._taken else current_scopes.get()
        told = current_attribution(self._baggage_in, within)
        whole = trace or (scopes[-1].id if scopes else None)
        for rule in self._claims.rules:
            if rule.per == "trace" and whole is not None and rule.applies(told):
                yield rule, whole
        for scope in scopes:
            subjects = {"scope": scope.id, "trace": f"{scope.id},{trace}" if trace else scope.id}
            subjects["process"] = f"{scope.id},process"
            for rule in scope.limits:
                if isinstance(rule.per, str) and rule.per in subjects and rule.applies(told):
                    yield rule, subjects[rule.per]

    def _suffix(self, rule: Ruled) -> str:
        """Return what stands behind amount and unit: which models, providers and operations are meant, never who."""
        known = self._suffixes.get(rule)
        if known is not None:
            return known
        where = {key: patterns for key, patterns in rule.limit.where.items() if key in WHERE.values()}
        text = show_limit(Limit(1, rule.unit, where=where, strict=rule.strict))
        if len(self._suffixes) >= _RULES_KEPT:
            self._suffixes.clear()
        found = self._suffixes[rule] = text.removeprefix(f"1 {rule.unit}")
        return found


def _is_plain(limit: Limit) -> bool:
    """Return whether a limit says nothing but how much of what, and of which models."""
    same = Limit(limit.amount, limit.unit, where=limit.where, strict=limit.strict)
    return limit == same and limit.unit != "context_window" and set(limit.where) <= set(WHERE.values())
