"""A service that one package instruments, or ours, or both; run in an environment that has the package.

    python emitter.py NAME FILE

It exports spans and metrics over OTLP where the usual variables say, under the service name NAME, and writes into FILE
what the provider handed out.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

import anthropic
import openai
from opentelemetry import metrics, trace
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from tracetoll import Instrumentor
from tracetoll.local_provider import LocalProvider

OPENLLMETRY = (
    "opentelemetry.instrumentation.openai:OpenAIInstrumentor",
    "opentelemetry.instrumentation.anthropic:AnthropicInstrumentor",
)
OPENINFERENCE = (
    "openinference.instrumentation.openai:OpenAIInstrumentor",
    "openinference.instrumentation.anthropic:AnthropicInstrumentor",
)
SERVICES = {
    "openllmetry": OPENLLMETRY,
    "openinference": OPENINFERENCE,
    "ours": (),
    "ours-beside-openllmetry": OPENLLMETRY,
}
TARIFF = "The keeper writes every crossing into a blue book. " * 140
MESSAGES: list[Any] = [{"role": "user", "content": "What does the bridge cost?"}]
CACHED: list[Any] = [{"type": "text", "text": TARIFF, "cache_control": {"type": "ephemeral"}}]
USAGE: Any = {"include_usage": True}


def use_the_sdks(url: str) -> None:
    """Ask both SDKs, whole and in a stream, with a cache and with reasoning."""
    plain = openai.DefaultHttpxClient(trust_env=False)
    other = anthropic.DefaultHttpxClient(trust_env=False)
    with (
        openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, http_client=plain) as chat,
        anthropic.Anthropic(base_url=url, api_key="none", max_retries=0, http_client=other) as claude,
    ):
        chat.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
        for _ in chat.chat.completions.create(
            model="gpt-4o-mini", messages=MESSAGES, stream=True, stream_options=USAGE
        ):
            pass
        chat.chat.completions.create(model="o4-mini", messages=[{"role": "system", "content": TARIFF}, *MESSAGES])
        for _ in range(2):
            claude.messages.create(model="claude-haiku-4-5", max_tokens=99, system=CACHED, messages=MESSAGES)


def main(name: str, file: Path) -> None:
    """Set up the service, let it ask, and write down what was handed out."""
    resource = Resource.create({"service.name": name})
    tracer_provider = TracerProvider(resource=resource)
    tracer_provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(tracer_provider)
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(), export_interval_millis=3_600_000)
    meter_provider = MeterProvider([reader], resource=resource)
    metrics.set_meter_provider(meter_provider)
    for instrumentor in SERVICES[name]:
        module, _, kind = instrumentor.partition(":")
        getattr(import_module(module), kind)().instrument()
    if name.startswith("ours"):
        Instrumentor().instrument()
    with LocalProvider() as provider:
        use_the_sdks(provider.url)
        file.write_text(json.dumps(asdict(provider.handed_out)))
    tracer_provider.shutdown()
    meter_provider.shutdown()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
