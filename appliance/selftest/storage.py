"""Where recordings lie: is it fast enough, does it keep what it says it keeps, and how worn is it?

A running call is made safe once a second (recordings/writer.py), so what counts is how long a sync takes, not how fast
a film is copied. Flash programs a page in some 0.2 ms to 3 ms (JEDEC JESD218, and the data sheets of TLC parts), so a
card that syncs in much less has kept the page in memory of its own, which the next power cut empties. A disk with
capacitors may do so rightly; a card has none. Whether a disk lies for certain shows only by cutting its power.

Wear is told by eMMC alone in a standard way (JEDEC JESD84-B51, EXT_CSD 267 to 269): in tenths of its life.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from appliance.selftest.finding import Finding, bad, good, look, untried
from appliance.selftest.kernel_tree import SYSFS, read_int, read_text

_PIECE = 1024 * 1024
_PIECES = 32
_SYNCS = 60
_SLOW_MB_S, _TOO_SLOW_MB_S = 8.0, 2.0
_SLOW_MS, _TOO_SLOW_MS = 150.0, 500.0
"""A tenth of the syncs may take longer. With two seconds at risk, half a second is the most that one may."""
_NO_FLASH_MS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """mb_s: written in a row, made safe at the end. sync_ms: of each 4 KiB that was made safe by itself."""

    mb_s: float
    sync_ms: tuple[float, ...]


def measure(folder: Path, now_s: Callable[[], float] = time.monotonic) -> Pace:
    """Write 32 MiB and 60 times 4 KiB into a file that is removed again. Raises OSError."""
    trial = folder / ".selftest"
    trial.unlink(missing_ok=True)
    # The folder is a daemon's and root writes: what is there already may be a link to anything.
    descriptor = os.open(trial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        piece = os.urandom(_PIECE)
        began_s = now_s()
        for _ in range(_PIECES):
            os.write(descriptor, piece)
        os.fsync(descriptor)
        mb_s = _PIECES * _PIECE / 1e6 / max(now_s() - began_s, 1e-6)
        took_ms = []
        for count in range(_SYNCS):
            began_s = now_s()
            os.pwrite(descriptor, piece[:4096], count * 4096)
            os.fdatasync(descriptor)
            took_ms.append((now_s() - began_s) * 1000)
    finally:
        os.close(descriptor)
        trial.unlink()
    return Pace(mb_s=mb_s, sync_ms=tuple(took_ms))


def look_at_storage(folder: Path, sysfs: Path = SYSFS, measured: Callable[[Path], Pace] = measure) -> Iterator[Finding]:
    """The disk below a folder: speed, syncs, honesty, wear. Takes a few seconds."""
    device = block_device(folder, sysfs)
    try:
        pace = measured(folder)
    except OSError as error:
        yield bad("storage", f"cannot be written: {error.strerror}", "Is it full, read-only or broken?")
        return
    yield _speed(pace)
    yield _syncs(pace)
    yield _honesty(pace, device)
    yield _wear(device)


def block_device(folder: Path, sysfs: Path = SYSFS) -> Path | None:
    """The whole disk on which a folder lies, in sysfs; None if it lies on none."""
    number = folder.stat().st_dev
    place = sysfs / "dev/block" / f"{os.major(number)}:{os.minor(number)}"
    for _depth in range(8):  # LUKS on LVM on a partition: no deeper than this
        if not place.exists():
            return None
        below = sorted((place / "slaves").glob("*"))
        if not below:
            break
        place = below[0]
    real = place.resolve()
    return real.parent if (real / "partition").exists() else real


def _speed(pace: Pace) -> Finding:
    reading = f"{pace.mb_s:.0f} MB/s"
    if pace.mb_s < _TOO_SLOW_MB_S:
        return bad("storage speed", reading, "Too slow, or about to fail. Take a card of class A1, made for recording.")
    if pace.mb_s < _SLOW_MB_S:
        return look("storage speed", reading, "Slow. A card of class A1 writes 10 MB/s and more.")
    return good("storage speed", reading)


def _syncs(pace: Pace) -> Finding:
    slow_ms = sorted(pace.sync_ms)[int(len(pace.sync_ms) * 0.9)]
    reading = f"nine of ten within {slow_ms:.1f} ms"
    if slow_ms > _TOO_SLOW_MS:
        return bad("storage syncs", reading, "A power cut could cost more than 2 s of a call. Take a better card.")
    if slow_ms > _SLOW_MS:
        return look("storage syncs", reading, "Slow for eight lines. Take a card of class A2, or fewer lines.")
    return good("storage syncs", reading)


def _honesty(pace: Pace, device: Path | None) -> Finding:
    median_ms = statistics.median(pace.sync_ms)
    reading = f"half of the syncs within {median_ms:.2f} ms"
    if device is None:
        return untried("storage honesty", f"{reading}; in memory, or on another machine")
    if median_ms >= _NO_FLASH_MS:
        return good("storage honesty", reading)
    if device.name.startswith("mmcblk"):
        return bad(
            "storage honesty",
            reading,
            "No flash is that fast: this card says 'safe' before it is, and a power cut will lose calls. Take another.",
        )
    return look(
        "storage honesty",
        reading,
        "No flash is that fast. If this disk has no capacitors against power cuts, it says 'safe' before it is.",
    )


_SPARE = {2: ", and 80 % of its spare blocks", 3: ", and 90 % of its spare blocks"}


def _wear(device: Path | None) -> Finding:
    if device is None or not device.name.startswith("mmcblk"):
        return untried("storage wear", "this disk does not tell it here (smartctl may)")
    ages = [int(age, 16) for age in (read_text(device / "device/life_time") or "").split()]
    if not ages:
        name = " ".join(filter(None, (read_text(device / f"device/{what}") for what in ("name", "date"))))
        return untried("storage wear", f"card {name or 'without a name'} does not tell it; take one made for recording")
    reading = f"at most {max(ages)} tenths of its life"
    spare = read_int(device / "device/pre_eol_info") or 1
    if max(ages) >= 10 or spare >= 3:
        return bad("storage wear", reading, "It will fail soon. Make a backup, and replace the board or its eMMC.")
    if max(ages) >= 8 or spare in _SPARE:
        return look("storage wear", f"{reading}{_SPARE.get(spare, '')}", "Plan its replacement.")
    return good("storage wear", reading)
