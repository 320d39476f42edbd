"""Whose account a call goes to: blocks of limits(...), traces, attribution; and which calls a limit means."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
from typing import TYPE_CHECKING, Any

import openai
import pytest
from conftest import Telemetry
from limit_calls import (
    ANSWER,
    ASK_CHAT,
    ASK_CLAUDE,
    ASKED,
    INPUT,
    STREAMED,
    TOKENS,
    WHOLE,
    WORDS,
    accounts,
    ask,
    chat,
    chat_async,
)
from opentelemetry import context
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, TraceIdRatioBased
from opentelemetry.trace import set_span_in_context
from surfaces import Case, client

from tracetoll import Instrumentor, Limit, LimitExceeded, Usage, agent, attribution, limits
from tracetoll.ledgers import memory
from tracetoll.limits.kinds import Place
from tracetoll.limits.limit import WrongLimitError
from tracetoll.local_provider import LocalProvider, Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace.sampling import Sampler

    from tracetoll.limits.scope import Spend

    Instrument = Callable[..., Telemetry]

CLAUDE_CASE = Case(ASK_CLAUDE)


@pytest.fixture
def provider() -> Iterator[LocalProvider]:
    with LocalProvider(script=lambda _: WORDS) as running:
        yield running


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what we warned of, and forget it: the telemetry fixture wants no warnings."""
    found = [one.getMessage() for one in caplog.records if one.levelname == "WARNING" and one.name == "tracetoll"]
    caplog.clear()
    return found


def spent(usage: Usage) -> tuple[int | None, int | None]:
    return usage.input_tokens, usage.output_tokens


# --- what a block tells ----------------------------------------------------------------------


@pytest.mark.parametrize("case", ASKED)
def test_a_block_adds_up_what_the_server_handed_out(
    case: Case, provider: LocalProvider, instrument: Instrument
) -> None:
    telemetry = instrument()
    ask(case, provider)
    before = provider.handed_out

    with limits() as spend:
        ask(case, provider)
        ask(case, provider)
    ask(case, provider)

    inside = provider.handed_out - before - before
    assert (inside.input_tokens, inside.output_tokens) == spent(spend.usage)
    assert (2, 0, 0, 0) == (spend.calls, spend.refused, spend.unpriced, spend.missing)
    told_usd = [dict(span.attributes or {})["tracetoll.cost.amount"] for span in telemetry.spans]
    assert sum(told_usd[1:3]) == pytest.approx(spend.cost)
    assert spend.cost > 0


@pytest.mark.parametrize("case", STREAMED)
def test_a_stream_belongs_to_the_block_it_was_begun_in(
    case: Case, provider: LocalProvider, instrument: Instrument
) -> None:
    instrument()
    during: list[int] = []

    class Watching(list[Any]):
        def append(self, part: Any) -> None:
            super().append(part)
            during.append(spend.calls)

    with limits() as spend:
        ask(case, provider, parts=Watching())

    assert {0} == set(during[:-1])
    assert (1, (INPUT, ANSWER)) == (spend.calls, spent(spend.usage))


def test_cached_and_reasoning_tokens_are_in_the_sum(instrument: Instrument) -> None:
    with LocalProvider(script=lambda _: WORDS) as provider:
        instrument()
        long = "The keeper writes every crossing into a blue book. " * 140
        with limits() as spend, client("openai", provider.url) as of:
            for _ in range(2):
                of.chat.completions.create(model="o4-mini", messages=[{"role": "user", "content": long}])
        handed_out = provider.handed_out

    counts = spend.usage.counts
    assert handed_out.cache_read == counts["cache_read.input_tokens"]
    assert handed_out.reasoning == counts["reasoning.output_tokens"]
    assert handed_out.cache_read > 0
    assert handed_out.reasoning > 0


