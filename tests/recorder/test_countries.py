"""Each country's facts are whole, and are what the standards say."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from appliance.recorder.ear.countries import COUNTRIES, Country
from appliance.settings import COUNTRY_CODES, CountryCode

EVERY = pytest.mark.parametrize("country", COUNTRIES.values(), ids=list(COUNTRIES))


def cadences(country: Country, name: str) -> set[tuple[float, ...]]:
    return {tone.cadence_s for tone in country.tones if tone.name == name}


def test_the_seven_countries_are_there_under_their_own_codes() -> None:
    assert tuple(COUNTRIES) == COUNTRY_CODES == ("de", "at", "ch", "fr", "nl", "uk", "us")
    assert all(code == country.code for code, country in COUNTRIES.items())


@EVERY
def test_a_country_has_every_tone(country: Country) -> None:
    assert {tone.name for tone in country.tones} == {"dial", "ringback", "busy", "congestion"}
    assert country.information_tones


@EVERY
def test_a_cadence_ends_with_a_pause_and_each_part_lasts(country: Country) -> None:
    all_of_them = [tone.cadence_s for tone in country.tones] + list(country.ringing.cadences_s)
    assert all(len(cadence) % 2 == 0 and min(cadence, default=1) > 0.1 for cadence in all_of_them)


@EVERY
def test_what_ends_a_call_is_never_continuous(country: Country) -> None:
    assert all(tone.cadence_s for tone in country.tones if tone.name != "dial")


@EVERY
def test_busy_and_congestion_of_one_pitch_differ_by_more_than_listeners_forgive(country: Country) -> None:
    for one in country.tones:
        for other in country.tones:
            if one.frequencies_hz == other.frequencies_hz and {one.name, other.name} == {"busy", "congestion"}:
                parts = zip(one.cadence_s * 2, other.cadence_s * 2, strict=False)
                assert any(not 1 / 1.3 < part / like < 1.3 for part, like in parts)


@EVERY
def test_tones_lie_in_the_telephone_band(country: Country) -> None:
    assert all(300 <= hz <= 700 for tone in country.tones for hz in tone.frequencies_hz)
    assert all(850 <= hz <= 1900 for tone in country.information_tones for hz in tone.notes_hz)


@EVERY
def test_notes_rise_and_last_for_a_third_of_a_second(country: Country) -> None:
    for tone in country.information_tones:
        assert list(tone.notes_hz) == sorted(tone.notes_hz)
        assert all(0.25 <= length <= 0.4 for length in tone.notes_s)


@pytest.mark.parametrize(
    ("code", "busy", "congestion", "ringback"),
    [
        ("de", (0.48, 0.48), (0.24, 0.24), (1.0, 4.0)),
        ("at", (0.4, 0.4), (0.2, 0.2), (1.0, 5.0)),
        ("ch", (0.5, 0.5), (0.2, 0.2), (1.0, 4.0)),
        ("fr", (0.5, 0.5), (0.25, 0.25), (1.5, 3.5)),
        ("nl", (0.5, 0.5), (0.25, 0.25), (1.0, 4.0)),
        ("uk", (0.375, 0.375), (0.4, 0.35, 0.225, 0.525), (0.4, 0.2, 0.4, 2.0)),
        ("us", (0.5, 0.5), (0.25, 0.25), (2.0, 4.0)),
    ],
)
def test_cadences_are_those_of_e180_supplement_2(
    code: CountryCode, busy: tuple[float, ...], congestion: tuple[float, ...], ringback: tuple[float, ...]
) -> None:
    country = COUNTRIES[code]
    assert busy in cadences(country, "busy")
    assert congestion in cadences(country, "congestion")
    assert ringback in cadences(country, "ringback")


@pytest.mark.parametrize(
    ("code", "standard", "ring_hz"),
    [("de", "v23", 25), ("fr", "v23", 50), ("nl", "dtmf", 25), ("uk", "v23", 25), ("us", "bell202", 20)],
)
def test_caller_id_and_ringing_are_the_usual_ones_first(code: CountryCode, standard: str, ring_hz: float) -> None:
    assert COUNTRIES[code].caller_id[0] == standard
    assert COUNTRIES[code].ringing.frequencies_hz[0] == ring_hz


def test_facts_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        COUNTRIES["de"].mains_hz = 60  # type: ignore[misc]
