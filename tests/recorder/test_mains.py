"""A hum of the mains is taken out, and nothing else is."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.recorder.ear.mains import Mains, Reals
from appliance.terms import BLOCK_FRAMES, RATE_HZ
from tests.simulators.key_tones import Sound, hum, steady, white

MEMORY = BLOCK_FRAMES + 60
SPARED_HZ = np.array([697, 1209])


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(20261129)


def without_hum(sound: Sound | Reals) -> Reals:
    """What is left of each block, heard block by block."""
    mains = Mains(MEMORY, SPARED_HZ)
    heard = np.concatenate((np.zeros(MEMORY, np.float32), sound.astype(np.float32)))
    blocks = range(0, len(sound) - BLOCK_FRAMES + 1, BLOCK_FRAMES)
    return np.concatenate([mains.take_out(heard[at : at + MEMORY + BLOCK_FRAMES])[MEMORY:] for at in blocks])


def power_db(sound: Sound | Reals, than: Sound | Reals) -> float:
    return float(10 * np.log10(np.mean(sound.astype(np.float64) ** 2) / np.mean(than.astype(np.float64) ** 2)))


@pytest.mark.parametrize("hz", [49.9, 50, 50.1, 59.9, 60, 60.05])
def test_a_hum_is_gone_after_a_second_though_the_mains_are_off_their_frequency(
    hz: float, random: np.random.Generator
) -> None:
    sound = hum(4 * RATE_HZ, 1e6, random, hz) + white(4 * RATE_HZ, 1e2, random)
    left = without_hum(sound)
    assert power_db(left[RATE_HZ:], sound[RATE_HZ:]) < -30


def test_what_sounds_beside_the_hum_stays_as_it_is(random: np.random.Generator) -> None:
    noise = white(4 * RATE_HZ, 1e5, random)
    left = without_hum(hum(len(noise), 1e6, random) + noise)
    assert power_db((left - noise)[RATE_HZ:], noise) < -9
    assert abs(power_db(left[RATE_HZ:], noise)) < 0.5


def test_a_line_beside_a_tone_of_a_key_stays_and_another_overtone_goes(random: np.random.Generator) -> None:
    loud = hum(4 * RATE_HZ, 1e6, random)
    beside, other = (steady((hz,), 4, -30) for hz in (700, 800))
    assert abs(power_db(without_hum(loud + beside)[RATE_HZ:], beside)) < 0.5
    assert power_db(without_hum(loud + other)[RATE_HZ:], other) < -15


def test_a_hum_that_stops_or_begins_makes_no_block_louder(random: np.random.Generator) -> None:
    sound = hum(8 * RATE_HZ, 1e6, random) + white(8 * RATE_HZ, 1e2, random)
    sound[2 * RATE_HZ + 300 : 4 * RATE_HZ + 500] *= 0.01
    left = without_hum(sound)
    before, after = (np.sum(each.reshape(-1, BLOCK_FRAMES) ** 2, 1) for each in (sound, left))
    assert (after < 1.1 * before).all()
    assert after[-1] < 0.01 * before[-1]


def test_what_is_no_hum_is_handed_back_untouched(random: np.random.Generator) -> None:
    sound = white(4 * RATE_HZ, 1e6, random)
    np.testing.assert_array_equal(without_hum(sound), sound.astype(np.float32))


def test_many_blocks_at_once_are_the_same_as_one_by_one(random: np.random.Generator) -> None:
    sound = hum(4 * RATE_HZ, 1e6, random) + white(4 * RATE_HZ, 1e5, random)
    sound[RATE_HZ : 2 * RATE_HZ] += white(RATE_HZ, 1e8, random)
    heard = np.concatenate((np.zeros(MEMORY, np.float32), sound.astype(np.float32)))
    np.testing.assert_array_equal(Mains(MEMORY, SPARED_HZ).take_out(heard)[MEMORY:], without_hum(sound))


def test_a_quiet_line_forgets_the_hum(random: np.random.Generator) -> None:
    sound = hum(2 * RATE_HZ, 1e6, random).astype(np.float32)
    mains = Mains(BLOCK_FRAMES, SPARED_HZ)
    assert power_db(mains.take_out(sound)[-BLOCK_FRAMES:], sound) < -30
    mains.forget()
    np.testing.assert_array_equal(mains.take_out(sound[: 2 * BLOCK_FRAMES]), sound[: 2 * BLOCK_FRAMES])
