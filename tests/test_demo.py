"""`tracetoll demo`, as it is run from a shell."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from command_line import free_port, inside, run
from receivers import GrpcReceiver, HttpReceiver, attributes

from tracetoll import Instrumentor
from tracetoll.local_provider import LocalProvider, Reply

if TYPE_CHECKING:
    from command_line import Run

MATCHES = "matches what the provider handed out: yes"


def totals_of(line: str) -> list[int]:
    """Return the whole numbers of a line of the tree, without durations and money."""
    return [int(number.replace(",", "")) for number in re.findall(r"(?<=\s)\d[\d,]*(?=\s\s|$)", line)]


@pytest.fixture(scope="module")
def demo() -> Run[str]:
    return run("demo")


def test_the_demo_says_that_its_numbers_are_the_provider_s(demo: Run[str]) -> None:
    *_, last = demo.stdout.splitlines()

    assert (0, "") == (demo.returncode, demo.stderr)
    assert re.fullmatch(rf"14 spans, 7 calls, [\d,]+ tokens, \$0\.\d{{6}}; {MATCHES}", last)


def test_the_total_of_the_tree_is_the_sum_of_its_calls(demo: Run[str]) -> None:
    lines = demo.stdout.splitlines()
    calls = [line for line in lines if " chat " in line]
    (total,) = [line for line in lines if line.startswith("total: 7 calls")]

    own_input = [totals_of(line)[0] for line in calls]
    assert 7 == len(own_input)
    assert sum(own_input) == totals_of(total.removeprefix("total: 7"))[0]


def test_the_demo_has_agents_tools_a_cache_and_reasoning(demo: Run[str]) -> None:
    agents = re.findall(r"invoke_agent (\w+)", demo.stdout)
    tools = re.findall(r"execute_tool (\w+)", demo.stdout)

    assert ["planner", "clerk", "surveyor", "critic"] == agents
    assert ["find_bridges", "toll_of", "way_over"] == tools
    head, *_ = demo.stdout.splitlines()
    columns = ["span", "model", "input", "cached", "written", "output", "reasoning", "cost", "time"]
    assert columns == head.split()


def test_without_a_terminal_there_are_no_escape_codes(demo: Run[str]) -> None:
    assert "\x1b" not in demo.stdout


def test_a_width_holds_for_every_line() -> None:
    done = inside("demo", "--width", "80")

    assert 80 >= max(map(len, done.stdout.splitlines()))
    assert MATCHES in " ".join(done.stdout.split())


def test_a_width_too_small_for_anything_is_refused() -> None:
    done = inside("demo", "--width", "3")

    assert 2 == done.returncode
    assert "3 is not in the range x>=20" in done.stderr


def test_the_tree_is_printed_where_the_encoding_has_no_lines() -> None:
    done = run("demo", PYTHONIOENCODING="ascii")

    assert 0 == done.returncode
    assert "|- invoke_agent clerk" in done.stdout


def test_json_has_a_span_per_line_and_nothing_else() -> None:
    done = inside("demo", "--json")

    spans: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    assert 14 == len(spans)
    assert 1 == len({span["context"]["trace_id"] for span in spans})
    calls = [span["attributes"] for span in spans if span["kind"] == "SpanKind.CLIENT"]
    assert {"u-1042"} == {call["user.id"] for call in calls}
    assert {"route-planning"} == {call["tracetoll.feature"] for call in calls}
    assert [True] == [call["gen_ai.request.stream"] for call in calls if "gen_ai.request.stream" in call]
    assert MATCHES in done.stderr


@pytest.mark.parametrize("kind", [HttpReceiver, GrpcReceiver])
def test_the_demo_sends_otlp_where_an_endpoint_is_set(kind: type[HttpReceiver | GrpcReceiver]) -> None:
    with kind() as receiver:
        done = inside("demo", OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, OTEL_EXPORTER_OTLP_PROTOCOL=kind.protocol)

    assert 0 == done.returncode
    assert f"sent 14 spans to {receiver.url} ({kind.protocol})" in done.stdout
    received = receiver.received
    assert (14, {"tracetoll-demo"}) == (len(received.spans), received.service_names)
    on_spans = sum(attributes(span).get("gen_ai.usage.input_tokens", 0) for span in received.spans)
    (counter,) = received.exports_of("gen_ai.client.inference.usage.input_tokens")
    assert on_spans == sum(point.as_int for point in counter.sum.data_points) > 0


def test_http_is_the_protocol_where_none_is_set() -> None:
    with HttpReceiver() as receiver:
        inside("demo", OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, OTEL_SERVICE_NAME="toll-booth")

    assert (14, {"toll-booth"}) == (len(receiver.received.spans), receiver.received.service_names)


def test_a_collector_that_is_not_there_is_told_after_the_tree() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    done = inside("demo", OTEL_EXPORTER_OTLP_ENDPOINT=url)

    assert 1 == done.returncode
    assert MATCHES in done.stdout
    assert f"Error: nothing listens at {url}, no traces were sent; start a collector there" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_collector_that_refuses_is_told() -> None:
    with HttpReceiver(status=401) as receiver:
        done = inside("demo", OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)

    assert 1 == done.returncode
    assert f"Error: {receiver.url} did not take the spans" in done.stderr


@pytest.mark.parametrize(
    ("variables", "error"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "localhost"}, "OTEL_EXPORTER_OTLP_ENDPOINT is not the URL of a collector"),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL": "carrier-pigeon"},
            "use grpc or http/protobuf",
        ),
        ({"OTEL_SDK_DISABLED": "true"}, "OTEL_SDK_DISABLED switches OpenTelemetry off"),
    ],
)
def test_variables_that_cannot_work_are_named(variables: dict[str, str], error: str) -> None:
    done = inside("demo", **variables)

    assert 1 == done.returncode
    assert error in done.stderr


def test_a_provider_whose_key_is_set_is_asked_itself() -> None:
    with LocalProvider() as stand_in:
        done = inside("demo", OPENAI_API_KEY="a-real-key", OPENAI_BASE_URL=f"{stand_in.url}/v1")

    asked = stand_in.requests
    assert {"Bearer a-real-key"} == {request.headers["authorization"] for request in asked}
    assert {"/v1/chat/completions"} == {request.path for request in asked}
    assert 0 == done.returncode
    assert MATCHES in done.stdout  # Anthropic's part, which the local provider answered


def test_a_provider_that_refuses_is_told_without_its_words() -> None:
    with LocalProvider() as stand_in:
        stand_in.on("", lambda _: Reply.openai_error(401, "invalid_api_key", "Incorrect API key: a-real-key"))
        done = inside("demo", OPENAI_API_KEY="a-real-key", OPENAI_BASE_URL=f"{stand_in.url}/v1")

    assert 1 == done.returncode
    assert "the demo failed: openai.AuthenticationError (HTTP 401)" in done.stderr
    assert "✗ chat gpt-4.1-mini" in done.stdout
    assert "a-real-key" not in done.stdout + done.stderr


def test_a_collector_that_speaks_the_other_protocol_is_told() -> None:
    with GrpcReceiver() as receiver:
        done = inside("demo", OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, OTEL_EXPORTER_OTLP_TIMEOUT="1")

    assert 1 == done.returncode
    assert f"Error: {receiver.url} did not take the spans" in done.stderr


def test_the_demo_runs_where_opentelemetry_has_instrumented_already() -> None:
    Instrumentor().instrument()
    done = inside("demo")

    assert MATCHES in done.stdout
    assert not Instrumentor().is_instrumented_by_opentelemetry
