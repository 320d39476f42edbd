"""Trees of an application's traces, printed while it runs: whole, once, bounded, and without it noticing."""

from __future__ import annotations

import asyncio
import io
import os
import re
import subprocess
import sys
import threading
from collections import defaultdict
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import openai
import pytest
from aiohttp import ClientSession, web
from conftest import complaints
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import propagate, trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags, set_span_in_context
from rich.console import Console
from test_forks import in_child

from tracetoll import Instrumentor, agent, tool
from tracetoll.console import TreePrinter, gather, render_tree, writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Telemetry
    from opentelemetry.trace import Span

    from tracetoll.local_provider import LocalProvider, Received, Reply

RUNS = 50
NEVER_S = 3_600.0


class Pieces(io.StringIO):
    """A file that remembers what it was given, write by write."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []
        self.came = threading.Event()

    def write(self, text: str) -> int:
        self.pieces.append(text)
        self.came.set()
        return super().write(text)


class Stalled(Pieces):
    """A file that takes nothing until it is told to go on."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = threading.Event()
        self.goes_on = threading.Event()

    def write(self, text: str) -> int:
        self.reached.set()
        self.goes_on.wait(60)
        return super().write(text)


class Application:
    """A tracer provider whose traces are printed into a file."""

    def __init__(self, file: Pieces | None = None, **settings: Any) -> None:
        self.file = Pieces() if file is None else file
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.printer = TreePrinter(self.file, **{"grace_s": NEVER_S, **settings})
        self.provider.add_span_processor(self.printer)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.provider.get_tracer("tests")

    def span(self, name: str, parent: Span | None = None, **attributes: Any) -> Span:
        context = None if parent is None else set_span_in_context(parent)
        return self.tracer.start_span(name, context, attributes=attributes)

    def call(self, parent: Span | None = None, name: str = "chat", **used: Any) -> Span:
        names = {"input": "gen_ai.usage.input_tokens", "output": "gen_ai.usage.output_tokens"}
        names |= {"cost": "tracetoll.cost.amount", "error": "error.type", "response": "gen_ai.response.id"}
        attributes = {names[name]: value for name, value in used.items()}
        return self.span(name, parent, **{"gen_ai.operation.name": "chat"}, **attributes)

    def printed(self) -> str:
        """Return what has been printed of the traces whose roots have ended."""
        assert self.provider.force_flush()
        return self.file.getvalue()


@pytest.fixture
def application() -> Iterator[Application]:
    made = Application()
    yield made
    made.provider.shutdown()


def blocks(text: str) -> list[list[str]]:
    """Return the trees, each as its lines, after checking that all are whole."""
    assert text.endswith("\n\n")
    found = [block.splitlines() for block in text.removesuffix("\n\n").split("\n\n")]
    for first, head, *_, last in found:
        assert re.fullmatch(r"trace [0-9a-f]{32}(, what ended later)?", first)
        assert head.startswith("span ")
        assert last.startswith("total: ")
    return found


def names(block: list[str]) -> list[str]:
    return [re.split(r"(?<=\w)  ", line)[0] for line in block[2:]]


# An application as it is: a web server, agents, the real SDK.


class Server:
    """A web server whose every request is a run of an agent."""

    def __init__(self, telemetry: Telemetry, client: openai.AsyncOpenAI) -> None:
        self.tracer = telemetry.tracer_provider.get_tracer("server")
        self.client = client

    async def ask(self, request: web.Request) -> web.Response:
        with self.tracer.start_as_current_span(
            f"GET {request.path}", propagate.extract(request.headers), kind=SpanKind.SERVER
        ):
            return web.Response(text=await self.run(request.path))

    async def health(self, request: web.Request) -> web.Response:
        with self.tracer.start_as_current_span(f"GET {request.path}", kind=SpanKind.SERVER):
            return web.Response(text="well")

    @agent("clerk")
    async def run(self, question: str) -> str:
        messages: Any = [{"role": "user", "content": f"{question} {'x ' * len(question)}"}]
        await self.client.chat.completions.create(model="gpt-4o", messages=messages)
        with tool("look_up"):
            await asyncio.sleep(0)
        stream = await self.client.chat.completions.create(model="gpt-4o-mini", messages=messages, stream=True)
        pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
        await asyncio.gather(
            *(self.client.embeddings.create(model="text-embedding-3-small", input=question) for _ in range(2))
        )
        return "".join(pieces)


