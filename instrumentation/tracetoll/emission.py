"""What a call's span says: attributes from usage, cost, context, rate limits, in upstream's names and ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tracetoll import usage as u
from tracetoll.usage import NANO
from tracetoll_semconv import attributes as a
from tracetoll_semconv.prefix import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tracetoll.headers import Limits
    from tracetoll.pricing import Cost
    from tracetoll.providers.words import AttributeValue
    from tracetoll.usage import Usage

Attributes = dict[str, "AttributeValue"]

_OURS: Final = frozenset(
    {
        u.CACHE_WRITE_5M,
        u.CACHE_WRITE_30M,
        u.CACHE_WRITE_1H,
        u.CACHE_WRITE_12H,
        u.VIDEO_INPUT,
        u.DOCUMENT_INPUT,
        u.TOOL_USE_INPUT,
        u.CITATION_OUTPUT,
        u.ACCEPTED_PREDICTION_OUTPUT,
        u.REJECTED_PREDICTION_OUTPUT,
        u.WEB_SEARCHES,
        u.WEB_FETCHES,
        u.IMAGES,
        u.PAGES,
        u.SEARCH_UNITS,
        u.IMAGE_PIXELS,
        u.VIDEO_PIXELS,
    }
)
_NAMES: Final[dict[str, str]] = {
    name: f"{PREFIX}.usage.{name}" if name in _OURS else f"gen_ai.usage.{name}"
    for name in u.COUNTS
    if name != u.AUDIO_MILLISECONDS
}
_ALWAYS: Final = frozenset({u.INPUT, u.OUTPUT})
_COST_PARTS: Final = {
    "input": a.COST_INPUT,
    "output": a.COST_OUTPUT,
    "cache_read": a.COST_CACHE_READ,
    "cache_write": a.COST_CACHE_WRITE,
    "other": a.COST_OTHER,
}

# alias group → (attribute of ours or upstream's, the other tools' name for the same number)
_ALIASES: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "cache_creation": ((a.GEN_AI_USAGE_CACHE_WRITE_INPUT_TOKENS, a.GEN_AI_USAGE_CACHE_CREATION_INPUT_TOKENS),),
    "total_tokens": ((a.USAGE_TOTAL_TOKENS, "gen_ai.usage.total_tokens"),),
    "draft_cost": (
        (a.COST_AMOUNT, "gen_ai.usage.cost.amount"),
        (a.COST_CURRENCY, "gen_ai.usage.cost.currency"),
        (a.COST_SOURCE, "gen_ai.usage.cost.source"),
    ),
    "openinference": (
        (a.GEN_AI_USAGE_INPUT_TOKENS, "llm.token_count.prompt"),
        (a.GEN_AI_USAGE_OUTPUT_TOKENS, "llm.token_count.completion"),
        (a.USAGE_TOTAL_TOKENS, "llm.token_count.total"),
        (a.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS, "llm.token_count.prompt_details.cache_read"),
        (a.GEN_AI_USAGE_CACHE_WRITE_INPUT_TOKENS, "llm.token_count.prompt_details.cache_write"),
        (a.GEN_AI_USAGE_AUDIO_INPUT_TOKENS, "llm.token_count.prompt_details.audio"),
        (a.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS, "llm.token_count.completion_details.reasoning"),
        (a.GEN_AI_USAGE_AUDIO_OUTPUT_TOKENS, "llm.token_count.completion_details.audio"),
        (a.COST_AMOUNT, "llm.cost.total"),
    ),
    "openllmetry": (
        (a.GEN_AI_USAGE_INPUT_TOKENS, "gen_ai.usage.prompt_tokens"),
        (a.GEN_AI_USAGE_OUTPUT_TOKENS, "gen_ai.usage.completion_tokens"),
        (a.USAGE_TOTAL_TOKENS, "llm.usage.total_tokens"),
        (a.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS, "gen_ai.usage.reasoning_tokens"),
    ),
    "openlit": (
        (a.COST_AMOUNT, "gen_ai.usage.cost"),
        (a.USAGE_TOTAL_TOKENS, "gen_ai.usage.total_tokens"),
        (a.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS, "gen_ai.usage.reasoning_tokens"),
    ),
    "traceai": (
        (a.COST_AMOUNT, "gen_ai.cost.total"),
        (a.COST_INPUT, "gen_ai.cost.input"),
        (a.COST_OUTPUT, "gen_ai.cost.output"),
        (a.USAGE_TOTAL_TOKENS, "gen_ai.usage.total_tokens"),
    ),
    "litellm": ((a.COST_AMOUNT, "gen_ai.cost.total_cost"), (a.USAGE_TOTAL_TOKENS, "gen_ai.usage.total_tokens")),
    "logfire": ((a.COST_AMOUNT, "operation.cost"),),
    "anthropic": (
        (a.USAGE_CACHE_WRITE_TTL_5M_INPUT_TOKENS, "anthropic.usage.cache_creation.ephemeral_5m_input_tokens"),
        (a.USAGE_CACHE_WRITE_TTL_1H_INPUT_TOKENS, "anthropic.usage.cache_creation.ephemeral_1h_input_tokens"),
        (a.USAGE_SIDE_INPUT_TOKENS, "anthropic.usage.compaction.input_tokens"),
        (a.USAGE_SIDE_OUTPUT_TOKENS, "anthropic.usage.compaction.output_tokens"),
    ),
}


def alias_pairs(groups: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Return the (attribute, alias) pairs of some alias groups, each alias once."""
    pairs = {alias: name for group in sorted(groups) for name, alias in _ALIASES[group]}
    return tuple((name, alias) for alias, name in pairs.items())


