"""A tap between a program and its disk: a trace of every call of consequence, and calls that fail when told.

Promise: `disk_tap.c` beside this file, preloaded, notes what a program does below one folder, its libraries (SQLite)
included, and makes the Nth call fail. Left to others: what a disk makes of the trace (crash_disk.py), and the program.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from enum import IntEnum
from pathlib import Path

_SOURCE = Path(__file__).with_name("disk_tap.c")
_GCC = ("gcc", "-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror")


class Fault(IntEnum):
    """What may happen to a call; the numbers are those of the C source."""

    NONE = 0
    KILL = 1
    """The process is killed when the call has been done."""
    REFUSE = 2
    """A change or a sync ends with EIO, a write half done; once."""
    REFUSE_READING = 3
    """A read ends with EIO; once."""
    FULL = 4
    """From this one on, nothing can be written or created: ENOSPC."""
    SHORT = 5
    """A write takes only half of what it is given, and says so; once."""


def build_tap(build_dir: Path) -> Path:
    """Compile the tap into this folder."""
    tap = build_dir / "disk_tap.so"
    subprocess.run([*_GCC, "-o", str(tap), str(_SOURCE), "-lpthread"], check=True)
    return tap


def tapped_environment(tap: Path) -> dict[str, str]:
    """What a process must be started with, so that the tap lies under it."""
    return os.environ | {"LD_PRELOAD": str(tap)}


class DiskTap:
    """The tap, as the process that it lies under speaks to it. Raises AttributeError: it lies under no such process."""

    def __init__(self) -> None:
        library = ctypes.CDLL(None)
        self._begin, self._fault = library.disk_tap_begin, library.disk_tap_fault
        self._fault.argtypes = (ctypes.c_int, ctypes.c_long)

    def begin(self, folder: Path, trace: Path) -> None:
        """From now on what happens below this folder is noted, behind what the trace holds already."""
        if self._begin(os.fsencode(folder.resolve()), os.fsencode(trace)) != 0:
            raise OSError(f"no trace at {trace}")

    def fail(self, fault: Fault, at: int = 0) -> None:
        """Let the `at`-th call from now on (from 1) go wrong; `Fault.NONE` ends it."""
        self._fault(fault, at)
