"""`tracetoll limits`: which limits hold, and what is wrong with those that do not."""

from __future__ import annotations

import os

import click
from rich.console import Console

from tracetoll.cli.checks.limits import check_limits
from tracetoll.cli.doctor import PIPE_WIDTH, section_table


def run_limits(policy: str | None) -> int:
    """Print the limits of the environment and of a policy file; return the exit status, 1 if one is wrong."""
    section = check_limits({**os.environ, **({"TRACETOLL_POLICY": policy} if policy else {})})
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    if section.rows:
        console.print(section_table(section))
    elif not section.attention:
        console.print("no limits: TRACETOLL_LIMITS and TRACETOLL_POLICY are not set, and no policy file was given")
    for problem in section.attention:
        click.echo(f"Error: {problem}", err=True)
    return 1 if section.attention else 0