def test_refused_calls_are_told_apart(provider: LocalProvider, instrument: Instrument) -> None:
    instrument(limits=[Limit(1, "calls")])

    with limits() as spend:
        chat(provider)
        for _ in range(2):
            with pytest.raises(LimitExceeded):
                chat(provider)

    assert (1, 2, 0) == (spend.calls, spend.refused, spend.missing)
    assert (INPUT, ANSWER) == spent(spend.usage)


def test_a_cut_stream_counts_as_a_call_and_as_refused(provider: LocalProvider, instrument: Instrument) -> None:
    instrument()

    with limits(Limit(24, "output_tokens", at={1.0: "cut"})) as spend, pytest.raises(LimitExceeded):
        ask(Case(ASK_CHAT, "stream"), provider)

    assert (1, 1) == (spend.calls, spend.refused)


def test_what_failed_is_a_call_that_used_nothing(provider: LocalProvider, instrument: Instrument) -> None:
    instrument()
    provider.enqueue(Reply.openai_error(400, "no", "no"))

    with limits() as spend, pytest.raises(openai.BadRequestError):
        chat(provider)

    assert (1, 0, 0, (None, None)) == (spend.calls, spend.refused, spend.missing, spent(spend.usage))


def test_calls_without_a_price_or_without_usage_are_told(provider: LocalProvider, instrument: Instrument) -> None:
    instrument()

    with limits() as spend:
        chat(provider)
        chat(provider, model="unheard-of")
        for _ in chat_stream_without_usage(provider):
            pass

    assert (3, 1, 1) == (spend.calls, spend.unpriced, spend.missing)
    assert (2 * INPUT, 2 * ANSWER) == spent(spend.usage)
    assert 0.00002535 == pytest.approx(spend.cost)


def chat_stream_without_usage(provider: LocalProvider) -> list[Any]:
    with client("openai", provider.url) as of:
        return list(of.chat.completions.create(**ASK_CHAT.arguments, stream=True))


def test_a_block_tells_what_other_calls_of_it_spent_while_it_runs(
    provider: LocalProvider, instrument: Instrument
) -> None:
    instrument()
    seen = []

    with limits() as spend:
        for _ in range(3):
            chat(provider)
            seen.append((spend.calls, spend.usage.total_tokens))

    assert [(1, TOKENS), (2, 2 * TOKENS), (3, 3 * TOKENS)] == seen


def test_a_block_without_instrumentation_does_no_harm(provider: LocalProvider) -> None:
    assert not Instrumentor().is_instrumented_by_opentelemetry

    with limits(Limit(0, "calls")) as spend:
        chat(provider)

    assert 0 == spend.calls


# --- limits of a block -----------------------------------------------------------------------


@pytest.mark.parametrize("case", ASKED)
def test_a_limit_without_per_is_for_the_block(case: Case, provider: LocalProvider, instrument: Instrument) -> None:
    instrument()

    for _ in range(2):
        with limits(Limit(2, "calls")) as spend:
            ask(case, provider)
            ask(case, provider)
            with pytest.raises(LimitExceeded) as raised:
                ask(case, provider)
    ask(case, provider)

    assert 5 == len(provider.requests)
    assert (2, 1) == (spend.calls, spend.refused)
    assert raised.value.account.startswith("scope:")
    assert "limits(...)" in str(raised.value)
    assert [(2, 0), (2, 0)] == list(accounts().values())


def test_a_block_may_be_asynchronous(provider: LocalProvider, instrument: Instrument) -> None:
    instrument()

    async def work() -> Spend:
        async with limits(Limit(1, "calls")) as spend:
            await chat_async(provider)
            with pytest.raises(LimitExceeded):
                await chat_async(provider)
        await chat_async(provider)
        return spend

    spend = asyncio.run(work())

    assert (1, 1, 2) == (spend.calls, spend.refused, len(provider.requests))


def test_limits_of_a_block_may_be_text(provider: LocalProvider, instrument: Instrument) -> None:
    instrument()

    with limits("1 call", Limit(10_000, "tokens")):
        chat(provider)
        with pytest.raises(LimitExceeded):
            chat(provider)

    assert 1 == len(provider.requests)


