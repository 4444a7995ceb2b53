"""What the recorder last said of its lines. In memory only: it is about now."""

from __future__ import annotations

import threading
from collections.abc import Callable

from appliance.boundary.verbs import LineNow
from appliance.terms import CallId, LineName

ALIVE_S = 3.0
"""The recorder speaks twice a second; after so long a silence it counts as away."""


class LineBoard:
    """Safe for use by several threads. `steady_s` gives seconds of a clock that never steps."""

    def __init__(self, steady_s: Callable[[], float]) -> None:
        self._steady_s = steady_s
        self._lock = threading.Lock()
        self._lines: dict[str, LineNow] = {}
        self._heard_at_s: float | None = None

    def hear(self, lines: tuple[LineNow, ...]) -> None:
        with self._lock:
            self._lines = {line.line: line for line in lines}
            self._heard_at_s = self._steady_s()

    def show_call(self, call: CallId, line: LineName, started_at_ms: int) -> None:
        """A call has begun: shown at once, not only with the next beat."""
        with self._lock:
            before = self._lines.get(line)
            level_dbfs = before.level_dbfs if before else -200.0
            self._lines[line] = LineNow(
                line=line,
                level_dbfs=level_dbfs,
                call=call,
                started_at_ms=started_at_ms,
            )

    def recorder_is_alive(self) -> bool:
        with self._lock:
            return self._heard_at_s is not None and self._steady_s() - self._heard_at_s < ALIVE_S

    def lines(self) -> tuple[LineNow, ...]:
        with self._lock:
            return tuple(self._lines[name] for name in sorted(self._lines))
