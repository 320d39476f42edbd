"""Wrappers of functions of SDKs: what happens around the SDK's own work, sync, async, in generators and managers."""

from __future__ import annotations

import functools
import inspect
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from tracetoll.bodies import Parameters
from tracetoll.carriers import fail, left, passed_on, passed_on_async, taken
from tracetoll.safety import contained
from tracetoll.streams import AsyncTap, SyncTap

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator
    from contextvars import Context

    from tracetoll.bodies import Arguments
    from tracetoll.call import Call
    from tracetoll.engine import Engine
    from tracetoll.providers.waists import Body, Function, Waist

_LEAVING: Final = contained("leaving a response")

Args = tuple[Any, ...]
Kwargs = dict[str, Any]


class Patched(NamedTuple):
    """A function that is patched: what its provider file says of it, itself, and its parameters."""

    function: Function
    original: Callable[..., Any]
    parameters: Parameters


class Asked(NamedTuple):
    """A call to make, and what the SDK's function was called with for it."""

    call: Call
    args: Args
    kwargs: Kwargs
    table: Arguments
    body: Body
    path_model: str | None
    """The model, where the path names it."""


class Seam(Protocol):
    """Who knows which calls are to be made."""

    waist: Waist
    engine: Engine

    def ask(self, patched: Patched, args: Args, kwargs: Kwargs) -> Asked | None:
        """Return the call to make; None if this is none of ours. Raises LimitExceeded."""

    def caller(self, patched: Patched, args: Args, kwargs: Kwargs) -> Context | None:
        """Return the context to ask in, where that is not this one."""

    def lazily(self, patched: Patched, args: Args, kwargs: Kwargs) -> bool:
        """Return whether the function is going to give a generator that has asked nobody yet."""

    def adjusted(self, patched: Patched, asked: Asked) -> tuple[Args, Kwargs]:
        """Return what to call the function with."""


def wrapped(seam: Seam, function: Function, original: Callable[..., Any]) -> Callable[..., Any]:
    """Return the wrapper of a function."""
    patched = Patched(function, original, Parameters(original))
    if function.result == "response manager":
        return _manager(seam, patched)
    if inspect.isasyncgenfunction(original):
        return _generating(seam, patched)
    if function.asynchronous:
        made = _async(seam, patched)
        return made if inspect.iscoroutinefunction(original) else _promising(made)
    return _sync(seam, patched) if seam.waist.handed is None else _elsewhere(seam, patched, _sync(seam, patched))


