"""`linekeep line setup`: the controls of the sound cards as a line needs them, so that nobody has to know alsamixer."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from appliance.commands.arguments import Commands, add_config
from appliance.commands.check import FOUND
from appliance.settings import DeviceSettings, RecorderSettings, read_settings
from appliance.terms import LineTrouble, SettingsTrouble

if TYPE_CHECKING:
    from appliance.recorder.device.mixer import Change
    from appliance.recorder.device.sound_cards import SoundCard

_CARD = re.compile(r"(?:plug)?hw:(?:CARD=)?([^,]+)")


def add(actions: Commands) -> None:
    setup = actions.add_parser(
        "setup", help="set gain, switches and inputs of the sound cards; 1 if something is not there"
    )
    add_config(setup)
    setup.add_argument("--dry-run", action="store_true", help="only say what would be set")
    setup.set_defaults(command=_setup)


def _setup(parsed: argparse.Namespace) -> int:
    settings = read_settings(parsed.config).recorder
    from appliance.recorder.device.sound_cards import sound_cards  # noqa: PLC0415 - no daemon's start must load it

    return 0 if set_up(settings, sound_cards(), dry_run=parsed.dry_run) else FOUND


def set_up(settings: RecorderSettings, cards: list[SoundCard], *, dry_run: bool) -> bool:
    """Set each card that the settings name, and tell of each control. False: something is not there."""
    from appliance.recorder.device.mixer import codec_of, set_controls  # noqa: PLC0415 - as above

    outputs = [line.output for line in settings.lines if line.output is not None]
    if not settings.devices:
        raise SettingsTrouble("recorder.devices lists no sound device, so there is no card to set up.")
    good = True
    for card in _cards_of([*settings.devices, *outputs], cards):
        codec = codec_of(card)
        if codec is None:
            good = False
            _say(
                f"{card.card_id}: not known. Set it by hand (alsamixer -c {card.number}): automatic gain control off, "
                "no boost, the input's gain at its most; then linekeep line check says more."
            )
            continue
        _say(f"{card.card_id}: {codec.name}")
        for change in set_controls(card, codec, dry_run=dry_run):
            good = good and not change.is_missing
            _say(f"    {_told(change, dry_run=dry_run)}")
    return good


def _cards_of(devices: list[DeviceSettings], cards: list[SoundCard]) -> Iterator[SoundCard]:
    """Each card once. Raises LineTrouble."""
    seen = set()
    for device in devices:
        card = _card_of(device, cards)
        if card.number not in seen:
            seen.add(card.number)
            yield card


def _card_of(device: DeviceSettings, cards: list[SoundCard]) -> SoundCard:
    from appliance.recorder.device.sound_cards import card_at  # noqa: PLC0415 - as above

    if device.usb:
        return card_at(device.usb, cards)
    named = _CARD.match(device.alsa)
    for card in cards:
        if named is not None and named[1] in (card.card_id, str(card.number)):
            return card
    raise LineTrouble(
        f"'{device.alsa}' is no sound card that is there now, so it was not set up. "
        "'linekeep line check --list' shows the cards; name one by its USB port in the settings."
    )


def _told(change: Change, *, dry_run: bool) -> str:
    if change.is_missing:
        return f"{change.what}: this card has none"
    if change.was == change.wanted:
        return f"{change.what}: {change.was}, as it was"
    return f"{change.what}: {'would be' if dry_run else 'now'} {change.wanted}, was {change.was}"


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - the command's own output
