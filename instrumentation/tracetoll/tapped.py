"""Streams of SDKs that keep their type: the iterator inside is replaced by ours (see `providers.waists.Tap`)."""

from __future__ import annotations

import functools
import inspect
import weakref
from typing import TYPE_CHECKING, Any, Final

from tracetoll.protos import message_in
from tracetoll.providers.waists import json_of
from tracetoll.reading import get
from tracetoll.safety import contained
from tracetoll.streams import AsyncTap, SyncTap

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from tracetoll.call import Call
    from tracetoll.providers.waists import Event, Tap

_CLOSING: Final = contained("closing a stream")


def tap_into(call: Call, stream: Any, tap: Tap, event: Event | None = None) -> bool:
    """Put our iterator into a stream object; return whether it has one."""
    inner = getattr(stream, tap.at)() if tap.made else get(stream, tap.at)
    made: SyncTap | AsyncTap
    if hasattr(inner, "__anext__"):
        made = AsyncPieces(inner, call) if tap.pieces else AsyncTap(inner, call)
    elif hasattr(inner, "__next__"):
        made = SyncPieces(inner, call) if tap.pieces else SyncTap(inner, call)
    elif hasattr(inner, "__aiter__") and hasattr(inner, "read"):
        made = AsyncReads(_Read(inner), call, event)
    else:
        return False
    if tap.response:
        call.stream_of = get(stream, tap.response)
    setattr(stream, tap.at, _Making(made, stream, tap.at) if tap.made else made)
    return True


def closing(at: str, original: Callable[..., Any]) -> Callable[..., Any]:
    """Return the wrapper of a function by which the application closes a stream."""

    def closed(stream: object) -> None:
        tap = get(stream, at)
        if isinstance(tap, _Making):
            tap = tap.tapped
        if isinstance(tap, SyncTap | AsyncTap):
            with _CLOSING:
                tap.closed()

    if inspect.iscoroutinefunction(original):

        @functools.wraps(original)
        async def close_async(stream: object, *args: Any, **kwargs: Any) -> Any:
            try:
                return await original(stream, *args, **kwargs)
            finally:
                closed(stream)

        return close_async

    @functools.wraps(original)
    def close(stream: object, *args: Any, **kwargs: Any) -> Any:
        try:
            return original(stream, *args, **kwargs)
        finally:
            closed(stream)

    return close


class _Making:
    """Stands for a stream's method that makes what is iterated: it gives what we have tapped, then what the SDK makes.

    It must not keep the stream.
    """

    def __init__(self, tapped: SyncTap | AsyncTap, stream: Any, name: str) -> None:
        self.tapped = tapped
        self._given = False
        self._stream = weakref.ref(stream)
        self._name = name

    def __call__(self) -> Any:
        if not self._given:
            self._given = True
            return self.tapped
        stream = self._stream()
        return getattr(type(stream), self._name)(stream)


class _Lines:
    """Puts pieces of a stream of server-sent events together, and gives what their data say."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def add(self, piece: object) -> list[object]:
        """Return the data that a piece completes."""
        if not isinstance(piece, bytes | bytearray):
            return []
        *lines, self._rest = (self._rest + piece).split(b"\n")
        return [json_of(line) for line in lines if line.startswith(b"data:")]


class SyncPieces(SyncTap):
    """The iterator of a stream that comes in pieces of bytes, whatever they cut through."""

    __slots__ = ("_lines",)
    _whole = False

    def __init__(self, inner: Iterator[object], call: Call) -> None:
        super().__init__(inner, call)
        self._lines = _Lines()

    def _seen(self, event: object) -> bool:
        for told in self._lines.add(event):
            super()._seen(told)
        return False


class AsyncPieces(AsyncTap):
    """The asynchronous `SyncPieces`."""

    __slots__ = ("_lines",)
    _whole = False

    def __init__(self, inner: AsyncIterator[object], call: Call) -> None:
        super().__init__(inner, call)
        self._lines = _Lines()

    def _seen(self, event: object) -> bool:
        for told in self._lines.add(event):
            super()._seen(told)
        return False


class _Read:
    """A call of grpc.aio as an iterator: it does not let itself be iterated and read by hand both."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._parts: Any = None
        self.by_hand = False
        self.end: object = None

    async def __anext__(self) -> object:
        if self.by_hand:
            found: object = await self._inner.read()
            if message_in(found) is None:
                self.end = found
                raise StopAsyncIteration
            return found
        if self._parts is None:
            self._parts = aiter(self._inner)
        return await anext(self._parts)

    async def aclose(self) -> None:
        """Cancel the call."""
        self._inner.cancel()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class AsyncReads(AsyncTap):
    """What stands for a call of grpc.aio whose answers are streamed."""

    __slots__ = ()

    async def read(self) -> object:
        """Return the next answer, or what grpc.aio says when there is none."""
        self._inner.by_hand = True
        try:
            return await anext(self)
        except StopAsyncIteration:
            return self._inner.end

    def cancel(self) -> Any:
        """Cancel the call."""
        try:
            return self._inner.cancel()
        finally:
            self.closed()
