"""What is particular to mistralai: spans of its own, and its clients for Azure and Vertex AI."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from surfaces import MESSAGES, Case, both, cases, client, each, inside, run
from surfaces.sdks.mistral import CHAT, CONVERSATION, HOME
from surfaces.ways import major

from tracetoll import Instrumentor, Limit, limits
from tracetoll.local_provider import Reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Telemetry

    from tracetoll.local_provider import LocalProvider

HTTP = "httpx2" if major("mistralai") >= 3 else "httpx"
own_spans = pytest.mark.skipif(HOME == "mistralai", reason="mistralai 1 cannot be asked for spans of its own")


@pytest.mark.parametrize("case", cases((CHAT,), both("whole", "stream")))
def test_spans_that_nobody_asked_the_sdk_for_are_replaced(
    case: Case, provider: LocalProvider, instrumented: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        hook = importlib.import_module(f"{HOME}._hooks.tracing")
    except ImportError:
        pytest.skip("this version of mistralai has no spans of its own")
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: instrumented.tracer_provider)

    async def use() -> None:
        async with inside(case.client(provider.url)) as of:
            answer = await case.answer(of)
            if case.streamed:
                async for _ in each(answer):
                    pass

    run(use(), asynchronous=case.asynchronous)

    span = instrumented.only_span()
    assert "tracetoll" == span.instrumentation_scope.name  # type: ignore[union-attr]
    sent = provider.requests[-1].headers.get("traceparent")
    if sent is not None:  # later versions send none, unless they are asked to tell
        assert format(span.context.span_id, "016x") in sent
    Instrumentor().uninstrument()
    enabled, tracer = hook.get_or_create_otel_tracer()
    assert (True, False) == (enabled, "Quiet" in type(tracer).__name__)


@own_spans
@pytest.mark.parametrize("case", cases((CHAT,), both("whole", "stream")))
def test_a_call_that_the_sdk_tells_of_too_counts_once(
    case: Case, provider: LocalProvider, instrument: Callable[..., Telemetry], monkeypatch: pytest.MonkeyPatch
) -> None:
    telemetry = instrument(limits=[Limit(10**6, "tokens", per="process")])
    otel = importlib.import_module("opentelemetry.trace")
    monkeypatch.setattr(otel, "get_tracer_provider", lambda: telemetry.tracer_provider)
    monkeypatch.setenv("MISTRAL_SDK_TELEMETRY", "global")

    async def use() -> Any:
        async with inside(case.client(provider.url)) as of:
            with limits() as spend:
                answer = await case.answer(of)
                if case.streamed:
                    async for _ in each(answer):
                        pass
            return spend

    spend = run(use(), asynchronous=case.asynchronous)

    theirs = [span for span in telemetry.spans if span.instrumentation_scope.name != "tracetoll"]
    ours = [span for span in telemetry.spans if span not in theirs]
    if not theirs:
        pytest.skip("this version of mistralai has no spans of its own")
    assert 1 == len(ours)
    assert provider.handed_out.input_tokens == spend.usage.input_tokens
    assert provider.handed_out.output_tokens == (ours[0].attributes or {})["gen_ai.usage.output_tokens"]


@pytest.mark.parametrize("module", ["mistralai.azure.client", "mistralai_azure"])
def test_the_client_for_azure_is_counted(module: str, provider: LocalProvider, instrumented: Telemetry) -> None:
    try:
        sdk = importlib.import_module(module)
    except ImportError:
        pytest.skip(f"this version of mistralai has no {module}")
    options = {"azure_api_key": "none", "azure_endpoint": f"{provider.url}/mistral/v1"}
    if module != "mistralai_azure":
        options = {"api_key": "none", "server_url": f"{provider.url}/mistral/v1"}

    with contextlib.closing(importlib.import_module(HTTP).Client()) as http:
        of = sdk.MistralAzure(**options, client=http)
        of.chat.complete(model="mistral-small-2503", messages=MESSAGES)

    assert provider.handed_out.output_tokens == instrumented.told()["gen_ai.usage.output_tokens"]


@pytest.mark.parametrize("case", cases((CONVERSATION,), both("whole", "stream")))
def test_what_connectors_bring_into_a_conversation_is_input(
    case: Case, provider: LocalProvider, instrumented: Telemetry
) -> None:
    case.ask(provider.url)

    told = instrumented.told()
    assert 120 == told["tracetoll.usage.tool_use.input_tokens"]
    assert provider.handed_out.input_tokens == told["gen_ai.usage.input_tokens"]
    assert told["gen_ai.conversation.id"].startswith("conv_")


@pytest.mark.parametrize("case", cases((CHAT,), both("whole")))
def test_the_type_of_an_error_is_told(case: Case, provider: LocalProvider, instrumented: Telemetry) -> None:
    provider.enqueue(Reply(401, json={"detail": "Unauthorized"}))
    provider.enqueue(Reply(422, json={"detail": [{"loc": ["body"], "msg": "no", "type": "missing"}]}))
    provider.enqueue(Reply(400, json={"object": "error", "message": "No such model", "type": "invalid_model"}))

    for _ in range(3):
        case.ask(provider.url)

    assert ["401", "422", "invalid_model"] == [(span.attributes or {})["error.type"] for span in instrumented.spans]


def test_an_asynchronous_stream_that_is_dropped_ends_its_span_at_once(
    provider: LocalProvider, instrumented: Telemetry
) -> None:
    provider.on("", lambda received: replace(provider.built_in(received), event_delay_s=0.001))

    async def drop() -> int:
        async with client("mistral", provider.url, asynchronous=True) as of:
            stream = await of.chat.stream_async(model="mistral-small-latest", messages=MESSAGES)
            await anext(stream)
            del stream
            return len(instrumented.spans)  # no turn of the event loop later

    assert 1 == asyncio.run(drop())
    assert "abandoned" == instrumented.told()["tracetoll.call.outcome"]
