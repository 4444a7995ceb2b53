"""Bursts and pauses: when something was on, how long, how steadily; and whether that fits a cadence.

All is counted in steps of 20 ms, in the windows of `bands`. A length fits if it is within 15 % of what the
exchange should send (ITU-T E.180 leaves its tones 10 %), and within what the grid adds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from appliance.recorder.ear.bands import Matrix
from appliance.recorder.ear.signals import STEP_FRAMES
from appliance.terms import RATE_HZ

BEGIN_STEPS = 5
END_STEPS = 4
"""What is on for less than 100 ms is no burst, a pause of less than 80 ms is none: the shortest that
exchanges send are of 170 ms."""

_LIKELY_STEPS = 3

KEPT_LEVELS = 200
"""Of a tone that lasts for hours, its last four seconds say whether it is steady."""

BACK_STEPS = 10
AHEAD_STEPS = 2
"""A burst stands out from what is around it: this far back and ahead."""

_CADENCE_TOLERANCE = 0.15
_SLACK_STEPS = 2.0
"""What the grid of 20 ms and noise at both ends add to a length."""
_STEADY = 0.35
"""Standard deviation of the energy in a burst, against its mean. Babble at 6 dB SNR makes 0.25."""
_SAME_LEVEL = 2.0


@dataclass(frozen=True, slots=True)
class Burst:
    """begin and end count windows, `end` is the first that is off; level is an energy."""

    begin: int
    end: int
    level: float
    steady: bool


class Bursts:
    """What is on for 80 ms and longer, with gaps shorter than that closed."""

    def __init__(self) -> None:
        self.on = False
        self.since = 0
        self.levels: list[float] = []
        self._contrary = 0
        self._rest: list[float] = []

    @property
    def begins(self) -> bool:
        """It has been on for so short that this may still be nothing."""
        return not self.on and self._contrary >= _LIKELY_STEPS

    def add(self, window: int, on: bool, level: float) -> Burst | bool:
        """Returns: the burst that has ended, True if one has begun, else False."""
        if on == self.on:
            self._contrary = 0
            if on:
                self.levels += self._rest
                self.levels.append(level)
                if len(self.levels) > 2 * KEPT_LEVELS:
                    del self.levels[:-KEPT_LEVELS]
            self._rest.clear()
            return False
        self._contrary += 1
        self._rest.append(level)
        return self._contrary == (END_STEPS if self.on else BEGIN_STEPS) and self._turn(window + 1 - self._contrary)

    def sleep(self) -> None:
        """Forget what has been on for less than 80 ms: it will be heard again."""
        self._contrary = 0
        self._rest.clear()

    def _turn(self, window: int) -> Burst | bool:
        since, levels = self.since, self.levels
        self.on, self.since, self._contrary = not self.on, window, 0
        self.levels, self._rest = self._rest, []
        if self.on:
            return True
        return Burst(since, window, sum(levels) / len(levels), steady(levels))


def steady(levels: list[float]) -> bool:
    """The first and the last window are only partly filled."""
    inner = levels[1:-1]
    mean = sum(inner) / len(inner)
    return sum((level - mean) ** 2 for level in inner) <= len(inner) * (_STEADY * mean) ** 2


def fits(length: float, nominal: float) -> bool:
    return abs(length - nominal) <= nominal * _CADENCE_TOLERANCE + _SLACK_STEPS


def most(nominal: float) -> int:
    return math.floor(nominal * (1 + _CADENCE_TOLERANCE) + _SLACK_STEPS)


def least(nominal: float) -> int:
    return math.ceil(nominal * (1 - _CADENCE_TOLERANCE) - _SLACK_STEPS)


def same_level(one: float, other: float) -> bool:
    return 1 / _SAME_LEVEL < one / other < _SAME_LEVEL


def highest_around(parts: Matrix) -> Matrix:
    """The highest of each window, the ten before it and the two after it."""
    highest, reach = parts, 1
    while reach < BACK_STEPS + 1 + AHEAD_STEPS:
        shift = min(reach, BACK_STEPS + 1 + AHEAD_STEPS - reach)
        highest = np.maximum(highest[:-shift], highest[shift:])
        reach += shift
    return highest


def steps_in(seconds: float) -> float:
    return seconds * RATE_HZ / STEP_FRAMES
