"""Windows: what a person writes, and calendar periods over every change of the clocks."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, get_args
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tracetoll.limits.windows import CALENDAR, LONGEST_S, Calendar, Period, Rolling, Unit, parse_window

if TYPE_CHECKING:
    from collections.abc import Iterator

ZONES = (
    *("UTC", "Europe/Berlin", "America/New_York", "America/Havana", "America/Santiago", "Atlantic/Azores"),
    *("Asia/Beirut", "Australia/Lord_Howe", "Pacific/Apia", "America/St_Johns", "Asia/Kathmandu", "Africa/Casablanca"),
)

seconds = st.floats(min_value=0, max_value=LONGEST_S, exclude_min=True)
instants = st.floats(min_value=-1_500_000_000, max_value=4_000_000_000)
calendars = st.builds(Calendar, st.sampled_from(get_args(Unit)), st.sampled_from(ZONES))


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def changes(zone: ZoneInfo, year: int) -> Iterator[int]:
    """Yield the minutes of a year at which the offset of a zone becomes another, by looking at each."""

    def offset(second: int) -> timedelta | None:
        return datetime.fromtimestamp(second, zone).utcoffset()

    start = int(datetime(year, 1, 1, tzinfo=UTC).timestamp())
    for day in range(start, start + 366 * 86_400, 86_400):
        if offset(day) != offset(day + 86_400):
            yield next(minute for minute in range(day, day + 86_401, 60) if offset(minute) != offset(day))


@given(seconds)
def test_the_text_of_a_duration_means_the_same_duration(length: float) -> None:
    window = Rolling(length)

    assert window == parse_window(str(window), "UTC")


@pytest.mark.parametrize(
    ("value", "length", "text"),
    [
        ("90s", 90, "90s"),
        ("1m", 60, "1m"),
        ("24h", 86_400, "1d"),
        ("7d", 604_800, "1w"),
        ("2w", 1_209_600, "2w"),
        ("500ms", 0.5, "0.5s"),
        ("1.5h", 5_400, "90m"),
        (" 5 Minutes ", 300, "5m"),
        (60, 60, "1m"),
        (2.5, 2.5, "2.5s"),
        (timedelta(hours=36), 129_600, "36h"),
    ],
)
def test_a_duration_is_a_rolling_window(value: object, length: float, text: str) -> None:
    window = parse_window(value, "UTC")

    assert Rolling(length) == window
    assert text == str(window)


@pytest.mark.parametrize("value", [None, "life", "Life"])
def test_without_a_window_a_limit_holds_for_life(value: object) -> None:
    assert parse_window(value, "UTC") is None


@pytest.mark.parametrize("word", CALENDAR)
def test_a_calendar_word_is_a_window_in_its_time_zone(word: str) -> None:
    window = parse_window(word.upper(), "Europe/Berlin")

    assert isinstance(window, Calendar)
    assert (word, "Europe/Berlin", word) == (window.unit, window.timezone, str(window))


def test_a_rolling_window_moves_on_by_a_sixtieth() -> None:
    assert Rolling(90).bucket == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("value", "timezone", "message"),
    [
        ("dayly", "UTC", "window: 'dayly' is not known; did you mean 'day'?"),
        ("minutely", "UTC", "window: 'minutely' is not known; did you mean 'minute'?"),
        ("", "UTC", "window: '' is not known; write minute, hour, day, week, month, or a duration"),
        ("inf", "UTC", "window: 'inf' is not known; write minute, hour, day, week, month, or a duration"),
        ("-5s", "UTC", "window: '-5s' is not known; write"),
        ("90", "UTC", "window: '90' has no unit; for seconds write '90s'"),
        ("2 month", "UTC", "window: '2 month' is of no fixed length; write 'month' for the calendar month, or '30d'"),
        ("5 huors", "UTC", "window: '5 huors' is in no known unit; did you mean 'hours'?"),
        ("5x", "UTC", "window: '5x' is in no known unit; known are: ms, s, m, h, d, w"),
        ("0s", "UTC", "window: '0s' is no length of a window; give more than 0 seconds and at most 100 years"),
        (True, "UTC", "window: True is no length of a window"),
        (0, "UTC", "window: 0 is no length of a window"),
        (-1.5, "UTC", "window: -1.5 is no length of a window"),
        (float("nan"), "UTC", "window: nan is no length of a window"),
        (float("inf"), "UTC", "window: inf is no length of a window"),
        pytest.param(10**400, "UTC", "window: 1000", id="too large for a float"),
        (timedelta(0), "UTC", "window: '0:00:00' is no length of a window"),
        (["day"], "UTC", "window: ['day'] is not a window; write minute, hour"),
        ("day", "Europe/Berln", "timezone: 'Europe/Berln' is not known; did you mean 'Europe/Berlin'?"),
        (None, "utc", "timezone: 'utc' is not known; did you mean 'UTC'?"),
        ("1m", "../zone", "timezone: '../zone' is not known; give one such as 'Europe/Berlin'"),
        ("day", 1, "timezone: 1 is not the name of a time zone; give one such as 'Europe/Berlin'"),
        ("day", "", "timezone: '' is not the name of a time zone"),
    ],
)
def test_a_wrong_window_is_refused_with_a_way_out(value: object, timezone: object, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        parse_window(value, timezone)


def test_a_calendar_window_of_no_known_unit_is_refused() -> None:
    with pytest.raises(ValueError, match="window: 'year' is not known; known are: minute"):
        Calendar("year")  # type: ignore[arg-type]  # this is what is shown


@given(calendars, instants)
@example(Calendar("day", "America/St_Johns"), 1289098899.5)
def test_an_instant_lies_in_its_period_and_the_next_follows(calendar: Calendar, instant: float) -> None:
    period = calendar.period(instant)
    following = calendar.period(period.end)

    assert period.start <= instant < period.end
    assert period == calendar.period(period.start) == calendar.period(period.end - 0.001)
    assert period.end == following.start
    assert period.label != following.label


@pytest.mark.parametrize("unit", ["minute", "hour", "day"])
@pytest.mark.parametrize(
    ("zone", "year"),
    [
        ("Europe/Berlin", 2026),
        ("America/Havana", 2026),
        ("America/Santiago", 2026),
        ("Atlantic/Azores", 2026),
        ("Asia/Beirut", 2025),
        ("Australia/Lord_Howe", 2026),
        ("Pacific/Apia", 2011),
        ("America/St_Johns", 2010),
    ],
)
def test_periods_around_a_change_of_the_clocks_tile_time(unit: Unit, zone: str, year: int) -> None:
    calendar, around = Calendar(unit, zone), {"minute": 7_200, "hour": 14_400, "day": 259_200}[unit]
    for change in changes(ZoneInfo(zone), year):
        labels: list[str] = []
        start: float = change - around
        while start < change + around:
            period = calendar.period(start)
            labels.append(period.label)
            assert start == period.start or len(labels) == 1
            start = period.end

        assert len(labels) == len(set(labels))


@pytest.mark.parametrize(
    ("zone", "instant", "start", "end", "label"),
    [
        ("UTC", "2024-02-29T12:00+00:00", "2024-02-29T00:00+00:00", "2024-03-01T00:00+00:00", "2024-02-29"),
        # 23 and 25 hours
        ("Europe/Berlin", "2026-03-29T12:00+02:00", "2026-03-29T00:00+01:00", "2026-03-30T00:00+02:00", "2026-03-29"),
        ("Europe/Berlin", "2026-10-25T12:00+01:00", "2026-10-25T00:00+02:00", "2026-10-26T00:00+01:00", "2026-10-25"),
        # no midnight: 00:00 became 01:00
        ("America/Havana", "2026-03-08T12:00-04:00", "2026-03-08T01:00-04:00", "2026-03-09T00:00-04:00", "2026-03-08"),
        ("Asia/Beirut", "2025-03-30T12:00+03:00", "2025-03-30T01:00+03:00", "2025-03-31T00:00+03:00", "2025-03-30"),
        (
            "America/Santiago",
            "2026-09-06T12:00-03:00",
            "2026-09-06T01:00-03:00",
            "2026-09-07T00:00-03:00",
            "2026-09-06",
        ),
        # two midnights: 01:00 became 00:00
        ("America/Havana", "2026-11-01T12:00-05:00", "2026-11-01T00:00-04:00", "2026-11-02T00:00-05:00", "2026-11-01"),
        ("Atlantic/Azores", "2026-10-25T12:00-01:00", "2026-10-25T00:00+00:00", "2026-10-26T00:00-01:00", "2026-10-25"),
        # 24:00 became 23:00: the day before is longer
        ("Asia/Beirut", "2025-10-25T23:30+02:00", "2025-10-25T00:00+03:00", "2025-10-26T00:00+02:00", "2025-10-25"),
        # 00:01 became 23:01 of the day before: the day had begun, and goes on
        (
            "America/St_Johns",
            "2010-11-06T23:30-03:30",
            "2010-11-07T00:00-02:30",
            "2010-11-08T00:00-03:30",
            "2010-11-07",
        ),
        # a skipped date
        ("Pacific/Apia", "2011-12-29T12:00-10:00", "2011-12-29T00:00-10:00", "2011-12-31T00:00+14:00", "2011-12-29"),
        ("Pacific/Apia", "2011-12-31T00:00+14:00", "2011-12-31T00:00+14:00", "2012-01-01T00:00+14:00", "2011-12-31"),
    ],
)
def test_a_day_is_what_the_clocks_show(zone: str, instant: str, start: str, end: str, label: str) -> None:
    assert Period(at(start), at(end), label) == Calendar("day", zone).period(at(instant))


@pytest.mark.parametrize(
    ("zone", "instant", "start", "end", "label"),
    [
        ("UTC", "2024-02-29T23:59+00:00", "2024-02-01T00:00+00:00", "2024-03-01T00:00+00:00", "2024-02"),
        ("UTC", "2026-12-31T23:59+00:00", "2026-12-01T00:00+00:00", "2027-01-01T00:00+00:00", "2026-12"),
        ("Europe/Berlin", "2026-03-31T23:59+02:00", "2026-03-01T00:00+01:00", "2026-04-01T00:00+02:00", "2026-03"),
        # the first midnight of the month is in the middle of the hour shown twice
        ("America/Havana", "2026-11-01T00:30-05:00", "2026-11-01T00:00-04:00", "2026-12-01T00:00-05:00", "2026-11"),
    ],
)
def test_a_month_ends_where_the_next_begins(zone: str, instant: str, start: str, end: str, label: str) -> None:
    assert Period(at(start), at(end), label) == Calendar("month", zone).period(at(instant))


@pytest.mark.parametrize(
    ("zone", "instant", "start", "end", "label"),
    [
        ("UTC", "2026-11-22T12:00+00:00", "2026-11-16T00:00+00:00", "2026-11-23T00:00+00:00", "2026-W47"),
        ("UTC", "2027-01-03T12:00+00:00", "2026-12-28T00:00+00:00", "2027-01-04T00:00+00:00", "2026-W53"),
        ("Europe/Berlin", "2026-10-25T23:00+01:00", "2026-10-19T00:00+02:00", "2026-10-26T00:00+01:00", "2026-W43"),
    ],
)
def test_a_week_begins_on_monday(zone: str, instant: str, start: str, end: str, label: str) -> None:
    assert Period(at(start), at(end), label) == Calendar("week", zone).period(at(instant))


@pytest.mark.parametrize(
    ("zone", "instant", "start", "end", "label"),
    [
        ("Europe/Berlin", "2026-11-22T14:05+01:00", "2026-11-22T14:00+01:00", "2026-11-22T15:00+01:00", "22T14+0100"),
        ("Europe/Berlin", "2026-10-25T02:30+02:00", "2026-10-25T02:00+02:00", "2026-10-25T03:00+02:00", "25T02+0200"),
        ("Europe/Berlin", "2026-10-25T02:30+01:00", "2026-10-25T02:00+01:00", "2026-10-25T03:00+01:00", "25T02+0100"),
        ("Asia/Kathmandu", "2026-11-22T14:05+05:45", "2026-11-22T14:00+05:45", "2026-11-22T15:00+05:45", "22T14+0545"),
        # 02:00 became 01:30, and 02:00 became 02:30
        *(
            ("Australia/Lord_Howe", instant, start, end, label)
            for instant, start, end, label in (
                ("2026-04-05T01:45+11:00", "2026-04-05T01:00+11:00", "2026-04-05T02:00+11:00", "05T01+1100"),
                ("2026-04-05T01:45+10:30", "2026-04-05T01:30+10:30", "2026-04-05T02:00+10:30", "05T01+1030"),
                ("2026-10-04T02:45+11:00", "2026-10-04T02:30+11:00", "2026-10-04T03:00+11:00", "04T02+1100"),
            )
        ),
        # 00:01 became 23:01 of the day before: the hour ends early
        (
            "America/St_Johns",
            "2010-11-07T00:00-02:30",
            "2010-11-07T00:00-02:30",
            "2010-11-07T00:01-02:30",
            "07T00-0230",
        ),
    ],
)
def test_an_hour_shown_twice_is_two_periods(zone: str, instant: str, start: str, end: str, label: str) -> None:
    period = Calendar("hour", zone).period(at(instant))

    assert (at(start), at(end), label) == (period.start, period.end, period.label[8:])


def test_a_minute_is_told_with_its_offset() -> None:
    period = Calendar("minute", "Europe/Berlin").period(at("2026-11-22T14:05:59.9+01:00"))

    assert Period(at("2026-11-22T14:05+01:00"), at("2026-11-22T14:06+01:00"), "2026-11-22T14:05+0100") == period
