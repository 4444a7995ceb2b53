"""A call as a WAV file (RIFF, 16 bit PCM, 8 kHz, mono), made while it is sent.

The header tells the length before the first sample is decoded, so the number of frames must be known and is
kept to exactly: a stream that brings fewer is a damaged recording, never a silently shorter file.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

from appliance.terms import RATE_HZ, DamagedRecording

_BYTES_A_FRAME = 2
_PCM = 1
_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")


def wav_bytes(frames: int) -> int:
    """Length of the whole file."""
    return _HEADER.size + frames * _BYTES_A_FRAME


def wav_header(frames: int) -> bytes:
    """The longest call that the settings allow (a day) stays far below the 4 GiB of a RIFF file."""
    data_bytes = frames * _BYTES_A_FRAME
    return _HEADER.pack(
        b"RIFF",
        _HEADER.size - 8 + data_bytes,
        b"WAVE",
        b"fmt ",
        16,
        _PCM,
        1,
        RATE_HZ,
        RATE_HZ * _BYTES_A_FRAME,
        _BYTES_A_FRAME,
        8 * _BYTES_A_FRAME,
        b"data",
        data_bytes,
    )


def wav_pieces(ogg: Iterable[bytes], frames: int) -> Iterator[bytes]:
    """Decode an Ogg Opus stream as it comes. Raises DamagedRecording if it is shorter than `frames`.

    The header goes out with the first samples: what the vault refuses is refused before anything is sent.
    """
    # Loaded when first needed: numpy is a sixth of this process's memory, and few people ever take a WAV away.
    from appliance.recordings.opus import OpusDecoder  # noqa: PLC0415

    decoder = OpusDecoder()
    head, missing = wav_header(frames), frames
    for piece in ogg:
        samples = decoder.feed(piece)[:missing]
        missing -= len(samples)
        yield head + samples.astype("<i2").tobytes()
        head = b""
    if head and not missing:
        yield head
    if missing:
        raise DamagedRecording("The recording is shorter than its own facts say. Nothing else is affected.")
