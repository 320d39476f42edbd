"""Keep our own faults away from the application.

Everything of ours that runs beside a call of the application runs inside `contained`: what goes
wrong there is logged, once per place and minute, and the application goes on as if we were not there.
"""

from __future__ import annotations

import logging
import os
import time
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from types import TracebackType

log: Final = logging.getLogger("tracetoll")

RAISE_FAULTS_VARIABLE: Final = "TRACETOLL_RAISE_FAULTS"
_PAUSE_S: Final = 60.0

_last_logged: dict[str, float] = {}


class Contained:
    """Log an `Exception` of the block instead of raising it; see `contained`."""

    __slots__ = ("_doing",)

    def __init__(self, doing: str) -> None:
        self._doing = doing

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        # KeyboardInterrupt, SystemExit and cancellation are the application's, even in the middle of our code.
        if error is None or not isinstance(error, Exception):
            return False
        return fault(self._doing, error)


def contained(doing: str) -> Contained:
    """Return a reusable context manager for code of ours that must not fail the application.

    `doing` completes the sentence "tracetoll failed while …"; it is also the place that is logged at
    most once a minute. With TRACETOLL_RAISE_FAULTS=1 (our own tests) faults are raised.
    """
    return Contained(doing)


def fault(doing: str, error: Exception) -> bool:
    """Log a fault of ours; return whether it is dealt with (False: the caller must let it pass)."""
    if os.environ.get(RAISE_FAULTS_VARIABLE) == "1":
        return False
    now = time.monotonic()
    last = _last_logged.get(doing)
    if last is None or now - last >= _PAUSE_S:
        _last_logged[doing] = now
        log.warning(
            "tracetoll failed while %s; your call is not affected, its numbers may be missing", doing, exc_info=error
        )
    return True
