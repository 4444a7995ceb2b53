"""Whose settings a command follows, to whom it leaves what it made, and when the software TPM is there for it."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest

from appliance.commands import software_tpm
from appliance.commands import state as state_commands
from appliance.commands.state import left_to_owner, settings_of
from appliance.settings import Settings
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


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files that it has to leave to another")
def test_what_root_made_is_left_to_the_owner_and_a_link_leads_root_nowhere_else(tmp_path: Path) -> None:
    owner, shared_group = 60_001, 60_002
    elsewhere, state = tmp_path / "elsewhere", tmp_path / "state"
    for folder in (elsewhere, state / "shared"):
        folder.mkdir(parents=True)
    (elsewhere / "shadow").write_text("root's")
    os.chown(state, owner, owner)
    os.chown(state / "shared", owner, shared_group)
    (state / "shared").chmod(0o2770)
    with left_to_owner(state):
        (state / "made/deep").mkdir(parents=True)
        (state / "made/deep/file").touch()
        (state / "shared/file").touch()
        # Root's own as well as the owner's: a file may give way to a link after it was looked at.
        for name, mine in (("root", 0), ("owner", owner)):
            for target in (elsewhere / "shadow", elsewhere, tmp_path / "nothing"):
                link = state / f"{name}-{target.name}"
                link.symlink_to(target)
                os.chown(link, mine, mine, follow_symlinks=False)
    assert {path.lstat().st_uid for path in (elsewhere, *elsewhere.iterdir())} == {0}
    left = {str(path.relative_to(state)): path.lstat() for path in state.rglob("*")}
    assert {name for name, found in left.items() if found.st_uid != owner} == set()
    assert {name for name, found in left.items() if found.st_gid != owner} == {"shared", "shared/file"}
    assert left["shared/file"].st_gid == shared_group


def test_a_software_tpm_is_ready_when_it_answers_and_not_when_it_can_be_reached(tmp_path: Path) -> None:
    """swtpm's control socket is there a moment before the one for the TPM's commands."""
    answers = iter((b"", b"\0\0\0\0"))
    answered = []

    def answer_the_second(control: socket.socket) -> None:
        for answer in answers:
            client, _address = control.accept()
            with client:
                client.recv(64)
                client.sendall(answer)
                answered.append(answer)

    settings = Settings(state_dir=str(tmp_path), run_dir=str(tmp_path))
    with socket.socket(socket.AF_UNIX) as control:
        control.bind(str(tmp_path / "tpm.ctrl"))
        control.listen(1)
        thread = threading.Thread(target=answer_the_second, args=(control,), daemon=True)
        thread.start()
        software_tpm.wait_until_ready(settings)
        thread.join(10)
    assert len(answered) == 2
