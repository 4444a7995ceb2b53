"""How figures and the daemons' own words are said to a person, in their language and time zone.

Everything here is text for eyes; nothing is decided. What a daemon says in whole sentences is in daemon_sentences.py.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

from appliance.terms import ConsentBy
from webui import language
from webui.language import figure_text, gettext, mark, ngettext

AUDIO_BYTES_AN_HOUR = 7_700_000
"""16 kbit/s with Ogg pages and seals, rounded up: for saying how many hours still fit. Two sides take twice that."""

_DAY_MS = 86_400_000
_LATEST_MS = int(datetime(9000, 1, 1, tzinfo=UTC).timestamp()) * 1000
_PERIODS = (
    (365 * 86_400, "duration-year"),
    (86_400, "duration-day"),
    (3600, "duration-hour"),
    (60, "duration-minute"),
    (1, "duration-second"),
)


_DIRECTIONS = {"in": mark("incoming"), "out": mark("outgoing")}

_CONSENTS = {
    "key": mark("key pressed at %(time)s"),
    "agent": mark("spoken yes, confirmed by the side that records at %(time)s"),
    "announcement": mark("announcement heard to its end at %(time)s"),
}
"""What `ConsentBy` means; a duty has no moment, and asks nobody."""

_GAP_REASONS = {
    "overrun": mark("the box was too slow for a moment"),
    "overload": mark("the box was too slow for a moment"),
    "dropout": mark("the sound device left something out"),
    "unplugged": mark("the sound device was unplugged"),
    "paused": mark("recording was paused"),
    "no_key": mark("there was no key in time"),
    "disk": mark("the disk refused"),
}

_NOT_KEPT = {
    "missed": mark("Missed"),
    "not_answered": mark("Not answered"),
    "refused": mark("Not recorded: no consent"),
    "timed_out": mark("Not recorded: no consent in time"),
    "half_heard": mark("Not recorded: announcement not heard to its end"),
    "number_listed": mark("Not recorded: number on the list"),
    "private": mark("Not recorded: private time"),
    "fax": mark("Not recorded: fax"),
    "doubt": mark("Not recorded: consent not certain"),
    "forgotten": mark("Forgotten on request"),
}

_ENDINGS = {
    "hung_up": mark("the call was over"),
    "silence": mark("the line fell silent"),
    "disk_full": mark("the box was full"),
    "device_lost": mark("the sound device was gone"),
    "stopped": mark("the box was shut down"),
    "longest": mark("the longest allowed length was reached"),
    "cut_off": mark("cut off by a power cut or a fault"),
}

CUT_SHORT = frozenset({"cut_off", "device_lost", "disk_full"})
"""Endings after which a call may have gone on unrecorded through no will of its people."""


def ending(word: str) -> str:
    return gettext(_ENDINGS[word]) if word in _ENDINGS else word


def not_kept(word: str) -> str:
    """Why nothing was recorded; empty for a recording, and for a word that is not one of ours."""
    return gettext(_NOT_KEPT[word]) if word in _NOT_KEPT else ""


def direction(word: str) -> str:
    """Empty if the direction is not known."""
    return gettext(_DIRECTIONS[word]) if word in _DIRECTIONS else ""


def consent(by: str, at_ms: int, ground: str = "") -> str:
    """What proves that a call may be kept, and since when it does.

    Args:
        by: as the recording has it; empty if it does not say it.
        ground: why the line may be recorded, where that is not said beside it.
    """
    if not by:
        return gettext("not noted in this recording")
    if by == ConsentBy.DUTY:
        return gettext("No consent asked: %(ground)s", ground=ground) if ground else gettext("No consent asked")
    return gettext(_CONSENTS[by], time=language.exact_clock_text(local_time(at_ms))) if by in _CONSENTS else by


def gap_reason(word: str) -> str:
    return gettext(_GAP_REASONS[word]) if word in _GAP_REASONS else word


def local_time(ms: int) -> datetime:
    """UTC milliseconds as a time in the box's time zone; a late one in place of a moment that no calendar has."""
    # When a call began the recorder says, and one that was taken over must not hide all other calls by it.
    return language.local_time(datetime.fromtimestamp(min(ms, _LATEST_MS) / 1000, UTC))


def end_of_day_ms(day: date) -> int:
    """The moment, in UTC milliseconds, at which this day is over where the box stands."""
    return int(language.end_of_day(day).timestamp()) * 1000


def last_day(until_ms: int) -> date:
    """The last day of what lasts until then."""
    return local_time(until_ms - 1).date()


def last_day_text(until_ms: int) -> str:
    return language.date_text(last_day(until_ms))


def clock_text(ms: int) -> str:
    return language.clock_text(local_time(ms))


def date_text(ms: int) -> str:
    return language.date_text(local_time(ms).date())


def moment_text(ms: int) -> str:
    day = language.full_date_text(local_time(ms).date())
    return gettext("%(date)s, %(time)s", date=day, time=clock_text(ms))


def day_heading(day: date, today: date) -> str:
    """A day as the list says it: by its name where it is near."""
    if day == today:
        return gettext("Today")
    if day == today - timedelta(days=1):
        return gettext("Yesterday")
    return language.full_date_text(day)


def due_text(due_at_ms: int, now_ms: int) -> str:
    """When a call will be gone; to the minute if that is soon."""
    if not due_at_ms:
        return gettext("deletion date set once the clock is right")
    if due_at_ms <= now_ms:
        return gettext("being deleted")
    if due_at_ms - now_ms < _DAY_MS:
        return gettext("will be deleted on %(date)s at %(time)s", date=date_text(due_at_ms), time=clock_text(due_at_ms))
    return gettext("will be deleted on %(date)s", date=date_text(due_at_ms))


def length_text(length_ms: int) -> str:
    """3:07 or 1:02:33."""
    minutes, seconds = divmod(max(0, length_ms) // 1000, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def seconds_text(ms: int) -> str:
    """A short loss: 0.4 seconds."""
    return language.amount_text(max(0.1, round(ms / 1000, 1)), "duration-second")


def period_text(seconds: int) -> str:
    """A keep period in the largest unit that leaves no rest: 30 days, never 'a month'."""
    size, unit = next(pair for pair in _PERIODS if seconds % pair[0] == 0)
    return language.amount_text(seconds // size, unit)


def age_text(ms: int) -> str:
    """3 days ago. A clock that was put back makes nothing come from the future."""
    return language.wait_text(-max(1, ms // 1000))


def hours_that_fit(free_bytes: int) -> str:
    """How many hours of calls a disk still takes, to two digits: more would be a promise."""
    hours = free_bytes // AUDIO_BYTES_AN_HOUR
    rounded = hours if hours < 100 else round(hours, 2 - len(str(hours)))
    return ngettext("%(shown)s hour", "%(shown)s hours", rounded, shown=figure_text(rounded))


def speed_text(figure: str) -> str:
    """1.25 or 1,25."""
    return figure_text(float(figure))


def fingerprint(digits: str) -> str:
    """A fingerprint as the label shows it: groups of four."""
    return " ".join(digits[start : start + 4].upper() for start in range(0, len(digits), 4))


FILTERS: dict[str, Callable[..., Any]] = {
    "clock_text": clock_text,
    "consent": consent,
    "date_text": date_text,
    "direction": direction,
    "ending": ending,
    "fingerprint": fingerprint,
    "gap_reason": gap_reason,
    "last_day_text": last_day_text,
    "length_text": length_text,
    "list_text": language.list_text,
    "moment_text": moment_text,
    "not_kept": not_kept,
    "seconds_text": seconds_text,
    "speed_text": speed_text,
}
"""What templates may use, by name."""
