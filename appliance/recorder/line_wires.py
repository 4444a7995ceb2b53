"""The hook and the ringing voltage of a live line, told in the line's own frames, beside its sound.

Promise: nothing here waits, and nothing here stops a recording. An input that cannot be opened, or is lost, is a
sentence; it is tried again twice a minute, and meanwhile the hook is unknown and the line known by its sound.

The wires tell the monotonic time of their edges, the sound has frames. A block may have waited in queues before it is
read here, and its edges then lie far ahead of it: they wait until the sound has come as far. So all is told in the one
order in which it happened.

Leaves to others: what edges mean (hook), the GPIO lines themselves (gpio; untried on real ones), and what follows
from it for a call (line_state).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol, assert_never

from appliance.recorder.line.hook import HookChange, HookEvent, HookFlash, RingPulses
from appliance.recorder.line.line_facts import Cue, CueKind
from appliance.recorder.wall_time import WallTime
from appliance.terms import LineTrouble

_AGAIN_MS = 30_000


class WireInput(Protocol):
    """One wire, as gpio.GpioInput promises it."""

    @property
    def active_at_opening(self) -> bool: ...

    def open(self) -> None:
        """Raises LineTrouble."""

    def read(self, timeout_s: float) -> Sequence[HookEvent]:
        """Raises LineTrouble; then it must be closed, and opened again."""

    def close(self) -> None: ...


class LineWires:
    """The wires of one line. All methods are called by the thread of its device.

    Args:
        hook, ring: not open; without both nothing is ever told.
    """

    def __init__(
        self,
        *,
        hook: WireInput | None = None,
        ring: WireInput | None = None,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._wires = [_Wire(wire, is_hook=wire is hook) for wire in (hook, ring) if wire is not None]
        self._now_ns = now_ns
        self._time: WallTime | None = None
        """Monotonic, in milliseconds: of this opening of the device."""
        self._waiting: list[Cue] = []

    @property
    def trouble(self) -> str:
        """Why a wire cannot be read, as a sentence; empty if all can."""
        return next((wire.trouble for wire in self._wires if wire.trouble), "")

    def read(self, end_frame: int) -> tuple[Cue, ...]:
        """What happened before this frame, where a block ends that was fetched now, and is not told yet."""
        if not self._wires:
            return ()
        now_ms = self._now_ns() // 1_000_000
        if self._time is None:
            self._time = WallTime(now_ms - WallTime(0).at_ms(end_frame))
        self._time.note(end_frame, now_ms)
        for wire in self._wires:
            self._waiting += wire.read(now_ms, self._time)
        self._waiting.sort(key=lambda cue: cue.at_frame)
        told = tuple(cue for cue in self._waiting if cue.at_frame <= end_frame)
        self._waiting = self._waiting[len(told) :]
        return told

    def close(self) -> None:
        """The device is closed: what follows is told anew from its next opening on."""
        for wire in self._wires:
            wire.close()
        self._time, self._waiting = None, []


class _Wire:
    """One of them, which is opened whenever that can be done."""

    def __init__(self, wire: WireInput, *, is_hook: bool) -> None:
        self._input = wire
        self._is_hook = is_hook
        self._is_open = False
        self._again_ms = 0
        self.trouble = ""

    def read(self, now_ms: int, frames: WallTime) -> list[Cue]:
        now_frame = frames.frame_at(now_ms)
        try:
            if not self._is_open:
                return self._open(now_ms, now_frame)
            return [_cue(event, frames) for event in self._input.read(0) if not isinstance(event, HookFlash)]
        except LineTrouble as trouble:
            was_open = self._is_open
            self.close()
            self.trouble, self._again_ms = str(trouble), now_ms + _AGAIN_MS
            return [Cue(kind=CueKind.HOOK_UNKNOWN, at_frame=now_frame)] if was_open and self._is_hook else []

    def close(self) -> None:
        self._input.close()
        self._is_open, self._again_ms = False, 0

    def _open(self, now_ms: int, now_frame: int) -> list[Cue]:
        if now_ms < self._again_ms:
            return []
        self._input.open()
        self._is_open, self.trouble = True, ""
        if not self._is_hook:
            return []
        kind = CueKind.FOUND_OFF_HOOK if self._input.active_at_opening else CueKind.ON_HOOK
        return [Cue(kind=kind, at_frame=now_frame, sensed=True)]


def _cue(event: HookChange | RingPulses, frames: WallTime) -> Cue:
    at_frame = frames.frame_at(event.at_ns // 1_000_000)
    match event:
        case HookChange():
            kind = CueKind.OFF_HOOK if event.off_hook else CueKind.ON_HOOK
        case RingPulses():
            kind = CueKind.RING if event.on else CueKind.RING_ENDS
        case _:
            assert_never(event)
    return Cue(kind=kind, at_frame=at_frame, sensed=True)
