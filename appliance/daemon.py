"""What all daemons do alike: logs as JSON lines, no core dumps, a sign of life for systemd, stop on a signal.

Knows no daemon. A log line never holds audio, a key, a caller's number or a person's name.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import logging
import os
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import structlog

_PR_SET_DUMPABLE = 4
_M_PERTURB = -6
_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4


def start_log(daemon: str) -> structlog.stdlib.BoundLogger:
    """Write the log to standard error, one JSON object a line, and return this daemon's logger."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    logger: Any = structlog.get_logger(daemon=daemon)
    return logger  # type: ignore[no-any-return]


def forbid_core_dumps() -> None:
    """Keep this process's memory off the disk: no core file, no reading by others of the same user."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def lock_memory() -> bool:
    """Keep this process's memory out of swap, page by page as it is touched.

    Returns: False if the system does not let us (no CAP_IPC_LOCK); the image has no swap at all.
    """
    flags = _MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT
    return bool(ctypes.CDLL(None, use_errno=True).mlockall(flags) == 0)


def wipe_freed_memory() -> None:
    """Overwrite memory as it is freed (glibc, mallopt(3)), but for pieces below a kilobyte, which are soon used again.

    Audio passes through buffers of numpy and of the interpreter that nobody could wipe one by one.
    """
    ctypes.CDLL(None).mallopt(_M_PERTURB, 0xA5)


def collect_garbage_rarely() -> None:
    """To be called when all parts are made: they are looked at no more, and what comes after them less often.

    Whoever makes a dozen small objects for each block of each line, all of which die by themselves, otherwise has the
    collector walk through everything many times a second.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def stop_on_signals() -> threading.Event:
    """An event that SIGTERM or SIGINT sets."""
    stop = threading.Event()

    def ask_to_stop(_signal: int, _frame: object) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, ask_to_stop)
    signal.signal(signal.SIGINT, ask_to_stop)
    return stop


class Pulse:
    """The sign of life of a thread that must not hang: it beats in each of its rounds, and others see how long ago."""

    def __init__(self) -> None:
        self._beat_at_s = time.monotonic()

    def beat(self) -> None:
        self._beat_at_s = time.monotonic()

    @property
    def silent_s(self) -> float:
        return time.monotonic() - self._beat_at_s


def stay_until(stop: threading.Event, is_alive: Callable[[], bool]) -> None:
    """Tell systemd that we are ready, and that we live as long as `is_alive` says so; return once `stop` is set.

    A daemon that was not started by systemd, or without WatchdogSec, only waits.
    """
    _notify("READY=1")
    watchdog_us = int(os.environ.get("WATCHDOG_USEC", "0"))
    # Three times as often as need be: one answer may come late (sd_watchdog_enabled(3) advises twice).
    while not stop.wait(watchdog_us / 3_000_000 if watchdog_us else None):
        if is_alive():
            _notify("WATCHDOG=1")
    _notify("STOPPING=1")


def _notify(state: str) -> None:
    """A datagram as sd_notify(3) describes it. Does nothing if systemd does not listen."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    # It may be restarting itself, and refuse: the next beat reaches it.
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to_systemd, contextlib.suppress(OSError):
        to_systemd.sendto(state.encode(), "\0" + address[1:] if address[0] == "@" else address)
