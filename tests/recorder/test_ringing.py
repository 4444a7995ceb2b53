"""Every burst of ringing is heard, whatever the coupler leaves of it; hum and speech never are."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from appliance.recorder.ear.countries import COUNTRIES, Country
from appliance.recorder.ear.ringing import RingChange, RingListener
from appliance.recorder.ear.signals import Pcm
from appliance.terms import BLOCK_FRAMES, RATE_HZ
from tests.simulators.line_tones import Sound, as_pcm, hum, ringing, silence, sines, white
from tests.simulators.talk import line_noise

BEFORE_S = 3.0
IN_BAND_DB = 10 * np.log10(30 / 4000)
"""Of white noise, so much lies between 20 Hz and 50 Hz."""

GERMANY = COUNTRIES["de"]
COUPLERS = {"sine": (1.0, 0.0), "clipped": (5.0, 0.0), "clicks": (5.0, 200.0)}
EVERY = pytest.mark.parametrize("country", COUNTRIES.values(), ids=list(COUNTRIES))


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(25)


def listen(line: npt.NDArray[Any], country: Country = GERMANY, block_frames: int = BLOCK_FRAMES) -> list[RingChange]:
    samples = as_pcm(line)
    ear = RingListener(country)
    parts = [ear.hear(samples[at : at + block_frames]) for at in range(0, len(samples), block_frames)]
    return [change for part in parts for change in part]


def rung(country: Country, hz: float, dbfs: float, coupler: str = "sine") -> Sound:
    """Two periods on a silent line."""
    cadence = country.ringing.cadences_s[0]
    clipped, high_pass_hz = COUPLERS[coupler]
    rings = ringing(hz, cadence, 2 * sum(cadence), dbfs, clipped=clipped, high_pass_hz=high_pass_hz)
    return np.concatenate((silence(BEFORE_S), rings, silence(1)))


def assert_rung(changes: list[RingChange], country: Country) -> None:
    edges = BEFORE_S + np.cumsum([0, *(country.ringing.cadences_s[0] * 2)[:-1]])
    assert [change.on for change in changes] == [True, False] * (len(edges) // 2)
    assert [change.at_frame / RATE_HZ for change in changes] == pytest.approx(edges, abs=0.1)


@EVERY
@pytest.mark.parametrize("coupler", COUPLERS)
def test_a_ring_is_heard_burst_by_burst(country: Country, coupler: str, random: np.random.Generator) -> None:
    for hz in country.ringing.frequencies_hz:
        if hz == country.mains_hz and coupler == "clicks":
            continue
        line = rung(country, hz, -40, coupler)
        assert_rung(listen(line + white(len(line), -60, random), country), country)


@EVERY
@pytest.mark.parametrize("coupler", COUPLERS)
def test_hum_20_db_above_a_ring_neither_hides_it_nor_is_one(
    country: Country, coupler: str, random: np.random.Generator
) -> None:
    hz = next(hz for hz in country.ringing.frequencies_hz if hz != country.mains_hz)
    line = rung(country, hz, -35, coupler)
    line += white(len(line), -65, random) + hum(len(line), country.mains_hz, -15, random, overtones_db=-30)
    assert_rung(listen(line, country), country)


@pytest.mark.parametrize("coupler", COUPLERS)
def test_a_ring_10_db_above_the_noise_of_its_band_is_heard(coupler: str, random: np.random.Generator) -> None:
    noise_dbfs = -55.0
    in_band_dbfs = noise_dbfs if coupler == "clicks" else noise_dbfs + IN_BAND_DB
    for _ in range(10):
        line = rung(GERMANY, 25, in_band_dbfs + 10, coupler)
        assert_rung(listen(line + white(len(line), noise_dbfs, random)), GERMANY)


def test_a_burst_is_told_while_it_lasts(random: np.random.Generator) -> None:
    line = rung(COUNTRIES["us"], 20, -40)[: round((BEFORE_S + 0.8) * RATE_HZ)]
    assert [change.on for change in listen(line + white(len(line), -60, random), COUNTRIES["us"])] == [True]


@pytest.mark.parametrize("burst_s", [0.3, 0.4, 1.0])
def test_a_burst_of_300_ms_is_enough(burst_s: float, random: np.random.Generator) -> None:
    line = np.concatenate((silence(BEFORE_S), sines([25], burst_s, -40), silence(2)))
    changes = listen(line + white(len(line), -60, random))
    assert [change.on for change in changes] == [True, False]
    assert changes[1].at_frame / RATE_HZ == pytest.approx(BEFORE_S + burst_s, abs=0.06)


@pytest.mark.parametrize("hz", [23, 24, 26, 27])
def test_exchanges_need_not_ring_with_25_hz_exactly(hz: float, random: np.random.Generator) -> None:
    line = rung(GERMANY, hz, -40)
    assert_rung(listen(line + white(len(line), -60, random)), GERMANY)


@EVERY
def test_hum_that_begins_and_stays_is_no_ring(country: Country, random: np.random.Generator) -> None:
    for overtones_db in (-60, -20, -3):
        line = np.concatenate((silence(5), hum(20 * RATE_HZ, country.mains_hz, -20, random, overtones_db=overtones_db)))
        assert listen(line + white(len(line), -65, random), country) == []


def test_hum_that_wanders_is_no_ring(random: np.random.Generator) -> None:
    time = np.arange(60 * RATE_HZ) / RATE_HZ
    swelling = 1 + 0.3 * np.sin(2 * np.pi * 0.7 * time)
    wandering = np.sin(2 * np.pi * 50 * time + 0.3 * np.sin(2 * np.pi * 0.1 * time))
    assert listen(0.1 * swelling * wandering + white(len(time), -65, random)) == []


@EVERY
def test_speech_is_no_ring(country: Country, spoken: Pcm) -> None:
    assert listen(np.tile(spoken, 6), country) == []


@EVERY
def test_noise_is_no_ring(country: Country, random: np.random.Generator) -> None:
    assert listen(white(120 * RATE_HZ, -45, random), country) == []


@pytest.mark.parametrize("hz", [425, 1000, 2100])
def test_a_tone_is_no_ring(hz: float, random: np.random.Generator) -> None:
    line = np.tile(np.concatenate((sines([hz], 1.0, -15), silence(4))), 3)
    assert listen(line + white(len(line), -60, random)) == []


def test_a_thump_is_no_ring(random: np.random.Generator) -> None:
    fades = np.exp(-np.arange(RATE_HZ) / 600)
    line = np.tile(np.concatenate((silence(3), 10 * sines([25], 1.0, -30) * fades)), 5)
    assert listen(line + white(len(line), -60, random)) == []


def test_who_rings_for_ten_seconds_on_end_does_not_ring(random: np.random.Generator) -> None:
    line = np.concatenate((silence(3), sines([25], 30, -40)))
    changes = listen(line + white(len(line), -60, random))
    assert [change.on for change in changes] == [True, False]
    assert changes[1].at_frame / RATE_HZ < 5


@pytest.mark.parametrize("block_frames", [77, 160, 801, 40_000])
def test_blocks_of_any_length_hear_the_same(block_frames: int, random: np.random.Generator) -> None:
    line = rung(COUNTRIES["uk"], 25, -40, "clipped")
    line += white(len(line), -58, random)
    usual = listen(line, COUNTRIES["uk"])
    assert len(usual) == 8
    assert listen(line, COUNTRIES["uk"], block_frames) == usual


def ringing_after(line: npt.NDArray[Any], country: Country = GERMANY) -> list[bool]:
    """After each block."""
    samples = as_pcm(line)
    ear = RingListener(country)
    ringing = []
    for at in range(0, len(samples) - BLOCK_FRAMES + 1, BLOCK_FRAMES):
        ear.hear(samples[at : at + BLOCK_FRAMES])
        ringing.append(ear.ringing)
    return ringing


@pytest.mark.parametrize(("coupler", "known_after_s"), [("sine", 0.6), ("clipped", 0.6), ("clicks", 0.25)])
def test_a_burst_is_on_before_it_is_certain(coupler: str, known_after_s: float, random: np.random.Generator) -> None:
    begins, known = round(BEFORE_S * 10), round((BEFORE_S + known_after_s) * 10)
    for late_ms in range(0, 100, 20):
        line = np.concatenate((silence(late_ms / 1000), rung(GERMANY, 25, -40, coupler)))
        ringing = ringing_after(line + white(len(line), -60, random))
        assert not any(ringing[:begins])
        assert all(ringing[known : begins + 10])
        assert sum(ringing[begins + 17 : begins + 45]) <= 4


def test_speech_does_not_ring_for_a_moment(spoken: Pcm) -> None:
    assert sum(ringing_after(np.tile(spoken, 3))) == 0


def test_pink_noise_that_sets_in_is_no_ring_as_fast_as_the_mains(random: np.random.Generator) -> None:
    """Somebody has picked up after a ring, and the line is noisier in use than idle."""
    for _ in range(16):
        ring = ringing(50, (), 1.5, -30, clipped=1.2)
        line = np.concatenate((silence(3), ring, silence(2.7), line_noise(4 * RATE_HZ, -35, "pink", random)))
        changes = listen(line + white(len(line), -65, random), COUNTRIES["fr"])
        assert [change.on for change in changes] == [True, False]


def test_a_ring_whose_tone_is_over_is_over_before_its_end_is_told(random: np.random.Generator) -> None:
    line = np.concatenate((silence(3), sines([25], 1.0, -25), silence(1)))
    samples = as_pcm(line + white(len(line), -60, random))
    ear = RingListener(GERMANY)
    rings = []
    for at in range(0, len(samples), BLOCK_FRAMES):
        ear.hear(samples[at : at + BLOCK_FRAMES])
        rings += [at] if ear.ringing else []
    assert max(rings) + BLOCK_FRAMES <= 4.2 * RATE_HZ
    assert min(rings) < 3.5 * RATE_HZ


def test_a_click_after_the_end_of_a_soft_ring_is_not_taken_for_it(random: np.random.Generator) -> None:
    """Somebody lifts the receiver 0.2 s after a ring, of which nothing but 25 Hz gets through."""
    line = np.concatenate((silence(3), sines([25], 1.0, -25), silence(1)))
    line[round(4.22 * RATE_HZ) :][:400] += 0.2 * np.exp(-np.arange(400) / 100) * np.cos(np.arange(400) / 4)
    samples = as_pcm(line + white(len(line), -60, random))
    ear = RingListener(GERMANY)
    for at in range(0, round(4.3 * RATE_HZ), BLOCK_FRAMES):
        ear.hear(samples[at : at + BLOCK_FRAMES])
    assert not ear.ringing


@pytest.mark.parametrize("high_pass_hz", [0.0, 200.0])
def test_a_lone_short_burst_as_fast_as_the_mains_is_a_ring_where_it_is_as_loud_as_speech(
    high_pass_hz: float, random: np.random.Generator
) -> None:
    for dbfs, edges in ((-25, [True, False]), (-52, [])):
        burst = ringing(50, (), 0.53, dbfs, clipped=4, high_pass_hz=high_pass_hz)
        line = np.concatenate((silence(7), burst, silence(2)))
        changes = listen(line + white(len(line), -75, random), COUNTRIES["fr"])
        assert [change.on for change in changes] == edges


def test_hum_that_was_there_when_the_line_was_opened_is_no_lone_ring(random: np.random.Generator) -> None:
    for _ in range(20):
        line = line_noise(8 * RATE_HZ, -35, "pink", random) + hum(8 * RATE_HZ, 50, -42, random, overtones_db=-30)
        assert listen(line, COUNTRIES["nl"]) == []
