"""`linekeep forget-all`, over a demonstration's state directory and its software TPM."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from appliance import cli
from appliance.commands.state import opened_box, settings_of
from appliance.vault.ring import RingOld
from tests.vault.backup.backup_house import plays
from tests.vault.box_house import kept_call


@pytest.fixture
def state(tmp_path: Path) -> Path:
    state = tmp_path / "state"
    state.mkdir()
    settings = f'state_dir = "{state}"\nrun_dir = "/run/nobody"\n[vault]\ntpm = "software"\n'
    (state / "linekeep.toml").write_text(settings)
    return state


def lay_back(copy: Path, state: Path) -> None:
    """All that was ever on the disk, beside the living TPM."""
    for path in state.iterdir():
        if path.name != "tpm":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.copytree(copy, state, dirs_exist_ok=True, ignore=shutil.ignore_patterns("tpm"))


def test_after_it_every_byte_of_the_disk_and_the_tpm_open_no_call(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with opened_box(settings_of(state)) as box:
        call = kept_call(box)
    shutil.copytree(state, tmp_path / "bytes")
    lay_back(tmp_path / "bytes", state)
    with opened_box(settings_of(state)) as box:
        assert plays(box, call), "removing files alone would not have been enough"
    assert cli.main(["forget-all", "--state", str(state), "--for-good"]) == 0
    assert capsys.readouterr().out.startswith("The keys of all calls are forgotten")
    lay_back(tmp_path / "bytes", state)
    with pytest.raises(RingOld), opened_box(settings_of(state)):
        pass


def test_a_box_that_runs_and_a_slip_of_the_fingers_forget_nothing(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with opened_box(settings_of(state)) as box:
        call = kept_call(box)
        assert cli.main(["forget-all", "--state", str(state), "--for-good"]) == 2
        assert "is in use by another Linekeep" in capsys.readouterr().err
        with pytest.raises(SystemExit):
            cli.main(["forget-all", "--state", str(state)])
    with opened_box(settings_of(state)) as box:
        assert plays(box, call)
