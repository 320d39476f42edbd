"""Ollama's own API: counts on the last line, durations in nanoseconds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from tracetoll.local_provider import text
from tracetoll.local_provider.answers import asked_model, compose
from tracetoll.local_provider.wire import LINES_TYPE, Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tracetoll.local_provider.answers import Answer, Memory
    from tracetoll.local_provider.wire import Json, Received

DIMENSIONS: Final = 8
TOKEN_NS: Final = 9_000_000
FINISHED: Final = {"stop": "stop", "length": "length", "tools": "stop"}


def chat(received: Received, memory: Memory) -> Reply:
    """Answer `POST /api/chat`."""
    answer = _composed(received, memory)
    calls = [{"function": {"name": call.name, "arguments": dict(call.arguments)}} for call in answer.tool_calls]

    def said(words: str) -> dict[str, Json]:
        told = {"role": "assistant", "content": words}
        return {"message": told | {"tool_calls": calls} if calls else told}

    return _reply(received, answer, said)


def generated(received: Received, memory: Memory) -> Reply:
    """Answer `POST /api/generate`."""
    return _reply(received, _composed(received, memory), lambda words: {"response": words})


def embedding(received: Received, _: Memory) -> Reply:
    """Answer `POST /api/embed`."""
    given = received.fields.get("input", "")
    inputs = given if isinstance(given, list) else [given]
    counts = {"total_duration": TOKEN_NS, "load_duration": 0, "prompt_eval_count": sum(map(text.count, inputs))}
    vectors = [_vector(one) for one in inputs]
    return Reply(json={"model": asked_model(received), "embeddings": vectors, **counts})


def old_embedding(received: Received, _: Memory) -> Reply:
    """Answer `POST /api/embeddings`, which tells no counts."""
    return Reply(json={"embedding": _vector(str(received.fields.get("prompt", "")))})


def _composed(received: Received, memory: Memory) -> Answer:
    cap = (received.fields.get("options") or {}).get("num_predict")
    return compose(received, memory, default_cap=cap if isinstance(cap, int) and cap > 0 else None)


def _vector(seed: str) -> list[float]:
    return [text.number(f"{seed}{place}") / 2**32 for place in range(DIMENSIONS)]


def _reply(received: Received, answer: Answer, said: Callable[[str], Mapping[str, Json]]) -> Reply:
    made_at = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    head = {"model": answer.model, "created_at": made_at}
    end = {
        "done": True,
        "done_reason": FINISHED[answer.finished],
        "total_duration": TOKEN_NS * (answer.input_tokens + answer.output_tokens),
        "load_duration": 0,
        "prompt_eval_count": answer.input_tokens,
        "prompt_eval_duration": TOKEN_NS * answer.input_tokens,
        "eval_count": answer.output_tokens,
        "eval_duration": TOKEN_NS * answer.output_tokens,
    }
    if received.fields.get("stream") is False:  # without the field, Ollama streams
        return Reply(json={**head, **said(answer.text), **end})
    parts = [{**head, **said(piece), "done": False} for piece in answer.pieces]
    return Reply(events=[*parts, {**head, **said(""), **end}], headers={"content-type": LINES_TYPE["ollama"]})
