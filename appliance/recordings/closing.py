"""Gives a recording that was cut off its end, in a new file; the source is never changed.

Promise: what comes out is a complete recording under a fresh salt whose audio is a prefix of what was recorded, and
whose closing record names the loss. It appears under its name only when it is durable. Run again after a crash at
any point, the result is the same.

Why not append to the source: its next segment may lie torn on the flash. Sealing that number again with other
plaintext, under the same salt, would use a GCM nonce twice and give both away.

What is taken: segments from the start as long as they authenticate. A torn or missing last segment is the expected
case. Of the page that it cuts in two the whole packets are kept, as a shorter page: dropping them would lose up to a
second that the disk holds, and with the second that was being filled break the promise of 2 s.

Good segments behind a bad one mean damage or tampering: they are left out, because audio with a hole that nobody has
listed would pass for whole. The count of bytes that did not authenticate is reported.

Left to others: seeing that a recording is cut off and that nobody writes it (reader.py, folder.py), and what is
done with the source afterwards.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from appliance.recordings import container, disk, ogg
from appliance.recordings.container import ClosingRecord, EndReason, Gap, OpeningRecord
from appliance.recordings.sealing import HEADER_BYTES, SEGMENT_BYTES, SegmentOpener
from appliance.recordings.writer import STAGED_SUFFIX, RecordingWriter
from appliance.terms import CallId, DamagedRecording, Direction, StorageTrouble

RECOVERED_SUFFIX = ".tmp"
"""A recovered recording bears its name with this suffix until it is complete and durable."""

_HEAD_PAGES = 2


class NothingToRecover(DamagedRecording):
    """Not one packet of audio at this file's beginning authenticates.

    After a crash in its first second a recording is like this. A file that has many bytes which do not authenticate
    is not: it was damaged, and removing it is somebody's decision.
    """

    def __init__(self, sentence: str, *, unauthenticated_bytes: int) -> None:
        super().__init__(sentence)
        self.unauthenticated_bytes = unauthenticated_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """What came of a recovery."""

    closing: ClosingRecord
    unauthenticated_bytes: int
    """Bytes at the source's end that did not authenticate: up to 1024 after a crash, more means damage."""


def recover(
    source_path: Path,
    target_path: Path,
    *,
    call: CallId,
    key: bytes,
    ended_at_ms: int,
    gaps: tuple[Gap, ...] = (),
    direction: Direction = Direction.UNKNOWN,
    number: str = "",
    peaks: str = "",
) -> Recovery:
    """Write what is left of a cut-off recording as a new, complete one.

    Args:
        source_path: has no sealed end; a complete recording would lose its closing record here.
        target_path: replaced if it exists.
        ended_at_ms: milliseconds since 1970 UTC of the last sign of life.
        gaps: known from elsewhere; those behind the recovered audio are left out.
        direction, number: with whom the call was, as far as it was heard; a recording of format 1 does not say it.
        peaks: for the closing record, of the recovered audio.
    Raises:
        NothingToRecover: not even one packet of audio is left; nothing was written.
        DiskFull, StorageTrouble: also if the source is still being written; nothing is left under the target's name.
    """
    with disk.storage_errors("a recording is recovered"):
        source = disk.open_plain(source_path)
    try:
        _check_left_by_writer(source)
        authentic = _AuthenticPart(source, key=key, call=call)
        unfinished = target_path.with_name(target_path.name + RECOVERED_SUFFIX)
        told = _Told(ended_at_ms=ended_at_ms, gaps=gaps, direction=direction, number=number, peaks=peaks)
        closing = _rewrite(authentic, unfinished, key=key, told=told)
        _publish(unfinished, target_path)
        return Recovery(closing=closing, unauthenticated_bytes=authentic.bytes_left_out)
    finally:
        os.close(source)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """What the caller of `recover` knows for the closing record."""

    ended_at_ms: int
    gaps: tuple[Gap, ...]
    direction: Direction
    number: str
    peaks: str


class _AuthenticPart:
    """The segments of the source that authenticate, from the start; their end becomes known by reading them."""

    def __init__(self, descriptor: int, *, key: bytes, call: CallId) -> None:
        self._descriptor = descriptor
        with disk.storage_errors("a recording is recovered"):
            self._file_bytes = os.fstat(descriptor).st_size
        self.bytes_left_out = self._file_bytes
        try:
            self._opener = SegmentOpener(key, call.encode("ascii"), self._pread(0, HEADER_BYTES))
            self.opening: OpeningRecord = container.decode_opening(self._open(0))
            _check_call(self.opening, call)
        except DamagedRecording as error:
            raise NothingToRecover(
                "The beginning of this recording does not authenticate.", unauthenticated_bytes=self._file_bytes
            ) from error

    def audio(self) -> Iterator[bytes]:
        """The plaintext after the opening record, segment by segment."""
        for number in range(1, container.segments_in(self._file_bytes)):
            try:
                yield self._open(number)
            except DamagedRecording:
                # Where the authentic part ends; the count that says so is read by our caller's caller.
                return

    def _open(self, number: int) -> bytes:
        start, end = container.file_start(number), (number + 1) * SEGMENT_BYTES
        plaintext = self._opener.open(number, self._pread(start, end - start), False)
        self.bytes_left_out = self._file_bytes - end
        return plaintext

    def _pread(self, offset: int, length: int) -> bytes:
        with disk.storage_errors("a recording is recovered"):
            return disk.read_exactly(self._descriptor, offset, length)


