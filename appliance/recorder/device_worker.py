"""One sound device's thread: takes what the capture brings and hands each line its channel, or its two.

Promise: a device that is missing, busy or pulled out costs its lines the time it is away, and nobody else
anything; a fault of the program costs the running calls of this device their last second, is logged, and the
device is opened again. The capture has a thread of its own, so nothing that happens here makes a card overrun.

Leaves to others: the device (capture), and all that concerns one line (line_worker).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Protocol, assert_never

import structlog

from appliance.clock import Clock
from appliance.daemon import Pulse
from appliance.recorder.device.capture import Block, Closed, Event, Lost, Opened
from appliance.recorder.ear.sides import channels_of
from appliance.recorder.line_worker import LineWorker
from appliance.recorder.wall_time import WallTime
from appliance.recordings.container import EndReason

_LOOK_UP_S = 0.5
"""How often a request to stop is looked for while nothing comes."""

_AFTER_FAULT_S = 1.0

FAULT = (
    "Something went wrong inside the recorder, and recording of this line starts anew. "
    "What was recorded before is safe; the log says more."
)


class Capture(Protocol):
    """A device being listened to, as capture.CaptureThread promises it."""

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def next_event(self, timeout_s: float) -> Event | None: ...


class DeviceWorker:
    """Runs the lines of one device.

    Args:
        name: the device's, for the log.
        new_capture: makes a capture, not started.
        lines: channel, or near and far one -> line.
        pulse: beats with every round of the thread.
    """

    def __init__(
        self,
        name: str,
        new_capture: Callable[[], Capture],
        lines: Mapping[tuple[int, ...], LineWorker],
        clock: Clock,
        log: structlog.stdlib.BoundLogger,
        *,
        pulse: Pulse | None = None,
    ) -> None:
        self._name = name
        self._new_capture = new_capture
        self._lines = dict(lines)
        self._clock = clock
        self._log = log
        self._pulse = pulse or Pulse()
        self._wall_time = WallTime(0)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"lines of {name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def ask_to_stop(self) -> None:
        """End the running calls and then the thread. Does not wait."""
        self._stop.set()

    def join(self, within_s: float) -> bool:
        """Wait for the end after `ask_to_stop`; False if it did not come in time."""
        self._thread.join(within_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._listen()
            except Exception as fault:  # noqa: BLE001 - the outer loop: logged, and all starts anew
                self._log.error("device_worker_fault", device=self._name, exc_info=fault)
                for line in self._lines.values():
                    line.abandon(FAULT)
                self._stop.wait(_AFTER_FAULT_S)

    def _listen(self) -> None:
        capture = self._new_capture()
        capture.start()
        try:
            while not self._stop.is_set():
                self._pulse.beat()
                event = capture.next_event(_LOOK_UP_S)
                if event is not None:
                    self._take(event)
        finally:
            capture.stop()
        # What was heard before the stop belongs to its call; the last event is Closed(None).
        while (event := capture.next_event(0)) is not None:
            self._take(event)

    def _take(self, event: Event) -> None:
        match event:
            case Block():
                self._wall_time.note(event.first_frame + event.frames, self._clock.now_ms())
                for channels, line in self._lines.items():
                    line.hear(event.first_frame, channels_of(event.samples, channels))
            case Lost():
                self._log.warning("frames_lost", device=self._name, frames=event.frames, why=event.why.value)
                for line in self._lines.values():
                    line.lose(event.first_frame, event.frames, event.why.value)
            case Opened():
                self._open(event.wall_ms)
            case Closed():
                self._close(event)
            case _:
                assert_never(event)

    def _open(self, wall_ms: int) -> None:
        self._log.info("device_opened", device=self._name)
        self._wall_time = WallTime(wall_ms)
        for line in self._lines.values():
            line.open(self._wall_time)

    def _close(self, closed: Closed) -> None:
        if closed.trouble is None:
            why, trouble = EndReason.STOPPED, ""
        else:
            why, trouble = EndReason.DEVICE_LOST, str(closed.trouble)
            self._log.warning("device_closed", device=self._name, why=trouble)
        for line in self._lines.values():
            line.close(why, trouble)
