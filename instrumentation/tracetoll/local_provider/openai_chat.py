"""OpenAI's chat completions and the older completions, whole and streamed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from tracetoll.local_provider import text
from tracetoll.local_provider.answers import compose
from tracetoll.local_provider.wire import Reply, compact, unique

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tracetoll.local_provider.answers import Answer, Memory, ToolCall
    from tracetoll.local_provider.wire import Json, Received

FINISHED: Final = {"stop": "stop", "length": "length", "tools": "tool_calls"}
COMPLETION_CAP: Final = 16  # what the older API uses where the request has no cap


def chat(received: Received, memory: Memory) -> Reply:
    """Answer `POST …/chat/completions`."""
    body = received.fields
    answers = [compose(received, memory, choice=choice) for choice in range(body.get("n") or 1)]
    head = _head("chatcmpl-", answers[0].model)
    if body.get("stream"):
        return Reply(events=list(_chat_chunks(head, answers, with_usage=_usage_wanted(body))))
    choices = [
        {
            "index": index,
            "message": _message(answer),
            "logprobs": None,
            "finish_reason": FINISHED[answer.finished],
        }
        for index, answer in enumerate(answers)
    ]
    tail = {"service_tier": "default", "system_fingerprint": "fp_local"}
    return Reply(json=head | {"object": "chat.completion", "choices": choices, "usage": usage(answers)} | tail)


def completion(received: Received, memory: Memory) -> Reply:
    """Answer `POST …/completions`: a list of prompts gets `n` choices each."""
    body = received.fields
    prompts = body.get("prompt")
    many = len(prompts) if isinstance(prompts, list) and prompts and not isinstance(prompts[0], int) else 1
    number = many * (body.get("n") or 1)
    answers = [compose(received, memory, choice=choice, default_cap=COMPLETION_CAP) for choice in range(number)]
    head = _head("cmpl-", answers[0].model) | {"object": "text_completion"}
    if body.get("stream"):
        return Reply(events=list(_completion_chunks(head, answers, with_usage=_usage_wanted(body))))
    choices = [
        {"text": answer.text, "index": index, "logprobs": None, "finish_reason": FINISHED[answer.finished]}
        for index, answer in enumerate(answers)
    ]
    counts = usage(answers)
    plain = {name: counts[name] for name in ("prompt_tokens", "completion_tokens", "total_tokens")}
    return Reply(json=head | {"choices": choices, "usage": plain})


def usage(answers: Sequence[Answer]) -> dict[str, Json]:
    """Return the usage of all choices of one request, in the chat format."""
    prompt = answers[0].input_tokens
    completion_tokens = sum(answer.output_tokens for answer in answers)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt + completion_tokens,
        "prompt_tokens_details": {"cached_tokens": answers[0].cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": sum(answer.reasoning_tokens for answer in answers),
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _head(prefix: str, model: str) -> dict[str, Json]:
    return {"id": unique(prefix), "created": int(time.time()), "model": model}


def _usage_wanted(body: Mapping[str, Json]) -> bool:
    return bool((body.get("stream_options") or {}).get("include_usage"))


def _message(answer: Answer) -> dict[str, Json]:
    message: dict[str, Json] = {"role": "assistant", "content": answer.text, "refusal": None, "annotations": []}
    if not answer.tool_calls:
        return message
    calls = [_tool_call(call) for call in answer.tool_calls]
    return message | {"content": answer.text or None, "tool_calls": calls}


def _tool_call(call: ToolCall, **start: Json) -> dict[str, Json]:
    function = {"name": call.name, "arguments": compact(call.arguments)}
    return {"id": unique("call_"), "type": "function", "function": function | start}


def _chat_chunks(head: Mapping[str, Json], answers: Sequence[Answer], *, with_usage: bool) -> Iterator[dict[str, Json]]:
    # Chunks have no `usage` at all unless it was asked for; then it is null in all but one more, the last.
    tail = {"usage": None} if with_usage else {}
    common = {**head, "object": "chat.completion.chunk", "service_tier": "default", "system_fingerprint": "fp_local"}
    deltas = [list(_deltas(answer)) for answer in answers]
    for place in range(max(map(len, deltas))):
        for index, (answer, own) in enumerate(zip(answers, deltas, strict=True)):
            if place < len(own):
                finish = FINISHED[answer.finished] if place == len(own) - 1 else None
                choice = {"index": index, "delta": own[place], "logprobs": None, "finish_reason": finish}
                yield common | {"choices": [choice]} | tail
    if with_usage:
        yield common | {"choices": [], "usage": usage(answers)}


def _deltas(answer: Answer) -> Iterator[dict[str, Json]]:
    yield {"role": "assistant", "content": None if answer.tool_calls and not answer.pieces else "", "refusal": None}
    for piece in answer.pieces:
        yield {"content": piece}
    for index, call in enumerate(answer.tool_calls):
        yield {"tool_calls": [{"index": index, **_tool_call(call, arguments="")}]}
        for piece in text.pieces(compact(call.arguments)):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}
    yield {}


def _completion_chunks(
    head: Mapping[str, Json], answers: Sequence[Answer], *, with_usage: bool
) -> Iterator[dict[str, Json]]:
    tail = {"usage": None} if with_usage else {}
    for index, answer in enumerate(answers):
        for place, piece in enumerate(answer.pieces or ("",), start=1):
            finish = FINISHED[answer.finished] if place >= len(answer.pieces) else None
            choice = {"text": piece, "index": index, "logprobs": None, "finish_reason": finish}
            yield {**head, "choices": [choice]} | tail
    if with_usage:
        yield {**head, "choices": [], "usage": usage(answers)}
