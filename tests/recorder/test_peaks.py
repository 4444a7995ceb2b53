"""The outline of a call."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.recorder.peaks import Peaks
from appliance.terms import BLOCK_FRAMES


def test_each_column_holds_its_lowest_and_highest_sample() -> None:
    peaks = Peaks()
    peaks.add(np.repeat(np.array([0, 256, -512], np.int16), BLOCK_FRAMES))
    assert np.frombuffer(peaks.reduced(800), np.int8).tolist() == [0, 0, 1, 1, -2, -2]


def test_a_last_column_that_is_not_full_counts_too() -> None:
    peaks = Peaks()
    peaks.add(np.full(BLOCK_FRAMES + 10, 2560, np.int16))
    assert np.frombuffer(peaks.reduced(800), np.int8).tolist() == [10, 10, 10, 10]


def test_each_side_has_an_outline_of_its_own() -> None:
    peaks = Peaks(channels=2)
    near = np.repeat(np.array([256, -512], np.int16), BLOCK_FRAMES)
    peaks.add(np.stack((near, 3 * near), axis=1)[: BLOCK_FRAMES + 10])
    peaks.add(np.stack((near, 3 * near), axis=1)[BLOCK_FRAMES + 10 :])
    assert np.frombuffer(peaks.reduced(800), np.int8).tolist() == [1, 1, 3, 3, -2, -2, -6, -6]
    assert np.frombuffer(peaks.reduced(1), np.int8).tolist() == [-2, 1, -6, 3]


def test_a_call_without_audio_has_no_outline() -> None:
    assert Peaks().reduced(800) == b""


@settings(deadline=None)  # the time of one example says nothing on a busy machine
@given(st.integers(1, 2000), st.integers(1, 800), st.integers(500, 9000))
def test_joining_columns_keeps_the_extremes_and_the_limit(columns: int, most: int, piece_frames: int) -> None:
    samples = np.random.default_rng(columns).integers(-32768, 32767, columns, np.int16).repeat(20)
    peaks = Peaks()
    for at in range(0, samples.size, piece_frames):
        peaks.add(samples[at : at + piece_frames])
    outline = np.frombuffer(peaks.reduced(most), np.int8).reshape(-1, 2)
    assert 0 < len(outline) <= most
    assert outline[:, 0].min() == samples.min() >> 8
    assert outline[:, 1].max() == samples.max() >> 8
