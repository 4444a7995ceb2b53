"""What becomes of one line's audio: heard, kept in memory for seconds, recorded while a call is on the line.

Promise: audio of a line without a written ground, or outside a call, never leaves memory. A call that cannot be
recorded (no key, no room, the disk refuses) is said so on the board at once, and recorded from the pre-roll on as
soon as it can be. Nothing here waits for the vault.

Leaves to others: what a call is (line_state), the file (call), threads and devices (device_worker).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import assert_never

import structlog

from appliance.boundary.verbs import IssuedCall
from appliance.recorder.call import MOST_GAPS, Call, CallStart
from appliance.recorder.countries import Country
from appliance.recorder.disk_room import DiskRoom
from appliance.recorder.line_board import LineBoard
from appliance.recorder.line_state import (
    CallBegins,
    CallEnds,
    Happening,
    LineRules,
    SpeechChanges,
)
from appliance.recorder.line_watch import LineWatch
from appliance.recorder.party import NOBODY_KNOWN
from appliance.recorder.pre_roll import PreRoll
from appliance.recorder.signals import Pcm, Signals
from appliance.recorder.vault_link import VaultLink
from appliance.recorder.wall_time import WallTime
from appliance.recordings.container import Consent, EndReason
from appliance.recordings.folder import RecordingsFolder
from appliance.settings import LineSettings
from appliance.terms import BLOCK_FRAMES, RATE_HZ, ConsentBy, Direction, LinekeepError

_DISK_AGAIN_FRAMES = 5 * RATE_HZ
"""After the disk refused, the next attempt waits so long, or every block would use up a key."""

NO_GROUND = (
    "This line is not recorded, because the settings give no ground for it. "
    "Write down why it may be recorded, as 'ground' of this line."
)
NO_ROOM = (
    "The disk is full up to its reserve, so nothing is recorded. What was recorded is safe; "
    "recording goes on by itself when calls have been erased or their time has come."
)
NO_KEY_YET = "A call waits for its key from the vault. It is recorded as soon as the key comes."


class LineWorker:
    """One line. All methods are called by the thread of its device.

    Args:
        line: its settings.
        signals: the line's ear, new.
        rules: when a call begins and ends.
        country: whose exchange sends tones and caller ID.
        folder: where growing recordings lie.
        software: what the opening record names as the writer.
    """

    def __init__(
        self,
        line: LineSettings,
        signals: Signals,
        rules: LineRules,
        country: Country,
        *,
        folder: RecordingsFolder,
        room: DiskRoom,
        link: VaultLink,
        board: LineBoard,
        software: str,
        log: structlog.stdlib.BoundLogger,
    ) -> None:
        self._line = line.line
        self._ground = line.ground.strip()
        self._signals = signals
        self._rules = rules
        self._folder = folder
        self._room = room
        self._link = link
        self._board = board
        self._software = software
        self._log = log
        self._wall_time = WallTime(0)
        self._country = country
        self._watch = LineWatch(signals, rules, country)
        self._told_party = NOBODY_KNOWN
        self._pre_roll = PreRoll(rules.lead + BLOCK_FRAMES)
        self._call: Call | None = None
        self._next_frame: int | None = None
        """While a call is on the line: its first frame that is not in a recording yet."""
        self._disk_trouble = ""
        self._disk_again_frame = 0
        self._trouble = ""
        self._show_trouble("" if self._ground else NO_GROUND)

    # what the device brings

    def open(self, wall_time: WallTime) -> None:
        """The device is open; frames count from 0."""
        self._wall_time = wall_time
        self._disk_again_frame = 0
        self._show_trouble(self._obstacle())

    def hear(self, first_frame: int, samples: Pcm) -> None:
        """Take a block of this line's channel; it must be contiguous and is kept."""
        if not self._ground:
            self._board.show_level(self._line, self._signals.hear(samples).level_dbfs)
            return
        self._pre_roll.add(first_frame, samples)
        watched = self._watch.hear(first_frame, samples)
        self._board.show_level(self._line, watched.level_dbfs)
        self._follow(watched.happenings)
        self._record_until(first_frame + samples.size)
        self._tell_party()
        self._show_trouble(self._obstacle())

    def lose(self, first_frame: int, frames: int, why: str) -> None:
        """Nobody has the audio of these frames."""
        if not self._ground:
            return
        end_frame = first_frame + frames
        self._pre_roll.forget(end_frame)
        if frames <= self._rules.longest_gap:
            self._fill(frames, why)
        self._follow(self._watch.lose(first_frame, frames))
        if self._next_frame is not None:
            self._next_frame = max(self._next_frame, end_frame)

    def close(self, why: EndReason, trouble: str) -> None:
        """The device is closed. A running call ends whole; `trouble` is shown until it is open again."""
        self._follow(self._watch.break_off(self._pre_roll.end_frame, why))
        self._hear_no_more(trouble)

    def abandon(self, trouble: str) -> None:
        """After a fault of the program: let go of everything as it is; the vault recovers what was committed."""
        self._let_go()
        self._next_frame = None
        self._hear_no_more(trouble)

    def _hear_no_more(self, trouble: str) -> None:
        self._watch = LineWatch(self._signals, self._rules, self._country)
        self._pre_roll.forget(0)
        self._board.show_no_level(self._line)
        self._show_trouble(trouble or self._obstacle())

    # the call's way

    def _follow(self, happenings: Iterable[Happening]) -> None:
        for happening in happenings:
            match happening:
                case CallBegins():
                    self._next_frame = happening.at_frame
                case CallEnds():
                    self._record_until(happening.at_frame)
                    self._tell_party()
                    self._end(happening.at_frame, happening.why)
                    self._watch.forget(happening)
                case SpeechChanges():
                    pass
                case _:
                    assert_never(happening)

    def _record_until(self, end_frame: int) -> None:
        """Bring the recording of the call on the line, if there is one, up to this frame."""
        if self._next_frame is None:
            return
        if self._room.is_low():
            self._finish(EndReason.DISK_FULL)
            return
        try:
            call = self._call or self._begin(end_frame)
            if call is not None:
                self._feed(call, end_frame)
        except LinekeepError as trouble:
            self._give_up(trouble)

    def _begin(self, end_frame: int) -> Call | None:
        """Begin the recording as far back as the pre-roll reaches, if nothing is in the way. Raises as Call."""
        wanted_frame = self._next_frame or 0
        first_frame = max(wanted_frame, self._pre_roll.first_frame)
        if first_frame >= end_frame or self._pre_roll.end_frame < self._disk_again_frame:
            return None
        issued = self._link.take_key(self._line)
        if issued is None:
            return None
        started_at_ms = self._wall_time.at_ms(first_frame)
        call = Call(self._folder.growing_path(issued.call), self._start_of(issued, started_at_ms))
        missed_s = round((first_frame - wanted_frame) / RATE_HZ, 1)
        self._call, self._next_frame, self._disk_trouble = call, first_frame, ""
        self._board.show_call(self._line, call.call, started_at_ms)
        self._link.begin_call(call.call, self._line, started_at_ms)
        self._told_party = NOBODY_KNOWN
        self._log.info("call_recording_begun", call=call.call, line=self._line, missed_seconds=missed_s)
        return call

    def _start_of(self, issued: IssuedCall, started_at_ms: int) -> CallStart:
        return CallStart(
            issued=issued,
            line=self._line,
            ground=self._ground,
            consent=Consent(at_ms=started_at_ms, by=ConsentBy.DUTY),
            software=self._software,
            started_at_ms=started_at_ms,
        )

    def _feed(self, call: Call, end_frame: int) -> None:
        for piece in self._pre_roll.between(self._next_frame or 0, end_frame):
            call.add(piece)
        self._next_frame = end_frame

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

    def _tell_party(self) -> None:
        """Tell the vault who is at the other end of the recorded call, as soon as it is known, and when it changes."""
        party = self._watch.party
        if self._call is not None and party != self._told_party:
            self._told_party = party
            self._link.note_party(self._call.call, party)

    def _end(self, at_frame: int, why: EndReason) -> None:
        """The call on the line is over."""
        if self._call is None and self._next_frame is not None and self._next_frame < at_frame:
            self._log.warning("call_not_recorded", line=self._line, why=self._obstacle())
        self._finish(why)
        self._next_frame = None

    def _finish(self, why: EndReason) -> None:
        """Close the running recording, if there is one; the call on the line may go on."""
        if self._call is None:
            return
        party = self._watch.party
        try:
            self._call.finish(why, direction=Direction(party.direction.value), number=party.number)
        except LinekeepError as trouble:
            self._give_up(trouble)
            return
        self._told_end(self._call, why)

    def _give_up(self, trouble: LinekeepError) -> None:
        """The disk, or a key, refused: what is committed stays, and the next attempt comes in a while."""
        self._log.error("recording_refused", line=self._line, why=str(trouble))
        self._disk_trouble = str(trouble)
        self._disk_again_frame = self._pre_roll.end_frame + _DISK_AGAIN_FRAMES
        self._let_go()

    def _let_go(self) -> None:
        if self._call is None:
            return
        with contextlib.suppress(LinekeepError):  # the file is let go of even so
            self._call.abandon()
        self._told_end(self._call, EndReason.CUT_OFF)

    def _told_end(self, call: Call, why: EndReason) -> None:
        self._call = None
        self._board.show_call(self._line, None)
        self._link.finish_call(call.call)
        self._log.info(
            "call_recording_ended",
            call=call.call,
            line=self._line,
            seconds=call.seconds,
            why=why.value,
            gaps=call.gaps,
        )

    # what is in the way

    def _obstacle(self) -> str:
        """Why this line cannot be recorded now, as a sentence; empty if it can."""
        if not self._ground:
            return NO_GROUND
        if self._room.is_low():
            return NO_ROOM
        if self._call is not None:
            return ""
        if self._pre_roll.end_frame < self._disk_again_frame:
            return self._disk_trouble
        waits = NO_KEY_YET if self._next_frame is not None else ""
        return self._link.why_no_key(self._line) or waits

    def _show_trouble(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            self._board.show_trouble(self._line, trouble)
            if trouble:
                self._log.warning("line_trouble", line=self._line, trouble=trouble)
            else:
                self._log.info("line_trouble_over", line=self._line)
