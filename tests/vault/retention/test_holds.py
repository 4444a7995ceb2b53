"""Holds and requests: what they stop, what they do not, and what outlives a cut, a restart and another clock."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from appliance.boundary import verbs
from appliance.terms import CallId, DamagedRecording, KeyTrouble, LinekeepError, NotAllowed, NotKept, StorageTrouble
from appliance.vault import card as cards
from appliance.vault.box import Box
from appliance.vault.catalogue import CallState, Catalogue
from appliance.vault.check import find_faults, find_notes
from appliance.vault.playback import NoSuchCall, StillRunning
from appliance.vault.retention.erasure import CallHeld
from appliance.vault.retention.erasure_book import ErasureBook
from appliance.vault.retention.holds import LONGEST_HOLD_MS, HoldNeedsClock, HoldOutOfBounds
from appliance.vault.retention.verdict import KEEP_ASKED_LASTS_MS
from tests.vault.backup.backup_house import plays
from tests.vault.box_house import (
    LINE,
    NOON_MS,
    OWNER,
    BoxHouse,
    acts_of,
    begin_writing,
    end_writing,
    kept_call,
    noted,
    unrecorded_call,
)

DAY_S = 86_400
DAY_MS = DAY_S * 1000
REASON = "Claim over twelve tables, file 4711"
LOGIN = "A" * 43


@pytest.fixture(autouse=True)
def noon(house: BoxHouse, box: Box) -> None:
    house.hands.wall_ms = max(house.hands.wall_ms, NOON_MS)
    assert box.watch.trouble() is None


def held_call(box: Box, *, days: float = 100, reason: str = REASON) -> CallId:
    call = kept_call(box)
    hold(box, call, days=days, reason=reason)
    return call


def hold(box: Box, call: CallId, *, days: float = 100, reason: str = REASON) -> None:
    until_ms = box.clock.now_ms() + int(days * DAY_MS)
    box.holds.place(call, until_ms=until_ms, reason=reason, by=OWNER.account)


def running_call(box: Box, *, asked: bool = True) -> Callable[[], CallId]:
    """A call that runs, for which somebody has asked; to be ended."""
    call, writer, pages = begin_writing(box)
    if asked:
        assert box.holds.ask(call)

    def end() -> CallId:
        end_writing(call, writer, pages)
        box.intake.finish(call)
        return call

    return end


def facts_of(box: Box, call: CallId) -> verbs.OpenedCall:
    return box.playback.open_call(OWNER, call)


def is_here(box: Box, call: CallId) -> bool:
    row = box.catalogue.find(call)
    return row is not None and row.state is CallState.KEPT and plays(box, call)


# what a hold stops


def retention(house: BoxHouse, box: Box, call: CallId) -> None:
    house.hands.pass_s(31 * DAY_S)
    box.retention.run()


def shorter_period(house: BoxHouse, box: Box, call: CallId) -> None:
    box.catalogue.shorten_due(DAY_MS)
    house.hands.pass_s(2 * DAY_S)
    box.retention.run()


def a_person(house: BoxHouse, box: Box, call: CallId) -> None:
    with pytest.raises(CallHeld):
        box.erasure.erase([call], by=OWNER.account, why="asked")


def a_person_with_others(house: BoxHouse, box: Box, call: CallId) -> None:
    other = kept_call(box)
    with pytest.raises(CallHeld):
        box.erasure.erase([other, call], by=OWNER.account, why="asked")
    assert is_here(box, other)


def a_person_on_a_clock_that_is_ahead(house: BoxHouse, box: Box, call: CallId) -> None:
    honest_ms, house.hands.wall_ms = house.hands.wall_ms, house.hands.wall_ms + 2 * LONGEST_HOLD_MS
    with pytest.raises(CallHeld):
        box.erasure.erase([call], by=OWNER.account, why="asked")
    house.hands.wall_ms = honest_ms
    assert box.watch.trouble() is None


def the_recorder(house: BoxHouse, box: Box, call: CallId) -> None:
    with pytest.raises(NotAllowed):
        box.intake.drop(call, NotKept.FORGOTTEN)
    with pytest.raises(NotAllowed):
        box.intake.note_unrecorded(noted(box, call))


def sweeps(house: BoxHouse, box: Box, call: CallId) -> None:
    house.hands.pass_s(3 * DAY_S)
    box.intake.take_over_what_was_left()
    box.catalogue.drop_unused([call])
    box.call_keys.drop_empty_buckets()
    box.catalogue.drop_buckets(box.catalogue.bucket_ids() - box.call_keys.bucket_ids())
    box.folder.sweep_finished()


def what_was_begun(house: BoxHouse, box: Box, call: CallId) -> None:
    box.erasure.erase([kept_call(box)], by="test", why="test")
    box.erasure.finish_condemned()


PATHS = [
    retention,
    shorter_period,
    a_person,
    a_person_with_others,
    a_person_on_a_clock_that_is_ahead,
    the_recorder,
    sweeps,
    what_was_begun,
]
"""All that can make a call go; a restore and a recovery: tests/vault/backup/test_restore.py."""


@pytest.mark.parametrize("path", PATHS)
def test_a_held_call_stays_whatever_would_erase_it_and_the_others_go(
    house: BoxHouse, box: Box, path: Callable[[BoxHouse, Box, CallId], None]
) -> None:
    call, other = held_call(box), kept_call(box)
    path(house, box, call)
    assert is_here(box, call)
    assert list(find_faults(box)) == []
    box.erasure.erase([other], by="test", why="test")
    assert not is_here(box, other)


def test_a_hold_on_a_call_that_was_not_recorded_keeps_its_fact(house: BoxHouse, box: Box) -> None:
    call = unrecorded_call(box)
    hold(box, call)
    house.hands.pass_s(31 * DAY_S)
    box.retention.run()
    assert facts_of(box, call).hold_reason == REASON


def test_a_held_call_is_not_overdue_until_its_hold_is_over(house: BoxHouse, box: Box) -> None:
    call = held_call(box, days=40)
    house.hands.pass_s(35 * DAY_S)
    box.retention.run()
    assert box.retention.overdue() == 0
    house.hands.pass_s(6 * DAY_S)
    assert box.retention.overdue() >= 1
    box.retention.run()
    assert box.catalogue.was_forgotten(call)
    assert box.retention.overdue() == 0


# a hold's way


def test_a_hold_is_shown_with_its_end_and_reason_and_journalled_without_it(box: Box) -> None:
    call = kept_call(box)
    due_at_ms = facts_of(box, call).facts.due_at_ms
    until_ms, now_ms = box.clock.now_ms() + 100 * DAY_MS, box.clock.now_ms()
    box.holds.place(call, until_ms=until_ms, reason=REASON, by=OWNER.account)
    opened = facts_of(box, call)
    assert (opened.facts.hold_until_ms, opened.facts.due_at_ms) == (until_ms, until_ms)
    assert (opened.hold_reason, opened.held_since_ms) == (REASON, now_ms)
    (entry,) = (each for each in box.journal.entries_about([call]) if each.act == "call:held")
    assert (entry.by, entry.notes) == (OWNER.account, {"until_ms": until_ms})
    assert REASON.encode() not in box.journal_path.read_bytes()
    box.holds.lift(call, by=OWNER.account)
    opened = facts_of(box, call)
    assert (opened.facts.hold_until_ms, opened.facts.due_at_ms, opened.hold_reason) == (0, due_at_ms, "")
    assert acts_of(box)[-1] == "call:hold_lifted"


def test_the_reason_is_nowhere_on_the_disk_in_clear(house: BoxHouse, box: Box) -> None:
    held_call(box, reason="Ludmilla against the brewery")
    files = [path for path in (house.folder / "state").rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if b"Ludmilla" in path.read_bytes()]


def test_a_hold_that_is_renewed_ends_at_its_new_end(house: BoxHouse, box: Box) -> None:
    call = held_call(box, days=40)
    hold(box, call, days=60, reason="Second instance")
    house.hands.pass_s(50 * DAY_S)
    box.retention.run()
    assert facts_of(box, call).hold_reason == "Second instance"
    house.hands.pass_s(11 * DAY_S)
    assert facts_of(box, call).facts.hold_until_ms == 0
    box.retention.run()
    assert box.catalogue.was_forgotten(call)


def test_a_lifted_hold_lets_the_next_run_have_a_call_whose_time_is_over(house: BoxHouse, box: Box) -> None:
    call = held_call(box)
    house.hands.pass_s(31 * DAY_S)
    box.retention.run()
    box.holds.lift(call, by=OWNER.account)
    assert is_here(box, call)
    box.retention.run()
    assert box.catalogue.was_forgotten(call)


@pytest.mark.parametrize("from_now_ms", [-1, 0, LONGEST_HOLD_MS + 1, 2**52])
def test_a_hold_without_an_end_in_bounds_is_refused(box: Box, from_now_ms: int) -> None:
    call, before = kept_call(box), acts_of(box)
    with pytest.raises(HoldOutOfBounds):
        box.holds.place(call, until_ms=box.clock.now_ms() + from_now_ms, reason=REASON, by=OWNER.account)
    assert "call:held" not in acts_of(box)[len(before) :]
    assert facts_of(box, call).facts.hold_until_ms == 0


def test_on_a_clock_that_is_wrong_no_hold_is_placed(house: BoxHouse, box: Box) -> None:
    call, honest_ms = kept_call(box), house.hands.wall_ms
    house.hands.wall_ms += 400 * DAY_MS
    with pytest.raises(HoldNeedsClock):
        hold(box, call)
    house.hands.wall_ms = honest_ms
    assert box.watch.trouble() is None


def test_a_call_that_runs_or_is_gone_cannot_be_held(box: Box) -> None:
    end = running_call(box)
    (running,) = (row.call_id for row in box.catalogue.in_state(CallState.RUNNING))
    with pytest.raises(StillRunning):
        hold(box, running)
    gone = end()
    box.erasure.erase([gone], by="test", why="test")
    with pytest.raises(NoSuchCall):
        hold(box, gone)


def test_an_answer_that_is_given_twice_is_journalled_once(box: Box) -> None:
    call = running_call(box)()
    for _ in range(2):
        box.holds.dismiss(call, by=OWNER.account)
    hold(box, call)
    for _ in range(2):
        box.holds.lift(call, by=OWNER.account)
    acts = [entry.act.value for entry in box.journal.entries_about([call])]
    assert acts == ["call:keep_asked", "call:kept", "call:keep_dismissed", "call:held", "call:hold_lifted"]


# a hold and an erasure at once


def test_an_erasure_that_only_the_journal_knows_comes_before_a_later_hold(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = kept_call(box)

    def full(*_arguments: object, **_named: object) -> bool:
        raise StorageTrouble("The disk is full.")

    monkeypatch.setattr(ErasureBook, "condemn", full)
    with pytest.raises(StorageTrouble):
        box.erasure.erase([call], by=OWNER.account, why="asked")
    monkeypatch.undo()
    with pytest.raises(NoSuchCall):
        hold(box, call)
    box.retention.run()
    assert box.catalogue.was_forgotten(call)
    assert list(find_faults(box)) == []


def test_a_hold_between_a_verdict_and_its_erasure_stops_that_run_and_no_later_one(
    house: BoxHouse, box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    call, other = kept_call(box), kept_call(box)
    house.hands.pass_s(31 * DAY_S)
    due = Catalogue.due

    def due_then_held(catalogue: Catalogue, now_ms: int) -> object:
        rows = due(catalogue, now_ms)
        hold(box, call)
        return rows

    monkeypatch.setattr(Catalogue, "due", due_then_held)
    with pytest.raises(CallHeld):
        box.retention.run()
    monkeypatch.undo()
    box.retention.run()
    assert (is_here(box, call), box.catalogue.was_forgotten(other)) == (True, True)


def held_while_the_disk_refuses(box: Box, monkeypatch: pytest.MonkeyPatch) -> CallId:
    """The journal has the hold, and the catalogue was not told: whoever wanted it reads that it went wrong."""
    call = kept_call(box)

    def full(*_arguments: object) -> None:
        raise StorageTrouble("The disk is full.")

    monkeypatch.setattr(Catalogue, "_change_one", full)
    with pytest.raises(StorageTrouble):
        hold(box, call)
    monkeypatch.undo()
    return call


def test_a_hold_that_a_full_disk_left_in_the_journal_is_not_passed_over_by_the_next_one(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = held_while_the_disk_refuses(box, monkeypatch)
    other = held_call(box)
    assert [facts_of(box, each).facts.hold_until_ms > 0 for each in (call, other)] == [True, True]
    assert list(find_faults(box)) == []


def test_a_hold_that_a_full_disk_left_in_the_journal_stops_an_erasure(
    house: BoxHouse, box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = held_while_the_disk_refuses(box, monkeypatch)
    house.hands.pass_s(31 * DAY_S)
    with pytest.raises(CallHeld):
        box.retention.run()
    box.retention.run()
    assert is_here(box, call)
    assert list(find_faults(box)) == []


# requests


def test_a_request_is_shown_and_gives_two_weeks_from_the_call_and_no_more(house: BoxHouse, box: Box) -> None:
    box.catalogue.shorten_due(30 * DAY_MS)
    call = running_call(box)()
    asked_at_ms = facts_of(box, call).facts.keep_asked_at_ms
    assert asked_at_ms == box.clock.now_ms()
    # With thirty days it lengthens nothing.
    assert facts_of(box, call).facts.due_at_ms < asked_at_ms + 31 * DAY_MS
    box.catalogue.shorten_due(DAY_MS)
    assert facts_of(box, call).facts.due_at_ms == asked_at_ms + KEEP_ASKED_LASTS_MS
    house.hands.pass_s(14 * DAY_S - 1)
    box.retention.run()
    assert is_here(box, call)
    assert box.retention.overdue() == 0
    house.hands.pass_s(2)
    box.retention.run()
    assert box.catalogue.was_forgotten(call)


def test_a_request_stops_no_erasure_that_a_person_asks_for(box: Box) -> None:
    call = running_call(box)()
    box.erasure.erase([call], by=OWNER.account, why="asked")
    assert box.catalogue.was_forgotten(call)


def test_only_the_first_request_counts(house: BoxHouse, box: Box) -> None:
    end = running_call(box)
    (call,) = (row.call_id for row in box.catalogue.in_state(CallState.RUNNING))
    house.hands.pass_s(3600)
    assert box.holds.ask(call)
    end()
    assert acts_of(box).count("call:keep_asked") >= 1
    assert facts_of(box, call).facts.keep_asked_at_ms == box.clock.now_ms() - 3_600_000
    assert not box.holds.ask(call)


def test_requests_and_holds_are_counted_until_they_are_answered_or_over(house: BoxHouse, box: Box) -> None:
    box.retention.run()
    requests, held = box.holds.count()
    one, other = running_call(box)(), running_call(box)()
    assert box.holds.count() == (requests + 2, held)
    box.holds.dismiss(one, by=OWNER.account)
    hold(box, other)
    assert box.holds.count() == (requests, held + 1)
    assert [note for note in find_notes(box) if "held" in note]
    longer = verbs.ListCalls(login=LOGIN, longer=True)
    listed = [facts.call for facts in box.playback.page(OWNER, longer).calls]
    assert (other in listed, one in listed) == (True, False)
    house.hands.pass_s(101 * DAY_S)
    assert box.holds.count()[1] == 0


def test_a_call_that_is_to_be_forgotten_is_not_kept_for_a_request(box: Box) -> None:
    end = running_call(box)
    (call,) = (row.call_id for row in box.catalogue.in_state(CallState.RUNNING))
    box.intake.forget_when_over(call)
    end()
    assert box.catalogue.was_forgotten(call)


def test_a_request_for_a_call_that_is_dropped_or_was_not_recorded_does_nothing(box: Box) -> None:
    call, writer, _pages = begin_writing(box)
    assert box.holds.ask(call)
    writer.discard()
    box.intake.drop(call, NotKept.FORGOTTEN)
    assert box.catalogue.was_forgotten(call)
    spare, _key = box.intake.issue(LINE)
    assert not box.holds.ask(spare)
    assert not box.holds.ask(CallId("0" * 32))


def test_a_request_on_a_wrong_clock_is_shown_and_lengthens_nothing(house: BoxHouse, box: Box) -> None:
    honest_ms, house.hands.wall_ms = house.hands.wall_ms, house.hands.wall_ms + 4000 * DAY_MS
    end = running_call(box)
    house.hands.wall_ms = honest_ms
    call = end()
    assert facts_of(box, call).facts.keep_asked_at_ms == 0
    house.hands.pass_s(31 * DAY_S)
    box.retention.run()
    assert box.catalogue.was_forgotten(call)


def test_a_card_that_is_damaged_is_not_written_over_by_a_hold(box: Box) -> None:
    call = kept_call(box)
    with box.store.transaction() as connection:
        connection.exec_driver_sql("UPDATE calls SET card=? WHERE call_id=?", (b"x" * 600, call))
    with pytest.raises((DamagedRecording, KeyTrouble)):
        hold(box, call)
    assert "call:held" not in [entry.act.value for entry in box.journal.entries_about([call])]
    with pytest.raises(LinekeepError):
        cards.unseal(box.catalogue.find(call).card or b"", call, box.call_keys.key_of(call))  # type: ignore[union-attr]
    box.erasure.erase([call], by="test", why="test")


# cuts and restarts; each in a state of its own, and last, since its ring makes the one above an old one


ACTS: list[Callable[[Box, CallId], object]] = [
    hold,
    lambda box, call: box.holds.lift(call, by=OWNER.account),
    lambda box, call: box.holds.dismiss(call, by=OWNER.account),
]


@pytest.mark.parametrize("nth", range(len(ACTS)), ids=["place", "lift", "dismiss"])
def test_what_a_cut_leaves_in_the_journal_only_stands_after_the_next_start(
    house: BoxHouse, nth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = house.settings(f"cut-{nth}")
    with house.opened(settings) as box:
        assert box.watch.trouble() is None
        call = running_call(box)()
        if nth == 1:
            hold(box, call)

        def cut(*_arguments: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(Catalogue, "_change_one", cut)
        with pytest.raises(KeyboardInterrupt):
            ACTS[nth](box, call)
        monkeypatch.undo()
    with house.opened(settings) as box:
        facts = facts_of(box, call).facts
        assert (facts.hold_until_ms > 0, facts.keep_asked_at_ms) == (nth == 0, None)
        assert list(find_faults(box)) == []


def test_holds_and_requests_outlive_a_restart(house: BoxHouse) -> None:
    settings = house.settings("restart")
    with house.opened(settings) as box:
        held, asked = held_call(box), running_call(box)()
        end = running_call(box)
        (cut_off,) = (row.call_id for row in box.catalogue.in_state(CallState.RUNNING))
        del end
    with house.opened(settings) as box:
        assert facts_of(box, held).hold_reason == REASON
        assert facts_of(box, asked).facts.keep_asked_at_ms is not None
        row = box.catalogue.find(cut_off)
        assert row is not None
        assert row.keep_asked_at_ms is not None
        house.hands.pass_s(50 * DAY_S)
        box.retention.run()
        assert (is_here(box, held), box.catalogue.was_forgotten(asked)) == (True, True)
