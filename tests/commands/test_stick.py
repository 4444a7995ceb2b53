"""`linekeep stick`: settings from a FAT file system and SETUP.TXT onto it. The FAT is real; no vault runs."""

from __future__ import annotations

import random
import subprocess
import threading
import tomllib
from contextlib import suppress
from pathlib import Path

import pytest

from appliance import cli
from appliance.commands import stick
from appliance.commands.stick import Stick, own_addresses, own_cards, setup_text, take_over
from appliance.terms import LinekeepError

_LINE = '\n[[recorder.devices]]\nalsa = "hw:1"\n[[recorder.lines]]\nname = "front-desk"\nalsa = "hw:1"\n'


class Box:
    """A box's settings, and a stick in it."""

    def __init__(self, folder: Path) -> None:
        self.settings = folder / "linekeep.toml"
        self.as_it_came = folder / "as-it-came.toml"
        self.stick = folder / "stick.img"
        self.came = f'state_dir = "{folder}/state"\nrun_dir = "{folder}/run"\n[vault]\ntpm = "{folder}/no-tpm"\n'
        self.settings.write_text(self.came)
        self.as_it_came.write_text(self.came)
        subprocess.run(["mformat", "-C", "-i", self.stick, "-T", "4096", "::"], check=True)

    def put(self, name: str, content: str) -> None:
        subprocess.run(["mcopy", "-o", "-i", self.stick, "-", f"::{name}"], input=content.encode(), check=True)

    def take(self, name: str) -> str:
        command: list[str | Path] = ["mcopy", "-i", self.stick, f"::{name}", "-"]
        return subprocess.run(command, check=True, capture_output=True).stdout.decode()

    def plug_in(self) -> int:
        arguments = ["stick", self.stick, "--settings", self.settings, "--as-it-came", self.as_it_came]
        return cli.main([str(argument) for argument in arguments])


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Box:
    monkeypatch.setattr(stick, "_LEASE_COMES_WITHIN_S", 0)  # this machine's network is not asked for an address
    return Box(tmp_path)


def test_a_box_without_a_tpm_says_so_on_the_stick_and_leaves_settings_to_fill_in(box: Box) -> None:
    assert box.plug_in() == 2
    assert "This box shows no TPM" in box.take("SETUP.TXT")
    assert box.take("LINEKEEP.TOML") == box.came


def test_settings_on_the_stick_become_the_box_s_and_those_before_are_kept(box: Box) -> None:
    box.settings.chmod(0o640)
    box.put("linekeep.toml", box.came + _LINE)
    box.plug_in()
    assert box.settings.read_text() == box.came + _LINE
    assert box.settings.stat().st_mode & 0o777 == 0o640
    assert box.settings.with_name("before.toml").read_text() == box.came
    assert "are the box's now" in box.take("SETUP.TXT")
    # The second time there is nothing new, and the ones before stay.
    box.plug_in()
    assert "are the box's now" not in box.take("SETUP.TXT")
    assert box.settings.with_name("before.toml").read_text() == box.came


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda came: came + 'keeep = "1d"\n', "unknown field `keeep`"),
        (lambda came: came.replace("/state", "/elsewhere"), "On a box state_dir is"),
        (lambda came: came + 'recorder_user = "root"\n', "On a box vault.recorder_user is"),
        (lambda came: came + "pcrs = [23]\n", "On a box vault.pcrs is"),
        (lambda came: came + 'update_key = "/etc/linekeep/announcement.wav"\n', "On a box vault.update_key is"),
        (lambda came: came + '[webui]\ntimezone = "Nowhere/Town"\n', "no time zone"),
        (lambda came: came + _LINE + 'announcement = "/etc/linekeep/none.wav"\n', "is not there"),
        (lambda came: came + _LINE.replace("hw:1", "tee:hw:1,'|reboot',raw"), "the name of a sound device"),
        (lambda came: "\x00" + came, "not valid TOML"),
        (lambda came: came + "#" * 65_536, "longer than 64 KiB"),
    ],
    ids=[
        "unknown",
        "another folder",
        "another user",
        "other registers",
        "another's update key",
        "no time zone",
        "no announcement",
        "a command",
        "no TOML",
        "too long",
    ],
)
def test_unfit_settings_change_nothing_and_setup_txt_says_why(box: Box, change, sentence: str) -> None:  # type: ignore[no-untyped-def]
    box.put("linekeep.toml", change(box.came))
    assert box.plug_in() == 2
    assert box.settings.read_text() == box.came
    assert sentence in box.take("SETUP.TXT")
    assert sorted(path.name for path in box.settings.parent.glob("*.toml")) == ["as-it-came.toml", "linekeep.toml"]


