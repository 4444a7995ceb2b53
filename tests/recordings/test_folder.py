"""The folder's states: what is growing, what is finished, what is being written, and what has no business there."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.recordings.disk import RecordingMissing
from appliance.recordings.folder import RecordingsFolder
from appliance.terms import DiskFull, StorageTrouble
from tests.recordings.samples import CALL, OTHER_CALL, write_recording

PROJECT = Path(__file__).parents[2]
WRITE_UNTIL_TOLD = """
import sys
from pathlib import Path
from appliance.recordings.writer import RecordingWriter
from tests.recordings.samples import CALL, KEY, opening_record
writer = RecordingWriter(Path(sys.argv[1]), call=CALL, key=KEY, opening=opening_record())
print("writing", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def folder(tmp_path: Path) -> RecordingsFolder:
    folder = RecordingsFolder(tmp_path / "recordings")
    folder.create()
    return folder


def test_folders_get_their_rights_whatever_the_umask(tmp_path: Path) -> None:
    folder = RecordingsFolder(tmp_path / "recordings")
    before = os.umask(0o077)
    try:
        folder.create()
        folder.create()
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "recordings").iterdir()}
    assert modes == {"growing": 0o2770, "finished": 0o700}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_that_its_owner_bars_is_left_to_him(tmp_path: Path) -> None:
    folder = RecordingsFolder(tmp_path / "recordings")
    folder.create()
    growing = folder.growing_path(CALL).parent
    os.chown(growing, 65_534, -1)
    growing.chmod(0o700)
    folder.create()
    assert stat.S_IMODE(growing.stat().st_mode) == 0o700


def test_a_folder_of_a_recording_s_name_is_told_and_hinders_no_removal(folder: RecordingsFolder) -> None:
    folder.growing_path(CALL).mkdir()
    write_recording(folder.growing_path(OTHER_CALL))
    write_recording(folder.finished_path(CALL))
    folder.remove_all([CALL, OTHER_CALL])
    assert (folder.growing_calls(), folder.finished_calls()) == ([CALL], [])
    assert folder.strangers() == [f"growing/{CALL}"]


def test_recording_is_being_written_as_long_as_its_process_lives(folder: RecordingsFolder) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", WRITE_UNTIL_TOLD, str(folder.growing_path(CALL))],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == "writing\n"
        assert folder.is_being_written(CALL)
        assert folder.is_being_written(CALL), "asking must not take the lock"
        child.kill()
    assert not folder.is_being_written(CALL)
    assert folder.growing_calls() == [CALL]


def test_asking_for_a_recording_that_is_not_there_says_so(folder: RecordingsFolder) -> None:
    with pytest.raises(RecordingMissing):
        folder.is_being_written(CALL)
    with pytest.raises(RecordingMissing):
        folder.adopt(CALL, sha256="00" * 32)


def test_adopted_recording_is_the_same_byte_for_byte_in_a_file_of_our_own(folder: RecordingsFolder) -> None:
    sealed = write_recording(folder.growing_path(CALL))
    folder.adopt(CALL, sha256=digest_of(sealed))
    assert folder.growing_calls() == []
    assert folder.finished_calls() == [CALL]
    assert folder.finished_path(CALL).read_bytes() == sealed
    assert stat.S_IMODE(folder.finished_path(CALL).stat().st_mode) == 0o600


def test_who_wrote_a_recording_cannot_change_it_any_more_once_it_is_adopted(folder: RecordingsFolder) -> None:
    sealed = write_recording(folder.growing_path(CALL))
    with folder.growing_path(CALL).open("r+b") as kept_open:
        folder.adopt(CALL, sha256=digest_of(sealed))
        kept_open.write(b"other")
        kept_open.flush()
        assert folder.finished_path(CALL).read_bytes() == sealed


def test_recording_that_is_not_the_authenticated_one_any_more_is_not_adopted(folder: RecordingsFolder) -> None:
    sealed = write_recording(folder.growing_path(CALL))
    folder.growing_path(CALL).write_bytes(sealed + b"more")
    with pytest.raises(StorageTrouble, match="changed while it was taken over"):
        folder.adopt(CALL, sha256=digest_of(sealed))
    assert (folder.growing_calls(), folder.finished_calls(), folder.strangers()) == ([CALL], [], [])
    assert list(folder.finished_path(CALL).parent.iterdir()) == []


