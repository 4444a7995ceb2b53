"""From words, on a fresh TPM: every call plays, and what was forgotten stays forgotten."""

from __future__ import annotations

import itertools
import shutil
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from appliance.audit.events import Act
from appliance.terms import CallId, KeyTrouble
from appliance.vault.catalogue import Catalogue
from appliance.vault.check import find_faults
from appliance.vault.recovery.copy import CopyDamaged, open_copy, parse_copy
from appliance.vault.recovery.drill import count_opening, ground_in
from appliance.vault.recovery.recovering import RECOVERED_SECRET
from appliance.vault.recovery.words import RecoveryKey, SheetsMissing, WordsWrong, key_of, sheets_of
from appliance.vault.ring import Ring, RingExists, RingForeign
from appliance.vault.ring_folder import RECOVERY_COPY
from appliance.vault.tpm import PinNeeded
from tests.simulators.ring_disk import CutDisk, PowerCut, Steps
from tests.vault.backup.backup_house import plays
from tests.vault.box_house import BoxHouse, acts_of, contents_of, kept_call
from tests.vault.recovery.paper import new_board, recover, written_down

Life = tuple[tuple[str, ...], list[CallId], CallId]


@pytest.fixture
def life(house: BoxHouse) -> Life:
    """A box that lived with a recovery key (2 of 3) and died: its sheets, kept calls, a forgotten one."""
    with house.opened() as box:
        before = kept_call(box)
        sheets = written_down(box, needed=2, sheets=3)
        after, gone = kept_call(box), kept_call(box)
        box.erasure.erase([gone], by="test", why="asked")
        house.hands.pass_s(86_400)
        return sheets, [before, after, kept_call(box)], gone


def test_any_two_of_three_sheets_open_every_call_on_a_new_board(house: BoxHouse, life: Life) -> None:
    sheets, calls, gone = life
    with new_board(house) as settings:
        recover(settings, sheets[2], sheets[0])
        with house.opened(settings) as box:
            assert all(plays(box, call) for call in calls)
            assert not plays(box, gone)
            assert list(find_faults(box)) == []
            new = kept_call(box)
        with house.opened(settings) as box:  # and it starts by itself from now on
            assert plays(box, new)
            assert acts_of(box).count(Act.BOX_RECOVERED) == 1


def test_the_old_board_opens_nothing_of_what_the_new_one_records(house: BoxHouse, life: Life) -> None:
    sheets, _calls, _gone = life
    with new_board(house) as settings:
        recover(settings, *sheets[:2])
        with house.opened(settings) as box:
            kept_call(box)
        shutil.rmtree(house.settings().state / "ring")
        shutil.copytree(settings.state / "ring", house.settings().state / "ring")
    with pytest.raises(RingForeign):
        house.start()


def test_after_a_recovery_no_bucket_of_before_is_in_the_ring(house: BoxHouse, life: Life) -> None:
    sheets, calls, _gone = life
    old = open_copy(parse_copy((house.settings().state / "ring" / RECOVERY_COPY).read_bytes()), key_of(sheets))
    with new_board(house) as settings:
        recover(settings, *sheets)
        with house.opened(settings) as box:
            assert not box.ring.contents.buckets.keys() & old.buckets.keys()
            assert RECOVERED_SECRET not in box.ring.contents.secrets
            assert all(plays(box, call) for call in calls)


def test_the_words_stay_good_for_the_new_board(house: BoxHouse, life: Life) -> None:
    sheets, _calls, _gone = life
    with new_board(house) as settings:
        recover(settings, *sheets[1:])
        with house.opened(settings) as box:
            kept_call(box)
            present = box.ring.contents
        copy = parse_copy((settings.state / "ring" / RECOVERY_COPY).read_bytes())
        assert open_copy(copy, key_of(sheets)) == present


def test_an_old_recovery_copy_brings_nothing_back_that_was_forgotten_since(house: BoxHouse) -> None:
    with house.opened() as box:
        sheets, gone = written_down(box), kept_call(box)
        (wrap,) = box.catalogue.wraps_of([gone])
        old = (box.settings.state / "ring" / RECOVERY_COPY).read_bytes()
        assert wrap.bucket_id in open_copy(parse_copy(old), key_of(sheets)).buckets
        box.erasure.erase([gone], by="test", why="asked")
    with new_board(house) as settings:
        (settings.state / "ring" / RECOVERY_COPY).write_bytes(old)
        recover(settings, *sheets)
        with house.opened(settings) as box:
            assert wrap.bucket_id not in box.ring.contents.buckets
            copy = parse_copy((settings.state / "ring" / RECOVERY_COPY).read_bytes())
            assert wrap.bucket_id not in open_copy(copy, key_of(sheets)).buckets


@pytest.mark.parametrize("lost", ["pin", "both files"])
def test_words_help_on_the_same_board_too(house: BoxHouse, lost: str) -> None:
    settings = house.settings()
    with house.opened() as box:
        sheets, call = written_down(box), kept_call(box)
        if lost == "pin":
            box.set_pin("9 green bottles", by="console")
    if lost == "pin":
        with pytest.raises(PinNeeded):
            house.start()
    else:
        for name in ("ring.a", "ring.b"):
            (settings.state / "ring" / name).unlink()
    recover(settings, *sheets)
    with house.opened() as box:
        assert plays(box, call)
        assert list(find_faults(box)) == []


