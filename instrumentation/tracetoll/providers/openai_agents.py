"""openai-agents: what it asks by websockets of its own; everything else passes through openai.

Sources: the SDK's `realtime.openai_realtime` and `models.openai_responses` (0.24.0). The events are OpenAI's, read as
they come in.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from tracetoll.providers.openai import REALTIME, RESPONSES
from tracetoll.providers.words import Observed

SPOKEN: Final = replace(
    REALTIME,
    name="openai_agents",
    modules=("agents.realtime.openai_realtime",),
    classes=("OpenAIRealtimeWebSocketModel",),
    method="_handle_ws_event",
    reads="argument",
)
ANSWERED: Final = (("response",), replace(RESPONSES, billed="now"))
RESPONDED: Final = Observed(
    name="openai_agents",
    modules=("agents.models.openai_responses",),
    method="_construct_response_stream_event_from_payload",
    reads="argument",
    provider="openai",
    answers={f"response.{state}": ANSWERED for state in ("completed", "incomplete", "failed")},
)

SEAMS: Final = (SPOKEN, RESPONDED)
