"""Whatever a crash leaves of a recording is kept up to its last whole page, in a new file, with the loss named."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path

import pytest

from appliance.recordings import ogg
from appliance.recordings.closing import NothingToRecover, Recovery, recover
from appliance.recordings.container import ClosingRecord, EndReason, Format, Gap, encode_opening
from appliance.recordings.folder import RecordingsFolder
from appliance.recordings.reader import RecordingReader
from appliance.recordings.sealing import SegmentSealer
from appliance.recordings.writer import RecordingWriter
from appliance.terms import Direction, DiskFull, StorageTrouble
from tests.recordings.samples import (
    CALL,
    KEY,
    OTHER_CALL,
    SEGMENT,
    frames_in,
    names_in,
    no_waiting_for_the_disk,
    ogg_pages,
    opening_record,
    write_recording,
)

PAGES = 6
CRASHED_AT_MS = 1_760_000_123_456


@pytest.fixture
def folder(tmp_path: Path) -> RecordingsFolder:
    folder = RecordingsFolder(tmp_path)
    folder.create()
    return folder


def test_every_cut_keeps_all_whole_packets_and_names_the_loss(folder: RecordingsFolder) -> None:
    source = folder.growing_path(CALL)
    with no_waiting_for_the_disk():
        sealed = write_recording(source, pages=PAGES)
        # One byte less than whole, down to nothing at all.
        for length in range(len(sealed) - 1, -1, -1):
            os.truncate(source, length)
            packets = _whole_packets_in(length // SEGMENT, PAGES)
            if packets:
                _check_recovered(folder, sealed[:length], packets)
            else:
                _check_nothing_to_recover(folder, length)


def _whole_packets_in(whole_segments: int, pages: int) -> int:
    """Counted the slow way: head pages of 47 and 52 bytes, pages of 27 + 10 bytes and 10 packets of 40."""
    audio_bytes = max(0, (whole_segments - 1) * 1008)
    assert [len(page) for page in ogg_pages(1)] == [47, 52, 437]
    ends = [99 + 437 * page + 37 + 40 * packet for page in range(pages) for packet in range(1, 11)]
    return sum(end <= audio_bytes for end in ends)


def _check_nothing_to_recover(folder: RecordingsFolder, length: int) -> None:
    with pytest.raises(NothingToRecover) as raised:
        _recover(folder)
    assert raised.value.unauthenticated_bytes == (length % SEGMENT)
    assert names_in(folder.finished_path(CALL).parent) == []


def _check_recovered(folder: RecordingsFolder, source: bytes, packets: int) -> None:
    recovery = _recover(folder)
    complete = packets == PAGES * 10
    assert recovery.unauthenticated_bytes == len(source) % SEGMENT
    assert folder.growing_path(CALL).read_bytes() == source
    target = folder.finished_path(CALL)
    assert target.read_bytes()[1:40] != source[1:40], "salt and prefix must be fresh"
    with RecordingReader(target, call=CALL, key=KEY) as reader:
        reader.verify()
        assert reader.opening == opening_record()
        assert reader.closing == recovery.closing
        _check_audio_is_a_prefix(reader.read_audio(0, reader.audio_bytes), packets)
    frames = packets * 160 - 52
    assert recovery.closing.frames == frames
    assert recovery.closing.lost_after_frame == (None if complete else frames)
    assert recovery.closing.ended is EndReason.CUT_OFF
    assert recovery.closing.ended_at_ms == CRASHED_AT_MS
    target.unlink()


def _check_audio_is_a_prefix(audio: bytes, packets: int) -> None:
    pages = list(ogg.whole_pages(audio))
    assert sum(page.length for page in pages) == len(audio)
    assert [page.eos for page in pages] == [False] * (len(pages) - 1) + [True]
    assert pages[-1].granule == packets * 960
    assert _packets_of(audio) == _packets_of(b"".join(ogg_pages(PAGES)))[: packets + 2]


def _packets_of(audio: bytes) -> list[bytes]:
    return [
        packet
        for page in ogg.whole_pages(audio)
        for packet in ogg.page_packets(audio[page.offset : page.offset + page.length])
    ]


def test_less_than_two_seconds_are_lost_whenever_the_power_goes(folder: RecordingsFolder) -> None:
    pages = ogg_pages(40, packets_per_page=50)
    worst = 0
    for seconds in range(1, 40):
        writer = RecordingWriter(folder.growing_path(CALL), call=CALL, key=KEY, opening=opening_record())
        for page in pages[: 2 + seconds]:
            writer.write(page)
        writer.sync()
        writer.abandon()
        # The worst moment is the one before the next page is handed over and synced.
        worst = max(worst, (seconds + 1) * 8000 - _recover(folder).closing.frames)
        folder.remove_all([CALL])
    block = 800
    assert 8000 < worst + block < 2 * 8000 - 2000, "a quarter of a second must be left for the disk"


def test_gaps_and_peaks_told_from_elsewhere_are_kept_as_far_as_the_audio(folder: RecordingsFolder) -> None:
    _cut(folder, pages=PAGES, segments=3)
    inside, behind = Gap(at_frame=10, frames=80, why="overrun"), Gap(at_frame=80_000, frames=80, why="overrun")
    closing = recover(
        folder.growing_path(CALL),
        folder.finished_path(CALL),
        call=CALL,
        key=KEY,
        ended_at_ms=CRASHED_AT_MS,
        gaps=(inside, behind),
        peaks="gH8A",
    ).closing
    assert (closing.gaps, closing.peaks) == ((inside,), "gH8A")


def test_damage_in_the_middle_keeps_what_is_before_and_counts_what_is_not_authenticated(
    folder: RecordingsFolder,
) -> None:
    sealed = bytearray(write_recording(folder.growing_path(CALL), pages=20))
    sealed[3 * SEGMENT + 5] ^= 1
    folder.growing_path(CALL).write_bytes(sealed)
    recovery = _recover(folder)
    assert recovery.unauthenticated_bytes == len(sealed) - 3 * SEGMENT
    assert recovery.closing.lost_after_frame == recovery.closing.frames == _whole_packets_in(3, 20) * 160 - 52


def test_damage_at_the_start_recovers_nothing_and_says_how_much_was_there(folder: RecordingsFolder) -> None:
    sealed = bytearray(write_recording(folder.growing_path(CALL), pages=20))
    sealed[SEGMENT + 5] ^= 1
    folder.growing_path(CALL).write_bytes(sealed)
    with pytest.raises(NothingToRecover) as raised:
        _recover(folder)
    assert raised.value.unauthenticated_bytes == len(sealed) - SEGMENT


def test_recording_of_another_call_recovers_nothing(folder: RecordingsFolder) -> None:
    folder.growing_path(CALL).write_bytes(write_recording(folder.growing_path(OTHER_CALL), call=OTHER_CALL))
    with pytest.raises(NothingToRecover):
        _recover(folder)


def test_recording_that_lacks_nothing_but_its_closing_record_lost_no_frame(folder: RecordingsFolder) -> None:
    sealed = write_recording(folder.growing_path(CALL), pages=PAGES, gaps=60)
    os.truncate(folder.growing_path(CALL), len(sealed) - 1)
    closing = _recover(folder).closing
    assert closing.frames == frames_in(PAGES)
    assert closing.lost_after_frame is None
    assert closing.ended is EndReason.CUT_OFF


def test_opening_record_that_names_another_call_recovers_nothing(folder: RecordingsFolder) -> None:
    sealer = SegmentSealer(KEY, CALL.encode())
    opening = sealer.seal(0, encode_opening(opening_record(OTHER_CALL)), False)
    audio = sealer.seal(1, b"".join(ogg_pages(PAGES))[:1008], False)
    folder.growing_path(CALL).write_bytes(sealer.header + opening + audio)
    with pytest.raises(NothingToRecover):
        _recover(folder)


def test_recovered_recording_has_a_durable_name_on_return(
    folder: RecordingsFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    real_fsync, real_rename = os.fsync, os.replace

    def fsync(descriptor: int) -> None:
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        order.append(Path(f"/proc/self/fd/{descriptor}").readlink().name if is_folder else "content")
        real_fsync(descriptor)

    def replace(source: Path, target: Path) -> None:
        order.append("replace")
        real_rename(source, target)

    _cut(folder, pages=PAGES, segments=3)
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    _recover(folder)
    # After the creation, which the writer's own tests look at: the content, the name, the folder.
    assert order[-3:] == ["content", "replace", "finished"]


def test_authentic_bytes_that_are_no_pages_end_the_audio(folder: RecordingsFolder) -> None:
    pages = ogg_pages(PAGES)
    writer = RecordingWriter(folder.growing_path(CALL), call=CALL, key=KEY, opening=opening_record())
    writer.write(b"".join(pages[:5]) + b"no page".ljust(3000, b"."))
    writer.abandon()
    assert _recover(folder).closing.frames == frames_in(3)


def test_recording_that_is_still_written_is_not_recovered(folder: RecordingsFolder) -> None:
    writer = RecordingWriter(folder.growing_path(CALL), call=CALL, key=KEY, opening=opening_record())
    with pytest.raises(StorageTrouble):
        _recover(folder)
    writer.abandon()


def test_full_disk_leaves_nothing_but_the_source(folder: RecordingsFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    _cut(folder, pages=PAGES, segments=3)

    def write(descriptor: int, content: memoryview) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(os, "write", write)
        with pytest.raises(DiskFull):
            _recover(folder)
    assert folder.growing_calls() == [CALL]
    assert names_in(folder.finished_path(CALL).parent) == []


def test_recovery_cut_at_any_step_leaves_legal_names_and_is_repeated(folder: RecordingsFolder) -> None:
    _cut(folder, pages=PAGES, segments=3)
    source = folder.growing_path(CALL).read_bytes()
    steps = 0
    while _dies_at_step(steps, lambda: _recover(folder)):
        assert folder.strangers() == []
        if folder.finished_calls():
            _check_whole(folder, _pages_of(folder))
        steps += 1
    assert steps >= 8
    _recover(folder)
    folder.sweep_finished()
    assert names_in(folder.finished_path(CALL).parent) == [CALL]
    assert folder.growing_path(CALL).read_bytes() == source


def test_creation_cut_at_any_step_leaves_no_named_file_without_its_opening_record(folder: RecordingsFolder) -> None:
    def create() -> None:
        RecordingWriter(folder.growing_path(CALL), call=CALL, key=KEY, opening=opening_record())

    steps = 0
    while _dies_at_step(steps, create):
        assert folder.strangers() == []
        for call in folder.growing_calls():
            sealed = folder.growing_path(call).read_bytes()
            assert len(sealed) == SEGMENT
            assert not folder.is_being_written(call)
        folder.sweep_growing()
        folder.remove_all([CALL])
        steps += 1
    assert steps >= 5


@pytest.mark.parametrize("record_format", [1, 2, 3])
def test_recovery_says_with_whom_the_call_was_where_the_format_can(
    folder: RecordingsFolder, record_format: Format
) -> None:
    _cut(folder, pages=PAGES, segments=3, record_format=record_format)
    closing = recover(
        folder.growing_path(CALL),
        folder.finished_path(CALL),
        call=CALL,
        key=KEY,
        ended_at_ms=CRASHED_AT_MS,
        direction=Direction.OUT,
        number="110",
    ).closing
    assert (closing.direction, closing.number) == ((Direction.OUT, "110") if record_format != 1 else ("unknown", ""))
    with RecordingReader(folder.finished_path(CALL), call=CALL, key=KEY) as reader:
        reader.verify()
        assert reader.opening == opening_record(record_format=record_format), "the opening record stays as it was"
        assert reader.closing == closing


def test_a_cut_off_recording_of_two_channels_is_recovered_as_one(folder: RecordingsFolder) -> None:
    write_recording(folder.growing_path(CALL), pages=PAGES, channels=2)
    os.truncate(folder.growing_path(CALL), 6 * SEGMENT + SEGMENT // 2)
    closing = _recover(folder).closing
    assert closing.lost_after_frame == closing.frames > 0
    with RecordingReader(folder.finished_path(CALL), call=CALL, key=KEY) as reader:
        reader.verify()
        assert (reader.opening.channels, reader.closing) == (2, closing)


def _recover(folder: RecordingsFolder) -> Recovery:
    return recover(folder.growing_path(CALL), folder.finished_path(CALL), call=CALL, key=KEY, ended_at_ms=CRASHED_AT_MS)


def _cut(folder: RecordingsFolder, *, pages: int, segments: int, record_format: Format = 3) -> None:
    """A recording of which so many segments reached the disk, and half of another."""
    write_recording(folder.growing_path(CALL), pages=pages, record_format=record_format)
    os.truncate(folder.growing_path(CALL), segments * SEGMENT + SEGMENT // 2)


def _pages_of(folder: RecordingsFolder) -> ClosingRecord:
    with RecordingReader(folder.finished_path(CALL), call=CALL, key=KEY) as reader:
        return reader.closing


def _check_whole(folder: RecordingsFolder, closing: ClosingRecord) -> None:
    with RecordingReader(folder.finished_path(CALL), call=CALL, key=KEY) as reader:
        reader.verify()
    assert closing.ended is EndReason.CUT_OFF


STEPS = ("write", "fsync", "fdatasync", "link", "unlink", "replace", "rename")


def _dies_at_step(step: int, act: Callable[[], object]) -> bool:
    """Run in a child that is gone, without any cleaning up, before its nth change to the disk."""
    child = os.fork()
    if child == 0:
        left = iter(range(step))
        for name in STEPS:
            setattr(os, name, _counted(getattr(os, name), left))
        try:
            act()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def _counted(call: Callable[..., object], left: Iterator[int]) -> Callable[..., object]:
    @wraps(call)
    def counted(*arguments: object, **named: object) -> object:
        if next(left, None) is None:
            os._exit(9)
        return call(*arguments, **named)

    return counted
