"""Bouncing contacts are one change, a flash is no hang-up, sparks are no ring."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gpiod
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.recorder.device import gpio
from appliance.recorder.device.gpio import GpioMissing, hook_input
from appliance.recorder.line.hook import HookChange, HookDebouncer, HookEvent, HookFlash, RingDebouncer, RingPulses
from appliance.settings import GpioSettings

MS = 1_000_000
Edges = list[tuple[float, bool]]


def follow(edges: Edges, until_ms: float, sense: HookDebouncer | RingDebouncer | None = None) -> list[HookEvent]:
    sense = sense or HookDebouncer()
    told = [event for at_ms, active in edges for event in sense.edge(round(at_ms * MS), active)]
    return told + sense.until(round(until_ms * MS))


def bounced(at_ms: float, active: bool) -> Edges:
    """A telephone's hook switch, in milliseconds: it closes five times within 11 ms."""
    after = (0, 0.4, 0.9, 2.1, 3.0, 5.5, 6.2, 8.8, 11.0)
    return [(at_ms + late, active if count % 2 == 0 else not active) for count, late in enumerate(after)]


def lifted(at_ms: float) -> HookChange:
    return HookChange(at_ns=round(at_ms * MS), off_hook=True)


def hung_up(at_ms: float) -> HookChange:
    return HookChange(at_ns=round(at_ms * MS), off_hook=False)


def test_a_bouncing_contact_is_one_change_dated_to_its_first_edge() -> None:
    edges = bounced(1000, True) + bounced(9000, False)
    assert follow(edges, 12_000) == [lifted(1000), hung_up(9000)]


def test_lifting_is_told_after_30_ms_and_hanging_up_when_it_is_no_flash_any_more() -> None:
    sense = HookDebouncer()
    assert follow([(1000, True)], 1029, sense) == []
    assert follow([], 1030, sense) == [lifted(1000)]
    assert follow([(5000, False)], 5800, sense) == []
    assert follow([], 5801, sense) == [hung_up(5000)]
    assert not sense.waits


@pytest.mark.parametrize(
    ("break_ms", "flash"), [(31, False), (60, False), (79, False), (80, True), (300, True), (800, True)]
)
def test_a_short_break_is_a_flash_or_a_dial_pulse_and_never_a_hang_up(break_ms: float, *, flash: bool) -> None:
    edges = [(5000, False), (5000 + break_ms, True)]
    expected = [HookFlash(at_ns=5000 * MS)] if flash else []
    assert follow(edges, 9000, HookDebouncer(off_hook=True)) == expected


def test_a_break_that_is_longer_than_a_flash_ends_one_call_and_begins_the_next() -> None:
    edges = bounced(5000, False) + bounced(5850, True)
    assert follow(edges, 9000, HookDebouncer(off_hook=True)) == [hung_up(5000), lifted(5850)]


def test_a_spark_on_the_wire_is_nothing() -> None:
    assert follow([(1000, True), (1020, False)], 5000) == []


def test_an_edge_that_says_what_is_known_already_changes_nothing() -> None:
    assert follow([(1000, True), (1010, True), (2000, True)], 5000) == [lifted(1000)]


@given(st.lists(st.integers(1, 3000), max_size=40), st.integers(0, 5000))
def test_whatever_comes_changes_alternate_in_the_order_of_time(gaps_ms: list[int], look_ms: int) -> None:
    at, edges = 0, []
    for count, gap in enumerate(gaps_ms):
        at += gap
        edges.append((float(at), count % 2 == 0))
    told = follow(edges, at + look_ms)
    changes = [event for event in told if isinstance(event, HookChange)]
    assert [event.off_hook for event in changes] == [count % 2 == 0 for count in range(len(changes))]
    moments = [event.at_ns for event in told]
    assert moments == sorted(moments)


