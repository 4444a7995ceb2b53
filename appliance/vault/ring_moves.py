"""The ring's moves in the journal: every value that the TPM's ring state has had, as one chain.

A move without an entry would be one that nobody has to account for. So the ring tells each one from its one place,
and what a cut kept from being written is made good at the next start, at the next move and before the next signed
head. If more than one move went by meanwhile (the disk was full, then the power went), the entry says so openly.
"""

from __future__ import annotations

import threading
from typing import Any

from appliance.audit.events import Act
from appliance.audit.journal import Journal
from appliance.terms import StorageTrouble
from appliance.vault.ring import Ring, RingCommit


class RingMoves:
    """Listens to the ring from now on. Safe for use by several threads."""

    def __init__(self, ring: Ring, journal: Journal, log: Any) -> None:
        self._ring = ring
        self._journal = journal
        self._log = log
        self._lock = threading.Lock()
        last = journal.last(Act.RING_MOVED, Act.RING_MOVED_UNSEEN)
        self._told = "" if last is None else str(last.notes["after"])
        ring.when_moved = self._note
        self.make_good()

    @property
    def told(self) -> str:
        """The state that the journal tells, in hexadecimal; empty if it tells none."""
        return self._told

    def make_good(self) -> None:
        """See that the journal tells the state as it is. Raises KeyTrouble: ring or TPM do not answer."""
        self._ring.tell_last_move()

    def _note(self, commit: RingCommit) -> None:
        before, after = commit.before.hex(), commit.after.hex()
        with self._lock:
            if after == self._told:
                return
            try:
                if self._told and self._told != before:
                    self._append(Act.RING_MOVED_UNSEEN, self._told, before)
                self._append(Act.RING_MOVED, before, after)
            except StorageTrouble as trouble:
                # The ring has moved; to call the commit failed would be false. `make_good` writes it.
                self._log.warning("ring_move_not_journalled", why=str(trouble))

    def _append(self, act: Act, before: str, after: str) -> None:
        self._journal.append(act, by="vault", notes={"before": before, "after": after})
        self._told = after
