"""Watches the clock for the vault: remembers the latest trusted time, and says when not to believe it."""

from __future__ import annotations

import threading

from appliance.audit.events import Act
from appliance.audit.journal import Journal
from appliance.clock import Clock, ClockMark, caught_up, goes_back, why_untrusted
from appliance.vault.catalogue import Catalogue

_LATEST = "latest_trusted_ms"
_REMEMBER_EVERY_MS = 60_000


class ClockWatch:
    """Asked before every deletion. Safe for use by several threads."""

    def __init__(self, clock: Clock, catalogue: Catalogue, journal: Journal) -> None:
        self._clock = clock
        self._catalogue = catalogue
        self._journal = journal
        self._lock = threading.Lock()
        self._since: ClockMark | None = None
        """The first trusted mark of this run: from there on the clock is compared with the time that passed."""
        self._went_back = False
        self._latest_ms = catalogue.mark(_LATEST)
        self._trouble: str | None = None

    def trouble(self) -> str | None:
        """Why the clock cannot be believed now; None if it can. A change of mind is journalled."""
        with self._lock:
            mark = self._clock.mark()
            went_back, self._went_back = self._went_back, goes_back(mark, self._latest_ms)
            if self._since is not None and went_back and not self._went_back:
                self._since = caught_up(mark, self._since)
            trouble = why_untrusted(mark, since=self._since, latest_ms=self._latest_ms)
            if trouble is None:
                self._since = self._since or mark
                self._remember(mark.wall_ms)
            if trouble != self._trouble:
                act = Act.CLOCK_TRUSTED if trouble is None else Act.CLOCK_DISTRUSTED
                self._journal.append(act, by="vault")
                self._trouble = trouble
            return trouble

    def _remember(self, now_ms: int) -> None:
        if now_ms - self._latest_ms >= _REMEMBER_EVERY_MS:
            self._catalogue.set_mark(_LATEST, now_ms)
            self._latest_ms = now_ms
