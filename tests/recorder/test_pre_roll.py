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
    st.lists(st.integers(1, 40), min_size=1, max_size=60), st.integers(0, 200), st.integers(0, 250), st.integers(0, 60)
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
    assert at_frame - pre_roll.first_frame < keep_frames + max(lengths) + 1
    wanted_from = max(at_frame - back, pre_roll.first_frame)
    wanted_to = min(wanted_from + span, at_frame)
    found = np.concatenate([np.empty(0, np.int16), *pre_roll.between(wanted_from, wanted_to)])
    assert np.array_equal(found, numbered(wanted_from, wanted_to - wanted_from))


def test_what_lies_before_a_hole_is_forgotten() -> None:
    pre_roll = PreRoll(1000)
    pre_roll.add(0, numbered(0, 100))
    pre_roll.add(150, numbered(150, 100))
    assert pre_roll.first_frame == 150
    assert sum(piece.size for piece in pre_roll.between(0, 250)) == 100


def test_forgotten_audio_cannot_be_had_back() -> None:
    pre_roll = PreRoll(1000)
    pre_roll.add(0, numbered(0, 100))
    pre_roll.forget(100)
    assert pre_roll.between(0, 100) == []
    assert pre_roll.first_frame == pre_roll.end_frame == 100
