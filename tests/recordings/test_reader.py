"""A reader gives any piece of the audio, opens only what the piece needs, and refuses what is no recording."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.recordings import container, sealing
from appliance.recordings.container import ClosingRecord
from appliance.recordings.disk import RecordingMissing
from appliance.recordings.reader import RecordingCutOff, RecordingReader
from appliance.recordings.writer import RecordingWriter
from appliance.terms import DamagedRecording, KeyTrouble, SettingsTrouble, StorageTrouble
from tests.recordings.samples import (
    CALL,
    KEY,
    OTHER_CALL,
    SEGMENT,
    closing_record,
    frames_in,
    ogg_pages,
    opening_record,
    write_recording,
)

AUDIO = b"".join(ogg_pages(30))


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recording") / CALL
    write_recording(path, pages=30)
    return path


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(offset=st.integers(0, len(AUDIO) + 2000), length=st.integers(0, len(AUDIO) + 2000))
def test_any_piece_is_that_piece_of_the_audio(recording: Path, offset: int, length: int) -> None:
    with RecordingReader(recording, call=CALL, key=KEY) as reader:
        assert reader.read_audio(offset, length) == AUDIO[offset : offset + length]


@pytest.mark.parametrize("boundary", [0, 1008, 2016, len(AUDIO)])
@pytest.mark.parametrize("before", [0, 1])
@pytest.mark.parametrize("length", [1, 2, 1008, 1009])
def test_piece_at_a_segments_edge_is_whole(recording: Path, boundary: int, before: int, length: int) -> None:
    offset = max(0, boundary - before)
    with RecordingReader(recording, call=CALL, key=KEY) as reader:
        assert reader.read_audio(offset, length) == AUDIO[offset : offset + length]


def test_audio_of_other_channels_than_the_opening_record_tells_is_found_by_verify(tmp_path: Path) -> None:
    mono, stereo = opening_record(), opening_record(channels=2)
    for opening, channels in ((mono, 2), (stereo, 1)):
        path = tmp_path / f"{channels}"
        writer = RecordingWriter(path, call=CALL, key=KEY, opening=opening)
        for page in ogg_pages(4, channels=channels):
            writer.write(page)
        writer.finish(closing_record(writer, frames=frames_in(4)))
        with (
            RecordingReader(path, call=CALL, key=KEY) as reader,
            pytest.raises(DamagedRecording, match="as many channels"),
        ):
            reader.verify()


@pytest.mark.parametrize(("offset", "length"), [(-1, 5), (0, -1), (-5, -5)])
def test_piece_before_the_start_is_refused(recording: Path, offset: int, length: int) -> None:
    with RecordingReader(recording, call=CALL, key=KEY) as reader, pytest.raises(SettingsTrouble):
        reader.read_audio(offset, length)


def test_piece_beyond_damage_is_still_read_and_damage_is_found_by_verify(recording: Path, tmp_path: Path) -> None:
    sealed = bytearray(recording.read_bytes())
    sealed[5 * SEGMENT] ^= 1
    (tmp_path / CALL).write_bytes(sealed)
    start = 4 * 1008
    with RecordingReader(tmp_path / CALL, call=CALL, key=KEY) as reader:
        assert reader.read_audio(0, start) == AUDIO[:start]
        assert reader.read_audio(start + 1008, 5000) == AUDIO[start + 1008 : start + 6008]
        for offset, length in ((start, 1), (start + 1007, 1), (start - 1, 2), (0, len(AUDIO))):
            with pytest.raises(DamagedRecording):
                reader.read_audio(offset, length)
        with pytest.raises(DamagedRecording):
            reader.verify()


def test_many_threads_read_the_right_pieces(recording: Path) -> None:
    start = threading.Barrier(8)

    def read(seed: int) -> bool:
        start.wait()
        pieces = [(offset * 37 * (seed + 1) % len(AUDIO), 100 + offset * 11 % 3000) for offset in range(150)]
        return all(reader.read_audio(at, length) == AUDIO[at : at + length] for at, length in pieces)

    with RecordingReader(recording, call=CALL, key=KEY) as reader, ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, range(8)))


def test_file_that_became_shorter_while_open_is_damaged(recording: Path, tmp_path: Path) -> None:
    (tmp_path / CALL).write_bytes(recording.read_bytes())
    with RecordingReader(tmp_path / CALL, call=CALL, key=KEY) as reader:
        os.truncate(tmp_path / CALL, 2 * SEGMENT)
        with pytest.raises(DamagedRecording):
            reader.read_audio(0, len(AUDIO))


def test_recording_of_another_call_or_key_is_damaged(recording: Path) -> None:
    with pytest.raises(DamagedRecording):
        RecordingReader(recording, call=OTHER_CALL, key=KEY)
    with pytest.raises(DamagedRecording):
        RecordingReader(recording, call=CALL, key=KEY[::-1])
    with pytest.raises(KeyTrouble):
        RecordingReader(recording, call=CALL, key=KEY[:16])


def test_refused_recording_leaves_no_file_open(recording: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        with pytest.raises(DamagedRecording):
            RecordingReader(recording, call=OTHER_CALL, key=KEY)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_what_is_no_plain_file_is_refused(recording: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(recording)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("link", "pipe", "folder"):
        with pytest.raises(StorageTrouble):
            RecordingReader(tmp_path / name, call=CALL, key=KEY)


def test_missing_recording_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(RecordingMissing):
        RecordingReader(tmp_path / CALL, call=CALL, key=KEY)


def test_recording_that_was_just_created_is_cut_off(recording: Path, tmp_path: Path) -> None:
    (tmp_path / CALL).write_bytes(recording.read_bytes()[:SEGMENT])
    with pytest.raises(RecordingCutOff):
        RecordingReader(tmp_path / CALL, call=CALL, key=KEY)


def test_closed_reader_may_be_closed_again_and_reads_nothing(recording: Path) -> None:
    reader = RecordingReader(recording, call=CALL, key=KEY)
    reader.close()
    reader.close()
    with pytest.raises(StorageTrouble):
        reader.read_audio(0, 1)


Change = Callable[[ClosingRecord], ClosingRecord]
OTHERS: dict[str, Change] = {
    "another call": lambda record: msgspec.structs.replace(record, call=OTHER_CALL),
    "more audio": lambda record: msgspec.structs.replace(record, audio_bytes=record.audio_bytes + 1),
    "less audio": lambda record: msgspec.structs.replace(record, audio_bytes=record.audio_bytes - 1),
}


@pytest.mark.parametrize("other", OTHERS)
def test_authentic_recording_with_a_closing_record_about_other_audio_is_damaged(tmp_path: Path, other: str) -> None:
    path = tmp_path / CALL
    _seal_as_is(path, closing=OTHERS[other](_true_closing(tmp_path)))
    with pytest.raises(DamagedRecording):
        RecordingReader(path, call=CALL, key=KEY)


def test_authentic_recording_with_another_hash_is_found_by_verify(tmp_path: Path) -> None:
    _seal_as_is(tmp_path / CALL, closing=msgspec.structs.replace(_true_closing(tmp_path), audio_sha256="0" * 64))
    with RecordingReader(tmp_path / CALL, call=CALL, key=KEY) as reader, pytest.raises(DamagedRecording):
        reader.verify()


def _true_closing(folder: Path) -> ClosingRecord:
    write_recording(folder / "true", pages=4)
    with RecordingReader(folder / "true", call=CALL, key=KEY) as reader:
        return reader.closing


def _seal_as_is(path: Path, *, closing: ClosingRecord) -> None:
    """What a faulty or hostile recorder could write: authentic, but not true. The offset is the true one."""
    audio = b"".join(ogg_pages(4))
    end = container.encode_closing(closing, 2)[:-8] + (968 + len(audio)).to_bytes(8, "big")
    plaintext = container.encode_opening(opening_record()) + audio + end
    sealer = sealing.SegmentSealer(KEY, CALL.encode())
    starts = [0, *range(968, len(plaintext), 1008)]
    ends = [*starts[1:], len(plaintext)]
    pieces = [
        sealer.seal(number, plaintext[start:end], end == len(plaintext))
        for number, (start, end) in enumerate(zip(starts, ends, strict=True))
    ]
    path.write_bytes(sealer.header + b"".join(pieces))


def test_opening_a_long_recording_reads_only_its_ends(tmp_path: Path) -> None:
    write_recording(tmp_path / CALL, pages=500)
    read = 0
    real_pread = os.pread

    def pread(descriptor: int, length: int, offset: int) -> bytes:
        nonlocal read
        content = real_pread(descriptor, length, offset)
        read += len(content)
        return content

    with patch.object(os, "pread", pread), RecordingReader(tmp_path / CALL, call=CALL, key=KEY) as reader:
        reader.read_audio(100_000, 10)
    assert read <= 8 * SEGMENT