@pytest.mark.parametrize("hz", [16.7, 20, 25, 50])
def test_a_burst_of_ringing_is_told_once_with_its_beginning_and_end(hz: float) -> None:
    edges = [
        (1000 + pulse * 1000 / hz + late, active)
        for pulse in range(int(hz))
        for late, active in ((0, True), (5, False))
    ]
    (begun, over) = follow(edges, 4000, RingDebouncer())
    assert begun == RingPulses(at_ns=1000 * MS, on=True)
    assert isinstance(over, RingPulses)
    assert not over.on
    assert 1880 * MS < over.at_ns < 2000 * MS


def test_sparks_are_no_ring() -> None:
    edges = [(float(at + late), late == 0) for at in (1000, 1040, 1300, 1700, 1750) for late in (0, 2)]
    assert follow(edges, 4000, RingDebouncer()) == []


def test_a_contact_that_bounces_makes_no_ring() -> None:
    assert follow(bounced(1000, True) + bounced(9000, False), 12_000, RingDebouncer()) == []


class RecordedLine:
    """A requested GPIO line that plays recorded edges: (number, milliseconds, rising)."""

    def __init__(self, edges: list[tuple[int, float, bool]]) -> None:
        self._edges = edges
        self.waited_s: list[float] = []
        self.released = False

    def get_value(self, _line: int) -> gpiod.line.Value:
        return gpiod.line.Value.INACTIVE

    def wait_edge_events(self, timeout_s: float) -> bool:
        self.waited_s.append(timeout_s)
        return bool(self._edges)

    def read_edge_events(self) -> list[gpiod.EdgeEvent]:
        edges, self._edges = self._edges, []
        kinds = gpiod.EdgeEvent.Type
        return [
            gpiod.EdgeEvent((kinds.RISING_EDGE if rising else kinds.FALLING_EDGE).value, round(ms * MS), 17, n, n)
            for n, ms, rising in edges
        ]

    def release(self) -> None:
        self.released = True


def test_recorded_edges_come_through_as_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    line = RecordedLine([(1, 1000, True), (2, 1003, False), (3, 1005, True), (4, 9000, False)])
    wanted: dict[str, Any] = {}

    def request(chip: str, **options: Any) -> RecordedLine:
        wanted.update(options, chip=chip)
        return line

    monkeypatch.setattr(gpiod, "request_lines", request)
    hook = gpio.GpioInput(
        GpioSettings(line=17, active_low=True),
        lambda active: HookDebouncer(off_hook=active),
        now_ns=lambda: 20_000 * MS,
    )
    hook.open()
    assert wanted["chip"] == "/dev/gpiochip0"
    assert wanted["config"][17].active_low
    assert hook.read(1) + hook.read(1) == [lifted(1000), hung_up(9000)]
    hook.close()
    assert line.released


def test_who_does_not_want_to_wait_never_does(monkeypatch: pytest.MonkeyPatch) -> None:
    line = RecordedLine([(1, 1000, True)])
    monkeypatch.setattr(gpiod, "request_lines", lambda _chip, **_options: line)
    hook = gpio.GpioInput(
        GpioSettings(line=17), lambda active: HookDebouncer(off_hook=active), now_ns=lambda: 1010 * MS
    )
    hook.open()
    assert hook.read(0) + hook.read(0) == []
    assert line.waited_s == [0, 0]


def test_edges_that_the_kernel_dropped_leave_no_wrong_state(monkeypatch: pytest.MonkeyPatch) -> None:
    line = RecordedLine([(1, 1000, True), (9, 9000, True)])
    monkeypatch.setattr(gpiod, "request_lines", lambda _chip, **_options: line)
    hook = gpio.GpioInput(
        GpioSettings(line=17), lambda active: HookDebouncer(off_hook=active), now_ns=lambda: 20_000 * MS
    )
    hook.open()
    assert hook.read(1) + hook.read(1) == [lifted(1000)]


def test_a_chip_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(GpioMissing, match="There is no GPIO chip /dev/gpiochip999") as trouble:
        hook_input(GpioSettings(chip="/dev/gpiochip999", line=17)).open()
    assert "recorded without it" in str(trouble.value)
