"""What other emitters write, as their sources have it, and what the roll-up makes of it.

Those that can be installed beside us are run for real in tests/beside.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import set_span_in_context

from tracetoll import RollupProcessor

CHAT = {"gen_ai.operation.name": "chat"}
INPUT, OUTPUT = "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"
READ, WRITE, REASONING = "cache_read.input_tokens", "cache_write.input_tokens", "reasoning.output_tokens"


def rolled_up(*spans: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the totals of a root above spans of some scopes and attributes, one below the other."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(RollupProcessor())
    made = [provider.get_tracer("application").start_span("root")]
    for scope, _ in spans:
        made.append(provider.get_tracer(scope).start_span("span", set_span_in_context(made[-1])))
    for span, (_, attributes) in zip(reversed(made[1:]), reversed(spans), strict=True):
        span.set_attributes(attributes)
        span.end()
    made[0].end()
    told = getattr(made[0], "attributes", None) or {}
    return {name.removeprefix("tracetoll.rollup."): value for name, value in told.items()}


def numbers(told: dict[str, Any]) -> tuple[Any, ...]:
    """Return calls, input, output, and the parts of them that are told."""
    parts = {name: told[name] for name in (READ, WRITE, REASONING) if name in told}
    return told["inference_call.count"], told["input_tokens"], told["output_tokens"], parts


@pytest.mark.parametrize(
    ("scope", "attributes", "expected"),
    [
        pytest.param(
            "somebody",
            {**CHAT, "gen_ai.usage.prompt_tokens": 100, "gen_ai.usage.completion_tokens": 20},
            (1, 100, 20, {}),
            id="upstream, years ago",
        ),
        pytest.param(
            "somebody",
            {**CHAT, INPUT: 100, OUTPUT: 20, "gen_ai.usage.cache_creation.input_tokens": 30},
            (1, 100, 20, {WRITE: 30}),
            id="upstream, until 2026",
        ),
        pytest.param(
            "opentelemetry.instrumentation.genai.openai",
            {
                **CHAT,
                INPUT: 100,
                OUTPUT: 20,
                "gen_ai.usage.cache_write.input_tokens": 30,
                "gen_ai.usage.reasoning.output_tokens": 7,
            },
            (1, 100, 20, {WRITE: 30, REASONING: 7}),
            id="upstream, now",
        ),
        pytest.param(
            "somebody",
            {**CHAT, INPUT: 10, OUTPUT: 20, "gen_ai.usage.cache_read.input_tokens": 90},
            (1, 100, 20, {READ: 90}),
            id="an input that cannot include its cached part",
        ),
        pytest.param(
            "opentelemetry.instrumentation.cohere",
            {"llm.request.type": "chat", "gen_ai.usage.prompt_tokens": 100, "llm.usage.completion_tokens": 20},
            (1, 100, 20, {}),
            id="OpenLLMetry, old names",
        ),
        pytest.param(
            "traceai_anthropic",
            {
                "gen_ai.span.kind": "LLM",
                "gen_ai.provider.name": "anthropic",
                INPUT: 100,
                OUTPUT: 20,
                "gen_ai.usage.cache_read_tokens": 60,
                "gen_ai.usage.cache_creation_tokens": 30,
            },
            (1, 190, 20, {READ: 60, WRITE: 30}),
            id="traceAI, Anthropic",
        ),
        pytest.param(
            "traceai_openai",
            {
                "gen_ai.span.kind": "LLM",
                "gen_ai.provider.name": "openai",
                INPUT: 100,
                OUTPUT: 20,
                "gen_ai.usage.input_tokens.cache_read": 60,
                "gen_ai.usage.output_tokens.reasoning": 7,
            },
            (1, 100, 20, {READ: 60, REASONING: 7}),
            id="traceAI, OpenAI",
        ),
        pytest.param(
            "xai_sdk",
            {**CHAT, INPUT: 100, OUTPUT: 20, "gen_ai.usage.reasoning_tokens": 7},
            (1, 100, 27, {REASONING: 7}),
            id="xAI's SDK, reasoning beside output",
        ),
        pytest.param(
            "langfuse-sdk",
            {
                "langfuse.observation.type": "generation",
                "langfuse.observation.usage_details": json.dumps(
                    {"input": 40, "input_cached_tokens": 60, "output": 13, "output_reasoning_tokens": 7, "total": 120}
                ),
            },
            (1, 100, 20, {READ: 60, REASONING: 7}),
            id="Langfuse, disjoint buckets",
        ),
        pytest.param(
            "ai",
            {
                "ai.operationId": "ai.generateText.doGenerate",
                "ai.usage.promptTokens": 100,
                "ai.usage.completionTokens": 20,
            },
            (1, 100, 20, {}),
            id="Vercel's AI SDK",
        ),
        pytest.param(
            "",
            {**CHAT, INPUT: 100, OUTPUT: 20, "gen_ai.usage.input_tokens.cached": 60, "gen_ai.cost.total_tokens": 0.1},
            (1, 100, 20, {READ: 60}),
            id="Sentry, by its attributes",
        ),
        pytest.param(
            "",
            {"agentops.span.kind": "llm", "gen_ai.usage.prompt_tokens": 100, "gen_ai.usage.completion_tokens": 20},
            (1, 100, 20, {}),
            id="AgentOps, by its attributes",
        ),
        pytest.param(
            "genai_otel.openai",
            {**CHAT, INPUT: 100, OUTPUT: 20, "gen_ai.usage.prompt_tokens": 100, "gen_ai.usage.completion_tokens": 20},
            (1, 100, 20, {}),
            id="TraceVerde, both names",
        ),
        pytest.param(
            "somebody",
            {**CHAT, INPUT: 100.0, OUTPUT: 20.0, "gen_ai.usage.reasoning_tokens": "many"},
            (1, 100, 20, {}),
            id="whole floats, and what is no number",
        ),
    ],
)
def test_each_emitter_is_read_in_its_own_words(scope: str, attributes: dict[str, Any], expected: Any) -> None:
    assert expected == numbers(rolled_up((scope, attributes)))


@pytest.mark.parametrize(
    "attributes",
    [
        {"gen_ai.usage.partial.input_tokens": 5},
        {"logfire.metrics": '{"gen_ai.client.token.usage": 5}'},
        {"gen_ai.operation.name": "fetch_response", INPUT: 5, OUTPUT: 5},
        {"gen_ai.operation.name": "invoke_agent", "gen_ai.aggregated_usage.input_tokens": 5},
    ],
    ids=lambda attributes: next(iter(attributes)),
)
def test_aggregates_partials_and_fetches_are_not_read(attributes: dict[str, Any]) -> None:
    told = rolled_up(("somebody", attributes), ("somebody", {**CHAT, INPUT: 100, OUTPUT: 20}))

    assert (1, 100, 20, {}) == numbers(told)


def test_a_wrapper_that_repeats_totals_is_no_call() -> None:
    wrapper = {"ai.operationId": "ai.generateText", "ai.usage.promptTokens": 100, "ai.usage.completionTokens": 20}
    call = {**wrapper, "ai.operationId": "ai.generateText.doGenerate"}

    assert (1, 100, 20, {}) == numbers(rolled_up(("ai", wrapper), ("ai", call)))


def test_what_the_mistral_sdk_writes_as_0_is_missing() -> None:
    told = rolled_up(("mistralai_sdk_tracer", {**CHAT, INPUT: 0, OUTPUT: 0}))

    assert (1, 1, False) == (told["inference_call.count"], told["usage_missing.count"], told["complete"])


def test_the_cost_that_an_emitter_states_holds_where_we_know_no_price() -> None:
    stated = {**CHAT, "gen_ai.request.model": "in-house-7b", INPUT: 100, OUTPUT: 20, "gen_ai.usage.cost": 0.25}

    assert 0.25 == rolled_up(("openlit.instrumentation.openai", stated))["cost.amount"]


def test_a_cost_of_0_is_none() -> None:
    stated = {**CHAT, "gen_ai.request.model": "in-house-7b", INPUT: 100, OUTPUT: 20, "gen_ai.usage.cost": 0.0}

    told = rolled_up(("openlit.instrumentation.openai", stated))

    assert (1, False) == (told["unpriced.count"], "cost.amount" in told)


def test_a_count_that_is_none_gives_way_to_the_next_name_for_it() -> None:
    told = {
        **CHAT,
        INPUT: "many",
        "gen_ai.usage.prompt_tokens": 100,
        OUTPUT: -1,
        "gen_ai.usage.completion_tokens": 20.0,
    }

    assert (1, 100, 20, {}) == numbers(rolled_up(("somebody", told)))


def test_the_same_attributes_say_what_their_values_do() -> None:
    told = [{"gen_ai.operation.name": name, INPUT: 100} for name in ("chat", "embeddings", "execute_tool", "chat")]

    found = [rolled_up(("somebody", attributes)) for attributes in told]

    assert [1, 0, 0, 1] == [each["inference_call.count"] for each in found]
    assert [0, 1, 0, 0] == [each.get("embedding_call.count", 0) for each in found]


@pytest.mark.parametrize("number", [1, 100], ids=["many shapes", "wide ones"])
def test_attributes_that_are_numbered_do_no_harm(number: int) -> None:
    spans = [
        {**CHAT, **{f"gen_ai.prompt.{each}.{place}": "hi" for place in range(number)}, INPUT: 1, OUTPUT: 2}
        for each in range(600)
    ]

    processor = RollupProcessor()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    root = provider.get_tracer("application").start_span("root")
    for attributes in spans:
        provider.get_tracer("somebody").start_span("span", set_span_in_context(root), attributes=attributes).end()
    root.end()

    told = getattr(root, "attributes", None) or {}
    assert (600, 1200) == (told["tracetoll.rollup.input_tokens"], told["tracetoll.rollup.output_tokens"])