def test_a_ring_that_opens_is_left_alone(house: BoxHouse, life: Life) -> None:
    before = contents_of(house.settings().state / "ring")
    with pytest.raises(RingExists, match="nothing needs recovering"):
        recover(house.settings(), *life[0])
    assert contents_of(house.settings().state / "ring") == before


def test_a_tpm_of_another_linekeep_is_refused(house: BoxHouse, life: Life, tmp_path: Path) -> None:
    with new_board(house) as settings:
        with house.opened(msgspec.structs.replace(settings, state_dir=str(tmp_path / "another"))):
            pass  # another box lives there, and owns the TPM
        before = contents_of(settings.state)
        with pytest.raises(KeyTrouble, match="belongs to another Linekeep"):
            recover(settings, *life[0])
        assert contents_of(settings.state) == before


def test_wrong_words_change_nothing_and_say_why(house: BoxHouse, life: Life) -> None:
    sheets, _calls, _gone = life
    others = sheets_of(RecoveryKey.fresh(), needed=2, sheets=2)
    with new_board(house) as settings:
        before = contents_of(settings.state)
        for typed, kind, why in (
            (sheets[:1], SheetsMissing, "1 more must be typed"),
            ((sheets[0], sheets[1].replace(sheets[1].split()[9], "linekeep")), WordsWrong, "Word 10 of sheet 2"),
            (others, WordsWrong, "those of another box"),
            ((sheets[0], others[1]), WordsWrong, "different recovery keys"),
        ):
            with pytest.raises(kind, match=why):
                recover(settings, *typed)
        assert contents_of(settings.state) == before


def test_no_copy_and_a_damaged_copy_are_said(house: BoxHouse, life: Life) -> None:
    with new_board(house) as settings:
        copy = settings.state / "ring" / RECOVERY_COPY
        copy.write_bytes(copy.read_bytes()[:-9])
        with pytest.raises(CopyDamaged, match="The recovery copy is damaged"):
            recover(settings, *life[0])
        copy.unlink()
        with pytest.raises(KeyTrouble, match="no recovery key was ever set up"):
            recover(settings, *life[0])


def test_a_recovery_copy_that_is_lost_or_rots_is_written_again_with_an_alarm(house: BoxHouse, life: Life) -> None:
    sheets, _calls, _gone = life
    copy = house.settings().state / "ring" / RECOVERY_COPY
    for harm in (copy.unlink, lambda: copy.write_bytes(copy.read_bytes()[:100])):
        harm()
        with house.opened() as box:
            assert open_copy(parse_copy(copy.read_bytes()), key_of(sheets)) == box.ring.contents
            assert Act.RING_REPAIRED in acts_of(box)


def test_recovery_that_is_killed_after_any_step_goes_on(house: BoxHouse, life: Life) -> None:
    sheets, calls, _gone = life
    with new_board(house) as settings:
        ring = settings.state / "ring"
        foreign = contents_of(ring)
        for cut_after in itertools.count(1):
            for name, content in foreign.items():
                (ring / name).write_bytes(content)
            steps = Steps()
            steps.begin(cut_after)
            with suppress(PowerCut):
                recover(settings, *sheets, disk=CutDisk(steps, seed=0))
            with suppress(RingExists):
                recover(settings, *sheets)
            if not steps.dead:
                break
        assert cut_after > 15
        with house.opened(settings) as box:
            assert all(plays(box, call) for call in calls)


def test_start_that_is_cut_before_all_is_wrapped_again_goes_on(
    house: BoxHouse, life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    sheets, calls, _gone = life
    with new_board(house) as settings:
        recover(settings, *sheets)
        with monkeypatch.context() as patch:
            patch.setattr(Catalogue, "drop_buckets", cut)  # committed, and the old wraps not struck
            with pytest.raises(PowerCut):
                house.start(settings)
        with monkeypatch.context() as patch:
            patch.setattr(Ring, "change", cut)
            with house.opened(settings) as box:  # nothing is left to change: the commit was the end of it
                assert all(plays(box, call) for call in calls)
                assert acts_of(box).count(Act.BOX_RECOVERED) == 1


def cut(*_arguments: object) -> None:
    raise PowerCut


def test_a_copy_that_is_older_than_some_calls_says_how_many_before_anything_is_changed(house: BoxHouse) -> None:
    with house.opened() as box:
        sheets = written_down(box)
        kept_call(box)
        old = (box.settings.state / "ring" / RECOVERY_COPY).read_bytes()
        house.hands.pass_s(86_400)
        kept_call(box)
    with new_board(house) as settings:
        (settings.state / "ring" / RECOVERY_COPY).write_bytes(old)
        contents = open_copy(parse_copy(old), key_of(sheets))
        assert count_opening(ground_in(settings.state), contents) == (1, 2)
