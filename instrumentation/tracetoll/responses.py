"""Raw HTTP responses: what the application reads itself, and when it closes them.

The watcher replaces `response.stream`, the byte stream underneath every way of reading an httpx (or httpx2)
response. It hands every byte on as it is. The `httpx` flavour is found through the response's own class.
"""

from __future__ import annotations

import contextlib
import json
import sys
from functools import cache
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, Literal

from tracetoll import errors
from tracetoll.reading import dig, get
from tracetoll.safety import contained
from tracetoll.streams import event_reader

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tracetoll.call import Call
    from tracetoll.errors import LimitExceeded

_READING: Final = contained("reading a raw response")
_LIBRARIES: Final = ("httpx", "httpx2")
_LARGEST_BODY: Final = 64 * 1024 * 1024
_WORTH_READING: Final = (
    "application/json",
    "text/event-stream",
    "application/x-ndjson",
    "application/stream+json",  # Cohere's first API
)


Ended = Literal["closed", "abandoned", "cancelled", "cut"]


class Received:
    """What has come in of a raw body, read when it is complete or given up."""

    __slots__ = ("_call", "_pieces", "_response", "_size", "_wanted")

    def __init__(self, call: Call, response: Any) -> None:
        self._call = call
        self._response = response
        self._pieces: list[bytes] = []
        self._size = 0
        self._wanted = str(response.headers.get("content-type", "")).startswith(_WORTH_READING)

    def add(self, piece: bytes) -> None:
        """Take a piece of the body as it is on the wire."""
        if self._call.streaming and self._call.first_chunk_s is None:
            self._call.first_chunk_s = perf_counter() - self._call.started
        self._size += len(piece)
        if self._wanted and self._size <= _LARGEST_BODY:
            self._pieces.append(piece)

    def end(self, *, complete: bool, otherwise: Ended = "closed") -> None:
        """Read what came in, and close the call; `otherwise` is how it ended if that is not all there was."""
        call = self._call
        if not call.is_open:
            return
        # An SDK closes a stream as soon as it has read the provider's last word.
        last_word = self.take()
        call.close_safely("done" if complete or last_word else otherwise)

    def take(self) -> bool:
        """Read what came in; return whether that has the provider's last word."""
        call = self._call
        with _READING:
            body = self._body()
            self._pieces = []
            if body:
                read_body(call, body)
                if call.rejected:
                    read_failure(call, body)
                return bool(call.finish) or body.rstrip().endswith(b"[DONE]")
        return False

    def _body(self) -> bytes:
        """Return what came in, decoded; nothing where it is not what its header says, or too much."""
        if not self._pieces or self._size > _LARGEST_BODY:
            return b""
        wanted = ("content-type", "content-encoding")
        kept = {name: value for name, value in self._response.headers.items() if name.lower() in wanted}
        library = _library(self._response)
        with contextlib.suppress(library.DecodingError):
            # The response class itself undoes gzip, deflate, br and zstd.
            decoded: bytes = library.Response(200, headers=kept, content=b"".join(self._pieces)).content
            return decoded
        return b""


def read_body(call: Call, body: bytes) -> None:
    """Take what a raw body says: a JSON answer, server-sent events, or an event in each line."""
    text = body.decode("utf-8", errors="replace")
    lines = text.lstrip()[:1] in ("{", "[")
    answer = _json(text) if lines else None
    if lines and not _is_event(call, answer) and (answer is not None or not call.streaming):
        call.read(answer)
        if call.engine.keeps_content:
            call.output = answer
        return
    read = event_reader(call)
    collect = call.engine.collector(call)
    named = call.surface.events is not None and call.surface.events.kind == "event"
    for name, data in _lines(text) if lines else _server_sent_events(text):
        event = _json(data)
        if event is None:
            if not data.startswith("[DONE]"):
                call.error_code = "unreadable_event"
            continue
        if named:
            event = {"event": name, "data": event}
        if collect is not None:
            collect(event)
        read(event)
        error = event if get(event, "object") == "error" else get(event, "error")  # the first is Mistral's
        if name == "error" or (error is not None and get(event, "choices") is None):
            call.error_code = str(get(error, "code") or get(error, "type") or _code(call, event) or "error")[:64]


def read_failure(call: Call, body: bytes) -> None:
    """Take the provider's own code of an error from the body of a response, where there is one."""
    call.error_code = _code(call, _json(body.decode("utf-8", errors="replace"))) or call.error_code


def _code(call: Call, told: object) -> str | None:
    found = (errors.code(dig(told, where)) for where in call.target.error_codes)
    return next((code for code in found if code is not None), None)


def _is_event(call: Call, document: object) -> bool:
    """Return whether a body that is one JSON document is a stream's only event, and no answer."""
    events = call.surface.events
    return call.streaming and events is not None and events.kind is not None and get(document, events.kind) is not None


def _lines(text: str) -> Iterator[tuple[str, str]]:
    """Yield what each line says; the last one may have been cut off."""
    for line in text.splitlines():
        if _json(line) is not None:
            yield "", line


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _server_sent_events(text: str) -> Iterator[tuple[str, str]]:
    """Yield (event name, data) of each complete block; the last one may lack its blank line."""
    for block in text.replace("\r\n", "\n").replace("\r", "\n").split("\n\n"):
        name, data = "", []
        for line in block.split("\n"):
            field, _, value = line.partition(":")
            if field == "data":
                data.append(value.removeprefix(" "))
            elif field == "event":
                name = value.strip()
        if data:
            yield name, "\n".join(data)


