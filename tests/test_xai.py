"""xAI's SDK, against a gRPC server made of the SDK's own protocol buffers: what few others have.

What it has in common with all SDKs is in `surfaces`.
"""

from __future__ import annotations

import contextlib
import importlib
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from pydantic import BaseModel, ValidationError
from surfaces import Toll, each, run, settled

from tracetoll import Instrumentor, Limit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from conftest import Telemetry

    Ask = Callable[[Any], Awaitable[Any]]

pytest.importorskip("xai_sdk")
grpc = importlib.import_module("grpc")
chat_pb2, chat_pb2_grpc, deferred_pb2, sample_pb2, usage_pb2 = (
    getattr(importlib.import_module("xai_sdk.proto"), name)
    for name in ("chat_pb2", "chat_pb2_grpc", "deferred_pb2", "sample_pb2", "usage_pb2")
)

NEW = hasattr(chat_pb2, "CompletionOutput")
OUTPUTS = "outputs" if NEW else "choices"
OUTPUT = chat_pb2.CompletionOutput if NEW else chat_pb2.Choice
OUTPUT_CHUNK = chat_pb2.CompletionOutputChunk if NEW else chat_pb2.ChoiceChunk
COUNTS = {
    "prompt_tokens": 10,
    "cached_prompt_text_tokens": 4,
    "prompt_text_tokens": 10,
    "completion_tokens": 5,
    "reasoning_tokens": 7,
    "total_tokens": 22,
}
USED = {
    "gen_ai.usage.input_tokens": 10,
    "gen_ai.usage.cache_read.input_tokens": 4,
    "gen_ai.usage.text.input_tokens": 10,
    "gen_ai.usage.output_tokens": 12,
    "gen_ai.usage.reasoning.output_tokens": 7,
}
STOP = sample_pb2.REASON_STOP


