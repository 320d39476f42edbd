"""cerebras-cloud-sdk 1."""

from __future__ import annotations

from surfaces.ways import Sdk, hosted_chat, stainless, stainless_patched

SDK = Sdk(
    name="cerebras",
    module="cerebras.cloud.sdk",
    client=stainless("cerebras.cloud.sdk", "Cerebras", "AsyncCerebras", warm_tcp_connection=False),
    provider="cerebras",
    patched=stainless_patched("cerebras.cloud.sdk"),
    error="cerebras.cloud.sdk:APIStatusError",
    retrying={"max_retries": 2},
)
SURFACES = (hosted_chat("cerebras", "gpt-oss-120b"),)
