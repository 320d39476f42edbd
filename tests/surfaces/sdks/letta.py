"""letta-client 1: agents that a server runs; it does not tell which models they ask."""

from __future__ import annotations

from surfaces.ways import QUESTION, Sdk, Surface, stainless, stainless_patched, tells_error
from tracetoll.local_provider import Reply

SDK = Sdk(
    name="letta",
    module="letta_client",
    client=stainless("letta_client", "Letta", "AsyncLetta"),
    provider="letta",
    patched=stainless_patched("letta_client"),
    error="letta_client:APIStatusError",
    rejected=lambda status: Reply(status, json={"detail": "No such toll"}),
    error_type="{kind}",
    error_in_stream="bad_toll",
    retrying={"max_retries": 2},
    model=None,
    answer_id=None,
    answer_model=None,
)
ASKED = {"agent_id": "keeper", "input": QUESTION}
TURN = Surface(
    sdk="letta",
    method="agents.messages.create",
    path="/v1/agents/keeper/messages",
    arguments=ASKED,
    finish=("stop",),
    streams="agents.messages.create",  # there is `stream` too, but deprecated
    stream_arguments={"streaming": True},
    question=ASKED,
    broken=tells_error(
        {"message_type": "error_message", "error_type": "bad_toll", "message": "No such toll", "run_id": "run-1"}
    ),
    priced=False,
)
SURFACES = (TURN,)
