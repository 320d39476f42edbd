"""Build the collector and Jaeger with Go, where they are missing, and say where they are.

    python3 tools/binaries.py               builds what can be built; a line for each program
    python3 tools/binaries.py collector     prints the path of one, after building it; status 1 where it cannot be had

Programs live outside the tree, under TRACETOLL_CACHE (default: ~/.cache/tracetoll), keyed by the file that pins them
and by Go's version, so a machine builds each of them once. Prometheus is taken from the PATH: Debian has a package.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ROOT: Final = Path(__file__).resolve().parent.parent
CONFIG: Final = ROOT / "collector-config"
CACHE: Final = Path(os.environ.get("TRACETOLL_CACHE", Path.home() / ".cache" / "tracetoll"))

OLDEST_GO: Final = (1, 25)
BUILD_TIMEOUT_S: Final = 3600
USUAL_GO: Final = Path("/usr/local/go/bin/go")
"""Where Go's own installer puts it, which is not on every PATH."""


class MissingError(Exception):
    """Says why a program cannot be had."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a program comes out of the file that pins it."""

    pins: Path
    build: Callable[[Path, Mapping[str, str]], Path]
    """Builds in a folder that has a copy of the pins, and returns the program."""


def _run(folder: Path, environment: Mapping[str, str], *arguments: str) -> None:
    with (folder / "build.log").open("a") as log:
        subprocess.run(
            arguments,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            timeout=BUILD_TIMEOUT_S,
            check=True,
        )


def _build_collector(folder: Path, environment: Mapping[str, str]) -> Path:
    manifest = (folder / "builder.yaml").read_text()
    version = _only(r"^  version: (\S+)$", manifest)
    builder = f"go.opentelemetry.io/collector/cmd/builder@v{version}"
    _run(folder, environment, "go", "run", builder, "--config=builder.yaml")
    return folder / "build" / _only(r"^  name: (\S+)$", manifest)


def _build_jaeger(folder: Path, environment: Mapping[str, str]) -> Path:
    package = "github.com/jaegertracing/jaeger/cmd/jaeger"
    flags = f"{environment['GOFLAGS']} -mod=mod"
    _run(folder, {**environment, "GOFLAGS": flags}, "go", "build", "-trimpath", "-ldflags=-s", "-o", "jaeger", package)
    return folder / "jaeger"


RECIPES: Final[Mapping[str, Recipe]] = {
    "collector": Recipe(CONFIG / "builder.yaml", _build_collector),
    "jaeger": Recipe(CONFIG / "jaeger" / "go.mod", _build_jaeger),
}
INSTALLED: Final = ("prometheus", "promtool")
PROGRAMS: Final = (*RECIPES, *INSTALLED)


def _only(pattern: str, text: str) -> str:
    found = re.findall(pattern, text, re.MULTILINE)
    if len(found) != 1:
        msg = f"{pattern} should be there once, and is {len(found)} times"
        raise MissingError(msg)
    return str(found[0])


def _go() -> Path:
    """Return a Go that is new enough. Raises `MissingError`."""
    found = shutil.which("go") or (str(USUAL_GO) if USUAL_GO.exists() else None)
    oldest = ".".join(map(str, OLDEST_GO))
    if found is None:
        msg = f"there is no Go to build it with ({oldest} or newer)"
        raise MissingError(msg)
    told = subprocess.run([found, "env", "GOVERSION"], capture_output=True, text=True, check=True).stdout.strip()
    numbers = re.match(r"go(\d+)\.(\d+)", told)
    if numbers is None or tuple(map(int, numbers.groups())) < OLDEST_GO:
        msg = f"Go {oldest} or newer is needed to build it; here is {told}"
        raise MissingError(msg)
    return Path(found)


def _home(name: str, go: Path) -> Path:
    version = subprocess.run([go, "version"], capture_output=True, text=True, check=True).stdout
    key = hashlib.sha256("\0".join([name, version, RECIPES[name].pins.read_text()]).encode()).hexdigest()[:16]
    return CACHE / "programs" / f"{name}-{key}"


def find(name: str) -> Path:
    """Return a program that is there. Raises `MissingError`, which says why it is not."""
    if name in INSTALLED:
        path = shutil.which(name)
        if path is None:
            msg = "it is not installed (Debian's package prometheus has it)"
            raise MissingError(msg)
        return Path(path)
    program = _home(name, _go()) / name
    if not program.exists():
        msg = f"it has not been built: python3 tools/binaries.py {name}"
        raise MissingError(msg)
    return program


def build(name: str) -> Path:
    """Return a program, built first where it is missing. Raises `MissingError`."""
    if name in INSTALLED:
        return find(name)
    go = _go()
    home = _home(name, go)
    program = home / name
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # who comes second finds it built
        if program.exists():
            return program
        print(f"building {name}, once for this machine; it takes minutes", file=sys.stderr, flush=True)
        _build_in(home, name, go)
    return program


def _build_in(home: Path, name: str, go: Path) -> None:
    recipe = RECIPES[name]
    work = home / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    shutil.copy(recipe.pins, work / recipe.pins.name)
    environment = {
        **os.environ,
        "PATH": f"{go.parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "CGO_ENABLED": "0",
        "GOFLAGS": "-buildvcs=false",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }
    started = time.monotonic()
    try:
        built = recipe.build(work, environment)
        built.rename(home / name)
    except (subprocess.SubprocessError, OSError) as error:
        shutil.copy(work / "build.log", home / "failed.log")
        last = (home / "failed.log").read_text().strip().splitlines()[-1:]
        msg = f"its build failed ({type(error).__name__}): {''.join(last)}; all of it: {home / 'failed.log'}"
        raise MissingError(msg) from error
    shutil.rmtree(work)
    print(f"built {name} in {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)


def main(names: list[str]) -> int:
    """Build what is named, else everything; what cannot be had fails only where it is named."""
    unknown = set(names) - set(PROGRAMS)
    if unknown:
        print(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(PROGRAMS)}", file=sys.stderr)
        return 2
    status = 0
    for name in names or PROGRAMS:
        try:
            path = build(name)
        except MissingError as error:
            print(f"no {name}: {error}", file=sys.stderr)
            status = 1 if names else 0
        else:
            print(path if names else f"{name}: {path}")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
