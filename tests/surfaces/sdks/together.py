"""together 2 and 3."""

from __future__ import annotations

from surfaces.ways import (
    QUESTION,
    Sdk,
    Surface,
    hosted_chat,
    hosted_embeddings,
    stainless,
    stainless_patched,
    tells_error,
)

SDK = Sdk(
    name="together",
    module="together",
    client=stainless("together", "Together", "AsyncTogether"),
    provider="together_ai",
    patched=stainless_patched("together"),
    error="together:APIStatusError",
    retrying={"max_retries": 2},
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
