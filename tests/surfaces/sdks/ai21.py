"""ai21 3 and 4."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

from pydantic import BaseModel

from surfaces.ways import QUESTION, Sdk, Surface


class Message(BaseModel):
    """As the SDK's own, which is not to be imported here."""

    role: str
    content: str


MESSAGES = [Message(role="user", content=QUESTION)]


def made(url: str, use_async: bool, **options: Any) -> Any:  # `Sdk.client` says so
    """Make a client."""
    warnings.simplefilter("ignore", DeprecationWarning)  # httpx and pydantic warn of how the SDK uses them
    sdk, httpx = importlib.import_module("ai21"), importlib.import_module("httpx")
    transport = (httpx.AsyncClient if use_async else httpx.Client)(verify=False)
    make = sdk.AsyncAI21Client if use_async else sdk.AI21Client
    client = make(api_key="none", api_host=f"{url}/v1", http_client=transport, **options)
    client.close = transport.aclose if use_async else transport.close  # it has none of its own
    return client


SDK = Sdk(
    name="ai21",
    module="ai21",
    client=made,
    provider="ai21",
    patched=(
        "ai21.http_client.http_client:AI21HTTPClient.execute_http_request",
        "ai21.http_client.async_http_client:AsyncAI21HTTPClient.execute_http_request",
    ),
    error="ai21.errors:AI21APIError",
    error_type="{}",
)
CHAT = Surface(
    sdk="ai21",
    method="chat.completions.create",
    path="/chat/completions",
    arguments={
        "model": "jamba-large",
        "messages": MESSAGES,
        "max_tokens": 500,
        "temperature": 0.5,
        "top_p": 0.75,
        "stop": ["END"],
        "n": 2,
    },
    span={
        "gen_ai.request.max_tokens": 500,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 0.75,
        "gen_ai.request.stop_sequences": ("END",),
        "gen_ai.request.choice.count": 2,
    },
    finish=("stop", "stop"),
    streams=True,
    stream_arguments={"stream_options": {"include_usage": True}},
    question={"model": "jamba-large", "messages": MESSAGES},
    cap=lambda tokens: {"max_tokens": tokens},
    sent_cap="max_tokens",
    priced=False,
)
SURFACES = (CHAT,)
