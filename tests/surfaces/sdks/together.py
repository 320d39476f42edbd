"""together 1, 2 and 3."""

from __future__ import annotations

import importlib
from dataclasses import replace
from typing import Any

from surfaces.ways import (
    QUESTION,
    Sdk,
    Surface,
    hosted_chat,
    hosted_embeddings,
    major,
    stainless,
    stainless_patched,
    tells_error,
)

EARLY = major("together") == 1
SDK = Sdk(
    name="together",
    module="together",
    client=stainless("together", "Together", "AsyncTogether"),
    provider="together_ai",
    patched=stainless_patched("together"),
    error="together:APIStatusError",
    retrying={"max_retries": 2},
)


def client(url: str, use_async: bool, **options: Any) -> Any:  # `Sdk.client` says so
    sdk = importlib.import_module("together")
    return (sdk.AsyncTogether if use_async else sdk.Together)(
        **{"api_key": "none", "base_url": url, "max_retries": 0, **options}
    )


REQUESTOR = "together.abstract.api_requestor:APIRequestor."
if EARLY:  # it has a transport of its own
    SDK = replace(
        SDK,
        client=client,
        patched=(
            *(REQUESTOR + name for name in ("request", "arequest", "request_raw", "arequest_raw")),
            REQUESTOR + "_prepare_request_raw",
        ),
        error="together.error:TogetherException",
        retrying_async=False,
        stream_can=frozenset({"close"}),
        abandoned="closed",
        leaves_sockets=True,
        warns=(  # of a stream that is never begun, whose session it never closes
            "ignore:(?i)unclosed (client session|connector|transport):ResourceWarning",
            "ignore:Exception ignored in. <function ClientResponse.__del__:pytest.PytestUnraisableExceptionWarning",
        ),
        apart=EARLY,
    )
MODEL = "meta-llama/Llama-3.3-70B-Instruct-Turbo"
SURFACES = (
    hosted_chat("together", MODEL, broken=tells_error({"error": {"message": "Closed", "code": "bad_toll"}})),
    hosted_embeddings("together", "BAAI/bge-base-en-v1.5", priced=False),
    Surface(
        sdk="together",
        method="rerank.create",
        path="/rerank",
        arguments={"model": "Salesforce/Llama-Rank-v1", "query": QUESTION, "documents": ["one toll", "two tolls"]},
        operation="rerank",
        in_counters=False,
        priced=False,
    ),
)
