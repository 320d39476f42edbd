"""Limits made ready for use: which calls they apply to, whose account a call goes to, what it takes of it."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final, NamedTuple

from tracetoll.ledgers.protocol import Rule
from tracetoll.limits.limit import Limit
from tracetoll.usage import INPUT, OUTPUT
from tracetoll_semconv import attributes as a

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tracetoll.limits.limit import Threshold
    from tracetoll.pricing import Cost, TextRates
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
    """What a call takes, as far as it can be known before."""

    input: int
    input_bound: int
    """The most that the input can be."""
    usual_output: int
    """What answers usually have."""
    choices: int
    rates: TextRates | None
    """None: the price is unknown, or nobody asked for it."""
    window: int | None
    """How many tokens the model's context window has."""


class Shape(NamedTuple):
    """How what a call takes of an account follows from its tokens, in whole numbers."""

    per_input: int
    per_call: int
    per_output: int
    by_output: bool
    """Whether the answer has a cap, its own or one to be given, so that the reservation follows it."""
    elastic: bool


class Asked(NamedTuple):
    """What the application asked for, as far as it decides how a call can be held."""

    capped: bool
    """Whether it gave the answer a cap."""
    cappable: bool
    """Whether the provider takes a cap here."""
    stream: bool
    to_cap: bool
    """Whether a limit has the answer given a cap, because the application gave none."""


class Alarm(NamedTuple):
    """A threshold as an amount."""

    amount: int
    threshold: Threshold


UNITS: Final = ("tokens", "input_tokens", "output_tokens", "usd", "calls", "context_window")
"""The units, in the order of `amounts`."""


def amounts(into: int, out: int, nano_usd: int) -> Sequence[int]:
    """Return what a finished call took, by unit."""
    return into + out, into, out, nano_usd, 1, into + out


def spent(usage: Usage, cost: Cost | None) -> Mapping[str, int]:
    """Return what a finished call took by the names of the units, side steps included."""
    into, out = usage.input_tokens or 0, usage.output_tokens or 0
    for side in usage.sides:
        into += side.counts.get(INPUT, 0)
        out += side.counts.get(OUTPUT, 0)
    return dict(zip(UNITS, amounts(into, out, (cost.amount or 0) if cost is not None else 0), strict=True))


class Ruled:
    """One limit, ready for use."""

    __slots__ = (
        "alarms",
        "attributes",
        "bounds",
        "clamps",
        "cuts",
        "dynamic",
        "first_alarm",
        "fixed_account",
        "hard",
        "hard_share",
        "key",
        "keys",
        "limit",
        "name",
        "per",
        "reroutes",
        "rule",
        "scale",
        "shadowed",
        "special",
        "stands",
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
        by_length = limit.unit not in {"calls", "input_tokens"}
        self.bounds = limit.strict and not limit.shadow and self.hard is not None and by_length
        """Whether a call without a cap has to be given one."""
        self.alarms = tuple(Alarm(limit.bound(one.share), one) for one in limit.thresholds)
        self.first_alarm = min(alarm.amount for alarm in self.alarms)
        self.reroutes = tuple(alarm for alarm in self.alarms if alarm.threshold.action.kind == "reroute")
        self.whole = limit.whole
        self.scale = limit.scale
        self.fixed_account = f"{key}:process" if self.per == "process" else None
        """The one account of a limit that has no other."""
        self.special = bool(self.reroutes) or self.shadowed or (limit.unit == "usd" and limit.unpriced == "block")
        self.rule = Rule(
            key,
            None if limit.shadow else self.hard,
            limit.period,
            waits="throttle" in kinds,
            passing=default_subject == "scope" or bool(_PASSING & set(self.keys)),
        )
        # On metrics and spans: the limit and the kind of its subject, never the subject.
        scope = ",".join(_SCOPES.get(one, one) for one in self.keys)
        self.attributes: Mapping[str, str] = {
            a.BUDGET_NAME: self.name,
            a.BUDGET_SCOPE: scope,
            a.BUDGET_UNIT: _UNITS[limit.unit],
        }
        self.stands: Mapping[str, str | float] = {**self.attributes, a.BUDGET_LIMIT: float(limit.amount)}
        """What spans and events say of how it stands, and is always the same."""

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

    def elastic(self, asked: Asked) -> bool:
        """Return whether a call may be given less output than it wants for this limit's sake.

        Where one limit has a call capped, so do all: the cap is what each has to reserve, and leaves room in.
        """
        return asked.to_cap or self.caps(asked) or (self.cuts and asked.stream)

    def caps(self, asked: Asked) -> bool:
        """Return whether a call is to be sent with a cap for this limit's sake."""
        return asked.cappable and (self.clamps or (self.bounds and not asked.capped))

    def shape(self, rates: TextRates | None, asked: Asked, choices: int) -> Shape:
        """Return how what a call takes follows from its numbers of tokens."""
        elastic = self.elastic(asked)
        by_output = asked.capped or elastic
        unit = self.unit
        if unit == "calls":
            return Shape(0, 1, 0, by_output, elastic)
        if unit == "input_tokens":
            return Shape(1, 0, 0, by_output, elastic)
        if unit == "output_tokens":
            return Shape(0, 0, choices, by_output, elastic)
        if unit != "usd":
            return Shape(1, 0, choices, by_output, elastic)
        if rates is None:
            return Shape(0, 0, 0, by_output, elastic)
        into, out = (rates.highest_input, rates.highest_output) if self.strict else (rates.input, rates.output)
        return Shape(into, rates.per_call, out * choices, by_output, elastic)

    def takes(self, need: Need, asked: Asked, *, by_output: bool | None = None) -> tuple[int, int]:
        """Return (fixed part, part per token of output) of what a call takes, in whole numbers.

        Where an answer is not limited by its length, the usual output is in the fixed part; `by_output` True
        leaves it out.
        """
        shape = self.shape(need.rates, asked, need.choices)
        fixed = shape.per_input * (need.input_bound if self.strict else need.input) + shape.per_call
        if shape.by_output or by_output:
            return fixed, shape.per_output
        return fixed + shape.per_output * need.usual_output, 0

    @property
    def of_kinds(self) -> bool:
        """Whether this is about providers, models or operations, which not everything that is spent tells."""
        return bool(self.static) or not _STATIC.isdisjoint(self.keys)

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
    from hashlib import blake2s  # noqa: PLC0415  # for whoever has limits: it takes 2 ms

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
