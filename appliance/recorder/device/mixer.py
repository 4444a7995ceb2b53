"""The mixer of a sound card: which controls should be how (codecs.toml), and making them so.

Promise: each control that is wanted is told of, whether it was set, was so already, or is not there. What is not wanted
is left alone.

Only this file, capture and playback know alsaaudio. Traps of its mixer, 0.11.0: the volume of a direction that a
control has not is junk, not an error, so what it has is asked first; decibels are hundredths; a playback switch is
asked and set as `mute`, the other way round; and setenum() takes ALSA's "1, it has changed" for an error.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import alsaaudio
import msgspec

from appliance.recorder.device.capture import hush_alsa, trouble_at_opening
from appliance.recorder.device.sound_cards import SoundCard

_CODECS = Path(__file__).with_name("codecs.toml")
_NEAR_DB = 1.0
"""Volumes go in steps of 0.4 dB to 1.5 dB; the card takes the nearest."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one control should be: codecs.toml says what each of these means."""

    control: str
    choice: str | None = None
    capture: bool | None = None
    capture_db: float | None = None
    playback: bool | None = None
    playback_db: float | None = None
    if_there: bool = False


class Codec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One kind of card, known by its USB id or by ALSA's name for it."""

    name: str
    usb: str = ""
    card: str = ""
    controls: tuple[Wanted, ...]

    def is_of(self, card: SoundCard) -> bool:
        if self.usb:
            return fnmatchcase(card.usb_id, self.usb)
        return fnmatchcase(card.card_id, self.card)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What became of one part of a control.

    what: "Mic, capture volume".
    was, wanted: in words; was is empty if the card has no such thing.
    """

    what: str
    was: str
    wanted: str

    @property
    def is_missing(self) -> bool:
        return not self.was


def codec_of(card: SoundCard) -> Codec | None:
    """What is known of this card."""
    return next((codec for codec in _codecs() if codec.is_of(card)), None)


def _codecs() -> tuple[Codec, ...]:
    return msgspec.convert(tomllib.loads(_CODECS.read_text("utf-8")), dict[str, tuple[Codec, ...]])["codecs"]


def set_controls(card: SoundCard, codec: Codec, *, dry_run: bool) -> Iterator[Change]:
    """Make the controls of a card what its codec's table wants. Raises LineTrouble if ALSA refuses."""
    hush_alsa()
    device = f"hw:CARD={card.card_id}"
    try:
        there = alsaaudio.mixers(device=device)
        for wanted in codec.controls:
            if wanted.control in there:
                yield from _set(alsaaudio.Mixer(wanted.control, device=device), wanted, dry_run=dry_run)
            elif not wanted.if_there:
                yield Change(what=wanted.control, was="", wanted="")
    except alsaaudio.ALSAAudioError as error:
        raise trouble_at_opening(device, str(error)) from error


def _set(mixer: Any, wanted: Wanted, *, dry_run: bool) -> Iterator[Change]:
    try:
        for part in (_choice, _capture, _capture_db, _playback, _playback_db):
            found = part(mixer, wanted)
            if found is None:
                continue
            change, act = found
            if not dry_run and not change.is_missing and change.was != change.wanted:
                act()
            yield change
    finally:
        mixer.close()


_Part = tuple[Change, Callable[[], None]]


def _choice(mixer: Any, wanted: Wanted) -> _Part | None:
    choice = wanted.choice
    if choice is None:
        return None
    none: tuple[str, list[str]] = ("", [])
    now, items = mixer.getenum() or none

    def choose() -> None:
        try:
            mixer.setenum(items.index(choice))
        except alsaaudio.ALSAAudioError:
            if mixer.getenum()[0] != choice:
                raise

    return _change(wanted, "", now if choice in items else "", choice), choose


def _capture(mixer: Any, wanted: Wanted) -> _Part | None:
    on = wanted.capture
    if on is None:
        return None
    was = _on(all(mixer.getrec())) if _has(mixer.switchcap(), "Capture Mute") else ""
    return _change(wanted, "capture switch", was, _on(on)), lambda: mixer.setrec(int(on))


def _playback(mixer: Any, wanted: Wanted) -> _Part | None:
    on = wanted.playback
    if on is None:
        return None
    was = _on(not any(mixer.getmute())) if _has(mixer.switchcap(), "Playback Mute") else ""
    return _change(wanted, "playback switch", was, _on(on)), lambda: mixer.setmute(int(not on))


def _capture_db(mixer: Any, wanted: Wanted) -> _Part | None:
    return _volume(mixer, wanted, wanted.capture_db, "capture", alsaaudio.PCM_CAPTURE)


def _playback_db(mixer: Any, wanted: Wanted) -> _Part | None:
    return _volume(mixer, wanted, wanted.playback_db, "playback", alsaaudio.PCM_PLAYBACK)


def _volume(mixer: Any, wanted: Wanted, db: float | None, direction: str, pcm: int) -> _Part | None:
    if db is None:
        return None
    what = f"{direction} volume"
    if not _has(mixer.volumecap(), f"{direction.capitalize()} Volume"):
        return _change(wanted, what, "", f"{db:+.1f} dB"), lambda: None
    units = alsaaudio.VOLUME_UNITS_DB
    least, most = (value / 100 for value in mixer.getrange(pcm, units))
    db = min(max(db, least), most)
    now = [value / 100 for value in mixer.getvolume(pcm, units)]
    near = all(math.isclose(each, db, abs_tol=_NEAR_DB) for each in now)
    was = f"{db:+.1f} dB" if near else " and ".join(f"{each:+.1f} dB" for each in sorted(set(now)))
    hundredths = round(db * 100)
    return (
        _change(wanted, what, was, f"{db:+.1f} dB"),
        lambda: mixer.setvolume(hundredths, alsaaudio.MIXER_CHANNEL_ALL, pcm, units),
    )


def _change(wanted: Wanted, part: str, was: str, becomes: str) -> Change:
    return Change(what=", ".join(filter(None, (wanted.control, part))), was=was, wanted=becomes)


def _has(capabilities: list[str], which: str) -> bool:
    """ALSA tells of what has no direction without one: "Volume", "Mute"."""
    return which in capabilities or which.rpartition(" ")[2] in capabilities


def _on(on: bool) -> str:
    return "on" if on else "off"
