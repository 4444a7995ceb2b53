"""The retention run: reads "now" once, asks for verdicts, and has erased what must go."""

from __future__ import annotations

from appliance.clock import Clock
from appliance.vault.catalogue import CallState, Catalogue
from appliance.vault.clock_watch import ClockWatch
from appliance.vault.retention.erasure import Eraser
from appliance.vault.retention.verdict import due_at, goes_at, judge

_LONGEST_INTERVAL_S = 3600
"""Each run that deletes writes the TPM's memory once: 24 a day are 88,000 in ten years, within what it bears."""


def interval_s(keep_s: int) -> int:
    """Seconds between runs: a twentieth of the period, so that 'over' is noticed soon; at most an hour."""
    return max(1, min(keep_s // 20, _LONGEST_INTERVAL_S))


class RetentionRun:
    """Run from the schedule; also at start, so that missed runs are made up."""

    def __init__(self, *, catalogue: Catalogue, erasure: Eraser, clock: Clock, watch: ClockWatch, keep_s: int) -> None:
        self._catalogue = catalogue
        self._erasure = erasure
        self._clock = clock
        self._watch = watch
        self._keep_s = keep_s

    def run(self) -> None:
        """Raises what hinders the end of an earlier erasure; the keys of what is due are gone all the same."""
        try:
            self._erasure.finish_condemned()
        finally:
            self._erase_what_is_due()

    def _erase_what_is_due(self) -> None:
        trusted = self._watch.trouble() is None
        now_ms = self._clock.now_ms()
        if trusted:
            self._catalogue.set_missing_due(due_at(ended_at_ms=now_ms, keep_s=self._keep_s))
        verdicts = [
            judge(
                row.call_id,
                due_at_ms=row.due_at_ms,
                hold_until_ms=row.hold_until_ms,
                keep_asked_at_ms=row.keep_asked_at_ms,
                now_ms=now_ms,
                clock_trusted=trusted,
            )
            for row in self._catalogue.due(now_ms)
        ]
        self._erasure.erase([v.call for v in verdicts if v.erase], by="retention", why="period")

    def overdue(self) -> int:
        """Calls that should have been gone two runs ago. Must read 0."""
        before_ms = self._clock.now_ms() - 2000 * interval_s(self._keep_s)
        rightly_here = [
            row
            for row in self._catalogue.kept_longer(CallState.KEPT)
            if row.due_at_ms is not None
            and row.due_at_ms
            < before_ms
            <= goes_at(due_at_ms=row.due_at_ms, hold_until_ms=row.hold_until_ms, keep_asked_at_ms=row.keep_asked_at_ms)
        ]
        return self._catalogue.due_before(before_ms) - len(rightly_here)
