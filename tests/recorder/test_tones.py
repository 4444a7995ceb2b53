"""Tones are heard by name, in noise and hum, and nothing that is spoken or played is taken for one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from appliance.recorder.ear.countries import COUNTRIES, Country, InformationTone, Tone
from appliance.recorder.ear.signals import Pcm
from appliance.recorder.ear.tones import ToneChange, ToneListener
from appliance.terms import BLOCK_FRAMES, RATE_HZ
from tests.simulators.line_tones import (
    Sound,
    as_pcm,
    babble,
    hum,
    information_tone,
    silence,
    sines,
    tone,
    white,
)

BEFORE_S = 1.1
AFTER_S = 7.0

GERMANY = COUNTRIES["de"]
EVERY_TONE = pytest.mark.parametrize(
    ("country", "wanted"),
    [(country, wanted) for country in COUNTRIES.values() for wanted in country.tones],
    ids=lambda part: part.code if isinstance(part, Country) else f"{part.name}-{part.frequencies_hz}-{part.cadence_s}",
)
CNG = Tone(name="dial", frequencies_hz=(1100,), cadence_s=(0.5, 3.0))


def german(name: str) -> Tone:
    return next(tone for tone in GERMANY.tones if tone.name == name)


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(180)


def listen(line: npt.NDArray[Any], country: Country = GERMANY, block_frames: int = BLOCK_FRAMES) -> list[ToneChange]:
    samples = as_pcm(line)
    ear = ToneListener(country)
    parts = [ear.hear(samples[at : at + block_frames]) for at in range(0, len(samples), block_frames)]
    return [change for part in parts for change in part]


def on_a_line(sound: Sound, noise_dbfs: float = -60.0) -> Sound:
    line = np.concatenate((silence(BEFORE_S), sound, silence(AFTER_S)))
    return line + white(len(line), noise_dbfs, np.random.default_rng(35))


def sounding(wanted: Tone, dbfs: float = -20, *, pitch: float = 1.0, tempo: float = 1.0) -> Sound:
    """Four periods, until the end of the last burst."""
    seconds = 4 * sum(wanted.cadence_s) * tempo if wanted.cadence_s else 4.0
    sound = tone(wanted, seconds, dbfs, pitch=pitch, tempo=tempo)
    return sound[: np.flatnonzero(sound)[-1] + 1]


def assert_heard(changes: list[ToneChange], name: str, sound: Sound, within_s: float = 0.06) -> None:
    assert [(change.name, change.on) for change in changes] == [(name, True), (name, False)]
    assert changes[0].at_frame / RATE_HZ == pytest.approx(BEFORE_S, abs=within_s)
    assert changes[1].at_frame / RATE_HZ == pytest.approx(BEFORE_S + len(sound) / RATE_HZ, abs=within_s)


@EVERY_TONE
def test_a_tone_of_a_country_is_heard_once_from_beginning_to_end(country: Country, wanted: Tone) -> None:
    sound = sounding(wanted)
    assert_heard(listen(on_a_line(sound), country), wanted.name, sound)


@EVERY_TONE
def test_a_tone_6_db_above_white_noise_with_hum_20_db_above_it_is_heard(country: Country, wanted: Tone) -> None:
    sound = sounding(wanted, -25)
    line = on_a_line(sound, -31)
    line += hum(len(line), country.mains_hz, -5, np.random.default_rng(50))
    assert_heard(listen(line, country), wanted.name, sound)


@pytest.mark.parametrize("country", COUNTRIES.values(), ids=list(COUNTRIES))
def test_each_information_tone_is_heard(country: Country) -> None:
    for wanted in country.information_tones:
        sound = information_tone(wanted, -20)
        ends = np.flatnonzero(sound)[-1] + 1
        assert_heard(listen(on_a_line(sound), country), "sit", sound[:ends], 0.1)


@pytest.mark.parametrize("dbfs", [-10, -27, -35])
@pytest.mark.parametrize("name", ["dial", "ringback", "busy", "congestion"])
def test_level_does_not_matter(name: str, dbfs: float) -> None:
    sound = sounding(german(name), dbfs)
    assert_heard(listen(on_a_line(sound, dbfs - 15)), name, sound)


@pytest.mark.parametrize(("pitch", "tempo"), [(0.98, 1), (1.02, 1), (1, 0.86), (1, 1.14)])
@pytest.mark.parametrize("name", ["ringback", "busy", "congestion"])
def test_exchanges_may_be_off_by_2_percent_in_pitch_and_nearly_15_in_cadence(
    name: str, pitch: float, tempo: float
) -> None:
    sound = sounding(german(name), pitch=pitch, tempo=tempo)
    assert_heard(listen(on_a_line(sound)), name, sound)


@pytest.mark.parametrize("name", ["busy", "congestion", "ringback"])
def test_babble_6_db_below_hides_no_tone(name: str, spoken: Pcm, random: np.random.Generator) -> None:
    voices = [spoken / 32768.0, spoken[::-1] / 32768.0]
    for _ in range(4):
        periods = np.ceil(5 / sum(german(name).cadence_s)) + 1
        sound = tone(german(name), periods * sum(german(name).cadence_s), -20)
        line = on_a_line(sound)
        line += babble(len(line), -26, voices, random)
        names = [(change.name, change.on) for change in listen(line)]
        assert names == [(name, True), (name, False)]


@pytest.mark.parametrize(("name", "periods"), [("busy", 2), ("congestion", 3)])
def test_what_ends_a_call_is_not_told_before_two_whole_periods_and_a_second(name: str, periods: int) -> None:
    wanted = german(name)
    whole_s = periods * sum(wanted.cadence_s)
    assert listen(on_a_line(tone(wanted, whole_s, -20))) == []
    the_next_has_begun = tone(wanted, whole_s + 0.15, -20)
    assert [change.name for change in listen(on_a_line(the_next_has_begun))] == [name, name]


def test_ringback_is_told_after_one_burst_and_its_pause() -> None:
    sound = sines([425], 1.0, -20)
    assert_heard(listen(on_a_line(sound)), "ringback", sound)


def test_dial_tone_that_is_dialled_into_after_a_second_is_no_ringback() -> None:
    digits = np.concatenate([np.concatenate((sines([770, 1336], 0.1, -12), silence(0.1))) for _ in range(11)])
    assert listen(on_a_line(np.concatenate((sines([425], 1.0, -20), silence(0.3), digits)))) == []


def test_ringback_that_turns_into_busy_is_both() -> None:
    ringback, busy = tone(german("ringback"), 10.0, -20), tone(german("busy"), 4.0, -20)
    names = [(change.name, change.on) for change in listen(on_a_line(np.concatenate((ringback, busy))))]
    assert names == [("ringback", True), ("ringback", False), ("busy", True), ("busy", False)]


@pytest.mark.parametrize(
    "cadence_s", [(0.2, 0.2, 0.2, 5.0), (0.24, 0.24, 0.24, 1.28), (0.15, 0.15, 0.15, 8.0)], ids=str
)
def test_tones_within_a_call_do_not_end_it(cadence_s: tuple[float, ...]) -> None:
    """Call waiting, an operator who listens, and holding tone (ITU-T E.180 supplement 2, Germany)."""
    within = Tone(name="busy", frequencies_hz=(425,), cadence_s=cadence_s)
    assert listen(on_a_line(tone(within, 25, -20))) == []


def test_a_tone_far_off_pitch_is_not_heard() -> None:
    assert listen(on_a_line(tone(Tone(name="busy", frequencies_hz=(470,), cadence_s=(0.48, 0.48)), 8, -20))) == []


def test_a_dial_tone_of_ten_minutes_is_one_tone() -> None:
    sound = sines([425], 600.0, -20)
    assert_heard(listen(on_a_line(sound)), "dial", sound)


def test_notes_in_the_wrong_order_are_no_information_tone() -> None:
    assert listen(on_a_line(information_tone(InformationTone(notes_hz=(1800, 1400, 950)), -20))) == []


def test_a_calling_fax_is_heard_after_its_first_pause() -> None:
    changes = listen(on_a_line(tone(CNG, 7.5, -20)))
    assert [(change.name, change.on) for change in changes] == [("fax", True), ("fax", False)]
    assert changes[0].at_frame / RATE_HZ == pytest.approx(BEFORE_S, abs=0.06)


def test_an_answering_fax_or_modem_is_heard() -> None:
    sound = sines([2100], 3.0, -20)
    assert_heard(listen(on_a_line(sound)), "fax", sound)


def test_an_answering_modem_that_turns_its_phase_is_heard_through_the_turns() -> None:
    sound = np.concatenate([sines([2100], 0.45, -20, phase=np.pi * (turn % 2)) for turn in range(7)])
    assert_heard(listen(on_a_line(sound)), "fax", sound)


@pytest.mark.parametrize("country", COUNTRIES.values(), ids=list(COUNTRIES))
def test_speech_is_no_tone(country: Country, spoken: Pcm) -> None:
    assert listen(np.tile(spoken, 12), country) == []


def test_noise_hum_and_silence_are_no_tone(random: np.random.Generator) -> None:
    frames = 60 * RATE_HZ
    for line in (np.zeros(frames), white(frames, -20, random), hum(frames, 50, -10, random, overtones_db=-10)):
        assert listen(line) == []


def test_a_tune_that_comes_back_to_its_note_is_no_busy_tone() -> None:
    tune = np.concatenate([sines([hz], 0.5, -20) for hz in (425, 330)])
    assert listen(on_a_line(np.tile(tune, 10))) == []


def test_notes_of_music_that_swell_and_fade_are_no_busy_tone() -> None:
    note = sines([425, 850, 1275], 0.48, -20) * np.exp(-np.arange(round(0.48 * RATE_HZ)) / 1500)
    assert listen(on_a_line(np.tile(np.concatenate((note, silence(0.48))), 10))) == []


def tonal_share(line: Pcm, country: Country) -> float:
    ear = ToneListener(country)
    seen = []
    for at in range(0, len(line), BLOCK_FRAMES):
        ear.hear(line[at : at + BLOCK_FRAMES])
        seen.append(ear.tonal)
    return float(np.mean(seen[2:]))


@EVERY_TONE
def test_a_tone_is_tonal_within_200_ms_long_before_its_name_is_known(country: Country, wanted: Tone) -> None:
    line = sines(wanted.frequencies_hz, 3.0, -20) + white(3 * RATE_HZ, -28, np.random.default_rng(1))
    assert tonal_share(as_pcm(line), country) >= 0.9


@pytest.mark.parametrize("country", COUNTRIES.values(), ids=list(COUNTRIES))
def test_speech_is_hardly_ever_tonal(country: Country, spoken: Pcm) -> None:
    assert tonal_share(np.tile(spoken, 4), country) < 0.03


@pytest.mark.parametrize("block_frames", [1, 77, 160, 801, 40_000])
def test_blocks_of_any_length_hear_the_same(block_frames: int, spoken: Pcm) -> None:
    parts: list[Callable[[], Sound]] = [
        lambda: tone(german("busy"), 3.5, -20),
        lambda: spoken[: 4 * RATE_HZ] / 32768.0,
        lambda: information_tone(GERMANY.information_tones[0], -25),
    ]
    line = on_a_line(np.concatenate([part() for part in parts]), -45)[: 14 * RATE_HZ]
    usual = listen(line)
    assert {change.name for change in usual} == {"busy", "sit"}
    assert listen(line, block_frames=block_frames) == usual


@pytest.mark.parametrize("name", ["dial", "ringback", "busy"])
def test_what_is_too_quiet_to_be_looked_at_holds_no_tone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [on_a_line(sounding(german(name), dbfs), noise_dbfs=-62) for dbfs in (-35, -42, -46, -48, -50, -52)]
    line = np.concatenate(lines)
    usual = listen(line)
    assert len(usual) >= 4
    monkeypatch.setattr("appliance.recorder.ear.tones._TOO_QUIET", -1.0)
    assert listen(line) == usual


def test_a_cadence_of_two_bursts_is_told_when_the_first_of_them_has_come_again() -> None:
    britain = COUNTRIES["uk"]
    (congestion,) = (each for each in britain.tones if each.name == "congestion")
    assert listen(on_a_line(tone(congestion, 1.9, -20)), britain) == []
    assert [change.name for change in listen(on_a_line(tone(congestion, 2.7, -20)), britain)] == ["congestion"] * 2


def test_a_tone_that_is_cut_in_its_last_burst_ends_there() -> None:
    sound = tone(german("busy"), 5 * sum(german("busy").cadence_s) + 0.07, -20)
    assert_heard(listen(on_a_line(sound)), "busy", sound)


def test_voices_after_a_tone_do_not_pass_for_its_next_burst(spoken: Pcm, random: np.random.Generator) -> None:
    voices = [spoken / 32768.0, spoken[::-1] / 32768.0]
    for name in ("busy", "congestion"):
        on_s, off_s = german(name).cadence_s
        sound = tone(german(name), 5 * (on_s + off_s) + on_s, -20)
        for _ in range(6):
            line = on_a_line(sound)
            line += babble(len(line), -32, voices, random)
            assert_heard(listen(line), name, sound, within_s=0.1)
