"""Instrumented or not: the same types, signatures, objects and laziness; and nothing is left behind."""

from __future__ import annotations

import copy
import inspect
import json
import pickle
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import anthropic
import openai
import pytest
import wrapt
from surfaces import (
    CHAT,
    CLAUDE,
    MESSAGES,
    OTHERS,
    SDKS,
    Case,
    both,
    cases,
    client,
    each,
    found,
    inside,
    picture,
    resource,
    run,
    settled,
)

from tracetoll import Instrumentor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Telemetry

    from tracetoll.local_provider import LocalProvider, Reply

PATCHED = [
    pytest.param(
        where, id=where, marks=[] if sdk.installed else [pytest.mark.skip(reason=f"{sdk.module} is not installed")]
    )
    for sdk in SDKS.values()
    for where in sdk.patched
]
KINDS = (CHAT, CLAUDE, *OTHERS)
BOTH = cases(KINDS, both("whole"))
STREAMED = cases((CHAT, CLAUDE), both("stream"))


def shape(method: Any) -> tuple[Any, ...]:
    """Return how a function looks from outside."""
    return inspect.iscoroutinefunction(method), inspect.signature(method), method.__qualname__, method.__doc__


@pytest.mark.parametrize("where", [one for one in PATCHED if "._process_" not in one.values[0]])
def test_the_patched_method_looks_the_same_from_outside(where: str, instrument: Callable[..., Telemetry]) -> None:
    owner, name = found(where)
    before = shape(getattr(owner, name))

    instrument()

    assert before == shape(getattr(owner, name))


@pytest.mark.parametrize("case", BOTH)
def test_public_methods_look_the_same(
    case: Case, provider: LocalProvider, instrument: Callable[..., Telemetry]
) -> None:
    async def look() -> Any:
        async with inside(case.client(provider.url)) as of:
            return shape(case.asker(of))

    before = run(look(), asynchronous=case.asynchronous)
    instrument()

    after = run(look(), asynchronous=case.asynchronous)

    assert before == after


@pytest.mark.parametrize("case", cases((CHAT, CLAUDE), both("whole")))
def test_public_methods_are_not_touched(
    case: Case, provider: LocalProvider, instrument: Callable[..., Telemetry]
) -> None:
    async def look() -> Any:
        async with inside(case.client(provider.url)) as of:
            return case.asker(of).__func__  # type: ignore[attr-defined]

    before = run(look(), asynchronous=case.asynchronous)
    instrument()

    assert before is run(look(), asynchronous=case.asynchronous)


@pytest.mark.parametrize("where", PATCHED)
def test_uninstrument_puts_the_very_same_function_back(where: str, instrument: Callable[..., Telemetry]) -> None:
    owner, name = found(where)
    before = vars(owner)[name]
    instrument()
    assert before is not vars(owner)[name]

    Instrumentor().uninstrument()

    assert before is vars(owner)[name]


@pytest.mark.parametrize("case", BOTH)
def test_nothing_is_counted_after_uninstrument(case: Case, provider: LocalProvider, instrumented: Telemetry) -> None:
    Instrumentor().uninstrument()

    case.ask(provider.url)

    assert () == instrumented.spans


