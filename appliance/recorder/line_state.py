"""What a line is doing: idle, or in a call. What is heard goes in, happenings come out.

Pure: no audio, no clock, no disk. Time is counted in frames since the device was opened, and only goes on.
Whether a call may be recorded is not asked here: that a call is on the line is a fact, with or without us.

    state     cue       becomes   because
    idle      sound     in call   somebody speaks; the call begins in the pre-roll, never in an earlier call
    idle      quiet     idle
    idle      hung up   idle
    idle      lost      idle      no call can reach back over what was not heard
    in call   sound     in call   the hold-over begins anew
    in call   quiet     idle      once the hold-over has passed; a pause shorter than that belongs to the call
    in call   lost      in call   it may have been speech, so the hold-over begins anew
    in call   hung up   idle      the exchange says so; what it sends belongs to no later call
    in call   broken    idle      nothing more can be heard: unplugged, stopped, too much lost
    in call   too long  in call   one call ends and the next begins with the very next frame

A new signal (hook, ring, busy tone, keys) becomes a field of `Observed`, and its cues rows of this table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from appliance.recorder.signals import ONSET_FRAMES
from appliance.recordings.container import EndReason
from appliance.settings import RecorderSettings
from appliance.terms import BLOCK_FRAMES, RATE_HZ


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What a line carried during these frames."""

    first_frame: int
    frames: int
    speech: bool
    hung_up_frame: int | None = None
    """From here on the exchange says that the other side has hung up; noticed in these frames, and may lie before."""

    @property
    def end_frame(self) -> int:
        return self.first_frame + self.frames


@dataclass(frozen=True, slots=True, kw_only=True)
class CallBegins:
    """`at_frame` is the first frame of the call, pre-roll included; it lies in the past or now.

    goes_on: it is the next part of a call that was too long for one recording.
    """

    at_frame: int
    goes_on: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEnds:
    """`at_frame` is the first frame that no longer belongs to the call."""

    at_frame: int
    why: EndReason


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechChanges:
    at_frame: int
    on: bool


Happening = CallBegins | CallEnds | SpeechChanges


@dataclass(frozen=True, slots=True, kw_only=True)
class LineRules:
    """Lengths in frames.

    lead: how far before the block in which speech is noticed a call begins: pre-roll and onset.
    hold_over: so long a silence belongs to the call.
    longest_call: after that one call ends and the next begins.
    longest_gap: a call in which more than this is lost at once is over.
    """

    lead: int
    hold_over: int
    longest_call: int
    longest_gap: int


LONGEST_GAP_S = 60
"""Silence put in for more than that would be a recording of nothing."""


