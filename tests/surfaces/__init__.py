"""Every surface of the SDKs, and every way to ask it.

`ways` is how, `sdks` is what: adding an SDK adds one file of data there, and no test.
"""

from __future__ import annotations

from surfaces.sdks import EVERY, OBSERVED, OTHERS
from surfaces.sdks.anthropic import CLAUDE
from surfaces.sdks.openai import (
    BETA_CHAT,
    CHAT,
    COMPLETIONS,
    EMBEDDINGS,
    IMAGES,
    RESPONSES,
    TRANSCRIPTION,
)
from surfaces.ways import (
    MESSAGES,
    QUESTION,
    SDKS,
    Case,
    Sdk,
    Seen,
    Surface,
    Toll,
    both,
    cases,
    client,
    close,
    each,
    found,
    inside,
    is_async,
    picture,
    read,
    resource,
    run,
    settled,
)

__all__ = [
    "BETA_CHAT",
    "CHAT",
    "CLAUDE",
    "COMPLETIONS",
    "EMBEDDINGS",
    "IMAGES",
    "MESSAGES",
    "OBSERVED",
    "OTHERS",
    "QUESTION",
    "RESPONSES",
    "SDKS",
    "SURFACES",
    "TRANSCRIPTION",
    "Case",
    "Sdk",
    "Seen",
    "Surface",
    "Toll",
    "both",
    "cases",
    "client",
    "close",
    "each",
    "found",
    "inside",
    "is_async",
    "picture",
    "read",
    "resource",
    "run",
    "settled",
]

SURFACES = tuple(EVERY)
