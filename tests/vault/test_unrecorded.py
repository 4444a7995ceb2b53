"""Calls of which nothing was recorded: listed, found, counted, erased as the others; not heard, not exported."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from appliance.audit.events import Act
from appliance.boundary import verbs
from appliance.terms import CallId, LineName, NotAllowed, NotKept
from appliance.vault.box import Box
from appliance.vault.catalogue import CallState
from appliance.vault.check import find_faults
from appliance.vault.evidence.day_book import Outcome
from appliance.vault.intake import SPARE_LIVES_MS
from appliance.vault.playback import NoSuchCall, NothingRecorded
from tests.simulators.software_tpm import SoftwareTpm
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
    receipt_of,
    unrecorded_call,
    written_call,
)

LOGIN = "L" * 43
NUMBER = "03055504471"


@pytest.fixture
def own_house(tmp_path: Path) -> Iterator[BoxHouse]:
    """With a software TPM of its own, for boxes that are opened again or must be empty."""
    with TemporaryDirectory(prefix="lk-") as run_dir, SoftwareTpm(tmp_path / "tpm", Path(run_dir)):
        yield BoxHouse(tmp_path, Path(run_dir))


def listed(box: Box, **wanted: object) -> list[verbs.CallFacts]:
    request = verbs.ListCalls(login=LOGIN, **wanted)  # type: ignore[arg-type]
    return list(box.playback.page(OWNER, request).calls)


def test_it_stands_among_the_others_with_reason_number_and_direction(own_house: BoxHouse) -> None:
    with own_house.opened() as box:
        first = kept_call(box)
        own_house.hands.pass_s(60)
        call = unrecorded_call(box, why=NotKept.REFUSED)
        own_house.hands.pass_s(60)
        last = kept_call(box)
        rows = listed(box)
        assert [facts.call for facts in rows] == [last, call, first]
        assert [facts.not_kept for facts in rows] == ["", "refused", ""]
        fact = rows[1]
        assert (fact.number, fact.direction, fact.length_ms) == (NUMBER, "in", 12_000)
        assert fact.due_at_ms == fact.started_at_ms + 12_000 + 30 * 86_400_000
        opened = box.playback.open_call(OWNER, call)
        assert (opened.facts, opened.audio_bytes, opened.frames, opened.peaks) == (fact, 0, 0, b"")


def test_it_is_found_by_its_number_which_lies_nowhere_in_clear(house: BoxHouse, box: Box) -> None:
    call = unrecorded_call(box, number="0891234567")
    for sought in ("0891234567", "4567"):
        assert [facts.call for facts in listed(box, number=sought)] == [call]
    for path in (house.folder / "state").rglob("*"):
        assert not path.is_file() or b"0891234567" not in path.read_bytes(), path


def test_without_its_number_only_the_fact_is_there(box: Box) -> None:
    call = unrecorded_call(box, number="")
    assert box.playback.open_call(OWNER, call).facts.number == ""
    assert box.call_keys.tokens_for(call, "") == []


@pytest.mark.parametrize("why", NotKept)
def test_every_reason_is_told_to_journal_and_day_and_twice_counts_once(why: NotKept, box: Box) -> None:
    call, _key = box.intake.issue(LINE)
    request = noted(box, call, why=why)
    before, changes = len(acts_of(box)), box.catalogue.changes
    box.intake.note_unrecorded(request)
    box.intake.note_unrecorded(request)
    assert acts_of(box)[before:] == ["call:not_kept"]
    entry = box.journal.last(Act.CALL_NOT_KEPT)
    assert entry is not None
    assert (entry.ids, entry.notes) == ((call,), {"why": why.value})
    assert box.catalogue.changes == changes + 1
    (counted,) = (each for each in box.day_book.calls_of(LINE, today(box)) if each.call_id == call)
    assert (counted.outcome, counted.why, counted.frames) == (Outcome.NOT_KEPT, why.value, 0)


def today(box: Box) -> date:
    return datetime.fromtimestamp(box.clock.now_ms() / 1000, tz=UTC).date()


def test_it_is_not_counted_among_the_recordings(own_house: BoxHouse) -> None:
    with own_house.opened() as box:
        kept_call(box)
        assert box.catalogue.count_kept() == 1
        call, changes = unrecorded_call(box), box.catalogue.changes
        assert box.catalogue.count_kept() == 1
        box.erasure.erase([call], by="test", why="asked")
        assert box.catalogue.count_kept() == 1
        assert box.catalogue.changes > changes
    with own_house.opened() as box:
        assert box.catalogue.count_kept() == 1


def test_it_cannot_be_heard_nor_exported_and_nothing_is_journalled(box: Box) -> None:
    call = unrecorded_call(box)
    before = acts_of(box)
    read = verbs.Read(login=LOGIN, call=call, offset=0, length=1, purpose=verbs.Purpose.LISTEN)
    with pytest.raises(NothingRecorded):
        box.playback.read(OWNER, read)
    for whole_day in (False, True):
        with pytest.raises(NothingRecorded):
            box.evidence_desk.export(OWNER, verbs.ExportEvidence(login=LOGIN, call=call, whole_day=whole_day))
    with pytest.raises(NothingRecorded):
        box.evidence_desk.read_statement(OWNER, call)
    assert acts_of(box) == before
    assert not box.evidence_desk.about(call).is_signed


def test_it_is_erased_with_a_receipt(box: Box) -> None:
    call = unrecorded_call(box)
    receipt = box.erasure.erase([call], by="test", why="asked")
    assert receipt is not None
    assert receipt_of(box, receipt.erasure_id).facts["calls"] == [call]
    assert not box.call_keys.can_open(call)
    with pytest.raises(NoSuchCall):
        box.playback.open_call(OWNER, call)
    box.intake.note_unrecorded(noted(box, call))  # told once more by a link that missed the answer
    assert box.catalogue.find(call) is None


def test_it_goes_when_its_period_is_over(own_house: BoxHouse) -> None:
    with own_house.opened(own_house.settings(keep="60s")) as box:
        box.retention.run()
        call = unrecorded_call(box)
        own_house.hands.pass_s(59)
        box.retention.run()
        assert box.catalogue.find(call) is not None
        own_house.hands.pass_s(2)
        box.retention.run()
        assert box.catalogue.was_forgotten(call)
        assert list(find_faults(box)) == []


def test_a_shorter_period_moves_its_due_date_too(own_house: BoxHouse) -> None:
    with own_house.opened() as box:
        box.catalogue.shorten_due(30 * 86_400_000)
        call = unrecorded_call(box)
        box.catalogue.shorten_due(1000)
        assert box.playback.open_call(OWNER, call).facts.due_at_ms == own_house.hands.wall_ms + 1000


def test_the_number_is_found_after_other_calls_of_its_day_were_forgotten(box: Box) -> None:
    gone, call = kept_call(box), unrecorded_call(box, number="0711555123")
    box.erasure.erase([gone], by="test", why="asked")
    assert [facts.call for facts in listed(box, number="0711555123")] == [call]


def test_a_call_that_was_recorded_or_runs_or_is_of_another_line_is_refused(box: Box) -> None:
    kept, written = kept_call(box), written_call(box)
    growing, writer, pages = begin_writing(box)
    with box.store.transaction() as connection:  # its beginning was not told yet
        connection.exec_driver_sql("UPDATE calls SET state='issued' WHERE call_id=?", (growing,))
    spare, _key = box.intake.issue(LINE)
    before = acts_of(box)
    for call in (kept, written, growing, CallId("ab" * 16)):
        with pytest.raises(NotAllowed):
            box.intake.note_unrecorded(noted(box, call))
    with pytest.raises(NotAllowed):
        box.intake.note_unrecorded(noted(box, spare, line=LineName("other")))
    assert acts_of(box) == before
    end_writing(growing, writer, pages)
    for call in (written, growing):
        box.intake.finish(call)
        row = box.catalogue.find(call)
        assert row is not None
        assert (row.state, row.not_kept) == (CallState.KEPT, "")


def test_it_cannot_become_a_recording_afterwards(box: Box) -> None:
    call = unrecorded_call(box)
    box.intake.begin(call, LINE, NOON_MS)
    box.intake.finish(call)
    box.intake.take_over_what_was_left()
    row = box.catalogue.find(call)
    assert row is not None
    assert (row.state, row.not_kept) == (CallState.KEPT, "missed")


def test_a_cut_between_journal_and_catalogue_loses_the_fact_and_says_so(
    own_house: BoxHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Cut(BaseException):
        pass

    def cut(*_arguments: object, **_named: object) -> None:
        raise Cut

    with own_house.opened() as box:
        box.watch.trouble()
        monkeypatch.setattr(box.catalogue, "keep_unrecorded", cut)
        call, _key = box.intake.issue(LINE)
        with pytest.raises(Cut):
            box.intake.note_unrecorded(noted(box, call))
    with own_house.opened() as box:
        box.watch.trouble()
        assert list(find_faults(box)) == []
        own_house.hands.pass_s(SPARE_LIVES_MS / 1000 + 1)
        box.intake.take_over_what_was_left()
        assert box.catalogue.was_forgotten(call)
        assert list(find_faults(box)) == []


def test_an_order_to_forget_outlives_a_cut_of_everything(own_house: BoxHouse) -> None:
    with own_house.opened() as box:
        (ordered, writer, _), (other, other_writer, _) = (begin_writing(box, seconds=4) for _ in range(2))
        for call, order in ((ordered, "forget"), (other, "pause")):
            box.journal.append(Act.CALL_ORDERED, by=OWNER.account, ids=(call,), notes={"order": order})
        writer.abandon()
        other_writer.abandon()
    with own_house.opened() as box:
        box.intake.take_over_what_was_left()
        assert box.catalogue.was_forgotten(ordered)
        assert [facts.call for facts in listed(box)] == [other]
        assert list(find_faults(box)) == []


def test_a_journal_that_cannot_be_read_keeps_no_box_shut(own_house: BoxHouse) -> None:
    with own_house.opened() as box:
        call, writer, _pages = begin_writing(box, seconds=4)
        writer.abandon()
        path = box.journal_path
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([f'{{"ids":["{call}"]}}\n'.encode(), *lines]))
    with own_house.opened() as box:
        box.intake.take_over_what_was_left()
        assert [facts.call for facts in listed(box)] == [call]
    assert own_house.log.named("orders_unknown")


def test_recordings_are_counted_without_looking_at_the_rows(box: Box) -> None:
    explain = "EXPLAIN QUERY PLAN SELECT count(*) FROM calls WHERE state = 'kept'"
    for query in (explain, explain + " AND not_kept != ''"):
        with box.store.reading() as connection:
            assert "COVERING INDEX" in connection.exec_driver_sql(query).one()[-1]
