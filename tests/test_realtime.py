"""Realtime sessions: each response is a call of its own, and so is each transcription of the user's speech."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import TYPE_CHECKING, Any

import openai
import pytest
from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Telemetry

pytest.importorskip("websockets", reason="Realtime needs websockets")
if not hasattr(openai.OpenAI, "realtime"):
    pytest.skip(f"openai {openai.__version__} has no Realtime client", allow_module_level=True)

RESPONSE = {
    "id": "resp_1",
    "object": "realtime.response",
    "status": "completed",
    "usage": {
        "total_tokens": 230,
        "input_tokens": 130,
        "output_tokens": 100,
        "input_token_details": {
            "text_tokens": 30,
            "audio_tokens": 100,
            "cached_tokens": 64,
            "cached_tokens_details": {"text_tokens": 0, "audio_tokens": 64},
        },
        "output_token_details": {"text_tokens": 20, "audio_tokens": 80},
    },
}
TRANSCRIPTION = {
    "type": "conversation.item.input_audio_transcription.completed",
    "event_id": "e4",
    "item_id": "item_1",
    "content_index": 0,
    "transcript": "hello",
    "usage": {
        "type": "tokens",
        "total_tokens": 22,
        "input_tokens": 13,
        "input_token_details": {"text_tokens": 0, "audio_tokens": 13},
        "output_tokens": 9,
    },
}
EVENTS: list[dict[str, Any]] = [
    {"type": "session.created", "event_id": "e1", "session": {"type": "realtime", "model": "gpt-realtime"}},
    {"type": "response.created", "event_id": "e2", "response": {"id": "resp_1", "status": "in_progress"}},
    {"type": "response.done", "event_id": "e3", "response": RESPONSE},
    TRANSCRIPTION,
]


@pytest.fixture
def session_url() -> Iterator[str]:
    """Serve one Realtime session after another, each telling EVENTS, on a thread of its own."""

    async def session(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        for event in EVENTS:
            await socket.send_str(json.dumps(event))
        await socket.receive()
        return socket

    loop = asyncio.new_event_loop()
    app = web.Application()
    app.router.add_get("/v1/realtime", session)
    runner = web.AppRunner(app, shutdown_timeout=1)
    loop.run_until_complete(runner.setup())
    site = web.TCPSite(runner, "127.0.0.1", 0)
    loop.run_until_complete(site.start())
    port = runner.addresses[0][1]
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield f"ws://127.0.0.1:{port}/v1"
    asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(5)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)
    loop.close()


def listen(url: str) -> list[str]:
    """Return the types of the events that an application hears in one session."""
    with (
        openai.OpenAI(api_key="x", websocket_base_url=url) as client,
        client.realtime.connect(model="gpt-realtime") as connection,
    ):
        return [connection.recv().type for _ in EVENTS]


@pytest.mark.usefixtures("instrumented")
# openai enters websockets' connection by itself, which websockets 17.1 warns about
@pytest.mark.filterwarnings("ignore:connect\\(\\) must be used as a context manager:DeprecationWarning")
def test_each_response_of_a_session_is_one_call(session_url: str, telemetry: Telemetry) -> None:
    heard = listen(session_url)

    response, transcription = telemetry.spans
    assert [event["type"] for event in EVENTS] == heard
    assert "generate_content gpt-realtime" == response.name
    assert 130 == response.attributes["gen_ai.usage.input_tokens"]
    assert 100 == response.attributes["gen_ai.usage.output_tokens"]
    assert 64 == response.attributes["gen_ai.usage.cache_read.input_tokens"]
    assert 64 == response.attributes["gen_ai.usage.audio.cache_read.input_tokens"]
    assert 80 == response.attributes["gen_ai.usage.audio.output_tokens"]
    assert "resp_1" == response.attributes["gen_ai.response.id"]
    assert 13 == transcription.attributes["gen_ai.usage.audio.input_tokens"]
    assert 9 == transcription.attributes["gen_ai.usage.output_tokens"]


@pytest.mark.usefixtures("instrumented")
def test_an_asynchronous_session_is_counted_too(session_url: str, telemetry: Telemetry) -> None:
    async def hear() -> list[str]:
        async with (
            openai.AsyncOpenAI(api_key="x", websocket_base_url=session_url) as client,
            client.realtime.connect(model="gpt-realtime") as connection,
        ):
            return [(await connection.recv()).type for _ in EVENTS]

    asyncio.run(hear())

    assert [130, 13] == [span.attributes["gen_ai.usage.input_tokens"] for span in telemetry.spans]
