"""The lamp says what the line does, and a press of the button reaches the call that it meant, or nothing."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import gpiod
import pytest
import structlog

from appliance.boundary.verbs import LineNow
from appliance.recorder.device.gpio import GpioMissing, GpioOutput, button_input, case_input, relay_output
from appliance.recorder.line_board import LineBoard
from appliance.recorder.panel.button import ButtonDebouncer, ButtonEvent, Push
from appliance.recorder.panel.language import LONG_PRESS, RHYTHMS, SHORT_PRESS, Light, light_of
from appliance.recorder.panel.panel import LOOK_EVERY_S, LinePanel, PanelThread
from appliance.settings import GpioSettings
from appliance.terms import LineName, LineNowState, LineTrouble, Order
from tests.system.house import until

MS = 1_000_000
FRONT = LineName("front-desk")
LOG: structlog.stdlib.BoundLogger = structlog.get_logger()
LOOK_MS = round(LOOK_EVERY_S * 1000)


def line_now(state: LineNowState = LineNowState.IDLE, *, started_at_ms: int = 1000, trouble: str = "") -> LineNow:
    return LineNow(line=FRONT, level_dbfs=-60, state=state, started_at_ms=started_at_ms, trouble=trouble)


def pushes(edges: list[tuple[int, bool]], until_ms: int, *, is_down: bool = False) -> list[Push]:
    sense = ButtonDebouncer(is_down=is_down)
    told = [event for at_ms, down in edges for event in sense.edge(at_ms * MS, down)]
    return [event.push for event in told + sense.until(until_ms * MS)]


# what is shown


def test_only_recording_burns_without_a_break_and_no_lamp_is_dark_for_three_seconds() -> None:
    steady = {light for light, rhythm in RHYTHMS.items() if all(rhythm.is_lit(ms) for ms in range(rhythm.period_ms))}
    assert steady == {Light.RECORDING}
    for rhythm in RHYTHMS.values():
        lit = [ms for ms in range(2 * rhythm.period_ms) if rhythm.is_lit(ms)]
        assert max(later - earlier for earlier, later in pairwise(lit)) < 3000
    assert RHYTHMS.keys() == set(Light)


def test_no_flash_is_so_short_that_a_look_could_miss_it() -> None:
    for rhythm in RHYTHMS.values():
        assert all(ends - begins >= 2 * LOOK_MS for begins, ends in rhythm.lit_ms)


@pytest.mark.parametrize(
    ("line", "claimed", "case_open", "light"),
    [
        (line_now(), True, False, Light.READY),
        (line_now(), False, False, Light.UNCLAIMED),
        (line_now(LineNowState.RINGING), True, False, Light.READY),
        (line_now(LineNowState.NOT_RECORDED), True, False, Light.READY),
        (line_now(LineNowState.WAITING), True, True, Light.WAITING),
        (line_now(LineNowState.PAUSED), False, False, Light.PAUSED),
        (line_now(trouble="No sound."), False, False, Light.FAULT),
        (line_now(), False, True, Light.FAULT),
        (line_now(LineNowState.NOT_RECORDED, trouble="No key."), True, False, Light.FAULT),
        (line_now(LineNowState.RECORDING, trouble="It hums."), False, True, Light.RECORDING),
    ],
)
def test_lamp_says_what_matters_most(line: LineNow, *, claimed: bool, case_open: bool, light: Light) -> None:
    assert light_of(line, claimed=claimed, case_open=case_open) is light


# what is pressed


def test_a_bouncing_button_is_pressed_once() -> None:
    down = [(1000, True), (1004, False), (1006, True), (1020, False), (1021, True)]
    up = [(1400, False), (1403, True), (1405, False)]
    assert pushes(down + up, 2000) == [Push.DOWN, Push.SHORT]


@pytest.mark.parametrize(
    ("held_ms", "told"),
    [
        (20, []),
        (31, [Push.DOWN, Push.SHORT]),
        (1000, [Push.DOWN, Push.SHORT]),
        (1001, [Push.DOWN]),
        (2999, [Push.DOWN]),
        (3001, [Push.DOWN, Push.LONG]),
        (9000, [Push.DOWN, Push.LONG]),
    ],
)
def test_how_long_a_button_is_held_says_what_it_means(held_ms: int, told: list[Push]) -> None:
    assert pushes([(500, True), (500 + held_ms, False)], 20_000) == told


def test_a_long_press_acts_while_the_button_is_still_down() -> None:
    assert pushes([(500, True)], 3499) == [Push.DOWN]
    assert pushes([(500, True)], 3500) == [Push.DOWN, Push.LONG]


def test_a_button_that_is_jammed_at_the_start_says_nothing_until_it_was_up() -> None:
    assert pushes([], 10_000, is_down=True) == []
    assert pushes([(4000, False), (6000, True), (6300, False)], 9000, is_down=True) == [Push.DOWN, Push.SHORT]


# both together


class ShownLamp:
    """A lamp that remembers; `gone` takes it away."""

    def __init__(self) -> None:
        self.lit: list[bool] = []
        self.opened = 0
        self.gone = False

    def open(self) -> None:
        self.opened += 1
        self._must_be_there()

    def switch(self, *, on: bool) -> None:
        self._must_be_there()
        self.lit.append(on)

    def close(self) -> None:
        pass

    def _must_be_there(self) -> None:
        if self.gone:
            raise LineTrouble("The lamp is gone.")


class PushedButton:
    """A button that is pressed by hand, through the product's own debouncer."""

    def __init__(self) -> None:
        self.ms = 0
        self._edges: list[tuple[int, bool]] = []
        self._sense = ButtonDebouncer()

    def press(self, at_ms: int, for_ms: int) -> None:
        self._edges += [(at_ms, True), (at_ms + for_ms, False)]

    def open(self) -> None:
        pass

    def read(self, timeout_s: float) -> list[ButtonEvent]:
        assert timeout_s == 0
        told = []
        while self._edges and self._edges[0][0] <= self.ms:
            at_ms, down = self._edges.pop(0)
            told += self._sense.edge(at_ms * MS, down)
        return told + self._sense.until(self.ms * MS)

    def close(self) -> None:
        pass


