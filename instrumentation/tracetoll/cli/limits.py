"""`tracetoll limits`: which limits hold, and what is wrong with those that do not."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tracetoll.limits.policy import PolicyError, read_policy
from tracetoll.limits.sources import VARIABLE
from tracetoll.limits.text import parse_limits

if TYPE_CHECKING:
    from tracetoll.limits.limit import Limit

_PIPE_WIDTH = 200  # where there is no terminal, nothing is broken into lines


def run_limits(policy: str | None) -> int:
    """Print the limits of the environment and of a policy file; return the exit status, 1 if one is wrong."""
    found, wrong = parse_limits(os.environ.get(VARIABLE, ""), VARIABLE)
    problems = [str(error) for error in wrong]
    path = policy or os.environ.get("TRACETOLL_POLICY")
    if path:
        try:
            found = [*found, *read_policy(path).limits]
        except PolicyError as error:
            problems += str(error).splitlines()
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    if found:
        console.print(_table(found))
    elif not problems:
        console.print(f"no limits: {VARIABLE} and TRACETOLL_POLICY are not set, and no policy file was given")
    for problem in problems:
        click.echo(f"Error: {problem}", err=True)
    return 1 if problems else 0


def _table(found: list[Limit]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", show_edge=False)
    for head in ("limit", "given in"):
        table.add_column(head, overflow="fold")
    for limit in found:
        table.add_row(Text(str(limit)), Text(limit.source))
    return table
