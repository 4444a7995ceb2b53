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

STEP_FORWARD_MS = 3_600_000
"""So far a running clock may jump ahead of the time that really passed."""


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


def why_untrusted(mark: ClockMark, *, last: ClockMark | None, latest_ms: int) -> str | None:
    """Say why the clock cannot be believed, or None if it can.

    Args:
        mark: the clocks now.
        last: the last trusted mark of this run, None at its start.
        latest_ms: the latest trusted time this box has ever seen, 0 if none.
    """
    if mark.wall_ms < EARLIEST_MS:
        return "The clock shows a time before this software was made."
    if mark.wall_ms < latest_ms - STEP_BACK_MS:
        return "The clock has gone back behind a time that this box has already seen."
    if last is not None:
        passed_ms = mark.steady_ms - last.steady_ms
        if mark.wall_ms - last.wall_ms > passed_ms + STEP_FORWARD_MS:
            return "The clock has jumped ahead further than time has passed."
    return None
