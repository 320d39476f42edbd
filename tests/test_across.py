"""Across processes: a service that is called by another one, over HTTP, and what either knows of the other."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2 as httpx
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from limit_calls import ANSWER, INPUT, TOKENS, WORDS, accounts, chat
from opentelemetry import propagate

from tracetoll import Limit, LimitExceeded, Usage, across, agent, attribution, limits, spent, tool
from tracetoll.across import ReturnSpentASGI, ReturnSpentWSGI, take_spent, take_spent_of, take_spent_of_async
from tracetoll.limits.scope import Totals
from tracetoll.local_provider import LocalProvider
from tracetoll.spent import Spent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Telemetry

    Instrument = Callable[..., Telemetry]
    Service = Callable[..., str]

SERVICE = Path(__file__).with_name("child_service.py")
ENTRY = "tracetoll.limits"
HEADER = "tracetoll-spent"
KINDS = pytest.mark.parametrize("kind", ["asgi", "wsgi"])
USD = (INPUT * 0.15 + ANSWER * 0.6) / 1e6
"""What one call costs."""


@pytest.fixture(scope="module")
def shared_provider() -> Iterator[LocalProvider]:
    with LocalProvider(script=lambda _: WORDS) as running:
        yield running


@pytest.fixture
def provider(shared_provider: LocalProvider) -> LocalProvider:
    return shared_provider


@pytest.fixture
def sent(shared_provider: LocalProvider) -> Callable[[], int]:
    """Return how many requests the provider has had in this test."""
    before = len(shared_provider.requests)
    return lambda: len(shared_provider.requests) - before


@pytest.fixture(scope="module")
def service(shared_provider: LocalProvider) -> Iterator[Service]:
    """Return what starts a service of a kind in a process of its own, once, and returns its URL."""
    running: dict[tuple[str, str], tuple[str, subprocess.Popen[str]]] = {}

    def start(kind: str, taken: str = "user.id,tracetoll.limits") -> str:
        if (kind, taken) not in running:
            clean = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "TRACETOLL_"))}
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-W",
                    "error",
                    Path(__file__).with_name("child_service.py"),
                    kind,
                    shared_provider.url,
                ],
                env={**clean, "TRACETOLL_BAGGAGE_IN": taken, "TRACETOLL_RAISE_FAULTS": "1"},
                stdout=subprocess.PIPE,
                encoding="utf-8",
            )
            assert process.stdout is not None
            running[kind, taken] = f"http://127.0.0.1:{int(process.stdout.readline())}", process
        return running[kind, taken][0]

    yield start
    for _, process in running.values():
        with process:
            process.kill()


def call(url: str, path: str = "/ask") -> httpx.Response:
    """Return a service's answer; trace and baggage of the context go with the request."""
    headers: dict[str, str] = {}
    propagate.inject(headers)
    return httpx.get(url + path, headers=headers, trust_env=False, timeout=60)


def spent_on(subject: str) -> int:
    """Return what was spent of the one account of this kind of subject."""
    (found,) = [spent for account, (spent, _) in accounts().items() if account.startswith(subject)]
    return found


# --- there -----------------------------------------------------------------------------------


@KINDS
def test_attribution_travels(kind: str, service: Service, instrument: Instrument) -> None:
    instrument(baggage_out=["user.id", "tenant"])

    with attribution(user_id="u1", tenant="acme", feature="triage"), agent("planner"):
        (told,) = call(service(kind)).json()["spans"]

    assert "u1" == told["user.id"]
    assert not {"tracetoll.tenant", "tracetoll.feature", "gen_ai.agent.name", ENTRY} & told.keys()


