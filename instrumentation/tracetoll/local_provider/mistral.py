"""Mistral's API, where it differs from OpenAI's: usage in the last chunk, conversations, OCR."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from tracetoll.local_provider import openai_chat, openai_media
from tracetoll.local_provider.answers import asked_model, compose
from tracetoll.local_provider.wire import Reply, unique

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tracetoll.local_provider.answers import Answer, Memory
    from tracetoll.local_provider.wire import Json, Received

REQUESTS: Final = 60
"""In ten seconds."""
TOKENS: Final = 2_000_000
"""In a minute."""
SEARCH_TOKENS: Final = 120
"""What a web search brings into the prompt."""


def chat(received: Received, memory: Memory) -> Reply:
    """Answer `POST …/chat/completions`; agents and FIM have the same format."""
    asked = dict(received.fields) | {"stream_options": {"include_usage": True}}
    asked.setdefault("messages", [asked.get("prompt", "")])
    reply = openai_chat.chat(replace(received, body=asked), memory)
    if reply.events is None:
        return replace(reply, json=reply.json | {"usage": _usage(reply.json["usage"])}, headers=_headers(memory))
    *chunks, last = ({**chunk, "id": chunk["id"]} for chunk in reply.events if isinstance(chunk, dict))
    chunks = [{name: value for name, value in chunk.items() if name != "usage"} for chunk in chunks]
    chunks[-1]["usage"] = _usage(last["usage"])  # with the last choices: there is no chunk of its own
    return replace(reply, events=chunks, headers=_headers(memory))


def embedding(received: Received, memory: Memory) -> Reply:
    """Answer `POST …/embeddings`."""
    reply = openai_media.embedding(received, memory)
    usage = {**reply.json["usage"], "completion_tokens": 0, "prompt_audio_seconds": None}
    return replace(reply, json={**reply.json, "id": unique(""), "usage": usage}, headers=_headers(memory))


def conversation(received: Received, memory: Memory) -> Reply:
    """Answer `POST …/conversations`, a new one or the next turn of one, with a web search where there is the tool."""
    body = received.fields
    cap = (body.get("completion_args") or {}).get("max_tokens")
    answer = compose(received, memory, default_cap=cap)
    usage: dict[str, Json] = {
        "prompt_tokens": answer.input_tokens,
        "completion_tokens": answer.output_tokens,
        "total_tokens": answer.input_tokens + answer.output_tokens,
    }
    if any(tool.get("type") == "web_search" for tool in body.get("tools") or ()):
        usage["total_tokens"] += SEARCH_TOKENS
        usage |= {"connector_tokens": SEARCH_TOKENS, "connectors": {"web_search": 1}}
    started = {"conversation_id": unique("conv_")}
    output = {"id": unique("msg_"), "model": answer.model, "role": "assistant"}
    if body.get("stream"):
        return Reply(events=list(_conversation_events(answer, started, output, usage)), headers=_headers(memory))
    said = {**output, "object": "entry", "type": "message.output", "content": answer.text}
    whole = {"object": "conversation.response", **started, "outputs": [said], "usage": usage}
    return Reply(json=whole, headers=_headers(memory))


def pages(received: Received, memory: Memory) -> Reply:
    """Answer `POST …/ocr`: a document has two pages."""
    size = {"dpi": 200, "height": 2200, "width": 1700}
    read = [
        {"index": index, "markdown": compose(received, memory, choice=index).text, "images": [], "dimensions": size}
        for index in range(2)
    ]
    usage = {"pages_processed": len(read), "doc_size_bytes": 4096}
    return Reply(json={"pages": read, "model": asked_model(received), "usage_info": usage}, headers=_headers(memory))


def heard(received: Received, memory: Memory) -> Reply:
    """Answer `POST …/audio/transcriptions`."""
    answer = compose(received, memory)
    sound = received.fields.get("file", b"")
    usage = {
        "prompt_audio_seconds": max(1, len(sound) // openai_media.BYTES_PER_SECOND),
        "prompt_tokens": 4,
        "completion_tokens": answer.output_tokens,
        "total_tokens": 4 + answer.output_tokens,
    }
    whole = {"model": answer.model, "text": answer.text, "language": "en", "segments": [], "usage": usage}
    if received.fields.get("stream") in (True, "true"):
        words = [{"type": "transcription.text.delta", "text": piece} for piece in answer.pieces]
        return Reply(events=[*words, {"type": "transcription.done", **whole}], headers=_headers(memory))
    return Reply(json=whole, headers=_headers(memory))


def _usage(told: Mapping[str, Json]) -> dict[str, Json]:
    names = ("prompt_tokens", "completion_tokens", "total_tokens")
    return {name: told[name] for name in names} | {"num_cached_tokens": told["prompt_tokens_details"]["cached_tokens"]}


def _conversation_events(
    answer: Answer, started: Mapping[str, Json], output: Mapping[str, Json], usage: Mapping[str, Json]
) -> Iterator[dict[str, Json]]:
    yield {"type": "conversation.response.started", **started}
    for piece in answer.pieces:
        yield {"type": "message.output.delta", **output, "content": piece}
    yield {"type": "conversation.response.done", "usage": usage}


def _headers(memory: Memory) -> dict[str, str]:
    return {
        "x-ratelimit-limit-req-10-second": str(REQUESTS),
        "x-ratelimit-remaining-req-10-second": str(REQUESTS - memory.requests % REQUESTS),
        "x-ratelimit-limit-tokens-minute": str(TOKENS),
        "x-ratelimit-remaining-tokens-minute": str(TOKENS - memory.tokens % TOKENS),
    }
