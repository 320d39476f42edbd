"""What has to happen in a forked child."""

from __future__ import annotations

import os
import weakref
from itertools import count
from typing import TYPE_CHECKING, Any, Final, TypeVar

from tracetoll.safety import contained

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_STARTING: Final = contained("starting over in a forked child")
_numbers: Final = count()
_owners: Final[dict[int, tuple[weakref.ref[Any], Callable[[Any], None]]]] = {}


def call_in_child(owner: T, method: Callable[[T], None]) -> None:
    """Call `method(owner)` in every forked child, as long as `owner` lives; in the order of these calls."""
    number = next(_numbers)
    _owners[number] = weakref.ref(owner, lambda _: _owners.pop(number, None)), method


def _after_fork() -> None:
    for reference, method in list(_owners.values()):
        owner = reference()
        if owner is not None:
            with _STARTING:
                method(owner)


# Once: what the interpreter was told it never forgets.
if hasattr(os, "register_at_fork"):  # there are no forks elsewhere
    os.register_at_fork(after_in_child=_after_fork)
