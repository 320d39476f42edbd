"""What functions of SDKs give back, and how a call is read from it: answers, streams, HTTP responses.

A carrier takes a function's result and returns what the application gets: the very same, or, where it is a
plain generator, one of ours around it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from inspect import isawaitable
from types import AsyncGeneratorType, GeneratorType
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.context import attach, detach

from tracetoll import aws
from tracetoll.bodies import dig_any
from tracetoll.call import current_call
from tracetoll.headers import pairs_of
from tracetoll.held import hold
from tracetoll.own_streams import tap_in_place
from tracetoll.responses import Watcher, read_body, read_failure, watch
from tracetoll.safety import contained, fault
from tracetoll.streams import AsyncTap, SyncTap
from tracetoll.tapped import AsyncPieces, tap_into

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Generator, Mapping

    from tracetoll.call import Call
    from tracetoll.providers.waists import Waist

Carrier = Callable[["Call", Any, "Waist"], Any]

_TAKING: Final = contained("taking an answer")
_FIRST_ERROR_STATUS: Final = 400


def taken(call: Call, result: Any, waist: Waist, carrier: str) -> Any:
    """Read a function's result, or arrange for it to be read; return what the application gets."""
    try:
        return CARRIERS[carrier](call, result, waist)
    except Exception as error:
        call.close()
        if not fault("taking an answer", error):
            raise
        return result


def _answer(call: Call, result: Any, waist: Waist) -> Any:
    """Take an answer that is there, or the events of a stream."""
    if call.streaming:
        if waist.tap is not None and tap_into(call, result, waist.tap):
            return result
        if hasattr(result, "__anext__"):
            pieces = waist.tap is not None and waist.tap.pieces  # what it would have had inside, as LiteLLM 1.80
            tap = AsyncPieces(result, call) if pieces else AsyncTap(result, call, waist.event)
            return passed_on_async(tap, call, result)
        if hasattr(result, "__next__"):
            return passed_on(SyncTap(result, call, waist.event), call, result)
    _take_about(call, result, waist)
    if isinstance(result, bytes) and call.surface.usage is None:
        call.close()  # it may be an image; not worth reading
    else:
        call.answered(result if waist.event is None else waist.event(result))
    return result


def _take_about(call: Call, node: Any, waist: Waist) -> None:
    """Take what is told of an answer beside it: the response's headers, and how often was tried again."""
    if waist.headers:
        take_mapping(call, dig_any(node, waist.headers))
    retries = dig_any(node, waist.retries) if waist.retries else None
    if type(retries) is int:
        call.attempts = retries + 1


def fail(call: Call, error: BaseException, waist: Waist) -> None:
    """Close a call with the exception that the application sees."""
    if waist.error_answer:
        with _TAKING:
            _take_about(call, dig_any(error, waist.error_answer), waist)
    call.fail(error)


def _first(call: Call, result: Any, waist: Waist) -> Any:
    """Take the first part of a tuple, whose events the SDK wraps: a tap ends with its call at once if forgotten."""
    first, *others = result
    if call.streaming and hasattr(first, "__anext__"):
        tap = AsyncTap(first, call, waist.event)
        tap.forgotten = "closed"  # it goes away with the SDK's generator, which is closed, or was never begun
        return (tap, *others)
    return (_answer(call, first, waist), *others)


def _iterating(call: Call, result: Any, waist: Waist) -> Any:
    """Take a stream object that keeps what it iterates in `_iterator`, and its HTTP response; or an answer."""
    if not hasattr(result, "_iterator"):
        return _answer(call, result, waist)
    call.engine.read_headers(call, result.response)
    tap = AsyncTap if hasattr(result, "__anext__") else SyncTap
    tapped = result._iterator = tap(result._iterator, call, waist.event)  # noqa: SLF001  # see the docstring
    tapped.watcher = watch(result.response, call, raw=False)
    return result


