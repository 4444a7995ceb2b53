"""One ear for a whole line: what exchanges and people send comes out together, each in its place."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest

from appliance.recorder.ear.caller_id import CallerId
from appliance.recorder.ear.countries import COUNTRIES
from appliance.recorder.ear.keys import Key
from appliance.recorder.ear.line_ear import LineEar, LineSound
from appliance.recorder.ear.ringing import RingChange
from appliance.recorder.ear.signals import Pcm
from appliance.recorder.ear.tones import ToneChange
from appliance.terms import BLOCK_FRAMES, RATE_HZ
from tests.simulators.caller_id_tones import V23, Caller, call_setup, fsk
from tests.simulators.line_tones import as_pcm, hum, ringing, silence, sines, tone, white

GERMANY = COUNTRIES["de"]
KEY_HZ = {"1": (697, 1209), "2": (697, 1336), "3": (697, 1477), "A": (697, 1633), "C": (852, 1633)}


def key(digit: str) -> np.ndarray:
    return np.concatenate((sines(KEY_HZ[digit], 0.08, -16), silence(0.08)))


def line(*parts: np.ndarray) -> Pcm:
    sound = np.concatenate(parts)
    return as_pcm(sound + white(len(sound), -60, np.random.default_rng(4)))


def heard(samples: Pcm, ear: LineEar, step: int = BLOCK_FRAMES) -> list[LineSound]:
    return [sound for at in range(0, samples.size, step) for sound in ear.hear(samples[at : at + step]).sounds]


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


def test_what_may_wait_is_heard_later_and_no_different(evening: Pcm) -> None:
    ear, told = LineEar(GERMANY), []
    for at in range(0, evening.size, BLOCK_FRAMES):
        told.append(ear.hear(evening[at : at + BLOCK_FRAMES], may_wait=True).sounds)
    told.append(ear.hear(evening[:0]).sounds)
    assert sorted(repr(sound) for sounds in told for sound in sounds) == sorted(
        map(repr, heard(evening, LineEar(GERMANY)))
    )
    assert sum(bool(sounds) for sounds in told) <= len(told) // 8


def test_where_people_talk_on_and_on_only_keys_and_tones_are_heard(evening: Pcm) -> None:
    ear = LineEar(GERMANY)
    blocks = (evening[at : at + BLOCK_FRAMES] for at in range(0, evening.size, BLOCK_FRAMES))
    told = [sound for block in blocks for sound in ear.hear(block, amid_talk=True).sounds]
    assert {type(sound) for sound in told} == {Key, ToneChange}
    assert [sound.digit for sound in told if isinstance(sound, Key)] == ["1", "2", "3"]


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


def covered(spans: Sequence[tuple[int, int]], first: int, end: int) -> float:
    """How much of it lies in these."""
    flags = np.zeros(end - first, bool)
    for begin, until in spans:
        flags[max(begin - first, 0) : max(until - first, 0)] = True
    return float(flags.mean())


def explained(samples: Pcm, ear: LineEar, from_frame: int = 0) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    for at in range(0, samples.size, BLOCK_FRAMES):
        told = ear.hear(samples[at : at + BLOCK_FRAMES]).explained
        assert all(end <= from_frame + at + BLOCK_FRAMES + RATE_HZ // 5 for _begin, end in told)
        spans += told
    return spans


def test_what_sounded_and_was_no_speech_is_explained_and_silence_is_not(evening: Pcm) -> None:
    loud = np.flatnonzero(np.abs(evening) > 600)
    spans = explained(evening, LineEar(GERMANY))
    blocks = {int(at) // BLOCK_FRAMES for at in loud}
    for block in blocks:
        assert covered(spans, block * BLOCK_FRAMES, (block + 1) * BLOCK_FRAMES) > 0.9
    assert covered(spans, evening.size - 3 * RATE_HZ, evening.size) == 0


@pytest.mark.parametrize("seconds", [1.0, 0.4])
def test_a_ring_is_explained_from_its_beginning_on_also_a_cut_one(seconds: float) -> None:
    samples = line(silence(3), ringing(25, (), seconds, -20, clipped=3), silence(3))
    spans = explained(samples, LineEar(GERMANY))
    assert covered(spans, 3 * RATE_HZ, 3 * RATE_HZ + round(seconds * RATE_HZ)) > 0.98


def test_a_voice_is_not_explained(spoken: Pcm) -> None:
    samples = np.concatenate((line(silence(2)), spoken, line(silence(2))))
    spans = explained(samples, LineEar(GERMANY))
    assert covered(spans, 2 * RATE_HZ, 2 * RATE_HZ + spoken.size) < 0.1


def test_an_ear_that_begins_later_counts_as_the_line_does(evening: Pcm) -> None:
    late = 1_000_000
    here, there = LineEar(GERMANY), LineEar(GERMANY, from_frame=late)
    for at in range(0, evening.size, BLOCK_FRAMES):
        block = evening[at : at + BLOCK_FRAMES]
        one, other = here.hear(block), there.hear(block)
        assert [_frames(sound) for sound in other.sounds] == [_frames(sound) + late for sound in one.sounds]
        assert [key.first_frame for key in other.dialled] == [key.first_frame + late for key in one.dialled]
        assert [(a - late, b - late) for a, b in other.explained] == list(one.explained)
        assert (other.tonal[0] - late, other.tonal[1] - late) == one.tonal


def _frames(sound: LineSound) -> int:
    return sound.first_frame if isinstance(sound, Key) else sound.at_frame


def test_keys_of_a_caller_id_are_not_dialled_and_other_keys_are() -> None:
    samples = line(silence(1), *(key(digit) for digit in "A123C"), silence(2), *(key(digit) for digit in "12"))
    ear = LineEar(COUNTRIES["nl"])
    dialled: list[Key] = []
    for at in range(0, samples.size, BLOCK_FRAMES):
        dialled += ear.hear(samples[at : at + BLOCK_FRAMES]).dialled
    assert [each.digit for each in dialled] == ["1", "2"]


def test_where_a_tone_sounds_is_known_before_it_is_known_which_one() -> None:
    (dial,) = [each for each in GERMANY.tones if each.name == "dial"][:1]
    samples = line(silence(2), tone(dial, 0.45, -18), silence(2))
    ear = LineEar(GERMANY)
    for at in range(0, samples.size, BLOCK_FRAMES):
        heard_now = ear.hear(samples[at : at + BLOCK_FRAMES])
    since, until = heard_now.tonal
    assert abs(since - 2 * RATE_HZ) <= 2 * BLOCK_FRAMES
    assert abs(until - round(2.45 * RATE_HZ)) <= 2 * BLOCK_FRAMES


def test_a_key_after_a_caller_id_that_never_ended_is_dialled() -> None:
    samples = line(silence(1), *(key(digit) for digit in "A12"), silence(5), key("2"), silence(1))
    ear = LineEar(COUNTRIES["nl"])
    dialled = [
        each.digit
        for at in range(0, samples.size, BLOCK_FRAMES)
        for each in ear.hear(samples[at : at + BLOCK_FRAMES]).dialled
    ]
    assert dialled == ["2"]


def test_a_loud_clipped_ring_as_fast_as_the_mains_is_no_dial_tone() -> None:
    """Its fifth and seventh multiple, 250 Hz and 350 Hz, and its ninth, 450 Hz, lie where France has its dial tones."""
    france = COUNTRIES["fr"]
    ring = ringing(50, (1.5, 3.5), 13, -13, clipped=1.8)
    told = heard(as_pcm(np.concatenate((silence(3), ring, silence(4)))), LineEar(france))
    assert [(type(one), one.on) for one in told if not isinstance(one, CallerId | Key)] == [
        (RingChange, True),
        (RingChange, False),
    ] * 3


def test_a_dial_tone_with_which_hum_comes_to_stay_is_one_from_where_it_began() -> None:
    france = COUNTRIES["fr"]
    dial = france.tones[1]
    assert dial.name == "dial"
    seconds = 6
    sound = tone(dial, seconds, -17) + hum(seconds * RATE_HZ, 50, -20, np.random.default_rng(7))
    told = heard(line(silence(3), sound, silence(2)), LineEar(france))
    assert [(one.name, one.on) for one in told if isinstance(one, ToneChange)] == [("dial", True), ("dial", False)]
    assert abs(next(one.at_frame for one in told if isinstance(one, ToneChange)) - 3 * RATE_HZ) < RATE_HZ // 10


def test_a_busy_tone_that_begins_with_what_passes_for_a_short_ring_is_still_heard() -> None:
    (busy,) = (t for t in GERMANY.tones if t.name == "busy" and t.cadence_s == (0.48, 0.48))
    sound = tone(busy, 5, -18)
    sound[: round(0.3 * RATE_HZ)] += ringing(25, (), 0.3, -30)
    told = heard(line(silence(4), sound, silence(4)), LineEar(GERMANY))
    assert [one.on for one in told if isinstance(one, RingChange)] == [True, False]
    assert [(one.name, one.on) for one in told if isinstance(one, ToneChange)] == [("busy", True), ("busy", False)]


def test_a_word_in_the_pause_after_which_ringback_is_certain_is_not_explained_by_it() -> None:
    word = sines([500, 700, 900], 0.2, -25)
    samples = line(silence(1), sines([425], 1.0, -20), silence(1.5), word, silence(5))
    spans = explained(samples, LineEar(GERMANY))
    assert covered(spans, RATE_HZ, 2 * RATE_HZ) > 0.98
    assert covered(spans, round(3.5 * RATE_HZ), round(3.7 * RATE_HZ)) == 0
