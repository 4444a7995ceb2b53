"""`linekeep backup`, `restore` and `check` as a person types them, over a demonstration's state directory."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from appliance import cli
from appliance.commands.state import opened_box, settings_of
from tests.vault.backup.backup_house import plays
from tests.vault.box_house import kept_call


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = cli.main(arguments)
    told = capsys.readouterr()
    return code, told.out, told.err


@pytest.fixture
def state(tmp_path: Path) -> Path:
    state = tmp_path / "state"
    state.mkdir()
    (tmp_path / "stick").mkdir()
    settings = f'state_dir = "{state}"\nrun_dir = "/run/nobody"\n[vault]\ntpm = "software"\n'
    (state / "linekeep.toml").write_text(settings)
    return state


def test_a_person_backs_up_loses_the_catalogue_and_restores(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stick = str(state.parent / "stick")
    with opened_box(settings_of(state)) as box:
        call, gone = kept_call(box), kept_call(box)
    code, out, _err = run(capsys, "backup", "--state", str(state), "--to", stick)
    assert (code, out) == (0, "The backup is made. Recordings in it: 2.\n")
    with opened_box(settings_of(state)) as box:
        box.erasure.erase([gone], by="test", why="asked")
    for path in state.glob("catalogue.sqlite*"):
        path.unlink()
    code, out, _err = run(capsys, "restore", "--from", stick, "--state", str(state))
    assert code == 0
    assert "Calls: 1. Forgotten since then, left out, and forgotten for good: 1." in out
    assert out.endswith("The ring of keys opens with this TPM. Run `linekeep check` now.\n")
    code, out, _err = run(capsys, "check", "--state", str(state))
    assert code == 0
    assert out.startswith("Restored on ")
    assert out.count("\n") == 1
    with opened_box(settings_of(state)) as box:
        assert plays(box, call)


def test_on_another_machine_the_person_is_told_what_is_next(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stick, elsewhere = str(state.parent / "stick"), state.parent / "elsewhere"
    with opened_box(settings_of(state)) as box:
        kept_call(box)
    assert run(capsys, "backup", "--state", str(state), "--to", stick)[0] == 0
    code, out, _err = run(capsys, "restore", "--from", stick, "--state", str(elsewhere))
    assert code == 0
    assert "Recordings brought back: 1." in out
    assert "The ring of keys does not open with this TPM." in out
    assert out.endswith(f"Next: `linekeep recover --state {elsewhere}` with the words of the recovery key.\n")


def test_troubles_are_one_sentence(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, said in (
        (("backup", "--state", str(state)), "name no directory for the backup"),
        (("backup", "--state", str(state), "--to", "/does/not/exist"), "There is no directory"),
        (("restore", "--from", str(state.parent / "stick"), "--state", str(state)), "There is no backup"),
    ):
        code, out, err = run(capsys, *arguments)
        assert (code, out) == (2, "")
        assert said in err.splitlines()[-1]
        assert err.splitlines()[-1].startswith("linekeep: ")
        assert "Traceback" not in err


def test_a_box_whose_directory_was_wiped_but_for_its_tpm_comes_back_whole(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stick = str(state.parent / "stick")
    with opened_box(settings_of(state)) as box:
        call = kept_call(box)
    assert run(capsys, "backup", "--state", str(state), "--to", stick)[0] == 0
    for path in state.iterdir():
        if path.name != "tpm":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    code, out, _err = run(capsys, "restore", "--from", stick, "--state", str(state))
    assert code == 0, out
    assert "The ring of keys opens with this TPM." in out
    with opened_box(settings_of(state)) as box:
        assert plays(box, call)
