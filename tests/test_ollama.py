"""What is particular to ollama: functions of the module, counts that may be missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from limit_calls import accounts
from surfaces import MESSAGES, Case, both, cases
from surfaces.sdks.ollama import CHAT

from tracetoll import Limit
from tracetoll.local_provider import Reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Telemetry

    from tracetoll.local_provider import LocalProvider


@pytest.mark.parametrize("stream", [False, True])
def test_functions_of_the_module_are_counted(
    stream: bool, provider: LocalProvider, instrumented: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    ollama, httpx = pytest.importorskip("ollama"), pytest.importorskip("httpx")
    with httpx.Client(base_url=provider.url, verify=False) as http:
        monkeypatch.setattr(ollama.chat.__self__, "_client", http)

        answer = ollama.chat(model="llama3.2", messages=MESSAGES, stream=stream)
        if stream:
            list(answer)

    told = instrumented.told()
    assert provider.handed_out.input_tokens == told["gen_ai.usage.input_tokens"]
    assert provider.handed_out.output_tokens == told["gen_ai.usage.output_tokens"]


@pytest.mark.parametrize("case", cases((CHAT,), both("whole")))
def test_a_prompt_that_was_in_the_cache_has_no_count_and_not_0(
    case: Case, provider: LocalProvider, instrumented: Telemetry
) -> None:
    end = {"done": True, "done_reason": "stop", "eval_count": 38}
    message = {"role": "assistant", "content": "Two euros"}
    provider.enqueue(Reply(json={"model": "llama3.2", "created_at": "2026-01-01T00:00:00Z", "message": message, **end}))

    case.ask(provider.url)

    told = instrumented.told()
    assert 38 == told["gen_ai.usage.output_tokens"]
    assert "gen_ai.usage.input_tokens" not in told


@pytest.mark.parametrize("case", cases((CHAT,), both("whole", "stream")))
def test_a_server_that_is_not_there_costs_nothing(case: Case, instrument: Callable[..., Telemetry]) -> None:
    telemetry = instrument(limits=[Limit(10**6, "tokens", per="process")])

    seen = case.ask("http://127.0.0.1:9")

    assert seen.error is not None
    assert "failed" == telemetry.told()["tracetoll.call.outcome"]
    assert [(0, 0)] == list(accounts().values())


@pytest.mark.parametrize("case", cases((CHAT,), both("stream")))
def test_an_error_in_a_stream_has_its_class_for_a_type(
    case: Case, provider: LocalProvider, instrumented: Telemetry
) -> None:
    lines = b'{"model":"llama3.2","message":{"role":"assistant","content":"Two"},"done":false}\n{"error":"no memory"}\n'
    provider.enqueue(Reply(body=lines, headers={"content-type": "application/x-ndjson"}))

    seen = case.ask(provider.url)

    assert seen.error is not None
    assert "ollama._types.ResponseError" == instrumented.told()["error.type"]