@KINDS
def test_limits_travel(
    kind: str, service: Service, provider: LocalProvider, sent: Callable[[], int], instrument: Instrument
) -> None:
    instrument(limits=[Limit(4, "calls", per="trace")], baggage_out=[ENTRY])

    with agent("planner"):
        chat(provider)
        with tool("ask"):
            fits = call(service(kind), "/ask?calls=2")
            refused = call(service(kind), "/ask?calls=2")

    assert [200, 429] == [fits.status_code, refused.status_code]
    assert 1 + 3 == sent()
    assert "3 calls" in refused.json()["refused"]
    assert "the limit came with it" in refused.json()["refused"]


@KINDS
def test_a_trace_that_has_nothing_left_sends_nothing(
    kind: str, service: Service, provider: LocalProvider, sent: Callable[[], int], instrument: Instrument
) -> None:
    instrument(limits=[Limit(1, "calls", per="trace")], baggage_out=[ENTRY])

    with agent("planner"):
        chat(provider)
        with tool("ask"):
            refused = call(service(kind))

    assert 429 == refused.status_code
    assert 1 == sent()


def test_a_block_without_a_trace_limit_travels_too(
    service: Service, sent: Callable[[], int], instrument: Instrument
) -> None:
    instrument(baggage_out=[ENTRY])

    with agent("planner"), limits(Limit(1, "calls")):
        codes = [call(service("wsgi")).status_code for _ in range(2)]

    assert [200, 429] == codes
    assert 1 == sent()


@pytest.mark.parametrize(("listed", "taken"), [(["user.id"], "tracetoll.limits"), ([ENTRY], "user.id")])
def test_limits_do_not_travel_where_either_side_does_not_list_them(
    listed: list[str], taken: str, service: Service, sent: Callable[[], int], instrument: Instrument
) -> None:
    instrument(limits=[Limit(0, "calls", per="trace")], baggage_out=listed)

    with agent("planner"):
        answer = call(service("asgi", taken))

    assert 200 == answer.status_code
    assert 1 == sent()


# --- and back --------------------------------------------------------------------------------


@KINDS
def test_what_a_service_spent_counts_here(kind: str, service: Service, instrument: Instrument) -> None:
    telemetry = instrument(
        limits=[
            Limit(9, "calls", per="trace"),
            Limit(9000, "tokens", per="user.id"),
            Limit(1, "usd", per="process"),
            Limit(9, "calls", per="gen_ai.request.model"),
            Limit(9, "output_tokens", per="tenant", where={"model": "*"}),
        ]
    )

    with attribution(user_id="u1", tenant="acme"), agent("planner"), limits() as spend:
        took = take_spent(call(service(kind), "/ask?calls=2").headers)

    assert (2 * INPUT, 2 * ANSWER, 2) == (spend.usage.input_tokens, spend.usage.output_tokens, spend.calls)
    assert 2 * USD == pytest.approx(spend.cost)
    assert {"trace": 2, "user.id:u1": 2 * TOKENS, "process": round(2 * USD * 1e9)} == {
        account.partition(":")[0] if account.startswith("trace") else account: spent
        for account, (spent, _) in accounts().items()
    }
    assert took is not None
    assert took.complete
    (told,) = [dict(span.attributes or {}) for span in telemetry.spans]
    assert {
        "tracetoll.remote.input_tokens": 2 * INPUT,
        "tracetoll.remote.output_tokens": 2 * ANSWER,
        "tracetoll.remote.total_tokens": 2 * TOKENS,
        "tracetoll.remote.inference_call.count": 2,
        "tracetoll.remote.cost.amount": pytest.approx(2 * USD),
        "tracetoll.remote.complete": True,
    } == {name: value for name, value in told.items() if name.startswith("tracetoll.remote.")}


@KINDS
def test_a_trace_that_a_service_has_blown_is_blown_here(
    kind: str, service: Service, provider: LocalProvider, sent: Callable[[], int], instrument: Instrument
) -> None:
    instrument(limits=[Limit(2, "calls", per="trace")])

    with agent("planner"):
        take_spent(call(service(kind), "/ask?calls=2").headers)
        with pytest.raises(LimitExceeded) as raised:
            chat(provider)

    assert 2 == raised.value.spent
    assert 2 == sent()


