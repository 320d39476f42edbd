"""Limits made ready for use: which calls they apply to, whose account a call goes to, what it takes of it."""

from __future__ import annotations

from fnmatch import fnmatchcase
from hashlib import blake2s
from typing import TYPE_CHECKING, Final, NamedTuple

from tracetoll.ledgers.protocol import Line, Rule
from tracetoll.limits.limit import Limit
from tracetoll_semconv import attributes as a

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tracetoll.limits.limit import Threshold
    from tracetoll.pricing import Cost
    from tracetoll.usage import Usage

_HARD: Final = frozenset({"block", "clamp", "cut"})
_STATIC: Final = frozenset({a.GEN_AI_PROVIDER_NAME, a.GEN_AI_REQUEST_MODEL, a.GEN_AI_OPERATION_NAME})
_PASSING: Final = frozenset({"trace", "scope", "session.id", "gen_ai.conversation.id"})
_SCOPES: Final = {
    "gen_ai.conversation.id": "conversation",
    "user.id": "user",
    a.TEAM: "team",
    a.FEATURE: "feature",
}
_UNITS: Final = {
    "tokens": "token",
    "input_tokens": "input_token",
    "output_tokens": "output_token",
    "usd": "usd",
    "calls": "call",
    "context_window": "context_window",
}


class Need(NamedTuple):
    """What a call takes, as far as it can be known before: the numbers that lines are made of."""

    input: int
    input_bound: int
    """The most that the input can be."""
    usual_output: int
    """What answers usually have, for lines whose share is not what is asked for."""
    choices: int
    input_rate: int | None
    """Nano-dollars per token; None: the price is unknown."""
    output_rate: int | None
    highest_input_rate: int | None
    highest_output_rate: int | None
    per_call: int
    """Nano-dollars per call."""
    window: int | None
    """How many tokens the model's context window has."""


class Asked(NamedTuple):
    """What the application asked for, as far as it decides how a call can be held."""

    capped: bool
    """Whether it gave the answer a cap."""
    cappable: bool
    """Whether the provider takes a cap here."""
    stream: bool


class Alarm(NamedTuple):
    """A threshold as an amount."""

    amount: int
    threshold: Threshold


class Ruled:
    """One limit, ready for use."""

    __slots__ = (
        "alarms",
        "attributes",
        "clamps",
        "cuts",
        "dynamic",
        "first_alarm",
        "hard",
        "hard_share",
        "key",
        "keys",
        "limit",
        "name",
        "per",
        "reroutes",
        "rule",
        "shadowed",
        "special",
        "static",
        "strict",
        "unit",
        "whole",
    )

    def __init__(self, limit: Limit, key: str, *, default_subject: str = "process") -> None:
        self.limit = limit
        self.key = key
        self.name = limit.name or str(limit)
        self.unit = limit.unit
        self.strict = limit.strict
        self.per = limit.per or ("call" if limit.unit == "context_window" else default_subject)
        self.keys = (self.per,) if isinstance(self.per, str) else self.per
        self.static = tuple((name, _patterns(found)) for name, found in limit.where.items() if name in _STATIC)
        self.dynamic = tuple((name, _patterns(found)) for name, found in limit.where.items() if name not in _STATIC)
        kinds = {threshold.action.kind for threshold in limit.thresholds}
        self.clamps = "clamp" in kinds and not limit.shadow
        self.cuts = "cut" in kinds and not limit.shadow
        self.hard_share = _bound(limit)
        self.hard = None if self.hard_share is None else limit.bound(self.hard_share)
        """The amount that may not be exceeded, as counted; None where the limit only tells."""
        self.shadowed = limit.shadow and self.hard is not None
        self.alarms = tuple(Alarm(limit.bound(one.share), one) for one in limit.thresholds)
        self.first_alarm = min(alarm.amount for alarm in self.alarms)
        self.reroutes = tuple(alarm for alarm in self.alarms if alarm.threshold.action.kind == "reroute")
        self.whole = limit.whole
        self.special = bool(self.reroutes) or self.shadowed or (limit.unit == "usd" and limit.unpriced == "block")
        self.rule = Rule(
            key,
            None if limit.shadow else self.hard,
            limit.period,
            waits="throttle" in kinds,
            passing=bool(_PASSING & set(self.keys)),
        )
        # On metrics and spans: the limit and the kind of its subject, never the subject.
        scope = ",".join(_SCOPES.get(one, one) for one in self.keys)
        self.attributes: Mapping[str, str] = {
            a.BUDGET_NAME: self.name,
            a.BUDGET_SCOPE: scope,
            a.BUDGET_UNIT: _UNITS[limit.unit],
        }

    @property
    def own(self) -> bool:
        """Whether this is about one call alone, which needs no account."""
        return self.per == "call"

    def might_apply(self, provider: str, model: str | None, operation: str) -> bool:
        """Return whether calls of this kind can be meant, whoever makes them."""
        told = {a.GEN_AI_PROVIDER_NAME: provider, a.GEN_AI_REQUEST_MODEL: model, a.GEN_AI_OPERATION_NAME: operation}
        return all(_matches(told[name], patterns) for name, patterns in self.static)

    def applies(self, told: Mapping[str, object]) -> bool:
        """Return whether a call with this attribution is meant."""
        return all(_matches(told.get(name), patterns) for name, patterns in self.dynamic)

    def line(self, account: str, need: Need, asked: Asked) -> Line:
        """Return what a call takes of an account."""
        elastic = self.elastic(asked)
        return Line(self.rule, account, *self.takes(need, by_output=asked.capped or elastic), elastic)

    def elastic(self, asked: Asked) -> bool:
        """Return whether a call may be given less output than it wants for this limit's sake."""
        if self.cuts and asked.stream:
            return True
        return asked.cappable and (self.clamps or (self.strict and not asked.capped))

    def takes(self, need: Need, *, by_output: bool) -> tuple[int, int]:
        """Return (fixed part, part per token of output) of what a call takes, in whole numbers.

        Without `by_output`, the usual output is in the fixed part.
        """
        unit = self.unit
        if unit == "calls":
            return 1, 0
        tokens = need.input_bound if self.strict else need.input
        if unit == "input_tokens":
            return tokens, 0
        rate = need.choices
        if unit == "usd":
            into, out = need.input_rate, need.output_rate
            if self.strict:
                into, out = need.highest_input_rate, need.highest_output_rate
            if into is None or out is None:
                return 0, 0
            tokens = tokens * into + need.per_call
            rate *= out
        elif unit == "output_tokens":
            tokens = 0
        return (tokens, rate) if by_output else (tokens + rate * need.usual_output, 0)

    def spent(self, usage: Usage, cost: Cost | None) -> int:
        """Return what a finished call took, side steps included."""
        unit = self.unit
        if unit == "calls":
            return 1
        if unit == "usd":
            return cost.amount or 0 if cost is not None else 0
        into, out = usage.input_tokens or 0, usage.output_tokens or 0
        if usage.sides:
            into += sum(side.counts.get("input_tokens", 0) for side in usage.sides)
            out += sum(side.counts.get("output_tokens", 0) for side in usage.sides)
        if unit == "input_tokens":
            return into
        return out if unit == "output_tokens" else into + out

    def shown(self, counted: int) -> float | int:
        """Return what is counted in the limit's unit."""
        return self.limit.shown(counted)


