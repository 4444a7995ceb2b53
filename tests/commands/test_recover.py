"""`linekeep recover` as a person types it: on a new board after a restore, and as a drill."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pytest

from appliance import cli
from appliance.commands.state import opened_box, settings_of
from appliance.terms import CallId
from tests.vault.backup.backup_house import back_up, plays
from tests.vault.box_house import kept_call
from tests.vault.recovery.paper import written_down

Paper = tuple[Path, tuple[str, ...], CallId]


@pytest.fixture
def paper(tmp_path: Path) -> Paper:
    """A state directory of a box with a backup and a recovery key 2 of 3; the box is off."""
    state, stick = tmp_path / "state", tmp_path / "stick"
    state.mkdir()
    stick.mkdir()
    settings = f'state_dir = "{state}"\nrun_dir = "/run/nobody"\n[vault]\ntpm = "software"\nbackup = "{stick}"\n'
    (state / "linekeep.toml").write_text(settings)
    with opened_box(settings_of(state)) as box:
        box.sign_journal_head()
        sheets, call = written_down(box, needed=2, sheets=3), kept_call(box)
        back_up(box)
    return state, sheets, call


class Desk:
    """Types lines, reads what is said."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capsys = capsys
        self._monkeypatch = monkeypatch

    def run(self, *arguments: str | Path, typed: tuple[str, ...] = ()) -> tuple[int, str]:
        self._monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(typed)))
        code = cli.main([str(one) for one in arguments])
        told = self._capsys.readouterr()
        return code, told.out + told.err


@pytest.fixture
def desk(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(capsys, monkeypatch)


def test_a_person_restores_on_a_new_board_and_types_two_of_three_sheets(paper: Paper, desk: Desk) -> None:
    state, sheets, call = paper
    elsewhere = state.parent / "elsewhere"
    assert "linekeep recover" in desk.run("restore", "--from", state.parent / "stick", "--state", elsewhere)[1]
    code, said = desk.run("recover", "--state", elsewhere, typed=(sheets[2], sheets[0]))
    assert code == 0, said
    assert "Calls that open: 1 of 1." in said
    code, said = desk.run("check", "--state", elsewhere)
    assert code == 0, said
    with opened_box(settings_of(elsewhere)) as box:
        assert plays(box, call)


def test_too_few_sheets_and_a_wrong_word_are_said_and_change_nothing(paper: Paper, desk: Desk) -> None:
    state, sheets, _call = paper
    shutil.rmtree(state / "tpm")  # the board
    code, said = desk.run("recover", "--state", state, typed=sheets[:1])
    assert code != 0
    assert "1 more must be typed" in said
    code, said = desk.run("recover", "--state", state, typed=(sheets[0], "linekeep " + sheets[1]))
    assert "Word 1 of sheet 2" in said
    code, said = desk.run("recover", "--state", state, typed=sheets[:2])
    assert code == 0, said


def test_where_the_ring_opens_nothing_is_done(paper: Paper, desk: Desk) -> None:
    state, sheets, _call = paper
    code, said = desk.run("recover", "--state", state, typed=sheets)
    assert code != 0
    assert "nothing needs recovering" in said


def test_a_copy_that_is_older_than_the_calls_is_not_taken_unasked(paper: Paper, desk: Desk) -> None:
    state, sheets, call = paper
    old = (state / "ring" / "ring.recovery").read_bytes()
    with opened_box(settings_of(state)) as box:
        box.erasure.erase([kept_call(box)], by="test", why="asked")  # wraps the other call again
    (state / "ring" / "ring.recovery").write_bytes(old)
    (state / "ring" / "wraps").unlink()
    shutil.rmtree(state / "tpm")
    code, said = desk.run("recover", "--state", state, typed=sheets)
    assert code != 0
    assert "has keys for 0 of 1 calls: it is older" in said
    code, said = desk.run("recover", "--state", state, "--go-without", typed=sheets)
    assert code == 0
    assert "Calls that open: 0 of 1." in said
    with opened_box(settings_of(state)) as box:
        assert not plays(box, call)
        assert plays(box, kept_call(box))


def test_a_drill_opens_the_audio_and_says_how_many_calls_would_open(paper: Paper, desk: Desk) -> None:
    state, sheets, call = paper
    for directory in (state, state.parent / "stick"):
        audio = state.parent / f"{directory.name}.ogg"
        code, said = desk.run("recover", "--drill", "--state", directory, "--to", audio, typed=sheets)
        assert code == 0, said
        assert f"The words open call {call}" in said
        assert "keys for 1 of 1 calls" in said
        assert audio.read_bytes().startswith(b"OggS")
        assert audio.stat().st_mode & 0o077 == 0
