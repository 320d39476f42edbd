"""Streams, tapped in place: the SDK's own stream object stays, its iterator is ours.

`SyncTap` and `AsyncTap` stand in for the iterator that an SDK's stream object pulls parsed events from.
What the application reads as raw bytes is tapped in `tracetoll.responses`.
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from tracetoll.providers.waists import ENDED
from tracetoll.reading import dig, get, view
from tracetoll.safety import contained, fault

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from tracetoll.call import Call, Outcome
    from tracetoll.errors import LimitExceeded
    from tracetoll.providers.waists import Event
    from tracetoll.responses import Watcher

_CUTTING: Final = contained("closing a stream that was cut")


def event_reader(call: Call) -> Callable[[object], bool]:
    """Return what reads the events of a call's stream; its result says whether to hide the event.

    The returned function runs once per event of every stream, so it does as little as it can.
    """
    events = call.surface.events
    if call.surface.line is not None:
        return _line_reader(call)
    if events is None:
        return _nothing
    if events.kind is None:
        return _part_reader(call)
    kind_key, parts, errors, otherwise = events.kind, events.parts, events.errors, events.otherwise

    def read(event: object) -> bool:
        try:
            kind = event.__dict__[kind_key]
        except (AttributeError, KeyError):
            kind = get(event, kind_key)
        told = isinstance(kind, str)  # LiteLLM has members of an enumeration
        part = parts.get(kind) if told else None
        if part is None and told and kind in errors:
            code = dig(event, errors[kind])
            call.error_code = str(code)[:64] if code else "error"
            return False
        part = part or otherwise
        if part is not None:
            node = dig(event, part.at) if part.at else event
            call.read(node, part.answer)
        return False

    return read


def _nothing(_: object) -> bool:
    return False


def _line_reader(call: Call) -> Callable[[object], bool]:
    """Read a file of results: each line is a call of its own, made earlier."""
    surface = call.surface

    def read(line: object) -> bool:
        if surface.line is not None:
            call.engine.past_call(surface.line, call.target, dig(line, surface.line_at))
        return False

    return read


def _part_reader(call: Call) -> Callable[[object], bool]:
    """Read a stream whose every chunk is a part of the answer (chat completions and its relatives)."""
    quick: list[bool] = []
    """Filled after the first chunk, where chunks have their fields in a dictionary."""
    read_whole = _whole_reader(call, quick)

    def read(chunk: object) -> bool:
        if quick:  # most have text, and nothing else that is of use here
            try:
                fields = chunk.__dict__
                (choice,) = fields["choices"]
                usual = choice.__dict__["finish_reason"] is None and fields.get("usage") is None
                if usual and "x_groq" not in fields and not getattr(chunk, "__pydantic_extra__", None):
                    return False
            except (AttributeError, KeyError, TypeError, ValueError):
                pass
        return read_whole(chunk)

    return read


def _whole_reader(call: Call, quick: list[bool]) -> Callable[[object], bool]:
    """Read chunks, whatever there is in them."""
    answer = call.surface.answer
    finish = answer.finish
    first = [True]

    def read(chunk: object) -> bool:
        if first:
            call.read(chunk)
            if call.response_id is not None and call.response_model is not None:
                first.clear()  # Azure's first chunk may have neither
                quick.extend((True,) if hasattr(chunk, "__dict__") else ())
            return call.usage_hidden and not get(chunk, "choices") and get(chunk, "usage") is not None
        try:
            fields = chunk.__dict__
        except AttributeError:
            call.read(chunk)
            return False
        choices = fields.get("choices")
        if not choices:  # the usage, or an error that the SDK hands on like any other chunk, as groq 0.9 does
            call.read(chunk)
            return call.usage_hidden and get(chunk, "usage") is not None
        try:
            reason = choices[0].__dict__.get("finish_reason")
        except (AttributeError, TypeError, KeyError, IndexError):
            reason = True
        if (reason is not None or len(choices) > 1) and finish is not None:
            finish.read(chunk, call.finish)
        if fields.get("usage") is not None or getattr(chunk, "__pydantic_extra__", None) or "x_groq" in fields:
            call.read_usage(view(chunk), answer)
        return False

    return read


async def _closed(response: Any) -> None:
    """Close an HTTP response: those of httpx wait for it, those of aiohttp and botocore do not."""
    close = getattr(response, "aclose", None) or response.close
    waiting = close()
    if hasattr(waiting, "__await__"):
        await waiting


class _Tap:
    """What both taps do with an event, and when they are forgotten."""

    __slots__ = (
        "_call",
        "_claim",
        "_collect",
        "_event",
        "_inner",
        "_next",
        "_plain",
        "_read",
        "_started",
        "forgotten",
        "watcher",
    )

    _whole = True
    """Whether what comes is an event each."""

    def __init__(self, inner: Any, step: Callable[[], Any], call: Call, event: Event | None) -> None:
        self._started = self._plain = False
        self._event = event
        """What an element of the stream holds to be read; None: itself."""
        self.watcher: Watcher | None = None
        self.forgotten: Outcome = "abandoned"
        """How the call has ended when this is dropped."""
        self._call = call
        self._claim = call.claim
        self._inner = inner
        self._next = step
        self._read = event_reader(call)
        self._collect = call.engine.collector(call)

    def _limited(self, event: object) -> LimitExceeded | None:
        """Follow the stream for the limits; return what to end it with if it has to end."""
        claim, call = self._claim, self._call
        try:
            if claim is None or not call.is_open:
                return None
            return call.engine.admission.saw(claim, event if self._event is None else self._event(event))
        except Exception as error:
            if not fault("following a stream", error):
                raise
            return None

    def _end(self, error: LimitExceeded) -> Any:
        """Close the call, and return the HTTP response to be closed."""
        response = self.watcher.response if self.watcher is not None else self._call.stream_of
        self._call.error = error
        self._call.close("cut")
        return response

    def _seen(self, event: object) -> bool:
        """Read an event that there may be more to do with; return whether to hide it from the application."""
        if not self._started:
            self._started = True
            self._call.first_chunk_s = perf_counter() - self._call.started
            self._plain = self._whole and self._event is None and self._collect is None
        if self._event is not None:
            event = self._event(event)
        if event is ENDED:
            self._call.close()
            return False
        if self._collect is not None:
            self._collect(event)
        return self._read(event)

    def closed(self) -> None:
        """Close the call, because the application has closed the stream."""
        if not self._call.running:  # else the SDK closes at the end of the stream, and this sees it
            self._call.close_safely("closed")

    def __getattr__(self, name: str) -> Any:
        # What else the SDK's own iterator has: close(), send(), throw(), gi_running ...
        return getattr(self._inner, name)

    def __del__(self) -> None:
        # A stream that is dropped unread leaves its response, and somebody else may read that.
        if self._started or self.watcher is None or not self.watcher.read_bytes():
            self._call.close_safely(self.forgotten)


class SyncTap(_Tap):
    """The iterator of a tapped stream; it is the only thing of ours that the stream holds."""

    __slots__ = ()

    def __init__(self, inner: Iterator[object], call: Call, event: Event | None = None) -> None:
        super().__init__(inner, inner.__next__, call, event)

    def __iter__(self) -> SyncTap:
        return self

    def __next__(self) -> object:
        call = self._call
        call.running = True
        try:
            event = self._next()
        except StopIteration:
            call.close()
            raise
        except BaseException as error:
            call.fail(error)
            raise
        finally:
            call.running = False
        try:
            hidden = self._read(event) if self._plain else self._seen(event)
        except Exception as error:
            if not fault("reading a stream", error):
                raise
            hidden = False
        claim = self._claim
        if claim is not None:
            chunks = claim.chunks = claim.chunks + 1  # here, for it comes with every event
            if chunks >= claim.look_at:
                self._follow(event)
        return self.__next__() if hidden else event

    def _follow(self, event: object) -> None:
        """Follow the stream for the limits. Raises LimitExceeded, with the response closed, if one says so."""
        cut = self._limited(event)
        if cut is None:
            return
        response = self._end(cut)
        with _CUTTING:
            if response is not None:
                response.close()
            if hasattr(self._inner, "close"):
                self._inner.close()
        raise cut


class AsyncTap(_Tap):
    """The asynchronous `SyncTap`."""

    __slots__ = ()

    def __init__(self, inner: AsyncIterator[object], call: Call, event: Event | None = None) -> None:
        super().__init__(inner, inner.__anext__, call, event)

    def __aiter__(self) -> AsyncTap:
        return self

    async def __anext__(self) -> object:
        call = self._call
        call.running = True
        try:
            event = await self._next()
        except StopAsyncIteration:
            call.close()
            raise
        except BaseException as error:
            call.fail(error)
            raise
        finally:
            call.running = False
        try:
            hidden = self._read(event) if self._plain else self._seen(event)
        except Exception as error:
            if not fault("reading a stream", error):
                raise
            hidden = False
        claim = self._claim
        if claim is not None:
            chunks = claim.chunks = claim.chunks + 1  # here, for it comes with every event
            if chunks >= claim.look_at:
                await self._follow(event)
        return await self.__anext__() if hidden else event

    async def _follow(self, event: object) -> None:
        """Follow the stream for the limits. Raises LimitExceeded, with the response closed, if one says so."""
        cut = self._limited(event)
        if cut is None:
            return
        response = self._end(cut)
        with _CUTTING:
            if response is not None:
                await _closed(response)
            if hasattr(self._inner, "aclose"):
                await self._inner.aclose()
        raise cut
