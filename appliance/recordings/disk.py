"""The one file of this package that asks the operating system to create, write, sync or lock.

Promise: a write is whole or an error, nothing is followed that is not a plain file, and every refusal of the
system becomes one of our own troubles with a sentence. What is written, and in which order, is left to others.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from appliance.terms import DiskFull, StorageTrouble

_PIECE_BYTES = 1024 * 1024
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


class RecordingMissing(StorageTrouble):
    """There is no such file in the folder: removed, or never there."""


@contextmanager
def storage_errors(doing: str) -> Iterator[None]:
    """Translate the system's refusals; `doing` completes the sentence "... while ...": "a recording is read".

    Raises:
        DiskFull: no room, or the quota is used up.
        RecordingMissing: the file or its folder is not there.
        StorageTrouble: anything else.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise RecordingMissing(
            f"A file is missing while {doing}. The others are safe; `linekeep check` tells which one it is."
        ) from error
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise DiskFull(f"The disk is full while {doing}. What was written before is safe; make room.") from error
        raise StorageTrouble(
            f"The disk refuses while {doing} ({error.strerror}). What was written before is safe; is the disk sound?"
        ) from error


def create_locked(path: Path) -> int:
    """Create a file that must not exist yet, readable for the group, and hold its lock. Raises OSError."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
    try:
        # A umask of 077 would hide the file from the vault, which reads it as a member of the group.
        os.fchmod(descriptor, 0o640)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        path.unlink()
        raise
    return descriptor


def open_plain(path: Path) -> int:
    """Open a plain file for reading. Raises OSError, also for a link, a pipe or a folder.

    The folder of growing recordings belongs to another daemon, so what lies there is not trusted: no link is
    followed, and a pipe cannot make the caller wait for ever.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a plain file", str(path))
    return descriptor


def lock_for_reading(descriptor: int) -> bool:
    """Take the shared lock if nobody writes; False when somebody does. Raises OSError."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def write_all(descriptor: int, content: bytes) -> None:
    """Write every byte. A short write is legal (signals, a disk just filling up), so go on until done."""
    rest = memoryview(content)
    while rest:
        written = os.write(descriptor, rest)
        if written <= 0:
            raise OSError(errno.EIO, "the system wrote nothing and gave no reason")
        rest = rest[written:]


def read_exactly(descriptor: int, offset: int, length: int) -> bytes:
    """Read from a place, without moving anything shared; fewer bytes only at the file's end."""
    content = os.pread(descriptor, length, offset)
    while len(content) < length:
        more = os.pread(descriptor, length - len(content), offset + len(content))
        if not more:
            break
        content += more
    return content


def sync_left_by_others(path: Path) -> None:
    """Make a file durable whose writer may have died before its sync, and its name. Raises OSError.

    What the memory holds of it is dropped: after a sync that failed once, only the disk can tell what it has.
    """
    descriptor = open_plain(path)
    try:
        sync_and_let_go(descriptor)
    finally:
        os.close(descriptor)
    sync_folder(path.parent)


def copy_durably(source: Path, target: Path) -> str:
    """Copy a plain file, as long as it is at this moment, into one that must not exist yet; its name is not durable.

    Returns: SHA-256 of the copy as the disk gives it back, in hexadecimal. Raises OSError.
    """
    read_from = open_plain(source)
    try:
        write_to = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            # Not up to the file's end: somebody may be making it longer all the time.
            length = os.fstat(read_from).st_size
            for offset in range(0, length, _PIECE_BYTES):
                write_all(write_to, read_exactly(read_from, offset, min(_PIECE_BYTES, length - offset)))
            sync_and_let_go(write_to)
            computed = hashlib.sha256()
            for offset in range(0, length, _PIECE_BYTES):
                computed.update(read_exactly(write_to, offset, _PIECE_BYTES))
            return computed.hexdigest()
        finally:
            os.close(write_to)
    finally:
        os.close(read_from)


def sync_and_let_go(descriptor: int) -> None:
    """Make a file durable; what is read of it from then on is what the disk has. Raises OSError."""
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def remove_names(folder: Path, names: Iterable[str]) -> None:
    """Remove these files from a folder, and make that durable; a missing one is fine. Raises OSError.

    A folder of such a name is no file of ours and is left: whoever may write here must not stop what comes after it.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in names:
            # By the folder's descriptor: of 10,000 calls, walking the path to each name costs as much as removing it.
            with suppress(FileNotFoundError, IsADirectoryError):
                os.unlink(name, dir_fd=descriptor)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
