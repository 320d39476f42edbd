"""Ways to run the command line: in a process of its own, or in this one."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner

from tracetoll.cli.commands import tracetoll

PROGRAM = Path(sys.executable).with_name("tracetoll")
OURS = ("OTEL_", "TRACETOLL_", "OPENAI_", "ANTHROPIC_")

Run = subprocess.CompletedProcess


def run(*arguments: str, path: Path | None = None, **variables: str) -> Run[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    environment |= {"PYTHONIOENCODING": "utf-8", **variables}
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    return subprocess.run(  # our own program
        [PROGRAM, *arguments], env=environment, capture_output=True, encoding="utf-8", timeout=120, check=False
    )


def inside(*arguments: str, **variables: str) -> Run[str]:
    """Do as `run`, inside this process, which has imported everything already."""
    environment: dict[str, str | None] = {name: None for name in os.environ if name.startswith(OURS)}
    result = CliRunner().invoke(tracetoll, arguments, env={**environment, **variables})
    return Run(arguments, result.exit_code, result.stdout, result.stderr)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port