async def ask_all(telemetry: Telemetry, url: str) -> list[str]:
    http = openai.DefaultAsyncHttpxClient(trust_env=False)
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", http_client=http) as client:
        server = Server(telemetry, client)
        app = web.Application()
        app.router.add_get("/ask/{number}", server.ask)
        app.router.add_get("/health", server.health)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0]

        async def get(path: str) -> str:
            parent = {"traceparent": f"00-{'ab' * 12}{int(path[-2:]):08d}-{'cd' * 8}-01"} if "ask" in path else {}
            async with ClientSession() as session, session.get(f"http://{host}:{port}{path}", headers=parent) as answer:
                return await answer.text()

        paths = [path for number in range(RUNS) for path in (f"/ask/{number:02d}", "/health")]
        answers = await asyncio.gather(*map(get, paths))
        await runner.cleanup()
        return answers


def test_a_web_server_prints_each_of_50_concurrent_runs_as_a_whole_tree(
    provider: LocalProvider,
    instrument: Callable[..., Telemetry],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TRACETOLL_CONSOLE", "tree")
    all_there = threading.Barrier(RUNS)

    def answer(received: Received) -> Reply:
        if received.fields.get("model") == "gpt-4o":
            all_there.wait(60)  # so all runs are under way at once
        return provider.built_in(received)

    provider.on("/chat/completions", answer)
    telemetry = instrument(stream_usage="always")

    answers = asyncio.run(ask_all(telemetry, provider.url))

    telemetry.tracer_provider.force_flush()
    told = capsys.readouterr()
    trees = blocks(told.err)
    assert "" == told.out
    assert all(answers)
    assert 50 == len(trees)
    roots = {f"GET /ask/{number:02d}" for number in range(RUNS)}
    assert roots == {tree[2].split("  ")[0] for tree in trees}
    shape = [
        "└─ invoke_agent clerk",
        "   ├─ chat gpt-4o",
        "   ├─ execute_tool look_up",
        "   ├─ chat gpt-4o-mini",
        "   ├─ embeddings text-embedding-3-small",
        "   └─ embeddings text-embedding-3-small",
        "total: 4 calls",
    ]
    used: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for span in telemetry.spans:
        for place, kind in enumerate(("input", "output")):
            amount = (span.attributes or {}).get(f"gen_ai.usage.{kind}_tokens", 0)
            used[f"{span.context.trace_id:032x}"][place] += int(amount)
    for tree in trees:
        (number,) = re.findall(r"/ask/(\d\d)", "".join(tree))
        assert f"trace {'ab' * 12}{int(number):08d}" == tree[0]
        assert shape == names(tree)[1:]
        assert used[tree[0].split()[1]] == [int(word.replace(",", "")) for word in tree[-1].split()[3:5]]


def test_standard_output_stays_the_applications_own_and_the_rest_is_printed_at_exit(provider: LocalProvider) -> None:
    program = """
        import openai
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        from tracetoll import Instrumentor, agent

        trace.set_tracer_provider(TracerProvider(shutdown_on_exit=False))
        Instrumentor().instrument()
        with openai.OpenAI(http_client=openai.DefaultHttpxClient(trust_env=False)) as client:
            with agent("first"):
                client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])
            with trace.use_span(trace.get_tracer("x").start_span("never ended")):
                client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])
        print("mine")
    """

    told = run(program, provider, TRACETOLL_CONSOLE="tree")

    assert "mine\n" == told.stdout
    first, second = sorted(blocks(told.stderr), key=len)
    assert ["invoke_agent first", "└─ chat gpt-4o", "total: 1 call"] == [line.split("  ")[0] for line in first[2:]]
    assert ["… never ended", "└─ chat gpt-4o", "1 running", "total: 1 call"] == names(second)
    assert second[2].endswith("running")


def run(program: str, provider: LocalProvider, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", dedent(program)],
        env=environment(provider, **variables),
        capture_output=True,
        encoding="utf-8",
        check=True,
        timeout=120,
    )


def environment(provider: LocalProvider, **variables: str) -> dict[str, str]:
    ours = ("OPENAI_", "OTEL_", "TRACETOLL_CONSOLE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    asked = {"OPENAI_API_KEY": "none", "OPENAI_BASE_URL": f"{provider.url}/v1", "PYTHONIOENCODING": "utf-8"}
    return {**kept, **asked, **variables}


@pytest.mark.skipif(os.name != "posix", reason="pipes are closed otherwise elsewhere")
def test_a_closed_standard_error_does_not_break_the_application(provider: LocalProvider) -> None:
    program = """
        import time
        from opentelemetry.sdk.trace import TracerProvider
        from tracetoll.console import TreePrinter

        provider = TracerProvider()
        provider.add_span_processor(TreePrinter())
        for _ in range(3):
            provider.get_tracer("x").start_span("chat", attributes={"gen_ai.operation.name": "chat"}).end()
            assert provider.force_flush()
        print("mine")
    """
    reading, writing = os.pipe()
    os.close(reading)

    done = subprocess.run(
        [sys.executable, "-c", dedent(program)],
        env=environment(provider),
        stdout=subprocess.PIPE,
        stderr=writing,
        check=False,
        timeout=120,
    )

    os.close(writing)
    assert (0, b"mine\n") == (done.returncode, done.stdout)


def test_without_rich_one_warning_says_how_to_get_it(provider: LocalProvider) -> None:
    program = """
        import sys, logging
        sys.modules["rich"] = None
        logging.basicConfig(format="%(message)s")
        import openai
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        from tracetoll import Instrumentor

        trace.set_tracer_provider(TracerProvider())
        Instrumentor().instrument()
        with openai.OpenAI(http_client=openai.DefaultHttpxClient(trust_env=False)) as client:
            client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])
        Instrumentor().uninstrument()
        print("mine")
    """

    told = run(program, provider, TRACETOLL_CONSOLE="tree")

    assert "mine\n" == told.stdout
    assert ["traces cannot be printed as trees without rich: pip install 'tracetoll[cli]'"] == told.stderr.splitlines()


def test_printing_imports_nothing_so_that_no_fork_finds_an_import_half_done(provider: LocalProvider) -> None:
    program = """
        import sys
        from opentelemetry.sdk.trace import TracerProvider
        from tracetoll.console import TreePrinter

        provider = TracerProvider()
        provider.add_span_processor(TreePrinter(sys.stderr))
        before = set(sys.modules)
        tracer = provider.get_tracer("x")
        with tracer.start_as_current_span("Maut \N{LATIN SMALL LETTER U WITH DIAERESIS}ber \N{BRIDGE AT NIGHT} \u6a4b"):
            tracer.start_span("chat", attributes={"gen_ai.operation.name": "chat"}).end()
        provider.shutdown()
        print(sorted(set(sys.modules) - before))
    """

    told = run(program, provider)

    assert 1 == len(blocks(told.stderr))
    assert "[]\n" == told.stdout


# Instrumenting.


def test_nothing_is_printed_unless_it_is_asked_for(
    provider: LocalProvider, instrument: Callable[..., Telemetry], capsys: pytest.CaptureFixture[str]
) -> None:
    telemetry = instrument()

    chat(provider)

    telemetry.tracer_provider.force_flush()
    assert "" == capsys.readouterr().err


def test_uninstrument_makes_it_silent_and_instrument_loud_again_once(
    provider: LocalProvider, instrument: Callable[..., Telemetry], capsys: pytest.CaptureFixture[str]
) -> None:
    telemetry = instrument(console="tree")
    chat(provider)
    Instrumentor().uninstrument()
    assert 1 == len(blocks(capsys.readouterr().err))

    with telemetry.tracer_provider.get_tracer("own").start_as_current_span("chat") as span:
        span.set_attribute("gen_ai.operation.name", "chat")
    telemetry.tracer_provider.force_flush()
    assert "" == capsys.readouterr().err

    processors = telemetry.tracer_provider._active_span_processor  # noqa: SLF001  # there must not be more each time
    before = len(processors._span_processors)  # noqa: SLF001
    instrument(console="tree")
    chat(provider)
    telemetry.tracer_provider.force_flush()
    assert 1 == len(blocks(capsys.readouterr().err))
    assert before == len(processors._span_processors)  # noqa: SLF001


def test_a_printer_of_the_applications_own_is_left_alone(
    provider: LocalProvider, instrument: Callable[..., Telemetry], telemetry: Telemetry
) -> None:
    file = Pieces()
    telemetry.tracer_provider.add_span_processor(TreePrinter(file))
    instrument(console="tree")
    chat(provider)
    Instrumentor().uninstrument()

    telemetry.tracer_provider.get_tracer("own").start_span("x", attributes={"gen_ai.operation.name": "chat"}).end()

    telemetry.tracer_provider.force_flush()
    assert 2 == len(blocks(file.getvalue()))


def test_a_provider_that_is_not_the_sdks_gives_one_warning(
    provider: LocalProvider, caplog: pytest.LogCaptureFixture
) -> None:
    Instrumentor().instrument(tracer_provider=trace.NoOpTracerProvider(), console="tree")

    chat(provider)

    Instrumentor().uninstrument()
    (warning,) = complaints(caplog)
    assert "only a NoOpTracerProvider: set one before instrument(), or give it add_span_processor(" in warning


def chat(provider: LocalProvider) -> None:
    with openai.OpenAI(
        base_url=f"{provider.url}/v1", api_key="none", http_client=openai.DefaultHttpxClient(trust_env=False)
    ) as client:
        client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])