def watch(response: Any, call: Call, *, raw: bool) -> Watcher:
    """Tell `call` when the byte stream of `response` is closed; with `raw`, also read what passes."""
    watcher: Watcher = _watcher_class(_library(response))(response, call, raw=raw)
    response.stream = watcher
    return watcher


class Watcher:
    """A byte stream that hands on every byte, and tells when it ends."""

    def __init__(self, response: Any, call: Call, *, raw: bool) -> None:
        self._inner = response.stream
        self.response = response
        self._call = call
        self._received = Received(call, response) if raw else None
        self._begun = self._gone = False
        # anthropic >= 1.14 looks for this with every event; found here, it costs no __getattr__.
        self.stream_observer = getattr(response.stream, "stream_observer", None)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def read_bytes(self) -> bool:
        """Read what passes, where nobody has begun to; return whether the bytes are read here, and end the call."""
        if self._received is None and not self._begun and not self.response.is_closed:
            self._received = Received(self._call, self.response)
        return self._received is not None and not self._gone

    def _begin(self) -> None:
        # Asked by our tap, the call is running. Else somebody else reads the response: the application, or
        # anthropic < 0.50, which drops its stream unread and makes another one around the same response.
        if not self._call.running:
            self.read_bytes()
        self._begun = True

    def __iter__(self) -> Iterator[bytes]:
        self._begin()
        if self._received is None:
            return iter(self._inner)
        return self._pieces(self._received)

    def __aiter__(self) -> AsyncIterator[bytes]:
        self._begin()
        if self._received is None:
            return aiter(self._inner)
        return self._async_pieces(self._received)

    def _pieces(self, received: Received) -> Iterator[bytes]:
        cut: LimitExceeded | None = None
        try:
            for piece in self._inner:
                received.add(piece)
                cut = self._limited(piece)
                if cut is not None:
                    break
                yield piece
        except Exception as error:
            self._call.fail(error)
            raise
        if cut is not None:
            self._cut(received, cut)
            self._inner.close()
            raise cut
        received.end(complete=True)

    async def _async_pieces(self, received: Received) -> AsyncIterator[bytes]:
        cut: LimitExceeded | None = None
        try:
            async for piece in self._inner:
                received.add(piece)
                cut = self._limited(piece)
                if cut is not None:
                    break
                yield piece
        except GeneratorExit:
            raise
        except BaseException as error:  # a task that is cancelled too
            received.take()
            self._call.fail(error)
            raise
        if cut is not None:
            self._cut(received, cut)
            await self._inner.aclose()
            raise cut
        received.end(complete=True)

    def _limited(self, piece: bytes) -> LimitExceeded | None:
        """Follow the bytes of a stream for the limits; return what to end it with if it has to end."""
        claim = self._call.claim
        if claim is None or not self._call.streaming or self._call.rejected:
            return None
        with _READING:
            if not claim.raw:
                claim.follow_bytes()
            claim.chunks += 1
            if claim.chunks < claim.look_at:
                return None
            return self._call.engine.admission.saw(claim, piece)
        return None

    def _cut(self, received: Received, error: LimitExceeded) -> None:
        """Close the call, with what came in until now."""
        self._call.error = error
        received.end(complete=False, otherwise="cut")

    def close(self) -> None:
        """Close the byte stream; part of the interface of both libraries."""
        self.closed(_how())
        self._inner.close()

    async def aclose(self) -> None:
        """Close the byte stream; part of the interface of both libraries."""
        self.closed(_how())  # first: an event loop that is about to end may never come back from the next line
        await self._inner.aclose()

    def closed(self, how: Literal["closed", "abandoned"]) -> None:
        """Tell that nobody is going to read on."""
        if self._received is not None:
            self._received.end(complete=False, otherwise=how)
        elif not self._call.running:  # else the SDK closes at the end of the stream, and the tap sees it
            self._call.close_safely("closed", collected="abandoned")

    def __del__(self) -> None:
        self._gone = True  # who is collected together with this may ask later
        # What the interpreter drops when it ends can be told to nobody any more.
        if self._received is not None and not sys.is_finalizing():
            self._received.end(complete=False, otherwise="abandoned")


def _how() -> Literal["closed", "abandoned"]:
    """Return how a response ends that is closed now: by a generator that goes away, or by somebody's hand."""
    return "abandoned" if sys.exc_info()[0] is GeneratorExit else "closed"


def _library(response: object) -> Any:
    """Return the HTTP library of a response, `httpx` or `httpx2`; mistralai makes a class of its own of it."""
    return next(
        sys.modules[name]
        for kind in type(response).__mro__
        if (name := kind.__module__.partition(".")[0]) in _LIBRARIES
    )


@cache
def _watcher_class(library: Any) -> Any:
    """Return the watcher for the responses of one HTTP library.

    It derives from the library's own stream classes, because the library checks that.
    """
    return type("WatchedStream", (Watcher, library.SyncByteStream, library.AsyncByteStream), {})
