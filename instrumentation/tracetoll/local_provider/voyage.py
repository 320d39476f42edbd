"""Voyage's API: embeddings and reranking, of which it tells one total."""

from __future__ import annotations

import base64
import struct
from typing import TYPE_CHECKING, Final

from tracetoll.local_provider import text
from tracetoll.local_provider.answers import asked_model
from tracetoll.local_provider.wire import Reply

if TYPE_CHECKING:
    from tracetoll.local_provider.answers import Memory
    from tracetoll.local_provider.wire import Json, Received

DIMENSIONS: Final = 8
PIXELS: Final = 40_000
PIXELS_PER_TOKEN: Final = 560


def embedding(received: Received, _: Memory) -> Reply:
    """Answer `POST …/embeddings`."""
    given = received.fields.get("input", "")
    inputs = given if isinstance(given, list) else [given]
    return _reply(received, [_one(index, one) for index, one in enumerate(inputs)], inputs)


def contextual(received: Received, _: Memory) -> Reply:
    """Answer `POST …/contextualizedembeddings`: a list of vectors for each document."""
    documents = received.fields.get("inputs", [])
    data = [
        {"object": "list", "index": index, "data": [_one(place, part) for place, part in enumerate(document)]}
        for index, document in enumerate(documents)
    ]
    return _reply(received, data, [part for document in documents for part in document])


def multimodal(received: Received, _: Memory) -> Reply:
    """Answer `POST …/multimodalembeddings`; every image has the same size."""
    inputs = received.fields.get("inputs", [])
    parts = [part for one in inputs for part in one["content"]]
    texts = sum(text.count(part["text"]) for part in parts if "text" in part)
    pixels = PIXELS * sum("text" not in part for part in parts)
    usage = {
        "text_tokens": texts,
        "image_pixels": pixels,
        "video_pixels": 0,
        "total_tokens": texts + pixels // PIXELS_PER_TOKEN,
    }
    data = [_one(index, str(one)) for index, one in enumerate(inputs)]
    return Reply(json={"object": "list", "data": data, "model": asked_model(received), "usage": usage})


def reranking(received: Received, _: Memory) -> Reply:
    """Answer `POST …/rerank`."""
    documents = received.fields.get("documents", [])
    data = [{"index": index, "relevance_score": 1 / (index + 2)} for index in range(len(documents))]
    return _reply(received, data, [received.fields.get("query", ""), *documents])


def _one(index: int, seed: str) -> dict[str, Json]:
    numbers = [text.number(f"{seed}{place}") / 2**32 for place in range(DIMENSIONS)]
    packed = base64.b64encode(struct.pack(f"<{DIMENSIONS}f", *numbers)).decode()
    return {"object": "embedding", "index": index, "embedding": packed}


def _reply(received: Received, data: list[dict[str, Json]], read: list[str]) -> Reply:
    usage = {"total_tokens": sum(map(text.count, read))}
    return Reply(json={"object": "list", "data": data, "model": asked_model(received), "usage": usage})
