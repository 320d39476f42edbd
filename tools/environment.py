"""Print the interpreter of a test environment, building it first where it is missing.

    python3 tools/environment.py newest

Environments live outside the tree, under TRACETOLL_CACHE (default: ~/.cache/tracetoll), keyed by
what they hold and by the checkout that is installed in them, so a change of a pin makes a new one.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("TRACETOLL_CACHE", Path.home() / ".cache" / "tracetoll"))
UV_PIN = "uv==0.13.9"


def _uv() -> Path:
    """Return a uv that we installed ourselves, so that nothing but Python is needed."""
    home = CACHE / f"uv-{UV_PIN.partition('==')[2]}"
    program = home / "bin" / "uv"
    if not program.exists():
        venv.create(home, with_pip=True, clear=True)
        subprocess.run([home / "bin" / "python", "-m", "pip", "install", "--quiet", UV_PIN], check=True)
    return program


def _key(name: str, install: list[str], constraints: Path) -> str:
    parts = [name, *install, str(ROOT), sys.version]
    parts += [path.read_text() for path in (constraints, ROOT / "pyproject.toml", Path(__file__))]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def build(name: str) -> Path:
    """Return the interpreter of the environment `name` of environments.toml."""
    table = tomllib.loads((ROOT / "tools" / "environments.toml").read_text())
    if name not in table:
        sys.exit(f"tools/environments.toml has no environment {name!r}; it has: {', '.join(table)}")
    constraints = ROOT / table[name]["constraints"]
    install = table[name]["install"]
    home = CACHE / "environments" / f"{name}-{_key(name, install, constraints)}"
    python = home / "bin" / "python"
    if (home / "complete").exists():
        return python
    shutil.rmtree(home, ignore_errors=True)
    uv = _uv()
    project, *more = install
    extras = project.removeprefix("tracetoll")
    arguments = [
        "pip",
        "install",
        "--quiet",
        "--python",
        python,
        "--constraint",
        constraints,
        "-e",
        f".{extras}",
        *more,
    ]
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, home], stdout=sys.stderr, check=True)
    # uv trusts its own list of authorities; behind a proxy with one of its own, the system's list knows it.
    plain = subprocess.run([uv, *arguments], cwd=ROOT, stdout=sys.stderr, check=False)
    if plain.returncode != 0:
        subprocess.run([uv, "--system-certs", *arguments], cwd=ROOT, stdout=sys.stderr, check=True)
    (home / "complete").touch()
    return python


if __name__ == "__main__":
    print(build(sys.argv[1] if len(sys.argv) == 2 else "newest"))
