"""Which surface a request goes to, by its method and its path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tracetoll.providers.words import Surface

_KEPT: Final = 1024


class Route(NamedTuple):
    """Where a request goes: its surface, and the model where the path names it."""

    surface: Surface
    model: str | None = None


class Routes:
    """The surfaces of one SDK, keyed by "METHOD /path/{placeholder}".

    A path fits if it ends with the pattern's segments. A placeholder stands for a whole segment, or for a part of
    one ("{model}:generateContent"); what stands for `{model}`, or for several of them, is the model, with what is
    before it in its segment ("imagen{model}:predict"). The first pattern that fits counts.
    """

    def __init__(self, surfaces: Mapping[str, Surface]) -> None:
        self._patterns = [
            (method.lower(), path.strip("/").split("/"), surface)
            for (method, _, path), surface in ((key.partition(" "), s) for key, s in surfaces.items())
        ]
        self._found: dict[tuple[str, str], Route | None] = {}

    def find(self, method: str, url: str) -> Route | None:
        """Return where a request goes, None if that is no surface; the exact URL is looked up once."""
        key = (method, url)
        try:
            return self._found[key]
        except KeyError:
            pass
        parts = urlsplit(url).path.strip("/").split("/")
        found = None
        for wanted, pattern, surface in self._patterns:
            if method.lower() == wanted and len(parts) >= len(pattern):
                models = _fits(pattern, parts[-len(pattern) :])
                if models is not None:
                    found = Route(surface, unquote("/".join(models)) or None)
                    break
        if len(self._found) >= _KEPT:
            self._found.clear()
        self._found[key] = found
        return found


def _fits(pattern: list[str], parts: list[str]) -> list[str] | None:
    """Return what stands for `{model}` in parts of a path, None if they do not fit."""
    models = []
    for want, have in zip(pattern, parts, strict=True):
        opened, closed, rest = want.partition("}")
        if not closed:
            if want != have:
                return None
            continue
        before, _, name = opened.partition("{")
        if len(have) <= len(before) + len(rest) or not have.startswith(before) or not have.endswith(rest):
            return None
        if name == "model":
            models.append(have.removesuffix(rest))
    return models
