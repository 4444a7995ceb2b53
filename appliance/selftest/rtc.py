"""The clock that runs on a battery. Without it the box does not know after a power cut when to delete, and waits.

A DS3231 or PCF8523 sets a flag when its oscillator stopped; the kernel then refuses to tell the time (EINVAL). The rate
is compared with the processor's own clock, between two changes of the second. That finds a clock that stands or runs
wild; the 2 ppm of a DS3231 are far below what can be seen so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from appliance.selftest.finding import Finding, bad, good, look
from appliance.selftest.kernel_tree import SYSFS, read_int, read_text

_SOFTWARE_MADE_S = 1_767_225_600
"""2026-01-01: a clock that says less has lost its time."""

_MOST_OFF = 0.001
_LOOK_EVERY_S = 0.01
_AWAY_FROM_SYSTEM_S = 5


def look_at_rtc(
    sysfs: Path = SYSFS,
    *,
    seconds: int = 10,
    steady_s: Callable[[], float] = time.monotonic,
    wall_s: Callable[[], float] = time.time,
    wait: Callable[[float], None] = time.sleep,
) -> Iterator[Finding]:
    """The first clock of this board; takes `seconds` and up to two more."""
    clock = sysfs / "class/rtc/rtc0"
    if not clock.exists():
        yield bad("clock", "no battery-backed clock", "Plug in an RTC with its battery, and load its overlay.")
        return
    name = read_text(clock / "name") or "unknown"
    told_s = read_int(clock / "since_epoch")
    if told_s is None:
        yield bad("clock", f"{name}: does not tell the time", "Its battery is empty or missing. Put in a new one.")
        return
    if told_s < _SOFTWARE_MADE_S:
        yield bad("clock", f"{name}: {_date(told_s)}", "It has lost its time. Put in a new battery, then set it.")
        return
    away_s = told_s - wall_s()
    if abs(away_s) > _AWAY_FROM_SYSTEM_S:
        yield look(
            "clock",
            f"{name}: {away_s:+.0f} s from the system's",
            "Once the system's is right: hwclock --systohc.",
        )
    else:
        yield good("clock", f"{name}: {_date(told_s)}")
    yield _rate(clock / "since_epoch", name, seconds, steady_s, wait)


def _rate(
    since_epoch: Path, name: str, seconds: int, steady_s: Callable[[], float], wait: Callable[[float], None]
) -> Finding:
    began = _next_second(since_epoch, steady_s, wait)
    if began is None:
        return bad("clock rate", f"{name}: stands still", "The clock is broken, or its quartz. Take another one.")
    wait(seconds - 0.5)
    ended = _next_second(since_epoch, steady_s, wait)
    if ended is None:
        return bad("clock rate", f"{name}: stands still", "The clock is broken, or its quartz. Take another one.")
    off = (ended[0] - began[0]) / (ended[1] - began[1]) - 1
    reading = f"{name}: {off * 100:+.2f} % in {seconds} s"
    if abs(off) > _MOST_OFF + 2 * _LOOK_EVERY_S / seconds:
        return bad("clock rate", reading, "It runs wrong. Take another one.")
    return good("clock rate", reading)


def _next_second(
    since_epoch: Path, steady_s: Callable[[], float], wait: Callable[[float], None]
) -> tuple[int, float] | None:
    """The clock's next second, and when it came; None if none comes within two."""
    first, give_up = read_int(since_epoch), steady_s() + 2
    while steady_s() < give_up:
        now = read_int(since_epoch)
        if now is not None and now != first:
            return now, steady_s()
        wait(_LOOK_EVERY_S)
    return None


def _date(seconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
