"""Reads one recording; nothing that was not authenticated leaves this file.

Promise: a reader that could be made has seen the first and the last segment authenticate and both records agree;
`read_audio` authenticates exactly the segments it touches; `verify` authenticates all and the hash of the audio.

The folder and the bytes in it are untrusted. Being allowed to read is decided elsewhere.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from appliance.recordings import container, disk, ogg
from appliance.recordings.container import OPENING_BYTES, ClosingRecord, OpeningRecord
from appliance.recordings.sealing import HEADER_BYTES, SEGMENT_BYTES, SegmentOpener
from appliance.terms import CallId, DamagedRecording, SettingsTrouble

_SEGMENTS_AT_ONCE = 64
"""Held at a time while verifying: enough to make the calls few, nothing beside a Pi's memory."""


class RecordingCutOff(DamagedRecording):
    """The recording begins well but has no sealed end: its writer was cut off, or the end was damaged later.

    A torn segment and a damaged one cannot be told apart; where the file lies tells what is likely (folder.py).
    """


class RecordingReader:
    """One open recording; `read_audio` may be called from many threads at once.

    Args:
        path: untrusted; a link or anything but a plain file is refused.
        call: the call's id; a file of another call does not authenticate.
        key: the call key, 32 bytes.
    Raises:
        RecordingCutOff: the end is missing.
        DamagedRecording: anything else about the bytes.
        RecordingMissing, StorageTrouble: the file cannot be read.
        KeyTrouble: the key has the wrong length.
    """

    def __init__(self, path: Path, *, call: CallId, key: bytes) -> None:
        with disk.storage_errors("a recording is opened"):
            self._descriptor = disk.open_plain(path)
        try:
            with disk.storage_errors("a recording is opened"):
                self._file_bytes = os.fstat(self._descriptor).st_size
            self._header = self._pread(0, HEADER_BYTES)
            self._opener = SegmentOpener(key, call.encode("ascii"), self._header)
            self._opening = self._read_opening()
            self._plaintext_bytes = self._find_end()
            self._closing = self._read_closing()
            self._check_agreement(call)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def opening(self) -> OpeningRecord:
        return self._opening

    @property
    def closing(self) -> ClosingRecord:
        return self._closing

    @property
    def file_bytes(self) -> int:
        """The length of the whole file."""
        return self._file_bytes

    @property
    def audio_bytes(self) -> int:
        """The length of the Ogg Opus stream."""
        return self._closing.audio_bytes

    def read_audio(self, offset: int, length: int) -> bytes:
        """A piece of the Ogg Opus stream; shorter at its end, empty beyond it.

        Raises:
            DamagedRecording: a segment in the piece does not authenticate; no part of the piece is given.
            SettingsTrouble: offset or length is negative.
        """
        if offset < 0 or length < 0:
            raise SettingsTrouble("A piece of a recording cannot start or end before the recording.")
        length = min(length, self.audio_bytes - offset)
        return self._read_plaintext(OPENING_BYTES + offset, length) if length > 0 else b""

    def verify(self) -> str:
        """Authenticate every segment, and compare the audio's hash, length and channels with the records.

        Returns: SHA-256 of the whole file as it was authenticated, in hexadecimal.
        Raises: DamagedRecording.
        """
        file, audio = hashlib.sha256(self._header), hashlib.sha256()
        first, end = OPENING_BYTES, OPENING_BYTES + self.audio_bytes
        place = 0
        for sealed, plaintext in self._all_segments():
            file.update(sealed)
            audio.update(plaintext[max(0, first - place) : max(0, end - place)])
            place += len(plaintext)
        if audio.hexdigest() != self._closing.audio_sha256:
            raise DamagedRecording("The audio is not the audio that the closing record describes.")
        beginning = self.read_audio(0, ogg.LONGEST_PAGE_BYTES)
        ending = self.read_audio(max(0, self.audio_bytes - ogg.LONGEST_PAGE_BYTES), ogg.LONGEST_PAGE_BYTES)
        frames, channels = ogg.frames_told(beginning, ending)
        if frames != self._closing.frames:
            raise DamagedRecording("The audio is longer or shorter than the closing record says.")
        if channels != self._opening.channels:
            raise DamagedRecording("The audio has not as many channels as the opening record says.")
        return file.hexdigest()

    def close(self) -> None:
        """Close the file; may be repeated, but not while another thread reads."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _all_segments(self) -> Iterator[tuple[bytes, bytes]]:
        """The file behind its header, and what it opens to, piece by piece."""
        count = container.segments_in(self._file_bytes)
        for first in range(0, count, _SEGMENTS_AT_ONCE):
            sealed = self._read_sealed(first, min(first + _SEGMENTS_AT_ONCE, count) - 1)
            yield sealed, self._open_all(first, sealed)

    def _read_opening(self) -> OpeningRecord:
        sealed = self._pread(HEADER_BYTES, SEGMENT_BYTES - HEADER_BYTES)
        return container.decode_opening(self._opener.open(0, sealed, False))

    def _find_end(self) -> int:
        """Authenticate the last segment as the last one; returns the length of the plaintext."""
        last = container.segments_in(self._file_bytes) - 1
        try:
            plaintext_bytes = container.plaintext_bytes_of(self._file_bytes)
            self._read_segments(last, last)
        except DamagedRecording as error:
            raise RecordingCutOff("The recording has no sealed end; it was cut off or its end is damaged.") from error
        return plaintext_bytes

    def _read_closing(self) -> ClosingRecord:
        offset = self._read_plaintext(self._plaintext_bytes - 8, 8)
        start, length = container.closing_span(self._plaintext_bytes, offset)
        closing = container.decode_closing(self._read_plaintext(start, length), self._opening.format)
        if start != OPENING_BYTES + closing.audio_bytes:
            raise DamagedRecording("The closing record does not follow the audio it describes.")
        return closing

    def _check_agreement(self, call: CallId) -> None:
        if not self._opening.call == self._closing.call == call:
            raise DamagedRecording("The records in this recording are another call's.")

    def _read_plaintext(self, start: int, length: int) -> bytes:
        first, last = container.segment_of(start), container.segment_of(start + length - 1)
        skip = start - container.plain_start(first)
        return self._read_segments(first, last)[skip : skip + length]

    def _read_segments(self, first: int, last: int) -> bytes:
        return self._open_all(first, self._read_sealed(first, last))

    def _read_sealed(self, first: int, last: int) -> bytes:
        start, end = container.file_start(first), (last + 1) * SEGMENT_BYTES
        return self._pread(start, min(end, self._file_bytes) - start)

    def _open_all(self, first: int, sealed: bytes) -> bytes:
        size = SEGMENT_BYTES - container.file_start(first) % SEGMENT_BYTES
        return b"".join(self._open_each(first, sealed, size))

    def _open_each(self, number: int, sealed: bytes, size: int) -> Iterator[bytes]:
        """Open consecutive segments; the first may be the one that the header has made shorter."""
        final = container.segments_in(self._file_bytes) - 1
        start = 0
        while start < len(sealed):
            yield self._opener.open(number, sealed[start : start + size], number == final)
            start, number, size = start + size, number + 1, SEGMENT_BYTES

    def _pread(self, offset: int, length: int) -> bytes:
        with disk.storage_errors("a recording is read"):
            content = disk.read_exactly(self._descriptor, offset, length)
        if len(content) < min(length, self._file_bytes - offset):
            raise DamagedRecording("The recording became shorter while it was read.")
        return content
