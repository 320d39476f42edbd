"""What is known of all calls that are alike, made ready once: their limits, accounts, prices, and what they take."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final, NamedTuple
from weakref import ref

from opentelemetry.trace import get_current_span

from tracetoll_semconv import attributes as a

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from opentelemetry.context import Context

    from tracetoll.call import Call
    from tracetoll.ledgers.protocol import Rule
    from tracetoll.limits.estimate import Learned
    from tracetoll.limits.rules import Asked, Ruled
    from tracetoll.pricing import TextRates

_OWN_PROVIDERS: Final = frozenset({"openai", "azure.ai.openai"})
_PLANS_KEPT: Final = 64
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

    __slots__ = ("asked", "base", "by_limit", "choices", "own", "rates", "rows")

    def __init__(self, group: Group, asked: Asked, choices: int, base: TextRates | None, *, long: bool) -> None:
        self.base = base
        """The prices that this plan was made with."""
        self.rates = base._replace(input=base.highest_input, output=base.highest_output) if base and long else base
        """The prices that hold for these calls."""
        self.asked = asked
        self.choices = choices
        self.by_limit = {ruled: self.row(ruled) for ruled in group.applied}
        self.rows = tuple(self.by_limit.values())
        self.own = tuple(
            (ruled.hard if ruled.unit != "context_window" else -1, self.row(ruled))
            for ruled in group.own
            if ruled.hard is not None
        )
        """The bounds of limits of the call alone; -1: it depends on the model's context window."""

    def row(self, ruled: Ruled) -> Row:
        """Return the row of a limit that need not be one of the kind's."""
        per_input, per_call, per_output, by_output, elastic = ruled.shape(self.rates, self.asked, self.choices)
        usual, rate = (0, per_output) if by_output else (per_output, 0)
        return Row(ruled.rule, ruled.strict, per_input, per_call, usual, rate, elastic)


class Group:
    """Limits that apply together, and what follows from it."""

    __slots__ = ("applied", "own", "plans", "wants")

    def __init__(self, applied: Sequence[Ruled], own: Sequence[Ruled]) -> None:
        self.applied = applied
        """Those with accounts."""
        self.own = own
        """Those about the call alone."""
        self.wants = wants_of((*own, *applied))
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
        "accounts",
        "all",
        "by_trace",
        "cap_field",
        "cap_fields",
        "choices",
        "continues",
        "latest",
        "learned",
        "longest",
        "outside",
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
        own = tuple(ruled for ruled in apply if ruled.own and not ruled.dynamic)
        known = {a.GEN_AI_PROVIDER_NAME: asked[0], a.GEN_AI_REQUEST_MODEL: asked[1], a.GEN_AI_OPERATION_NAME: asked[2]}
        self.rules = tuple(
            (ruled, None if ruled.dynamic else ruled.fixed_account or account_of(ruled, known))
            for ruled in apply
            if not ruled.own or ruled.dynamic
        )
        """Limits, and the account of each where all calls of this kind have the same."""
        self.plain = all(not ruled.dynamic and (account or ruled.per == "trace") for ruled, account in self.rules)
        """Whether it does not depend on the call which of the limits apply, in a trace."""
        self.all = Group(tuple(ruled for ruled, _ in self.rules), own)
        self.outside: tuple[Group, Sequence[str]] | None = None
        """The limits of a call outside of any trace, and its accounts, where the limits are plain."""
        self.by_trace = any(ruled.per == "trace" for ruled in self.all.applied)
        self.accounts = () if self.by_trace else tuple(account or "" for _, account in self.rules)
        """The accounts of every call of this kind, where the limits are plain and none is kept per trace."""
        self.latest: tuple[ref[Context] | None, Sequence[str] | None] = (None, ())
        """The context of the last call, and its accounts: most calls follow another one of the same context."""
        self.learned = learned
        self.longest = _longest(call)
        caps = call.surface.output_caps
        self.cap_fields = caps
        # OpenAI wants the new name, hosts that are compatible with it mostly know the old one.
        cap = caps[0] if caps and asked[0] in _OWN_PROVIDERS else caps[-1] if caps else None
        self.cap_field = cap if call.surface.adds_cap else None
        """The field for a cap where the application gave none; None: the provider takes no cap here."""
        self.choices = call.surface.choices
        self.continues = call.surface.billed == "later"
        """Whether a call may continue a conversation that the provider keeps."""
        self.priced: tuple[float, TextRates | None, int | None] = (0.0, None, None)
        """Until when they may be kept, by the monotonic clock; prices of calls that do not choose a service tier, and
        the context window."""

    def in_context(self, context: Context) -> Sequence[str] | None:
        """Return the accounts of a call made in a context, where the limits are plain; None outside of any trace."""
        latest, accounts = self.latest
        if latest is not None and latest() is context:
            return accounts
        trace = trace_of(context)
        accounts = [account or f"{ruled.key}:{trace}" for ruled, account in self.rules] if trace is not None else None
        self.latest = (ref(context), accounts)  # weak: a context has the span, with everything that it says
        return accounts


def trace_of(context: Context) -> str | None:
    """Return the trace of a context as an account's subject; None outside of any."""
    within = get_current_span(context).get_span_context()
    return f"trace:{within.trace_id:032x}" if within.is_valid else None


class Wants(NamedTuple):
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
