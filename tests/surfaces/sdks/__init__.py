"""One file per SDK, data only: its clients (`SDK`) and what they can be asked (`SURFACES`, the plainest one first)."""

from __future__ import annotations

import importlib
import pkgutil

from surfaces.ways import SDKS

FULL = ("openai", "anthropic")
"""These have tests of their own beside the contract, and run it in more ways."""
FILES = sorted((one.name for one in pkgutil.iter_modules(__path__)), key=lambda name: (name not in FULL, name))

EVERY = []
OTHERS = []
OBSERVED = []
for name in FILES:
    file = importlib.import_module(f"{__name__}.{name}")
    SDKS[file.SDK.name] = file.SDK
    EVERY += file.SURFACES
    if file.SDK.observed:
        OBSERVED += file.SURFACES
    if name not in FULL:
        OTHERS += [file.SURFACES[0]]
