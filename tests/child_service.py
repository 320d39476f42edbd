"""A service that is called by another one: a process of its own, which prints its port and serves until it is killed.

    python child_service.py asgi|wsgi PROVIDER-URL

`/ask?calls=N` makes calls and tells what their spans said; `/stream` makes one call before the first piece of its
answer and one after it; `/nothing` makes none.
"""

from __future__ import annotations

import asyncio
import json
import socketserver
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import openai
from aiohttp import web
from opentelemetry import context, propagate, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tracetoll import Instrumentor, LimitExceeded
from tracetoll.across import ReturnSpentASGI, ReturnSpentWSGI

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

KIND, PROVIDER = sys.argv[1:]
MESSAGES: Any = [{"role": "user", "content": "What does the bridge cost?"}]
MODEL = "gpt-4o-mini"

exporter = InMemorySpanExporter()
tracer_provider = TracerProvider()
tracer_provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(tracer_provider)
Instrumentor().instrument()
sync = openai.OpenAI(api_key="none", base_url=f"{PROVIDER}/v1", max_retries=0)
asynchronous = openai.AsyncOpenAI(api_key="none", base_url=f"{PROVIDER}/v1", max_retries=0)


def told(refused: LimitExceeded | None) -> tuple[int, bytes]:
    spans = [dict(span.attributes or {}) for span in exporter.get_finished_spans() if span.name.startswith("chat")]
    exporter.clear()
    found = {"spans": spans, "refused": str(refused) if refused else None, "account": refused and refused.account}
    return 429 if refused else 200, json.dumps(found).encode()


# --- ASGI ------------------------------------------------------------------------------------


async def app(scope: Any, receive: Any, send: Any) -> None:
    del receive
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    token = context.attach(propagate.extract(headers))
    with trace.get_tracer("child").start_as_current_span("serve"):
        pieces = answer_async(scope["path"], parse_qs(scope["query_string"].decode()))
        status, body, last = await anext(pieces)
        head = [(b"content-type", b"application/json"), (b"Tracetoll-Spent", b"calls=999")]
        await send({"type": "http.response.start", "status": status, "headers": head})
        await send({"type": "http.response.body", "body": body, "more_body": not last})
        async for _, body, last in pieces:
            await send({"type": "http.response.body", "body": body, "more_body": not last})
    context.detach(token)


async def answer_async(path: str, query: dict[str, list[str]]) -> AsyncIterator[tuple[int, bytes, bool]]:
    try:
        for _ in range(int(query.get("calls", ["1"])[0]) if path != "/nothing" else 0):
            await asynchronous.chat.completions.create(model=MODEL, messages=MESSAGES)
    except LimitExceeded as error:
        yield *told(error), True
        return
    if path == "/stream":
        yield 200, b" ", False
        await asynchronous.chat.completions.create(model=MODEL, messages=MESSAGES)
    yield *told(None), True


async def serve_asgi() -> None:
    wrapped = ReturnSpentASGI(app)

    async def handle(request: web.Request) -> web.StreamResponse:
        scope = {
            "type": "http",
            "path": request.path,
            "query_string": request.query_string.encode(),
            "headers": [(name.lower(), value) for name, value in request.raw_headers],
        }
        response = web.StreamResponse()

        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                response.set_status(message["status"])
                for name, value in message["headers"]:
                    response.headers.add(name.decode(), value.decode())
                await response.prepare(request)
            else:
                await response.write(message["body"])

        await wrapped(scope, receive, send)
        await response.write_eof()
        return response

    runner = web.AppRunner(web.Application())
    runner.app.router.add_get("/{path:.*}", handle)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(runner.addresses[0][1], flush=True)  # noqa: T201  # what the test waits for
    await asyncio.Event().wait()


# --- WSGI ------------------------------------------------------------------------------------


def wsgi_app(environ: dict[str, Any], start_response: Any) -> Any:
    names = (name for name in environ if name.startswith("HTTP_"))
    headers = {name.removeprefix("HTTP_").replace("_", "-").lower(): environ[name] for name in names}
    token = context.attach(propagate.extract(headers))
    try:
        with trace.get_tracer("child").start_as_current_span("serve"):
            if environ["PATH_INFO"] == "/stream":
                return stream(start_response)
            status, body = answer(environ["PATH_INFO"], parse_qs(environ["QUERY_STRING"]))
            start_response(f"{status} x", [("Content-Type", "application/json"), ("Tracetoll-Spent", "calls=999")])
            return [body]
    finally:
        context.detach(token)


def answer(path: str, query: dict[str, list[str]]) -> tuple[int, bytes]:
    try:
        for _ in range(int(query.get("calls", ["1"])[0]) if path != "/nothing" else 0):
            sync.chat.completions.create(model=MODEL, messages=MESSAGES)
    except LimitExceeded as error:
        return told(error)
    return told(None)


def stream(start_response: Any) -> Iterator[bytes]:
    sync.chat.completions.create(model=MODEL, messages=MESSAGES)
    start_response("200 OK", [("Content-Type", "application/json")])
    yield b" "
    sync.chat.completions.create(model=MODEL, messages=MESSAGES)
    yield told(None)[1]


class Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


if KIND == "asgi":
    asyncio.run(serve_asgi())
else:
    with make_server("127.0.0.1", 0, ReturnSpentWSGI(wsgi_app), Server, Quiet) as server:
        print(server.server_port, flush=True)  # noqa: T201  # what the test waits for
        server.serve_forever()
