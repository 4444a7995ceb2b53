"""The backup directory: what lies where in it, and the steps by which it gets there.

    linekeep-backup.json   whose backup, made when; written last. Without it, or before the first one is whole: none
    catalogue.sqlite       of one moment
    wraps                  wrapped keys since then (wrap_log.py)
    forgotten.jsonl        ids of calls that are forgotten; it only grows
    ring/ journal/ identity/ boot-policies/ tls/ca.pem linekeep.toml
    recordings/ab/abcd...  sealed recordings; 256 folders, since a FAT folder takes only 16,000 such names

Promise: each name holds what it held before or the whole new content, durably, never something between; nothing is
expected of the medium but files, folders and rename: no links, rights or locks, so a stick with FAT will do. Every
single step that a cut could follow is a method of `BackupDisk`. Which things belong together is left to others.
"""

from __future__ import annotations

import errno
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from appliance.recordings.disk import open_plain, write_all
from appliance.terms import CallId, DiskFull, SettingsTrouble, StorageTrouble, parse_call_id
from appliance.vault.ring_folder import Disk

MANIFEST = "linekeep-backup.json"
CATALOGUE = "catalogue.sqlite"
WRAPS = "wraps"
FORGOTTEN = "forgotten.jsonl"
RECORDINGS = "recordings"
RING_FILES = ("ring.a", "ring.b", "ring.recovery")
JOURNAL_FILES = ("heads.jsonl", "acts.jsonl")
"""In this order: the journal is always ahead of its signed heads."""

_FORMAT = "linekeep backup 1"
_NEW = ".new"
_A_VOLUMES_OWN = frozenset({"lost+found", "System Volume Information"})
_PIECE_BYTES = 256 * 1024
_KNOWS_NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EBADF)

Rest = Callable[[float], None]
"""Told after each piece how many seconds it took; pauses as long as it likes, or raises to stop."""


class BackupTrouble(StorageTrouble):
    """The backup directory: away, read-only, full, or another box's. Nothing on the box depends on it."""


class SourceUnreadable(StorageTrouble):
    """What should be copied cannot be read; all else can."""


class Manifest(Struct, frozen=True, kw_only=True):
    """
    box: SHA-256 of the box's root certificate, in hexadecimal.
    made_at_ms: UTC; 0: begun, and never finished.
    ring: the TPM's ring state, in hexadecimal.
    calls: recordings in it.  forgotten: ids on the list.
    """

    format: Annotated[str, Meta(max_length=64)]
    box: Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
    made_at_ms: int
    ring: str = ""
    calls: int = 0
    forgotten: int = 0


class BackupDisk(Disk):
    """The steps, each one system call of consequence, or one file. Raises OSError."""

    def make_folder(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        self.sync_folder(folder.parent)

    def sync_folder(self, folder: Path) -> None:
        try:
            super().sync_folder(folder)
        except OSError as error:
            if error.errno not in _KNOWS_NO_FOLDER_SYNC:
                raise

    def append(self, path: Path, content: bytes, at: int) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.lseek(descriptor, at, os.SEEK_SET)
            write_all(descriptor, content)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def copy(self, source: Path, target: Path, rest: Rest) -> bytes:
        """Copy in pieces; the SHA-256 of what was read. Raises SourceUnreadable too."""
        digest = hashlib.sha256()
        written = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            for piece in _pieces(source, rest):
                digest.update(piece)
                write_all(written, piece)
        finally:
            os.close(written)
        return digest.digest()

    def digest(self, path: Path, rest: Rest) -> bytes:
        """The SHA-256 of what the disk holds: the pages that are still in memory are dropped first."""
        descriptor = open_plain(path)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)
        digest = hashlib.sha256()
        try:
            for piece in _pieces(path, rest):
                digest.update(piece)
        except SourceUnreadable as error:
            raise OSError(errno.EIO, "what was written cannot be read") from error
        return digest.digest()


