"""azure-ai-inference 1: its clients for chat and for embeddings."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from surfaces.ways import MESSAGES, QUESTION, Sdk, Surface, tells_error

if TYPE_CHECKING:
    from collections.abc import Callable


def of_class(name: str) -> Callable[..., Any]:
    """Return what makes clients of a class."""

    def make(url: str, use_async: bool, **options: Any) -> Any:  # `Sdk.client` says so
        module = importlib.import_module("azure.ai.inference.aio" if use_async else "azure.ai.inference")
        key = importlib.import_module("azure.core.credentials").AzureKeyCredential("none")
        return getattr(module, name)(url, key, **{"retry_total": 0, **options})

    return make


MODULES = ("azure.ai.inference._patch", "azure.ai.inference.aio._patch")
SDK = Sdk(
    name="azure_ai_inference",
    module="azure.ai.inference",
    client=of_class("ChatCompletionsClient"),
    provider="azure.ai.inference",
    patched=(
        *(f"{module}:ChatCompletionsClient.complete" for module in MODULES),
        *(f"{module}:{name}EmbeddingsClient.embed" for module in MODULES for name in ("", "Image")),
        "azure.ai.inference.models._patch:StreamingChatCompletions.close",
        "azure.ai.inference.models._patch:AsyncStreamingChatCompletions.aclose",
    ),
    error="azure.core.exceptions:HttpResponseError",
    request_id=(),
    stream_can=frozenset({"close", "with"}),
    leaves_sockets=True,  # of asynchronous streams that are cancelled, without us too
)
CHAT = Surface(
    sdk="azure_ai_inference",
    method="complete",
    path="/chat/completions",
    arguments={
        "model": "o4-mini",
        "messages": MESSAGES,
        "max_tokens": 500,
        "temperature": 0.5,
        "seed": 7,
        "stop": ["END"],
    },
    span={
        "gen_ai.request.max_tokens": 500,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.seed": 7,
        "gen_ai.request.stop_sequences": ("END",),
    },
    finish=("stop",),
    streams=True,
    stream_arguments={"model_extras": {"stream_options": {"include_usage": True}}},
    question={"model": "gpt-4o-mini", "messages": MESSAGES},
    cap=lambda tokens: {"max_tokens": tokens},
    sent_cap="max_tokens",
    broken=tells_error({"error": {"message": "Closed", "code": "bad_toll"}}),
)
EMBEDDINGS = Surface(
    sdk="azure_ai_inference",
    method="embed",
    path="/embeddings",
    arguments={"model": "text-embedding-3-small", "input": [QUESTION], "dimensions": 4},
    operation="embeddings",
    span={"gen_ai.embeddings.dimension.count": 4},
    client=of_class("EmbeddingsClient"),
    in_counters=False,
)
SURFACES = (CHAT, EMBEDDINGS)
