"""Ledgers: where accounts live. All keep the same promise (see `tracetoll.ledgers.protocol`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tracetoll.ledgers.memory import MemoryLedger

if TYPE_CHECKING:
    from tracetoll.ledgers.protocol import Ledger

_METHODS: Final = ("reserve", "extend", "renew", "settle", "charge", "balance", "balances", "forget")


def open_ledger(given: object) -> Ledger:
    """Return the ledger that is meant: "memory", or an object that has the methods of one. Raises ValueError."""
    if given is None or given == "memory":
        return MemoryLedger()
    if isinstance(given, str) or not all(callable(getattr(given, name, None)) for name in _METHODS):
        msg = (
            f"ledger={given!r} is not known; give 'memory', or an object with the methods of tracetoll.ledgers.protocol"
        )
        raise ValueError(msg)
    return given  # type: ignore[return-value]  # it has the methods
