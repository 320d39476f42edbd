"""Tail sampling keeps what limits, failures and large bills make interesting, and its share of the rest."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import kit as parts
import openai
import pytest
import stack
from receivers import GrpcReceiver, attributes
from senders import application

from tracetoll import Limit, LimitExceeded, agent, attribution
from tracetoll.local_provider import LocalProvider, Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from opentelemetry.proto.trace.v1.trace_pb2 import Span

KEEP_PERCENT = 25
OF_EACH = 8
ORDINARY = 400
FOUR_SIGMA = 35
SPANS = {"ordinary": 2, "refused": 3, "held up": 3, "failed": 2, "expensive": 2}
LONG = "The keeper writes every crossing into a blue book. " * 400


class Tasks:
    """Traces of each kind: an agent's span, and those of its calls."""

    def __init__(self, provider: LocalProvider) -> None:
        self._provider = provider
        http = openai.DefaultHttpxClient(trust_env=False)
        self._client = openai.OpenAI(base_url=f"{provider.url}/v1", api_key="none", max_retries=0, http_client=http)

    def close(self) -> None:
        self._client.close()

    def ask(self, text: str = "What does the bridge cost?") -> None:
        messages: list[Any] = [{"role": "user", "content": text}]
        self._client.chat.completions.create(model="gpt-4o-mini", messages=messages)

    def ordinary(self) -> None:
        self.ask()

    def refused(self) -> None:
        with attribution(feature="two calls are too many"), suppress(LimitExceeded):
            self.ask()
            self.ask()

    def held_up(self) -> None:
        with attribution(feature="slowly"):
            self.ask()
            self.ask()

    def failed(self) -> None:
        self._provider.enqueue(Reply.openai_error(500, "server_error", "something broke"))
        with suppress(openai.InternalServerError):
            self.ask()

    def expensive(self) -> None:
        self.ask(LONG)

    @property
    def kinds(self) -> dict[str, Callable[[], None]]:
        return {"refused": self.refused, "held up": self.held_up, "failed": self.failed, "expensive": self.expensive}


@dataclass(frozen=True, slots=True)
class Kept:
    """The traces that came through: kind → number of spans of each."""

    traces: dict[str, list[int]]


def kind_of(spans: list[Span]) -> str:
    (root,) = [span for span in spans if not span.parent_span_id]
    return str(attributes(root)["gen_ai.agent.name"])


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    parts.need("collector")
    with GrpcReceiver() as receiver, LocalProvider() as provider:
        upstream = receiver.url.removeprefix("http://")
        settings = {"KIT_JAEGER": upstream, "KIT_KEEP_PERCENT": KEEP_PERCENT, "KIT_EXPENSIVE_TOKENS": 3000}
        with parts.collector(tmp_path_factory.mktemp("sampling"), **settings) as collector:
            limits = [
                Limit(1, "calls", per="trace", where={"feature": "two calls*"}),
                Limit(1, "calls", per="trace", window="50ms", where={"feature": "slowly"}, at={1.0: "throttle"}),
            ]
            tasks = Tasks(provider)
            with application(collector, "bridge", limits=limits):
                for _ in range(ORDINARY):
                    with agent("ordinary"):
                        tasks.ordinary()
                for name, task in tasks.kinds.items():
                    for _ in range(OF_EACH):
                        with agent(name):
                            task()
            tasks.close()
            wait_until_decided(collector, ORDINARY + OF_EACH * len(tasks.kinds))
        # What was decided has been sent when the collector has ended.
        by_trace: dict[bytes, list[Span]] = {}
        for span in receiver.received.spans:
            by_trace.setdefault(span.trace_id, []).append(span)
        traces: dict[str, list[int]] = {}
        for spans in by_trace.values():
            traces.setdefault(kind_of(spans), []).append(len(spans))
        yield Kept(traces)


def wait_until_decided(collector: stack.Collector, traces: int) -> None:
    def decided() -> bool:
        own = stack.get(f"http://{collector.own_metrics}/metrics").decode()
        name = "otelcol_processor_tail_sampling_global_count_traces_sampled_total"
        counts = [float(line.split()[-1]) for line in own.splitlines() if line.startswith(name)]
        return sum(counts) >= traces

    stack.until(decided, parts.SOON_S, "decisions about all traces")


@pytest.mark.parametrize("kind", ["refused", "held up", "failed", "expensive"])
def test_every_trace_of_these_is_kept_whole(kept: Kept, kind: str) -> None:
    assert [SPANS[kind]] * OF_EACH == kept.traces[kind]


def test_the_stated_share_of_the_rest_is_kept(kept: Kept) -> None:
    share = ORDINARY * KEEP_PERCENT / 100

    assert abs(share - len(kept.traces["ordinary"])) <= FOUR_SIGMA


def test_what_is_kept_of_the_rest_is_whole_too(kept: Kept) -> None:
    assert {SPANS["ordinary"]} == set(Counter(kept.traces["ordinary"]))