@pytest.mark.parametrize("wrong", ["1 banana", 17, None])
def test_a_block_takes_nothing_but_limits(wrong: Any) -> None:
    with pytest.raises(WrongLimitError):
        limits(wrong)


def test_a_call_has_to_fit_into_all_blocks_around_it(provider: LocalProvider, instrument: Instrument) -> None:
    instrument()

    with limits(Limit(3, "calls")) as outer:
        with limits(Limit(2, "calls")) as first:
            chat(provider)
            chat(provider)
            with pytest.raises(LimitExceeded):
                chat(provider)
        with limits(Limit(2, "calls")) as second:
            chat(provider)
            with pytest.raises(LimitExceeded) as raised:
                chat(provider)

    assert 3 == raised.value.limit.amount
    assert [(3, 2), (2, 1), (1, 1)] == [(spend.calls, spend.refused) for spend in (outer, first, second)]
    assert [(3, 0), (2, 0), (1, 0)] == list(accounts().values())


def test_a_refusal_by_the_inner_block_leaves_the_outer_one_untouched(
    provider: LocalProvider, instrument: Instrument
) -> None:
    instrument(limits=[Limit(100, "calls")])

    with limits(Limit(10_000, "output_tokens")), limits(Limit(30, "output_tokens")), pytest.raises(LimitExceeded):
        chat(provider, max_tokens=60)

    assert [] == provider.requests
    assert {(0, 0)} >= set(accounts().values())


def test_limits_of_the_process_hold_inside_of_blocks(provider: LocalProvider, instrument: Instrument) -> None:
    instrument(limits=[Limit(1, "calls")])

    with limits(Limit(10, "calls")):
        chat(provider)
        with pytest.raises(LimitExceeded) as raised:
            chat(provider)

    assert "process" == raised.value.account


def test_one_object_entered_by_many_tasks_is_a_block_for_each(provider: LocalProvider, instrument: Instrument) -> None:
    instrument()
    shared = limits(Limit(2, "calls"))

    async def work(number: int) -> tuple[int, int]:
        async with shared as spend:
            for _ in range(number):
                await chat_async(provider)
                await asyncio.sleep(0)
            if number == 2:
                with pytest.raises(LimitExceeded):
                    await chat_async(provider)
        return spend.calls, spend.refused

    async def many() -> list[tuple[int, int]]:
        return await asyncio.gather(*(work(number) for number in (2, 1, 2)))

    assert [(2, 1), (1, 0), (2, 1)] == asyncio.run(many())


def test_one_object_entered_again_inside_itself_is_two_blocks(provider: LocalProvider, instrument: Instrument) -> None:
    instrument()
    again = limits(Limit(2, "calls"))

    with again as outer:
        chat(provider)
        with again as inner:
            chat(provider)
        with pytest.raises(LimitExceeded):
            chat(provider)
    chat(provider)

    assert [(2, 1), (1, 0)] == [(spend.calls, spend.refused) for spend in (outer, inner)]


def test_tasks_of_a_block_share_its_limit(provider: LocalProvider, instrument: Instrument) -> None:
    instrument()

    async def many() -> tuple[Spend, list[Any]]:
        with limits(Limit(3, "calls")) as spend:
            found = await asyncio.gather(*(chat_async(provider) for _ in range(5)), return_exceptions=True)
        return spend, found

    spend, found = asyncio.run(many())

    assert (3, 2) == (spend.calls, spend.refused)
    assert 2 == sum(isinstance(one, LimitExceeded) for one in found)
    assert 3 == len(provider.requests)


def test_a_task_goes_on_in_the_block_that_it_was_begun_in(provider: LocalProvider, instrument: Instrument) -> None:
    instrument()

    async def many() -> Spend:
        left = asyncio.Event()

        async def late() -> None:
            await left.wait()
            await chat_async(provider)

        with limits() as spend:
            task = asyncio.create_task(late())
        left.set()
        await task
        return spend

    assert 1 == asyncio.run(many()).calls


