"""Making claims: which limits apply to a call, whose accounts it goes to, and how much it may take of them."""

from __future__ import annotations

import logging
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.trace import get_current_span

from tracetoll.ledgers.protocol import Output
from tracetoll.limits.claim import Claim
from tracetoll.limits.estimate import Learner, size_of
from tracetoll.limits.rules import Asked, Need
from tracetoll.reading import dig, get
from tracetoll_semconv import attributes as a

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.context import Context

    from tracetoll.call import Call
    from tracetoll.limits.rules import Ruled
    from tracetoll.limits.scope import Scope
    from tracetoll.pricing import Prices, Rates

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


class Claims:
    """Makes claims for calls. Thread-safe."""

    def __init__(self, prices: Prices) -> None:
        self._prices = prices
        self._rules: tuple[Ruled, ...] = ()
        self._kinds: dict[tuple[int, int, str | None], tuple[object, tuple[Ruled, ...]]] = {}
        self._contexts: dict[str, int] = {}
        self._complained: set[tuple[str, str]] = set()
        self.learner = Learner()

    def use(self, rules: Sequence[Ruled]) -> None:
        """Apply these limits to every call from now on, beside those of blocks."""
        self._rules = tuple(rules)
        self._kinds = {}
        if any(ruled.unit in {"usd", "context_window"} for ruled in rules):
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
        return claim if claim.applied or claim.own else None

    def fill(self, claim: Claim) -> None:
        """Find the limits and accounts of a claim, and what it needs; anew after its model was changed."""
        call = claim.call
        told = claim.told = {
            a.GEN_AI_PROVIDER_NAME: call.target.provider,
            a.GEN_AI_REQUEST_MODEL: call.model,
            a.GEN_AI_OPERATION_NAME: call.surface.operation,
            **call.attribution,
        }
        claim.own, claim.applied, claim.lines = [], [], []
        chosen: list[tuple[Ruled, str]] = []
        for ruled in self._of_kind(call):
            if not ruled.dynamic or ruled.applies(told):
                self._choose(claim, ruled, None, chosen)
        for scope in claim.scopes:
            for ruled in scope.limits:
                if ruled.might_apply(call.target.provider, call.model, call.surface.operation) and ruled.applies(told):
                    self._choose(claim, ruled, scope, chosen)
        if not chosen and not claim.own:
            return
        self._measure(claim, [ruled for ruled, _ in chosen])
        need = claim.need
        asked = claim.asked = Asked(claim.cap is not None, claim.cap_field is not None, call.streaming)
        for ruled, subject in chosen:
            claim.applied.append(ruled)
            claim.lines.append(ruled.line(f"{ruled.key}:{subject}", need, asked))
        claim.special = any(ruled.special for ruled in (*claim.applied, *claim.own))
        claim.watching = call.streaming and any(ruled.cuts for ruled in (*claim.applied, *claim.own))

    def learn(self, claim: Claim, input_tokens: int | None, output_tokens: int | None) -> None:
        """Take what the provider counted for a call that is done."""
        learned, size = claim.learned, claim.size
        if not self._continued(claim.body):
            learned.learn_input(size, input_tokens)
        if output_tokens is not None:
            learned.output.add(output_tokens / claim.need.choices)
            learned.learn_text(claim.characters, output_tokens)
            if claim.chunks:
                learned.chunk.add(output_tokens / claim.chunks)
        answer = claim.call.response_id
        if answer is not None and claim.call.surface.billed == "later":
            if len(self._contexts) >= _CONTEXTS_KEPT:
                del self._contexts[next(iter(self._contexts))]
            self._contexts[answer] = (input_tokens or 0) + (output_tokens or 0)

    # --- which limits, whose accounts --------------------------------------------------------

    def _of_kind(self, call: Call) -> tuple[Ruled, ...]:
        """Return the limits that can be meant by calls of this kind; found once per kind."""
        key = (id(call.surface), id(call.target), call.model)
        known = self._kinds.get(key)
        if known is not None and known[0] is call.target:
            return known[1]
        told = (call.target.provider, call.model, call.surface.operation)
        found = tuple(ruled for ruled in self._rules if ruled.might_apply(*told))
        if len(self._kinds) >= _KINDS_KEPT:
            self._kinds.clear()
        # The target is kept in the entry, so that its id cannot come to mean another one.
        self._kinds[key] = (call.target, found)
        return found

    def _choose(self, claim: Claim, ruled: Ruled, scope: Scope | None, chosen: list[tuple[Ruled, str]]) -> None:
        """Add a limit to a claim: to the call's own, or with the subject whose account it is."""
        if ruled.own:
            claim.own.append(ruled)
            return
        subject = self._subject(claim, ruled, scope)
        if subject is not None:
            chosen.append((ruled, subject))

    def _subject(self, claim: Claim, ruled: Ruled, scope: Scope | None) -> str | None:
        per = ruled.per
        if per == "trace":
            if claim.trace is not None:
                found = f"trace:{claim.trace}"
            elif claim.scopes:
                self._complain(ruled, "there is no active trace; it holds for the block of limits(...) instead")
                return claim.scopes[-1].id
            else:
                self._complain(ruled, "there is no active trace; each call counts as a trace of its own")
                claim.own.append(ruled)
                return None
        elif per == "process":
            found = "process"
        elif per == "scope":
            inner = scope or (claim.scopes[-1] if claim.scopes else None)
            return inner.id if inner is not None else None
        else:
            told = claim.told
            parts = [f"{key}:{told[key]}" for key in ruled.keys if told.get(key) is not None]
            if len(parts) < len(ruled.keys):
                missing = ", ".join(key for key in ruled.keys if told.get(key) is None)
                self._complain(ruled, f"calls without {missing} are not limited by it; set it with attribution(...)")
                return None
            found = ",".join(parts)
        return found if scope is None else f"{scope.id},{found}"

    def _complain(self, ruled: Ruled, problem: str) -> None:
        """Log what is wrong with a limit's use, once."""
        if (ruled.key, problem) not in self._complained and len(self._complained) < _COMPLAINED_KEPT:
            self._complained.add((ruled.key, problem))
            log.warning("limit %r: %s", ruled.name, problem)

    # --- how much ----------------------------------------------------------------------------

    def _measure(self, claim: Claim, chosen: Sequence[Ruled]) -> None:
        call, body = claim.call, claim.body
        surface = call.surface
        rules = (*chosen, *claim.own)
        learned = claim.learned = self.learner.of(call.target.provider, call.model, surface.operation)
        size = claim.size = size_of(body)
        before = self._context_before(body)
        usual = learned.usual_output() if surface.output_caps or learned.output.seen else 0
        cap = self._cap(claim)
        choices = get(body, "n")
        claim.need = Need(
            learned.input(size) + before,
            size.bound + before,
            usual,
            choices if type(choices) is int and choices > 1 else 1,
            *self._rates(call, body, rules, learned.input(size)),
        )
        wanted, least = usual, LEAST_OUTPUT
        if cap is not None:
            wanted = cap
        elif claim.cap_field is not None and any(ruled.strict or ruled.clamps for ruled in rules):
            wanted = self.longest(call) or LONGEST_UNKNOWN
        thinking = dig(body, _THINKING)
        if type(thinking) is int:
            least += thinking  # a lower cap than this is refused by the provider
        least = min(least, wanted)
        claim.output = Output(wanted, min(wanted, max(usual, least)), least)

    def _cap(self, claim: Claim) -> int | None:
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

    @staticmethod
    def longest(call: Call) -> int | None:
        """Return the longest answer that the model can give, in tokens; None: not known."""
        for pattern, tokens in call.surface.longest_answers.items():
            if call.model is not None and fnmatchcase(call.model, pattern):
                return tokens
        return None

    def _rates(
        self, call: Call, body: Any, rules: Sequence[Ruled], input_tokens: int
    ) -> tuple[int | None, int | None, int | None, int | None, int, int | None]:
        """Return the price part of a Need; nothing is looked up where no limit asks for it."""
        if not any(ruled.unit in {"usd", "context_window"} for ruled in rules) or call.model is None:
            return None, None, None, None, 0, None
        tier = get(body, "service_tier")
        rates: Rates | None = self._prices.rates(
            call.target.provider, call.model, tier if isinstance(tier, str) else None, batch=call.surface.batch
        )
        if rates is not None and rates.units:
            text = rates.text
            dear = text.tier_above is not None and input_tokens > text.tier_above
            plain = (text.highest_input, text.highest_output) if dear else (text.input, text.output)
            return *plain, text.highest_input, text.highest_output, text.per_call, rates.context_window
        window = rates.context_window if rates is not None else None
        stated = self.learner.of(call.target.provider, call.model, call.surface.operation).nano_per_token
        if stated.seen:
            told = int(stated.top) + 1
            return told, told, told, told, 0, window
        return None, None, None, None, 0, window

    @staticmethod
    def _continued(body: Any) -> bool:
        return any(get(body, name) is not None for name in _CONTINUES)

    def _context_before(self, body: Any) -> int:
        """Return how many tokens the provider keeps of an earlier answer that this call continues."""
        before = get(body, _CONTINUES[0])
        return self._contexts.get(before, 0) if isinstance(before, str) else 0
