"""What the settings want of a line, made ready for its watch: once, at the start, so that nonsense is told there."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from appliance.recorder.ear.announcement import Announcement, read_announcement
from appliance.recorder.ear.countries import COUNTRIES, Country
from appliance.recorder.line.consent import ConsentRules, consent_rules
from appliance.recorder.line.line_facts import LineRules, rules_from
from appliance.recorder.line.private_hours import PrivateHours
from appliance.settings import LineSettings, RecorderSettings, StarCodes
from appliance.terms import RATE_HZ

_OVERDUE_MARGIN_FRAMES = 3 * RATE_HZ // 2


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
    """Raises SettingsTrouble: the announcement cannot be read, or is no sound."""
    country = COUNTRIES[settings.country]
    return LinePlan(
        rules=replace(rules_from(settings), ring_overdue=_ring_overdue(country)),
        country=country,
        consent=consent_rules(line, settings.country),
        private=PrivateHours(line.private),
        codes=line.codes,
        announcement=read_announcement(Path(line.announcement)) if line.announcement else None,
        channels=len(line.channels),
    )


def _ring_overdue(country: Country) -> int:
    """The longest pause, and the burst after it, which may be told only when it ends."""
    cadences = country.ringing.cadences_s
    longest_s = max(max(cadence[1::2]) + max(cadence[::2]) for cadence in cadences)
    return round(longest_s * RATE_HZ) + _OVERDUE_MARGIN_FRAMES
