"""A disk under backup and restore that stops after any step; the last one may be torn.

Promise: does what the real one does, on real files, and counts. After `Steps` say that the power is gone, nothing more
is done by this disk, whoever asks.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from appliance.vault.backup.place import BackupDisk, Rest
from tests.simulators.ring_disk import PowerCut, Steps


class CutBackupDisk(BackupDisk):
    """`torn`: the file that the last step writes ends half way."""

    def __init__(self, steps: Steps, *, torn: bool) -> None:
        self._steps = steps
        self._torn = torn

    def make_folder(self, folder: Path) -> None:
        with self._step("make folder"):
            super().make_folder(folder)

    def write(self, path: Path, content: bytes) -> None:
        with self._step("write", path):
            super().write(path, content)

    def append(self, path: Path, content: bytes, at: int) -> None:
        with self._step("append", path, at):
            super().append(path, content, at)

    def copy(self, source: Path, target: Path, rest: Rest) -> bytes:
        with self._step("copy", target):
            return super().copy(source, target, rest)

    def rename(self, old: Path, new: Path) -> None:
        with self._step("rename"):
            super().rename(old, new)

    def remove(self, path: Path) -> None:
        with self._step("remove"):
            super().remove(path)

    @contextmanager
    def _step(self, name: str, written: Path | None = None, kept_bytes: int = 0) -> Iterator[None]:
        if self._steps.dead:
            raise PowerCut
        yield
        if self._steps.done(name):
            if self._torn and written is not None:
                os.truncate(written, kept_bytes + (written.stat().st_size - kept_bytes) // 2)
            raise PowerCut
