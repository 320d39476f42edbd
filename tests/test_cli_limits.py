"""`tracetoll limits` and `tracetoll demo --runaway`, as they are run from a shell."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from command_line import run

if TYPE_CHECKING:
    from pathlib import Path


def test_the_limits_that_hold_are_shown_with_where_they_were_given(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("limits:\n  - 7 calls per trace\n")

    done = run("limits", str(policy), TRACETOLL_LIMITS="5 tokens per trace")

    assert (0, "") == (done.returncode, done.stderr)
    assert re.search(r"^5 tokens per trace +TRACETOLL_LIMITS", done.stdout, re.MULTILINE)
    assert re.search(r"^7 calls per trace +\S+policy\.yaml:2", done.stdout, re.MULTILINE)


def test_what_is_wrong_with_a_limit_is_told_and_the_status_says_so() -> None:
    done = run("limits", TRACETOLL_LIMITS="5 tokens per trace; 9 tokns")

    assert 1 == done.returncode
    assert "5 tokens per trace" in done.stdout
    assert "did you mean 'tokens'" in done.stderr


def test_without_limits_it_says_so() -> None:
    assert "no limits" in run("limits").stdout


def test_the_agent_that_never_stops_is_stopped_and_the_bill_that_was_avoided_is_told() -> None:
    done = run("demo", "--runaway", "--limit", "1500 tokens per trace")

    assert (0, "") == (done.returncode, done.stderr)
    assert "stopped: limit of 1500 tokens per trace" in done.stdout
    assert re.search(r"avoided: \$\d+\.\d\d, what 8 hours of it would have cost", done.stdout)
    assert "matches what the provider handed out: yes" in done.stdout
    assert "budget_exceeded" in done.stdout