def test_threads_of_asyncio_belong_to_the_block(provider: LocalProvider, instrument: Instrument) -> None:
    instrument()

    async def many() -> Spend:
        async with limits(Limit(1, "calls")) as spend:
            await asyncio.to_thread(chat, provider)
            with pytest.raises(LimitExceeded):
                await asyncio.to_thread(chat, provider)
        return spend

    spend = asyncio.run(many())

    assert (1, 1) == (spend.calls, spend.refused)


def test_a_thread_belongs_to_the_block_where_the_context_is_carried_over(
    provider: LocalProvider, instrument: Instrument
) -> None:
    instrument()

    with limits() as spend:
        carried = threading.Thread(target=contextvars.copy_context().run, args=(chat, provider))
        bare = threading.Thread(target=chat, args=(provider,))
        for thread in (carried, bare):
            thread.start()
            thread.join()

    assert (1, 2) == (spend.calls, len(provider.requests))


def test_an_exception_leaves_a_block_as_it_is(provider: LocalProvider, instrument: Instrument) -> None:
    instrument()

    with pytest.raises(LookupError, match="mine"), limits(Limit(0, "calls")):  # noqa: PT012  # that is what is shown
        message = "mine"
        raise LookupError(message)
    chat(provider)

    assert 1 == len(provider.requests)


@pytest.mark.parametrize("sampler", [None, ALWAYS_OFF, TraceIdRatioBased(0.01)], ids=["all", "none", "1 %"])
def test_sampling_does_not_change_a_block(
    sampler: Sampler | None, provider: LocalProvider, instrument: Instrument
) -> None:
    telemetry = Telemetry(sampler)
    instrument(**telemetry.providers)

    with limits(Limit(2, "calls")) as spend:
        chat(provider)
        chat(provider)
        with pytest.raises(LimitExceeded):
            chat(provider)
    telemetry.shutdown()

    assert (2, 1, (2 * INPUT, 2 * ANSWER)) == (spend.calls, spend.refused, spent(spend.usage))


def test_accounts_of_blocks_that_are_over_are_forgotten(
    provider: LocalProvider, instrument: Instrument, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "ACCOUNTS_KEPT", 2)
    instrument()

    for per in (None, "process", "user.id"):
        for _ in range(6):
            with limits(Limit(9, "calls", per=per)), attribution(user_id="u1"):
                chat(provider)

    assert len(accounts()) <= 6


# --- traces ----------------------------------------------------------------------------------


def test_calls_of_one_trace_share_an_account(provider: LocalProvider, instrument: Instrument) -> None:
    instrument(limits=[Limit(2, "calls", per="trace")])

    with agent("outer") as span:
        chat(provider)
        with agent("inner"):
            chat(provider)
            with pytest.raises(LimitExceeded) as raised:
                chat(provider)

    trace = f"trace:{span.get_span_context().trace_id:032x}"
    assert trace == raised.value.account
    assert {trace: (2, 0)} == accounts()


def test_without_a_trace_a_limit_per_trace_holds_for_each_call(
    provider: LocalProvider, instrument: Instrument, caplog: pytest.LogCaptureFixture
) -> None:
    instrument(limits=[Limit(50, "output_tokens", per="trace", name="task")])

    for _ in range(3):
        chat(provider, max_tokens=50)
    with pytest.raises(LimitExceeded) as raised:
        chat(provider, max_tokens=51)

    assert "call" == raised.value.account
    assert 3 == len(provider.requests)
    (warning,) = warnings(caplog)
    assert "limit 'task'" in warning
    assert "no active trace" in warning


def test_traces_that_take_turns_have_accounts_of_their_own(provider: LocalProvider, instrument: Instrument) -> None:
    telemetry = instrument(limits=[Limit(3, "calls", per="trace")])
    tracer = telemetry.tracer_provider.get_tracer("application")
    traces = [set_span_in_context(tracer.start_span(name)) for name in ("one", "another")]

    def ask_in(within: Context) -> None:
        token = context.attach(within)
        try:
            chat(provider)
        finally:
            context.detach(token)

    for _ in range(3):
        for within in traces:
            ask_in(within)

    assert 6 == len(provider.requests)
    for within in traces:
        with pytest.raises(LimitExceeded):
            ask_in(within)


