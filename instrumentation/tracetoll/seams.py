"""The seam that each word of a provider file for one stands for. Imported with the first SDK, not before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tracetoll.observed import ObservedSeam
from tracetoll.providers.waists import Waist
from tracetoll.providers.words import Observed, Stainless
from tracetoll.stainless import StainlessSeam
from tracetoll.waist import WaistSeam

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracetoll.engine import Engine
    from tracetoll.patching import Patches
    from tracetoll.providers.found import Seam

_SEAMS: Final[dict[type, Callable[..., StainlessSeam | ObservedSeam | WaistSeam]]] = {
    Stainless: StainlessSeam,
    Observed: ObservedSeam,
    Waist: WaistSeam,
}


def install(seam: Seam, engine: Engine, patches: Patches) -> None:
    """Patch what a seam of a provider file names, as soon as it is imported."""
    _SEAMS[type(seam)](seam, engine, patches.switch).install(patches)