# What is a tree, and when it is printed.


def test_a_tree_is_printed_when_its_root_has_ended_without_anybody_asking(application: Application) -> None:
    root = application.span("agent")
    application.call(root, input=3, output=1).end()
    root.end()

    assert application.file.came.wait(60)
    application.printed()
    (tree,) = blocks(application.file.getvalue())
    assert ["agent", "└─ chat", "1 unpriced", "total: 1 call"] == names(tree)


def test_a_trace_without_a_model_call_is_not_printed(application: Application) -> None:
    root = application.span("GET /health")
    application.span("SELECT 1", root).end()
    root.end()

    assert "" == application.printed()


def test_a_refused_call_is_worth_a_tree(application: Application) -> None:
    application.call(error="budget_exceeded").end()

    (tree,) = blocks(application.printed())
    assert ["✗ chat", "1 refused", "total: 0 calls"] == names(tree)


def test_a_tree_waits_for_children_that_end_after_the_root(application: Application) -> None:
    root = application.span("agent")
    child = application.call(root, input=3, output=1, cost=1.0)
    root.end()
    assert not application.file.came.is_set()

    child.end()

    assert application.file.came.wait(60)
    application.printed()
    (tree,) = blocks(application.file.getvalue())
    assert ["agent", "└─ chat", "total: 1 call"] == names(tree)


