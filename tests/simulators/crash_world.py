"""Records lives of the product on a tapped disk, and lays out what power cuts make of them.

Promise: `record` runs lives in a process of their own, on a TPM of their own, and gives a trace in which the TPM's
state stands where it changed. `verdicts` rebuilds disk and TPM as a cut at one place may leave them, starts the product
on them twice, and gives what is wrong. What a disk may do: crash_disk.py. What is lived: crash_life.py. What must hold:
crash_promises.py.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

from tests.simulators.crash_changes import apply_change
from tests.simulators.crash_disk import CrashDisk, Kind, Record, encode, lay_out, read_trace, rebuilt
from tests.simulators.crash_life import DISK, TRACE, Life, ask_for, cheap_passwords
from tests.simulators.crash_promises import Promises, broken_promises, told
from tests.simulators.disk_tap import build_tap, tapped_environment
from tests.simulators.software_tpm import FaultyTpm, SoftwareTpm, Verdict
from tests.vault.box_house import NOON_MS

_ROOT = Path(__file__).parents[2]
_CHIP_STATE = "tpm2-00.permall"
_BETWEEN_LIVES_MS = 3_600_000
_CALLS = frozenset(Kind) - {Kind.TOLD, Kind.READ_FROM_DISK}


class LifeFault(Exception):
    """A life ended with an exception that is none of the product's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A trace, and the copies of the TPM's state that it names."""

    records: list[Record]
    chips: list[bytes]
    endings: tuple[str, ...]

    def cuts(self) -> list[int]:
        """The records during which the power may go: all calls, none of what was told."""
        return [number for number, record in enumerate(self.records) if record.kind in _CALLS]

    def steps(self, begin: int, end: int) -> list[int]:
        """Cuts between two records that differ: of writes to one file in a row, of which any may be lost, the last."""
        follows = dict(pairwise(self.cuts()))
        return [cut for cut in self.cuts() if begin < cut < end and not self._goes_on(cut, follows.get(cut))]

    def _goes_on(self, cut: int, following: int | None) -> bool:
        if following is None:
            return False
        this, after = self.records[cut], self.records[following]
        return this.kind is after.kind is Kind.WRITTEN and this.inode == after.inode

    def told(self, kind: str) -> list[int]:
        """Where something of this kind was told."""
        return [number for number, record in enumerate(self.records) if told(record).get("told") == kind]


class _WatchedBus(FaultyTpm):
    """Copies the TPM's state after each command that changed it, and notes in the trace that it did."""

    def __init__(self, chip: SoftwareTpm, state_dir: Path, run_dir: Path, trace: Path) -> None:
        super().__init__(chip, run_dir)
        self._state = state_dir / _CHIP_STATE
        self._trace = trace
        self.copies = [self._state.read_bytes()]

    def _answer(self, command: bytes, verdict: Verdict) -> bytes:
        answer = super()._answer(command, verdict)
        state = self._state.read_bytes()
        if state != self.copies[-1]:
            with self._trace.open("ab", buffering=0) as trace:
                trace.write(encode(Kind.CHIP, offset=len(self.copies)))
            self.copies.append(state)
        return answer


class TappedLives:
    """A process with the tap under it that lives lives, each in a child of its own. Files below one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lives: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        environment = tapped_environment(build_tap(self._folder))
        command = [sys.executable, "-m", "tests.simulators.crash_life"]
        pipe = subprocess.PIPE
        self._lives = subprocess.Popen(command, cwd=_ROOT, env=environment, stdin=pipe, stdout=pipe, text=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lives is not None:
            self._lives.communicate()

    def live(self, life: Life, folder: Path, run_dir: Path) -> str:
        """Live it, on the disk and trace in `folder`; how it ended. Raises LifeFault."""
        assert self._lives is not None
        assert self._lives.stdin is not None
        assert self._lives.stdout is not None
        now_ms = _last_told_ms(folder / TRACE) + _BETWEEN_LIVES_MS
        self._lives.stdin.write(ask_for(replace(life, folder=str(folder), run_dir=str(run_dir), now_ms=now_ms)))
        self._lives.stdin.flush()
        ending = json.loads(self._lives.stdout.readline())
        if ending not in ("ended", "killed"):
            raise LifeFault(f"{life}\n{ending}")
        return str(ending)


class CrashWorld(TappedLives):
    """Makes recordings, one after the other, and judges cuts of them; all files below one folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._count = 0

    def record(self, *lives: Life) -> Recording:
        """Live these lives, one after the other, on one new disk and one TPM. Raises LifeFault."""
        self._count += 1
        folder = self._folder / f"recording-{self._count}"
        (folder / DISK).mkdir(parents=True)
        with (
            TemporaryDirectory(prefix="lk-") as run,
            SoftwareTpm(folder / "tpm", Path(run) / "chip") as chip,
            _WatchedBus(chip, folder / "tpm", Path(run) / "bus", folder / TRACE) as bus,
        ):
            lead_to_the_bus(Path(run) / "bus")
            endings = tuple(self.live(life, folder, Path(run) / "bus") for life in lives)
            recording = Recording(records=read_trace(folder / TRACE), chips=bus.copies, endings=endings)
        _check_that_nothing_was_missed(recording, folder / DISK)
        shutil.rmtree(folder)
        return recording

    def verdicts(self, recording: Recording, cut: int, seed: int, *, change: str = "") -> list[str]:
        """What is wrong after a power cut during record `cut`; empty: nothing."""
        found, chip = rebuilt(recording.records, cut, seed)
        with TemporaryDirectory(dir=self._folder) as folder, TemporaryDirectory(prefix="lk-") as run:
            lay_out(found, Path(folder) / DISK)
            (Path(folder) / "tpm").mkdir()
            (Path(folder) / "tpm" / _CHIP_STATE).write_bytes(recording.chips[chip])
            promises = Promises(recording.records[:cut])
            with SoftwareTpm(Path(folder) / "tpm", Path(run)), cheap_passwords(), apply_change(change):
                return broken_promises(promises, Path(folder) / DISK, Path(run))


def lead_to_the_bus(run_dir: Path) -> None:
    # The product looks for its TPM under this name.
    (run_dir / "tpm").symlink_to("bus")
    (run_dir / "tpm.ctrl").symlink_to("bus.ctrl")


def _last_told_ms(trace: Path) -> int:
    if not trace.exists():
        return NOON_MS
    return max((told(record).get("now", NOON_MS) for record in read_trace(trace)), default=NOON_MS)


def _check_that_nothing_was_missed(recording: Recording, disk: Path) -> None:
    """A trace played back in full, with nothing lost, is the folder as it is."""
    played = CrashDisk()
    for record in recording.records:
        played.feed(record)
    there = {
        str(path.relative_to(disk)): path.read_bytes() if path.is_file() else None
        for path in disk.rglob("*")
        if not path.name.endswith("-shm")
    }
    if played.now() != there:
        raise RuntimeError("The disk tap has missed something.")
