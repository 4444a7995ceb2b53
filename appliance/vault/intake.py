"""Takes calls over from the recorder: issued, begun, finished; what a crash left lying; and those not recorded.

A finished recording is authenticated whole before it counts, and every fact about it comes from its own two records:
the file is the truth, the catalogue its index. Only with whom the call was is taken from what was noted while it ran
where the file does not say it. Each call that began has its number in its line's day before it counts. A recording that
a crash cut off goes the same way after `recover` has written it anew. Whether somebody still writes a file the kernel
says (its lock).

A call of which nothing was recorded is a fact too, under the key of a spare call: its number is sealed, it is
searched for, falls due and is erased as the others are.
"""

from __future__ import annotations

import threading
from datetime import date
from typing import Any

import msgspec

from appliance.audit.events import Act
from appliance.audit.journal import Journal
from appliance.boundary import verbs
from appliance.clock import EARLIEST_MS, Clock
from appliance.recordings.closing import NothingToRecover, recover
from appliance.recordings.container import PAUSED, ClosingRecord, EndReason, Gap, OpeningRecord
from appliance.recordings.folder import RecordingsFolder
from appliance.recordings.reader import RecordingCutOff, RecordingReader
from appliance.recordings.sealing import SEGMENT_BYTES
from appliance.terms import (
    RATE_HZ,
    CallId,
    DamagedRecording,
    Direction,
    LinekeepError,
    LineName,
    NotAllowed,
    NotKept,
    Order,
)
from appliance.vault import card as cards
from appliance.vault.call_keys import CallKeys
from appliance.vault.catalogue import CallRow, CallState, Catalogue
from appliance.vault.clock_watch import ClockWatch
from appliance.vault.evidence.day_book import DayBook, Outcome, day_of
from appliance.vault.retention.erasure import Eraser
from appliance.vault.retention.verdict import due_at

SPARE_LIVES_MS = 48 * 3600 * 1000
"""The recorder replaces a spare call after half a day; one of two days ago is nobody's."""


