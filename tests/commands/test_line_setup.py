"""`linekeep line setup` on real ALSA mixers of simulated cards: what is set, what is told, what is left alone."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from appliance.cli import main
from appliance.commands.line_setup import set_up
from appliance.recorder.device import mixer
from appliance.recorder.device.sound_cards import sound_cards
from appliance.settings import DeviceSettings, LineSettings, OutputSettings, RecorderSettings
from appliance.terms import LineTrouble
from tests.recorder.test_sound_cards import Machine
from tests.simulators.card import CM108, SimulatedCards

WM8960 = {
    "ALC Function": "choice 3 Off|Right|Left|Stereo",
    "Noise Gate Switch": "switch 1",
    "Left Boost Mixer LINPUT1 Switch": "switch 0",
    "Left Input Mixer Boost Switch": "switch 0",
    "Left Input Boost Mixer LINPUT1 Volume": "volume 3 3 0 970",
    "Right Boost Mixer RINPUT1 Switch": "switch 0",
    "Right Input Mixer Boost Switch": "switch 0",
    "Right Input Boost Mixer RINPUT1 Volume": "volume 3 3 0 970",
    "Capture Volume": "volume 39 63 -1725 75",
    "Capture Switch": "switch 0",
    "ADC PCM Capture Volume": "volume 195 255 -9750 50",
    "Left Output Mixer PCM Playback Switch": "switch 0",
    "Right Output Mixer PCM Playback Switch": "switch 0",
    "Playback Volume": "volume 100 255 -12750 50",
    "Headphone Playback Volume": "volume 0 127 -12100 100",
}


class Box:
    """A machine with cards, and what the command says about them."""

    def __init__(self, root: Path, build_dir: Path) -> None:
        self.machine = Machine(root)
        self.mixers = SimulatedCards(root / "alsa", build_dir)

    def plug(self, port: str, number: int, card_id: str, controls: dict[str, str], usb_id: str = "0d8c:013c") -> None:
        self.machine.plug(port, number, card_id)
        (self.machine.procfs / "asound" / f"card{number}" / "usbid").write_text(f"{usb_id}\n")
        self.mixers.plug(card_id, controls)

    def set_up(self, *devices: DeviceSettings, lines: tuple[LineSettings, ...] = (), dry_run: bool = False) -> bool:
        cards = sound_cards(self.machine.sysfs, self.machine.procfs)
        return set_up(RecorderSettings(devices=devices, lines=lines), cards, dry_run=dry_run)

    def values(self, card_id: str, controls: dict[str, str]) -> dict[str, int]:
        return {name: self.mixers.value(card_id, name) for name in controls}


@pytest.fixture(scope="module")
def build_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("plugin")


@pytest.fixture
def box(tmp_path: Path, build_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Box:
    box = Box(tmp_path, build_dir)
    for name, value in box.mixers.environment().items():
        monkeypatch.setenv(name, value)
    return box


PORT = DeviceSettings(usb="1-1.2")


def test_usb_card_is_set_as_its_table_says_and_told_control_by_control(
    box: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    box.plug("1-1.2", 1, "Device", CM108)
    assert box.set_up(PORT)
    assert box.values("Device", CM108) == {
        "Mic Capture Volume": 15,
        "Mic Capture Switch": 1,
        "Mic Playback Switch": 0,
        "Mic Playback Volume": 20,
        "Auto Gain Control": 0,
        "Speaker Playback Volume": 37,
        "Speaker Playback Switch": 1,
    }
    told = capsys.readouterr().out
    assert told.splitlines()[0] == "Device: C-Media CM106, CM108 and like"
    assert "Auto Gain Control, playback switch: now off, was on" in told
    assert "Mic, capture volume: now +22.5 dB, was +4.5 dB" in told
    assert box.set_up(PORT)
    again = capsys.readouterr().out.splitlines()[1:]
    assert len(again) == 6
    assert all(line.endswith(", as it was") for line in again), again


def test_dry_run_says_the_same_and_sets_nothing(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    box.plug("1-1.2", 1, "Device", CM108)
    before = box.values("Device", CM108)
    assert box.set_up(PORT, dry_run=True)
    assert "Mic, capture volume: would be +22.5 dB, was +4.5 dB" in capsys.readouterr().out
    assert box.values("Device", CM108) == before


def test_codec_of_our_overlay_is_found_by_its_name_and_set(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    box.plug("1-1.2", 0, "linekeep", WM8960, usb_id="")
    assert box.set_up(DeviceSettings(alsa="plughw:CARD=linekeep"))
    values = box.values("linekeep", WM8960)
    assert (values["ALC Function"], values["Noise Gate Switch"], values["Capture Switch"]) == (0, 0, 1)
    assert values["Capture Volume"] == 57  # -17.25 dB + 57 * 0.75 dB
    assert values["Left Input Boost Mixer LINPUT1 Volume"] == 0
    assert values["Playback Volume"] == 255
    assert "ALC Function: now Off, was Stereo" in capsys.readouterr().out


def test_gain_that_a_card_has_not_is_its_most(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    box.plug("1-1.2", 1, "Device", CM108 | {"Mic Capture Volume": "volume 0 8 0 150"})
    assert box.set_up(PORT)
    assert box.mixers.value("Device", "Mic Capture Volume") == 8
    assert "now +12.0 dB" in capsys.readouterr().out


def test_control_that_is_not_there_is_named_and_the_rest_is_set(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    without = {name: text for name, text in CM108.items() if name != "Mic Capture Volume"}
    box.plug("1-1.2", 1, "Device", without)
    assert not box.set_up(PORT)
    assert "Mic, capture volume: this card has none" in capsys.readouterr().out
    assert box.mixers.value("Device", "Auto Gain Control") == 0
    box.plug("1-1.3", 2, "Other", {"Speaker Playback Switch": "switch 0"})
    assert not box.set_up(DeviceSettings(alsa="hw:2,0"))
    assert "    Mic: this card has none" in capsys.readouterr().out
    assert box.mixers.value("Other", "Speaker Playback Switch") == 1


def test_card_that_is_not_known_is_left_alone_and_named(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    box.plug("1-1.2", 1, "Device", CM108, usb_id="1234:5678")
    before = box.values("Device", CM108)
    assert not box.set_up(PORT)
    assert "Device: not known. Set it by hand (alsamixer -c 1)" in capsys.readouterr().out
    assert box.values("Device", CM108) == before


def test_each_card_of_inputs_and_outputs_is_set_up_once(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    box.plug("1-1.2", 1, "Device", CM108)
    box.plug("1-1.3", 2, "Device_1", CM108)
    output = OutputSettings(usb="1-1.3", self_test="03:30")
    line = LineSettings(name="front", usb="1-1.2", output=output)
    assert box.set_up(PORT, lines=(line,))
    assert re.findall(r"^\S+(?=:)", capsys.readouterr().out, re.MULTILINE) == ["Device", "Device_1"]


def test_card_that_is_not_there_is_one_sentence(box: Box) -> None:
    with pytest.raises(LineTrouble, match=r"no sound card in the USB port 1-1\.2"):
        box.set_up(PORT)
    with pytest.raises(LineTrouble, match="'default' is no sound card that is there now"):
        box.set_up(DeviceSettings(alsa="default"))


def test_tables_of_the_installed_package_are_read_and_name_what_they_are_known_by() -> None:
    table = mixer._CODECS
    assert table.parent == Path(mixer.__file__).parent
    codecs = mixer._codecs()
    assert len(codecs) == 3
    assert all(bool(codec.usb) != bool(codec.card) for codec in codecs)
    project = (Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8")
    assert f'"appliance.recorder.device" = ["{table.name}"]' in project


def test_command_says_what_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = tmp_path / "linekeep.toml"
    settings.write_text('state_dir = "/x"\nrun_dir = "/r"\n[recorder]\ndevices = [{ usb = "9-9.9" }]\n')
    assert main(["line", "setup", "--config", str(settings), "--dry-run"]) == 2
    assert "no sound card in the USB port 9-9.9" in capsys.readouterr().err


def test_what_was_set_is_what_alsa_shows(box: Box) -> None:
    box.plug("1-1.2", 1, "Device", CM108)
    box.set_up(PORT)
    command = ["amixer", "-D", "hw:CARD=Device", "sget", "Mic"]
    shown = subprocess.run(command, env=dict(os.environ), capture_output=True, text=True, check=True).stdout
    assert "Capture 15 [100%] [22.50dB] [on]" in shown
