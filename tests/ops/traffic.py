"""An application that runs the demo's agent again and again, and meets everything that dashboards and alerts are about.

    python traffic.py ROUNDS FILE

Beside the agent: a limit that holds calls up, one that refuses, a provider that is overloaded, a stream without usage,
and a judge of its answers.
It exports over OTLP where the usual variables say, after each round, and writes into FILE what was handed out.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import openai
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import get_current
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from tracetoll import Instrumentor, Limit, LimitExceeded, agent, attribution
from tracetoll.demo.run import run
from tracetoll.local_provider import HandedOut, LocalProvider, Reply

SERVICE = "river-office"
TEAMS = ("support", "routes")
LABELS = ("pass", "pass", "fail")
PAUSE_S = 1.0
"""Between rounds, so that Prometheus sees the numbers rise."""
MESSAGES: list[Any] = [{"role": "user", "content": "Which bridges are open?"}]


@agent("gate-keeper")
def odds_and_ends(provider: LocalProvider) -> None:
    """Make one call of each kind that ends otherwise."""
    http = openai.DefaultHttpxClient(trust_env=False)
    with openai.OpenAI(base_url=f"{provider.url}/v1", api_key="none", max_retries=0, http_client=http) as client:
        ask = client.chat.completions.create
        for _ in range(2):  # the second one has to wait
            ask(model="gpt-4o-mini", messages=MESSAGES)
        for _ in ask(model="gpt-4o-mini", messages=MESSAGES, stream=True):  # nobody asks for usage at an unknown host
            pass
        provider.enqueue(Reply.openai_error(429, "rate_limit_exceeded", "too much to do"))
        with suppress(openai.RateLimitError):
            ask(model="gpt-4o-mini", messages=MESSAGES)
        with suppress(LimitExceeded):
            ask(model="gpt-4.1-nano", messages=MESSAGES)


def judge(logger_provider: LoggerProvider, label: str) -> None:
    """Say of the answer in the current trace how good it was, with upstream's event."""
    told = {"gen_ai.evaluation.name": "right bridge", "gen_ai.evaluation.score.label": label}
    record = LogRecord(
        event_name="gen_ai.evaluation.result",
        attributes=told,
        severity_number=SeverityNumber.INFO,
        context=get_current(),
    )
    logger_provider.get_logger("judge").emit(record)


def main(rounds: int, file: Path) -> None:
    """Run some rounds, and write down what was handed out."""
    resource = Resource.create({"service.name": SERVICE})
    tracer_provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    tracer_provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(), export_interval_millis=3_600_000)
    meter_provider = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
    logger_provider = LoggerProvider(resource=resource, shutdown_on_exit=False)
    logger_provider.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
    Instrumentor().instrument(
        tracer_provider=tracer_provider,
        meter_provider=meter_provider,
        logger_provider=logger_provider,
        metric_attributes=["feature", "team"],
        limits=[
            Limit(20, "usd", per="process", window="day", at={0.8: "warn", 1.0: "block"}, name="day"),
            Limit(
                1,
                "calls",
                per="trace",
                window="250ms",
                where={"model": "gpt-4o-mini"},
                at={1.0: "throttle"},
                name="pace",
            ),
            Limit(0, "calls", where={"model": "gpt-4.1-nano"}, name="no nano"),
        ],
    )
    handed_out = HandedOut()
    with LocalProvider() as provider:
        for number in range(rounds):
            version = str(1 + number % 2)
            with attribution(team=TEAMS[number % len(TEAMS)], prompt_name="crossing", prompt_version=version):
                with agent("dispatcher"):
                    handed_out += run().handed_out
                    judge(logger_provider, LABELS[number % len(LABELS)])
                with attribution(feature="gates", user_id="u-7"):
                    odds_and_ends(provider)
            for provider_of_telemetry in (tracer_provider, meter_provider, logger_provider):
                provider_of_telemetry.force_flush()
            time.sleep(PAUSE_S)
        handed_out += provider.handed_out
    for provider_of_telemetry in (tracer_provider, meter_provider, logger_provider):
        provider_of_telemetry.shutdown()
    Instrumentor().uninstrument()
    file.write_text(json.dumps(asdict(handed_out)))


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
