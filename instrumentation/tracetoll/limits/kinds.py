"""What is known of all calls that are alike, made ready once: their limits, accounts, prices, and what they take."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from weakref import ref

from opentelemetry.trace import get_current_span

from tracetoll.ledgers.accounts import Joint
from tracetoll.ledgers.protocol import Line
from tracetoll.limits.rules import UNITS
from tracetoll.reading import dig, path
from tracetoll_semconv import attributes as a

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from opentelemetry.context import Context

    from tracetoll.call import Call
    from tracetoll.ledgers.accounts import Mark
    from tracetoll.ledgers.protocol import Rule
    from tracetoll.limits.estimate import Learned
    from tracetoll.limits.rules import Asked, Ruled
    from tracetoll.pricing import TextRates

_OWN_PROVIDERS: Final = frozenset({"openai", "azure.ai.openai"})
_PLANS_KEPT: Final = 64
_GROUPS_KEPT: Final = 64
_new_tuple: Final = tuple.__new__
PRICED: Final = frozenset({"usd", "context_window"})
"""The units that need the prices of a model, or its context window."""


class Row(NamedTuple):
    """How a limit's line follows from a call's numbers of tokens; its shape, made ready for that."""

    rule: Rule
    strict: bool
    per_input: int
    per_call: int
    per_usual_output: int
    """Where the answer has no cap, the output is taken as usual, and stands in the fixed part."""
    per_output: int
    elastic: bool


class Plan:
    """The rows of some limits, for calls that ask alike."""

    __slots__ = (
        "asked",
        "base",
        "choices",
        "own",
        "own_alarms",
        "per_call",
        "per_input",
        "per_output",
        "rates",
        "rows",
        "simple",
    )

    def __init__(self, group: Group, asked: Asked, choices: int, base: TextRates | None, *, long: bool) -> None:
        self.base = base
        """The prices that this plan was made with."""
        self.rates = base._replace(input=base.highest_input, output=base.highest_output) if base and long else base
        """The prices that hold for these calls."""
        self.asked = asked
        self.choices = choices
        self.rows = tuple(self._row(ruled) for ruled in group.applied)
        self.simple = (
            bool(group.applied)
            and not (group.wants.caps or group.wants.cuts or group.wants.special)
            and all(ruled.whole and not ruled.strict for ruled in group.applied)
        )
        """Whether a call that fits needs nothing else looked at."""
        self.per_call, self.per_input, self.per_output = (
            (self.rates.per_call, self.rates.input, self.rates.output) if self.rates is not None else (0, 0, 0)
        )
        """What simple calls take of limits in dollars, in nano-dollars: each, and per token."""
        self.own = tuple(
            (ruled.hard if ruled.unit != "context_window" else -1, self._row(ruled))
            for ruled in group.own
            if ruled.hard is not None
        )
        """The bounds of limits of the call alone; -1: it depends on the model's context window."""
        self.own_alarms = tuple((UNITS.index(ruled.unit), ruled.first_alarm) for ruled in group.own)
        """The unit of each, and the first of its thresholds; 0 or 1, and so always crossed, where it is a share."""

    def lines(self, accounts: Sequence[str], into: int, most: int, usual: int) -> list[Line]:
        """Return the lines of a call: `into` is what its input will probably be, `most` what it can be."""
        lines = []
        for (rule, strict, per_input, per_call, per_usual, rate, elastic), account in zip(
            self.rows, accounts, strict=True
        ):
            fixed = per_call + per_input * (most if strict else into) + per_usual * usual
            # As Line(...) does, in half the time: there is one per limit and call.
            lines.append(_new_tuple(Line, (rule, account, fixed, rate, elastic)))
        return lines

    def _row(self, ruled: Ruled) -> Row:
        per_input, per_call, per_output, by_output, elastic = ruled.shape(self.rates, self.asked, self.choices)
        usual, rate = (0, per_output) if by_output else (per_output, 0)
        return Row(ruled.rule, ruled.strict, per_input, per_call, usual, rate, elastic)


