"""What cannot be had is said, with the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

import binaries
import pytest

if TYPE_CHECKING:
    from pathlib import Path


def pretend_go(folder: Path, version: str) -> None:
    program = folder / "go"
    program.write_text(f"#!/bin/sh\necho {version}\n")
    program.chmod(0o755)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the one folder in which programs are looked for."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(binaries, "USUAL_GO", tmp_path / "nowhere")
    monkeypatch.setattr(binaries, "CACHE", tmp_path / "cache")
    return tmp_path


@pytest.mark.parametrize("name", binaries.RECIPES)
@pytest.mark.usefixtures("path")
def test_without_go_nothing_is_built(name: str) -> None:
    with pytest.raises(binaries.MissingError, match="there is no Go"):
        binaries.build(name)


def test_an_old_go_is_not_tried(path: Path) -> None:
    pretend_go(path, "go1.19.8")

    with pytest.raises(binaries.MissingError, match=r"Go 1\.25 or newer is needed to build it; here is go1\.19\.8"):
        binaries.build("collector")


def test_what_is_not_built_yet_is_not_found(path: Path) -> None:
    pretend_go(path, "go1.25.0")

    with pytest.raises(binaries.MissingError, match="it has not been built"):
        binaries.find("jaeger")


def test_a_build_that_fails_says_where_its_log_is(path: Path) -> None:
    pretend_go(path, "go1.25.0")  # it says the same whatever it is asked, and builds nothing

    with pytest.raises(binaries.MissingError, match=r"its build failed.*failed\.log"):
        binaries.build("jaeger")


@pytest.mark.usefixtures("path")
def test_the_command_goes_on_without_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == binaries.main([])
    assert 1 == binaries.main(["prometheus"])

    said = capsys.readouterr().err
    assert all(f"no {name}: " in said for name in binaries.PROGRAMS)
