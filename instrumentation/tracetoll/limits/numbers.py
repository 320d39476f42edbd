"""Amounts, shares and waits as people write them: `50_000`, `1.5M`, `$2`, `80%`, `30s`; exact both ways."""

from __future__ import annotations

import re
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from tracetoll.limits.durations import duration_text, parse_duration, plain_number
from tracetoll.limits.limit import UNITS, WrongLimitError, suggestion

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tracetoll.limits.limit import Number

_POWERS: Final[Mapping[str, int]] = MappingProxyType({"": 0, "%": -2, "k": 3, "m": 6, "b": 9})
_OTHER_NAMES: Final[Mapping[str, str]] = MappingProxyType({"$": "usd", "dollar": "usd", "dollars": "usd"})
_NUMBER: Final = r"(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+(?:_[0-9]+)*)?(?:\.[0-9]+)?(?:e[+-]?[0-9]{1,3})?"
_AMOUNT: Final = re.compile(rf"\s*(\$?)\s*(?=[0-9.])({_NUMBER})(?![0-9,._])\s*(%|[kmb](?![a-z]))?", re.IGNORECASE)
_SHARE: Final = re.compile(rf"(?=[0-9.])({_NUMBER})\s*(%?)", re.IGNORECASE)
_WAYS: Final = "write it as 50000, 50_000, 1.5k, 2M, $2, or 80% of the context window"
# A bare share from here on is taken for a percentage that lacks its sign.
_TOO_MUCH: Final = 10


class Amount(NamedTuple):
    """An amount as read: its value, its sign (`$`, `%` or none), and the text that follows it."""

    value: Number
    sign: Literal["$", "%", ""]
    rest: str

    def unit(self, word: str) -> str:
        """Return the unit, given the word for it, which may be empty where the sign says enough."""
        unit = _unit(word) if word else _UNIT_OF_SIGN[self.sign]
        if self.sign == "$" and unit != "usd":
            raise WrongLimitError(
                key="unit", problem=f"{word!r} is not in dollars, and the amount is; drop the $, or the unit"
            )
        if self.sign == "%" and unit != "context_window":
            problem = f"{word!r} cannot be given in percent; only context_window can, so write how many {unit}"
            raise WrongLimitError(key="unit", problem=problem)
        return unit


_UNIT_OF_SIGN: Final[Mapping[str, str]] = MappingProxyType({"$": "usd", "%": "context_window", "": "tokens"})


def _unit(word: str) -> str:
    name = word.strip().lower().replace(" ", "_")
    name = _OTHER_NAMES.get(name, name)
    for known in (name, f"{name}s"):
        if known in UNITS:
            return known
    raise WrongLimitError(key="unit", problem=f"{word!r} is not known; {suggestion(name, UNITS)}")


def read_amount(text: str) -> Amount:
    """Return the amount that a text begins with; WrongLimitError if it begins with none."""
    found = _AMOUNT.match(text)
    if found is None:
        word = (text.split() or [""])[0]
        raise WrongLimitError(key="amount", problem=f"{word!r} is not an amount; {_WAYS}")
    dollar, number, power = found.group(1), found.group(2), (found.group(3) or "").lower()
    if dollar and power == "%":
        raise WrongLimitError(key="amount", problem=f"{found.group().strip()!r} is in dollars and in percent; {_WAYS}")
    value = _number(_shifted(Decimal(number.replace(",", "")), _POWERS[power]))
    return Amount(value, "$" if dollar else "%" if power == "%" else "", text[found.end() :])


def parse_share(key: str, text: str) -> float:
    """Return the share of the amount that `80%` or `0.8` means; WrongLimitError naming `key` if none."""
    found = _SHARE.fullmatch(text.strip())
    if found is None:
        raise WrongLimitError(key, f"{text!r} is not a share of the amount; write one such as 80% or 0.8")
    share = float(_shifted(Decimal(found.group(1).replace(",", "")), _POWERS[found.group(2)]))
    if share >= _TOO_MUCH and not found.group(2):
        raise WrongLimitError(key, f"{text!r} is a multiple of the amount; for a percentage write {text.strip()}%")
    return share


def parse_wait(text: str) -> float:
    """Return the seconds that `30`, `30s` or `2m` means; WrongLimitError if none."""
    try:
        return float(parse_duration(f"{text}s" if text.replace(".", "", 1).isdecimal() else text, "wait"))
    except ValueError as error:
        key, _, problem = str(error).partition(": ")
        raise WrongLimitError(key, problem) from None


def amount_text(amount: Number, unit: str) -> str:
    """Return the text that `read_amount` reads as exactly this amount."""
    return share_text(amount) if unit == "context_window" else plain_number(Decimal(str(amount)))


def share_text(share: Number) -> str:
    """Return the text in percent that `parse_share` reads as exactly this share."""
    return f"{plain_number(_shifted(Decimal(str(share)), 2))}%"


def wait_text(seconds: float) -> str:
    """Return the text that `parse_wait` reads as exactly so many seconds."""
    return duration_text(seconds)


def _shifted(number: Decimal, power: int) -> Decimal:
    """Return a number times ten to a power; exactly, where arithmetic would round to 28 digits."""
    sign, digits, exponent = number.as_tuple()
    return Decimal((sign, digits, int(exponent) + power))


def _number(number: Decimal) -> Number:
    """Return a number in the plainest type that holds exactly it."""
    if number.adjusted() < 300 and number.as_integer_ratio()[1] == 1:
        return int(number)
    as_float = float(number)
    return as_float if Decimal(str(as_float)) == number else number
