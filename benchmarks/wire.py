"""Answers of our own, served inside the process, so that a benchmark measures no network."""

from __future__ import annotations

import importlib
import itertools
import json
from typing import Any

WORDS = ["counted", "tokens", "are", "paid", "tokens", "and", "every", "call", "is", "counted", "exactly", "once"]
USAGE = {
    "prompt_tokens": 1234,
    "completion_tokens": 321,
    "total_tokens": 1555,
    "prompt_tokens_details": {"cached_tokens": 1024, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 128, "audio_tokens": 0},
}
MODEL = "gpt-4o-mini"
MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is a span?"}]
LARGE = [{"role": "user", "content": " ".join(WORDS * 60)[:4096]} for _ in range(100)]
SETTINGS = {"model": MODEL, "temperature": 0.7, "top_p": 1.0, "max_tokens": 1024, "seed": 42}
CHUNKS_HEADER = "x-benchmark-chunks"

_serial = itertools.count()


def chat() -> bytes:
    """Return a chat completion with an id of its own."""
    answer = {
        "id": f"chatcmpl-{next(_serial):016x}",
        "object": "chat.completion",
        "created": 1_760_000_000,
        "model": f"{MODEL}-2024-07-18",
        "service_tier": "default",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": " ".join(WORDS * 20)}, "finish_reason": "stop"}
        ],
        "usage": USAGE,
    }
    return json.dumps(answer).encode()


def stream(chunks: int) -> list[bytes]:
    """Return the server-sent events of a streamed chat completion."""
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": f"{MODEL}-2024-07-18"}
    events: list[dict[str, Any]] = [
        {**base, "choices": [{"index": 0, "delta": {"content": WORDS[i % len(WORDS)]}, "finish_reason": None}]}
        for i in range(chunks - 2)
    ]
    events.append({**base, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    events.append({**base, "choices": [], "usage": USAGE})
    return [b"data: " + json.dumps(event).encode() + b"\n\n" for event in events] + [b"data: [DONE]\n\n"]


def http_library() -> Any:
    """Return the HTTP library that the installed openai uses."""
    openai = importlib.import_module("openai")
    return importlib.import_module("httpx2" if int(openai.__version__.split(".")[0]) >= 3 else "httpx")


def transports() -> tuple[Any, Any]:
    """Return a synchronous and an asynchronous transport that answer by themselves.

    A request to a path with `fail` in its model is answered with HTTP 500; one with CHUNKS_HEADER is
    answered with a stream of that many events.
    """
    http = http_library()
    streams: dict[int, list[bytes]] = {}
    json_headers = {"content-type": "application/json", "x-request-id": "req_1"}
    stream_headers = {"content-type": "text/event-stream", "x-request-id": "req_1"}

    class Pieces(http.SyncByteStream, http.AsyncByteStream):  # type: ignore[misc,name-defined]
        def __init__(self, pieces: list[bytes]) -> None:
            self.pieces = pieces

        def __iter__(self) -> Any:
            return iter(self.pieces)

        async def __aiter__(self) -> Any:
            for piece in self.pieces:
                yield piece

    def answer(request: Any, body: bytes) -> Any:
        if b'"model":"fail"' in body.replace(b" ", b""):
            error = {"error": {"message": "made to fail", "type": "server_error", "code": "made_to_fail"}}
            return http.Response(500, headers=json_headers, content=json.dumps(error).encode())
        wanted = request.headers.get(CHUNKS_HEADER)
        if wanted:
            chunks = int(wanted)
            pieces = streams.setdefault(chunks, stream(chunks))
            return http.Response(200, headers=stream_headers, stream=Pieces(pieces))
        return http.Response(200, headers=json_headers, content=chat())

    class Sync(http.BaseTransport):  # type: ignore[misc,name-defined]
        def handle_request(self, request: Any) -> Any:
            return answer(request, request.read())

    class Async(http.AsyncBaseTransport):  # type: ignore[misc,name-defined]
        async def handle_async_request(self, request: Any) -> Any:
            return answer(request, await request.aread())

    return Sync(), Async()
