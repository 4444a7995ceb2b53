"""The journal of acts: one JSON object a line, each naming the SHA-256 of the line before it.

Holds ids and counts only, no name, no number, no address: so an erasure never has to touch it, and an edited,
removed or reordered line breaks the chain at that place. A cut tail does not break it; against that the last line's
hash is signed by the TPM again and again (vault/evidence/journal_heads.py).

Each line also ends with its own SHA-256, or a changed last line would have no later one to contradict it.

An act is written and synced before what it allows is done. A line that a power cut tore was never
acknowledged; it is dropped at the next start, and that is itself an entry.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta, Struct

from appliance.audit.events import Act
from appliance.clock import Clock
from appliance.terms import StorageTrouble

_START = "0" * 64
_TAIL_BYTES = 64 * 1024
"""Read from the end at first; twice as much as long as a line is longer: 10,000 call ids are 350 kB."""

_ID = re.compile(r"[0-9a-f]{8,64}")
_NAMED = re.compile(rb'"([0-9a-f]{32})"')
_OWN = re.compile(rb'(.*),"own":"([0-9a-f]{64})"}', re.DOTALL)


class Entry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One act. `by` is an account's id or a daemon's name; `ids` what it was done to."""

    number: int
    at_ms: int
    act: Act
    by: str
    ids: tuple[str, ...]
    notes: dict[str, str | int]
    previous: Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]


class JournalDamaged(StorageTrouble):
    """A line of the journal is not as the box wrote it. What was written stays, and more can be."""

    def __init__(self) -> None:
        super().__init__("The journal is damaged. Nothing was changed; `linekeep check` names the line.")


class Place(NamedTuple):
    """The end of the journal at some moment: the last entry's number, its line's SHA-256, and the bytes up to it."""

    number: int
    hash: str
    end_bytes: int


