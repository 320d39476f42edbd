"""A thousand calls at once, with all that can go wrong: the limit holds, and nobody is refused who fits.

What was spent is what the server handed out, whether anybody heard of it or not.
"""

from __future__ import annotations

import asyncio
import gc
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Self

import openai
import pytest
from conftest import Telemetry
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, TraceIdRatioBased

from tracetoll import Instrumentor, Limit, LimitExceeded, attribution
from tracetoll.limits.estimate import Learned
from tracetoll.local_provider import LocalProvider, Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from opentelemetry.sdk.trace.sampling import Sampler

    from tracetoll.local_provider import Received

CALLS = 1000
KINDS = {"whole": 60, "stream": 20, "left": 8, "dropped": 4, "cancelled": 8}
TOKENS_OF_UNCAPPED = 300
# A stream that an asyncio application drops leaves its connection to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
LARGEST_RATIO = 0.3  # tokens per byte of a request


class Truth:
    """A provider with answers of random length, delays and failures, that knows what it handed out."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311  # a test that can be repeated
        self._lock = threading.Lock()
        self.tokens = 0
        self.requests = 0
        self.caps: list[int | None] = []

    def answer(self, received: Received) -> Reply:
        body = received.fields
        cap = body.get("max_completion_tokens") or body.get("max_tokens")
        with self._lock:
            random_ = self._random
            into = max(1, int(len(str(body["messages"])) * random_.uniform(0.1, LARGEST_RATIO)))
            out = random_.randint(1, min(cap or TOKENS_OF_UNCAPPED, TOKENS_OF_UNCAPPED))
            fate, delay_s = random_.random(), random_.uniform(0, 0.02)
            self.requests += 1
            self.caps.append(cap)
            if fate < 0.05:
                return Reply.openai_error(400, "bad_request", "no")
            self.tokens += into + out
        if fate < 0.08:  # it was made, and nobody hears of it
            return Reply(json={}, delay_s=delay_s, cut_after_bytes=0)
        return self._told(body, into, out, delay_s)

    def _told(self, body: Any, into: int, out: int, delay_s: float) -> Reply:
        usage = {"prompt_tokens": into, "completion_tokens": out, "total_tokens": into + out}
        base = {"id": f"chatcmpl-{self.requests}", "created": 1, "model": body["model"]}
        if not body.get("stream"):
            message = {"role": "assistant", "content": "so it is"}
            choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
            whole = {**base, "object": "chat.completion", "choices": choices, "usage": usage}
            return Reply(json=whole, delay_s=delay_s)
        base["object"] = "chat.completion.chunk"
        events: list[Any] = [
            {**base, "choices": [{"index": 0, "delta": {"content": "word "}, "finish_reason": None}]} for _ in range(8)
        ]
        events.append({**base, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        events.append({**base, "choices": [], "usage": usage})
        return Reply(events=events, delay_s=delay_s)


class Crowd:
    """Calls of all kinds from many places at once, and how they ended."""

    def __init__(self, url: str, *, capped: bool, seed: int) -> None:
        self.url = url
        self._capped = capped
        self._random = random.Random(seed)  # noqa: S311  # a test that can be repeated
        self.refused: list[LimitExceeded] = []
        self.went_ahead = 0
        self._lock = threading.Lock()

    def arguments(self) -> tuple[dict[str, Any], str]:
        """Return a call, and what becomes of it: read, left half-way, dropped, or cancelled."""
        with self._lock:
            words = "the keeper counts the crossings " * self._random.randint(1, 12)
            kind = self._random.choices(list(KINDS), list(KINDS.values()))[0]
            cap = self._random.randint(20, TOKENS_OF_UNCAPPED)
        asked: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": words}]}
        if self._capped:
            asked["max_tokens"] = cap
        if kind in {"stream", "left", "dropped"}:
            asked["stream"] = True
            asked["stream_options"] = {"include_usage": True}
        return asked, kind

    def ended(self, error: LimitExceeded | None) -> None:
        with self._lock:
            if error is not None:
                self.refused.append(error)
            else:
                self.went_ahead += 1

    def call(self, client: openai.OpenAI) -> None:
        asked, kind = self.arguments()
        try:
            answer = client.chat.completions.create(**asked)
            if asked.get("stream"):
                for number, _ in enumerate(answer):
                    if kind != "stream" and number == 2:
                        break
                # Not dropped: collected by chance inside of httpcore's pool, it would hang there by itself.
                if kind != "stream":
                    answer.close()
        except LimitExceeded as error:
            self.ended(error)
            return
        except openai.APIError:
            pass
        self.ended(None)

    async def call_async(self, client: openai.AsyncOpenAI) -> None:
        asked, kind = self.arguments()
        try:
            if kind == "cancelled":
                with self._lock:
                    patience = self._random.uniform(0, 0.03)
                async with asyncio.timeout(patience):
                    await client.chat.completions.create(**asked)
            else:
                answer = await client.chat.completions.create(**asked)
                if asked.get("stream"):
                    number = 0
                    async for _ in answer:
                        number += 1
                        if kind != "stream" and number == 2:
                            break
                    if kind == "left":
                        await answer.close()
        except LimitExceeded as error:
            self.ended(error)
            return
        except (openai.APIError, TimeoutError):
            pass
        self.ended(None)

    def in_threads(self, calls: int) -> None:
        with (
            openai.OpenAI(base_url=f"{self.url}/v1", api_key="k", max_retries=0) as client,
            ThreadPoolExecutor(64) as pool,
        ):
            for future in [pool.submit(self.call, client) for _ in range(calls)]:
                future.result()

    def in_asyncio(self, calls: int) -> None:
        async def run() -> None:
            async with openai.AsyncOpenAI(base_url=f"{self.url}/v1", api_key="k", max_retries=0) as client:
                await asyncio.gather(*(self.call_async(client) for _ in range(calls)))

        asyncio.run(run())

    def in_both(self, calls: int) -> None:
        other = threading.Thread(target=self.in_asyncio, args=(calls - calls // 2,))
        other.start()
        self.in_threads(calls // 2)
        other.join()


class Monitor:
    """Looks at the accounts all the while: spent and reserved never come to more than the limit."""

    def __init__(self) -> None:
        self.most = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        engine = Instrumentor().engine
        assert engine is not None
        while not self._stop.wait(0.001):
            for _, balance in engine.admission.ledger.balances():
                self.most = max(self.most, balance.spent + balance.reserved)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def accounts() -> list[tuple[int, int]]:
    gc.collect()
    engine = Instrumentor().engine
    assert engine is not None
    engine.settle()
    return [(balance.spent, balance.reserved) for _, balance in engine.admission.ledger.balances()]


@pytest.fixture
def truth() -> Truth:
    return Truth(seed=7)


@pytest.fixture
def server(truth: Truth) -> Iterator[LocalProvider]:
    with LocalProvider() as running:
        running.on("", truth.answer)
        yield running


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    """Have what asyncio warns of collected here, where the warning is expected."""
    yield
    gc.collect()


WAYS = {"asyncio": Crowd.in_asyncio, "64 threads": Crowd.in_threads, "both": Crowd.in_both}
every_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())


@every_way
@pytest.mark.parametrize("capped", [True, False], ids=["capped", "uncapped"])
def test_a_strict_limit_is_never_overspent_and_refuses_nobody_who_fits(
    way: Callable[[Crowd, int], None],
    capped: bool,
    server: LocalProvider,
    truth: Truth,
    instrument: Callable[..., Telemetry],
) -> None:
    amount = 60_000
    instrument(limits=[Limit(amount, "tokens", per="process", strict=True)])
    crowd = Crowd(server.url, capped=capped, seed=3)

    with Monitor() as monitor:
        way(crowd, CALLS)

    assert truth.tokens <= amount
    assert monitor.most <= amount
    assert crowd.refused
    assert crowd.went_ahead >= truth.requests
    ((spent, reserved),) = accounts()
    assert reserved == 0
    assert truth.tokens <= spent <= amount
    # With nothing in flight, each of them would not have fitted either.
    assert all(error.spent + error.wanted > amount for error in crowd.refused)


@every_way
def test_a_limit_holds_for_capped_calls_once_the_ratio_is_learned(
    way: Callable[[Crowd, int], None], server: LocalProvider, truth: Truth, instrument: Callable[..., Telemetry]
) -> None:
    amount = 60_000
    instrument(limits=[Limit(amount, "tokens", per="process")])
    learning = Crowd(server.url, capped=True, seed=11)
    learning.in_threads(60)
    crowd = Crowd(server.url, capped=True, seed=5)

    with Monitor() as monitor:
        way(crowd, CALLS)

    ((spent, reserved),) = accounts()
    assert reserved == 0
    assert truth.tokens <= spent <= amount
    assert monitor.most <= amount
    assert crowd.refused
    assert all(error.spent + error.wanted > amount for error in crowd.refused)


@every_way
def test_without_caps_a_limit_is_overspent_by_no_more_than_the_estimates_were_too_low(
    way: Callable[[Crowd, int], None], server: LocalProvider, instrument: Callable[..., Telemetry]
) -> None:
    amount = 30_000
    telemetry = instrument(limits=[Limit(amount, "tokens", per="process")])
    crowd = Crowd(server.url, capped=False, seed=5)

    way(crowd, CALLS)

    ((spent, reserved),) = accounts()
    too_low = sum(
        point.value
        for point in telemetry.metrics()["tracetoll.estimate.error"]
        if point.attributes["tracetoll.estimate.direction"] == "under"
    )
    assert reserved == 0
    assert spent <= amount + too_low
    assert all(error.spent + error.wanted > amount for error in crowd.refused)


def spent_with(sampler: Sampler | None) -> tuple[list[tuple[int, int]], int, int]:
    """Make the same calls one after the other; return the accounts, the server's truth, and how many were refused."""
    truth, telemetry = Truth(seed=9), Telemetry(sampler)
    limits = [Limit(8_000, "tokens", per="trace"), Limit(0.02, "usd", per="user.id", window="day")]
    tracer = telemetry.tracer_provider.get_tracer("test")
    Instrumentor().instrument(**telemetry.providers, limits=limits)
    try:
        with LocalProvider() as server:
            server.on("", truth.answer)
            crowd = Crowd(server.url, capped=True, seed=2)
            with openai.OpenAI(base_url=f"{server.url}/v1", api_key="k", max_retries=0) as client:
                for user in ("u1", "u2", "u3"):
                    with tracer.start_as_current_span("task"), attribution(user_id=user):
                        for _ in range(60):
                            crowd.call(client)
        found = sorted(accounts())
    finally:
        Instrumentor().uninstrument()
        telemetry.shutdown()
    return found, truth.tokens, len(crowd.refused)


@pytest.mark.parametrize("sampler", [ALWAYS_OFF, TraceIdRatioBased(0.01)], ids=["never", "1 %"])
def test_limits_spend_and_refuse_the_same_whatever_is_sampled(sampler: Sampler) -> None:
    everything = spent_with(None)
    assert everything[2] > 0

    assert spent_with(sampler) == everything


def test_estimates_of_the_input_are_hardly_ever_too_low() -> None:
    learned, chance = Learned(), random.Random(1)  # noqa: S311  # as above
    low = 0

    for number in range(50_000):
        size = (chance.randint(300, 30_000), 0, 10**6)
        tokens = int(size[0] * chance.uniform(0.1, LARGEST_RATIO))
        low += number > 60 and tokens > learned.input_of(size)
        if number < 256 or number % 8 == 0:  # as limits learn
            learned.learn_input(size, tokens)

    assert low <= 50
