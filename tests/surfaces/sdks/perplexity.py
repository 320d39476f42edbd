"""perplexityai 0.10 and later."""

from __future__ import annotations

from surfaces.ways import Sdk, hosted_chat, hosted_embeddings, stainless, stainless_patched

SDK = Sdk(
    name="perplexity",
    module="perplexity",
    client=stainless("perplexity", "Perplexity", "AsyncPerplexity"),
    provider="perplexity",
    patched=stainless_patched("perplexity"),
    error="perplexity:APIStatusError",
    retrying={"max_retries": 2},
)
SURFACES = (
    hosted_chat("perplexity", "sonar"),
    hosted_embeddings("perplexity", "pplx-embed-v1-0.6b"),
)
