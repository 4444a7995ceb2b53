"""Backups: what gets into the directory, what leaves it, and what the box says of it."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from appliance.terms import CallId, SettingsTrouble, StorageTrouble
from appliance.vault.backup.forgotten_list import decoded
from appliance.vault.backup.keeper import LATE_PERIODS
from appliance.vault.backup.place import FORGOTTEN, RECORDINGS, BackupDisk, Rest, recording_name
from appliance.vault.box import Box
from appliance.vault.check import find_faults
from appliance.vault.ring_file import parse_ring
from tests.vault.backup.backup_house import BackedUp, back_up
from tests.vault.box_house import (
    BoxHouse,
    acts_of,
    begin_writing,
    contents_of,
    end_writing,
    kept_call,
    written_call,
)

DAY_S = 86_400


def in_backup(backed_up: BackedUp) -> set[CallId]:
    return set(backed_up.backup().recordings())


def listed(backed_up: BackedUp) -> set[CallId]:
    return set(decoded(backed_up.backup().read(FORGOTTEN) or b""))


def faults_of(box: Box) -> str:
    return "\n".join(find_faults(box))


def test_a_backup_holds_the_sealed_recordings_and_nothing_that_opens_them(backed_up: BackedUp) -> None:
    with backed_up.opened() as box:
        box.make_front_certificate()
        call = kept_call(box)
        back_up(box)
        sealed = box.folder.finished_path(call).read_bytes()
        code = str(box.accounts.claim_code())
    there = contents_of(backed_up.directory)
    assert there[recording_name(call)] == sealed
    assert there["ring/ring.a"] == (backed_up.state / "ring" / "ring.a").read_bytes()
    assert not any(name.startswith(("tls/front", "claim", "tpm", "lock")) for name in there)
    assert not any(code.encode() in content for content in there.values())


def test_the_backups_catalogue_is_whole_and_needs_no_log(backed_up: BackedUp) -> None:
    with backed_up.opened() as box:
        call = kept_call(box)
        back_up(box)
    with closing(sqlite3.connect(backed_up.directory / "catalogue.sqlite")) as copy:
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert copy.execute("SELECT call_id FROM calls WHERE state = 'kept'").fetchall() == [(call,)]


def test_a_second_run_copies_only_what_is_new(backed_up: BackedUp) -> None:
    with backed_up.opened() as box:
        old = kept_call(box)
        back_up(box)
        copied = backed_up.directory / recording_name(old)
        before = copied.stat()
        new = kept_call(box)
        back_up(box)
    assert (copied.stat().st_ino, copied.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert in_backup(backed_up) == {old, new}


def test_a_call_that_is_being_recorded_is_left_for_the_next_backup_and_is_not_disturbed(backed_up: BackedUp) -> None:
    with backed_up.opened() as box:
        call, writer, pages = begin_writing(box)
        back_up(box)
        assert in_backup(backed_up) == set()
        end_writing(call, writer, pages)
        box.intake.finish(call)
        back_up(box)
        assert in_backup(backed_up) == {call}
        assert faults_of(box) == ""


def test_calls_begin_and_end_and_go_while_a_backup_runs(backed_up: BackedUp) -> None:
    with backed_up.opened() as box:
        first, second = kept_call(box), kept_call(box)
        made: list[CallId] = []

        def meanwhile(_seen: int, _calls: int) -> None:
            if not made:
                made.append(kept_call(box))
                box.erasure.erase([first, second], by="test", why="asked")

        box.backup._copying.make(box.backup._admitted(backed_up.directory), rest=lambda _s: None, progress=meanwhile)
        assert faults_of(box) == ""
    assert in_backup(backed_up).isdisjoint({first, second})
    assert listed(backed_up) == {first, second}


def test_what_was_forgotten_before_is_on_the_list_and_its_recording_is_not_there(backed_up: BackedUp) -> None:
    with backed_up.opened() as box:
        gone, kept = kept_call(box), kept_call(box)
        box.erasure.erase([gone], by="test", why="asked")
        back_up(box)
    assert in_backup(backed_up) == {kept}
    assert listed(backed_up) == {gone}


def test_what_is_forgotten_after_leaves_the_backup_at_the_next_look(backed_up: BackedUp) -> None:
    with backed_up.opened() as box:
        gone, kept = kept_call(box), kept_call(box)
        back_up(box)
        old_ring = (backed_up.directory / "ring" / "ring.a").read_bytes()
        box.erasure.erase([gone], by="test", why="asked")
        assert "not been removed from the backup yet: 1." in faults_of(box)
        box.backup.keep_in_step()
        assert faults_of(box) == ""
        new_ring = parse_ring((backed_up.directory / "ring" / "ring.a").read_bytes())
        assert box.ring.last_commit.after in new_ring.header.states
    assert (backed_up.directory / "ring" / "ring.a").read_bytes() != old_ring
    assert in_backup(backed_up) == {kept}
    assert listed(backed_up) == {gone}


def test_a_recovery_copy_that_is_no_more_is_removed_from_the_backup(backed_up: BackedUp) -> None:
    with backed_up.opened() as box:
        recovery = backed_up.state / "ring" / "ring.recovery"
        recovery.write_bytes(b"sealed to somebody's words")
        back_up(box)
        assert (backed_up.directory / "ring" / "ring.recovery").exists()
        recovery.unlink()
        box.ring.commit(box.ring.contents)
        box.backup.keep_in_step()
    assert not (backed_up.directory / "ring" / "ring.recovery").exists()


def test_while_the_drive_is_away_the_box_says_how_many_wait_and_makes_it_good(backed_up: BackedUp) -> None:
    away = backed_up.directory.with_name("unplugged")
    with backed_up.opened() as box:
        gone = kept_call(box)
        back_up(box)
        backed_up.directory.rename(away)
        box.erasure.erase([gone], by="test", why="asked")
        box.backup.keep_in_step()
        box.backup.keep_in_step()
        facts = box.backup.facts()
        assert facts is not None
        assert facts.waiting == 1
        assert len(backed_up.house.log.named("backup_not_in_step")) >= 1
        away.rename(backed_up.directory)
        box.backup.keep_in_step()
        assert faults_of(box) == ""
    assert in_backup(backed_up) == set()


def test_forgetting_that_was_not_told_before_a_restart_is_told_after_it(backed_up: BackedUp) -> None:
    with backed_up.opened() as box:
        gone = kept_call(box)
        back_up(box)
        box.erasure.erase([gone], by="test", why="asked")
    with backed_up.opened() as box:
        box.backup.keep_in_step()
        assert faults_of(box) == ""
    assert (in_backup(backed_up), listed(backed_up)) == (set(), {gone})


def test_an_empty_folder_where_a_backup_was_is_taken_for_a_drive_that_is_not_mounted(backed_up: BackedUp) -> None:
    with backed_up.opened() as box:
        kept_call(box)
        back_up(box)
        backed_up.directory.rename(backed_up.directory.with_name("the drive"))
        backed_up.directory.mkdir()
        assert "Is the drive mounted?" in box.backup.make_now("").trouble
        assert list(backed_up.directory.iterdir()) == []
        assert "The last backup failed" in faults_of(box)
        assert acts_of(box)[-1] == "backup:failed"
        box.backup.make_now("")
        assert acts_of(box).count("backup:failed") == 1
        # Named by hand, it is a new stick.
        assert not box.backup.make_now(str(backed_up.directory)).trouble
        assert faults_of(box) == ""
        assert acts_of(box)[-1] == "backup:made"


@pytest.mark.parametrize("by_hand", [False, True], ids=["of the settings", "named by hand"])
def test_of_a_backup_that_failed_the_journal_names_no_folder_and_nothing_in_it(
    backed_up: BackedUp, tmp_path: Path, by_hand: bool
) -> None:
    stick = tmp_path / "Ludmilla's stick" if by_hand else backed_up.directory
    stick.mkdir(exist_ok=True)
    (stick / "holiday.jpg").write_bytes(b"x")
    with backed_up.opened() as box:
        assert stick.name in box.backup.make_now(str(stick) if by_hand else "").trouble
        failed = json.loads(box.journal_path.read_bytes().splitlines()[-1])
    assert failed["act"] == "backup:failed"
    assert failed["notes"] == {"why": "BackupTrouble"}


def test_a_folder_of_other_things_and_another_boxs_backup_are_left_alone(house: BoxHouse, backed_up: BackedUp) -> None:
    (backed_up.directory / "holiday.jpg").write_bytes(b"x")
    with backed_up.opened() as box:
        assert "holds other things" in box.backup.make_now("").trouble
        (backed_up.directory / "holiday.jpg").unlink()
        back_up(box)
    before = contents_of(backed_up.directory)
    with house.opened(house.settings("stranger")) as other:
        (other.settings.state / "identity" / "chain.pem").unlink()
    with house.opened(house.settings("stranger")) as other:
        assert "backup of another box" in other.backup.make_now(str(backed_up.directory)).trouble
    assert contents_of(backed_up.directory) == before


def test_a_folder_that_was_turned_into_a_link_leads_nothing_elsewhere(backed_up: BackedUp, tmp_path: Path) -> None:
    with backed_up.opened() as box:
        kept_call(box)
        back_up(box)
        (backed_up.directory / "journal").rename(tmp_path / "away")
        (tmp_path / "journal").mkdir()
        (backed_up.directory / "journal").symlink_to(tmp_path / "journal")
        assert "is a link" in box.backup.make_now("").trouble
    assert list((tmp_path / "journal").iterdir()) == []


def test_what_other_computers_leave_on_a_medium_is_passed_over(backed_up: BackedUp) -> None:
    with backed_up.opened() as box:
        kept = kept_call(box)
        back_up(box)
        recordings = backed_up.directory / RECORDINGS
        (recordings / ".DS_Store").write_bytes(b"not ours")
        (recordings / kept[:2] / "._link").symlink_to("nowhere")
        (recordings / kept[:2] / ("ab" * 16)).symlink_to("nowhere")
        later = kept_call(box)
        back_up(box)
    assert in_backup(backed_up) >= {kept, later}
    assert (recordings / ".DS_Store").read_bytes() == b"not ours"


def test_a_list_of_forgotten_calls_that_was_turned_into_a_link_leads_nothing_elsewhere(
    backed_up: BackedUp, tmp_path: Path
) -> None:
    elsewhere, link = tmp_path / "elsewhere", backed_up.directory / FORGOTTEN
    with backed_up.opened() as box:
        told_before, gone = kept_call(box), kept_call(box)
        box.erasure.erase([told_before], by="test", why="asked")
        back_up(box)
        link.rename(elsewhere)
        link.symlink_to(elsewhere)
        before = elsewhere.read_bytes()
        assert set(decoded(before)) == {told_before}
        box.erasure.erase([gone], by="test", why="asked")
        assert "symbolic links" in box.backup.make_now("").trouble
        assert elsewhere.read_bytes() == before


def test_a_link_that_is_put_in_the_place_of_a_copy_meanwhile_leads_nothing_elsewhere(
    backed_up: BackedUp, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"of somebody else")
    with backed_up.opened() as box:
        call = kept_call(box)
        link = backed_up.directory / f"{recording_name(call)}.new"

        def meanwhile(seen: int, _calls: int) -> None:
            if seen == 0:
                link.parent.mkdir(parents=True)
                link.symlink_to(elsewhere)

        backup = box.backup._admitted(backed_up.directory)
        with pytest.raises(StorageTrouble, match="symbolic links"):
            box.backup._copying.make(backup, rest=lambda _s: None, progress=meanwhile)
        assert elsewhere.read_bytes() == b"of somebody else"
        back_up(box)
        assert in_backup(backed_up) == {call}


def test_who_asks_for_another_directory_while_a_backup_runs_is_told_to_wait(
    backed_up: BackedUp, tmp_path: Path
) -> None:
    with backed_up.opened() as box:
        assert box.backup.ask("").running
        assert box.backup.ask("").running
        with pytest.raises(StorageTrouble, match="Another backup is being made"):
            box.backup.ask(str(tmp_path))
        box.backup.run()
        assert box.backup.ask(str(tmp_path)).running


def test_one_recording_that_cannot_be_read_is_named_and_the_others_are_copied(
    backed_up: BackedUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    with backed_up.opened() as box:
        bad, good = kept_call(box), kept_call(box)
        read = os.read

        def worn_out(descriptor: int, length: int) -> bytes:
            if Path(f"/proc/self/fd/{descriptor}").readlink().name == bad:
                raise OSError(errno.EIO, "Input/output error")
            return read(descriptor, length)

        monkeypatch.setattr(os, "read", worn_out)
        state = box.backup.make_now("")
        monkeypatch.undo()
        assert not state.trouble
        assert [bad in sentence for sentence in state.not_copied] == [True]
        assert f"Call {bad}: not in the backup" in faults_of(box)
        assert in_backup(backed_up) == {good}
        back_up(box)
        assert faults_of(box) == ""


REFUSALS = [
    (errno.ENOSPC, "is full"),
    (errno.EROFS, "cannot be written"),
    (errno.EIO, "is the drive plugged in"),
]


@pytest.mark.parametrize(("error", "said"), REFUSALS, ids=["full", "read-only", "unplugged"])
def test_a_disk_that_refuses_is_said_in_a_sentence_and_the_backup_from_before_stays(
    backed_up: BackedUp, monkeypatch: pytest.MonkeyPatch, error: int, said: str
) -> None:
    class Refusing(BackupDisk):
        def sync(self, path: Path) -> None:
            raise OSError(error, os.strerror(error))

    with backed_up.opened() as box:
        old = kept_call(box)
        back_up(box)
        manifest = backed_up.backup().manifest()
        new = kept_call(box)
        monkeypatch.setattr(box.backup, "_disk", Refusing())
        assert said in box.backup.make_now("").trouble
        monkeypatch.undo()
        assert backed_up.backup().manifest() == manifest
        assert in_backup(backed_up) == {old}
        back_up(box)
    assert in_backup(backed_up) == {old, new}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of half a megabyte."""
    folder = tmp_path / "stick"
    folder.mkdir()
    options = ("-t", "tmpfs", "-o", "size=512k", "tmpfs")
    mounted = subprocess.run(["mount", *options, str(folder)], capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_real_disk_that_is_full_keeps_the_backup_from_before(backed_up: BackedUp, small_disk: Path) -> None:
    with backed_up.opened() as box:
        kept_call(box)
        assert not box.backup.make_now(str(small_disk)).trouble
        before = contents_of(small_disk)
        for _ in range(4):
            kept_call(box, seconds=60)
        assert "is full" in box.backup.make_now(str(small_disk)).trouble
        after = contents_of(small_disk)
        same = ("linekeep-backup.json", "catalogue.sqlite", "ring/ring.a")
        assert [after[name] for name in same] == [before[name] for name in same]
        assert not [name for name in after if name.endswith(".new")]


def test_a_disk_that_does_not_keep_what_it_was_given_is_found_out(
    backed_up: BackedUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Forging(BackupDisk):
        def digest(self, path: Path, rest: Rest) -> bytes:
            return b"another"

    with backed_up.opened() as box:
        kept_call(box)
        monkeypatch.setattr(box.backup, "_disk", Forging())
        assert "did not keep" in box.backup.make_now("").trouble
    assert in_backup(backed_up) == set()


def test_a_backup_that_is_due_is_made_and_one_that_is_not_is_not(house: BoxHouse, backed_up: BackedUp) -> None:
    with backed_up.opened() as box:
        for seconds, made in ((0, 1), (DAY_S - 1, 1), (2, 2), (-10 * DAY_S, 3)):
            house.hands.pass_s(seconds)
            box.backup.run()
            assert acts_of(box).count("backup:made") == made
        house.hands.pass_s(10 * DAY_S)


def test_a_backup_that_has_become_too_old_is_a_finding(house: BoxHouse, backed_up: BackedUp) -> None:
    with backed_up.opened() as box:
        back_up(box)
        house.hands.pass_s(LATE_PERIODS * DAY_S)
        assert faults_of(box) == ""
        house.hands.pass_s(1)
        assert "The last backup is too old" in faults_of(box)


def test_a_stopped_vault_ends_its_backup_and_the_next_run_finishes_it(backed_up: BackedUp) -> None:
    with backed_up.opened() as box:
        call = kept_call(box)
        box.backup.stop()
        assert "goes on later" in box.backup.make_now("").trouble
    with backed_up.opened() as box:
        back_up(box)
    assert in_backup(backed_up) == {call}


def test_without_a_directory_anywhere_a_backup_is_refused_and_nothing_is_said_about_it(house: BoxHouse) -> None:
    with house.opened(house.settings("without")) as box:
        with pytest.raises(SettingsTrouble, match="name no directory"):
            box.backup.ask("")
        box.backup.run()
        box.backup.keep_in_step()
        assert box.backup.facts() is None
        assert faults_of(box) == ""


def test_a_recording_that_nobody_has_finished_is_not_in_the_backup(backed_up: BackedUp) -> None:
    with backed_up.opened() as box:
        written_call(box)
        back_up(box)
    assert in_backup(backed_up) == set()
