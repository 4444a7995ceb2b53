"""A key is heard once, soon, and whatever the line; a voice is no key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from appliance.recorder.ear.keys import DIGITS, Key, KeyListener
from appliance.recorder.ear.signals import Pcm
from appliance.terms import BLOCK_FRAMES, RATE_HZ
from tests.simulators import voices
from tests.simulators.key_tones import (
    Pressed,
    Sender,
    Sound,
    any_digits,
    babble,
    fsk,
    hum,
    sampled,
    steady,
    white,
)

KEYS = 150
MS = RATE_HZ // 1000


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(20261128)


@pytest.fixture(scope="module")
def talk() -> Pcm:
    """Six minutes of synthetic voices that press no key."""
    return np.concatenate(list(voices.synthetic(360, seed=5)))


def listen(sound: Sound | Pcm, block_frames: int = BLOCK_FRAMES) -> list[Key]:
    samples = sampled(sound.astype(np.float64))
    listener = KeyListener()
    return [
        key for at in range(0, len(samples), block_frames) for key in listener.hear(samples[at : at + block_frames])
    ]


def digits(keys: Sequence[Key | Pressed]) -> str:
    return "".join(key.digit for key in keys)


def missed(pressed: Sequence[Pressed], told: Sequence[Key]) -> int:
    """Keys not told, and keys told that were not pressed then."""
    found = {
        (key.first_frame, key.digit)
        for key in pressed
        for each in told
        if each.digit == key.digit and each.first_frame < key.end_frame and each.end_frame > key.first_frame
    }
    return len(pressed) - len(found) + len(told) - len(found)


def keys_after(frame: int, keys: Sequence[Any]) -> list[Any]:
    return [key for key in keys if key.first_frame > frame]


def with_noise(
    sender: Sender, snr_db: float, random: np.random.Generator, count: int = KEYS
) -> tuple[Sound, list[Pressed]]:
    sound, pressed = sender.press(any_digits(count, random), random)
    return sound + white(len(sound), sender.power / 10 ** (snr_db / 10), random), pressed


def test_every_key_is_told_by_its_digit(random: np.random.Generator) -> None:
    sound, _pressed = Sender().press(DIGITS, random)
    assert digits(listen(sound)) == DIGITS


def test_place_of_a_key_is_known_and_it_is_told_before_it_ends(random: np.random.Generator) -> None:
    sound, pressed = Sender(tone_ms=200).press(any_digits(KEYS, random), random)
    told = listen(sound)
    assert digits(told) == digits(pressed)
    for key, each in zip(pressed, told, strict=True):
        assert abs(each.first_frame - key.first_frame) <= 5 * MS
        assert 30 * MS <= each.end_frame - key.first_frame <= 50 * MS


def test_a_key_that_is_held_for_long_is_told_once(random: np.random.Generator) -> None:
    sound, _pressed = Sender(tone_ms=5000).press("5", random)
    assert digits(listen(sound)) == "5"


@pytest.mark.parametrize("snr_db", [6, 10, 20])
def test_shortest_keys_are_heard_in_white_noise(snr_db: float, random: np.random.Generator) -> None:
    sound, pressed = with_noise(Sender(tone_ms=40, pause_ms=40), snr_db, random)
    assert missed(pressed, listen(sound)) == 0


@pytest.mark.parametrize(("tone_ms", "snr_db"), [(40, 10), (70, 7)])
def test_keys_are_heard_amid_babble(tone_ms: float, snr_db: float, talk: Pcm, random: np.random.Generator) -> None:
    sender = Sender(tone_ms=tone_ms)
    sound, pressed = sender.press(any_digits(300, random), random)
    told = listen(sound + babble(voices.talking(talk), len(sound), sender.power / 10 ** (snr_db / 10), random))
    assert missed(pressed, told) <= 3


def test_keys_are_heard_through_a_hum_that_is_20_db_louder(random: np.random.Generator) -> None:
    """Its overtones are learned first, in the three seconds that are not counted."""
    sender = Sender(level_dbm0=-31)
    sound, pressed = with_noise(sender, 10, random)
    told = listen(sound + hum(len(sound), 100 * sender.power, random))
    assert missed(*(keys_after(3 * RATE_HZ, keys) for keys in (pressed, told))) == 0


def test_a_hum_that_has_just_begun_hides_no_key_either(random: np.random.Generator) -> None:
    sender = Sender(level_dbm0=-31)
    sound, pressed = sender.press(any_digits(30, random), random)
    told = listen(sound + white(len(sound), sender.power / 100, random) + hum(len(sound), 100 * sender.power, random))
    assert missed(pressed, told) == 0


@pytest.mark.parametrize(("hz", "most_missed"), [(50, 9), (50.1, 9), (60, 18)])
def test_keys_are_heard_amid_babble_under_a_hum_that_is_20_db_louder(
    hz: float, most_missed: int, talk: Pcm, random: np.random.Generator
) -> None:
    """Of 300; hum and voices add up as waves, so that taking out a hum's power alone leaves 21 missed, and 80 at 60 Hz,
    whose thirteenth overtone is too near to a key's tone to be taken out."""
    sender = Sender(level_dbm0=-31)
    sound, pressed = sender.press(any_digits(300, random), random)
    sound += babble(voices.talking(talk), len(sound), sender.power / 10**0.7, random)
    assert missed(pressed, listen(sound + hum(len(sound), 100 * sender.power, random, hz))) <= most_missed


