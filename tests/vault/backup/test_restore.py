"""Restores: what was lost comes back, what was forgotten does not, on the same box and on another."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from appliance.boundary.verbs import ExportReceipt
from appliance.terms import CallId, KeyForgotten, KeyTrouble, SettingsTrouble, StorageTrouble
from appliance.vault.backup.forgotten_list import Forgotten, encoded
from appliance.vault.backup.mending import mend, settle
from appliance.vault.backup.place import CATALOGUE, FORGOTTEN, WRAPS, recording_name
from appliance.vault.box import Box
from appliance.vault.catalogue import CallState
from appliance.vault.check import find_faults, find_notes
from appliance.vault.retention.receipt import ErasureId
from tests.simulators.software_tpm import SoftwareTpm
from tests.vault.backup.backup_house import BackedUp, back_up, plays, recovered_elsewhere
from tests.vault.box_house import (
    OWNER,
    PASSWORD,
    BoxHouse,
    acts_of,
    begin_writing,
    contents_of,
    kept_call,
    receipt_of,
    unrecorded_call,
    written_call,
)
from tests.vault.evidence.house import written

DAY_MS = 86_400_000


def erase(box: Box, *calls: CallId) -> ErasureId:
    receipt = box.erasure.erase(calls, by="test", why="asked")
    assert receipt is not None
    assert receipt.signed is not None
    return receipt.erasure_id


def receipt_files(box: Box, erasure: ErasureId) -> dict[str, bytes]:
    return box.evidence_desk.export_receipt(OWNER, ExportReceipt(login="A" * 43, erasure=erasure)).files


def is_gone(box: Box, call: CallId) -> bool:
    try:
        box.call_keys.key_of(call)
    except KeyForgotten:
        return (
            box.catalogue.find(call) is None
            and box.catalogue.was_forgotten(call)
            and not box.folder.finished_path(call).exists()
        )
    return False


def test_a_lost_catalogue_comes_back_and_everything_plays(backed_up: BackedUp) -> None:
    with backed_up.opened() as box:
        calls = [kept_call(box) for _ in range(3)]
        back_up(box)
    backed_up.lose_catalogue()
    outcome = backed_up.restore()
    assert (outcome.restored.calls, outcome.restored.left_out) == (3, 0)
    with backed_up.opened() as box:
        settle(box)
        assert all(plays(box, call) for call in calls)
        assert list(find_faults(box)) == []


def test_calls_that_were_wrapped_again_after_the_backup_play_from_the_backups_catalogue(backed_up: BackedUp) -> None:
    with backed_up.opened() as box:
        survivors = [kept_call(box) for _ in range(3)]
        gone = [kept_call(box) for _ in range(2)]
        back_up(box)
        for call in gone:  # two rotations of the same bucket, the backup away
            erase(box, call)
    backed_up.lose_catalogue()
    outcome = backed_up.restore()
    assert (outcome.restored.calls, outcome.restored.left_out) == (3, 2)
    with backed_up.opened() as box:
        settle(box)
        assert all(plays(box, call) for call in survivors)
        assert all(is_gone(box, call) for call in gone)
        assert list(find_faults(box)) == []


def test_without_the_second_copy_of_the_keys_they_would_not(backed_up: BackedUp) -> None:
    """What the test above rests on."""
    with backed_up.opened() as box:
        survivor, gone = kept_call(box), kept_call(box)
        back_up(box)
        erase(box, gone)
    backed_up.lose_catalogue()
    (backed_up.state / "ring" / "wraps").unlink()
    backed_up.restore()
    with backed_up.opened() as box:
        assert not plays(box, survivor)


def test_a_call_of_after_the_backup_is_in_the_restored_catalogue_too(backed_up: BackedUp) -> None:
    with backed_up.opened() as box:
        back_up(box)
        later, running = kept_call(box), begin_writing(box)
        left = written_call(box)
        other = kept_call(box)
        erase(box, other)
    running[1].abandon()
    backed_up.lose_catalogue()
    outcome = backed_up.restore()
    assert outcome.restored.calls == 3
    with backed_up.opened() as box:
        settle(box)
        assert [plays(box, call) for call in (later, left, running[0])] == [True, True, True]
        assert is_gone(box, other)
        assert list(find_faults(box)) == []


def test_lost_recordings_come_back_and_the_present_catalogue_stays(backed_up: BackedUp) -> None:
    with backed_up.opened() as box:
        lost, gone = kept_call(box), kept_call(box)
        back_up(box)
        erase(box, gone)
        later = kept_call(box)
        box.folder.finished_path(lost).unlink()
    outcome = backed_up.restore()
    assert not outcome.has_catalogue_from_backup
    assert outcome.restored.recordings == 1
    with backed_up.opened() as box:
        settle(box)
        assert plays(box, lost)
        assert plays(box, later)
        assert is_gone(box, gone)
        assert list(find_faults(box)) == []


def test_a_damaged_recording_is_replaced_and_a_sound_one_is_not(backed_up: BackedUp) -> None:
    with backed_up.opened() as box:
        damaged, sound = kept_call(box), kept_call(box)
        back_up(box)
        path = box.folder.finished_path(damaged)
        path.write_bytes(path.read_bytes()[:-1] + b"x")
        # And the backup's copy of the other is the damaged one.
        (backed_up.directory / recording_name(sound)).write_bytes(b"x")
        assert mend(box, backed_up.backup()) == 1
        assert plays(box, damaged)
        assert plays(box, sound)
        assert list(find_faults(box)) == []


def test_a_damaged_catalogue_is_put_aside(backed_up: BackedUp) -> None:
    with backed_up.opened() as box:
        call, gone = kept_call(box), kept_call(box)
        back_up(box)
        erase(box, gone)
    path = backed_up.state / CATALOGUE
    content = bytearray(path.read_bytes())
    content[4096:20480] = os.urandom(16384)
    path.write_bytes(content)
    assert backed_up.restore().has_catalogue_from_backup
    assert (backed_up.state / f"{CATALOGUE}.damaged").read_bytes()[4096:20480] == content[4096:20480]
    with backed_up.opened() as box:
        settle(box)
        assert plays(box, call)
        assert is_gone(box, gone)
        assert list(find_faults(box)) == []


def test_what_was_forgotten_gets_a_receipt_again_and_the_journal_tells_the_restore(backed_up: BackedUp) -> None:
    with backed_up.opened() as box:
        gone = kept_call(box)
        back_up(box)
        erasure_id = erase(box, gone)
    backed_up.lose_catalogue()
    backed_up.restore()
    with backed_up.opened() as box:
        settle(box)
        facts = receipt_of(box, erasure_id).facts
        assert (facts["calls"], facts["why"]) == ([gone], "asked")
        assert acts_of(box).count("calls:forgotten") == 1
        assert acts_of(box).count("box:restored") == 1
    with backed_up.opened() as box:
        assert acts_of(box).count("box:restored") == 1


def test_what_was_only_asked_for_when_the_catalogue_was_lost_is_forgotten_too(
    backed_up: BackedUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(_gone: object) -> None:
        raise KeyTrouble("cut")

    with backed_up.opened() as box:
        asked = kept_call(box)
        back_up(box)
        monkeypatch.setattr(box.call_keys, "forget", cut)
        with pytest.raises(KeyTrouble, match="cut"):
            box.erasure.erase([asked], by="test", why="asked")
    backed_up.lose_catalogue()
    backed_up.restore()
    with backed_up.opened() as box:
        settle(box)
        assert is_gone(box, asked)


def test_calls_without_a_recording_come_back_as_far_as_the_backup_has_them(backed_up: BackedUp) -> None:
    with backed_up.opened() as box:
        before, gone = unrecorded_call(box), unrecorded_call(box)
        back_up(box)
        erase(box, gone)
        unrecorded_call(box)
    backed_up.lose_catalogue()
    outcome = backed_up.restore()
    assert (outcome.restored.calls, outcome.not_restored) == (0, {})
    with backed_up.opened() as box:
        settle(box)
        assert is_gone(box, gone)
        row = box.catalogue.find(before)
        assert row is not None
        assert (row.not_kept, box.playback._card_of(row).number) == ("missed", "03055504471")
        assert list(find_faults(box)) == []


def test_the_check_says_so_and_finds_nothing_wrong(backed_up: BackedUp) -> None:
    with backed_up.opened() as box:
        kept_call(box)
        gone = kept_call(box)
        back_up(box)
        erase(box, gone)
        assert list(find_notes(box)) == []
    backed_up.lose_catalogue()
    backed_up.restore()
    with backed_up.opened() as box:
        settle(box)
        (note,) = find_notes(box)
        assert note.startswith("Restored on 20")
        assert note.endswith("Calls: 1. Forgotten since then, left out, and forgotten for good: 1.")
        assert list(find_faults(box)) == []


def test_on_another_box_the_recovered_ring_forgets_again_what_was_forgotten_after_the_backup(
    backed_up: BackedUp,
) -> None:
    with backed_up.opened() as box:
        before, kept, after = (kept_call(box) for _ in range(3))
        erase(box, before)
        back_up(box)
        recovery = box.ring.contents  # what the recovery copy of that moment holds
        recording = box.folder.finished_path(after).read_bytes()
        erase(box, after)
        box.backup.keep_in_step()
    # An old copy of the backup: recording and ring of then. Only the list is of now.
    old = backed_up.directory / recording_name(after)
    old.write_bytes(recording)
    with recovered_elsewhere(backed_up, recovery) as settings:
        assert not (Path(settings.state_dir) / "recordings" / "finished" / after).exists()
        with backed_up.house.opened(settings) as box:
            assert box.call_keys.can_open(after)  # its key is in the recovery copy
            settle(box)
            assert plays(box, kept)
            assert is_gone(box, after)
            assert is_gone(box, before)
            assert box.ring.contents.buckets.keys().isdisjoint(recovery.buckets)
            assert list(find_faults(box)) == []


def hold(box: Box, call: CallId, *, days: int = 100) -> int:
    until_ms = box.clock.now_ms() + days * DAY_MS
    box.holds.place(call, until_ms=until_ms, reason="Claim 4711", by=OWNER.account)
    return until_ms


def hold_of(box: Box, call: CallId) -> tuple[int, str]:
    opened = box.playback.open_call(OWNER, call)
    return opened.facts.hold_until_ms, opened.hold_reason


def test_holds_come_back_with_the_catalogue_and_those_of_after_the_backup_from_the_journal(
    backed_up: BackedUp,
) -> None:
    with backed_up.opened() as box:
        assert box.watch.trouble() is None
        before, after, lifted, lifted_and_gone = (kept_call(box) for _ in range(4))
        early_ms = [hold(box, call) for call in (before, lifted, lifted_and_gone)]
        back_up(box)
        late_ms = hold(box, after)
        later = kept_call(box)
        latest_ms = hold(box, later)
        for call in (lifted, lifted_and_gone):
            box.holds.lift(call, by=OWNER.account)
        erase(box, lifted_and_gone)
    backed_up.lose_catalogue()
    backed_up.restore()
    with backed_up.opened() as box:
        settle(box)
        assert hold_of(box, before) == (early_ms[0], "Claim 4711")
        # Of what came after the backup the journal knows the end, and nobody the reason.
        assert hold_of(box, after) == (late_ms, "")
        assert hold_of(box, later) == (latest_ms, "")
        assert hold_of(box, lifted) == (0, "")
        assert is_gone(box, lifted_and_gone)
        assert list(find_faults(box)) == []
        backed_up.house.hands.pass_s(50 * DAY_MS // 1000)
        box.retention.run()
        assert all(plays(box, call) for call in (before, after, later))
        assert is_gone(box, lifted)


def test_on_another_box_with_the_recovery_words_held_calls_stay_held(backed_up: BackedUp) -> None:
    with backed_up.opened() as box:
        assert box.watch.trouble() is None
        call, other = kept_call(box), kept_call(box)
        until_ms = hold(box, call)
        back_up(box)
        recovery = box.ring.contents
    with recovered_elsewhere(backed_up, recovery) as settings, backed_up.house.opened(settings) as box:
        settle(box)
        assert hold_of(box, call) == (until_ms, "Claim 4711")
        backed_up.house.hands.pass_s(50 * DAY_MS // 1000)
        assert box.watch.trouble() is None
        box.retention.run()
        assert (plays(box, call), is_gone(box, other)) == (True, True)


def test_on_another_box_a_receipt_forgets_what_an_old_backup_does_not_know(backed_up: BackedUp, tmp_path: Path) -> None:
    with backed_up.opened() as box:
        kept, gone = kept_call(box), kept_call(box)
        back_up(box)
        recovery = box.ring.contents
        receipt = written(receipt_files(box, erase(box, gone)), tmp_path / "receipt.zip")
    state = backed_up.house.folder / "by receipt"
    outcome = backed_up.restore(state, receipts=[receipt])
    assert outcome.restored.left_out == 1
    assert not (state / "recordings" / "finished" / gone).exists()
    shutil.rmtree(state)
    # The price: nothing on this other box knows, so it opens.
    with recovered_elsewhere(backed_up, recovery) as settings, backed_up.house.opened(settings) as box:
        settle(box)
        assert plays(box, kept)
        assert plays(box, gone)


def test_a_receipt_of_another_box_or_a_changed_one_stops_the_restore(backed_up: BackedUp, tmp_path: Path) -> None:
    with backed_up.opened() as box:
        gone = kept_call(box)
        back_up(box)
        files = receipt_files(box, erase(box, gone))
    with (
        TemporaryDirectory(prefix="lk-") as run_dir,
        SoftwareTpm(tmp_path / "tpm", Path(run_dir)),
        BoxHouse(tmp_path, Path(run_dir)).opened() as another,
    ):
        of_another_box = receipt_files(another, erase(another, kept_call(another)))
    (statement,) = (name for name in files if name.startswith("receipts/") and name.endswith(".json"))
    changed = {**files, statement: files[statement].replace(gone.encode(), b"ab" * 16)}
    without_any = {name: content for name, content in files.items() if not name.startswith("receipts/")}
    other = kept_in_mind = contents_of(backed_up.state)
    receipt = tmp_path / "receipt.zip"
    for wrong in (changed, of_another_box, without_any):
        with pytest.raises(SettingsTrouble, match="no deletion receipt of this box"):
            backed_up.restore(receipts=[written(wrong, receipt)])
    receipt.write_bytes(b"no ZIP")
    with pytest.raises(SettingsTrouble, match="cannot be read"):
        backed_up.restore(receipts=[receipt])
    assert other == kept_in_mind == contents_of(backed_up.state)


def test_with_its_tpm_a_box_whose_whole_disk_was_lost_opens_again(backed_up: BackedUp) -> None:
    with backed_up.opened() as box:
        call, gone = kept_call(box), kept_call(box)
        back_up(box)
        erase(box, gone)
        box.backup.keep_in_step()
    shutil.rmtree(backed_up.state)
    outcome = backed_up.restore()
    assert outcome.has_ring_from_backup
    with backed_up.opened() as box:
        settle(box)
        assert plays(box, call)
        assert is_gone(box, gone)
        assert list(find_faults(box)) == []


def test_a_ring_from_before_a_forgetting_is_refused_and_not_begun_anew(backed_up: BackedUp) -> None:
    with backed_up.opened() as box:
        kept_call(box)
        gone = kept_call(box)
        back_up(box)
        erase(box, gone)  # the backup was away
    shutil.rmtree(backed_up.state)
    backed_up.restore()
    with pytest.raises(KeyTrouble, match="old copy"), backed_up.opened():
        pass


def test_the_backup_of_another_box_is_refused_and_nothing_is_changed(house: BoxHouse, backed_up: BackedUp) -> None:
    with backed_up.opened() as box:
        kept_call(box)
        back_up(box)
    state = house.folder / "quite another"
    (state / "identity").mkdir(parents=True)
    with house.opened(house.settings("donor")) as donor:
        (donor.settings.state / "identity" / "chain.pem").unlink()
    with house.opened(house.settings("donor")) as donor:
        shutil.copy(donor.settings.state / "identity" / "chain.pem", state / "identity")
    before = contents_of(state)
    with pytest.raises(StorageTrouble, match="another box"):
        backed_up.restore(state)
    assert {name: content for name, content in contents_of(state).items() if name != "lock"} == before


def test_a_directory_without_a_whole_backup_is_refused(backed_up: BackedUp) -> None:
    with pytest.raises(StorageTrouble, match="There is no backup"):
        backed_up.restore()
    backed_up.backup().put_manifest("ab" * 32, 0)
    with pytest.raises(StorageTrouble, match="never finished"):
        backed_up.restore()


def test_a_damaged_catalogue_in_the_backup_changes_nothing_here(backed_up: BackedUp) -> None:
    with backed_up.opened() as box:
        call = kept_call(box)
        back_up(box)
    (backed_up.directory / CATALOGUE).write_bytes(b"x" * 5000)
    with pytest.raises(StorageTrouble, match="The backup's catalogue is damaged"):
        backed_up.restore()
    (backed_up.state / "restoring.json").unlink()
    with backed_up.opened() as box:
        assert plays(box, call)


def test_who_can_write_to_the_backup_cannot_have_calls_erased_from_a_catalogue_that_stays(backed_up: BackedUp) -> None:
    with backed_up.opened() as box:
        call = kept_call(box)
        back_up(box)
    backed_up.backup().put(FORGOTTEN, encoded([Forgotten(call=call, at_ms=1)]))
    backed_up.restore()
    with backed_up.opened() as box:
        settle(box)
        assert plays(box, call)


def test_a_restore_beside_a_running_vault_is_refused(backed_up: BackedUp) -> None:
    with backed_up.opened() as box:
        back_up(box)
        with pytest.raises(StorageTrouble, match="in use by another Linekeep"):
            backed_up.restore()


def test_a_login_from_before_the_backup_does_not_come_back(backed_up: BackedUp) -> None:
    with backed_up.opened() as box:
        login = box.accounts.claim(str(box.accounts.claim_code()), "Ada", PASSWORD)[0]
        back_up(box)
        box.accounts.log_out(login)
    backed_up.lose_catalogue()
    backed_up.restore()
    with backed_up.opened() as box:
        with pytest.raises(Exception, match="ended"):
            box.accounts.visitor(login)
        assert box.accounts.log_in("Ada", PASSWORD)


def test_settings_that_come_back_name_the_new_state_directory(backed_up: BackedUp) -> None:
    with backed_up.opened() as box:
        (backed_up.state / "linekeep.toml").write_text('state_dir = "/var/lib/linekeep"\nrun_dir = "/run/linekeep"\n')
        back_up(box)
    state = backed_up.house.folder / "with settings"
    backed_up.restore(state)
    text = (state / "linekeep.toml").read_text()
    assert text == f'state_dir = "{state}"\nrun_dir = "/run/linekeep"\n'


def test_a_recording_that_the_medium_does_not_give_back_is_named(
    backed_up: BackedUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    with backed_up.opened() as box:
        bad, good = kept_call(box), kept_call(box)
        back_up(box)
    shutil.rmtree(backed_up.state / "recordings" / "finished")
    (backed_up.directory / recording_name(bad)).unlink()
    (backed_up.directory / recording_name(bad)).mkdir()
    outcome = backed_up.restore()
    assert set(outcome.not_restored) == {bad}
    with backed_up.opened() as box:
        assert plays(box, good)


def test_the_backups_wraps_serve_where_the_boxs_own_are_lost(backed_up: BackedUp) -> None:
    with backed_up.opened() as box:
        survivor, gone = kept_call(box), kept_call(box)
        back_up(box)
        erase(box, gone)
        box.backup.keep_in_step()
    backed_up.lose_catalogue()
    (backed_up.state / "ring" / "wraps").unlink()
    backed_up.restore()
    assert (backed_up.state / "ring" / "wraps").read_bytes() == (backed_up.directory / WRAPS).read_bytes()
    with backed_up.opened() as box:
        settle(box)
        assert plays(box, survivor)


def test_condemned_calls_are_nowhere_before_the_vault_has_finished_them(backed_up: BackedUp) -> None:
    with backed_up.opened() as box:
        gone = kept_call(box)
        back_up(box)
        erase(box, gone)
    backed_up.lose_catalogue()
    backed_up.restore()
    with backed_up.opened() as box:
        row = box.catalogue.find(gone)
        assert row is not None
        assert (row.state, row.card) == (CallState.CONDEMNED, None)
