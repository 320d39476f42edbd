"""What is peculiar to google-cloud-aiplatform: gRPC, in each way that its streams can be read, and `predict`."""

from __future__ import annotations

import contextlib
import gc
import importlib
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from surfaces import client, each, run, settled

from tracetoll import Limit, LimitExceeded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from conftest import Telemetry

    from tracetoll.local_provider import LocalProvider

pytest.importorskip("google.cloud.aiplatform_v1")
grpc = importlib.import_module("grpc")
v1 = importlib.import_module("google.cloud.aiplatform_v1")
SERVICE = "google.cloud.aiplatform_v1.services.prediction_service"
MODEL = "projects/toll/locations/europe-west4/publishers/google/models/gemini-2.5-flash"
REQUEST = {
    "model": MODEL,
    "contents": [{"role": "user", "parts": [{"text": "What does the bridge cost?"}]}],
    "generation_config": {"max_output_tokens": 500},
}
COUNTS = {
    "prompt_token_count": 10,
    "cached_content_token_count": 4,
    "candidates_token_count": 5,
    "thoughts_token_count": 7,
    "total_token_count": 22,
}
USED = {
    "gen_ai.usage.input_tokens": 10,
    "gen_ai.usage.cache_read.input_tokens": 4,
    "gen_ai.usage.output_tokens": 12,
    "gen_ai.usage.reasoning.output_tokens": 7,
}
LONG = 300


