"""Keeping a call longer than its period: requests that anybody may make, and holds that a person answers for.

    while it runs     asked ("keep" on the telephone or the page) -> open request, at most 14 days
    when it is over   hold: an end and a reason -> renewed, lifted, or over by itself

A hold is what the law calls restriction or preservation (GDPR Art. 17(3)(e), 18(1)(c)): the call is needed for a claim.
It stops every erasure of its call, also one that a person asks for; `Eraser` refuses, this file never erases. It ends
by itself within a year, so that somebody has to decide again.

Each act is in the journal before the catalogue is told; what a cut leaves between them, or a catalogue that comes from
a backup does not know, is taken up from the journal at the next start; what a disk leaves that was full at that moment,
before the next act or erasure. So a hold outlives the catalogue. Its reason does not: it is about the call, and so it
is in the sealed card, and in the journal never.

Leaves to others: what may be erased when (verdict), erasing and refusing to (erasure).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from msgspec.structs import replace

from appliance.audit.events import Act
from appliance.audit.journal import Entry, Journal
from appliance.clock import Clock
from appliance.terms import AccountId, CallId, LinekeepError, NotAllowed
from appliance.vault import card as cards
from appliance.vault.call_keys import CallKeys
from appliance.vault.catalogue import CallRow, CallState, Catalogue
from appliance.vault.clock_watch import ClockWatch
from appliance.vault.playback import Playback
from appliance.vault.retention.erasure import Eraser
from appliance.vault.retention.verdict import is_held

LONGEST_HOLD_MS = 367 * 86_400_000
"""A year, and some hours for time zones: the page lets a person choose a day, which ends later than it begins."""

_SETTLED = "holds_settled"
"""Mark: up to this byte of the journal the catalogue knows of every request and hold."""


class HoldOutOfBounds(NotAllowed):
    def __init__(self) -> None:
        super().__init__("A hold ends at a moment to come, within a year at most. Nothing was changed; choose another.")


class HoldNeedsClock(NotAllowed):
    def __init__(self) -> None:
        super().__init__(
            "The clock is not certain, so nobody knows when a hold would end. Nothing was changed. Until the clock is "
            "right nothing is deleted by date; hold the call then."
        )


class Holds:
    """Safe for use by several threads."""

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        call_keys: CallKeys,
        playback: Playback,
        erasure: Eraser,
        journal: Journal,
        clock: Clock,
        watch: ClockWatch,
        log: Any,
    ) -> None:
        self._catalogue = catalogue
        self._call_keys = call_keys
        self._playback = playback
        self._erasure = erasure
        self._journal = journal
        self._clock = clock
        self._watch = watch
        self._one_at_a_time = threading.Lock()
        self._is_settled = True
        """Whether the catalogue knows every request and hold that the journal has."""
        try:
            self._take_up_what_only_the_journal_knows()
        except LinekeepError as trouble:
            log.error("holds_unknown", why=str(trouble))  # a damaged journal, which the check tells
        erasure.know_holds = self.settle

    def ask(self, call: CallId) -> bool:
        """Somebody wants this running call to be kept longer. The first request counts.

        Returns: False if it does not run: it is over, forgotten, or was never recorded.
        """
        with self._in_order():
            row = self._catalogue.find(call)
            if row is None or row.state is not CallState.RUNNING:
                return False
            if row.keep_asked_at_ms is None:
                # Of a wrong clock's time nobody knows when it would be over: such a request is only shown.
                at_ms = self._clock.now_ms() if self._watch.trouble() is None else 0
                with self._noting(Act.CALL_KEEP_ASKED, call, by="vault", notes={"at_ms": at_ms}):
                    self._catalogue.note_keep_asked(call, at_ms)
        return True

    def dismiss(self, call: CallId, *, by: AccountId) -> None:
        """The request is answered with no. May be repeated. Raises NoSuchCall, StillRunning."""
        with self._in_order():
            if self._playback.finished(call).keep_asked_at_ms is not None:
                with self._noting(Act.CALL_KEEP_DISMISSED, call, by=by):
                    self._catalogue.note_keep_asked(call, None)

    def place(self, call: CallId, *, until_ms: int, reason: str, by: AccountId) -> None:
        """Hold a finished call until then, in the place of a hold that it has; a request is answered by it.

        Raises: NoSuchCall (also if its erasure has been asked for), StillRunning, HoldOutOfBounds, HoldNeedsClock.
        """
        if self._watch.trouble() is not None:
            raise HoldNeedsClock
        now_ms = self._clock.now_ms()
        if not now_ms < until_ms <= now_ms + LONGEST_HOLD_MS:
            raise HoldOutOfBounds
        with self._erasure.standing_still(), self._in_order():
            row = self._playback.finished(call)
            card = self._card(row, reason, now_ms)
            with self._noting(Act.CALL_HELD, call, by=by, notes={"until_ms": until_ms}):
                self._catalogue.hold(call, until_ms, card)

    def lift(self, call: CallId, *, by: AccountId) -> None:
        """The call goes as if it had never been held. May be repeated. Raises NoSuchCall, StillRunning."""
        with self._in_order():
            row = self._playback.finished(call)
            if row.hold_until_ms is not None:
                card = self._card(row, "", 0)
                with self._noting(Act.CALL_HOLD_LIFTED, call, by=by):
                    self._catalogue.hold(call, None, card)

    def count(self) -> tuple[int, int]:
        """How many finished calls have an open request to keep them longer, and how many are held."""
        rows = self._catalogue.kept_longer(CallState.KEPT)
        now_ms, trusted = self._clock.now_ms(), self._watch.trouble() is None
        held = [row for row in rows if is_held(row.hold_until_ms, now_ms=now_ms, clock_trusted=trusted)]
        return sum(row.keep_asked_at_ms is not None for row in rows), len(held)

    def _card(self, row: CallRow, reason: str, since_ms: int) -> bytes:
        """The call's card with this about its hold."""
        key = self._call_keys.key_of(row.call_id)
        card = cards.unseal(row.card or b"", row.call_id, key)
        return cards.seal(replace(card, hold_reason=reason, held_since_ms=since_ms), row.call_id, key)

    def settle(self) -> None:
        """Have the catalogue know what the journal knows. Raises StorageTrouble: it cannot be told, or nobody knows."""
        with self._in_order():
            pass

    @contextmanager
    def _in_order(self) -> Iterator[None]:
        with self._one_at_a_time:
            if not self._is_settled:
                self._take_up_what_only_the_journal_knows()
                self._is_settled = True
            yield

    @contextmanager
    def _noting(self, act: Act, call: CallId, *, by: str, notes: dict[str, str | int] | None = None) -> Iterator[None]:
        """From an act's place in the journal to its place in the catalogue."""
        self._is_settled = False
        self._journal.append(act, by=by, ids=(call,), notes=notes)
        yield
        self._catalogue.set_mark(_SETTLED, self._journal.end)
        self._is_settled = True

    def _take_up_what_only_the_journal_knows(self) -> None:
        end = self._journal.end
        for entry in self._journal.entries_from(self._catalogue.mark(_SETTLED)):
            for name in entry.ids:
                self._take_up(entry, CallId(name))
        self._catalogue.set_mark(_SETTLED, end)

    def _take_up(self, entry: Entry, call: CallId) -> None:
        match entry.act:
            case Act.CALL_KEEP_ASKED:
                self._catalogue.note_keep_asked(call, int(entry.notes["at_ms"]))
            case Act.CALL_KEEP_DISMISSED:
                self._catalogue.note_keep_asked(call, None)
            case Act.CALL_HELD:
                self._catalogue.hold(call, int(entry.notes["until_ms"]), None)
            case Act.CALL_HOLD_LIFTED:
                self._catalogue.hold(call, None, None)
            case _:
                pass
