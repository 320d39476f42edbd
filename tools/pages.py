"""Write a page that is generated, or check that it is up to date."""

from __future__ import annotations

import argparse
import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def write_or_check(path: Path, page: Callable[[str], str], sources: str) -> int:
    """Write what `page` makes of the old page at `path`; with --check, only tell how it differs.

    Returns the exit status: 1 where a page that is checked is out of date.
    """
    name = f"docs/{path.name}"
    parser = argparse.ArgumentParser(description=f"Write {name} from {sources}.")
    parser.add_argument("--check", action="store_true", help="only tell whether it is up to date")
    wanted = parser.parse_args()
    old = path.read_text()
    new = page(old)
    if new == old:
        return 0
    if not wanted.check:
        path.write_text(new)
        return 0
    print(*difflib.unified_diff(old.splitlines(), new.splitlines(), name, "generated", lineterm=""), sep="\n")
    print(f"{name} is out of date: run make providers")
    return 1
