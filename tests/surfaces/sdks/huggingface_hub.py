"""huggingface_hub 0.30 to 2: InferenceClient, on a server of one's own."""

from __future__ import annotations

import importlib
from typing import Any

from surfaces.ways import MESSAGES, Sdk, Surface, major


def made(url: str, use_async: bool, **options: Any) -> Any:  # `Sdk.client` says so
    """Make a client."""
    sdk = importlib.import_module("huggingface_hub")
    return (sdk.AsyncInferenceClient if use_async else sdk.InferenceClient)(
        base_url=f"{url}/v1", api_key="none", **options
    )


SDK = Sdk(
    name="huggingface_hub",
    module="huggingface_hub",
    client=made,
    provider="hugging_face",
    patched=(
        "huggingface_hub.inference._client:InferenceClient._inner_post",
        "huggingface_hub.inference._generated._async_client:AsyncInferenceClient._inner_post",
    ),
    error_type="{}",
    # Before 1 asynchronous clients asked by aiohttp, and let its errors through.
    error="huggingface_hub.errors:HfHubHTTPError" if major("huggingface-hub") else "builtins:Exception",
    request_id=(),
    stream_can=frozenset({"close"}),
    abandoned="closed",
)
CHAT = Surface(
    sdk="huggingface_hub",
    method="chat_completion",
    path="/chat/completions",
    arguments={
        "model": "o4-mini",
        "messages": MESSAGES,
        "max_tokens": 500,
        "temperature": 0.5,
        "seed": 7,
        "stop": ["END"],
        "n": 2,
    },
    span={
        "gen_ai.request.max_tokens": 500,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.seed": 7,
        "gen_ai.request.stop_sequences": ("END",),
        "gen_ai.request.choice.count": 2,
    },
    finish=("stop", "stop"),
    streams=True,
    stream_arguments={"stream_options": {"include_usage": True}},
    question={"model": "gpt-4o-mini", "messages": MESSAGES},
    cap=lambda tokens: {"max_tokens": tokens},
    sent_cap="max_tokens",
    priced=False,
)
SURFACES = (CHAT,)
