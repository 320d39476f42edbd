"""What one span used: the one place where attributes are read."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tracetoll import usage as u
from tracetoll.dialects.reader import CALLS as CALL_KINDS
from tracetoll.dialects.reader import Reader, Told
from tracetoll.usage import NANO

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.sdk.trace import ReadableSpan

Amount = int | float

# Amounts by the attribute that a call has them in.
_TITLES: Final = {
    "gen_ai.usage.input_tokens": "input",
    "gen_ai.usage.cache_read.input_tokens": "cached",
    "gen_ai.usage.cache_write.input_tokens": "written",
    "gen_ai.usage.output_tokens": "output",
    "gen_ai.usage.reasoning.output_tokens": "reasoning",
    "tracetoll.cost.amount": "cost",
}
# The same by the names of counts, for spans of emitters that have names of their own for them.
_COUNTS: Final = {
    u.INPUT: "input",
    u.CACHE_READ: "cached",
    u.CACHE_WRITE: "written",
    u.OUTPUT: "output",
    u.REASONING: "reasoning",
}
CALLS: Final = frozenset({"chat", "text_completion", "generate_content", "embeddings"})
REFUSED: Final = frozenset({"refused", "budget_exceeded"})
_NUMBERS: Final = (int, float)
_COST_ONLY: Final = frozenset({"cost"})
_READ: Final = frozenset(
    {
        *_TITLES,
        "error.type",
        "gen_ai.operation.name",
        "gen_ai.request.model",
        "gen_ai.response.id",
        "gen_ai.response.model",
        "tracetoll.call.outcome",
    }
)


_READER: Final = Reader(Told)


@dataclass(frozen=True, slots=True)
class Used:
    """What a span or a subtree used; an amount that nobody reported is missing, not 0."""

    amounts: Mapping[str, Amount] = field(default_factory=dict)
    calls: int = 0
    refused: int = 0  # calls that a limit kept from being sent; not in `calls`
    silent: int = 0  # calls without usage
    unpriced: int = 0  # calls with usage and without cost

    @property
    def is_nothing(self) -> bool:
        """Whether there is no call and no amount in it."""
        return not (self.amounts or self.calls or self.refused)

    def plus(self, other: Used) -> Used:
        """Return the sum of both."""
        if other.is_nothing:
            return self
        return other if self.is_nothing else self._joined(other, lambda mine, theirs: mine + theirs)

    def over(self, below: Used) -> Used:
        """Return what the subtree of a span used; over calls it reports their tokens again."""
        if self.is_nothing or below.is_nothing:
            return self.plus(below)
        larger = self._joined(below, max)
        if not (self.calls and below.calls):
            return larger
        # What one of the two knows is known.
        return replace(larger, silent=min(self.silent, below.silent), unpriced=min(self.unpriced, below.unpriced))

    def _joined(self, other: Used, join: Callable[[Amount, Amount], Amount]) -> Used:
        names = self.amounts.keys() | other.amounts.keys()
        return Used(
            {name: join(self.amounts.get(name, 0), other.amounts.get(name, 0)) for name in names},
            int(join(self.calls, other.calls)),
            int(join(self.refused, other.refused)),
            int(join(self.silent, other.silent)),
            int(join(self.unpriced, other.unpriced)),
        )


NOTHING: Final = Used()


class Reading(NamedTuple):
    """What the tree takes from the attributes and the status of one span."""

    model: str = ""
    outcome: str = ""
    failed: bool = False
    used: Used = NOTHING
    response: str | None = None  # the id of the provider's answer


NOT_READ: Final = Reading()


def read(span: ReadableSpan) -> Reading:
    """Return what a span that has ended reports."""
    attributes = span.attributes or {}
    # Asking a span for an attribute that it has not takes 1 µs.
    has = {name: attributes[name] for name in _READ.intersection(attributes)}
    ended = str(has.get("tracetoll.call.outcome") or "")
    outcome = str(has.get("error.type") or ("" if ended == "done" else ended))
    failed = bool(has.get("error.type")) or not span.status.is_ok or ended in {"failed", "refused"}
    model = str(has.get("gen_ai.response.model") or has.get("gen_ai.request.model") or "")
    response = has.get("gen_ai.response.id")
    used = _used(has, failed=failed, refused=outcome in REFUSED or ended in REFUSED)
    if used.amounts.keys() <= _COST_ONLY and (told := _in_own_words(span, attributes)) is not None:
        used, model = _of_told(told, failed=failed), model or told.model or ""
    return Reading(
        model,
        outcome or ("error" if failed else ""),
        failed,
        used,
        None if response is None else str(response),
    )


def _in_own_words(span: ReadableSpan, attributes: Mapping[str, Any]) -> Told | None:
    """Return what an emitter with other names for the same numbers tells of usage; None if it tells none."""
    scope = span.instrumentation_scope
    told = _READER.read(scope.name if scope is not None else "", dict(attributes))
    return told if told is not None and told.counts is not None else None


def _of_told(told: Told, *, failed: bool) -> Used:
    amounts: dict[str, Amount] = {
        title: told.counts[name] for name, title in _COUNTS.items() if told.counts and name in told.counts
    }
    if told.cost is not None:
        amounts["cost"] = told.cost / NANO
    call = told.kind in CALL_KINDS
    return Used(
        amounts, calls=int(call), silent=int(call and told.missing and not failed), unpriced=int(told.cost is None)
    )


def _used(has: Mapping[str, object], *, failed: bool, refused: bool) -> Used:
    amounts = {
        title: value
        for name, title in _TITLES.items()
        if isinstance(value := has.get(name), _NUMBERS) and value is not True and value is not False
    }
    tokens = "input" in amounts or "output" in amounts
    call = tokens or has.get("gen_ai.operation.name") in CALLS
    if not (call or amounts or refused):
        return NOTHING
    return Used(
        amounts,
        calls=int(call and not refused),
        refused=int(refused),
        silent=int(call and not tokens and not failed),
        unpriced=int(tokens and "cost" not in amounts),
    )


def is_call(span: ReadableSpan) -> bool:
    """Return whether a span that has just started is a model call, as far as it says so already."""
    return (span.attributes or {}).get("gen_ai.operation.name") in CALLS
