"""Which known word a misspelt one is taken for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def nearest(word: str, known: Sequence[str], alike: float = 0.6) -> str | None:
    """Return the known word that is most like `word`, None if none is `alike` (1: the same)."""
    from difflib import get_close_matches  # noqa: PLC0415  # for whoever misspells one

    return next(iter(get_close_matches(word, known, 1, alike)), None)
