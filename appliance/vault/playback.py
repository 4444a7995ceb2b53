"""What people see and hear of finished calls. The vault decrypts; only what is heard leaves it.

Every opening is journalled before its first byte goes out, and openings are paced: whoever holds a stolen login
cannot carry the archive away in a minute.
"""

from __future__ import annotations

import base64
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from appliance.audit.events import Act
from appliance.audit.journal import Journal
from appliance.boundary import verbs
from appliance.clock import Clock
from appliance.recordings.container import PAUSED
from appliance.recordings.folder import RecordingsFolder
from appliance.recordings.reader import RecordingReader
from appliance.terms import RATE_HZ, CallId, DamagedRecording, KeyTrouble, NotAllowed, StorageTrouble
from appliance.vault import card as cards
from appliance.vault.accounts import Visitor
from appliance.vault.call_keys import CallKeys
from appliance.vault.catalogue import CallRow, CallState, Catalogue
from appliance.vault.clock_watch import ClockWatch
from appliance.vault.retention.verdict import goes_at, is_held
from appliance.vault.rights import Right

OPEN_READERS = 16
"""Recordings kept open at a time: a listener's next piece then costs no search for the key."""

OPENINGS_A_MINUTE = 30
OPENING_LASTS_S = 15 * 60
"""Reading on within this time belongs to the same opening."""

LOOK_LASTS_S = 3600
"""Looking at the same list or call again within this time is the same look."""

_ACTS = {
    verbs.Purpose.LISTEN: Act.CALL_OPENED,
    verbs.Purpose.DOWNLOAD: Act.CALL_DOWNLOADED,
    verbs.Purpose.EVIDENCE: Act.EVIDENCE_EXPORTED,
}


@dataclass(slots=True)
class _OpenReader:
    """A reader, and by how many threads it is being read. Closed by whoever lets go of it last."""

    reader: RecordingReader
    users: int = 0
    is_dropped: bool = False


class NoSuchCall(StorageTrouble):
    """Unknown, erased, or condemned: for whoever asks, all the same."""

    def __init__(self) -> None:
        super().__init__("There is no such recording: it was deleted, or never was.")


class StillRunning(NotAllowed):
    def __init__(self) -> None:
        super().__init__("This call is still being recorded. It can be opened or deleted when it has ended.")


class NothingRecorded(NotAllowed):
    def __init__(self) -> None:
        super().__init__("Nothing was recorded of this call, so there is nothing to hear and nothing to prove.")


class TooManyOpenings(NotAllowed):
    def __init__(self, wait_s: int) -> None:
        super().__init__(f"Too many recordings were opened within a minute. Wait {wait_s} seconds and go on.")
        self.facts: dict[str, str | int] = {"wait_s": wait_s}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unreadable:
    """A count, and how many keys had been lost and changes been made when it was taken."""

    count: int
    lost: int
    changes: int


