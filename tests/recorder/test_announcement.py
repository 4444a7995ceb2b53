"""The announcement is heard to its end on any line; half of it is never the whole."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from appliance.recorder.ear.announcement import (
    Announcement,
    AnnouncementHeard,
    AnnouncementListener,
    read_announcement,
)
from appliance.recorder.ear.signals import Pcm
from appliance.sound_file import write_wav
from appliance.terms import BLOCK_FRAMES, RATE_HZ, SettingsTrouble
from tests.simulators import announcements, telephony, voices
from tests.simulators.key_tones import Sound, babble, hum, sampled, scaled, white

BEFORE = 2 * RATE_HZ + 377
"""Frames of the line before the announcement's sound."""
TENTH = RATE_HZ // 10


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(20261128)


@pytest.fixture(scope="module")
def announcement() -> Announcement:
    return announcements.synthetic()["de"]


@pytest.fixture(scope="module")
def sound(announcement: Announcement) -> Sound:
    """The announcement without the silence at its ends."""
    first, end = (column * 8 for column in announcement.sound)
    return announcement.samples[first:end].astype(np.float64)


@pytest.fixture(scope="module")
def talk() -> Pcm:
    """Two minutes of other voices."""
    return voices.talking(np.concatenate(list(voices.synthetic(120, seed=6))))


def on_a_line(sound: Sound, snr_db: float = 40, *, seed: int = 1, noise: Pcm | None = None) -> Sound:
    line = np.concatenate((np.zeros(BEFORE), sound, np.zeros(2 * RATE_HZ)))
    power = float(np.mean(sound**2)) / 10 ** (snr_db / 10)
    random = np.random.default_rng(seed)
    return line + (white(len(line), power, random) if noise is None else babble(noise, len(line), power, random))


def listen(line: Sound, announcement: Announcement, block_frames: int = BLOCK_FRAMES) -> list[AnnouncementHeard]:
    samples = sampled(line)
    listener = AnnouncementListener(announcement)
    blocks = (samples[at : at + block_frames] for at in range(0, len(samples), block_frames))
    return [heard for block in blocks for heard in listener.hear(block)] + listener.hear_out()


def is_whole(line: Sound, announcement: Announcement) -> bool:
    return any(heard.whole for heard in listen(line, announcement))


def test_the_whole_announcement_is_told_with_the_frame_after_its_end(announcement: Announcement, sound: Sound) -> None:
    (heard,) = listen(on_a_line(sound), announcement)
    assert heard.whole
    assert heard.share == 1
    assert abs(heard.at_frame - BEFORE - len(sound)) <= 80