class Group:
    """Limits that apply together, and what follows from it."""

    __slots__ = ("applied", "marks", "own", "plans", "wants")

    def __init__(self, applied: Sequence[Ruled], own: Sequence[Ruled]) -> None:
        self.applied = applied
        """Those with accounts."""
        self.own = own
        """Those about the call alone."""
        self.wants = wants_of((*own, *applied))
        self.marks: Sequence[Mark] = tuple(
            (UNITS.index(ruled.unit), ruled.whole, ruled.first_alarm, ruled) for ruled in applied
        )
        """What calls take and spend of each account."""
        self.plans: dict[int, Plan] = {}

    def plan(self, key: int, asked: Asked, choices: int, base: TextRates | None, *, long: bool) -> Plan:
        """Make a plan, and keep it under its key."""
        if len(self.plans) >= _PLANS_KEPT:
            self.plans.clear()
        made = self.plans[key] = Plan(self, asked, choices, base, long=long)
        return made


class Kind:
    """What is known of all calls of one model on one surface of one host. Made once."""

    __slots__ = (
        "_choices",
        "_groups",
        "anywhere",
        "cap_field",
        "caps",
        "choice_field",
        "continues",
        "learned",
        "longest",
        "own",
        "places",
        "plain",
        "priced",
        "rules",
        "target",
    )

    def __init__(self, call: Call, rules: Sequence[Ruled], learned: Learned) -> None:
        asked = (call.target.provider, call.model, call.surface.operation)
        apply = [ruled for ruled in rules if ruled.might_apply(*asked)]
        self.target = call.target
        """Kept, so that its id cannot come to mean another one."""
        self.own = tuple(ruled for ruled in apply if ruled.own and not ruled.dynamic)
        """Limits of each call alone, whoever makes it."""
        known = {a.GEN_AI_PROVIDER_NAME: asked[0], a.GEN_AI_REQUEST_MODEL: asked[1], a.GEN_AI_OPERATION_NAME: asked[2]}
        self.rules = tuple(
            (ruled, None if ruled.dynamic else ruled.fixed_account or account_of(ruled, known))
            for ruled in apply
            if not ruled.own or ruled.dynamic
        )
        """Limits, and the account of each where all calls of this kind have the same."""
        self.plain = all(not ruled.dynamic and (account or ruled.per == "trace") for ruled, account in self.rules)
        """Whether it does not depend on the call which of the limits apply, in a trace."""
        self._groups: dict[tuple[Sequence[Ruled], Sequence[Ruled]], Group] = {}
        self.places: dict[int, Place] = {}
        """Where calls were made from, by the id of the context, while it lives: most follow another one from there.

        See `Claims.fill`."""
        self.anywhere: Place | None = None
        """Stands for all places without blocks, where all have the same accounts."""
        if self.plain and not any(ruled.per == "trace" for ruled, _ in self.rules):
            self.anywhere = Place(call, *self.everything([account or "" for _, account in self.rules]))
        self.learned = learned
        self.longest = _longest(call)
        caps = call.surface.output_caps
        self.caps = tuple((name, path(name) if "." in name else None) for name in caps)
        """The fields that may have the call's cap, and the paths of those that are not at the top."""
        # OpenAI wants the new name, hosts that are compatible with it mostly know the old one.
        cap = caps[0] if caps and asked[0] in _OWN_PROVIDERS else caps[-1] if caps else None
        self.cap_field = cap if call.surface.adds_cap else None
        """The field for a cap where the application gave none; None: the provider takes no cap here."""
        self._choices = call.surface.choices
        self.choice_field = self._choices[0] if self._choices else ""
        """Where it says at the top of a request how many answers are asked for, or below what."""
        self.continues = call.surface.billed == "later"
        """Whether a call may continue a conversation that the provider keeps."""
        self.priced: tuple[float, TextRates | None, int | None, float] = (0.0, None, None, 0.0)
        """Until when they may be kept, by the monotonic clock; prices of calls that do not choose a service tier, and
        the context window."""

    def remember(self, call: Call, group: Group, accounts: Sequence[str]) -> Place:
        """Remember what limits calls that are made from where a call is, and whose accounts they have."""
        place = self.places[id(call.context)] = Place(call, group, accounts, self.places)
        return place

    def choices_of(self, fields: Mapping[str, Any]) -> int:
        """Return how many answers a request asks for."""
        found = fields.get(self._choices[0]) if len(self._choices) == 1 else dig(fields, self._choices)
        return found if type(found) is int and found > 0 else 1

    def group(self, applied: Sequence[Ruled], own: Sequence[Ruled]) -> Group:
        """Return limits that apply together: those with accounts, and those about the call alone."""
        key = (tuple(applied), tuple(own))
        found = self._groups.get(key)
        if found is None:
            if len(self._groups) >= _GROUPS_KEPT:
                self._groups.clear()
            found = self._groups[key] = Group(*key)
        return found

    def everything(self, accounts: Sequence[str]) -> tuple[Group, Sequence[str]]:
        """Return all limits of this kind, and their accounts."""
        return self.group([ruled for ruled, _ in self.rules], self.own), accounts