def test_an_announcement_that_comes_with_unfit_settings_is_not_taken_either(box: Box) -> None:
    box.put("announcement.wav", "-----BEGIN PUBLIC KEY-----")
    box.put("linekeep.toml", box.came + 'update_key = "/etc/linekeep/announcement.wav"\n')
    assert box.plug_in() == 2
    assert not box.settings.with_name("announcement.wav").exists()


class _Brings(Stick):
    """A stick with these settings, read at once, so that many of them come at the same moment."""

    def __init__(self, settings: str) -> None:
        self._settings = settings.encode()

    def read(self, name: str) -> bytes | None:
        return self._settings if name == "linekeep.toml" else None


def test_of_two_sticks_at_once_each_is_taken_over_as_it_was_checked(box: Box) -> None:
    """Two partitions of one stick are two sticks: the fit one must not pass for the other."""
    fit, unfit = _Brings(box.came + _LINE), _Brings(box.came + "pcrs = [23]\n")
    over = threading.Event()

    def come_and_go() -> None:
        while not over.is_set():
            with suppress(LinekeepError):
                take_over(fit, box.settings)

    other = threading.Thread(target=come_and_go)
    other.start()
    try:
        for _ in range(40):
            with pytest.raises(LinekeepError):
                take_over(unfit, box.settings)
            assert "pcrs" not in box.settings.read_text()
    finally:
        over.set()
        other.join()


def test_a_box_that_cannot_write_its_settings_says_so_on_the_stick(box: Box) -> None:
    box.put("linekeep.toml", box.came + _LINE)
    box.settings.with_name("before.toml.new").mkdir()
    assert box.plug_in() == 2
    assert "The disk refuses while the settings are written" in box.take("SETUP.TXT")
    assert box.settings.read_text() == box.came


def test_an_owner_s_settings_do_not_leave_the_box(box: Box) -> None:
    box.settings.write_text(box.came + _LINE)
    box.plug_in()
    listed = subprocess.run(["mdir", "-b", "-i", box.stick, "::"], check=True, capture_output=True, text=True).stdout
    assert listed.split() == ["::/SETUP.TXT"]


def test_garbage_in_the_place_of_a_file_system_is_one_sentence(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    chance = random.Random(5)
    whole = bytearray(box.stick.read_bytes())
    for attempt in range(20):
        damaged = bytearray(whole)
        for _ in range(40):
            damaged[chance.randrange(2048)] = chance.randrange(256)
        box.stick.write_bytes(damaged if attempt else chance.randbytes(1 << 20))
        assert box.plug_in() == 2
        assert box.settings.read_text() == box.came
        error = capsys.readouterr().err
        assert error == "" or (error.startswith("linekeep: The stick cannot be used") and error.count("\n") == 1)


def test_setup_txt_names_address_label_and_troubles_in_lines_for_windows() -> None:
    text = setup_text(
        taken=True,
        told=["Claim code:  ABCDE-FGHIJ"],
        addresses=["192.0.2.7"],
        cards=['usb = "1-1.2"    # USB Audio Device'],
        troubles=["Look here."],
    )
    assert "Claim code:  ABCDE-FGHIJ\r\nIn the network it is 192.0.2.7.\r\n" in text
    assert 'may call them:\r\n  usb = "1-1.2"    # USB Audio Device\r\n' in text
    assert text.endswith("To be looked after:\r\n- Look here.\r\n")
    assert "\n" not in text.replace("\r\n", "")


def test_addresses_are_those_that_the_network_gave(tmp_path: Path) -> None:
    assert own_addresses(tmp_path / "no-networkd" / "leases") == []
    (tmp_path / "2").write_text("# This is private data. Do not parse.\nADDRESS=192.0.2.7\nNETMASK=255.255.255.0\n")
    (tmp_path / "3").write_text("ADDRESS=198.51.100.9\nSERVER_ADDRESS=198.51.100.1\n")
    assert own_addresses(tmp_path) == ["192.0.2.7", "198.51.100.9"]


def test_a_card_is_told_as_a_line_of_settings_whatever_it_calls_itself(tmp_path: Path) -> None:
    device = tmp_path / "devices/usb1/1-1.2"
    card = device / "1-1.2:1.0/sound/card1"
    card.mkdir(parents=True)
    (card / "id").write_text("Device\n")
    (card / "device").symlink_to(device / "1-1.2:1.0")
    (device / "product").write_text("USB Audio\r\nClaim code:  AAAAA-AAAAA\n")
    (tmp_path / "class/sound").mkdir(parents=True)
    (tmp_path / "class/sound/card1").symlink_to(card)
    (told,) = own_cards(tmp_path)
    assert "\n" not in told
    assert tomllib.loads(told) == {"usb": "1-1.2"}
