"""What a service spent comes back to who called it, in a header of its answer: `tracetoll-spent`.

The service wraps its application in `ReturnSpentASGI` or `ReturnSpentWSGI`; who calls it gives the answer's headers
to `take_spent`. Either is a decision: the header tells what a request cost to whoever made it, and what is taken is
believed.
"""

from __future__ import annotations

import logging
import os
import secrets
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context, trace
from opentelemetry.trace import INVALID_SPAN

from tracetoll import spent
from tracetoll.attribution import current as current_attribution
from tracetoll.call import Call
from tracetoll.engine import Seen
from tracetoll.instrumentor import Instrumentor
from tracetoll.limits.scope import Scope, current_scopes, resumed
from tracetoll.providers.words import Surface
from tracetoll.safety import contained
from tracetoll.spent import Spent
from tracetoll.targets import Target
from tracetoll.usage import NANO
from tracetoll_semconv import attributes as a

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, MutableMapping

    from opentelemetry.trace import Span

    from tracetoll.engine import Engine

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    ASGIApp = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]
    Headers = list[tuple[str, str]]
    WSGIApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

__all__ = ["ReturnSpentASGI", "ReturnSpentWSGI", "Spent", "take_spent", "take_spent_of", "take_spent_of_async"]

log: Final = logging.getLogger("tracetoll")

HEADER: Final = "tracetoll-spent"
_RAW_HEADER: Final = HEADER.encode()
_ANSWERS_KEPT: Final = 10_000
_TAKING: Final = contained("taking what a service has spent")
_RETURNING: Final = contained("telling what was spent for a request")
_ELSEWHERE: Final = Surface(operation="unknown")
_SOMEBODY: Final = Target("unknown", None, None)
_PROCESS: Final = secrets.token_hex(6)

_taken: Final = Seen(_ANSWERS_KEPT)
_told: Final = Seen(_ANSWERS_KEPT)
_complained: Final = Seen(1)
_inside: Final[dict[str, frozenset[str]]] = {}
"""Ids of answers that were made inside blocks of this process, and those blocks, which know of the calls already."""


# --- the service that was called ---------------------------------------------------------------


class _Request:
    """One request that is being answered, as a block that all of its calls belong to."""

    def __init__(self) -> None:
        self.block = Scope()
        self._around = frozenset(scope.id for scope in current_scopes.get())

    def header(self, *, whole: bool) -> str | None:
        """Return what was spent until now. `whole`: no call can follow, as far as the answer shows."""
        with _RETURNING:
            engine = Instrumentor().engine
            if engine is None:
                return None  # nobody counts
            totals = self.block.totals()
            identity = secrets.token_hex(8)
            _told.add(identity)
            if self._around:
                while len(_inside) >= _ANSWERS_KEPT:
                    del _inside[next(iter(_inside))]
                _inside[identity] = self._around
            complete = whole and not self.block.running and not totals.missing
            return spent.write(Spent(totals, complete=complete, ledger=_ledger(engine), id=identity))
        return None


class ReturnSpentASGI:
    """An ASGI application whose answers say in a header what was spent for them.

    The start of an answer is held back until its first piece of body, because headers come first. Where the answer
    is whole then, or its length is known, the header is complete; what a stream spends later is not in it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer a request, or whatever else a server asks."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = _Request()
        held: list[Message] = []

        async def send_on(message: Message) -> None:
            kind = message["type"]
            if kind == "http.response.start":
                held.append(message)
                return
            if held:
                start = held.pop()
                headers = list(start.get("headers", ()))
                last = kind == "http.response.body" and not message.get("more_body", False)
                whole = last or any(name.lower() == b"content-length" for name, _ in headers)
                value = request.header(whole=whole)
                if value is not None:
                    kept = [(name, told) for name, told in headers if name.lower() != _RAW_HEADER]
                    start = {**start, "headers": [*kept, (_RAW_HEADER, value.encode())]}
                await send(start)
            await send(message)

        with resumed(request.block):
            await self._app(scope, receive, send_on)
        if held:
            await send(held.pop())


class ReturnSpentWSGI:
    """A WSGI application whose answers say in a header what was spent for them.

    The header is complete where the answer is a list, or its length is known; else it has what was spent until the
    first piece of the answer.
    """

    def __init__(self, app: WSGIApp) -> None:
        self._app = app

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request."""
        request = _Request()
        start = _Start(start_response, request)
        with resumed(request.block):
            pieces = self._app(environ, start)
        wrapper = environ.get("wsgi.file_wrapper")
        if isinstance(pieces, list | tuple) or (isinstance(wrapper, type) and isinstance(pieces, wrapper)):
            start.now(whole=True)
            return pieces  # as it is: servers look at its length and its kind
        return _Pieces(pieces, start, request)


class _Start:
    """A start_response() that waits until it is known what was spent."""

    def __init__(self, start_response: Callable[..., Any], request: _Request) -> None:
        self._start_response = start_response
        self._request = request
        self._held: tuple[str, Headers, tuple[Any, ...]] | None = None
        self._write: Callable[[bytes], object] | None = None

    def __call__(self, status: str, headers: Headers, *exc_info: Any) -> Callable[[bytes], object]:
        """Take status and headers; the server is told with the first piece of the answer."""
        if self._write is not None:
            self._start_response(status, headers, *exc_info)  # too late: it raises what the application has caught
        else:
            self._held = (status, headers, exc_info)
        return self._write_now

    def _write_now(self, data: bytes) -> object:
        self.now(whole=False)
        return self._write(data) if self._write is not None else None

    def now(self, *, whole: bool) -> None:
        """Tell the server, if it was not told."""
        if self._held is None:
            return
        (status, headers, exc_info), self._held = self._held, None
        known = any(name.lower() == "content-length" for name, _ in headers)
        value = self._request.header(whole=whole or known)
        if value is not None:
            headers = [*((name, told) for name, told in headers if name.lower() != HEADER), (HEADER, value)]
        self._write = self._start_response(status, headers, *exc_info)