REAL_BACKUP_DISK: Final = BackupDisk()


class Place:
    """A folder into which things are put whole, one after the other: a backup, or the state that is restored.

    Raises BackupTrouble, DiskFull from every method, with `what` in the sentence: "the backup directory".
    """

    def __init__(self, root: Path, disk: BackupDisk = REAL_BACKUP_DISK, what: str = "backup directory") -> None:
        self.root = root
        self.disk = disk
        self._what = what

    def path(self, name: str) -> Path:
        return self.root / name

    def exists(self, name: str) -> bool:
        with self.refusals():
            return _has(self.path(name))

    def read(self, name: str) -> bytes | None:
        """A file's bytes; None if there is none."""
        with self.refusals():
            try:
                return self.disk.read(self.path(name))
            except FileNotFoundError:
                return None

    def begins_with(self, name: str, length: int) -> tuple[bytes, int]:
        """A file's first bytes, and its whole length; nothing and 0 if there is none."""
        with self.refusals():
            if not _has(self.path(name)):
                return b"", 0
            with self.path(name).open("rb") as file:
                return file.read(length), os.fstat(file.fileno()).st_size

    def put(self, name: str, content: bytes) -> None:
        with self.refusals():
            self._make_folders(name)
            self.disk.write(self._new(name), content)
            self.disk.sync(self._new(name))
            if self.disk.read_back(self._new(name)) != content:
                raise OSError(errno.EIO, "it did not keep what was written")
            self._replace(name)

    def put_if_other(self, name: str, content: bytes) -> None:
        if self.read(name) != content:
            self.put(name, content)

    def append(self, name: str, content: bytes, at: int) -> None:
        with self.refusals():
            self.disk.append(self.path(name), content, at)

    def copy_in(self, source: Path, name: str, rest: Rest) -> None:
        """Raises SourceUnreadable too; nothing is left then."""
        with self.refusals():
            self._make_folders(name)
            try:
                wanted = self.disk.copy(source, self._new(name), rest)
            except Exception:
                with suppress(OSError):
                    self._new(name).unlink()
                raise
            self._settle(name, wanted, rest)

    def put_made(self, name: str, make: Callable[[Path], None]) -> None:
        """Have a file made under a passing name, and put it in place if it could be made."""
        with self.refusals():
            self._make_folders(name)
            self.disk.remove(self._new(name))
            make(self._new(name))
            self.disk.sync(self._new(name))
            self._replace(name)

    def rename(self, old: str, new: str) -> None:
        with self.refusals():
            self.disk.rename(self.path(old), self.path(new))
            self.disk.sync_folder(self.path(new).parent)

    def remove(self, *names: str) -> None:
        """A missing one is fine. Durable when this returns."""
        with self.refusals():
            for name in names:
                self.disk.remove(self.path(name))
            for folder in {self.path(name).parent for name in names}:
                if folder.is_dir():
                    self.disk.sync_folder(folder)

    @contextmanager
    def refusals(self) -> Iterator[None]:
        """Translates the system's refusals."""
        try:
            yield
        except OSError as error:
            raise _trouble(error, self._what) from error

    def _settle(self, name: str, wanted: bytes, rest: Rest) -> None:
        self.disk.sync(self._new(name))
        if self.disk.digest(self._new(name), rest) != wanted:
            raise OSError(errno.EIO, "it did not keep what was written")
        self._replace(name)

    def _replace(self, name: str) -> None:
        self.disk.rename(self._new(name), self.path(name))
        self.disk.sync_folder(self.path(name).parent)

    def _make_folders(self, name: str) -> None:
        for folder in reversed(PurePosixPath(name).parents[:-1]):
            if not _has(self.root / folder):
                self.disk.make_folder(self.root / folder)

    def _new(self, name: str) -> Path:
        return self.path(name + _NEW)


