"""OpenAI's APIs around chat: embeddings, moderations, images and audio."""

from __future__ import annotations

import base64
import math
import struct
import time
from typing import TYPE_CHECKING, Final

from tracetoll.local_provider import text
from tracetoll.local_provider.answers import asked_model, compose
from tracetoll.local_provider.wire import Reply, unique

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tracetoll.local_provider.answers import Answer, Memory
    from tracetoll.local_provider.wire import Json, Received

DIMENSIONS: Final = 8
BYTES_PER_SECOND: Final = 16_000
AUDIO_TOKENS_PER_SECOND: Final = 10
IMAGE_TOKENS: Final = {"low": 272, "medium": 1056, "high": 4160}
CATEGORIES: Final = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)
# One transparent pixel.
PNG: Final = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="


def embedding(received: Received, _: Memory) -> Reply:
    """Answer `POST …/embeddings`; a token given as a number counts as one."""
    body = received.fields
    given = body.get("input", "")
    inputs = given if isinstance(given, list) and not all(isinstance(part, int) for part in given) else [given]
    size = body.get("dimensions") or DIMENSIONS
    packed = body.get("encoding_format") == "base64"
    data = [
        {"object": "embedding", "index": index, "embedding": _packed(vector) if packed else vector}
        for index, vector in enumerate(_vector(str(part), size) for part in inputs)
    ]
    tokens = sum(len(part) if isinstance(part, list) else text.count(part) for part in inputs)
    counts = {"prompt_tokens": tokens, "total_tokens": tokens}
    return Reply(json={"object": "list", "data": data, "model": asked_model(received), "usage": counts})


def moderation(received: Received, _: Memory) -> Reply:
    """Answer `POST …/moderations`: nothing is ever flagged, and no usage is reported."""
    given = received.fields.get("input", "")
    texts = given if isinstance(given, list) and all(isinstance(part, str) for part in given) else [given]
    result = {
        "flagged": False,
        "categories": dict.fromkeys(CATEGORIES, False),
        "category_scores": dict.fromkeys(CATEGORIES, 0.001),
        "category_applied_input_types": {name: ["text"] for name in CATEGORIES},
    }
    model = received.fields.get("model", "omni-moderation-latest")
    return Reply(json={"id": unique("modr-"), "model": model, "results": [result for _ in texts]})


def image(received: Received, _: Memory) -> Reply:
    """Answer `POST …/images/generations`; only the gpt-image models report usage."""
    body = received.fields
    number = body.get("n") or 1
    created = int(time.time())
    if not asked_model(received).startswith("gpt-image"):
        return Reply(json={"created": created, "data": [{"url": f"/made-up/{created}.png"}] * number})
    looks = {"background": "opaque", "output_format": "png", "quality": "medium", "size": "1024x1024"}
    looks |= {name: body[name] for name in looks if body.get(name) not in {None, "auto"}}
    counts = _image_usage(body, number * IMAGE_TOKENS.get(looks["quality"], IMAGE_TOKENS["high"]))
    if body.get("stream"):
        made = {"type": "image_generation.completed", "b64_json": PNG, "created_at": created}
        return Reply(events=[made | looks | {"usage": counts}])
    return Reply(json={"created": created, "data": [{"b64_json": PNG}] * number, "usage": counts} | looks)


def heard(received: Received, memory: Memory) -> Reply:
    """Answer `POST …/audio/transcriptions` and `…/audio/translations`.

    The gpt-…-transcribe models report tokens, whisper the seconds; how long the audio is follows from
    its size.
    """
    fields = received.fields
    answer = compose(received, memory)
    if fields.get("response_format") in {"text", "srt", "vtt"}:
        return Reply(body=f"{answer.text}\n".encode(), headers={"content-type": "text/plain; charset=utf-8"})
    audio = fields.get("file", b"")
    seconds = max(1, math.ceil(len(audio) / BYTES_PER_SECOND))
    if "transcribe" not in answer.model:
        whole = {"task": "transcribe", "language": "english", "duration": float(seconds), "segments": []}
        more = whole if fields.get("response_format") == "verbose_json" else {}
        return Reply(json=more | {"text": answer.text, "usage": {"type": "duration", "seconds": seconds}})
    counts = _audio_usage(fields, answer, seconds)
    if fields.get("stream") == "true":
        # These events have a type but no name.
        deltas = [(None, {"type": "transcript.text.delta", "delta": piece}) for piece in answer.pieces]
        done = {"type": "transcript.text.done", "text": answer.text, "usage": counts}
        return Reply(events=[*deltas, (None, done)])
    return Reply(json={"text": answer.text, "usage": counts})


def speech(received: Received, _: Memory) -> Reply:
    """Answer `POST …/audio/speech`: bytes that no player would play, and no usage."""
    sound = b"ID3" + text.number(str(received.fields.get("input"))).to_bytes(4, "big") * 256
    return Reply(body=sound, headers={"content-type": "audio/mpeg"})


def _vector(seed: str, size: int) -> list[float]:
    raw = [text.number(f"{seed}{place}") / 2**31 - 1 for place in range(size)]
    length = math.hypot(*raw) or 1.0
    return [part / length for part in raw]


def _packed(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _image_usage(body: Mapping[str, Json], output: int) -> dict[str, Json]:
    words = text.count(str(body.get("prompt", "")))
    return {
        "input_tokens": words,
        "input_tokens_details": {"text_tokens": words, "image_tokens": 0},
        "output_tokens": output,
        "output_tokens_details": {"image_tokens": output, "text_tokens": 0},
        "total_tokens": words + output,
    }


def _audio_usage(fields: Mapping[str, Json], answer: Answer, seconds: int) -> dict[str, Json]:
    audio = seconds * AUDIO_TOKENS_PER_SECOND
    words = text.count(fields["prompt"]) if fields.get("prompt") else 0
    return {
        "type": "tokens",
        "input_tokens": audio + words,
        "input_token_details": {"audio_tokens": audio, "text_tokens": words},
        "output_tokens": answer.output_tokens,
        "total_tokens": audio + words + answer.output_tokens,
    }
