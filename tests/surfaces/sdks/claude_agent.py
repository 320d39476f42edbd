"""claude-agent-sdk 0: turns of an agent in a process of its own, for which a program of ours stands."""

from __future__ import annotations

import importlib
import os
from contextlib import aclosing
from pathlib import Path
from typing import Any

from surfaces.sdks.anthropic import CLAUDE
from surfaces.ways import LONG, QUESTION, Surface, observed
from tracetoll.local_provider import Reply

# It would start the program once more, to ask.
os.environ.setdefault("CLAUDE_AGENT_SDK_SKIP_VERSION_CHECK", "1")
PROGRAM = Path(__file__).parents[1] / "agent_program.py"


class Agent:
    """Stands for a client: each method is a way to have an agent take a turn, and returns all that it told."""

    def __init__(self, url: str) -> None:
        self._sdk = importlib.import_module("claude_agent_sdk")
        self._at = {"cli_path": PROGRAM, "env": {"ANTHROPIC_BASE_URL": url}}

    async def query(self, *, prompt: str, **options: Any) -> list[Any]:
        """Have it take a turn in a process of its own."""
        telling = self._sdk.query(prompt=prompt, options=self._sdk.ClaudeAgentOptions(**self._at, **options))
        async with aclosing(telling):
            return [message async for message in telling]

    async def turn(self, *, prompt: str, **options: Any) -> list[Any]:
        """Have it take the first turn of a session."""
        return await self.session(prompt, **options)

    async def session(self, *prompts: str, **options: Any) -> list[Any]:
        """Have it take one turn after another in one process."""
        told = []
        async with self._sdk.ClaudeSDKClient(self._sdk.ClaudeAgentOptions(**self._at, **options)) as client:
            for prompt in prompts:
                await client.query(prompt)
                told += [message async for message in client.receive_response()]
        return told


SDK = observed(
    name="claude_agent",
    module="claude_agent_sdk",
    client=lambda url, _, **options: Agent(url, **options),
    provider="anthropic",
    patched=tuple(f"claude_agent_sdk._internal.{module}:parse_message" for module in ("client", "message_parser")),
    error="claude_agent_sdk:ResultError",
    rejected=lambda status: Reply.anthropic_error(status, "bad_toll", "No such toll"),
    synchronous=False,
    answer_id=None,
    answer_model=None,
    apart=True,
)
QUERY = Surface(
    sdk="claude_agent",
    method="query",
    path="/v1/messages",
    arguments={"prompt": QUESTION, "model": CLAUDE.arguments["model"], "system_prompt": LONG},
    finish=("stop",),
    own_ids=True,
)
SESSION = Surface(
    sdk="claude_agent",
    method="turn",
    path=QUERY.path,
    arguments=QUERY.arguments,
    finish=QUERY.finish,
    own_ids=True,
)
SURFACES = (QUERY, SESSION)
