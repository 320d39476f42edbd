"""What botocore and aiobotocore make of a response: an answer, a stream of events, or a body to be read.

`EventStream` and `StreamingBody` stay what they are. The generator that a stream takes its messages from is tapped;
underneath, the HTTP response gets a proxy that tells when it is closed, and for a body what was read of it.
"""

from __future__ import annotations

import base64
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import wrapt

from tracetoll.providers.waists import json_of
from tracetoll.reading import get, view
from tracetoll.responses import read_body, watch
from tracetoll.safety import contained
from tracetoll.streams import AsyncTap, SyncTap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tracetoll.call import Call, Outcome
    from tracetoll.providers.waists import Event, Waist

_READING: Final = contained("reading a body")
_LARGEST_BODY: Final = 64 * 1024 * 1024
_BODIES: Final = {"StreamingBody", "HttpxStreamingBody"}


def take(call: Call, result: Any, waist: Waist) -> None:
    """Read a result, or arrange for its stream or its body to be read when the application does."""
    call.received = True
    for value in view(result).values():
        names = {kind.__name__ for kind in type(value).__mro__}
        if "EventStream" in names:
            _tap(call, value, waist)
            return
        if names & _BODIES:
            _listen(call, value, result)
            return
    call.answered(result)


# --- streams of events -----------------------------------------------------------------------


def _tap(call: Call, stream: Any, waist: Waist) -> None:
    generator = stream._event_generator  # noqa: SLF001  # it takes its messages from there
    made = AsyncTap if hasattr(generator, "__anext__") else SyncTap
    call.stream_of = stream._raw_stream  # noqa: SLF001  # what its own close() closes
    stream._raw_stream = Watched(call.stream_of, call)  # noqa: SLF001
    stream._event_generator = made(generator, call, _reader(call, waist.event))  # noqa: SLF001


def _reader(call: Call, inner: Event | None) -> Event:
    """Return what reads a message as botocore will: {the event's type: what it says}."""

    def event(message: Any) -> object:
        told: Mapping[str, Any] = message.headers
        failure = told.get(":exception-type") or told.get(":error-code")
        if failure is not None:  # botocore makes an exception of it
            call.error_code = str(failure)[:64]
            call.close("failed")
            return None
        said = json_of(message.payload)
        blob = get(said, "bytes")
        if isinstance(blob, str):
            said["bytes"] = base64.b64decode(blob)
        whole = {str(told.get(":event-type")): said}
        return whole if inner is None else inner(whole)

    return event


class Watched(wrapt.ObjectProxy):  # type: ignore[type-arg]  # generic from wrapt 2 on
    """An HTTP response that tells a call when it is closed."""

    def __init__(self, response: Any, call: Call) -> None:
        super().__init__(response)
        self._self_call = call

    def close(self) -> None:
        """Close the response; part of its interface, as everything here is."""
        self.__wrapped__.close()
        self._self_closed()

    async def aclose(self) -> None:
        """Close the response, where that has to be awaited."""
        await self.__wrapped__.aclose()
        self._self_closed()

    def _self_closed(self) -> None:
        self._self_call.close_safely("closed")


# --- bodies ----------------------------------------------------------------------------------


def _listen(call: Call, body: Any, result: Any) -> None:
    """Have a body read when the application has read it."""
    length = get(get(get(result, "ResponseMetadata"), "HTTPHeaders"), "content-length")
    pieces = Pieces(call, int(length) if str(length).isdecimal() else None)
    # What it reads from; those of aiobotocore before 3.0 are proxies of it.
    where = "__wrapped__" if isinstance(body, wrapt.ObjectProxy) else "_raw_stream"
    response: Any = getattr(body, where)
    library = type(response).__module__.partition(".")[0]
    if library.startswith("httpx"):
        watch(response, call, raw=True)
    elif library == "aiohttp":
        response.content = Content(response.content, pieces)
        setattr(body, where, AsyncBody(response, call, pieces))
    else:
        setattr(body, where, Body(response, call, pieces))


class Pieces:
    """What has been read of a body; it is the answer when it is complete."""

    __slots__ = ("_call", "_kept", "_length", "_size")

    def __init__(self, call: Call, length: int | None) -> None:
        self._call = call
        self._length = length
        self._size = 0
        self._kept: list[bytes] = []

    @contextmanager
    def failing(self) -> Iterator[None]:
        """Fail the call with what is raised inside."""
        try:
            yield
        except BaseException as error:
            self._call.fail(error)
            raise

    def add(self, piece: bytes, *, last: bool = False) -> bytes:
        """Take a piece that was read, and return it; the last one ends the call."""
        self._size += len(piece)
        if self._size <= _LARGEST_BODY:
            self._kept.append(piece)
        if last or self._size == self._length:
            self.end("done")
        return piece

    def end(self, outcome: Outcome) -> None:
        """Read what came in, and close the call."""
        kept, self._kept = self._kept, []
        if not self._call.is_open:
            return
        if self._length is not None and self._size < self._length and outcome == "done":
            self._call.error_code = "IncompleteReadError"  # as botocore calls it
        elif kept and self._size <= _LARGEST_BODY:
            with _READING:
                read_body(self._call, b"".join(kept))
        self._call.close_safely(outcome)


