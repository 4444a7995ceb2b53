"""Which calls were forgotten, from everything that remembers it; and how a catalogue is told again.

A catalogue from before an erasure gets the request into its book again, under its own id, and the vault carries it
out by the one way in which anything is ever deleted (retention/erasure.py): key, file, row, receipt. The receipt then
names the ring's states of that moment, which is later than the first time and as true.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert as upsert

from appliance.audit.events import Act
from appliance.audit.journal import Entry, decode_entry
from appliance.terms import CallId, SettingsTrouble, parse_call_id
from appliance.vault.backup.forgotten_list import Forgotten, ForgottenCalls
from appliance.vault.catalogue import Catalogue, batches
from appliance.vault.evidence.verifier import Unreadable, check_export
from appliance.vault.retention.erasure_book import ErasureBook
from appliance.vault.retention.receipt import ErasureId
from appliance.vault.store import Store, calls, forgotten

_BY, _WHY = "restore", "forgotten_before"
"""For an erasure of which only the ids are known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What the journal or a receipt says about a request to forget."""

    at_ms: int
    by: str
    why: str


@dataclass(slots=True)
class Requests:
    """Gathers first (`hear...`), then tells a catalogue."""

    calls: ForgottenCalls = field(default_factory=dict)
    _asked: dict[str, _Asked] = field(default_factory=dict)

    def hear(self, each: Forgotten) -> None:
        before = self.calls.get(each.call)
        if before is None or not before.erasure:
            self.calls[each.call] = each

    def hear_journal(self, untrusted_lines: bytes) -> None:
        for entry in _entries(untrusted_lines):
            erasure = str(entry.notes.get("erasure", ""))
            if entry.act is Act.CALLS_CONDEMNED:
                why = str(entry.notes.get("why", ""))
                self._asked.setdefault(erasure, _Asked(at_ms=entry.at_ms, by=entry.by, why=why))
            elif entry.act is Act.CALLS_FORGOTTEN:
                for name in entry.ids:
                    self.hear(Forgotten(call=CallId(name), at_ms=entry.at_ms, erasure=erasure))

    def hear_receipts(self, export: Path, roots: Sequence[str]) -> None:
        """What a receipt as the web page hands it out says; a whole day's evidence will do too.

        Args:
            roots: fingerprints of the box's certificates.
        Raises:
            SettingsTrouble: it holds no receipt, or not all of it is proven, or it is another box's.
        """
        if not roots:
            raise SettingsTrouble(
                "The certificates of the box are in neither place, so no receipt can be checked. Nothing was changed."
            )
        try:
            verdict = check_export(export, roots)
        except Unreadable as error:
            raise SettingsTrouble(f"The receipt {export} cannot be read. Nothing was changed.") from error
        trouble = (verdict.findings or ([] if verdict.receipts else ["It holds no receipt."]))[:1]
        if trouble:
            raise SettingsTrouble(f"{export} is no deletion receipt of this box. {trouble[0]} Nothing was changed.")
        for facts in verdict.receipts:
            erasure = facts["erasure"]
            self._asked[erasure] = _Asked(at_ms=facts["asked_at_ms"], by=facts["asked_by"], why=facts["why"])
            for call in facts["calls"]:
                self.hear(Forgotten(call=parse_call_id(call), at_ms=facts["done_at_ms"], erasure=erasure))

    def condemn_in(self, store: Store, now_ms: int) -> None:
        """What is on the list and in this catalogue is condemned; what is not is noted as forgotten."""
        catalogue = Catalogue(store)
        book = ErasureBook(store, catalogue)
        for erasure, gone in self._by_erasure().items():
            asked = self._asked.get(erasure) or _Asked(at_ms=now_ms, by=_BY, why=_WHY)
            erasure_id = ErasureId(erasure)
            if not erasure or book.knows(erasure_id):
                # Done before this catalogue was copied, and yet its calls are in it: a request of its own.
                erasure_id = ErasureId(os.urandom(8).hex())
            book.condemn(erasure_id, gone, now_ms=asked.at_ms, by=asked.by, why=asked.why)
        self._note_forgotten(store)

    def _by_erasure(self) -> dict[str, list[CallId]]:
        gathered: dict[str, list[CallId]] = {}
        for each in self.calls.values():
            gathered.setdefault(each.erasure, []).append(each.call)
        return gathered

    def _note_forgotten(self, store: Store) -> None:
        with store.transaction() as connection:
            here = set(connection.execute(sa.select(calls.c.call_id)).scalars())
            rows = [
                {"call_id": each.call, "forgotten_at_ms": each.at_ms, "erasure_id": each.erasure or None}
                for each in self.calls.values()
                if each.call not in here
            ]
            for batch in batches(rows):
                connection.execute(upsert(forgotten).values(batch).on_conflict_do_nothing())


def _entries(untrusted_lines: bytes) -> Iterator[Entry]:
    """Every line that is an entry; the chain is for the check."""
    for line in untrusted_lines.splitlines():
        try:
            yield decode_entry(line)
        except ValueError:
            continue
