"""Speech is heard soon, noise is not speech, and a click is not a word."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from appliance.recorder.ear.signals import PRIOR_DBFS, Heard, Pcm, Signals
from appliance.terms import BLOCK_FRAMES, RATE_HZ

ABOVE_FLOOR_DB = 12.0
Noise = Callable[[float, float], Pcm]


def listen(samples: Pcm, signals: Signals | None = None, block_frames: int = BLOCK_FRAMES) -> list[Heard]:
    ear = signals or Signals(ABOVE_FLOOR_DB)
    return [ear.hear(samples[at : at + block_frames]) for at in range(0, len(samples), block_frames)]


def mixed(background: Pcm, speech: Pcm, at_s: float) -> Pcm:
    whole = background.astype(np.int32)
    start = round(at_s * RATE_HZ)
    whole[start : start + len(speech)] += speech
    return np.clip(whole, -32768, 32767).astype(np.int16)


def tone(hz: float, seconds: float, dbfs: float) -> Pcm:
    """A sine; `dbfs` is its power against a full-scale square wave."""
    time = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    samples: Pcm = (32767 * np.sqrt(2) * 10 ** (dbfs / 20) * np.sin(2 * np.pi * hz * time)).astype(np.int16)
    return samples


def test_level_of_a_known_tone_is_right() -> None:
    heard = listen(tone(1000, 1, -20))[-1]
    assert heard.level_dbfs == pytest.approx(-20, abs=0.2)


def test_level_of_digital_silence_is_the_lowest_shown() -> None:
    assert listen(np.zeros(RATE_HZ, np.int16))[-1].level_dbfs == pytest.approx(-100)


@pytest.mark.parametrize("hum_hz", [16.7, 50, 60, 100, 150, 180])
def test_hum_is_taken_out_before_anything_is_measured(hum_hz: float) -> None:
    heard = listen(tone(hum_hz, 2, -10))
    assert max(block.level_dbfs for block in heard) < -65
    assert not any(block.speech for block in heard)


def test_an_offset_of_the_card_is_no_sound() -> None:
    heard = listen(np.full(2 * RATE_HZ, 9000, np.int16))
    assert max(block.level_dbfs for block in heard) < -65


def test_a_feed_that_begins_amid_speech_is_heard_at_once(spoken: Pcm) -> None:
    assert listen(spoken[: 2 * BLOCK_FRAMES])[-1].speech


@pytest.mark.parametrize("snr_db", [40, 20, 15, 10])
@pytest.mark.parametrize("shift_frames", [0, 333, 799])
def test_speech_in_noise_is_seen_soon_and_followed(spoken: Pcm, noise: Noise, snr_db: float, shift_frames: int) -> None:
    speech_dbfs = 20 * np.log10(np.sqrt(np.mean((spoken / 32768.0) ** 2)))
    begins_s = 20 + shift_frames / RATE_HZ
    heard = listen(mixed(noise(45, speech_dbfs - snr_db), spoken, begins_s))
    ends_s = begins_s + len(spoken) / RATE_HZ
    seen_at_s = [index * 0.1 + 0.1 for index, block in enumerate(heard) if block.speech]
    during = [at_s for at_s in seen_at_s if begins_s < at_s <= ends_s + 0.3]
    # In stronger noise the first consonant drowns.
    assert during[0] - begins_s <= (0.2 if snr_db > 15 else 0.3)
    assert max(np.diff(during)) < 2
    assert not [at_s for at_s in seen_at_s if 12 < at_s <= begins_s or at_s > ends_s + 0.4]


def test_speech_is_seen_within_200_ms_wherever_in_a_block_it_begins(noise: Noise) -> None:
    for shift_frames in range(0, BLOCK_FRAMES, 50):
        background = noise(12, -60)
        sound_at = 10 * RATE_HZ + shift_frames
        background[sound_at:] += tone(700, 12, -30)[: len(background) - sound_at]
        heard = listen(background)
        seen_end = (next(index for index, block in enumerate(heard) if block.speech) + 1) * BLOCK_FRAMES
        assert seen_end - sound_at <= RATE_HZ // 5


@pytest.mark.parametrize("dbfs", [-50, -30, -12])
def test_constant_noise_calms_down_within_eleven_seconds(noise: Noise, dbfs: float) -> None:
    heard = listen(noise(40, dbfs))
    assert not any(block.speech for block in heard[115:])
    assert heard[-1].floor_dbfs == pytest.approx(dbfs, abs=1.5)


def test_noise_that_comes_up_later_calms_down_too(noise: Noise) -> None:
    heard = listen(np.concatenate((noise(15, -65), noise(25, -35))))
    assert any(block.speech for block in heard[150:])
    assert not any(block.speech for block in heard[265:])


def test_a_steady_tone_calms_down() -> None:
    heard = listen(tone(425, 30, -15))
    assert not any(block.speech for block in heard[115:])


def test_speech_does_not_become_the_floor(spoken: Pcm, noise: Noise) -> None:
    talk = np.tile(spoken, 5)
    heard = listen(mixed(noise(len(talk) / RATE_HZ, -60), talk, 0))
    assert heard[-1].floor_dbfs < -50
    assert np.mean([block.speech for block in heard[-200:]]) > 0.8


@pytest.mark.parametrize("click_ms", [0.125, 5, 20, 39])
def test_a_single_click_is_not_speech(noise: Noise, click_ms: float) -> None:
    for shift_frames in range(0, 200, 23):
        background = noise(14, -60)
        start = 12 * RATE_HZ + shift_frames
        background[start : start + round(click_ms * RATE_HZ / 1000)] = 30000
        assert not any(block.speech for block in listen(background))


def test_a_pause_within_a_word_does_not_end_speech(noise: Noise) -> None:
    vowel, stop = tone(600, 0.4, -25), noise(0.12, -60)
    heard = listen(np.concatenate((vowel, stop, vowel)))
    assert all(block.speech for block in heard[1:])


@pytest.mark.parametrize("block_frames", [1, 77, 160, 801, 4000])
def test_blocks_of_any_length_hear_the_same(spoken: Pcm, block_frames: int) -> None:
    usual, other = Signals(ABOVE_FLOOR_DB), Signals(ABOVE_FLOOR_DB)
    part = spoken[: 4 * 4000]
    whole = listen(part, usual)[-1]
    pieces = listen(part, other, block_frames)[-1]
    assert pieces.speech == whole.speech
    if block_frames <= 160:
        assert pieces.floor_dbfs == pytest.approx(whole.floor_dbfs)


def test_before_the_first_20_ms_nothing_is_known() -> None:
    heard = Signals(ABOVE_FLOOR_DB).hear(np.full(100, 20000, np.int16))
    assert not heard.speech
    assert heard.floor_dbfs == PRIOR_DBFS


def loud_frames(samples: Pcm, block_frames: int) -> list[int]:
    """The first frame of each stretch that is louder than the noise, and how many steps there are, block by block."""
    ear, found = Signals(ABOVE_FLOOR_DB), []
    for at in range(0, len(samples), block_frames):
        heard = ear.hear(samples[at : at + block_frames])
        if heard.loud is not None:
            first, end, steps = heard.loud
            assert 0 < steps <= (end - first) // 160
            found += [at + first] * steps
    return found


def test_what_is_louder_than_the_noise_is_told_to_20_ms_also_where_it_is_no_speech(noise: Noise) -> None:
    background = noise(14, -60)
    at = 12 * RATE_HZ + 160
    background[at : at + 320] += tone(900, 0.04, -20)
    heard = listen(background)
    assert [index for index, block in enumerate(heard) if block.loud is not None] == [120]
    assert heard[120].loud == (160, 480, 2)
    assert not any(block.speech for block in heard[100:])


def test_a_block_without_a_sound_has_none(noise: Noise) -> None:
    assert all(block.loud is None for block in listen(noise(20, -60))[1:])


def test_loud_counts_steps_and_spans_from_the_first_to_the_last(noise: Noise) -> None:
    background = noise(14, -60)
    at = 12 * RATE_HZ
    for offset in (160, 640):
        background[at + offset : at + offset + 160] += tone(900, 0.02, -20)
    assert listen(background)[120].loud == (160, 800, 2)


@pytest.mark.parametrize("block_frames", [160, 200, 333, 1600])
def test_a_sound_lies_where_it_lies_whatever_the_blocks(noise: Noise, block_frames: int) -> None:
    background = noise(14, -60)
    at = 12 * RATE_HZ
    background[at : at + 160] += tone(900, 0.02, -20)
    assert loud_frames(background, block_frames) == [at]


@pytest.mark.parametrize("block_frames", [1, 77])
def test_a_block_that_fills_no_step_does_not_tell_the_last_one_again(noise: Noise, block_frames: int) -> None:
    background = noise(1.5, -60)[:8_000]
    background[4_000:4_160] += tone(900, 0.02, -20)
    assert len(loud_frames(background, block_frames)) == 1


def test_the_quietest_20_ms_are_known_also_while_somebody_speaks(noise: Noise) -> None:
    background = noise(14, -60)
    at = 12 * RATE_HZ
    background[at : at + 640] += tone(900, 0.08, -20)
    heard = listen(background)[120]
    assert heard.lowest_dbfs == pytest.approx(-60, abs=1.5)
    assert heard.level_dbfs == pytest.approx(-20, abs=0.5)


def test_the_quietest_is_never_louder_than_the_loudest(spoken: Pcm) -> None:
    assert all(block.lowest_dbfs <= block.level_dbfs for block in listen(spoken))


def test_who_is_expected_is_heard_in_noise_that_hides_who_is_not(noise: Noise, spoken: Pcm) -> None:
    level = 10 * np.log10(np.mean((spoken / 32768.0) ** 2))
    line = mixed(noise(25 + spoken.size / RATE_HZ, float(level) - 6), spoken, 25)

    def loud_steps(*, expects: bool) -> int:
        ear = Signals(ABOVE_FLOOR_DB)
        blocks = [line[at : at + BLOCK_FRAMES] for at in range(0, len(line), BLOCK_FRAMES)]
        heard = [ear.hear(block, expects=expects) for block in blocks]
        return sum(one.loud[2] for one in heard[250:270] if one.loud is not None)

    assert loud_steps(expects=True) > 2 * loud_steps(expects=False)


@pytest.mark.parametrize("dbfs", [-50, -37])
def test_the_noise_of_a_line_that_was_never_heard_is_known_after_three_seconds(noise: Noise, dbfs: float) -> None:
    assert not any(block.speech for block in listen(noise(10, dbfs))[33:])
