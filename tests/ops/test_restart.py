"""A collector that is killed costs the application nothing, and loses nothing that it has taken."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import kit as parts
import openai
import pytest
import stack
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace.export import SpanExportResult
from receivers import GrpcReceiver
from senders import application

from tracetoll.local_provider import HandedOut, LocalProvider

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.trace import ReadableSpan

CALLS = 1000
THREADS = 8
PACE_S = 0.03
"""Between two calls of a thread, so that they run before, while and after the collector is away."""
KILLED_AFTER = (250, 600)
AWAY_S = 0.6
EXPORT_TIMEOUT_S = 2


class Witness(OTLPSpanExporter):
    """Exports, and remembers which spans the collector said it has taken."""

    def __init__(self, endpoint: str) -> None:
        super().__init__(endpoint=endpoint, timeout=EXPORT_TIMEOUT_S)
        self.taken: set[int] = set()
        self.refused = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = super().export(spans)
        if result is SpanExportResult.SUCCESS:
            self.taken |= {span.context.span_id for span in spans}
        else:
            self.refused += 1
        return result


@dataclass
class Ran:
    """What the application saw, what the collector took, and what came out behind it."""

    took_s: list[float] = field(default_factory=list)
    errors: list[BaseException] = field(default_factory=list)
    shutdown_s: float = 0.0
    taken: set[int] = field(default_factory=set)
    refused: int = 0
    arrived: set[int] = field(default_factory=set)
    handed_out: HandedOut = field(default_factory=HandedOut)
    limited: int = 0
    kills: int = 0


def make_calls(provider: LocalProvider, ran: Ran) -> None:
    http = openai.DefaultHttpxClient(trust_env=False)
    with openai.OpenAI(base_url=f"{provider.url}/v1", api_key="none", max_retries=0, http_client=http) as client:
        messages: list[Any] = [{"role": "user", "content": "What does the bridge cost?"}]

        def ask(_: int) -> None:
            started = time.monotonic()
            try:
                client.chat.completions.create(model="gpt-4o-mini", messages=messages)
            except BaseException as error:  # noqa: BLE001  # whatever it is, it must not be there
                ran.errors.append(error)
            ran.took_s.append(time.monotonic() - started)
            time.sleep(PACE_S)

        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(ask, range(CALLS)))


def kill_now_and_then(collector: stack.Collector, ran: Ran) -> None:
    for number in KILLED_AFTER:
        stack.until(lambda number=number: len(ran.took_s) >= number, parts.SOON_S, f"{number} calls")  # type: ignore[misc]  # a default is how a loop's value is kept
        collector.kill()
        ran.kills += 1
        time.sleep(AWAY_S)
        collector.start()
    collector.wait_ready()


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Run the calls; nobody takes what the edge collector sends on until it has been killed twice."""
    parts.need("collector")
    folder = tmp_path_factory.mktemp("restart")
    (upstream,) = stack.free_ports(1)
    settings = {
        "KIT_UPSTREAM": f"127.0.0.1:{upstream}",
        "KIT_QUEUE": folder / "queue",
        "KIT_RETRY_AFTER": "200ms",
        "KIT_RETRY_AT_MOST": "500ms",
    }
    edge = parts.collector(folder, stack.CONFIG / "edge.yaml", **settings)
    ran = Ran()
    with LocalProvider() as provider, edge:
        witness = Witness(f"{edge.otlp}/v1/traces")
        with application(edge, "bridge", span_exporter=witness):
            calls = threading.Thread(target=make_calls, args=(provider, ran))
            calls.start()
            kill_now_and_then(edge, ran)  # here: a collector ends with the thread that started it
            calls.join()
            started = time.monotonic()
        ran.shutdown_s = time.monotonic() - started
        ran.handed_out, ran.taken, ran.refused = provider.handed_out, witness.taken, witness.refused
        with GrpcReceiver(upstream) as receiver:

            def arrived() -> set[int]:
                return {int.from_bytes(span.span_id) for span in receiver.received.spans}

            with suppress(TimeoutError):  # what is missing, a test says
                stack.until(lambda: arrived() >= ran.taken, parts.SOON_S, "what the collector has taken")
            ran.arrived = arrived()
    return ran


def test_the_collector_was_away_while_calls_ran(ran: Ran) -> None:
    assert len(KILLED_AFTER) == ran.kills


def test_no_call_fails(ran: Ran) -> None:
    assert [] == ran.errors
    assert CALLS == ran.handed_out.calls == len(ran.took_s)


def test_no_call_waits_for_the_collector(ran: Ran) -> None:
    assert max(ran.took_s) < EXPORT_TIMEOUT_S


def test_the_end_of_the_application_waits_no_longer_than_its_exports_may(ran: Ran) -> None:
    assert ran.shutdown_s < 3 * EXPORT_TIMEOUT_S  # spans, metrics and log records, one after the other


def test_most_spans_were_taken_and_all_of_these_arrive(ran: Ran) -> None:
    assert CALLS / 2 < len(ran.taken)
    assert set() == ran.taken - ran.arrived
