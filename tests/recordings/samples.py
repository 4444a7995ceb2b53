"""Recordings to take apart: small ones of fixed content, and the means to write and to damage them.

The audio is valid Ogg with packets that no codec made, so the bytes are the same on every machine.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal
from unittest.mock import patch

from appliance.recordings.container import ClosingRecord, Consent, EndReason, Format, Gap, OpeningRecord
from appliance.recordings.ogg import OggOpusStream
from appliance.recordings.writer import RecordingWriter
from appliance.terms import CallId, ConsentBy, Direction, LineName

CALL = CallId("00112233445566778899aabbccddeeff")
OTHER_CALL = CallId("ffeeddccbbaa99887766554433221100")
KEY = bytes(range(100, 132))
OTHER_KEY = bytes(range(200, 232))
NUMBER = "03055504471"
STARTED_AT_MS = 1_760_000_000_000
PRE_SKIP = 312
PACKET_GRANULES = 960
PACKET_FRAMES = 160
SEGMENT = 1024


def opening_record(call: CallId = CALL, *, record_format: Format = 3, channels: Literal[1, 2] = 1) -> OpeningRecord:
    return OpeningRecord(
        call=call,
        line=LineName("front-desk"),
        started_at_ms=STARTED_AT_MS,
        rate_hz=8000,
        ground="Consent by key press after the announcement.",
        software="linekeep 0.1.0",
        consent=Consent(at_ms=STARTED_AT_MS + 12_345, by=ConsentBy.KEY) if record_format != 1 else None,
        channels=channels,
        format=record_format,
    )


def closing_record(
    writer: RecordingWriter, call: CallId = CALL, *, frames: int, gaps: int = 0, record_format: Format = 3
) -> ClosingRecord:
    return ClosingRecord(
        call=call,
        frames=frames,
        audio_bytes=writer.audio_bytes,
        audio_sha256=writer.audio_sha256,
        ended=EndReason.SILENCE,
        ended_at_ms=STARTED_AT_MS + frames // 8,
        gaps=tuple(Gap(at_frame=800 * number, frames=80, why="overrun") for number in range(gaps)),
        peaks="gH8A/wD/",
        direction=Direction.IN if record_format != 1 else Direction.UNKNOWN,
        number=NUMBER if record_format != 1 else "",
    )


def ogg_pages(pages: int, *, packets_per_page: int = 10, channels: int = 1) -> list[bytes]:
    """Two head pages and some pages of audio, the last one with EOS; 20 ms a packet."""
    stream = OggOpusStream(7, pre_skip=PRE_SKIP, channels=channels)
    made = stream.head_pages()
    for number in range(1, pages + 1):
        packets = [
            bytes([8, number & 0xFF, packet] * (13 if channels == 1 else 26) + [0, 0][:channels])
            for packet in range(packets_per_page)
        ]
        made.append(stream.page(packets, number * packets_per_page * PACKET_GRANULES, number == pages))
    return made


def frames_in(pages: int, *, packets_per_page: int = 10) -> int:
    """The frames that such a stream plays."""
    return max(0, pages * packets_per_page * PACKET_FRAMES - PRE_SKIP // 6)


def write_recording(
    path: Path,
    *,
    call: CallId = CALL,
    key: bytes = KEY,
    pages: int = 4,
    gaps: int = 0,
    record_format: Format = 3,
    channels: Literal[1, 2] = 1,
) -> bytes:
    """Write a complete recording; returns the file's bytes."""
    opening = opening_record(call, record_format=record_format, channels=channels)
    writer = RecordingWriter(path, call=call, key=key, opening=opening)
    for page in ogg_pages(pages, channels=channels):
        writer.write(page)
    writer.finish(closing_record(writer, call, frames=frames_in(pages), gaps=gaps, record_format=record_format))
    return path.read_bytes()


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@contextmanager
def no_waiting_for_the_disk() -> Iterator[None]:
    """For tests that write thousands of files and cut no power."""
    with patch.object(os, "fsync", lambda _: None), patch.object(os, "fdatasync", lambda _: None):
        yield
