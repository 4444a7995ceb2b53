"""Erasing: what is left on the disk, trouble with the TPM or the disk, and two who ask at once."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from appliance.terms import CallId, KeyTrouble, StorageTrouble
from appliance.vault.box import Box
from appliance.vault.catalogue import CallState
from appliance.vault.evidence.notary import Notary
from appliance.vault.retention.erasure import NotGoneYet
from appliance.vault.ring import Ring
from tests.vault.box_house import BoxHouse, acts_of, condemn, kept_call, receipt_of


def test_nothing_of_an_erased_call_is_left_but_its_id(house: BoxHouse, box: Box) -> None:
    call = kept_call(box)
    row = box.catalogue.find(call)
    wraps = box.catalogue.wraps_of([call])
    assert row is not None
    box.erasure.erase([call], by="test", why="test")
    held = b"".join(path.read_bytes() for path in (house.folder / "state").glob("catalogue.sqlite*"))
    assert row.card is not None
    assert row.card not in held
    assert all(wrap.wrapped not in held for wrap in wraps)
    assert not box.folder.finished_path(call).exists()
    assert box.catalogue.was_forgotten(call)


def test_without_the_tpms_word_nothing_is_called_forgotten_and_the_next_run_finishes(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    call, before = kept_call(box), acts_of(box).count("calls:forgotten")

    def refuse(_ring: Ring, _contents: object) -> None:
        raise KeyTrouble("The TPM does not answer.")

    monkeypatch.setattr(Ring, "commit", refuse)
    with pytest.raises(NotGoneYet, match="The TPM does not answer"):
        box.erasure.erase([call], by="test", why="test")
    row = box.catalogue.find(call)
    assert row is not None
    assert row.state is CallState.CONDEMNED
    assert box.folder.finished_path(call).exists()
    assert acts_of(box).count("calls:forgotten") == before
    monkeypatch.undo()
    box.retention.run()
    assert box.catalogue.was_forgotten(call)


def test_a_tpm_that_signs_nothing_keeps_no_call_from_being_forgotten_and_the_receipt_follows(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    call, told = kept_call(box), acts_of(box).count("calls:forgotten")

    def refuse(_notary: Notary, _kind: str, _facts: object) -> None:
        raise KeyTrouble("The TPM does not sign.")

    monkeypatch.setattr(Notary, "sign", refuse)
    receipt = box.erasure.erase([call], by="test", why="test")
    assert receipt is not None
    assert receipt.signed is None
    assert box.catalogue.was_forgotten(call)
    monkeypatch.undo()
    box.retention.run()
    assert receipt_of(box, receipt.erasure_id).facts["calls"] == [call]
    assert acts_of(box).count("calls:forgotten") == told + 1


def test_the_receipt_is_signed_with_the_state_to_which_the_ring_moved(box: Box) -> None:
    receipt = box.erasure.erase([kept_call(box)], by="test", why="test")
    assert receipt is not None
    checked = receipt_of(box, receipt.erasure_id)
    assert checked.attested.state.hex() == checked.facts["ring_after"] == box.tpm.ring_state().hex()
    assert checked.facts["ring_before"] != checked.facts["ring_after"]


def test_without_a_journal_nothing_is_condemned(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    call = kept_call(box)

    def full(*_arguments: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fdatasync", full)
    with pytest.raises(StorageTrouble):
        box.erasure.erase([call], by="test", why="test")
    row = box.catalogue.find(call)
    assert row is not None
    assert row.state is CallState.KEPT


def test_many_erasures_at_once_forget_each_call_once(house: BoxHouse, box: Box) -> None:
    calls = [kept_call(box, seconds=0.1) for _ in range(6)]
    stays = kept_call(box)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda call: box.erasure.erase([call], by="test", why="test"), calls))
    assert all(box.catalogue.was_forgotten(call) for call in calls)
    assert box.call_keys.can_open(stays)
    told = [event["call"] for event in house.log.named("forgotten")]
    assert sorted(call for call in told if call in calls) == sorted(calls)


def test_more_calls_than_one_statement_takes_go_at_once(box: Box) -> None:
    calls = [box.call_keys.issue(kept)[0] for kept in ["front-desk"] * 3]  # type: ignore[arg-type]
    condemn(box, *calls, *(CallId(f"{n:032x}") for n in range(1200)))
    box.erasure.finish_condemned()
    assert all(box.catalogue.was_forgotten(call) for call in calls)
