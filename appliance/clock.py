"""What time it is, and whether to believe it.

A clock that is wrong deletes too early or too late, so nothing is deleted on one that is not trusted.
Decides only; the marks it compares with are kept by whoever asks (the vault keeps them in its catalogue).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

EARLIEST_MS = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp() * 1000)
"""No honest clock shows an earlier time: this software did not exist. Catches a board without a battery."""

STEP_BACK_MS = 60_000
"""So far a clock may fall behind the latest time seen before it counts as wrong."""

DEVIATION_MS = 3_600_000
"""So far a running clock may get ahead of the time that really passed, or fall behind it, in all its steps together: a
time server that puts it on or back by less each time would otherwise have all forgotten, or nothing ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockMark:
    """The wall clock and the steady clock, read at one moment of one run; both in milliseconds."""

    wall_ms: int
    steady_ms: int


class Clock:
    """The machine's clocks. Tests give their own two functions (milliseconds)."""

    def __init__(self, wall: Callable[[], int] | None = None, steady: Callable[[], int] | None = None) -> None:
        self._wall = wall or (lambda: time.time_ns() // 1_000_000)
        # BOOTTIME also runs on while the machine sleeps, as the wall clock does.
        self._steady = steady or (lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000)

    def now_ms(self) -> int:
        """UTC, milliseconds since 1970."""
        return self._wall()

    def mark(self) -> ClockMark:
        return ClockMark(wall_ms=self._wall(), steady_ms=self._steady())


def why_untrusted(mark: ClockMark, *, since: ClockMark | None, latest_ms: int) -> str | None:
    """Say why the clock cannot be believed, or None if it can.

    Args:
        mark: the clocks now.
        since: the mark from which on this run compares them, None at its start.
        latest_ms: the latest trusted time this box has ever seen, 0 if none.
    """
    if mark.wall_ms < EARLIEST_MS:
        return "The clock shows a time before this software was made."
    if goes_back(mark, latest_ms):
        return "The clock has gone back behind a time that this box has already seen."
    if since is not None and _ahead_ms(mark, since) > DEVIATION_MS:
        return "The clock has jumped ahead further than time has passed."
    if since is not None and _ahead_ms(mark, since) < -DEVIATION_MS:
        return "The clock has fallen behind the time that has passed."
    return None


def goes_back(mark: ClockMark, latest_ms: int) -> bool:
    return mark.wall_ms < latest_ms - STEP_BACK_MS


def caught_up(mark: ClockMark, since: ClockMark) -> ClockMark:
    """From where a clock is compared that had gone back, and was not believed until now.

    How far it is behind has been told, and is forgotten. How far ahead it was is not, or going back would buy more.
    """
    return ClockMark(wall_ms=mark.wall_ms - max(0, _ahead_ms(mark, since)), steady_ms=mark.steady_ms)


def _ahead_ms(mark: ClockMark, since: ClockMark) -> int:
    return (mark.wall_ms - since.wall_ms) - (mark.steady_ms - since.steady_ms)
