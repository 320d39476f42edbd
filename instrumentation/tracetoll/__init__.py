"""Count and cap what AI agents spend, on plain OpenTelemetry."""

from tracetoll.agents import agent, tool
from tracetoll.attribution import attribution
from tracetoll.errors import LimitExceeded
from tracetoll.instrumentor import Instrumentor
from tracetoll.limits.limit import Limit
from tracetoll.limits.scope import limits
from tracetoll.rollup import RollupProcessor
from tracetoll.usage import Usage
from tracetoll.version import __version__

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
