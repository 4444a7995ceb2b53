"""The outline of a call for its waveform: the lowest and highest sample of each column, as int8.

For the eye only; what was said cannot be heard from 800 columns. Columns of 100 ms while the call runs, joined
into at most 800 equal ones at its end.
"""

from __future__ import annotations

import numpy as np

from appliance.recorder.ear.signals import Pcm
from appliance.terms import BLOCK_FRAMES


class Peaks:
    """Collects one call's outline: two bytes for each 100 ms."""

    def __init__(self) -> None:
        self._columns = bytearray()
        self._rest = np.empty(0, np.int16)

    def add(self, samples: Pcm) -> None:
        if self._rest.size:
            samples = np.concatenate((self._rest, samples))
        whole = samples.size - samples.size % BLOCK_FRAMES
        self._rest = samples[whole:].copy()
        if whole:
            self._columns += _outline(samples[:whole].reshape(-1, BLOCK_FRAMES))

    def reduced(self, most_columns: int) -> bytes:
        """Lowest and highest alternating, in at most so many columns; the last one may stand for less time."""
        columns = np.frombuffer(bytes(self._columns), np.int8).reshape(-1, 2)
        if self._rest.size:
            last = np.frombuffer(_outline(self._rest.reshape(1, -1)), np.int8).reshape(1, 2)
            columns = np.concatenate((columns, last))
        if not columns.size:
            return b""
        joined = -(-len(columns) // most_columns)
        starts = np.arange(0, len(columns), joined)
        low = np.minimum.reduceat(columns[:, 0], starts)
        high = np.maximum.reduceat(columns[:, 1], starts)
        return np.stack((low, high), axis=1).tobytes()


def _outline(rows: Pcm) -> bytes:
    """For each row its extremes, the upper eight bits of sixteen."""
    extremes = np.stack((rows.min(axis=1), rows.max(axis=1)), axis=1)
    return (extremes >> 8).astype(np.int8).tobytes()
