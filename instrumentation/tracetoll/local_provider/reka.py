"""Reka's chats, whole and streamed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracetoll.local_provider.answers import compose
from tracetoll.local_provider.wire import Reply, unique

if TYPE_CHECKING:
    from tracetoll.local_provider.answers import Memory
    from tracetoll.local_provider.wire import Json, Received


def chat(received: Received, memory: Memory) -> Reply:
    """Answer `POST /v1/chat`: each event of a stream repeats what was said, and counts the whole answer so far."""
    answer = compose(received, memory)
    head = {"id": unique("reka-"), "model": answer.model}

    def part(kind: str, said: str, wrote: int, reason: str | None) -> dict[str, Json]:
        usage = {"input_tokens": answer.input_tokens, "output_tokens": wrote}
        message = {"content": said, "role": "assistant"}
        return head | {"responses": [{kind: message, "finish_reason": reason}], "usage": usage}

    last = len(answer.pieces)
    if received.fields.get("stream"):
        parts = (
            part("chunk", "".join(answer.pieces[:place]), place, answer.finished if place == last else None)
            for place in range(1, last + 1)
        )
        return Reply(events=[("message", one) for one in parts])
    return Reply(json=part("message", answer.text, answer.output_tokens, answer.finished))
