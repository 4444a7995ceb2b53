"""What each line does at this moment, as the vault's first page shows it.

The line workers write it, the vault link reads it twice a second; nobody waits for anybody longer than that
takes. Decides nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass

from appliance.boundary.verbs import LineNow
from appliance.recorder.ear.signals import SILENCE
from appliance.terms import CallId, LineName, LineNowState

_MAX_TROUBLE_CHARACTERS = 400


@dataclass(slots=True)
class _Row:
    loudest_dbfs: float = SILENCE.level_dbfs
    fresh: bool = False
    state: LineNowState = LineNowState.IDLE
    call: CallId | None = None
    started_at_ms: int = 0
    trouble: str = ""
    keep_asked: bool = False


class LineBoard:
    """One row a line."""

    def __init__(self, lines: Iterable[LineName]) -> None:
        self._rows = {line: _Row() for line in lines}
        self._lock = threading.Lock()

    def show_level(self, line: LineName, level_dbfs: float) -> None:
        """The level of one block; the loudest since the last reading is shown."""
        with self._lock:
            row = self._rows[line]
            row.loudest_dbfs = max(row.loudest_dbfs, level_dbfs) if row.fresh else level_dbfs
            row.fresh = True

    def show_no_level(self, line: LineName) -> None:
        """Nothing is heard: the device is closed."""
        with self._lock:
            row = self._rows[line]
            row.loudest_dbfs, row.fresh = SILENCE.level_dbfs, False

    def show_call(self, line: LineName, call: CallId | None, started_at_ms: int = 0) -> None:
        """This call is being recorded; or none, and then no call is on the line until `show_state` says so."""
        with self._lock:
            row = self._rows[line]
            row.call, row.started_at_ms = call, started_at_ms
            row.state = LineNowState.IDLE if call is None else LineNowState.RECORDING
            row.keep_asked = row.keep_asked and call is not None

    def show_state(
        self, line: LineName, state: LineNowState, started_at_ms: int | None = None, *, keep_asked: bool = False
    ) -> None:
        """What is on the line now.

        Args:
            started_at_ms: of the call on it, the same as long as it is on; orders are for the call that began then.
                None: as shown before.
            keep_asked: the owner has been asked to keep it longer.
        """
        with self._lock:
            row = self._rows[line]
            row.state, row.keep_asked = state, keep_asked
            row.started_at_ms = row.started_at_ms if started_at_ms is None else started_at_ms

    def show_trouble(self, line: LineName, trouble: str) -> None:
        """Why this line is not, or could not be, recorded; empty if nothing is in the way."""
        with self._lock:
            self._rows[line].trouble = trouble[:_MAX_TROUBLE_CHARACTERS]

    def look(self, line: LineName) -> LineNow:
        """One line now; the loudest level goes on being counted."""
        with self._lock:
            return _line_now(line, self._rows[line])

    def read(self) -> tuple[LineNow, ...]:
        """All lines now. The loudest level is counted anew from here on."""
        with self._lock:
            return tuple(self._read_row(line, row) for line, row in self._rows.items())

    def _read_row(self, line: LineName, row: _Row) -> LineNow:
        row.fresh = False
        return _line_now(line, row)


def _line_now(line: LineName, row: _Row) -> LineNow:
    return LineNow(
        line=line,
        level_dbfs=row.loudest_dbfs,
        state=row.state,
        call=row.call,
        started_at_ms=row.started_at_ms,
        trouble=row.trouble,
        keep_asked=row.keep_asked,
    )
