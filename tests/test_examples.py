"""Every example runs on its own, without a key, and prints what it is there to show."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLES = Path(__file__).parent.parent / "examples"
PRINTED = {
    "agents_and_tools.py": "│  └─ chat claude-haiku-4-5",
    "attribution.py": "tracetoll.feature=search: 82 tokens, $0.000663",
    "console_tree.py": "invoke_agent clerk of request 2",
    "count_anthropic.py": "total: 2 calls",
    "count_openai.py": "total: 3 calls",
    "limits.py": "1 refused",
    "streaming.py": "1 without usage",
    "zero_code.py": "25 words, then 19 words",
    # The last one: it starts another process, which comes after theirs.
    "across_services.py": "200 after 3 calls, 90 tokens, $0.000038",
}


def test_every_example_is_run() -> None:
    assert {path.name for path in EXAMPLES.glob("[!_]*.py")} == PRINTED.keys()


@pytest.fixture(scope="module")
def runs() -> Iterator[dict[str, subprocess.Popen[str]]]:
    """Start them all at once: most of their time is importing."""
    ours = ("OPENAI_", "ANTHROPIC_", "OTEL_", "TRACETOLL_")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    environment["PYTHONIOENCODING"] = "utf-8"
    started = {
        name: subprocess.Popen(  # our own files
            [sys.executable, "-W", "error", EXAMPLES / name],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        for name in PRINTED
    }
    yield started
    for run in started.values():
        with run:
            run.kill()


@pytest.mark.parametrize(("name", "line"), PRINTED.items())
def test_an_example_prints_what_it_is_there_to_show(
    runs: dict[str, subprocess.Popen[str]], name: str, line: str
) -> None:
    printed, complained = runs[name].communicate(timeout=60)

    assert (0, "") == (runs[name].returncode, complained)
    assert line in printed