def test_listener_says_that_a_match_runs_and_that_it_is_over(announcement: Announcement, sound: Sound) -> None:
    listener = AnnouncementListener(announcement)
    line = sampled(on_a_line(sound))
    listener.hear(line[:BEFORE])
    assert not listener.running
    listener.hear(line[BEFORE : BEFORE + len(sound) // 2])
    assert listener.running
    listener.hear(line[BEFORE + len(sound) // 2 :])
    assert not listener.running


@pytest.mark.parametrize("language", list(announcements.TEXTS))
def test_announcements_in_babble_10_db_below_are_whole(language: str, talk: Pcm) -> None:
    announcement = announcements.synthetic()[language]
    assert is_whole(on_a_line(announcement.samples.astype(np.float64), 10, noise=talk), announcement)


@pytest.mark.parametrize("level_db", [-40, -20, 6])
def test_soft_and_clipped_announcements_are_whole(level_db: float, announcement: Announcement, sound: Sound) -> None:
    line = on_a_line(sound * 10 ** (level_db / 20))
    assert is_whole(line + white(len(line), 4, np.random.default_rng(3)), announcement)


CODECS = ("A-law", "mu-law", "GSM", "AMR 7.95")
CHANGES: dict[str, Callable[[Sound], Sound]] = {
    "upside down": lambda sound: -sound,
    "through the telephone band": telephony.telephone_band,
    "a clock 200 ppm too fast": lambda sound: telephony.at_clock(sound, 200),
    "a clock 200 ppm too slow": lambda sound: telephony.at_clock(sound, -200),
    "40 ms dropped": lambda sound: telephony.slipped(sound, len(sound) // 3, 320),
    "40 ms added": lambda sound: telephony.slipped(sound, len(sound) // 3, -320),
    "an echo": lambda sound: telephony.echoed(sound, 120, -6),
    "the first 0.2 s not heard": lambda sound: sound[1600:],
    **{codec: partial(telephony.coded, codec=codec) for codec in CODECS},
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_telephony_does_to_it_leaves_it_whole(name: str, announcement: Announcement, sound: Sound) -> None:
    assert is_whole(on_a_line(CHANGES[name](sound), 10), announcement)


def test_a_hum_as_loud_as_the_announcement_hides_nothing(
    announcement: Announcement, sound: Sound, random: np.random.Generator
) -> None:
    line = on_a_line(sound, 10)
    assert is_whole(line + hum(len(line), float(np.mean(sound**2)), random), announcement)


@pytest.mark.parametrize("tenths", [4, 20])
def test_it_is_whole_though_somebody_says_something_as_loud(
    tenths: int, announcement: Announcement, sound: Sound, talk: Pcm
) -> None:
    over = telephony.talked_over(sound, talk[: tenths * TENTH], len(sound) // 2, 0)
    assert is_whole(on_a_line(over), announcement)


def test_it_is_told_each_time_it_is_played(announcement: Announcement, sound: Sound) -> None:
    told = listen(on_a_line(np.tile(announcement.samples.astype(np.float64), 3)), announcement)
    assert [heard.whole for heard in told] == [True, True, True]


def test_played_from_the_start_again_it_is_half_heard_and_then_whole(announcement: Announcement, sound: Sound) -> None:
    told = listen(on_a_line(np.concatenate((sound[: len(sound) // 2], sound))), announcement)
    assert [heard.whole for heard in told] == [False, True]


@pytest.mark.parametrize("cut_s", [0.3, 0.5, 1.0])
@pytest.mark.parametrize("goes_on", [False, True])
def test_cut_off_before_its_end_it_is_half_heard(
    cut_s: float, goes_on: bool, announcement: Announcement, sound: Sound, talk: Pcm
) -> None:
    played = sound[: -round(cut_s * RATE_HZ)]
    after = scaled(talk[: 3 * RATE_HZ].astype(np.float64), float(np.mean(sound**2)))
    (heard,) = listen(on_a_line(np.concatenate((played, after)) if goes_on else played), announcement)
    assert not heard.whole
    assert 0.8 < heard.share < 1
    assert abs(heard.at_frame - BEFORE - len(played)) <= 4 * TENTH


@pytest.mark.parametrize("filled", ["silence", "another voice", "nothing"])
def test_with_a_hole_of_a_second_it_is_heard_up_to_the_hole(
    filled: str, announcement: Announcement, sound: Sound, talk: Pcm
) -> None:
    at = len(sound) // 2
    voice = scaled(talk[:RATE_HZ].astype(np.float64), float(np.mean(sound**2)))
    hole = {"silence": np.zeros(RATE_HZ), "another voice": voice, "nothing": np.zeros(0)}[filled]
    (heard,) = listen(on_a_line(np.concatenate((sound[:at], hole, sound[at + RATE_HZ :]))), announcement)
    assert not heard.whole
    assert heard.share == pytest.approx(0.5, abs=0.05)


NOT_FROM_ITS_BEGINNING: dict[str, Callable[[Sound], Sound]] = {
    "begun a second late": lambda sound: sound[RATE_HZ:],
    "its last second": lambda sound: sound[-RATE_HZ:],
    "its second half": lambda sound: sound[len(sound) // 2 :],
    "backwards": lambda sound: sound[::-1],
    "5 % faster": lambda sound: telephony.at_clock(sound, -50_000),
    "as crosstalk, 60 dB below": lambda sound: sound / 1000,
}


@pytest.mark.parametrize("name", NOT_FROM_ITS_BEGINNING)
def test_what_is_not_played_from_its_beginning_is_not_told(name: str, announcement: Announcement, sound: Sound) -> None:
    assert listen(on_a_line(NOT_FROM_ITS_BEGINNING[name](sound)), announcement) == []


@pytest.mark.parametrize("name", ["halves the other way round", "both halves at once"])
def test_all_of_it_in_another_order_is_not_whole(name: str, announcement: Announcement, sound: Sound) -> None:
    half = len(sound) // 2
    first, second = sound[:half], sound[half : 2 * half]
    played = np.concatenate((second, first)) if name == "halves the other way round" else first + second
    assert not is_whole(on_a_line(played), announcement)


@pytest.mark.parametrize("language", list(announcements.TEXTS))
def test_the_same_voice_that_ends_otherwise_is_not_whole(language: str) -> None:
    other = announcements.spoken(language, announcements.OTHER_ENDING[language]).astype(np.float64)
    told = listen(on_a_line(other), announcements.synthetic()[language])
    assert all(heard.share < 0.5 and not heard.whole for heard in told)


def test_other_voices_tell_nothing(announcement: Announcement, talk: Pcm) -> None:
    assert listen(talk.astype(np.float64), announcement) == []


@pytest.mark.parametrize("block_frames", [7, 801, 10**6])
@pytest.mark.parametrize("part", [1, 0.5])
def test_blocks_of_any_length_hear_the_same(
    block_frames: int, part: float, announcement: Announcement, sound: Sound
) -> None:
    line = on_a_line(sound[: round(part * len(sound))], 10)
    usual = listen(line, announcement)
    assert usual
    assert listen(line, announcement, block_frames) == usual


def test_hearing_out_tells_what_was_half_heard(announcement: Announcement, sound: Sound) -> None:
    listener = AnnouncementListener(announcement)
    told = listener.hear(sampled(on_a_line(sound))[: BEFORE + len(sound) // 2])
    (heard,) = listener.hear_out()
    assert told == []
    assert not heard.whole
    assert heard.share == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("rate_hz", [16000, 44100])
def test_a_file_of_any_rate_is_heard(rate_hz: int, tmp_path: Path, announcement: Announcement, sound: Sound) -> None:
    import soundfile

    path = tmp_path / "welcome.wav"
    samples = voices.resampled(announcement.samples, RATE_HZ, rate_hz)
    soundfile.write(path, np.stack((samples, samples), 1), rate_hz)
    read = read_announcement(path)
    assert read.name == "welcome"
    assert is_whole(on_a_line(sound, 10), read)


@pytest.mark.parametrize(
    ("samples", "says"),
    [
        (np.zeros(5 * RATE_HZ), "silent"),
        (np.zeros(0), "no sound"),
        (np.concatenate((np.zeros(8000), np.full(7200, 3000) * np.sin(np.arange(7200)), np.zeros(8000))), "shorter"),
        (3000 * np.sin(np.arange(61 * RATE_HZ)), "longer than 60 s"),
        (3000 * np.sin(np.arange(5 * RATE_HZ)), "one steady tone"),
    ],
)
def test_a_file_that_is_no_announcement_is_refused_in_one_sentence(samples: Sound, says: str, tmp_path: Path) -> None:
    path = tmp_path / "nothing.wav"
    write_wav(path, sampled(samples)[:, None])
    with pytest.raises(SettingsTrouble, match=says):
        read_announcement(path)


def test_a_file_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsTrouble, match="cannot be read"):
        read_announcement(tmp_path / "none.wav")
