"""Finished, repeated, cut off, empty, foreign, still locked, and cuts between the steps of taking over."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from appliance.clock import EARLIEST_MS
from appliance.recordings.container import ClosingRecord, EndReason
from appliance.recordings.folder import RecordingsFolder
from appliance.recordings.opus import OpusDecoder
from appliance.recordings.reader import RecordingReader
from appliance.terms import (
    RATE_HZ,
    CallId,
    DamagedRecording,
    Direction,
    KeyForgotten,
    LineName,
    NotAllowed,
    NotKept,
    StorageTrouble,
)
from appliance.vault.box import Box
from appliance.vault.catalogue import CallState
from appliance.vault.evidence.day_book import Outcome, day_of
from appliance.vault.intake import SPARE_LIVES_MS
from tests.vault.box_house import (
    CONSENT_AFTER_MS,
    LINE,
    OWNER,
    BoxHouse,
    acts_of,
    begin_writing,
    condemn,
    end_writing,
    kept_call,
    receipt_of,
    unrecorded_call,
    written_call,
)


def state_of(box: Box, call: CallId) -> CallState | None:
    row = box.catalogue.find(call)
    return row.state if row else None


def adopt(box: Box, call: CallId) -> None:
    """As a take-over that was cut before the catalogue knew leaves it."""
    box.folder.adopt(call, sha256=hashlib.sha256(box.folder.growing_path(call).read_bytes()).hexdigest())


def test_a_finished_call_is_kept_with_the_facts_of_its_own_closing_record(box: Box) -> None:
    call = kept_call(box, seconds=1.5)
    row = box.catalogue.find(call)
    assert row is not None
    assert (row.state, row.length_ms) == (CallState.KEPT, 1500)
    assert row.due_at_ms == box.clock.now_ms() + 30 * 86_400_000
    assert not box.folder.growing_path(call).exists()


def test_finishing_twice_journals_and_counts_it_once(box: Box) -> None:
    call, before = kept_call(box), acts_of(box).count("call:kept")
    changes = box.catalogue.changes
    box.intake.finish(call)
    assert acts_of(box).count("call:kept") == before
    assert box.catalogue.changes == changes


def test_a_stale_take_over_does_not_bring_a_condemned_call_back(box: Box) -> None:
    call = kept_call(box)
    condemn(box, call)
    assert not box.catalogue.keep(
        call, started_at_ms=1, length_ms=1, direction="unknown", due_at_ms=None, card=b"", tokens=[]
    )
    box.intake.finish(call)
    assert state_of(box, call) is CallState.CONDEMNED
    box.erasure.finish_condemned()


def test_begin_for_a_foreign_line_or_an_unknown_call_is_refused(box: Box) -> None:
    call, _key = box.intake.issue(LINE)
    with pytest.raises(NotAllowed):
        box.intake.begin(call, LineName("other"), 1)
    with pytest.raises(NotAllowed):
        box.intake.begin(CallId("ab" * 16), LINE, 1)
    assert state_of(box, call) is CallState.ISSUED


def test_a_recording_still_locked_is_left_alone_and_taken_over_when_its_writer_has_gone(box: Box) -> None:
    call, writer, pages = begin_writing(box, seconds=3)
    box.intake.take_over_what_was_left()
    assert state_of(box, call) is CallState.RUNNING
    assert box.folder.growing_path(call).exists()
    end_writing(call, writer, pages)
    box.intake.take_over_what_was_left()
    assert state_of(box, call) is CallState.KEPT


def test_finish_of_a_recording_still_locked_is_refused_and_changes_nothing(box: Box) -> None:
    call, writer, pages = begin_writing(box, seconds=3)
    writer.sync()
    with pytest.raises(StorageTrouble, match="still being written"):
        box.intake.finish(call)
    end_writing(call, writer, pages)
    box.intake.finish(call)
    assert state_of(box, call) is CallState.KEPT


def test_a_recording_that_was_cut_off_is_recovered_with_its_reported_gaps(box: Box) -> None:
    call, writer, _pages = begin_writing(box, seconds=4)
    box.intake.note_gap(call, 800, 80, "overrun")
    box.intake.note_gap(call, 800, 80, "overrun")
    for so_far in (100, 500):
        box.intake.note_gap(call, 1000, so_far, "paused")
    writer.abandon()
    box.intake.take_over_what_was_left()
    row = box.catalogue.find(call)
    assert row is not None
    assert row.state is CallState.KEPT
    assert 2000 <= (row.length_ms or 0) < 4000
    card = box.playback._card_of(row)
    assert (card.ended, card.gaps) == ("cut_off", ((800, 80, "overrun"), (1000, 500, "paused")))
    assert "call:recovered" in acts_of(box)
    assert not box.folder.growing_path(call).exists()


def test_a_recording_without_any_audio_is_forgotten_with_its_key(box: Box) -> None:
    call, writer, _pages = begin_writing(box, seconds=0)
    writer.abandon()
    box.intake.take_over_what_was_left()
    assert state_of(box, call) is None
    assert box.catalogue.was_forgotten(call)
    assert not box.folder.growing_path(call).exists()
    with pytest.raises(KeyForgotten):
        box.call_keys.key_of(call)


def test_a_damaged_beginning_is_kept_for_whoever_looks_and_does_not_stop_the_others(house: BoxHouse, box: Box) -> None:
    bad, good = written_call(box, seconds=3), written_call(box)
    path = box.folder.growing_path(bad)
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    box.intake.take_over_what_was_left()
    assert state_of(box, good) is CallState.KEPT
    assert state_of(box, bad) is CallState.RUNNING
    assert path.read_bytes() == content
    assert [told["call"] for told in house.log.named("recording_left_behind")] == [bad]
    path.unlink()


def test_a_cut_between_the_files_move_and_the_catalogue_is_made_good(box: Box) -> None:
    call = written_call(box)
    adopt(box, call)
    box.intake.take_over_what_was_left()
    assert state_of(box, call) is CallState.KEPT


def test_a_cut_between_recovery_and_the_removal_of_its_source_is_made_good(box: Box) -> None:
    call = written_call(box)
    source = box.folder.growing_path(call)
    box.folder.finished_path(call).write_bytes(source.read_bytes())
    box.intake.take_over_what_was_left()
    assert state_of(box, call) is CallState.KEPT
    assert not source.exists()


def test_a_link_in_place_of_a_recording_is_not_followed(box: Box) -> None:
    call, _key = box.intake.issue(LINE)
    other = kept_call(box)
    box.folder.growing_path(call).symlink_to(box.folder.finished_path(other))
    with pytest.raises(StorageTrouble):
        box.intake.finish(call)
    assert state_of(box, call) is CallState.ISSUED
    box.folder.growing_path(call).unlink()


def test_a_recorder_that_keeps_its_file_open_cannot_change_the_call_any_more(box: Box) -> None:
    call = written_call(box)
    with box.folder.growing_path(call).open("r+b") as kept_open:
        box.intake.finish(call)
        kept_open.write(bytes(4096))
        kept_open.flush()
        with RecordingReader(box.folder.finished_path(call), call=call, key=box.call_keys.key_of(call)) as reader:
            reader.verify()


def test_a_closing_record_that_states_another_length_than_the_audio_has_is_refused(box: Box) -> None:
    call, writer, pages = begin_writing(box)
    for page in pages.finish():
        writer.write(page)
    closing = ClosingRecord(
        call=call,
        frames=pages.frames + 8000,
        audio_bytes=writer.audio_bytes,
        audio_sha256=writer.audio_sha256,
        ended=EndReason.SILENCE,
        ended_at_ms=0,
    )
    writer.finish(closing)
    with pytest.raises(DamagedRecording, match="longer or shorter"):
        box.intake.finish(call)
    assert state_of(box, call) is CallState.RUNNING
    box.folder.discard_growing(call)


def test_another_calls_recording_under_this_calls_name_is_not_taken(box: Box) -> None:
    one, two = written_call(box), written_call(box)
    box.folder.growing_path(one).rename(box.folder.growing_path(two))
    with pytest.raises(DamagedRecording):
        box.intake.finish(two)
    assert state_of(box, two) is CallState.RUNNING
    box.folder.discard_growing(two)


def test_gaps_of_a_kept_call_are_not_written_any_more(box: Box) -> None:
    call = kept_call(box)
    box.intake.note_gap(call, 1, 1, "overrun")
    assert box.catalogue.gaps_of(call) == []


def test_a_start_in_the_future_does_not_lengthen_the_period(house: BoxHouse, box: Box) -> None:
    house.hands.wall_ms += 1000 * 86_400_000
    call, writer, pages = begin_writing(box)
    house.hands.wall_ms -= 1000 * 86_400_000
    end_writing(call, writer, pages)
    box.intake.finish(call)
    row = box.catalogue.find(call)
    assert row is not None
    assert row.due_at_ms is not None
    assert row.due_at_ms <= house.hands.wall_ms + 30 * 86_400_000


def test_a_start_before_this_software_existed_gets_no_due_date_yet(house: BoxHouse, box: Box) -> None:
    now_ms, house.hands.wall_ms = house.hands.wall_ms, 0
    call, writer, pages = begin_writing(box)
    house.hands.wall_ms = now_ms
    end_writing(call, writer, pages)
    box.intake.finish(call)
    row = box.catalogue.find(call)
    assert row is not None
    assert row.due_at_ms is None


def test_spare_calls_go_when_old_but_never_on_a_clock_that_jumped_or_with_a_file(house: BoxHouse, box: Box) -> None:
    house.hands.pass_s(1)
    box.watch.trouble()
    spare, _ = box.intake.issue(LINE)
    growing, writer, pages = begin_writing(box)
    with box.store.transaction() as connection:
        connection.exec_driver_sql("UPDATE calls SET state='issued' WHERE call_id=?", (growing,))
    house.hands.wall_ms += SPARE_LIVES_MS * 2
    box.intake.take_over_what_was_left()
    assert state_of(box, spare) is CallState.ISSUED
    house.hands.steady_ms += SPARE_LIVES_MS * 2
    box.intake.take_over_what_was_left()
    assert (state_of(box, spare), state_of(box, growing)) == (None, CallState.ISSUED)
    end_writing(growing, writer, pages)
    box.intake.finish(growing)
    assert state_of(box, growing) is CallState.KEPT
    assert house.hands.wall_ms > EARLIEST_MS


def test_a_recording_is_durable_before_it_counts_whoever_wrote_it(box: Box, synced: list[Path]) -> None:
    # Its writer may have been killed between its last write and its sync.
    call = written_call(box)
    synced.clear()
    box.intake.finish(call)
    growing = box.folder.growing_path(call)
    finished = box.folder.finished_path(call)
    assert synced[:3] == [finished.with_name(f"{call}.tmp"), finished.parent, growing.parent]


def test_a_recovery_that_was_killed_before_its_name_was_durable_counts_only_afterwards(
    box: Box, synced: list[Path]
) -> None:
    call = written_call(box)
    adopt(box, call)
    synced.clear()
    box.intake.finish(call)
    assert synced[:2] == [box.folder.finished_path(call), box.folder.finished_path(call).parent]


def card_of(box: Box, call: CallId) -> tuple[str, str]:
    row = box.catalogue.find(call)
    assert row is not None
    return row.direction, box.playback._card_of(row).number


def test_who_called_is_shown_and_found_and_lies_nowhere_in_clear(house: BoxHouse, box: Box) -> None:
    number = "03055504471"
    call, writer, pages = begin_writing(box)
    box.intake.note_party(call, "in", number)
    held = b"".join(path.read_bytes() for path in (house.folder / "state").glob("catalogue.sqlite*"))
    assert number.encode() not in held
    end_writing(call, writer, pages)
    box.intake.finish(call)
    assert card_of(box, call) == ("in", number)
    for sought in (number, "4471"):
        assert [row.call_id for row in box.catalogue.page(limit=5, tokens=box.call_keys.tokens_sought(sought))] == [
            call
        ]
    held = b"".join(path.read_bytes() for path in (house.folder / "state").glob("catalogue.sqlite*"))
    assert number.encode() not in held


def test_who_called_survives_a_cut_and_a_later_word_counts(box: Box) -> None:
    call, writer, _pages = begin_writing(box, seconds=4)
    box.intake.note_party(call, "out", "110")
    box.intake.note_party(call, "in", "03055504471")
    writer.abandon()
    box.intake.take_over_what_was_left()
    assert card_of(box, call) == ("in", "03055504471")


def test_a_recovered_recording_says_itself_with_whom_the_call_was(box: Box) -> None:
    call, writer, _pages = begin_writing(box, seconds=4)
    box.intake.note_party(call, "in", "03055504471")
    writer.abandon()
    box.intake.take_over_what_was_left()
    with RecordingReader(box.folder.finished_path(call), call=call, key=box.call_keys.key_of(call)) as reader:
        assert (reader.closing.direction, reader.closing.number) == (Direction.IN, "03055504471")
        assert reader.opening.consent is not None


def test_what_the_recording_says_of_the_other_side_counts_more_than_what_was_noted(box: Box) -> None:
    for direction, number in ((Direction.OUT, "112"), (Direction.IN, "")):
        call, writer, pages = begin_writing(box)
        box.intake.note_party(call, "in", "110")
        end_writing(call, writer, pages, direction=direction, number=number)
        box.intake.finish(call)
        assert card_of(box, call) == (direction, number)


def test_what_was_noted_counts_where_the_recording_is_of_format_1(box: Box) -> None:
    call, writer, pages = begin_writing(box, record_format=1)
    box.intake.note_party(call, "out", "110")
    end_writing(call, writer, pages)
    box.intake.finish(call)
    assert card_of(box, call) == ("out", "110")
    opened = box.playback.open_call(OWNER, call)
    assert (opened.consent_by, opened.consent_at_ms, opened.ground) == ("", 0, "Consent.")


def test_a_recording_of_format_1_that_was_cut_off_is_taken_over_with_whom_the_call_was(box: Box) -> None:
    call, writer, _pages = begin_writing(box, seconds=4, record_format=1)
    box.intake.note_party(call, "in", "03055504471")
    writer.abandon()
    box.intake.take_over_what_was_left()
    assert card_of(box, call) == ("in", "03055504471")
    with RecordingReader(box.folder.finished_path(call), call=call, key=box.call_keys.key_of(call)) as reader:
        assert (reader.opening.format, reader.closing.number) == (1, "")


def test_a_recording_of_two_sides_that_was_cut_off_is_taken_over_with_both(box: Box) -> None:
    call, writer, _pages = begin_writing(box, seconds=4, channels=2)
    writer.abandon()
    box.intake.take_over_what_was_left()
    opened = box.playback.open_call(OWNER, call)
    assert opened.channels == 2
    with RecordingReader(box.folder.finished_path(call), call=call, key=box.call_keys.key_of(call)) as reader:
        reader.verify()
        audio = OpusDecoder().feed(reader.read_audio(0, reader.audio_bytes))
    assert audio.shape == (opened.frames, 2)
    assert opened.frames > 2 * RATE_HZ


def test_the_page_of_a_call_has_its_consent_and_ground(box: Box) -> None:
    opened = box.playback.open_call(OWNER, kept_call(box))
    began_ms = opened.facts.started_at_ms
    assert (opened.consent_by, opened.consent_at_ms) == ("key", began_ms + CONSENT_AFTER_MS)
    assert opened.ground == "Consent."


def test_nobody_is_noted_for_a_call_that_does_not_run(box: Box) -> None:
    kept = kept_call(box)
    issued, _key = box.intake.issue(LINE)
    for call in (kept, issued, CallId("ab" * 16)):
        box.intake.note_party(call, "in", "110")
    assert card_of(box, kept) == ("unknown", "")
    row = box.catalogue.find(issued)
    assert row is not None
    assert (row.direction, row.card) == ("unknown", None)


def outcome_of(box: Box, call: CallId) -> tuple[Outcome, str]:
    (counted,) = (each for each in box.day_book.calls_of(LINE, day_of(box.clock.now_ms())) if each.call_id == call)
    return counted.outcome, counted.why


@pytest.mark.parametrize("gap", [(0, 0, "overrun"), (0, 8, ""), (0, 8, "over\nrun")])
def test_a_gap_that_no_recording_can_tell_of_is_refused(box: Box, gap: tuple[int, int, str]) -> None:
    call, writer, _pages = begin_writing(box, seconds=5)
    with pytest.raises(NotAllowed):
        box.intake.note_gap(call, *gap)
    writer.abandon()
    box.intake.take_over_what_was_left()
    assert box.catalogue.find(call).state is CallState.KEPT  # type: ignore[union-attr]


def test_a_recording_that_cannot_be_taken_over_goes_when_its_time_is_over(house: BoxHouse, box: Box) -> None:
    """Nobody can hear it, and so nobody would miss its end: but its key is there."""
    assert box.watch.trouble() is None
    call, writer, _pages = begin_writing(box, seconds=5)
    writer.abandon()
    path = box.folder.growing_path(call)
    damaged = bytearray(path.read_bytes())
    damaged[100] ^= 1
    path.write_bytes(damaged)
    box.intake.take_over_what_was_left()
    assert box.catalogue.find(call).state is CallState.RUNNING  # type: ignore[union-attr]
    house.hands.pass_s(29 * 86_400)
    box.intake.take_over_what_was_left()
    box.retention.run()
    assert path.read_bytes() == damaged
    house.hands.pass_s(86_400 + 1)
    box.retention.run()
    assert box.catalogue.was_forgotten(call)
    assert not path.exists()


def test_a_recording_that_could_be_taken_over_later_keeps_its_own_date(
    house: BoxHouse, box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert box.watch.trouble() is None
    call = written_call(box)

    def full(*_arguments: object, **_named: object) -> None:
        raise StorageTrouble("The disk is full.")

    monkeypatch.setattr(RecordingsFolder, "adopt", full)
    box.intake.take_over_what_was_left()
    monkeypatch.undo()
    assert box.catalogue.find(call).due_at_ms is not None  # type: ignore[union-attr]
    house.hands.pass_s(3600)
    box.intake.take_over_what_was_left()
    row = box.catalogue.find(call)
    assert row is not None
    assert (row.state, row.due_at_ms) == (CallState.KEPT, box.clock.now_ms() - 3_600_000 + 1000 + 30 * 86_400_000)


def test_a_running_call_is_forgotten_with_receipt_and_keeps_its_number_in_the_day(box: Box) -> None:
    call, writer, _pages = begin_writing(box, seconds=4)
    box.intake.note_party(call, "in", "03055504471")
    writer.discard()
    before = len(acts_of(box))
    box.intake.drop(call, NotKept.FORGOTTEN)
    box.intake.drop(call, NotKept.FORGOTTEN)  # told twice
    box.intake.finish(call)
    box.intake.take_over_what_was_left()
    assert acts_of(box)[before:] == ["call:not_kept", "calls:condemned", "ring:moved", "calls:forgotten"]
    assert not box.folder.growing_path(call).exists()
    with pytest.raises(KeyForgotten):
        box.call_keys.key_of(call)
    assert outcome_of(box, call) == (Outcome.NOT_KEPT, "forgotten")
    ((erasure, is_signed),) = box.erasures.page(limit=1)
    assert (erasure.why, is_signed) == ("dropped", True)
    assert receipt_of(box, erasure.erasure_id).facts["calls"] == [call]


def test_a_call_whose_beginning_was_never_told_is_forgotten_too(box: Box) -> None:
    call, _key = box.intake.issue(LINE)
    box.intake.drop(call, NotKept.DOUBT)
    assert box.catalogue.was_forgotten(call)
    assert outcome_of(box, call) == (Outcome.NOT_KEPT, "doubt")


def test_a_call_that_was_let_go_of_is_not_taken_over_when_the_word_is_lost(box: Box) -> None:
    call, writer, _pages = begin_writing(box, seconds=4)
    writer.sync()
    writer.discard()
    box.intake.take_over_what_was_left()  # as after a power cut, before the recorder could tell
    assert box.catalogue.was_forgotten(call)
    assert outcome_of(box, call) == (Outcome.NOT_KEPT, "nothing_recorded")
    box.intake.drop(call, NotKept.FORGOTTEN)


def test_what_is_kept_cannot_be_dropped_by_a_recorder(box: Box) -> None:
    kept, fact = kept_call(box), unrecorded_call(box)
    before = acts_of(box)
    for call in (kept, fact, CallId("ab" * 16)):
        with pytest.raises(NotAllowed):
            box.intake.drop(call, NotKept.FORGOTTEN)
    assert acts_of(box) == before
    assert box.call_keys.can_open(kept)


def test_a_call_whose_dropping_was_cut_is_forgotten_when_told_again(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    class Cut(BaseException):
        pass

    def cut(*_arguments: object) -> None:
        raise Cut

    call, writer, _pages = begin_writing(box, seconds=4)
    writer.discard()
    monkeypatch.setattr(box.erasure, "finish_condemned", cut)
    with pytest.raises(Cut):
        box.intake.drop(call, NotKept.FORGOTTEN)
    monkeypatch.undo()
    assert state_of(box, call) is CallState.CONDEMNED
    box.intake.drop(call, NotKept.FORGOTTEN)
    assert box.catalogue.was_forgotten(call)
