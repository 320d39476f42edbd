"""Provider files: data only, small, nothing said twice, and nothing imported for an SDK that nobody uses."""

from __future__ import annotations

import ast
import io
import json
import subprocess
import sys
import tokenize
from itertools import combinations
from pathlib import Path

import pytest

from tracetoll.providers.index import KNOWN

PROVIDERS = Path(__file__).resolve().parent.parent / "instrumentation" / "tracetoll" / "providers"
# The words themselves, and how providers are found; all other files are tables.
WORDS = {"__init__", "found", "index", "waists", "words"}
TABLES = sorted(path.stem for path in PROVIDERS.glob("*.py") if path.stem not in WORDS)
SMALL = 80
RUN = 6


def code(name: str) -> list[str]:
    """Return the lines of a provider file after its docstring and imports."""
    text = (PROVIDERS / f"{name}.py").read_text()
    first = next(node for node in ast.parse(text).body if not isinstance(node, ast.Import | ast.ImportFrom | ast.Expr))
    return [line.strip() for line in text.splitlines()[first.lineno - 1 :] if line.strip()]


def shape(lines: list[str]) -> list[str]:
    """Return lines with every text and number taken out."""
    shapes: dict[int, list[str]] = {}
    for token in tokenize.generate_tokens(io.StringIO("\n".join(lines)).readline):
        if token.type not in {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}:
            told = "…" if token.type in {tokenize.STRING, tokenize.NUMBER} else token.string
            shapes.setdefault(token.start[0], []).append(told)
    return [" ".join(shapes[number]) for number in sorted(shapes)]


def runs(lines: list[str]) -> set[tuple[str, ...]]:
    """Return every six lines; not those of a mere translation of words, which nothing but a table can say."""
    every = {tuple(lines[start : start + RUN]) for start in range(len(lines) - RUN + 1)}
    return {run for run in every if sum(any(map(str.isalpha, line)) for line in run) >= RUN // 2}


@pytest.mark.parametrize("name", TABLES)
def test_a_provider_file_is_small_or_says_why_not(name: str) -> None:
    text = (PROVIDERS / f"{name}.py").read_text()

    assert len(text.splitlines()) <= SMALL or "Longer than" in " ".join(
        (ast.get_docstring(ast.parse(text)) or "").split()
    )


@pytest.mark.parametrize("name", TABLES)
def test_a_provider_file_has_no_control_flow(name: str) -> None:
    flow = (ast.If, ast.For, ast.While, ast.Try, ast.With, ast.ClassDef, ast.AsyncFunctionDef, ast.Match)
    tree = ast.parse((PROVIDERS / f"{name}.py").read_text())

    assert [] == [node.lineno for node in ast.walk(tree) if isinstance(node, flow)]


@pytest.mark.parametrize(("one", "other"), list(combinations(TABLES, 2)))
def test_no_two_provider_files_say_the_same(one: str, other: str) -> None:
    assert set() == runs(code(one)) & runs(code(other))
    assert set() == runs(shape(code(one))) & runs(shape(code(other)))


def test_nothing_is_imported_for_sdks_that_nobody_uses() -> None:
    told = "import json, sys, tracetoll; tracetoll.Instrumentor().instrument(); print(json.dumps(list(sys.modules)))"

    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)

    loaded = set(json.loads(done.stdout))
    sdks = {module.partition(".")[0] for sdk in KNOWN.values() for module in sdk.modules}
    assert set() == {name.partition(".")[0] for name in loaded} & sdks
    assert set() == loaded & {f"tracetoll.providers.{name}" for name in TABLES}
