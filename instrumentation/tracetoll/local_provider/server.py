"""The transport: a server on 127.0.0.1, in a thread and an event loop of its own."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Self, TypeAlias, overload

from aiohttp import web

from tracetoll.local_provider.answers import Memory
from tracetoll.local_provider.routes import built_in, ends_with
from tracetoll.local_provider.tally import Meter, Tally
from tracetoll.local_provider.wire import Received, Reply

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from tracetoll.local_provider.answers import Script
    from tracetoll.local_provider.tally import HandedOut

Handler: TypeAlias = Callable[[Received], Reply]

log: Final = logging.getLogger("tracetoll.local_provider")

BACKLOG: Final = 2048
HANDLER_THREADS: Final = 64
SHUTDOWN_S: Final = 0.05


class LocalProvider:
    """A provider on this machine, running until `close` or the end of its `with` block.

    An answer comes from the first of these that has one: the replies of `enqueue`, the handlers of
    `on`, the built-in formats, which wrap what `script` says to the request (None: some text of ours).
    The script is asked once for each choice and must not block. A suffix is the end of a path; `{…}` in
    it stands for any one part of the path.
    """

    def __init__(self, *, script: Script | None = None, port: int = 0) -> None:
        self._memory = Memory(script)
        self._tally = Tally()
        self._changed = threading.Condition()
        self._requests: list[Received] = []
        self._queue: list[tuple[str, Reply]] = []
        self._handlers: dict[str, Handler] = {}
        self._disconnects = 0
        self._under_way = 0
        self._closing = False
        self._socket = socket.create_server(("127.0.0.1", port), backlog=BACKLOG)
        self.url: Final = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._stopper: Future[Callable[[], object]] = Future()
        self._thread = threading.Thread(target=self._run, name="tracetoll-local-provider", daemon=True)
        self._thread.start()
        self._stopper.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop the server; answers that are under way are dropped."""
        if self._thread.is_alive():
            self._stopper.result()()
            self._thread.join()

    @property
    def requests(self) -> list[Received]:
        """All requests so far, in the order in which they came in."""
        with self._changed:
            return list(self._requests)

    @property
    def handed_out(self) -> HandedOut:
        """What all answers together have reported as used, as far as they were sent.

        An object that is fetched again is counted once.
        """
        return self._tally.total

    @property
    def disconnects(self) -> int:
        """How many clients went away before their answer was complete; see `wait_idle`."""
        with self._changed:
            return self._disconnects

    @overload
    def enqueue(self, reply: Reply, /, *more: Reply) -> None: ...

    @overload
    def enqueue(self, suffix: str, /, *replies: Reply) -> None: ...

    def enqueue(self, first: str | Reply, /, *rest: Reply) -> None:
        """Answer the next requests, of any path or of those with a suffix, with these replies."""
        suffix, replies = (first, rest) if isinstance(first, str) else ("", (first, *rest))
        with self._changed:
            self._queue.extend((suffix, reply) for reply in replies)

    def on(self, suffix: str, handler: Handler) -> None:
        """Answer requests of a suffix with what `handler` returns.

        It runs in a thread and may block. Of several suffixes that fit the longest one counts. What the
        handler raises becomes an answer with status 500.
        """
        with self._changed:
            self._handlers[suffix] = handler

    def built_in(self, received: Received) -> Reply:
        """Return the built-in answer to a request, for handlers that change some of it."""
        return built_in(received, self._memory)

    def wait_idle(self, timeout_s: float = 5.0) -> bool:
        """Wait until no answer is under way; return whether that came true.

        A client that goes away ends its answer, so after this `disconnects` is complete.
        """
        with self._changed:
            return self._changed.wait_for(lambda: self._under_way == 0, timeout_s)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            if self._stopper.done():
                raise
            self._stopper.set_exception(error)

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(HANDLER_THREADS, "tracetoll-local-provider-handler"))
        stopped = asyncio.Event()
        application = web.Application(client_max_size=0)
        application.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=SHUTDOWN_S)
        await runner.setup()
        await web.SockSite(runner, self._socket, backlog=BACKLOG).start()
        self._stopper.set_result(lambda: loop.call_soon_threadsafe(stopped.set))
        await stopped.wait()
        self._closing = True
        await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        with self._counted_as_under_way():
            received = await _receive(request)
            with self._changed:
                self._requests.append(received)
                queued = next((entry for entry in self._queue if ends_with(received.path, entry[0])), None)
                if queued is not None:
                    self._queue.remove(queued)
                fitting = [suffix for suffix in self._handlers if ends_with(received.path, suffix)]
                handler = self._handlers[max(fitting, key=len)] if fitting else None
            if queued is not None:
                reply = queued[1]
            else:
                reply = await self._made(received, handler)
            return await self._send(request, reply)

    async def _made(self, received: Received, handler: Handler | None) -> Reply:
        try:
            if handler is not None:
                return await asyncio.to_thread(handler, received)
            return self.built_in(received)
        except Exception as error:
            log.exception("no answer to %s %s, the client gets status 500", received.method, received.path)
            return Reply.openai_error(500, "server_error", f"{type(error).__name__}: {error}")

    async def _send(self, request: web.Request, reply: Reply) -> web.StreamResponse:
        headers = reply.all_headers()
        meter = Meter(self._tally, request.method, headers)
        pieces = reply.pieces()
        response = web.StreamResponse(status=reply.status, headers=headers)
        if reply.streamed:
            response.enable_chunked_encoding()
        else:
            response.content_length = sum(map(len, pieces))
        if reply.delay_s:
            await asyncio.sleep(reply.delay_s)
        left = reply.cut_after_bytes
        if left == 0:
            return _cut(request, response)
        await response.prepare(request)
        for place, whole in enumerate(pieces, start=1):
            if place > 1 and reply.event_delay_s:
                await asyncio.sleep(reply.event_delay_s)
            piece = whole if left is None else whole[:left]
            last = place == len(pieces) and piece == whole
            meter.feed(piece, last=last)
            if last and left != len(piece):
                # Together with the end of the body: a client may go away when it has read the last event.
                await response.write_eof(piece)
                return response
            await response.write(piece)
            if left is not None:
                left -= len(piece)
                if left == 0:
                    return _cut(request, response)
            if reply.streamed:
                # Let the loop send this piece on its own, and see whether the client is still there.
                await asyncio.sleep(0)
        await response.write_eof()
        return response

    @contextmanager
    def _counted_as_under_way(self) -> Iterator[None]:
        with self._changed:
            self._under_way += 1
        gone = 0
        try:
            yield
        except (asyncio.CancelledError, ConnectionError) as error:
            gone = 0 if self._closing else 1
            # aiohttp is silent about a cancelled answer, and logs any other error of ours.
            raise asyncio.CancelledError from error
        finally:
            with self._changed:
                self._under_way -= 1
                self._disconnects += gone
                self._changed.notify_all()


async def _receive(request: web.Request) -> Received:
    raw = await request.read()
    try:
        body = json.loads(raw) if raw else b""
    except (ValueError, RecursionError):
        body = raw
    return Received(
        method=request.method,
        path=request.path,
        query=dict(request.query),
        headers={name.lower(): value for name, value in request.headers.items()},
        body=body,
        at=time.monotonic(),
    )


def _cut(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    """Drop the connection: closed, not reset, so that the client gets what was sent before."""
    if request.transport is not None:
        request.transport.close()
    return response
