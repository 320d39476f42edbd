"""What is peculiar to Bedrock: bodies, what is metered beside the answer, formats by maker, agents."""

from __future__ import annotations

import gc
import io
import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from surfaces import SDKS, cases, client, inside, run, settled
from surfaces.sdks.bedrock import CLAUDE, MESSAGES, SURFACES, client_of

from tracetoll import Limit
from tracetoll.local_provider import Reply
from tracetoll.local_provider.wire import AWS_STREAM_TYPE

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Telemetry

    from tracetoll.local_provider import LocalProvider

pytestmark = [
    pytest.mark.skipif(not SDKS["bedrock"].installed, reason="boto3 is not installed"),
    pytest.mark.filterwarnings("ignore:(?i)unclosed (<socket|connection):ResourceWarning"),
]
INVOKED = next(one for one in SURFACES if one.method == "invoke_model")
PROFILE = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/toll"
ASKED = {"max_tokens": 100, "messages": [{"role": "user", "content": "What is due?"}], "anthropic_version": "bedrock"}
STREAM = {"content-type": AWS_STREAM_TYPE}
METERED = {"x-amzn-bedrock-input-token-count": "9", "x-amzn-bedrock-output-token-count": "4"}


def invoke(url: str, model: str, body: Any, *, stream: bool = False) -> None:
    with closing(client("bedrock", url)) as asked:
        if stream:
            for _ in asked.invoke_model_with_response_stream(modelId=model, body=body)["body"]:
                pass
        else:
            asked.invoke_model(modelId=model, body=body)["body"].read()


def counts(telemetry: Telemetry) -> tuple[Any, ...]:
    told = telemetry.told()
    names = ("input_tokens", "output_tokens", "cache_read.input_tokens")
    return tuple(told.get(f"gen_ai.usage.{name}") for name in names)


# --- bodies ----------------------------------------------------------------------------------


async def whole(body: Any) -> None:
    await settled(body.read())


async def in_pieces(body: Any) -> None:
    while await settled(body.read(16)):
        pass


async def by_lines(body: Any) -> None:
    lines = body.iter_lines()
    if hasattr(lines, "__aiter__"):
        assert [line async for line in lines]
    else:
        assert list(lines)


async def entered(body: Any) -> None:
    if hasattr(body, "__aenter__"):
        async with body as raw:
            await raw.read()
    else:
        with body as raw:
            raw.read()


@pytest.mark.parametrize("case", cases((INVOKED,), ("whole", "async whole")))
@pytest.mark.parametrize("read", [whole, in_pieces, by_lines, entered])
def test_a_body_may_be_read_in_any_way(
    read: Callable[[Any], Any], case: Any, provider: LocalProvider, instrumented: Telemetry
) -> None:
    async def use() -> None:
        async with inside(case.client(provider.url)) as asked:
            await read((await settled(case.asker(asked)(**INVOKED.arguments)))["body"])

    run(use(), asynchronous=case.asynchronous)

    told = instrumented.told()
    assert provider.handed_out.input_tokens == told["gen_ai.usage.input_tokens"]
    assert ("stop",) == told["gen_ai.response.finish_reasons"]
    assert "tracetoll.call.outcome" not in told


@pytest.mark.parametrize(("leave", "outcome"), [("close", "closed"), ("drop", "abandoned")])
def test_a_body_that_nobody_reads_is_counted_by_its_headers(
    leave: str, outcome: str, provider: LocalProvider, instrumented: Telemetry
) -> None:
    with closing(client("bedrock", provider.url)) as asked:
        answer = asked.invoke_model(**INVOKED.arguments)
        headers, body = answer["ResponseMetadata"]["HTTPHeaders"], answer.pop("body")
        if leave == "close":
            body.close()
        del body
        gc.collect()

    told = instrumented.told()
    assert outcome == told["tracetoll.call.outcome"]
    assert int(headers["x-amzn-bedrock-output-token-count"]) == told["gen_ai.usage.output_tokens"]


# --- what is metered beside the answer -------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"outputs": [{"text": "4 €", "stop_reason": "stop"}]}, (9, 4, None)),
        ({"output": {}, "stopReason": "guardrail_intervened", "usage": {"inputTokens": 7}}, (7, 4, None)),
        ({"usage": {"inputTokens": 5, "outputTokens": 3, "cacheReadInputTokenCount": 100}}, (105, 3, 100)),
        (
            {"usage": {"prompt_tokens": 50, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 32}}},
            (50, 3, 32),
        ),
        ({"inputTextTokenCount": 6, "results": [{"tokenCount": 2}, {"tokenCount": 3}]}, (6, 5, None)),
        ({"prompt_token_count": 8, "generation_token_count": 2}, (8, 2, None)),
        ({"id": "x", "meta": {"billed_units": {"input_tokens": 2.0, "output_tokens": 1.0}}}, (2, 1, None)),
    ],
    ids=["mistral", "guardrail", "nova", "openai", "titan", "llama", "cohere"],
)
def test_an_answers_own_numbers_win_over_the_headers(
    body: dict[str, Any], expected: tuple[Any, ...], provider: LocalProvider, instrumented: Telemetry
) -> None:
    provider.enqueue(Reply(json=body, headers=METERED))

    invoke(provider.url, PROFILE, json.dumps(ASKED))

    assert expected == counts(instrumented)


