"""The newest seconds of a line: what can be had back, and that what was wiped is nowhere."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.recorder.ear.signals import Pcm
from appliance.recorder.pre_roll import PreRoll


def numbered(first_frame: int, frames: int) -> Pcm:
    """Samples that tell their own frame number, none of them 0."""
    return (np.arange(first_frame, first_frame + frames) % 30_000 + 1).astype(np.int16)


def place(pre_roll: PreRoll) -> Pcm:
    """All the memory that it has."""
    (found,) = [each for each in vars(pre_roll).values() if isinstance(each, np.ndarray)]
    return found


@settings(deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=60), st.integers(40, 200), st.integers(0, 250), st.data())
def test_any_span_that_is_still_here_comes_back_whole(
    lengths: list[int], keep_frames: int, back: int, data: st.DataObject
) -> None:
    pre_roll, at_frame = PreRoll(keep_frames), 0
    for frames in lengths:
        pre_roll.add(at_frame, numbered(at_frame, frames))
        at_frame += frames
    assert pre_roll.end_frame == at_frame
    assert pre_roll.first_frame == max(at_frame - keep_frames, 0)
    wanted_from = max(at_frame - back, 0)
    wanted_to = wanted_from + data.draw(st.integers(0, 60))
    found = pre_roll.between(wanted_from, wanted_to)
    first, end = max(wanted_from, pre_roll.first_frame), min(wanted_to, at_frame)
    assert np.array_equal(found, numbered(first, max(end - first, 0)))


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(1, 50)),
        st.tuples(st.just("hole"), st.integers(1, 300)),
        st.tuples(st.just("forget"), st.integers(0, 100)),
        st.tuples(st.just("until"), st.integers(-150, 20)),
    ),
    max_size=40,
)


@settings(deadline=None, max_examples=200)
@given(STEPS, st.integers(50, 120))
def test_in_its_memory_is_what_can_be_had_back_and_nothing_else(steps: list[tuple[str, int]], keep: int) -> None:
    pre_roll, at_frame = PreRoll(keep), 0
    for what, frames in steps:
        match what:
            case "add":
                pre_roll.add(at_frame, numbered(at_frame, frames))
                at_frame += frames
            case "hole":
                at_frame += frames
                pre_roll.add(at_frame, numbered(at_frame, 10))
                at_frame += 10
            case "forget":
                at_frame += frames
                pre_roll.forget(at_frame)
            case _:
                pre_roll.forget_until(max(at_frame + frames, 0))
        here = pre_roll.between(0, at_frame + 1000)
        assert np.array_equal(here, numbered(pre_roll.first_frame, at_frame - pre_roll.first_frame))
        assert sorted(place(pre_roll)[place(pre_roll) != 0]) == sorted(here)


def test_what_lies_before_a_hole_is_forgotten() -> None:
    pre_roll = PreRoll(1000)
    pre_roll.add(0, numbered(0, 100))
    pre_roll.add(150, numbered(150, 100))
    assert pre_roll.first_frame == 150
    assert np.array_equal(pre_roll.between(0, 250), numbered(150, 100))


def test_a_copy_does_not_change_when_its_place_is_overwritten_or_wiped() -> None:
    pre_roll = PreRoll(100)
    pre_roll.add(0, numbered(0, 100))
    copy = pre_roll.between(0, 100)
    pre_roll.forget(100)
    pre_roll.add(100, numbered(500, 100))
    assert np.array_equal(copy, numbered(0, 100))


def test_a_block_that_does_not_fit_is_said_so() -> None:
    with pytest.raises(ValueError, match="broadcast"):
        PreRoll(50).add(0, numbered(0, 120))


def test_forgetting_what_is_still_to_come_forgets_all_there_is() -> None:
    pre_roll = PreRoll(1000)
    pre_roll.add(0, numbered(0, 100))
    pre_roll.forget_until(5000)
    pre_roll.add(100, numbered(100, 10))
    assert pre_roll.first_frame == 100
    assert np.array_equal(pre_roll.between(0, 200), numbered(100, 10))


def test_both_sides_of_a_line_are_kept_and_wiped_together() -> None:
    pre_roll = PreRoll(1000, channels=2)
    sides = np.stack((numbered(0, 1700), -numbered(0, 1700)), axis=1)
    for at in range(0, 1700, 170):
        pre_roll.add(at, sides[at : at + 170])
    assert np.array_equal(pre_roll.between(0, 1700), sides[700:])
    pre_roll.forget_until(1500)
    assert np.array_equal(pre_roll.between(0, 1700), sides[1500:])
    assert np.count_nonzero(place(pre_roll)) == 2 * 200