class Desk:
    """A line's panel, looked at every 50 ms."""

    def __init__(self) -> None:
        self.lamp, self.button = ShownLamp(), PushedButton()
        self.line = line_now()
        self.orders: list[tuple[LineName, int, Order]] = []
        self._panel = LinePanel(
            FRONT, lamp=self.lamp, button=self.button, give_order=lambda *order: self.orders.append(order), log=LOG
        )
        self.thread = PanelThread([self._panel], self._look, lambda: True, log=LOG, now_ms=lambda: self.button.ms)
        self.faults = 0

    def _look(self, _line: LineName) -> LineNow:
        if self.faults:
            self.faults -= 1
            raise RuntimeError("a fault")
        return self.line

    def until(self, ms: int) -> None:
        while self.button.ms < ms:
            self.button.ms += LOOK_MS
            self.thread.look_once()


@pytest.mark.parametrize("state", LineNowState)
@pytest.mark.parametrize(("for_ms", "meant"), [(300, SHORT_PRESS), (2000, {}), (3500, LONG_PRESS)])
def test_press_gives_the_order_of_the_table_to_the_call_on_the_line(
    state: LineNowState, for_ms: int, meant: dict[LineNowState, Order]
) -> None:
    desk = Desk()
    desk.line = line_now(state, started_at_ms=4711)
    desk.button.press(1000, for_ms)
    desk.until(6000)
    assert desk.orders == ([(FRONT, 4711, meant[state])] if state in meant else [])


@pytest.mark.parametrize(
    "meanwhile", [line_now(LineNowState.RECORDING), line_now(LineNowState.WAITING, started_at_ms=2000), line_now()]
)
def test_press_means_nothing_if_the_line_does_something_else_by_the_time_it_is_over(meanwhile: LineNow) -> None:
    desk = Desk()
    desk.line = line_now(LineNowState.WAITING)
    desk.button.press(1000, 400)
    desk.until(1200)
    desk.line = meanwhile
    desk.until(3000)
    assert desk.orders == []


