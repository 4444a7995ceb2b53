"""Every nonsense in the settings file is one sentence that names the setting."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.settings import Settings, parse_period, read_settings
from appliance.terms import SettingsTrouble

BASE = 'state_dir = "/var/lib/linekeep"\nrun_dir = "/run/linekeep"\n'
DEVICE = '[[recorder.devices]]\nalsa = "hw:1"\nchannels = 2\n'
LINE = '[[recorder.lines]]\nname = "a"\nalsa = "hw:1"\nchannel = 0\n'


def read(tmp_path: Path, text: str) -> Settings:
    file = tmp_path / "linekeep.toml"
    file.write_text(text)
    return read_settings(file)


def test_the_least_that_must_be_said_gives_the_defaults(tmp_path: Path) -> None:
    settings = read(tmp_path, BASE)
    assert settings.vault.keep_s == 30 * 86_400
    assert settings.vault.pcrs == (7,)
    assert settings.vault_socket("webui") == Path("/run/linekeep/vault-webui.sock")


def test_two_lines_of_one_device_are_read(tmp_path: Path) -> None:
    lines = read(tmp_path, BASE + DEVICE + LINE + LINE.replace('"a"', '"b"').replace("channel = 0", "channel = 1"))
    assert [line.line for line in lines.recorder.lines] == ["a", "b"]


def test_a_line_names_a_card_by_its_usb_port(tmp_path: Path) -> None:
    text = BASE + (DEVICE + LINE).replace('alsa = "hw:1"', 'usb = "1-1.2"')
    (line,) = read(tmp_path, text).recorder.lines
    assert (line.usb, line.alsa, line.device) == ("1-1.2", "", "usb 1-1.2")


NONSENSE = {
    "no toml": ("state_dir = ", "not valid TOML"),
    "empty": ("", "state_dir"),
    "no run_dir": ('state_dir = "/x"\n', "run_dir"),
    "empty state_dir": ('state_dir = ""\nrun_dir = "/r"\n', "state_dir"),
    "run_dir too long": (f'state_dir = "/x"\nrun_dir = "/{"r" * 100}"\n', "run_dir"),
    "unknown setting": (BASE + "colour = 1\n", "colour"),
    "unknown section": (BASE + "[cloud]\n", "cloud"),
    "unknown in a section": (BASE + "[vault]\nkeeep = '3d'\n", "keeep"),
    "wrong type": (BASE + "[vault]\nkeep = 30\n", "keep"),
    "no period": (BASE + "[vault]\nkeep = 'for ever'\n", "for ever"),
    "no time at all": (BASE + "[vault]\nkeep = '0d'\n", "0d"),
    "period with a line end": (BASE + '[vault]\nkeep = "30d\\n"\n', "not a period"),
    "backup to nowhere in particular": (BASE + "[vault]\nbackup = 'stick'\n", "vault.backup"),
    "backup into the state": (BASE + "[vault]\nbackup = '/var/lib/linekeep/backup'\n", "apart from state_dir"),
    "backup around the state": (BASE + "[vault]\nbackup = '/var/lib'\n", "apart from state_dir"),
    "backup now and then": (BASE + "[vault]\nbackup_every = 'often'\n", "often"),
    "no registers": (BASE + "[vault]\npcrs = []\n", "pcrs"),
    "register 24": (BASE + "[vault]\npcrs = [24]\n", "pcrs"),
    "pre-roll not a number": (BASE + "[recorder]\npre_roll_s = nan\n", "pre_roll_s"),
    "endless hold-over": (BASE + "[recorder]\nhold_over_s = inf\n", "hold_over_s"),
    "line without device": (BASE + LINE, "does not list"),
    "line on a missing channel": (BASE + DEVICE + LINE.replace("channel = 0", "channel = 2"), "channel 2"),
    "line twice": (BASE + DEVICE + LINE + LINE.replace("channel = 0", "channel = 1"), "twice"),
    "channel twice": (BASE + DEVICE + LINE + LINE.replace('"a"', '"b"'), "twice"),
    "device twice": (BASE + DEVICE + DEVICE, "twice"),
    "device without a name": (BASE + DEVICE.replace('alsa = "hw:1"', 'alsa = ""'), "either alsa or usb"),
    "device with two names": (BASE + DEVICE + 'usb = "1-1"\n', "either alsa or usb"),
    "line without a place": (BASE + DEVICE + LINE.replace('alsa = "hw:1"', ""), "either alsa or usb"),
    "card twice": (BASE + 2 * '[[recorder.devices]]\nusb = "1-1.2"\n', "'usb 1-1.2' is listed twice"),
    "line on a card that is not listed": (BASE + DEVICE + LINE.replace("alsa", "usb"), "does not list"),
    "line name with a slash": (BASE + DEVICE + LINE.replace('"a"', '"../a"'), "cannot name a line"),
    "ground too long": (BASE + DEVICE + LINE + f'ground = "{"g" * 121}"\n', "ground"),
    "port 0": (BASE + "[webui]\nport = 0\n", "port"),
}


@pytest.mark.parametrize(("text", "named"), NONSENSE.values(), ids=NONSENSE.keys())
def test_nonsense_is_one_sentence_that_names_it(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(SettingsTrouble) as trouble:
        read(tmp_path, text)
    sentence = str(trouble.value)
    assert named in sentence
    assert "linekeep.toml" in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence


def test_a_missing_or_unreadable_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SettingsTrouble, match="cannot be read"):
        read_settings(tmp_path / "nothing.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsTrouble, match="not valid TOML"):
        read_settings(tmp_path / "binary.toml")


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("5m", 300), ("2h", 7200), ("30d", 2_592_000)])
def test_a_period_is_a_number_and_a_unit(text: str, seconds: int) -> None:
    assert parse_period(text) == seconds


@pytest.mark.parametrize("text", ["", "d", "-1d", "1.5d", "01d", "1 d", "1w", "1D", "9999999d", "१d"])
def test_everything_else_is_no_period(text: str) -> None:
    with pytest.raises(SettingsTrouble):
        parse_period(text)