def test_nothing_stays_of_where_calls_were_made_from(provider: LocalProvider, instrument: Instrument) -> None:
    instrument(limits=[Limit(9, "calls", per="trace")])
    engine = Instrumentor().engine
    assert engine is not None

    for _ in range(5):
        with agent("short-lived"):
            chat(provider)
            chat(provider)
    engine.settle()  # a call is kept until its metrics are recorded

    gc.collect()
    assert not [one for one in gc.get_objects() if isinstance(one, Place)]


def test_without_a_trace_a_limit_per_trace_holds_for_the_block(
    provider: LocalProvider, instrument: Instrument, caplog: pytest.LogCaptureFixture
) -> None:
    instrument(limits=[Limit(2, "calls", per="trace", name="task")])

    for _ in range(2):
        with limits():
            chat(provider)
            chat(provider)
            with pytest.raises(LimitExceeded) as raised:
                chat(provider)

    assert raised.value.account.startswith("scope:")
    assert 4 == len(provider.requests)
    (warning,) = warnings(caplog)
    assert "it holds for the block of limits(...)" in warning


def test_without_a_trace_a_blocks_own_limit_per_trace_holds_in_blocks_inside_it(
    provider: LocalProvider, instrument: Instrument, caplog: pytest.LogCaptureFixture
) -> None:
    instrument()

    with limits(Limit(2, "calls", per="trace")):
        for _ in range(2):
            with limits():
                chat(provider)
        with pytest.raises(LimitExceeded), limits():
            chat(provider)

    assert 2 == len(provider.requests)
    warnings(caplog)


def test_a_block_inside_a_trace_leaves_the_traces_account_alone(
    provider: LocalProvider, instrument: Instrument
) -> None:
    instrument(limits=[Limit(2, "calls", per="trace")])

    with agent("a"):
        with limits():
            chat(provider)
        with limits():
            chat(provider)
            with pytest.raises(LimitExceeded):
                chat(provider)

    assert 2 == len(provider.requests)


# --- attribution -----------------------------------------------------------------------------


@pytest.mark.parametrize("case", WHOLE)
def test_each_user_has_an_account(case: Case, provider: LocalProvider, instrument: Instrument) -> None:
    instrument(limits=[Limit(1, "calls", per="user.id")])

    for user in ("u1", "u2"):
        with attribution(user_id=user):
            ask(case, provider)
            with pytest.raises(LimitExceeded) as raised:
                ask(case, provider)

    assert "user.id:u2" == raised.value.account
    assert {"user.id:u1": (1, 0), "user.id:u2": (1, 0)} == accounts()


def test_a_tuple_of_keys_is_one_subject(provider: LocalProvider, instrument: Instrument) -> None:
    instrument(limits=[Limit(1, "calls", per=("tenant", "team"))])

    for tenant, team in (("acme", "a"), ("acme", "b"), ("zeta", "a")):
        with attribution(tenant=tenant, team=team):
            chat(provider)
            with pytest.raises(LimitExceeded):
                chat(provider)

    assert {
        f"tracetoll.tenant:{tenant},tracetoll.team:{team}": (1, 0)
        for tenant, team in (("acme", "a"), ("acme", "b"), ("zeta", "a"))
    } == accounts()


def test_subjects_that_look_alike_are_told_apart(provider: LocalProvider, instrument: Instrument) -> None:
    instrument(limits=[Limit(1, "calls", per=("tenant", "team"))])

    for tenant, team in (("a", "b,tracetoll.team:c"), ("a,tracetoll.team:b", "c")):
        with attribution(tenant=tenant, team=team):
            chat(provider)

    assert 2 == len(provider.requests)


