"""The header that says what was spent for an answer, written and read.

`input=1200, output=80, cached=0, calls=3, usd=0.00421, complete=?1`: a dictionary of RFC 8941, except that a
decimal may have more than three digits behind its point. Keys that are not known are skipped.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from tracetoll import usage as u
from tracetoll.limits.scope import Totals
from tracetoll.usage import NANO, Usage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LONGEST: Final = 1024
"""How many characters of a header are read."""
LARGEST: Final = 10**15 - 1
"""RFC 8941: an integer has at most 15 digits."""
_MEMBERS: Final = 64

_COUNTS: Final = {
    "input": u.INPUT,
    "output": u.OUTPUT,
    "cached": u.CACHE_READ,
    "written": u.CACHE_WRITE,
    "reasoning": u.REASONING,
}
_NUMBERS: Final = ("calls", "refused", "unpriced", "missing")
_ALWAYS: Final = frozenset({"input", "output", "cached"})

_NUMBER: Final = r"-?[0-9]{1,15}(?:\.[0-9]{1,12})?"
_STRING: Final = r'"(?:[ !#-\[\]-~]|\\["\\])*"'
_WORD: Final = r"[A-Za-z*][!#$%&'*+.^_`|~0-9A-Za-z:/-]*"
_ITEM: Final = rf"(?:{_NUMBER}|{_STRING}|{_WORD}|:[A-Za-z0-9+/=]*:|\?[01]|@-?[0-9]{{1,15}})"
_KEY: Final = r"[a-z*][a-z0-9_.*-]*"
_PARAMETERS: Final = rf"(?:;[ ]*{_KEY}(?:={_ITEM})?)*"
_LIST: Final = rf"\([ ]*(?:{_ITEM}{_PARAMETERS}(?:[ ]+{_ITEM}{_PARAMETERS})*[ ]*)?\)"
_MEMBER: Final = re.compile(rf"({_KEY})(?:=({_ITEM}|{_LIST}))?{_PARAMETERS}")
_COMMA: Final = re.compile(r"[ \t]*,[ \t]*")


@dataclass(frozen=True, slots=True)
class Spent:
    """What a service has spent for one request."""

    totals: Totals
    complete: bool = False
    """Whether that is everything: nothing was streamed on, no call still ran, no usage was missing."""
    ledger: str | None = None
    """Which ledger the calls were charged to."""
    id: str | None = None
    """Which answer it is, so that it counts once."""

    @property
    def by_unit(self) -> Mapping[str, int]:
        """Return what was spent by the units of limits, as they count it."""
        into, out = self.totals.usage.input_tokens or 0, self.totals.usage.output_tokens or 0
        return {
            "tokens": into + out,
            "input_tokens": into,
            "output_tokens": out,
            "usd": self.totals.nano_usd or 0,
            "calls": self.totals.calls,
            "context_window": 0,
        }


def write(told: Spent) -> str:
    """Return the header's value."""
    totals = told.totals
    counts = {key: totals.usage.counts.get(name) for key, name in _COUNTS.items()}
    if not totals.calls:  # nothing was spent, which is known
        counts = {key: value or 0 for key, value in counts.items()}
    parts = [
        f"{key}={min(value, LARGEST)}"
        for key, value in counts.items()
        if value or (value is not None and key in _ALWAYS)
    ]
    parts += [
        f"{key}={min(getattr(totals, key), LARGEST)}" for key in _NUMBERS if key == "calls" or getattr(totals, key)
    ]
    if totals.nano_usd is not None:
        parts.append(f"usd={_usd(min(totals.nano_usd, LARGEST * NANO))}")
    parts.append(f"complete=?{int(told.complete)}")
    parts += [f'{key}="{value}"' for key, value in (("ledger", told.ledger), ("id", told.id)) if value is not None]
    return ", ".join(parts)


def _usd(nano: int) -> str:
    whole, rest = divmod(nano, NANO)
    return f"{whole}.{f'{rest:09d}'.rstrip('0') or '0'}"


def read(text: str) -> Spent | None:
    """Return what a header tells; None if it is malformed, or tells nothing."""
    members = _members(text)
    if members is None or not any(key in members for key in (*_COUNTS, "calls", "usd")):
        return None
    counts: dict[str, int] = {}
    numbers = dict.fromkeys(_NUMBERS, 0)
    for key, value in members.items():
        if key not in _COUNTS and key not in numbers:
            continue
        if not value.isdigit():
            return None
        if key in _COUNTS:
            counts[_COUNTS[key]] = int(value)
        else:
            numbers[key] = int(value)
    usd = members.get("usd")
    if usd is not None and not re.fullmatch(r"[0-9]+(?:\.[0-9]+)?", usd):
        return None
    complete = members.get("complete", "?0")
    if complete not in {"?0", "?1"}:
        return None
    return Spent(
        Totals(Usage(counts), None if usd is None else int(Decimal(usd) * NANO), **numbers),
        complete=complete == "?1",
        ledger=_string(members.get("ledger")),
        id=_string(members.get("id")),
    )


def _members(text: str) -> dict[str, str] | None:
    """Return the members of a dictionary, each with its value as written; None if it is malformed."""
    text = text.strip(" ")
    if not 0 < len(text) <= LONGEST or not text.isascii():
        return None
    found: dict[str, str] = {}
    for key, value in _each(text):
        if key is None or len(found) >= _MEMBERS:
            return None
        found[key] = value
    return found


def _each(text: str) -> Iterator[tuple[str | None, str]]:
    """Yield key and value of each member, with key None where there should be one and is none."""
    at = 0
    while True:
        member = _MEMBER.match(text, at)
        if member is None:
            yield None, ""
            return
        yield member[1], member[2] or "?1"
        at = member.end()
        if at == len(text):
            return
        comma = _COMMA.match(text, at)
        if comma is None:
            yield None, ""
            return
        at = comma.end()


def _string(value: str | None) -> str | None:
    """Return the text of a string; of anything else None."""
    if value is None or not value.startswith('"'):
        return None
    return re.sub(r"\\(.)", r"\1", value[1:-1])
