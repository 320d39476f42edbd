"""Making claims: which limits apply to a call, whose accounts it goes to, and how much it may take of them."""

from __future__ import annotations

import logging
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from opentelemetry.trace import get_current_span

from tracetoll.ledgers.protocol import Line, Output
from tracetoll.limits.claim import Claim
from tracetoll.limits.estimate import Learner, size_of
from tracetoll.limits.rules import Asked, Need
from tracetoll.pricing import TextRates
from tracetoll.reading import dig, get
from tracetoll_semconv import attributes as a

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from opentelemetry.context import Context

    from tracetoll.call import Call
    from tracetoll.limits.estimate import Learned
    from tracetoll.limits.rules import Ruled, Shape
    from tracetoll.limits.scope import Scope
    from tracetoll.pricing import Prices

log: Final = logging.getLogger("tracetoll")

LEAST_OUTPUT: Final = 16
"""The lowest cap that is worth a call; the Responses API takes none below it."""
LONGEST_UNKNOWN: Final = 4096
"""The cap given to an uncapped call of a model whose longest answer is unknown: every chat model takes it."""
_KINDS_KEPT: Final = 2048
_CONTEXTS_KEPT: Final = 10_000
_CONTINUES: Final = ("previous_response_id", "conversation")
_THINKING: Final = ("thinking", "budget_tokens")
_OWN_PROVIDERS: Final = frozenset({"openai", "azure.ai.openai"})
_COMPLAINED_KEPT: Final = 1000
_SHAPES_KEPT: Final = 64
_LEARNED_WELL: Final = 256
"""After how many answers of a model only every eighth is learned from."""
_PRICED: Final = frozenset({"usd", "context_window"})
_new_tuple: Final = tuple.__new__


class Kind:
    """What is known of all calls of one model on one surface of one host. Made once."""

    __slots__ = ("learned", "longest", "own", "rules", "shapes", "target", "wants")

    def __init__(self, call: Call, rules: Sequence[Ruled], learned: Learned) -> None:
        asked = (call.target.provider, call.model, call.surface.operation)
        apply = [ruled for ruled in rules if ruled.might_apply(*asked)]
        self.target = call.target
        """Kept, so that its id cannot come to mean another one."""
        self.own = tuple(ruled for ruled in apply if ruled.own and not ruled.dynamic)
        known = {a.GEN_AI_PROVIDER_NAME: asked[0], a.GEN_AI_REQUEST_MODEL: asked[1], a.GEN_AI_OPERATION_NAME: asked[2]}
        self.rules = tuple(
            (ruled, None if ruled.dynamic else ruled.fixed_account or _account_of(ruled, known))
            for ruled in apply
            if not ruled.own or ruled.dynamic
        )
        """Limits, and the account of each where all calls of this kind have the same."""
        plain = all(not ruled.dynamic and (account or ruled.per == "trace") for ruled, account in self.rules)
        self.wants = _wants([*self.own, *(ruled for ruled, _ in self.rules)]) if plain else None
        """What the limits want; None where it depends on the call which of them apply."""
        self.learned = learned
        self.longest = _longest(call)
        self.shapes: dict[tuple[Asked, int, TextRates | None], dict[Ruled, Shape]] = {}


class Wants(NamedTuple):
    """What some limits want, beside being asked."""

    prices: bool
    caps: bool
    """That calls have a cap."""
    cuts: bool
    special: bool


def _wants(rules: Iterable[Ruled]) -> Wants:
    prices = caps = cuts = special = False
    for ruled in rules:
        prices = prices or ruled.unit in _PRICED
        caps = caps or ruled.bounds or ruled.clamps
        cuts = cuts or ruled.cuts
        special = special or ruled.special
    return Wants(prices, caps, cuts, special)


def _account_of(ruled: Ruled, told: Mapping[str, object]) -> str | None:
    """Return the account of a subject that is made of attribution; None if a part of it is missing."""
    try:
        parts = [_part(key, told[key]) for key in ruled.keys if told[key] is not None]
    except KeyError:
        return None
    return f"{ruled.key}:{','.join(parts)}" if len(parts) == len(ruled.keys) else None


def _part(key: str, value: object) -> str:
    """Return one part of a subject; what separates parts is told apart from the same in a value."""
    text = str(value)
    return f"{key}:{text}" if "," not in text else f"{key}:{text.replace(',', '%2C')}"


def _longest(call: Call) -> int | None:
    """Return the longest answer that the model can give, in tokens; None: not known."""
    for pattern, tokens in call.surface.longest_answers.items():
        if call.model is not None and fnmatchcase(call.model, pattern):
            return tokens
    return None


