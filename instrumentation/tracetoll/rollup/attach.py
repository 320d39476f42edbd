"""Have a roll-up on a tracer provider: the one that the application added, else one of ours, once."""

from __future__ import annotations

import threading
from typing import Any, Final
from weakref import WeakKeyDictionary

from tracetoll.rollup.processor import RollupProcessor

_added: Final[WeakKeyDictionary[Any, RollupProcessor]] = WeakKeyDictionary()
_lock: Final = threading.Lock()


def attach(provider: object) -> RollupProcessor | None:
    """Return the roll-up of a tracer provider, added if there is none; None if this is no provider of the SDK.

    A provider cannot let go of a processor: one of ours is switched off by `detach`, and on again here.
    """
    add = getattr(provider, "add_span_processor", None)
    if add is None:
        return None
    with _lock:
        found = _added.get(provider) or _given(provider)
        if found is None:
            found = _added[provider] = RollupProcessor()
            add(found)
    found.on = True
    return found


def detach(processor: RollupProcessor) -> None:
    """Let a roll-up go back to what it was before `attach`."""
    processor.disconnect()
    if processor in _added.values():
        processor.on = False


def _given(provider: object) -> RollupProcessor | None:
    """Return the roll-up that the application itself has added."""
    active = getattr(provider, "_active_span_processor", None)  # there is no public way to ask
    processors = getattr(active, "_span_processors", ())
    return next((one for one in processors if isinstance(one, RollupProcessor)), None)