class _AudioEnd:
    """Passes pages on to the writer, one behind, because the last one needs the EOS flag."""

    def __init__(self, writer: RecordingWriter) -> None:
        self._writer = writer
        self._held = b""
        self._count = 0
        self._pre_skip = 0
        self.frames = 0
        self.complete = False
        """The source's own last page was there: not a frame is lost, only the closing record was."""

    def take(self, page: ogg.Page, content: bytes) -> None:
        self._count += 1
        if self._count == 1:
            self._pre_skip = ogg.parse_head(b"".join(ogg.page_packets(content))).pre_skip
        self._writer.write(self._held)
        self._held = content
        self.complete = page.eos
        self.frames = ogg.frames_at(page.granule, self._pre_skip)

    @property
    def has_audio(self) -> bool:
        return self._count > _HEAD_PAGES

    def finish(self) -> None:
        """Write the held page as the last one."""
        self._writer.write(ogg.as_last_page(self._held))


def _rewrite(authentic: _AuthenticPart, path: Path, *, key: bytes, told: _Told) -> ClosingRecord:
    """Write a complete recording to `path`; on any trouble nothing is left there."""
    _discard_leftovers(path)
    opening = authentic.opening
    writer = RecordingWriter(path, call=opening.call, key=key, opening=opening)
    try:
        end = _copy_audio(authentic, writer)
        closing = _closing_record(opening, writer, end, told)
        writer.finish(closing)
    except BaseException:
        writer.abandon()
        _discard_leftovers(path)
        raise
    return closing


def _copy_audio(authentic: _AuthenticPart, writer: RecordingWriter) -> _AudioEnd:
    end = _AudioEnd(writer)
    for page, content in _pages(authentic.audio()):
        end.take(page, content)
    if not end.has_audio:
        raise NothingToRecover(
            "This recording was cut off before any of its audio was safe.",
            unauthenticated_bytes=authentic.bytes_left_out,
        )
    end.finish()
    return end


def _pages(pieces: Iterator[bytes]) -> Iterator[tuple[ogg.Page, bytes]]:
    """Pages up to the stream's own end, or to where the authentic bytes end or are no pages."""
    pending, granule = b"", 0
    try:
        for piece in pieces:
            pending += piece
            used = 0
            for page in ogg.whole_pages(pending):
                used, granule = page.offset + page.length, page.granule
                yield page, pending[page.offset : used]
                if page.eos:
                    return
            pending = pending[used:]
        torn = ogg.salvage(pending, granule)
    except DamagedRecording:
        # Authentic and yet no page: a fault of the recorder. What came before is still good audio.
        return
    if torn is not None:
        yield torn


def _closing_record(opening: OpeningRecord, writer: RecordingWriter, end: _AudioEnd, told: _Told) -> ClosingRecord:
    says_party = opening.format != 1
    return ClosingRecord(
        call=opening.call,
        frames=end.frames,
        audio_bytes=writer.audio_bytes,
        audio_sha256=writer.audio_sha256,
        ended=EndReason.CUT_OFF,
        ended_at_ms=told.ended_at_ms,
        gaps=container.clip_gaps(told.gaps, end.frames),
        peaks=told.peaks,
        lost_after_frame=None if end.complete else end.frames,
        direction=told.direction if says_party else Direction.UNKNOWN,
        number=told.number if says_party else "",
    )


def _check_call(opening: OpeningRecord, call: CallId) -> None:
    if opening.call != call:
        raise DamagedRecording("The opening record in this recording is another call's.")


def _check_left_by_writer(source: int) -> None:
    with disk.storage_errors("a recording is recovered"):
        if not disk.lock_for_reading(source):
            raise StorageTrouble("This recording is still being written; it is recovered when its writer has gone.")


def _publish(unfinished: Path, target: Path) -> None:
    with disk.storage_errors("a recording is recovered"):
        unfinished.replace(target)
        disk.sync_folder(target.parent)


def _discard_leftovers(path: Path) -> None:
    """Remove what an earlier recovery of the same recording has left when it was cut off itself."""
    with disk.storage_errors("a recording is recovered"):
        path.unlink(missing_ok=True)
        path.with_name(path.name + STAGED_SUFFIX).unlink(missing_ok=True)
