"""What has to happen in a forked child."""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def call_in_child(owner: T, method: Callable[[T], None]) -> None:
    """Call `method(owner)` in every forked child, as long as `owner` lives."""
    reference = weakref.ref(owner)

    def after_fork() -> None:
        living = reference()
        if living is not None:
            method(living)

    if hasattr(os, "register_at_fork"):  # there are no forks elsewhere
        os.register_at_fork(after_in_child=after_fork)