class Journal:
    """The journal of this box, open for appending. Safe for use by several threads."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._clock = clock
        self.path = path
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StorageTrouble(f"The journal cannot be opened: {error.strerror}.") from error
        try:
            self._open(path.parent)
        except BaseException:
            self.close()
            raise

    def _open(self, folder: Path) -> None:
        try:
            _sync_folder(folder)
            torn = self._drop_torn_line()
            self._number, self._previous = self._last()
            self._end = os.fstat(self._file).st_size
        except OSError as error:
            raise StorageTrouble(f"The journal cannot be opened: {error.strerror}.") from error
        self.is_new = self._number == 0
        """Nothing was ever noted in it."""
        if torn:
            self.append(Act.JOURNAL_TORN_LINE_DROPPED, by="vault", notes={"bytes": torn})

    @property
    def head(self) -> Place:
        """Where it ends now."""
        with self._lock:
            return Place(self._number, self._previous, self._end)

    def last(self, *acts: Act) -> Entry | None:
        """The latest entry of one of these acts; read from the end, so cheap for what happens often."""
        marks = [f'"act":"{act}"'.encode() for act in acts]
        for _place, line in self._lines_backwards(self._end):
            if any(mark in line for mark in marks) and (entry := _decoded_or_none(line)) and entry.act in acts:
                return entry
        return None

    @property
    def end(self) -> int:
        """The length of the journal in bytes; a place from which `entries_from` goes on."""
        return self._end

    def entries_from(self, untrusted_place: int) -> Iterator[Entry]:
        """The entries behind a place where a line once ended; all, if no line ends there.

        Raises JournalDamaged: a line on the way is not an entry.
        """
        with self.path.open("rb") as lines:
            if 0 < untrusted_place <= self._end:
                lines.seek(untrusted_place - 1)
                if lines.read(1) != b"\n":
                    lines.seek(0)
            for line in lines:
                try:
                    yield decode_entry(line.removesuffix(b"\n"))
                except ValueError as error:
                    raise JournalDamaged from error

    def entries_before(
        self, untrusted_place: int | None = None, *, without: Collection[str] = ()
    ) -> Iterator[tuple[int, Entry]]:
        """The entries from the last one back to the first, each with the place where it begins.

        Args:
            untrusted_place: begin with the one that ends there; with the last one, if none does.
            without: leave out what these parts of the product did.
        Raises JournalDamaged: a line on the way is not an entry.
        """
        end = self._end
        if untrusted_place is not None and 0 <= untrusted_place <= end:
            is_line_end = untrusted_place == 0 or os.pread(self._file, 1, untrusted_place - 1) == b"\n"
            end = untrusted_place if is_line_end else end
        left_out = [f'"by":"{part}"'.encode() for part in without]
        for place, line in self._lines_backwards(end):
            if any(mark in line for mark in left_out):  # no note can hold one: its quotes would be escaped
                continue
            try:
                yield place, decode_entry(line)
            except ValueError as error:
                raise JournalDamaged from error

    def entries_about(self, ids: Collection[str]) -> Iterator[Entry]:
        """The entries that name one of these ids. Raises JournalDamaged as `entries_from`."""
        wanted = frozenset(name.encode() for name in ids)
        with self.path.open("rb") as lines:
            for line in lines:
                # Reading an entry costs a hundred times as much as seeing that it is another's.
                if wanted.isdisjoint(_NAMED.findall(line)):
                    continue
                try:
                    entry = decode_entry(line.removesuffix(b"\n"))
                except ValueError as error:
                    raise JournalDamaged from error
                if any(name.encode() in wanted for name in entry.ids):
                    yield entry

    def append(
        self, act: Act, *, by: str, ids: tuple[str, ...] = (), notes: dict[str, str | int] | None = None
    ) -> Place:
        """Write one act and sync it. Raises StorageTrouble; then nothing that depends on it may be done."""
        if not all(_ID.fullmatch(one) for one in ids):
            raise ValueError("only ids may stand in the journal")
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
            line = _sealed(msgspec.json.encode(entry, order="sorted"))
            self._write(line + b"\n")
            self._number, self._previous = entry.number, _digest(line)
            return Place(self._number, self._previous, self._end)

    def close(self) -> None:
        os.close(self._file)

    def _write(self, line: bytes) -> None:
        try:
            if os.fstat(self._file).st_size > self._end:
                os.ftruncate(self._file, self._end)  # what the last failed write left, if it could not be cut then
            if os.write(self._file, line) != len(line):
                raise OSError(28, "no room for a whole line")
            os.fdatasync(self._file)
        except OSError as error:
            # A half-written line would end the chain for every later one.
            with suppress(OSError):
                os.ftruncate(self._file, self._end)
            raise StorageTrouble("The journal cannot be written, so nothing was done. Is the disk full?") from error
        self._end += len(line)

    def _lines_backwards(self, end: int) -> Iterator[tuple[int, bytes]]:
        """The lines before a line's end, the last one first, each with the place where it begins."""
        if end == 0:
            return
        place, rest, start = end, b"", end - 1
        while start > 0:
            stop, start = start, max(0, start - _TAIL_BYTES)
            rest, *lines = (os.pread(self._file, stop - start, start) + rest).split(b"\n")
            for line in reversed(lines):
                place -= len(line) + 1
                yield place, line
        yield 0, rest

    def _drop_torn_line(self) -> int:
        size = os.fstat(self._file).st_size
        torn = len(self._tail(lines=1).rpartition(b"\n")[2])
        if torn:
            os.ftruncate(self._file, size - torn)
        return torn

    def _last(self) -> tuple[int, str]:
        if os.fstat(self._file).st_size == 0:
            return 0, _START
        line = self._tail(lines=2)[:-1].rpartition(b"\n")[2]
        try:
            return decode_entry(line).number, _digest(line)
        except ValueError as error:
            raise StorageTrouble(
                "The journal's last line is not one that this box wrote. Nothing was changed."
            ) from error

    def _tail(self, *, lines: int) -> bytes:
        """The end of the file, so much that this many line ends are in it, or all."""
        size, length = os.fstat(self._file).st_size, _TAIL_BYTES
        while True:
            tail = os.pread(self._file, length, max(0, size - length))
            if length >= size or tail.count(b"\n") >= lines:
                return tail
            length *= 2


def decode_entry(untrusted_line: bytes) -> Entry:
    """An entry from its line, without the line's end. Raises ValueError: not as it was written."""
    match = _OWN.fullmatch(untrusted_line)
    if match is None or _digest(match[1]).encode() != match[2]:
        raise ValueError("not a line of this journal")
    return msgspec.json.decode(match[1] + b"}", type=Entry)


def _decoded_or_none(untrusted_line: bytes) -> Entry | None:
    try:
        return decode_entry(untrusted_line)
    except ValueError:
        return None


def _sealed(encoded: bytes) -> bytes:
    body = encoded[:-1]
    return body + b',"own":"' + _digest(body).encode() + b'"}'


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _digest(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()
