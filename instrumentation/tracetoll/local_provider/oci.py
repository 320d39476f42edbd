"""Oracle's generative AI: chats in its generic format, embeddings."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from tracetoll.local_provider import text
from tracetoll.local_provider.answers import compose
from tracetoll.local_provider.wire import Reply

if TYPE_CHECKING:
    from tracetoll.local_provider.answers import Memory
    from tracetoll.local_provider.wire import Json, Received

DIMENSIONS: Final = 8


def chat(received: Received, memory: Memory) -> Reply:
    """Answer `POST /20231130/actions/chat`."""
    asked = received.fields.get("chatRequest") or {}
    answer = compose(
        replace(received, body={**asked, "model": _model(received)}), memory, default_cap=asked.get("maxTokens")
    )
    usage = {
        "promptTokens": answer.input_tokens,
        "completionTokens": answer.output_tokens,
        "totalTokens": answer.input_tokens + answer.output_tokens,
        "promptTokensDetails": {"cachedTokens": answer.cached_tokens},
        "completionTokensDetails": {"reasoningTokens": answer.reasoning_tokens},
    }
    message = {"role": "ASSISTANT", "content": [{"type": "TEXT", "text": answer.text}]}
    choice = {"index": 0, "message": message, "finishReason": answer.finished}
    told = {"apiFormat": "GENERIC", "timeCreated": "2026-01-01T00:00:00.000Z", "choices": [choice], "usage": usage}
    return Reply(json={"modelId": answer.model, "modelVersion": "1.0", "chatResponse": told})


def embedding(received: Received, _: Memory) -> Reply:
    """Answer `POST /20231130/actions/embedText`."""
    inputs = received.fields.get("inputs") or []
    vectors = [[text.number(f"{one}{place}") / 2**32 for place in range(DIMENSIONS)] for one in inputs]
    tokens = sum(map(text.count, inputs))
    usage = {"promptTokens": tokens, "totalTokens": tokens}
    return Reply(json={"id": "none", "modelId": _model(received), "embeddings": vectors, "usage": usage})


def _model(received: Received) -> Json:
    return (received.fields.get("servingMode") or {}).get("modelId")