def test_several_answers_add_up_on_a_span(service: Service, instrument: Instrument) -> None:
    telemetry = instrument()

    with tool("ask"):
        for path in ("/ask", "/nothing", "/stream", "/ask?calls=2"):
            take_spent(call(service("asgi"), path).headers)

    told = telemetry.told()
    assert (4, 4 * INPUT, False) == (
        told["tracetoll.remote.inference_call.count"],
        told["tracetoll.remote.input_tokens"],
        told["tracetoll.remote.complete"],
    )
    assert 4 * USD == pytest.approx(told["tracetoll.remote.cost.amount"])


@KINDS
def test_a_request_without_calls_has_cost_nothing(kind: str, service: Service, instrument: Instrument) -> None:
    instrument()

    header = call(service(kind), "/nothing").headers[HEADER]

    assert header.startswith("input=0, output=0, cached=0, calls=0, usd=0.0, complete=?1")


@KINDS
def test_a_stream_tells_what_was_spent_before_it_and_that_there_may_be_more(
    kind: str, service: Service, sent: Callable[[], int], instrument: Instrument
) -> None:
    instrument()

    with limits() as spend:
        answer = call(service(kind), "/stream")
        took = take_spent(answer.headers)

    assert 2 == sent()
    assert took is not None
    assert (1, 1, False) == (spend.calls, took.totals.calls, took.complete)
    assert 2 == len(answer.json()["spans"])


@KINDS
def test_a_refused_request_tells_too(kind: str, service: Service, instrument: Instrument) -> None:
    instrument(limits=[Limit(1, "calls", per="trace")], baggage_out=[ENTRY])

    with agent("planner"), limits() as spend:
        answer = call(service(kind), "/ask?calls=2")
        take_spent(answer.headers)

    assert 429 == answer.status_code
    assert (1, 1) == (spend.calls, spend.refused)


def test_hooks_of_http_clients_take_it(service: Service, instrument: Instrument) -> None:
    instrument()
    url = service("asgi")

    async def ask() -> None:
        hooks: Any = {"response": [take_spent_of_async]}
        async with httpx.AsyncClient(event_hooks=hooks, trust_env=False, timeout=60) as client:
            await client.get(f"{url}/ask")

    with limits() as spend:
        with httpx.Client(trust_env=False, timeout=60) as client:
            client.event_hooks["response"].append(take_spent_of)
            client.get(f"{url}/ask")
        asyncio.run(ask())
        with requests.Session() as session:
            session.trust_env = False
            session.hooks["response"].append(take_spent_of)
            assert 200 == session.get(f"{url}/ask", timeout=60).status_code

    assert 3 == spend.calls


def test_an_answer_counts_once_however_often_it_is_taken(service: Service, instrument: Instrument) -> None:
    instrument(limits=[Limit(9, "calls")])

    with limits() as spend:
        headers = call(service("wsgi")).headers
        again = [take_spent(headers), take_spent(dict(headers)), take_spent(headers.raw)]

    assert [False, True, True] == [one is None for one in again]
    assert 1 == spend.calls
    assert 1 == spent_on("process")


@pytest.mark.parametrize("headers", [{}, {"content-type": "x"}, [], [(b"a", b"b")]])
@pytest.mark.usefixtures("instrumented")
def test_headers_that_tell_nothing_are_nothing(headers: Any) -> None:
    assert take_spent(headers) is None


