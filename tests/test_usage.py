"""Usage: the provider's own numbers, normalised; nothing estimated, nothing summed, nothing invented."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracetoll import Usage
from tracetoll import usage as u
from tracetoll.hosts import provider_at
from tracetoll.providers import anthropic, compatible
from tracetoll.usage import Reading, UsageMap

MAPS = [
    compatible.CHAT_USAGE,
    compatible.RESPONSES_USAGE,
    compatible.EMBEDDING_USAGE,
    compatible.AUDIO_USAGE,
    anthropic.USAGE,
]
COUNT = st.integers(0, 10**9)
KEYS = [
    "prompt_tokens",
    "input_tokens",
    "completion_tokens",
    "prompt_tokens_details",
    "cached_tokens",
    "cost",
    "total_tokens",
    "iterations",
    "cache_creation",
    "type",
    "model",
    "reasoning_tokens",
    "seconds",
]
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=20,
)


def read(usage_map: UsageMap, *objects: Any, **switches: bool) -> Usage:
    reading = Reading()
    for one in objects:
        usage_map.read(one, reading)
    return usage_map.usage(reading, **switches)


@pytest.mark.parametrize("usage_map", MAPS)
@given(node=JUNK)
def test_junk_is_read_as_nothing_wrong(usage_map: UsageMap, node: Any) -> None:
    found = read(usage_map, node)

    assert all(type(value) is int and 0 <= value for value in found.counts.values())


@given(st.lists(st.tuples(COUNT, COUNT), min_size=1, max_size=5))
def test_a_cumulative_stream_is_never_summed(chunks: list[tuple[int, int]]) -> None:
    objects = [{"prompt_tokens": read_in, "completion_tokens": out} for read_in, out in chunks]

    assert chunks[-1] == tuple(read(compatible.CHAT_USAGE, *objects).counts[name] for name in (u.INPUT, u.OUTPUT))


@given(COUNT, COUNT, COUNT, COUNT)
def test_what_anthropic_cached_is_input(fresh: int, cached: int, written: int, output: int) -> None:
    found = read(
        anthropic.USAGE,
        {
            "input_tokens": fresh,
            "cache_read_input_tokens": cached,
            "cache_creation_input_tokens": written,
            "output_tokens": output,
        },
    )

    assert (fresh + cached + written, output, cached, written) == (
        found.input_tokens,
        found.output_tokens,
        found.cache_read_tokens,
        found.cache_write_tokens,
    )


@given(COUNT, COUNT, st.integers(1, 10**6))
def test_reasoning_beside_the_output_is_added_where_the_total_says_so(asked: int, visible: int, thought: int) -> None:
    wire = {
        "prompt_tokens": asked,
        "completion_tokens": visible,
        "total_tokens": asked + visible + thought,
        "completion_tokens_details": {"reasoning_tokens": thought},
    }
    inside = {**wire, "completion_tokens": visible + thought}

    assert visible + thought == read(compatible.CHAT_USAGE, wire).output_tokens
    assert visible + thought == read(compatible.CHAT_USAGE, inside).output_tokens


def test_hidden_reasoning_is_added_only_at_hosts_that_hide_it() -> None:
    wire = {"prompt_tokens": 35, "completion_tokens": 12, "total_tokens": 109}

    assert 12 == read(compatible.CHAT_USAGE, wire).output_tokens
    hidden = read(compatible.CHAT_USAGE, wire, hidden_reasoning=True)
    assert (74, 62) == (hidden.output_tokens, hidden.reasoning_tokens)


@pytest.mark.parametrize(
    "wire",
    [
        {"prompt_tokens_details": {"cached_tokens": 5}},
        {"prompt_cache_hit_tokens": 5, "prompt_cache_miss_tokens": 2},  # DeepSeek
        {"num_cached_tokens": 5},  # Mistral
        {"cached_tokens": 5},  # Together
        {"cache_read_input_tokens": 5},  # LiteLLM
        {"prompt_token_details": {"cached_tokens": 5}},  # Writer, Assistants
        {"prompt_tokens_details": {"cached_tokens": 5}, "prompt_cache_hit_tokens": 5},
    ],
)
def test_cached_tokens_are_found_wherever_a_host_puts_them(wire: dict[str, Any]) -> None:
    assert 5 == read(compatible.CHAT_USAGE, {"prompt_tokens": 7, **wire}).cache_read_tokens


def test_steps_that_are_billed_beside_the_rest_are_kept_apart() -> None:
    steps = [
        {"type": "message", "input_tokens": 100, "output_tokens": 10},
        {"type": "compaction", "input_tokens": 5000, "cache_read_input_tokens": 50, "output_tokens": 300},
        {"type": "advisor_message", "model": "claude-opus-4-6", "input_tokens": 7, "output_tokens": 3},
        {"type": "message", "input_tokens": 120, "output_tokens": 20},
    ]

    found = read(anthropic.USAGE, {"input_tokens": 220, "output_tokens": 30, "iterations": steps})

    assert (220, 30) == (found.input_tokens, found.output_tokens)
    assert [("compaction", None, 5050), ("advisor_message", "claude-opus-4-6", 7)] == [
        (side.kind, side.model, side.counts[u.INPUT]) for side in found.sides
    ]
    assert 140 == found.context_tokens


def test_the_placeholder_at_the_start_of_a_stream_is_output_only_if_nothing_else_comes() -> None:
    reading = Reading()
    anthropic.USAGE_AT_START.read({"input_tokens": 9, "output_tokens": 1}, reading)

    assert 1 == anthropic.USAGE.usage(reading).output_tokens
    assert anthropic.USAGE.usage(reading, complete=False).output_tokens is None
    anthropic.USAGE.read({"output_tokens": 50}, reading)
    assert 50 == anthropic.USAGE.usage(reading).output_tokens


def test_the_total_of_an_embedding_is_its_input() -> None:
    found = read(compatible.EMBEDDING_USAGE, {"total_tokens": 8})

    assert (8, None) == (found.input_tokens, found.output_tokens)


COUNTS = st.dictionaries(st.sampled_from(u.COUNTS), COUNT)


@given(COUNTS, COUNTS, COUNTS)
def test_adding_is_associative_and_missing_stays_missing(
    one: dict[str, int], two: dict[str, int], three: dict[str, int]
) -> None:
    first, second, third = Usage(one), Usage(two), Usage(three)

    assert (first + second) + third == first + (second + third)
    assert one.keys() | two.keys() == (first + second).counts.keys()
    assert first + Usage() == first


def test_an_unknown_count_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="input_tokens"):
        Usage({"tokens": 1})


@pytest.mark.parametrize(
    ("host", "port", "provider"),
    [
        ("api.openai.com", None, "openai"),
        ("my-resource.openai.azure.com", None, "azure.ai.openai"),
        ("us-east5-aiplatform.googleapis.com", None, "gcp.vertex_ai"),
        ("generativelanguage.googleapis.com", None, "gcp.gemini"),
        ("bedrock-runtime.eu-west-1.amazonaws.com", None, "aws.bedrock"),
        ("API.DeepSeek.com", 443, "deepseek"),
        ("localhost", 11434, "ollama"),
        ("localhost", 8000, None),
        ("evil-api.openai.com.example", None, None),
        ("", None, None),
        (None, None, None),
    ],
)
def test_a_host_tells_who_answers(host: str | None, port: int | None, provider: str | None) -> None:
    assert provider == provider_at(host, port)
