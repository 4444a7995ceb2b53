"""Settings made ready: nonsense is told at the start, and every country's ringing is waited for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from appliance.recorder.ear.countries import COUNTRIES
from appliance.recorder.line.line_plan import plan_of
from appliance.settings import (
    COUNTRY_CODES,
    CountryCode,
    LineSettings,
    OutputSettings,
    RecorderSettings,
    StarCodes,
)
from appliance.sound_file import write_wav
from appliance.terms import RATE_HZ, SettingsTrouble
from tests.simulators import announcements
from tests.simulators.line_tones import as_pcm, silence, sines


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


def spoken_with(path: Path, sound: list[float], seconds: float = 0.5) -> Path:
    """An announcement of the box with these tones after it."""
    said = announcements.synthetic()["nl"].samples / 32768
    write_wav(path, as_pcm(np.concatenate((said, silence(0.5), sines(sound, seconds, -16), silence(0.5))))[:, None])
    return path


def plan_that_plays(path: Path, **line: object) -> None:
    settings: dict[str, object] = {"consent": "announced", "output": OutputSettings(alsa="line0")} | line
    plan_of(LineSettings(name="front", alsa="line0", announcement=str(path), **settings), RecorderSettings())  # type: ignore[arg-type]


def test_an_announcement_with_a_beep_of_its_own_may_be_played(tmp_path: Path) -> None:
    plan_that_plays(spoken_with(tmp_path / "a.wav", [1000]))


@pytest.mark.parametrize(("tones", "seconds"), [([697.0, 1209.0], 0.2), ([2100.0], 3.0)])
def test_an_announcement_that_would_agree_or_refuse_for_every_caller_is_one_sentence(
    tmp_path: Path, tones: list[float], seconds: float
) -> None:
    path = spoken_with(tmp_path / "a.wav", tones, seconds)
    with pytest.raises(SettingsTrouble, match=r"'a' has at 7\.\d s the tone of a key or of the exchange"):
        plan_that_plays(path)
    plan_that_plays(path, output=None)  # who plays it elsewhere has done so before


def test_an_announcement_that_cannot_be_over_in_time_says_how_much_it_needs(tmp_path: Path) -> None:
    path = spoken_with(tmp_path / "a.wav", [1000])
    with pytest.raises(SettingsTrouble, match="set consent_within_s to 19 or more"):
        plan_that_plays(path, consent_within_s=15)
    plan_that_plays(path, consent_within_s=19)
