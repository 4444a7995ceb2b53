"""One line followed: what is heard in it, what that means for a call, who is at the other end, may it be kept.

Pure, and the same for a live line and for a file: nothing about a call is decided anywhere else. What becomes of the
audio is left to others.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from appliance.recorder.ear.announcement import AnnouncementHeard, AnnouncementListener
from appliance.recorder.ear.caller_id import CallerId
from appliance.recorder.ear.keys import Key, Side
from appliance.recorder.ear.line_ear import EarHeard, LineEar, LineSound
from appliance.recorder.ear.ringing import RingChange
from appliance.recorder.ear.sides import LineSignals, mixed
from appliance.recorder.ear.signals import Heard, Pcm, Span
from appliance.recorder.ear.tones import ToneChange
from appliance.recorder.line.consent import ConsentGate, Decision
from appliance.recorder.line.hook_sense import HookDoubt
from appliance.recorder.line.line_facts import (
    CallBegins,
    CallEnds,
    Cue,
    CueKind,
    Happening,
    Missed,
    NotAnswered,
    Observed,
    PicksUp,
    Rings,
    Route,
    SpeechChanges,
)
from appliance.recorder.line.line_noise import LineNoise
from appliance.recorder.line.line_plan import LinePlan
from appliance.recorder.line.line_state import LineState, State
from appliance.recorder.line.number_list import DIAL_PLANS
from appliance.recorder.line.party import Party, PartyFinder
from appliance.recorder.line.ring_bursts import RingBursts
from appliance.recorder.line.spoken import Spoken
from appliance.recorder.line.star_codes import CodeReader, PlainKey, TypedOrder
from appliance.recorder.line.stirring import Sound
from appliance.recordings.container import EndReason
from appliance.recordings.opus import silence
from appliance.terms import RATE_HZ, NotKept, Order

_CERTAIN_WITHIN_FRAMES = 2 * RATE_HZ
_EXPLAINED_FRAMES = 7 * RATE_HZ // 10
"""So long after what was no speech nothing is speech: the next burst of a tone is yet to be known as one."""
_KEYS_REMEMBERED = 32
_ANSWERED_WITHIN = 5 * RATE_HZ
_SHORT_TONE = 3 * RATE_HZ // 10
_DIALS_SOON = 3 * RATE_HZ


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordered:
    """The own side has ordered this, by star code or from outside; `from_frame`: where a code began."""

    at_frame: int
    from_frame: int
    order: Order


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptCallEnds:
    """A call is over. not_kept: why not; None if it may be kept."""

    ends: CallEnds
    not_kept: NotKept | None
    party: Party


@dataclass(frozen=True, slots=True, kw_only=True)
class Unanswered:
    """It rang, or somebody dialled, from `since_frame` to `at_frame`, and nobody answered."""

    at_frame: int
    since_frame: int
    why: NotKept
    party: Party


@dataclass(frozen=True, slots=True, kw_only=True)
class HookMoves:
    """What the hook input says; off: somebody has picked up."""

    at_frame: int
    off: bool


Event = HookMoves | CallBegins | SpeechChanges | AnnouncementHeard | Decision | Ordered | KeptCallEnds | Unanswered


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """One block.

    exchange_sounds: what sounds is no speech.
    sounds: of the exchange, and keys.
    events: in their order.
    """

    heard: Heard
    exchange_sounds: bool
    sounds: Sequence[LineSound]
    events: Sequence[Event]


class LineWatch:
    """One line, from one opening of its device to its loss.

    Args:
        signals: the line's ear for speech, which outlasts the device.
        is_private: whether the line is private at the time of this frame.
        joins_late: a call may be on the line already; a file begins where it begins.
    """

    def __init__(
        self, signals: LineSignals, plan: LinePlan, is_private: Callable[[int], bool], *, joins_late: bool = False
    ) -> None:
        self._signals = signals
        self._plan = plan
        self._is_private = is_private
        self._ear = LineEar(plan.country, channels=plan.channels)
        self._state = LineState(plan.rules)
        self._noise = LineNoise()
        self._finder = PartyFinder(DIAL_PLANS[plan.country.code].international)
        self._spoken = Spoken()
        self._rings = RingBursts(plan.country.ringing, plan.rules.ring_overdue, self._state, self._spoken)
        self._cut_ring: Span | None = None
        """A short burst, of which only a voice that follows makes a ring."""
        self._keys: deque[Key] = deque(maxlen=_KEYS_REMEMBERED)
        self._fax_frame: int | None = None
        self._gate: ConsentGate | None = None
        self._codes = self._new_code_readers()
        self._listener: AnnouncementListener | None = None
        self._listener_frame = 0
        self._known = Party()
        self._joins_late = self._joined_late = joins_late
        """Nobody has heard yet that the line was free."""
        self._quiet_frames = 0
        self._explained_frame = -_EXPLAINED_FRAMES - 1
        self.end_frame = 0

    @property
    def announcement(self) -> str:
        """The name of the one that is listened for; empty: none."""
        return self._plan.announcement.name if self._plan.announcement else ""

    @property
    def party(self) -> Party:
        """Who is at the other end of the running call, as far as it is known by now."""
        return self._finder.party

    @property
    def state(self) -> State:
        return self._state.state

    @property
    def since_frame(self) -> int | None:
        """Where what goes on now began: ringing, dialling, a call. None: nothing goes on."""
        return None if self._state.state is State.IDLE else self._state.since_frame

    @property
    def gate(self) -> ConsentGate | None:
        """Of the running call."""
        return self._gate

    def certain_until(self, end_frame: int) -> int:
        """Up to where audio surely belongs to the running call."""
        return self._state.certain_until(end_frame)

    @property
    def hook_doubt(self) -> HookDoubt | None:
        """In which way the hook and what is heard contradict each other now."""
        return self._state.hook.doubt

    def hear(self, first_frame: int, samples: Pcm, sensed: Sequence[Cue] = ()) -> Watched:
        """Take in the next block; after a hole `lose` comes before it.

        Args:
            samples: int16, shape (frames,), or (frames, 2) where the sides are apart.
            sensed: what the wires of the line have told until its end, if it has any: hook, ringing voltage.
        """
        self.end_frame = first_frame + len(samples)
        # A click on an idle line may be the hook's.
        heard = self._signals.hear(samples, expects=self._state.stirs and not self._state.in_call)
        seeks = heard.loud is not None and self._may_be_no_speech(first_frame)
        amid_talk = self._state.in_call and self._spoken.is_amid(first_frame)
        ear = self._ear.hear(samples, seeks=seeks, may_wait=self._may_wait and not seeks, amid_talk=amid_talk)
        if heard.speech and not ear.explained:
            self._spoken.add(first_frame, self.end_frame)
        self._look_whether_free(len(samples), speaks=heard.speech)
        seen = self._observed(first_frame, len(samples), heard, ear, sensed)
        events: list[Event] = [_hook_moves(cue) for cue in sensed if cue.kind in _HOOK_MOVES]
        events += self._follow(self._state.observe(seen))
        for sound in ear.sounds:
            if isinstance(sound, CallerId):
                self._finder.hear_caller(sound)
        if self._gate is None:
            self._remember(ear)
            self._cut_ring = ear.cut_ring or self._cut_ring
        events += self._consent(ear, first_frame, samples, stirs=heard.loud is not None)
        return Watched(heard=heard, exchange_sounds=bool(ear.explained), sounds=ear.sounds, events=events)

    def order(self, order: Order) -> list[Event]:
        """The own side orders this from outside the line."""
        return list(self._ordered(Ordered(at_frame=self.end_frame, from_frame=self.end_frame, order=order)))

    def hear_out(self) -> tuple[LineSound, ...]:
        """Nothing more comes: what was heard last, and would have become certain a little later."""
        heard = self._ear.hear(silence(_CERTAIN_WITHIN_FRAMES, self._plan.channels))
        for sound in heard.sounds:
            if isinstance(sound, CallerId):
                self._finder.hear_caller(sound)
        return heard.sounds

    def run_out(self, at_frame: int) -> list[Event]:
        """There will never be more."""
        return list(self._follow(self._state.run_out(at_frame, EndReason.STOPPED)))

    def lose(self, first_frame: int, frames: int) -> list[Event]:
        """Nobody has the audio of these frames."""
        self.end_frame = first_frame + frames
        if frames > self._plan.rules.longest_gap:
            self._joined_late, self._quiet_frames = self._joins_late, 0
        self._ear = LineEar(self._plan.country, from_frame=self.end_frame, channels=self._plan.channels)
        self._cut_ring = self._listener = None
        self._rings.forget()
        events = list(self._follow(self._state.lose(first_frame, frames)))
        if self._gate is not None:
            events += _only(self._gate.lose(self.end_frame))
        return events

    def break_off(self, at_frame: int, why: EndReason) -> list[Event]:
        """Nothing can be heard from this frame on."""
        return list(self._follow(self._state.break_off(at_frame, why)))

    # what is heard

    def _look_whether_free(self, frames: int, *, speaks: bool) -> None:
        """After so long a silence no call goes on that nobody heard begin; nor where it rings, or the hook is down.

        A key proves nothing: it may be pressed in such a call.
        """
        self._quiet_frames = 0 if speaks else self._quiet_frames + frames
        free = self._state.state is State.RINGING or self._state.hook.is_on
        if free or self._quiet_frames >= self._plan.rules.hold_over:
            self._joined_late = False

    @property
    def _may_wait(self) -> bool:
        """In a call that is decided only its end is still waited for, and a star code that nobody has begun yet."""
        gate = self._gate
        begun = any(reader.reads for reader in self._codes.values())
        return self._state.in_call and gate is not None and not gate.waits and not begun

    def _may_be_no_speech(self, first_frame: int) -> bool:
        """In a call only what breaks a silence is doubted: it may have been put down, and it rings again."""
        if not self._state.in_call or self._explained_frame >= first_frame:
            return True
        return self._spoken.breaks_silence(first_frame)

    def _observed(self, first_frame: int, frames: int, heard: Heard, ear: EarHeard, sensed: Sequence[Cue]) -> Observed:
        for _first, end in ear.explained:
            self._explained_frame = max(self._explained_frame, end)
        explained = first_frame - self._explained_frame <= _EXPLAINED_FRAMES
        return Observed(
            first_frame=first_frame,
            frames=frames,
            # A tone of the exchange begins no call; in one it may be what keeps it alive until somebody answers.
            speech=heard.speech and (self._state.in_call or not explained),
            sound=_sound(first_frame, heard),
            cues=(*self._rings.sense(sensed), *self._cues(ear)) if sensed or ear.sounds else (),
            explained=ear.explained,
            tonal=ear.tonal[1] == first_frame + frames,
            alive=self._noise.says_alive(heard, idle=self._state.state is State.IDLE),
        )

    def _cues(self, ear: EarHeard) -> Iterator[Cue]:
        for sound in ear.sounds:
            match sound:
                case RingChange():
                    yield from self._rings.hear(sound)
                case CallerId():
                    yield from self._rings.confirm(sound.at_frame)
                    yield Cue(kind=CueKind.CALLER, at_frame=sound.at_frame)
                case ToneChange():
                    kind = _TONE_CUES.get((sound.name, sound.on))
                    if kind is not None:
                        yield Cue(kind=kind, at_frame=sound.at_frame)
                case Key():
                    pass
                case _:
                    assert_never(sound)
        for key in ear.dialled:
            since, until = ear.tonal
            idle = self._state.state is State.IDLE
            if idle and until - since > _SHORT_TONE and key.first_frame - until < _DIALS_SOON:
                # A dial tone that was too short to be certain of: what follows says what it was.
                yield Cue(kind=CueKind.DIAL_TONE, at_frame=since)
            yield Cue(kind=CueKind.KEY, at_frame=key.first_frame)

    def _remember(self, ear: EarHeard) -> None:
        """For the call that may have begun already."""
        self._finder.hear_keys(ear.dialled)
        self._keys.extend(ear.dialled)
        for sound in ear.sounds:
            if isinstance(sound, ToneChange) and sound.name == "fax" and sound.on:
                self._fax_frame = sound.at_frame

    # what follows

    def _follow(self, happenings: Sequence[Happening]) -> Iterator[Event]:
        for happening in happenings:
            match happening:
                case Rings():
                    self._begin_anew(Route.RANG)
                case PicksUp():
                    self._begin_anew(Route.DIALLED)
                case Missed():
                    yield self._unanswered(happening, NotKept.MISSED)
                case NotAnswered():
                    if happening.dialled:
                        yield self._unanswered(happening, NotKept.NOT_ANSWERED)
                case CallBegins():
                    yield from self._begun(happening)
                case CallEnds():
                    yield from self._ended(happening)
                case SpeechChanges():
                    yield happening
                case _:
                    assert_never(happening)

    def _unanswered(self, happening: Missed | NotAnswered, why: NotKept) -> Unanswered:
        return Unanswered(
            at_frame=happening.at_frame, since_frame=happening.since_frame, why=why, party=self._finder.party
        )

    def _begun(self, begins: CallBegins) -> Iterator[Event]:
        if not begins.goes_on:
            surely_new = begins.route is Route.RANG
            begins = self._after_cut_ring(begins)
            yield begins
            yield from self._answered(begins, surely_new=surely_new)
        elif self._gate is not None and self._gate.is_open:
            yield begins

    def _after_cut_ring(self, begins: CallBegins) -> CallBegins:
        """Who speaks soon after a short burst, on a line on which nothing else went on, has answered a ring."""
        cut, self._cut_ring = self._cut_ring, None
        if begins.route is not Route.UNKNOWN or cut is None or self._state.hook.is_off:
            return begins
        if not cut[1] <= begins.answered_frame < cut[1] + _ANSWERED_WITHIN:
            return begins
        self._finder.begin(Route.RANG)
        return replace(begins, at_frame=cut[1], audio_from=max(begins.audio_from, cut[1]), route=Route.RANG)

    def _answered(self, begins: CallBegins, *, surely_new: bool) -> Iterator[Event]:
        """Somebody is known to have answered a second ago: what was heard since counts too."""
        may_have_rung = self._rings.settle(begins.answered_frame)
        if begins.route is Route.DIALLED and may_have_rung:
            # It may have been put down, and rung: then who answers is not who was dialled.
            self._begin_anew(Route.RANG)
        self._finder.answer(begins.answered_frame, begins.route)
        self._codes = self._new_code_readers()
        self._gate = ConsentGate(self._plan.consent)
        self._known = self.party
        private = self._is_private(begins.at_frame)
        yield from _only(self._gate.answer(begins.answered_frame, self._known, private=private))
        if self._joined_late and not surely_new:
            yield from _only(self._gate.join_late(begins.answered_frame))
        if self._fax_frame is not None:
            yield from _only(self._gate.hear_fax(begins.answered_frame))
        for key in self._keys:
            if key.first_frame >= begins.answered_frame:
                yield from self._take_key(self._gate, key)

    def _ended(self, ends: CallEnds) -> Iterator[Event]:
        gate = self._gate
        if gate is None:
            return
        if ends.why is EndReason.LONGEST:
            if gate.is_open:  # of what is not recorded there are no parts
                yield KeptCallEnds(ends=ends, not_kept=None, party=self.party)
            return
        if gate.waits and self._listener is not None:
            for heard in self._listener.hear_out():
                yield from self._announced(gate, heard)
        self._gate = self._listener = None
        yield from _only(gate.end(ends.at_frame))
        yield KeptCallEnds(ends=ends, not_kept=gate.refused.why if gate.refused else None, party=self.party)
        self._begin_anew(Route.UNKNOWN)

    def _begin_anew(self, route: Route) -> None:
        """What was heard before belongs to no later call."""
        self._finder.begin(route)
        self._keys.clear()
        self._fax_frame = None

    def _consent(self, ear: EarHeard, first_frame: int, samples: Pcm, *, stirs: bool) -> Iterator[Event]:
        heard = self._hear_announcement(first_frame, samples, stirs=stirs)
        gate = self._gate
        if gate is None:
            return
        for one in heard:
            yield from self._announced(gate, one)
        if self._spoken.end_frame == self.end_frame:
            yield from _only(gate.hear_voice(first_frame, self.end_frame))
        for sound in ear.sounds:
            match sound:
                case Key() if sound in ear.dialled:
                    yield from self._take_key(gate, sound)
                case ToneChange(name="fax", on=True):
                    yield from _only(gate.hear_fax(sound.at_frame))
        if self.party != self._known:
            self._known = self.party
            yield from _only(gate.know(self.end_frame, self._known))
        # An announcement that ends within the time is told a little later.
        if self._listener is None or not self._listener.running:
            yield from _only(gate.wait(self.end_frame))

    def _new_code_readers(self) -> dict[Side, CodeReader]:
        return {side: CodeReader(self._plan.codes) for side in Side}

    def _take_key(self, gate: ConsentGate, key: Key) -> Iterator[Event]:
        taken = self._codes[key.side].take(key)
        match taken:
            case PlainKey():
                if key.side is not Side.FAR:
                    self._finder.hear_keys([key])
                yield from _only(gate.hear_key(taken))
            case TypedOrder() if key.side in (Side.LINE, Side.NEAR):
                yield from self._ordered(
                    Ordered(at_frame=taken.at_frame, from_frame=taken.from_frame, order=taken.order)
                )

    def _ordered(self, ordered: Ordered) -> Iterator[Event]:
        gate = self._gate
        if gate is None:
            return
        yield ordered
        if ordered.order is Order.CONFIRM:
            yield from _only(gate.confirm(ordered.at_frame))
        elif ordered.order is Order.FORGET:
            yield from _only(gate.forget(ordered.at_frame))

    def _hear_announcement(self, first_frame: int, samples: Pcm, *, stirs: bool) -> list[AnnouncementHeard]:
        """Listens from the first sound of a possible call on, until its consent is decided."""
        announcement, gate = self._plan.announcement, self._gate
        wanted = gate.waits if gate is not None else stirs or self._listener is not None
        if announcement is None or not wanted:
            self._listener = None
            return []
        if self._listener is None:
            self._listener, self._listener_frame = AnnouncementListener(announcement), first_frame
        elif gate is None and not self._state.stirs and not self._listener.running:
            self._listener = None
            return []
        # What the own side plays is on the near side; what the telephone system plays to both, on the far one.
        return self._listener.hear(mixed(samples))

    def _announced(self, gate: ConsentGate, heard: AnnouncementHeard) -> Iterator[Event]:
        heard = replace(heard, at_frame=self._listener_frame + heard.at_frame)
        yield heard
        yield from _only(gate.hear_announcement(heard))


_TONE_CUES = {
    ("dial", True): CueKind.DIAL_TONE,
    ("dial", False): CueKind.DIAL_TONE_ENDS,
    ("ringback", True): CueKind.RINGBACK,
    ("busy", True): CueKind.BUSY,
    ("congestion", True): CueKind.BUSY,
    ("sit", True): CueKind.INFORMATION,
    ("busy", False): CueKind.TONE_ENDS,
    ("congestion", False): CueKind.TONE_ENDS,
}


_HOOK_MOVES = {CueKind.OFF_HOOK: True, CueKind.FOUND_OFF_HOOK: True, CueKind.ON_HOOK: False}


def _hook_moves(cue: Cue) -> HookMoves:
    return HookMoves(at_frame=cue.at_frame, off=_HOOK_MOVES[cue.kind])


def _sound(first_frame: int, heard: Heard) -> Sound:
    first, end, steps = heard.loud or (0, -first_frame, 0)
    return Sound(
        first_frame=first_frame + first,
        end_frame=first_frame + end,
        steps=steps,
        level_dbfs=heard.level_dbfs,
        lowest_dbfs=heard.lowest_dbfs,
    )


def _only(decision: Decision | None) -> Iterator[Event]:
    if decision is not None:
        yield decision
