"""Count and cap what AI agents spend, on plain OpenTelemetry."""

from typing import TYPE_CHECKING

from tracetoll.agents import agent, tool
from tracetoll.attribution import attribution
from tracetoll.errors import LimitExceeded
from tracetoll.instrumentor import Instrumentor
from tracetoll.limits.limit import Limit
from tracetoll.limits.scope import limits
from tracetoll.usage import Usage
from tracetoll.version import __version__

if TYPE_CHECKING:
    from tracetoll.rollup import RollupProcessor

__all__ = [
    "Instrumentor",
    "Limit",
    "LimitExceeded",
    "RollupProcessor",
    "Usage",
    "__version__",
    "agent",
    "attribution",
    "limits",
    "tool",
]


def __getattr__(name: str) -> object:
    if name == "RollupProcessor":  # it needs OpenTelemetry's SDK, which takes as long to import as all of ours
        from tracetoll.rollup import RollupProcessor  # noqa: PLC0415

        return RollupProcessor
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
