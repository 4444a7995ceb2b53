"""A drill opens a recording with words alone: beside a running box, and from a backup; it touches nothing."""

from __future__ import annotations

import io
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from appliance.terms import CallId, DamagedRecording, KeyForgotten, StorageTrouble
from appliance.vault.box import Box
from appliance.vault.recovery.copy import open_copy
from appliance.vault.recovery.drill import Drilled, count_opening, drill, ground_in
from appliance.vault.recovery.recovering import copy_in
from appliance.vault.recovery.words import key_of
from tests.vault.backup.backup_house import back_up
from tests.vault.box_house import LINE, BoxHouse, contents_of, kept_call, unrecorded_call
from tests.vault.recovery.paper import written_down


def drilled(directory: Path, sheets: tuple[str, ...], call: CallId | None = None) -> tuple[Drilled, bytes]:
    ground, audio = ground_in(directory), io.BytesIO()
    contents = open_copy(copy_in(ground.ring), key_of(sheets))
    return drill(ground, contents, call, audio), audio.getvalue()


def audio_of(box: Box, call: CallId) -> bytes:
    with box.playback._borrowed(call) as reader:
        return reader.read_audio(0, reader.audio_bytes)


def test_the_newest_call_or_a_chosen_one_opens_beside_a_running_box(house: BoxHouse) -> None:
    with house.opened() as box:
        sheets, older = written_down(box, needed=2, sheets=2), kept_call(box)
        house.hands.pass_s(60)
        newest = kept_call(box, seconds=3)
        house.hands.pass_s(60)
        unrecorded_call(box)
        before = contents_of(box.settings.state / "ring")
        found, audio = drilled(box.settings.state, sheets)
        assert (found.call, found.line, round(found.seconds)) == (newest, LINE, 3)
        assert audio == audio_of(box, newest)
        assert drilled(box.settings.state, sheets, older)[0].call == older
        assert contents_of(box.settings.state / "ring") == before
        assert count_opening(ground_in(box.settings.state), box.ring.contents) == (3, 3)


def test_a_catalogue_from_before_there_were_calls_without_a_recording_will_do(house: BoxHouse) -> None:
    with house.opened() as box:
        sheets, call = written_down(box), kept_call(box)
        state = box.settings.state
    with closing(sqlite3.connect(state / "catalogue.sqlite")) as raw, raw:
        raw.execute("DROP INDEX calls_unrecorded")
        raw.execute("ALTER TABLE calls DROP COLUMN not_kept")
    assert drilled(state, sheets)[0].call == call


def test_a_backup_will_do(house: BoxHouse, tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    stick.mkdir()
    plain = house.settings()
    settings = msgspec.structs.replace(plain, vault=msgspec.structs.replace(plain.vault, backup=str(stick)))
    with house.opened(settings) as box:
        sheets, call, gone = written_down(box), kept_call(box), kept_call(box)
        back_up(box)
        box.erasure.erase([gone], by="test", why="asked")
        box.backup.keep_in_step()
    before = contents_of(stick)
    assert drilled(stick, sheets)[0].call == call  # its wrapped key is in `wraps` only
    assert contents_of(stick) == before


def test_what_cannot_be_opened_is_said(house: BoxHouse) -> None:
    with house.opened() as box:
        sheets = written_down(box)
        with pytest.raises(StorageTrouble, match="no recording to try it on"):
            drilled(box.settings.state, sheets)
        call, gone = kept_call(box), kept_call(box)
        box.erasure.erase([gone], by="test", why="asked")
        with pytest.raises(KeyForgotten, match=f"no key for call {gone}"):
            drilled(box.settings.state, sheets, gone)
        path = box.folder.finished_path(call)
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        with pytest.raises(DamagedRecording):
            drilled(box.settings.state, sheets, call)
