"""A card is found where it is plugged in, whatever ALSA calls it this time."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.recorder.device.sound_cards import CardMissing, alsa_name, sound_cards

STREAM = """C-Media Electronics Inc. USB Audio Device at usb-xhci-hcd-1.2, full speed : USB Audio

Playback:
  Status: Stop
  Interface 1
    Altset 1
    Format: S16_LE
    Channels: 6
    Endpoint: 0x01 (1 OUT) (ADAPTIVE)
    Rates: 48000, 44100

Capture:
  Status: Stop
  Interface 2
    Altset 1
    Format: S16_LE
    Channels: 1
    Endpoint: 0x82 (2 IN) (ASYNC)
    Rates: 48000, 44100
  Interface 2
    Altset 2
    Format: S16_LE
    Channels: 2
    Endpoint: 0x82 (2 IN) (ASYNC)
    Rates: 48000
"""


class Machine:
    """A sysfs and a procfs with cards in them, built as the kernel links them."""

    def __init__(self, root: Path) -> None:
        self.sysfs, self.procfs = root / "sys", root / "proc"
        self._class = self.sysfs / "class" / "sound"
        self._class.mkdir(parents=True)
        (self.procfs / "asound").mkdir(parents=True)
        (self._class / "seq").mkdir()
        (self._class / "timer").mkdir()

    def plug(self, port: str, number: int, card_id: str, *, serial: str = "") -> None:
        hubs = [port[: at + 1] for at in range(len(port) - 1) if port[at + 1 :].startswith(".")]
        bus = self.sysfs / "devices/platform/scb/fd500000.pcie/pci0000:00/0000:01:00.0" / f"usb{port[0]}"
        device = bus.joinpath(*hubs, port)
        self._card(device / f"{port}:1.0", number, card_id)
        (device / "product").write_text("USB Audio Device\n")
        (device / "idVendor").write_text("0d8c\n")
        if serial:
            (device / "serial").write_text(f"{serial}\n")
        (self.procfs / "asound" / f"card{number}" / "stream0").write_text(STREAM)

    def solder(self, number: int, card_id: str) -> None:
        """A card on the board, as the Raspberry Pi's own."""
        self._card(self.sysfs / "devices/platform/soc/bcm2835_audio", number, card_id)

    def unplug(self, number: int) -> None:
        (self._class / f"card{number}").unlink()
        (self._class / f"pcmC{number}D0c").unlink()

    def _card(self, interface: Path, number: int, card_id: str) -> None:
        card = interface / "sound" / f"card{number}"
        card.mkdir(parents=True)
        (card / "id").write_text(f"{card_id}\n")
        (card / "number").write_text(f"{number}\n")
        (card / "device").symlink_to(Path("../../../") / interface.name)
        capture = card / f"pcmC{number}D0c"
        capture.mkdir()
        (capture / "device").symlink_to(f"../../card{number}")
        (self.procfs / "asound" / f"card{number}").mkdir(exist_ok=True)
        for entry in (card, capture):
            up = Path("../..") / entry.relative_to(self.sysfs)
            (self._class / entry.name).symlink_to(up)

    def find(self, usb: str) -> str:
        return alsa_name(usb, self.sysfs, self.procfs)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path)
    machine.solder(0, "Headphones")
    machine.plug("1-1.2", 1, "Device", serial="A1")
    machine.plug("1-1.3", 2, "Device_1", serial="B2")
    return machine


def test_a_card_is_found_by_its_port_and_by_its_serial_number(machine: Machine) -> None:
    assert machine.find("1-1.2") == "plughw:CARD=Device"
    assert machine.find("1-1.3") == "plughw:CARD=Device_1"
    assert machine.find("B2") == "plughw:CARD=Device_1"


def test_after_a_reboot_that_swapped_two_equal_cards_each_port_is_itself(machine: Machine, tmp_path: Path) -> None:
    swapped = Machine(tmp_path / "after")
    swapped.plug("1-1.3", 0, "Device")
    swapped.plug("1-1.2", 1, "Device_1")
    assert machine.find("1-1.2") == "plughw:CARD=Device"
    assert swapped.find("1-1.2") == "plughw:CARD=Device_1"


def test_a_card_that_comes_back_in_its_port_is_found_under_its_new_name(machine: Machine) -> None:
    machine.unplug(1)
    with pytest.raises(CardMissing, match=r"in the USB port 1-1\.2"):
        machine.find("1-1.2")
    machine.plug("1-1.2", 5, "Device_2")
    assert machine.find("1-1.2") == "plughw:CARD=Device_2"


def test_a_port_is_not_taken_for_one_behind_it(machine: Machine) -> None:
    with pytest.raises(CardMissing, match="line check --list"):
        machine.find("1-1")


def test_a_serial_number_that_two_cards_have_is_refused_with_their_ports(machine: Machine) -> None:
    machine.plug("2-1", 3, "Device_2", serial="A1")
    with pytest.raises(CardMissing, match=r"1-1\.2, 2-1"):
        machine.find("A1")


def test_what_a_card_says_of_itself_moves_no_cursor(machine: Machine) -> None:
    machine.plug("2-1", 3, "Device_2", serial="A\x1b[2J\x1b[1;31m\u202e9")
    assert [card.serial for card in sound_cards(machine.sysfs, machine.procfs) if card.port == "2-1"] == ["A[2J[1;31m9"]


def test_no_card_has_the_empty_serial_number_of_those_without_one(machine: Machine) -> None:
    machine.plug("2-1", 3, "Device_2")
    with pytest.raises(CardMissing):
        machine.find("0")


def test_cards_are_listed_with_what_tells_them_apart(machine: Machine) -> None:
    cards = sound_cards(machine.sysfs, machine.procfs)
    seen = [(card.number, card.card_id, card.port, card.serial, card.channels) for card in cards]
    assert seen == [(0, "Headphones", "", "", 0), (1, "Device", "1-1.2", "A1", 2), (2, "Device_1", "1-1.3", "B2", 2)]


def test_a_machine_without_sound_has_no_cards(tmp_path: Path) -> None:
    assert sound_cards(tmp_path, tmp_path) == []
