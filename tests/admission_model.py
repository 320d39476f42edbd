"""What admission promises, as a model that takes its time: limits to draw, and accounts that are added up anew.

The estimates themselves (tokens of a request, length of an answer) are taken from what was learned; everything that
follows from them is worked out here a second time, from the description of `Limit`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hypothesis import strategies as st

from tracetoll import Limit
from tracetoll.limits.sizes import size_of
from tracetoll.limits.windows import BUCKETS, Calendar, Period, Rolling
from tracetoll.providers.anthropic import MESSAGES
from tracetoll.providers.compatible import EMBEDDINGS
from tracetoll.providers.openai import CHAT, RESPONSES
from tracetoll.targets import Target

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ledger_suite import Clock

    from tracetoll.engine import Engine
    from tracetoll.limits.rules import Ruled
    from tracetoll.pricing import TextRates
    from tracetoll.providers.words import Surface

LEASE_S: Final = 900.0
LEAST: Final = 16
UNKNOWN_LONGEST: Final = 4096
NANO: Final = 1_000_000_000

# --- what is asked -------------------------------------------------------------------------------

OPENAI: Final = Target("openai", "api.openai.com", None)
CLAUDE: Final = Target("anthropic", "api.anthropic.com", None)
OTHER_HOST: Final = Target("acme", "llm.acme.test", None)


@dataclass(frozen=True, eq=False, repr=False)
class Api:
    """One endpoint: where its requests have their text and their cap, and how its answers tell their usage."""

    surface: Surface
    target: Target
    models: tuple[str, ...]
    text: str
    caps: tuple[str, ...]
    """The first is the one that an uncapped request is to be given."""
    usage: tuple[str, str]
    choices: bool = False

    def _repr_pretty_(self, printer: Any, _: object) -> None:
        printer.text(f"<{self.target.host} {self.text}>")  # Hypothesis would show all fields of all surfaces

    def body(self, model: str, text: str) -> dict[str, Any]:
        return {"model": model, self.text: text if self.text == "input" else [{"role": "user", "content": text}]}


APIS: Final = (
    Api(
        CHAT,
        OPENAI,
        ("gpt-4o", "gpt-4o-mini", "acme-1"),
        "messages",
        ("max_completion_tokens", "max_tokens"),
        ("prompt_tokens", "completion_tokens"),
        choices=True,
    ),
    Api(
        CHAT,
        OTHER_HOST,
        ("acme-1",),
        "messages",
        ("max_tokens", "max_completion_tokens"),
        ("prompt_tokens", "completion_tokens"),
        choices=True,
    ),
    Api(
        RESPONSES, OPENAI, ("gpt-4o", "gpt-4o-mini"), "input", ("max_output_tokens",), ("input_tokens", "output_tokens")
    ),
    Api(MESSAGES, CLAUDE, ("claude-haiku-4-5",), "messages", ("max_tokens",), ("input_tokens", "output_tokens")),
    Api(EMBEDDINGS, OPENAI, ("text-embedding-3-small",), "input", (), ("prompt_tokens", "")),
)


@dataclass(frozen=True, eq=False)
class Request:
    api: Api
    model: str
    body: dict[str, Any]
    streaming: bool
    sent: bool

    def _repr_pretty_(self, printer: Any, _: object) -> None:
        shown = {key: value for key, value in self.body.items() if key != self.api.text}
        printer.text(f"<{self.api.target.host} {shown} {self.most_input} bytes, {self.streaming=} {self.sent=}>")

    @property
    def cap_field(self) -> str | None:
        given = (name for name in self.api.caps if name in self.body)
        return next(given, self.api.caps[0] if self.api.caps else None)

    @property
    def cap(self) -> int | None:
        return self.body.get(self.cap_field) if self.cap_field is not None else None

    @property
    def choices(self) -> int:
        return int(self.body.get("n", 1))

    @property
    def least(self) -> int:
        return LEAST + int(self.body.get("thinking", {}).get("budget_tokens", 0))

    @property
    def most_input(self) -> int:
        """The most tokens that the provider may count for it: one per byte."""
        return len(json.dumps(self.body, ensure_ascii=False, separators=(",", ":")).encode())


@st.composite
def requests(draw: st.DrawFn) -> Request:
    api = draw(st.sampled_from(APIS))
    model = draw(st.sampled_from(api.models))
    body = api.body(model, draw(st.sampled_from(("x", "é", "😀 "))) * draw(st.integers(0, 300)))
    cap = draw(st.none() | st.integers(1, 40) | st.integers(1, 2000))
    if api.caps and cap is not None:
        body[draw(st.sampled_from(api.caps))] = cap
        if api.target is CLAUDE and cap > LEAST and draw(st.integers(0, 3)) == 0:
            body["thinking"] = {"type": "enabled", "budget_tokens": draw(st.integers(1, cap - LEAST))}
    if api.choices and draw(st.booleans()):
        body["n"] = draw(st.integers(1, 3))
    streaming = bool(api.caps) and draw(st.integers(0, 3)) == 0
    return Request(api, model, body, streaming, sent=draw(st.integers(0, 7)) > 0)


# --- limits --------------------------------------------------------------------------------------

REROUTE: Final = ("gpt-4o", "gpt-4o-mini")


class Form(NamedTuple):
    """What happens at which share, and what follows from it."""

    at: dict[float, Any]
    share: float | None
    """What may not be exceeded."""
    clamps: bool = False
    reroutes_at: float | None = None


TELLS: Final = (Form({0.8: "warn"}, None),)
BLOCKS: Final = (Form({1.0: "block"}, 1.0), Form({0.5: "warn", 1.25: "block"}, 1.25), Form({0.5: "block"}, 0.5))
CLAMPS: Final = (
    Form({1.0: "clamp"}, 1.0, clamps=True),
    Form({0.5: ("clamp", "warn"), 0.75: "block"}, 0.75, clamps=True),
)
REROUTES: Final = (
    Form({0.5: f"reroute {'='.join(REROUTE)}", 1.0: "block"}, 1.0, reroutes_at=0.5),
    Form({0.25: f"reroute {'='.join(REROUTE)}"}, None, reroutes_at=0.25),
)
THROTTLES: Final = (Form({1.0: "throttle"}, 1.0), Form({0.5: "throttle", 1.0: "block"}, 0.5))
THROTTLES_AND_CLAMPS: Final = (Form({0.75: "throttle", 1.0: "clamp"}, 0.75, clamps=True),)

AMOUNTS: Final[Mapping[str, st.SearchStrategy[Any]]] = {
    "tokens": st.integers(0, 300) | st.integers(300, 9000) | st.integers(1500, 20_000),
    "input_tokens": st.integers(0, 6000),
    "output_tokens": st.integers(0, 300) | st.integers(300, 9000) | st.integers(1500, 20_000),
    "usd": st.integers(0, 40).map(lambda part: part / 10_000)
    | st.integers(1, 30).map(lambda part: part / 1000)
    | st.just(Decimal("0.00123456789")),
    "calls": st.integers(0, 12),
    "context_window": st.sampled_from((0.001, 0.01, 0.1, 0.3)),
}
UNITS: Final = (*AMOUNTS, "tokens", "output_tokens", "usd")
SUBJECTS: Final = (
    *(None, "process", "process", "trace", "trace", "user.id", "user.id"),
    *("call", ("tenant", "team"), "gen_ai.request.model"),
)
WINDOWS: Final = (None, None, "1m", "1h", "minute", "hour", "day")
WHERES: Final[tuple[dict[str, Any], ...]] = ({}, {}, {}, {"model": "gpt-*"}, {"model": "!gpt-4o"}, {"user.id": "u1"})


class Given(NamedTuple):
    """A limit, and what it means."""

    limit: Limit
    form: Form

    @property
    def bound(self) -> int | None:
        share = self.form.share
        return None if share is None or self.limit.shadow else self.whole(share)

    def whole(self, share: float) -> int:
        scale = NANO if self.limit.unit == "usd" else 1
        return int(Decimal(str(self.limit.amount)) * Decimal(str(share)) * scale)

    @property
    def clamps(self) -> bool:
        return self.form.clamps and not self.limit.shadow

    @property
    def proves(self) -> bool:
        """Whether an answer without a cap has to be given one."""
        return self.limit.strict and self.bound is not None and self.limit.unit not in {"calls", "input_tokens"}


@st.composite
def given_limits(draw: st.DrawFn) -> Given:
    unit = draw(st.sampled_from(UNITS))
    per = None if unit == "context_window" else draw(st.sampled_from(SUBJECTS))
    window = None if unit == "context_window" or per == "call" else draw(st.sampled_from(WINDOWS))
    shorter = unit not in {"calls", "input_tokens"}
    forms = [*BLOCKS, *BLOCKS, *TELLS, *REROUTES, *((*CLAMPS, *CLAMPS) if shorter else ())]
    if window is not None:
        forms += [*THROTTLES, *(THROTTLES_AND_CLAMPS if shorter else ())]
    form = draw(st.sampled_from(forms))
    limit = Limit(
        draw(AMOUNTS[unit]),
        unit,
        per=per,
        window=window,
        timezone=draw(st.sampled_from(("UTC", "Europe/Berlin"))),
        where=draw(st.sampled_from(WHERES)),
        at=form.at,
        strict=draw(st.booleans()),
        shadow=draw(st.integers(0, 9)) == 0,
        wait=0,
        unpriced=draw(st.sampled_from(("warn", "warn", "allow", "block"))),
    )
    return Given(limit, form)


# --- accounts ------------------------------------------------------------------------------------


@dataclass(eq=False)
class Hold:
    """What a running call has reserved of an account."""

    account: Account
    period: Period | None
    amount: int
    expires: float

    def counts(self, now: float) -> bool:
        return self.period == self.account.period and now < self.expires


class Account:
    """A limit's account as a list of all that was spent on it, and of all that is reserved."""

    def __init__(self, given: Given, subject: str) -> None:
        self.given = given
        self.subject = subject
        self.period: Period | None = None
        self.spent: list[tuple[float, int]] = []
        self.holds: list[Hold] = []
        self.over = False
        """Whether it was told of more than had been reserved, and so may be above its bound."""

    def look(self, clock: Clock) -> None:
        window = self.given.limit.period
        if isinstance(window, Calendar) and self.period != (period := window.period(clock.wall)):
            self.period = period
            self.spent = []

    def between(self, now: float) -> tuple[int, int]:
        """Return the least and the most that may be spent: a bucket leaves a rolling window as a whole."""
        window = self.given.limit.period
        if not isinstance(window, Rolling):
            total = sum(amount for _, amount in self.spent)
            return total, total
        least, most = window.seconds, window.seconds * (1 + 1 / BUCKETS)
        return (
            sum(amount for at, amount in self.spent if now < at + least),
            sum(amount for at, amount in self.spent if now < at + most),
        )

    def reserved(self, now: float) -> int:
        return sum(hold.amount for hold in self.holds if hold.counts(now))


