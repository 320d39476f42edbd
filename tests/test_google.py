"""What is peculiar to Google: hops of function calling, chats, batches, and interactions in the background."""

from __future__ import annotations

import asyncio
import gc
import json
from typing import TYPE_CHECKING, Any

import pytest
from surfaces import QUESTION, client

from tracetoll.local_provider import Reply

if TYPE_CHECKING:
    from conftest import Telemetry

    from tracetoll.local_provider import LocalProvider

genai = pytest.importorskip("google.genai")
MODEL = "gemini-2.5-flash"
pytestmark = pytest.mark.skipif(not hasattr(genai.Client, "interactions"), reason="this google-genai is too old")


def toll_of(place: str) -> str:
    """Return the toll of a place."""
    return f"2 EUR in {place}"


def test_every_hop_of_function_calling_is_a_call(provider: LocalProvider, instrumented: Telemetry) -> None:
    part = {"functionCall": {"name": "toll_of", "args": {"place": "Delft"}}}
    usage = {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}
    candidate = {"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}
    provider.enqueue(Reply(json={"candidates": [candidate], "usageMetadata": usage, "modelVersion": MODEL}))

    with client("google_genai", provider.url) as of:
        of.models.generate_content(model=MODEL, contents=QUESTION, config={"tools": [toll_of]})

    assert 2 == len(provider.requests) == len(instrumented.spans)
    assert 3 == (instrumented.spans[0].attributes or {})["gen_ai.usage.input_tokens"]


def test_a_chat_counts_as_what_it_asks(provider: LocalProvider, instrumented: Telemetry) -> None:
    with client("google_genai", provider.url) as of:
        of.chats.create(model=MODEL).send_message(QUESTION)

    told = instrumented.told()
    assert provider.handed_out.output_tokens == told["gen_ai.usage.output_tokens"]


def test_a_chats_stream_that_is_left_ends_at_once(provider: LocalProvider, instrumented: Telemetry) -> None:
    async def use() -> int:
        async with client("google_genai", provider.url, asynchronous=True) as of:
            stream = await of.aio.chats.create(model=MODEL).send_message_stream(QUESTION)
            await anext(stream)
            await stream.aclose()
            return len(instrumented.spans)

    assert 1 == asyncio.run(use())
    gc.collect()


def test_a_prompt_that_is_blocked_has_no_output(provider: LocalProvider, instrumented: Telemetry) -> None:
    usage = {"promptTokenCount": 3, "totalTokenCount": 3}
    provider.enqueue(Reply(json={"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": usage}))

    with client("google_genai", provider.url) as of:
        of.models.generate_content(model=MODEL, contents=QUESTION)

    told = instrumented.told()
    assert 3 == told["gen_ai.usage.input_tokens"]
    assert "gen_ai.usage.output_tokens" not in told


def test_modalities_and_tools_are_kept_apart(provider: LocalProvider, instrumented: Telemetry) -> None:
    usage = {
        "promptTokenCount": 10,
        "toolUsePromptTokenCount": 5,
        "candidatesTokenCount": 7,
        "thoughtsTokenCount": 4,
        "totalTokenCount": 26,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 4}, {"modality": "VIDEO", "tokenCount": 6}],
        "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 7}],
    }
    provider.enqueue(Reply(json={"candidates": [], "usageMetadata": usage}))

    with client("google_genai", provider.url) as of:
        of.models.generate_content(model=MODEL, contents=QUESTION)

    told = instrumented.told()
    assert (15, 11) == (told["gen_ai.usage.input_tokens"], told["gen_ai.usage.output_tokens"])
    assert (4, 4) == (told["gen_ai.usage.text.input_tokens"], told["gen_ai.usage.reasoning.output_tokens"])
    assert (6, 5) == (told["tracetoll.usage.video.input_tokens"], told["tracetoll.usage.tool_use.input_tokens"])
    assert 7 == told["gen_ai.usage.audio.output_tokens"]


def test_the_answers_of_a_batch_count_once(provider: LocalProvider, instrumented: Telemetry) -> None:
    ask: list[dict[str, Any]] = [{"contents": [{"parts": [{"text": text}], "role": "user"}]} for text in ("a", "b")]

    with client("google_genai", provider.url) as of:
        made = of.batches.create(model=MODEL, src=ask)
        for _ in range(2):
            of.batches.get(name=made.name)

    counted = [span for span in instrumented.spans if "gen_ai.usage.input_tokens" in (span.attributes or {})]
    assert 2 == len(counted)
    assert provider.handed_out.output_tokens == sum(
        (span.attributes or {})["gen_ai.usage.output_tokens"] for span in counted
    )


def test_an_interaction_in_the_background_counts_when_it_is_done(
    provider: LocalProvider, instrumented: Telemetry
) -> None:
    with client("google_interactions", provider.url) as of:
        made = of.interactions.create(model=MODEL, input=QUESTION, background=True)
        for _ in range(2):
            of.interactions.get(made.id)

    inputs = [(span.attributes or {}).get("gen_ai.usage.input_tokens") for span in instrumented.spans]
    assert [None, provider.handed_out.input_tokens, None] == inputs


MESSAGES: list[dict[str, Any]] = [
    {"setupComplete": {}},
    {"serverContent": {"modelTurn": {"parts": [{"text": "Two euros"}]}}},
    {
        "serverContent": {"turnComplete": True},
        "usageMetadata": {
            "promptTokenCount": 10,
            "responseTokenCount": 6,
            "thoughtsTokenCount": 2,
            "totalTokenCount": 18,
            "responseTokensDetails": [{"modality": "AUDIO", "tokenCount": 6}],
        },
    },
]


def test_each_usage_message_of_a_live_session_is_a_call(
    instrumented: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = pytest.importorskip("websockets.asyncio.server")
    connect = pytest.importorskip("websockets.asyncio.client").connect

    async def speak(socket: Any) -> None:
        for message in MESSAGES:
            if "setupComplete" in message:
                await socket.recv()
            await socket.send(json.dumps(message))
        await socket.wait_closed()

    async def listen() -> int:
        async with server.serve(speak, "127.0.0.1", 0) as served:
            port = served.sockets[0].getsockname()[1]
            # The SDK encrypts, whatever its base URL says.
            monkeypatch.setattr("google.genai.live.ws_connect", lambda *_, **__: connect(f"ws://127.0.0.1:{port}"))
            asked = genai.Client(api_key="none")
            async with asked.aio.live.connect(model="gemini-live") as session:
                return len([message async for message in session.receive()])

    assert 2 == asyncio.run(listen())
    told = instrumented.told()
    assert "generate_content gemini-live" == instrumented.only_span().name
    assert (10, 8) == (told["gen_ai.usage.input_tokens"], told["gen_ai.usage.output_tokens"])
    assert (2, 6) == (told["gen_ai.usage.reasoning.output_tokens"], told["gen_ai.usage.audio.output_tokens"])