class Playback:
    """Safe for use by several threads. `steady_s` gives seconds of a clock that never steps."""

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        call_keys: CallKeys,
        folder: RecordingsFolder,
        journal: Journal,
        clock: Clock,
        watch: ClockWatch,
        steady_s: Callable[[], float],
    ) -> None:
        self._catalogue = catalogue
        self._call_keys = call_keys
        self._folder = folder
        self._journal = journal
        self._clock = clock
        self._watch = watch
        self._steady_s = steady_s
        self._lock = threading.Lock()
        self._unreadable: _Unreadable | None = None
        self._readers: OrderedDict[CallId, _OpenReader] = OrderedDict()
        self._openings: dict[tuple[str, CallId, verbs.Purpose], float] = {}
        self._looks: dict[tuple[Act, str, str], float] = {}
        self._opened_at_s: dict[str, deque[float]] = {}

    def page(self, visitor: Visitor, request: verbs.ListCalls) -> verbs.CallPage:
        """A page of finished calls that can be opened, newest first."""
        visitor.require(Right.SEE_CALLS)
        self._note_listing(visitor, request)
        before = None
        if request.before_ms is not None and request.before_call is not None:
            before = (request.before_ms, request.before_call)
        tokens = self._call_keys.tokens_sought(request.number) if request.number.strip() else None
        rows = self._catalogue.page(
            limit=request.limit + 1, before=before, line=request.line, tokens=tokens, longer=request.longer
        )
        facts = [self._facts_or_none(row) for row in rows[: request.limit]]
        return verbs.CallPage(calls=tuple(f for f in facts if f is not None), more=len(rows) > request.limit)

    def open_call(self, visitor: Visitor, call: CallId) -> verbs.OpenedCall:
        visitor.require(Right.SEE_CALLS)
        row = self.finished(call)
        card = self._card_of(row)
        self._note_look(Act.CALL_SHOWN, visitor, call, ids=(call,))
        facts = self._facts(row, card)
        return verbs.OpenedCall(
            facts=facts,
            audio_bytes=card.audio_bytes,
            frames=card.frames,
            peaks=base64.b64decode(card.peaks),
            gaps=card.gaps,
            ground=card.ground,
            consent_by=card.consent_by,
            consent_at_ms=card.consent_at_ms,
            hold_reason=card.hold_reason if facts.hold_until_ms else "",
            held_since_ms=card.held_since_ms if facts.hold_until_ms else 0,
            channels=card.channels,
        )

    def read(self, visitor: Visitor, request: verbs.Read) -> verbs.ReadBytes:
        visitor.require(Right.HEAR_CALLS)
        self.must_be_recorded(request.call)
        self._note_opening(visitor, request.call, request.purpose)
        with self._borrowed(request.call) as reader:
            audio = reader.read_audio(request.offset, request.length)
            return verbs.ReadBytes(audio=audio, total_bytes=reader.audio_bytes)

    def note_export(self, visitor: Visitor, calls: Sequence[CallId], *, scope: str) -> None:
        """Journal that the evidence of these calls is handed out, and let each of them be read.

        A whole day may go out at once; it counts as so many openings all the same, and the next one waits for it.
        """
        visitor.require(Right.HEAR_CALLS)
        now_s = self._steady_s()
        with self._lock:
            self._pace(visitor, now_s, openings=len(calls))
            self._journal.append(
                Act.EVIDENCE_EXPORTED, by=visitor.account, ids=tuple(calls), notes={"scope": scope, "count": len(calls)}
            )
            self._openings |= {(visitor.account, call, verbs.Purpose.EVIDENCE): now_s for call in calls}

    def note_reading(self, visitor: Visitor, call: CallId) -> None:
        """What is read of a call belongs to an export, or is noted as one.

        Raises NoSuchCall, NothingRecorded, TooManyOpenings.
        """
        visitor.require(Right.HEAR_CALLS)
        self.must_be_recorded(call)
        self._note_opening(visitor, call, verbs.Purpose.EVIDENCE)

    def let_go(self, call: CallId) -> None:
        """Forget what is held of a call in memory: it is about to be erased."""
        with self._lock:
            held = self._readers.pop(call, None)
            if held is not None:
                _drop(held)

    def close(self) -> None:
        """Let go of every recording."""
        for call in tuple(self._readers):
            self.let_go(call)

    def finished(self, call: CallId) -> CallRow:
        """A call that is over, recorded or not. Raises NoSuchCall, StillRunning."""
        row = self._catalogue.find(call)
        if row is not None and row.state is CallState.KEPT:
            return row
        if row is not None and row.state in (CallState.ISSUED, CallState.RUNNING):
            raise StillRunning
        raise NoSuchCall

    def must_be_recorded(self, call: CallId) -> None:
        """Raises NoSuchCall, StillRunning, NothingRecorded."""
        if self.finished(call).not_kept:
            raise NothingRecorded

    def unreadable(self) -> int:
        """Listed calls whose keys the ring does not hold: they came back with an old copy of the catalogue.

        That happens while the box is off, or to a key that is damaged; none comes about by itself. So none stays
        none, and only where there are some, or a key was lost, each call is looked at again (a second for a million).
        """
        seen = self._call_keys.lost, self._catalogue.changes
        known = self._unreadable
        if known is None or known.lost != seen[0] or (known.count and known.changes != seen[1]):
            count = self._catalogue.count_kept_outside(self._call_keys.bucket_ids())
            self._unreadable = known = _Unreadable(count=count, lost=seen[0], changes=seen[1])
        return known.count

    def _card_of(self, row: CallRow) -> cards.Card:
        if row.card is None:
            raise NoSuchCall
        return cards.unseal(row.card, row.call_id, self._call_keys.key_of(row.call_id))

    def _facts_or_none(self, row: CallRow) -> verbs.CallFacts | None:
        try:
            return self._facts(row, self._card_of(row))
        except (KeyTrouble, DamagedRecording):
            return None  # one bad row must not hide all others; `check` names it

    def _facts(self, row: CallRow, card: cards.Card) -> verbs.CallFacts:
        lost = [frames for _at, frames, why in card.gaps if why != PAUSED]
        goes_at_ms = row.due_at_ms and goes_at(
            due_at_ms=row.due_at_ms, hold_until_ms=row.hold_until_ms, keep_asked_at_ms=row.keep_asked_at_ms
        )
        held = row.hold_until_ms is not None and is_held(
            row.hold_until_ms, now_ms=self._clock.now_ms(), clock_trusted=self._watch.trouble() is None
        )
        return verbs.CallFacts(
            call=row.call_id,
            line=row.line,
            started_at_ms=row.started_at_ms or 0,
            length_ms=row.length_ms or 0,
            direction=row.direction,
            due_at_ms=goes_at_ms or 0,
            number=card.number,
            ended=card.ended,
            gaps=len(lost),
            lost_ms=sum(lost) * 1000 // RATE_HZ,
            not_kept=row.not_kept,
            hold_until_ms=(row.hold_until_ms or 0) if held else 0,
            keep_asked_at_ms=row.keep_asked_at_ms,
        )

    @contextmanager
    def _borrowed(self, call: CallId) -> Iterator[RecordingReader]:
        """The call's reader, kept open for as long as this is held, also if it is dropped meanwhile."""
        held = self._take(call)
        try:
            yield held.reader
        finally:
            with self._lock:
                held.users -= 1
                _close_if_unused(held)

    def _take(self, call: CallId) -> _OpenReader:
        with self._lock:
            held = self._readers.get(call)
            if held is None:
                key = self._call_keys.key_of(call)
                held = _OpenReader(RecordingReader(self._folder.finished_path(call), call=call, key=key))
                self._readers[call] = held
            self._readers.move_to_end(call)
            held.users += 1
            while len(self._readers) > OPEN_READERS:
                _drop(self._readers.popitem(last=False)[1])
            return held

    def _note_listing(self, visitor: Visitor, request: verbs.ListCalls) -> None:
        """Each search of its own, though the journal says only that one was for a number or a line."""
        number = request.number.strip()
        notes: dict[str, str | int] = {"by_line": int(request.line is not None), "by_number": int(bool(number))}
        self._note_look(Act.CALLS_LISTED, visitor, f"{request.line or ''} {number}", notes=notes)

    def _note_look(
        self,
        act: Act,
        visitor: Visitor,
        at: str,
        *,
        ids: tuple[str, ...] = (),
        notes: dict[str, str | int] | None = None,
    ) -> None:
        """An open page looks again twice a minute: one entry an hour for an account and what it looks at."""
        look, now_s = (act, visitor.account, at), self._steady_s()
        with self._lock:
            if now_s - self._looks.get(look, -LOOK_LASTS_S) < LOOK_LASTS_S:
                return
            self._journal.append(act, by=visitor.account, ids=ids, notes=notes)
            self._looks = {seen: at_s for seen, at_s in self._looks.items() if now_s - at_s < LOOK_LASTS_S}
            self._looks[look] = now_s

    def _note_opening(self, visitor: Visitor, call: CallId, purpose: verbs.Purpose) -> None:
        opening = (visitor.account, call, purpose)
        now_s = self._steady_s()
        with self._lock:
            if now_s - self._openings.get(opening, -OPENING_LASTS_S) < OPENING_LASTS_S:
                self._openings[opening] = now_s
                return
            self._pace(visitor, now_s)
            self._openings = {o: at for o, at in self._openings.items() if now_s - at < OPENING_LASTS_S}
            self._journal.append(_ACTS[purpose], by=visitor.account, ids=(call,))
            self._openings[opening] = now_s

    def _pace(self, visitor: Visitor, now_s: float, openings: int = 1) -> None:
        recent = self._opened_at_s.setdefault(visitor.account, deque())
        while recent and now_s - recent[0] >= 60:
            recent.popleft()
        if len(recent) >= OPENINGS_A_MINUTE:
            raise TooManyOpenings(int(60 - (now_s - recent[-OPENINGS_A_MINUTE])) + 1)
        # More than a minute's worth at once is borrowed from the minutes to come.
        recent.extend(now_s + 60 * (nth // OPENINGS_A_MINUTE) for nth in range(openings))


def _drop(held: _OpenReader) -> None:
    held.is_dropped = True
    _close_if_unused(held)


def _close_if_unused(held: _OpenReader) -> None:
    # Closed under a reading thread, its descriptor's number could by then be another file's.
    if held.is_dropped and held.users == 0:
        held.reader.close()
