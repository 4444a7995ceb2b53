"""What becomes of one line's audio: heard, kept in memory for a while, recorded once a call may be kept.

Promise: audio of a line without a written ground, of no call, or of a call without consent never leaves memory, and
is wiped there once it is known that it may not be kept. A call that cannot be recorded (no key, no room, the disk
refuses) is said so on the board at once, and recorded from as far back as memory reaches as soon as it can be.
Nothing here waits for the vault.

Leaves to others: what a call is and whether it may be kept (line_watch), the file (call), threads and devices
(device_worker).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from typing import assert_never

import structlog

from appliance.boundary.verbs import IssuedCall
from appliance.recorder.call import MOST_GAPS, Call, CallStart
from appliance.recorder.disk_room import DiskRoom
from appliance.recorder.ear.announcement import AnnouncementHeard
from appliance.recorder.ear.sides import LineSignals
from appliance.recorder.ear.signals import Pcm, Span
from appliance.recorder.line.consent import Granted, Refused
from appliance.recorder.line.hook_sense import HookDoubt
from appliance.recorder.line.line_facts import CallBegins, SpeechChanges
from appliance.recorder.line.line_plan import LinePlan
from appliance.recorder.line.line_state import State
from appliance.recorder.line.line_watch import Event, HookMoves, KeptCallEnds, LineWatch, Ordered, Unanswered
from appliance.recorder.line.party import NOBODY_KNOWN, Party
from appliance.recorder.line_board import LineBoard
from appliance.recorder.line_health import LineHealth, TwoSidedHealth
from appliance.recorder.line_voice import LineVoice
from appliance.recorder.line_wires import LineWires
from appliance.recorder.pre_roll import PreRoll
from appliance.recorder.vault_link import UnrecordedCall, VaultLink
from appliance.recorder.wall_time import WallTime
from appliance.recordings.container import PAUSED, Consent, EndReason
from appliance.recordings.folder import RecordingsFolder
from appliance.settings import LineSettings
from appliance.terms import RATE_HZ, LinekeepError, LineNowState, NotKept, Order

_DISK_AGAIN_FRAMES = 5 * RATE_HZ
"""After the disk refused, the next attempt waits so long, or every block would use up a key."""

NO_GROUND = (
    "This line is not recorded, because the settings give no ground for it. "
    "Write down why it may be recorded, as 'ground' of this line."
)
NEVER = "This line is not recorded: its settings say that it never is."
NO_ROOM = (
    "The disk is full up to its reserve, so nothing is recorded. What was recorded is safe; "
    "recording goes on by itself when calls have been erased or their time has come."
)
SPEAKS_ON_HOOK = (
    "Somebody speaks on this line, but its hook input says that the handset is down, so nothing of it is recorded. "
    "Let a technician look at the wire of the hook and at 'active_low'; without 'hook' in the settings calls are "
    "known by what is heard."
)
SILENT_OFF_HOOK = (
    "The hook input says that the handset has been lifted for a minute, but nothing at all is heard. "
    "Look whether the handset lies on its hook; if it does, let a technician look at the wire of the hook and at "
    "'active_low', and if it does not, at the wire of the sound."
)
_DOUBTS = {None: "", HookDoubt.SPEAKS_ON_HOOK: SPEAKS_ON_HOOK, HookDoubt.SILENT_OFF_HOOK: SILENT_OFF_HOOK}

NO_KEY_YET = "A call waits for its key from the vault. It is recorded as soon as the key comes."


def may_be_recorded(line: LineSettings) -> bool:
    """Whether the settings give a ground for it, and do not forbid it."""
    return bool(line.ground.strip()) and line.consent != "never"


NO_KEY, DISK = "no_key", "disk"
"""Why a gap is there when the vault gave no key, or the disk refused, for longer than memory holds."""
_OPEN = 1 << 60
"""The end of a pause that goes on."""
_PAUSE_TOLD_FRAMES = 2 * RATE_HZ
"""No more of a pause than this is silence that nobody explains, if the power goes in it."""

_WAITS_LONGER_FRAMES = 10 * RATE_HZ
"""Beyond the time for consent: an announcement that ends within it is known a little later."""


class LineWorker:
    """One line. All methods are called by the thread of its device.

    Args:
        line: its settings.
        signals: the line's ear, new.
        plan: what the settings want, ready for use.
        local_time: of a moment, in milliseconds since 1970 UTC, where the line is.
        folder: where growing recordings lie.
        software: what the opening record names as the writer.
        wires: what senses its hook and its ringing voltage.
        voice: what the box itself says into it; None: it only listens.
    """

    def __init__(
        self,
        line: LineSettings,
        signals: LineSignals,
        plan: LinePlan,
        local_time: Callable[[int], datetime],
        *,
        folder: RecordingsFolder,
        room: DiskRoom,
        link: VaultLink,
        board: LineBoard,
        software: str,
        log: structlog.stdlib.BoundLogger,
        wires: LineWires | None = None,
        voice: LineVoice | None = None,
    ) -> None:
        self._settings = line
        self._line = line.line
        self._ground = line.ground.strip() if may_be_recorded(line) else ""
        self._signals = signals
        self._plan = plan
        self._local_time = local_time
        self._folder = folder
        self._room = room
        self._link = link
        self._board = board
        self._software = software
        self._log = log
        self._wires = wires or LineWires()
        self._voice = voice
        self._ailment = ""
        self._wall_time = WallTime(0)
        self._watch = self._new_watch()
        self._health = LineHealth() if plan.channels == 1 else TwoSidedHealth()
        self._told_party = NOBODY_KNOWN
        self._hold_back = max(plan.consent.within, plan.rules.lead)
        self._pre_roll = PreRoll(plan.rules.lead + self._hold_back + _WAITS_LONGER_FRAMES, plan.channels)
        self._began: CallBegins | None = None
        """Of the call on the line, as long as the vault has yet to be told of it."""
        self._granted: Granted | None = None
        self._call: Call | None = None
        self._started_at_ms = 0
        """Of the call on the line, as the board shows it: what tells one call from the next."""
        self._keep_asked = False
        """Whether the owner is to be asked to keep the call on the line longer, if it is recorded."""
        self._shown: tuple[LineNowState, int, bool] | None = None
        self._next_frame: int | None = None
        """While a call is on the line that may be kept or waits for that: its first frame that is in no recording."""
        self._pauses: list[Span] = []
        """In which the own side wanted no recording; until the recording has passed them. The last may be open."""
        self._paused_in_file: Span | None = None
        """The pause that the recording is in: where it began in the file, and its frames so far."""
        self._missing_why = NO_KEY
        """Why frames at the beginning of the next recording may be missing."""
        self._disk_trouble = ""
        self._disk_again_frame = 0
        self._trouble = ""
        self._show_trouble("" if self._ground else self._obstacle())

    # what the device brings

    def open(self, wall_time: WallTime) -> None:
        """The device is open; frames count from 0."""
        self._wall_time = wall_time
        self._disk_again_frame = 0
        self._show_trouble(self._obstacle())

    def hear(self, first_frame: int, samples: Pcm) -> None:
        """Take a block of this line, shape (frames,), or (frames, 2) of near and far side; contiguous, and kept."""
        if not self._ground:
            self._board.show_level(self._line, self._signals.hear(samples).level_dbfs)
            return
        self._pre_roll.add(first_frame, samples)
        sensed = self._wires.read(first_frame + len(samples))
        watched = self._watch.hear(first_frame, samples, sensed)
        self._board.show_level(self._line, watched.heard.level_dbfs)
        self._follow(watched.events)
        for order in self._link.take_orders(self._line, self._started_at_ms):
            self._follow(self._watch.order(order))
        if self._watch.gate is not None and self._watch.gate.refused is not None:
            self._pre_roll.forget_until(self._pre_roll.end_frame)
        voice = self._voice
        if voice is not None:
            voice.follow(self._watch, watched, samples, lambda: self._local_time(self._wall_time.at_ms(first_frame)))
        self._record_what_is_certain()
        self._tell_party()
        self._show_state()
        if voice is None or not voice.tests:
            ours = watched.exchange_sounds or (voice is not None and voice.announces)
            self._ailment = self._health.hear(samples, watched.heard, exchange_sounds=ours)
        doubt = _DOUBTS[self._watch.hook_doubt]
        mute = voice.trouble if voice is not None else ""
        self._show_trouble(self._obstacle() or doubt or mute or self._ailment or self._wires.trouble)

    def lose(self, first_frame: int, frames: int, why: str) -> None:
        """Nobody has the audio of these frames."""
        if not self._ground:
            return
        if self._voice is not None:
            self._voice.fall_silent()
        end_frame = first_frame + frames
        if self._granted is not None and frames <= self._plan.rules.longest_gap:
            self._record_until(first_frame)
            self._fill(frames, why)
        self._pre_roll.forget(end_frame)
        self._missing_why = why
        self._follow(self._watch.lose(first_frame, frames))

    def close(self, why: EndReason, trouble: str) -> None:
        """The device is closed. A running call ends whole; `trouble` is shown until it is open again."""
        self._follow(self._watch.break_off(self._pre_roll.end_frame, why))
        self._hear_no_more(trouble)

    def abandon(self, trouble: str) -> None:
        """After a fault of the program: let go of everything as it is; the vault recovers what was committed."""
        self._let_go()
        self._forget_call()
        self._hear_no_more(trouble)

    def _hear_no_more(self, trouble: str) -> None:
        self._watch = self._new_watch()
        self._health.forget_audio()
        if self._voice is not None:
            self._voice.fall_silent()
        self._wires.close()
        self._pre_roll.forget(0)
        self._show_state()
        self._board.show_no_level(self._line)
        self._show_trouble(trouble or self._obstacle())

    def _new_watch(self) -> LineWatch:
        return LineWatch(self._signals, self._plan, self._is_private, joins_late=True)

    def _is_private(self, frame: int) -> bool:
        return self._plan.private.covers(self._local_time(self._wall_time.at_ms(frame)))

    # the call's way

    def _follow(self, events: Iterable[Event]) -> None:
        for event in events:
            match event:
                case CallBegins():
                    self._began, self._next_frame = event, event.audio_from
                    if not event.goes_on:
                        self._started_at_ms = self._wall_time.at_ms(event.audio_from)
                case Granted():
                    self._granted = event
                case Refused():
                    self._refuse(event.why)
                case Ordered():
                    self._take_order(event)
                case KeptCallEnds():
                    self._end(event)
                case Unanswered():
                    self._tell_unrecorded(event.since_frame, event.at_frame, event.party, event.why)
                    self._pre_roll.forget_until(event.at_frame)
                case HookMoves() | SpeechChanges() | AnnouncementHeard():
                    pass
                case _:
                    assert_never(event)

    def _refuse(self, why: NotKept) -> None:
        """Nothing of the call may be kept, and what is recorded of it must go."""
        self._granted, self._next_frame = None, None
        self._pre_roll.forget_until(self._pre_roll.end_frame)
        if self._call is not None:
            with contextlib.suppress(LinekeepError):  # the file is let go of even so
                self._call.discard()
            self._link.drop_call(self._call.call, why)
            self._log.info("call_dropped", call=self._call.call, line=self._line, why=why.value)
            self._call, self._began = None, None
            self._show_no_call()

    def _take_order(self, ordered: Ordered) -> None:
        if ordered.order is Order.PAUSE and not self._is_paused:
            self._pauses.append((ordered.from_frame, _OPEN))
        elif ordered.order is Order.RESUME and self._is_paused:
            self._pauses[-1] = self._pauses[-1][0], ordered.at_frame
        elif ordered.order is Order.KEEP and not self._keep_asked:
            self._keep_asked = True
            self._ask_to_keep()

    def _ask_to_keep(self) -> None:
        """Each recording of the call on the line is to be kept longer, once somebody has asked for it."""
        if self._keep_asked and self._call is not None:
            self._link.ask_to_keep(self._call.call)

    @property
    def _is_paused(self) -> bool:
        return bool(self._pauses) and self._pauses[-1][1] == _OPEN

    def _record_what_is_certain(self) -> None:
        """What follows the last sound may be the silence after the call; it waits, as long as memory has room."""
        end_frame = self._pre_roll.end_frame
        if self._granted is not None and self._next_frame is not None:
            self._record_until(max(self._watch.certain_until(end_frame), end_frame - self._hold_back))

    def _record_until(self, end_frame: int) -> None:
        """Bring the recording of the call on the line, if it may be kept, up to this frame."""
        if self._granted is None or self._next_frame is None or end_frame <= self._next_frame:
            return
        if self._room.is_low():
            self._finish(EndReason.DISK_FULL)
            self._missing_why = DISK
            return
        try:
            call = self._call or self._begin(end_frame)
            if call is not None:
                self._feed(call, end_frame)
        except LinekeepError as trouble:
            self._give_up(trouble)

    def _begin(self, end_frame: int) -> Call | None:
        """Begin the recording, if nothing is in the way. What memory does not hold any more is a gap at its beginning,
        or, if that is too much, in no recording at all. Raises as Call."""
        wanted_frame = self._next_frame or 0
        held_frame = max(wanted_frame, self._pre_roll.first_frame)
        if held_frame >= end_frame or self._pre_roll.end_frame < self._disk_again_frame:
            return None
        issued = self._link.take_key(self._line)
        if issued is None:
            self._missing_why = NO_KEY
            return None
        missing = held_frame - wanted_frame
        first_frame = wanted_frame if missing <= self._plan.rules.longest_gap else held_frame
        started_at_ms = self._wall_time.at_ms(first_frame)
        call = Call(self._folder.growing_path(issued.call), self._start_of(issued, started_at_ms))
        missed_s = round(missing / RATE_HZ, 1)
        self._call, self._next_frame, self._disk_trouble, self._paused_in_file = call, first_frame, "", None
        self._board.show_call(self._line, call.call, self._started_at_ms)
        self._link.begin_call(call.call, self._line, started_at_ms)
        self._ask_to_keep()
        self._told_party = NOBODY_KNOWN
        self._log.info("call_recording_begun", call=call.call, line=self._line, missed_seconds=missed_s)
        if first_frame < held_frame:
            self._fill(missing, self._missing_why)
        return self._call

    def _start_of(self, issued: IssuedCall, started_at_ms: int) -> CallStart:
        if self._granted is None:
            raise RuntimeError("a recording was to begin without a ground")
        return CallStart(
            issued=issued,
            line=self._line,
            ground=self._ground,
            software=self._software,
            started_at_ms=started_at_ms,
            consent=Consent(at_ms=self._wall_time.at_ms(self._granted.at_frame), by=self._granted.by),
            channels=1 if self._plan.channels == 1 else 2,
        )

    def _feed(self, call: Call, end_frame: int) -> None:
        at_frame = self._next_frame or 0
        while at_frame < end_frame:
            pause_from, pause_to = next((pause for pause in self._pauses if pause[1] > at_frame), (_OPEN, _OPEN))
            to_frame = min(end_frame, pause_to if pause_from <= at_frame else pause_from)
            if pause_from <= at_frame:
                self._feed_pause(call, to_frame - at_frame, ends=to_frame == pause_to)
            else:
                call.add(self._pre_roll.between(at_frame, to_frame))
            self._next_frame = at_frame = to_frame

    def _feed_pause(self, call: Call, frames: int, *, ends: bool) -> None:
        began, so_far = self._paused_in_file or (call.frames, 0)
        self._paused_in_file = began, so_far + frames
        call.add_gap(frames, PAUSED)
        if ends or (so_far + frames) // _PAUSE_TOLD_FRAMES > so_far // _PAUSE_TOLD_FRAMES:
            self._report_pause()
        if ends:
            self._paused_in_file = None
            del self._pauses[0]

    def _fill(self, frames: int, why: str) -> None:
        """Put silence into the running recording, and tell the vault at once."""
        if self._call is None or self._next_frame is None:
            return
        self._link.report_gap(self._call.call, self._call.frames, frames, why)
        self._next_frame += frames
        try:
            self._call.add_gap(frames, why)
            if self._call.gaps >= MOST_GAPS:
                self._finish(EndReason.LONGEST)
        except LinekeepError as trouble:
            self._give_up(trouble)

    def _report_pause(self) -> None:
        """Tell the vault how long a pause is by now: it needs that only where the recording must be recovered."""
        if self._call is not None and self._paused_in_file is not None:
            self._link.report_gap(self._call.call, *self._paused_in_file, PAUSED)

    def _tell_party(self) -> None:
        """Tell the vault who is at the other end of the recorded call, as soon as it is known, and when it changes."""
        if self._call is not None and (party := self._watch.party) != self._told_party:
            self._told_party = party
            self._link.note_party(self._call.call, party)

    def _end(self, ended: KeptCallEnds) -> None:
        """The call on the line is over, or goes on in the next recording."""
        began, ends = self._began, ended.ends
        if ended.not_kept is None:
            self._record_until(ends.audio_to)
            self._report_pause()
            if self._call is None and self._next_frame is not None and self._next_frame < ends.audio_to:
                self._log.warning("call_not_recorded", line=self._line, why=self._obstacle())
            self._finish(ends.why, ended.party)
        elif began is not None:
            self._tell_unrecorded(began.at_frame, ends.at_frame, ended.party, ended.not_kept)
        self._pre_roll.forget_until(ends.audio_to)
        if ends.why is not EndReason.LONGEST:
            self._forget_call()

    def _forget_call(self) -> None:
        self._began = self._granted = self._next_frame = None
        self._pauses.clear()
        self._started_at_ms, self._keep_asked = 0, False

    def _tell_unrecorded(self, since_frame: int, at_frame: int, party: Party, why: NotKept) -> None:
        keeps_number = self._settings.unrecorded_numbers and why is not NotKept.FORGOTTEN
        self._link.note_unrecorded(
            self._line,
            UnrecordedCall(
                started_at_ms=self._wall_time.at_ms(since_frame),
                length_ms=(at_frame - since_frame) * 1000 // RATE_HZ,
                party=party if keeps_number else replace(party, number=""),
                why=why,
            ),
        )
        self._log.info("call_not_kept", line=self._line, why=why.value)

    def _finish(self, why: EndReason, party: Party | None = None) -> None:
        """Close the running recording, if there is one; the call on the line may go on."""
        if self._call is None:
            return
        party = party or self._watch.party
        try:
            self._call.finish(why, direction=party.direction, number=party.number)
        except LinekeepError as trouble:
            self._give_up(trouble)
            return
        self._told_end(self._call, why)

    def _give_up(self, trouble: LinekeepError) -> None:
        """The disk, or a key, refused: what is committed stays, and the next attempt comes in a while."""
        self._log.error("recording_refused", line=self._line, why=str(trouble))
        self._disk_trouble = str(trouble)
        self._disk_again_frame = self._pre_roll.end_frame + _DISK_AGAIN_FRAMES
        self._missing_why = DISK
        self._let_go()

    def _let_go(self) -> None:
        if self._call is None:
            return
        with contextlib.suppress(LinekeepError):  # the file is let go of even so
            self._call.abandon()
        self._told_end(self._call, EndReason.CUT_OFF)

    def _told_end(self, call: Call, why: EndReason) -> None:
        self._call = None
        self._show_no_call()
        self._link.finish_call(call.call)
        self._log.info(
            "call_recording_ended",
            call=call.call,
            line=self._line,
            seconds=call.seconds,
            why=why.value,
            gaps=call.gaps,
        )

    def _show_no_call(self) -> None:
        self._board.show_call(self._line, None)
        self._shown = None

    # what is in the way

    def _obstacle(self) -> str:
        """Why this line cannot be recorded now, as a sentence; empty if it can."""
        if not self._ground:
            return NEVER if self._settings.consent == "never" else NO_GROUND
        if self._room.is_low():
            return NO_ROOM
        if self._call is not None:
            return ""
        if self._pre_roll.end_frame < self._disk_again_frame:
            return self._disk_trouble
        pending = self._granted is not None and (self._next_frame or 0) < self._pre_roll.end_frame
        waits = NO_KEY_YET if pending else ""
        return self._link.why_no_key(self._line) or waits

    def _show_state(self) -> None:
        state = self._state()
        keep_asked = self._keep_asked and state is not LineNowState.NOT_RECORDED
        shown = state, self._started_at_ms, keep_asked
        if shown != self._shown:
            self._shown = shown
            self._board.show_state(self._line, state, self._started_at_ms, keep_asked=keep_asked)

    def _state(self) -> LineNowState:
        gate = self._watch.gate
        if gate is None:
            return LineNowState.RINGING if self._watch.state is State.RINGING else LineNowState.IDLE
        if gate.refused is not None:
            return LineNowState.NOT_RECORDED
        if gate.waits:
            return LineNowState.WAITING
        if self._call is None:
            return LineNowState.NOT_RECORDED  # for now; the trouble says why
        return LineNowState.PAUSED if self._is_paused else LineNowState.RECORDING

    def _show_trouble(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            self._board.show_trouble(self._line, trouble)
            if trouble:
                self._log.warning("line_trouble", line=self._line, trouble=trouble)
            else:
                self._log.info("line_trouble_over", line=self._line)