class BackupFolder(Place):
    """A backup directory. Who can write there too must not lead what is put there elsewhere: no folder is a link."""

    def _make_folders(self, name: str) -> None:
        super()._make_folders(name)
        for folder in PurePosixPath(name).parents[:-1]:
            if (self.root / folder).is_symlink():
                raise OSError(errno.ELOOP, f"its folder {folder} is a link")

    def manifest(self) -> Manifest | None:
        """None if there is none. Raises BackupTrouble: of a later version, or damaged."""
        content = self.read(MANIFEST)
        if content is None:
            return None
        try:
            manifest = msgspec.json.decode(content, type=Manifest)
        except msgspec.MsgspecError as error:
            raise BackupTrouble(f"{self.root} holds a {MANIFEST} that is damaged. Nothing was changed.") from error
        if manifest.format != _FORMAT:
            raise BackupTrouble(f"The backup in {self.root} was made by a newer Linekeep. Nothing was changed.")
        return manifest

    def put_manifest(self, box: str, made_at_ms: int, **facts: object) -> None:
        manifest = msgspec.convert({"format": _FORMAT, "box": box, "made_at_ms": made_at_ms, **facts}, Manifest)
        self.put(MANIFEST, msgspec.json.encode(manifest) + b"\n")

    def is_empty(self) -> bool:
        with self.refusals():
            names = [entry.name for entry in self.root.iterdir()]
        return all(name in _A_VOLUMES_OWN or name.startswith(".") for name in names)

    def sweep(self) -> None:
        """Remove what a cut has left half written."""
        with self.refusals():
            left = [path for path in self.root.rglob("*" + _NEW) if path.is_file()]
        self.remove(*(str(path.relative_to(self.root)) for path in left))

    def recordings(self) -> dict[CallId, int]:
        """The calls whose recording is there, and its size."""
        found: dict[CallId, int] = {}
        root = self.path(RECORDINGS)
        with self.refusals():
            if not root.is_dir():
                return found
            for folder in filter(_is_folder, root.iterdir()):
                with os.scandir(folder) as entries:
                    for entry in entries:
                        with suppress(SettingsTrouble):  # a passing name, or a stranger
                            found[parse_call_id(entry.name)] = entry.stat(follow_symlinks=False).st_size
        return found

    def remove_recordings(self, calls: list[CallId]) -> None:
        if calls:
            self.remove(*(name + suffix for name in map(recording_name, calls) for suffix in ("", _NEW)))


def _is_folder(path: Path) -> bool:
    """And no link to one. What other computers leave on a medium (.DS_Store) is none."""
    return path.is_dir() and not path.is_symlink()


def recording_name(call: CallId) -> str:
    return f"{RECORDINGS}/{call[:2]}/{call}"


def no_rest(_took_s: float) -> None:
    """For whom nobody waits."""


def _pieces(source: Path, rest: Rest) -> Iterator[bytes]:
    try:
        descriptor = open_plain(source)
    except OSError as error:
        raise SourceUnreadable(f"it cannot be read ({error.strerror})") from error
    try:
        while True:
            began_s = time.monotonic()
            try:
                piece = os.read(descriptor, _PIECE_BYTES)
            except OSError as error:
                raise SourceUnreadable(f"it cannot be read ({error.strerror})") from error
            if not piece:
                return
            yield piece
            # Recordings are read once for this: they must not push out of memory what is needed.
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            rest(time.monotonic() - began_s)
    finally:
        os.close(descriptor)


def _has(path: Path) -> bool:
    # Not `exists`, which takes a broken medium for a missing file.
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    return True


def _trouble(error: OSError, what: str) -> StorageTrouble:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(f"The {what} is full. What was there before is as it was; make room, or use a larger disk.")
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return BackupTrouble(
            f"The {what} cannot be written ({error.strerror}). What was there before is as it was; give Linekeep's "
            "vault the right to write there."
        )
    return BackupTrouble(
        f"The {what} cannot be used ({error.strerror or error}). What was there before is as it was; is the drive "
        "plugged in and mounted?"
    )
