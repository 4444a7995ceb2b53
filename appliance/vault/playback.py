"""What people see and hear of finished calls. The vault decrypts; only what is heard leaves it.

Every opening is journalled before its first byte goes out, and openings are paced: whoever holds a stolen login
cannot carry the archive away in a minute.
"""

from __future__ import annotations

import base64
import threading
from collections import OrderedDict, deque
from collections.abc import Callable

from appliance.audit.events import Act
from appliance.audit.journal import Journal
from appliance.boundary import verbs
from appliance.recordings.folder import RecordingsFolder
from appliance.recordings.reader import RecordingReader
from appliance.terms import RATE_HZ, CallId, KeyForgotten, NotAllowed, StorageTrouble
from appliance.vault import card as cards
from appliance.vault.accounts import Visitor
from appliance.vault.call_keys import CallKeys
from appliance.vault.catalogue import CallRow, CallState, Catalogue
from appliance.vault.rights import Right

OPEN_READERS = 16
"""Recordings kept open at a time: a listener's next piece then costs no search for the key."""

OPENINGS_A_MINUTE = 30
OPENING_LASTS_S = 15 * 60
"""Reading on within this time belongs to the same opening."""


class NoSuchCall(StorageTrouble):
    """Unknown, erased, or condemned: for whoever asks, all the same."""

    def __init__(self) -> None:
        super().__init__("There is no such recording: it was deleted, or never was.")


class StillRunning(NotAllowed):
    def __init__(self) -> None:
        super().__init__("This call is still being recorded. It can be opened or deleted when it has ended.")


class TooManyOpenings(NotAllowed):
    def __init__(self, wait_s: int) -> None:
        super().__init__(f"Too many recordings were opened within a minute. Wait {wait_s} seconds and go on.")
        self.facts: dict[str, str | int] = {"wait_s": wait_s}


class Playback:
    """Safe for use by several threads. `steady_s` gives seconds of a clock that never steps."""

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        call_keys: CallKeys,
        folder: RecordingsFolder,
        journal: Journal,
        steady_s: Callable[[], float],
    ) -> None:
        self._catalogue = catalogue
        self._call_keys = call_keys
        self._folder = folder
        self._journal = journal
        self._steady_s = steady_s
        self._lock = threading.Lock()
        self._readers: OrderedDict[CallId, RecordingReader] = OrderedDict()
        self._openings: dict[tuple[str, CallId, verbs.Purpose], float] = {}
        self._opened_at_s: dict[str, deque[float]] = {}

    def page(self, visitor: Visitor, request: verbs.ListCalls) -> verbs.CallPage:
        """A page of finished calls that can be opened, newest first."""
        visitor.require(Right.SEE_CALLS)
        before = None
        if request.before_ms is not None and request.before_call is not None:
            before = (request.before_ms, request.before_call)
        tokens = self._call_keys.tokens_sought(request.number) if request.number.strip() else None
        rows = self._catalogue.page(limit=request.limit + 1, before=before, line=request.line, tokens=tokens)
        facts = [self._facts_or_none(row) for row in rows[: request.limit]]
        return verbs.CallPage(calls=tuple(f for f in facts if f is not None), more=len(rows) > request.limit)

    def open_call(self, visitor: Visitor, call: CallId) -> verbs.OpenedCall:
        visitor.require(Right.SEE_CALLS)
        row = self._kept(call)
        card = self._card_of(row)
        return verbs.OpenedCall(
            facts=_facts(row, card),
            audio_bytes=card.audio_bytes,
            frames=card.frames,
            peaks=base64.b64decode(card.peaks),
            gaps=card.gaps,
        )

    def read(self, visitor: Visitor, request: verbs.Read) -> verbs.ReadBytes:
        visitor.require(Right.HEAR_CALLS)
        self._kept(request.call)
        self._note_opening(visitor, request.call, request.purpose)
        reader = self._reader(request.call)
        audio = reader.read_audio(request.offset, request.length)
        return verbs.ReadBytes(audio=audio, total_bytes=reader.audio_bytes)

    def let_go(self, call: CallId) -> None:
        """Forget what is held of a call in memory: it is about to be erased."""
        with self._lock:
            reader = self._readers.pop(call, None)
        if reader is not None:
            reader.close()

    def must_be_finished(self, call: CallId) -> None:
        """Raises NoSuchCall, StillRunning."""
        self._kept(call)

    def unreadable(self) -> int:
        """Listed calls whose keys the ring does not hold: they came back with an old copy of the catalogue."""
        buckets = self._call_keys.bucket_ids()
        return self._catalogue.count_kept_outside(buckets)

    def _kept(self, call: CallId) -> CallRow:
        row = self._catalogue.find(call)
        if row is not None and row.state is CallState.KEPT:
            return row
        if row is not None and row.state in (CallState.ISSUED, CallState.RUNNING):
            raise StillRunning
        raise NoSuchCall

    def _card_of(self, row: CallRow) -> cards.Card:
        if row.card is None:
            raise NoSuchCall
        return cards.unseal(row.card, row.call_id, self._call_keys.key_of(row.call_id))

    def _facts_or_none(self, row: CallRow) -> verbs.CallFacts | None:
        try:
            return _facts(row, self._card_of(row))
        except KeyForgotten:
            return None

    def _reader(self, call: CallId) -> RecordingReader:
        with self._lock:
            reader = self._readers.get(call)
            if reader is None:
                key = self._call_keys.key_of(call)
                reader = RecordingReader(self._folder.finished_path(call), call=call, key=key)
                self._readers[call] = reader
            self._readers.move_to_end(call)
            # Not closed here: another thread may be reading from it; it closes when the last one lets go.
            while len(self._readers) > OPEN_READERS:
                self._readers.popitem(last=False)
            return reader

    def _note_opening(self, visitor: Visitor, call: CallId, purpose: verbs.Purpose) -> None:
        opening = (visitor.account, call, purpose)
        now_s = self._steady_s()
        with self._lock:
            if now_s - self._openings.get(opening, -OPENING_LASTS_S) < OPENING_LASTS_S:
                self._openings[opening] = now_s
                return
            self._pace(visitor, now_s)
            self._openings = {o: at for o, at in self._openings.items() if now_s - at < OPENING_LASTS_S}
            act = Act.CALL_OPENED if purpose is verbs.Purpose.LISTEN else Act.CALL_DOWNLOADED
            self._journal.append(act, by=visitor.account, ids=(call,))
            self._openings[opening] = now_s

    def _pace(self, visitor: Visitor, now_s: float) -> None:
        recent = self._opened_at_s.setdefault(visitor.account, deque())
        while recent and now_s - recent[0] >= 60:
            recent.popleft()
        if len(recent) >= OPENINGS_A_MINUTE:
            raise TooManyOpenings(int(60 - (now_s - recent[0])) + 1)
        recent.append(now_s)


def _facts(row: CallRow, card: cards.Card) -> verbs.CallFacts:
    return verbs.CallFacts(
        call=row.call_id,
        line=row.line,
        started_at_ms=row.started_at_ms or 0,
        length_ms=row.length_ms or 0,
        direction=row.direction,
        due_at_ms=row.due_at_ms or 0,
        number=card.number,
        ended=card.ended,
        gaps=len(card.gaps),
        lost_ms=sum(frames for _at, frames, _why in card.gaps) * 1000 // RATE_HZ,
    )
