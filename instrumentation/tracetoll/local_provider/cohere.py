"""Cohere's first and second API: what is billed is less than what the model reads and writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tracetoll.local_provider import text
from tracetoll.local_provider.answers import compose
from tracetoll.local_provider.wire import LINES_TYPE, Reply, compact, unique

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tracetoll.local_provider.answers import Answer, Memory
    from tracetoll.local_provider.wire import Json, Received

FINISHED: Final = {"stop": "COMPLETE", "length": "MAX_TOKENS", "tools": "TOOL_CALL"}
TEMPLATE_TOKENS: Final = 62
"""What Cohere puts around a prompt, and bills nobody for."""
DIMENSIONS: Final = 8


def chat(received: Received, memory: Memory) -> Reply:
    """Answer `POST …/v2/chat`."""
    answer = compose(received, memory)
    name = unique("")
    if received.fields.get("stream"):
        return Reply(events=list(_chat_events(answer, name)))
    message: dict[str, Json] = {"role": "assistant", "content": [{"type": "text", "text": answer.text}]}
    if answer.tool_calls:
        message["tool_calls"] = [_tool_call(answer, index) for index in range(len(answer.tool_calls))]
    return Reply(json={"id": name, "message": message, **_end(answer)})


def first_chat(received: Received, memory: Memory) -> Reply:
    """Answer `POST …/v1/chat`."""
    answer = compose(received, memory)
    name = {"generation_id": unique("")}
    whole = {
        "response_id": unique(""),
        **name,
        "text": answer.text,
        "finish_reason": FINISHED[answer.finished],
        "meta": _meta(answer),
    }
    if not received.fields.get("stream"):
        return Reply(json=whole)
    events = [{"is_finished": False, "event_type": "stream-start", **name}]
    events += [{"is_finished": False, "event_type": "text-generation", "text": piece} for piece in answer.pieces]
    reason = whole["finish_reason"]
    events += [{"is_finished": True, "event_type": "stream-end", "finish_reason": reason, "response": whole}]
    return Reply(events=events, headers={"content-type": LINES_TYPE["cohere"]})


def generated(received: Received, memory: Memory) -> Reply:
    """Answer `POST …/v1/generate`."""
    answer = compose(received, memory)
    said = {"id": unique(""), "text": answer.text, "finish_reason": FINISHED[answer.finished]}
    return Reply(json={"id": unique(""), "prompt": "", "generations": [said], "meta": _meta(answer)})


def embedding(received: Received, _: Memory) -> Reply:
    """Answer `POST …/embed`."""
    body = received.fields
    texts = body.get("texts") or []
    vectors = [[text.number(f"{one}{place}") / 2**32 for place in range(DIMENSIONS)] for one in texts]
    tokens = float(sum(text.count(one) for one in texts))
    meta = {"api_version": {"version": "2"}, "billed_units": {"input_tokens": tokens}}
    by_type = {"response_type": "embeddings_by_type", "embeddings": {"float": vectors}}
    floats = {"response_type": "embeddings_floats", "embeddings": vectors}
    return Reply(json={"id": unique(""), "texts": texts, "meta": meta, **(by_type if _typed(received) else floats)})


def reranking(received: Received, _: Memory) -> Reply:
    """Answer `POST …/rerank`: a hundred documents are a search unit."""
    documents = received.fields.get("documents") or []
    results = [{"index": index, "relevance_score": 1 / (index + 2)} for index in range(len(documents))]
    units = float(1 + len(documents) // 100)
    meta = {"api_version": {"version": "2"}, "billed_units": {"search_units": units}}
    return Reply(json={"id": unique(""), "results": results, "meta": meta})


def _typed(received: Received) -> bool:
    return "/v2/" in received.path or bool(received.fields.get("embedding_types"))


def _usage(answer: Answer) -> dict[str, Json]:
    billed = {"input_tokens": float(answer.input_tokens), "output_tokens": float(answer.output_tokens)}
    read = float(answer.input_tokens + TEMPLATE_TOKENS)
    consumed = {"input_tokens": read, "output_tokens": float(answer.output_tokens + 1)}
    return {"billed_units": billed, "tokens": consumed, "cached_tokens": read - 1}


def _meta(answer: Answer) -> dict[str, Json]:
    return {"api_version": {"version": "1"}, **_usage(answer)}


def _end(answer: Answer) -> dict[str, Json]:
    return {"finish_reason": FINISHED[answer.finished], "usage": _usage(answer)}


def _tool_call(answer: Answer, index: int) -> dict[str, Json]:
    call = answer.tool_calls[index]
    function = {"name": call.name, "arguments": compact(call.arguments)}
    return {"id": unique(f"{call.name}_"), "type": "function", "function": function}


def _chat_events(answer: Answer, name: str) -> Iterator[Mapping[str, Json]]:
    yield {"type": "message-start", "id": name, "delta": {"message": {"role": "assistant", "content": []}}}
    yield {"type": "content-start", "index": 0, "delta": {"message": {"content": {"type": "text", "text": ""}}}}
    for piece in answer.pieces:
        yield {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": piece}}}}
    yield {"type": "content-end", "index": 0}
    for index in range(len(answer.tool_calls)):
        call = _tool_call(answer, index)
        yield {"type": "tool-call-start", "index": index, "delta": {"message": {"tool_calls": call}}}
        yield {"type": "tool-call-end", "index": index}
    yield {"type": "message-end", "delta": _end(answer)}
