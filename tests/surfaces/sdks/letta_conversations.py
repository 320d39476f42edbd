"""The conversations of letta-client 1, whose answers are streams always."""

from __future__ import annotations

from dataclasses import replace

from surfaces.sdks.letta import SDK as LETTA
from surfaces.sdks.letta import TURN
from surfaces.ways import QUESTION

SDK = replace(LETTA, name="letta_conversations", patched=(), ways=("stream",))
ASKED = {"conversation_id": "conv-1", "input": QUESTION}
CONVERSATION = replace(
    TURN,
    sdk="letta_conversations",
    method="conversations.messages.create",
    path="/v1/conversations/conv-1/messages",
    arguments=ASKED,
    streams="conversations.messages.create",
    stream_arguments={},
    question=ASKED,
)
SURFACES = (CONVERSATION,)
