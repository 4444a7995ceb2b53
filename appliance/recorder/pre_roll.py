"""The newest audio of a line, in memory only: what a call may reach back to, and where it waits for its consent.

What leaves here without belonging to a call is gone: overwritten by what comes after it, or with zeros when it must
not be kept. Nothing in this file knows a disk; the process's memory is locked and never dumped.
"""

from __future__ import annotations

import numpy as np

from appliance.recorder.ear.signals import Pcm
from appliance.recordings.opus import silence


class PreRoll:
    """The newest `keep_frames` frames of one or two channels without a hole between them, in one place of that size."""

    def __init__(self, keep_frames: int, channels: int = 1) -> None:
        self._kept = silence(keep_frames, channels)
        self.first_frame = 0
        """The oldest frame that is still here."""
        self.end_frame = 0
        """The frame after the newest one."""

    def add(self, first_frame: int, samples: Pcm) -> None:
        """Take in the next frames; behind a hole, everything before it is dropped. They must fit."""
        if first_frame != self.end_frame:
            self.forget(first_frame)
        self.end_frame = first_frame + len(samples)
        place = first_frame % len(self._kept)
        if place + len(samples) <= len(self._kept):
            self._kept[place : place + len(samples)] = samples
        else:
            head, rest = self._parts(first_frame, self.end_frame)
            head[:], rest[:] = samples[: len(head)], samples[len(head) :]
        self.first_frame = max(self.first_frame, self.end_frame - len(self._kept))

    def forget(self, next_frame: int) -> None:
        """Wipe everything; the next frames begin here."""
        self.forget_until(self.end_frame)
        self.first_frame = self.end_frame = next_frame

    def forget_until(self, frame: int) -> None:
        """Wipe what lies before this frame."""
        frame = min(frame, self.end_frame)
        for part in self._parts(self.first_frame, frame):
            part.fill(0)
        self.first_frame = max(self.first_frame, frame)

    def between(self, from_frame: int, to_frame: int) -> Pcm:
        """A copy of these frames, as far as they are still here."""
        return np.concatenate(self._parts(max(from_frame, self.first_frame), min(to_frame, self.end_frame)))

    def _parts(self, first_frame: int, end_frame: int) -> tuple[Pcm, Pcm]:
        """Where these frames lie: in one part, or in two where the end of the place comes between."""
        frames, size = max(end_frame - first_frame, 0), len(self._kept)
        place = first_frame % size
        head = min(frames, size - place)
        return self._kept[place : place + head], self._kept[: frames - head]