@dataclass(eq=False)
class Block:
    """A running block of limits(...), and what its calls came to."""

    id: str
    given: Sequence[Given]
    rules: Sequence[Ruled]
    spend: Any
    calls: int = 0
    refused: int = 0
    missing: int = 0
    input: int = 0
    output: int = 0
    nano_usd: int = 0


@dataclass(frozen=True, eq=False)
class Place:
    """Where a call is made: for whom, in which trace, in which blocks."""

    who: Mapping[str, str]
    trace: str | None
    blocks: tuple[Block, ...]


# --- what a call asks of its limits --------------------------------------------------------------


class Part(NamedTuple):
    """What a call takes of one account; of one limit of its own if there is no account."""

    given: Given
    account: Account | None
    fixed: int
    rate: int
    gives: bool
    """Whether the answer may be made shorter for its sake."""
    bound: int | None
    by_itself: tuple[int, int]
    """Its fixed part and its rate if no other limit had the answer capped."""

    def room(self, spent: int, reserved: int) -> int | None:
        """Return how much output there is room for; None: any."""
        if self.bound is None or not self.rate:
            return None
        return (self.bound - spent - reserved - self.fixed) // self.rate


@dataclass(eq=False)
class Ask:
    """What a call wants, for one model."""

    model: str
    parts: list[Part]
    wanted: int
    least: int
    longest: int | None
    caps: bool
    """Whether it is to be sent with a cap where it has none."""
    unpriced: list[Given] = field(default_factory=list)

    @property
    def own(self) -> list[Part]:
        return [part for part in self.parts if part.account is None]

    @property
    def lines(self) -> list[tuple[Part, Account]]:
        return [(part, part.account) for part in self.parts if part.account is not None]

    @property
    def clamps(self) -> bool:
        return any(part.given.clamps for part in self.parts)

    def alone(self) -> int | None:
        """Return the output that the limits of the call itself leave it; None: they refuse it."""
        output = self.wanted
        for part in self.own:
            room = part.room(0, 0)
            if part.gives and room is not None:
                if room < self.least:
                    return None
                output = min(output, room)
        fits = all(part.bound is None or part.fixed + part.rate * output <= part.bound for part in self.own)
        return output if fits else None