class Xai(chat_pb2_grpc.ChatServicer):  # type: ignore[misc, name-defined]
    """What xAI answers."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self._ids = count(1)
        self._polls = count(1)

    def _answer(self, request: Any) -> Any:
        message = chat_pb2.CompletionMessage(role=chat_pb2.ROLE_ASSISTANT, content='{"cents": 280}')
        outputs = [OUTPUT(index=index, finish_reason=STOP, message=message) for index in range(request.n or 1)]
        used = usage_pb2.SamplingUsage(**COUNTS)
        name = f"answer-{next(self._ids)}"
        return chat_pb2.GetChatCompletionResponse(id=name, model="grok-4-0709", usage=used, **{OUTPUTS: outputs})

    def GetCompletion(self, request: Any, _: Any) -> Any:  # noqa: N802  # the protocol's name
        self.asked.append(request)
        return self._answer(request)

    def GetCompletionChunk(self, request: Any, _: Any) -> Iterator[Any]:  # noqa: N802  # the protocol's name
        self.asked.append(request)
        name, last = f"answer-{next(self._ids)}", 5
        for place in range(1, last + 1):
            used = usage_pb2.SamplingUsage(**{**COUNTS, "completion_tokens": place, "total_tokens": 17 + place})
            delta = chat_pb2.Delta(content="a word ")
            output = OUTPUT_CHUNK(index=0, delta=delta, finish_reason=STOP if place == last else 0)
            yield chat_pb2.GetChatCompletionChunk(id=name, model="grok-4-0709", usage=used, **{OUTPUTS: [output]})

    def StartDeferredCompletion(self, request: Any, _: Any) -> Any:  # noqa: N802  # the protocol's name
        self.asked.append(request)
        return deferred_pb2.StartDeferredResponse(request_id="later")

    def GetDeferredCompletion(self, _: Any, __: Any) -> Any:  # noqa: N802  # the protocol's name
        if next(self._polls) < 3:
            return chat_pb2.GetDeferredCompletionResponse(status=deferred_pb2.DeferredStatus.PENDING)
        return chat_pb2.GetDeferredCompletionResponse(
            status=deferred_pb2.DeferredStatus.DONE, response=self._answer(self.asked[-1])
        )


@pytest.fixture
def xai() -> Iterator[tuple[Xai, str]]:
    """Return what answers, and where."""
    answering = Xai()
    server = grpc.server(ThreadPoolExecutor(4))
    chat_pb2_grpc.add_ChatServicer_to_server(answering, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield answering, f"127.0.0.1:{port}"
    server.stop(0).wait()


@contextlib.asynccontextmanager
async def asked(address: str, *, asynchronous: bool, **settings: Any) -> AsyncIterator[Any]:
    """Yield a chat whose question waits for an answer."""
    kind, channels = ("aio", grpc.aio) if asynchronous else ("sync", grpc)
    channel = channels.insecure_channel(address)
    chats = importlib.import_module(f"xai_sdk.{kind}.chat").Client(channel)
    user = importlib.import_module("xai_sdk.chat").user
    yield chats.create(**{"model": "grok-4", "messages": [user("What does the bridge cost?")], **settings})
    await settled(channel.close())


async def whole(chat: Any) -> Any:
    return await settled(chat.sample())


async def batch(chat: Any) -> Any:
    return await settled(chat.sample_batch(2))


async def parsed(chat: Any) -> Any:
    return await settled(chat.parse(Toll))


async def deferred(chat: Any) -> Any:
    return await settled(chat.defer(interval=timedelta(milliseconds=1)))


async def batch_streamed(chat: Any) -> Any:
    return [one async for one in each(chat.stream_batch(1))]


both = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
pytestmark = pytest.mark.filterwarnings("ignore:chat.*will be deprecated:PendingDeprecationWarning")


def ask(how: Ask, address: str, *, asynchronous: bool, **settings: Any) -> Any:
    async def work() -> Any:
        async with asked(address, asynchronous=asynchronous, **settings) as chat:
            return await how(chat)

    return run(work(), asynchronous=asynchronous)


@both
@pytest.mark.parametrize("how", [batch, parsed, deferred, batch_streamed])
def test_each_way_to_ask_is_one_call_with_xais_numbers(
    how: Ask, asynchronous: bool, xai: tuple[Xai, str], instrumented: Telemetry
) -> None:
    ask(how, xai[1], asynchronous=asynchronous, max_tokens=500, temperature=0.5)

    told = instrumented.told()
    assert USED == {name: value for name, value in told.items() if name.startswith("gen_ai.usage.")}
    assert "chat grok-4" == instrumented.only_span().name
    assert ("x_ai", "grok-4-0709") == (told["gen_ai.provider.name"], told["gen_ai.response.model"])
    assert (500, 0.5) == (told["gen_ai.request.max_tokens"], told["gen_ai.request.temperature"])
    assert {"stop"} == set(told["gen_ai.response.finish_reasons"])
    assert "tracetoll.call.outcome" not in told


@both
@pytest.mark.parametrize("how", [batch, parsed, deferred])
def test_the_application_sees_what_it_sees_without_us(
    how: Ask, asynchronous: bool, xai: tuple[Xai, str], instrument: Callable[..., Telemetry]
) -> None:
    def seen() -> str:
        return repr((type(found := ask(how, xai[1], asynchronous=asynchronous)), picture(found)))

    def picture(of: Any) -> Any:
        if isinstance(of, list | tuple):
            return [picture(one) for one in of]
        return type(of), getattr(of, "content", None), getattr(of, "cents", None)

    without = seen()
    instrument()

    assert without == seen()


@both
def test_an_answer_that_cannot_be_parsed_was_paid_for(
    asynchronous: bool, xai: tuple[Xai, str], instrumented: Telemetry
) -> None:
    class Other(BaseModel):
        euros: int

    async def parse(chat: Any) -> Any:
        return await settled(chat.parse(Other))

    with pytest.raises(ValidationError):
        ask(parse, xai[1], asynchronous=asynchronous)

    assert ("failed", 12) == tuple(
        instrumented.told()[name] for name in ("tracetoll.call.outcome", "gen_ai.usage.output_tokens")
    )


@both
def test_a_limit_lowers_the_cap_of_what_is_sent_only(
    asynchronous: bool, xai: tuple[Xai, str], instrument: Callable[..., Telemetry]
) -> None:
    instrument(limits=[Limit(60, "output_tokens", at={1.0: "clamp"})])

    async def sample(chat: Any) -> int:
        await settled(chat.sample())
        return int(chat.proto.max_tokens)

    assert 500 == ask(sample, xai[1], asynchronous=asynchronous, max_tokens=500)
    assert 60 == xai[0].asked[-1].max_tokens


@both
def test_the_sdks_own_span_is_replaced(
    asynchronous: bool, xai: tuple[Xai, str], instrumented: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = importlib.import_module("xai_sdk.aio.chat" if asynchronous else "xai_sdk.sync.chat")
    if not hasattr(module, "tracer"):
        pytest.skip("this xai_sdk has no spans of its own")
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: instrumented.tracer_provider)

    ask(whole, xai[1], asynchronous=asynchronous)

    assert "tracetoll" == instrumented.only_span().instrumentation_scope.name  # type: ignore[union-attr]
    Instrumentor().uninstrument()
    assert "Quiet" not in type(module.tracer).__name__
