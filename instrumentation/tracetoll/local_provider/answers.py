"""What the local provider says to a request: text or tool calls, and the counts.

The formats of the providers wrap it.
"""

from __future__ import annotations

import json
import re
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from tracetoll.local_provider import text
from tracetoll.local_provider.wire import compact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tracetoll.local_provider.wire import Json, Received

# The names that the models answer under; others answer under the name they were asked by.
SNAPSHOTS: Final = {
    "gpt-3.5-turbo": "gpt-3.5-turbo-0125",
    "gpt-4o": "gpt-4o-2024-08-06",
    "gpt-4o-mini": "gpt-4o-mini-2024-07-18",
    "gpt-4.1": "gpt-4.1-2025-04-14",
    "gpt-4.1-mini": "gpt-4.1-mini-2025-04-14",
    "claude-sonnet-4-5": "claude-sonnet-4-5-20250929",
    "claude-haiku-4-5": "claude-haiku-4-5-20251001",
}
REASONING_TOKENS: Final = {"none": 0, "minimal": 0, "low": 16, "medium": 64, "high": 256}
THINKING_TOKENS: Final = 48

_REASONS: Final = re.compile(r"o\d|gpt-5")
_CAPS: Final = ("max_completion_tokens", "max_output_tokens", "max_tokens")
_CALL: Final = re.compile(r"\bcall ([\w.-]+)")


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call of a tool that an answer asks for."""

    name: str
    arguments: Mapping[str, Json] = field(default_factory=dict)

    @property
    def output_tokens(self) -> int:
        """The output tokens that the call counts for."""
        return len(text.pieces(self.name)) + len(text.pieces(compact(self.arguments)))


@dataclass(frozen=True, slots=True)
class ToolCalls:
    """An answer that asks for tools, perhaps with some text before."""

    calls: tuple[ToolCall, ...]
    text: str = ""


Script: TypeAlias = "Callable[[Received], str | ToolCalls | None]"


@dataclass(frozen=True, slots=True)
class Answer:
    """What is said to one request; `pieces` has one text per output token."""

    model: str
    pieces: tuple[str, ...]
    tool_calls: tuple[ToolCall, ...]
    reasoning_tokens: int
    input_tokens: int
    cached_tokens: int
    finished: Literal["stop", "length", "tools"]

    @property
    def text(self) -> str:
        """The text, empty where the answer is tool calls only."""
        return "".join(self.pieces)

    @property
    def output_tokens(self) -> int:
        """All output tokens, reasoning included; at least one."""
        return max(1, self.reasoning_tokens + len(self.pieces) + sum(call.output_tokens for call in self.tool_calls))


class Memory:
    """What is remembered between requests: cached prompts, objects to be fetched, rate limits."""

    def __init__(self, script: Script | None) -> None:
        self.script = script
        self.lock = threading.RLock()
        self.requests = 0
        self.tokens = 0
        self._prompts: set[str] = set()
        self._kept: dict[str, deque[Json]] = {}

    def read_before(self, model: str, prompt: str) -> bool:
        """Return whether the prompt is in the model's cache, and put it there."""
        name = f"{model}\n{prompt}"
        known = name in self._prompts
        self._prompts.add(name)
        return known

    def keep(self, name: str, *versions: Json) -> None:
        """Keep what each GET of an object finds, one after the other; the last one stays."""
        self._kept[name] = deque(versions)

    def look_up(self, name: str) -> Json:
        """Return what the next GET of the object finds, None if there is no such object."""
        versions = self._kept.get(name)
        if versions is None:
            return None
        return versions.popleft() if len(versions) > 1 else versions[0]


def compose(received: Received, memory: Memory, *, choice: int = 0, default_cap: int | None = None) -> Answer:
    """Return what is said to a request.

    That is what the script says, else the tools that the request asks for, else some text of ours. It
    ends at the request's cap on output, into which reasoning counts.
    """
    body = received.fields
    model = asked_model(received)
    prompt = text.prompt(body)
    saying = memory.script(received) if memory.script is not None else None
    if saying is None:
        saying = _asked_tools(body) or text.passage(f"{choice}{model}{prompt}")
    calls, words = (saying.calls, saying.text) if isinstance(saying, ToolCalls) else ((), saying)
    cap = next((body[name] for name in _CAPS if isinstance(body.get(name), int)), default_cap)
    reasoning = reasoning_tokens(model, body)
    pieces = text.pieces(words)
    cut = cap is not None and reasoning + len(pieces) + sum(call.output_tokens for call in calls) > cap
    if cap is not None and cut:
        reasoning = min(reasoning, cap)
        pieces, calls = pieces[: cap - reasoning], ()
    return Answer(
        model=SNAPSHOTS.get(model, model),
        pieces=pieces,
        tool_calls=calls,
        reasoning_tokens=reasoning,
        input_tokens=text.count(prompt),
        cached_tokens=_cached(model, body, memory) if choice == 0 else 0,
        finished="length" if cut else "tools" if calls else "stop",
    )


def asked_model(received: Received) -> str:
    """Return the model of a request; Azure has it in the path."""
    in_path = re.search(r"/deployments/([^/]+)/", received.path)
    return str(received.fields.get("model") or (in_path and in_path.group(1)) or "gpt-4o-mini")


def reasoning_tokens(model: str, body: Mapping[str, Json]) -> int:
    """Return how many tokens the model thinks for before it answers."""
    thinking = body.get("thinking")
    if isinstance(thinking, dict):
        return 0 if thinking.get("type") == "disabled" else min(THINKING_TOKENS, thinking.get("budget_tokens", 1024))
    if not _REASONS.match(model):
        return 0
    effort = body.get("reasoning_effort") or (body.get("reasoning") or {}).get("effort")
    return REASONING_TOKENS.get(effort or "medium", REASONING_TOKENS["medium"])


def _cached(model: str, body: Mapping[str, Json], memory: Memory) -> int:
    """Return how much of the prompt OpenAI cached by itself: from 1,024 tokens on, by 128."""
    messages = body.get("messages")
    first = text.said(body.get("instructions") or (messages[0] if isinstance(messages, list) and messages else ""))
    size = text.count(first)
    return size // 128 * 128 if size >= 1024 and memory.read_before(model, first) else 0


def _asked_tools(body: Mapping[str, Json]) -> ToolCalls | None:
    """Return the tool calls that the last message asks for.

    It says `call search {"query": "tolls"}`; only a user's message asks, and only for tools of the
    request. The answer to a tool's result is text.
    """
    names = {tool.get("function", tool).get("name") for tool in body.get("tools") or () if isinstance(tool, dict)}
    turns = body.get("messages") or body.get("input") or ()
    last = turns[-1] if isinstance(turns, list) and turns else {"role": "user", "content": turns}
    if not isinstance(last, dict) or last.get("role") != "user" or _is_tool_result(last.get("content")):
        return None
    found = [
        ToolCall(name, arguments) for name, arguments in _calls_in(text.said(last.get("content"))) if name in names
    ]
    return ToolCalls(tuple(found)) if found else None


def _is_tool_result(content: Json) -> bool:
    return isinstance(content, list) and any(part.get("type") == "tool_result" for part in content)


def _calls_in(message: str) -> Iterator[tuple[str, Mapping[str, Json]]]:
    for match in _CALL.finditer(message):
        rest = message[match.end() :].lstrip()
        try:
            arguments = json.JSONDecoder().raw_decode(rest)[0] if rest.startswith("{") else {}
        except ValueError:
            arguments = {}
        yield match.group(1), arguments
