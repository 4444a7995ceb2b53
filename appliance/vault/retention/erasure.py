"""Make calls irrecoverable: the one way in which anything is ever deleted.

Six steps, each of which may be cut and is then done again, from the journal and the book of erasures:
1. ask: the journal says who wants which calls forgotten, and why;
2. condemn: the book says so too; from here nothing lists, opens or saves them;
3. forget: their keys leave the ring, the TPM confirms (this is the moment at which they are gone);
4. remove: files and rows go, the write-ahead log is emptied; ids stay, and what a line's signed day counts;
5. the journal is told;
6. the TPM signs the receipt, and whoever asked gets it.

Nothing that is held gets as far as the second step (`CallHeld`), whoever asks. What the journal has already was asked
for when no hold stood, and so it is done, whatever an older catalogue says.

All that is condemned at one time goes in one commit of the ring; every request has a receipt of its own. A TPM that
signs no receipt at the moment keeps nothing from being forgotten: the receipt follows.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import msgspec

from appliance.audit.events import Act
from appliance.audit.journal import Entry, Journal
from appliance.clock import Clock
from appliance.recordings.folder import RecordingsFolder
from appliance.terms import CallId, KeyTrouble, LinekeepError, NotAllowed
from appliance.vault.call_keys import CallKeys
from appliance.vault.catalogue import CallState, Catalogue, batches
from appliance.vault.clock_watch import ClockWatch
from appliance.vault.evidence.notary import Notary
from appliance.vault.retention.erasure_book import ErasureBook
from appliance.vault.retention.receipt import KIND, Erasure, ErasureId, receipt_facts
from appliance.vault.retention.verdict import is_held
from appliance.vault.store import Store

_SETTLED = "erasures_settled"
"""Mark: up to this byte of the journal every request is in the book, and every entry about its end is written."""


MOST_IN_A_RECEIPT = 100_000
"""Calls that one erasure names: its receipt, 4 MB of ids, is still a message, a row and a line of the journal."""

_NAMED_IN_LOG = 100
"""The log names no more calls than that at once: the journal has them all, and 10,000 lines take half a second."""


class NotGoneYet(KeyTrouble):
    """Asked for, and not done to the end: it is taken up again by itself."""

    def __init__(self, why: LinekeepError) -> None:
        super().__init__(
            f"The deletion is noted, and nobody can open these calls any more, but it is not finished: {why} "
            "It goes on by itself."
        )


class CallHeld(NotAllowed):
    def __init__(self) -> None:
        super().__init__(
            "This call is held, so it is not deleted. Nothing was changed. It goes when its hold is over or lifted."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What whoever asked gets. `signed`: the receipt as JSON; None if the TPM has yet to sign it."""

    erasure_id: ErasureId
    signed: bytes | None


