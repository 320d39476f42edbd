"""writer-sdk 1.2 and later, 2 and 3."""

from __future__ import annotations

from surfaces.ways import QUESTION, Sdk, Surface, hosted_chat, stainless, stainless_patched

SDK = Sdk(
    name="writer",
    module="writerai",
    client=stainless("writerai", "Writer", "AsyncWriter"),
    provider="writer",
    patched=stainless_patched("writerai"),
    error="writerai:APIStatusError",
    retrying={"max_retries": 2},
)
SURFACES = (
    hosted_chat(
        "writer",
        "palmyra-x5",
        method="chat.chat",
        path="/v1/chat",
        stream_arguments={"stream_options": {"include_usage": True}},
        priced=False,
    ),
    Surface(
        sdk="writer",
        method="completions.create",
        path="/v1/completions",
        arguments={"model": "palmyra-x5", "prompt": QUESTION, "max_tokens": 60, "random_seed": 7},
        operation="text_completion",
        span={"gen_ai.request.max_tokens": 60, "gen_ai.request.seed": 7},
        streams=True,
        priced=False,
    ),
)
