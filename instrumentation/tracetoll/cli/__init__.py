"""The command line: `tracetoll demo` and `tracetoll doctor`. Needs the `cli` extra."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit with its status: 0 all is well, 1 something needs attention, 2 wrong usage."""
    try:
        import click  # noqa: F401, PLC0415  # comes with an extra
        import rich  # noqa: F401, PLC0415  # comes with an extra
    except ModuleNotFoundError as missing:
        sys.exit(f"Error: tracetoll's command line needs {missing.name}, try: pip install 'tracetoll[cli]'")

    from tracetoll.cli.commands import tracetoll  # noqa: PLC0415  # needs what was looked for just now

    tracetoll(prog_name="tracetoll")
