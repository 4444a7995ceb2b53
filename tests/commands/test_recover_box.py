"""Who opens a box with the words on a stick: the disk is a LUKS2 file, the TPM and the ring are real.

What needs the image (systemd, a disk that is mounted) is in tests/image/test_recovery.py.
"""

from __future__ import annotations

import os
import pwd
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from appliance.boundary.root_helper import HelperAnswer, RecoverBox, RestartBox, TryRecovery
from appliance.commands import recover_box
from appliance.commands.luks import LuksPartition
from appliance.commands.state import opened_box, settings_of
from appliance.terms import KeyTrouble, StorageTrouble
from appliance.vault.recovery.words import RecoveryKey, key_of, sheets_of
from tests.simulators.luks_file import LuksFile
from tests.simulators.software_tpm import SoftwareTpm
from tests.vault.box_house import contents_of, kept_call
from tests.vault.recovery.paper import written_down

KEY = RecoveryKey(bytes(range(32)))
OWN, OTHERS = (sheets_of(key, needed=1, sheets=1) for key in (KEY, RecoveryKey(bytes(32))))


@pytest.fixture
def luks(tmp_path: Path) -> LuksFile:
    """Opened by a former TPM and KEY."""
    luks = LuksFile(tmp_path)
    luks.partition().put(KEY.public.hex(), KEY.disk_passphrase)
    return luks


@pytest.fixture
def new_tpm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SoftwareTpm]:
    if shutil.which("systemd-cryptenroll") is None:
        pytest.skip("systemd-cryptenroll is not installed")
    with TemporaryDirectory(prefix="lk-") as run_dir, SoftwareTpm(tmp_path / "new-tpm", Path(run_dir)) as tpm:
        monkeypatch.setenv("SYSTEMD_TPM2_DEVICE", tpm.tcti)
        yield tpm


def ask(luks: LuksFile, request: RecoverBox | TryRecovery) -> HelperAnswer:
    """As the helper does. cryptsetup finds a TPM in /dev only, so the check after sealing is by the words."""
    words = luks.path.with_name("words")
    words.write_text(key_of(request.sheets).disk_passphrase)
    partition = LuksPartition(luks.path, ("--key-file", str(words)))
    return recover_box._Helper(partition, luks.path.with_name("opened")).handle(request)


@pytest.fixture
def shut(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(recover_box, "BOX_STATE", tmp_path / "not-mounted")


@pytest.mark.usefixtures("shut")
def test_a_disk_that_is_shut_is_sealed_to_the_tpm_that_is_there_and_the_box_starts_again(
    luks: LuksFile, new_tpm: SoftwareTpm
) -> None:
    assert ask(luks, RecoverBox(sheets=OWN)) == HelperAnswer(restart=True)
    assert not luks.opens_with_tpm()  # the former
    assert luks.tpm_slots() == luks.slots() - {1}
    assert luks.opens_with(KEY.disk_passphrase)


@pytest.mark.usefixtures("shut")
def test_words_of_another_box_leave_a_shut_disk_as_it_is(luks: LuksFile, new_tpm: SoftwareTpm) -> None:
    before = luks.header_bytes()
    with pytest.raises(KeyTrouble, match=r"in order, but they do not open the disk.*Nothing was changed\.$"):
        ask(luks, RecoverBox(sheets=OTHERS))
    assert luks.header_bytes() == before


@pytest.mark.usefixtures("shut")
@pytest.mark.parametrize("words", [OWN, OTHERS], ids=["its own words", "another's"])
def test_a_trial_on_a_shut_disk_changes_nothing(luks: LuksFile, new_tpm: SoftwareTpm, words: tuple[str, ...]) -> None:
    before = luks.header_bytes()
    with pytest.raises(StorageTrouble, match="The disk of this box is shut"):
        ask(luks, TryRecovery(sheets=words))
    assert luks.header_bytes() == before


@pytest.mark.usefixtures("shut")
def test_a_disk_that_is_open_and_not_mounted_is_left_alone_and_the_box_does_not_start_again(
    luks: LuksFile, new_tpm: SoftwareTpm
) -> None:
    luks.path.with_name("opened").touch()
    before = luks.header_bytes()
    with pytest.raises(StorageTrouble, match="opens by itself, but what is on it cannot be read"):
        ask(luks, RecoverBox(sheets=OWN))
    assert luks.header_bytes() == before


@pytest.fixture
def sheets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """Of a box whose disk is open, with one call."""
    state = tmp_path / "state"
    state.mkdir()
    (state / "linekeep.toml").write_text(
        f'state_dir = "{state}"\nrun_dir = "{tmp_path}/nobody"\n[vault]\ntpm = "software"\n'
    )
    with opened_box(settings_of(state)) as box:
        box.sign_journal_head()
        made = written_down(box)
        kept_call(box)
    monkeypatch.setattr(recover_box, "BOX_STATE", state)
    monkeypatch.setattr(recover_box, "_VAULT", pwd.getpwuid(os.geteuid()).pw_name)
    monkeypatch.setattr(os.path, "ismount", partial(_is, state))
    return made


def _is(open_disk: Path, path: Path) -> bool:
    return path == open_disk


class Systemctl:
    """In its place: notes how it is called."""

    def __init__(self, folder: Path) -> None:
        self._program, self._called = folder / "systemctl", folder / "called"
        self.does("exit 0")

    def does(self, then: str) -> None:
        self._program.write_text(f"#!/bin/sh\necho \"$@\" >> '{self._called}'\n{then}\n")
        self._program.chmod(0o755)

    def called(self) -> list[str]:
        return self._called.read_text().splitlines() if self._called.exists() else []


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Systemctl:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return Systemctl(folder)


def test_a_trial_opens_a_call_and_the_disk_and_changes_nothing(tmp_path: Path, sheets: tuple[str, ...]) -> None:
    luks, key, before = LuksFile(tmp_path), key_of(sheets), contents_of(tmp_path / "state")
    luks.partition().put(key.public.hex(), key.disk_passphrase)
    header = luks.header_bytes()
    answer = ask(luks, TryRecovery(sheets=sheets))
    assert answer.said[0].startswith("The words open call ")
    assert "keys for 1 of 1 calls" in answer.said[1]
    assert answer.said[-1] == "They open the disk too."
    assert not answer.restart
    assert luks.header_bytes() == header
    after = contents_of(tmp_path / "state")
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) <= {"catalogue.sqlite-wal", "catalogue.sqlite-shm"}  # of who only reads it


