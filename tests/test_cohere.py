"""What is particular to cohere: two counts of everything, threads, and generators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from surfaces import Case, both, cases, inside, run
from surfaces.sdks.cohere import CHAT, FIRST_EMBEDDINGS, RERANK
from surfaces.ways import major

from tracetoll import Limit, attribution, limits
from tracetoll.local_provider import Reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Telemetry

    from tracetoll.local_provider import LocalProvider

TEXTS = [f"crossing {number}" for number in range(200)]


@pytest.mark.parametrize("case", cases((CHAT,), both("whole", "stream")))
def test_what_is_billed_counts_and_what_was_consumed_is_told_beside_it(
    case: Case, provider: LocalProvider, instrumented: Telemetry
) -> None:
    case.ask(provider.url)

    told = instrumented.told()
    billed = told["gen_ai.usage.input_tokens"]
    assert provider.handed_out.input_tokens == billed
    assert billed + 62 == told["tracetoll.usage.consumed.input_tokens"]
    assert told["gen_ai.usage.output_tokens"] + 1 == told["tracetoll.usage.consumed.output_tokens"]
    assert "gen_ai.usage.cache_read.input_tokens" not in told  # cached_tokens are a part of what was consumed


@pytest.mark.parametrize("case", cases((CHAT,), ("whole",)))
def test_what_was_consumed_stands_for_what_is_not_billed(
    case: Case, provider: LocalProvider, instrumented: Telemetry
) -> None:
    usage = {"billed_units": {"output_tokens": 4.0}, "tokens": {"input_tokens": 90.0, "output_tokens": 5.0}}
    message = {"role": "assistant", "content": [{"type": "text", "text": "Two euros"}]}
    provider.enqueue(Reply(json={"id": "1", "message": message, "finish_reason": "COMPLETE", "usage": usage}))

    case.ask(provider.url)

    told = instrumented.told()
    assert (90, 4) == (told["gen_ai.usage.input_tokens"], told["gen_ai.usage.output_tokens"])


@pytest.mark.parametrize("case", cases((FIRST_EMBEDDINGS,), both("whole")))
def test_batches_asked_from_threads_belong_to_the_caller(
    case: Case, provider: LocalProvider, instrumented: Telemetry
) -> None:
    tracer = instrumented.tracer_provider.get_tracer("application")

    async def use() -> Any:
        async with inside(case.client(provider.url)) as of:
            with tracer.start_as_current_span("asking"), attribution(user_id="u1"), limits() as spend:
                await case.answer(of, texts=TEXTS, batching=True)
            return spend

    spend = run(use(), asynchronous=case.asynchronous)

    *calls, asking = instrumented.spans
    assert 3 == len(calls) == len(provider.requests)  # of 96 texts at most
    assert {asking.context.span_id} == {call.parent.span_id for call in calls if call.parent is not None}
    assert {"u1"} == {(call.attributes or {})["user.id"] for call in calls}
    assert provider.handed_out.input_tokens == spend.usage.input_tokens


@pytest.mark.skipif(major("cohere") < 6, reason="cohere 5 asks again by rules of its own")
@pytest.mark.parametrize("case", cases((CHAT, RERANK), both("whole")))
def test_attempts_are_told(case: Case, provider: LocalProvider, instrumented: Telemetry) -> None:
    soon = {"retry-after-ms": "1", "retry-after": "0.001"}
    provider.enqueue(Reply(503, json={}, headers=soon), Reply(429, json={}, headers=soon))

    async def use() -> None:
        async with inside(case.client(provider.url)) as of:
            await case.answer(of, request_options={"max_retries": 2})

    run(use(), asynchronous=case.asynchronous)

    assert 3 == len(provider.requests)
    assert 3 == instrumented.told()["tracetoll.attempt_count"]


@pytest.mark.parametrize("case", cases((CHAT,), both("stream")))
def test_a_stream_is_held_to_the_limits_of_the_block_it_was_made_in(
    case: Case, provider: LocalProvider, instrument: Callable[..., Telemetry]
) -> None:
    instrument()

    async def use() -> Any:
        async with inside(case.client(provider.url)) as of:
            with limits(Limit(1_000_000, "tokens")) as spend:
                stream = await case.answer(of)
            if case.asynchronous:
                async for _ in stream:
                    pass
            else:
                for _ in stream:
                    pass
            return spend

    spend = run(use(), asynchronous=case.asynchronous)

    assert provider.handed_out.output_tokens == spend.usage.output_tokens