@pytest.mark.parametrize(
    ("per", "models"), [("model", ["gpt-4o", "gpt-4.1"]), ("gen_ai.request.model", ["gpt-4o", "gpt-4.1"])]
)
def test_each_model_has_an_account(
    per: str, models: list[str], provider: LocalProvider, instrument: Instrument
) -> None:
    instrument(limits=[Limit(1, "calls", per=per)])

    for model in models:
        chat(provider, model=model)
        with pytest.raises(LimitExceeded):
            chat(provider, model=model)

    assert {f"gen_ai.request.model:{model}": (1, 0) for model in models} == accounts()


def test_each_provider_has_an_account(provider: LocalProvider, instrument: Instrument) -> None:
    instrument(limits=[Limit(1, "calls", per="provider")])

    chat(provider)
    ask(CLAUDE_CASE, provider)
    for again in (lambda: chat(provider), lambda: ask(CLAUDE_CASE, provider)):
        with pytest.raises(LimitExceeded):
            again()

    assert {"gen_ai.provider.name:openai": (1, 0), "gen_ai.provider.name:anthropic": (1, 0)} == accounts()


@pytest.mark.parametrize("per", ["user.id", "my.own", ("user.id", "my.own")])
def test_calls_without_the_key_are_not_limited(
    per: str, provider: LocalProvider, instrument: Instrument, caplog: pytest.LogCaptureFixture
) -> None:
    instrument(limits=[Limit(1, "calls", per=per, name="by key")])

    with attribution(**{"my.own": "x"} if isinstance(per, tuple) else {}):
        for _ in range(3):
            chat(provider)

    assert 3 == len(provider.requests)
    (warning,) = warnings(caplog)
    assert "limit 'by key'" in warning
    assert "not limited" in warning
    assert {} == accounts()


def test_an_agents_name_is_a_key(provider: LocalProvider, instrument: Instrument) -> None:
    instrument(limits=[Limit(1, "calls", per="agent_name", where={"agent_name": "*"})])

    with agent("planner"):
        chat(provider)
        with pytest.raises(LimitExceeded):
            chat(provider)
    with agent("writer"):
        chat(provider)

    assert {"gen_ai.agent.name:planner": (1, 0), "gen_ai.agent.name:writer": (1, 0)} == accounts()


def test_a_block_has_accounts_of_its_own_for_keys(provider: LocalProvider, instrument: Instrument) -> None:
    instrument()

    for _ in range(2):
        with limits(Limit(1, "calls", per="user.id")), attribution(user_id="u1"):
            chat(provider)
            with pytest.raises(LimitExceeded):
                chat(provider)

    assert 2 == len(provider.requests)
    assert 2 == len(accounts())


# --- which calls are meant -------------------------------------------------------------------

MODELS = ("gpt-4o", "gpt-4o-mini", "gpt-4.1", "o4-mini")


@pytest.mark.parametrize(
    ("patterns", "meant"),
    [
        ("gpt-4o", ["gpt-4o"]),
        ("gpt-4o*", ["gpt-4o", "gpt-4o-mini"]),
        ("gpt-4?*", ["gpt-4o", "gpt-4o-mini", "gpt-4.1"]),
        ("*", list(MODELS)),
        (["gpt-4.1", "o4*"], ["gpt-4.1", "o4-mini"]),
        ("!gpt-4o*", ["gpt-4.1", "o4-mini"]),
        (["gpt-*", "!*-mini"], ["gpt-4o", "gpt-4.1"]),
        ("claude*", []),
    ],
)
def test_patterns_choose_models(
    patterns: str | list[str], meant: list[str], provider: LocalProvider, instrument: Instrument
) -> None:
    instrument(limits=[Limit(0, "calls", where={"model": patterns})])

    refused = []
    for model in MODELS:
        try:
            chat(provider, model=model)
        except LimitExceeded:
            refused.append(model)

    assert meant == refused
    assert [model for model in MODELS if model not in meant] == [one.body["model"] for one in provider.requests]


