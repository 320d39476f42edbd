"""agent() and tool(): spans for the application's own parts, whatever kind of function they are."""

from __future__ import annotations

import asyncio
import functools
import inspect
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import openai
import pytest
from conftest import Telemetry
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Decision, SamplingResult
from opentelemetry.trace import StatusCode
from surfaces import client

from tracetoll import Instrumentor, Limit, LimitExceeded, agent, agents, attribution, tool
from tracetoll.local_provider import LocalProvider, Reply

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator


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
        "gen_ai.agent.name": "planner",
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


# --- what a span says --------------------------------------------------------------------------


class Started:
    """A sampler that keeps what it was shown."""

    def __init__(self) -> None:
        self.seen: dict[str, dict[str, Any]] = {}

    def should_sample(self, parent: Any, trace_id: int, name: str, *args: Any, **more: Any) -> SamplingResult:
        del parent, trace_id
        given = more.get("attributes") or (args[1] if len(args) > 1 else {})
        self.seen[name] = dict(given or {})
        return SamplingResult(Decision.RECORD_AND_SAMPLE, given)

    def get_description(self) -> str:
        return "started"


def test_samplers_see_the_attribution_on_agents_and_tools() -> None:
    started = Started()
    telemetry = Telemetry(started)  # type: ignore[arg-type]  # all that the SDK asks of a sampler
    Instrumentor().instrument(**telemetry.providers)
    carried = context.attach(baggage.set_baggage("tracetoll.team", "support"))

    told = attribution(user_id="u1", session_id="s1", conversation_id="c1", feature="triage")
    with told, agent("planner"), agent("clerk"), tool("search"):
        pass
    context.detach(carried)
    Instrumentor().uninstrument()
    telemetry.shutdown()

    whose = {
        "user.id": "u1",
        "session.id": "s1",
        "gen_ai.conversation.id": "c1",
        "tracetoll.feature": "triage",
        "tracetoll.team": "support",
    }
    for name, by in (
        ("invoke_agent planner", "planner"),
        ("invoke_agent clerk", "clerk"),
        ("execute_tool search", "clerk"),
    ):
        assert {**whose, "gen_ai.agent.name": by}.items() <= started.seen[name].items()


def test_descriptions_types_and_ids_are_on_the_span(instrumented: Telemetry) -> None:
    with (
        agent("planner", description="Plans trips."),
        tool("search", description="Searches.", type="datastore", call_id="call_7"),
    ):
        pass

    inner, outer = (dict(span.attributes or {}) for span in instrumented.spans)
    assert "Plans trips." == outer["gen_ai.agent.description"]
    assert {
        "gen_ai.tool.description": "Searches.",
        "gen_ai.tool.type": "datastore",
        "gen_ai.tool.call.id": "call_7",
    }.items() <= inner.items()


def test_the_id_of_one_call_is_refused_for_a_decorator() -> None:
    with pytest.raises(TypeError, match="with tool"):

        @tool("search", call_id="call_7")
        def search() -> None: ...


@pytest.mark.parametrize("what", [agent, tool])
def test_a_forgotten_name_is_told_with_the_way_out(what: Any) -> None:
    with pytest.raises(TypeError, match=r"a name is wanted, as in @"):

        @what
        def search() -> None: ...


@pytest.mark.parametrize("error", [asyncio.CancelledError(), KeyboardInterrupt()])
def test_a_cancelled_run_is_no_error(error: BaseException, instrumented: Telemetry) -> None:
    with pytest.raises(type(error)), agent("planner"):
        raise error

    span = instrumented.only_span()
    assert StatusCode.UNSET == span.status.status_code
    assert "error.type" not in dict(span.attributes or {})
    (point,) = instrumented.metrics()["gen_ai.invoke_agent.duration"]
    assert {"gen_ai.agent.name": "planner"} == dict(point.attributes)


def test_generators_that_are_left_early_are_no_error(instrumented: Telemetry) -> None:
    @agent("planner")
    def steps() -> Generator[int]:
        yield 1
        yield 2

    @agent("planner")
    async def steps_async() -> AsyncIterator[int]:
        yield 1
        yield 2

    async def leave() -> None:
        walk: Any = steps_async()
        await anext(walk)
        await walk.aclose()

    walk = steps()
    next(walk)
    walk.close()
    asyncio.run(leave())

    assert [StatusCode.UNSET] * 2 == [span.status.status_code for span in instrumented.spans]


