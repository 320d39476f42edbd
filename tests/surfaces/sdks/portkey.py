"""portkey-ai 2: chats by the copy of openai that it brings, stored prompts by a transport of its own."""

from __future__ import annotations

import importlib
from typing import Any

from surfaces.ways import LONG, MESSAGES, Sdk, Surface, hosted_chat, stainless_patched, tells_error


def client(url: str, use_async: bool, **options: Any) -> Any:  # `Sdk.client` says so
    """Make a client: it tries again in both of its transports, and takes no option against that."""
    sdk, httpx = importlib.import_module("portkey_ai"), importlib.import_module("httpx")
    # The transport for prompts relies on the address of its HTTP client.
    transport = (httpx.AsyncClient if use_async else httpx.Client)(verify=False, base_url=f"{url}/v1")
    kind = sdk.AsyncPortkey if use_async else sdk.Portkey
    made = kind(api_key="none", base_url=f"{url}/v1", provider="openai", http_client=transport, **options)
    made.max_retries = made.openai_client.max_retries = 0
    made.close = transport.aclose if use_async else transport.close
    return made


CLIENT = "portkey_ai.api_resources.base_client:"
SDK = Sdk(
    name="portkey",
    module="portkey_ai",
    client=client,
    provider="portkey",
    patched=(
        *stainless_patched("portkey_ai._vendor.openai"),
        *(CLIENT + name for name in ("APIClient._request", "AsyncAPIClient._request")),
    ),
    error="portkey_ai._vendor.openai:APIStatusError",
    apart=True,
)
CHAT = hosted_chat(
    "portkey",
    "gpt-4o-mini",
    stream_arguments={"stream_options": {"include_usage": True}},
    broken=tells_error({"error": {"message": "Closed", "code": "bad_toll"}}),
    priced=False,
)
PROMPT = Surface(
    sdk="portkey",
    method="prompts.completions.create",
    path="/prompts/toll/completions",
    arguments={
        "prompt_id": "toll",
        "variables": {"what": LONG},
        "model": "gpt-4o-mini",
        "max_tokens": 500,
        "temperature": 0.5,
        "messages": MESSAGES,
    },
    span={"gen_ai.request.max_tokens": 500, "gen_ai.request.temperature": 0.5},
    finish=("stop",),
    streams=True,
    stream_arguments={"stream_options": {"include_usage": True}},
    priced=False,
)
SURFACES = (CHAT, PROMPT)
