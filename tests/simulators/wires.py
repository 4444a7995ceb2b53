"""A hook and a ring input that play recorded edges, in the line's own time, through the product's own debouncers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from appliance.recorder.line.hook import HookDebouncer, HookEvent, RingDebouncer
from appliance.terms import LineTrouble

BOOTED_NS = 777_000_000_000
"""What the monotonic clock says when the device is opened."""
BLOCK_NS = 100_000_000

Edges = list[tuple[float, bool]]
"""Seconds since the device was opened, and whether the wire is active from then on."""


class BlockClock:
    """A monotonic clock that is asked once for each block of a line that is heard in real time."""

    def __init__(self) -> None:
        self.ns = BOOTED_NS

    def __call__(self) -> int:
        self.ns += BLOCK_NS
        return self.ns


class PlayedWire:
    """A wire input.

    Args:
        read_ns: the moment of the last block.
    """

    def __init__(
        self,
        edges: Iterable[tuple[float, bool]],
        read_ns: Callable[[], int],
        new_sense: Callable[[bool], HookDebouncer | RingDebouncer] = lambda active: HookDebouncer(off_hook=active),
    ) -> None:
        self._edges = [(BOOTED_NS + round(at_s * 1e9), active) for at_s, active in edges]
        self._read_ns = read_ns
        self._new_sense = new_sense
        self._sense = new_sense(False)
        self.missing = False
        self.opened = self.closed = 0
        self._active = False
        self.active_at_opening = False

    def open(self) -> None:
        self.opened += 1
        self._must_be_there()
        list(self._passed())
        self.active_at_opening = self._active
        self._sense = self._new_sense(self.active_at_opening)

    def read(self, timeout_s: float) -> list[HookEvent]:
        if timeout_s:
            raise AssertionError("a line never waits for its wires")
        self._must_be_there()
        told = [event for edge in self._passed() for event in self._sense.edge(*edge)]
        return told + self._sense.until(self._read_ns())

    def close(self) -> None:
        self.closed += 1

    def _passed(self) -> Iterator[tuple[int, bool]]:
        while self._edges and self._edges[0][0] <= self._read_ns():
            at_ns, self._active = self._edges.pop(0)
            yield at_ns, self._active

    def _must_be_there(self) -> None:
        if self.missing:
            raise LineTrouble("The chip is gone.")


def ring_wire(edges: Iterable[tuple[float, bool]], read_ns: Callable[[], int]) -> PlayedWire:
    return PlayedWire(edges, read_ns, lambda _active: RingDebouncer())


def bounced(at_s: float, active: bool) -> Edges:
    """A hook switch closes five times within 11 ms."""
    after_ms = (0, 0.4, 0.9, 2.1, 3.0, 5.5, 6.2, 8.8, 11.0)
    return [(at_s + late / 1000, active if count % 2 == 0 else not active) for count, late in enumerate(after_ms)]


def flash(at_s: float, seconds: float = 0.3) -> Edges:
    return bounced(at_s, False) + bounced(at_s + seconds, True)


def ringing(at_s: float, seconds: float, hz: float = 25) -> Edges:
    """An opto-coupler passes each half-wave of one polarity."""
    pulses = round(seconds * hz)
    return [edge for n in range(pulses) for edge in ((at_s + n / hz, True), (at_s + n / hz + 0.012, False))]
