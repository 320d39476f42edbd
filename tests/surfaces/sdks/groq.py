"""groq 0.9 and later, 1."""

from __future__ import annotations

from surfaces.ways import Sdk, Surface, hosted_chat, major, stainless, stainless_patched, tells_error

SDK = Sdk(
    name="groq",
    module="groq",
    client=stainless("groq", "Groq", "AsyncGroq"),
    provider="groq",
    patched=stainless_patched("groq"),
    error="groq:APIStatusError",
    retrying={"max_retries": 2} if major("groq") else None,  # 0.9 has waits of its own
)
SURFACES = (
    hosted_chat("groq", "openai/gpt-oss-20b", broken=tells_error({"error": {"message": "Closed", "code": "bad_toll"}})),
    Surface(
        sdk="groq",
        method="audio.transcriptions.create",
        path="/audio/transcriptions",
        arguments={"model": "whisper-transcribe", "file": ("toll.wav", b"RIFF" * 20_000)},
        operation="generate_content",
        span={"gen_ai.output.type": "text"},
        priced=False,
    ),
)
