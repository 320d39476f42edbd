"""Response headers: rate limits in one form for every provider."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
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


@pytest.mark.parametrize(
    ("provider", "told", "limits"),
    [
        (
            "mistral_ai",
            {
                "x-ratelimit-limit-tokens-minute": "2000000",
                "x-ratelimit-remaining-tokens-minute": "1999893",
                "x-ratelimit-remaining-tokens-month": "9999999829",
                "x-ratelimit-remaining-req-10-second": "58",
                "x-ratelimit-tokens-query-cost": "21",
            },
            {
                ("tokens", "limit"): 2_000_000,
                ("tokens", "remaining"): 1_999_893,
                ("monthly_tokens", "remaining"): 9_999_999_829,
                ("requests", "remaining"): 58,
            },
        ),
        (
            "mistral_ai",
            {"ratelimitbysize-remaining": "41", "ratelimitbysize-reset": "37"},
            {("tokens", "remaining"): 41, ("tokens", "reset"): 37.0},
        ),
        (
            "cohere",
            {
                "x-trial-endpoint-call-limit": "40",
                "x-trial-endpoint-call-remaining": "39",
                "x-endpoint-monthly-call-limit": "1000",
            },
            {("requests", "limit"): 40, ("requests", "remaining"): 39, ("monthly_requests", "limit"): 1000},
        ),
        (
            "openai",
            {
                "x-ratelimit-remaining-input-images": "9",
                "x-ratelimit-remaining-project-tokens": "7",
                "retry-after": "3",
            },
            {("input_images", "remaining"): 9, ("project_tokens", "remaining"): 7},
        ),
        (
            "azure.ai.openai",
            {"x-ratelimit-renewalperiod-tokens": "60", "x-ratelimit-abusepenalty-active": "False"},
            {("tokens", "period"): 60},
        ),
        (
            "together_ai",
            {"x-ratelimit-limit": "2", "x-ratelimit-reset": "1"},
            {("requests", "limit"): 2, ("requests", "reset"): 1.0},
        ),
        ("hugging_face", {"retry-after": "12"}, {("requests", "reset"): 12.0}),
        (
            "litellm",
            {
                "x-ratelimit-remaining-requests": "5",
                "llm_provider-x-ratelimit-remaining-requests": "9",
                "llm_provider-x-ratelimit-reset-tokens": "1m30s",
                "llm_provider-x-request-id": "req_1",
            },
            {("requests", "remaining"): 5, ("tokens", "reset"): 90.0},
        ),
    ],
)
def test_each_provider_has_names_of_its_own(
    provider: str, told: dict[str, str], limits: dict[tuple[str, str], float]
) -> None:
    found = headers.read([(name.encode(), value.encode()) for name, value in told.items()], provider)

    assert limits == found.limits
    assert found.request_id is None


def test_the_length_of_a_period_is_told_and_is_no_limit(provider: LocalProvider, instrumented: Telemetry) -> None:
    with client("openai", provider.url) as of:
        provider.enqueue(Reply(json={}, headers={"x-ratelimit-renewalperiod-requests": "60"}))
        of.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])

    assert 60 == instrumented.told()["tracetoll.rate_limit.requests.period_seconds"]
    assert not instrumented.metrics()["tracetoll.rate_limit.limit"]


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


RETRY_INFO = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "21s"}


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "7", "retry-after-ms": "6800"}, 6.8),
        ({"x-ms-retry-after-ms": "900", "retry-after": "1"}, 0.9),
        ({"retry-after": "later"}, None),
        ({"retry-after-ms": "later", "retry-after": "2"}, 2.0),
        ({}, None),
    ],
)
def test_a_call_that_is_turned_away_says_when_to_ask_again(
    told: dict[str, str], seconds: float | None, provider: LocalProvider, instrumented: Telemetry
) -> None:
    error = Reply.openai_error(429, "rate_limit_exceeded", "slow down")
    provider.enqueue(Reply(429, json=error.json, headers=told))
    with client("openai", provider.url) as of, pytest.raises(Exception, match="slow down"):
        of.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])

    assert seconds == instrumented.told().get("tracetoll.rate_limit.retry_after_seconds")


def test_a_date_to_ask_again_at_is_counted_from_now() -> None:
    at = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)

    found = headers.read([(b"Retry-After", at.encode())], "openai").retry_after_s

    assert found is not None
    assert 3500 < found <= 3600


def test_google_says_when_to_ask_again_in_the_body(provider: LocalProvider, instrumented: Telemetry) -> None:
    pytest.importorskip("google.genai")
    details = [{"@type": "type.googleapis.com/google.rpc.Help"}, RETRY_INFO]
    error = {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED", "details": details}
    provider.enqueue(Reply(429, json={"error": error}))
    with client("google_genai", provider.url) as of, pytest.raises(Exception, match="slow down"):
        of.models.generate_content(model="gemini-2.5-flash", contents="hi")

    assert 21.0 == instrumented.told()["tracetoll.rate_limit.retry_after_seconds"]


def test_a_good_answer_that_says_when_to_ask_again_was_not_turned_away(
    provider: LocalProvider, instrumented: Telemetry
) -> None:
    replies = provider.built_in
    provider.on("", lambda received: replace(replies(received), headers={"retry-after": "7"}))
    with client("anthropic", provider.url) as of:
        of.messages.create(model="claude-haiku-4-5", max_tokens=9, messages=[{"role": "user", "content": "hi"}])

    assert "tracetoll.rate_limit.retry_after_seconds" not in instrumented.told()
