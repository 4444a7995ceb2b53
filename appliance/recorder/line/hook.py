"""Hook and ring as two wires of the line interface tell them: from edges, what happened.

Pure. Edges with the kernel's monotonic time go in, in order, and now and then the time alone; what is certain by then
comes out, dated back to its first edge.

Hook: a contact bounces, so that a level counts once it has lasted 30 ms. Off the hook is told then. On the hook may
still be a flash, a break of 80 ms to 800 ms with which one asks for a second line (ETSI ES 201 235 and the national
rules lie within), or a pulse of a rotary dial, whose breaks last about 60 ms: only what lasts longer than a flash has
hung up. A call that ends is so known 0.8 s later, and dated right.

Ring: an opto-coupler passes each half-wave of the ringing voltage (16 Hz to 68 Hz), so that there is no level to wait
for. Three pulses in a row are a ring; a spark is one, and so is a contact that bounces. It ends with the last pulse.
"""

from __future__ import annotations

from dataclasses import dataclass

_MS = 1_000_000

FLASH_NS = (80 * _MS, 800 * _MS)
_PULSES = 3
_PULSE_NS = 6 * _MS
"""Sooner no other half-wave follows, at 68 Hz."""
_PULSES_APART_NS = 80 * _MS
_RING_OVER_NS = 150 * _MS


@dataclass(frozen=True, slots=True, kw_only=True)
class HookChange:
    """The handset was lifted or hung up. at_ns: monotonic time of the first edge."""

    at_ns: int
    off_hook: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class HookFlash:
    """A short break, and the call goes on. at_ns: where it began."""

    at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RingPulses:
    """A burst of ringing voltage begins, or has ended. at_ns: its first or last pulse."""

    at_ns: int
    on: bool


HookEvent = HookChange | HookFlash | RingPulses


class HookDebouncer:
    """The hook of one line.

    Args:
        off_hook: how it is at first; nothing is told of that.
    """

    def __init__(self, *, off_hook: bool = False, debounce_ns: int = 30 * _MS) -> None:
        self._debounce_ns = debounce_ns
        self._raw = self._stable = off_hook
        self._raw_since_ns = 0
        self._left_ns: int | None = None
        self._on_hook_ns: int | None = None

    def edge(self, at_ns: int, active: bool) -> list[HookEvent]:
        """The contact changed. active: off the hook now."""
        told = self.until(at_ns)
        if active != self._raw:
            self._raw, self._raw_since_ns = active, at_ns
            self._left_ns = at_ns if self._left_ns is None else self._left_ns
        return told

    def until(self, now_ns: int) -> list[HookEvent]:
        """No edge came before this moment."""
        told: list[HookEvent] = []
        if self._left_ns is not None and now_ns - self._raw_since_ns >= self._debounce_ns:
            if self._raw != self._stable:
                self._stable = self._raw
                told += self._settled(self._left_ns)
            self._left_ns = None
        if self._on_hook_ns is not None and self._left_ns is None and now_ns - self._on_hook_ns > FLASH_NS[1]:
            told.append(HookChange(at_ns=self._on_hook_ns, off_hook=False))
            self._on_hook_ns = None
        return told

    @property
    def waits(self) -> bool:
        """Whether something becomes certain soon by time alone."""
        return self._left_ns is not None or self._on_hook_ns is not None

    def _settled(self, at_ns: int) -> list[HookEvent]:
        if not self._stable:
            self._on_hook_ns = at_ns
            return []
        began_ns, self._on_hook_ns = self._on_hook_ns, None
        if began_ns is None:
            return [HookChange(at_ns=at_ns, off_hook=True)]
        if at_ns - began_ns > FLASH_NS[1]:
            return [HookChange(at_ns=began_ns, off_hook=False), HookChange(at_ns=at_ns, off_hook=True)]
        return [HookFlash(at_ns=began_ns)] if at_ns - began_ns >= FLASH_NS[0] else []


class RingDebouncer:
    """The ringing voltage of one line."""

    def __init__(self) -> None:
        self._first_ns = self._last_ns = 0
        self._pulses = 0
        self._on = False

    def edge(self, at_ns: int, active: bool) -> list[HookEvent]:
        """The opto-coupler changed."""
        told = self.until(at_ns)
        if not active or (self._pulses and at_ns - self._last_ns < _PULSE_NS):
            return told
        if self._pulses and at_ns - self._last_ns > _PULSES_APART_NS and not self._on:
            self._pulses = 0
        if not self._pulses:
            self._first_ns = at_ns
        self._pulses += 1
        self._last_ns = at_ns
        if self._pulses >= _PULSES and not self._on:
            self._on = True
            told.append(RingPulses(at_ns=self._first_ns, on=True))
        return told

    def until(self, now_ns: int) -> list[HookEvent]:
        """No edge came before this moment."""
        if not self._on or now_ns - self._last_ns <= _RING_OVER_NS:
            return []
        self._on, self._pulses = False, 0
        return [RingPulses(at_ns=self._last_ns, on=False)]

    @property
    def waits(self) -> bool:
        """Whether something becomes certain soon by time alone."""
        return self._on
