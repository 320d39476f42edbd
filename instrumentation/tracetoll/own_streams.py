"""Streams that are objects of an SDK's own, with `__next__` or `__anext__`: the application gets the very same object.

Their classes are patched; what belongs to one stream stands on the object itself, so that it goes away with it.
"""

from __future__ import annotations

import functools
import weakref
from typing import TYPE_CHECKING, Any, Final

from tracetoll.call import current_call
from tracetoll.reading import view
from tracetoll.streams import AsyncTap, SyncTap, event_reader

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracetoll.call import Call
    from tracetoll.providers.waists import Event

_TAPPED: Final = "_tracetoll_tapped"
_PATCHED: Final = "_tracetoll_patched"


def tap_in_place(call: Call, stream: Any, event: Event | None, *, said_elsewhere: bool) -> None:
    """Have the elements of a stream read; with `said_elsewhere`, what they are made of is read (`provider_said`)."""
    tapped = _Tapped(call, stream, _Said(call, event).element if said_elsewhere else event)
    for name in METHODS:
        owner = next((kind for kind in type(stream).__mro__ if name in vars(kind)), None)
        # A class that is made anew for every stream is nobody else's; the others are patched when they are imported.
        if owner is not None and not hasattr(vars(owner)[name], _PATCHED):
            setattr(owner, name, METHODS[name](vars(owner)[name]))
    stream.__dict__[_TAPPED] = tapped


def provider_said(event: object) -> None:
    """Take what a provider said, from which the SDK makes an element of the stream that is being asked for one."""
    call = current_call.get()
    if call is not None and call.reader is not None and event is not None:
        call.reader(event)


class _Said:
    """What a provider said of a call, which its stream's elements tell again with numbers of the SDK's own."""

    def __init__(self, call: Call, event: Event | None) -> None:
        answer, events = call.surface.answer, call.surface.events
        self._read = event_reader(call)
        self._event = event
        self._heard = False
        """Whether anything was said: a version of the SDK may have no such function, or no such numbers."""
        self._usage = {where[0] for where in answer.usage if where}
        self._said = {*self._usage, answer.model}
        self._parts = {part.at[0] for part in (events.parts.values() if events is not None else ()) if part.at}
        self._call = call
        call.reader = self._take

    def _take(self, said: object) -> None:
        self._heard = True
        self._read(said if self._event is None else self._event(said))

    def element(self, of: object) -> object:
        """Return what there is to read of an element: not the usage, and not the model if that was said."""
        if not self._heard:
            return of if self._event is None else self._event(of)
        known = self._usage if self._call.response_model is None else self._said
        told = {name: value for name, value in view(of).items() if name not in known}
        for name in self._parts & told.keys():
            told[name] = {field: value for field, value in view(told[name]).items() if field not in known}
        return told


class _Tapped:
    """What is ours of one stream. It must not keep the stream."""

    def __init__(self, call: Call, stream: Any, event: Event | None) -> None:
        self.call = call
        self.source = _Source(call, stream)
        self._taps: dict[type[SyncTap | AsyncTap], Any] = {}
        self._event = event

    def tap(self, kind: type[SyncTap | AsyncTap]) -> Any:
        """Return the tap that the elements go through."""
        found = self._taps.get(kind)
        if found is None:
            found = self._taps[kind] = kind(self.source, self.call, self._event)
        return found

    def __del__(self) -> None:
        self.call.close_safely("abandoned")


class _Source:
    """The stream without us, as an iterator."""

    def __init__(self, call: Call, stream: Any) -> None:
        self._call = call
        self._stream = weakref.ref(stream)
        self.original: Callable[[Any], Any] = type(stream)

    def __iter__(self) -> _Source:
        return self

    def __aiter__(self) -> _Source:
        return self

    def __next__(self) -> Any:
        # What the SDK asks meanwhile, perhaps another one, is a part of this call.
        outer = current_call.set(self._call)
        try:
            return self.original(self._stream())
        finally:
            current_call.reset(outer)

    async def __anext__(self) -> Any:
        outer = current_call.set(self._call)
        try:
            return await self.original(self._stream())
        finally:
            current_call.reset(outer)

    def close(self) -> None:
        """Close the stream."""
        stream: Any = self._stream()
        if hasattr(stream, "close"):
            stream.close()
        elif hasattr(stream, "cancel"):
            stream.cancel()

    async def aclose(self) -> None:
        """Close the stream."""
        stream: Any = self._stream()
        if hasattr(stream, "aclose"):
            await stream.aclose()
        elif hasattr(stream, "cancel"):
            await stream.cancel()


def _tapped(stream: Any) -> _Tapped | None:
    """Return what is ours of a stream; None where it is none of ours, or is being asked by us."""
    found: _Tapped | None = stream.__dict__.get(_TAPPED)
    return None if found is None or found.call.running else found


def _next(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    @functools.wraps(original)
    def wrapper(stream: Any) -> Any:
        tapped = _tapped(stream)
        if tapped is None:
            return original(stream)
        tapped.source.original = original
        return next(tapped.tap(SyncTap))

    return _marked(wrapper)


def _anext(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    @functools.wraps(original)
    async def wrapper(stream: Any) -> Any:
        tapped = _tapped(stream)
        if tapped is None:
            return await original(stream)
        tapped.source.original = original
        return await anext(tapped.tap(AsyncTap))

    return _marked(wrapper)


def _close(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    @functools.wraps(original)
    def wrapper(stream: Any) -> Any:
        try:
            return original(stream)
        finally:
            tapped = _tapped(stream)
            if tapped is not None:
                tapped.call.close_safely("closed")

    return _marked(wrapper)


def _aclose(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    @functools.wraps(original)
    async def wrapper(stream: Any) -> Any:
        try:
            return await original(stream)
        finally:
            tapped = _tapped(stream)
            if tapped is not None:
                tapped.call.close_safely("closed")

    return _marked(wrapper)


def _marked(wrapper: Callable[[Any], Any]) -> Callable[[Any], Any]:
    setattr(wrapper, _PATCHED, True)
    return wrapper


METHODS: Final = {"__next__": _next, "__anext__": _anext, "close": _close, "aclose": _aclose, "cancel": _close}
"""How each method of a stream's class is wrapped."""