def test_what_a_generator_does_when_it_is_left_belongs_to_it(instrumented: Telemetry) -> None:
    @agent("planner")
    def steps() -> Generator[int]:
        try:
            yield 1
        finally:
            with tool("tidy"):
                pass

    walk = steps()
    next(walk)
    walk.close()

    inner, outer = instrumented.spans
    assert outer.context.span_id == inner.parent.span_id


# --- what can be decorated ---------------------------------------------------------------------


class Desk:
    """Each kind of method, with a decorator on either side of another one."""

    def __init__(self) -> None:
        self.number = 7

    @tool("desk")
    def method(self) -> int:
        return self.number

    @tool("desk")
    @classmethod
    def outer_class_method(cls) -> str:
        return cls.__name__

    @classmethod
    @tool("desk")
    def inner_class_method(cls) -> str:
        return cls.__name__

    @tool("desk")
    @staticmethod
    def outer_static_method(number: int) -> int:
        return number

    @staticmethod
    @tool("desk")
    async def inner_static_method(number: int) -> int:
        """Return the number."""
        return number

    def bare(self) -> int:
        """Return the number."""
        return self.number

    async def bare_async(self) -> int:
        return self.number


class Clerk:
    """Answers."""

    async def __call__(self, number: int) -> int:
        return number


def test_methods_of_every_kind_work(instrumented: Telemetry) -> None:
    desk = Desk()
    bound, bound_async = tool("desk")(desk.bare), tool("desk")(desk.bare_async)

    assert [7, "Desk", "Desk", "Desk", 3, 7] == [
        desk.method(),
        Desk.outer_class_method(),
        desk.outer_class_method(),
        Desk.inner_class_method(),
        desk.outer_static_method(3),
        bound(),
    ]
    assert [3, 7] == [asyncio.run(Desk.inner_static_method(3)), asyncio.run(bound_async())]
    assert 8 == len(instrumented.spans)
    assert {"execute_tool desk"} == {span.name for span in instrumented.spans}
    assert ("bare", "Return the number.") == (bound.__name__, bound.__doc__)
    assert inspect.iscoroutinefunction(bound_async)
    assert inspect.iscoroutinefunction(Desk.inner_static_method)


def test_partials_work(instrumented: Telemetry) -> None:
    def add(one: int, other: int) -> int:
        """Return the sum."""
        return one + other

    async def add_async(one: int, other: int) -> int:
        return one + other

    plain = tool("add")(functools.partial(add, 1))
    coroutine = tool("add")(functools.partial(functools.partial(add_async, 1), 2))

    assert [3, 3] == [plain(2), asyncio.run(coroutine())]
    assert ("add", "Return the sum.") == (plain.__name__, plain.__doc__)
    assert "other" in inspect.signature(plain).parameters
    assert inspect.iscoroutinefunction(coroutine)
    assert 2 == len(instrumented.spans)


def test_an_object_that_can_be_called_works(instrumented: Telemetry) -> None:
    ask = agent("clerk")(Clerk())

    assert inspect.iscoroutinefunction(ask)
    assert 3 == asyncio.run(ask(3))
    assert "invoke_agent clerk" == instrumented.only_span().name
    assert ("Clerk", "Answers.") == (ask.__name__, ask.__doc__)


def test_a_class_whose_objects_are_called_stays_a_class(instrumented: Telemetry) -> None:
    @agent("teller")
    class Teller(Clerk):
        pass

    teller = Teller()

    assert isinstance(teller, Teller)
    assert () == instrumented.spans
    assert 3 == asyncio.run(teller(3))
    assert 4 == asyncio.run(Clerk()(4))
    assert "invoke_agent teller" == instrumented.only_span().name


def test_a_class_whose_objects_cannot_be_called_is_refused() -> None:
    with pytest.raises(TypeError, match="decorate the method"):

        @agent("planner")
        class Planner:
            pass