class _Read(Watched):
    """A response that the application reads the body of."""

    def __init__(self, response: Any, call: Call, pieces: Pieces) -> None:
        super().__init__(response, call)
        self._self_pieces = pieces

    def _self_closed(self) -> None:
        self._self_pieces.end("closed")

    def __del__(self) -> None:
        self._self_pieces.end("abandoned")


class Body(_Read):
    """A response of urllib3; all of its ways of being read that botocore, or who enters the body, can use."""

    def _self_read(self, read: Callable[..., bytes], *args: Any, **kwargs: Any) -> bytes:
        with self._self_pieces.failing():
            piece = read(*args, **kwargs)
        amount = args[0] if args else kwargs.get("amt")
        return self._self_pieces.add(piece, last=amount is None or amount < 0 or (not piece and amount > 0))

    def read(self, *args: Any, **kwargs: Any) -> bytes:
        """Read some bytes, or all."""
        return self._self_read(self.__wrapped__.read, *args, **kwargs)

    def read1(self, *args: Any, **kwargs: Any) -> bytes:
        """Read what is there."""
        with self._self_pieces.failing():
            piece = self.__wrapped__.read1(*args, **kwargs)
        return self._self_pieces.add(piece, last=not piece)

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer."""
        with self._self_pieces.failing():
            size: int = self.__wrapped__.readinto(buffer)
        self._self_pieces.add(bytes(memoryview(buffer)[:size]), last=not size and len(buffer) > 0)
        return size

    def readline(self, *args: Any) -> bytes:
        """Read a line."""
        with self._self_pieces.failing():
            line = self.__wrapped__.readline(*args)
        return self._self_pieces.add(line, last=not line)

    def readlines(self, *args: Any) -> list[bytes]:
        """Read lines."""
        with self._self_pieces.failing():
            lines: list[bytes] = self.__wrapped__.readlines(*args)
        self._self_pieces.add(b"".join(lines), last=not args)
        return lines

    def stream(self, *args: Any, **kwargs: Any) -> Iterator[bytes]:
        """Read piece by piece."""
        with self._self_pieces.failing():
            for piece in self.__wrapped__.stream(*args, **kwargs):
                yield self._self_pieces.add(piece)
        self._self_pieces.end("done")

    def __iter__(self) -> Iterator[bytes]:
        with self._self_pieces.failing():
            for line in self.__wrapped__:
                yield self._self_pieces.add(line)
        self._self_pieces.end("done")


class AsyncBody(_Read):
    """A response of aiohttp; what is read of it is seen in its content."""

    def release(self) -> Any:
        """Give the connection back."""
        released = self.__wrapped__.release()
        self._self_closed()
        return released

    async def __aexit__(self, *error: object) -> None:
        await self.__wrapped__.__aexit__(*error)
        self._self_closed()


class Content(wrapt.ObjectProxy):  # type: ignore[type-arg]  # generic from wrapt 2 on
    """The content of a response of aiohttp, with all of its ways of being read."""

    def __init__(self, content: Any, pieces: Pieces) -> None:
        super().__init__(content)
        self._self_pieces = pieces

    async def _self_read(self, name: str, *args: Any) -> Any:
        with self._self_pieces.failing():
            found = await getattr(self.__wrapped__, name)(*args)
        piece = found[0] if isinstance(found, tuple) else found
        self._self_pieces.add(piece, last=self.__wrapped__.at_eof())
        return found

    async def read(self, *args: int) -> Any:
        """Read some bytes, or all."""
        return await self._self_read("read", *args)

    async def readany(self) -> Any:
        """Read what is there."""
        return await self._self_read("readany")

    async def readchunk(self) -> Any:
        """Read a chunk, and whether it is whole."""
        return await self._self_read("readchunk")

    async def readline(self, *args: Any) -> Any:
        """Read a line."""
        return await self._self_read("readline", *args)

    async def readexactly(self, *args: int) -> Any:
        """Read so many bytes."""
        return await self._self_read("readexactly", *args)

    async def readuntil(self, *args: Any) -> Any:
        """Read up to a separator."""
        return await self._self_read("readuntil", *args)

    # These make iterators that read from the content they are given.

    def iter_any(self) -> Any:
        """Return an iterator over what comes in."""
        return type(self.__wrapped__).iter_any(self)

    def iter_chunked(self, size: int) -> Any:
        """Return an iterator over pieces of a size."""
        return type(self.__wrapped__).iter_chunked(self, size)

    def iter_chunks(self) -> Any:
        """Return an iterator over chunks."""
        return type(self.__wrapped__).iter_chunks(self)

    def __aiter__(self) -> Any:
        return type(self.__wrapped__).__aiter__(self)
