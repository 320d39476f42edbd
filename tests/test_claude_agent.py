"""Turns of an agent in a process of its own: each result of claude-agent-sdk is one call, counted when it is told."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Telemetry

pytest.importorskip("claude_agent_sdk", reason="it brings a program of 400 MB, so no environment has it")

STARTED = {"type": "system", "subtype": "init", "session_id": "s1", "model": "claude-sonnet-4-5"}
USED = {"input_tokens": 10, "cache_creation_input_tokens": 5, "cache_read_input_tokens": 7, "output_tokens": 101}


def turn(number: int) -> dict[str, Any]:
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
    }


def tell(*told: dict[str, Any]) -> list[Any]:
    """Return the messages that an application gets of what the process tells."""
    parse = importlib.import_module("claude_agent_sdk._internal.client").parse_message
    return [parse(one) for one in told]


@pytest.mark.usefixtures("instrumented")
def test_each_result_is_one_call(telemetry: Telemetry) -> None:
    *_, last = tell(STARTED, turn(1), turn(1), turn(2))

    first, second = telemetry.spans
    assert "ResultMessage" == type(last).__name__
    assert "chat claude-sonnet-4-5" == first.name == second.name
    assert "anthropic" == first.attributes["gen_ai.provider.name"]
    assert 22 == first.attributes["gen_ai.usage.input_tokens"]
    assert 101 == second.attributes["gen_ai.usage.output_tokens"]


def test_the_very_same_function_comes_back(instrument: Callable[..., Telemetry]) -> None:
    parser = importlib.import_module("claude_agent_sdk._internal.message_parser")
    before = parser.parse_message
    instrument()
    tell(STARTED)

    importlib.import_module("tracetoll").Instrumentor().uninstrument()

    assert before is parser.parse_message
