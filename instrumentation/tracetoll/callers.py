"""Who called an SDK that asks elsewhere: in threads of its own, or when its generator is iterated.

A thread of a pool begins with an empty context, and a generator runs in that of whoever iterates it. So the caller's
goes along, among the options that the SDK hands from the called function to the one that asks; or it is that of the
coroutine which the SDK has run in an event loop of its own.
"""

from __future__ import annotations

import functools
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, Final

from tracetoll.bodies import dig_any
from tracetoll.call import current_call

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from tracetoll.bodies import Arguments
    from tracetoll.patching import Switch

_CALLER: Final = "tracetoll.caller"


def handing_on(options: str, switch: Switch, original: Callable[..., Any]) -> Callable[..., Any]:
    """Return the wrapper of a function that asks elsewhere; `options` is the argument that goes there."""

    @functools.wraps(original)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        given = kwargs.get(options)
        if switch.on and (given is None or isinstance(given, dict)):
            kwargs[options] = {**(given or {}), _CALLER: copy_context()}
        return original(*args, **kwargs)

    return wrapper


def carrying(switch: Switch, original: Callable[..., Any]) -> Callable[..., Any]:
    """Return the wrapper of a function that has its first argument, a coroutine function, run elsewhere."""

    @functools.wraps(original)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if args and switch.on:
            args = (_carried(args[0]), *args[1:])
        return original(*args, **kwargs)

    return wrapper


def _carried(function: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Coroutine[Any, Any, Any]]:
    """Return a coroutine function that runs in this context, wherever it is called."""
    made_in = copy_context()

    @functools.wraps(function)
    async def carried(*args: Any, **kwargs: Any) -> Any:
        import asyncio  # noqa: PLC0415  # who calls this has imported it

        return await asyncio.get_running_loop().create_task(function(*args, **kwargs), context=made_in)

    return carried


def caller(options: str, table: Arguments) -> Context | None:
    """Return the context of who called the SDK, to run in; None where nobody told."""
    found: Mapping[str, object] | None = dig_any(table, (options,))
    context = found.get(_CALLER) if isinstance(found, dict) else None
    if not isinstance(context, Context) or current_call.get() is not None:
        return None
    return context.copy()  # several threads may run at once
