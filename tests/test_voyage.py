"""What is particular to voyageai: models of its own in the application's process, attempts below its methods."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from surfaces import Case, both, cases, inside, run
from surfaces.sdks.voyage import EMBED

from tracetoll import Limit, LimitExceeded
from tracetoll.local_provider import Reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Telemetry

    from tracetoll.local_provider import LocalProvider


def embedded(**_: Any) -> Any:
    return SimpleNamespace(embeddings=[[0.5]], total_tokens=3)


@pytest.mark.parametrize("case", cases((EMBED,), both("whole")))
def test_a_model_in_the_applications_own_process_is_no_call(
    case: Case, provider: LocalProvider, instrumented: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("voyageai.local.helpers")
    monkeypatch.setattr("voyageai.client.embed_local", embedded)
    monkeypatch.setattr("voyageai.client_async.embed_local", embedded)

    async def use() -> Any:
        async with inside(case.client(provider.url)) as of:
            return await case.answer(of, model="voyage-4-nano")

    answer = run(use(), asynchronous=case.asynchronous)

    assert [[0.5]] == answer.embeddings
    assert [] == provider.requests
    assert () == instrumented.spans


@pytest.mark.parametrize("case", cases((EMBED,), both("whole")))
def test_attempts_are_one_call(case: Case, provider: LocalProvider, instrumented: Telemetry) -> None:
    provider.enqueue(Reply(429, json={"detail": "Slower"}))

    case.ask(provider.url, max_retries=2)

    assert 2 == len(provider.requests)
    assert 2 == instrumented.told()["tracetoll.attempt_count"]
    assert provider.handed_out.input_tokens == instrumented.told()["gen_ai.usage.input_tokens"]


@pytest.mark.parametrize("case", cases((EMBED,), both("whole")))
def test_a_refusal_is_not_tried_again(
    case: Case, provider: LocalProvider, instrument: Callable[..., Telemetry]
) -> None:
    instrument(limits=[Limit(1, "calls", per="process")])
    case.ask(provider.url)

    seen = case.ask(provider.url, max_retries=3)

    assert seen.error is not None
    assert LimitExceeded is seen.error[0]
    assert 1 == len(provider.requests)
