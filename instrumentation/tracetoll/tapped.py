"""Streams of SDKs that keep their type: the iterator inside is replaced by ours (see `providers.waists.Tap`)."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, Final

from tracetoll.providers.waists import json_of
from tracetoll.reading import get
from tracetoll.safety import contained
from tracetoll.streams import AsyncTap, SyncTap

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from tracetoll.call import Call
    from tracetoll.providers.waists import Tap

_CLOSING: Final = contained("closing a stream")


def tap_into(call: Call, stream: Any, tap: Tap) -> bool:
    """Put our iterator into a stream object; return whether it has one."""
    inner = get(stream, tap.at)
    made: SyncTap | AsyncTap
    if hasattr(inner, "__anext__"):
        made = AsyncPieces(inner, call) if tap.pieces else AsyncTap(inner, call)
    elif hasattr(inner, "__next__"):
        made = SyncPieces(inner, call) if tap.pieces else SyncTap(inner, call)
    else:
        return False
    if tap.response:
        call.stream_of = get(stream, tap.response)
    setattr(stream, tap.at, made)
    return True


def closing(at: str, original: Callable[..., Any]) -> Callable[..., Any]:
    """Return the wrapper of a function by which the application closes a stream."""

    def closed(stream: object) -> None:
        tap = get(stream, at)
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

    def __init__(self, inner: AsyncIterator[object], call: Call) -> None:
        super().__init__(inner, call)
        self._lines = _Lines()

    def _seen(self, event: object) -> bool:
        for told in self._lines.add(event):
            super()._seen(told)
        return False
