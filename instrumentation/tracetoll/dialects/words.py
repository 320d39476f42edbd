"""The words an emitter's table is written in. Data only; `reader.py` does the work."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Kind = Literal["inference", "embedding", "tool", "agent", "wrapper", "fetch", "none"]
"""What a span is.

A call of a model (`inference`, `embedding`); a `tool`; an `agent`, or a workflow, task or chain, which gets
totals; a `wrapper`, which repeats what the spans below it tell; a `fetch` of an answer that was counted before.
Agents, tools and wrappers are no calls: what they tell of usage counts only as far as nothing below tells it.
"""

Aliases = tuple[str, ...]
"""Attributes that may have a value; the first that is there wins, they are never added."""

OURS: Final = 2
"""How far our own numbers are trusted; an SDK's own 1, others' 0."""

NAMES_OF_CALLS: Final[Mapping[str, Kind]] = {
    "chat": "inference",
    "text_completion": "inference",
    "completion": "inference",
    "completions": "inference",
    "generate_content": "inference",
    "text_generation": "inference",
    "responses": "inference",
    "messages": "inference",
    "image": "inference",
    "embeddings": "embedding",
    "embedding": "embedding",
    "execute_tool": "tool",
    "invoke_agent": "agent",
    "invoke_workflow": "agent",
    "handle_conversation_turn": "agent",
    "create_agent": "none",
    "fetch_response": "fetch",
}
"""What `gen_ai.operation.name` says, upstream's values and others that are in use."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Emitter:
    """How one emitter tells of model calls.

    `scopes` are its instrumentation scopes' names, or their first parts; `marks` are attributes that only it writes,
    which recognise its spans where the scope says nothing. `counts` has the aliases of each count of
    `tracetoll.usage`; what it writes and is not named here (partial counts, totals of what lies below) is not
    read. `kinds` says by the values of which attributes a span is what, the first that is there and known wins;
    a value may have a `*`.
    """

    name: str
    scopes: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    counts: Mapping[str, Aliases] = field(default_factory=dict)
    documents: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    """Attributes that hold JSON objects: per count, the keys that are added up to it; `a.b` is the b of its a."""
    cost: Aliases = ()
    """In US dollars. Only looked at where we know no price."""
    kinds: Mapping[str, Mapping[str, Kind]] = field(default_factory=dict)
    response: Aliases = ("gen_ai.response.id",)
    model: Aliases = ("gen_ai.response.model", "gen_ai.request.model")
    provider: Aliases = ("gen_ai.provider.name", "gen_ai.system")
    cache_beside_input: frozenset[str] = frozenset()
    """Providers of which it tells an input without what was cached."""
    reasoning_beside_output: bool = False
    """Whether its output leaves out reasoning."""
    zeros_are_missing: bool = False
    """Whether it writes 0 where the provider told nothing."""
    answers_apart: bool = False
    """Whether a span with neither usage nor an answer's id is no call: another span tells of the answer."""
    trust: int = 0
    """Whose numbers hold where several tell of the same answer: ours, then the SDK's own (1), then others' (0)."""