def test_lamp_follows_the_line_and_is_set_only_when_it_changes() -> None:
    desk = Desk()
    desk.line = line_now(LineNowState.RECORDING)
    desk.until(5000)
    assert desk.lamp.lit == [True]
    desk.line = line_now()
    desk.until(8000)
    assert desk.lamp.lit[:4] == [True, False, True, False]


def test_lamp_that_is_gone_is_tried_again_twice_a_minute_and_the_button_goes_on() -> None:
    desk = Desk()
    desk.lamp.gone = True
    desk.line = line_now(LineNowState.RECORDING)
    desk.button.press(1000, 300)
    desk.until(29_000)
    assert (desk.lamp.opened, len(desk.orders)) == (1, 1)
    desk.lamp.gone = False
    desk.until(31_000)
    assert (desk.lamp.opened, desk.lamp.lit) == (2, [True])


def test_a_fault_does_not_end_the_panel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.recorder.panel.panel._AFTER_FAULT_S", 0)
    desk = Desk()
    desk.line = line_now(LineNowState.RECORDING)
    desk.faults = 1
    desk.thread.start()
    until(lambda: desk.lamp.lit == [True])
    desk.thread.stop()
    assert desk.faults == 0


def test_panel_that_ends_leaves_the_lamp_dark() -> None:
    desk = Desk()
    desk.line = line_now(LineNowState.RECORDING)
    desk.until(200)
    desk.thread.start()
    desk.thread.stop()
    assert desk.lamp.lit[-1] is False


def test_a_look_at_the_board_does_not_take_the_loudest_level_from_the_heartbeat() -> None:
    board = LineBoard([FRONT])
    board.show_level(FRONT, -20)
    board.look(FRONT)
    board.show_level(FRONT, -50)
    assert board.read()[0].level_dbfs == -20


# GPIO, with libgpiod's own types and a request of ours: this machine has no GPIO line


class _Request:
    def __init__(self) -> None:
        self.values: list[gpiod.line.Value] = []

    def set_value(self, line: int | str, value: gpiod.line.Value) -> None:
        assert line == "LINEKEEP_LAMP1"
        self.values.append(value)

    def release(self) -> None:
        self.values.append(gpiod.line.Value.INACTIVE)


def test_lamp_is_asked_for_by_its_name_dark_and_with_its_polarity(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}
    request = _Request()

    def give(chip: str, **options: Any) -> _Request:
        asked.update(options, chip=chip)
        return request

    monkeypatch.setattr(gpiod, "request_lines", give)
    lamp = GpioOutput(GpioSettings(line="LINEKEEP_LAMP1", active_low=True))
    lamp.open()
    lamp.switch(on=True)
    lamp.close()
    wanted = asked["config"]["LINEKEEP_LAMP1"]
    assert (asked["chip"], wanted.direction, wanted.active_low) == (
        "/dev/gpiochip0",
        gpiod.line.Direction.OUTPUT,
        True,
    )
    assert wanted.output_value is gpiod.line.Value.INACTIVE
    assert request.values == [gpiod.line.Value.ACTIVE, gpiod.line.Value.INACTIVE]


@pytest.mark.parametrize(
    ("part", "name"),
    [(GpioOutput, "lamp"), (button_input, "button"), (relay_output, "relay"), (case_input, "switch of the case")],
)
def test_chip_that_is_not_there_is_named_with_what_to_do(part: Callable[[GpioSettings], Any], name: str) -> None:
    with pytest.raises(GpioMissing, match=f"no GPIO chip /dev/gpiochip99, so the {name} is not used"):
        part(GpioSettings(chip="/dev/gpiochip99", line=3)).open()


# one table for code and people


def test_readme_says_of_lamp_and_button_what_the_code_does() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
    for rhythm in RHYTHMS.values():
        assert f"| {rhythm.looks} | {rhythm.means} |" in readme
    words = {Order.CONFIRM: "consent is confirmed", Order.PAUSE: "pause", Order.RESUME: "resume"}
    states = {LineNowState.WAITING: "waits", LineNowState.RECORDING: "is recorded", LineNowState.PAUSED: "is paused"}
    short = "; ".join(f"{states[state]}: {words[order]}" for state, order in SHORT_PRESS.items())
    assert f"| up to a second | while a call {short} |" in readme
