"""Which bursts of ringing are believed, and what they tell of the line.

On a line that is free each burst counts, a cut one too. On one that is taken a false ring ends a call: a voice may
sound like the beginning of a burst, and a hook that moves makes sparks. So there only whole bursts count, as long as
this country's, in which nobody speaks; and not one alone, unless the line has long been silent or a caller ID came
with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from appliance.recorder.ear.countries import Ringing
from appliance.recorder.ear.ringing import RingChange
from appliance.recorder.ear.signals import Span
from appliance.recorder.line.line_facts import Cue, CueKind
from appliance.recorder.line.line_state import LineState, State
from appliance.recorder.line.spoken import Spoken
from appliance.terms import RATE_HZ

_TOLERANCE = 0.1
_MARGIN_S = 0.08
"""A burst that is off by more than this from every usual one was cut short."""
_SAME_EXCHANGE_S = 0.22
"""So much shorter than one before a burst was cut short too: exchanges differ from their country's figure, but not from
themselves. Each of the four ends is heard within 50 ms, or a wave of 20 Hz."""
_FOR_CERTAIN = RATE_HZ // 2
"""A ring is known to be one so long after it began."""
_LONG_SILENT = 5 * RATE_HZ
_CALLER_AFTER_RING = 6 * RATE_HZ
_LONG_AGO = -(1 << 60)
_NONE: Span = (_LONG_AGO, _LONG_AGO)


class RingBursts:
    """The bursts of one line, heard or sensed.

    Args:
        ringing: of the country.
        overdue: frames after which the next burst belongs to another call.
        state: of the line, as it is when a burst is told.
        spoken: when somebody has spoken on it.
    """

    def __init__(self, ringing: Ringing, overdue: int, state: LineState, spoken: Spoken) -> None:
        self._ringing = ringing
        self._overdue = overdue
        self._state = state
        self._spoken = spoken
        self._last = _NONE
        """Believed or not."""
        self._lengths: list[int] = []
        """Of those since it began to ring."""
        self._doubted: Span | None = None

    def forget(self) -> None:
        """Frames were lost: what follows belongs to no burst before."""
        self._last, self._doubted = _NONE, None

    def sense(self, cues: Iterable[Cue]) -> Iterator[Cue]:
        """What the wires tell; of bursts, the ringing voltage's, what is believed."""
        for cue in cues:
            if cue.kind is CueKind.RING:
                self._begin(cue.at_frame)
                if not self._is_taken(cue.at_frame):
                    yield cue
            elif cue.kind is CueKind.RING_ENDS:
                began = self._last[0]
                whole = self._end(cue.at_frame)
                if whole and self._is_taken(began):
                    yield replace(cue, kind=CueKind.RING, at_frame=began)
                yield cue if whole else replace(cue, kind=CueKind.RING_CUT)
            else:
                yield cue

    def hear(self, change: RingChange) -> Iterator[Cue]:
        """A burst begins, or ends."""
        if change.on:
            self._begin(change.at_frame)
            if not self._is_taken(change.at_frame):
                yield Cue(kind=CueKind.RING, at_frame=change.at_frame)
            return
        taken = self._state.state in (State.DIALLING, State.IN_CALL)
        began = self._last[0]
        whole = self._end(change.at_frame)
        if not taken:
            yield Cue(kind=CueKind.RING_ENDS if whole else CueKind.RING_CUT, at_frame=change.at_frame)
        elif (
            whole
            and not self._state.hook.is_off
            and not self._spoken.between(began + _FOR_CERTAIN, change.at_frame - 1)
        ):
            before, self._doubted = self._doubted, (began, change.at_frame)
            silent = self._state.in_call and not self._spoken.between(began - _LONG_SILENT, began)
            if silent or (before is not None and self._is_pause(began - before[1])):
                yield from self.confirm(change.at_frame)

    def confirm(self, at_frame: int) -> Iterator[Cue]:
        """The doubted burst on a taken line was one after all, if there is one: the line had been put down."""
        ring, self._doubted = self._doubted, None
        if ring is not None and at_frame - ring[1] < _CALLER_AFTER_RING:
            yield Cue(kind=CueKind.RING, at_frame=ring[0])
            yield Cue(kind=CueKind.RING_ENDS, at_frame=ring[1])

    def settle(self, answered_frame: int) -> bool:
        """Somebody answered here. Returns: whether that was after a doubted burst; none is doubted any more."""
        doubted, self._doubted = self._doubted, None
        return doubted is not None and answered_frame > doubted[1]

    def _is_taken(self, ring_frame: int) -> bool:
        """Somebody has picked up before this ring."""
        taken = self._state.state in (State.DIALLING, State.IN_CALL)
        return taken and not self._state.rang_before_lift(ring_frame)

    def _begin(self, at_frame: int) -> None:
        if at_frame - self._last[1] > self._overdue:
            self._lengths.clear()
        self._last = at_frame, _LONG_AGO

    def _end(self, at_frame: int) -> bool:
        """Whether it was a whole one."""
        began = self._last[0]
        self._last = began, at_frame
        self._lengths.append(at_frame - began)
        usual = {on for cadence in self._ringing.cadences_s for on in cadence[::2]}
        return any(self._is_whole(at_frame - began, on) for on in usual)

    def _is_whole(self, frames: int, usual_s: float) -> bool:
        tolerance_s = _TOLERANCE * usual_s + _MARGIN_S
        alike = [length / RATE_HZ for length in self._lengths if abs(length / RATE_HZ - usual_s) < tolerance_s]
        return abs(frames / RATE_HZ - usual_s) < tolerance_s and max(alike) - frames / RATE_HZ < _SAME_EXCHANGE_S

    def _is_pause(self, frames: int) -> bool:
        pauses = {off for cadence in self._ringing.cadences_s for off in cadence[1::2]}
        return any(abs(frames / RATE_HZ - off) < _TOLERANCE * off + _MARGIN_S for off in pauses)
