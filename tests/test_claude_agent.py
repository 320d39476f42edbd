"""What is peculiar to claude-agent-sdk: sessions of several turns, results told again, turns that failed and cost."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import pytest
from surfaces import SDKS, run

if TYPE_CHECKING:
    from conftest import Telemetry

    from tracetoll.local_provider import LocalProvider

pytest.importorskip("claude_agent_sdk")

MODEL = "claude-sonnet-4-5"
STARTED = {"type": "system", "subtype": "init", "session_id": "s1", "model": MODEL}
USED = {"input_tokens": 10, "cache_creation_input_tokens": 5, "cache_read_input_tokens": 7, "output_tokens": 101}


def result(number: int, **more: Any) -> dict[str, Any]:
    """Return what the agent's process tells at the end of a turn; the cost is that of the session so far."""
    return {
        "type": "result",
        "subtype": "success",
        "uuid": f"result-{number}",
        "session_id": "s1",
        "duration_ms": 1,
        "duration_api_ms": 1,
        "is_error": False,
        "num_turns": 1,
        "stop_reason": "end_turn",
        "total_cost_usd": 0.0015 * number,
        "usage": USED,
        **more,
    }


def tell(*told: dict[str, Any]) -> list[Any]:
    """Return the messages that an application gets of what the process tells."""
    parse = importlib.import_module("claude_agent_sdk._internal.client").parse_message
    return [parse(one) for one in told]


def test_each_turn_of_a_session_is_one_call(provider: LocalProvider, instrumented: Telemetry) -> None:
    agent = SDKS["claude_agent"].client(provider.url, True)  # noqa: FBT003  # `Sdk.client` says so

    run(agent.session("What does it cost?", "And who is to pay?", model=MODEL), asynchronous=True)

    spans = instrumented.spans
    used = provider.handed_out
    assert 2 == used.calls
    assert [f"chat {MODEL}"] * 2 == [span.name for span in spans]
    assert used.output_tokens == sum((span.attributes or {})["gen_ai.usage.output_tokens"] for span in spans)


def test_a_result_that_is_told_again_counts_once(instrumented: Telemetry) -> None:
    *_, last = tell(STARTED, result(1), result(1), result(2))

    first, second = instrumented.spans
    assert "ResultMessage" == type(last).__name__
    assert f"chat {MODEL}" == first.name == second.name
    assert 22 == first.attributes["gen_ai.usage.input_tokens"]
    assert 101 == second.attributes["gen_ai.usage.output_tokens"]


def test_a_turn_that_failed_for_no_reason_told_is_an_error(instrumented: Telemetry) -> None:
    tell(STARTED, result(1, is_error=True))

    assert "error" == instrumented.told()["error.type"]


def test_a_turn_that_failed_counts_what_it_used(instrumented: Telemetry) -> None:
    tell(STARTED, result(1, subtype="error_max_turns", is_error=True, terminal_reason="max_turns"))

    told = instrumented.told()
    assert ("failed", "max_turns") == (told["tracetoll.call.outcome"], told["error.type"])
    assert (22, 101) == (told["gen_ai.usage.input_tokens"], told["gen_ai.usage.output_tokens"])
