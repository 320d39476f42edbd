"""Runs of agents and tools: how long they took, how they ended, how many calls an agent made itself.

Counted here and not from spans, so that sampling changes nothing. Who runs is known by context, as attribution is.
"""

from __future__ import annotations

from contextvars import ContextVar
from time import perf_counter
from typing import TYPE_CHECKING, Final, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.trace import Span

Kind = Literal["agent", "tool"]


class Run:
    """One run of an agent or a tool, from its start on."""

    __slots__ = (
        "_inference_calls",
        "_tool_calls",
        "attributes",
        "attribution",
        "error",
        "inference_calls",
        "kind",
        "seconds",
        "span",
        "tool_calls",
    )

    def __init__(self, kind: Kind, attributes: Mapping[str, str], attribution: Mapping[str, str], span: Span) -> None:
        self.kind = kind
        self.attributes = attributes
        """What its span says beside the attribution."""
        self.attribution = attribution
        self.span = span
        self.error: str | None = None
        self.inference_calls = 0
        """Calls to models that were let go ahead, failed ones included; not those of agents inside."""
        self.tool_calls = 0
        """Tools that were run, failed ones included; not those of agents inside."""
        self.seconds = -perf_counter()
        # Appending is atomic with and without the GIL: an agent's calls come from many threads.
        self._inference_calls: list[None] = []
        self._tool_calls: list[None] = []

    def called_model(self) -> None:
        """Count a call to a model."""
        self._inference_calls.append(None)

    def called_tool(self) -> None:
        """Count a run of a tool."""
        self._tool_calls.append(None)

    def end(self) -> None:
        """Take the time, and count what was called until now."""
        self.seconds += perf_counter()
        self.inference_calls = len(self._inference_calls)
        self.tool_calls = len(self._tool_calls)


class Runs(Protocol):
    """Who wants to know of runs that have ended."""

    def ran(self, run: Run) -> None:
        """Note a run. May be called in the middle of anything, by a garbage collection: takes no lock."""

    def make_room(self) -> None:
        """Do what is due with the runs noted so far."""


running_agent: Final[ContextVar[Run | None]] = ContextVar("tracetoll_agent", default=None)
"""The innermost agent that runs here."""
