"""A provider of another package: found by its entry point, and counted like ours. It is an example, too."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
ACME = ROOT / "examples" / "acme_provider"
DOCUMENT = (ROOT / "docs" / "adding-a-provider.md").read_text()
PROJECT = tomllib.loads((ACME / "pyproject.toml").read_text())["project"]
ANNOUNCED: dict[str, str] = PROJECT["entry-points"]["tracetoll_provider"]


def installed(at: Path, entries: dict[str, str]) -> Path:
    """Return a folder that says of a package what an installer would write there."""
    folder = at / f"{PROJECT['name'].replace('-', '_')}-{PROJECT['version']}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {PROJECT['name']}\nVersion: {PROJECT['version']}\n")
    lines = [f"{name} = {value}" for name, value in entries.items()]
    (folder / "entry_points.txt").write_text("\n".join(["[tracetoll_provider]", *lines, ""]))
    return at


def ran(at: Path, *, program: list[Any] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the example, or another program, where a package is installed at `at`."""
    return subprocess.run(
        [sys.executable, "-W", "error", *(program or [ACME / "ask.py"])],
        env={"PYTHONPATH": f"{at}:{ACME}", "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        check=False,
        encoding="utf-8",
    )


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return what the example prints where its package is installed."""
    run = ran(installed(tmp_path_factory.mktemp("site"), ANNOUNCED))
    assert (0, "") == (run.returncode, run.stderr)
    return [re.sub(r" +[\d.]+ m?s\b", "", line) for line in run.stdout.splitlines()]


def counted(printed: list[str]) -> list[list[str]]:
    return [line.split()[2:] for line in printed if line.startswith("text_completion")]


def test_whole_answers_and_streams_are_counted_alike(printed: list[str]) -> None:
    assert 5 == counted(printed).count(["acme-1-0604", "10", "4", "8", "3"])


def test_a_stream_that_is_not_read_to_its_end_is_told_of(printed: list[str]) -> None:
    assert 1 == sum(line[-1] in {"closed", "abandoned"} for line in counted(printed))


def test_the_providers_own_code_is_told_and_its_exception_passes(printed: list[str]) -> None:
    assert "retired: acme-0 is no more" in printed
    assert 1 == sum(line.split()[-1] == "retired" for line in printed)


def test_what_limits_refuse_is_not_sent(printed: list[str]) -> None:
    assert "1 refused" in printed
    assert any(line.startswith("8 requests") for line in printed)


def test_a_limit_lowers_the_providers_own_cap(printed: list[str]) -> None:
    assert "8 requests, the last one for 40 words" in printed


def test_without_its_entry_point_it_is_not_counted(tmp_path: Path) -> None:
    run = ran(installed(tmp_path, {}))

    assert "text_completion" not in run.stdout


LOADS = """
import tracetoll
tracetoll.Instrumentor().instrument()
import acme_llm
print(acme_llm.Acme("http://localhost").base_url)
"""


def test_a_provider_that_cannot_be_loaded_is_logged_and_the_sdk_works(tmp_path: Path) -> None:
    run = ran(installed(tmp_path, {"acme_llm": "acme_llm.nowhere"}), program=["-c", LOADS])

    assert (0, "http://localhost\n") == (run.returncode, run.stdout)
    assert "acme_llm.nowhere" in run.stderr


WHO_IS_OPENAI = """
from tracetoll.providers.found import found_providers
print(next(iter(found_providers()["openai"].seams())).name)
"""


def test_a_package_cannot_take_the_name_of_one_of_our_providers(tmp_path: Path) -> None:
    run = ran(installed(tmp_path, {"openai": "acme_llm.tolls"}), program=["-c", WHO_IS_OPENAI])

    assert "openai\n" == run.stdout


def names_documented() -> dict[str, set[str]]:
    """Return the names that the document says others may use, by module."""
    rows = re.findall(r"^\| `(tracetoll\S+)` \| (.+) \|$", DOCUMENT, re.MULTILINE)
    return {module: set(re.findall(r"`(\w+)`", names)) for module, names in rows}


@pytest.mark.parametrize(("module", "names"), names_documented().items())
def test_the_documented_names_are_there(module: str, names: set[str]) -> None:
    assert names <= vars(importlib.import_module(module)).keys()


def test_the_example_uses_documented_names_only() -> None:
    imports = re.findall(
        r"^from (tracetoll[\w.]*) import (.+)$", (ACME / "acme_llm" / "tolls.py").read_text(), re.MULTILINE
    )
    documented = names_documented()

    for module, names in imports:
        if names.startswith("usage as"):
            names = "usage"  # noqa: PLW2901  # the module itself, whose names have a row of their own
            assert "tracetoll.usage" in documented
        elif " as " not in names:
            assert set(names.split(", ")) <= documented[module]