def test_spans_do_without_instrument_and_metrics_end_with_uninstrument(
    provider: LocalProvider, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agents, "_connected", agents.Connection())  # as before the first instrument() of a process
    with agent("before"), tool("search"):
        pass
    Instrumentor().instrument(**telemetry.providers)
    with agent("while"):
        ask(provider)
    Instrumentor().uninstrument()
    with agent("after"), tool("search"):
        ask(provider)

    assert ["chat gpt-4o", "invoke_agent while", "execute_tool search", "invoke_agent after"] == [
        span.name for span in telemetry.spans
    ]
    assert {("while",): 1} == counts(telemetry, "gen_ai.invoke_agent.inference_calls")


# --- metrics -----------------------------------------------------------------------------------

AGENT_CALLS = "gen_ai.invoke_agent.inference_calls"
AGENT_TOOLS = "gen_ai.invoke_agent.tool_calls"


def ask(provider: LocalProvider, model: str = "gpt-4o") -> None:
    with client("openai", provider.url) as of:
        of.chat.completions.create(model=model, messages=[{"role": "user", "content": "hi"}])


def counts(telemetry: Telemetry, metric: str) -> dict[tuple[Any, ...], float]:
    """Return the sum of a histogram by the values of its attributes, ordered by their names."""
    found = telemetry.metrics()[metric]
    return {tuple(dict(sorted(point.attributes.items())).values()): point.sum for point in found}


def test_each_agent_counts_its_own_calls_only(provider: LocalProvider, instrumented: Telemetry) -> None:
    with agent("planner"):
        ask(provider)
        with agent("clerk"):
            ask(provider)
            ask(provider)
            with tool("search"):
                ask(provider)
        with tool("search"), tool("fetch"), agent("idle"):
            pass
        ask(provider)
    ask(provider)

    found = instrumented.metrics()
    assert {"planner": 2, "clerk": 3, "idle": 0} == {
        point.attributes["gen_ai.agent.name"]: point.sum for point in found[AGENT_CALLS]
    }
    assert {"planner": 2, "clerk": 1, "idle": 0} == {
        point.attributes["gen_ai.agent.name"]: point.sum for point in found[AGENT_TOOLS]
    }
    assert {1} == {point.count for name in (AGENT_CALLS, AGENT_TOOLS) for point in found[name]}
    assert {("planner", "search"): 1, ("clerk", "search"): 1, ("planner", "fetch"): 1} == {
        (point.attributes["gen_ai.agent.name"], point.attributes["gen_ai.tool.name"]): point.count
        for point in found["gen_ai.execute_tool.duration"]
    }


def test_the_metrics_have_upstreams_units_boundaries_and_exemplars(instrumented: Telemetry) -> None:
    with agent("planner"), tool("search", type="extension"):
        pass

    found = instrumented.metrics()
    (tool_point,) = found["gen_ai.execute_tool.duration"]
    (agent_point,) = found["gen_ai.invoke_agent.duration"]
    assert {
        "gen_ai.agent.name": "planner",
        "gen_ai.tool.name": "search",
        "gen_ai.tool.type": "extension",
    } == dict(tool_point.attributes)
    assert (0.01, 0.1) == (tool_point.explicit_bounds[0], agent_point.explicit_bounds[0])
    assert [span.context.span_id for span in instrumented.spans] == [
        point.exemplars[0].span_id for point in (tool_point, agent_point)
    ]


def test_sampling_changes_no_number(provider: LocalProvider) -> None:
    telemetry = Telemetry(ALWAYS_OFF)
    Instrumentor().instrument(**telemetry.providers)

    with agent("planner"), tool("search"):
        ask(provider)
    Instrumentor().uninstrument()

    assert () == telemetry.spans
    assert [{("planner",): 1}] * 2 == [counts(telemetry, name) for name in (AGENT_CALLS, AGENT_TOOLS)]
    telemetry.shutdown()


def test_failed_calls_and_tools_count_and_refused_calls_do_not(
    provider: LocalProvider, instrument: Callable[..., Telemetry]
) -> None:
    telemetry = instrument(limits=[Limit(2, "calls", per="trace")])
    provider.on("", lambda _: Reply(400, json={"error": {"code": "invalid_value"}}))

    @tool("search")
    def search() -> None:
        raise LookupError

    @agent("planner")
    def plan() -> None:
        for _ in range(2):
            with suppress(openai.BadRequestError):
                ask(provider)
        with suppress(LookupError):
            search()
        ask(provider)

    with pytest.raises(LimitExceeded):
        plan()

    found = telemetry.metrics()
    assert [2, 1] == [found[name][0].sum for name in (AGENT_CALLS, AGENT_TOOLS)]
    assert ["LookupError", "budget_exceeded"] == [
        found[name][0].attributes["error.type"]
        for name in ("gen_ai.execute_tool.duration", "gen_ai.invoke_agent.duration")
    ]
    assert {"gen_ai.agent.name": "planner"} == dict(found[AGENT_CALLS][0].attributes)


