"""Where limits are given: in code, in TRACETOLL_LIMITS, in a policy file that may change while we run.

What is given in code and is wrong raises, because somebody is there to see it. What is wrong in the environment
is logged, each with the way out, and the rest holds. A policy file that goes wrong later leaves the last good one.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tracetoll.limits.limit import Limit, WrongLimitError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

log: Final = logging.getLogger("tracetoll")

VARIABLE: Final = "TRACETOLL_LIMITS"
IN_CODE: Final = "instrument(limits=…)"

Given = Limit | str | Path


class Sources:
    """All limits of one instrument(), and whether they have changed."""

    def __init__(self, given: object, policy: str | None, environment: Mapping[str, str], check_s: float) -> None:
        self._fixed = [*_in_code(given), *_in_environment(environment)]
        self._path = Path(policy) if policy else None
        self._check_s = check_s
        self._stamp: tuple[int, int] | None = None
        self._from_file: tuple[Limit, ...] = ()
        self.next_check = float("inf")
        """When to look at the policy file again, by the monotonic clock."""
        if self._path is not None:
            self._stamp = _stamp(self._path)
            self._from_file = self._read(self._path, "there are no limits from it") or ()
            self.next_check = time.monotonic() + check_s

    @property
    def limits(self) -> tuple[Limit, ...]:
        """Return all limits that hold now."""
        return (*self._fixed, *self._from_file)

    def changed(self) -> bool:
        """Look at the policy file; return whether `limits` are others now."""
        if self._path is None:
            return False
        self.next_check = time.monotonic() + self._check_s
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        found = self._read(self._path, "the limits that it had before go on")
        if found is None or found == self._from_file:
            return False
        self._from_file = found
        log.info("%s has changed: %d limits hold from now on", self._path, len(self.limits))
        return True

    @staticmethod
    def _read(path: Path, otherwise: str) -> tuple[Limit, ...] | None:
        from tracetoll.limits.policy import PolicyError, read_policy  # noqa: PLC0415  # only where there is a file

        try:
            return read_policy(path).limits
        except PolicyError as error:
            log.error("the policy file %s cannot be used; %s:\n%s", path, otherwise, error)  # noqa: TRY400  # no fault of ours
            return None


def as_limit(given: object, source: str) -> Limit:
    """Return a limit that is given as such or as text. Raises WrongLimitError, a ValueError."""
    if isinstance(given, Limit):
        return given if given.source else given.given_in(source)
    if isinstance(given, str):
        from tracetoll.limits.text import parse_limit  # noqa: PLC0415  # only where text is given

        return parse_limit(given, source)
    raise WrongLimitError(key="limits", problem=f"{given!r} is not a limit; give Limit(...) or its text form")


def _in_code(given: object) -> Iterable[Limit]:
    """Return what instrument(limits=…) was given: a limit, text, the path of a policy file, or several of them."""
    if given is None:
        return []
    if isinstance(given, Path):
        from tracetoll.limits.policy import read_policy  # noqa: PLC0415  # only where there is a file

        return read_policy(given).limits
    if isinstance(given, str):
        from tracetoll.limits.text import parse_limits  # noqa: PLC0415  # only where text is given

        found, wrong = parse_limits(given, IN_CODE)
        if wrong:
            raise wrong[0]
        return found
    if isinstance(given, list | tuple):
        return [limit for one in given for limit in _in_code(one)]
    return [as_limit(given, IN_CODE)]


def _in_environment(environment: Mapping[str, str]) -> Iterable[Limit]:
    text = environment.get(VARIABLE, "")
    if not text.strip():
        return []
    from tracetoll.limits.text import parse_limits  # noqa: PLC0415  # only where text is given

    found, wrong = parse_limits(text, VARIABLE)
    for error in wrong:
        log.error("%s: this limit is wrong and does not hold: %s", VARIABLE, error)
    return found


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