class Intake:
    """Safe for use by several threads."""

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        call_keys: CallKeys,
        folder: RecordingsFolder,
        erasure: Eraser,
        journal: Journal,
        clock: Clock,
        watch: ClockWatch,
        day_book: DayBook,
        keep_s: int,
        log: Any,
    ) -> None:
        self._catalogue = catalogue
        self._call_keys = call_keys
        self._folder = folder
        self._erasure = erasure
        self._journal = journal
        self._clock = clock
        self._watch = watch
        self._day_book = day_book
        self._keep_s = keep_s
        self._log = log
        self._one_at_a_time = threading.Lock()
        self._to_forget = self._ordered_before()
        self._being_kept: CallId | None = None
        self._order_or_keep = threading.Lock()
        """An order to forget comes before a call counts as kept, or is refused: never neither."""

    def issue(self, line: LineName) -> tuple[CallId, bytes]:
        return self._call_keys.issue(line)

    def begin(self, call: CallId, line: LineName, started_at_ms: int) -> None:
        row = self._catalogue.find(call)
        if row is None or row.line != line:
            raise NotAllowed("This call was not issued for this line.")
        if row.state in (CallState.ISSUED, CallState.RUNNING):
            self._day_book.number(call, line, started_at_ms, self._today())
        if self._catalogue.begin(call, started_at_ms):
            self._log.info("call_begun", call=call, line=line)

    def note_party(self, call: CallId, direction: str, number: str) -> None:
        """Who is at the other end. Sealed at once: a cut does not lose it, and the disk never has a number in clear."""
        row = self._catalogue.find(call)
        if row is not None and row.state is CallState.RUNNING:
            card = cards.seal(cards.of_running(number), call, self._call_keys.key_of(call)) if number else None
            self._catalogue.note_party(call, direction, card)

    def note_gap(self, call: CallId, at_frame: int, frames: int, why: str) -> None:
        """Raises NotAllowed: a closing record could not say so, and this recording could never be taken over."""
        try:
            msgspec.convert({"at_frame": at_frame, "frames": frames, "why": why}, Gap)
        except msgspec.ValidationError as error:
            raise NotAllowed("No recording can say this of itself; nothing was noted.") from error
        row = self._catalogue.find(call)
        if row is not None and row.state in (CallState.ISSUED, CallState.RUNNING):
            self._catalogue.add_gap(call, at_frame, frames, why)

    def drop(self, call: CallId, why: NotKept) -> None:
        """Forget a call that runs. May be repeated.

        Its key goes with a receipt, since bytes under it reached the disk. No row stays: that there was a call say the
        journal, its line's day and the receipt. What was taken over already is only for people to erase.

        Raises:
            NotAllowed: this call is kept, or was never issued.
            NotGoneYet: noted, and taken up again.
        """
        with self._one_at_a_time:
            row = self._catalogue.find(call)
            if row is None and self._catalogue.was_forgotten(call):
                return
            if row is None or row.state is CallState.KEPT:
                raise NotAllowed("Only a call that runs can be dropped.")
            self._drop(row, why)

    def _drop(self, row: CallRow, why: NotKept) -> None:
        call = row.call_id
        if row.state is not CallState.CONDEMNED:
            self._settle(row, Outcome.NOT_KEPT, why=why)
            self._journal.append(Act.CALL_NOT_KEPT, by="vault", ids=(call,), notes={"why": why.value})
            self._log.info("call_dropped", call=call, why=why.value)
        self._erasure.erase([call], by="vault", why="dropped")

    def forget_when_over(self, call: CallId) -> bool:
        """A person has ordered it, and the journal knows: a call that ends before the recorder hears is not kept.

        Returns: False if that is too late: it is taken over, or gone.
        """
        with self._order_or_keep:
            row = self._catalogue.find(call)
            if call == self._being_kept or row is None or row.state not in (CallState.ISSUED, CallState.RUNNING):
                return False
            self._to_forget.add(call)
        return True

    def _ordered_before(self) -> set[CallId]:
        """Running calls that the journal says are to be forgotten: the recorder, or this vault, was cut off since."""
        running = {row.call_id for row in self._catalogue.in_state(CallState.RUNNING)}
        if not running:
            return set()
        try:
            entries = [each for each in self._journal.entries_about(running) if each.act is Act.CALL_ORDERED]
        except LinekeepError as trouble:
            self._log.error("orders_unknown", why=str(trouble))  # a damaged journal, which the check tells
            return set()
        return {CallId(name) for each in entries if each.notes.get("order") == Order.FORGET for name in each.ids}

    def note_unrecorded(self, noted: verbs.NoteUnrecorded) -> None:
        """Keep the fact of a call that was not recorded. May be repeated. Raises NotAllowed."""
        with self._one_at_a_time:
            row = self._catalogue.find(noted.call)
            if row is None and self._catalogue.was_forgotten(noted.call):
                return
            if row is None or row.line != noted.line:
                raise NotAllowed("This call was not issued for this line.")
            if row.state is CallState.ISSUED and not self._folder.growing_path(row.call_id).exists():
                self._keep_unrecorded(row, noted)
            elif not row.not_kept and row.state is not CallState.CONDEMNED:
                raise NotAllowed("This call was recorded, so it cannot be one that was not.")

    def _keep_unrecorded(self, row: CallRow, noted: verbs.NoteUnrecorded) -> None:
        call, key = row.call_id, self._call_keys.key_of(row.call_id)
        self._settle(row, Outcome.NOT_KEPT, started_at_ms=noted.started_at_ms, why=noted.why)
        self._journal.append(Act.CALL_NOT_KEPT, by="vault", ids=(call,), notes={"why": noted.why.value})
        with self._call_keys.holding_still():
            self._catalogue.keep_unrecorded(
                call,
                why=noted.why,
                started_at_ms=noted.started_at_ms,
                length_ms=noted.length_ms,
                direction=noted.direction,
                due_at_ms=self._due_at(noted.started_at_ms, noted.length_ms),
                card=cards.seal(cards.of_running(noted.number), call, key),
                tokens=self._call_keys.tokens_for(call, noted.number),
            )
        self._log.info("call_not_recorded", call=call, line=row.line, why=noted.why.value)

    def finish(self, call: CallId) -> None:
        """Take a finished recording over. May be repeated."""
        with self._one_at_a_time:
            row = self._catalogue.find(call)
            if row is None or row.state not in (CallState.ISSUED, CallState.RUNNING):
                return  # taken over already, or erased since
            self._take_over(row)

    def take_over_what_was_left(self) -> None:
        """Look for recordings that nobody writes any more and nobody finished; at start and after a recorder ended."""
        with self._one_at_a_time:
            for row in self._catalogue.in_state(CallState.ISSUED, CallState.RUNNING):
                try:
                    self._take_over_if_left(row)
                except LinekeepError as trouble:
                    # One bad file must not keep the others from being taken over; it stays where it is, and the
                    # check names it.
                    self._log.error("recording_left_behind", call=row.call_id, why=str(trouble))
            self._drop_unused()

    def _drop_unused(self) -> None:
        if self._watch.trouble() is not None:
            return  # on a clock that jumped, the spare call of a minute ago looks old
        before_ms, begun = self._clock.now_ms() - SPARE_LIVES_MS, set(self._folder.growing_calls())
        old = {
            row.call_id
            for row in self._catalogue.in_state(CallState.ISSUED)
            # Issued before the clock was right, its age is unknown; with a file, it is no spare.
            if EARLIEST_MS <= row.issued_at_ms < before_ms and row.call_id not in begun
        }
        if not old:
            return
        # Noted as not recorded, and a cut fell before the catalogue knew: the fact is lost, and says so.
        noted = {CallId(name) for entry in self._journal.entries_about(old) for name in entry.ids} & old
        self._catalogue.drop_unused(old - noted)
        self._erasure.erase(noted, by="vault", why="nothing_recorded")

    def _take_over_if_left(self, row: CallRow) -> None:
        growing, finished = self._folder.growing_path(row.call_id), self._folder.finished_path(row.call_id)
        if not growing.exists() and not finished.exists():
            return
        if growing.exists() and self._folder.is_being_written(row.call_id):
            return
        try:
            self._take_over(row)
        except LinekeepError:
            # It can be tried again until its time is over: what nobody can hear is not kept for ever either.
            if self._watch.trouble() is None:
                due_at_ms = due_at(ended_at_ms=self._clock.now_ms(), keep_s=self._keep_s)
                self._catalogue.give_due_date(row.call_id, due_at_ms)
            raise

    def _take_over(self, row: CallRow) -> None:
        if row.call_id in self._to_forget:
            self._drop(row, NotKept.FORGOTTEN)
            return
        call, key = row.call_id, self._call_keys.key_of(row.call_id)
        if self._folder.finished_path(call).exists():
            # A cut fell between the file's adoption, or its recovery, and the catalogue.
            self._folder.make_durable(call)
            with RecordingReader(self._folder.finished_path(call), call=call, key=key) as reader:
                reader.verify()
            self._folder.discard_growing(call)
        elif not self._complete_growing(row, key):
            return
        with self._order_or_keep:
            # To authenticate a long call takes seconds, in which its tile still offers to forget it.
            self._being_kept = None if call in self._to_forget else call
        if self._being_kept is None:
            self._drop(row, NotKept.FORGOTTEN)
            return
        try:
            self._keep(row, key)
        finally:
            self._being_kept = None

    def _complete_growing(self, row: CallRow, key: bytes) -> bool:
        """Bring the growing file, whole or cut off, to the finished ones. False if there was nothing in it."""
        call, path = row.call_id, self._folder.growing_path(row.call_id)
        try:
            with RecordingReader(path, call=call, key=key) as reader:
                authentic = reader.verify()
            self._folder.adopt(call, sha256=authentic)
        except RecordingCutOff:
            return self._recover(row, key)
        return True

    def _recover(self, row: CallRow, key: bytes) -> bool:
        call, source = row.call_id, self._folder.growing_path(row.call_id)
        gaps = tuple(Gap(at_frame=at, frames=frames, why=why) for at, frames, why in self._catalogue.gaps_of(call))
        direction, number = _noted_party(row, key)
        try:
            recovery = recover(
                source,
                self._folder.finished_path(call),
                call=call,
                key=key,
                ended_at_ms=self._clock.now_ms(),
                gaps=gaps,
                direction=direction,
                number=number,
            )
        except NothingToRecover as nothing:
            if nothing.unauthenticated_bytes > SEGMENT_BYTES:
                # More than the one segment that a cut may tear: damage. Keep it for whoever looks into that.
                raise
            self._settle(row, Outcome.NOT_KEPT, why="nothing_recorded")
            self._journal.append(Act.CALL_NOT_KEPT, by="vault", ids=(call,), notes={"why": "nothing_recorded"})
            self._log.info("call_ended", call=call, seconds=0, kept=False)
            self._erasure.erase([call], by="vault", why="nothing_recorded")
            return False
        self._folder.discard_growing(call)
        notes: dict[str, str | int] = {"unauthenticated_bytes": recovery.unauthenticated_bytes}
        self._journal.append(Act.CALL_RECOVERED, by="vault", ids=(call,), notes=notes)
        return True

    def _keep(self, row: CallRow, key: bytes) -> None:
        call = row.call_id
        with RecordingReader(self._folder.finished_path(call), call=call, key=key) as reader:
            opening, closing = reader.opening, reader.closing
        length_ms = closing.frames * 1000 // RATE_HZ
        direction, number = closing.direction, closing.number
        if direction is Direction.UNKNOWN and not number:
            direction, number = _noted_party(row, key)
        card = _card_of(opening, closing, number)
        self._settle(
            row,
            Outcome.RECOVERED if closing.ended is EndReason.CUT_OFF else Outcome.KEPT,
            started_at_ms=opening.started_at_ms,
            frames=closing.frames,
            frames_lost=sum(gap.frames for gap in closing.gaps if gap.why != PAUSED),
            frames_paused=sum(gap.frames for gap in closing.gaps if gap.why == PAUSED),
        )
        self._journal.append(Act.CALL_KEPT, by="vault", ids=(call,))
        with self._call_keys.holding_still():
            self._catalogue.keep(
                call,
                started_at_ms=opening.started_at_ms,
                length_ms=length_ms,
                direction=direction,
                due_at_ms=self._due_at(opening.started_at_ms, length_ms),
                card=cards.seal(card, call, key),
                tokens=self._call_keys.tokens_for(call, number),
            )
        self._log.info("call_ended", call=call, seconds=length_ms / 1000, kept=True)

    def _settle(
        self,
        row: CallRow,
        outcome: Outcome,
        *,
        started_at_ms: int | None = None,
        why: str = "",
        frames: int = 0,
        frames_lost: int = 0,
        frames_paused: int = 0,
    ) -> None:
        begun_at_ms = started_at_ms or row.started_at_ms or row.issued_at_ms
        self._day_book.settle(
            row.call_id,
            row.line,
            begun_at_ms,
            self._today(),
            outcome=outcome,
            why=why,
            frames=frames,
            frames_lost=frames_lost,
            frames_paused=frames_paused,
        )

    def _today(self) -> date | None:
        return day_of(self._clock.now_ms()) if self._watch.trouble() is None else None

    def _due_at(self, started_at_ms: int, length_ms: int) -> int | None:
        if self._watch.trouble() is not None or started_at_ms < EARLIEST_MS:
            return None
        # A start in the future, from a clock that was put right since, must not keep a call for years.
        ended_at_ms = min(started_at_ms + length_ms, self._clock.now_ms())
        return due_at(ended_at_ms=ended_at_ms, keep_s=self._keep_s)


def _card_of(opening: OpeningRecord, closing: ClosingRecord, number: str) -> cards.Card:
    consent = opening.consent
    return cards.Card(
        number=number,
        ended=closing.ended,
        frames=closing.frames,
        audio_bytes=closing.audio_bytes,
        peaks=closing.peaks,
        gaps=tuple((gap.at_frame, gap.frames, gap.why) for gap in closing.gaps),
        ground=opening.ground,
        consent_by=consent.by if consent else "",
        consent_at_ms=consent.at_ms if consent else 0,
        channels=opening.channels,
    )


def _noted_party(row: CallRow, key: bytes) -> tuple[Direction, str]:
    """With whom the call was, as it was heard while it ran."""
    direction = Direction(row.direction)
    try:
        return direction, cards.unseal(row.card, row.call_id, key).number if row.card is not None else ""
    except DamagedRecording:
        return direction, ""  # the recording counts, whether its number can be read or not
