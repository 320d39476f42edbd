"""What is particular to ibm-watsonx-ai: reranking is not asynchronous, and attempts are below a model's methods."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from surfaces import Case, cases
from surfaces.sdks.watsonx import CHAT, RERANK, rejected

if TYPE_CHECKING:
    from conftest import Telemetry

    from tracetoll.local_provider import LocalProvider


@pytest.mark.parametrize("case", cases((RERANK,), ("whole",)))
def test_reranking_is_counted(case: Case, provider: LocalProvider, instrumented: Telemetry) -> None:
    case.ask(provider.url)

    told = instrumented.told()
    assert "rerank" == told["gen_ai.operation.name"]
    assert provider.handed_out.input_tokens == told["gen_ai.usage.input_tokens"] > 0


@pytest.mark.parametrize("case", cases((CHAT,), ("whole", "stream", "async stream")))
def test_attempts_are_one_call(case: Case, provider: LocalProvider, instrumented: Telemetry) -> None:
    provider.enqueue(rejected(429))

    case.ask(provider.url, max_retries=2, delay_time=0.001)

    assert 2 == len(provider.requests)
    assert provider.handed_out.input_tokens == instrumented.told()["gen_ai.usage.input_tokens"]
