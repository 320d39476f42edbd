"""Where limits are given: in code, in a variable, in a policy file that changes while the application runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import openai
import pytest

from tracetoll import Instrumentor, Limit, LimitExceeded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Telemetry

    from tracetoll.local_provider import LocalProvider


@pytest.fixture
def ask(provider: LocalProvider) -> Iterator[Callable[[], Any]]:
    with openai.OpenAI(base_url=f"{provider.url}/v1", api_key="k", max_retries=0) as client:

        def asked() -> Any:
            return client.chat.completions.create(
                model="gpt-4o", messages=[{"role": "user", "content": "hello"}], max_tokens=50
            )

        yield asked


def write(path: Path, text: str) -> None:
    """Write a policy that is newer than the last one, however coarse the file system's clock is."""
    before = path.stat().st_mtime_ns if path.exists() else 0
    path.write_text(text)
    os.utime(path, ns=(before + 10**9, before + 10**9))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("50 tokns per trace", "did you mean 'tokens'"),
        ([Limit(5, "tokens"), "5 tokens per dayly"], "dayly"),
        (7, "not a limit"),
        (Path("no-such-policy.yaml"), "no-such-policy.yaml"),
    ],
    ids=["text", "one of several", "a number", "no file"],
)
def test_wrong_limits_in_code_are_refused_and_nothing_is_instrumented(wrong: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Instrumentor().instrument(limits=wrong)

    assert not Instrumentor().is_instrumented_by_opentelemetry


@pytest.mark.parametrize("ledger", ["redis://localhost", "sqlite:///spend.db", object()])
def test_a_ledger_that_is_not_known_is_refused(ledger: Any) -> None:
    with pytest.raises(ValueError, match="'memory'"):
        Instrumentor().instrument(ledger=ledger)

    assert not Instrumentor().is_instrumented_by_opentelemetry


def test_a_wrong_limit_in_the_variable_is_logged_and_the_others_hold(
    instrument: Callable[..., Telemetry],
    ask: Callable[[], Any],
    provider: LocalProvider,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("TRACETOLL_LIMITS", "9 tokns; 1 call per process")
    instrument()
    ask()

    with pytest.raises(LimitExceeded, match="TRACETOLL_LIMITS"):
        ask()

    assert "did you mean 'tokens'" in caplog.text
    assert 1 == len(provider.requests)
    caplog.clear()


def test_limits_of_code_variable_and_file_hold_together(
    instrument: Callable[..., Telemetry], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    policy = tmp_path / "policy.yaml"
    write(policy, "limits:\n  - 7 calls per process\n")
    monkeypatch.setenv("TRACETOLL_LIMITS", "8 calls per process")

    instrument(limits=[Limit(9, "calls"), "10 calls per process", policy], policy=str(policy))

    engine = Instrumentor().engine
    assert engine is not None
    assert [9, 10, 7, 8, 7] == [ruled.limit.amount for ruled in engine.admission.claims.rules]


def test_a_policy_file_that_changes_holds_from_then_on_with_what_was_spent(
    instrument: Callable[..., Telemetry], ask: Callable[[], Any], provider: LocalProvider, tmp_path: Path
) -> None:
    policy = tmp_path / "policy.yaml"
    write(policy, "limits:\n  - {name: few, amount: 2, unit: calls, per: process}\n")
    instrument(policy=policy, policy_check_s=1e-9)
    ask()
    ask()
    with pytest.raises(LimitExceeded, match=r"policy\.yaml:2"):
        ask()

    write(policy, "limits:\n  - {name: few, amount: 3, unit: calls, per: process}\n")
    ask()
    with pytest.raises(LimitExceeded, match="3 spent"):
        ask()

    assert 3 == len(provider.requests)


@pytest.mark.parametrize("broken", ["limits: [", "limits:\n  - 9 tokns\n", None], ids=["syntax", "limit", "deleted"])
def test_a_policy_file_that_goes_wrong_leaves_the_last_good_one(
    broken: str | None,
    instrument: Callable[..., Telemetry],
    ask: Callable[[], Any],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    policy = tmp_path / "policy.yaml"
    write(policy, "limits:\n  - 1 call per process\n")
    instrument(policy=policy, policy_check_s=1e-9)
    ask()
    if broken is None:
        policy.unlink()
    else:
        write(policy, broken)

    for _ in range(2):
        with pytest.raises(LimitExceeded):
            ask()

    assert 1 == caplog.text.count("the limits that it had before go on")
    assert "policy.yaml" in caplog.text
    caplog.clear()


def test_a_policy_file_that_is_wrong_from_the_start_is_logged(
    instrument: Callable[..., Telemetry], ask: Callable[[], Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("limits:\n  - {amount: 5, unit: tokens, windo: day}\n")

    instrument(policy=policy)
    ask()

    assert "policy.yaml:2: limits[0].windo" in caplog.text
    assert "did you mean 'window'" in caplog.text
    caplog.clear()