class Eraser:
    """The choke point of deletion. Safe for use by several threads; one erasure at a time."""

    def __init__(
        self,
        *,
        store: Store,
        catalogue: Catalogue,
        book: ErasureBook,
        call_keys: CallKeys,
        folder: RecordingsFolder,
        journal: Journal,
        notary: Notary,
        clock: Clock,
        watch: ClockWatch,
        log: Any,
        let_go: Callable[[CallId], None],
    ) -> None:
        self._store = store
        self._catalogue = catalogue
        self._book = book
        self._call_keys = call_keys
        self._folder = folder
        self._journal = journal
        self._notary = notary
        self._clock = clock
        self._watch = watch
        self._log = log
        self._let_go = let_go
        self.know_holds: Callable[[], None] = lambda: None
        """Set by whoever places holds; raises StorageTrouble where it is not known which there are."""
        self._one_at_a_time = threading.Lock()
        self._is_settled = False
        """Whether the book knows every request that the journal has."""
        self._told: set[str] = set()
        """Erasures whose end the journal has, though their receipt may not be there."""

    def erase(self, calls: Collection[CallId], *, by: str, why: str) -> Receipt | None:
        """Returns when the keys are gone; None if nobody had to: unknown, forgotten, or asked for before.

        More calls than a receipt names are so many erasures, of which the last is returned; one commit forgets all.
        Raises:
            NotGoneYet: noted, and taken up again.
            CallHeld: one of them is held.
            StorageTrouble: it could not even be noted, so nothing was done.
        """
        if not calls:
            return None
        noted = [self._ask(part, by=by, why=why) for part in batches(list(calls), MOST_IN_A_RECEIPT)]
        try:
            self.finish_condemned()
        except LinekeepError as trouble:
            raise NotGoneYet(trouble) from trouble
        erasure_id = noted[-1]
        return None if erasure_id is None else Receipt(erasure_id=erasure_id, signed=self._book.receipt(erasure_id))

    def _ask(self, calls: Sequence[CallId], *, by: str, why: str) -> ErasureId | None:
        erasure_id = ErasureId(os.urandom(8).hex())
        notes: dict[str, str | int] = {"erasure": erasure_id, "why": why}
        with self._one_at_a_time:
            self._refuse_held(calls)
            self._journal.append(Act.CALLS_CONDEMNED, by=by, ids=tuple(calls), notes=notes)
            # Until the book knows, only the journal does.
            was_settled, self._is_settled = self._is_settled, False
            is_new = self._book.condemn(erasure_id, calls, now_ms=self._clock.now_ms(), by=by, why=why)
            self._is_settled = was_settled
        return erasure_id if is_new else None

    def _refuse_held(self, calls: Sequence[CallId]) -> None:
        self.know_holds()
        now_ms, trusted = self._clock.now_ms(), self._watch.trouble() is None
        held = {
            row.call_id
            for row in self._catalogue.kept_longer(CallState.ISSUED, CallState.RUNNING, CallState.KEPT)
            if is_held(row.hold_until_ms, now_ms=now_ms, clock_trusted=trusted)
        }
        if held.intersection(calls):
            raise CallHeld

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """While this is held nothing is condemned, and every request of before is in the book: for who places holds."""
        with self._one_at_a_time:
            self._settle()
            yield

    def finish_condemned(self) -> None:
        """Carry out every deletion that has been asked for, also by an earlier run that was cut."""
        with self._one_at_a_time:
            was_settled = self._is_settled
            self._settle()
            unfinished = self._book.unfinished()
            if unfinished:
                self._finish(unfinished)
            if (unfinished or not was_settled) and not self._book.unfinished():
                self._catalogue.set_mark(_SETTLED, self._journal.end)
                self._told.clear()

    def _settle(self) -> None:
        if not self._is_settled:
            self._take_up_what_only_the_journal_knows()
            self._is_settled = True

    def _take_up_what_only_the_journal_knows(self) -> None:
        asked: list[Entry] = []
        for entry in self._journal.entries_from(self._catalogue.mark(_SETTLED)):
            if entry.act is Act.CALLS_CONDEMNED:
                asked.append(entry)
            elif entry.act is Act.CALLS_FORGOTTEN:
                self._told.add(str(entry.notes.get("erasure", "")))
        for entry in asked:
            erasure_id = ErasureId(str(entry.notes.get("erasure", "")))
            if erasure_id and not self._book.knows(erasure_id):
                calls, why = [CallId(call) for call in entry.ids], str(entry.notes.get("why", ""))
                self._book.condemn(erasure_id, calls, now_ms=entry.at_ms, by=entry.by, why=why)

    def _finish(self, unfinished: Sequence[Erasure]) -> None:
        condemned = self._book.condemned_calls(unfinished)
        self._forget_keys(unfinished, condemned)
        for call in condemned:
            # Only now: before, a listener's next piece could have fetched the key again.
            self._let_go(call)
        self._folder.remove_all(condemned)
        self._book.strike(unfinished, self._clock.now_ms())
        self._store.empty_log()
        for erasure in self._book.unfinished():
            if erasure.done_at_ms is not None:
                self._tell(erasure)
        self._log_forgotten(condemned)

    def _log_forgotten(self, forgotten: Sequence[CallId]) -> None:
        if len(forgotten) > _NAMED_IN_LOG:
            self._log.info("many_forgotten", count=len(forgotten))
            return
        for call in forgotten:
            self._log.info("forgotten", call=call)

    def _forget_keys(self, unfinished: Sequence[Erasure], condemned: Collection[CallId]) -> None:
        # After a cut behind the commit nothing is left to forget; the ring knows its last commit.
        commit = self._call_keys.forget(condemned) or self._call_keys.last_commit()
        self._book.note_commit(unfinished, before=commit.before, after=commit.after, now_ms=self._clock.now_ms())

    def _tell(self, erasure: Erasure) -> None:
        """Journal, sign, close. Done again after a cut, except what the journal has already."""
        forgotten = self._book.forgotten_by(erasure)
        facts = receipt_facts(erasure, forgotten)
        if erasure.erasure_id not in self._told:
            notes = {name: facts[name] for name in ("erasure", "count", "ring_before", "ring_after")}
            self._journal.append(
                Act.CALLS_FORGOTTEN,
                by=erasure.asked_by,
                ids=tuple(forgotten),
                notes=msgspec.convert(notes, dict[str, str | int]),
            )
            self._told.add(erasure.erasure_id)
        try:
            signed = self._notary.sign(KIND, facts)
        except KeyTrouble as trouble:
            self._log.warning("receipt_waits", erasure=erasure.erasure_id, why=str(trouble))
            return
        self._book.close(erasure, msgspec.json.encode(signed.as_json()))
