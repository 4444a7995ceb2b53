"""GPIO lines: a wire of the line interface, a button or the case's switch, as edges with the kernel's time; and a lamp
or a relay.

Promise: no change is lost in silence. If the kernel's queue ran over (its numbers have a hole), the level as it is by
then is taken instead of what came before.

Leaves to others: what the edges mean (line/hook, panel/button, panel/case_switch), and when to open again. Only this
file knows gpiod (libgpiod 2). Tried on lines of a kernel's driver (tests/image/test_gpio.py), and on no board yet.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import gpiod
from gpiod.line import Clock, Direction, Edge, Value

from appliance.recorder.line.hook import HookDebouncer, HookEvent, RingDebouncer
from appliance.recorder.panel.button import ButtonDebouncer, ButtonEvent
from appliance.recorder.panel.case_switch import CaseChange, CaseDebouncer
from appliance.settings import GpioSettings
from appliance.terms import LineTrouble

_CONSUMER = "linekeep"
_EVENTS = 1024
"""Ten seconds of ringing at 50 Hz."""

WITHOUT = "Calls are recorded without it"
SILENT = "Nothing is played on this line without it"
UNWATCHED = "An opening of the case is not noticed without it"

_LOOK_S = 0.02
"""While something is about to become certain."""


class GpioMissing(LineTrouble):
    """There is no such chip or line, it is in use, or it is gone."""


_E = TypeVar("_E")


class Sense(Protocol[_E]):
    """What makes events of edges: HookDebouncer, RingDebouncer, ButtonDebouncer, CaseDebouncer."""

    def edge(self, at_ns: int, active: bool) -> list[_E]: ...

    def until(self, now_ns: int) -> list[_E]: ...

    @property
    def waits(self) -> bool: ...


class GpioInput(Generic[_E]):
    """A hook or ring input, a button, or the switch of the case.

    Args:
        new_sense: what its edges mean, made anew at each opening from whether it is active then.
        what, meanwhile: what is sensed by it, and what it costs to be without; for people.
        now_ns: the monotonic clock, which is that of the kernel's edges.
    """

    def __init__(
        self,
        settings: GpioSettings,
        new_sense: Callable[[bool], Sense[_E]],
        *,
        what: str = "hook",
        meanwhile: str = WITHOUT,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._settings = settings
        self._new_sense = new_sense
        self._what = what
        self._meanwhile = meanwhile
        self._now_ns = now_ns
        self._request: gpiod.LineRequest | None = None
        self._sense = new_sense(False)
        self._seen = 0
        self.active_at_opening = False

    def open(self) -> None:
        """Ask for the line. Raises GpioMissing."""
        wanted = gpiod.LineSettings(
            direction=Direction.INPUT,
            edge_detection=Edge.BOTH,
            active_low=self._settings.active_low,
            event_clock=Clock.MONOTONIC,
        )
        chip, line = self._settings.chip, self._settings.line
        try:
            self._request = gpiod.request_lines(
                chip, config={line: wanted}, consumer=_CONSUMER, event_buffer_size=_EVENTS
            )
            self.active_at_opening = self._is_active(self._request)
        except (OSError, ValueError) as error:
            self.close()
            raise _trouble(self._settings, self._what, error, self._meanwhile) from error
        self._seen = 0
        self._sense = self._new_sense(self.active_at_opening)

    def read(self, timeout_s: float) -> list[_E]:
        """Wait for what happens next, but no longer than this.

        Raises:
            GpioMissing: then close, and open again.
        """
        if self._request is None:
            return []
        try:
            events: list[gpiod.EdgeEvent] = []
            if self._request.wait_edge_events(min(_LOOK_S, timeout_s) if self._sense.waits else timeout_s):
                events = self._request.read_edge_events()
            told: list[_E] = []
            for event in events:
                if event.line_seqno != self._seen + 1:
                    told += self._sense.edge(event.timestamp_ns, event.event_type is not event.Type.RISING_EDGE)
                self._seen = event.line_seqno
                told += self._sense.edge(event.timestamp_ns, event.event_type is event.Type.RISING_EDGE)
            if not events:
                told += self._sense.until(self._now_ns() - _LATE_NS)
        except OSError as error:
            raise _trouble(self._settings, self._what, error, self._meanwhile) from error
        return told

    def close(self) -> None:
        """Let go of the line. Does nothing if it is closed."""
        if self._request is not None:
            self._request.release()
            self._request = None

    def _is_active(self, request: gpiod.LineRequest) -> bool:
        return request.get_value(self._settings.line) is Value.ACTIVE


_LATE_NS = 5_000_000
"""An edge that happens while we wait may be stamped before we read the clock."""


def hook_input(settings: GpioSettings) -> GpioInput[HookEvent]:
    """The hook: active is off the hook."""
    return GpioInput(settings, lambda active: HookDebouncer(off_hook=active))


def ring_input(settings: GpioSettings) -> GpioInput[HookEvent]:
    """The ringing voltage: active is each half-wave."""
    return GpioInput(settings, lambda _active: RingDebouncer(), what="ringing voltage")


def button_input(settings: GpioSettings) -> GpioInput[ButtonEvent]:
    """A push button: active is down."""
    return GpioInput(settings, lambda active: ButtonDebouncer(is_down=active), what="button")


def case_input(settings: GpioSettings) -> GpioInput[CaseChange]:
    """The switch of the case: active is open."""
    return GpioInput(
        settings, lambda active: CaseDebouncer(is_open=active), what="switch of the case", meanwhile=UNWATCHED
    )


class GpioOutput:
    """A lamp or a relay: active is on.

    Args:
        what, meanwhile: what is switched by it, and what it costs to be without; for people.
    """

    def __init__(self, settings: GpioSettings, *, what: str = "lamp", meanwhile: str = WITHOUT) -> None:
        self._settings = settings
        self._what = what
        self._meanwhile = meanwhile
        self._request: gpiod.LineRequest | None = None

    def open(self) -> None:
        """Ask for the line; it is off. Raises GpioMissing."""
        wanted = gpiod.LineSettings(
            direction=Direction.OUTPUT, output_value=Value.INACTIVE, active_low=self._settings.active_low
        )
        try:
            self._request = gpiod.request_lines(
                self._settings.chip, config={self._settings.line: wanted}, consumer=_CONSUMER
            )
        except (OSError, ValueError) as error:
            raise _trouble(self._settings, self._what, error, self._meanwhile) from error

    def switch(self, *, on: bool) -> None:
        """Raises GpioMissing: then close, and open again."""
        if self._request is None:
            return
        try:
            self._request.set_value(self._settings.line, Value.ACTIVE if on else Value.INACTIVE)
        except OSError as error:
            raise _trouble(self._settings, self._what, error, self._meanwhile) from error

    def close(self) -> None:
        """Let go of the line. Does nothing if it is closed."""
        if self._request is not None:
            self._request.release()
            self._request = None


def relay_output(settings: GpioSettings) -> GpioOutput:
    """The relay of an output: active is closed."""
    return GpioOutput(settings, what="relay", meanwhile=SILENT)


def _trouble(settings: GpioSettings, what: str, error: OSError | ValueError, meanwhile: str) -> GpioMissing:
    wire = f"line {settings.line} of {settings.chip}"
    if not Path(settings.chip).exists():
        return GpioMissing(
            f"There is no GPIO chip {settings.chip}, so the {what} is not used. "
            f"{meanwhile}; correct 'chip' in the settings ('gpiodetect' lists them)."
        )
    if isinstance(error, OSError) and error.errno == errno.EBUSY:
        return GpioMissing(
            f"Another program uses GPIO {wire}, so the {what} is not used. {meanwhile}; "
            "end that program, or correct the settings ('gpioinfo' shows who it is)."
        )
    return GpioMissing(
        f"GPIO {wire} cannot be used ({error}), so the {what} is not used. {meanwhile}; "
        "correct the settings, and check the rights of this user (group 'gpio')."
    )
