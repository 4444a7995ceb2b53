"""Two sides of a line: who pressed a key, through sidetone, talk and echo; and what either side says is speech."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from appliance.recorder.ear.caller_id import CallerId
from appliance.recorder.ear.countries import COUNTRIES
from appliance.recorder.ear.keys import Key, Side
from appliance.recorder.ear.line_ear import LineEar
from appliance.recorder.ear.sides import TwoSidedKeys, TwoSidedSignals, mixed
from appliance.recorder.ear.signals import Pcm
from appliance.recorder.ear.tones import ToneChange
from appliance.recorder.line_health import TwoSidedHealth
from appliance.terms import BLOCK_FRAMES, RATE_HZ
from tests.simulators.caller_id_tones import V23, Caller, call_setup, fsk
from tests.simulators.key_tones import Sender, Sound, any_digits, sampled
from tests.simulators.two_sides import tapped

NOTHING = np.zeros(0)
SIDES = (Side.NEAR, Side.FAR)


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(20261128)


def sent_by(side: Side, sound: Sound, other: Sound = NOTHING, *, leak_db: float = -10.0) -> Pcm:
    near, far = (sound, other) if side is Side.NEAR else (other, sound)
    return tapped(near, far, leak_db=leak_db)


def heard(samples: Pcm, block: int = BLOCK_FRAMES) -> list[tuple[str, Side]]:
    ear = TwoSidedKeys()
    blocks = (samples[at : at + block] for at in range(0, len(samples), block))
    return [(key.digit, key.side) for each in blocks for key in ear.hear(each)]


def talk(spoken: Pcm, frames: int, dbfs: float) -> Sound:
    voice = np.resize(spoken, frames).astype(np.float64)
    return np.asarray(voice * (32768 * 10 ** (dbfs / 20) / np.sqrt(np.mean(voice**2))))


@pytest.mark.parametrize("leak_db", [-6, -12, -20, -60])
@pytest.mark.parametrize("side", SIDES)
def test_a_key_is_told_once_and_with_its_sender_through_sidetone(
    side: Side, leak_db: float, random: np.random.Generator
) -> None:
    digits = any_digits(60, random)
    sound, _pressed = Sender(tone_ms=70).press(digits, random)
    assert heard(sent_by(side, sound, leak_db=leak_db)) == [(digit, side) for digit in digits]


@pytest.mark.parametrize("side", SIDES)
def test_while_the_other_side_talks_a_sender_may_be_unclear_but_is_never_the_other_one(
    side: Side, spoken: Pcm, random: np.random.Generator
) -> None:
    digits = any_digits(120, random)
    sound, _pressed = Sender(tone_ms=100, pause_ms=300).press(digits, random)
    told = heard(sent_by(side, sound, talk(spoken, len(sound), -20), leak_db=-6))
    wrong = Side.FAR if side is Side.NEAR else Side.NEAR
    senders = [sender for _digit, sender in told]
    assert 118 <= len(told) <= 120
    assert wrong not in senders
    assert senders.count(side) > 110


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("delay_ms", [150, 300, 700])
def test_a_key_that_comes_back_from_the_other_end_is_no_key_of_that_side(
    side: Side, delay_ms: int, random: np.random.Generator
) -> None:
    sound, _pressed = Sender(tone_ms=100, pause_ms=1500).press("*711", random)
    echo = np.concatenate((np.zeros(delay_ms * RATE_HZ // 1000), sound * 10 ** (-8 / 20)))
    assert heard(sent_by(side, sound, echo, leak_db=-20)) == [(digit, side) for digit in "*711"]


def test_a_key_that_the_other_side_repeats_as_loud_is_unclear(random: np.random.Generator) -> None:
    sound, _pressed = Sender(tone_ms=100).press("1", random)
    again = np.concatenate((np.zeros(RATE_HZ * 4 // 10), sound))
    assert heard(tapped(sound, again)) == [("1", Side.NEAR), ("1", Side.UNCLEAR)]


def test_a_key_that_the_other_side_presses_later_is_its_own(random: np.random.Generator) -> None:
    sound, _pressed = Sender(tone_ms=100).press("1", random)
    later = np.concatenate((np.zeros(RATE_HZ * 3 // 2), sound / 2))
    assert heard(tapped(sound, later)) == [("1", Side.NEAR), ("1", Side.FAR)]


def test_the_same_key_from_both_at_once_is_one_of_which_nobody_knows_who_pressed_it(
    random: np.random.Generator,
) -> None:
    sound, _pressed = Sender(tone_ms=100).press("1", random)
    assert heard(tapped(sound, sound * 0.9, leak_db=-30)) == [("1", Side.UNCLEAR)]


def test_both_sides_press_in_turns_and_each_key_has_its_sender(random: np.random.Generator) -> None:
    near, _pressed = Sender(tone_ms=80, pause_ms=400).press("123", random)
    far, _pressed = Sender(tone_ms=80, pause_ms=400, level_dbm0=-20).press("456", random)
    far = np.concatenate((np.zeros(RATE_HZ // 4), far))
    told = heard(tapped(near, far, leak_db=-12))
    assert told == [
        ("1", Side.NEAR),
        ("4", Side.FAR),
        ("2", Side.NEAR),
        ("5", Side.FAR),
        ("3", Side.NEAR),
        ("6", Side.FAR),
    ]


def test_a_key_twice_in_quick_succession_is_told_twice(random: np.random.Generator) -> None:
    sound, _pressed = Sender(tone_ms=50, pause_ms=50).press("1122", random)
    assert heard(sent_by(Side.FAR, sound, leak_db=-6)) == [(digit, Side.FAR) for digit in "1122"]


@pytest.mark.parametrize("block", [160, 777, 100_000])
def test_blocks_of_any_length_hear_the_same_keys(block: int, random: np.random.Generator) -> None:
    sound, _pressed = Sender().press("1234", random)
    assert heard(sent_by(Side.FAR, sound), block) == [(digit, Side.FAR) for digit in "1234"]


@pytest.mark.parametrize("side", SIDES)
def test_who_speaks_on_either_side_speaks_on_the_line(side: Side, spoken: Pcm) -> None:
    voice = sent_by(side, spoken.astype(np.float64), leak_db=-15)
    ear = TwoSidedSignals(12.0)
    blocks = [ear.hear(voice[at : at + BLOCK_FRAMES]) for at in range(0, len(voice) - BLOCK_FRAMES, BLOCK_FRAMES)]
    assert sum(block.speech for block in blocks) > 0.8 * len(blocks)
    loud = next(block for block in blocks if block.level_dbfs > -25)
    assert loud.sides is not None
    near, far = loud.sides
    louder, softer = (near, far) if side is Side.NEAR else (far, near)
    assert louder.level_dbfs == loud.level_dbfs
    assert 10 < louder.level_dbfs - softer.level_dbfs < 20


def test_the_sum_of_both_sides_stays_within_its_limits() -> None:
    assert mixed(np.array([[30_000, 10_000], [-30_000, -10_000], [5, -7]], np.int16)).tolist() == [32767, -32768, -2]


def sounds_of(samples: Pcm, kind: type) -> list[object]:
    ear = LineEar(COUNTRIES["de"], channels=2)
    blocks = (samples[at : at + BLOCK_FRAMES] for at in range(0, len(samples), BLOCK_FRAMES))
    return [sound for block in blocks for sound in ear.hear(block).sounds if isinstance(sound, kind)]


@pytest.mark.parametrize(("side", "told"), [(Side.FAR, 1), (Side.NEAR, 0)])
def test_the_exchange_is_heard_on_the_far_side_only(side: Side, told: int) -> None:
    caller = fsk(call_setup(Caller(number=b"03023125471")), V23)
    sound = np.concatenate((np.zeros(RATE_HZ), caller * 3000 / np.abs(caller).max(), np.zeros(RATE_HZ)))
    assert len(sounds_of(sent_by(side, sound, leak_db=-40), CallerId)) == told
    time = np.arange(4 * RATE_HZ) / RATE_HZ
    busy = 3000 * np.sin(2 * np.pi * 425 * time) * (time % 0.96 < 0.48)
    changes = sounds_of(sent_by(side, busy, leak_db=-40), ToneChange)
    assert len([change for change in changes if isinstance(change, ToneChange) and change.name == "busy"]) >= told
    assert told or not changes


def test_a_number_that_the_own_side_dials_is_no_caller_id(random: np.random.Generator) -> None:
    """In the Netherlands the exchange sends it by keys, between D or A and C."""
    sound, _pressed = Sender(tone_ms=70, pause_ms=70).press("D0612345678C", random)
    ear = {side: LineEar(COUNTRIES["nl"], channels=2) for side in SIDES}
    told = {}
    for side in SIDES:
        samples = sent_by(side, sound)
        blocks = (samples[at : at + BLOCK_FRAMES] for at in range(0, len(samples), BLOCK_FRAMES))
        told[side] = [sound for block in blocks for sound in ear[side].hear(block).sounds]
    assert any(isinstance(each, CallerId) for each in told[Side.FAR])
    assert all(isinstance(each, Key) for each in told[Side.NEAR])


Noise = Callable[[float, float], Pcm]


def test_a_side_that_is_dead_is_told_though_the_other_one_lives(spoken: Pcm, noise: Noise) -> None:
    near = np.concatenate((spoken, noise(40, -60)))
    samples = np.stack((near, np.zeros_like(near)), axis=1)
    ear, health, told = TwoSidedSignals(12.0), TwoSidedHealth(), []
    for at in range(0, len(samples) - BLOCK_FRAMES, BLOCK_FRAMES):
        block = samples[at : at + BLOCK_FRAMES]
        told.append(health.hear(block, ear.hear(block)))
    assert told[0] == ""
    assert told[-1].startswith("Other side: ")


def test_sides_that_are_well_are_told_nothing_about(spoken: Pcm) -> None:
    samples = sampled(tapped(np.tile(spoken, 2).astype(np.float64), NOTHING).astype(np.float64))
    ear, health = TwoSidedSignals(12.0), TwoSidedHealth()
    for at in range(0, len(samples) - BLOCK_FRAMES, BLOCK_FRAMES):
        block = samples[at : at + BLOCK_FRAMES]
        assert health.hear(block, ear.hear(block)) == ""
