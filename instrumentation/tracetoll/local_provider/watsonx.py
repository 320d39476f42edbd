"""IBM watsonx: text, whole and streamed, chats, embeddings, reranking."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from tracetoll.local_provider import openai_chat, text
from tracetoll.local_provider.answers import compose
from tracetoll.local_provider.wire import Reply

if TYPE_CHECKING:
    from tracetoll.local_provider.answers import Answer, Memory
    from tracetoll.local_provider.wire import Json, Received

FINISHED: Final = {"stop": "eos_token", "length": "max_tokens", "tools": "eos_token"}
DEFAULT_CAP: Final = 20
DIMENSIONS: Final = 8


def generated(received: Received, memory: Memory) -> Reply:
    """Answer `POST …/text/generation`."""
    answer = _composed(received, memory)
    return Reply(json=_head(received) | _result(answer, answer.text, answer.input_tokens, answer.output_tokens))


def streamed(received: Received, memory: Memory) -> Reply:
    """Answer `POST …/text/generation_stream`: the first event tells the input, each the output so far."""
    answer = _composed(received, memory)
    last = len(answer.pieces) - 1
    return Reply(
        events=[
            _head(received)
            | _result(answer, piece, 0 if place else answer.input_tokens, place + 1, finished=place == last)
            for place, piece in enumerate(answer.pieces)
        ],
        done=False,
    )


def chat(received: Received, memory: Memory) -> Reply:
    """Answer `POST …/text/chat`."""
    said = openai_chat.chat(_as_openai(received), memory).json
    return Reply(json=said | {"model_id": said["model"]})


def streamed_chat(received: Received, memory: Memory) -> Reply:
    """Answer `POST …/text/chat_stream`: the last event has the usage, asked for or not."""
    reply = openai_chat.chat(_as_openai(received, stream=True, stream_options={"include_usage": True}), memory)
    events = [{**event, "model_id": event["model"]} for event in reply.events or () if isinstance(event, dict)]
    return Reply(events=events, done=False)


def embedding(received: Received, _: Memory) -> Reply:
    """Answer `POST …/text/embeddings`."""
    inputs = received.fields.get("inputs") or []
    results = [
        {"embedding": [text.number(f"{one}{place}") / 2**32 for place in range(DIMENSIONS)], "input": one}
        for one in inputs
    ]
    return Reply(json=_head(received) | {"results": results, "input_token_count": sum(map(text.count, inputs))})


def reranking(received: Received, _: Memory) -> Reply:
    """Answer `POST …/text/rerank`."""
    read = [one["text"] for one in received.fields.get("inputs") or []]
    results = [{"index": index, "score": 1 / (index + 2)} for index in range(len(read))]
    tokens = sum(map(text.count, [received.fields.get("query") or "", *read]))
    return Reply(json=_head(received) | {"results": results, "input_token_count": tokens})


def tokenized(received: Received, _: Memory) -> Reply:
    """Answer `POST …/text/tokenization`."""
    return Reply(json=_head(received) | {"result": {"token_count": text.count(received.fields["input"])}})


def _as_openai(received: Received, **more: Json) -> Received:
    return replace(received, body={**received.fields, "model": received.fields.get("model_id"), **more})


def _composed(received: Received, memory: Memory) -> Answer:
    cap = (received.fields.get("parameters") or {}).get("max_new_tokens", DEFAULT_CAP)
    return compose(_as_openai(received), memory, default_cap=cap)


def _head(received: Received) -> dict[str, Json]:
    return {"model_id": received.fields.get("model_id", "none"), "created_at": "2026-01-01T00:00:00.000Z"}


def _result(answer: Answer, said: str, read: int, wrote: int, *, finished: bool = True) -> dict[str, Json]:
    reason = FINISHED[answer.finished] if finished else "not_finished"
    counts = {"generated_token_count": wrote, "input_token_count": read}
    return {"results": [{"generated_text": said, **counts, "stop_reason": reason}]}
