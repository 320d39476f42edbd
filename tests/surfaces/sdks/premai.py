"""premai 0.18. It can ask for a stream, and then has no way to read it."""

from __future__ import annotations

from surfaces.ways import LONG, MESSAGES, Sdk, hosted_chat, stainless, stainless_patched

SDK = Sdk(
    name="premai",
    module="premai",
    client=stainless("premai", "PremAI", "AsyncPremAI"),
    provider="premai",
    patched=stainless_patched("premai"),
    error="premai:APIStatusError",
    retrying={"max_retries": 2},
    ways=("whole", "raw", "streaming response"),
)
SURFACES = (
    hosted_chat(
        "premai",
        "claude-4-sonnet",
        method="chat.completions",
        path="/api/v1/chat/completions",
        arguments={
            "model": "claude-4-sonnet",
            "messages": [{"role": "system", "content": LONG}, *MESSAGES],
            "max_completion_tokens": 500,
            "temperature": 0.5,
            "top_p": 0.75,
            "stop": ["END"],
        },
        streams=False,
        cap=lambda tokens: {"max_completion_tokens": tokens},
        sent_cap="max_completion_tokens",
        priced=False,
    ),
)
