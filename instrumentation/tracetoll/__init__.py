"""Count and cap what AI agents spend, on plain OpenTelemetry."""

from importlib import import_module
from typing import TYPE_CHECKING, Final

from tracetoll.agents import agent, tool
from tracetoll.attribution import attribution
from tracetoll.errors import LimitExceeded
from tracetoll.instrumentor import Instrumentor
from tracetoll.limits.scope import limits
from tracetoll.version import __version__

if TYPE_CHECKING:
    from tracetoll.limits.limit import Limit
    from tracetoll.rollup import RollupProcessor
    from tracetoll.usage import Usage

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

# What not everybody uses, and takes long to import; the roll-up needs OpenTelemetry's SDK.
_LATER: Final = {
    "Limit": "tracetoll.limits.limit",
    "RollupProcessor": "tracetoll.rollup",
    "Usage": "tracetoll.usage",
}


def __getattr__(name: str) -> object:
    if name not in _LATER:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    found: object = getattr(import_module(_LATER[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
