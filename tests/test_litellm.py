"""What is peculiar to LiteLLM: what it asks for in another format than it was asked in, estimates, limits."""

from __future__ import annotations

import importlib
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import pytest
from surfaces import MESSAGES, SDKS, each, run, settled
from surfaces.sdks.litellm import log_nothing

from tracetoll import Limit, LimitExceeded, agent, attribution, limits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from conftest import Telemetry

    from tracetoll.local_provider import LocalProvider, Received, Reply

litellm: Any = pytest.importorskip("litellm")
log_nothing()

pytestmark = [
    *map(pytest.mark.filterwarnings, SDKS["litellm"].warns),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # by what its proxy imports
]

EMBEDDING = {"input": ["one", "two words"]}
IMAGE = {"prompt": "a toll bridge"}
CLAUDE = {"model": "anthropic/claude-haiku-4-5", "max_tokens": 50}
GPT = {"model": "gpt-4o-mini"}
OSS = {"model": "groq/openai/gpt-oss-20b", "max_tokens": 50}
ASKED: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "a response": ("aresponses", {**GPT, "input": "hi"}),
    "a response by a completion": ("aresponses", {"model": CLAUDE["model"], "input": "hi"}),
    "a message": ("messages", {**CLAUDE, "messages": MESSAGES}),
    "a message by a response": ("messages", {**GPT, "max_tokens": 50, "messages": MESSAGES}),
    "a message by a completion": (
        "messages",
        {**OSS, "messages": MESSAGES},
    ),
    "embeddings": ("aembedding", {"model": "text-embedding-3-small", **EMBEDDING}),
    "an image": ("aimage_generation", {"model": "gpt-image-1", **IMAGE}),
}
STREAMED = [name for name in ASKED if name not in {"embeddings", "an image"}]


def ask(name: str, url: str, **more: Any) -> list[Any]:
    """Return an answer, or the elements of a stream."""
    function, arguments = ASKED[name]
    where = url if arguments["model"] == CLAUDE["model"] else f"{url}/v1"

    async def answer() -> list[Any]:
        asking = litellm.anthropic.messages.acreate if function == "messages" else getattr(litellm, function)
        answer = await settled(asking(api_base=where, api_key="none", max_retries=0, **arguments, **more))
        return [one async for one in each(answer)] if more.get("stream") else [answer]

    return run(answer(), asynchronous=True)  # type: ignore[no-any-return]


def without_usage(told: Any) -> Any:
    if isinstance(told, dict):
        return {name: without_usage(value) for name, value in told.items() if name != "usage"}
    return type(told)(map(without_usage, told)) if isinstance(told, list | tuple) else told


@pytest.fixture
def silent(provider: LocalProvider) -> LocalProvider:
    """Return a provider that does not tell what was used."""

    def answer(received: Received) -> Reply:
        whole = provider.built_in(received)
        events = None if whole.events is None else [without_usage(event) for event in whole.events]
        return replace(whole, json=without_usage(whole.json), events=events)

    provider.on("", answer)
    return provider


def reported(told: Mapping[str, Any]) -> tuple[int, int]:
    return told["gen_ai.usage.input_tokens"], told.get("gen_ai.usage.output_tokens", 0)


@pytest.mark.parametrize("name", ASKED)
def test_whatever_it_asks_for_is_one_call(name: str, provider: LocalProvider, instrumented: Telemetry) -> None:
    ask(name, provider.url)

    used = asdict(provider.handed_out)
    assert (used["input_tokens"], used["output_tokens"]) == reported(instrumented.told())


@pytest.mark.parametrize("name", STREAMED)
def test_whatever_it_streams_is_one_call(name: str, provider: LocalProvider, instrumented: Telemetry) -> None:
    ask(name, provider.url, stream=True)

    used = asdict(provider.handed_out)
    assert (used["input_tokens"], used["output_tokens"]) == reported(instrumented.told())
    assert ("stop",) == instrumented.told()["gen_ai.response.finish_reasons"]


@pytest.mark.parametrize("name", ["a response", "embeddings", "an image"])
def test_what_the_provider_does_not_tell_is_missing(name: str, silent: LocalProvider, instrumented: Telemetry) -> None:
    ask(name, silent.url)

    told = instrumented.told()
    assert "missing" == told["tracetoll.usage.source"]
    assert not [one for one in told if one.startswith("gen_ai.usage.")]


@pytest.mark.parametrize("name", ["a response", "a message by a response", "a message by a completion"])
def test_what_litellm_estimates_of_a_stream_is_not_counted(
    name: str, silent: LocalProvider, instrumented: Telemetry
) -> None:
    elements = ask(name, silent.url, stream=True)

    assert "usage" in str(elements[-3:])  # it does estimate
    assert "missing" == instrumented.told()["tracetoll.usage.source"]


@pytest.mark.parametrize("name", ASKED)
def test_a_refused_call_sends_nothing_and_tells_why(
    name: str, provider: LocalProvider, instrument: Callable[..., Telemetry]
) -> None:
    instrument(limits=[Limit(1, "calls", per="process")])
    ask("embeddings", provider.url)

    with pytest.raises(LimitExceeded):
        ask(name, provider.url)

    assert 1 == len(provider.requests)


def test_what_it_runs_in_a_loop_of_its_own_knows_its_caller(provider: LocalProvider, instrumented: Telemetry) -> None:
    # A router of LiteLLM 1.80 or 1.95 that is asked synchronously in an event loop has this ask, in another thread.
    asyncify = importlib.import_module("litellm.litellm_core_utils.asyncify")
    arguments = {**GPT, "messages": MESSAGES, "api_base": f"{provider.url}/v1", "api_key": "none", "max_retries": 0}

    async def ask_synchronously() -> None:
        with attribution(user_id="u1"), agent("planner"), limits() as spend:
            asyncify.run_async_function(litellm.acompletion, **arguments)
        assert 1 == spend.calls

    run(ask_synchronously(), asynchronous=True)

    call, planner = instrumented.spans
    assert "u1" == (call.attributes or {})["user.id"]
    assert call.parent is not None
    assert planner.context.span_id == call.parent.span_id


def test_a_router_that_is_asked_in_an_event_loop_counts_once(provider: LocalProvider, instrumented: Telemetry) -> None:
    model = {**GPT, "api_base": f"{provider.url}/v1", "api_key": "none", "max_retries": 0}

    async def ask_synchronously() -> None:
        router = litellm.Router(model_list=[{"model_name": "any", "litellm_params": model}])
        with limits() as spend:
            router.completion("any", MESSAGES)
        assert (1, provider.handed_out.input_tokens) == (spend.calls, spend.usage.input_tokens)

    run(ask_synchronously(), asynchronous=True)

    assert 1 == len(instrumented.spans)
