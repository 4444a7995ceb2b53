"""A call as a WAV file (RIFF, 16 bit PCM, 8 kHz, one or two channels), made while it is sent.

The header tells the length before the first sample is decoded, so the number of frames must be known and is
kept to exactly: a stream that brings fewer is a damaged recording, never a silently shorter file.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

from appliance.terms import RATE_HZ, DamagedRecording

_BYTES_A_SAMPLE = 2
_PCM = 1
_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")


def wav_bytes(frames: int, channels: int) -> int:
    """Length of the whole file."""
    return _HEADER.size + frames * channels * _BYTES_A_SAMPLE


def wav_header(frames: int, channels: int) -> bytes:
    """The longest call that the settings allow (a day) stays below the 4 GiB of a RIFF file, in two channels too."""
    frame_bytes = channels * _BYTES_A_SAMPLE
    data_bytes = frames * frame_bytes
    return _HEADER.pack(
        b"RIFF",
        _HEADER.size - 8 + data_bytes,
        b"WAVE",
        b"fmt ",
        16,
        _PCM,
        channels,
        RATE_HZ,
        RATE_HZ * frame_bytes,
        frame_bytes,
        8 * _BYTES_A_SAMPLE,
        b"data",
        data_bytes,
    )


def wav_pieces(ogg: Iterable[bytes], frames: int, channels: int) -> Iterator[bytes]:
    """Decode an Ogg Opus stream as it comes.

    Raises DamagedRecording if it is shorter than `frames`, or has other channels.

    The header goes out with the first samples: what the vault refuses is refused before anything is sent.
    """
    # Loaded when first needed: numpy is a sixth of this process's memory, and few people ever take a WAV away.
    from appliance.recordings.opus import OpusDecoder  # noqa: PLC0415

    decoder = OpusDecoder()
    head, missing = wav_header(frames, channels), frames
    for piece in ogg:
        samples = decoder.feed(piece)[:missing]
        if len(samples) and samples.ndim != channels:
            raise DamagedRecording("The recording has not as many channels as its own facts say.")
        missing -= len(samples)
        yield head + samples.astype("<i2").tobytes()
        head = b""
    if head and not missing:
        yield head
    if missing:
        raise DamagedRecording("The recording is shorter than its own facts say. Nothing else is affected.")