class Model:
    """Every account of every limit, and what a call is to be granted."""

    def __init__(self, clock: Clock, engine: Engine, given: Sequence[Given]) -> None:
        self.clock = clock
        self.engine = engine
        self.given = given
        self.accounts: dict[str, Account] = {}

    def look(self) -> None:
        for account in self.accounts.values():
            account.look(self.clock)

    def account(self, given: Given, key: str, subject: str) -> Account:
        found = self.accounts.get(f"{key}:{subject}")
        if found is None:
            found = self.accounts[f"{key}:{subject}"] = Account(given, subject)
            found.look(self.clock)
        return found

    # --- which limits, whose accounts ------------------------------------------------------------

    def ask(self, request: Request, model: str, place: Place) -> Ask:
        """Return what a request asks of its limits, if this model is asked."""
        rules = self.engine.admission.claims.rules
        chosen: list[tuple[Given, Account | None]] = []
        sources: list[tuple[Block | None, Sequence[Given], Sequence[Ruled]]] = [(None, self.given, rules)]
        sources += [(block, block.given, block.rules) for block in place.blocks]
        told = {
            "gen_ai.request.model": model,
            "gen_ai.provider.name": request.api.target.provider,
            "gen_ai.operation.name": request.api.surface.operation,
            **place.who,
        }
        for block, listed, ruled in sources:
            for given, rule in zip(listed, ruled, strict=True):
                subject = _subject(given.limit, block, place, told) if _meant(given.limit, told) else None
                if subject is not None:
                    chosen.append((given, None if subject == "call" else self.account(given, rule.key, subject)))
        return self._measured(request, model, chosen)

    def _measured(self, request: Request, model: str, chosen: Sequence[tuple[Given, Account | None]]) -> Ask:
        surface, provider = request.api.surface, request.api.target.provider
        learned = self.engine.admission.claims.learner.of(provider, model, surface.operation)
        size = size_of({**request.body, "model": model})
        if model == request.model:
            assert size[0] >= request.most_input
        usual = learned.usual_output if request.api.caps else 0
        # A request that is rerouted is measured as it was given.
        size = size_of(request.body)
        likely, most = learned.input_of(size), size[2]
        found = self.engine.prices.rates(provider, model) if any(_priced(one.limit) for one, _ in chosen) else None
        rates = found.text if found is not None and found.units else None
        longest = next((16_384 for name in ("gpt-4o",) if model.startswith(name) and request.api.caps), None)
        caps = bool(request.api.caps) and any(one.clamps or one.proves for one, _ in chosen)
        wanted = request.cap if request.cap is not None else (longest or UNKNOWN_LONGEST) if caps else usual
        least = request.least if any(one.clamps or one.proves for one, _ in chosen) else LEAST
        to_cap = caps and request.cap is None
        parts = [
            _part(one, account, request, (most if one.limit.strict else likely, usual), rates, to_cap=to_cap)
            for one, account in chosen
        ]
        window = found.context_window if found is not None else None
        parts = [part if part.given.limit.unit != "context_window" else _of_window(part, window) for part in parts]
        unpriced = [one for one, _ in chosen if one.limit.unit == "usd" and one.limit.unpriced == "block"]
        return Ask(
            model,
            parts,
            wanted,
            min(least, wanted),
            longest,
            to_cap,
            [one for one in unpriced if not one.limit.shadow] if rates is None else [],
        )


