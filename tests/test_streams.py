"""Every way a stream can end ends its span once; and the usage of streams that would have none."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import gc
import itertools
import json
import re
import subprocess
import sys
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import odd
import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor
from surfaces import (
    CHAT,
    CLAUDE,
    COMPLETIONS,
    MESSAGES,
    OBSERVED,
    OTHERS,
    RESPONSES,
    Case,
    both,
    cases,
    client,
    close,
    each,
    inside,
    is_async,
    read,
    run,
    settled,
)

from tracetoll import Instrumentor, agent
from tracetoll.call import current_call
from tracetoll.local_provider import Reply

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from conftest import Telemetry

    from tracetoll.local_provider import LocalProvider, Received

    Ask = Callable[[], Awaitable[Any]]

FULL_STREAMS = cases((CHAT, RESPONSES, CLAUDE), both("stream"))
OTHER_STREAMS = cases(OTHERS, both("stream"))
STREAMS = [*FULL_STREAMS, *OTHER_STREAMS]
CHATS = cases((CHAT, COMPLETIONS), both("stream"))
OUTCOME = "tracetoll.call.outcome"


# --- how a stream can end --------------------------------------------------------------------


async def exhausted(ask: Ask) -> None:
    async for _ in each(await ask()):
        pass


async def exhausted_and_closed(ask: Ask) -> None:
    stream = await ask()
    async for _ in each(stream):
        pass
    await close(stream)


async def exhausted_by_hand(ask: Ask) -> None:
    stream = await ask()
    with contextlib.suppress(StopIteration, StopAsyncIteration, RuntimeError):  # a coroutine may not raise the first
        while True:
            await read(stream, 1)
    with pytest.raises((StopIteration, StopAsyncIteration, RuntimeError)):
        await read(stream, 1)


async def closed(ask: Ask) -> None:
    stream = await ask()
    await read(stream, 2)
    await close(stream)


async def closed_twice(ask: Ask) -> None:
    stream = await ask()
    await read(stream, 2)
    await close(stream)
    await close(stream)


async def closed_unread(ask: Ask) -> None:
    await close(await ask())


async def left_with(ask: Ask) -> None:
    async with inside(await ask()) as stream:
        await read(stream, 2)


async def left_with_by_an_exception(ask: Ask) -> None:
    with contextlib.suppress(LookupError):
        async with inside(await ask()) as stream:
            await read(stream, 2)
            raise LookupError


async def response_closed(ask: Ask) -> None:
    stream = await ask()
    await read(stream, 2)
    response = stream.response
    await (response.aclose() if is_async(stream) else settled(response.close()))


async def dropped(ask: Ask) -> None:
    stream = await ask()
    await read(stream, 2)


async def dropped_unread(ask: Ask) -> None:
    await ask()


async def broken_out_of(ask: Ask) -> None:
    stream = await ask()
    if is_async(stream):
        async for _ in stream:
            break
    else:
        for _ in stream:
            break


async def dropped_in_a_cycle(ask: Ask) -> None:
    stream = await ask()
    await read(stream, 2)
    cycle = [stream]
    cycle.append(cycle)
    del stream, cycle
    gc.collect()


async def dropped_by_an_exception(ask: Ask) -> None:
    async def consume() -> None:
        async for _ in each(await ask()):
            raise LookupError

    with contextlib.suppress(LookupError):
        await consume()
    gc.collect()


async def dropped_generator(ask: Ask) -> None:
    stream = await ask()

    def words() -> Iterator[Any]:
        yield from stream

    async def async_words() -> Any:
        async for chunk in stream:
            yield chunk

    if is_async(stream):
        generator = async_words()
        await anext(generator)
        del generator, stream
        await asyncio.sleep(0.01)  # the event loop closes forgotten generators
    else:
        next(words())


# How each leaves the call, and what a stream must have for it.
ENDINGS = {
    exhausted: ("done", None),
    exhausted_and_closed: ("done", "close"),
    exhausted_by_hand: ("done", None),
    closed: ("closed", "close"),
    closed_twice: ("closed", "close"),
    closed_unread: ("closed", "close"),
    left_with: ("closed", "with"),
    left_with_by_an_exception: ("closed", "with"),
    response_closed: ("closed", "response"),
    dropped: ("abandoned", None),
    dropped_unread: ("abandoned", None),
    broken_out_of: ("abandoned", None),
    dropped_in_a_cycle: ("abandoned", None),
    dropped_by_an_exception: ("abandoned", None),
    dropped_generator: ("abandoned", None),
}
UNREAD = (closed_unread, dropped_unread)
DIFFERENT = (exhausted, exhausted_and_closed, closed, closed_unread, left_with, dropped, dropped_unread, broken_out_of)
"""Endings that differ in how an SDK has to be tapped."""
ENDED = [
    pytest.param(ending, *case.values, id=f"{ending.__name__}-{case.id}", marks=case.marks)
    for endings, streams in ((ENDINGS, FULL_STREAMS), (DIFFERENT, OTHER_STREAMS))
    for ending, case in itertools.product(endings, streams)
    if ENDINGS[ending][1] in {None, *case.values[0].surface.of.stream_can}
]


@pytest.mark.parametrize(("ending", "case"), ENDED)
def test_a_stream_ends_its_span_when_it_ends(
    ending: Callable[[Ask], Awaitable[None]], case: Case, provider: LocalProvider, instrumented: Telemetry
) -> None:
    provider.on("", lambda received: replace(provider.built_in(received), event_delay_s=0.001))
    sdk, (outcome, _) = case.surface.of, ENDINGS[ending]
    forgotten = outcome == "abandoned" and ending not in UNREAD
    asked_for = 0 if sdk.lazy_streams and ending in UNREAD else 1

    async def use() -> int:
        async with inside(case.client(provider.url)) as of:
            await ending(lambda: case.answer(of))
            if case.asynchronous:
                await asyncio.sleep(0.01)  # the event loop closes what iterated
            gc.collect()  # openai's stream and its iterator hold each other
            waited_until = time.monotonic() + (sdk.keeps_streams_s if forgotten and not case.asynchronous else 0)
            while not instrumented.spans and time.monotonic() < waited_until:
                time.sleep(0.01)  # noqa: ASYNC251  # it is threads that are waited for
                gc.collect()
            return len(instrumented.spans)

    ended = run(use(), asynchronous=case.asynchronous)

    assert (asked_for, asked_for) == (ended, len(provider.requests))
    for span in instrumented.spans:
        dropped = outcome == "closed" and sdk.drops_what_is_closed and not case.asynchronous and ending not in UNREAD
        expected = sdk.abandoned if outcome == "abandoned" or dropped else outcome
        assert expected == (span.attributes or {}).get(OUTCOME, "done")
        assert span.status.is_unset


@pytest.mark.parametrize("case", [*FULL_STREAMS, *OTHER_STREAMS])
def test_a_stream_that_is_dropped_unread_ends_in_whatever_order_it_is_collected(
    case: Case, provider: LocalProvider, instrumented: Telemetry
) -> None:
    usual = gc.get_threshold()
    if case.surface.of.lazy_streams:
        pytest.skip("nothing is sent before somebody reads")

    async def use() -> int:
        async with inside(case.client(provider.url)) as of:
            for often in (1, 2, 4, 8, 16, 32):  # collections change the order of the next one
                gc.set_threshold(often, 1000, 1000)
                try:
                    stream = await case.answer(of)
                finally:
                    gc.set_threshold(*usual)
                del stream
                if case.asynchronous:
                    await asyncio.sleep(0.01)  # the event loop closes what iterated
                gc.collect()
            return len(instrumented.spans)

    assert 6 == run(use(), asynchronous=case.asynchronous)


@pytest.mark.parametrize("case", cases((CHAT, CLAUDE, RESPONSES), both("helper")))
def test_a_helper_that_is_left_half_way_is_closed(case: Case, provider: LocalProvider, instrumented: Telemetry) -> None:
    async def use() -> int:
        async with inside(case.client(provider.url)) as of:
            async with inside(await case.answer(of)) as stream:
                async for _ in each(stream):
                    break
            return len(instrumented.spans)

    assert 1 == run(use(), asynchronous=case.asynchronous)
    assert "closed" == instrumented.told()[OUTCOME]


@pytest.mark.parametrize("case", cases((CHAT, RESPONSES, CLAUDE, *OTHERS), ("async stream",)))
@pytest.mark.parametrize("how", ["cancelled", "timed out"])
def test_a_cancelled_task_ends_its_stream(
    how: str, case: Case, provider: LocalProvider, instrumented: Telemetry
) -> None:
    provider.on("", lambda received: replace(provider.built_in(received), event_delay_s=0.2))
    reading = asyncio.Event()

    async def consume(of: Any) -> None:
        async for _ in each(await case.answer(of)):
            reading.set()

    async def use() -> int:
        async with inside(case.client(provider.url)) as of:
            task = asyncio.create_task(consume(of))
            await reading.wait()
            if how == "cancelled":
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            else:
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(task, 0.05)
            return len(instrumented.spans)

    assert 1 == asyncio.run(use())
    assert "cancelled" == instrumented.told()[OUTCOME]
    assert instrumented.only_span().status.is_unset
    assert "error.type" not in instrumented.told()


@pytest.mark.parametrize("case", cases(OBSERVED, ("async whole",)))
def test_what_is_cancelled_before_it_is_told_is_no_call(
    case: Case, provider: LocalProvider, instrumented: Telemetry
) -> None:
    provider.on("", lambda received: replace(provider.built_in(received), delay_s=0.2))

    async def use() -> None:
        async with inside(case.client(provider.url)) as of:
            task = asyncio.create_task(case.answer(of))
            for _ in range(2000):
                if provider.requests:
                    break
                await asyncio.sleep(0.005)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(use())

    assert () == instrumented.spans


@pytest.mark.parametrize("case", STREAMS)
def test_a_connection_that_is_cut_fails_the_call(case: Case, provider: LocalProvider, instrumented: Telemetry) -> None:
    def half(received: Received) -> Reply:
        whole = provider.built_in(received)
        return replace(whole, cut_after_bytes=sum(map(len, whole.pieces())) // 2)

    provider.on("", half)

    seen = case.ask(provider.url)

    assert seen.error is not None
    told = instrumented.told()
    assert "failed" == told[OUTCOME]
    error = case.surface.of.cut or seen.error[0].__name__
    assert error == told["error.type"].rpartition(".")[2]
    assert not instrumented.only_span().status.is_ok


BROKEN = cases((CHAT, CLAUDE), both("raw stream", "streaming response stream"))


@pytest.mark.parametrize("case", [*(one for one in STREAMS if one.values[0].surface.broken), *BROKEN])
def test_an_error_event_fails_the_call(case: Case, provider: LocalProvider, instrumented: Telemetry) -> None:
    assert case.surface.broken is not None
    provider.on("", lambda received: case.surface.broken(provider.built_in(received)))

    case.ask(provider.url)
    gc.collect()  # openai 1.40 and anthropic 0.34 leave a response open when a raw stream of it fails

    told, sdk = instrumented.told(), case.surface.of
    assert (sdk.error_in_stream or sdk.error_type, "failed") == (told["error.type"], told[OUTCOME])


# --- what is counted of a stream that is not read to its end ---------------------------------


@pytest.mark.parametrize("case", cases((CLAUDE,), both("stream")))
def test_anthropics_input_counts_as_soon_as_it_is_told(
    case: Case, provider: LocalProvider, instrumented: Telemetry
) -> None:
    provider.enqueue(Reply(events=[odd.START, *odd.BLOCK, odd.DELTA, odd.STOP]))

    async def use() -> None:
        async with inside(case.client(provider.url)) as of:
            await left_with(lambda: case.answer(of))

    run(use(), asynchronous=case.asynchronous)

    assert 3 == instrumented.told()["gen_ai.usage.input_tokens"]
    assert "gen_ai.usage.output_tokens" not in instrumented.told()


@pytest.mark.parametrize("case", cases((CHAT, RESPONSES), both("stream")))
def test_usage_that_did_not_come_is_missing_and_not_zero(
    case: Case, provider: LocalProvider, instrumented: Telemetry
) -> None:
    async def use() -> None:
        async with inside(case.client(provider.url)) as of:
            await left_with(lambda: case.answer(of))

    run(use(), asynchronous=case.asynchronous)

    told = instrumented.told()
    assert "missing" == told["tracetoll.usage.source"]
    assert [] == [name for name in told if name.startswith(("gen_ai.usage.", "tracetoll.cost"))]
    (point,) = instrumented.metrics()["tracetoll.usage.missing"]
    assert (1, "aborted") == (point.value, point.attributes["tracetoll.usage.missing_reason"])


@pytest.mark.parametrize(("sdk", "field"), [("openai", "usage"), ("openai", "x_groq"), ("groq", "x_groq")])
def test_usage_on_every_chunk_counts_though_the_stream_is_left(
    sdk: str, field: str, provider: LocalProvider, instrumented: Telemetry
) -> None:
    pytest.importorskip(sdk)
    grown = [{"prompt_tokens": 3, "completion_tokens": number, "total_tokens": 3 + number} for number in (1, 2, 3, 4)]
    told_as = [usage if field == "usage" else {"usage": usage} for usage in grown]
    provider.enqueue(Reply(events=[odd.chunk(**{field: told}) for told in told_as]))

    with client(sdk, provider.url) as of:
        stream = of.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True)
        next(stream)
        next(stream)
        stream.close()

    told = instrumented.told()
    assert (3, 2) == (told["gen_ai.usage.input_tokens"], told["gen_ai.usage.output_tokens"])


# --- asking for usage ------------------------------------------------------------------------

UNASKED = {
    "anywhere": ({"stream_usage": "always"}, True),
    "at a known host": ({"provider_hosts": {"127.0.0.1": "openai"}}, True),
    "at a host of another provider": ({"provider_hosts": {"127.0.0.1": "mistral_ai"}}, False),
    "at an unknown host": ({}, False),
    "nowhere": ({"provider_hosts": {"127.0.0.1": "openai"}, "stream_usage": "never"}, False),
}


def fixed(provider: LocalProvider) -> Callable[[Received], Reply]:
    """Return what answers with the same ids always."""

    def answer(received: Received) -> Reply:
        events = json.dumps(provider.built_in(received).events)
        events = re.sub(r'"((chat)?cmpl-)\w+"', r'"\g<1>1"', events)
        events = re.sub(r'"cached_tokens": \d+', '"cached_tokens": 0', events)  # the prompt is cached the second time
        return Reply(events=json.loads(re.sub(r'"created": \d+', '"created": 1', events)))

    return answer


def unasked(case: Case) -> Case:
    """Return a case that does not ask for usage itself."""
    return replace(case, surface=replace(case.surface, stream_arguments={}))


@pytest.mark.parametrize("case", CHATS)
@pytest.mark.parametrize(("settings", "wanted"), UNASKED.values(), ids=UNASKED)
def test_usage_is_asked_for_where_the_host_is_known_to_take_it(
    settings: dict[str, Any],
    wanted: bool,
    case: Case,
    provider: LocalProvider,
    instrument: Callable[..., Telemetry],
) -> None:
    telemetry = instrument(**settings)

    unasked(case).ask(provider.url)

    (request,) = provider.requests
    assert ({"include_usage": True} if wanted else None) == request.body.get("stream_options")
    assert wanted == ("gen_ai.usage.output_tokens" in telemetry.told())
    assert provider.handed_out.output_tokens == telemetry.told().get("gen_ai.usage.output_tokens", 0)


@pytest.mark.parametrize("case", cases((CHAT, COMPLETIONS), both("stream", "helper")))
def test_the_chunk_that_we_asked_for_is_hidden(
    case: Case, provider: LocalProvider, instrument: Callable[..., Telemetry]
) -> None:
    provider.on("", fixed(provider))
    without = unasked(case).ask(provider.url)
    telemetry = instrument(stream_usage="always")

    seen = unasked(case).ask(provider.url)

    assert without == seen
    assert provider.handed_out.input_tokens == telemetry.told()["gen_ai.usage.input_tokens"]


@pytest.mark.parametrize("case", cases((CHAT, COMPLETIONS), both("stream", "helper")))
def test_the_chunk_that_the_application_asked_for_is_not_hidden(
    case: Case, provider: LocalProvider, instrument: Callable[..., Telemetry]
) -> None:
    provider.on("", fixed(provider))
    without = case.ask(provider.url)
    instrument(stream_usage="always")

    seen = case.ask(provider.url)

    assert without == seen
    assert provider.requests[0].body == provider.requests[1].body


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({}, {"include_usage": True}),
        ({"include_obfuscation": False}, {"include_obfuscation": False, "include_usage": True}),
        ({"include_usage": False}, {"include_usage": False}),
        ({"include_usage": None}, {"include_usage": None}),
    ],
    ids=str,
)
def test_the_applications_own_options_are_kept(
    given: dict[str, Any], sent: dict[str, Any], provider: LocalProvider, instrument: Callable[..., Telemetry]
) -> None:
    instrument(stream_usage="always")
    own = copy.deepcopy(given)

    with client("openai", provider.url) as of:
        list(of.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True, stream_options=own))

    assert given == own
    assert sent == provider.requests[0].body["stream_options"]


def test_options_in_extra_body_are_kept(provider: LocalProvider, instrument: Callable[..., Telemetry]) -> None:
    instrument(stream_usage="always")
    own = {"stream_options": {"include_usage": False}}

    with client("openai", provider.url) as of:
        list(of.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True, extra_body=own))

    assert own["stream_options"] == provider.requests[0].body["stream_options"]


@pytest.mark.parametrize("case", cases((CHAT, COMPLETIONS), both("raw stream", "streaming response stream", "whole")))
def test_what_the_application_reads_raw_is_left_alone(
    case: Case, provider: LocalProvider, instrument: Callable[..., Telemetry]
) -> None:
    instrument(stream_usage="always")

    unasked(case).ask(provider.url)

    assert "stream_options" not in provider.requests[0].body


def test_a_chunk_with_usage_and_choices_is_not_hidden(
    provider: LocalProvider, instrument: Callable[..., Telemetry]
) -> None:
    instrument(stream_usage="always")
    provider.enqueue(Reply(events=[odd.chunk(), {**odd.LAST, "usage": odd.CHAT_USAGE}]))

    seen = unasked(Case(CHAT, "stream")).ask(provider.url)

    assert 3 == len(seen.told)


# --- the context -----------------------------------------------------------------------------


@pytest.mark.parametrize("case", STREAMS)
def test_our_span_is_not_current_in_the_applications_code(
    case: Case, provider: LocalProvider, instrumented: Telemetry
) -> None:
    async def use() -> list[Any]:
        before = otel_context.get_current()
        async with inside(case.client(provider.url)) as of:
            stream = await case.answer(of)
            met = [(otel_context.get_current() == before, current_call.get())]
            async for _ in each(stream):
                met.append((otel_context.get_current() == before, current_call.get()))  # noqa: PERF401
        return [*met, (otel_context.get_current() == before, current_call.get())]

    met = run(use(), asynchronous=case.asynchronous)

    assert {(True, None)} == set(met)
    assert 1 == len(instrumented.spans)


@pytest.mark.parametrize("case", STREAMS)
def test_a_stream_belongs_to_the_span_that_it_was_asked_in(
    case: Case, provider: LocalProvider, instrumented: Telemetry
) -> None:
    tracer = instrumented.tracer_provider.get_tracer("application")

    async def use() -> None:
        async with inside(case.client(provider.url)) as of:
            with tracer.start_as_current_span("asking"):
                stream = await case.answer(of)
            with tracer.start_as_current_span("reading"):
                async for _ in each(stream):
                    pass

    run(use(), asynchronous=case.asynchronous)

    asking, call, reading = instrumented.spans
    assert ("asking", "reading") == (asking.name, reading.name)
    assert call.parent is not None
    owner = {"asking": asking, "reading": reading}[case.surface.of.belongs_to]
    assert owner.context.span_id == call.parent.span_id


@pytest.mark.parametrize("case", FULL_STREAMS)
def test_our_span_is_current_while_the_request_is_sent(
    case: Case, provider: LocalProvider, instrumented: Telemetry
) -> None:
    found = []

    def note(_: Any) -> None:
        found.append(trace.get_current_span().get_span_context().span_id)

    async def note_async(_: Any) -> None:
        note(_)

    module = __import__(case.surface.sdk)
    made = module.DefaultAsyncHttpxClient if case.asynchronous else module.DefaultHttpxClient
    hooks = {"request": [note_async if case.asynchronous else note]}

    case.ask(provider.url, http_client=made(verify=False, event_hooks=hooks))

    assert [instrumented.only_span().context.span_id] == found


# --- threads and finalisers ------------------------------------------------------------------


def test_threads_that_close_at_once_end_one_span(provider: LocalProvider, instrumented: Telemetry) -> None:
    with client("openai", provider.url) as of:
        for number in range(1, 21):
            stream = of.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True)
            next(stream)
            barrier = threading.Barrier(3)

            def close(stream: Any = stream, barrier: threading.Barrier = barrier) -> None:
                barrier.wait()
                stream.close()

            threads = [threading.Thread(target=close) for _ in range(3)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

            assert number == len(instrumented.spans)


def in_thread(work: Callable[[], Any], timeout_s: float = 20.0) -> bool:
    """Return whether some work was done in time, in a thread of its own."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(timeout_s)
    return not thread.is_alive()


