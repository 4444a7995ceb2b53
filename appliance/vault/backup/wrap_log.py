"""A second copy of every call's wrapped key, beside the ring, for the day on which the catalogue is lost.

A backup's catalogue has calls wrapped under the bucket keys of its day. Each erasure since then has dropped some of
those and wrapped the calls that stay again, under fresh ones: with the backup alone, these would be unreadable though
their bucket is in the ring. So each wrapped key is written here too before the ring moves on.

What it gives to a thief: nothing that the catalogue does not. Ids are in the journal as well; a wrapped key of a call
that was forgotten lies under a bucket key that has left the ring, since forgetting is just that.

Records of 128 bytes, so that a torn one costs no other:

    call 16, bucket 8, wrapped key 60, line 32 (zeros behind, all zeros: not known), written at 8 (ms), CRC-32 4

The first is no call: its bucket is random and names this file's generation. A copy of the same generation is brought up
to date by appending. The file is there from the first backup on. It never keeps anything from being recorded or
forgotten: what cannot be written here is said in the log, and made good by the next backup.
"""

from __future__ import annotations

import os
import struct
import threading
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from appliance.clock import Clock
from appliance.recordings.disk import storage_errors, sync_folder, write_all
from appliance.terms import CallId
from appliance.vault.catalogue import Wrap

RECORD_BYTES: Final = 128
_RECORD = struct.Struct(">16s8s60s32sqI")
_NO_CALL = bytes(16)


@dataclass(frozen=True, slots=True, kw_only=True)
class WrapRecord:
    """A wrapped key, the call's line (empty: not known here) and when this was written, in UTC milliseconds."""

    wrap: Wrap
    line: str
    at_ms: int


class WrapLog:
    """The file of this box. Safe for use by several threads."""

    def __init__(self, path: Path, clock: Clock, log: Any) -> None:
        self.path = path
        self._clock = clock
        self._log = log
        self._lock = threading.Lock()
        self.is_whole = path.exists()
        """Whether it has every wrapped key that there is, as far as this process knows."""

    def note(self, wraps: Sequence[Wrap], line: str = "") -> None:
        """Durable when this returns. Never raises: see above."""
        with self._lock:
            if not self.path.exists():
                return
            now_ms = self._clock.now_ms()
            try:
                self._append(b"".join(_encoded(wrap, line, now_ms) for wrap in wraps))
            except OSError as error:
                self.is_whole = False
                self._log.warning("wrap_log_not_written", why=error.strerror)

    def end(self) -> int:
        """Its length in whole records, in bytes."""
        with self._lock:
            return _whole_records(self.path.stat().st_size)

    def rewrite(self, records: Iterable[WrapRecord], *, keep_from: int | None = None) -> None:
        """Begin a new generation with these, and with what was noted behind the place `keep_from`.

        Raises StorageTrouble, DiskFull; the file is as it was then.
        """
        fresh = self.path.with_name(self.path.name + ".new")
        with storage_errors("the second copy of the keys is written"):
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                write_all(descriptor, _sealed(_NO_CALL, os.urandom(8), bytes(60), b"", self._clock.now_ms()))
                for record in records:
                    write_all(descriptor, _encoded(record.wrap, record.line, record.at_ms))
                with self._lock:
                    if keep_from is not None:
                        write_all(descriptor, self.path.read_bytes()[keep_from:])
                    os.fsync(descriptor)
                    fresh.rename(self.path)
                    sync_folder(self.path.parent)
                    self.is_whole = True
            finally:
                os.close(descriptor)

    def _append(self, content: bytes) -> None:
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            # What a cut has left of a record is written over, or all later ones would be out of step.
            os.lseek(descriptor, _whole_records(os.fstat(descriptor).st_size), os.SEEK_SET)
            write_all(descriptor, content)
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)


def records_in(untrusted_bytes: bytes) -> Iterator[WrapRecord]:
    """Every record that is as it was written; the others are passed over."""
    for start in range(0, _whole_records(len(untrusted_bytes)), RECORD_BYTES):
        record = untrusted_bytes[start : start + RECORD_BYTES]
        call, bucket, wrapped, line, at_ms, checksum = _RECORD.unpack(record)
        if checksum == zlib.crc32(record[:-4]) and call != _NO_CALL:
            wrap = Wrap(call_id=CallId(call.hex()), bucket_id=bucket.hex(), wrapped=wrapped)
            yield WrapRecord(wrap=wrap, line=line.rstrip(b"\0").decode("ascii", "replace"), at_ms=at_ms)


def is_of_same_generation(one: bytes, other: bytes) -> bool:
    """Whether two files that begin so are the same, one perhaps longer."""
    return len(one) >= RECORD_BYTES and one[:RECORD_BYTES] == other[:RECORD_BYTES]


def _encoded(wrap: Wrap, line: str, at_ms: int) -> bytes:
    call, bucket = bytes.fromhex(wrap.call_id), bytes.fromhex(wrap.bucket_id)
    return _sealed(call, bucket, wrap.wrapped, line.encode(), at_ms)


def _sealed(call: bytes, bucket: bytes, wrapped: bytes, line: bytes, at_ms: int) -> bytes:
    body = _RECORD.pack(call, bucket, wrapped, line, at_ms, 0)[:-4]
    return body + struct.pack(">I", zlib.crc32(body))


def _whole_records(size: int) -> int:
    return size - size % RECORD_BYTES
