"""Issued, found, searched for and forgotten; and a cut at every step of forgetting."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from appliance.terms import CallId, KeyForgotten, KeyTrouble
from appliance.vault import card as cards
from appliance.vault.box import Box
from appliance.vault.catalogue import CallState
from tests.vault.box_house import LINE, BoxHouse, acts_of, condemn, kept_call, receipt_of

NUMBER = "+49 30 1234567"


class Cut(BaseException):
    """The power is gone."""


@contextmanager
def cut(owner: Any, name: str, *, after: bool) -> Iterator[None]:
    """Cut before, or after, this method of this object does its work."""
    real: Callable[..., Any] = getattr(owner, name)

    def die(*arguments: Any, **named: Any) -> Any:
        if after:
            real(*arguments, **named)
        raise Cut

    setattr(owner, name, die)
    try:
        with pytest.raises(Cut):
            yield
    finally:
        delattr(owner, name)


def numbered_call(box: Box, number: str = NUMBER) -> CallId:
    """A kept call whose caller's number is known."""
    call, key = box.intake.issue(LINE)
    card = cards.Card(number=number, ended="silence", frames=8000, audio_bytes=1, peaks="", gaps=())
    tokens = box.call_keys.tokens_for(call, number)
    sealed = cards.seal(card, call, key)
    assert box.catalogue.keep(
        call, started_at_ms=1, length_ms=1000, direction="unknown", due_at_ms=None, card=sealed, tokens=tokens
    )
    return call


def found(box: Box, number: str) -> set[CallId]:
    return {row.call_id for row in box.catalogue.page(limit=200, tokens=box.call_keys.tokens_sought(number))}


def test_issued_running_and_kept_calls_survive_a_neighbours_forgetting(box: Box) -> None:
    issued, issued_key = box.call_keys.issue(LINE)
    running, running_key = box.call_keys.issue(LINE)
    box.catalogue.begin(running, 1)
    kept, gone = kept_call(box), kept_call(box)
    kept_key = box.call_keys.key_of(kept)
    condemn(box, gone)
    commit = box.call_keys.forget([gone])
    assert commit is not None
    assert commit.before != commit.after
    assert [box.call_keys.key_of(call) for call in (issued, running, kept)] == [issued_key, running_key, kept_key]
    with pytest.raises(KeyForgotten):
        box.call_keys.key_of(gone)
    assert not box.call_keys.can_open(gone)
    assert box.call_keys.forget([gone]) is None
    box.erasure.finish_condemned()


def test_an_old_wrap_put_back_into_the_database_opens_nothing(box: Box) -> None:
    gone = kept_call(box)
    old = box.catalogue.wraps_of([gone])
    box.erasure.erase([gone], by="test", why="test")
    box.catalogue.add_wraps(old, [])
    with pytest.raises(KeyForgotten):
        box.call_keys.key_of(gone)


def test_a_wrap_in_another_calls_row_opens_nothing(box: Box) -> None:
    one, two = kept_call(box), kept_call(box)
    wrap = box.catalogue.wraps_of([one])[0].wrapped
    with box.store.transaction() as connection:
        connection.exec_driver_sql("UPDATE call_keys SET wrapped=? WHERE call_id=?", (wrap, two))
    with pytest.raises(KeyTrouble):
        box.call_keys.key_of(two)
    box.erasure.erase([two], by="test", why="test")


def test_a_damaged_wrap_or_card_does_not_keep_others_from_being_forgotten(box: Box) -> None:
    damaged, bad_card, gone, kept = kept_call(box), numbered_call(box), kept_call(box), kept_call(box)
    with box.store.transaction() as connection:
        connection.exec_driver_sql("UPDATE call_keys SET wrapped=? WHERE call_id=?", (b"x" * 60, damaged))
        connection.exec_driver_sql("UPDATE calls SET card=? WHERE call_id=?", (b"x" * 600, bad_card))
    box.erasure.erase([gone], by="test", why="test")
    assert box.catalogue.was_forgotten(gone)
    assert box.call_keys.can_open(kept)
    assert box.call_keys.can_open(bad_card)
    box.erasure.erase([damaged, bad_card], by="test", why="test")


def test_a_number_is_found_whole_or_by_its_end_and_no_other_is(box: Box) -> None:
    call = numbered_call(box)
    for sought in (NUMBER, "0049301234567", "+49 (30) 123-4567", "4567", " 4567 "):
        assert call in found(box, sought), sought
    for other in ("+49 30 1234568", "4568", "34567", "567", "1234567", "%", "anonymous"):
        assert call not in found(box, other), other


