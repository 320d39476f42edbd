"""Settings: arguments win over variables; a wrong value is named once, and the default holds."""

from __future__ import annotations

from typing import Any

import pytest

from tracetoll.config import Settings, read_settings

WRONG = [
    ("TRACETOLL_STREAM_USAGE", "sometimes", "known, always, never"),
    ("TRACETOLL_ALIASES", "nobody", "openinference"),
    ("TRACETOLL_METRICS", "standard,everything", "distributions"),
    ("TRACETOLL_CONSOLE", "table", "none, tree"),
    ("TRACETOLL_USAGE_LOG", "perhaps", "true or false"),
    ("TRACETOLL_COST_DETAILS", "2", "true or false"),
    ("TRACETOLL_RATE_LIMITS", "maybe", "true or false"),
    ("TRACETOLL_PROVIDER_HOSTS", "llm.corp.example", "host=provider"),
    ("TRACETOLL_PROMPT_FINGERPRINT_KEY", "short", "at least 16 characters"),
    ("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "true", "span_only"),
]
RIGHT: list[tuple[str, str, str, Any]] = [
    ("TRACETOLL_PROVIDERS", "openai, anthropic", "providers", ("openai", "anthropic")),
    ("TRACETOLL_STREAM_USAGE", "Never", "stream_usage", "never"),
    ("TRACETOLL_ALIASES", "none", "aliases", frozenset()),
    ("TRACETOLL_METRICS", "cost", "metrics", frozenset({"cost"})),
    ("TRACETOLL_CONSOLE", "Tree", "console", "tree"),
    ("TRACETOLL_USAGE_LOG", "on", "usage_log", True),
    ("TRACETOLL_METRIC_ATTRIBUTES", "feature,my.own", "metric_attributes", frozenset({"tracetoll.feature", "my.own"})),
    ("TRACETOLL_PROVIDER_HOSTS", "LLM.corp=openai", "provider_hosts", {"llm.corp": "openai"}),
    ("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "SPAN_ONLY", "content", "span_only"),
]


@pytest.mark.parametrize(("variable", "value", "allowed"), WRONG)
def test_a_wrong_value_is_named_with_what_is_allowed(
    variable: str, value: str, allowed: str, caplog: pytest.LogCaptureFixture
) -> None:
    found = read_settings(environment={variable: value})

    (message,) = [record.getMessage() for record in caplog.records]
    assert variable in message
    assert allowed in message
    assert "default" in message
    assert Settings() == found


def test_a_secret_is_not_shown_in_the_warning(caplog: pytest.LogCaptureFixture) -> None:
    read_settings(environment={"TRACETOLL_PROMPT_FINGERPRINT_KEY": "hush"})

    assert "hush" not in caplog.text


@pytest.mark.parametrize(("variable", "value", "name", "expected"), RIGHT)
def test_a_variable_is_read(variable: str, value: str, name: str, expected: object) -> None:
    assert expected == getattr(read_settings(environment={variable: value}), name)


def test_an_argument_wins_over_its_variable() -> None:
    found = read_settings({"usage_log": True, "aliases": None}, {"TRACETOLL_USAGE_LOG": "false"})

    assert found.usage_log


def test_a_wrong_argument_never_raises(caplog: pytest.LogCaptureFixture) -> None:
    found = read_settings({"stream_usage": 7, "metrics": object(), "no_such": 1}, {})

    assert Settings() == found
    assert 3 == len(caplog.records)
    assert "no_such" in caplog.text


def test_an_empty_variable_counts_as_not_set(caplog: pytest.LogCaptureFixture) -> None:
    assert Settings() == read_settings(environment={"TRACETOLL_METRICS": ""})
    assert [] == caplog.records
