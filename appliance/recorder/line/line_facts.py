"""What a line's state is told, and what it tells: cues and happenings, and the lengths by which it goes.

Facts only; what follows from which is in `line_state`. All positions are frames since the device was opened.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from appliance.recorder.ear.signals import ONSET_FRAMES, Span
from appliance.recorder.line.stirring import STILL, Sound
from appliance.recordings.container import EndReason
from appliance.settings import RecorderSettings
from appliance.terms import BLOCK_FRAMES, RATE_HZ


class CueKind(Enum):
    RING = auto()
    """A burst of ringing begins."""
    CALLER = auto()
    """The exchange tells who calls."""
    RING_ENDS = auto()
    RING_CUT = auto()
    """A burst ends that is shorter than this country's: somebody may have picked up."""
    DIAL_TONE = auto()
    DIAL_TONE_ENDS = auto()
    KEY = auto()
    RINGBACK = auto()
    BUSY = auto()
    """Busy or congestion."""
    INFORMATION = auto()
    TONE_ENDS = auto()
    """Busy, congestion or information tone ends."""
    OFF_HOOK = auto()
    ON_HOOK = auto()
    FOUND_OFF_HOOK = auto()
    """The hook is off when its input is opened."""
    HOOK_UNKNOWN = auto()
    """Its input is lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cue:
    """Something that was recognised.

    at_frame: dated back to where it could first be heard.
    sensed: by a wire, not by ear.
    """

    kind: CueKind
    at_frame: int
    sensed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What a line carried during these frames.

    speech: somebody speaks, or something sounds, at their end.
    sound: how loud they are.
    explained: spans up to now in which what sounded was no speech.
    tonal: what sounds is a tone.
    alive: no more than the line's noise, but more than that of a line that is not used.
    """

    first_frame: int
    frames: int
    speech: bool
    sound: Sound = STILL
    cues: tuple[Cue, ...] = ()
    explained: tuple[Span, ...] = ()
    alive: bool = False
    tonal: bool = False

    @property
    def end_frame(self) -> int:
        return self.first_frame + self.frames

    @property
    def is_explained(self) -> bool:
        """What sounds in these frames was no speech, or some of it."""
        return any(first < self.sound.end_frame and end > self.sound.first_frame for first, end in self.explained)


class Route(Enum):
    """How a call came about."""

    RANG = auto()
    DIALLED = auto()
    UNKNOWN = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rings:
    """It begins to ring."""

    at_frame: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    """It rang from `since_frame` to `at_frame`, and nobody answered."""

    at_frame: int
    since_frame: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PicksUp:
    """Somebody has picked up and may dial."""

    at_frame: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NotAnswered:
    """An attempt is over that nobody answered. dialled: somebody had at least begun to dial."""

    at_frame: int
    since_frame: int
    dialled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CallBegins:
    """
    at_frame: the moment of off-hook, as far as it could be heard; in the past or now.
    answered_frame: the first sound of a person.
    audio_from: the first frame of the recording, pre-roll included.
    goes_on: it is the next part of a call that was too long for one recording.
    """

    at_frame: int
    answered_frame: int
    audio_from: int
    route: Route = Route.UNKNOWN
    goes_on: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEnds:
    """
    at_frame: the moment of hang-up, or else of the last sound.
    audio_to: the first frame that no longer belongs to the recording.
    """

    at_frame: int
    audio_to: int
    why: EndReason


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechChanges:
    at_frame: int
    on: bool


Happening = Rings | Missed | PicksUp | NotAnswered | CallBegins | CallEnds | SpeechChanges


@dataclass(frozen=True, slots=True, kw_only=True)
class LineRules:
    """Lengths in frames.

    lead: how far before the first sound a recording begins.
    hold_over: so long a silence belongs to the call.
    longest_hold: so long a silence belongs to it if the line's noise says that it lives.
    ring_overdue: so long after a burst no other one comes: the ringing is over.
    attempt: so long may nothing be heard between dialling and an answer.
    longest_call: after that one recording ends and the next begins.
    longest_gap: a call in which more than this is lost at once is over.
    """

    lead: int
    hold_over: int
    longest_call: int
    longest_gap: int
    longest_hold: int = 15 * 60 * RATE_HZ
    ring_overdue: int = 8 * RATE_HZ
    attempt: int = 20 * RATE_HZ


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
