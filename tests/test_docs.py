"""What the documents say is true: settings, the demo's output, the names of things."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import Field, fields
from pathlib import Path

import pytest

from tracetoll.config import ALIASES, CONSOLE, METRICS, STREAM_USAGE, Settings

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
SETTINGS = (ROOT / "docs" / "settings.md").read_text()


def without_times(output: str) -> list[str]:
    """Return the lines of a tree with what differs from run to run taken out."""
    return [re.sub(r"\s+", " ", re.sub(r"[\d.]+ m?s\b", "", line)).rstrip() for line in output.splitlines()]


@pytest.mark.parametrize("one", fields(Settings), ids=lambda one: one.name)
def test_each_setting_is_documented_with_its_variable_and_argument(one: Field[object]) -> None:
    variable, argument = one.metadata["variable"], one.name

    assert f"| `{variable}` | `{argument}` |" in SETTINGS


@pytest.mark.parametrize("word", [*ALIASES, *METRICS, *STREAM_USAGE, *CONSOLE])
def test_each_word_of_a_setting_is_documented(word: str) -> None:
    assert f"`{word}`" in SETTINGS


def test_the_documents_name_no_variable_that_does_not_exist() -> None:
    known = {one.metadata["variable"] for one in fields(Settings)} | {
        "TRACETOLL_CACHE",
        "TRACETOLL_RAISE_FAULTS",
        "TRACETOLL_LIMITS",
        "TRACETOLL_LEDGER",
    }

    named = {
        name
        for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
        for name in re.findall(r"TRACETOLL_[A-Z_]+[A-Z]", path.read_text())
    }

    assert named <= known


def test_the_readme_shows_what_the_demo_prints() -> None:
    shown = re.search(r"<!-- demo -->\n```\n(.*?)\n```\n<!-- /demo -->", README, re.DOTALL)
    assert shown is not None

    program = Path(sys.executable).parent / "tracetoll"
    printed = subprocess.run([program, "demo"], capture_output=True, check=True, encoding="utf-8").stdout

    assert without_times(shown[1]) == without_times(printed.rstrip())


@pytest.mark.parametrize("path", sorted(re.findall(r"\]\(([\w/.]+\.md)\)", README)))
def test_the_readme_links_to_what_is_there(path: str) -> None:
    assert (ROOT / path).exists()
