"""Streams that an SDK reads inside of asynchronous generators of its own: whoever leaves those ends the call.

An asynchronous generator that is dropped waits for the event loop to close it, each one inside of it waits again,
and nothing says that the loop goes on for so long. So the outermost one, which the application holds, is ours, or
tells us when it goes away.
"""

from __future__ import annotations

import contextlib
import functools
from contextvars import ContextVar
from types import AsyncGeneratorType
from typing import TYPE_CHECKING, Any, Final
from weakref import finalize

from tracetoll.responses import Watcher

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from tracetoll.call import Call
    from tracetoll.patching import Switch

_HOLDERS: Final[ContextVar[tuple[list[Call], ...]]] = ContextVar("tracetoll_holders", default=())


def hold(call: Call) -> None:
    """Have a call end with the generators that it is being read in; it stands for the one before it."""
    for calls in _HOLDERS.get():
        calls[:] = [call]


def holding(original: Callable[..., Any], switch: Switch) -> Callable[..., Any]:
    """Return the wrapper of a coroutine function that gives the application an asynchronous generator."""

    @functools.wraps(original)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        if not switch.on:
            return await original(*args, **kwargs)
        calls: list[Call] = []
        outer = _HOLDERS.set((*_HOLDERS.get(), calls))
        try:
            inner = await original(*args, **kwargs)
        finally:
            _HOLDERS.reset(outer)
        if not isinstance(inner, AsyncGeneratorType):
            return inner
        ours: Any = _held(inner, calls)
        ours.__name__, ours.__qualname__ = inner.__name__, inner.__qualname__
        return ours

    return wrapper


def reading(original: Callable[..., AsyncGenerator[Any, Any]], switch: Switch) -> Callable[..., Any]:
    """Return the wrapper of an asynchronous generator function that reads the HTTP response which it is given first.

    When the generator goes away, so does whoever reads the response: its call ends then, and waits for no event loop.
    """

    @functools.wraps(original)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        made = original(*args, **kwargs)
        watcher = getattr(args[0], "stream", None) if args and switch.on else None
        if isinstance(watcher, Watcher):
            finalize(made, watcher.closed, "abandoned").atexit = False
        return made

    return wrapper


async def _held(inner: AsyncGenerator[Any, Any], calls: list[Call]) -> AsyncGenerator[Any, Any]:
    try:
        while True:
            outer = _HOLDERS.set((*_HOLDERS.get(), calls))
            try:
                event = await anext(inner)
            except StopAsyncIteration:
                return
            finally:
                # A task that is dropped while it waits here is closed in another context.
                with contextlib.suppress(ValueError):
                    _HOLDERS.reset(outer)
            yield event
    finally:
        for call in calls:
            call.close_safely("closed")
        await inner.aclose()
