"""Keeps a set of programs running without systemd: starts them, reads their logs, restarts what dies, stops them.

A program that ends with code 2 has said that it cannot start as things are; that is final. Everything else is
a crash and is answered with a new start. No child outlives its parent, even if that is killed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

CANNOT_START = 2
_LONGEST_PAUSE_S = 5.0
_LOG_ENDS_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What to run. `stop_s`: how long it may take to end when asked."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    stop_s: float = 3.0


class Child:
    """One program, kept running by a thread of its own.

    Args:
        on_line: gets every line that the program writes on standard error.
        on_end: told once if the program ended with CANNOT_START; it is not started again.
    """

    def __init__(self, program: Program, on_line: Callable[[str, str], None], on_end: Callable[[str], None]) -> None:
        self._program = program
        self._on_line = on_line
        self._on_end = on_end
        self._stop = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._keep_running, name=f"child-{program.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def name(self) -> str:
        return self._program.name

    def stop(self) -> None:
        """Ask it to end; kill it if it does not."""
        self._stop.set()
        process = self._process
        if process is not None and process.poll() is None:
            process.terminate()
            try:
                process.wait(self._program.stop_s)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self._thread.join(1)

    def _keep_running(self) -> None:
        pause_s = 0.1
        while not self._stop.is_set():
            began_s = time.monotonic()
            code = self._run_once()
            if self._stop.is_set():
                return
            if code == CANNOT_START:
                self._on_end(self.name)
                return
            pause_s = 0.1 if time.monotonic() - began_s > _LONGEST_PAUSE_S else min(pause_s * 2, _LONGEST_PAUSE_S)
            self._stop.wait(pause_s)

    def _run_once(self) -> int:
        # A session of its own: Ctrl-C reaches only the parent, which then stops everything in order.
        # setpriv: the kernel ends the program when this thread's process dies, however that happens.
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", *self._program.command],
            env={**os.environ, **self._program.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._process = process
        if self._stop.is_set():
            process.terminate()
        reader = threading.Thread(target=self._read, args=(process,), name=f"log-{self.name}", daemon=True)
        reader.start()
        with contextlib.suppress(ChildProcessError):  # `stop` was quicker
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        # Only now is the group surely still its own. What a killed program leaves behind (a web server's
        # worker) would hold the port, and answer in its successor's place.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        code = process.wait()
        reader.join(_LOG_ENDS_WITHIN_S)
        return code

    def _read(self, process: subprocess.Popen[str]) -> None:
        if process.stderr is None:
            raise RuntimeError("a child without standard error")
        with process.stderr:
            for line in process.stderr:
                self._on_line(self.name, line.rstrip("\n"))
