"""The questions about history have the same answers on a laptop and in ClickHouse, and the right ones."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import kit as parts
import pytest
import stack
from conftest import ROUNDS

if TYPE_CHECKING:
    from conftest import Spent
    from kit import Kit

HERE = Path(__file__).parent
QUESTIONS = sorted(path.stem for path in (stack.CONFIG / "history" / "questions").glob("*.sql"))
ENVIRONMENT = "history"
DOCUMENT = stack.CONFIG.parent / "docs" / "history.md"

Answers = dict[str, dict[str, list[dict[str, Any]]]]


@pytest.fixture(scope="module")
def answers(kit: Kit, spent: Spent, tmp_path_factory: pytest.TempPathFactory) -> Answers:
    """Return what both engines say about all that was spent."""
    build = [sys.executable, stack.CONFIG.parent / "tools" / "environment.py", ENVIRONMENT]
    built = subprocess.run(build, check=False, capture_output=True, text=True)
    if built.returncode != 0:
        pytest.skip(f"no environment {ENVIRONMENT}: {built.stderr.strip().splitlines()[-1]}")
    files = {name: kit.collector.data / f"{name}.jsonl" for name in ("traces", "logs")}
    stack.until(lambda: tokens_of(files["traces"]) == spent.tokens, parts.SOON_S, "all calls")
    stack.until(
        lambda: files["logs"].read_text().count("gen_ai.evaluation.result") == ROUNDS, parts.SOON_S, "judgements"
    )
    folder = tmp_path_factory.mktemp("history")
    for file in files.values():
        shutil.copy(file, folder)
    answered = folder / "answers.json"
    told = parts.run({"history": [built.stdout.strip(), HERE / "history.py", folder, answered]}, {})
    assert answered.exists(), told
    found: Answers = json.loads(answered.read_text())
    return found


def tokens_of(file: Path) -> int:
    told = [parts.attributes(span) for span in parts.spans(file)]
    both = ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens")
    return sum(one.get(name, 0) for one in told for name in both)


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_laptop_and_clickhouse_say_the_same(answers: Answers, question: str) -> None:
    one, other = ([dict(row) for row in answers[engine][question]] for engine in ("duckdb", "clickhouse"))
    for row in (*one, *other):
        row.pop("input_p50", None)  # of an even number of calls one takes the lower middle, the other the upper

    assert one == other != []


@pytest.mark.parametrize("question", ["by-user", "by-feature-and-team", "by-model"])
@pytest.mark.parametrize("engine", ["duckdb", "clickhouse"])
def test_totals_are_what_was_handed_out(answers: Answers, spent: Spent, engine: str, question: str) -> None:
    rows = answers[engine][question]

    assert spent.tokens == sum(row["tokens_in"] + row["tokens_out"] for row in rows)


def test_the_table_of_days_holds_what_was_handed_out(answers: Answers, spent: Spent) -> None:
    rows = answers["clickhouse"]["spend-by-day"]

    assert spent.tokens == sum(row["input_tokens"] + row["output_tokens"] for row in rows)


def test_prompt_versions_users_and_teams_are_told_apart(answers: Answers) -> None:
    found = answers["duckdb"]

    assert {"1", "2"} == {row["prompt_version"] for row in found["by-prompt-version"]}
    assert {"u-1042", "u-7"} <= {row["user_id"] for row in found["by-user"]}
    assert {"support", "routes"} <= {row["team"] for row in found["by-feature-and-team"]}


def test_cohorts_come_from_what_a_judge_said(answers: Answers) -> None:
    rows = answers["clickhouse"]["cohorts"]

    assert {"pass": ROUNDS - ROUNDS // 3, "fail": ROUNDS // 3} == {row["label"]: row["tasks"] for row in rows}
    assert all(row["usd_per_task"] > 0 for row in rows)


def test_a_task_that_a_limit_stopped_is_counted_as_such(answers: Answers) -> None:
    stopped = {row["agent"]: row["stopped"] for row in answers["duckdb"]["tasks"]}

    assert 1 == stopped["night-watch"]


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_document_tells_of_each_question(question: str) -> None:
    assert f"questions/{question}.sql" in DOCUMENT.read_text()
