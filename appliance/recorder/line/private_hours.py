"""The hours in which a line is private, as its settings write them: "mo-fr 18:00-08:00", "sa-su", "12:30-13:15".

Pure. An entry is days, or hours, or both; days alone are whole days, hours alone are those of every day. Hours that end
before they begin go over midnight and belong to the day on which they begin: "fr 18:00-08:00" is private on Saturday
morning. The last minute is not included, so that "18:00-08:00" and "08:00-18:00" share none.

What counts is the clock on the wall. In the night in which it is put back, an hour that comes twice is private both
times; one that is left out is nobody's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from appliance.terms import SettingsTrouble

_DAYS = ("mo", "tu", "we", "th", "fr", "sa", "su")
_DAY_MINUTES = 24 * 60
_DAY = "|".join(_DAYS)
_TIME = r"([01][0-9]|2[0-3]):([0-5][0-9])"
_END = rf"(?:{_TIME}|(24):00)"
_ENTRY = re.compile(rf"(?:({_DAY})(?:-({_DAY}))?)?(?: ?(?<![a-z]){_TIME}-{_END})?", re.ASCII)
EXAMPLE = 'write for example "mo-fr 18:00-08:00", "sa-su" or "12:30-13:15"'


@dataclass(frozen=True, slots=True, kw_only=True)
class _Span:
    """From a minute of certain days on (0 is Monday); until the next day if it ends after 24:00."""

    days: frozenset[int]
    first_minute: int
    end_minute: int

    def covers(self, day: int, minute: int) -> bool:
        return (day in self.days and self.first_minute <= minute < self.end_minute) or (
            (day - 1) % 7 in self.days and minute + _DAY_MINUTES < self.end_minute
        )


class PrivateHours:
    """The private hours of one line.

    Raises:
        SettingsTrouble: an entry cannot be read.
    """

    def __init__(self, entries: Iterable[str]) -> None:
        self._spans = tuple(_span(entry) for entry in entries)

    def covers(self, local: datetime) -> bool:
        """Whether the line is private at this moment, given as the clock on its wall shows it."""
        return any(span.covers(local.weekday(), local.hour * 60 + local.minute) for span in self._spans)


def _span(entry: str) -> _Span:
    match = _ENTRY.fullmatch(" ".join(entry.lower().split()))
    if match is None or not match[0]:
        raise SettingsTrouble(f"'{entry}' are no hours in which a line is private: {EXAMPLE}.")
    first_day, last_day, *times = match.groups()
    if first_day is not None and last_day is None:
        last_day = first_day
    first, last = (0, 6) if first_day is None else (_DAYS.index(first_day), _DAYS.index(last_day))
    days = frozenset((first + more) % 7 for more in range((last - first) % 7 + 1))
    if times[0] is None:
        return _Span(days=days, first_minute=0, end_minute=_DAY_MINUTES)
    begin = int(times[0]) * 60 + int(times[1])
    end = _DAY_MINUTES if times[4] else int(times[2]) * 60 + int(times[3])
    if begin == end:
        raise SettingsTrouble(f"'{entry}' ends when it begins: write the days alone for all day, or {EXAMPLE}.")
    return _Span(days=days, first_minute=begin, end_minute=end if end > begin else end + _DAY_MINUTES)
