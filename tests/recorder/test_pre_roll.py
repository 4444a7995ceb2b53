"""The seconds before a call."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.recorder.pre_roll import PreRoll
from appliance.recorder.signals import Pcm


def numbered(first_frame: int, frames: int) -> Pcm:
    """Samples that tell their own frame number."""
    return np.arange(first_frame, first_frame + frames).astype(np.int16)


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=60), st.integers(40, 200), st.integers(0, 250), st.integers(0, 60)
)
def test_any_span_that_is_still_here_comes_back_whole(
    lengths: list[int], keep_frames: int, back: int, span: int
) -> None:
    pre_roll, at_frame = PreRoll(keep_frames), 0
    for frames in lengths:
        pre_roll.add(at_frame, numbered(at_frame, frames))
        at_frame += frames
    assert pre_roll.end_frame == at_frame
    assert pre_roll.first_frame <= max(at_frame - keep_frames, 0)
    wanted_from = max(at_frame - back, pre_roll.first_frame)
    wanted_to = min(wanted_from + span, at_frame)
    found = pre_roll.between(wanted_from, wanted_to)
    assert np.array_equal(found, numbered(wanted_from, wanted_to - wanted_from))


def test_what_lies_before_a_hole_is_forgotten() -> None:
    pre_roll = PreRoll(1000)
    pre_roll.add(0, numbered(0, 100))
    pre_roll.add(150, numbered(150, 100))
    assert pre_roll.first_frame == 150
    assert pre_roll.between(0, 250).size == 100


def test_forgotten_audio_cannot_be_had_back() -> None:
    pre_roll = PreRoll(1000)
    pre_roll.add(0, numbered(0, 100))
    pre_roll.forget(100)
    assert pre_roll.between(0, 100).size == 0
    assert pre_roll.first_frame == pre_roll.end_frame == 100


def test_what_is_wiped_lies_nowhere_in_its_memory_any_more() -> None:
    pre_roll = PreRoll(150)
    for at_frame in range(0, 400, 40):
        pre_roll.add(at_frame, numbered(at_frame + 1, 40))
    pre_roll.forget_until(360)
    assert np.count_nonzero(pre_roll._kept) == 40
    assert np.array_equal(pre_roll.between(0, 400), numbered(361, 40))
    pre_roll.forget(1000)
    assert not pre_roll._kept.any()