def test_a_streams_own_numbers_win_over_what_was_metered(provider: LocalProvider, instrumented: Telemetry) -> None:
    metered = {"inputTokenCount": 400, "outputTokenCount": 90, "cacheReadInputTokenCount": 20}
    start = {"id": "msg_1", "model": "claude", "usage": {"input_tokens": 392, "output_tokens": 4}}
    events = [
        {"type": "message_start", "message": start},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 134}},
        {"type": "message_stop", "amazon-bedrock-invocationMetrics": metered},
    ]
    provider.enqueue(Reply(events=[("chunk", event) for event in events], headers=STREAM))

    invoke(provider.url, PROFILE, json.dumps(ASKED), stream=True)

    assert (412, 134, 20) == counts(instrumented)
    assert ("tool_call",) == instrumented.told()["gen_ai.response.finish_reasons"]


# --- formats by maker ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "asked", "cap"),
    [
        (CLAUDE, ASKED, "max_tokens"),
        (PROFILE, ASKED, "max_tokens"),
        ("anthropic.claude-v2", {"prompt": "What is due?", "max_tokens_to_sample": 100}, "max_tokens_to_sample"),
        ("apac.amazon.nova-lite-v1:0", {"messages": MESSAGES}, "inferenceConfig.maxTokens"),
        ("meta.llama3-8b-instruct-v1:0", {"prompt": "What is due?"}, "max_gen_len"),
        ("amazon.titan-text-lite-v1", {"inputText": "What is due?"}, "textGenerationConfig.maxTokenCount"),
        ("mistral.mistral-7b-instruct-v0:2", {"prompt": "What is due?"}, "max_tokens"),
        ("ai21.j2-mid-v1", {"prompt": "What is due?"}, "maxTokens"),
        ("openai.gpt-oss-20b-1:0", {"messages": [{"role": "user", "content": "Hi"}]}, "max_completion_tokens"),
    ],
)
def test_the_cap_is_the_makers_own(
    model: str, asked: dict[str, Any], cap: str, provider: LocalProvider, instrument: Callable[..., Telemetry]
) -> None:
    instrument(limits=[Limit(80, "output_tokens", per="call", at={1.0: "clamp"})])

    invoke(provider.url, model, io.BytesIO(json.dumps(asked).encode()))

    sent: Any = provider.requests[-1].fields
    for name in cap.split("."):
        sent = sent[name]
    assert 80 == sent


def test_a_request_that_cannot_be_read_is_sent_as_it_is(
    provider: LocalProvider, instrument: Callable[..., Telemetry]
) -> None:
    instrument(limits=[Limit(80, "output_tokens", per="call", at={1.0: "clamp"})])

    invoke(provider.url, "meta.llama3-8b-instruct-v1:0", b"[1, 2]")

    assert [1, 2] == provider.requests[-1].body


def test_a_price_is_that_of_the_region_that_was_asked(provider: LocalProvider, instrumented: Telemetry) -> None:
    answered = {"id": "msg_1", "model": "claude-sonnet-4-5-20250929", "usage": {"input_tokens": 1000}}
    for region in ("eu", "global"):
        provider.enqueue(Reply(json=answered))
        invoke(provider.url, f"{region}.anthropic.claude-sonnet-4-5-20250929-v1:0", json.dumps(ASKED))

    regional, everywhere = ((span.attributes or {})["tracetoll.cost.amount"] for span in instrumented.spans)
    assert pytest.approx(1.1 * everywhere) == regional


# --- Converse and agents ---------------------------------------------------------------------


def test_what_is_cached_is_told_by_how_long(provider: LocalProvider, instrumented: Telemetry) -> None:
    details = [{"ttl": "5m", "inputTokens": 30}, {"ttl": "1h", "inputTokens": 12}]
    usage = {"inputTokens": 5, "outputTokens": 2, "totalTokens": 49, "cacheWriteInputTokens": 42}
    metadata = {"usage": {**usage, "cacheDetails": details}, "metrics": {"latencyMs": 1}}
    provider.enqueue(
        Reply(events=[("messageStop", {"stopReason": "end_turn"}), ("metadata", metadata)], headers=STREAM)
    )

    with closing(client("bedrock", provider.url)) as asked:
        assert 2 == len(list(asked.converse_stream(modelId=CLAUDE, messages=MESSAGES)["stream"]))

    told = instrumented.told()
    assert 47 == told["gen_ai.usage.input_tokens"]
    assert 30 == told["tracetoll.usage.cache_write.ttl_5m.input_tokens"]
    assert 12 == told["tracetoll.usage.cache_write.ttl_1h.input_tokens"]


@pytest.mark.parametrize("traced", [True, False])
def test_an_agents_model_calls_add_up_where_they_are_told(
    traced: bool, provider: LocalProvider, instrumented: Telemetry
) -> None:
    names = {"agentId": "TOLLAGENT1", "agentAliasId": "TOLLALIAS1", "sessionId": "toll-1"}

    with closing(client_of("bedrock-agent-runtime")(provider.url, False)) as asked:  # noqa: FBT003
        answer = asked.invoke_agent(**names, inputText="What does the bridge cost?", enableTrace=traced)
        usages = [
            event["trace"]["trace"]["orchestrationTrace"]["modelInvocationOutput"]["metadata"]["usage"]
            for event in answer["completion"]
            if "trace" in event
        ]

    told = instrumented.told()
    assert ("invoke_agent", "TOLLAGENT1") == (told["gen_ai.operation.name"], told["gen_ai.agent.id"])
    assert (2 if traced else 0) == len(usages)
    assert (sum(one["inputTokens"] for one in usages) or None) == told.get("gen_ai.usage.input_tokens")
    assert (sum(one["outputTokens"] for one in usages) or None) == told.get("gen_ai.usage.output_tokens")
    assert "tracetoll.usage.source" not in told
