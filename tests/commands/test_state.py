"""Whose settings a command follows."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.commands import state as state_commands
from appliance.commands.state import settings_of
from appliance.terms import StorageTrouble


def written(file: Path, name: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f'state_dir = "/{name}"\nrun_dir = "/run/{name}"\n')
    return file


def test_a_box_s_settings_are_root_s_whatever_its_vault_puts_beside_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_commands, "BOX_STATE", tmp_path / "box")
    monkeypatch.setattr(state_commands, "BOX_SETTINGS", written(tmp_path / "etc/linekeep.toml", "roots"))
    written(tmp_path / "box/linekeep.toml", "planted")
    written(tmp_path / "demo/linekeep.toml", "demo")
    assert settings_of(tmp_path / "box").run_dir == "/run/roots"
    assert settings_of(tmp_path / "demo").run_dir == "/run/demo"
    with pytest.raises(StorageTrouble, match="no state directory"):
        settings_of(tmp_path)
