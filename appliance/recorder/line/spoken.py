"""When somebody has spoken on a line, block by block. A memory only; what follows from it is left to others."""

from __future__ import annotations

from collections import deque

from appliance.terms import RATE_HZ

_BLOCKS = 100
_SILENT = RATE_HZ
_LONG_TALK = 5 * RATE_HZ
_LONG_AGO = -(1 << 60)


class Spoken:
    """The last blocks in which somebody spoke, ten seconds of talk."""

    def __init__(self) -> None:
        self._ends: deque[int] = deque(maxlen=_BLOCKS)
        self._resumed_frame = _LONG_AGO

    @property
    def end_frame(self) -> int:
        """Of the last of them."""
        return self._ends[-1] if self._ends else _LONG_AGO

    def add(self, first_frame: int, end_frame: int) -> None:
        """Somebody spoke in these frames."""
        if self._is_silent(first_frame):
            self._resumed_frame = first_frame
        self._ends.append(end_frame)

    def between(self, frame: int, later_frame: int) -> bool:
        """Whether a block in which somebody spoke ends after the first of these frames, and not after the second."""
        return any(frame < end <= later_frame for end in self._ends)

    def is_amid(self, frame: int) -> bool:
        """Whether there has been talk for five seconds without a silence of one second. No ringing goes on so long."""
        return frame - self.end_frame < _SILENT and frame - self._resumed_frame > _LONG_TALK

    def breaks_silence(self, frame: int) -> bool:
        """Whether what sounds here comes after a second of silence, or within a second of what did."""
        return self._is_silent(frame) or frame - self._resumed_frame < _SILENT

    def _is_silent(self, frame: int) -> bool:
        return frame - self.end_frame > _SILENT
