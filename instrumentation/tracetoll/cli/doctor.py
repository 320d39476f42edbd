"""`tracetoll doctor`: what is there, what is set, what is reached, and what to do about the rest."""

from __future__ import annotations

import platform
import sys
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tracetoll.cli.checks.installed import check_extras, check_prices
from tracetoll.cli.checks.limits import check_limits
from tracetoll.cli.checks.opentelemetry import check_opentelemetry
from tracetoll.cli.checks.sdks import check_sdks
from tracetoll.cli.checks.settings import check_settings
from tracetoll.cli.checks.span import check_span
from tracetoll.version import __version__

if TYPE_CHECKING:
    from tracetoll.cli.checks.section import Section

CHECKS: Final = (check_sdks, check_opentelemetry, check_settings, check_limits, check_prices, check_extras, check_span)
PIPE_WIDTH: Final = 200  # where there is no terminal, nothing is broken into lines


def run_doctor() -> int:
    """Print what all checks found; return the exit status."""
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    console.print(f"tracetoll {__version__}, Python {platform.python_version()} ({sys.implementation.name})")
    attention: list[str] = []
    for check in CHECKS:
        section = check()
        console.print()
        console.print(Text(section.title, style="bold"))
        console.print(section_table(section))
        for line in section.lines:
            console.print(Text(f"  {line}"), soft_wrap=True)
        attention += [message for message in section.attention if message not in attention]
    console.print()
    if not attention:
        console.print(Text("all is well", style="green"))
        return 0
    console.print(Text("needs attention:", style="bold red"))
    for message in attention:
        console.print(Text(f"- {message}"), soft_wrap=True)
    return 1


def section_table(section: Section) -> Table:
    """Return what a check found as a table."""
    table = Table(box=None, pad_edge=False, header_style="dim", show_edge=False)
    for head in section.heads:
        table.add_column(head, overflow="fold")
    for row in section.rows:
        table.add_row(*(Text(cell) for cell in row))
    return table
