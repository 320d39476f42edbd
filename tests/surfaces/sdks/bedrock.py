"""Amazon Bedrock through boto3, and through aiobotocore where asked asynchronously."""

from __future__ import annotations

import importlib
import json
from typing import TYPE_CHECKING, Any

from surfaces.ways import LONG, QUESTION, Sdk, Surface, tells_error
from tracetoll.local_provider import Reply

if TYPE_CHECKING:
    from collections.abc import Callable

KEYS = {"aws_access_key_id": "none", "aws_secret_access_key": "none", "region_name": "us-east-1"}
BROKEN = "modelStreamErrorException"


def client_of(service: str) -> Callable[..., Any]:
    """Return what makes clients of a service; an asynchronous one has to be entered."""

    def make(url: str, asynchronous: bool, attempts: int = 1, **options: Any) -> Any:
        config = importlib.import_module("botocore.config").Config(retries={"total_max_attempts": attempts})
        settings = {"endpoint_url": url, "config": config, **KEYS, **options}
        if asynchronous:
            return importlib.import_module("aiobotocore.session").get_session().create_client(service, **settings)
        return importlib.import_module("boto3").client(service, **settings)

    return make


SDK = Sdk(
    name="bedrock",
    module="boto3",
    client=client_of("bedrock-runtime"),
    provider="aws.bedrock",
    patched=("botocore.client:BaseClient._make_api_call", "aiobotocore.client:AioBaseClient._make_api_call"),
    error="botocore.exceptions:ClientError",
    rejected=lambda status: Reply.aws_error(status, BROKEN, "No such toll"),
    error_type=BROKEN,
    retrying={"attempts": 3},
    model="modelId",
    request_id=("x-amzn-requestid",),
    stream_can=frozenset({"close"}),
    leaves_sockets=True,
)
CLAUDE = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
MESSAGES = [{"role": "user", "content": [{"text": QUESTION}]}]
CONVERSE = Surface(
    sdk="bedrock",
    method="converse",
    path="/converse",
    arguments={
        "modelId": CLAUDE,
        "system": [{"text": LONG}],
        "messages": MESSAGES,
        "inferenceConfig": {"maxTokens": 500, "temperature": 0.5, "topP": 0.9, "stopSequences": ["END"]},
        "guardrailConfig": {"guardrailIdentifier": "gr-toll", "guardrailVersion": "1"},
    },
    span={
        "gen_ai.request.max_tokens": 500,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 0.9,
        "gen_ai.request.stop_sequences": ("END",),
        "aws.bedrock.guardrail.id": "gr-toll",
    },
    finish=("stop",),
    streams="converse_stream",
    stream_in=lambda answer: answer["stream"],
    question={"modelId": CLAUDE, "messages": MESSAGES, "inferenceConfig": {"maxTokens": 60}},
    cap=lambda tokens: {"inferenceConfig": {"maxTokens": tokens}},
    sent_cap="inferenceConfig.maxTokens",
    broken=tells_error((BROKEN, {"message": "Closed"})),
)


def invoke(model: str, body: dict[str, Any], span: dict[str, Any], **more: Any) -> Surface:
    """Return how a maker's model is asked in its own format."""
    told = {
        "finish": ("stop",),
        "streams": "invoke_model_with_response_stream",
        "broken": tells_error((BROKEN, {"message": "Closed"})),
        **more,
    }
    return Surface(
        sdk="bedrock",
        method="invoke_model",
        path="/invoke",
        arguments={"modelId": model, "body": json.dumps(body)},
        span={f"gen_ai.request.{name}": value for name, value in span.items()},
        whole_in=lambda answer: answer["body"].read(),
        stream_in=lambda answer: answer["body"],
        **told,
    )


CACHED = [{"type": "text", "text": LONG, "cache_control": {"type": "ephemeral"}}]
SURFACES = (
    CONVERSE,
    invoke(
        CLAUDE,
        {
            "anthropic_version": "bedrock-2023-05-31",
            "system": CACHED,
            "messages": [{"role": "user", "content": QUESTION}],
            "max_tokens": 500,
            "thinking": {"type": "enabled", "budget_tokens": 1024},
        },
        {"max_tokens": 500},
    ),
    invoke(
        "eu.amazon.nova-lite-v1:0",
        {"messages": MESSAGES, "inferenceConfig": {"maxTokens": 500, "topK": 20}},
        {"max_tokens": 500, "top_k": 20},
    ),
    invoke(
        "meta.llama3-8b-instruct-v1:0",
        {"prompt": QUESTION, "max_gen_len": 500, "top_p": 0.9},
        {"max_tokens": 500, "top_p": 0.9},
        operation="text_completion",
    ),
    invoke(
        "mistral.mistral-7b-instruct-v0:2",
        {"prompt": QUESTION, "max_tokens": 500, "stop": ["END"]},
        {"max_tokens": 500, "stop_sequences": ("END",)},
        operation="text_completion",
    ),
    invoke(
        "amazon.titan-text-express-v1",
        {"inputText": QUESTION, "textGenerationConfig": {"maxTokenCount": 500}},
        {"max_tokens": 500},
        operation="text_completion",
    ),
    invoke(
        "amazon.titan-embed-text-v2:0",
        {"inputText": QUESTION},
        {},
        operation="embeddings",
        finish=None,
        streams=False,
        in_counters=False,
    ),
    Surface(
        sdk="bedrock",
        method="count_tokens",
        path="/count-tokens",
        arguments={"modelId": CLAUDE, "input": {"converse": {"messages": MESSAGES}}},
        operation="count_tokens",
        in_metrics=False,
    ),
)
