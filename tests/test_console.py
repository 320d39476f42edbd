"""The trace tree, as plain text."""

from __future__ import annotations

import io
import subprocess
import sys
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode, set_span_in_context
from rich.console import Console

from tracetoll.console import print_trace, render_tree

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import Span

USAGE = {
    "input": "gen_ai.usage.input_tokens",
    "output": "gen_ai.usage.output_tokens",
    "cached": "gen_ai.usage.cache_read.input_tokens",
    "written": "gen_ai.usage.cache_write.input_tokens",
    "reasoning": "gen_ai.usage.reasoning.output_tokens",
    "cost": "tracetoll.cost.amount",
    "error": "error.type",
    "outcome": "tracetoll.call.outcome",
    "response_id": "gen_ai.response.id",
}


class Trace:
    """Spans of one trace, each a tenth of a second after the one before."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = provider.get_tracer("tests")
        self.started: list[Span] = []

    def span(self, name: str, parent: Span | None = None, **attributes: Any) -> Span:
        context = None if parent is None else set_span_in_context(parent)
        start = 1_000_000_000 + 100_000_000 * len(self.started)
        span = self.tracer.start_span(name, context, attributes=attributes, start_time=start)
        self.started.append(span)
        return span

    def chat(self, parent: Span | None = None, model: str = "gpt-4o", **used: Any) -> Span:
        names = {"gen_ai.operation.name": "chat", "gen_ai.request.model": model}
        return self.span(f"chat {model}", parent, **names, **{USAGE[name]: value for name, value in used.items()})

    def finished(self) -> tuple[ReadableSpan, ...]:
        for place, span in enumerate(self.started):
            span.end(2_000_000_000 + 100_000_000 * place)
        return self.exporter.get_finished_spans()


def printed(trace: Trace, width: int | None = None) -> str:
    file = io.StringIO()
    if width is None:
        print_trace(trace.finished(), file)
    else:
        Console(file=file, width=width).print(render_tree(trace.finished(), width=width))
    return file.getvalue()


def names_in(text: str) -> list[str]:
    return [line.split("  ")[0] for line in text.splitlines()[1:]]


@pytest.fixture
def agent_trace() -> Trace:
    trace = Trace()
    agent = trace.span("invoke_agent planner")
    trace.chat(agent, input=12_345, output=20, cost=0.01234, cached=2_000, reasoning=8)
    tool = trace.span("execute_tool search", agent)
    trace.chat(tool, "claude-haiku-4-5", input=100, output=30, cost=0.00125, written=90)
    trace.chat(agent, error="rate_limit_exceeded")
    return trace


def test_a_tree_shows_all_columns_where_there_is_room(agent_trace: Trace) -> None:
    text = printed(agent_trace)

    assert (
        dedent("""\
            span                         model              input  cached  written  output  reasoning      cost    time  outcome
            invoke_agent planner                           12,445   2,000       90      50          8  $0.01359  1.00 s
            ├─ chat gpt-4o               gpt-4o            12,345   2,000               20          8  $0.01234  1.00 s
            ├─ execute_tool search                            100               90      30             $0.00125  1.00 s
            │  └─ chat claude-haiku-4-5  claude-haiku-4-5     100               90      30             $0.00125  1.00 s
            └─ ✗ chat gpt-4o             gpt-4o                                                                  1.00 s  rate_limit_exceeded
            total: 3 calls                                 12,445   2,000       90      50          8  $0.01359  1.40 s
            """)  # noqa: E501  # as wide as it is
        == text
    )


def test_a_narrow_tree_drops_the_least_important_columns(agent_trace: Trace) -> None:
    text = printed(agent_trace, 64)

    assert (
        dedent("""\
            span                          input  output      cost    time
            invoke_agent planner         12,445      50  $0.01359  1.00 s
            ├─ chat gpt-4o               12,345      20  $0.01234  1.00 s
            ├─ execute_tool search          100      30  $0.00125  1.00 s
            │  └─ chat claude-haiku-4-5     100      30  $0.00125  1.00 s
            └─ ✗ chat gpt-4o                                       1.00 s
            total: 3 calls               12,445      50  $0.01359  1.40 s
            """)
        == text
    )


@pytest.mark.parametrize("width", [1, 10, 20, 40, 60, 80, 100, 120])
def test_no_line_is_wider_than_the_terminal(agent_trace: Trace, width: int) -> None:
    lines = printed(agent_trace, width).splitlines()

    assert 7 == len(lines)
    assert width >= max(map(len, lines))


def test_a_very_narrow_tree_shortens_names_and_keeps_the_cost(agent_trace: Trace) -> None:
    lines = printed(agent_trace, 26).splitlines()

    assert ["invoke_agent pl…  $0.01359", "├─ chat gpt-4o    $0.01234"] == lines[1:3]


def test_the_console_decides_the_width_where_none_is_given(agent_trace: Trace) -> None:
    file = io.StringIO()

    Console(file=file, width=64).print(render_tree(agent_trace.finished()))

    assert "span                          input  output      cost    time" == file.getvalue().splitlines()[0]


def test_what_is_no_terminal_gets_no_control_codes(agent_trace: Trace) -> None:
    agent_trace.span("a \x1b[31mred\x1b[0m\nname")

    text = printed(agent_trace)

    assert "\x1b" not in text
    assert "a  [31mred [0m name" == text.splitlines()[-2].split("   ")[0]


def test_a_terminal_gets_colours(agent_trace: Trace) -> None:
    file = io.StringIO()

    Console(file=file, width=64, force_terminal=True, color_system="standard").print(
        render_tree(agent_trace.finished())
    )

    red, dim = "\x1b[31m", "\x1b[2m"
    lines = file.getvalue().splitlines()
    assert lines[5].startswith(f"{red}└─ ✗ chat gpt-4o")
    assert f"{dim}12,445" in lines[1]
    assert dim not in lines[2]


def test_other_encodings_than_utf_8_get_ascii(agent_trace: Trace) -> None:
    agent_trace.span("café")
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="ascii")

    print_trace(agent_trace.finished(), file)

    file.flush()
    assert [
        "invoke_agent planner",
        "|- chat gpt-4o",
        "|- execute_tool search",
        "|  `- chat claude-haiku-4-5",
        "`- ! chat gpt-4o",
        "caf?",
        "total: 3 calls",
    ] == [line[:27].rstrip() for line in raw.getvalue().decode().splitlines()[1:]]


def test_a_span_whose_parent_is_missing_is_a_root() -> None:
    trace = Trace()
    missing = trace.span("request")
    trace.chat(missing, input=5, output=1)
    present = [span for span in trace.finished() if span.name != "request"]
    file = io.StringIO()

    print_trace(present, file)

    assert ["chat gpt-4o", "1 unpriced", "total: 1 call"] == names_in(file.getvalue())


def test_children_stand_in_the_order_in_which_they_started() -> None:
    trace = Trace()
    agent = trace.span("agent")
    for name in ("first", "second", "third"):
        trace.span(name, agent)
    trace.started.reverse()

    assert ["agent", "├─ first", "├─ second", "└─ third", "total: 0 calls"] == names_in(printed(trace))


def test_a_long_run_of_equal_siblings_is_one_line_with_their_sum() -> None:
    trace = Trace()
    agent = trace.span("agent")
    for _ in range(12):
        trace.chat(agent, input=1_000, output=2, cost=0.5)

    lines = printed(trace).splitlines()

    assert [
        "├─ chat gpt-4o            gpt-4o   1,000       2  $0.5000   1.00 s",
        "├─ chat gpt-4o            gpt-4o   1,000       2  $0.5000   1.00 s",
        "└─ … 10 more chat gpt-4o  gpt-4o  10,000      20  $5.0000  10.00 s",
        "total: 12 calls                   12,000      24  $6.0000   2.20 s",
    ] == lines[2:]


def test_a_short_run_is_shown_in_full() -> None:
    trace = Trace()
    agent = trace.span("agent")
    for _ in range(8):
        trace.chat(agent, input=1, output=1, cost=1.0)

    assert ["├─ chat gpt-4o"] * 7 + ["└─ chat gpt-4o"] == names_in(printed(trace))[1:-1]


def test_a_failed_call_stands_out_of_a_run() -> None:
    trace = Trace()
    agent = trace.span("agent")
    for place in range(21):
        trace.chat(agent, input=1, output=1, cost=1.0, **({"error": "timeout"} if place == 10 else {}))

    assert [
        "├─ … 8 more chat gpt-4o",
        "├─ ✗ chat gpt-4o",
        "├─ chat gpt-4o",
    ] == names_in(printed(trace))[3:6]


def test_a_collapsed_run_sums_up_what_is_below_it() -> None:
    trace = Trace()
    agent = trace.span("agent")
    for _ in range(10):
        trace.chat(trace.span("step", agent), input=3, output=1, cost=1.0)

    lines = printed(trace).splitlines()

    assert ["└─", "…", "8", "more", "step", "24", "8", "$8.0000", "8.00", "s"] == lines[-2].split()
    assert lines[-1].startswith("total: 10 calls")


def test_a_call_that_two_nested_spans_report_counts_once() -> None:
    trace = Trace()
    framework = trace.chat(input=10, output=4, cost=0.5)
    trace.chat(framework, input=10, output=5, cost=0.5)

    total = printed(trace).splitlines()[-1]

    assert ["total:", "1", "call", "10", "5", "$0.5000", "1.10", "s"] == total.split()


def test_a_response_that_two_spans_report_counts_once() -> None:
    trace = Trace()
    agent = trace.span("agent")
    trace.chat(agent, input=10, output=5, cost=0.5, response_id="chatcmpl-1")
    trace.chat(agent, input=10, output=5, cost=0.5, response_id="chatcmpl-1")

    total = printed(trace).splitlines()[-1]

    assert ["total:", "1", "call", "10", "5", "$0.5000", "1.20", "s"] == total.split()


def test_an_agent_that_reports_its_calls_again_is_no_call() -> None:
    trace = Trace()
    agent = trace.span("agent", **{USAGE["input"]: 30, USAGE["output"]: 12})
    for _ in range(3):
        trace.chat(agent, input=10, output=4, cost=0.5)

    total = printed(trace).splitlines()[-1]

    assert ["total:", "3", "calls", "30", "12", "$1.5000", "1.30", "s"] == total.split()


def test_what_the_total_leaves_out_is_told() -> None:
    trace = Trace()
    agent = trace.span("agent")
    trace.chat(agent, input=10, output=5, cost=0.5)
    trace.chat(agent, "unknown-model", input=10, output=5)
    trace.chat(agent, "silent-model", outcome="closed")
    trace.chat(agent, error="budget_exceeded", outcome="refused")

    lines = printed(trace).splitlines()

    assert "1 refused, 1 without usage, 1 unpriced" == lines[-2]
    assert ["total:", "3", "calls", "20", "10", "$0.5000", "1.40", "s"] == lines[-1].split()
    assert ["closed", "budget_exceeded"] == [line.split()[-1] for line in lines[-4:-2]]


def test_a_span_of_error_status_is_marked() -> None:
    trace = Trace()
    trace.span("step").set_status(StatusCode.ERROR, "went wrong")

    line = printed(trace).splitlines()[1]

    assert ["✗", "step", "1.00", "s", "error"] == line.split()


@pytest.mark.parametrize(
    ("costs", "expected"),
    [
        ([1.5, 0.25], ["$1.5000", "$0.2500"]),
        ([1.5, 0.0034], ["$1.50000", "$0.00340"]),
        ([0.0000123, 0.0000001], ["$0.000012", "<$0.000001"]),
        ([0.0], ["$0.0000"]),
    ],
)
def test_costs_have_four_to_six_decimals(costs: list[float], expected: list[str]) -> None:
    trace = Trace()
    for cost in costs:
        trace.chat(input=1, output=1, cost=cost)

    lines = printed(trace).splitlines()[1:-1]

    assert expected == [next(word for word in line.split() if "$" in word) for line in lines]


def test_a_very_deep_trace_is_no_problem() -> None:
    trace = Trace()
    parent = None
    for _ in range(1_500):
        parent = trace.span("step", parent)
    trace.chat(parent, input=7, output=1, cost=1.0)

    text = printed(trace, 80)

    assert 1_503 == len(text.splitlines())
    assert ["total:", "1", "call", "7", "1"] == text.splitlines()[-1].split()[:5]


def large_trace() -> Trace:
    """Return 2,400 spans of which no two neighbours are equal; a few matter."""
    trace = Trace()
    agent = trace.span("agent")
    for place in range(1_200):
        step = trace.span(f"step {place}", agent)
        more: dict[str, Any] = {"error": "timeout"} if place in (300, 900) else {"input": 10, "output": 1, "cost": 0.01}
        if place == 700:
            more["cost"] = 5.0
        trace.chat(step, **more)
    return trace


def test_a_large_trace_has_as_many_lines_as_it_may_and_the_right_total() -> None:
    file = io.StringIO()

    Console(file=file, width=120).print(render_tree(large_trace().finished(), lines=60))

    lines = file.getvalue().splitlines()
    assert len(lines) <= 62
    assert ["total:", "1,200", "calls", "11,980", "1,198", "$16.9700"] == lines[-1].split()[:6]
    total = sum(int(line.split()[-5].replace(",", "")) for line in lines if "more" in line.split()[:4])
    shown = sum(line.startswith(("│  └─ chat gpt-4o", "   └─ chat gpt-4o")) for line in lines)
    assert 11_980 == total + 10 * shown


def test_a_large_trace_keeps_what_cost_most_and_what_failed() -> None:
    file = io.StringIO()

    Console(file=file, width=120).print(render_tree(large_trace().finished(), lines=20))

    text = file.getvalue()
    assert {"├─ step 300", "├─ step 700", "├─ step 900"} <= set(names_in(text))
    assert 2 == text.count("│  └─ ✗ chat gpt-4o")


def test_a_run_shows_the_calls_that_cost_most() -> None:
    trace = Trace()
    agent = trace.span("agent")
    for place in range(30):
        trace.chat(agent, input=1, output=1, cost=7.0 if place in (11, 22) else 1.0)

    lines = printed(trace).splitlines()

    assert ["$7.0000", "$7.0000", "$28.0000"] == [line.split()[-3] for line in lines[2:5]]


def test_a_deep_trace_of_few_lines_is_cut_where_it_is_deep() -> None:
    trace = Trace()
    parent = None
    for _ in range(500):
        parent = trace.span("step", parent)
    trace.chat(parent, input=7, output=1, cost=1.0)
    file = io.StringIO()

    Console(file=file, width=120).print(render_tree(trace.finished(), lines=60))

    lines = file.getvalue().splitlines()
    assert lines[-2].lstrip().startswith("└─ … 489 more step")
    assert "$1.0000" in lines[-2]


def test_a_trace_without_spans_is_a_total_of_nothing() -> None:
    assert ["span", "total: 0 calls"] == printed(Trace()).splitlines()


def test_rich_is_loaded_only_when_something_is_printed() -> None:
    code = "import sys, tracetoll.console; print([name for name in sys.modules if name.split('.')[0] == 'rich'])"

    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # our own code

    assert "[]\n" == loaded.stdout


def test_an_emitter_with_names_of_its_own_is_read_too() -> None:
    trace = Trace()
    agent = trace.span("agent", **{"openinference.span.kind": "AGENT"})
    trace.span(
        "ChatCompletion",
        agent,
        **{
            "openinference.span.kind": "LLM",
            "llm.model_name": "gpt-4o",
            "llm.token_count.prompt": 120,
            "llm.token_count.completion": 30,
            "llm.token_count.prompt_details.cache_read": 100,
        },
    )

    text = printed(trace)

    total = text.splitlines()[-1].split()
    assert ["total:", "1", "call", "120", "100", "30"] == total[:6]
    assert "gpt-4o" in text
