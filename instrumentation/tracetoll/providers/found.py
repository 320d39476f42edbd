"""Which providers there are: our own files, and what other packages announce as entry points."""

from __future__ import annotations

import importlib
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracetoll.providers.index import ENTRY_POINTS, KNOWN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from tracetoll.providers.waists import Waist
    from tracetoll.providers.words import Observed, Stainless

    Seam = Observed | Stainless | Waist


@dataclass(frozen=True, slots=True)
class Announced:
    """A provider that is not looked at before one of these modules is imported."""

    modules: tuple[str, ...]
    seams: Callable[[], Iterable[Seam]]


def found_providers() -> Mapping[str, Announced]:
    """Return the providers by name. Ours come first, and a package cannot take the name of one of them."""
    found = {name: Announced(sdk.modules, _ours(name)) for name, sdk in KNOWN.items()}
    for entry in _entry_points():
        found.setdefault(entry.name, Announced((entry.name,), _theirs(entry)))
    return found


def _entry_points() -> Iterable[Any]:
    """Return what other packages announce."""
    if "importlib.metadata" not in sys.modules and not _somebody_announces():
        return ()  # importing it takes longer than looking at what is installed
    from opentelemetry.util._importlib_metadata import entry_points  # noqa: PLC0415  # it keeps what it has read

    return entry_points(group=ENTRY_POINTS)


def _somebody_announces() -> bool:
    """Return whether an installed distribution may announce providers."""
    for folder in sys.path:
        with suppress(OSError):
            for told in Path(folder or ".").glob("*.*-info/entry_points.txt"):
                if ENTRY_POINTS.encode() in told.read_bytes():
                    return True
    return False


def _ours(name: str) -> Callable[[], Iterable[Seam]]:
    def seams() -> Iterable[Seam]:
        found: Iterable[Seam] = importlib.import_module(f"tracetoll.providers.{name}").SEAMS
        return found

    return seams


def _theirs(entry: Any) -> Callable[[], Iterable[Seam]]:
    def seams() -> Iterable[Seam]:
        loaded = entry.load()
        found: Iterable[Seam] = getattr(loaded, "SEAMS", loaded)
        return found

    return seams