def _bound(limit: Limit) -> float | None:
    """Return the share that may not be exceeded: the last hard threshold, or an earlier one that throttles."""
    hard = [one.share for one in limit.thresholds if one.action.kind in _HARD]
    slow = [one.share for one in limit.thresholds if one.action.kind == "throttle"]
    shares = slow + ([max(hard)] if hard else [])
    return min(shares, default=None)


def _patterns(found: str | Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    listed = (found,) if isinstance(found, str) else tuple(found)
    wanted = tuple(one for one in listed if not one.startswith("!"))
    return wanted, tuple(one[1:] for one in listed if one.startswith("!"))


def _matches(value: object, patterns: tuple[tuple[str, ...], tuple[str, ...]]) -> bool:
    wanted, unwanted = patterns
    text = "" if value is None else str(value)
    if wanted and (value is None or not any(fnmatchcase(text, pattern) for pattern in wanted)):
        return False
    return not any(fnmatchcase(text, pattern) for pattern in unwanted)


def ruled(limits: Iterable[Limit], *, default_subject: str = "process", prefix: str = "") -> tuple[Ruled, ...]:
    """Make limits ready for use.

    Accounts are kept under what a limit is about, not how much: they stay when the amount is changed. Limits
    about the same are told apart by their order.
    """
    made: list[Ruled] = []
    seen: dict[str, int] = {}
    for limit in _with_paces(limits):
        about = f"{limit.name}|{limit.unit}|{limit.per}|{limit.window}|{limit.timezone}|{dict(limit.where)}"
        seen[about] = seen.get(about, 0) + 1
        key = blake2s(f"{prefix}{about}|{seen[about]}".encode(), digest_size=6).hexdigest()
        made.append(Ruled(limit, key, default_subject=default_subject))
    return tuple(made)


def _with_paces(limits: Iterable[Limit]) -> Iterable[Limit]:
    """Yield limits, and after each that has a pace the one that watches it."""
    for limit in limits:
        yield limit
        if limit.pace is not None:
            yield Limit(
                float(limit.amount) * limit.pace,
                limit.unit,
                per=limit.per,
                window="1h",
                where=limit.where,
                at={1.0: "warn"},
                name=f"{limit.name or limit} (pace)",
                source=limit.source,
            )
