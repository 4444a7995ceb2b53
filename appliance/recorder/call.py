"""One running call: from the pre-roll's first frame to the closing record.

Promise: every second of audio is on the disk before the next one is full; the time line stays true, because
what was lost is listed and silence stands in its place; the file closes with all facts about itself.

Leaves to others: when a call begins and ends (line_state), what to do when the disk refuses (line_worker).
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from appliance.boundary.verbs import IssuedCall
from appliance.recorder.ear.signals import Pcm
from appliance.recorder.peaks import Peaks
from appliance.recordings.container import MAX_PEAK_COLUMNS, ClosingRecord, Consent, EndReason, Gap, OpeningRecord
from appliance.recordings.encoder import OpusPages
from appliance.recordings.opus import silence
from appliance.recordings.writer import RecordingWriter
from appliance.terms import BLOCK_FRAMES, RATE_HZ, CallId, Direction, LineName

_FIRST_BATCH_FRAMES = RATE_HZ + BLOCK_FRAMES
"""Audio is encoded second by second, which saves a fifth of all but the codec. A page is given out when the packet
after it is there, so the first batch is a block longer: each batch then completes the page that it fills."""

MOST_GAPS = 10_000
"""A line that loses so often is cut into several calls: a closing record holds no more than 60,000."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallStart:
    """What is known of a call before its first frame is written.

    consent: by which it may be written at all.
    channels: 2, if its sides are apart: near and far.
    """

    issued: IssuedCall
    line: LineName
    ground: str
    consent: Consent
    software: str
    started_at_ms: int
    channels: Literal[1, 2] = 1


class Call:
    """Creates the recording, and appends to it until `finish`, `abandon` or `discard`.

    Args:
        path: of the growing recording; must not exist.
    Raises:
        DiskFull, StorageTrouble, KeyTrouble, SettingsTrouble: nothing was created.
    """

    def __init__(self, path: Path, start: CallStart) -> None:
        self.call: CallId = start.issued.call
        self._started_at_ms = start.started_at_ms
        self._channels = start.channels
        self._pages = OpusPages(serial=int(self.call[:8], 16), channels=start.channels)
        self._peaks = Peaks(start.channels)
        self._gaps: list[Gap] = []
        self.frames = 0
        """Frames taken so far, silence in place of lost ones included."""
        self._batch: list[Pcm] = []
        self._batch_end_frame = _FIRST_BATCH_FRAMES
        self._writer = RecordingWriter(
            path,
            call=self.call,
            key=start.issued.key,
            opening=OpeningRecord(
                call=self.call,
                line=start.line,
                started_at_ms=start.started_at_ms,
                rate_hz=RATE_HZ,
                ground=start.ground,
                consent=start.consent,
                software=start.software,
                channels=start.channels,
            ),
        )

    @property
    def seconds(self) -> float:
        return round(self.frames / RATE_HZ, 1)

    @property
    def gaps(self) -> int:
        return len(self._gaps)

    def add(self, samples: Pcm) -> None:
        """Take the next frames. Raises DiskFull, StorageTrouble, LineTrouble: `abandon` the call."""
        self._batch.append(samples)
        self.frames += len(samples)
        if self.frames >= self._batch_end_frame:
            # By the pages, not by what came at once at the beginning: else each page could wait for almost a second.
            pages = (self.frames - BLOCK_FRAMES) // RATE_HZ
            self._batch_end_frame = (pages + 1) * RATE_HZ + BLOCK_FRAMES
            self._write(self._encode_batch())

    def add_gap(self, frames: int, why: str) -> None:
        """Put silence where frames were lost, and list it. Raises as `add`."""
        gap = Gap(at_frame=self.frames, frames=frames, why=why)
        if self._gaps and _meet(self._gaps[-1], gap):
            last = self._gaps.pop()
            gap = Gap(at_frame=last.at_frame, frames=last.frames + frames, why=why)
        self._gaps.append(gap)
        self.add(silence(frames, self._channels))

    def finish(self, why: EndReason, *, direction: Direction, number: str) -> None:
        """Close the recording whole. Raises DiskFull, StorageTrouble: `abandon` the call.

        Args:
            direction, number: with whom the call was; number as it was sent or dialled, empty if it is not known.
        """
        self._write(self._encode_batch() + self._pages.finish())
        self._writer.finish(
            ClosingRecord(
                call=self.call,
                frames=self.frames,
                audio_bytes=self._writer.audio_bytes,
                audio_sha256=self._writer.audio_sha256,
                ended=why,
                ended_at_ms=self._started_at_ms + self.frames * 1000 // RATE_HZ,
                gaps=tuple(self._gaps),
                peaks=base64.b64encode(self._peaks.reduced(MAX_PEAK_COLUMNS)).decode("ascii"),
                direction=direction,
                number=number,
            )
        )

    def abandon(self) -> None:
        """Let go of the file as it is; the vault recovers what was committed. Raises StorageTrouble: let go too."""
        self._writer.abandon()

    def discard(self) -> None:
        """Leave no audio in the file; the vault forgets the rest (`VaultLink.drop_call`). Raises StorageTrouble."""
        self._batch.clear()
        self._writer.discard()

    def _encode_batch(self) -> list[bytes]:
        samples = np.concatenate([silence(0, self._channels), *self._batch])
        self._batch.clear()
        self._peaks.add(samples)
        return self._pages.push(samples)

    def _write(self, pages: list[bytes]) -> None:
        for page in pages:
            self._writer.write(page)
        if pages:
            self._writer.sync()


def _meet(first: Gap, second: Gap) -> bool:
    return first.why == second.why and first.at_frame + first.frames == second.at_frame