class Claims:
    """Makes claims for calls. Thread-safe."""

    def __init__(self, prices: Prices) -> None:
        self._prices = prices
        self._rules: tuple[Ruled, ...] = ()
        self._kinds: dict[tuple[int, int, str | None], Kind] = {}
        self._contexts: dict[str, int] = {}
        self._complained: set[tuple[str, str]] = set()
        self.learner = Learner()

    def use(self, rules: Sequence[Ruled]) -> None:
        """Apply these limits to every call from now on, beside those of blocks."""
        self._rules = tuple(rules)
        self._kinds = {}
        if any(ruled.unit in _PRICED for ruled in rules):
            self._prices.preload()

    @property
    def rules(self) -> tuple[Ruled, ...]:
        """Return the limits that apply to every call."""
        return self._rules

    def make(self, call: Call, body: Any, context: Context, scopes: tuple[Scope, ...]) -> Claim | None:
        """Return what a call claims; None if no limit applies to it."""
        if not self._rules and not any(scope.limits for scope in scopes):
            return None
        within = get_current_span(context).get_span_context()
        trace = format(within.trace_id, "032x") if within.is_valid else None
        claim = Claim(call, body, trace, scopes)
        self.fill(claim)
        return claim if claim.lines or claim.own else None

    def fill(self, claim: Claim) -> None:
        """Find the limits and accounts of a claim, and what it needs; anew after its model was changed."""
        call = claim.call
        kind = claim.kind = self._kind(call)
        claim.own = list(kind.own)
        applied: list[Ruled] = []
        accounts: list[str] = []
        told: Mapping[str, object] | None = None
        for ruled, fixed in kind.rules:
            account = fixed
            if account is None:
                if ruled.per == "trace" and claim.trace is not None and not ruled.dynamic:
                    account = f"{ruled.key}:trace:{claim.trace}"
                else:
                    told = told or _told(call)
                    account = self._account(claim, ruled, None, told)
                    if account is None:
                        continue
            applied.append(ruled)
            accounts.append(account)
        for scope in claim.scopes:
            for ruled in scope.limits:
                told = told or _told(call)
                if ruled.might_apply(call.target.provider, call.model, call.surface.operation):
                    account = self._account(claim, ruled, scope, told)
                    if account is not None:
                        applied.append(ruled)
                        accounts.append(account)
        claim.applied = applied
        claim.lines = []
        if applied or claim.own:
            self._measure(claim)
            self._draw_lines(claim, accounts)

    def _draw_lines(self, claim: Claim, accounts: Sequence[str]) -> None:
        """Say what the call takes of each account."""
        kind, need, asked = claim.kind, claim.need, claim.asked
        key = (asked, need.choices, need.rates)
        shapes = kind.shapes.get(key)
        if shapes is None:
            if len(kind.shapes) >= _SHAPES_KEPT:
                kind.shapes.clear()
            shapes = kind.shapes[key] = {ruled: ruled.shape(need.rates, asked, need.choices) for ruled, _ in kind.rules}
        lines = claim.lines
        for ruled, account in zip(claim.applied, accounts, strict=True):
            shape = shapes.get(ruled) or ruled.shape(need.rates, asked, need.choices)
            per_input, fixed, rate, by_output, elastic = shape
            fixed += per_input * (need.input_bound if ruled.strict else need.input)
            if not by_output:
                fixed += rate * need.usual_output
                rate = 0
            # As Line(...) does, in half the time: there is one per limit and call.
            lines.append(_new_tuple(Line, (ruled.rule, account, fixed, rate, elastic)))

    def learn(self, claim: Claim, input_tokens: int | None, output_tokens: int | None) -> None:
        """Take what the provider counted for a call that is done."""
        learned, size = claim.learned, claim.size
        if claim.call.surface.billed == "later":
            self._keep_context(claim.call.response_id, (input_tokens or 0) + (output_tokens or 0))
        if learned.output.seen > _LEARNED_WELL and learned.skip():
            return
        if all(get(claim.body, name) is None for name in _CONTINUES):
            learned.learn_input(size, input_tokens)
        if output_tokens is not None:
            learned.output.add(output_tokens / claim.need.choices)
            learned.learn_text(claim.characters, output_tokens)
            if claim.chunks:
                learned.chunk.add(output_tokens / claim.chunks)

    def _keep_context(self, answer: str | None, tokens: int) -> None:
        """Remember how many tokens a conversation that the provider keeps has, for who continues it."""
        if answer is not None:
            if len(self._contexts) >= _CONTEXTS_KEPT:
                del self._contexts[next(iter(self._contexts))]
            self._contexts[answer] = tokens

    # --- which limits, whose accounts --------------------------------------------------------

    def _kind(self, call: Call) -> Kind:
        """Return what is known of calls of this kind."""
        key = (id(call.surface), id(call.target), call.model)
        known = self._kinds.get(key)
        if known is not None and known.target is call.target:
            return known
        if len(self._kinds) >= _KINDS_KEPT:
            self._kinds.clear()
        learned = self.learner.of(call.target.provider, call.model, call.surface.operation)
        found = self._kinds[key] = Kind(call, self._rules, learned)
        return found

    def _account(self, claim: Claim, ruled: Ruled, scope: Scope | None, told: Mapping[str, object]) -> str | None:
        """Return the account that a limit keeps for a call; None if it has none, or does not apply."""
        if not ruled.applies(told):
            return None
        subject = self._subject(claim, ruled, scope, told)
        if subject is None:
            return None
        if scope is not None and subject != scope.id:
            subject = f"{scope.id},{subject}"
        return f"{ruled.key}:{subject}"

    def _subject(self, claim: Claim, ruled: Ruled, scope: Scope | None, told: Mapping[str, object]) -> str | None:
        per = ruled.per
        if per == "process":
            return "process"
        if per == "call":
            claim.own.append(ruled)
            return None
        if per == "trace":
            return self._trace(claim, ruled, scope)
        if per == "scope":
            inner = scope or (claim.scopes[-1] if claim.scopes else None)
            return inner.id if inner is not None else None
        missing = [key for key in ruled.keys if told.get(key) is None]
        if missing:
            names = ", ".join(missing)
            self._complain(ruled, f"calls without {names} are not limited by it; set it with attribution(...)")
            return None
        return ",".join(_part(key, told[key]) for key in ruled.keys)

    def _trace(self, claim: Claim, ruled: Ruled, scope: Scope | None) -> str | None:
        if claim.trace is not None:
            return f"trace:{claim.trace}"
        if claim.scopes:
            self._complain(ruled, "there is no active trace; it holds for the block of limits(...) instead")
            return (scope or claim.scopes[-1]).id
        self._complain(ruled, "there is no active trace; each call counts as a trace of its own")
        claim.own.append(ruled)
        return None

    def _complain(self, ruled: Ruled, problem: str) -> None:
        """Log what is wrong with a limit's use, once."""
        if (ruled.key, problem) not in self._complained and len(self._complained) < _COMPLAINED_KEPT:
            self._complained.add((ruled.key, problem))
            log.warning("limit %r: %s", ruled.name, problem)

    # --- how much ----------------------------------------------------------------------------

    def _measure(self, claim: Claim) -> None:
        """Find out how much a call takes, from its request and from what is known of its kind."""
        call, body, kind = claim.call, claim.body, claim.kind
        wants = kind.wants
        if wants is None or claim.scopes or claim.trace is None:
            wants = _wants((*claim.applied, *claim.own))
        learned = claim.learned = kind.learned
        size = claim.size = size_of(body)
        before = self._context_before(body) if call.surface.billed == "later" else 0
        usual = learned.usual_output() if call.surface.output_caps or learned.output.seen else 0
        cap = _cap(claim)
        choices = get(body, "n")
        into = learned.input(size) + before
        rates, window = self._rates(call, body, into) if wants.prices else (None, None)
        claim.need = Need(
            into, size.bound + before, usual, choices if type(choices) is int and choices > 1 else 1, rates, window
        )
        claim.asked = Asked(cap is not None, claim.cap_field is not None, call.streaming)
        claim.special = wants.special
        claim.watching = wants.cuts and call.streaming
        wanted, least = usual, LEAST_OUTPUT
        if cap is not None:
            wanted = cap
        elif wants.caps and claim.cap_field is not None:
            wanted = kind.longest or LONGEST_UNKNOWN
        if wants.caps:
            thinking = dig(body, _THINKING)
            if type(thinking) is int:
                least += thinking  # a lower cap than this is refused by the provider
        least = min(least, wanted)
        claim.output = Output(wanted, min(wanted, max(usual, least)), least)

    def _rates(self, call: Call, body: Any, input_tokens: int) -> tuple[TextRates | None, int | None]:
        """Return prices and context window, as far as they are known."""
        if call.model is None:
            return None, None
        tier = get(body, "service_tier")
        rates = self._prices.rates(
            call.target.provider, call.model, tier if isinstance(tier, str) else None, batch=call.surface.batch
        )
        window = rates.context_window if rates is not None else None
        if rates is not None and rates.units:
            text = rates.text
            if text.tier_above is not None and input_tokens > text.tier_above:
                text = text._replace(input=text.highest_input, output=text.highest_output)
            return text, window
        stated = self.learner.of(call.target.provider, call.model, call.surface.operation).nano_per_token
        if stated.seen:
            told = int(stated.top) + 1
            return TextRates(told, told, told, told, None, 0), window
        return None, window

    def _context_before(self, body: Any) -> int:
        """Return how many tokens the provider keeps of an earlier answer that this call continues."""
        before = get(body, _CONTINUES[0])
        return self._contexts.get(before, 0) if isinstance(before, str) else 0


def _told(call: Call) -> Mapping[str, object]:
    """Return what limits may choose calls and subjects by."""
    return {
        a.GEN_AI_PROVIDER_NAME: call.target.provider,
        a.GEN_AI_REQUEST_MODEL: call.model,
        a.GEN_AI_OPERATION_NAME: call.surface.operation,
        **call.attribution,
    }


def _cap(claim: Claim) -> int | None:
    """Return the cap that the application gave, and note which field of the request is for it."""
    call = claim.call
    caps = call.surface.output_caps
    claim.cap_field = claim.cap = None
    for name in caps:
        value = get(claim.body, name)
        if type(value) is int:
            claim.cap_field, claim.cap = name, value
            return value
    if caps:
        # OpenAI wants the new name, hosts that are compatible with it mostly know the old one.
        claim.cap_field = caps[0] if call.target.provider in _OWN_PROVIDERS else caps[-1]
    return None