def of_usage(usage: Usage, into: Attributes) -> None:
    """Add the attributes of a usage. Input and output are written even when 0, breakdowns only when not."""
    for name, value in usage:
        if value or name in _ALWAYS:
            if name == u.AUDIO_MILLISECONDS:
                into[a.USAGE_AUDIO_SECONDS] = value / 1000
            else:
                into[_NAMES[name]] = value
    total = usage.total_tokens
    if total is not None:
        into[a.USAGE_TOTAL_TOKENS] = total
    if usage.sides:
        into[a.USAGE_SIDE_INPUT_TOKENS] = sum(side.counts.get(u.INPUT, 0) for side in usage.sides)
        into[a.USAGE_SIDE_OUTPUT_TOKENS] = sum(side.counts.get(u.OUTPUT, 0) for side in usage.sides)


def of_cost(cost: Cost, into: Attributes) -> None:
    """Add the attributes of a cost; an unpriced call has a status and no amount."""
    if cost.status != "priced":
        into[a.COST_STATUS] = cost.status
    if cost.amount is not None:
        into[a.COST_AMOUNT] = cost.amount / NANO
        into[a.COST_CURRENCY] = "USD"
        into[a.COST_SOURCE] = cost.source


def of_cost_details(cost: Cost, into: Attributes) -> None:
    """Add what a cost is made of, and by which prices."""
    for part, amount in cost.parts.items():
        into[_COST_PARTS[part]] = amount / NANO
    if cost.price_version is not None:
        into[a.COST_PRICE_VERSION] = cost.price_version


def of_context(tokens: int | None, window: int | None, into: Attributes) -> None:
    """Add how large the model's context window is, and how much of it a call used."""
    if window and tokens is not None:
        into[a.CONTEXT_WINDOW_SIZE] = window
        into[a.CONTEXT_UTILIZATION] = tokens / window


def of_rate_limits(limits: Limits, into: Attributes) -> None:
    """Add the attributes of rate-limit headers."""
    for (kind, what), value in limits.items():
        suffix = f"{what}_seconds" if what in ("reset", "period") else what
        into[f"{PREFIX}.rate_limit.{kind}.{suffix}"] = value