def _priced(limit: Limit) -> bool:
    return limit.unit in {"usd", "context_window"}


def _meant(limit: Limit, told: Mapping[str, str]) -> bool:
    """Return whether a limit is about such calls; the patterns are those of WHERES."""
    for name, (pattern, *_) in ((name, tuple(found)) for name, found in limit.where.items()):
        value = told.get(name)
        if pattern.startswith("!"):
            if value == pattern[1:]:
                return False
        elif value is None or not (value.startswith(pattern[:-1]) if pattern.endswith("*") else value == pattern):
            return False
    return True


def _subject(limit: Limit, block: Block | None, place: Place, told: Mapping[str, str]) -> str | None:
    """Return whose account a call goes to; `call` if it is the call's own, None if it has none."""
    per = limit.per or ("call" if limit.unit == "context_window" else "scope" if block else "process")
    if per == "call":
        return "call"
    if per == "scope":
        assert block is not None
        return block.id
    if per == "trace" and place.trace is None:
        inner = block or (place.blocks[-1] if place.blocks else None)
        return inner.id if inner is not None else "call"
    if per == "trace":
        subject = f"trace:{place.trace}"
    elif per == "process":
        subject = "process"
    else:
        keys = (per,) if isinstance(per, str) else per
        if any(key not in told for key in keys):
            return None
        subject = ",".join(f"{key}:{told[key].replace(',', '%2C')}" for key in keys)
    return subject if block is None else f"{block.id},{subject}"