@pytest.mark.parametrize("headers", [None, 7, [1], object()])
def test_what_are_no_headers_harms_nobody(
    headers: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TRACETOLL_RAISE_FAULTS", "0")

    assert take_spent(headers) is None
    caplog.clear()


def test_a_malformed_header_is_ignored_with_one_warning(
    instrumented: Telemetry, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(across, "_complained", across.Seen(1))

    with limits() as spend, agent("planner"):
        for value in ("calls=many", "calls=-1", "x" * 5000, ""):
            assert take_spent({HEADER: value}) is None

    (warning,) = [record.getMessage() for record in caplog.records]
    caplog.clear()
    assert HEADER in warning
    assert len(warning) < 300
    assert 0 == spend.calls
    assert not [name for name in instrumented.told() if name.startswith("tracetoll.remote.")]


def test_it_can_be_taken_without_instrument() -> None:
    with limits() as spend:
        take_spent({"TRACETOLL-SPENT": "input=3, output=4, calls=2, usd=0.5, unpriced=1, missing=1, refused=1"})

    assert (Usage({"input_tokens": 3, "output_tokens": 4}), 2, 0.5) == (spend.usage, spend.calls, spend.cost)
    assert (1, 1, 1) == (spend.unpriced, spend.missing, spend.refused)


def test_who_is_in_this_process_too_counts_once(provider: LocalProvider, instrument: Instrument) -> None:
    telemetry = instrument(limits=[Limit(9, "calls")])
    server = ReturnSpentASGI(answering(provider))

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(server), base_url="http://x") as client:
            return await client.get("/")

    with limits(Limit(9, "calls")) as around, tool("ask"):
        answer = asyncio.run(ask())  # in the same context, so in the same block
        took = take_spent(answer.headers)
    with limits(Limit(8, "calls")) as elsewhere:
        answer = asyncio.run(asyncio.wait_for(ask_outside(ask), 60))
        take_spent(answer.headers)

    assert took is not None
    assert [1, 1] == [around.calls, elsewhere.calls]
    assert {"process": 2, "scope": 1} == {
        "process": spent_on("process"),
        "scope": min(spent for account, (spent, _) in accounts().items() if account.startswith("scope")),
    }
    assert 3 == len(accounts())
    assert not [
        name for span in telemetry.spans for name in dict(span.attributes or {}) if name.startswith("tracetoll.remote.")
    ]


async def ask_outside(ask: Callable[[], Any]) -> Any:
    """Ask in a thread that has a context of its own, as a server has."""
    return await asyncio.get_running_loop().run_in_executor(None, lambda: asyncio.run(ask()))


# --- the servers' side, in detail --------------------------------------------------------------


def answering(provider: LocalProvider) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        del scope, receive
        await asyncio.to_thread(chat, provider)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x"})

    return app


def asgi(app: Any, kind: str = "http") -> list[dict[str, Any]]:
    """Return the messages that an ASGI application sends."""
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(dict(message))

    async def receive() -> Any:
        return {"type": "http.request"}

    asyncio.run(ReturnSpentASGI(app)({"type": kind}, receive, send))
    return sent


def sending(*messages: dict[str, Any]) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        del scope, receive
        for message in messages:
            await send(message)

    return app


START = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]}
BARE_START = {"type": "http.response.start", "status": 200}
PIECE = {"type": "http.response.body", "body": b"x", "more_body": True}
LAST = {"type": "http.response.body", "body": b"x"}


@pytest.mark.usefixtures("instrumented")
@pytest.mark.parametrize(
    ("messages", "complete"),
    [
        ([BARE_START, LAST], True),
        ([BARE_START, PIECE, LAST], False),
        ([START, PIECE, LAST], True),
        ([BARE_START, {"type": "http.response.pathsend", "path": "x"}], False),
    ],
)
def test_a_header_is_complete_where_the_answer_is_whole_or_its_length_known(
    messages: list[dict[str, Any]], complete: bool
) -> None:
    start, *rest = asgi(sending(*messages))

    (value,) = [value.decode() for name, value in start["headers"] if name == b"tracetoll-spent"]
    assert messages[1:] == rest
    told = spent.read(value)
    assert told is not None
    assert complete == told.complete


