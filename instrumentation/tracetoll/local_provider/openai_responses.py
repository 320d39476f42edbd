"""OpenAI's Responses API: whole, streamed, in the background, fetched, compacted, counted."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from tracetoll.local_provider import text
from tracetoll.local_provider.answers import compose
from tracetoll.local_provider.wire import Reply, compact, unique

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tracetoll.local_provider.answers import Answer, Memory
    from tracetoll.local_provider.wire import Json, Received

# What a response repeats of its request, and has where the request says nothing.
DEFAULTS: Final[Mapping[str, Json]] = {
    "background": False,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}, "verbosity": "medium"},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}
# An item of the output as it is before anything is added to it.
BEGUN: Final[Mapping[str, Mapping[str, Json]]] = {
    "reasoning": {},
    "message": {"status": "in_progress", "content": []},
    "function_call": {"status": "in_progress", "arguments": ""},
}


def response(received: Received, memory: Memory) -> Reply:
    """Answer `POST …/responses`.

    A response in the background is completed when it is fetched for the second time.
    """
    body = received.fields
    answer = compose(received, memory)
    started = _started(body, answer)
    items = list(_items(answer))
    final = started | {
        "status": "incomplete" if answer.finished == "length" else "completed",
        "completed_at": started["created_at"],
        "incomplete_details": {"reason": "max_output_tokens"} if answer.finished == "length" else None,
        "output": items,
        "service_tier": "default",
        "usage": usage(answer),
    }
    if body.get("stream"):
        memory.keep(final["id"], final)
        steps = _steps(started, items, final)
        return Reply(events=[event | {"sequence_number": place} for place, event in enumerate(steps)])
    if body.get("background"):
        memory.keep(final["id"], started, final)
        return Reply(json=started | {"status": "queued"})
    memory.keep(final["id"], final)
    return Reply(json=final)


def fetched(received: Received, memory: Memory) -> Reply:
    """Answer `GET …/responses/{id}`."""
    name = received.path.rsplit("/", 1)[-1]
    found = memory.look_up(name)
    if found is None:
        return Reply.openai_error(404, None, f"Response with id '{name}' not found.")
    return Reply(json=found)


def compaction(received: Received, memory: Memory) -> Reply:
    """Answer `POST …/responses/compact`: what users said, and one item for all the rest."""
    given = received.fields.get("input") or []
    answer = compose(received, memory)
    asked = [given] if isinstance(given, str) else [turn.get("content") for turn in given if turn.get("role") == "user"]
    users = [
        {
            "id": unique("msg_"),
            "type": "message",
            "status": "completed",
            "role": "user",
            "content": [{"type": "input_text", "text": text.said(said)}],
        }
        for said in asked
    ]
    item = {"id": unique("cmp_"), "type": "compaction", "encrypted_content": f"{text.number(answer.text):08x}"}
    return Reply(
        json={
            "id": unique("resp_"),
            "object": "response.compaction",
            "created_at": int(time.time()),
            "output": [*users, item],
            "usage": usage(answer),
        }
    )


def input_tokens(received: Received, _: Memory) -> Reply:
    """Answer `POST …/responses/input_tokens`."""
    counted = text.count(text.prompt(received.fields))
    return Reply(json={"object": "response.input_tokens", "input_tokens": counted})


def usage(answer: Answer) -> dict[str, Json]:
    """Return the usage of a response."""
    return {
        "input_tokens": answer.input_tokens,
        "input_tokens_details": {"cached_tokens": answer.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": answer.output_tokens,
        "output_tokens_details": {"reasoning_tokens": answer.reasoning_tokens},
        "total_tokens": answer.input_tokens + answer.output_tokens,
    }


def _started(body: Mapping[str, Json], answer: Answer) -> dict[str, Json]:
    given = {name: body.get(name, default) for name, default in DEFAULTS.items()}
    return given | {
        "id": unique("resp_"),
        "object": "response",
        "created_at": int(time.time()),
        "completed_at": None,
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "model": answer.model,
        "output": [],
        "service_tier": "auto",
        "usage": None,
    }


def _items(answer: Answer) -> Iterator[dict[str, Json]]:
    if answer.reasoning_tokens:
        yield {"id": unique("rs_"), "type": "reasoning", "summary": []}
    if answer.pieces or not answer.tool_calls:
        yield {
            "id": unique("msg_"),
            "type": "message",
            "status": "incomplete" if answer.finished == "length" else "completed",
            "content": [_part(answer.text)],
            "role": "assistant",
        }
    for call in answer.tool_calls:
        yield {
            "id": unique("fc_"),
            "type": "function_call",
            "status": "completed",
            "arguments": compact(call.arguments),
            "call_id": unique("call_"),
            "name": call.name,
        }


def _part(words: str) -> dict[str, Json]:
    return {"type": "output_text", "annotations": [], "logprobs": [], "text": words}


def _steps(
    started: Mapping[str, Json], items: Sequence[Mapping[str, Json]], final: Mapping[str, Json]
) -> Iterator[dict[str, Json]]:
    yield {"type": "response.created", "response": started}
    yield {"type": "response.in_progress", "response": started}
    for index, item in enumerate(items):
        place = {"output_index": index}
        yield {"type": "response.output_item.added", "item": {**item, **BEGUN[item["type"]]}} | place
        within = place | {"item_id": item["id"]}
        if item["type"] == "message":
            yield from _text_steps(item["content"][0]["text"], within | {"content_index": 0})
        if item["type"] == "function_call":
            for piece in text.pieces(item["arguments"]):
                yield {"type": "response.function_call_arguments.delta", "delta": piece} | within
            done = {"type": "response.function_call_arguments.done", "arguments": item["arguments"]}
            yield done | {"name": item["name"]} | within
        yield {"type": "response.output_item.done", "item": item} | place
    yield {"type": f"response.{final['status']}", "response": final}


def _text_steps(words: str, place: Mapping[str, Json]) -> Iterator[dict[str, Json]]:
    yield {"type": "response.content_part.added", "part": _part(""), **place}
    for piece in text.pieces(words):
        yield {"type": "response.output_text.delta", "delta": piece, "logprobs": [], **place}
    yield {"type": "response.output_text.done", "text": words, "logprobs": [], **place}
    yield {"type": "response.content_part.done", "part": _part(words), **place}