def _part(
    given: Given,
    account: Account | None,
    request: Request,
    tokens: tuple[int, int],
    rates: TextRates | None,
    *,
    to_cap: bool,
) -> Part:
    into, usual = tokens
    limit, choices = given.limit, request.choices
    capped = request.cap is not None
    gives_by_itself = bool(request.api.caps) and (given.clamps or (given.proves and not capped))
    per_input = 1 if limit.unit in {"tokens", "input_tokens", "context_window"} else 0
    per_output = choices if limit.unit in {"tokens", "output_tokens", "context_window"} else 0
    if limit.unit == "usd" and rates is not None:
        per_input = rates.highest_input if limit.strict else rates.input
        per_output = choices * (rates.highest_output if limit.strict else rates.output)
    fixed = per_input * into + (1 if limit.unit == "calls" else 0)
    by_itself = (fixed, per_output) if capped or gives_by_itself else (fixed + per_output * usual, 0)
    if not to_cap:
        fixed, per_output = by_itself
    return Part(given, account, fixed, per_output, gives_by_itself or to_cap, given.bound, by_itself)


def _of_window(part: Part, window: int | None) -> Part:
    share = part.given.form.share
    if window is None or share is None or part.given.limit.shadow:
        return part._replace(bound=None)
    return part._replace(bound=int(window * float(part.given.limit.amount) * share))


def granted_output(ask: Ask, standing: Iterable[tuple[Part, int, int]], most: int) -> tuple[int, bool]:
    """Return the most output that fits beside (spent, reserved), and whether the call fits with it."""
    standing = list(standing)
    rooms = [room for part, spent, held in standing if part.gives and (room := part.room(spent, held)) is not None]
    output = max(min([most, *rooms]), ask.least)
    fits = all(
        part.bound is None or spent + held + part.fixed + part.rate * output <= part.bound
        for part, spent, held in standing
    )
    return output, fits
