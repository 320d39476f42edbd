"""Tracers of SDKs that tell of their own calls: they are quiet where one of ours is told of."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import INVALID_SPAN

from tracetoll.call import current_call

if TYPE_CHECKING:
    from tracetoll.patching import Switch


class QuietTracer:
    """Stands for a tracer; a span that it starts inside a call of ours is none."""

    def __init__(self, switch: Switch, tracer: Any) -> None:
        self._switch = switch
        self._tracer = tracer

    def start_as_current_span(self, *args: Any, **kwargs: Any) -> Any:
        """Return a context manager that has a span; inside a call of ours the call's stays the current one."""
        if self._quiet():
            return nullcontext(INVALID_SPAN)
        return self._tracer.start_as_current_span(*args, **kwargs)

    def start_span(self, *args: Any, **kwargs: Any) -> Any:
        """Return a span."""
        return INVALID_SPAN if self._quiet() else self._tracer.start_span(*args, **kwargs)

    def _quiet(self) -> bool:
        call = current_call.get()
        return call is not None and not call.silent and self._switch.on

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tracer, name)
