"""Listening: paced, journalled before the bytes, and over when the call is erased."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from appliance.boundary import verbs
from appliance.recordings.opus import OpusDecoder
from appliance.recordings.reader import RecordingReader
from appliance.terms import AccountId, CallId, LinekeepError, NotAllowed, StorageTrouble
from appliance.vault.accounts import Visitor
from appliance.vault.box import Box
from appliance.vault.playback import (
    LOOK_LASTS_S,
    OPEN_READERS,
    OPENING_LASTS_S,
    OPENINGS_A_MINUTE,
    NoSuchCall,
    Playback,
    StillRunning,
    TooManyOpenings,
)
from tests.vault.box_house import LINE, OWNER, acts_of, kept_call

LOGIN = "A" * 43
LISTEN, DOWNLOAD = verbs.Purpose.LISTEN, verbs.Purpose.DOWNLOAD


class Seconds:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.fixture
def playback(box: Box, seconds: Seconds) -> Iterator[Playback]:
    playback = Playback(
        catalogue=box.catalogue,
        call_keys=box.call_keys,
        folder=box.folder,
        journal=box.journal,
        clock=box.clock,
        watch=box.watch,
        steady_s=seconds,
    )
    box.erasure._let_go = playback.let_go
    yield playback
    playback.close()


@pytest.fixture(scope="module")
def call(box: Box) -> CallId:
    return kept_call(box, seconds=3)


def piece(call: CallId, offset: int = 0, length: int = 1000, purpose: verbs.Purpose = LISTEN) -> verbs.Read:
    return verbs.Read(login=LOGIN, call=call, offset=offset, length=length, purpose=purpose)


def open_files_in(folder: Path) -> int:
    inside = 0
    for number in Path("/proc/self/fd").iterdir():
        try:
            inside += str(number.readlink()).startswith(str(folder))
        except FileNotFoundError:
            continue  # the descriptor of this very listing
    return inside


def test_pieces_put_together_are_the_stream_that_was_recorded(playback: Playback, call: CallId) -> None:
    total = playback.read(OWNER, piece(call)).total_bytes
    stream = b"".join(playback.read(OWNER, piece(call, offset)).audio for offset in range(0, total, 1000))
    assert len(stream) == total
    assert OpusDecoder().feed(stream).size == 24_000
    assert playback.read(OWNER, piece(call, total)).audio == b""


def test_an_opening_is_journalled_once_for_each_purpose(
    box: Box, playback: Playback, seconds: Seconds, call: CallId
) -> None:
    before = len(acts_of(box))
    for purpose in (LISTEN, LISTEN, DOWNLOAD, DOWNLOAD, LISTEN):
        playback.read(OWNER, piece(call, purpose=purpose))
    assert acts_of(box)[before:] == ["call:opened", "call:downloaded"]
    seconds.now += OPENING_LASTS_S
    playback.read(OWNER, piece(call))
    assert acts_of(box)[before:] == ["call:opened", "call:downloaded", "call:opened"]


def test_without_a_journal_no_byte_goes_out(
    box: Box, playback: Playback, call: CallId, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fdatasync", full)
    for _ in range(2):
        with pytest.raises(StorageTrouble):
            playback.read(OWNER, piece(call))
    monkeypatch.undo()
    assert playback.read(OWNER, piece(call)).audio
    assert acts_of(box)[-1] == "call:opened"


def test_openings_are_paced_and_go_on_after_the_wait(
    box: Box, playback: Playback, seconds: Seconds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(playback, "must_be_recorded", lambda _call: None)
    monkeypatch.setattr(playback, "_take", lambda _call: (_ for _ in ()).throw(NoSuchCall))
    outcomes = []
    for number in range(OPENINGS_A_MINUTE + 1):
        try:
            playback.read(OWNER, piece(CallId(f"{number:032x}")))
        except LinekeepError as trouble:
            outcomes.append(trouble)
    assert [type(trouble) for trouble in outcomes] == [NoSuchCall] * OPENINGS_A_MINUTE + [TooManyOpenings]
    wait_s = outcomes[-1].facts["wait_s"]  # type: ignore[attr-defined]
    assert 60 <= wait_s <= 61
    seconds.now += wait_s
    with pytest.raises(NoSuchCall):
        playback.read(OWNER, piece(CallId("f" * 32)))


def test_an_opening_under_way_is_not_paced(playback: Playback, seconds: Seconds, call: CallId) -> None:
    playback.read(OWNER, piece(call))
    playback._opened_at_s[OWNER.account].extend([seconds.now] * OPENINGS_A_MINUTE)
    assert playback.read(OWNER, piece(call, 1000)).audio
    with pytest.raises(TooManyOpenings):
        playback.read(OWNER, piece(call, purpose=DOWNLOAD))


def test_what_is_not_there_running_or_not_allowed_is_refused_without_an_entry(
    box: Box, playback: Playback, call: CallId
) -> None:
    running, _key = box.intake.issue(LINE)
    before = acts_of(box)
    with pytest.raises(NoSuchCall):
        playback.read(OWNER, piece(CallId("0" * 32)))
    with pytest.raises(StillRunning):
        playback.read(OWNER, piece(running))
    guest = Visitor(account=AccountId("11" * 8), name="Guest", rights=frozenset())
    for act in (
        lambda: playback.read(guest, piece(call)),
        lambda: playback.open_call(guest, call),
        lambda: playback.page(guest, verbs.ListCalls(login=LOGIN)),
    ):
        with pytest.raises(NotAllowed):
            act()
    assert acts_of(box) == before


def test_an_erased_call_is_let_go_and_can_be_read_and_opened_no_more(box: Box, playback: Playback) -> None:
    call = kept_call(box, seconds=2)
    playback.read(OWNER, piece(call))
    assert open_files_in(box.folder.finished_path(call)) == 1
    box.erasure.erase([call], by="test", why="test")
    assert open_files_in(box.folder.finished_path(call)) == 0
    with pytest.raises(NoSuchCall):
        playback.read(OWNER, piece(call))
    with pytest.raises(NoSuchCall):
        playback.open_call(OWNER, call)


def test_a_reading_that_an_erasure_overtakes_ends_whole_and_then_the_file_is_closed(
    box: Box, playback: Playback, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = kept_call(box, seconds=2)
    expected = playback.read(OWNER, piece(call)).audio
    reading, erased = threading.Event(), threading.Event()
    real = RecordingReader.read_audio

    def slow(reader: RecordingReader, offset: int, length: int) -> bytes:
        reading.set()
        assert erased.wait(10)
        return real(reader, offset, length)

    monkeypatch.setattr(RecordingReader, "read_audio", slow)
    with ThreadPoolExecutor(1) as pool:
        listener = pool.submit(playback.read, OWNER, piece(call))
        assert reading.wait(10)
        box.erasure.erase([call], by="test", why="test")
        assert open_files_in(box.folder.finished_path(call)) == 1
        erased.set()
        assert listener.result(10).audio == expected
    assert open_files_in(box.folder.finished_path(call)) == 0


def test_readers_that_are_too_many_are_closed(box: Box, playback: Playback) -> None:
    calls = [kept_call(box, seconds=0.1) for _ in range(OPEN_READERS + 4)]
    for call in calls:
        playback.read(OWNER, piece(call))
    assert open_files_in(box.folder.finished_path(CallId(""))) == OPEN_READERS
    playback.close()
    assert open_files_in(box.folder.finished_path(CallId(""))) == 0


def test_a_damaged_card_hides_one_call_and_not_the_list(box: Box, playback: Playback, call: CallId) -> None:
    bad = kept_call(box)
    with box.store.transaction() as connection:
        connection.exec_driver_sql("UPDATE calls SET card=? WHERE call_id=?", (b"x" * 600, bad))
    listed = {facts.call for facts in playback.page(OWNER, verbs.ListCalls(login=LOGIN)).calls}
    assert call in listed
    assert bad not in listed
    box.erasure.erase([bad], by="test", why="test")


def test_another_calls_card_is_refused(box: Box, playback: Playback) -> None:
    one, two = kept_call(box), kept_call(box)
    row = box.catalogue.find(one)
    assert row is not None
    with box.store.transaction() as connection:
        connection.exec_driver_sql("UPDATE calls SET card=? WHERE call_id=?", (row.card, two))
    with pytest.raises(LinekeepError, match="not what was sealed"):
        playback.open_call(OWNER, two)
    box.erasure.erase([two], by="test", why="test")


def test_pages_follow_each_other_without_a_gap_or_a_double(box: Box, playback: Playback) -> None:
    request, seen = verbs.ListCalls(login=LOGIN, limit=3), list[CallId]()
    while True:
        page = playback.page(OWNER, request)
        seen += [facts.call for facts in page.calls]
        if not page.more:
            break
        last = page.calls[-1]
        request = msgspec.structs.replace(request, before_ms=last.started_at_ms, before_call=last.call)
    assert len(seen) == len(set(seen)) == box.catalogue.count_kept()


def test_a_look_at_list_or_call_is_journalled_once_an_hour_and_without_what_was_sought(
    box: Box, playback: Playback, seconds: Seconds, call: CallId
) -> None:
    before = len(acts_of(box))
    for _ in range(2):
        playback.page(OWNER, verbs.ListCalls(login="x" * 43))
        playback.page(OWNER, verbs.ListCalls(login="x" * 43, number="0301234567"))
        playback.open_call(OWNER, call)
    assert acts_of(box)[before:] == ["calls:listed", "calls:listed", "call:shown"]
    assert b"0301234567" not in box.journal_path.read_bytes()
    seconds.now += LOOK_LASTS_S
    playback.page(OWNER, verbs.ListCalls(login="x" * 43))
    assert acts_of(box)[before + 3 :] == ["calls:listed"]
