"""When somebody has spoken: talk that goes on, what breaks a silence, and what lies between two moments."""

from __future__ import annotations

import pytest

from appliance.recorder.line.spoken import Spoken
from appliance.terms import BLOCK_FRAMES, RATE_HZ


def talk(spoken: Spoken, from_s: float, to_s: float) -> None:
    for first in range(round(from_s * RATE_HZ), round(to_s * RATE_HZ), BLOCK_FRAMES):
        spoken.add(first, first + BLOCK_FRAMES)


@pytest.fixture
def spoken() -> Spoken:
    return Spoken()


def test_where_nobody_has_spoken_every_sound_breaks_a_silence(spoken: Spoken) -> None:
    assert spoken.breaks_silence(0)
    assert not spoken.is_amid(0)
    assert not spoken.between(-RATE_HZ, RATE_HZ)


@pytest.mark.parametrize(("pause_s", "amid"), [(0.9, True), (1.1, False)])
def test_talk_goes_on_over_pauses_of_less_than_a_second(spoken: Spoken, pause_s: float, *, amid: bool) -> None:
    talk(spoken, 0, 4)
    talk(spoken, 4 + pause_s, 6 + pause_s)
    assert spoken.is_amid(round((6 + pause_s) * RATE_HZ)) is amid


def test_only_after_five_seconds_of_it_is_a_moment_amid_talk(spoken: Spoken) -> None:
    talk(spoken, 0, 5)
    assert not spoken.is_amid(5 * RATE_HZ)
    talk(spoken, 5, 5.1)
    assert spoken.is_amid(5 * RATE_HZ + BLOCK_FRAMES)


def test_what_follows_within_a_second_of_what_broke_a_silence_breaks_it_too(spoken: Spoken) -> None:
    talk(spoken, 10, 12)
    assert spoken.breaks_silence(round(10.9 * RATE_HZ))
    assert not spoken.breaks_silence(12 * RATE_HZ)
    assert spoken.breaks_silence(round(13.1 * RATE_HZ))


def test_between_takes_in_the_later_moment_and_not_the_earlier_one(spoken: Spoken) -> None:
    spoken.add(0, BLOCK_FRAMES)
    assert spoken.between(0, BLOCK_FRAMES)
    assert not spoken.between(BLOCK_FRAMES, 2 * BLOCK_FRAMES)
    assert not spoken.between(0, BLOCK_FRAMES - 1)
