"""Make calls irrecoverable: the one way in which anything is ever deleted.

Four steps, each of which may be cut and is then done again at the next start:
1. condemn: the catalogue says that these calls must go; from here nothing lists, opens or saves them;
2. forget: their keys leave the ring, the TPM confirms (this is the moment at which they are gone);
3. remove: files and rows go, the write-ahead log is emptied;
4. the journal and whoever asked are told.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from typing import Any

from appliance.audit.events import Act
from appliance.audit.journal import Journal
from appliance.clock import Clock
from appliance.recordings.folder import RecordingsFolder
from appliance.terms import CallId
from appliance.vault.call_keys import CallKeys
from appliance.vault.catalogue import CallState, Catalogue
from appliance.vault.store import Store


class Erasure:
    """The choke point of deletion. Safe for use by several threads; one erasure at a time."""

    def __init__(
        self,
        *,
        store: Store,
        catalogue: Catalogue,
        call_keys: CallKeys,
        folder: RecordingsFolder,
        journal: Journal,
        clock: Clock,
        log: Any,
        let_go: Callable[[CallId], None],
    ) -> None:
        self._store = store
        self._catalogue = catalogue
        self._call_keys = call_keys
        self._folder = folder
        self._journal = journal
        self._clock = clock
        self._log = log
        self._let_go = let_go
        self._one_at_a_time = threading.Lock()

    def erase(self, calls: Collection[CallId], *, by: str, why: str) -> None:
        """Returns when the keys are gone. Raises KeyTrouble, StorageTrouble; the erasure is then taken up again."""
        if not calls:
            return
        self._journal.append(Act.CALLS_CONDEMNED, by=by, ids=tuple(calls), notes={"why": why})
        self._catalogue.condemn(calls, self._clock.now_ms())
        self.finish_condemned(by=by)

    def finish_condemned(self, *, by: str = "vault") -> None:
        """Carry out every deletion that has been decided, also by an earlier run that was cut."""
        with self._one_at_a_time:
            condemned = [row.call_id for row in self._catalogue.in_state(CallState.CONDEMNED)]
            if not condemned:
                return
            commit = self._call_keys.forget(condemned)
            for call in condemned:
                # Only now: before, a listener's next piece could have fetched the key again.
                self._let_go(call)
                self._folder.remove(call)
            self._catalogue.remove_forgotten(condemned, self._clock.now_ms())
            self._store.empty_log()
            notes: dict[str, str | int] = {"count": len(condemned)}
            if commit is not None:
                notes |= {"ring_before": commit.before.hex(), "ring_after": commit.after.hex()}
            self._journal.append(Act.CALLS_FORGOTTEN, by=by, ids=tuple(condemned), notes=notes)
        for call in condemned:
            self._log.info("forgotten", call=call)
