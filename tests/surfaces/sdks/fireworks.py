"""fireworks-ai 1."""

from __future__ import annotations

from surfaces.ways import Sdk, hosted_chat, stainless, stainless_patched

SDK = Sdk(
    name="fireworks",
    module="fireworks",
    client=stainless("fireworks", "Fireworks", "AsyncFireworks"),
    provider="fireworks_ai",
    patched=stainless_patched("fireworks"),
    error="fireworks:APIStatusError",
    retrying={"max_retries": 2},
)
SURFACES = (hosted_chat("fireworks", "accounts/fireworks/models/gpt-oss-20b"),)