def test_a_call_that_still_runs_makes_it_incomplete(instrument: Instrument) -> None:
    instrument()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        del scope, receive
        running = asyncio.create_task(asyncio.to_thread(chat, provider))
        await asyncio.to_thread(arrived.wait)
        await send(BARE_START)
        await send(LAST)
        go.set()
        await running

    arrived, go = threading.Event(), threading.Event()

    def answer(_: Any) -> str:
        arrived.set()
        go.wait()
        return WORDS

    with LocalProvider(script=answer) as provider:
        start, _ = asgi(app)

    told = spent.read(dict(start["headers"])[b"tracetoll-spent"].decode())
    assert told is not None
    assert (0, False) == (told.totals.calls, told.complete)


@pytest.mark.usefixtures("instrumented")
def test_what_is_no_request_passes_through() -> None:
    messages = [{"type": "websocket.accept"}, {"type": "websocket.close"}]

    assert messages == asgi(sending(*messages), "websocket")


@pytest.mark.usefixtures("instrumented")
def test_an_application_that_fails_has_started_nothing() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        del scope, receive
        await send(BARE_START)
        raise LookupError

    with pytest.raises(LookupError):
        asgi(app)


def test_nobody_who_does_not_count_tells_anything() -> None:
    assert [BARE_START, LAST] == asgi(sending(BARE_START, LAST))
    assert ("200 OK", [("A", "b")], [b"x"]) == wsgi(lambda _, start: (start("200 OK", [("A", "b")]), [b"x"])[1])


def wsgi(app: Any) -> tuple[str, list[tuple[str, str]], list[bytes]]:
    """Return status, headers and pieces of a WSGI application's answer, as a server gets them."""
    started: list[Any] = []
    pieces: list[bytes] = []

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
        if exc_info is not None and pieces:
            raise exc_info[1]
        started[:] = [status, headers]
        return pieces.append

    answer = ReturnSpentWSGI(app)({}, start_response)
    for piece in answer:
        assert started, "the headers come first"
        pieces.append(piece)
    if hasattr(answer, "close"):
        answer.close()
    return started[0], started[1], pieces


def lazily(app: Any) -> Any:
    def generator(environ: Any, start_response: Any) -> Iterator[bytes]:
        yield from app(environ, start_response)

    return generator


def plain(_: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("A", "b")])
    return [b"x", b"y"]


def sized(_: Any, start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [("A", "b"), ("Content-Length", "2")])
    return iter([b"x", b"y"])


def empty(_: Any, start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [("A", "b")])
    return iter([])


def written(_: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("A", "b")])(b"x")
    return [b"y"]


def failing_first(_: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("A", "b")])
    try:
        raise LookupError  # noqa: TRY301  # as applications do
    except LookupError as error:
        start_response("500 no", [("A", "c")], (LookupError, error, None))
    return [b"x", b"y"]


@pytest.mark.usefixtures("instrumented")
@pytest.mark.parametrize(
    ("app", "status", "pieces", "complete"),
    [
        (plain, "200 OK", b"xy", True),
        (lazily(plain), "200 OK", b"xy", False),
        (sized, "200 OK", b"xy", True),
        (lazily(sized), "200 OK", b"xy", True),
        (empty, "200 OK", b"", True),
        (written, "200 OK", b"xy", False),
        (failing_first, "500 no", b"xy", True),
    ],
)
def test_a_wsgi_answer_stays_as_it_is_but_for_the_header(app: Any, status: str, pieces: bytes, complete: bool) -> None:
    found, headers, body = wsgi(app)

    assert (status, pieces) == (found, b"".join(body))
    told = spent.read(dict(headers)[HEADER])
    assert told is not None
    assert complete == told.complete


