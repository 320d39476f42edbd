"""Making claims: which limits apply to a call, whose accounts it goes to, and how much it may take of them."""

from __future__ import annotations

import logging
import math
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tracetoll.limits.claim import Claim
from tracetoll.limits.estimate import Learner
from tracetoll.limits.kinds import PRICED, Kind, part_of, trace_of
from tracetoll.limits.sizes import size_of
from tracetoll.pricing import TextRates
from tracetoll.reading import dig, get, view
from tracetoll_semconv import attributes as a

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tracetoll.call import Call, Ending
    from tracetoll.limits.kinds import Group, Plan
    from tracetoll.limits.rules import Ruled
    from tracetoll.limits.scope import Scope
    from tracetoll.pricing import Prices

log: Final = logging.getLogger("tracetoll")

_KINDS_KEPT: Final = 2048
_CONTEXTS_KEPT: Final = 10_000
_CONTINUES: Final = ("previous_response_id", "conversation")
_COMPLAINED_KEPT: Final = 1000
_LEARNED_WELL: Final = 256
"""After how many answers of a model only every eighth is learned from."""
_SKIPPED: Final = 7
"""How many are left out between those, a power of two less one."""
_new_tuple: Final = tuple.__new__


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
        if any(ruled.unit in PRICED for ruled in rules):
            self._prices.preload()

    @property
    def rules(self) -> tuple[Ruled, ...]:
        """Return the limits that apply to every call."""
        return self._rules

    def make(self, call: Call, body: Any) -> Claim | None:
        """Return what a call claims; None if no limit applies to it."""
        if not self._rules and not any(scope.limits for scope in call.scopes):
            return None
        claim = Claim(call, body)
        return claim if self.fill(claim) else None

    def fill(self, claim: Claim) -> bool:
        """Find the limits and accounts of a claim, and what it needs; anew after its model was changed.

        Return whether any limit applies.
        """
        call = claim.call
        kind = self._kinds.get((id(call.surface), id(call.target), call.model))
        if kind is None or kind.target is not call.target:
            kind = self._new_kind(call)
        claim.kind = kind
        place = kind.anywhere
        if place is None or call.scopes:
            place = kind.places.get(id(call.context))
            if place is not None:
                alive = place.context
                # By identity: what blocks set stays the same in them.
                same = alive() is call.context and place.attribution is call.attribution
                place = place if same and place.scopes is call.scopes else None
            if place is None:
                place = kind.remember(call, *self._find(call, kind))
        claim.place = place
        group = place.group
        claim.applied, claim.own = group.applied, group.own
        if not (group.applied or group.own):
            claim.lines = ()
            return False
        self._measure(claim, group)
        return True

    def _measure(self, claim: Claim, group: Group) -> None:
        """Find out how much a call takes, from its request and from what is known of its kind."""
        call, kind, body, wants = claim.call, claim.kind, claim.body, group.wants
        fields = body if type(body) is dict else view(body)
        learned = kind.learned
        size = claim.size = size_of(fields)
        into = learned.input_of(size)
        if kind.continues:
            claim.before = self._context_before(fields)
            into += claim.before
        claim.input = into
        claim.usual_output = learned.usual_output if kind.caps or learned.outputs else 0
        cap, claim.cap_field = None, kind.cap_field
        for name, path in kind.caps:
            value = fields.get(name) if path is None else dig(fields, path)
            if type(value) is int:
                cap, claim.cap_field = value, name
                break
        claim.cap = cap
        claim.choices = kind.choices_of(fields) if kind.choice_field in fields else 1
        base, long = None, False
        if wants.prices:
            if "service_tier" not in fields and monotonic() < kind.priced[0]:
                _, base, claim.window, above = kind.priced
            else:
                base, claim.window = self._rates(call, kind, fields)
                above = _tier_above(base)
            long = into > above
        # Everything that a line depends on beside numbers of tokens, as one number; for most calls 0 or 1.
        key: int = cap is not None
        if long or call.streaming or claim.choices != 1:
            key |= claim.choices << 3 | long << 2 | call.streaming << 1
        plan = group.plans.get(key)
        if plan is None or (plan.base is not base and plan.base != base):
            plan = group.plan(key, claim.asked, claim.choices, base, long=long)
        claim.plan = plan
        if call.streaming:
            claim.follow(measured=wants.cuts or learned.measures(), watching=wants.cuts)
        if group.own:
            claim.fits = _fits(claim, plan)

    def _find(self, call: Call, kind: Kind) -> tuple[Group, Sequence[str]]:
        """Find out which limits apply to a call, and whose accounts they have."""
        trace = trace_of(call.context)
        if kind.plain and trace is not None and not call.scopes:
            return kind.everything([account or f"{ruled.key}:{trace}" for ruled, account in kind.rules])
        known = _told(call, trace)
        own = list(kind.own)
        applied: list[Ruled] = []
        accounts: list[str] = []
        for ruled, fixed in kind.rules:
            account = fixed or self._account(call, ruled, None, known, own)
            if account is not None:
                applied.append(ruled)
                accounts.append(account)
        for scope in call.scopes:
            for ruled in scope.limits:
                if ruled.might_apply(call.target.provider, call.model, call.surface.operation):
                    account = self._account(call, ruled, scope, known, own)
                    if account is not None:
                        applied.append(ruled)
                        accounts.append(account)
        return kind.group(applied, own), accounts

    def learn(self, claim: Claim, into: int | None, out: int | None, ending: Ending) -> None:
        """Take what the provider counted for a call: how wrong the estimates were, and what to learn from that."""
        if into is not None:
            ending.input_error = claim.input - into
        if out is not None and claim.cap is None and not claim.changes:  # else a cap took the estimate's place
            ending.output_error = claim.usual_output * claim.choices - out
        if ending.outcome != "done":
            return
        learned, cost = claim.kind.learned, ending.cost
        if claim.kind.continues:
            self._keep_context(claim.call.response_id, (into or 0) + (out or 0))
        if cost is not None and cost.source == "provider":
            learned.learn_cost(cost.amount, (into or 0) + (out or 0))
        if out is not None and claim.looked:
            learned.learn_stream(claim.text, 0 if claim.raw else claim.chunks, out)
        learned.answers += 1
        if learned.answers & _SKIPPED and learned.outputs > _LEARNED_WELL:
            return
        if all(get(claim.body, name) is None for name in _CONTINUES):
            learned.learn_input(claim.size, into)
        if out is not None:
            learned.learn_output(out / claim.choices)

    def _keep_context(self, answer: str | None, tokens: int) -> None:
        """Remember how many tokens a conversation that the provider keeps has, for who continues it."""
        if answer is not None:
            if len(self._contexts) >= _CONTEXTS_KEPT:
                del self._contexts[next(iter(self._contexts))]
            self._contexts[answer] = tokens

    # --- which limits, whose accounts --------------------------------------------------------

    def _new_kind(self, call: Call) -> Kind:
        """Find out what is known of calls of this kind."""
        if len(self._kinds) >= _KINDS_KEPT:
            self._kinds.clear()
        learned = self.learner.of(call.target.provider, call.model, call.surface.operation)
        found = self._kinds[id(call.surface), id(call.target), call.model] = Kind(call, self._rules, learned)
        return found

    def _account(self, call: Call, ruled: Ruled, scope: Scope | None, known: Told, own: list[Ruled]) -> str | None:
        """Return the account that a limit keeps for a call; None if it has none, or does not apply.

        A limit that turns out to be about the call alone is added to `own`.
        """
        if not ruled.applies(known.told):
            return None
        if ruled.own:
            own.append(ruled)
            return None
        subject = self._subject(call, ruled, scope, known)
        if subject is None:
            if ruled.per == "trace":
                own.append(ruled)
            return None
        if scope is not None and subject != scope.id:
            subject = f"{scope.id},{subject}"
        return f"{ruled.key}:{subject}"

    def _subject(self, call: Call, ruled: Ruled, scope: Scope | None, known: Told) -> str | None:
        per = ruled.per
        if per == "process":
            return "process"
        if per == "trace":
            return known.trace or self._without_trace(call, ruled, scope)
        if per == "scope":
            inner = scope or (call.scopes[-1] if call.scopes else None)
            return inner.id if inner is not None else None
        told = known.told
        missing = [key for key in ruled.keys if told.get(key) is None]
        if missing:
            names = ", ".join(missing)
            self._complain(ruled, f"calls without {names} are not limited by it; set it with attribution(...)")
            return None
        return ",".join(part_of(key, told[key]) for key in ruled.keys)

    def _without_trace(self, call: Call, ruled: Ruled, scope: Scope | None) -> str | None:
        if call.scopes:
            self._complain(ruled, "there is no active trace; it holds for the block of limits(...) instead")
            return (scope or call.scopes[-1]).id
        self._complain(ruled, "there is no active trace; each call counts as a trace of its own")
        return None

    def _complain(self, ruled: Ruled, problem: str) -> None:
        """Log what is wrong with a limit's use, once."""
        if (ruled.key, problem) not in self._complained and len(self._complained) < _COMPLAINED_KEPT:
            self._complained.add((ruled.key, problem))
            log.warning("limit %r: %s", ruled.name, problem)

    # --- how much ----------------------------------------------------------------------------

    def _rates(self, call: Call, kind: Kind, fields: Mapping[str, Any]) -> tuple[TextRates | None, int | None]:
        """Return prices and context window, as far as they are known."""
        tier = fields.get("service_tier")
        if call.model is None:
            return None, None
        tier = tier if isinstance(tier, str) else None
        rates, until = self._prices.known(call.target.provider, call.model, tier, batch=call.surface.batch)
        window = rates.context_window if rates is not None else None
        if rates is not None and rates.units:
            if tier is None:
                kind.priced = (until, rates.text, window, _tier_above(rates.text))
            return rates.text, window
        stated = kind.learned.nano_per_token
        if stated.seen:
            told = int(stated.top) + 1
            return TextRates(told, told, told, told, None, 0), window
        return None, window

    def _context_before(self, body: Mapping[str, Any]) -> int:
        """Return how many tokens the provider keeps of an earlier answer that this call continues."""
        before = body.get(_CONTINUES[0])
        return self._contexts.get(before, 0) if isinstance(before, str) else 0


class Told(NamedTuple):
    """What limits may choose a call and its subjects by."""

    told: Mapping[str, object]
    trace: str | None
    """The trace that the call is made in, None outside of any."""


def _told(call: Call, trace: str | None) -> Told:
    told = {
        a.GEN_AI_PROVIDER_NAME: call.target.provider,
        a.GEN_AI_REQUEST_MODEL: call.model,
        a.GEN_AI_OPERATION_NAME: call.surface.operation,
        **call.attribution,
    }
    return Told(told, trace)


def _tier_above(rates: TextRates | None) -> float:
    """Return above how many tokens of input other prices hold."""
    return rates.tier_above if rates is not None and rates.tier_above is not None else math.inf


def _fits(claim: Claim, plan: Plan) -> bool:
    """Return whether a call fits into the limits of the call alone as it is."""
    _, _, most = claim.size
    most += claim.before
    wanted = claim.output.wanted if not plan.simple else claim.usual_output if claim.cap is None else claim.cap
    for bound, (_, strict, per_input, per_call, per_usual, rate, _) in plan.own:
        fixed = per_call + per_input * (most if strict else claim.input) + per_usual * claim.usual_output
        if fixed + rate * wanted > bound:
            return False
    return True
