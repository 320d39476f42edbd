"""letta_client: what an agent that a Letta server runs for a message used, over all of its steps.

Source: the SDK's `types.agents.letta_response` and `letta_streaming_response` (LettaUsageStatistics; 1.12.1). In a
stream a message of its own tells it. The server does not tell which models it asked.
"""

from __future__ import annotations

from typing import Final

from tracetoll import usage as u
from tracetoll.providers.words import Answer, Events, Part, Reason, Stainless, Surface, paths
from tracetoll.usage import UsageMap

USAGE: Final = UsageMap(
    fields={
        "prompt_tokens": u.INPUT,
        "completion_tokens": u.OUTPUT,
        "total_tokens": u.WIRE_TOTAL,
        "cached_input_tokens": u.CACHE_READ,
        "cache_write_tokens": u.CACHE_WRITE,
        "reasoning_tokens": u.REASONING,
    }
)
REASONS: Final = {"end_turn": "stop", "max_tokens_exceeded": "length", "requires_approval": "tool_call"}
TURN: Final = Surface(
    operation="chat",
    usage=USAGE,
    answer=Answer(id="", model="", finish=Reason(("stop_reason", "stop_reason"), REASONS)),
    events=Events(
        kind="message_type",
        parts={
            "usage_statistics": Part(answer=Answer(id="", model="", usage=paths(""))),
            "stop_reason": Part(answer=Answer(id="", model="", usage=(), finish=Reason(("stop_reason",), REASONS))),
        },
        errors={"error_message": ("error_type",)},
    ),
)
SDK: Final = Stainless(
    name="letta",
    module="letta_client",
    provider="letta",
    surfaces={
        "POST /v1/agents/{id}/messages": TURN,
        "POST /v1/agents/{id}/messages/stream": TURN,
        "POST /v1/conversations/{id}/messages": TURN,
    },
)

SEAMS: Final = (SDK,)
