"""What arrives over OTLP, at real receivers, is what the provider handed out."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from anthropic import Anthropic, AsyncAnthropic
from anthropic import APIStatusError as AnthropicError
from openai import APIStatusError as OpenAIError
from openai import AsyncOpenAI, OpenAI
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpanExporter
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from receivers import GrpcReceiver, HttpReceiver, attributes

from tracetoll import Instrumentor, agent, attribution, tool
from tracetoll.local_provider import HandedOut, LocalProvider, Reply

if TYPE_CHECKING:
    from collections.abc import Iterator

    from receivers import Received

TEMPORALITY = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
DELTA = AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
CUMULATIVE = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
ROUNDS = 2

# Upstream's counter → what it counts, in the words of the local provider.
COUNTERS = {
    "gen_ai.client.inference.usage.input_tokens": "input_tokens",
    "gen_ai.client.inference.usage.output_tokens": "output_tokens",
    "gen_ai.client.inference.usage.cache_read.input_tokens": "cache_read",
    "gen_ai.client.inference.usage.cache_write.input_tokens": "cache_write",
    "gen_ai.client.inference.usage.reasoning.output_tokens": "reasoning",
}
ON_SPANS = {name.replace("gen_ai.client.inference.", "gen_ai."): count for name, count in COUNTERS.items()}
CALLS_PER_ROUND = Counter(
    {
        "chat gpt-4o": 2,
        "chat gpt-4.1-mini": 1,
        "chat o4-mini": 1,
        "chat no-such-model": 1,
        "chat claude-sonnet-4-6": 3,
        "chat claude-haiku-4-5": 2,
    }
)
SYSTEM = [{"type": "text", "text": "Be brief. " * 900, "cache_control": {"type": "ephemeral"}}]


def hello(model: str, **options: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "What does the bridge cost?"}], **options}


def use_the_sdks(provider: LocalProvider) -> None:
    """Make every kind of call once: whole, streamed, cached, with reasoning, asynchronous, refused."""
    with (
        OpenAI(base_url=f"{provider.url}/v1", api_key="none", max_retries=0) as openai,
        Anthropic(base_url=provider.url, api_key="none", max_retries=0) as anthropic,
    ):
        openai.chat.completions.create(**hello("gpt-4o"))
        list(openai.chat.completions.create(**hello("gpt-4.1-mini", stream=True)))
        openai.chat.completions.create(**hello("o4-mini"))
        with tool("ask_clerk"):
            for _ in range(2):
                anthropic.messages.create(**hello("claude-sonnet-4-6", max_tokens=100, system=SYSTEM))
        list(anthropic.messages.create(**hello("claude-haiku-4-5", max_tokens=100, stream=True)))
        provider.enqueue(Reply.openai_error(404, "model_not_found", "no such model"))
        with pytest.raises(OpenAIError):
            openai.chat.completions.create(**hello("no-such-model"))
        provider.enqueue(Reply.anthropic_error(529, "overloaded_error", "too much to do"))
        with pytest.raises(AnthropicError):
            anthropic.messages.create(**hello("claude-sonnet-4-6", max_tokens=100))
    asyncio.run(use_the_async_sdks(provider))


async def use_the_async_sdks(provider: LocalProvider) -> None:
    async with (
        AsyncOpenAI(base_url=f"{provider.url}/v1", api_key="none") as openai,
        AsyncAnthropic(base_url=provider.url, api_key="none") as anthropic,
    ):
        await asyncio.gather(
            openai.chat.completions.create(**hello("gpt-4o")),
            anthropic.messages.create(**hello("claude-haiku-4-5", max_tokens=100)),
        )


@dataclass
class Exported:
    """What an application handed in, and what came out at the receiver."""

    received: Received
    handed_out: HandedOut

    def total(self, metric: str) -> float:
        """Return what a counter comes to, whichever its temporality."""
        return sum(point_value(point) for export in self.counted(metric) for point in export.sum.data_points)

    def counted(self, metric: str) -> list[Any]:
        exports = list(self.received.exports_of(metric))
        return exports if exports[0].sum.aggregation_temporality == DELTA else exports[-1:]

    def histogram_sum(self, metric: str, **wanted: str) -> float:
        exports = list(self.received.exports_of(metric))
        chosen = exports if exports[0].histogram.aggregation_temporality == DELTA else exports[-1:]
        return sum(
            point.sum
            for export in chosen
            for point in export.histogram.data_points
            if wanted.items() <= {name.replace(".", "_"): value for name, value in attributes(point).items()}.items()
        )

    def spans_named(self, name: str) -> list[Span]:
        return [span for span in self.received.spans if span.name == name]


def point_value(point: Any) -> float:
    return getattr(point, point.WhichOneof("value"))


def run_application(receiver: HttpReceiver | GrpcReceiver) -> Exported:
    """Run an application twice, with an export after each time, over the exporters that upstream ships."""
    if isinstance(receiver, GrpcReceiver):
        span_exporter: Any = GrpcSpanExporter(endpoint=receiver.url)
        metric_exporter: Any = GrpcMetricExporter(endpoint=receiver.url)
    else:
        span_exporter = HttpSpanExporter(endpoint=f"{receiver.url}/v1/traces")
        metric_exporter = HttpMetricExporter(endpoint=f"{receiver.url}/v1/metrics")
    resource = Resource.create({"service.name": "toll-booth"})
    tracer_provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    tracer_provider.add_span_processor(BatchSpanProcessor(span_exporter))
    reader = PeriodicExportingMetricReader(metric_exporter, export_interval_millis=3_600_000)
    meter_provider = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
    Instrumentor().instrument(tracer_provider=tracer_provider, meter_provider=meter_provider, stream_usage="always")
    try:
        with LocalProvider() as provider, attribution(user_id="u1", feature="triage"):
            for place in range(ROUNDS):
                with agent("planner"):
                    use_the_sdks(provider)
                if place < ROUNDS - 1:  # the last export is that of the shutdown
                    meter_provider.force_flush()
            handed_out = provider.handed_out
        tracer_provider.shutdown()
        meter_provider.shutdown()
    finally:
        Instrumentor().uninstrument()
    return Exported(receiver.received, handed_out)


@pytest.fixture(scope="module", params=["http cumulative", "http delta", "grpc cumulative", "grpc delta"])
def exported(request: pytest.FixtureRequest) -> Iterator[Exported]:
    transport, temporality = request.param.split()
    with pytest.MonkeyPatch.context() as patch, GrpcReceiver() if transport == "grpc" else HttpReceiver() as receiver:
        patch.setenv(TEMPORALITY, temporality)
        yield run_application(receiver)


def test_spans_on_the_wire_add_up_to_what_was_handed_out(exported: Exported) -> None:
    told = [attributes(span) for span in exported.received.spans]

    sums = {count: sum(one.get(name, 0) for one in told) for name, count in ON_SPANS.items()}
    calls = sum("gen_ai.usage.input_tokens" in one for one in told)
    assert exported.handed_out == HandedOut(calls=calls, **sums)


def test_the_token_histogram_on_the_wire_adds_up_to_what_was_handed_out(exported: Exported) -> None:
    sums = [exported.histogram_sum("gen_ai.client.token.usage", gen_ai_token_type=kind) for kind in ("input", "output")]

    assert [exported.handed_out.input_tokens, exported.handed_out.output_tokens] == sums


@pytest.mark.parametrize(("metric", "count"), COUNTERS.items())
def test_a_counter_on_the_wire_adds_up_to_what_was_handed_out(exported: Exported, metric: str, count: str) -> None:
    assert getattr(exported.handed_out, count) == exported.total(metric) > 0


def test_counters_are_monotonic_sums_of_the_temporality_that_was_asked_for(
    exported: Exported, request: pytest.FixtureRequest
) -> None:
    wanted = DELTA if "delta" in request.node.callspec.params["exported"] else CUMULATIVE

    for metric in (*COUNTERS, "tracetoll.cost"):
        exports = list(exported.received.exports_of(metric))
        assert ROUNDS == len(exports)
        assert {(wanted, True)} == {(one.sum.aggregation_temporality, one.sum.is_monotonic) for one in exports}


def test_each_export_has_what_its_temporality_says(exported: Exported) -> None:
    first, second = exported.received.exports_of("gen_ai.client.inference.usage.output_tokens")

    values = [sum(point_value(point) for point in export.sum.data_points) for export in (first, second)]
    half = exported.handed_out.output_tokens / ROUNDS  # both rounds say the same
    assert [half, half if first.sum.aggregation_temporality == DELTA else 2 * half] == values


def test_the_cost_metric_is_the_sum_of_the_costs_on_spans(exported: Exported) -> None:
    costs = [attributes(span).get("tracetoll.cost.amount", 0) for span in exported.received.spans]

    assert 0 < sum(costs) == pytest.approx(exported.total("tracetoll.cost"), abs=1e-12)


def test_every_call_is_one_client_span_with_its_name(exported: Exported) -> None:
    names = Counter(span.name for span in exported.received.spans if span.kind == Span.SPAN_KIND_CLIENT)

    assert Counter({name: ROUNDS * number for name, number in CALLS_PER_ROUND.items()}) == names


def test_the_duration_metric_counts_every_call_and_the_errors_by_their_codes(exported: Exported) -> None:
    exports = list(exported.received.exports_of("gen_ai.client.operation.duration"))
    chosen = exports if exports[0].histogram.aggregation_temporality == DELTA else exports[-1:]

    counted: Counter[str] = Counter()
    for export in chosen:
        for point in export.histogram.data_points:
            counted[attributes(point).get("error.type", "")] += point.count
    failed = {"model_not_found": ROUNDS, "overloaded_error": ROUNDS}
    assert {"": ROUNDS * (CALLS_PER_ROUND.total() - 2), **failed} == counted


def test_calls_are_below_the_agent_and_the_tool_that_made_them(exported: Exported) -> None:
    agents = {span.span_id for span in exported.spans_named("invoke_agent planner")}
    tools = {span.span_id for span in exported.spans_named("execute_tool ask_clerk")}

    parents = {name: {span.parent_span_id for span in exported.spans_named(name)} for name in CALLS_PER_ROUND}
    assert agents == parents["chat gpt-4o"]
    assert tools | agents == parents["chat claude-sonnet-4-6"]  # the refused one is made outside of the tool
    assert {span.parent_span_id for span in exported.spans_named("execute_tool ask_clerk")} == agents


def test_a_span_on_the_wire_says_who_was_asked_what_for_whom(exported: Exported) -> None:
    told = attributes(exported.spans_named("chat gpt-4.1-mini")[0])

    wanted = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4.1-mini",
        "gen_ai.response.model": "gpt-4.1-mini-2025-04-14",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.request.stream": True,
        "gen_ai.agent.name": "planner",
        "server.address": "127.0.0.1",
        "user.id": "u1",
        "tracetoll.feature": "triage",
        "tracetoll.cost.currency": "USD",
    }
    assert wanted == {name: told.get(name) for name in wanted}


def test_a_failed_call_on_the_wire_has_an_error_and_no_usage(exported: Exported) -> None:
    (span, *_) = exported.spans_named("chat no-such-model")

    told = attributes(span)
    assert (Status.STATUS_CODE_ERROR, "model_not_found") == (span.status.code, told["error.type"])
    assert not [name for name in told if name.startswith(("gen_ai.usage", "tracetoll.cost"))]


def test_no_text_of_a_prompt_or_an_answer_is_on_the_wire(exported: Exported) -> None:
    sent = b"".join(request.SerializeToString() for request in (*exported.received.traces, *exported.received.metrics))

    assert not [words for words in (b"Be brief", b"What does the bridge", b"toll is due", b"ferry") if words in sent]


def test_the_application_s_own_resource_is_on_everything(exported: Exported) -> None:
    assert {"toll-booth"} == exported.received.service_names


# --- without a line of code -----------------------------------------------------------------------

APPLICATION = Path(__file__).parent.parent / "examples" / "zero_code.py"


@pytest.fixture
def configurator(tmp_path: Path) -> Path:
    """Return a folder for the path that has what opentelemetry-distro is installed for: who sets up the SDK."""
    if not entry_points(group="opentelemetry_configurator"):
        about = tmp_path / "test_configurator-1.dist-info"
        about.mkdir()
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: test-configurator\nVersion: 1\n")
        (about / "entry_points.txt").write_text(
            "[opentelemetry_configurator]\nconfigurator = opentelemetry.sdk._configuration:_OTelSDKConfigurator\n"
        )
    return tmp_path


def run_zero_code(receiver: HttpReceiver, provider: LocalProvider, path: Path, **more: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "TRACETOLL_"))}
    environment |= {
        "PYTHONPATH": str(path),
        "OPENAI_API_KEY": "none",
        "OPENAI_BASE_URL": f"{provider.url}/v1",
        "OTEL_SERVICE_NAME": "toll-booth",
        "OTEL_TRACES_EXPORTER": "otlp_proto_http",
        "OTEL_METRICS_EXPORTER": "otlp_proto_http",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
        "TRACETOLL_STREAM_USAGE": "always",
        **more,
    }
    program = Path(sys.executable).with_name("opentelemetry-instrument")
    done = subprocess.run(  # our own example
        [program, sys.executable, APPLICATION], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout + done.stderr


def test_an_application_is_counted_without_a_line_of_code(provider: LocalProvider, configurator: Path) -> None:
    with HttpReceiver() as receiver:
        run_zero_code(receiver, provider, configurator)

    exported = Exported(receiver.received, provider.handed_out)
    told = [attributes(span) for span in receiver.received.spans]
    sums = {count: sum(one.get(name, 0) for one in told) for name, count in ON_SPANS.items()}
    assert provider.handed_out == HandedOut(calls=len(told), **sums)
    assert provider.handed_out.input_tokens == exported.total("gen_ai.client.inference.usage.input_tokens") > 0
    assert {"toll-booth"} == receiver.received.service_names


def test_the_variables_hold_without_a_line_of_code(provider: LocalProvider, configurator: Path) -> None:
    with HttpReceiver() as receiver:
        run_zero_code(receiver, provider, configurator, TRACETOLL_PROVIDERS="anthropic")

    assert 0 < provider.handed_out.calls
    assert [] == receiver.received.spans
