"""Writes one new recording, forward only.

Promise: the name appears in the folder only when opening record and lock are in place and durable; what `sync`
has returned for survives a power cut; a writer whose write or sync has failed refuses everything but `abandon`.

At risk when the power goes, in all less than 2 s: the page being filled (1 s of audio), what does not fill a segment
of 1008 bytes yet (0.5 s at 2052 bytes a second, with the packet that it cuts in two), the block being captured
(0.1 s) and the time the sync takes. A segment cannot be sealed half full and again when full, because that would use
its nonce twice; so it is segments of 1 KiB, not Tink's usual 4 KiB or 1 MiB, that keep the sum under 2 s. Recovery
does its part: it keeps the whole packets of a page whose end is missing.

Why a broken writer stays broken: after a failed write nobody knows how much of a segment lies on the disk, and
sealing that number again with other plaintext would use its nonce twice; after a failed fsync the kernel may have
dropped the pages and will report success next time. The torn end is left to recovery (closing.py).

Left to others: when to write, when to sync, and what the audio is.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from enum import Enum, auto
from pathlib import Path

from appliance.recordings import disk
from appliance.recordings.container import (
    SEGMENT_PLAINTEXT_BYTES,
    ClosingRecord,
    OpeningRecord,
    encode_closing,
    encode_opening,
)
from appliance.recordings.sealing import SegmentSealer
from appliance.terms import CallId, DamagedRecording, StorageTrouble

STAGED_SUFFIX = ".new"
"""A recording bears its name with this suffix until its lock and its opening record are in place."""


class _State(Enum):
    OPEN = auto()
    BROKEN = auto()
    CLOSED = auto()


class RecordingWriter:
    """Creates a recording and appends to it; holds its exclusive lock until finished, abandoned or discarded.

    Args:
        path: must not exist; its folder must.
        call: the call's id, which every segment is bound to.
        key: the call key, 32 bytes.
        opening: the opening record, of the same call.
    Raises:
        DiskFull, StorageTrouble: nothing was created.
        KeyTrouble: the key has the wrong length.
        SettingsTrouble: the opening record is one that no reader accepts.
    """

    def __init__(self, path: Path, *, call: CallId, key: bytes, opening: OpeningRecord) -> None:
        if opening.call != call:
            raise DamagedRecording("The opening record is another call's.")
        self._call = call
        self._format = opening.format
        self._sealer = SegmentSealer(key, call.encode("ascii"))
        self._next_number = 0
        self._pending = bytearray()
        self._audio_bytes = 0
        self._audio_hash = hashlib.sha256()
        start = self._sealer.header + self._seal(encode_opening(opening), last=False)
        self._begun_bytes = len(start)
        with disk.storage_errors("a recording is begun"):
            self._descriptor = _publish(path, start)
        self._state = _State.OPEN

    @property
    def audio_bytes(self) -> int:
        """Bytes of audio taken so far, on the disk or not yet."""
        return self._audio_bytes

    @property
    def audio_sha256(self) -> str:
        """SHA-256 of the audio taken so far, in hexadecimal digits."""
        return self._audio_hash.hexdigest()

    def write(self, page: bytes) -> None:
        """Take a page, and append every segment that is full now; durable only after `sync`.

        Raises:
            DiskFull, StorageTrouble: the writer is broken; `abandon` it.
        """
        self._check_usable()
        self._audio_hash.update(page)
        self._audio_bytes += len(page)
        self._pending += page
        # A full segment is never the last one, because the closing record always follows: no need to hold it back.
        if len(self._pending) >= SEGMENT_PLAINTEXT_BYTES:
            self._append(b"".join(self._sealed_full_segments()))

    def sync(self) -> None:
        """Wait until the disk holds every segment appended so far. Raises StorageTrouble: broken."""
        self._check_usable()
        self._state = _State.BROKEN
        with disk.storage_errors("a running recording is made safe"):
            os.fdatasync(self._descriptor)
        self._state = _State.OPEN

    def finish(self, closing: ClosingRecord) -> None:
        """Append what is pending and the closing record, mark the end, make it durable, drop the lock.

        Raises:
            DamagedRecording: the closing record is not about what was written; the writer can still be used.
            SettingsTrouble: the closing record is one that no reader accepts; the same.
            DiskFull, StorageTrouble: the writer is broken; `abandon` it.
        """
        self._check_usable()
        told = (closing.call, closing.audio_bytes, closing.audio_sha256)
        if told != (self._call, self._audio_bytes, self.audio_sha256):
            raise DamagedRecording("The closing record is not about the audio that was written.")
        self._pending += encode_closing(closing, self._format)
        self._append(b"".join(self._sealed_to_the_end()))
        self._state = _State.BROKEN
        with disk.storage_errors("a recording is ended"):
            os.fsync(self._descriptor)
        self.abandon()

    def abandon(self) -> None:
        """Close the file as it is and drop the lock; without `finish` it is left to recovery. May be repeated."""
        if self._state is _State.CLOSED:
            return
        self._state = _State.CLOSED
        self._pending.clear()
        with disk.storage_errors("a recording is closed"):
            os.close(self._descriptor)

    def discard(self) -> None:
        """Cut the file back to its beginning, durably, and drop the lock: there is no audio in it to recover.

        Also of a broken writer. What was written before may live on in the flash, unreadable once the key is forgotten.
        Raises StorageTrouble: the lock is dropped too, and what is committed would be recovered.
        """
        if self._state is _State.CLOSED:
            return
        try:
            with disk.storage_errors("a recording is let go of"):
                os.ftruncate(self._descriptor, self._begun_bytes)
                os.fsync(self._descriptor)
        finally:
            self.abandon()

    def _append(self, sealed: bytes) -> None:
        # Broken until proven whole, so that no way out of here, not even a signal, leaves a usable writer.
        self._state = _State.BROKEN
        with disk.storage_errors("a recording is written"):
            disk.write_all(self._descriptor, sealed)
        self._state = _State.OPEN

    def _sealed_full_segments(self) -> Iterator[bytes]:
        while len(self._pending) >= SEGMENT_PLAINTEXT_BYTES:
            yield self._seal_pending(last=False)

    def _sealed_to_the_end(self) -> Iterator[bytes]:
        while len(self._pending) > SEGMENT_PLAINTEXT_BYTES:
            yield self._seal_pending(last=False)
        yield self._seal_pending(last=True)

    def _seal_pending(self, *, last: bool) -> bytes:
        sealed = self._seal(bytes(self._pending[:SEGMENT_PLAINTEXT_BYTES]), last=last)
        del self._pending[:SEGMENT_PLAINTEXT_BYTES]
        return sealed

    def _seal(self, plaintext: bytes, *, last: bool) -> bytes:
        number, self._next_number = self._next_number, self._next_number + 1
        return self._sealer.seal(number, plaintext, last)

    def _check_usable(self) -> None:
        if self._state is _State.BROKEN:
            raise StorageTrouble("An earlier write to this recording failed; what is on the disk will be recovered.")
        if self._state is _State.CLOSED:
            raise StorageTrouble("This recording is closed.")


def _publish(path: Path, start: bytes) -> int:
    """Create the file under a passing name, lock it, write and sync its start, and only then give it its name.

    So a file that bears a call's id is either locked or has been left by its writer, and always has a whole opening
    record: who judges it can never meet it in the moment between creation and lock.
    """
    staged = path.with_name(path.name + STAGED_SUFFIX)
    descriptor = disk.create_locked(staged)
    try:
        disk.write_all(descriptor, start)
        os.fsync(descriptor)
        # A link, unlike a rename, refuses a name that exists.
        path.hardlink_to(staged)
        staged.unlink()
        disk.sync_folder(path.parent)
    except OSError:
        os.close(descriptor)
        staged.unlink(missing_ok=True)
        raise
    return descriptor
