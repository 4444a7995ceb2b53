"""Every bit of a recording is under the seal: flip, cut, swap, rename, and no reader accepts it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from appliance.recordings.reader import RecordingCutOff, RecordingReader
from appliance.terms import CallId, DamagedRecording
from tests.recordings.samples import CALL, KEY, OTHER_CALL, SEGMENT, write_recording


def check_damaged(path: Path, sealed: bytes, *, call: CallId = CALL) -> None:
    path.write_bytes(sealed)
    with pytest.raises(DamagedRecording):
        _read_all(path, call)


def _read_all(path: Path, call: CallId = CALL) -> None:
    with RecordingReader(path, call=call, key=KEY) as reader:
        reader.verify()


def test_every_flipped_bit_is_found(tmp_path: Path) -> None:
    path = tmp_path / CALL
    sealed = write_recording(path)
    assert len(sealed) > 2 * SEGMENT, "a middle segment must be among them"
    accepted = []
    descriptor = os.open(path, os.O_WRONLY)
    for bit in range(len(sealed) * 8):
        place = bit // 8
        os.pwrite(descriptor, bytes([sealed[place] ^ 1 << bit % 8]), place)
        try:
            _read_all(path)
            accepted.append(bit)
        except DamagedRecording:
            os.pwrite(descriptor, sealed[place : place + 1], place)
    os.close(descriptor)
    assert accepted == []
    _read_all(path)


def test_every_cut_is_found_and_called_cut_off_once_the_opening_segment_is_whole(tmp_path: Path) -> None:
    path = tmp_path / CALL
    sealed = write_recording(path)
    for length in range(len(sealed) - 1, -1, -1):
        os.truncate(path, length)
        with pytest.raises(DamagedRecording) as raised:
            _read_all(path)
        assert (type(raised.value) is RecordingCutOff) == (length >= SEGMENT)


@pytest.mark.parametrize("junk", [b"\0", bytes(16), bytes(17), bytes(SEGMENT), bytes(5000)])
def test_anything_appended_is_found(tmp_path: Path, junk: bytes) -> None:
    check_damaged(tmp_path / CALL, write_recording(tmp_path / CALL) + junk)


def test_segments_swapped_repeated_or_left_out_are_found(tmp_path: Path) -> None:
    path = tmp_path / CALL
    segments = _segments(write_recording(path, pages=12))
    assert len(segments) >= 6
    for first in range(1, len(segments) - 1):
        swapped = segments[:]
        swapped[first], swapped[first + 1] = swapped[first + 1], swapped[first]
        check_damaged(path, b"".join(swapped))
        check_damaged(path, b"".join(segments[: first + 1] + segments[first:]))
        check_damaged(path, b"".join(segments[:first] + segments[first + 1 :]))


def test_last_segment_moved_forward_to_hide_a_middle_one_is_found(tmp_path: Path) -> None:
    path = tmp_path / CALL
    segments = _segments(write_recording(path, pages=12))
    for kept in range(1, len(segments) - 1):
        check_damaged(path, b"".join([*segments[:kept], segments[-1]]))


def test_segment_of_another_recording_of_the_same_call_is_found(tmp_path: Path) -> None:
    path = tmp_path / CALL
    first, second = (_segments(write_recording(tmp_path / name)) for name in ("first", "second"))
    for number in range(len(first)):
        check_damaged(path, b"".join([*first[:number], second[number], *first[number + 1 :]]))
        check_damaged(path, second[0][:40] + b"".join(first)[40:])


def test_recording_renamed_to_another_call_is_found(tmp_path: Path) -> None:
    sealed = write_recording(tmp_path / CALL)
    check_damaged(tmp_path / OTHER_CALL, sealed, call=OTHER_CALL)


def _segments(sealed: bytes) -> list[bytes]:
    return [sealed[start : start + SEGMENT] for start in range(0, len(sealed), SEGMENT)]
