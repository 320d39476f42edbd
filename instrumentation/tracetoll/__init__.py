"""Count and cap what AI agents spend, on plain OpenTelemetry."""

from tracetoll.agents import agent, tool
from tracetoll.attribution import attribution
from tracetoll.instrumentor import Instrumentor
from tracetoll.usage import Usage
from tracetoll.version import __version__

__all__ = ["Instrumentor", "Usage", "__version__", "agent", "attribution", "tool"]
