"""Hosts that are asked through openai's SDK: each puts the same numbers in places of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from surfaces import MESSAGES, client

from tracetoll.hosts import provider_at
from tracetoll.local_provider import Reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Telemetry

    from tracetoll.local_provider import LocalProvider

IN, OUT = "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"
READ, REASONING = "gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.reasoning.output_tokens"
PLAIN = {"prompt_tokens": 20, "completion_tokens": 10, "total_tokens": 30}
DETAILS = {
    "prompt_tokens_details": {"cached_tokens": 8},
    "completion_tokens_details": {"reasoning_tokens": 6},
}
ALL = {IN: 20, READ: 8, OUT: 10, REASONING: 6}

# A host and its port, the provider there, usage as it sends it, and what that comes to.
HOSTS: tuple[tuple[str, int | None, str, dict[str, Any], dict[str, int]], ...] = (
    ("api.deepseek.com", None, "deepseek", {**PLAIN, **DETAILS, "prompt_cache_hit_tokens": 8}, ALL),
    ("api.deepseek.com", None, "deepseek", {**PLAIN, "prompt_cache_hit_tokens": 8}, {IN: 20, READ: 8, OUT: 10}),
    # Deep research: reasoning and citations beside the completion.
    (
        "api.perplexity.ai",
        None,
        "perplexity",
        {**PLAIN, "total_tokens": 41, "reasoning_tokens": 6, "citation_tokens": 5, "num_search_queries": 2},
        {IN: 20, OUT: 21, REASONING: 6},
    ),
    ("openrouter.ai", None, "openrouter", {**PLAIN, **DETAILS, "cost": 0.0001}, ALL),
    ("localhost", 1234, "lm_studio", {**PLAIN}, {IN: 20, OUT: 10}),
    ("localhost", 30000, "sglang", {**PLAIN, **DETAILS}, ALL),
    ("api.moonshot.ai", None, "moonshot_ai", {**PLAIN, "cached_tokens": 8}, {IN: 20, READ: 8, OUT: 10}),
    ("api.z.ai", None, "z_ai", {**PLAIN, **DETAILS}, ALL),
    ("open.bigmodel.cn", None, "z_ai", {**PLAIN, **DETAILS}, ALL),
    (
        "api.fireworks.ai",
        None,
        "fireworks_ai",
        {**PLAIN, "prompt_tokens_details": {"cached_tokens": 8}},
        {IN: 20, READ: 8, OUT: 10},
    ),
    ("api.cerebras.ai", None, "cerebras", {**PLAIN, **DETAILS}, ALL),
    ("us-south.ml.cloud.ibm.com", None, "ibm.watsonx.ai", {**PLAIN}, {IN: 20, OUT: 10}),
    # Thoughts are in the total only.
    (
        "generativelanguage.googleapis.com",
        None,
        "gcp.gemini",
        {**PLAIN, "total_tokens": 36},
        {IN: 20, OUT: 16, REASONING: 6},
    ),
    # Reasoning is beside the completion, as the total says.
    ("api.x.ai", None, "x_ai", {**PLAIN, **DETAILS, "total_tokens": 36}, {IN: 20, READ: 8, OUT: 16, REASONING: 6}),
)
NAMES = [f"{host} {'' if port is None else port}".strip() for host, port, *_ in HOSTS]
COUNTS = (IN, OUT, READ, REASONING)


@pytest.mark.parametrize(("host", "port", "name"), [row[:3] for row in HOSTS], ids=NAMES)
def test_who_is_there_is_known(host: str, port: int | None, name: str) -> None:
    assert name == provider_at(host, port)


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("name", "usage", "expected"), [row[2:] for row in HOSTS], ids=NAMES)
def test_its_usage_is_understood(
    name: str,
    usage: dict[str, Any],
    expected: dict[str, int],
    streamed: bool,
    provider: LocalProvider,
    instrument: Callable[..., Telemetry],
) -> None:
    telemetry = instrument(provider_hosts={"127.0.0.1": name})
    head = {"id": "answer-1", "model": "some-model", "created": 1}
    said = {"role": "assistant", "content": "Two."}
    chunk = {**head, "object": "chat.completion.chunk"}
    parts = [
        {**chunk, "choices": [{"index": 0, "delta": said, "finish_reason": None}]},
        {**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": usage},
    ]
    whole = {**head, "object": "chat.completion", "usage": usage}
    answer = {**whole, "choices": [{"index": 0, "message": said, "finish_reason": "stop"}]}
    provider.enqueue(Reply(events=parts) if streamed else Reply(json=answer))

    with client("openai", provider.url) as asked:
        answered = asked.chat.completions.create(model="some-model", messages=MESSAGES, stream=streamed)
        if streamed:
            list(answered)

    told = telemetry.told()
    assert name == told["gen_ai.provider.name"]
    assert expected == {count: told[count] for count in COUNTS if count in told}
