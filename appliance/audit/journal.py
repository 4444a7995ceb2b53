"""The journal of acts: one JSON object a line, each naming the SHA-256 of the line before it.

Holds ids and counts only, no name, no number, no address: so an erasure never has to touch it, and an edited,
removed or reordered line breaks the chain at that place. A cut tail does not break it; against that the head
must be signed together with the TPM's ring state.

An act is written and synced before what it allows is done. A line that a power cut tore was never
acknowledged; it is dropped at the next start, and that is itself an entry.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from appliance.audit.events import Act
from appliance.clock import Clock
from appliance.terms import StorageTrouble

_START = "0" * 64
_TAIL_BYTES = 1024 * 1024
"""Longer than any line: 10,000 call ids and their punctuation are 350 kB."""


class Entry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One act. `by` is an account's id or a daemon's name; `ids` what it was done to."""

    number: int
    at_ms: int
    act: Act
    by: str
    ids: tuple[str, ...]
    notes: dict[str, str | int]
    previous: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class Journal:
    """The journal of this box, open for appending. Safe for use by several threads."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        path.parent.mkdir(mode=0o700, exist_ok=True)
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            torn = self._drop_torn_line()
            self._number, self._previous = self._last()
        except OSError as error:
            raise StorageTrouble(f"The journal cannot be opened: {error.strerror}.") from error
        if torn:
            self.append(Act.JOURNAL_TORN_LINE_DROPPED, by="vault", notes={"bytes": torn})

    def append(
        self, act: Act, *, by: str, ids: tuple[str, ...] = (), notes: dict[str, str | int] | None = None
    ) -> None:
        """Write one act and sync it. Raises StorageTrouble; then nothing that depends on it may be done."""
        with self._lock:
            entry = Entry(
                number=self._number + 1,
                at_ms=self._clock.now_ms(),
                act=act,
                by=by,
                ids=ids,
                notes=notes or {},
                previous=self._previous,
            )
            line = msgspec.json.encode(entry, order="sorted")
            self._write(line + b"\n")
            self._number, self._previous = entry.number, _digest(line)

    def close(self) -> None:
        os.close(self._file)

    def _write(self, line: bytes) -> None:
        end = os.fstat(self._file).st_size
        try:
            if os.write(self._file, line) != len(line):
                raise OSError(28, "no room for a whole line")
            os.fdatasync(self._file)
        except OSError as error:
            # A half-written line would end the chain for every later one.
            os.ftruncate(self._file, end)
            raise StorageTrouble("The journal cannot be written, so nothing was done. Is the disk full?") from error

    def _drop_torn_line(self) -> int:
        size = os.fstat(self._file).st_size
        tail = os.pread(self._file, _TAIL_BYTES, max(0, size - _TAIL_BYTES))
        torn = len(tail) - (tail.rfind(b"\n") + 1)
        if torn:
            os.ftruncate(self._file, size - torn)
        return torn

    def _last(self) -> tuple[int, str]:
        size = os.fstat(self._file).st_size
        if size == 0:
            return 0, _START
        tail = os.pread(self._file, _TAIL_BYTES, max(0, size - _TAIL_BYTES))
        line = tail[:-1].rpartition(b"\n")[2]
        try:
            return msgspec.json.decode(line, type=Entry).number, _digest(line)
        except msgspec.MsgspecError as error:
            raise StorageTrouble(
                "The journal's last line is not one that this box wrote. Nothing was changed."
            ) from error


def find_breaks(path: Path) -> Iterator[str]:
    """Verify the chain from its first line; yield one sentence a finding, naming the line."""
    previous, number = _START, 0
    if not path.exists():
        yield "The journal is missing."
        return
    with path.open("rb") as lines:
        for place, raw in enumerate(lines, start=1):
            line = raw.rstrip(b"\n")
            try:
                entry = msgspec.json.decode(line, type=Entry)
            except msgspec.MsgspecError:
                yield f"Journal line {place} is not an entry."
                return
            if entry.previous != previous or entry.number != number + 1:
                yield f"Journal line {place} does not follow the one before: edited, removed or reordered."
                return
            previous, number = _digest(line), entry.number


def _digest(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()
