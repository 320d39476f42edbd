"""claude-agent-sdk: what the agent that runs in a process of its own tells of each turn when it is over.

Sources: the SDK's `types` (ResultMessage, SystemInitData; 0.2.188), what the program in it sent while a local server
answered it. `usage` of a result is that turn's. `total_cost_usd` and `modelUsage` are sums over a session, which a
resumed session may bring along, so no turn's part can be told from them: we price the turn's tokens. The
usage of an assistant message is the one at its beginning, whose output is a placeholder.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from tracetoll.providers.anthropic import MESSAGE, MESSAGES, USAGE
from tracetoll.providers.words import Observed

CODES: Final = ("api_error_type", "api_error_status", "terminal_reason")
TURN: Final = replace(
    MESSAGES,
    # All is 0 where the model did not answer.
    usage=replace(USAGE, zeros_are_missing=True),
    events=None,
    answer=replace(MESSAGE, id="uuid", model="", failed="is_error", codes=CODES),
)
RESULTS: Final = Observed(
    name="claude_agent",
    # Both, because the second keeps a name of its own for the first one's function.
    modules=("claude_agent_sdk._internal.message_parser", "claude_agent_sdk._internal.client"),
    method="parse_message",
    reads="argument",
    provider="anthropic",
    answers={"result": ((), TURN)},
    models={"system": ("model",)},
    session=("session_id",),
)

SEAMS: Final = (RESULTS,)
