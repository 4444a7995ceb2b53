"""What the case's switch did, as the journal and the first page tell it.

Promise: what the recorder reports of the case is in the journal before it is answered, and an opening stays on the
first page until somebody with the right to it has acknowledged it. Nothing is erased or locked by it: a switch is
evidence for honest owners, and who would defeat one does so first (docs/threat-model.md).

A switch that chatters must not fill the journal, nor may a recorder that was taken over: after a dozen entries within
an hour one says that it chatters, and for an hour changes are only counted; then one entry tells how many there were.
How many there are in all is remembered in the catalogue, as marks: they are what the page shows. The journal is the
evidence.

Leaves to others: what counts as an opening (the recorder's panel/case_switch).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator

from appliance.audit.events import Act
from appliance.audit.journal import Journal
from appliance.boundary.verbs import CaseNow, ReportCase, joined
from appliance.clock import Clock
from appliance.terms import AccountId
from appliance.vault.catalogue import Catalogue

MOST_ENTRIES = 12
"""Within an hour. Twice the cover off and on, with a second try each, make eight."""

_HOUR_S = 3600.0
_STATE, _COUNTED, _ACKNOWLEDGED, _OPENED_MS = "case_state", "case_counted", "case_acknowledged", "case_opened_ms"
_STATES: tuple[bool | None, ...] = (None, False, True)
"""By the mark's value: not watched, closed, open."""


class CaseWatch:
    """Safe for use by several threads.

    Args:
        is_watched: whether the settings name a switch.
        steady_s: seconds of a clock that never steps.
    """

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        journal: Journal,
        clock: Clock,
        is_watched: bool,
        steady_s: Callable[[], float],
    ) -> None:
        self._catalogue = catalogue
        self._journal = journal
        self._clock = clock
        self._is_watched = is_watched
        self._steady_s = steady_s
        self._lock = threading.Lock()
        self._is_open = _STATES[catalogue.mark(_STATE)] if is_watched else None
        """As the journal tells it."""
        self._counted = catalogue.mark(_COUNTED)
        self._acknowledged = min(catalogue.mark(_ACKNOWLEDGED), self._counted)
        self._opened_ms = catalogue.mark(_OPENED_MS)
        self._trouble = ""
        self._only_counted: ReportCase | None = None
        """What is not in the journal yet, because the switch chatters."""
        self._quiet_until_s = 0.0
        self._entries_s: deque[float] = deque()
        self._head_due_s = 0.0
        self.when_opened: Callable[[], None] = lambda: None
        """Called after an opening, once an hour at most: who is at the box could cut off the journal's end."""

    def hear(self, report: ReportCase) -> None:
        """Raises StorageTrouble: then nothing of it counts as heard."""
        with self._lock:
            opened_ms = self._clock.now_ms() if self._openings_in(report) else self._opened_ms
            self._write(joined(self._only_counted, report), opened_ms)
            self._opened_ms, self._trouble = opened_ms, report.trouble

    def write_down(self, *, at_the_end: bool = False) -> None:
        """Write what was only counted, once its hour is over or the vault stops. Raises StorageTrouble."""
        with self._lock:
            if at_the_end:
                self._quiet_until_s = 0.0
                self._entries_s.clear()
            if self._only_counted is not None:
                self._write(self._only_counted, self._opened_ms)

    def acknowledge(self, counted: int, *, by: AccountId) -> None:
        """This account knows of the first so many openings. Raises StorageTrouble."""
        with self._lock:
            known = min(counted, self._counted_now())
            if known > self._acknowledged:
                self._journal.append(
                    Act.CASE_ACKNOWLEDGED, by=by, notes={"openings": known - self._acknowledged, "counted": known}
                )
                self._catalogue.set_mark(_ACKNOWLEDGED, known)
                self._acknowledged = known

    def now(self) -> CaseNow | None:
        """For the first page; None if there is no switch, and was none of which somebody has yet to hear."""
        with self._lock:
            counted = self._counted_now()
            if not self._is_watched and counted == self._acknowledged:
                return None
            return CaseNow(
                is_open=self._only_counted.is_open if self._only_counted else self._is_open,
                openings=counted - self._acknowledged,
                counted=counted,
                opened_at_ms=self._opened_ms,
                trouble=self._trouble,
            )

    def _write(self, report: ReportCase, opened_ms: int) -> None:
        entries, now_s = list(self._entries_of(report)), self._steady_s()
        while self._entries_s and now_s - self._entries_s[0] >= _HOUR_S:
            self._entries_s.popleft()
        if entries and now_s >= self._quiet_until_s and len(self._entries_s) + len(entries) >= MOST_ENTRIES:
            self._append(Act.CASE_CHATTERS, {}, now_s)
            self._quiet_until_s = now_s + _HOUR_S
        if entries and now_s < self._quiet_until_s:
            self._only_counted = report
            return
        for act, notes in entries:
            self._append(act, notes, now_s)
        self._settle(report, opened_ms, now_s)

    def _append(self, act: Act, notes: dict[str, str | int], now_s: float) -> None:
        self._journal.append(act, by="recorder", notes=notes)
        self._entries_s.append(now_s)

    def _entries_of(self, report: ReportCase) -> Iterator[tuple[Act, dict[str, str | int]]]:
        """What the journal is to say of it, in the order in which it happened."""
        notes: dict[str, str | int] = {"openings": report.openings, "since_ms": report.since_ms}
        was_open = self._is_open is True or self._openings_in(report) > 0
        if self._is_open is None and (report.is_open is not None or was_open):
            yield Act.CASE_WATCHED, {}
        if report.found_open and self._is_open is not True:
            yield Act.CASE_FOUND_OPEN, {}
        if report.openings:
            yield Act.CASE_OPENED, notes
        if report.is_open is None and (self._is_open is not None or was_open):
            yield Act.CASE_UNWATCHED, {}
        if report.is_open is False and was_open:
            yield Act.CASE_CLOSED, {}

    def _settle(self, report: ReportCase, opened_ms: int, now_s: float) -> None:
        openings, was_open, self._only_counted = self._openings_in(report), self._is_open, None
        self._counted += openings
        self._is_open = report.is_open
        if self._is_open is not was_open:
            self._catalogue.set_mark(_STATE, _STATES.index(self._is_open))
        if openings:
            self._catalogue.set_mark(_COUNTED, self._counted)
            self._catalogue.set_mark(_OPENED_MS, opened_ms)
            if now_s >= self._head_due_s:
                self._head_due_s = now_s + _HOUR_S
                self.when_opened()

    def _counted_now(self) -> int:
        return self._counted + (self._openings_in(self._only_counted) if self._only_counted else 0)

    def _openings_in(self, report: ReportCase) -> int:
        """One that stands open again after a restart, and stood open before it, is the same opening."""
        return report.openings + int(report.found_open and self._is_open is not True)