def test_a_number_is_still_found_after_its_call_was_wrapped_again_and_not_after_it_was_forgotten(box: Box) -> None:
    call, gone = numbered_call(box, "030 998877"), numbered_call(box, "030 998877")
    box.erasure.erase([gone], by="test", why="test")
    assert found(box, "030998877") == {call}
    assert found(box, "8877") == {call}
    box.erasure.erase([call], by="test", why="test")
    assert found(box, "8877") == set()


def test_a_call_without_a_number_has_no_tokens_and_is_not_found_by_letters(box: Box) -> None:
    for number in ("", "anonymous", "+"):
        call = numbered_call(box, number)
        assert box.call_keys.tokens_for(call, number) == []
        assert call not in found(box, "unknown")


def test_the_same_number_has_another_token_in_another_bucket() -> None:
    assert cards.tokens_of(NUMBER, b"a" * 32) != cards.tokens_of(NUMBER, b"b" * 32)


def test_no_number_lies_anywhere_in_the_database(house: BoxHouse, box: Box) -> None:
    numbered_call(box, "030 5550199")
    state = house.folder / "state"
    held = b"".join(path.read_bytes() for path in state.glob("catalogue.sqlite*"))
    for clear in (b"5550199", b"0305550199", b"030 5550199"):
        assert clear not in held


STEPS = {
    "before the request is in the book": ("erasures", "condemn", False),
    "after the request is in the book": ("erasures", "condemn", True),
    "before the new wraps": ("catalogue", "add_wraps", False),
    "before the ring's commit": ("ring", "commit", False),
    "after the ring's commit": ("ring", "commit", True),
    "before the old wraps go": ("catalogue", "drop_buckets", False),
    "after the old wraps went": ("catalogue", "drop_buckets", True),
    "before the commit is in the book": ("erasures", "note_commit", False),
    "after the commit is in the book": ("erasures", "note_commit", True),
    "before the files go": ("folder", "remove_all", False),
    "after the files went": ("folder", "remove_all", True),
    "before the rows go": ("erasures", "strike", False),
    "after the rows went": ("erasures", "strike", True),
    "before the receipt is signed": ("notary", "sign", False),
    "after the receipt was signed": ("notary", "sign", True),
    "before the receipt is in the book": ("erasures", "close", False),
    "after the receipt is in the book": ("erasures", "close", True),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_cut_keeps_the_kept_and_the_next_start_finishes_the_condemned(house: BoxHouse, step: str) -> None:
    part, name, after = STEPS[step]
    settings = house.settings(step)
    with house.opened(settings) as before:
        kept, gone = kept_call(before), kept_call(before)
        numbered = numbered_call(before)
        spare, spare_key = before.call_keys.issue(LINE)
        with cut(getattr(before, part), name, after=after):
            before.erasure.erase([gone], by="test", why="test")
    with house.opened(settings) as box:
        assert all(box.call_keys.can_open(call) for call in (kept, numbered))
        box.retention.run()
        assert box.catalogue.find(gone) is None
        assert box.catalogue.was_forgotten(gone)
        with pytest.raises(KeyForgotten):
            box.call_keys.key_of(gone)
        assert not box.folder.finished_path(gone).exists()
        assert box.call_keys.key_of(spare) == spare_key
        assert found(box, NUMBER) == {numbered}
        assert box.catalogue.in_state(CallState.CONDEMNED) == []
        assert acts_of(box).count("calls:forgotten") == 1
        ((erasure, _is_signed),) = box.erasures.page(limit=10)
        facts = receipt_of(box, erasure.erasure_id).facts
        assert (facts["calls"], facts["count"], facts["asked_by"], facts["why"]) == ([gone], 1, "test", "test")


def test_days_without_a_call_leave_the_ring_and_the_present_one_stays(house: BoxHouse) -> None:
    with house.opened(house.settings("days")) as box:
        call, key = box.call_keys.issue(LINE)
        box.erasure.erase([call], by="test", why="test")
        house.hands.pass_s(86_400)
        today, today_key = box.call_keys.issue(LINE)
        house.hands.pass_s(86_400)
        box.call_keys.issue(LINE)
        assert len(box.call_keys.bucket_ids()) == 2
        house.hands.pass_s(86_400)
        box.catalogue.drop_unused([today])
        box.call_keys.drop_empty_buckets()
        assert len(box.call_keys.bucket_ids()) == 1
        with pytest.raises(KeyForgotten):
            box.call_keys.key_of(today)
        assert key != today_key
