"""A push button: from its edges, whether it was pressed short or long.

Pure, and of the same make as the hook's debouncer (line/hook.py): edges with the kernel's monotonic time go in, what is
certain comes out. A contact bounces for some milliseconds; a level counts once it has lasted 30 ms.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from appliance.recorder.panel.language import LONG_MS, SHORT_MS

_MS = 1_000_000
_DEBOUNCE_NS = 30 * _MS


class Push(StrEnum):
    """What is told of one press: that it began, and what it became; a press that was neither is not told again."""

    DOWN = "down"
    SHORT = "short"
    LONG = "long"


@dataclass(frozen=True, slots=True, kw_only=True)
class ButtonEvent:
    """at_ns: monotonic time at which the button went down."""

    at_ns: int
    push: Push


class ButtonDebouncer:
    """One button. A button that is down at the opening, jammed or held, tells nothing until it was up."""

    def __init__(self, *, is_down: bool = False) -> None:
        self._raw = self._stable = is_down
        self._raw_since_ns = 0
        self._down_ns: int | None = None

    def edge(self, at_ns: int, active: bool) -> list[ButtonEvent]:
        """The contact changed. active: down now."""
        told = self.until(at_ns)
        if active != self._raw:
            self._raw, self._raw_since_ns = active, at_ns
        return told

    def until(self, now_ns: int) -> list[ButtonEvent]:
        """No edge came before this moment."""
        told: list[ButtonEvent] = []
        if self._raw != self._stable and now_ns - self._raw_since_ns >= _DEBOUNCE_NS:
            self._stable = self._raw
            told += self._went_down() if self._stable else self._went_up()
        if self._down_ns is not None and self._raw and now_ns - self._down_ns >= LONG_MS * _MS:
            told.append(ButtonEvent(at_ns=self._down_ns, push=Push.LONG))
            self._down_ns = None
        return told

    @property
    def waits(self) -> bool:
        """Whether something becomes certain soon by time alone."""
        return self._raw != self._stable or self._down_ns is not None

    def _went_down(self) -> list[ButtonEvent]:
        self._down_ns = self._raw_since_ns
        return [ButtonEvent(at_ns=self._down_ns, push=Push.DOWN)]

    def _went_up(self) -> list[ButtonEvent]:
        down_ns, self._down_ns = self._down_ns, None
        if down_ns is None or self._raw_since_ns - down_ns > SHORT_MS * _MS:
            return []
        return [ButtonEvent(at_ns=down_ns, push=Push.SHORT)]