class Place:
    """Where calls are made from: a context, on somebody's behalf, in blocks; and what limits calls of a kind there."""

    __slots__ = ("accounts", "attribution", "context", "group", "joint", "scopes")

    def __init__(
        self, call: Call, group: Group, accounts: Sequence[str], among: dict[int, Place] | None = None
    ) -> None:
        # Weak: a context has the span, with everything that it says. Nothing is left of it when it goes.
        gone = None if among is None else partial(_forget, among, id(call.context))
        self.context = ref(call.context, gone)
        self.attribution = call.attribution
        self.scopes = call.scopes
        self.group = group
        self.accounts = accounts
        """Those of the limits that have accounts, in their order."""
        self.joint = Joint([ruled.rule for ruled in group.applied], accounts, group.marks)


def _forget(places: dict[int, Place], context: int, _: object) -> None:
    places.pop(context, None)


def trace_of(context: Context) -> str | None:
    """Return the trace of a context as an account's subject; None outside of any."""
    within = get_current_span(context).get_span_context()
    return f"trace:{within.trace_id:032x}" if within.is_valid else None


@dataclass(frozen=True, slots=True)
class Wants:
    """What some limits want, beside being asked."""

    prices: bool
    caps: bool
    """That calls have a cap."""
    cuts: bool
    special: bool


def wants_of(rules: Iterable[Ruled]) -> Wants:
    """Return what some limits want together."""
    prices = caps = cuts = special = False
    for ruled in rules:
        prices = prices or ruled.unit in PRICED
        caps = caps or ruled.bounds or ruled.clamps
        cuts = cuts or ruled.cuts
        special = special or ruled.special
    return Wants(prices, caps, cuts, special)


def account_of(ruled: Ruled, told: Mapping[str, object]) -> str | None:
    """Return the account of a subject that is made of attribution; None if a part of it is missing."""
    try:
        parts = [part_of(key, told[key]) for key in ruled.keys if told[key] is not None]
    except KeyError:
        return None
    return f"{ruled.key}:{','.join(parts)}" if len(parts) == len(ruled.keys) else None


def part_of(key: str, value: object) -> str:
    """Return one part of a subject; what separates parts is told apart from the same in a value."""
    text = str(value)
    return f"{key}:{text}" if "," not in text else f"{key}:{text.replace(',', '%2C')}"


def _longest(call: Call) -> int | None:
    """Return the longest answer that the model can give, in tokens; None: not known."""
    for pattern, tokens in call.surface.longest_answers.items():
        if call.model is not None and fnmatchcase(call.model, pattern):
            return tokens
    return None
