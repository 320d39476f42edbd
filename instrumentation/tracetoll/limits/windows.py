"""Windows of time that a limit counts in: rolling ones and calendar ones.

A rolling window is so many seconds up to now. A calendar window is a whole minute, hour, day, week or month as
the clocks of a time zone show it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from tracetoll.limits.durations import duration_text, is_duration, meant, parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import tzinfo

BUCKETS: Final = 60
"""How many parts a rolling window is counted in; it moves on by one part at a time."""

CALENDAR: Final = ("minute", "hour", "day", "week", "month")
LIFE: Final = "life"
LONGEST_S: Final = 36_525 * 86_400.0

Unit = Literal["minute", "hour", "day", "week", "month"]


class Period(NamedTuple):
    """A calendar period: its first instant, the first instant after it (seconds since the epoch), and its name."""

    start: float
    end: float
    label: str


@dataclass(frozen=True, slots=True)
class Rolling:
    """A window of so many seconds up to now."""

    seconds: float

    def __post_init__(self) -> None:
        if isinstance(self.seconds, bool) or not 0 < self.seconds <= LONGEST_S:
            raise ValueError(_no_length(self.seconds))

    @property
    def bucket(self) -> float:
        """The seconds by which the window moves on."""
        return self.seconds / BUCKETS

    def __str__(self) -> str:
        return duration_text(self.seconds)


@dataclass(frozen=True, slots=True)
class Calendar:
    """A whole minute, hour, day, week (from Monday) or month, as the clocks of a time zone show it."""

    unit: Unit
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        if self.unit not in CALENDAR:
            raise ValueError(_unknown("window", self.unit, CALENDAR))
        zone_of(self.timezone)

    def __str__(self) -> str:
        return self.unit

    def period(self, timestamp: float) -> Period:
        """Return the period that an instant lies in, in seconds since the epoch.

        Periods follow one another without gap or overlap, whatever the clocks do. A day, week or month begins when
        the clocks first show its first midnight or, where that midnight is skipped, a time after it; a day that is
        skipped is no period. An hour or minute ends early where the clocks are changed, and one which is shown twice
        is two periods.
        """
        # Time zones change at whole seconds only, so that the fraction does not matter.
        second, zone = math.floor(timestamp), zone_of(self.timezone)
        if self.unit in _DATES:
            return _of_dates(self.unit, second, zone)
        return _of_clock(self.unit, second, zone)


class _Dates(NamedTuple):
    first: Callable[[date], date]
    """The first date of the period which a date lies in."""
    beyond: timedelta
    """From the first date to some date of the next period."""
    label: str


_DATES: Final[Mapping[str, _Dates]] = MappingProxyType(
    {
        "day": _Dates(lambda day: day, timedelta(days=1), "%Y-%m-%d"),
        "week": _Dates(lambda day: day - timedelta(days=day.weekday()), timedelta(days=7), "%G-W%V"),
        "month": _Dates(lambda day: day.replace(day=1), timedelta(days=32), "%Y-%m"),
    }
)
_CLOCK: Final[Mapping[str, tuple[int, str]]] = MappingProxyType(
    {"hour": (3_600, "%Y-%m-%dT%H%z"), "minute": (60, "%Y-%m-%dT%H:%M%z")}
)


def _of_dates(unit: str, second: int, zone: tzinfo) -> Period:
    kind = _DATES[unit]
    today = datetime.fromtimestamp(second, zone).date()
    for first, after in pairwise(_firsts(kind, today)):
        end = _midnight(after, zone)
        # Not at once where the clocks went back over midnight: today has then begun before, and goes on.
        if second < end:
            return Period(_midnight(first, zone), end, first.strftime(kind.label))
    raise AssertionError  # pragma: no cover  # _firsts does not end


def _firsts(kind: _Dates, today: date) -> Iterator[date]:
    first = kind.first(today)
    while True:
        yield first
        first = kind.first(first + kind.beyond)


def _midnight(day: date, zone: tzinfo) -> int:
    """Return the first second at which the clocks show `day` or later."""
    wanted = datetime.combine(day, time(), zone)
    # fold=0 is the first of two midnights. Where there is none, the clocks are changed between the two (PEP 495).
    earliest = int(wanted.timestamp())
    if datetime.fromtimestamp(earliest, zone).replace(tzinfo=None) == wanted.replace(tzinfo=None):
        return earliest
    return _change(int(wanted.replace(fold=1).timestamp()), earliest, zone)


def _of_clock(unit: str, second: int, zone: tzinfo) -> Period:
    length, label = _CLOCK[unit]
    shown = datetime.fromtimestamp(second, zone)
    start = second - (shown.hour * 3_600 + shown.minute * 60 + shown.second) % length
    last = start + length - 1
    if _offset(start, zone) != _offset(second, zone):
        start = _change(start, second, zone)
    end = last + 1 if _offset(last, zone) == _offset(second, zone) else _change(second, last, zone)
    return Period(start, end, shown.strftime(label))


def _offset(second: int, zone: tzinfo) -> timedelta | None:
    return datetime.fromtimestamp(second, zone).utcoffset()


def _change(before: int, after: int, zone: tzinfo) -> int:
    """Return the first second of the offset from UTC that holds at `after`, and not at `before`."""
    new = _offset(after, zone)
    while after - before > 1:
        middle = (before + after) // 2
        before, after = (before, middle) if _offset(middle, zone) == new else (middle, after)
    return after


def parse_window(value: object, timezone: object) -> Rolling | Calendar | None:
    """Return the window that a person means; None for the whole life of the subject.

    A number is seconds. Raises ValueError, its text beginning with `window: ` or `timezone: `.
    """
    zone_of(timezone)
    if value is None:
        return None
    if isinstance(value, timedelta):
        return _of_seconds(value.total_seconds(), str(value))
    if isinstance(value, int | float):
        return _of_seconds(value, value)
    if not isinstance(value, str):
        msg = f"window: {value!r} is not a window; {_known()}"
        raise ValueError(msg)  # noqa: TRY004  # one kind of error for all that is wrong with a value
    return _of_text(value, str(timezone))


def _of_seconds(value: float, given: object) -> Rolling:
    # Compared before it is converted: an int may be too large for a float.
    if isinstance(value, bool) or not 0 < value <= LONGEST_S:
        raise ValueError(_no_length(given))
    return Rolling(float(value))


def _of_text(value: str, timezone: str) -> Rolling | Calendar | None:
    word = value.strip().lower()
    if word == LIFE:
        return None
    if word in CALENDAR:
        return Calendar(word, timezone)  # type: ignore[arg-type]  # it is one of them
    if not is_duration(word):
        raise ValueError(_unknown("window", value, (*CALENDAR, LIFE), _known()))
    return _of_seconds(parse_duration(value, "window"), value)


def _known() -> str:
    return f"write {', '.join(CALENDAR)}, or a duration such as '90s', '1m', '24h'"


def _no_length(value: object) -> str:
    return f"window: {value!r} is no length of a window; give more than 0 seconds and at most 100 years"


def _unknown(key: str, value: str, known: Iterable[str], otherwise: str = "") -> str:
    way_out = meant(value, known) or otherwise or f"known are: {', '.join(known)}"
    return f"{key}: {value!r} is not known; {way_out}"


def zone_of(name: object) -> tzinfo:
    """Return a time zone by its name; ValueError if there is none of it."""
    if not isinstance(name, str) or not name:
        msg = f"timezone: {name!r} is not the name of a time zone; give one such as 'Europe/Berlin'"
        raise ValueError(msg)
    if name == "UTC":
        return UTC  # also where the system has no time zones
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones  # noqa: PLC0415  # for whoever names one

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        zones = available_timezones()
    way_out = "give one such as 'Europe/Berlin'" if zones else "this system has none: pip install tzdata"
    raise ValueError(_unknown("timezone", name, zones, way_out))
