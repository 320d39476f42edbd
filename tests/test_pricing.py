"""What a call cost: the price library's own arithmetic, to the billionth of a dollar, and never a made-up 0."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import genai_prices
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from surfaces import client

from tracetoll import Usage
from tracetoll import usage as u
from tracetoll.local_provider import Reply
from tracetoll.pricing import Asked, Prices

if TYPE_CHECKING:
    from conftest import Telemetry

    from tracetoll.local_provider import LocalProvider

PRICES = Prices()
MODELS = [
    ("openai", "openai", "gpt-4o-mini-2024-07-18"),
    ("openai", "openai", "gpt-5"),
    ("openai", "openai", "gpt-4o-realtime-preview"),
    ("anthropic", "anthropic", "claude-sonnet-4-5"),  # tiers above 200,000 tokens
    ("anthropic", "anthropic", "claude-opus-4-6"),
    ("gcp.gemini", "google", "gemini-2.5-pro"),
    ("deepseek", "deepseek", "deepseek-chat"),  # prices by time of day
    ("groq", "groq", "llama-3.3-70b-versatile"),
]


def library_cost(usage: dict[str, int], provider: str, model: str, context: dict[str, str] | None = None) -> int:
    """Return the library's own price in nano-dollars."""
    price = genai_prices.calc_price(
        genai_prices.Usage(**usage), model, provider_id=provider, price_context=context or None
    )
    return int((price.total_price * 10**9).to_integral_value())


@st.composite
def usages(draw: st.DrawFn) -> tuple[dict[str, int], dict[str, int]]:
    """Make the same usage in our names and in the library's."""
    output, reads, writes = (draw(st.integers(0, 400_000)) for _ in range(3))
    hourly = draw(st.integers(0, writes))
    fresh = draw(st.integers(0, 400_000))
    ours = {u.INPUT: fresh + reads + writes, u.OUTPUT: output, u.CACHE_READ: reads, u.CACHE_WRITE: writes}
    theirs = {
        "input_tokens": fresh + reads + writes,
        "output_tokens": output,
        "cache_read_tokens": reads,
        "cache_write_tokens": writes,
    }
    if draw(st.booleans()):
        ours |= {u.CACHE_WRITE_1H: hourly}
        theirs |= {"cache_write_1h_tokens": hourly}
    if draw(st.booleans()):  # as most calls are
        return {u.INPUT: fresh, u.OUTPUT: output}, {"input_tokens": fresh, "output_tokens": output}
    return ours, theirs


@settings(max_examples=60, deadline=None)
@given(both=usages(), which=st.sampled_from(MODELS))
def test_a_cost_is_the_librarys_to_the_nano_dollar(
    both: tuple[dict[str, int], dict[str, int]], which: tuple[str, str, str]
) -> None:
    ours, theirs = both
    provider, library_provider, model = which

    cost = PRICES.cost(Usage(ours), Asked(provider, model), details=True)
    amount_alone = PRICES.cost(Usage(ours), Asked(provider, model), details=False).amount

    assert cost.amount is not None
    assert cost.amount == amount_alone
    assert abs(library_cost(theirs, library_provider, model) - cost.amount) <= 1
    assert abs(sum(cost.parts.values()) - cost.amount) <= len(cost.parts)


@pytest.mark.parametrize(("tier", "batch"), [("flex", False), ("priority", False), (None, True)])
def test_service_tiers_and_batches_have_their_own_prices(tier: str | None, *, batch: bool) -> None:
    context = {"service_tier": tier} if tier else {"processing": "batch"}
    usage = Usage({u.INPUT: 1_000_000, u.OUTPUT: 1_000_000})

    cost = PRICES.cost(usage, Asked("openai", "gpt-5", tier, batch), details=False)

    expected = library_cost({"input_tokens": 1_000_000, "output_tokens": 1_000_000}, "openai", "gpt-5", context)
    standard = PRICES.cost(usage, Asked("openai", "gpt-5"), details=False)
    assert expected == cost.amount
    assert standard.amount != cost.amount


def test_audio_has_its_own_price() -> None:
    usage = Usage({u.INPUT: 1000, u.AUDIO_INPUT: 600, u.OUTPUT: 500, u.AUDIO_OUTPUT: 400})

    cost = PRICES.cost(usage, Asked("openai", "gpt-4o-realtime-preview"), details=False)

    theirs = {"input_tokens": 1000, "input_audio_tokens": 600, "output_tokens": 500, "output_audio_tokens": 400}
    assert library_cost(theirs, "openai", "gpt-4o-realtime-preview") == cost.amount


def test_a_subset_larger_than_its_whole_costs_no_less_than_nothing() -> None:
    usage = Usage({u.INPUT: 2168, u.CACHE_READ: 2161, u.CACHE_WRITE: 2161, u.OUTPUT: 10, u.REASONING: 11})

    cost = PRICES.cost(usage, Asked("anthropic", "claude-opus-4-6"), details=True)

    assert cost.amount is not None
    assert all(part >= 0 for part in cost.parts.values())


@pytest.mark.parametrize(
    ("provider", "model"),
    [("openai", "nobody-knows-this"), ("ollama", "llama3"), ("somebody", "gpt-4o"), ("openai", None)],
)
def test_what_has_no_price_is_unpriced_and_not_free(provider: str, model: str | None) -> None:
    cost = PRICES.cost(Usage({u.INPUT: 1, u.OUTPUT: 1}), Asked(provider, model), details=True)

    assert (None, "unpriced") == (cost.amount, cost.status)


def test_an_unpriced_call_says_so_and_has_no_amount(provider: LocalProvider, instrumented: Telemetry) -> None:
    with client("openai", provider.url) as of:
        of.chat.completions.create(model="nobody-knows-this", messages=[{"role": "user", "content": "hi"}])

    told = instrumented.told()
    assert "unpriced" == told["tracetoll.cost.status"]
    assert "tracetoll.cost.amount" not in told
    assert "tracetoll.cost" not in instrumented.metrics()


def chat_with(usage: dict[str, Any]) -> Reply:
    choice = {"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}
    answer = {"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
    return Reply(json=answer)


@pytest.mark.parametrize(
    ("told", "usd"),
    [
        ({"cost": 0.0123}, "0.0123"),  # OpenRouter
        ({"cost": {"total_cost": 0.5, "input_tokens_cost": 0.1}}, "0.5"),  # Perplexity
        ({"cost_in_usd_ticks": 37_000_000}, "0.0037"),  # xAI
    ],
)
def test_what_the_provider_says_it_cost_wins(
    told: dict[str, Any], usd: str, provider: LocalProvider, instrumented: Telemetry
) -> None:
    provider.enqueue(chat_with({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, **told}))
    with client("openai", provider.url) as of:
        of.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])

    seen = instrumented.told()
    assert Decimal(usd) == Decimal(str(seen["tracetoll.cost.amount"]))
    assert "provider" == seen["tracetoll.cost.source"]


def test_side_steps_of_another_model_are_priced_as_that_model() -> None:
    side = u.Side("advisor_message", "claude-opus-4-6", {u.INPUT: 1000, u.OUTPUT: 100})
    usage = Usage({u.INPUT: 10, u.OUTPUT: 10}, (side,))

    cost = PRICES.cost(usage, Asked("anthropic", "claude-sonnet-4-5"), details=False)

    own = library_cost({"input_tokens": 10, "output_tokens": 10}, "anthropic", "claude-sonnet-4-5")
    beside = library_cost({"input_tokens": 1000, "output_tokens": 100}, "anthropic", "claude-opus-4-6")
    assert own + beside == cost.amount
