"""Settings made ready: nonsense is told at the start, and every country's ringing is waited for."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.recorder.ear.countries import COUNTRIES
from appliance.recorder.line.line_plan import plan_of
from appliance.settings import COUNTRY_CODES, CountryCode, LineSettings, RecorderSettings, StarCodes
from appliance.terms import RATE_HZ, SettingsTrouble


@pytest.mark.parametrize("country", COUNTRY_CODES)
def test_a_ring_is_overdue_only_after_the_countrys_longest_pause_and_a_burst(country: CountryCode) -> None:
    rules = plan_of(LineSettings(name="front", alsa="line0"), RecorderSettings(country=country)).rules
    for cadence in COUNTRIES[country].ringing.cadences_s:
        for on, off in zip(cadence[::2], cadence[1::2], strict=True):
            assert rules.ring_overdue >= (on + off + 1) * RATE_HZ
    assert rules.ring_overdue <= 12 * RATE_HZ


def test_what_the_settings_say_is_what_the_line_does() -> None:
    line = LineSettings(
        name="front",
        alsa="line0",
        consent="announced",
        yes_key="5",
        no_key="6",
        consent_within_s=33.5,
        keep_fax=True,
        codes=StarCodes(confirm="*9"),
    )
    plan = plan_of(line, RecorderSettings(country="uk", hold_over_s=7))
    assert plan.country is COUNTRIES["uk"]
    assert (plan.consent.mode, plan.consent.yes_key, plan.consent.no_key) == ("announced", "5", "6")
    assert plan.consent.within == 268_000
    assert plan.consent.keep_fax
    assert plan.codes.confirm == "*9"
    assert plan.rules.hold_over == 7 * RATE_HZ
    assert plan.announcement is None


@pytest.mark.parametrize("made", [None, b"", b"not a sound at all"])
def test_an_announcement_that_is_no_sound_is_one_sentence(tmp_path: Path, made: bytes | None) -> None:
    path = tmp_path / "announcement.wav"
    if made is not None:
        path.write_bytes(made)
    with pytest.raises(SettingsTrouble):
        plan_of(LineSettings(name="front", alsa="line0", announcement=str(path)), RecorderSettings())
