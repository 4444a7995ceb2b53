"""The last seconds of a line, in memory only: what a call may reach back to.

What leaves here without belonging to a call is gone; nothing in this file knows a disk.
"""

from __future__ import annotations

from collections import deque

from appliance.recorder.signals import Pcm


class PreRoll:
    """Blocks without a hole between them, the newest `keep_frames` frames and what completes a block."""

    def __init__(self, keep_frames: int) -> None:
        self._keep_frames = keep_frames
        self._blocks: deque[tuple[int, Pcm]] = deque()
        self.end_frame = 0
        """The frame after the newest one."""

    @property
    def first_frame(self) -> int:
        """The oldest frame that is still here."""
        return self._blocks[0][0] if self._blocks else self.end_frame

    def add(self, first_frame: int, samples: Pcm) -> None:
        if first_frame != self.end_frame:
            self._blocks.clear()
        self._blocks.append((first_frame, samples))
        self.end_frame = first_frame + samples.size
        # The newest block always stays, however short the pre-roll: a call that begins now begins with it.
        while len(self._blocks) > 1 and self._blocks[1][0] <= self.end_frame - self._keep_frames:
            self._blocks.popleft()

    def forget(self, next_frame: int) -> None:
        """Drop everything; the next block begins at this frame."""
        self._blocks.clear()
        self.end_frame = next_frame

    def between(self, from_frame: int, to_frame: int) -> list[Pcm]:
        """The samples of these frames, as far as they are still here."""
        found: list[Pcm] = []
        for first_frame, samples in reversed(self._blocks):
            if first_frame + samples.size <= from_frame:
                break
            piece = samples[max(from_frame - first_frame, 0) : max(to_frame - first_frame, 0)]
            if piece.size:
                found.append(piece)
        return found[::-1]
