"""What the lamp of a line says, and what a press of its button means: one table, for the code and for people.

Pure. A lamp is one colour, so it speaks by rhythm. Recording is what nobody may be in doubt of: it alone burns without
a break, whatever else is wrong at the same time. A lamp that is dark for longer than three seconds is a box that does
not run.

The button does what a person beside the telephone needs in a hurry, and nothing that cannot be undone happens by a
short press. Between short and long lies a stretch that means nothing: who holds it that long wanted neither, or is not
sure.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from appliance.boundary.verbs import LineNow
from appliance.terms import LineNowState, Order

SHORT_MS = 1000
LONG_MS = 3000


class Light(StrEnum):
    """What a lamp can say, what matters most first."""

    RECORDING = "recording"
    PAUSED = "paused"
    WAITING = "waiting"
    FAULT = "fault"
    UNCLAIMED = "unclaimed"
    READY = "ready"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """When the lamp burns. period_ms: after which all begins anew; lit_ms: from and to, within the period."""

    period_ms: int
    lit_ms: tuple[tuple[int, int], ...]
    looks: str
    means: str

    def is_lit(self, at_ms: int) -> bool:
        into_ms = at_ms % self.period_ms
        return any(begins <= into_ms < ends for begins, ends in self.lit_ms)


RHYTHMS = {
    Light.RECORDING: Rhythm(
        period_ms=1000, lit_ms=((0, 1000),), looks="burns steadily", means="A call is being recorded."
    ),
    Light.PAUSED: Rhythm(
        period_ms=2000,
        lit_ms=((0, 1000),),
        looks="a second on, a second off",
        means="Recording is paused; nothing that is said now is kept.",
    ),
    Light.WAITING: Rhythm(
        period_ms=1500,
        lit_ms=((0, 150), (300, 450)),
        looks="two flashes, again and again",
        means="A call waits for consent. It is in memory only.",
    ),
    Light.FAULT: Rhythm(
        period_ms=200,
        lit_ms=((0, 100),),
        looks="flickers, five times a second",
        means="This line cannot be recorded, or the case is open. The page says why.",
    ),
    Light.UNCLAIMED: Rhythm(
        period_ms=3000,
        lit_ms=((0, 150), (300, 450), (600, 750)),
        looks="three flashes every 3 s",
        means="The box has no owner yet. Open its page and claim it with the code on its label.",
    ),
    Light.READY: Rhythm(
        period_ms=3000,
        lit_ms=((0, 100),),
        looks="a flash every 3 s",
        means="All is well, and nothing is being recorded.",
    ),
}

_LIGHTS = {
    LineNowState.RECORDING: Light.RECORDING,
    LineNowState.PAUSED: Light.PAUSED,
    LineNowState.WAITING: Light.WAITING,
}


def light_of(line: LineNow, *, claimed: bool, case_open: bool) -> Light:
    """What the lamp of a line says now. claimed: the box has an owner."""
    if line.state in _LIGHTS:
        return _LIGHTS[line.state]
    if line.trouble or case_open:
        return Light.FAULT
    return Light.READY if claimed else Light.UNCLAIMED


SHORT_PRESS = {
    LineNowState.WAITING: Order.CONFIRM,
    LineNowState.RECORDING: Order.PAUSE,
    LineNowState.PAUSED: Order.RESUME,
}
"""A press of up to a second, by what the line does when the button goes down."""

LONG_PRESS = dict.fromkeys((LineNowState.WAITING, LineNowState.RECORDING, LineNowState.PAUSED), Order.FORGET)
"""A press of three seconds or more; it acts when these are over, not when the button is let go of."""