def test_instrument_twice_warns_and_changes_nothing(
    provider: LocalProvider, instrumented: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    before = openai._base_client.SyncAPIClient.request  # noqa: SLF001

    Instrumentor().instrument(**instrumented.providers, content="span_only")

    assert ["tracetoll is instrumented already; call uninstrument() first to change its settings"] == caplog.messages
    caplog.clear()
    assert before is openai._base_client.SyncAPIClient.request  # noqa: SLF001
    Case(CHAT).ask(provider.url)
    assert "gen_ai.input.messages" not in instrumented.told()


def test_uninstrument_twice_warns(instrumented: Telemetry, caplog: pytest.LogCaptureFixture) -> None:
    del instrumented
    Instrumentor().uninstrument()

    Instrumentor().uninstrument()

    assert ["tracetoll is not instrumented; there is nothing to undo"] == caplog.messages
    caplog.clear()


def test_there_is_one_instrumentor() -> None:
    assert Instrumentor() is Instrumentor()


def test_instrumenting_again_counts_once(provider: LocalProvider, instrument: Callable[..., Telemetry]) -> None:
    instrument()
    Instrumentor().uninstrument()
    telemetry = instrument()

    Case(CHAT).ask(provider.url)

    assert 1 == len(telemetry.spans)


@pytest.fixture
def request_method() -> Iterator[Any]:
    """Return openai's request method as it is without us; it is put back whoever has wrapped it."""
    base = openai._base_client.SyncAPIClient  # noqa: SLF001
    method = vars(base)["request"]
    yield method
    base.request = method  # type: ignore[method-assign]


@pytest.mark.usefixtures("request_method")
def test_somebody_elses_wrapper_on_top_stays_and_ours_steps_aside(
    provider: LocalProvider, instrument: Callable[..., Telemetry]
) -> None:
    base = openai._base_client.SyncAPIClient  # noqa: SLF001
    theirs_saw = []

    @wrapt.decorator
    def theirs(wrapped: Any, _: Any, args: Any, kwargs: Any) -> Any:
        theirs_saw.append(args)
        return wrapped(*args, **kwargs)

    telemetry = instrument()
    on_top = theirs(vars(base)["request"])
    base.request = on_top  # type: ignore[method-assign]

    Instrumentor().uninstrument()

    assert on_top is vars(base)["request"]
    Case(CHAT).ask(provider.url)
    assert (1, 0) == (len(theirs_saw), len(telemetry.spans))
    instrument()
    Case(CHAT).ask(provider.url)
    assert (2, 1) == (len(theirs_saw), len(telemetry.spans))


@pytest.mark.parametrize("case", cases([one for one in KINDS if not one.of.binds_early], both("whole")))
def test_a_client_from_before_is_counted(
    case: Case, provider: LocalProvider, instrument: Callable[..., Telemetry]
) -> None:
    async def ask() -> Telemetry:
        async with inside(case.client(provider.url)) as of:
            telemetry = instrument()
            answer = await case.answer(of)
            if case.streamed:
                async for _ in each(answer):
                    pass
            return telemetry

    telemetry = run(ask(), asynchronous=case.asynchronous)

    assert 1 == len(telemetry.spans)


@pytest.mark.parametrize("case", cases((CHAT, CLAUDE), both("whole")))
@pytest.mark.parametrize("make", ["copy", "with_options"])
def test_a_copy_of_a_client_is_counted(make: str, case: Case, provider: LocalProvider, instrumented: Telemetry) -> None:
    async def ask() -> None:
        async with inside(case.client("http://127.0.0.1:1")) as of:
            base = provider.url + ("/v1" if case.surface.sdk == "openai" else "")
            copied = getattr(of, make)(base_url=base)
            await case.answer(copied)

    run(ask(), asynchronous=case.asynchronous)

    assert int(provider.url.rpartition(":")[2]) == instrumented.told()["server.port"]


@pytest.mark.parametrize("case", STREAMED)
def test_a_stream_is_the_sdks_own_stream(case: Case, provider: LocalProvider, instrumented: Telemetry) -> None:
    async def ask() -> Any:
        async with inside(case.client(provider.url)) as of:
            stream = await case.answer(of)
            async with inside(stream) as entered:
                assert stream is entered
                first = await settled(anext(stream) if case.asynchronous else next(stream))
            assert stream.response.is_closed
            await settled(stream.close())
            return stream, first

    stream, first = run(ask(), asynchronous=case.asynchronous)

    module = openai if case.surface.sdk == "openai" else anthropic
    assert isinstance(stream, module.AsyncStream if case.asynchronous else module.Stream)
    assert type(stream) in {module.AsyncStream, module.Stream}
    assert 200 == stream.response.status_code
    assert type(first).__module__.startswith(f"{module.__name__}.types.")
    assert 1 == len(instrumented.spans)


@pytest.mark.parametrize("case", cases((CHAT, CLAUDE), both("raw")))
def test_a_raw_response_is_not_parsed_by_us(case: Case, provider: LocalProvider, instrumented: Telemetry) -> None:
    async def ask() -> tuple[Any, Any]:
        async with inside(case.client(provider.url)) as of:
            where, name = resource(of, case.surface.method)
            response = await settled(getattr(where.with_raw_response, name)(**case.surface.arguments))
            before = dict(getattr(response, "_parsed_by_type", None) or {})
            return before, type(await settled(response.parse())).__name__

    before, parsed = run(ask(), asynchronous=case.asynchronous)

    assert {} == before
    assert parsed in {"ChatCompletion", "Message"}
    assert 1 == len(instrumented.spans)


@pytest.mark.parametrize("case", cases((CHAT, CLAUDE), both("streaming response")))
def test_a_streaming_response_is_not_read_by_us(case: Case, provider: LocalProvider, instrumented: Telemetry) -> None:
    async def ask() -> tuple[Any, ...]:
        async with inside(case.client(provider.url)) as of:
            where, name = resource(of, case.surface.method)
            async with inside(getattr(where.with_streaming_response, name)(**case.surface.arguments)) as response:
                read, ended = response.http_response.is_stream_consumed, len(instrumented.spans)
                body = b"".join([piece async for piece in each(response.iter_bytes(10))])
            return read, ended, json.loads(body)["id"]

    read, ended, name = run(ask(), asynchronous=case.asynchronous)

    assert (False, 0) == (read, ended)
    assert name == instrumented.told()["gen_ai.response.id"]


def survives(answer: Any) -> tuple[Any, ...]:
    """Return what is left of an answer that is pickled and copied, or what keeps it from being that."""
    left: list[Any] = [picture(answer)]
    for again in (lambda: pickle.loads(pickle.dumps(answer)), lambda: copy.deepcopy(answer)):  # noqa: S301  # our own
        try:
            left.append(picture(again()))
        except Exception as error:  # noqa: BLE001  # whatever it is, it is to be the same twice
            left.append(type(error))
    return tuple(left)


@pytest.mark.parametrize("case", [one for one in BOTH if not one.values[0].streamed])
def test_an_answer_can_be_pickled_and_copied_where_it_could_be(
    case: Case, provider: LocalProvider, instrument: Callable[..., Telemetry], replies: list[Reply]
) -> None:
    async def ask() -> Any:
        async with inside(case.client(provider.url)) as of:
            return await case.answer(of)

    without = survives(run(ask(), asynchronous=case.asynchronous))
    telemetry = instrument()

    assert replies
    assert without == survives(run(ask(), asynchronous=case.asynchronous))
    assert 1 == len(telemetry.spans)


@pytest.mark.parametrize("case", cases((CHAT, CLAUDE), both("raw", "streaming response")))
def test_an_http_response_can_be_pickled_where_it_could_be(
    case: Case, provider: LocalProvider, instrument: Callable[..., Telemetry], replies: list[Reply]
) -> None:
    wrapper = "with_raw_response" if case.how == "raw" else "with_streaming_response"

    async def ask() -> bytes:
        async with inside(case.client(provider.url)) as of:
            where, name = resource(of, case.surface.method)
            asking = getattr(getattr(where, wrapper), name)(**case.surface.arguments)
            if case.how == "raw":
                response = await settled(asking)
                return pickle.dumps(response.http_response)
            async with inside(asking) as response:
                await settled(response.read())
                return pickle.dumps(response.http_response)

    without = pickle.loads(run(ask(), asynchronous=case.asynchronous))  # noqa: S301
    instrument()

    pickled = pickle.loads(run(ask(), asynchronous=case.asynchronous))  # noqa: S301

    assert replies
    assert (without.status_code, without.content) == (pickled.status_code, pickled.content)


def test_the_options_of_the_application_are_not_changed(
    provider: LocalProvider, instrument: Callable[..., Telemetry]
) -> None:
    instrument(stream_usage="always")
    arguments = {"model": "gpt-4o", "messages": copy.deepcopy(MESSAGES), "stream_options": {}, "extra_body": {"a": 1}}
    before = copy.deepcopy(arguments)

    with client("openai", provider.url) as of:
        list(of.chat.completions.create(**arguments, stream=True))

    assert before == arguments


@pytest.mark.parametrize("case", cases((CHAT, CLAUDE), both("helper", "streaming response")))
def test_nothing_is_asked_before_the_application_enters(
    case: Case, provider: LocalProvider, instrumented: Telemetry
) -> None:
    async def ask() -> None:
        async with inside(case.client(provider.url)) as of:
            where, name = resource(of, case.method)
            where = where.with_streaming_response if case.how == "streaming response" else where
            manager = getattr(where, name)(**case.surface.arguments)
            assert [] == provider.requests
            async with inside(manager):
                pass

    run(ask(), asynchronous=case.asynchronous)

    assert 1 == len(provider.requests)
    assert 1 == len(instrumented.spans)


# --- in a process of its own -----------------------------------------------------------------

IMPORTED_AFTER = """
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tracetoll import Instrumentor
from tracetoll.local_provider import LocalProvider

exporter = InMemorySpanExporter()
tracer_provider = TracerProvider()
tracer_provider.add_span_processor(SimpleSpanProcessor(exporter))
Instrumentor().instrument(tracer_provider=tracer_provider)

from anthropic import Anthropic
from openai import OpenAI

asked = {"model": "any", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9}
with LocalProvider() as provider:
    with OpenAI(api_key="none", base_url=provider.url + "/v1") as client:
        client.chat.completions.create(**asked)
    with Anthropic(api_key="none", base_url=provider.url) as client:
        client.messages.create(**asked)
print([span.attributes["gen_ai.provider.name"] for span in exporter.get_finished_spans()])
"""


def printed(code: str) -> str:
    """Return what a program prints in a process of its own."""
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # our own code
    return done.stdout


def test_an_sdk_may_be_imported_later() -> None:  # all other tests have imported them before
    assert "['openai', 'anthropic']\n" == printed(IMPORTED_AFTER)


NOT_OURS_TO_IMPORT = {"httpx", "httpx2", "pydantic", "aiohttp", "rich", "click", "genai_prices"} | {
    sdk.module for sdk in SDKS.values()
}


@pytest.mark.parametrize("code", ["import tracetoll", "import tracetoll; tracetoll.Instrumentor().instrument()"])
def test_nothing_is_imported_that_the_application_does_not_import(code: str) -> None:
    names = printed(f"{code}\nimport sys\nprint(*sys.modules)").split()

    assert set() == NOT_OURS_TO_IMPORT & set(names)


def test_uninstrument_before_the_import_leaves_the_sdk_alone() -> None:
    code = """
from tracetoll import Instrumentor
Instrumentor().instrument()
Instrumentor().uninstrument()
import openai
print(openai._base_client.SyncAPIClient.request.__globals__["__name__"])
"""

    assert "openai._base_client\n" == printed(code)
