"""Response headers: rate limits in one form for every provider."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from surfaces import client

from tracetoll import headers
from tracetoll.local_provider import Reply

if TYPE_CHECKING:
    from conftest import Telemetry

    from tracetoll.local_provider import LocalProvider


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2ms", 0.002), ("0s", 0.0), ("17.4s", 17.4), ("1m30s", 90.0), ("6m0s", 360.0), ("1h2m3s", 3723.0), ("7", 7.0)],
)
def test_a_reset_is_in_seconds_however_it_is_written(text: str, seconds: float) -> None:
    found = headers.read([(b"X-RateLimit-Reset-Tokens", text.encode())], "openai")

    assert {("tokens", "reset"): seconds} == found.limits


def test_a_reset_at_a_time_is_counted_from_now() -> None:
    at = (datetime.now(UTC) + timedelta(seconds=30)).isoformat().replace("+00:00", "Z")

    found = headers.read([(b"anthropic-ratelimit-input-tokens-reset", at.encode())], "anthropic")

    assert 29 < found.limits["input_tokens", "reset"] <= 30


@pytest.mark.parametrize("text", ["", "soon", "-1s", "1x", "NaN"])
def test_what_is_no_duration_is_left_out(text: str) -> None:
    assert {} == headers.read([(b"x-ratelimit-reset-tokens", text.encode())], "openai").limits


def test_the_unit_of_azures_plain_numbers_is_not_guessed() -> None:
    found = headers.read(
        [(b"x-ratelimit-reset-tokens", b"500"), (b"x-ratelimit-remaining-tokens", b"9")], "azure.ai.openai"
    )

    assert {("tokens", "remaining"): 9} == found.limits


def test_limits_are_attributes_and_gauges(provider: LocalProvider, instrumented: Telemetry) -> None:
    with client("anthropic", provider.url) as of:
        of.messages.create(model="claude-haiku-4-5", max_tokens=9, messages=[{"role": "user", "content": "hi"}])

    told = instrumented.told()
    (request,) = provider.requests
    assert request.path == "/v1/messages"
    gauges = {
        point.attributes["tracetoll.rate_limit.kind"]: point.value
        for point in instrumented.metrics()["tracetoll.rate_limit.remaining"]
    }
    assert gauges["input_tokens"] == told["tracetoll.rate_limit.input_tokens.remaining"]
    assert {"requests", "tokens", "input_tokens", "output_tokens"} == set(gauges)
    assert told["tracetoll.request.id"].startswith("req_")


def test_the_limits_of_a_refused_request_are_seen_too(provider: LocalProvider, instrumented: Telemetry) -> None:
    error = Reply.openai_error(429, "rate_limit_exceeded", "slow down")
    provider.enqueue(Reply(429, json=error.json, headers={"x-ratelimit-remaining-requests": "0"}))
    with client("openai", provider.url) as of, pytest.raises(Exception, match="slow down"):
        of.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])

    assert 0 == instrumented.told()["tracetoll.rate_limit.requests.remaining"]