class _Pieces:
    """The pieces of an answer; the application's own code runs in the request's block."""

    def __init__(self, pieces: Iterable[bytes], start: _Start, request: _Request) -> None:
        self._pieces = pieces
        self._each: Iterator[bytes] | None = None
        self._start = start
        self._request = request

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            with resumed(self._request.block):
                if self._each is None:
                    self._each = iter(self._pieces)
                piece = next(self._each)
        except StopIteration:
            self._start.now(whole=True)
            raise
        self._start.now(whole=False)
        return piece

    def close(self) -> None:
        """Let the application clean up."""
        close = getattr(self._pieces, "close", None)
        if close is not None:
            with resumed(self._request.block):
                close()


# --- the service that called ---------------------------------------------------------------------


def take_spent(headers: Any) -> Spent | None:
    """Count what a service has spent, by the headers of its answer; return it, None if they do not tell.

    It is added to the `limits(...)` blocks around, to the accounts of the limits that apply here, and to the
    attributes `tracetoll.remote.*` of the current span. Takes the headers of httpx, requests, aiohttp, urllib, or
    any mapping or list of pairs. An answer counts once, however often it is taken. A header that is malformed is
    ignored, with one warning.
    """
    with _TAKING:
        text = _found(headers)
        if text is None:
            return None
        told = spent.read(text)
        if told is None:
            if _complained.add(HEADER):
                log.warning("a %s header is malformed and ignored: %r (said once)", HEADER, text[:100])
            return None
        if told.id is not None and not _taken.add(told.id):
            return None
        _take(told)
        return told
    return None


def take_spent_of(response: Any, *_: Any, **__: Any) -> None:
    """Do as `take_spent`, as a hook of httpx.Client and of requests.

    `client.event_hooks["response"].append(take_spent_of)`, `session.hooks["response"].append(take_spent_of)`
    """
    take_spent(response.headers)


async def take_spent_of_async(response: Any) -> None:
    """Do as `take_spent`, as a hook of httpx.AsyncClient."""
    take_spent(response.headers)


def _found(headers: Any) -> str | None:
    """Return the value of the header, whatever the case of its name."""
    items: Iterable[tuple[Any, Any]] = headers.items() if hasattr(headers, "items") else headers
    for name, value in items:
        if _text(name).lower() == HEADER:
            return _text(value)
    return None


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _take(told: Spent) -> None:
    here = told.id is not None and _told.discard(told.id)
    known = _inside.pop(told.id, frozenset()) if told.id is not None else frozenset()
    engine = Instrumentor().engine
    within = context.get_current()
    scopes = engine.scopes(within) if engine is not None else current_scopes.get()
    scopes = tuple(scope for scope in scopes if scope.id not in known)
    for scope in scopes:
        scope.take(told.totals)
    if engine is not None:
        _charge(engine, told, scopes)
    if not here:  # else the spans of its calls are of this process, too
        _on_span(trace.get_current_span(), told)


def _charge(engine: Engine, told: Spent, scopes: tuple[Scope, ...]) -> None:
    """Charge the accounts of limits; where the other side has the same ledger, its calls are charged already."""
    call = Call(engine, _ELSEWHERE, _SOMEBODY, _SOMEBODY.provider, streaming=False)
    call.context = context.get_current()
    call.attribution = current_attribution(engine.baggage_in, call.context)
    call.scopes = scopes
    call.span = INVALID_SPAN
    common = told.ledger == _ledger(engine)
    everywhere = frozenset(engine.admission.claims.rules)
    engine.admission.charge_elsewhere(
        call, told.by_unit, lambda rule: not rule.of_kinds and not (common and rule in everywhere)
    )


def _ledger(engine: Engine) -> str:
    """Return what tells ledgers apart: the name that it gives itself, else one of this process."""
    own = getattr(engine.admission.ledger, "identity", None)
    return own if isinstance(own, str) else f"{_PROCESS}-{os.getpid()}"


def _on_span(span: Span, told: Spent) -> None:
    """Add to what the current span says that others have spent for it."""
    if not span.is_recording():
        return
    before: Mapping[str, Any] = getattr(span, "attributes", None) or {}
    usage, totals = told.totals.usage, told.totals
    found: dict[str, int | None] = {
        a.REMOTE_INPUT_TOKENS: usage.input_tokens,
        a.REMOTE_OUTPUT_TOKENS: usage.output_tokens,
        a.REMOTE_TOTAL_TOKENS: usage.total_tokens,
        a.REMOTE_CACHE_READ_INPUT_TOKENS: usage.cache_read_tokens or None,
        a.REMOTE_CACHE_WRITE_INPUT_TOKENS: usage.cache_write_tokens or None,
        a.REMOTE_REASONING_OUTPUT_TOKENS: usage.reasoning_tokens or None,
        a.REMOTE_INFERENCE_CALL_COUNT: totals.calls,
        a.REMOTE_UNPRICED_COUNT: totals.unpriced or None,
        a.REMOTE_USAGE_MISSING_COUNT: totals.missing or None,
    }
    more: dict[str, Any] = {name: before.get(name, 0) + value for name, value in found.items() if value is not None}
    if totals.nano_usd is not None:
        cost = round(before.get(a.REMOTE_COST_AMOUNT, 0.0) * NANO) + totals.nano_usd
        more[a.REMOTE_COST_AMOUNT] = cost / NANO
    more[a.REMOTE_COMPLETE] = told.complete and before.get(a.REMOTE_COMPLETE, True)
    span.set_attributes(more)
