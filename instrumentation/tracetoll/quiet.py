"""Tracers of SDKs that tell of their own calls: they are quiet where one of ours is told of."""

from __future__ import annotations

import functools
import inspect
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import INVALID_SPAN, NonRecordingSpan

from tracetoll.call import current_call

if TYPE_CHECKING:
    from tracetoll.patching import Switch


def quiet(switch: Switch, tracer: Any) -> Any:
    """Return what stands for a tracer, or for a function that returns one, perhaps among other things.

    A function that is told where the tracer is to come from is left alone: the application wants these spans there.
    """
    if not inspect.isfunction(tracer):
        return QuietTracer(switch, tracer)

    @functools.wraps(tracer)
    def made(*args: Any, **kwargs: Any) -> Any:
        found = tracer(*args, **kwargs)
        if args or kwargs:
            return found
        if isinstance(found, tuple):
            return tuple(QuietTracer(switch, one) if hasattr(one, "start_span") else one for one in found)
        return QuietTracer(switch, found)

    return made


class QuietTracer:
    """Stands for a tracer; a span that it starts inside a call of ours is none, and leads to the call's."""

    def __init__(self, switch: Switch, tracer: Any) -> None:
        self._switch = switch
        self._tracer = tracer

    def start_as_current_span(self, *args: Any, **kwargs: Any) -> Any:
        """Return a context manager that has a span; inside a call of ours the call's stays the current one."""
        if self._quiet():
            return nullcontext(INVALID_SPAN)
        return self._tracer.start_as_current_span(*args, **kwargs)

    def start_span(self, *args: Any, **kwargs: Any) -> Any:
        """Return a span; inside a call of ours one that says nothing, and whose context is the call's."""
        call = current_call.get()
        if call is not None and self._quiet():
            return NonRecordingSpan(call.span.get_span_context())  # the SDK may send its context to the server
        return self._tracer.start_span(*args, **kwargs)

    def _quiet(self) -> bool:
        call = current_call.get()
        return call is not None and not call.silent and self._switch.on

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tracer, name)