def rules_from(settings: RecorderSettings) -> LineRules:
    """The owner's rules in frames. The lead is whole blocks, so that a recording is fed in whole packets."""
    lead = round(settings.pre_roll_s * RATE_HZ) + ONSET_FRAMES
    return LineRules(
        lead=-(-lead // BLOCK_FRAMES) * BLOCK_FRAMES,
        hold_over=round(settings.hold_over_s * RATE_HZ),
        longest_call=settings.longest_call_s * RATE_HZ,
        longest_gap=LONGEST_GAP_S * RATE_HZ,
    )


class State(Enum):
    IDLE = auto()
    IN_CALL = auto()


class Cue(Enum):
    SOUND = auto()
    QUIET = auto()
    HUNG_UP = auto()
    LOST = auto()
    BROKEN = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moment:
    """One cue and the frames it is about."""

    first_frame: int
    end_frame: int
    why: EndReason = EndReason.SILENCE


class LineState:
    """One line, from one opening of its device to its loss."""

    def __init__(self, rules: LineRules) -> None:
        self._rules = rules
        self._state = State.IDLE
        self._speech = False
        self._earliest_frame = 0
        self._began_frame = 0
        self._sound_end_frame = 0
        self._happenings: list[Happening] = []
        self._table: dict[tuple[State, Cue], Callable[[_Moment], State]] = {
            (State.IDLE, Cue.SOUND): self._begin,
            (State.IDLE, Cue.QUIET): self._stay_idle,
            (State.IDLE, Cue.HUNG_UP): self._stay_idle,
            (State.IDLE, Cue.LOST): self._forget_before,
            (State.IDLE, Cue.BROKEN): self._forget_before,
            (State.IN_CALL, Cue.SOUND): self._go_on,
            (State.IN_CALL, Cue.QUIET): self._hold_over,
            (State.IN_CALL, Cue.HUNG_UP): self._hang_up,
            (State.IN_CALL, Cue.LOST): self._go_on,
            (State.IN_CALL, Cue.BROKEN): self._end,
        }

    @property
    def in_call(self) -> bool:
        return self._state is State.IN_CALL

    def observe(self, seen: Observed) -> list[Happening]:
        """Take in what was heard. Must follow the last frames without a hole: what is missing is `lose`d."""
        if seen.speech != self._speech:
            self._change_speech(seen.first_frame, on=seen.speech)
        if seen.hung_up_frame is not None:
            return self._take(Cue.HUNG_UP, _Moment(first_frame=seen.hung_up_frame, end_frame=seen.end_frame))
        cue = Cue.SOUND if seen.speech else Cue.QUIET
        return self._take(cue, _Moment(first_frame=seen.first_frame, end_frame=seen.end_frame))

    def lose(self, first_frame: int, frames: int) -> list[Happening]:
        """Take in that frames are missing."""
        if frames > self._rules.longest_gap:
            happenings = self.break_off(first_frame, EndReason.DEVICE_LOST)
            self._earliest_frame = first_frame + frames
            return happenings
        return self._take(Cue.LOST, _Moment(first_frame=first_frame, end_frame=first_frame + frames))

    def break_off(self, at_frame: int, why: EndReason) -> list[Happening]:
        """Nothing can be heard from this frame on."""
        if self._speech:
            self._change_speech(at_frame, on=False)
        return self._take(Cue.BROKEN, _Moment(first_frame=at_frame, end_frame=at_frame, why=why))

    def _take(self, cue: Cue, moment: _Moment) -> list[Happening]:
        self._state = self._table[self._state, cue](moment)
        if self._state is State.IN_CALL and moment.end_frame - self._began_frame >= self._rules.longest_call:
            self._split(moment.end_frame)
        happenings, self._happenings = self._happenings, []
        return happenings

    def _change_speech(self, at_frame: int, *, on: bool) -> None:
        self._speech = on
        self._happenings.append(SpeechChanges(at_frame=at_frame, on=on))

    # the right-hand side of the table

    def _stay_idle(self, _moment: _Moment) -> State:
        return State.IDLE

    def _forget_before(self, moment: _Moment) -> State:
        self._earliest_frame = moment.end_frame
        return State.IDLE

    def _begin(self, moment: _Moment) -> State:
        self._open(max(moment.first_frame - self._rules.lead, self._earliest_frame))
        return self._go_on(moment)

    def _go_on(self, moment: _Moment) -> State:
        self._sound_end_frame = moment.end_frame
        return State.IN_CALL

    def _hold_over(self, moment: _Moment) -> State:
        if moment.end_frame - self._sound_end_frame < self._rules.hold_over:
            return State.IN_CALL
        self._close(moment.end_frame, EndReason.SILENCE)
        return State.IDLE

    def _hang_up(self, moment: _Moment) -> State:
        self._close(max(moment.first_frame, self._began_frame), EndReason.HUNG_UP)
        self._earliest_frame = moment.end_frame
        return State.IDLE

    def _end(self, moment: _Moment) -> State:
        self._close(moment.first_frame, moment.why)
        return State.IDLE

    def _split(self, at_frame: int) -> None:
        self._close(at_frame, EndReason.LONGEST)
        self._open(at_frame, goes_on=True)

    def _open(self, at_frame: int, *, goes_on: bool = False) -> None:
        self._began_frame = at_frame
        self._happenings.append(CallBegins(at_frame=at_frame, goes_on=goes_on))

    def _close(self, at_frame: int, why: EndReason) -> None:
        self._earliest_frame = at_frame
        self._happenings.append(CallEnds(at_frame=at_frame, why=why))
