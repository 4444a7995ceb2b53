"""The daemons of one box for a measurement: started one by one, on a line that may be faster than life.

Promises: the daemons are what a box runs, with sockets, TPM, disk and TLS; whoever measures knows the process of
each, and may kill it. Nothing outlives the `with` block.
Leaves to others: what is measured. The demonstration is no use here: its line knows no speed.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from appliance.boundary.verbs import Caller
from appliance.commands import software_tpm
from appliance.settings import SOFTWARE_TPM, Settings, read_settings
from tests.simulators.line import SimulatedLine
from tests.system.house import free_port
from tests.systemd.matrix import unit

NAME, PASSWORD = "Anna Becker", "drei kurze Worte im Mai"
_DEVICE = "line0"
_READY_WITHIN_S = 30.0
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


class BenchBox:
    """
    Args:
        folder: empty; short, for the sockets in it.
        feed: what the line says: int16, shape (frames, lines).
        speed: how many times faster than life.
    """

    def __init__(self, folder: Path, feed: NDArray[np.int16], *, speed: float = 1.0, repeat: bool = False) -> None:
        self.port = free_port()
        self._file = folder / "linekeep.toml"
        self._file.write_text(_settings_text(folder, self.port, feed.shape[1]), "utf-8")
        self.settings: Settings = read_settings(self._file)
        self.settings.run.mkdir()
        self.settings.state.mkdir()
        self.line = SimulatedLine(folder / "line", feed, speed=speed, repeat=repeat, name=_DEVICE)
        self._running: dict[str, subprocess.Popen[str]] = {}
        self._happenings: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self.complaints: list[str] = []

    def __enter__(self) -> Self:
        self._begin("tpm", software_tpm.program(self.settings).command)
        software_tpm.wait_until_ready(self.settings)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in ("recorder", "front", "webui", "vault", "tpm"):
            self.end(name)

    def start(self, name: str) -> None:
        """Start a daemon as its system unit would, on the processors that it names."""
        command = [sys.executable, "-m", "appliance.cli", "run", "--config", str(self._file), name]
        if cores := unit(name).get("CPUAffinity"):
            command = ["taskset", "--cpu-list", *cores, *command]
        self._begin(name, command, self.line.environment() if name == "recorder" else {})
        if name == "vault":
            self.wait_for("vault_ready")

    def end(self, name: str) -> None:
        process = self._running.pop(name, None)
        if process is not None:
            process.terminate()
            process.wait(20)

    def kill(self, name: str) -> None:
        """As a power cut for one process."""
        process = self._running.pop(name)
        process.kill()
        process.wait()

    def cpu_s(self, name: str) -> float:
        """Processor seconds of a daemon since its start."""
        # proc(5): the name in brackets may hold blanks; utime and stime are fields 14 and 15.
        fields = Path(f"/proc/{self._running[name].pid}/stat").read_text("ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND

    def pss_mb(self, name: str) -> float:
        """Memory of a daemon and its workers in MB (2**20), what it shares with others counted in part."""
        own = self._running[name].pid
        workers = Path(f"/proc/{own}/task/{own}/children").read_text("ascii").split()
        return sum(_pss_mb(each) for each in (str(own), *workers))

    def wait_for(self, event: str, within_s: float = _READY_WITHIN_S) -> dict[str, Any]:
        """The next line of this event in any daemon's log."""
        give_up = time.monotonic() + within_s
        while True:
            try:
                told = self._happenings.get(timeout=max(0.0, give_up - time.monotonic()))
            except queue.Empty:
                raise TimeoutError(f"no '{event}' within {within_s} s: {self.complaints}") from None
            if told.get("event") == event:
                return told

    def vault_socket(self) -> Path:
        return self.settings.vault_socket(Caller.WEBUI)

    def claim_code(self) -> str:
        return (self.settings.state / "claim-code").read_text("ascii").strip()

    def _begin(self, name: str, command: Any, environment: dict[str, str] | None = None) -> None:
        process = subprocess.Popen(
            list(command),
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._running[name] = process
        threading.Thread(target=self._hear, args=(process,), daemon=True).start()

    def _hear(self, process: subprocess.Popen[str]) -> None:
        if process.stderr is None:
            raise RuntimeError("a daemon without standard error")
        with process.stderr:
            for line in process.stderr:
                try:
                    told = json.loads(line)
                except ValueError:
                    told = {"event": line, "level": "error"}
                if told.get("level") not in {"info", "debug"}:
                    self.complaints.append(line.strip())
                self._happenings.put(told)


def _pss_mb(process: str) -> float:
    for line in Path(f"/proc/{process}/smaps_rollup").read_text("ascii").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("the kernel tells no Pss")


def _settings_text(folder: Path, port: int, lines: int) -> str:
    text = [
        f"state_dir = {json.dumps(str(folder / 'state'))}",
        f"run_dir = {json.dumps(str(folder / 'run'))}",
        "[vault]",
        f"tpm = {json.dumps(SOFTWARE_TPM)}",
        "[webui]",
        'address = "127.0.0.1"',
        f"port = {port}",
        'names = ["localhost"]',
        "[[recorder.devices]]",
        f'alsa = "{_DEVICE}"',
        f"channels = {lines}",
    ]
    for line in range(lines):
        text += [
            "[[recorder.lines]]",
            f'name = "line{line}"',
            f'alsa = "{_DEVICE}"',
            f"channel = {line}",
            'ground = "A measurement; nobody speaks."',
            'consent = "duty"',
        ]
    return "\n".join(text) + "\n"
