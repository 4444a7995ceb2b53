"""What a line is doing: idle, ringing, dialling, in a call. What is heard goes in, happenings come out.

Pure: no audio, no clock, no disk. Time is counted in frames since the device was opened, and only goes on. Whether a
call may be recorded is not asked here: that a call is on the line is a fact, with or without us.

    state     cue        becomes    because
    idle      ring       ringing    it rings, or the exchange tells who calls
    idle      dial tone  dialling   somebody has picked up; the attempt begins there
    idle      key        dialling   the same, where no dial tone was heard
    idle      sound      in call    somebody speaks: enough of it within three seconds, and it is nothing else
    ringing   ring       ringing
    ringing   sound      in call    answered: where the ring was cut short, or at the first sound after it
    ringing   quiet      idle       the next ring is overdue: missed
    ringing   dial tone  dialling   missed; and somebody picked up later
    dialling  key, tone  dialling   the attempt goes on
    dialling  engaged    dialling   busy, congestion, information tone: from now on no sound is an answer
    dialling  sound      in call    answered, unless engaged
    dialling  tone ends  idle       of the engaged tone: hung up, not answered
    dialling  quiet      idle       nothing for too long: not answered
    dialling  ring       ringing    not answered; and the line was put down before
    in call   sound      in call    the hold-over begins anew
    in call   alive      in call    no sound, but the line's own noise says that nobody has hung up
    in call   quiet      idle       once the hold-over has passed; a pause shorter than that belongs to the call
    in call   busy       idle       the exchange says that the other side is gone: at the tone's beginning
    in call   dial tone  dialling   the same, in other countries
    in call   ring       ringing    nobody rings a line that is taken: the call was over at its last sound
    in call   too long   in call    one recording ends and the next begins with the very next frame
    any       lost       the same   no call can reach back over what was not heard; in a call it may have been speech
    any       broken     idle       nothing more can be heard: unplugged, stopped, too much lost

Where a hook is sensed it is believed more than any sound (hook_sense), and these rows come first:

    idle      off-hook   dialling   somebody has picked up, there
    ringing   off-hook   in call    answered, there; of the ringing nothing is recorded
    dialling  off-hook   dialling   the same in a call: known already. But a ring that began before it was answered
    in call   on-hook    idle       hung up, there
    dialling  on-hook    idle       not answered; put down there
    ringing   on-hook    ringing    the same on an idle line: known already
    idle      found off  idle       when the input is opened: nobody knows since when, so sound tells what it is.
                                    Else found off is off-hook; found on is on-hook
    any       unknown    the same   the input is lost; from here on all is known by sound, and any hold-over begins anew
    off-hook  quiet      the same   silence ends no call and no attempt, be it a hold of an hour
    off-hook  ring       the same   told by ear: no call and no attempt ends, since it is not put down. Nor by caller ID
    off-hook  sensed     ringing    the ring input has seen a whole burst of ringing voltage: then the hook is not off
    off-hook  dial tone  in call    a flash, to consult somebody. While dialling it is a new attempt, as above
    off-hook  busy       idle       as above: the other side is gone, whoever holds the handset still. What comes
                                    back after the busy tone of a consultation is another call, with its own consent
    off-hook  tone ends  dialling   an engaged attempt lasts until it is put down
    on-hook   sound      the same   begins no call, nor does a dial tone or a key: this cannot be, and is told

Off-hook and on-hook mean the whole time in which the hook says so. A flash is no on-hook (hook).

What sounds is told in two steps, since what it was is known only later: the sound of a block is taken down at once, and
struck again when it turns out to have been a key, a ring, a tone or a caller ID.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto

from appliance.recorder.ear.signals import STEP_FRAMES
from appliance.recorder.line.hook_sense import HookSense
from appliance.recorder.line.line_facts import (
    CallBegins,
    CallEnds,
    Cue,
    CueKind,
    Happening,
    LineRules,
    Missed,
    NotAnswered,
    Observed,
    PicksUp,
    Rings,
    Route,
    SpeechChanges,
)
from appliance.recorder.line.stirring import SWING_DB, Sound, Stirring
from appliance.recordings.container import EndReason
from appliance.terms import RATE_HZ

_Act = Callable[[], None]

_SILENT_RINGING_FRAMES = 60 * RATE_HZ
"""So long after a caller ID the call may be answered, where the ringing itself cannot be heard."""
_CUT_RING_FRAMES = 10 * RATE_HZ
"""So long after a ring that was cut short the first word may come."""
TAIL_FRAMES = 5 * RATE_HZ
"""Of the silence after the last sound so much is recorded: somebody may speak too softly to be noticed."""
_KEYS_APART_FRAMES = 5 * RATE_HZ
_HOOK_KNOWN_FRAMES = RATE_HZ
"""That it is put down is told so late, when it is no flash any more."""
_CLICK_FRAMES = RATE_HZ // 2
_HUNG_UP_BEFORE_FRAMES = RATE_HZ
"""A dial tone that comes later than this after the last sound follows a hang-up that was not heard."""


class State(Enum):
    IDLE = auto()
    RINGING = auto()
    DIALLING = auto()
    IN_CALL = auto()


class LineState:
    """One line, from one opening of its device to its loss."""

    def __init__(self, rules: LineRules) -> None:
        self._rules = rules
        self.state = State.IDLE
        self.hook = HookSense()
        self._speech = False
        self._earliest_frame = 0
        """Of audio: what lies before belongs to another call, or was not heard."""
        self._free_frame = 0
        """Of facts: where the last call or attempt was over."""
        self._stirring = Stirring()
        self.since_frame = 0
        """Where the present state began: first ring, off-hook."""
        self._last_frame = 0
        """The end of what last showed that the present state goes on."""
        self._alive_frame = 0
        """The end of what last kept the call alive: a sound, or the line's noise."""
        self._noise_frame = 0
        self._surely_frame = 0
        self._silence = 0, 0
        """Between the sounds of a call: the last one of more than a second."""
        self._quietest_dbfs = 0.0
        """Of the call: the noise of the line in use, which passes for a voice until the ear's floor has followed it."""
        self._audio_from = 0
        self._cut_frame: int | None = None
        self._calls = False
        """A ringback tone was heard: the dialling is over."""
        self._rang = self._dialled = self._engaged = False
        self._outgoing = False
        """A dial tone or keys were heard."""
        self._dialled_frame = self._click_frame = self._first_click_frame = 0
        self._dial_tone_end: int | None = None
        self._happenings: list[Happening] = []

    @property
    def in_call(self) -> bool:
        return self.state is State.IN_CALL

    @property
    def stirs(self) -> bool:
        """Something is going on that may become a call."""
        return self.state is not State.IDLE or self._stirring.stirs

    def certain_until(self, end_frame: int) -> int:
        """Up to where audio surely belongs to the running call: what follows may be the silence after it."""
        if self.hook.is_off:
            return end_frame - _HOOK_KNOWN_FRAMES
        return min(end_frame, self._last_frame + TAIL_FRAMES)

    def observe(self, seen: Observed) -> list[Happening]:
        """Take in what was heard. Must follow the last frames without a hole: what is missing is `lose`d."""
        if seen.speech != self._speech:
            self._change_speech(seen.first_frame, on=seen.speech)
        self._surely_frame = max(self._surely_frame, self.certain_until(seen.first_frame))
        if self.in_call:
            self._stirring.pass_over(seen.sound)
        else:
            self._stirring.add(seen.sound, seen.end_frame, seen.explained)
        for cue in sorted(seen.cues, key=lambda cue: cue.at_frame):
            self._take(cue, seen.end_frame)
        self._listen(seen)
        self._compare(seen)
        if self.in_call and seen.end_frame - self._audio_from >= self._rules.longest_call:
            self._split(seen.end_frame)
        return self._told()

    def lose(self, first_frame: int, frames: int) -> list[Happening]:
        """Take in that frames are missing."""
        end_frame = first_frame + frames
        if frames > self._rules.longest_gap:
            happenings = self.break_off(first_frame, EndReason.DEVICE_LOST)
            self._earliest_frame = self._free_frame = end_frame
            return happenings
        self._stirring.clear()
        if self.in_call:
            self._last_frame = self._alive_frame = end_frame
        else:
            self._earliest_frame = self._free_frame = end_frame
        return self._told()

    def break_off(self, at_frame: int, why: EndReason) -> list[Happening]:
        """Nothing can be heard from this frame on."""
        if self._speech:
            self._change_speech(at_frame, on=False)
        if self.in_call:
            self._end_call(at_frame, at_frame, why)
        self._rest(at_frame)
        return self._told()

    def run_out(self, at_frame: int, why: EndReason) -> list[Happening]:
        """There will never be more: as `break_off`, and who has not answered by now has not."""
        if self.state is State.RINGING:
            self._miss()
        elif self.state is State.DIALLING:
            self._give_up()
        return self._told() + self.break_off(at_frame, why)

    # cues

    def _take(self, cue: Cue, now_frame: int) -> None:
        match cue.kind:
            case CueKind.RING:
                self._ring(cue, now_frame)
            case CueKind.CALLER:
                self._call_announced(cue.at_frame)
            case CueKind.RING_ENDS | CueKind.RING_CUT:
                if self.state is State.RINGING:
                    self._last_frame = max(self._last_frame, cue.at_frame)
                    self._cut_frame = cue.at_frame if cue.kind is CueKind.RING_CUT else None
            case CueKind.DIAL_TONE:
                self._dial_tone(cue.at_frame)
            case CueKind.DIAL_TONE_ENDS:
                self._dial_tone_end = cue.at_frame
            case CueKind.KEY | CueKind.RINGBACK:
                self._dial(cue.at_frame, now_frame, begins=cue.kind is CueKind.KEY)
            case CueKind.BUSY | CueKind.INFORMATION:
                self._engage(cue, now_frame)
            case CueKind.TONE_ENDS:
                if self.state is State.DIALLING and self._engaged and not self.hook.is_off:
                    self._last_frame = cue.at_frame
                    self._give_up()
            case _:
                self._take_hook(cue, now_frame)

    def _take_hook(self, cue: Cue, now_frame: int) -> None:
        match cue.kind:
            case CueKind.OFF_HOOK | CueKind.FOUND_OFF_HOOK:
                self._lift(cue.at_frame, now_frame, seen=cue.kind is CueKind.OFF_HOOK)
            case CueKind.ON_HOOK:
                self._put_down(cue.at_frame)
            case CueKind.HOOK_UNKNOWN:
                self._lose_hook(cue.at_frame)

    def _lift(self, at_frame: int, now_frame: int, *, seen: bool) -> None:
        """seen: the very moment was."""
        self.hook.move(off=True)
        if self.state is State.RINGING:
            self._answer_at(max(at_frame, self.since_frame, self._free_frame), now_frame)
        elif self.state is State.IDLE and seen:
            self._pick_up(at_frame)

    def _put_down(self, at_frame: int) -> None:
        self.hook.move(off=False)
        if self.state is State.IN_CALL:
            self._hang_up(max(at_frame, self.since_frame))
        elif self.state is State.DIALLING:
            self._last_frame = max(at_frame, self.since_frame)
            self._click_frame = self._noise_frame = 0
            self._give_up()

    def _lose_hook(self, at_frame: int) -> None:
        if self.hook.is_off and self.state is State.DIALLING:
            self._last_frame = max(self._last_frame, at_frame)
        self.hook.move(off=None)

    def _ring(self, cue: Cue, now_frame: int) -> None:
        at_frame = cue.at_frame
        if self.hook.is_off and self.state in (State.IN_CALL, State.DIALLING):
            if self.rang_before_lift(at_frame):
                self._answer_ring(now_frame)
                return
            if not cue.sensed:
                return
        if self.state is State.IN_CALL:
            self._hang_up(self._heard_before(at_frame))
        elif self.state is State.DIALLING:
            self._last_frame = min(self._last_frame, at_frame)
            self._click_frame = self._noise_frame = 0
            self._give_up()
        self._stirring.clear_but_newest()
        if self.state is State.IDLE:
            self._enter(State.RINGING, at_frame)
            self._happenings.append(Rings(at_frame=at_frame))
        self._cut_frame, self._rang = None, True
        self._last_frame = max(self._last_frame, at_frame)

    def rang_before_lift(self, at_frame: int) -> bool:
        """A ring that began at this frame was answered: it was lifted so soon that the ringing is known only now."""
        return self.hook.is_off and self.state is State.DIALLING and not self._outgoing and at_frame < self.since_frame

    def _answer_ring(self, now_frame: int) -> None:
        lifted = self._last_frame = self.since_frame
        self._click_frame = self._noise_frame = 0
        self._give_up()
        self._happenings.append(Rings(at_frame=lifted))
        self._answer_at(lifted, now_frame)

    def _answer_at(self, off_hook: int, now_frame: int) -> None:
        """It rang, and the handset was lifted."""
        answered = max(off_hook, self._last_frame, self._earliest_frame)
        self._begin_call(off_hook, answered, answered, Route.RANG, now_frame)

    def _call_announced(self, at_frame: int) -> None:
        if self.state is State.DIALLING and self.hook.is_off:
            return
        if self.state is State.DIALLING:
            self._last_frame = min(self._last_frame, at_frame)
            self._click_frame = self._noise_frame = 0
            self._give_up()  # nobody tells that to a line that is taken
        if self.state is State.IDLE:
            self._enter(State.RINGING, at_frame)
            self._happenings.append(Rings(at_frame=at_frame))
        if self.state is State.RINGING:
            self._last_frame = max(self._last_frame, at_frame)

    def _dial_tone(self, at_frame: int) -> None:
        if self.hook.is_on or (self.hook.is_off and self.state is State.IN_CALL):
            return
        if self.state is State.IN_CALL:
            heard = self._heard_before(at_frame)
            self._hang_up(heard if at_frame - heard > _HUNG_UP_BEFORE_FRAMES else max(at_frame, self.since_frame))
        elif self.state is State.RINGING:
            self._miss()
        elif self.state is State.DIALLING and at_frame < self._dialled_frame:
            # It was there before what was dialled, and is certain only now.
            self.since_frame = max(min(at_frame, self.since_frame), self._free_frame)
        elif self.state is State.DIALLING and (self._dialled or self._engaged or self._has_been_quiet_before(at_frame)):
            self._give_up()
        if self.state is State.IDLE:
            self._pick_up(self._stirring.moved_before(at_frame))
        self._outgoing = True

    def _has_been_quiet_before(self, at_frame: int) -> bool:
        """A dial tone that comes again after a while is heard by somebody who has picked up again."""
        return self._dial_tone_end is not None and at_frame - self._dial_tone_end > _HUNG_UP_BEFORE_FRAMES

    def _dial(self, at_frame: int, now_frame: int, *, begins: bool) -> None:
        if self.state is State.IDLE and begins and not self.hook.is_on:
            self._pick_up(self._stirring.moved_before(at_frame))
        if self.state is State.DIALLING:
            if not self._dialled:
                self._stirring.clear()  # nobody answers before anything is dialled
            # A key long after the last one, or after a ringback tone, may be for whoever has answered.
            goes_on = not self._dialled or at_frame - self._dialled_frame < _KEYS_APART_FRAMES
            if begins and goes_on and not self._calls:
                self._dialled_frame = at_frame + STEP_FRAMES
            self._dialled = self._outgoing = True
            self._calls = self._calls or not begins
            self._last_frame = now_frame
        elif self.state is State.IN_CALL and begins:
            self._alive_frame = max(self._alive_frame, at_frame)
            self._sounds(Sound(first_frame=at_frame, end_frame=at_frame + STEP_FRAMES, steps=1))

    def _engage(self, cue: Cue, now_frame: int) -> None:
        if self.state is State.IN_CALL and cue.kind is CueKind.BUSY:
            self._hang_up(max(cue.at_frame, self.since_frame))
            self._earliest_frame = now_frame
        elif self.state is State.DIALLING:
            self._engaged = True
            self._last_frame = now_frame

    def _pick_up(self, at_frame: int) -> None:
        self._enter(State.DIALLING, max(at_frame, self._free_frame))
        self._happenings.append(PicksUp(at_frame=self.since_frame))

    # what sounds, and what does not

    def _listen(self, seen: Observed) -> None:
        match self.state:
            case State.IN_CALL:
                self._listen_in_call(seen)
            case State.DIALLING if self._engaged:
                self._wait(seen, TAIL_FRAMES, self._give_up)
            case State.IDLE | State.DIALLING | State.RINGING:
                if self._stirring.is_somebody and not self.hook.is_on:
                    dialling = self.state is State.DIALLING
                    first_frame = self._stirring.first_word_frame if dialling else self._stirring.first_frame
                    # Nobody answers before the last digit is dialled.
                    self._answer(max(first_frame, self._dialled_frame), seen.end_frame)
                elif self.state is State.RINGING:
                    overdue = self._rules.ring_overdue if self._rang else _SILENT_RINGING_FRAMES
                    self._wait(seen, overdue, self._miss)
                elif self.state is State.DIALLING:
                    self._wait(seen, self._rules.attempt if self._dialled else TAIL_FRAMES, self._give_up)

    def _wait(self, seen: Observed, longest: int, give_up: _Act) -> None:
        if self.state is State.DIALLING:
            ends = [min(end, seen.end_frame) for _begin, end in seen.explained]
            self._last_frame = max([self._last_frame, *ends, seen.sound.end_frame if seen.speech else 0])
            self._clicks(seen.sound)
            if seen.alive:
                self._noise_frame = seen.end_frame
        if self.state is State.DIALLING and self.hook.is_off:
            return
        if seen.end_frame - self._last_frame >= longest and not self._stirring.may_be_somebody:
            give_up()

    def _compare(self, seen: Observed) -> None:
        """What is heard with what the hook says."""
        if self.in_call or not self._stirring.stirs:
            self.hook.hear_nobody()
        speaks = seen.speech and not self.in_call and self._stirring.is_somebody
        self.hook.hear(seen.frames, speaks=speaks, sounds=seen.speech or bool(seen.explained))

    def _answer(self, first_frame: int, now_frame: int) -> None:
        route = {State.RINGING: Route.RANG, State.DIALLING: Route.DIALLED}.get(self.state, Route.UNKNOWN)
        first_frame = max(first_frame, self._free_frame)
        off_hook = first_frame
        if self.state is State.DIALLING:
            off_hook = self.since_frame
            # Who was seen to pick up, and had no dial tone and dialled nothing, may have answered an unheard ring.
            route = Route.DIALLED if self._outgoing else Route.UNKNOWN
        elif self._cut_frame is not None and first_frame - self._cut_frame < _CUT_RING_FRAMES:
            off_hook = min(self._cut_frame, first_frame)
        reach = max(min(first_frame - self._rules.lead, now_frame), self._earliest_frame)
        # Of ringing, and of a caller ID, nothing is recorded.
        audio_from = max(reach, self._last_frame) if route is Route.RANG else reach
        if self.hook.is_off and self.state is State.DIALLING:
            audio_from = max(audio_from, off_hook)
        audio_from = max(min(audio_from, first_frame), self._earliest_frame)
        self._begin_call(off_hook, first_frame, audio_from, route, now_frame)

    def _begin_call(self, off_hook: int, answered: int, audio_from: int, route: Route, now_frame: int) -> None:
        self._audio_from = audio_from
        self._last_frame = self._alive_frame = now_frame
        self.state, self.since_frame = State.IN_CALL, off_hook
        self._noise_frame = self._click_frame = self._surely_frame = 0
        self._silence = 0, 0
        self._quietest_dbfs = 0.0
        self._happenings.append(
            CallBegins(at_frame=off_hook, answered_frame=answered, audio_from=self._audio_from, route=route)
        )

    def _listen_in_call(self, seen: Observed) -> None:
        self._quietest_dbfs = min(self._quietest_dbfs, seen.sound.lowest_dbfs)
        if seen.speech:
            self._alive_frame = seen.end_frame
            rises = seen.sound.level_dbfs > self._quietest_dbfs + SWING_DB
            if seen.tonal or (rises and not seen.is_explained):
                self._sounds(seen.sound)
        elif not seen.is_explained:
            self._clicks(seen.sound)
        held = seen.alive and seen.end_frame - self._last_frame < self._rules.longest_hold
        if held or self.hook.is_off:
            self._alive_frame = self._noise_frame = seen.end_frame
        if seen.end_frame - self._alive_frame >= self._rules.hold_over:
            hung_up = max(self._last_frame, self._noise_frame, self._click_frame)
            self._end_call(hung_up, max(hung_up, self.certain_until(seen.end_frame)), EndReason.SILENCE)
            self._rest(self._free_frame)

    def _sounds(self, sound: Sound) -> None:
        if sound.steps and sound.first_frame - self._last_frame > _HUNG_UP_BEFORE_FRAMES:
            self._silence = self._last_frame, sound.first_frame
        self._last_frame = max(self._last_frame, sound.end_frame)

    def _clicks(self, sound: Sound) -> None:
        """The first click after all else may be that of the hook. One that comes soon may be the end of a word."""
        soon = self._click_frame < self._last_frame + _HUNG_UP_BEFORE_FRAMES
        if self._click_frame <= self._last_frame:
            self._click_frame = self._first_click_frame = sound.end_frame
        elif soon and sound.steps:
            self._click_frame = sound.end_frame

    def _heard_before(self, at_frame: int) -> int:
        """The end of what was heard in the call before that, even if it sounded before it was known."""
        silent_from, silent_to = self._silence
        heard = silent_from if silent_to > at_frame - _HUNG_UP_BEFORE_FRAMES else self._last_frame
        # What seemed to be the last click may have been the beginning of what tells that it is over.
        clicks = (self._click_frame, self._first_click_frame)
        heard = next((click for click in clicks if heard < click < at_frame - _CLICK_FRAMES), heard)
        return max(min(heard, at_frame), self.since_frame)

    # what follows

    def _miss(self) -> None:
        self._happenings.append(Missed(at_frame=self._last_frame, since_frame=self.since_frame))
        self._rest(self._last_frame)

    def _give_up(self) -> None:
        self._last_frame = max(self._last_frame, self._click_frame, self._noise_frame)
        self._happenings.append(
            NotAnswered(at_frame=self._last_frame, since_frame=self.since_frame, dialled=self._dialled)
        )
        self._rest(self._last_frame)

    def _hang_up(self, at_frame: int) -> None:
        self._end_call(at_frame, at_frame, EndReason.HUNG_UP)
        self._rest(at_frame)

    def _end_call(self, at_frame: int, audio_to: int, why: EndReason) -> None:
        # What has surely belonged to it cannot be taken away from it.
        audio_to = max(audio_to, self._audio_from, self._surely_frame)
        at_frame = max(at_frame, self.since_frame)
        self._happenings.append(CallEnds(at_frame=at_frame, audio_to=audio_to, why=why))
        self._free_frame, self._earliest_frame = at_frame, max(self._earliest_frame, audio_to)

    def _split(self, at_frame: int) -> None:
        self._end_call(at_frame, at_frame, EndReason.LONGEST)
        self.since_frame = self._audio_from = at_frame
        self._last_frame = max(self._last_frame, at_frame)
        self._happenings.append(
            CallBegins(at_frame=at_frame, answered_frame=at_frame, audio_from=at_frame, goes_on=True)
        )

    def _enter(self, state: State, at_frame: int) -> None:
        self.state = state
        self.since_frame = self._last_frame = at_frame
        self._rang = self._dialled = self._calls = self._engaged = self._outgoing = False
        self._cut_frame = self._dial_tone_end = None
        self._dialled_frame = self._click_frame = self._noise_frame = 0
        self._stirring.clear()

    def _rest(self, from_frame: int) -> None:
        self.state = State.IDLE
        self._earliest_frame = max(self._earliest_frame, from_frame)
        self._free_frame = max(self._free_frame, from_frame)
        self._cut_frame = None
        self._dialled_frame = 0
        self._stirring.clear()

    def _change_speech(self, at_frame: int, *, on: bool) -> None:
        self._speech = on
        self._happenings.append(SpeechChanges(at_frame=at_frame, on=on))

    def _told(self) -> list[Happening]:
        happenings, self._happenings = self._happenings, []
        return happenings