def test_after_the_grace_period_what_runs_is_marked_and_becomes_a_tree_of_its_own() -> None:
    application = Application(grace_s=0.0)
    root = application.span("agent")
    application.call(root, input=3, output=1, cost=1.0).end()
    late = application.span("background", root)
    later = application.call(late, input=5, output=1, cost=1.0)
    root.end()
    assert application.file.came.wait(60)
    application.printed()
    (first,) = blocks(application.file.getvalue())

    later.end()
    application.call(late, "chat 2", input=7, output=1, cost=1.0).end()
    late.end()

    application.printed()
    _, second = blocks(application.file.getvalue())
    assert ["agent", "├─ chat", "└─ … background", "   └─ … chat", "2 running", "total: 1 call"] == [*names(first)]
    assert first[0] + ", what ended later" == second[0]
    assert ["background", "├─ chat", "└─ chat 2", "total: 2 calls"] == names(second)
    assert ["total:", "2", "calls", "12", "2", "$2.0000"] == second[-1].split()[:6]
    application.provider.shutdown()


def test_a_call_that_still_runs_at_the_end_is_shown(application: Application) -> None:
    application.call(application.span("agent"))

    application.provider.shutdown()

    (tree,) = blocks(application.file.getvalue())
    assert ["… agent", "└─ … chat", "2 running", "total: 0 calls"] == names(tree)


def test_nothing_is_printed_twice_at_the_end(application: Application) -> None:
    application.call().end()
    application.printed()

    application.provider.force_flush()
    application.provider.shutdown()

    assert 1 == len(blocks(application.file.getvalue()))


