"""The ring's files on a disk: written whole, kept through a power cut, read back before they count.

Two copies of the ring, and the recovery copy if there is a recovery key. Promise: after `stage` and `replace` each
holds the given bytes durably, and at each moment on the way each name holds what it held before or the given bytes,
never something between. Copy A is always renamed, and its new name made durable, before copy B: of two that differ, A
is newer; the recovery copy comes last. Left to ring.py: what the bytes are.

Every single step that a power cut could follow is a method of `Disk`, so that tests stop after each of them.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Final

from appliance.recordings.disk import storage_errors, sync_folder, write_all
from appliance.terms import StorageTrouble


class RingCopy(Enum):
    """The two copies, by their file's name. A comes first in everything."""

    A = "ring.a"
    B = "ring.b"


RECOVERY_COPY: Final = "ring.recovery"
"""What the ring holds, sealed to the recovery key."""


class Disk:
    """The steps, each one system call of consequence. Raises OSError."""

    def make_folder(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        sync_folder(folder.parent)

    def read(self, path: Path) -> bytes:
        return path.read_bytes()

    def write(self, path: Path, content: bytes) -> None:
        with _opened(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as descriptor:
            write_all(descriptor, content)

    def sync(self, path: Path) -> None:
        with _opened(path, os.O_RDONLY) as descriptor:
            os.fsync(descriptor)

    def read_back(self, path: Path) -> bytes:
        """What the disk itself holds: the pages that are still in memory are dropped first."""
        with _opened(path, os.O_RDONLY) as descriptor:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        return path.read_bytes()

    def rename(self, old: Path, new: Path) -> None:
        old.rename(new)

    def sync_folder(self, folder: Path) -> None:
        sync_folder(folder)

    def remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)


REAL_DISK: Final = Disk()


class RingFolder:
    """The folder DIR/ring.

    Raises:
        StorageTrouble, DiskFull: from every method; the names still hold what they held, or the new bytes.
    """

    def __init__(self, folder: Path, disk: Disk) -> None:
        self._folder = folder
        self._disk = disk
        self._has_recovery = False

    def make(self) -> None:
        with storage_errors("the ring's folder is made"):
            self._disk.make_folder(self._folder)

    def read(self, copy: RingCopy) -> bytes | None:
        """A copy's bytes; None if there is no such file; none at all from a place that cannot be read."""
        return self._read(copy.value)

    def read_recovery(self) -> bytes | None:
        """The recovery copy's bytes, as for `read`."""
        return self._read(RECOVERY_COPY)

    def stage(self, content: bytes, recovery: bytes | None) -> bytes:
        """Write the copies under temporary names, durably; what the disk gave back of the ring.

        Args:
            recovery: the recovery copy; None: there is to be none.
        """
        wanted = {copy.value: content for copy in RingCopy}
        if recovery is not None:
            wanted[RECOVERY_COPY] = recovery
        self._has_recovery = recovery is not None
        with storage_errors("the ring is written"):
            for name, each in wanted.items():
                self._disk.write(self._new(name), each)
                self._disk.sync(self._new(name))
            kept = {name: self._disk.read_back(self._new(name)) for name in wanted}
        if kept != wanted:
            raise StorageTrouble("The disk did not keep what was written; the ring is as it was.")
        return kept[RingCopy.A.value]

    def replace(self) -> None:
        """Put what was staged in place of what is there, one after the other."""
        with storage_errors("the ring is put in place"):
            for copy in RingCopy:
                self._put_in_place(copy.value)
            if self._has_recovery:
                self._put_in_place(RECOVERY_COPY)
            elif self.read_recovery() is not None:
                self._disk.remove(self._folder / RECOVERY_COPY)
                self._disk.sync_folder(self._folder)

    def clean(self) -> None:
        """Remove what aborted attempts left. For order's sake: they die with the next commit anyway."""
        with storage_errors("the ring's folder is tidied"):
            for name in (*(copy.value for copy in RingCopy), RECOVERY_COPY):
                self._disk.remove(self._new(name))

    def _read(self, name: str) -> bytes | None:
        with storage_errors("the ring is read"):
            try:
                return self._disk.read(self._folder / name)
            except FileNotFoundError:
                return None
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                return b""

    def _put_in_place(self, name: str) -> None:
        self._disk.rename(self._new(name), self._folder / name)
        self._disk.sync_folder(self._folder)

    def _new(self, name: str) -> Path:
        return self._folder / f"{name}.new"


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
