"""Anthropic's Messages API: whole, streamed, counted, in batches, with prompt caching."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from tracetoll.local_provider import text
from tracetoll.local_provider.answers import asked_model, compose
from tracetoll.local_provider.wire import Received, Reply, compact, unique

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tracetoll.local_provider.answers import Answer, Memory
    from tracetoll.local_provider.wire import Json

FINISHED: Final = {"stop": "end_turn", "length": "max_tokens", "tools": "tool_use"}
PIECES_PER_DELTA: Final = 4


def message(received: Received, memory: Memory) -> Reply:
    """Answer `POST …/v1/messages`."""
    answer = compose(received, memory)
    whole = made(received, memory, answer)
    return Reply(events=list(events(whole))) if received.fields.get("stream") else Reply(json=whole)


def token_count(received: Received, _: Memory) -> Reply:
    """Answer `POST …/v1/messages/count_tokens`."""
    return Reply(json={"input_tokens": text.count(text.prompt(received.fields))})


def batch(received: Received, memory: Memory) -> Reply:
    """Answer `POST …/v1/messages/batches`: ended when it is fetched for the first time."""
    requests = received.fields.get("requests") or []
    name = unique("msgbatch_")
    counts = {"processing": len(requests), "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}
    started = {
        "id": name,
        "type": "message_batch",
        "processing_status": "in_progress",
        "request_counts": counts,
        "created_at": moment(0),
        "expires_at": moment(86_400),
        "ended_at": None,
        "archived_at": None,
        "cancel_initiated_at": None,
        "results_url": None,
    }
    ended = started | {
        "processing_status": "ended",
        "request_counts": counts | {"processing": 0, "succeeded": len(requests)},
        "ended_at": moment(0),
        "results_url": f"http://{received.headers['host']}{received.path}/{name}/results",
    }
    memory.keep(name, ended)
    memory.keep(f"{name}/results", [_result(received, memory, request) for request in requests])
    return Reply(json=started)


def fetched(received: Received, memory: Memory) -> Reply:
    """Answer `GET …/v1/messages/batches/{id}`."""
    found = memory.look_up(received.path.rsplit("/", 1)[-1])
    return Reply.anthropic_error(404, "not_found_error", "batch not found") if found is None else Reply(json=found)


def results(received: Received, memory: Memory) -> Reply:
    """Answer `GET …/v1/messages/batches/{id}/results`: a line of JSON for each request."""
    found = memory.look_up("/".join(received.path.rsplit("/", 2)[-2:]))
    if found is None:
        return Reply.anthropic_error(404, "not_found_error", "batch not found")
    lines = "".join(f"{compact(line)}\n" for line in found)
    return Reply(body=lines.encode(), headers={"content-type": "application/x-jsonl"})


def moment(in_seconds: float) -> str:
    """Return a time from now in RFC 3339."""
    return datetime.fromtimestamp(time.time() + in_seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _result(received: Received, memory: Memory, request: Mapping[str, Json]) -> dict[str, Json]:
    one = Received(received.method, received.path, {}, received.headers, request["params"], received.at)
    whole = made(one, memory, compose(one, memory))
    whole["usage"]["service_tier"] = "batch"
    return {"custom_id": request["custom_id"], "result": {"type": "succeeded", "message": whole}}


def made(received: Received, memory: Memory, answer: Answer) -> dict[str, Json]:
    """Return an answer as a whole message."""
    return {
        "model": answer.model,
        "id": unique("msg_"),
        "type": "message",
        "role": "assistant",
        "content": list(_content(answer)),
        "stop_reason": FINISHED[answer.finished],
        "stop_sequence": None,
        "usage": _usage(received, memory, answer),
    }


def _content(answer: Answer) -> Iterator[dict[str, Json]]:
    if answer.reasoning_tokens:
        yield {"type": "thinking", "thinking": "Let me see who is to pay.", "signature": unique("")}
    if answer.pieces:
        yield {"type": "text", "text": answer.text}
    for call in answer.tool_calls:
        yield {"type": "tool_use", "id": unique("toolu_"), "name": call.name, "input": dict(call.arguments)}


def _usage(received: Received, memory: Memory, answer: Answer) -> dict[str, Json]:
    read, written_5m, written_1h = _cached(asked_model(received), received.fields, memory)
    usage = {
        "input_tokens": answer.input_tokens - read - written_5m - written_1h,
        "cache_creation_input_tokens": written_5m + written_1h,
        "cache_read_input_tokens": read,
        "cache_creation": {"ephemeral_5m_input_tokens": written_5m, "ephemeral_1h_input_tokens": written_1h},
        "output_tokens": answer.output_tokens,
        "service_tier": "standard",
        "inference_geo": "global",
    }
    if answer.reasoning_tokens:
        usage["output_tokens_details"] = {"thinking_tokens": answer.reasoning_tokens}
    return usage


def _cached(model: str, body: Mapping[str, Json], memory: Memory) -> tuple[int, int, int]:
    """Return the tokens read from the cache, written to it for five minutes, and for an hour.

    A prompt is cached up to each `cache_control`; of prefixes that are known the longest one is read.
    """
    parts = list(_parts(body))
    read = 0
    marked: list[tuple[int, str]] = []
    for prefix, (_, ttl) in zip(accumulate((said for said, _ in parts), "{} {}".format), parts, strict=True):
        if ttl is None:
            continue
        size = text.count(prefix)
        if memory.read_before(model, prefix):
            read, marked = size, []
        else:
            marked.append((size, ttl))
    written = {"5m": 0, "1h": 0}
    done = read
    for size, ttl in marked:
        written[ttl] += size - done
        done = size
    return read, written["5m"], written["1h"]


def _parts(body: Mapping[str, Json]) -> Iterator[tuple[str, str | None]]:
    """Yield the text of each part of a prompt, and how long the prompt up to there is cached."""
    contents = [body.get("tools"), body.get("system"), *(turn.get("content") for turn in body.get("messages") or ())]
    for content in contents:
        for part in content if isinstance(content, list) else [content or ""]:
            control = part.get("cache_control") if isinstance(part, dict) else None
            yield text.said(part), control and control.get("ttl", "5m")


def events(whole: Mapping[str, Json]) -> Iterator[dict[str, Json]]:
    """Yield the events that a message is streamed in."""
    usage = dict(whole["usage"])
    final = {name: usage[name] for name in ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")}
    # Output counts up: one token is known at the start, and only the end tells of thinking.
    final |= {name: usage.pop(name) for name in ("output_tokens", "output_tokens_details") if name in usage}
    begun = {**whole, "content": [], "stop_reason": None, "usage": usage | {"output_tokens": 1}}
    yield {"type": "message_start", "message": begun}
    for index, block in enumerate(whole["content"]):
        empty, deltas = _deltas(block)
        yield {"type": "content_block_start", "index": index, "content_block": empty}
        if index == 0:
            yield {"type": "ping"}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    delta = {name: whole[name] for name in ("stop_reason", "stop_sequence")}
    yield {"type": "message_delta", "delta": delta, "usage": final}
    yield {"type": "message_stop"}


def _deltas(block: Mapping[str, Json]) -> tuple[dict[str, Json], Sequence[Mapping[str, Json]]]:
    """Return a content block as it starts, and what is added to it."""
    if block["type"] == "tool_use":
        arguments = _split(compact(block["input"]))
        return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": part} for part in ("", *arguments)]
    if block["type"] == "thinking":
        thoughts = [{"type": "thinking_delta", "thinking": part} for part in _split(block["thinking"])]
        signed = {"type": "signature_delta", "signature": block["signature"]}
        return {**block, "thinking": "", "signature": ""}, [*thoughts, signed]
    return {**block, "text": ""}, [{"type": "text_delta", "text": part} for part in _split(block["text"])]


def _split(words: str) -> list[str]:
    tokens = text.pieces(words)
    return ["".join(tokens[start : start + PIECES_PER_DELTA]) for start in range(0, len(tokens), PIECES_PER_DELTA)]
