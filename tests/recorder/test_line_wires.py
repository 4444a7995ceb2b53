"""Edges of a wire come out in the frames of the sound beside which they happened, whatever is late or missing."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.recorder.device.gpio import hook_input, ring_input
from appliance.recorder.line.line_facts import Cue, CueKind
from appliance.recorder.line_wires import LineWires
from appliance.settings import GpioSettings
from appliance.terms import BLOCK_FRAMES, RATE_HZ
from tests.simulators.wires import BLOCK_NS, BOOTED_NS, BlockClock, PlayedWire, bounced, flash, ring_wire, ringing


@dataclass
class Fetched:
    """The moment at which the last block was fetched."""

    ns: int = BOOTED_NS

    def __call__(self) -> int:
        return self.ns


def read(wires: LineWires, blocks: range) -> list[Cue]:
    return [cue for block in blocks for cue in wires.read((block + 1) * BLOCK_FRAMES)]


def near(frame: int, seconds: float) -> bool:
    return abs(frame - seconds * RATE_HZ) <= RATE_HZ // 100


def test_without_wires_nothing_is_told_and_nothing_is_wrong() -> None:
    wires = LineWires()
    assert read(wires, range(20)) == []
    assert wires.trouble == ""


def test_a_bouncing_hook_is_told_where_it_was_lifted_and_put_down_and_a_flash_is_not() -> None:
    clock = BlockClock()
    edges = bounced(3.05, True) + flash(5) + bounced(9.42, False)
    wires = LineWires(hook=PlayedWire(edges, lambda: clock.ns), now_ns=clock)
    found, lifted, put_down = read(wires, range(120))
    assert [found.kind, lifted.kind, put_down.kind] == [CueKind.ON_HOOK, CueKind.OFF_HOOK, CueKind.ON_HOOK]
    assert near(lifted.at_frame, 3.05)
    assert near(put_down.at_frame, 9.42)


def test_the_hook_that_is_off_at_the_opening_is_found_and_not_lifted() -> None:
    clock = BlockClock()
    hook = PlayedWire([(-5, True)], lambda: clock.ns)
    assert [cue.kind for cue in read(LineWires(hook=hook, now_ns=clock), range(5))] == [CueKind.FOUND_OFF_HOOK]


def test_a_burst_of_ringing_voltage_has_a_beginning_and_an_end() -> None:
    clock = BlockClock()
    wires = LineWires(ring=ring_wire(ringing(2, 1), lambda: clock.ns), now_ns=clock)
    rings, over = read(wires, range(50))
    assert (rings.kind, over.kind) == (CueKind.RING, CueKind.RING_ENDS)
    assert near(rings.at_frame, 2)
    assert abs(over.at_frame - 3 * RATE_HZ) <= RATE_HZ // 20


def test_edges_wait_for_sound_that_is_still_in_a_queue() -> None:
    fetched = Fetched()
    wires = LineWires(hook=PlayedWire(bounced(2.25, True), fetched), now_ns=fetched)
    told: list[tuple[int, Cue]] = []
    for block in range(40):
        # Two seconds pass in which no block is fetched; then they come all at once.
        moment = block + 1 if block < 10 else max(block + 1, 30)
        fetched.ns = BOOTED_NS + moment * BLOCK_NS
        told += [(block, cue) for cue in wires.read((block + 1) * BLOCK_FRAMES)]
    (_, found), (at_block, lifted) = told
    assert found.kind is CueKind.ON_HOOK
    assert lifted.kind is CueKind.OFF_HOOK
    assert near(lifted.at_frame, 2.25)
    assert at_block == 22


def test_a_first_block_that_was_late_does_not_shift_what_follows() -> None:
    fetched = Fetched()
    wires = LineWires(hook=PlayedWire(bounced(5, True), fetched), now_ns=fetched)
    told: list[Cue] = []
    for block in range(70):
        fetched.ns = BOOTED_NS + max(block + 1, 15) * BLOCK_NS
        told += wires.read((block + 1) * BLOCK_FRAMES)
    assert near(told[-1].at_frame, 5)


def test_a_wire_that_is_lost_is_one_sentence_and_an_unknown_hook_and_is_tried_again_now_and_then() -> None:
    clock = BlockClock()
    hook = PlayedWire([(-5, True)], lambda: clock.ns)
    wires = LineWires(hook=hook, now_ns=clock)
    read(wires, range(10))
    hook.missing = True
    assert [cue.kind for cue in read(wires, range(10, 250))] == [CueKind.HOOK_UNKNOWN]
    assert wires.trouble == "The chip is gone."
    hook.missing = False
    assert [cue.kind for cue in read(wires, range(250, 340))] == [CueKind.FOUND_OFF_HOOK]
    assert wires.trouble == ""
    assert hook.opened == 2


def test_a_wire_that_was_never_there_tells_nothing_but_its_trouble() -> None:
    clock = BlockClock()
    hook = PlayedWire([], lambda: clock.ns)
    hook.missing = True
    wires = LineWires(hook=hook, ring=ring_wire(ringing(2, 1), lambda: clock.ns), now_ns=clock)
    assert [cue.kind for cue in read(wires, range(50))] == [CueKind.RING, CueKind.RING_ENDS]
    assert wires.trouble == "The chip is gone."


def test_a_chip_that_does_not_exist_is_told_in_a_sentence_for_each_of_the_wires() -> None:
    settings = GpioSettings(chip="/dev/gpiochip999", line=17)
    for wires, what in ((LineWires(hook=hook_input(settings)), "hook"), (LineWires(ring=ring_input(settings)), "ring")):
        assert read(wires, range(3)) == []
        assert wires.trouble.startswith(f"There is no GPIO chip /dev/gpiochip999, so the {what}")
        wires.close()


def test_with_the_next_opening_of_the_device_frames_begin_anew_and_the_hook_is_told_again() -> None:
    clock = BlockClock()
    hook = PlayedWire(bounced(1, True) + bounced(14, False), lambda: clock.ns)
    wires = LineWires(hook=hook, now_ns=clock)
    read(wires, range(100))
    wires.close()
    assert hook.closed == 1
    found, put_down = read(wires, range(100))
    assert (found.kind, put_down.kind) == (CueKind.FOUND_OFF_HOOK, CueKind.ON_HOOK)
    assert near(put_down.at_frame, 4)