@pytest.mark.usefixtures("instrumented")
def test_a_wsgi_application_that_fails_late_raises_as_without_us() -> None:
    def app(_: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"x"
        try:
            raise LookupError  # noqa: TRY301  # as applications do
        except LookupError as error:
            start_response("500 no", [], (LookupError, error, None))

    with pytest.raises(LookupError):
        wsgi(app)


@pytest.mark.usefixtures("instrumented")
def test_a_wsgi_answer_is_closed() -> None:
    closed = []

    class Pieces:
        def __iter__(self) -> Iterator[bytes]:
            return iter([b"x"])

        def close(self) -> None:
            closed.append(True)

    wsgi(lambda _, start: (start("200 OK", []), Pieces())[1])

    assert [True] == closed


# --- the header --------------------------------------------------------------------------------

NUMBERS = st.integers(0, spent.LARGEST)
NAMES = (
    "input_tokens",
    "output_tokens",
    "cache_read.input_tokens",
    "cache_write.input_tokens",
    "reasoning.output_tokens",
)


@given(
    counts=st.dictionaries(st.sampled_from(NAMES), st.integers(1, spent.LARGEST)),
    nano_usd=st.none() | NUMBERS,
    numbers=st.tuples(st.integers(1, spent.LARGEST), NUMBERS, NUMBERS, NUMBERS),
    complete=st.booleans(),
    names=st.tuples(st.none() | st.text("0123456789abcdef-", min_size=1, max_size=24), st.none() | st.just("7f")),
)
def test_a_header_comes_back_as_it_was_written(
    counts: dict[str, int], nano_usd: int | None, numbers: tuple[int, int, int, int], complete: bool, names: Any
) -> None:
    told = Spent(Totals(Usage(counts), nano_usd, *numbers), complete=complete, ledger=names[0], id=names[1])

    assert told == spent.read(spent.write(told))


@given(text=st.text() | st.text('inputcalsd=?01.,;:@*()"\\ -9', max_size=80))
def test_no_header_harms_anybody(text: str) -> None:
    told = spent.read(text)

    if told is not None:
        assert told.totals.calls >= 0
        assert told.totals.nano_usd is None or told.totals.nano_usd >= 0
        assert all(value >= 0 for value in told.totals.usage.counts.values())


def test_the_header_reads_as_documented() -> None:
    told = spent.read("input=1200, output=80, cached=0, calls=3, usd=0.00421, complete=?1")

    usage = Usage({"input_tokens": 1200, "output_tokens": 80, "cache_read.input_tokens": 0})
    assert Spent(Totals(usage, 4_210_000, 3), complete=True) == told
    assert "input=1200, output=80, cached=0, calls=3, usd=0.00421, complete=?1" == spent.write(told)


@pytest.mark.parametrize(
    "text",
    [
        'input=5;unit="t\\"x", later=(1 "two";a token), more, at=@1700000000, raw=:aGk=:, x-y.z*=?0, real=-1.5',
        " input=1,\tinput=5 ",
        "input=5;a;b=?0;c=tok/en:x",
    ],
)
def test_unknown_keys_and_parameters_are_skipped(text: str) -> None:
    assert Spent(Totals(Usage({"input_tokens": 5}))) == spent.read(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "input",
        "input=",
        "input=5,",
        ",input=5",
        "input=5 output=6",
        "input=1.5",
        "input=-5",
        'input="5"',
        "input=5, Output=6",
        "input=1234567890123456",
        "usd=-1",
        "usd=free",
        "calls=5, complete=1",
        "calls=5, complete=yes",
        'calls=5, x="open',
        "calls=\uff15",
        "later=1",
        "calls=5, " + ", ".join(f"k{number}=1" for number in range(64)),
        "calls=5" + " " * 2000 + ", x",
    ],
)
def test_a_malformed_header_is_none(text: str) -> None:
    assert spent.read(text) is None


def test_an_unknown_cost_is_absent() -> None:
    told = Spent(Totals(Usage({"input_tokens": 5}), None, 1, unpriced=1))

    assert "input=5, calls=1, unpriced=1, complete=?0" == spent.write(told)
