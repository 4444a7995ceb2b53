"""The lamps and buttons of all lines, and the switch of the case: one thread that looks twenty times a second.

Promise: nothing here stops a recording, and nothing waits for it. A lamp or button that cannot be had, or is lost, is
a line in the log, tried again twice a minute. An order that a button gives is for the call that was on the line when it
went down, and only if the line does the same still: who pauses a call does not by chance confirm the next.

Leaves to others: what rhythms and presses mean (language), the switch (case_switch), GPIO (device/gpio), what becomes
of an order (line_worker).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import structlog

from appliance.boundary.verbs import LineNow
from appliance.recorder.panel.button import ButtonEvent, Push
from appliance.recorder.panel.case_switch import CaseWatch
from appliance.recorder.panel.language import LONG_PRESS, RHYTHMS, SHORT_PRESS, light_of
from appliance.terms import LineName, LineTrouble, Order

LOOK_EVERY_S = 0.05
_AGAIN_MS = 30_000
_AFTER_FAULT_S = 5

GiveOrder = Callable[[LineName, int, Order], None]
"""Line, when the call began that is meant, order."""


class Lamp(Protocol):
    """One lamp, as gpio.GpioOutput promises it."""

    def open(self) -> None:
        """Raises LineTrouble."""

    def switch(self, *, on: bool) -> None:
        """Raises LineTrouble."""

    def close(self) -> None: ...


class Button(Protocol):
    """One button, as gpio.GpioInput promises it."""

    def open(self) -> None:
        """Raises LineTrouble."""

    def read(self, timeout_s: float) -> Sequence[ButtonEvent]:
        """Raises LineTrouble."""

    def close(self) -> None: ...


class LinePanel:
    """Lamp and button of one line; either may be missing.

    Args:
        give_order: called with what a press means.
    """

    def __init__(
        self,
        line: LineName,
        *,
        lamp: Lamp | None,
        button: Button | None,
        give_order: GiveOrder,
        log: structlog.stdlib.BoundLogger,
    ) -> None:
        self.line = line
        self._lamp = _Part(lamp, log, line) if lamp is not None else None
        self._button = _Part(button, log, line) if button is not None else None
        self._give_order = give_order
        self._lit: bool | None = None
        self._down_at: LineNow | None = None

    def look(self, line: LineNow, now_ms: int, *, claimed: bool, case_open: bool) -> None:
        """Show what the line does now, and take what was pressed.

        Args:
            now_ms: monotonic.
        """
        if self._lamp is not None:
            light = light_of(line, claimed=claimed, case_open=case_open)
            self._show(now_ms, lit=RHYTHMS[light].is_lit(now_ms))
        if self._button is not None:
            for event in self._button.use(lambda button: button.read(0), now_ms) or ():
                self._take(event.push, line)

    def close(self) -> None:
        """Let go of both; the lamp goes dark."""
        if self._lamp is not None:
            self._lamp.use(lambda lamp: lamp.switch(on=False), 0)
            self._lamp.close()
        if self._button is not None:
            self._button.close()

    def _show(self, now_ms: int, *, lit: bool) -> None:
        if self._lamp is not None and (lit is not self._lit or not self._lamp.is_open):
            self._lamp.use(lambda lamp: lamp.switch(on=lit), now_ms)
            self._lit = lit

    def _take(self, push: Push, line: LineNow) -> None:
        if push is Push.DOWN:
            self._down_at = line
            return
        pressed, self._down_at = self._down_at, None
        if pressed is None or (pressed.state, pressed.started_at_ms) != (line.state, line.started_at_ms):
            return
        order = (LONG_PRESS if push is Push.LONG else SHORT_PRESS).get(line.state)
        if order is not None:
            self._give_order(self.line, line.started_at_ms, order)


class _Openable(Protocol):
    def open(self) -> None: ...

    def close(self) -> None: ...


_P = TypeVar("_P", bound=_Openable)
_T = TypeVar("_T")


@dataclass(slots=True)
class _Part(Generic[_P]):
    """A lamp or a button, opened whenever that can be done."""

    part: _P
    log: structlog.stdlib.BoundLogger
    line: LineName
    is_open: bool = False
    again_ms: int = 0

    def use(self, act: Callable[[_P], _T], now_ms: int) -> _T | None:
        try:
            if not self.is_open:
                if now_ms < self.again_ms:
                    return None
                self.part.open()
                self.is_open = True
            return act(self.part)
        except LineTrouble as trouble:
            self.log.warning("panel_trouble", line=self.line, why=str(trouble))
            self.close()
            self.again_ms = now_ms + _AGAIN_MS
            return None

    def close(self) -> None:
        self.part.close()
        self.is_open = False


class PanelThread:
    """Looks at all panels and at the case until it is stopped.

    Args:
        case: None if the settings name no switch.
        look: the lines as they are now, by name.
        is_claimed: whether the box has an owner, as far as the vault has said.
    """

    def __init__(
        self,
        panels: Iterable[LinePanel],
        look: Callable[[LineName], LineNow],
        is_claimed: Callable[[], bool],
        *,
        log: structlog.stdlib.BoundLogger,
        case: CaseWatch | None = None,
        now_ms: Callable[[], int] = lambda: time.monotonic_ns() // 1_000_000,
    ) -> None:
        self._panels = tuple(panels)
        self._look = look
        self._is_claimed = is_claimed
        self._log = log
        self._case = case
        self._now_ms = now_ms
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="panel", daemon=True)

    def start(self) -> None:
        if self._has_work:
            self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._has_work:
            self._thread.join()

    def look_once(self) -> None:
        now_ms, claimed = self._now_ms(), self._is_claimed()
        if self._case is not None:
            self._case.look(now_ms)
        case_open = self._case is not None and self._case.is_open
        for panel in self._panels:
            panel.look(self._look(panel.line), now_ms, claimed=claimed, case_open=case_open)

    @property
    def _has_work(self) -> bool:
        return bool(self._panels) or self._case is not None

    def _run(self) -> None:
        try:
            while not self._stop.wait(LOOK_EVERY_S):
                try:
                    self.look_once()
                except Exception as fault:  # noqa: BLE001 - the outer loop: logged, and it looks again
                    self._log.error("panel_fault", exc_info=fault)
                    self._stop.wait(_AFTER_FAULT_S)
        finally:
            for panel in self._panels:
                panel.close()
            if self._case is not None:
                self._case.close()
