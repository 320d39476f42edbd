"""replicate 1. A prediction's output can be streamed, its tokens are not told there: tests/test_replicate.py."""

from __future__ import annotations

import importlib
from typing import Any

from surfaces.ways import QUESTION, Sdk, Surface
from tracetoll.local_provider import Reply


def client(url: str, use_async: bool, **options: Any) -> Any:  # `Sdk.client` says so
    """Make a client, which is for both."""
    made = importlib.import_module("replicate.client").Client(base_url=url, **options)
    own = made._async_client if use_async else made._client  # noqa: SLF001  # nothing public closes it
    made.close = own.aclose if use_async else own.close
    return made


MODEL = "meta/llama-4"
SDK = Sdk(
    name="replicate",
    module="replicate",
    client=client,
    provider="replicate",
    patched=("replicate.client:Client._request", "replicate.client:Client._async_request"),
    error="replicate.exceptions:ReplicateError",
    rejected=lambda status: Reply(status, json={"title": "No such toll", "status": status}),
    error_type="{}",
    ways=("whole",),
    async_name="async_{}",
    model="ref",
)
ASKED = {"ref": MODEL, "input": {"prompt": QUESTION}, "wait": True}  # 1.0.0 does not wait unless it is told to
PREDICTION = Surface(
    sdk="replicate",
    method="run",
    path="/predictions",
    arguments=ASKED,
    operation="generate_content",
    question=ASKED,
    priced=False,
)
SURFACES = (PREDICTION,)
