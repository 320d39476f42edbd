"""Whatever of ours fails, and wherever: the application does not notice, and no reservation stays."""

from __future__ import annotations

import asyncio
import gc
import importlib
import inspect
import logging
from typing import TYPE_CHECKING, Any

import openai
import pytest

from tracetoll import Instrumentor, Limit, LimitExceeded, safety
from tracetoll.engine import Engine
from tracetoll.ledgers.memory import MemoryLedger
from tracetoll.local_provider import LocalProvider, Reply
from tracetoll.signals import Signals, Standing

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Telemetry


MODULES = (
    "admission",
    "assumed",
    "checks",
    "claim",
    "claiming",
    "estimate",
    "following",
    "kinds",
    "rules",
    "settling",
    "telling",
    "waiting",
)
LIMITS = [
    Limit(10_000_000, "tokens", per="process", at={0.000001: "warn", 1.0: ("clamp", "cut")}),
    Limit(1_000, "usd", per="gen_ai.request.model", window="day", strict=True),
    Limit(100_000_000, "tokens", window="1m", at={0.5: "reroute gpt-4o-mini", 1.0: "throttle"}),
    Limit(10, "tokens", per="call", shadow=True),
    Limit(1_000_000, "tokens", per="call", at={0.0000001: "warn", 1.0: "cut"}),
]
PLAIN = [
    Limit(10_000_000, "tokens", per="process", at={0.000001: "warn", 1.0: "block"}),
    Limit(9, "usd", per="gen_ai.request.model"),
]
"""With these, calls take the short way."""


def places() -> list[tuple[Any, str]]:
    """Return every function and method that limits are made of, and the engine's own around them."""
    found: list[tuple[Any, str]] = []
    owners: list[Any] = [Engine, Signals, Standing]
    for name in MODULES:
        module = importlib.import_module(f"tracetoll.limits.{name}")
        owners.append(module)
        owners += [
            value for value in vars(module).values() if inspect.isclass(value) and value.__module__ == module.__name__
        ]
    for owner in owners:
        for name, value in vars(owner).items():
            function = value.__func__ if isinstance(value, staticmethod) else value
            own = getattr(function, "__module__", None) == getattr(owner, "__module__", owner.__name__)
            if inspect.isfunction(function) and own and name not in NOT_OURS_TO_FAIL:
                found.append((owner, name))
    return [*found, (MemoryLedger, "take"), (MemoryLedger, "give")]


# What is called outside of a call, or what a failing process has to rely on: giving a reservation back.
NOT_OURS_TO_FAIL = {
    "__init__", "use", "hold_to", "watch", "settle_all", "drop", "_freed", "freed", "__bool__", "preload",
}  # fmt: skip


def drop_a_stream(client: openai.OpenAI, asked: dict[str, Any]) -> None:
    # Collected by chance inside of httpcore's pool, whose lock is not re-entrant, a dropped stream hangs by itself.
    gc.disable()
    dropped = client.chat.completions.create(**asked, stream=True)
    next(iter(dropped))
    del dropped
    gc.collect(0)
    gc.enable()


class InjectedError(Exception):
    pass


def calls(provider: LocalProvider) -> None:
    """Make calls of all kinds; nothing but what the provider says may come out of them."""
    url = provider.url
    asked: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}
    with openai.OpenAI(
        base_url=f"{url}/v1",
        api_key="k",
        max_retries=0,
        http_client=openai.DefaultHttpxClient(verify=False),  # loading certificates takes longest
    ) as client:
        client.chat.completions.create(**asked)
        client.embeddings.create(model="text-embedding-3-small", input="hello")
        for _ in client.chat.completions.create(**asked, stream=True):
            pass
        left = client.chat.completions.create(**asked, stream=True)
        next(iter(left))
        left.close()
        drop_a_stream(client, asked)
        provider.enqueue(Reply.openai_error(404, "no_such_model", "there is no such model"))
        with pytest.raises(openai.NotFoundError):
            client.chat.completions.create(**asked)

    async def more() -> None:
        async with openai.AsyncOpenAI(
            base_url=f"{url}/v1",
            api_key="k",
            max_retries=0,
            http_client=openai.DefaultAsyncHttpxClient(verify=False),  # there is no TLS
        ) as client:
            await client.chat.completions.create(**asked)
            async for _ in await client.chat.completions.create(**asked, stream=True):
                pass

    asyncio.run(more())


@pytest.mark.parametrize("given", [LIMITS, PLAIN], ids=["all kinds", "plain"])
@pytest.mark.parametrize(
    ("owner", "name"), places(), ids=lambda one: one if isinstance(one, str) else one.__name__.rpartition(".")[2]
)
def test_a_fault_of_ours_leaves_the_application_and_the_accounts_alone(
    owner: Any,
    name: str,
    given: list[Limit],
    provider: LocalProvider,
    instrument: Callable[..., Telemetry],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.delenv(safety.RAISE_FAULTS_VARIABLE)
    instrument(limits=given)
    engine = Instrumentor().engine
    assert engine is not None
    real = inspect.getattr_static(owner, name)

    def failing(*_: object, **__: object) -> Any:
        raise InjectedError

    monkeypatch.setattr(owner, name, staticmethod(failing) if isinstance(real, staticmethod) else failing)

    calls(provider)

    monkeypatch.undo()
    engine.settle()
    assert {balance.reserved for _, balance in engine.admission.ledger.balances()} <= {0}
    caplog.clear()  # faults are logged, and the telemetry fixture wants nothing to be


@pytest.mark.parametrize("given", [LIMITS, PLAIN], ids=["all kinds", "plain"])
def test_the_calls_of_this_test_go_both_ways(
    given: list[Limit],
    provider: LocalProvider,
    instrument: Callable[..., Telemetry],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    taken = []
    take = MemoryLedger.take
    monkeypatch.setattr(MemoryLedger, "take", lambda *args: taken.append(take(*args)) or taken[-1])
    instrument(limits=given)
    calls(provider)
    assert (given is PLAIN) == any(taken)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert issubclass(LimitExceeded, RuntimeError)