def _inside(call: Call, result: Any, waist: Waist) -> Any:
    """Take an answer, or the events that the SDK itself reads.

    No generator of ours stands around these: one that is dropped waits for the event loop, a tap closes at once.
    """
    if call.streaming:
        hold(call)
        return (AsyncTap if hasattr(result, "__anext__") else SyncTap)(result, call, waist.event)
    return _answer(call, result, waist)


def _own_stream(call: Call, result: Any, waist: Waist) -> Any:
    """Take an answer, or a stream of the SDK's own, or wait for either."""
    if isawaitable(result):
        return _awaited(call, result, waist)
    if call.streaming and (hasattr(result, "__next__") or hasattr(result, "__anext__")):
        _take_about(call, result, waist)
        tap_in_place(call, result, waist.event, said_elsewhere=bool(waist.said))
        hold(call)
        return result
    if call.streaming and waist.tap is not None and tap_into(call, result, waist.tap, waist.event):
        hold(call)
        return result
    return _answer(call, result, waist)


async def _awaited(call: Call, result: Awaitable[Any], waist: Waist) -> Any:
    """Wait for what a function that is not asynchronous itself has promised."""
    outer, context = current_call.set(call), attach(call.context)
    try:
        result = await result
    except BaseException as error:
        call.fail(error)
        raise
    finally:
        current_call.reset(outer)
        detach(context)
    return taken(call, result, waist, "own stream")


def passed_on(tap: SyncTap, call: Call, inner: Iterator[object]) -> Iterator[object]:
    """Return a tap; where it stands for a generator, one of those around it."""
    if not isinstance(inner, GeneratorType):
        return tap
    tap.forgotten = "closed"  # a generator that is never begun goes away with the tap; a begun one is closed
    return _generator(tap, call, inner)


def passed_on_async(tap: AsyncTap, call: Call, inner: AsyncIterator[object]) -> AsyncIterator[object]:
    """Do as `passed_on`, asynchronously."""
    if not isinstance(inner, AsyncGeneratorType):
        return tap
    tap.forgotten = "closed"
    return _async_generator(tap, call, inner)


def _generator(tap: SyncTap, call: Call, inner: Any) -> Generator[object, Any, Any]:
    try:
        return (yield from tap)
    finally:
        inner.close()
        call.close_safely("closed")


async def _async_generator(tap: AsyncTap, call: Call, inner: Any) -> AsyncGenerator[object, None]:
    try:
        async for event in tap:
            yield event
    finally:
        call.close_safely("closed")
        await inner.aclose()


def _response(call: Call, response: Any, _: Waist) -> Any:
    """Take an HTTP response of httpx, which its reader reads."""
    call.engine.read_headers(call, response)
    call.rejected = response.status_code >= _FIRST_ERROR_STATUS
    call.received = not call.rejected
    if call.rejected:
        call.error_code = str(response.status_code)
    if not (response.is_closed and response.is_stream_consumed):
        watch(response, call, raw=True)
        return response
    with _TAKING:
        read_body(call, response.content)
        if call.rejected:
            read_failure(call, response.content)
    call.close("failed" if call.rejected else "done")
    return response


def left(response: Any) -> None:
    """Take what came in of an HTTP response that nobody is going to read on."""
    if isinstance(getattr(response, "stream", None), Watcher):
        response.stream.closed("closed")


def take_mapping(call: Call, headers: Mapping[str, str] | None) -> None:
    """Take response headers that an SDK keeps as text, by name."""
    if headers:
        call.engine.take_headers(call, pairs_of(headers))


def _aws(call: Call, result: Any, waist: Waist) -> Any:
    """Take what botocore made of a response."""
    _take_about(call, result, waist)
    aws.take(call, result, waist)
    return result


CARRIERS: Final[dict[str, Carrier]] = {
    "answer": _answer,
    "first": _first,
    "iterating": _iterating,
    "lazy": _answer,
    "inside": _inside,
    "own stream": _own_stream,
    "response": _response,
    "response manager": _response,
    "aws": _aws,
}
