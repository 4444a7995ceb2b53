"""A writer puts whole segments on the disk, names a file only when it is safe, and never writes on after a failure."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from appliance.recordings.reader import RecordingCutOff, RecordingReader
from appliance.recordings.writer import RecordingWriter
from appliance.terms import DamagedRecording, DiskFull, KeyTrouble, StorageTrouble
from tests.recordings.samples import (
    CALL,
    KEY,
    OTHER_CALL,
    SEGMENT,
    closing_record,
    frames_in,
    names_in,
    ogg_pages,
    opening_record,
    write_recording,
)

REAL_WRITE = os.write


def test_written_recording_reads_back(tmp_path: Path) -> None:
    write_recording(tmp_path / CALL, pages=9, gaps=3)
    with RecordingReader(tmp_path / CALL, call=CALL, key=KEY) as reader:
        reader.verify()
        assert reader.opening == opening_record()
        assert reader.closing.frames == frames_in(9)
        assert len(reader.closing.gaps) == 3
        assert reader.read_audio(0, reader.audio_bytes) == b"".join(ogg_pages(9))


@pytest.mark.parametrize("extra", range(1004, 1013))
def test_recording_reads_back_whatever_its_last_segment_holds(tmp_path: Path, extra: int) -> None:
    # A page of exactly this length makes the plaintext end before, at and behind a segment's end.
    writer = _writer(tmp_path)
    writer.write(b"p")
    rest = 968 + 1 + len(msgspec.json.encode(closing_record(writer, frames=1))) + 8
    padding = bytes(extra + 1008 - (rest - 968) % 1008)
    writer.write(padding)
    writer.finish(closing_record(writer, frames=1))
    with RecordingReader(tmp_path / CALL, call=CALL, key=KEY) as reader:
        assert reader.read_audio(0, reader.audio_bytes) == b"p" + padding


def test_new_recording_has_its_opening_segment_on_disk_before_any_audio(tmp_path: Path) -> None:
    writer = _writer(tmp_path)
    assert names_in(tmp_path) == [CALL]
    assert (tmp_path / CALL).stat().st_size == SEGMENT
    writer.abandon()


def test_name_appears_only_when_content_is_durable_and_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    real_fsync, real_link = os.fsync, os.link

    def fsync(descriptor: int) -> None:
        kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else f"{os.fstat(descriptor).st_size} bytes"
        order.append(f"sync {kind}")
        real_fsync(descriptor)

    def link(source: Path, target: Path) -> None:
        order.append(f"name, locked: {not _can_lock(Path(source))}")
        real_link(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "link", link)
    _writer(tmp_path).abandon()
    assert order == ["sync 1024 bytes", "name, locked: True", "sync folder"]


def test_less_than_a_segment_is_missing_on_disk_after_each_sync(tmp_path: Path) -> None:
    writer = _writer(tmp_path)
    taken = 0
    for page in ogg_pages(20):
        writer.write(page)
        writer.sync()
        taken += len(page)
        on_disk = ((tmp_path / CALL).stat().st_size // SEGMENT - 1) * 1008
        assert 0 <= taken - on_disk < 1008
    writer.abandon()


def test_sync_waits_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    writer = _writer(tmp_path)
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: synced.append(os.fstat(descriptor).st_size))
    writer.write(bytes(1008))
    writer.sync()
    assert synced == [2 * SEGMENT]
    writer.abandon()


def test_recording_is_readable_for_the_group_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write_recording(tmp_path / CALL)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / CALL).stat().st_mode) == 0o640


def test_existing_recording_is_not_touched(tmp_path: Path) -> None:
    before = write_recording(tmp_path / CALL)
    with pytest.raises(StorageTrouble):
        _writer(tmp_path)
    assert (tmp_path / CALL).read_bytes() == before
    assert names_in(tmp_path) == [CALL]


def test_link_under_the_passing_name_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / f"{CALL}.new").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageTrouble):
        _writer(tmp_path)
    assert not (tmp_path / "elsewhere").exists()


def test_missing_folder_and_wrong_key_create_nothing(tmp_path: Path) -> None:
    with pytest.raises(StorageTrouble):
        RecordingWriter(tmp_path / "no" / CALL, call=CALL, key=KEY, opening=opening_record())
    with pytest.raises(KeyTrouble):
        RecordingWriter(tmp_path / CALL, call=CALL, key=KEY[:31], opening=opening_record())
    with pytest.raises(DamagedRecording):
        RecordingWriter(tmp_path / CALL, call=OTHER_CALL, key=KEY, opening=opening_record())
    assert names_in(tmp_path) == []


def test_closing_record_of_other_audio_is_refused_and_the_right_one_taken(tmp_path: Path) -> None:
    writer = _writer(tmp_path)
    for page in ogg_pages(1):
        writer.write(page)
    right = closing_record(writer, frames=frames_in(1))
    for wrong in ({"audio_bytes": 5}, {"audio_sha256": "0" * 64}, {"call": OTHER_CALL}):
        with pytest.raises(DamagedRecording):
            writer.finish(msgspec.structs.replace(right, **wrong))
    writer.finish(right)
    with RecordingReader(tmp_path / CALL, call=CALL, key=KEY) as reader:
        reader.verify()


def test_lock_is_held_until_finished_and_until_abandoned(tmp_path: Path) -> None:
    for name, end in ((CALL, "finish"), (OTHER_CALL, "abandon")):
        writer = RecordingWriter(tmp_path / name, call=CALL, key=KEY, opening=opening_record())
        assert not _can_lock(tmp_path / name)
        writer.finish(closing_record(writer, frames=0)) if end == "finish" else writer.abandon()
        assert _can_lock(tmp_path / name)


@pytest.mark.parametrize("is_broken", [False, True])
def test_discarded_recording_holds_no_audio_durably_before_its_lock_is_dropped(
    is_broken: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, writer = tmp_path / CALL, _writer(tmp_path)
    writer.write(bytes(5000))
    writer.sync()
    if is_broken:
        monkeypatch.setattr(os, "fdatasync", _refuse_io)
        with pytest.raises(StorageTrouble):
            writer.sync()
    synced: list[tuple[int, bool]] = []
    fsync = os.fsync

    def note(descriptor: int) -> None:
        fsync(descriptor)
        synced.append((os.fstat(descriptor).st_size, _can_lock(path)))

    monkeypatch.setattr(os, "fsync", note)
    writer.discard()
    writer.discard()
    assert synced == [(SEGMENT, False)]
    assert (path.stat().st_size, _can_lock(path)) == (SEGMENT, True)
    with pytest.raises(StorageTrouble):
        writer.write(b"more")


def test_discarding_that_the_disk_refuses_drops_the_lock_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = _writer(tmp_path)
    monkeypatch.setattr(os, "ftruncate", _refuse_io)
    with pytest.raises(StorageTrouble):
        writer.discard()
    assert _can_lock(tmp_path / CALL)


def _refuse_io(*_arguments: object) -> None:
    raise OSError(errno.EIO, "no")


def test_abandoned_recording_is_cut_off(tmp_path: Path) -> None:
    writer = _writer(tmp_path)
    writer.write(bytes(5000))
    writer.abandon()
    writer.abandon()
    with pytest.raises(RecordingCutOff):
        RecordingReader(tmp_path / CALL, call=CALL, key=KEY)


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "write", lambda descriptor, content: REAL_WRITE(descriptor, content[:100]))
    write_recording(tmp_path / CALL)
    with RecordingReader(tmp_path / CALL, call=CALL, key=KEY) as reader:
        reader.verify()


@pytest.mark.parametrize(
    ("code", "trouble"),
    [(errno.ENOSPC, DiskFull), (errno.EDQUOT, DiskFull), (errno.EIO, StorageTrouble), (errno.EROFS, StorageTrouble)],
)
def test_failed_write_breaks_the_writer_for_good(tmp_path: Path, code: int, trouble: type[StorageTrouble]) -> None:
    writer = _writer(tmp_path)
    with _writes_failing_after(300, code), pytest.raises(trouble) as raised:
        writer.write(bytes(2000))
    assert type(raised.value) is trouble
    torn = (tmp_path / CALL).read_bytes()
    assert len(torn) == SEGMENT + 300
    _check_broken(writer)
    writer.abandon()
    assert (tmp_path / CALL).read_bytes() == torn


def test_write_that_writes_nothing_ends_in_trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = _writer(tmp_path)
    monkeypatch.setattr(os, "write", lambda descriptor, content: 0)
    with pytest.raises(StorageTrouble):
        writer.write(bytes(2000))
    writer.abandon()


def test_file_size_limit_of_the_system_breaks_the_writer(tmp_path: Path) -> None:
    writer = _writer(tmp_path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, before[1]))
    try:
        with pytest.raises(StorageTrouble):
            writer.write(bytes(5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (tmp_path / CALL).stat().st_size == 3000
    _check_broken(writer)
    writer.abandon()


@pytest.mark.parametrize("name", ["fdatasync", "fsync"])
def test_failed_sync_breaks_the_writer_for_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    writer = _writer(tmp_path)

    def fail(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, name, fail)
        with pytest.raises(StorageTrouble):
            writer.sync() if name == "fdatasync" else writer.finish(closing_record(writer, frames=0))
    _check_broken(writer)
    writer.abandon()


def test_full_disk_at_the_start_leaves_nothing(tmp_path: Path) -> None:
    with _writes_failing_after(500, errno.ENOSPC), pytest.raises(DiskFull):
        _writer(tmp_path)
    assert names_in(tmp_path) == []


def test_full_disk_at_the_end_leaves_a_recording_to_recover(tmp_path: Path) -> None:
    writer = _writer(tmp_path)
    for page in ogg_pages(4):
        writer.write(page)
    with _writes_failing_after(10, errno.ENOSPC), pytest.raises(DiskFull):
        writer.finish(closing_record(writer, frames=frames_in(4)))
    writer.abandon()
    with pytest.raises(RecordingCutOff):
        RecordingReader(tmp_path / CALL, call=CALL, key=KEY)


def test_finished_writer_takes_nothing_more(tmp_path: Path) -> None:
    writer = _writer(tmp_path)
    writer.finish(closing_record(writer, frames=0))
    _check_broken(writer)


def _check_broken(writer: RecordingWriter) -> None:
    uses: list[Callable[[], None]] = [
        lambda: writer.write(b""),
        writer.sync,
        lambda: writer.finish(closing_record(writer, frames=0)),
    ]
    for use in uses:
        with pytest.raises(StorageTrouble):
            use()


def _writer(folder: Path) -> RecordingWriter:
    return RecordingWriter(folder / CALL, call=CALL, key=KEY, opening=opening_record())


@contextmanager
def _writes_failing_after(room: int, code: int) -> Iterator[None]:
    """A disk that takes so many bytes more, the last write in part, and then refuses."""
    left = room

    def write(descriptor: int, content: memoryview) -> int:
        nonlocal left
        if left == 0:
            raise OSError(code, os.strerror(code))
        written = REAL_WRITE(descriptor, content[:left])
        left -= written
        return written

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "write", write)
        yield


def _can_lock(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True
