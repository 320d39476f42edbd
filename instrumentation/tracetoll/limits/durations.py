"""Lengths of time as people write them: `90s`, `1.5h`, `500 ms`; exact both ways."""

from __future__ import annotations

import re
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from tracetoll.limits.near import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_SECONDS: Final[Mapping[str, int]] = MappingProxyType({"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1})
_SPELLED: Final[Mapping[str, Decimal]] = MappingProxyType(
    {
        spelling: Decimal(seconds)
        for spellings, seconds in (
            ("ms millisecond milliseconds", "0.001"),
            ("s sec second seconds", "1"),
            ("m min minute minutes", "60"),
            ("h hour hours", "3600"),
            ("d day days", "86400"),
            ("w week weeks", "604800"),
        )
        for spelling in spellings.split()
    }
)
_EXACT: Final = 2**53
"""Below it, a float tells one whole number from the next."""

_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*([a-z]*)", re.ASCII | re.IGNORECASE)


def is_duration(text: str) -> bool:
    """Tell whether a text has the form of a duration, whatever its unit."""
    return _DURATION.fullmatch(text.strip().lower()) is not None


def parse_duration(text: str, key: str) -> float:
    """Return the seconds that a text such as `90s` or `1.5h` means; ValueError, beginning with `key`, if none."""
    found = _DURATION.fullmatch(text.strip().lower())
    if found is None:
        msg = f"{key}: {text!r} is not a duration; write one such as '90s', '1m', '24h'"
        raise ValueError(msg)
    number, unit = found.groups()
    if unit not in _SPELLED:
        msg = f"{key}: {text!r} {_wrong_unit(number, unit)}"
        raise ValueError(msg)
    return float(Decimal(number) * _SPELLED[unit])


def duration_text(seconds: float) -> str:
    """Return the shortest text that `parse_duration` reads as exactly so many seconds."""
    if seconds and seconds < _EXACT:
        for letter, length in _SECONDS.items():
            if seconds % length == 0:
                return f"{int(seconds) // length}{letter}"
    return f"{plain_number(Decimal(repr(float(seconds))))}s"


def plain_number(number: Decimal) -> str:
    """Return all digits of a number, without an exponent or needless zeros."""
    text = f"{abs(number):f}" if not number else f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _wrong_unit(number: str, unit: str) -> str:
    if not unit:
        return f"has no unit; for seconds write '{number}s'"
    if unit in {"month", "months", "mo"}:
        return "is of no fixed length; write 'month' for the calendar month, or '30d'"
    return f"is in no known unit; {meant(unit, _SPELLED) or 'known are: ms, s, m, h, d, w'}"


def meant(word: str, known: Iterable[str]) -> str:
    """Return the question whether the nearest of the known words is meant; empty if none is near."""
    by_lower = {one.lower(): one for one in sorted(known)}
    near = nearest(word.lower(), tuple(by_lower))
    return f"did you mean {by_lower[near]!r}?" if near is not None else ""
