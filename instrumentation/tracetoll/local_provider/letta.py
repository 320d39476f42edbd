"""What a Letta server answers for an agent that it runs, whole and streamed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tracetoll.local_provider.answers import compose
from tracetoll.local_provider.wire import Reply, unique

if TYPE_CHECKING:
    from tracetoll.local_provider.answers import Answer, Memory
    from tracetoll.local_provider.wire import Json, Received

FINISHED: Final = {"stop": "end_turn", "length": "max_tokens_exceeded", "tools": "requires_approval"}


def turn(received: Received, memory: Memory) -> Reply:
    """Answer `POST /v1/agents/{id}/messages`, whole if no stream is asked for."""
    return _turn(received, memory, streaming=False)


def conversation(received: Received, memory: Memory) -> Reply:
    """Answer `POST /v1/conversations/{id}/messages`, as a stream if nothing else is asked for."""
    return _turn(received, memory, streaming=True)


def _turn(received: Received, memory: Memory, *, streaming: bool) -> Reply:
    """Return an answer; the last two events of a stream tell why it ended, and its usage."""
    answer = compose(received, memory)
    if received.fields.get("streaming", streaming):
        return Reply(events=[*map(_message, answer.pieces), _stopped(answer), _usage(answer)])
    told = {"messages": [_message(answer.text)], "stop_reason": _stopped(answer), "usage": _usage(answer)}
    return Reply(json=told)


def _message(said: str) -> dict[str, Json]:
    head = {"id": unique("message-"), "date": "2026-01-01T00:00:00Z", "message_type": "assistant_message"}
    return head | {"content": said}


def _stopped(answer: Answer) -> dict[str, Json]:
    return {"message_type": "stop_reason", "stop_reason": FINISHED[answer.finished]}


def _usage(answer: Answer) -> dict[str, Json]:
    return {
        "message_type": "usage_statistics",
        "prompt_tokens": answer.input_tokens,
        "completion_tokens": answer.output_tokens,
        "total_tokens": answer.input_tokens + answer.output_tokens,
        "step_count": 1,
        "cached_input_tokens": answer.cached_tokens,
        "reasoning_tokens": answer.reasoning_tokens,
    }