@pytest.mark.parametrize("limited", [False, True])
def test_calls_that_another_package_tells_of_count(
    limited: bool, provider: LocalProvider, instrument: Callable[..., Telemetry]
) -> None:
    telemetry = instrument(limits=[Limit(9, "calls")] if limited else None)

    with agent("planner"):
        token = context.attach(context.set_value("opentelemetry.genai.client.inference.context", value=True))
        ask(provider)
        context.detach(token)

    assert {("planner",): 1} == counts(telemetry, AGENT_CALLS)


def test_only_inference_counts(provider: LocalProvider, instrumented: Telemetry) -> None:
    with agent("planner"), client("openai", provider.url) as of:
        of.embeddings.create(model="text-embedding-3-small", input="one", encoding_format="float")
        of.moderations.create(model="omni-moderation-latest", input="x")

    assert {("planner",): 0} == counts(instrumented, AGENT_CALLS)


def test_threads_and_tasks_count_for_the_agent_they_work_for(provider: LocalProvider, instrumented: Telemetry) -> None:
    shared = agent("planner")

    async def work(name: str, calls: int) -> None:
        async with client("openai", provider.url, asynchronous=True) as of:
            with agent(name):
                for _ in range(calls):
                    await of.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])
                await asyncio.gather(*(asyncio.to_thread(ask, provider) for _ in range(2)))

    async def many() -> None:
        with shared:
            await asyncio.gather(*(work(f"clerk {calls}", calls) for calls in range(4)))
            ask(provider)

    asyncio.run(many())

    assert {("planner",): 1, **{(f"clerk {calls}",): calls + 2 for calls in range(4)}} == counts(
        instrumented, AGENT_CALLS
    )


def test_calls_between_the_steps_of_a_generator_are_not_its_own(
    provider: LocalProvider, instrumented: Telemetry
) -> None:
    @agent("walker")
    def walk() -> Generator[int]:
        ask(provider)
        yield 1
        ask(provider)

    with agent("planner"):
        for _ in walk():
            ask(provider)

    assert {("walker",): 2, ("planner",): 1} == counts(instrumented, AGENT_CALLS)


def test_a_stream_that_is_read_after_the_agents_end_is_its_call(
    provider: LocalProvider, instrumented: Telemetry
) -> None:
    @agent("planner")
    def plan(of: Any) -> Any:
        return of.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}], stream=True)

    with client("openai", provider.url) as of:
        list(plan(of))

    assert {("planner",): 1} == counts(instrumented, AGENT_CALLS)


def test_no_run_is_lost_between_two_collections(instrumented: Telemetry) -> None:
    for _ in range(200):
        with agent("planner"):
            pass

    engine = Instrumentor().engine
    assert engine is not None
    waiting = len(engine._instruments._runs)  # noqa: SLF001  # how many are kept is what is bounded
    (point,) = instrumented.metrics()[AGENT_CALLS]
    assert 200 == point.count
    assert waiting <= 64


def test_listed_attribution_is_on_the_metrics_of_agents_and_tools(instrument: Callable[..., Telemetry]) -> None:
    telemetry = instrument(metric_attributes=["feature"])

    with attribution(feature="triage", user_id="u1"), agent("planner"), tool("search"):
        pass

    found = telemetry.metrics()
    for name in ("gen_ai.execute_tool.duration", "gen_ai.invoke_agent.duration", AGENT_CALLS, AGENT_TOOLS):
        (point,) = found[name]
        assert "triage" == point.attributes["tracetoll.feature"]
        assert "user.id" not in point.attributes


def test_the_family_can_be_switched_off(provider: LocalProvider, instrument: Callable[..., Telemetry]) -> None:
    telemetry = instrument(metrics=["standard"])

    with agent("planner"), tool("search"):
        ask(provider)

    assert not any(name.startswith(("gen_ai.invoke_agent", "gen_ai.execute_tool")) for name in telemetry.metrics())