@pytest.mark.parametrize("is_remote", [True, False])
def test_a_span_whose_parent_is_elsewhere_is_a_root(application: Application, is_remote: bool) -> None:
    context = SpanContext(0xABC, 0xDEF, is_remote=is_remote, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    for name in ("first", "second"):
        application.call(NonRecordingSpan(context), name, input=1, output=1, cost=1.0).end()

    trees = blocks(application.printed())

    assert [["first", "total: 1 call"], ["second", "total: 1 call"]] == list(map(names, trees))
    assert {f"trace {0xABC:032x}"} == {tree[0] for tree in trees}


def test_a_request_that_the_application_sends_to_itself_is_a_tree_of_its_own(application: Application) -> None:
    caller = application.call(name="caller", input=1, output=1, cost=1.0)
    own = caller.get_span_context()
    context = SpanContext(own.trace_id, own.span_id, is_remote=True, trace_flags=own.trace_flags)
    application.call(NonRecordingSpan(context), "served", input=2, output=1, cost=1.0).end()
    caller.end()

    trees = blocks(application.printed())

    assert [["served", "total: 1 call"], ["caller", "total: 1 call"]] == list(map(names, trees))


def test_traces_of_many_threads_do_not_mix(application: Application) -> None:
    def work(number: int) -> None:
        for turn in range(10):
            root = application.span(f"run {number}.{turn}")
            for place in range(3):
                application.call(root, f"chat {number}.{turn}.{place}", input=1 + number, output=1, cost=1.0).end()
            root.end()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    text = application.printed()
    trees = blocks(text)
    assert {f"run {number}.{turn}" for number in range(16) for turn in range(10)} == {
        tree[2].split("  ")[0] for tree in trees
    }
    for tree in trees:
        run_name = tree[2].split("  ")[0].removeprefix("run ")
        assert all(f"chat {run_name}." in line for line in tree[3:-1])
        number = int(run_name.split(".")[0])
        assert ["total:", "3", "calls", str(3 + 3 * number), "3", "$3.0000"] == tree[-1].split()[:6]
    # The file's pieces are whole trees: each was written at once.
    assert 160 == sum(bool(piece) for piece in application.file.pieces)


# Bounds.


def test_a_trace_of_20_000_spans_has_few_lines_and_the_right_total(application: Application) -> None:
    root = application.span("agent")
    for place in range(10_000):
        step = application.span(f"step {place}", root)
        more: dict[str, Any] = {"error": "timeout"} if place == 5_000 else {"input": 10, "output": 1, "cost": 0.01}
        if place == 77:
            more["cost"] = 5.0
        application.call(step, **more).end()
        step.end()
    root.end()

    (tree,) = blocks(application.printed())
    assert len(tree) <= 64
    assert ["total:", "10,000", "calls", "99,990", "9,999", "$104.9800"] == tree[-1].split()[:6]
    assert {"├─ step 77", "├─ step 5000"} <= set(names(tree))
    (rest,) = [line for line in tree if " more spans" in line]
    told = int(re.findall(r"([\d,]+) more", rest)[0].replace(",", ""))
    assert 20_001 == told + len([line for line in tree[2:-1] if line != rest])


def test_of_a_large_trace_few_spans_are_kept(application: Application) -> None:
    root = application.span("agent")
    for _ in range(5_000):
        application.call(root, input=1, output=1, cost=1.0).end()

    kept = application.printer._gatherer._nodes  # noqa: SLF001  # that it does not grow shows nowhere else

    assert gather.MOST_NODES >= len(kept)
    root.end()


def test_of_many_traces_that_never_end_few_are_kept_and_the_oldest_shown_as_they_are(application: Application) -> None:
    roots = []
    for number in range(gather.MOST_TREES + 3):
        roots.append(application.span(f"agent {number}"))
        application.call(roots[-1], input=1, output=1, cost=1.0).end()

    trees = blocks(application.printed())

    assert ["… agent 0", "… agent 1", "… agent 2"] == [tree[2].split("  ")[0] for tree in trees]
    for root in roots[:3]:
        root.end()
    assert 3 == len(blocks(application.printed()))


def test_spans_of_which_there_are_too_many_at_once_still_count(
    application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gather, "MOST_IN_ALL", 100)
    root = application.span("agent")
    calls = [application.call(root, input=1, output=1, cost=1.0) for _ in range(1_000)]
    assert 101 >= len(application.printer._gatherer._nodes)  # noqa: SLF001  # that it does not grow shows nowhere else
    for call in calls:
        call.end()
    root.end()

    (tree,) = blocks(application.printed())

    assert ["total:", "1,000", "calls", "1,000", "1,000", "$1000.0000"] == tree[-1].split()[:6]


@given(
    steps=st.lists(
        st.tuples(st.booleans(), st.integers(0, 50), st.integers(0, 20), st.sampled_from(["", "", "r1", "r2"])),
        max_size=60,
    ),
    most=st.integers(2, 20),
)
def test_what_is_folded_changes_no_total(steps: list[tuple[bool, int, int, str]], most: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gather, "MOST_NODES", most)
        application = Application()
        root = application.call(input=5, output=2, cost=0.5)
        running = [root]
        for starts, which, tokens, response in steps:
            if starts or len(running) == 1:
                parent = running[which % len(running)]
                more = {"response": response} if response else {}
                running.append(
                    application.call(parent, input=tokens, output=tokens // 2, cost=float(tokens), **more)
                    if which % 3
                    else application.span("step", parent)
                )
            else:
                running.pop(1 + which % (len(running) - 1)).end()
        for span in reversed(running):
            span.end()

        (tree,) = blocks(application.printed())

    spans = application.exporter.get_finished_spans()
    assert total_of(spans) == tree[-1].split()[:6]
    application.provider.shutdown()


def total_of(spans: tuple[ReadableSpan, ...]) -> list[str]:
    file = io.StringIO()
    Console(file=file, width=200).print(render_tree(spans))
    return file.getvalue().splitlines()[-1].split()[:6]


def test_a_file_that_takes_nothing_holds_nobody_up_and_what_is_left_out_is_counted() -> None:
    file = Stalled()
    application = Application(file)
    application.call(name="first").end()
    assert file.reached.wait(60)

    for _ in range(writer.QUEUED + 7):
        application.call(name="next").end()

    assert not application.provider.force_flush(10)
    file.goes_on.set()
    assert application.provider.force_flush()
    assert "7 more traces ended faster than they could be printed" in file.getvalue()
    assert writer.QUEUED + 1 == file.getvalue().count("total: ")
    application.provider.shutdown()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_prints_its_own_traces_and_nothing_of_its_parents(application: Application) -> None:
    ended = application.call(name="before", input=1, output=1, cost=1.0)
    ended.end()
    application.printed()
    open_root = application.span("open in both")
    application.call(open_root, "of the parent", input=1, output=1, cost=1.0).end()

    def work() -> bool:
        application.file.came.clear()
        application.call(open_root, "of the child", input=1, output=1, cost=1.0).end()
        open_root.end()
        printed_by_thread = application.file.came.wait(60)
        application.provider.shutdown()
        trees = blocks(application.file.getvalue())
        return printed_by_thread and [["before"], ["of the child"]] == [names(tree)[:-1] for tree in trees]

    assert in_child(work)
    open_root.end()
    trees = blocks(application.printed())
    assert [["before"], ["open in both", "└─ of the parent"]] == [names(tree)[:-1] for tree in trees]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_child_forked_while_its_parent_prints_prints_only_its_own() -> None:
    file = Stalled()
    application = Application(file)
    application.call(name="being written").end()
    assert file.reached.wait(60)
    application.call(name="waiting").end()

    def work() -> bool:
        file.goes_on = threading.Event()
        file.goes_on.set()
        application.call(name="of the child").end()
        application.provider.shutdown()
        return [["of the child"]] == [names(tree)[:1] for tree in blocks(file.getvalue())]

    assert in_child(work)
    file.goes_on.set()
    assert [["being written"], ["waiting"]] == [names(tree)[:1] for tree in blocks(application.printed())]
    application.provider.shutdown()


def test_a_span_that_ends_while_another_is_taken_in_waits_for_nobody(application: Application) -> None:
    inner = application.call(name="inner", input=1, output=1, cost=1.0)
    printer = application.printer

    with printer._lock:  # noqa: SLF001  # as a finaliser finds it that strikes in the middle
        inner.end()

    application.call(name="outer", input=1, output=1, cost=1.0).end()
    assert ["inner", "outer"] == [names(tree)[0] for tree in blocks(application.printed())]
