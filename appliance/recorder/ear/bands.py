"""The energy of a line in narrow bands, 50 times a second.

Windows overlap: one of several steps of 20 ms begins with every step. Each is projected on the Slepian sequences
of each band (D. Slepian, Bell System Technical Journal 57, 1978): those few shapes hold nearly everything that a
window can hold of a band. Whatever lies in a band that must not count, such as hum, is taken out of them first.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from appliance.recorder.ear.signals import STEP_FRAMES, Pcm
from appliance.terms import RATE_HZ

Matrix = npt.NDArray[np.floating[Any]]
Shapes = npt.NDArray[np.float64]
Band = tuple[float, float]
"""From, to, in Hz."""


class Windows:
    """Cuts blocks of any length into windows, one for each step, the first of them filled up with silence.

    steps: how long a window is. batch: so many windows come at once, or a multiple of that.
    slower: so many samples are added up to one, and there are as many times fewer frames in a window.
    """

    def __init__(self, steps: int, batch: int = 1, slower: int = 1) -> None:
        self._steps = steps
        self._slower = np.ones(slower, np.float32)
        self._batch = batch
        self._none: Matrix = np.empty((0, steps * STEP_FRAMES // slower), np.float32)
        # One step more than the next window needs, so that the newest one is always there.
        self._rest = np.zeros(steps * STEP_FRAMES, np.int16)

    def add(self, samples: Pcm) -> Matrix:
        """Shape (windows, frames); maybe no window."""
        samples = np.concatenate((self._rest, samples))
        count = samples.size // STEP_FRAMES - self._steps
        count -= count % self._batch
        if not count:
            self._rest = samples
            return self._none
        self._rest = samples[count * STEP_FRAMES :].copy()
        frames = self._slowed(samples[STEP_FRAMES : (count + self._steps) * STEP_FRAMES])
        step_frames = STEP_FRAMES // self._slower.size
        # A view: numpy's own sliding window costs more than all that is done with it.
        return np.ndarray((count, self._steps * step_frames), np.float32, frames, strides=(4 * step_frames, 4))

    @property
    def newest(self) -> Matrix:
        """The window that ends with the last sample, shape (1, frames). It belongs to no step, and comes before its
        batch."""
        return self._slowed(self._rest[-self._steps * STEP_FRAMES :])[np.newaxis]

    def _slowed(self, samples: Pcm) -> Matrix:
        frames = samples.astype(np.float32)
        return frames.reshape(-1, self._slower.size) @ self._slower if self._slower.size > 1 else frames


@cache
def shapes_of(frames: int, band: Band, count: int | None = None) -> Shapes:
    """The Slepian sequences of a band, shape (frames, count): the first eigenvectors of its kernel."""
    width, centre = (band[1] - band[0]) / RATE_HZ, (band[1] + band[0]) / 2 / RATE_HZ
    apart = np.arange(frames)[:, None] - np.arange(frames)
    if band[0] == 0:
        kernel = 2 * width * np.sinc(2 * width * apart)
    else:
        kernel = 2 * width * np.sinc(width * apart) * np.cos(2 * np.pi * centre * apart)
    _values, vectors = np.linalg.eigh(kernel)
    return vectors[:, -(count or 2 * math.ceil(width * frames + 1)) :]


def without(low: Shapes, shapes: Shapes) -> Shapes:
    """What spans `shapes` but for all that lies in `low`; columns stay of length 1 and at right angles."""
    return np.linalg.qr(shapes - low @ (low.T @ shapes))[0]
