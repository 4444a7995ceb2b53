"""What the settings want of a line, made ready for its watch: once, at the start, so that nonsense is told there."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from appliance.recorder.ear.announcement import Announcement, read_announcement
from appliance.recorder.ear.countries import COUNTRIES, Country
from appliance.recorder.ear.keys import Key
from appliance.recorder.ear.line_ear import LineEar
from appliance.recorder.line.consent import ConsentRules, consent_rules
from appliance.recorder.line.line_facts import LineRules, rules_from
from appliance.recorder.line.private_hours import PrivateHours
from appliance.settings import LineSettings, RecorderSettings, StarCodes
from appliance.terms import RATE_HZ, SettingsTrouble

_OVERDUE_MARGIN_FRAMES = 3 * RATE_HZ // 2
_LATEST_END_S = 10
"""So long after the answer it may begin to play, and be known to have been heard after its end."""
_HEARD_OUT_FRAMES = 2 * RATE_HZ


@dataclass(frozen=True, slots=True, kw_only=True)
class LinePlan:
    rules: LineRules
    country: Country
    consent: ConsentRules
    private: PrivateHours = field(default_factory=lambda: PrivateHours(()))
    codes: StarCodes = field(default_factory=StarCodes)
    announcement: Announcement | None = None
    channels: int = 1
    """Two: its sides are apart."""


def plan_of(line: LineSettings, settings: RecorderSettings) -> LinePlan:
    """Raises SettingsTrouble: the announcement cannot be read, is no sound, or may not be played by the box."""
    country = COUNTRIES[settings.country]
    announcement = read_announcement(Path(line.announcement)) if line.announcement else None
    if announcement is not None and line.plays_announcement:
        _check_playable(announcement, line, country)
    return LinePlan(
        rules=replace(rules_from(settings), ring_overdue=_ring_overdue(country)),
        country=country,
        consent=consent_rules(line, settings.country),
        private=PrivateHours(line.private),
        codes=line.codes,
        announcement=announcement,
        channels=len(line.channels),
    )


def _check_playable(announcement: Announcement, line: LineSettings, country: Country) -> None:
    """What the box plays it hears as everybody's: a key in it would agree for every caller."""
    needed_s = announcement.samples.size / RATE_HZ + _LATEST_END_S
    if needed_s > line.consent_within_s:
        raise SettingsTrouble(
            f"The announcement '{announcement.name}' is too long to be played on line '{line.name}': "
            f"set consent_within_s to {math.ceil(needed_s)} or more, or shorten it."
        )
    ear = LineEar(country)
    sounds = [*ear.hear(announcement.samples).sounds, *ear.hear(np.zeros(_HEARD_OUT_FRAMES, np.int16)).sounds]
    if sounds:
        sound = sounds[0]
        at_frame = sound.first_frame if isinstance(sound, Key) else sound.at_frame
        raise SettingsTrouble(
            f"The announcement '{announcement.name}' has at {at_frame / RATE_HZ:.1f} s the tone of a key or of the "
            f"exchange in it, and playing it on line '{line.name}' would be taken for one. Take that sound out."
        )


def _ring_overdue(country: Country) -> int:
    """The longest pause, and the burst after it, which may be told only when it ends."""
    cadences = country.ringing.cadences_s
    longest_s = max(max(cadence[1::2]) + max(cadence[::2]) for cadence in cadences)
    return round(longest_s * RATE_HZ) + _OVERDUE_MARGIN_FRAMES
