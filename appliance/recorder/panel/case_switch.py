"""The switch of the case: when it opens and closes, told to the vault; and whether it is open now, for the lamps.

Promise: whatever the switch does, nothing here stops a recording or waits for anybody. A switch that cannot be read is
said to be so, never taken for closed, and is tried again twice a minute.

The switch is closed while the cover is on and leads to ground, with a pull-up at the processor: an open cover, a cut
wire and a pulled plug all read the same, active. A short to ground reads as closed; whoever can lay one has opened the
case already. What moves without power is seen only by where it stands afterwards.

A contact bounces, and a cover that is screwed on touches it several times. So open is believed after 50 ms, and closed
after a second: one opening stays one.

Leaves to others: GPIO (device/gpio), what stands in the journal and how often (the vault's case_watch).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from appliance.terms import LineTrouble

_MS = 1_000_000
_OPEN_AFTER_NS = 50 * _MS
_CLOSED_AFTER_NS = 1000 * _MS
_AGAIN_MS = 30_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseChange:
    """at_ns: monotonic time of the first edge."""

    at_ns: int
    is_open: bool


class CaseDebouncer:
    """One switch; active is open."""

    def __init__(self, *, is_open: bool = False) -> None:
        self._raw = self._stable = is_open
        self._raw_since_ns = 0

    def edge(self, at_ns: int, active: bool) -> list[CaseChange]:
        """The contact changed. active: open now."""
        told = self.until(at_ns)
        if active != self._raw:
            self._raw, self._raw_since_ns = active, at_ns
        return told

    def until(self, now_ns: int) -> list[CaseChange]:
        """No edge came before this moment."""
        lasts_ns = _OPEN_AFTER_NS if self._raw else _CLOSED_AFTER_NS
        if self._raw == self._stable or now_ns - self._raw_since_ns < lasts_ns:
            return []
        self._stable = self._raw
        return [CaseChange(at_ns=self._raw_since_ns, is_open=self._stable)]

    @property
    def waits(self) -> bool:
        """Whether something becomes certain soon by time alone."""
        return self._raw != self._stable


class Switch(Protocol):
    """The switch, as gpio.GpioInput promises it."""

    @property
    def active_at_opening(self) -> bool: ...

    def open(self) -> None:
        """Raises LineTrouble."""

    def read(self, timeout_s: float) -> Sequence[CaseChange]:
        """Raises LineTrouble."""

    def close(self) -> None: ...


class TellCase(Protocol):
    """Whoever passes it on to the vault, as vault_link.VaultLink.note_case promises it."""

    def __call__(self, *, is_open: bool | None, is_found: bool = False, trouble: str = "") -> None:
        """is_open: None if it cannot be read; trouble then says why. is_found: so it stood when it was first read."""


class CaseWatch:
    """Follows the switch from look to look; one thread."""

    def __init__(self, switch: Switch, tell: TellCase, log: structlog.stdlib.BoundLogger) -> None:
        self._switch = switch
        self._tell = tell
        self._log = log
        self._is_reading = False
        self._again_ms = 0
        self._trouble = ""
        self.is_open = False
        """As far as is known."""

    def look(self, now_ms: int) -> None:
        """
        Args:
            now_ms: monotonic.
        """
        try:
            if self._is_reading:
                for change in self._switch.read(0):
                    self._note(is_open=change.is_open)
            elif now_ms >= self._again_ms:
                self._switch.open()
                self._is_reading, self._trouble = True, ""
                self._note(is_open=self._switch.active_at_opening, is_found=True)
        except LineTrouble as trouble:
            self.close()
            self._again_ms = now_ms + _AGAIN_MS
            self._note_trouble(str(trouble))

    def close(self) -> None:
        """Let go of the switch."""
        self._switch.close()
        self._is_reading = False

    def _note(self, *, is_open: bool, is_found: bool = False) -> None:
        self.is_open = is_open
        self._log.info("case_open" if is_open else "case_closed", found=is_found)
        self._tell(is_open=is_open, is_found=is_found)

    def _note_trouble(self, why: str) -> None:
        if why == self._trouble:
            return
        self._trouble, self.is_open = why, False
        self._log.warning("case_trouble", why=why)
        self._tell(is_open=None, trouble=why)