@pytest.mark.parametrize(
    ("where", "meant"),
    [
        ({"provider": "anthropic"}, ["claude"]),
        ({"provider": "!anthropic"}, ["chat", "embedding"]),
        ({"operation": "chat"}, ["chat", "claude"]),
        ({"operation": ["embeddings"]}, ["embedding"]),
        ({"provider": "openai", "operation": "chat"}, ["chat"]),
        ({"provider": "openai", "model": "claude*"}, []),
        ({}, ["chat", "embedding", "claude"]),
    ],
)
def test_patterns_choose_providers_and_operations(
    where: dict[str, Any], meant: list[str], provider: LocalProvider, instrument: Instrument
) -> None:
    instrument(limits=[Limit(0, "calls", where=where)])

    def embed() -> None:
        with client("openai", provider.url) as of:
            of.embeddings.create(model="text-embedding-3-small", input="one", encoding_format="float")

    asked: dict[str, Callable[[], Any]] = {
        "chat": lambda: chat(provider),
        "embedding": embed,
        "claude": lambda: ask(CLAUDE_CASE, provider),
    }
    refused = []
    for name, work in asked.items():
        try:
            work()
        except LimitExceeded:
            refused.append(name)

    assert meant == refused


@pytest.mark.parametrize(
    ("where", "meant"),
    [
        ({"tenant": "free-*"}, ["free-1"]),
        ({"tenant": ["free-*", "trial"]}, ["free-1", "trial"]),
        ({"tenant": "!paid"}, ["free-1", "trial", None]),
        ({"tenant": "*"}, ["free-1", "trial", "paid"]),
        ({"tenant": "free-*", "feature": "triage"}, []),
    ],
)
def test_patterns_choose_by_attribution(
    where: dict[str, Any], meant: list[str | None], provider: LocalProvider, instrument: Instrument
) -> None:
    instrument(limits=[Limit(0, "calls", where=where)])

    refused = []
    for tenant in ("free-1", "trial", "paid", None):
        with attribution(tenant=tenant):
            try:
                chat(provider)
            except LimitExceeded:
                refused.append(tenant)

    assert meant == refused


def test_patterns_choose_in_blocks_too(provider: LocalProvider, instrument: Instrument) -> None:
    instrument()

    with limits(Limit(0, "calls", where={"model": "gpt-4o", "tenant": "free-*"})), attribution(tenant="free-1"):
        chat(provider)
        with pytest.raises(LimitExceeded):
            chat(provider, model="gpt-4o")

    assert 1 == len(provider.requests)


def test_calls_that_are_not_meant_are_not_counted(provider: LocalProvider, instrument: Instrument) -> None:
    instrument(limits=[Limit(100, "calls", where={"model": "gpt-4o"})])

    chat(provider)
    chat(provider, model="gpt-4o")

    assert {"process": (1, 0)} == accounts()


def test_what_costs_no_tokens_is_not_limited(provider: LocalProvider, instrument: Instrument) -> None:
    instrument(limits=[Limit(0, "calls")])

    with client("openai", provider.url) as of:
        of.moderations.create(model="omni-moderation-latest", input="x")

    assert 1 == len(provider.requests)


def test_limits_come_from_the_environment_too(
    provider: LocalProvider, instrument: Instrument, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACETOLL_LIMITS", "1 call per user.id; 5000 tokens")
    instrument(limits=[Limit(2, "calls", per="tenant", where={"tenant": "*"})])

    with attribution(user_id="u1"):
        chat(provider)
        with pytest.raises(LimitExceeded, match="TRACETOLL_LIMITS"):
            chat(provider)

    assert {"user.id:u1": (1, 0), "process": (TOKENS, 0)} == accounts()


def test_uninstrument_ends_all_limits(provider: LocalProvider, instrument: Instrument) -> None:
    instrument(limits=[Limit(0, "calls")])
    Instrumentor().uninstrument()

    with limits(Limit(0, "calls")):
        chat(provider)

    assert 1 == len(provider.requests)
