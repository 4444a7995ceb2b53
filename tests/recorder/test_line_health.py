"""What is wrong with a line is said once, with advice; a healthy one gives no reason to."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.recorder.ear.countries import COUNTRIES
from appliance.recorder.ear.signals import Pcm, Signals
from appliance.recorder.line_health import BEST_SPEECH_DBFS, Ailment, HealthRules, LineHealth
from appliance.settings import COUNTRY_CODES, CountryCode
from appliance.terms import BLOCK_FRAMES, RATE_HZ
from tests.simulators.caller_id_tones import V23, Caller, call_setup, fsk
from tests.simulators.line_tones import Sound, amplitude, as_pcm, hum, ringing, silence, tone, white
from tests.simulators.voices import HUMANS, human, talking

NOISE_DBFS = -65.0


class Listener:
    """A line that is listened to. `told`: each sentence, and "" when it was over, once."""

    def __init__(self, rules: HealthRules | None = None) -> None:
        self._signals = Signals(12.0)
        self.health = LineHealth(rules)
        self.told: list[str] = []

    def hear(self, sound: Sound | Pcm, block_frames: int = BLOCK_FRAMES, *, exchange_sounds: bool = False) -> None:
        samples = as_pcm(sound)
        for at in range(0, samples.size, block_frames):
            block = samples[at : at + block_frames]
            said = self.health.hear(block, self._signals.hear(block), exchange_sounds=exchange_sounds)
            if said != (self.told[-1] if self.told else ""):
                self.told.append(said)

    @property
    def found(self) -> list[Ailment]:
        return list(self.health.found)


def random(seed: int = 20261128) -> np.random.Generator:
    return np.random.default_rng(seed)


def noise(seconds: float, dbfs: float = NOISE_DBFS) -> Sound:
    few = white(min(round(seconds * RATE_HZ), 61 * RATE_HZ), dbfs, random())
    return np.resize(few, round(seconds * RATE_HZ))


def voice(seconds: float, dbfs: float, speaker: str = HUMANS[0]) -> Sound:
    """Words with their pauses; `dbfs` is the level of what is not pause."""
    said = human(speaker)
    louder = amplitude(dbfs) / np.sqrt(np.mean(talking(said).astype(np.float64) ** 2))
    sound: Sound = np.resize(said, round(seconds * RATE_HZ)) * louder
    return sound


def line(seconds: float, dbfs: float = BEST_SPEECH_DBFS, speaker: str = HUMANS[0]) -> Sound:
    """A healthy one: speech in its usual noise."""
    return voice(seconds, dbfs, speaker) + noise(seconds)


@pytest.mark.parametrize("speaker", HUMANS)
def test_a_healthy_line_is_told_nothing_about(speaker: str) -> None:
    listener = Listener()
    listener.hear(np.concatenate((noise(60), line(120, speaker=speaker), noise(60))))
    assert listener.told == []
    assert listener.health.speech_dbfs == pytest.approx(BEST_SPEECH_DBFS, abs=1.5)


def test_tones_and_ringing_of_any_level_are_no_ailment_of_the_line() -> None:
    listener = Listener()
    germany = COUNTRIES["de"]
    for wanted in germany.tones:
        listener.hear(tone(wanted, 90, -3) + noise(90), exchange_sounds=True)
    listener.hear(ringing(25, (1, 4), 120, -4, clipped=10) + noise(120))
    assert listener.told == []


def test_a_modem_is_not_taken_for_loud_speech() -> None:
    listener = Listener(HealthRules(speech_s=3))
    for _ in range(6):
        caller_id = fsk(call_setup(Caller(number=b"03023125471")), V23)
        listener.hear(np.concatenate((noise(3), caller_id / np.abs(caller_id).max() / 4, noise(3.5))))
    assert listener.told == []
    listener.hear(line(20))
    assert listener.told == []


@pytest.mark.parametrize("country", COUNTRY_CODES)
def test_a_dial_tone_is_no_hum_even_when_nobody_knows_that_it_is_a_tone(country: CountryCode) -> None:
    listener = Listener()
    dial = next(tone for tone in COUNTRIES[country].tones if tone.name == "dial")
    listener.hear(tone(dial, 120, -15) + noise(120))
    assert Ailment.HUM not in listener.found


@pytest.mark.parametrize("value", [0, -1, 700])
def test_a_dead_input_is_told_after_30_seconds_and_taken_back_with_the_first_second_of_life(value: int) -> None:
    listener = Listener()
    listener.hear(noise(20))
    listener.hear(np.full(29 * RATE_HZ, value, np.int16))
    assert listener.told == []
    listener.hear(np.full(2 * RATE_HZ, value, np.int16))
    assert listener.found == [Ailment.DEAD]
    listener.hear(noise(2))
    assert listener.found == []
    assert len(listener.told) == 2
    assert "30 seconds" in listener.told[0]


def test_an_input_whose_line_was_pulled_out_is_dead_though_the_card_makes_its_own_noise() -> None:
    listener = Listener()
    for _ in range(31):
        listener.hear(np.concatenate((line(20), noise(100))), block_frames=8000)
    listener.hear(noise(29, -85))
    assert listener.found == []
    listener.hear(noise(3, -85))
    assert listener.found == [Ailment.DEAD]
    listener.hear(noise(3))
    assert listener.found == []


def test_a_line_that_became_quieter_for_good_is_not_called_dead_after_each_call() -> None:
    listener = Listener()
    for _ in range(31):
        listener.hear(np.concatenate((line(20), noise(100))), block_frames=8000)
    listener.hear(noise(40, -85), block_frames=8000)
    assert listener.found == [Ailment.DEAD]
    listener.hear(np.concatenate((voice(20, BEST_SPEECH_DBFS) + noise(20, -85), noise(60, -85))))
    assert listener.found == []


def test_a_line_on_which_nobody_was_heard_for_days_is_told_of_until_somebody_is() -> None:
    listener = Listener(HealthRules(quiet_after_s=3600))
    listener.hear(noise(4000), block_frames=8000)
    assert listener.found == []  # it never was alive
    listener.hear(line(10))
    listener.hear(noise(3500), block_frames=8000)
    assert listener.found == []
    listener.hear(noise(200), block_frames=8000)
    assert listener.found == [Ailment.QUIET]
    assert "0.042 days" in listener.told[-1]
    listener.hear(line(5))
    assert listener.found == []


def test_speech_that_is_cut_off_is_told_with_how_much_lower_it_should_be() -> None:
    listener = Listener()
    listener.hear(line(150, -8))
    assert listener.found == [Ailment.CLIPPING, Ailment.TOO_LOUD]
    assert "dB lower" in listener.told[0]
    listener.hear(line(600))
    assert listener.found == []


@pytest.mark.parametrize(("dbfs", "ailment"), [(-12, Ailment.TOO_LOUD), (-42, Ailment.TOO_SOFT)])
def test_a_wrong_level_is_told_with_the_decibels_to_change(dbfs: float, ailment: Ailment) -> None:
    listener = Listener()
    listener.hear(np.clip(line(200, dbfs), -0.99, 0.99))
    assert listener.found == [ailment]
    words = {Ailment.TOO_LOUD: "lower", Ailment.TOO_SOFT: "higher"}
    by_db = abs(dbfs - BEST_SPEECH_DBFS)
    assert any(f"{by_db + error:.0f} dB {words[ailment]}" in listener.told[0] for error in (-1, 0, 1))


def test_a_level_at_the_limit_does_not_flicker() -> None:
    listener = Listener()
    for dbfs in (-13.5, -14.5, -13.5, -14.5, -13.5, -14.5):
        listener.hear(np.clip(line(100, dbfs), -0.99, 0.99))
    assert len(listener.told) <= 1


@pytest.mark.parametrize("half", [np.maximum, np.minimum])
@pytest.mark.parametrize("blocks_direct_current", [False, True])
def test_half_a_wave_is_told_of(half: np.ufunc, *, blocks_direct_current: bool) -> None:
    listener = Listener()
    said = half(voice(150, -20), 0)
    if blocks_direct_current:
        slowly = np.convolve(said, np.full(800, 1 / 800), mode="same")
        said = said - slowly
    listener.hear(said + noise(150))
    assert Ailment.HALF_WAVE in listener.found


@pytest.mark.parametrize("mains_hz", [50, 50.2, 59.9, 60])
@pytest.mark.parametrize(("dbfs", "overtones_db"), [(-20, -60), (-28, -6)])
def test_hum_is_told_with_its_frequency_and_taken_back_when_it_is_over(
    mains_hz: float, dbfs: float, overtones_db: float
) -> None:
    listener = Listener()
    call = np.concatenate((noise(26), line(8), noise(6)))
    listener.hear(hum(40 * RATE_HZ, mains_hz, dbfs, random(), overtones_db) + call)
    assert listener.found == [Ailment.HUM]
    assert f"({mains_hz:.0f} Hz" in listener.told[0]
    listener.hear(call)
    assert listener.found == []


@pytest.mark.parametrize(("dbfs", "overtones_db"), [(-40, -40), (-60, -6)])
def test_a_little_hum_hurts_nobody(dbfs: float, overtones_db: float) -> None:
    listener = Listener()
    listener.hear(hum(90 * RATE_HZ, 50, dbfs, random(), overtones_db) + np.concatenate((noise(30), line(60))))
    assert listener.told == []


def test_hum_that_comes_and_goes_does_not_flicker() -> None:
    listener = Listener()
    for _ in range(10):
        listener.hear(np.concatenate((hum(15 * RATE_HZ, 50, -15, random()), silence(5))) + noise(20))
    assert len(listener.told) == 1


@pytest.mark.parametrize("offset", [-0.08, 0.08])
def test_an_offset_is_told_with_its_sign(offset: float) -> None:
    listener = Listener()
    listener.hear(line(60) + offset)
    assert listener.found == [Ailment.OFFSET]
    assert f"{100 * offset:+.0f} %" in listener.told[0]
    listener.hear(line(30) + offset / 4)
    assert listener.found == []


def test_the_gravest_trouble_is_the_one_that_is_told() -> None:
    listener = Listener()
    listener.hear(noise(60) + 0.1)
    listener.hear(np.full(40 * RATE_HZ, 3000, np.int16))
    assert listener.found == [Ailment.DEAD, Ailment.OFFSET]
    assert "Nothing comes" in listener.told[-1]


@pytest.mark.parametrize("block_frames", [37, 800, 12_345, 8000 * 100])
def test_blocks_of_any_length_say_the_same(block_frames: int) -> None:
    listener = Listener(HealthRules(speech_s=10))
    listener.hear(np.clip(line(100, -10), -0.99, 0.99) + 0.0, block_frames=block_frames)
    assert Ailment.TOO_LOUD in listener.found


def test_every_sentence_says_what_is_safe_and_what_to_do() -> None:
    sentences = []
    for sound in (line(150, -8), line(150, -42), noise(90) + 0.1, hum(90 * RATE_HZ, 50, -15, random())):
        listener = Listener()
        listener.hear(sound)
        sentences += listener.told
    assert len(sentences) >= 4
    for sentence in sentences:
        assert "ecorded" in sentence
        assert sentence.endswith(".")
        assert "\n" not in sentence
