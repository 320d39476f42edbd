"""Who called an SDK that asks elsewhere: in threads of its own, or when its generator is iterated.

A thread of a pool begins with an empty context, and a generator runs in that of whoever iterates it. So the caller's
goes along, among the options that the SDK hands from the called function to the one that asks.
"""

from __future__ import annotations

import functools
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, Final

from tracetoll.bodies import dig_any
from tracetoll.call import current_call

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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


def caller(options: str, table: Arguments) -> Context | None:
    """Return the context of who called the SDK, to run in; None where nobody told."""
    found: Mapping[str, object] | None = dig_any(table, (options,))
    context = found.get(_CALLER) if isinstance(found, dict) else None
    if not isinstance(context, Context) or current_call.get() is not None:
        return None
    return context.copy()  # several threads may run at once
