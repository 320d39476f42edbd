"""The usage log: one record per call, whatever is sampled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import openai
import pytest
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from surfaces import client

from tracetoll import attribution
from tracetoll.local_provider import Reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Telemetry

    from tracetoll.local_provider import LocalProvider

MESSAGES: Any = [{"role": "user", "content": "hi"}]


def test_there_is_none_by_default(provider: LocalProvider, instrumented: Telemetry) -> None:
    with client("openai", provider.url) as of:
        of.chat.completions.create(model="gpt-4o", messages=MESSAGES)

    assert [] == instrumented.logs


def test_a_call_that_is_not_sampled_is_told_whole(
    provider: LocalProvider, telemetry: Telemetry, instrument: Callable[..., Telemetry]
) -> None:
    telemetry.tracer_provider.sampler = ALWAYS_OFF
    instrument(usage_log=True)

    with client("openai", provider.url) as of, attribution(user_id="u1", feature="triage"):
        of.chat.completions.create(model="gpt-4o", messages=MESSAGES)

    (log,) = telemetry.logs
    told = dict(log.attributes or {})
    assert () == telemetry.spans
    assert "tracetoll.usage" == log.event_name
    assert ("u1", "triage") == (told["user.id"], told["tracetoll.feature"])
    assert ("openai", "gpt-4o", "chat") == (
        told["gen_ai.provider.name"],
        told["gen_ai.request.model"],
        told["gen_ai.operation.name"],
    )
    assert provider.handed_out.input_tokens == told["gen_ai.usage.input_tokens"]
    assert told["tracetoll.cost.amount"] > 0
    assert told["tracetoll.cost.price_version"].startswith("genai-prices ")
    assert told["tracetoll.call.duration"] > 0
    assert "done" == told["tracetoll.call.outcome"]
    assert log.trace_id


def test_the_record_belongs_to_the_calls_span(provider: LocalProvider, instrument: Callable[..., Telemetry]) -> None:
    telemetry = instrument(usage_log=True)

    with client("openai", provider.url) as of:
        of.chat.completions.create(model="gpt-4o", messages=MESSAGES)

    (log,) = telemetry.logs
    span = telemetry.only_span().context
    assert (span.trace_id, span.span_id) == (log.trace_id, log.span_id)


def test_a_failed_call_is_told_too(provider: LocalProvider, instrument: Callable[..., Telemetry]) -> None:
    telemetry = instrument(usage_log=True)
    provider.enqueue(Reply.openai_error(429, "rate_limit_exceeded", "slow down"))

    with client("openai", provider.url) as of, pytest.raises(openai.RateLimitError):
        of.chat.completions.create(model="gpt-4o", messages=MESSAGES)

    told = dict(telemetry.logs[0].attributes or {})
    assert ("failed", "rate_limit_exceeded") == (told["tracetoll.call.outcome"], told["error.type"])
    assert "gen_ai.usage.input_tokens" not in told