def test_adoption_that_finds_no_room_leaves_everything_as_it_was(
    folder: RecordingsFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed = write_recording(folder.growing_path(CALL))

    def full(*_arguments: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(DiskFull):
        folder.adopt(CALL, sha256=digest_of(sealed))
    monkeypatch.undo()
    assert folder.growing_path(CALL).read_bytes() == sealed
    assert list(folder.finished_path(CALL).parent.iterdir()) == []


def test_adoption_never_replaces_a_finished_recording(folder: RecordingsFolder) -> None:
    folder.finished_path(CALL).write_bytes(b"finished")
    folder.growing_path(CALL).write_bytes(b"growing")
    with pytest.raises(StorageTrouble):
        folder.adopt(CALL, sha256=digest_of(b"growing"))
    assert folder.finished_path(CALL).read_bytes() == b"finished"
    assert folder.growing_path(CALL).read_bytes() == b"growing"


def test_adoption_and_removal_are_durable_on_return(folder: RecordingsFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    real_fsync = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        real_fsync(descriptor)

    sealed = write_recording(folder.growing_path(CALL))
    monkeypatch.setattr(os, "fsync", fsync)
    folder.adopt(CALL, sha256=digest_of(sealed))
    assert synced == [f"{CALL}.tmp", "finished", "growing"]
    synced.clear()
    folder.remove_all([CALL])
    assert sorted(synced) == ["finished", "growing"]


def test_removal_takes_every_file_of_the_call_and_no_other(folder: RecordingsFolder) -> None:
    root = folder.growing_path(CALL).parents[1]
    names = ["growing/{}", "growing/{}.new", "finished/{}", "finished/{}.tmp", "finished/{}.tmp.new"]
    for name in names:
        for call in (CALL, OTHER_CALL):
            (root / name.format(call)).touch()
    folder.remove_all([CALL])
    left = sorted(str(path.relative_to(root)) for path in root.glob("*/*"))
    assert left == sorted(name.format(OTHER_CALL) for name in names)
    folder.remove_all([CALL])


def test_discarding_a_growing_recording_leaves_the_finished_one(folder: RecordingsFolder) -> None:
    folder.growing_path(CALL).touch()
    folder.finished_path(CALL).touch()
    folder.discard_growing(CALL)
    folder.discard_growing(CALL)
    assert (folder.growing_calls(), folder.finished_calls()) == ([], [CALL])


def test_sweeping_takes_temporaries_of_its_own_side_only(folder: RecordingsFolder) -> None:
    root = folder.growing_path(CALL).parents[1]
    growing = [f"growing/{CALL}", f"growing/{CALL}.new"]
    finished = [f"finished/{CALL}", f"finished/{CALL}.tmp", f"finished/{CALL}.tmp.new"]
    for name in (*growing, *finished, "growing/notes.new"):
        (root / name).touch()
    folder.sweep_growing()
    assert _names(root) == sorted([growing[0], "growing/notes.new", *finished])
    folder.sweep_finished()
    assert _names(root) == sorted([growing[0], "growing/notes.new", finished[0]])


def test_strangers_are_told_and_listed_nowhere_else(folder: RecordingsFolder) -> None:
    root = folder.growing_path(CALL).parents[1]
    known = [f"growing/{CALL}", f"growing/{CALL}.new", f"finished/{CALL}", f"finished/{CALL}.tmp.new"]
    strange = [f"growing/{CALL}.tmp", "growing/.hidden", f"finished/{CALL}.new", "finished/x", f"finished/{CALL[:-1]}"]
    strange.append(f"finished/{CALL.upper()}")
    for name in (*known, *strange):
        (root / name).touch()
    assert sorted(folder.strangers()) == sorted(strange)
    assert (folder.growing_calls(), folder.finished_calls()) == ([CALL], [CALL])


def test_calls_are_listed_in_order(folder: RecordingsFolder) -> None:
    for call in (OTHER_CALL, CALL):
        folder.growing_path(call).touch()
    assert folder.growing_calls() == [CALL, OTHER_CALL]


def test_free_room_is_that_of_the_file_system(folder: RecordingsFolder) -> None:
    room = os.statvfs(folder.growing_path(CALL).parent)
    assert 0 < folder.free_bytes() <= room.f_blocks * room.f_frsize


def test_folder_that_was_not_created_is_said_to_be_missing(tmp_path: Path) -> None:
    folder = RecordingsFolder(tmp_path / "none")
    with pytest.raises(StorageTrouble):
        folder.growing_calls()
    with pytest.raises(StorageTrouble):
        folder.free_bytes()


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _names(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.glob("*/*"))