@pytest.mark.parametrize(("digit", "tone_hz", "overtone_hz"), [("1", 697, 700), ("7", 852, 850), ("5", 1336, 1350)])
def test_a_held_key_whose_tone_lies_on_an_overtone_of_the_hum_is_told_once(
    digit: str, tone_hz: float, overtone_hz: float, random: np.random.Generator
) -> None:
    sender = Sender(level_dbm0=-25, tone_ms=5000, error=overtone_hz / tone_hz - 1)
    sound, _pressed = sender.press(digit, random)
    sound = np.concatenate((np.zeros(2 * RATE_HZ), sound))
    noise = white(len(sound), sender.power / 100, random)
    assert digits(listen(sound + noise + hum(len(sound), 100 * sender.power, random))) == digit


@pytest.mark.parametrize("at_ms", [0, 10, 20, 30])
def test_a_hum_that_begins_or_ends_in_the_middle_of_a_key_makes_no_other_key(
    at_ms: int, random: np.random.Generator
) -> None:
    sender = Sender(level_dbm0=-31)
    sound, pressed = sender.press(any_digits(60, random), random)
    loud = hum(len(sound), 100 * sender.power, random)
    for begins, ends in ((0, 20), (35, 50)):
        loud[pressed[begins].first_frame + at_ms * MS : pressed[ends].first_frame + at_ms * MS] = 0
    told = listen(sound + loud + white(len(sound), sender.power / 100, random))
    assert missed(pressed, told) <= 3
    assert len(told) <= len(pressed)


def test_speech_under_a_hum_is_no_key(talk: Pcm, random: np.random.Generator) -> None:
    voice = talk[: 120 * RATE_HZ].astype(np.float64)
    assert listen(voice + hum(len(voice), 1e7, random)) == []


def test_a_steady_whistle_is_learned_and_hides_no_key(random: np.random.Generator) -> None:
    """It lies between low and high tones, 3 dB above each. The first four seconds are not counted."""
    sender = Sender(tone_ms=70)
    sound, pressed = sender.press("3" * 60, random)
    whistle = steady((1050,), len(sound) / RATE_HZ, -10)[: len(sound)]
    told = listen(sound + whistle)
    assert missed(*(keys_after(4 * RATE_HZ, keys) for keys in (pressed, told))) <= 1


def test_a_key_is_heard_over_the_dial_tone(random: np.random.Generator) -> None:
    sender = Sender(tone_ms=70)
    sound, pressed = sender.press(any_digits(KEYS, random), random)
    assert missed(pressed, listen(sound + steady((425,), len(sound) / RATE_HZ, -13)[: len(sound)])) == 0


