"""Shows the journal, and hands it out with its signed heads: who did what and when, to whom has that right.

The journal holds no names; those of today's accounts are added to what is shown, and to nothing that is taken away.
Looking at it is not noted, or each look would be the next thing to look at. An export is, as the last entry that its
signed head covers. Each head is a write of the TPM's NV memory, which bears only so many: a stolen login must not wear
the chip out, so only so many exports a day are handed out.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path

from appliance.audit.events import Act
from appliance.audit.journal import Entry, Journal
from appliance.boundary import verbs
from appliance.recordings.disk import storage_errors
from appliance.terms import NotAllowed
from appliance.vault.accounts import Accounts, Visitor
from appliance.vault.evidence.journal_export import explaining
from appliance.vault.evidence.journal_heads import JournalHeads, SignedHead
from appliance.vault.evidence.journal_verifier import HEADS_NAME, JOURNAL_NAME
from appliance.vault.rights import Right
from appliance.vault.ring_moves import RingMoves

_THE_BOX = ("vault", "retention", "restore")
_CALL_ID_LENGTH = 32
EXPORTS_A_DAY = 10
"""36,500 in ten years if somebody tries, beside 88,000 writes for deletions (docs/decisions/retention-interval.md)."""
_DAY_S = 86_400


class TooManyExports(NotAllowed):
    def __init__(self, wait_s: int) -> None:
        super().__init__(f"The journal was exported {EXPORTS_A_DAY} times within a day. Wait {wait_s} seconds.")
        self.facts: dict[str, str | int] = {"wait_s": wait_s}


class JournalDesk:
    """Safe for use by several threads. `chain`: the file of the box's certificates."""

    def __init__(
        self,
        *,
        journal: Journal,
        heads: JournalHeads,
        ring_moves: RingMoves,
        accounts: Accounts,
        chain: Path,
        steady_s: Callable[[], float],
    ) -> None:
        self._journal = journal
        self._heads = heads
        self._ring_moves = ring_moves
        self._accounts = accounts
        self._chain = chain
        self._steady_s = steady_s
        self._lock = threading.Lock()
        self._exported_at_s: deque[float] = deque(maxlen=EXPORTS_A_DAY)
        self._files = {JOURNAL_NAME: journal.path, HEADS_NAME: heads.path}

    def page(self, visitor: Visitor, request: verbs.ListActs) -> verbs.ActPage:
        """Raises NotAllowed, JournalDamaged."""
        visitor.require(Right.SEE_JOURNAL)
        entries = self._journal.entries_before(request.before, without=_THE_BOX if request.people_only else ())
        found = [*islice(entries, request.limit + 1)]
        names = self._accounts.names()
        return verbs.ActPage(
            acts=tuple(_facts(entry, names) for _place, entry in found[: request.limit]),
            before=found[request.limit - 1][0] if len(found) > request.limit else None,
        )

    def export(self, visitor: Visitor) -> verbs.ExportedJournal:
        """Raises NotAllowed, TooManyExports, KeyTrouble, StorageTrouble."""
        visitor.require(Right.SEE_JOURNAL)
        self._pace()
        files = explaining(self._chain)
        head = self.sign_export(by=visitor.account)
        lengths = {JOURNAL_NAME: head.journal_bytes, HEADS_NAME: head.heads_bytes}
        return verbs.ExportedJournal(lengths=lengths, files=files)

    def read(self, visitor: Visitor, request: verbs.ReadJournal) -> verbs.JournalBytes:
        """Raises NotAllowed, StorageTrouble."""
        visitor.require(Right.SEE_JOURNAL)
        with storage_errors("the journal is read"), self._files[request.file].open("rb") as file:
            file.seek(request.offset)
            return verbs.JournalBytes(content=file.read(request.length))

    def _pace(self) -> None:
        now_s = self._steady_s()
        with self._lock:
            if len(self._exported_at_s) == EXPORTS_A_DAY and (left_s := self._exported_at_s[0] + _DAY_S - now_s) > 0:
                raise TooManyExports(int(left_s) + 1)
            self._exported_at_s.append(now_s)

    def sign_export(self, *, by: str) -> SignedHead:
        """A head whose last entry says that the journal was exported. Raises KeyTrouble, StorageTrouble."""
        self._ring_moves.make_good()
        return self._heads.sign(Act.JOURNAL_EXPORTED, by=by)


def _facts(entry: Entry, names: Mapping[str, str]) -> verbs.ActFacts:
    calls = [each for each in entry.ids if len(each) == _CALL_ID_LENGTH]  # beside ids of accounts and devices
    return verbs.ActFacts(
        number=entry.number,
        at_ms=entry.at_ms,
        act=entry.act,
        by=entry.by,
        name=names.get(entry.by, ""),
        call=calls[0] if len(calls) == 1 else "",
        calls=len(calls),
        notes=entry.notes,
    )
