"""A line whose state is told what happens in it, 100 ms at a time; what it has said is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from appliance.recorder.line.line_facts import (
    CallBegins,
    CallEnds,
    Cue,
    CueKind,
    Happening,
    LineRules,
    Observed,
    SpeechChanges,
)
from appliance.recorder.line.line_state import LineState, State
from appliance.recorder.line.stirring import STILL, Sound
from appliance.recordings.container import EndReason
from appliance.terms import BLOCK_FRAMES, RATE_HZ

LEAD = 2 * RATE_HZ
RULES = LineRules(
    lead=LEAD,
    hold_over=10 * RATE_HZ,
    longest_call=60 * RATE_HZ,
    longest_gap=20 * RATE_HZ,
    longest_hold=40 * RATE_HZ,
    ring_overdue=8 * RATE_HZ,
    attempt=20 * RATE_HZ,
)


def frames(seconds: float) -> int:
    return round(seconds * 10) * BLOCK_FRAMES


@dataclass
class Line:
    """A line state and all that it has said. Sounds come in blocks of 100 ms."""

    state: LineState = field(default_factory=lambda: LineState(RULES))
    at_frame: int = 0
    happenings: list[Happening] = field(default_factory=list)
    told_at: list[int] = field(default_factory=list)
    certain: list[tuple[int, int]] = field(default_factory=list)
    """When it was said up to where audio surely belongs to the running call."""
    losses: list[tuple[int, int]] = field(default_factory=list)
    rings: list[tuple[int, int]] = field(default_factory=list)
    broken: set[int] = field(default_factory=set)
    """Before which happenings, counted, nothing could be heard any more."""

    def talk(self, seconds: float) -> None:
        """Somebody speaks: each block is loud, and falls again."""
        for _ in range(round(seconds * 10)):
            self.observe(speech=True, sound=self.loud(lowest_dbfs=-60))

    def wait(self, seconds: float, *, alive: bool = False) -> None:
        for _ in range(round(seconds * 10)):
            self.observe(alive=alive)

    def drone(self, seconds: float) -> None:
        """A noise sets in, and is loud until the floor has followed it."""
        for _ in range(round(seconds * 10)):
            self.observe(speech=True, sound=self.loud(lowest_dbfs=-23))

    def tone(self, seconds: float, kind: CueKind | None = None, told_after_s: float = 0.0) -> None:
        """Something that is known to be no speech, and perhaps also what it is."""
        begin = self.at_frame
        for nth in range(round(seconds * 10)):
            told = kind is not None and nth == round(told_after_s * 10)
            cues = [Cue(kind=kind, at_frame=begin)] if told and kind is not None else []
            self.observe(cues, sound=self.loud(lowest_dbfs=-20), explained=begin)

    def ring(self, seconds: float = 1.0, *, cut: bool = False) -> None:
        begin = self.at_frame
        self.tone(seconds, CueKind.RING, told_after_s=min(0.3, seconds / 2))
        end = self.at_frame
        self.rings.append((begin, end))
        self.observe([Cue(kind=CueKind.RING_CUT if cut else CueKind.RING_ENDS, at_frame=end)], explained=begin)

    def click(self) -> None:
        """Three loud steps, as of a hook or of a crackling wire."""
        self.observe(sound=self.loud(lowest_dbfs=-60, steps=3))

    def cue(self, kind: CueKind, back_s: float = 0.0) -> None:
        self.observe([Cue(kind=kind, at_frame=self.at_frame - frames(back_s))])

    def press(self, digits: int = 1) -> None:
        for _ in range(digits):
            begin = self.at_frame
            self.observe([Cue(kind=CueKind.KEY, at_frame=begin)], sound=self.loud(lowest_dbfs=-15), explained=begin)
            self.observe(explained=begin)

    def loud(self, *, lowest_dbfs: float, steps: int = 5) -> Sound:
        end = self.at_frame + BLOCK_FRAMES
        return Sound(first_frame=self.at_frame, end_frame=end, steps=steps, level_dbfs=-20, lowest_dbfs=lowest_dbfs)

    def observe(
        self,
        cues: Sequence[Cue] = (),
        *,
        speech: bool = False,
        sound: Sound = STILL,
        explained: int | None = None,
        explained_to: int | None = None,
        alive: bool = False,
    ) -> None:
        end = self.at_frame + BLOCK_FRAMES
        seen = Observed(
            first_frame=self.at_frame,
            frames=BLOCK_FRAMES,
            speech=speech,
            sound=sound,
            cues=tuple(cues),
            explained=() if explained is None else ((explained, explained_to or end),),
            alive=alive,
        )
        self.at_frame = end
        self._note(self.state.observe(seen))

    def lose(self, seconds: float) -> None:
        begin = self.at_frame
        self.at_frame += frames(seconds)
        self.losses.append((begin, self.at_frame))
        self._note(self.state.lose(begin, self.at_frame - begin))
        if frames(seconds) > RULES.longest_gap:
            self.broken.add(len(self.happenings))

    def break_off(self) -> None:
        self._note(self.state.break_off(self.at_frame, EndReason.DEVICE_LOST))
        self.broken.add(len(self.happenings))

    def run_out(self) -> None:
        self._note(self.state.run_out(self.at_frame, EndReason.STOPPED))

    def _note(self, happenings: list[Happening]) -> None:
        self.happenings += happenings
        self.told_at += [self.at_frame] * len(happenings)
        if self.state.in_call:
            self.certain.append((self.at_frame, self.state.certain_until(self.at_frame)))

    def surely_of(self, begins: CallBegins, told_at: int) -> int:
        """Up to where it was certain, before this was told, that audio belongs to the call."""
        return max((until for at, until in self.certain if begins.answered_frame < at < told_at), default=0)

    @property
    def now(self) -> State:
        return self.state.state

    @property
    def is_idle(self) -> bool:
        return self.now is State.IDLE

    @property
    def facts(self) -> list[Happening]:
        """Without the changes of speech."""
        return [one for one in self.happenings if not isinstance(one, SpeechChanges)]

    @property
    def names(self) -> list[str]:
        return [type(one).__name__ for one in self.facts]

    @property
    def begun(self) -> CallBegins:
        return next(one for one in reversed(self.facts) if isinstance(one, CallBegins))

    @property
    def ended(self) -> CallEnds:
        return next(one for one in reversed(self.facts) if isinstance(one, CallEnds))


def in_call(talk_s: float = 3.0) -> Line:
    line = Line()
    line.wait(5)
    line.talk(talk_s)
    assert line.now is State.IN_CALL
    return line


def ringing() -> Line:
    line = Line()
    line.wait(5)
    line.ring()
    assert line.now is State.RINGING
    return line


def dialling(digits: int = 4) -> Line:
    line = Line()
    line.wait(5)
    line.tone(1, CueKind.DIAL_TONE, told_after_s=0.8)
    line.press(digits)
    assert line.now is State.DIALLING
    return line