@pytest.mark.parametrize(("tone_ms", "least_percent"), [(70, 88), (200, 97)])
def test_keys_are_heard_while_the_far_voice_talks(
    tone_ms: float, least_percent: float, talk: Pcm, random: np.random.Generator
) -> None:
    """97 % and 100 % on the average; the voices are another espeak-ng's on another Debian."""
    sender = Sender(tone_ms=tone_ms, pause_ms=100)
    sound, pressed = sender.press(any_digits(200, random), random)
    over = babble(voices.talking(talk), len(sound), sender.power / 10**0.6, random, voices=1)
    assert missed(pressed, listen(sound + over)) <= 200 * (1 - least_percent / 100)


@pytest.mark.parametrize("level_dbm0", [-3, -10, -25, -40])
def test_loud_and_soft_keys_are_heard(level_dbm0: float, random: np.random.Generator) -> None:
    sound, pressed = with_noise(Sender(level_dbm0=level_dbm0), 20, random)
    assert missed(pressed, listen(sound)) == 0


def test_crosstalk_from_another_line_is_no_key(random: np.random.Generator) -> None:
    sound, _pressed = Sender(level_dbm0=-50).press(any_digits(KEYS, random), random)
    assert listen(sound) == []


@pytest.mark.parametrize("twist_db", [-8, 8])
def test_keys_with_unequal_tones_are_heard(twist_db: float, random: np.random.Generator) -> None:
    sound, pressed = with_noise(Sender(twist_db=twist_db), 15, random)
    assert missed(pressed, listen(sound)) == 0


@pytest.mark.parametrize("error", [-0.018, -0.015, 0.015, 0.018])
def test_tones_slightly_off_are_heard(error: float, random: np.random.Generator) -> None:
    sound, pressed = with_noise(Sender(error=error), 15, random)
    assert missed(pressed, listen(sound)) == 0


@pytest.mark.parametrize("error", [-0.05, -0.035, -0.03, 0.03, 0.035, 0.05])
def test_tones_far_off_are_no_keys(error: float, random: np.random.Generator) -> None:
    sound, _pressed = with_noise(Sender(error=error), 15, random)
    assert listen(sound) == []


@pytest.mark.parametrize("tone_ms", [5, 10, 20])
def test_what_is_too_short_is_no_key(tone_ms: float, random: np.random.Generator) -> None:
    sound, _pressed = with_noise(Sender(tone_ms=tone_ms), 20, random)
    assert listen(sound) == []


def test_one_tone_alone_is_no_key(random: np.random.Generator) -> None:
    tones = [steady((hz,), 0.2, -10) for hz in (697, 770, 852, 941, 1209, 1336, 1477, 1633)]
    sound = np.concatenate([part for tone in tones for part in (tone, np.zeros(800))])
    assert listen(sound + white(len(sound), 100, random)) == []


def test_the_same_key_twice_with_a_pause_of_40_ms_is_told_twice(random: np.random.Generator) -> None:
    sound, pressed = Sender(tone_ms=40, pause_ms=40).press("7" * 100, random)
    assert missed(pressed, listen(sound)) == 0


@pytest.mark.parametrize("fails_ms", [5, 10, 15])
def test_a_key_that_fails_for_a_moment_is_told_once(fails_ms: int, random: np.random.Generator) -> None:
    for at in range(0, 80, 7):
        sound, pressed = Sender(tone_ms=150).press("9", random)
        fails_at = pressed[0].first_frame + 60 * MS + at
        sound[fails_at : fails_at + fails_ms * MS] = 0
        assert digits(listen(sound)) == "9"


@pytest.mark.parametrize("delay_ms", [5, 20, 80, 300])
def test_an_echo_is_no_second_key(delay_ms: int, random: np.random.Generator) -> None:
    sound, pressed = Sender(tone_ms=60, pause_ms=450).press("1" + any_digits(20, random), random)
    sound[delay_ms * MS :] += 0.3 * sound[: -delay_ms * MS].copy()
    assert missed(pressed, listen(sound)) == 0


def test_keys_without_a_pause_are_told_one_by_one(random: np.random.Generator) -> None:
    sound = np.concatenate([Sender(tone_ms=80).key(digit, random) for digit in "1470*369#"])
    assert digits(listen(np.concatenate((sound, np.zeros(800))))) == "1470*369#"


def test_speech_is_no_key(talk: Pcm) -> None:
    assert listen(talk) == []