class Vertex:
    """What Vertex AI answers."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.left = 0

    def whole(self, request: Any, context: Any) -> Any:
        self.asked.append(request)
        if request.model.endswith("/none"):
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "no more")
        return self._part("280 cents", last=True)

    def streamed(self, request: Any, context: Any) -> Iterator[Any]:
        self.asked.append(request)
        last = LONG if request.model.endswith("/long") else 5
        place = 0
        try:
            for place in range(1, last + 1):
                yield self._part("a word ", last=place == last)
                if request.model.endswith("/broken"):
                    context.abort(grpc.StatusCode.UNAVAILABLE, "closed")
                if last == LONG:
                    time.sleep(0.002)
        finally:  # the server drops this as soon as nobody listens
            self.left += place < last

    @staticmethod
    def _part(said: str, *, last: bool) -> Any:
        candidate = {"content": {"role": "model", "parts": [{"text": said}]}}
        told = {"candidates": [candidate], "response_id": "answer-1", "model_version": "gemini-2.5-flash"}
        if last:
            candidate["finish_reason"] = "STOP"
            told["usage_metadata"] = COUNTS
        return v1.GenerateContentResponse(told)


@pytest.fixture
def vertex() -> Iterator[tuple[Vertex, str]]:
    """Return what answers, and where."""
    answering = Vertex()
    given = {
        "request_deserializer": v1.GenerateContentRequest.deserialize,
        "response_serializer": v1.GenerateContentResponse.serialize,
    }
    methods = {
        "GenerateContent": grpc.unary_unary_rpc_method_handler(answering.whole, **given),
        "StreamGenerateContent": grpc.unary_stream_rpc_method_handler(answering.streamed, **given),
    }
    server = grpc.server(ThreadPoolExecutor(4))
    name = "google.cloud.aiplatform.v1.PredictionService"
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield answering, f"127.0.0.1:{port}"
    server.stop(0).wait()


@contextlib.asynccontextmanager
async def asking(address: str, *, asynchronous: bool) -> AsyncIterator[Any]:
    """Yield a client."""
    transports = importlib.import_module(f"{SERVICE}.transports")
    kind = (
        transports.PredictionServiceGrpcAsyncIOTransport if asynchronous else transports.PredictionServiceGrpcTransport
    )
    channel = (grpc.aio if asynchronous else grpc).insecure_channel(address)
    client = v1.PredictionServiceAsyncClient if asynchronous else v1.PredictionServiceClient
    yield client(transport=kind(channel=channel, host=address))
    await settled(channel.close())


async def whole(of: Any, request: Any) -> Any:
    return await settled(of.generate_content(request))


async def fields(of: Any, request: Any) -> Any:
    contents = [v1.Content(one) for one in request["contents"]]
    return await settled(of.generate_content(model=request["model"], contents=contents))


async def streamed(of: Any, request: Any) -> Any:
    return [one async for one in each(await settled(of.stream_generate_content(request=request)))]


async def read_by_hand(of: Any, request: Any) -> Any:
    stream = await of.stream_generate_content(request)
    parts = []
    while isinstance(part := await stream.read(), v1.GenerateContentResponse):
        parts.append(part)
    return parts


both = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
every_way = pytest.mark.parametrize(
    ("how", "asynchronous"),
    [*((how, kind) for how in (whole, fields, streamed) for kind in (False, True)), (read_by_hand, True)],
)


def ask(how: Callable[..., Any], address: str, *, asynchronous: bool, request: Any = REQUEST) -> Any:
    async def work() -> Any:
        async with asking(address, asynchronous=asynchronous) as of:
            return await how(of, request)

    return run(work(), asynchronous=asynchronous)


def to(model: str) -> dict[str, Any]:
    return {**REQUEST, "model": MODEL.rpartition("/")[0] + f"/{model}"}


@every_way
def test_each_way_to_ask_is_one_call_and_changes_nothing(
    how: Callable[..., Any], asynchronous: bool, vertex: tuple[Vertex, str], instrument: Callable[..., Telemetry]
) -> None:
    without = ask(how, vertex[1], asynchronous=asynchronous)
    telemetry = instrument()

    assert without == ask(how, vertex[1], asynchronous=asynchronous)
    told = telemetry.told()
    assert USED == {name: value for name, value in told.items() if name.startswith("gen_ai.usage.")}
    assert "generate_content gemini-2.5-flash" == telemetry.only_span().name
    assert vertex[1] == f"{told['server.address']}:{told['server.port']}"
    assert ("gcp.vertex_ai", ("stop",)) == (told["gen_ai.provider.name"], told["gen_ai.response.finish_reasons"])
    assert "tracetoll.call.outcome" not in told


@both
def test_an_error_is_told_by_its_code(asynchronous: bool, vertex: tuple[Vertex, str], instrumented: Telemetry) -> None:
    exceptions = importlib.import_module("google.api_core.exceptions")
    with pytest.raises(exceptions.ResourceExhausted):
        ask(whole, vertex[1], asynchronous=asynchronous, request=to("none"))
    with pytest.raises(exceptions.ServiceUnavailable):
        ask(streamed, vertex[1], asynchronous=asynchronous, request=to("broken"))

    codes = [(span.attributes or {})["error.type"] for span in instrumented.spans]
    assert ["RESOURCE_EXHAUSTED", "UNAVAILABLE"] == codes


@both
@pytest.mark.parametrize("ending", ["cancelled", "dropped"])
def test_a_stream_that_is_left_ends_its_span(
    ending: str, asynchronous: bool, vertex: tuple[Vertex, str], instrumented: Telemetry
) -> None:
    async def leave(of: Any, request: Any) -> int:
        stream = await settled(of.stream_generate_content(request))
        await settled(stream.read() if asynchronous else next(stream))
        if ending == "cancelled":
            stream.cancel()
        else:
            del stream
            gc.collect()
        return len(instrumented.spans)

    assert 1 == ask(leave, vertex[1], asynchronous=asynchronous, request=to("long"))
    assert {"cancelled": "closed", "dropped": "abandoned"}[ending] == instrumented.told()["tracetoll.call.outcome"]


@both
def test_a_limit_refuses_before_anything_is_sent(
    asynchronous: bool, vertex: tuple[Vertex, str], instrument: Callable[..., Telemetry]
) -> None:
    instrument(limits=[Limit(1, "calls")])
    ask(whole, vertex[1], asynchronous=asynchronous)

    with pytest.raises(LimitExceeded):
        ask(streamed, vertex[1], asynchronous=asynchronous)

    assert 1 == len(vertex[0].asked)


@both
@pytest.mark.parametrize("given", [dict, v1.GenerateContentRequest], ids=["a dict", "a message"])
def test_a_limit_changes_a_copy_of_the_request(
    given: Callable[[Any], Any], asynchronous: bool, vertex: tuple[Vertex, str], instrument: Callable[..., Telemetry]
) -> None:
    instrument(limits=[Limit(60, "output_tokens", at={1.0: "clamp"})])
    request, same = given(REQUEST), given(REQUEST)

    ask(whole, vertex[1], asynchronous=asynchronous, request=request)

    assert 60 == vertex[0].asked[-1].generation_config.max_output_tokens
    assert same == request


@both
def test_a_limit_caps_a_request_that_is_given_by_its_fields(
    asynchronous: bool, vertex: tuple[Vertex, str], instrument: Callable[..., Telemetry]
) -> None:
    instrument(limits=[Limit(60, "output_tokens", at={1.0: "clamp"})])

    ask(fields, vertex[1], asynchronous=asynchronous)

    assert 60 == vertex[0].asked[-1].generation_config.max_output_tokens
    assert MODEL == vertex[0].asked[-1].model


@both
def test_another_model_of_the_same_place_is_asked(
    asynchronous: bool, vertex: tuple[Vertex, str], instrument: Callable[..., Telemetry]
) -> None:
    instrument(limits=[Limit(10_000, "output_tokens", at={0.001: "reroute gemini-2.5-flash-lite"})])
    for _ in range(2):
        ask(whole, vertex[1], asynchronous=asynchronous)

    assert f"{MODEL}-lite" == vertex[0].asked[-1].model


@both
def test_a_limit_cuts_a_stream_and_its_connection(
    asynchronous: bool, vertex: tuple[Vertex, str], instrument: Callable[..., Telemetry]
) -> None:
    instrument(limits=[Limit(90, "tokens", at={1.0: "cut"})])

    request = {**to("long"), "generation_config": {"max_output_tokens": 10}}
    with pytest.raises(LimitExceeded):
        ask(streamed, vertex[1], asynchronous=asynchronous, request=request)

    until = time.monotonic() + 5
    while not vertex[0].left and time.monotonic() < until:
        time.sleep(0.01)
    assert 1 == vertex[0].left


def test_models_of_the_applications_own_are_no_calls(provider: LocalProvider, instrumented: Telemetry) -> None:
    with client("vertexai", provider.url) as of:
        of.plain.predict(endpoint="projects/toll/locations/europe-west4/endpoints/7", instances=[{"content": "one"}])

    assert 1 == len(provider.requests)
    assert () == instrumented.spans
