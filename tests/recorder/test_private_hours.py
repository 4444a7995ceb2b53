"""Private hours are what the clock on the wall says, over midnight too."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.recorder.line.private_hours import PrivateHours
from appliance.terms import SettingsTrouble

MONDAY = datetime(2026, 11, 30)  # noqa: DTZ001 - the clock on a wall knows no zone
BERLIN = ZoneInfo("Europe/Berlin")


def at(day: int, clock: str) -> datetime:
    """0 is Monday."""
    hours, minutes = map(int, clock.split(":"))
    return MONDAY + timedelta(days=day, hours=hours, minutes=minutes)


@pytest.mark.parametrize(
    ("entry", "day", "clock", "private"),
    [
        ("mo-fr 18:00-08:00", 0, "17:59", False),
        ("mo-fr 18:00-08:00", 0, "18:00", True),
        ("mo-fr 18:00-08:00", 1, "07:59", True),
        ("mo-fr 18:00-08:00", 1, "08:00", False),
        ("mo-fr 18:00-08:00", 0, "07:59", False),  # that would be Sunday's night
        ("mo-fr 18:00-08:00", 5, "07:59", True),  # Friday's night
        ("mo-fr 18:00-08:00", 5, "18:00", False),
        ("su 18:00-08:00", 0, "01:00", True),
        ("sa-su", 4, "23:59", False),
        ("sa-su", 5, "00:00", True),
        ("sa-su", 6, "23:59", True),
        ("sa-su", 0, "00:00", False),
        ("fr-mo", 0, "12:00", True),
        ("fr-mo", 1, "12:00", False),
        ("we", 2, "12:00", True),
        ("12:30-13:15", 3, "12:30", True),
        ("12:30-13:15", 3, "13:15", False),
        ("00:00-24:00", 3, "23:59", True),
        ("Mo-Fr  18:00-24:00", 0, "18:00", True),
        ("mo 18:00-24:00", 1, "00:00", False),
    ],
)
def test_hours_begin_and_end_when_they_say(entry: str, day: int, clock: str, *, private: bool) -> None:
    assert PrivateHours((entry,)).covers(at(day, clock)) is private


@pytest.mark.parametrize(
    "entry",
    ["", " ", "mo-", "mo-xx", "18:00", "18:00-", "25:00-26:00", "8:00-9:00", "18:60-19:00", "24:00-01:00",
     "mo,tu", "mo fr 18:00-08:00", "mo18:00-08:00", "montag", "mo-fr 18-08", "08:00-08:00",
     "١٨:00-19:00", "mo-fr 18:00-08:00 x"],
)  # fmt: skip
def test_what_cannot_be_read_is_a_sentence_with_an_example(entry: str) -> None:
    with pytest.raises(SettingsTrouble, match="mo-fr 18:00-08:00"):
        PrivateHours(("sa-su", entry))


def test_in_the_night_of_the_clock_change_the_wall_counts() -> None:
    hours = PrivateHours(("02:00-03:00",))
    back = datetime(2026, 10, 25, tzinfo=UTC)
    private = [hours.covers((back + timedelta(minutes=m)).astimezone(BERLIN)) for m in range(240)]
    assert sum(private) == 120  # the hour from two to three comes twice
    forward = datetime(2027, 3, 28, tzinfo=UTC)
    assert not any(hours.covers((forward + timedelta(minutes=m)).astimezone(BERLIN)) for m in range(240))


minutes_of_day = st.integers(0, 24 * 60 - 1)


@given(begin=minutes_of_day, end=minutes_of_day, minute=st.integers(0, 7 * 24 * 60 - 1))
def test_hours_and_those_turned_round_share_no_minute_and_leave_none_out(begin: int, end: int, minute: int) -> None:
    if begin == end:
        return
    first, last = (f"{clock // 60:02}:{clock % 60:02}" for clock in (begin, end))
    moment = MONDAY + timedelta(minutes=minute)
    assert PrivateHours((f"{first}-{last}",)).covers(moment) != PrivateHours((f"{last}-{first}",)).covers(moment)


def test_no_entries_are_no_private_hours() -> None:
    assert not PrivateHours(()).covers(at(0, "12:00"))
