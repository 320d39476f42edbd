"""xAI's chats as its own SDK asks for them: gRPC's messages, told in JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tracetoll.local_provider.answers import compose
from tracetoll.local_provider.wire import Reply, unique

if TYPE_CHECKING:
    from tracetoll.local_provider.answers import Answer, Memory
    from tracetoll.local_provider.wire import Json, Received

REASONS: Final = {"stop": "REASON_STOP", "length": "REASON_MAX_LEN", "tools": "REASON_TOOL_CALLS"}


def chat(received: Received, memory: Memory) -> Reply:
    """Answer `xai_api.Chat/GetCompletion`."""
    answer = compose(received, memory)
    output = {"finish_reason": REASONS[answer.finished], "message": {"content": answer.text, "role": "ROLE_ASSISTANT"}}
    return Reply(json=_told(unique(""), answer, output, len(answer.pieces)))


def streamed(received: Received, memory: Memory) -> Reply:
    """Answer `xai_api.Chat/GetCompletionChunk`: each message counts the whole answer so far."""
    answer, name = compose(received, memory), unique("")
    last = len(answer.pieces)
    return Reply(
        events=[
            _told(
                name,
                answer,
                {"delta": {"content": piece}} | ({"finish_reason": REASONS[answer.finished]} if place == last else {}),
                place,
            )
            for place, piece in enumerate(answer.pieces, start=1)
        ]
    )


def _told(name: str, answer: Answer, output: dict[str, Json], wrote: int) -> dict[str, Json]:
    usage = {
        "prompt_tokens": answer.input_tokens,
        "completion_tokens": wrote,
        "reasoning_tokens": answer.reasoning_tokens,
        "cached_prompt_text_tokens": answer.cached_tokens,
        "total_tokens": answer.input_tokens + wrote + answer.reasoning_tokens,
    }
    # The first versions of the SDK know `outputs` as `choices`; either leaves out what it does not know.
    return {"id": name, "model": answer.model, "outputs": [output], "choices": [output], "usage": usage}
