"""What time it was when a frame was heard.

Pure. A card's crystal drifts against the clock by up to 9 s a day, so counting frames from the opening of the
device will not do; and a block may have waited in queues before anybody looks at the clock. Waiting only ever
makes a block later, so of the last one to two minutes the block that waited least tells the truth.
"""

from __future__ import annotations

from appliance.terms import RATE_HZ

_SPAN_FRAMES = 60 * RATE_HZ
"""Longer than any block can wait (30 s in the capture's queue, 5 s in ALSA's)."""


class WallTime:
    """For one opening of a device.

    Args:
        wall_ms: UTC when frame 0 was heard.
    """

    def __init__(self, wall_ms: int) -> None:
        self._least_ms = self._least_before_ms = wall_ms
        self._span_end_frame = _SPAN_FRAMES

    def note(self, end_frame: int, now_ms: int) -> None:
        """A block that ends before this frame was fetched now."""
        zero_ms = now_ms - _ms(end_frame)
        if end_frame >= self._span_end_frame:
            self._least_before_ms, self._least_ms = self._least_ms, zero_ms
            self._span_end_frame = end_frame + _SPAN_FRAMES
        self._least_ms = min(self._least_ms, zero_ms)

    def at_ms(self, frame: int) -> int:
        """UTC when this frame was heard, milliseconds since 1970."""
        return max(self._zero_ms + _ms(frame), 0)

    def frame_at(self, ms: int) -> int:
        """Which frame was heard then; 0 if it was before the first."""
        return max((ms - self._zero_ms) * RATE_HZ // 1000, 0)

    @property
    def _zero_ms(self) -> int:
        return min(self._least_ms, self._least_before_ms)


def _ms(frames: int) -> int:
    return frames * 1000 // RATE_HZ
