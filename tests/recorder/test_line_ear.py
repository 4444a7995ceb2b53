"""One ear for a whole line: what exchanges and people send comes out together, each in its place."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from appliance.recorder.caller_id import CallerId
from appliance.recorder.countries import COUNTRIES
from appliance.recorder.keys import Key
from appliance.recorder.line_ear import LineEar, LineSound
from appliance.recorder.signals import Pcm
from appliance.recorder.tones import ToneChange
from appliance.terms import BLOCK_FRAMES, RATE_HZ
from tests.simulators.caller_id_tones import V23, Caller, call_setup, fsk
from tests.simulators.line_tones import as_pcm, silence, sines, tone, white

GERMANY = COUNTRIES["de"]
KEY_HZ = {"1": (697, 1209), "2": (697, 1336), "3": (697, 1477), "A": (697, 1633), "C": (852, 1633)}


def key(digit: str) -> np.ndarray:
    return np.concatenate((sines(KEY_HZ[digit], 0.08, -16), silence(0.08)))


def line(*parts: np.ndarray) -> Pcm:
    sound = np.concatenate(parts)
    return as_pcm(sound + white(len(sound), -60, np.random.default_rng(4)))


def heard(samples: Pcm, ear: LineEar, step: int = BLOCK_FRAMES) -> list[LineSound]:
    return [sound for at in range(0, samples.size, step) for sound in ear.hear(samples[at : at + step])]


@pytest.fixture(scope="module")
def evening() -> Pcm:
    """A caller ID, then three keys, then a busy tone."""
    (busy,) = (t for t in GERMANY.tones if t.name == "busy" and t.cadence_s == (0.48, 0.48))
    message = fsk(call_setup(Caller(number=b"03055504471")), V23)
    return line(
        silence(1), message, silence(1), key("1"), key("2"), key("3"), silence(1), tone(busy, 5, -18), silence(5)
    )


def test_caller_keys_and_tones_of_one_line_all_come_out(evening: Pcm) -> None:
    sounds = heard(evening, LineEar(GERMANY))
    assert [s.number for s in sounds if isinstance(s, CallerId)] == ["03055504471"]
    assert [s.digit for s in sounds if isinstance(s, Key)] == ["1", "2", "3"]
    assert [(s.name, s.on) for s in sounds if isinstance(s, ToneChange)] == [("busy", True), ("busy", False)]


def test_nothing_of_it_depends_on_the_blocks(evening: Pcm) -> None:
    in_blocks, at_once = heard(evening, LineEar(GERMANY)), heard(evening, LineEar(GERMANY), evening.size)
    assert sorted(map(repr, in_blocks)) == sorted(map(repr, at_once))


def test_keys_of_the_exchange_become_a_caller_where_it_sends_them() -> None:
    samples = line(silence(1), *(key(digit) for digit in "A123C"), silence(1))
    dutch = [s for s in heard(samples, LineEar(COUNTRIES["nl"])) if isinstance(s, CallerId)]
    assert [(s.number, s.standard) for s in dutch] == [("123", "dtmf")]
    assert not [s for s in heard(samples, LineEar(GERMANY)) if isinstance(s, CallerId)]


def test_silence_and_noise_are_nothing() -> None:
    assert heard(line(silence(30)), LineEar(GERMANY)) == []


def test_keys_come_in_the_order_in_which_they_are_pressed(evening: Pcm) -> None:
    keys = [s for s in heard(evening, LineEar(GERMANY)) if isinstance(s, Key)]
    assert all(one.end_frame <= other.first_frame for one, other in pairwise(keys))
    assert all(0 < each.end_frame - each.first_frame < RATE_HZ // 5 for each in keys)
