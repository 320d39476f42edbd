"""agent() and tool(): spans for the application's own parts, whatever kind of function they are."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from surfaces import client

from tracetoll import agent, tool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator

    from conftest import Telemetry

    from tracetoll.local_provider import LocalProvider


def current() -> int:
    return trace.get_current_span().get_span_context().span_id


def test_a_block_is_a_span_with_upstreams_names(instrumented: Telemetry) -> None:
    with agent("planner"), tool("search"):
        pass

    inner, outer = instrumented.spans
    assert ("execute_tool search", "invoke_agent planner") == (inner.name, outer.name)
    assert {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "search",
        "gen_ai.tool.type": "function",
    } == dict(inner.attributes or {})
    assert outer.context.span_id == inner.parent.span_id


def test_each_kind_of_function_stays_what_it_is(instrumented: Telemetry) -> None:
    @agent("a")
    def plain(x: int) -> int:
        return x + 1

    @agent("a")
    async def coroutine(x: int) -> int:
        await asyncio.sleep(0)
        return x + 1

    @agent("a")
    def generator(x: int) -> Generator[int, int, str]:
        got = yield x
        yield got
        return "end"

    @agent("a")
    async def asynchronous(x: int) -> AsyncIterator[int]:
        yield x
        yield x + 1

    async def gather() -> list[int]:
        return [number async for number in asynchronous(1)]

    steps = generator(1)
    assert 2 == plain(1)
    assert 2 == asyncio.run(coroutine(1))
    assert [1, 7] == [next(steps), steps.send(7)]
    assert [] == list(steps)
    assert [1, 2] == asyncio.run(gather())
    assert [False, True, False, False] == [
        inspect.iscoroutinefunction(one) for one in (plain, coroutine, generator, asynchronous)
    ]
    assert inspect.isgeneratorfunction(generator)
    assert inspect.isasyncgenfunction(asynchronous)
    assert ["invoke_agent a"] * 4 == [span.name for span in instrumented.spans]


def test_a_generator_is_current_only_while_its_own_code_runs(instrumented: Telemetry) -> None:
    seen = []

    @tool("walk")
    def walk() -> Generator[None, None, None]:
        seen.append(current())
        yield
        seen.append(current())

    steps = walk()
    next(steps)
    between = current()
    list(steps)

    own = instrumented.only_span().context.span_id
    assert [own, own] == seen
    assert 0 == between


@pytest.mark.parametrize("error", [LookupError("secret"), asyncio.CancelledError()])
def test_what_a_function_raises_is_seen_and_passes_on(error: BaseException, instrumented: Telemetry) -> None:
    @tool("search")
    def search() -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        search()

    span = instrumented.only_span()
    assert error is raised.value
    expected = "LookupError" if isinstance(error, LookupError) else None
    assert expected == dict(span.attributes or {}).get("error.type")
    assert "secret" not in str(span.status.description)


def test_calls_made_inside_carry_the_agents_name(provider: LocalProvider, instrumented: Telemetry) -> None:
    with client("openai", provider.url) as of, agent("planner"):
        of.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])

    call, whole = instrumented.spans
    assert "planner" == dict(call.attributes or {})["gen_ai.agent.name"]
    assert whole.context.span_id == call.parent.span_id


def test_one_agent_object_serves_many_tasks_at_once(instrumented: Telemetry) -> None:
    shared = agent("planner")

    async def work() -> Any:
        with shared as span:
            await asyncio.sleep(0.001)
            return span.get_span_context().span_id == current()

    async def many() -> list[Any]:
        return await asyncio.gather(*(work() for _ in range(20)))

    assert [True] * 20 == asyncio.run(many())
    assert 20 == len(instrumented.spans)