NO_KEYS = {
    "dial tone": steady((425,), 10, -10),
    "dial tone of North America": steady((350, 440), 10, -13),
    "busy tone of North America": steady((480, 620), 10, -13),
    "fax calls": steady((1100,), 10, -10),
    "fax answers": steady((2100,), 10, -10),
    "special information": np.concatenate([steady((hz,), 0.33, -10) for hz in (950, 1400, 1800)]),
    "a chord": steady((698.5, 880, 1046.5), 10, -16),
}


@pytest.mark.parametrize("name", NO_KEYS)
def test_tones_of_the_exchange_and_of_fax_are_no_keys(name: str) -> None:
    assert listen(NO_KEYS[name]) == []


@pytest.mark.parametrize(("space_hz", "mark_hz"), [(2100, 1300), (2200, 1200)])
def test_caller_id_of_the_exchange_is_no_key(space_hz: float, mark_hz: float, random: np.random.Generator) -> None:
    assert listen(fsk(random.integers(0, 2, 24000), 1200, space_hz, mark_hz, -14)) == []


def test_noise_and_clicks_are_no_keys(random: np.random.Generator) -> None:
    sound = white(60 * RATE_HZ, 1000**2, random)
    sound[random.integers(0, len(sound), 300)] = 32000
    assert listen(sound) == []


@pytest.mark.parametrize("block_frames", [1, 79, 160, 801, 4000, 10**6])
def test_blocks_of_any_length_hear_the_same(block_frames: int, talk: Pcm, random: np.random.Generator) -> None:
    sender = Sender(pause_ms=50)
    sound, _pressed = sender.press(any_digits(20, random), random)
    samples = sampled(sound + babble(voices.talking(talk), len(sound), sender.power / 10, random))
    usual = listen(samples)
    assert len(usual) >= 19
    assert listen(samples, block_frames) == usual
    under_hum = sampled(samples + hum(len(samples), 20 * sender.power, random))
    assert listen(under_hum, block_frames) == listen(under_hum)


def test_an_empty_block_changes_nothing(random: np.random.Generator) -> None:
    sound, _pressed = Sender().press("0", random)
    listener = KeyListener()
    assert listener.hear(np.empty(0, np.int16)) == []
    assert digits(listener.hear(sampled(sound))) == "0"


def pressing_after(samples: Pcm) -> list[bool]:
    """After each block."""
    listener = KeyListener()
    pressing = []
    for at in range(0, len(samples) - BLOCK_FRAMES + 1, BLOCK_FRAMES):
        listener.hear(samples[at : at + BLOCK_FRAMES])
        pressing.append(listener.pressing)
    return pressing


@pytest.mark.parametrize("began_ms", [45, 60, 80, 100])
def test_a_key_is_being_pressed_from_its_first_45_ms_on_until_it_ends(
    began_ms: int, random: np.random.Generator
) -> None:
    before = np.zeros(3 * BLOCK_FRAMES - began_ms * MS)
    key = Sender(tone_ms=2000).key("5", random)
    after = np.zeros(5 * BLOCK_FRAMES)
    pressing = pressing_after(sampled(np.concatenate((before, key, after))))
    assert pressing[:2] == [False] * 2
    assert pressing[2:22] == [True] * 20
    assert pressing[23:] == [False] * 4


def test_speech_does_not_press_for_longer_than_two_blocks(talk: Pcm) -> None:
    pressing = pressing_after(talk)
    assert sum(pressing) < 0.02 * len(pressing)
    assert not any(all(pressing[at : at + 3]) for at in range(len(pressing)))


def test_what_is_too_quiet_to_be_looked_at_holds_no_key(
    random: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    sounds = []
    for level_dbm0 in (-38.0, -42.0, -44.0, -46.0, -48.0):
        sounds.append(with_noise(Sender(level_dbm0=level_dbm0, tone_ms=70), 15, random, count=30)[0])
    usual = listen(np.concatenate(sounds))
    assert len(usual) > 80
    monkeypatch.setattr("appliance.recorder.ear.keys._QUIET", -1.0)
    assert listen(np.concatenate(sounds)) == usual
