"""The journal tells every move of the ring, also one that was cut between the TPM and the journal."""

from __future__ import annotations

from itertools import pairwise

import pytest

from appliance.audit.journal import Entry
from appliance.terms import StorageTrouble
from appliance.vault.box import Box
from tests.vault.box_house import BoxHouse, kept_call


def moves(box: Box) -> list[Entry]:
    return [entry for entry in box.journal.entries_from(0) if entry.act.startswith("ring:moved")]


def assert_whole(box: Box) -> None:
    told = moves(box)
    for before, after in pairwise(told):
        assert after.notes["before"] == before.notes["after"]
    assert told[-1].notes["after"] == box.tpm.ring_state().hex() == box.ring_moves.told


def test_every_move_is_told_from_the_first_on(house: BoxHouse) -> None:
    with house.opened(house.settings("every")) as box:
        count = len(moves(box))
        call = kept_call(box)  # the day's bucket
        assert len(moves(box)) == count + 1
        box.make_front_certificate()  # the authority's key
        box.erasure.erase([call], by="test", why="test")
        house.hands.pass_s(2 * 86_400)
        box.call_keys.drop_empty_buckets()
        assert len(moves(box)) == count + 3
        assert_whole(box)
    with house.opened(house.settings("every")) as box:
        assert_whole(box)
        assert len(moves(box)) == count + 3


def test_a_move_that_was_cut_before_its_entry_is_told_at_the_next_start(house: BoxHouse) -> None:
    settings = house.settings("cut")
    with house.opened(settings) as box:
        box.ring.when_moved = lambda _commit: None
        box.ring.commit(box.ring.contents)
    with house.opened(settings) as box:
        assert_whole(box)
        assert moves(box)[-1].act == "ring:moved"


def test_moves_that_went_by_are_said_to_have_gone_by(house: BoxHouse) -> None:
    settings = house.settings("unseen")
    with house.opened(settings) as box:
        box.ring.when_moved = lambda _commit: None
        for _ in range(3):
            box.ring.commit(box.ring.contents)
    with house.opened(settings) as box:
        assert_whole(box)
        assert [entry.act for entry in moves(box)][-2:] == ["ring:moved_unseen", "ring:moved"]


def test_a_full_disk_does_not_undo_the_move_and_the_next_head_tells_it(
    house: BoxHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object, **_more: object) -> None:
        raise StorageTrouble("full")

    with house.opened(house.settings("full")) as box:
        count = len(moves(box))
        with monkeypatch.context() as patch:
            patch.setattr(box.journal, "append", full)
            box.ring.commit(box.ring.contents)
        assert len(moves(box)) == count
        box.sign_journal_head()
        assert len(moves(box)) == count + 1
        assert_whole(box)
