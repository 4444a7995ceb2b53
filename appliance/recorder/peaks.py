"""The outline of a call for its waveform: the lowest and highest sample of each column and channel, as int8.

For the eye only; what was said cannot be heard from 800 columns. Columns of 100 ms while the call runs, joined
into at most 800 equal ones at its end.
"""

from __future__ import annotations

import numpy as np

from appliance.recorder.ear.signals import Pcm
from appliance.recordings.opus import silence
from appliance.terms import BLOCK_FRAMES


class Peaks:
    """Collects one call's outline: two bytes for each 100 ms of each channel."""

    def __init__(self, channels: int = 1) -> None:
        self._channels = channels
        self._columns = bytearray()
        self._rest = silence(0, channels)

    def add(self, samples: Pcm) -> None:
        if len(self._rest):
            samples = np.concatenate((self._rest, samples))
        whole = len(samples) - len(samples) % BLOCK_FRAMES
        self._rest = samples[whole:].copy()
        if whole:
            self._columns += self._outline(samples[:whole], BLOCK_FRAMES)

    def reduced(self, most_columns: int) -> bytes:
        """Lowest and highest of each channel, in at most so many columns; the last one may stand for less time."""
        outline = bytes(self._columns)
        if len(self._rest):
            outline += self._outline(self._rest, len(self._rest))
        columns = np.frombuffer(outline, np.int8).reshape(-1, self._channels, 2)
        if not columns.size:
            return b""
        joined = -(-len(columns) // most_columns)
        starts = np.arange(0, len(columns), joined)
        low = np.minimum.reduceat(columns[..., 0], starts)
        high = np.maximum.reduceat(columns[..., 1], starts)
        return np.stack((low, high), axis=2).tobytes()

    def _outline(self, samples: Pcm, column_frames: int) -> bytes:
        """For each column and channel its extremes, the upper eight bits of sixteen."""
        columns = samples.reshape(-1, column_frames, self._channels)
        extremes = np.stack((columns.min(axis=1), columns.max(axis=1)), axis=2)
        return (extremes >> 8).astype(np.int8).tobytes()
