"""Aleph Alpha's completions, which tell their tokens at the top."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tracetoll.local_provider.answers import compose
from tracetoll.local_provider.wire import Reply

if TYPE_CHECKING:
    from tracetoll.local_provider.answers import Memory
    from tracetoll.local_provider.wire import Received

FINISHED: Final = {"stop": "end_of_text", "length": "maximum_tokens", "tools": "end_of_text"}


def completion(received: Received, memory: Memory) -> Reply:
    """Answer `POST /complete`."""
    answer = compose(received, memory, default_cap=received.fields.get("maximum_tokens"))
    said = {"completion": answer.text, "finish_reason": FINISHED[answer.finished]}
    counts = {"num_tokens_prompt_total": answer.input_tokens, "num_tokens_generated": answer.output_tokens}
    return Reply(json={"model_version": answer.model, "completions": [said], **counts})
