"""Finding a sound card by where it is plugged in, or by its serial number.

ALSA numbers cards as they come, so that after a reboot, or of two equal ones, either may have the other's name. A USB
port keeps its name as long as nobody moves the plug: sysfs calls it by bus and chain of ports, "1-1.2" (kernel,
Documentation/ABI/testing/sysfs-bus-usb). Cheap cards have no serial number, or all the same one; then only the port
tells them apart.

Decides what a card is called now, from sysfs as it is at this moment; whoever opens a device asks each time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog

from appliance.recorder.device.capture import SoundDevice
from appliance.recorder.device.playback import Playback
from appliance.settings import DeviceSettings
from appliance.terms import LineTrouble

SYSFS = Path("/sys")
PROCFS = Path("/proc")

_PORT = re.compile(r"[0-9]+-[0-9]+(\.[0-9]+)*")
_CARD = re.compile(r"card([0-9]+)")
_CAPTURE_CHANNELS = re.compile(r"^\s*Channels: ([0-9]+)$", re.MULTILINE)


class CardMissing(LineTrouble):
    """No such card is plugged in, or more than one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundCard:
    """A card that is there now.

    card_id: ALSA's name for it, until it is unplugged.
    port, serial, product: of the USB device; empty if it is none, or has none.
    usb_id: its vendor and product as numbers, "0d8c:013c"; empty likewise.
    channels: the most that it can capture; 0 if that cannot be read.
    """

    number: int
    card_id: str
    port: str
    serial: str
    product: str
    usb_id: str
    channels: int

    @property
    def alsa(self) -> str:
        """The device to open; "plug" converts to the rate and format of a line."""
        return f"plughw:CARD={self.card_id}"


def sound_cards(sysfs: Path = SYSFS, procfs: Path = PROCFS) -> list[SoundCard]:
    """All cards that are there, by number."""
    return sorted(_cards(sysfs, procfs), key=lambda card: card.number)


def alsa_name(usb: str, sysfs: Path = SYSFS, procfs: Path = PROCFS) -> str:
    """The ALSA device of the card in this USB port, or with this serial number. Raises CardMissing."""
    return card_at(usb, sound_cards(sysfs, procfs)).alsa


def card_at(usb: str, cards: list[SoundCard]) -> SoundCard:
    """The one of these in this USB port, or with this serial number.

    Raises:
        CardMissing: there is none, or several with that serial number.
    """
    by_port = _PORT.fullmatch(usb) is not None
    found = [card for card in cards if (card.port if by_port else card.serial) == usb]
    if not found:
        if by_port:
            raise CardMissing(
                f"There is no sound card in the USB port {usb}. Plug it in there, and it is used at once; "
                "'linekeep line check --list' shows the cards that are there."
            )
        raise CardMissing(
            f"There is no sound card with the serial number '{usb}'. Plug it in, and it is used at once; "
            "'linekeep line check --list' shows the cards that are there."
        )
    if len(found) > 1:
        ports = ", ".join(card.port for card in found)
        raise CardMissing(
            f"Several sound cards have the serial number '{usb}', and none is used. "
            f"Write the USB port of the right one into the settings instead: {ports}."
        )
    return found[0]


def sound_device(settings: DeviceSettings) -> SoundDevice:
    """The device that the settings mean; one in a USB port is looked for at each opening."""
    return SoundDevice(settings.device, settings.channels, find=_finder(settings))


def playback_device(settings: DeviceSettings, log: structlog.stdlib.BoundLogger) -> Playback:
    """The same for an output."""
    return Playback(settings.device, settings.channels, log, find=_finder(settings))


def _finder(settings: DeviceSettings) -> Callable[[], str] | None:
    return partial(alsa_name, settings.usb) if settings.usb else None


def _cards(sysfs: Path, procfs: Path) -> Iterator[SoundCard]:
    for entry in sysfs.glob("class/sound/card*"):
        match = _CARD.fullmatch(entry.name)
        card_id = _read(entry / "id")
        if match is None or not card_id:
            continue  # no card, or it was unplugged while we looked
        usb = _usb_device(entry / "device")
        yield SoundCard(
            number=int(match[1]),
            card_id=card_id,
            port=usb.name if usb else "",
            serial=_shown(_read(usb / "serial")) if usb else "",
            product=_shown(_read(usb / "product")) if usb else "",
            usb_id=_read(procfs / "asound" / entry.name / "usbid"),
            channels=_capture_channels(_read(procfs / "asound" / entry.name / "stream0")),
        )


def _usb_device(device: Path) -> Path | None:
    """The USB device of which this is an interface ("1-1.2:1.0" lies in "1-1.2")."""
    parent = device.resolve().parent
    return parent if _PORT.fullmatch(parent.name) else None


def _shown(untrusted: str) -> str:
    """What a device says of itself, for a list: no sign in it moves a cursor."""
    return "".join(sign for sign in untrusted if sign.isprintable())


def _capture_channels(stream: str) -> int:
    """From the kernel's list of a USB card's formats, what comes after "Capture:"."""
    counts = _CAPTURE_CHANNELS.findall(stream.partition("\nCapture:")[2])
    return max(map(int, counts), default=0)


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", errors="replace").strip()
    except OSError:
        return ""