def test_a_trial_of_words_that_open_the_calls_and_not_the_disk_says_so(luks: LuksFile, sheets: tuple[str, ...]) -> None:
    with pytest.raises(KeyTrouble, match="they do not open the disk"):
        ask(luks, TryRecovery(sheets=sheets))


@pytest.mark.parametrize("verb", [RecoverBox, TryRecovery])
def test_words_of_another_box_change_nothing(
    luks: LuksFile,
    sheets: tuple[str, ...],
    verb: type[RecoverBox | TryRecovery],
    systemctl: Systemctl,
    tmp_path: Path,
) -> None:
    before = contents_of(tmp_path / "state")
    with pytest.raises(StorageTrouble, match=r"^These words are in order, but they are those of another box"):
        ask(luks, verb(sheets=OTHERS))
    after = contents_of(tmp_path / "state")
    assert {name: after[name] for name in before} == before


def test_a_vault_that_does_not_stop_is_not_pushed_aside(
    luks: LuksFile, sheets: tuple[str, ...], systemctl: Systemctl, tmp_path: Path
) -> None:
    before = contents_of(tmp_path / "state")
    systemctl.does("echo 'It will not.' >&2; exit 1")
    with pytest.raises(StorageTrouble, match=r"systemd does not stop .*: It will not\.$"):
        ask(luks, RecoverBox(sheets=sheets))
    assert [called.split()[0] for called in systemctl.called()] == ["stop"]
    assert contents_of(tmp_path / "state") == before


def test_a_box_that_opens_is_told_so(luks: LuksFile, sheets: tuple[str, ...], systemctl: Systemctl) -> None:
    answer = ask(luks, RecoverBox(sheets=sheets))
    assert answer.said == ("The ring of keys opens with this TPM. Nothing was changed: nothing needs recovering.",)


def test_a_ring_whose_tpm_is_gone_is_made_again_for_the_one_that_is_there(
    luks: LuksFile, sheets: tuple[str, ...], systemctl: Systemctl, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    for chip in state.glob("*tpm*"):
        chip.rename(tmp_path / chip.name)
    answer = ask(luks, RecoverBox(sheets=sheets))
    assert answer.said[0] == "The words fit. Every call is being wrapped again under fresh keys."
    assert answer.said[1].startswith("Calls that open: 1 of 1.")
    assert not answer.restart
    assert [called.split()[0] for called in systemctl.called()] == ["stop"]
    with opened_box(settings_of(state)) as box:
        assert box.recovery.choice() == "key"


def test_the_box_is_restarted_when_it_is_asked_to(luks: LuksFile, systemctl: Systemctl) -> None:
    helper = recover_box._Helper(luks.partition(), luks.path.with_name("opened"))
    assert helper.handle(RestartBox()).yes
    assert systemctl.called() == ["reboot"]
