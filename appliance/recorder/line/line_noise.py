"""A line's own noise, in use and out of use: what tells a long hold from a hang-up where no hook is sensed.

Pure. A line that is off the hook mostly carries more noise than one that is not: the other side's, the network's. As
long as the quietest moments of a block lie above what the idle line has, nobody has hung up. The other way round it
proves nothing: a far side that mutes itself is as quiet as an idle line.
"""

from __future__ import annotations

from appliance.recorder.ear.signals import Heard

_ABOVE_IDLE_DB = 6.0
_LOWEST_DBFS = -80.0
"""Below this all lines are the same: a bit or two of the card."""
_LEARNS = 0.02
"""Per block of 100 ms: the idle noise is known after five seconds, and follows the day."""


class LineNoise:
    """One line, from one opening of its device to its loss."""

    def __init__(self) -> None:
        self._idle_dbfs: float | None = None

    def says_alive(self, heard: Heard, *, idle: bool) -> bool:
        """Take in the next block; whether it is noisier than the idle line.

        Args:
            idle: no call is on the line.
        """
        lowest = max(heard.lowest_dbfs, _LOWEST_DBFS)
        if idle and not heard.speech:
            known = lowest if self._idle_dbfs is None else self._idle_dbfs
            self._idle_dbfs = known + _LEARNS * (lowest - known)
        return self._idle_dbfs is not None and lowest > self._idle_dbfs + _ABOVE_IDLE_DB