def _promising(wrapper: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that is not asynchronous itself, as what it stands for, and returns what is."""

    @functools.wraps(wrapper)
    def promising(*args: Any, **kwargs: Any) -> Any:
        return wrapper(*args, **kwargs)

    return promising


def _elsewhere(seam: Seam, patched: Patched, wrapper: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(wrapper)
    def in_context(*args: Any, **kwargs: Any) -> Any:
        caller = seam.caller(patched, args, kwargs)
        return wrapper(*args, **kwargs) if caller is None else caller.run(wrapper, *args, **kwargs)

    return in_context


def _sync(seam: Seam, patched: Patched) -> Callable[..., Any]:
    original = patched.original

    @functools.wraps(original)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if seam.lazily(patched, args, kwargs):
            return _later(seam, patched, args, kwargs)
        asked = seam.ask(patched, args, kwargs)
        if asked is None:
            return original(*args, **kwargs)
        call = asked.call
        if call.claim is not None and call.claim.waiting:
            seam.engine.wait(call)
        args, kwargs = seam.adjusted(patched, asked)
        entered = call.enter()
        try:
            result = original(*args, **kwargs)
        except BaseException as error:
            fail(call, error, seam.waist)
            raise
        finally:
            call.leave(entered)
        return taken(call, result, seam.waist, patched.function.result)

    return wrapper


def _async(seam: Seam, patched: Patched) -> Callable[..., Any]:
    original = patched.original

    @functools.wraps(original)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        if seam.lazily(patched, args, kwargs):
            return _later_async(seam, patched, args, kwargs)
        asked = seam.ask(patched, args, kwargs)
        if asked is None:
            return await original(*args, **kwargs)
        call = asked.call
        if call.claim is not None and call.claim.waiting:
            await seam.engine.wait_async(call)
        args, kwargs = seam.adjusted(patched, asked)
        entered = call.enter()
        try:
            result = await original(*args, **kwargs)
        except BaseException as error:
            fail(call, error, seam.waist)
            raise
        finally:
            call.leave(entered)
        return taken(call, result, seam.waist, patched.function.result)

    return wrapper


def _generating(seam: Seam, patched: Patched) -> Callable[..., Any]:
    """Wrap an asynchronous generator function: what it returns needs no waiting for."""

    @functools.wraps(patched.original)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if seam.lazily(patched, args, kwargs):
            return _later_async(seam, patched, args, kwargs)
        return patched.original(*args, **kwargs)

    return wrapper


# A generator that asks nobody before it is iterated: nor do we. On whose behalf it asks is settled when it is made.


def _later(seam: Seam, patched: Patched, args: Args, kwargs: Kwargs) -> Generator[object, Any, Any]:
    made_in = copy_context()

    def generator() -> Generator[object, Any, Any]:
        asked = made_in.run(seam.ask, patched, args, kwargs)
        if asked is None:
            return (yield from patched.original(*args, **kwargs))
        call = asked.call
        if call.claim is not None and call.claim.waiting:
            seam.engine.wait(call)
        changed, named = seam.adjusted(patched, asked)
        entered = call.enter()
        try:
            inner = patched.original(*changed, **named)
            tap = SyncTap(inner, call, seam.waist.event)
            first = next(tap)
        except StopIteration as ended:
            return ended.value
        except BaseException as error:
            call.fail(error)
            raise
        finally:
            call.leave(entered)
        try:
            yield first
            return (yield from passed_on(tap, call, inner))
        finally:
            inner.close()
            call.close_safely("closed")

    return generator()


def _later_async(seam: Seam, patched: Patched, args: Args, kwargs: Kwargs) -> AsyncGenerator[object, None]:
    made_in = copy_context()

    async def generator() -> AsyncGenerator[object, None]:
        asked = made_in.run(seam.ask, patched, args, kwargs)
        if asked is None:
            async for event in await _ready(patched.original(*args, **kwargs)):
                yield event
            return
        call = asked.call
        if call.claim is not None and call.claim.waiting:
            await seam.engine.wait_async(call)
        changed, named = seam.adjusted(patched, asked)
        entered = call.enter()
        try:
            inner = await _ready(patched.original(*changed, **named))
            tap = AsyncTap(inner, call, seam.waist.event)
            first = await anext(tap)
        except StopAsyncIteration:
            return
        except BaseException as error:
            call.fail(error)
            raise
        finally:
            call.leave(entered)
        try:
            yield first
            async for event in passed_on_async(tap, call, inner):
                yield event
        finally:
            call.close_safely("closed")
            await inner.aclose()

    return generator()


async def _ready(made: Any) -> Any:
    """Return an asynchronous generator, which some functions give at once and others are waited for."""
    return await made if inspect.isawaitable(made) else made


def _manager(seam: Seam, patched: Patched) -> Callable[..., Any]:
    @functools.wraps(patched.original)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return _Manager(seam, patched, args, kwargs)

    return wrapper


class _Manager:
    """Stands for a context manager that has an HTTP response; what it is asked to do, the SDK's own does."""

    def __init__(self, seam: Seam, patched: Patched, args: Args, kwargs: Kwargs) -> None:
        self._seam = seam
        self._patched = patched
        self._made_with = (args, kwargs)
        self._call: Call | None = None
        self._inner: Any = None
        self._response: Any = None

    def _asked(self) -> Asked | None:
        """Ask on behalf of who called the SDK, wherever it is entered."""
        seam, made_with = self._seam, self._made_with
        caller = seam.caller(self._patched, *made_with)
        return (
            seam.ask(self._patched, *made_with) if caller is None else caller.run(seam.ask, self._patched, *made_with)
        )

    def _begin(self, asked: Asked | None) -> None:
        """Make the SDK's own context manager."""
        args, kwargs = self._made_with if asked is None else self._seam.adjusted(self._patched, asked)
        self._inner = self._patched.original(*args, **kwargs)
        self._call = None if asked is None else asked.call

    def __enter__(self) -> Any:
        asked = self._asked()
        if asked is not None and asked.call.claim is not None and asked.call.claim.waiting:
            self._seam.engine.wait(asked.call)
        self._begin(asked)
        call = self._call
        if call is None:
            return self._inner.__enter__()
        entered = call.enter()
        try:
            response = self._inner.__enter__()
        except BaseException as error:
            call.fail(error)
            raise
        finally:
            call.leave(entered)
        self._response = response
        return taken(call, response, self._seam.waist, self._patched.function.result)

    async def __aenter__(self) -> Any:
        asked = self._asked()
        if asked is not None and asked.call.claim is not None and asked.call.claim.waiting:
            await self._seam.engine.wait_async(asked.call)
        self._begin(asked)
        call = self._call
        if call is None:
            return await self._inner.__aenter__()
        entered = call.enter()
        try:
            response = await self._inner.__aenter__()
        except BaseException as error:
            call.fail(error)
            raise
        finally:
            call.leave(entered)
        self._response = response
        return taken(call, response, self._seam.waist, self._patched.function.result)

    def __exit__(self, *error: object) -> Any:
        self._left()
        return self._inner.__exit__(*error)

    async def __aexit__(self, *error: object) -> Any:
        self._left()  # first: an event loop that is about to end may never come back from the next line
        return await self._inner.__aexit__(*error)

    def _left(self) -> None:
        if self._call is not None:
            with _LEAVING:
                left(self._response)
            self._call.close_safely("closed")
