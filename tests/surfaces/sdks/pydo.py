"""pydo 0: DigitalOcean's serverless inference, and the agents that it serves."""

from __future__ import annotations

import importlib
from dataclasses import replace
from typing import Any

from surfaces.ways import LONG, MESSAGES, QUESTION, Sdk, Surface, hosted_chat, hosted_embeddings, tells_error


def client(url: str, use_async: bool, **options: Any) -> Any:  # `Sdk.client` says so
    """Make a client whose inference and whose agents are at one place."""
    sdk = importlib.import_module("pydo.aio" if use_async else "pydo")
    where = {"endpoint": url, "inference_endpoint": url, "agent_endpoint": url}
    # Its own policy sends tokens over TLS only.
    key = importlib.import_module("azure.core.credentials").AzureKeyCredential("none")
    policy = importlib.import_module("azure.core.pipeline.policies").AzureKeyCredentialPolicy(key, "authorization")
    return sdk.Client("none", **{**where, "retry_total": 0, "authentication_policy": policy, **options})


SDK = Sdk(
    name="pydo",
    module="pydo",
    client=client,
    provider="digitalocean",
    patched=(
        *(
            f"pydo.{module}:{name}"
            for module in ("operations._operations", "aio.operations._operations")
            for name in (
                "InferenceOperations.create_chat_completion",
                "AgentInferenceOperations.create_chat_completion",
                "InferenceOperations.create_messages",
                "InferenceOperations.create_response",
                "InferenceOperations.create_embedding",
                "InferenceOperations.create_image",
            )
        ),
        *(
            f"pydo.custom_extensions:{name}"
            for name in (
                "StreamingMixin._auto_streaming_call",
                "AsyncStreamingMixin._auto_streaming_call",
                "SSEStream.close",
                "AsyncSSEStream.close",
            )
        ),
    ),
    error="azure.core.exceptions:HttpResponseError",
    request_id=(),
    stream_can=frozenset({"close", "with"}),
    leaves_sockets=True,
    binds_early=True,
    apart=True,
)
CHAT = hosted_chat(
    "pydo",
    "gpt-4o-mini",
    stream_arguments={"stream_options": {"include_usage": True}},
    broken=tells_error({"error": {"message": "Closed", "code": "bad_toll"}}),
    priced=False,
)
AGENT = replace(CHAT, method="agent.chat.completions.create")
MESSAGES_SURFACE = Surface(
    sdk="pydo",
    method="messages.create",
    path="/v1/messages",
    arguments={"model": "claude-haiku-4-5", "max_tokens": 500, "system": LONG, "messages": MESSAGES},
    span={"gen_ai.request.max_tokens": 500},
    finish=("stop",),
    streams=True,
    priced=False,
)
RESPONSES = Surface(
    sdk="pydo",
    method="responses.create",
    path="/responses",
    arguments={"model": "o4-mini", "input": QUESTION, "max_output_tokens": 500},
    span={"gen_ai.request.max_tokens": 500},
    finish=("stop",),
    streams=True,
    priced=False,
)
EMBEDDINGS = hosted_embeddings("pydo", "text-embedding-3-small", priced=False)
IMAGES = Surface(
    sdk="pydo",
    method="images.generate",
    path="/images/generations",
    arguments={"model": "gpt-image-1", "prompt": QUESTION, "n": 2},
    operation="generate_content",
    span={"gen_ai.output.type": "image", "gen_ai.request.choice.count": 2},
    priced=False,
)
SURFACES = (CHAT, AGENT, MESSAGES_SURFACE, RESPONSES, EMBEDDINGS, IMAGES)
