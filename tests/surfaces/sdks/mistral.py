"""mistralai 1, 2 and 3."""

from __future__ import annotations

import importlib
from typing import Any

from surfaces.ways import LONG, MESSAGES, QUESTION, Sdk, Surface, closing_async, major, tells_error
from tracetoll.local_provider import Reply

HOME = "mistralai" if major("mistralai") == 1 else "mistralai.client"


def client(url: str, asynchronous: bool, *, retrying: bool = False, **options: Any) -> Any:  # `Sdk.client` says so
    settings = {"api_key": "none", "server_url": f"{url}/mistral", **options}
    if retrying:
        utils = importlib.import_module(f"{HOME}.utils")
        settings["retry_config"] = utils.RetryConfig(
            strategy="backoff", backoff=utils.BackoffStrategy(1, 10, 1.1, 60_000), retry_connection_errors=False
        )
    made = importlib.import_module(HOME).Mistral(**settings)
    return closing_async(made, lambda: made.__aexit__(None, None, None)) if asynchronous else made


SDK = Sdk(
    name="mistral",
    module="mistralai",
    client=client,
    provider="mistral_ai",
    patched=(
        f"{HOME}.basesdk:BaseSDK.do_request",
        f"{HOME}.basesdk:BaseSDK.do_request_async",
        f"{HOME}._hooks.sdkhooks:SDKHooks.before_request",
    ),
    error="mistralai.models:SDKError" if HOME == "mistralai" else "mistralai.client.errors:SDKError",
    rejected=lambda status: Reply(status, json={"object": "error", "message": "No such toll", "type": "bad_toll"}),
    retrying={"retrying": True} if HOME != "mistralai" else None,
    async_name="{}_async",
    stream_can=frozenset({"with", "response"}),
    apart=HOME == "mistralai",
)
CHAT = Surface(
    sdk="mistral",
    method="chat.complete",
    path="/chat/completions",
    arguments={
        "model": "mistral-small-latest",
        "messages": [{"role": "system", "content": LONG}, *MESSAGES],
        "max_tokens": 500,
        "temperature": 0.5,
        "top_p": 0.75,
        "random_seed": 7,
        "stop": ["END"],
    },
    span={
        "gen_ai.request.max_tokens": 500,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 0.75,
        "gen_ai.request.seed": 7,
        "gen_ai.request.stop_sequences": ("END",),
    },
    finish=("stop",),
    streams="chat.stream",
    question={"model": "mistral-small-latest", "messages": MESSAGES},
    cap=lambda tokens: {"max_tokens": tokens},
    sent_cap="max_tokens",
    broken=tells_error({"object": "error", "message": "Closed", "type": "bad_toll"}),
)
FIM = Surface(
    sdk="mistral",
    method="fim.complete",
    path="/fim/completions",
    arguments={"model": "codestral-latest", "prompt": "def toll(", "max_tokens": 8, "top_p": 0.75},
    operation="text_completion",
    span={"gen_ai.request.max_tokens": 8, "gen_ai.request.top_p": 0.75},
    finish=("length",),
    streams="fim.stream",
)
CONVERSATION = Surface(
    sdk="mistral",
    method="beta.conversations.start",
    path="/conversations",
    arguments={
        "model": "mistral-medium-latest",
        "inputs": QUESTION,
        "tools": [{"type": "web_search"}],
        "completion_args": {"temperature": 0.5, "max_tokens": 500},
    },
    span={
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 500,
        "tracetoll.usage.tool_use.input_tokens": 120,
        "tracetoll.usage.web_search.count": 1,
    },
    streams="beta.conversations.start_stream",
    answer_id=(),
    answer_model=("outputs.0.model", "model"),
)
EMBEDDINGS = Surface(
    sdk="mistral",
    method="embeddings.create",
    path="/embeddings",
    arguments={"model": "mistral-embed", "inputs": ["one", "two words"]},
    operation="embeddings",
    in_counters=False,
)
PAGES = Surface(
    sdk="mistral",
    method="ocr.process",
    path="/ocr",
    arguments={
        "model": "mistral-ocr-latest",
        "document": {"type": "document_url", "document_url": "https://example.org/tolls.pdf"},
    },
    operation="generate_content",
    span={"gen_ai.output.type": "text", "tracetoll.usage.page.count": 2},
)
SURFACES = (CHAT, FIM, CONVERSATION, EMBEDDINGS, PAGES)