def test_a_stream_dropped_in_a_worker_thread_ends_at_once(provider: LocalProvider, instrumented: Telemetry) -> None:
    with client("openai", provider.url) as of:

        def drop() -> None:
            next(of.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True))
            gc.collect()

        assert in_thread(drop)

        assert 1 == len(instrumented.spans)


def test_a_stream_dropped_in_an_agent_ends_at_once(provider: LocalProvider, instrumented: Telemetry) -> None:
    with client("openai", provider.url) as of:

        @agent("planner")
        def plan() -> int:
            next(of.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True))
            gc.collect()
            return len(instrumented.spans)

        assert 1 == plan()


class Collecting(SpanProcessor):
    """Collects garbage inside a lock that it needs at the end of every span."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.ended: list[str] = []

    def on_end(self, span: Any) -> None:
        with self.lock:
            gc.collect()
            self.ended.append(span.attributes.get(OUTCOME, "done"))


@pytest.fixture
def uncollected() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("uncollected")
def test_a_collection_inside_a_processors_lock_does_not_deadlock(
    provider: LocalProvider, instrumented: Telemetry
) -> None:
    processor = Collecting()
    instrumented.tracer_provider.add_span_processor(processor)
    call = {"model": "gpt-4o", "messages": MESSAGES}

    def use() -> None:
        with client("openai", provider.url) as of:
            stream = of.chat.completions.create(**call, stream=True)
            next(stream)
            stream.myself = stream
            del stream
            of.chat.completions.create(**call)
            of.chat.completions.create(**call)

    assert in_thread(use)
    assert ["done", "abandoned", "done"] == processor.ended


@pytest.mark.usefixtures("uncollected")
def test_what_was_forgotten_is_closed_by_uninstrument_at_the_latest(
    provider: LocalProvider, instrumented: Telemetry
) -> None:
    processor = Collecting()
    instrumented.tracer_provider.add_span_processor(processor)
    call = {"model": "gpt-4o", "messages": MESSAGES}

    def use() -> None:
        with client("openai", provider.url) as of:
            stream = of.chat.completions.create(**call, stream=True)
            next(stream)
            stream.myself = stream
            del stream
            of.chat.completions.create(**call)

    assert in_thread(use)

    Instrumentor().uninstrument()

    assert ["done", "abandoned"] == processor.ended


LEFT_OPEN = """
import asyncio, sys, openai
from tracetoll import Instrumentor

async def begin():
    client = openai.AsyncOpenAI(base_url=sys.argv[1] + "/v1", api_key="none")
    asked = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    raw = await client.chat.completions.with_raw_response.create(**asked)
    pieces = raw.http_response.aiter_bytes()
    await anext(pieces)
    return client, raw, pieces

Instrumentor().instrument()
loop = asyncio.new_event_loop()
kept = loop.run_until_complete(begin())
"""


def test_a_raw_stream_that_is_still_open_when_the_program_ends_is_no_fault(provider: LocalProvider) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LEFT_OPEN, provider.url], capture_output=True, text=True, check=True, timeout=60
    )

    assert "tracetoll" not in done.stderr
