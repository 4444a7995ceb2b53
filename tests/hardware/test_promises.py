"""What the line interface promises, simulated; and that each promise can be broken."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from hardware.circuit import FOLDER, Circuit, read_circuit
from hardware.figures import PROMISES, Promise, promise
from hardware.pages import figures_page, levels_page
from hardware.spice import SpiceFailed, ask


@cache
def measured(name: str) -> tuple[float, float]:
    """Asked once, for the promise's own test and for the table."""
    return promise(name).measure(read_circuit())


@pytest.mark.parametrize("name", [one.name for one in PROMISES])
def test_the_line_interface_keeps(name: str) -> None:
    found = measured(name)
    assert promise(name).holds(*found), f"{name}: {found}, {promise(name).limit} {promise(name).unit}"


def test_the_table_of_figures_is_what_the_simulation_says() -> None:
    page = figures_page(lambda one: measured(one.name))
    assert page == (FOLDER / "figures.md").read_text("utf-8"), "run `make hardware`"


def test_the_level_plan_is_what_the_simulation_says() -> None:
    assert levels_page() == (FOLDER / "levels.md").read_text("utf-8"), "run `make hardware`"


def _both(first: str, second: str, factor: float) -> Callable[[Circuit], Circuit]:
    return lambda circuit: circuit.with_value(first, factor).with_value(second, factor)


def _without(ref: str) -> Callable[[Circuit], Circuit]:
    return lambda circuit: circuit.without(ref)


def _value(ref: str, factor: float) -> Callable[[Circuit], Circuit]:
    return lambda circuit: circuit.with_value(ref, factor)


@pytest.mark.parametrize(
    ("broken", "change"),
    [
        pytest.param("hum_between_the_wires", _both("C1", "C2", 10), id="coupling capacitors ten times as large"),
        pytest.param("pass_band", _both("C1", "C2", 0.1), id="coupling capacitors a tenth as large"),
        pytest.param("ratings_in_a_surge", _without("D1"), id="no clamp on the line"),
        pytest.param("codec_in_a_surge", _without("D2"), id="no clamp before the codec"),
        pytest.param("ratings_in_ringing", _without("D6"), id="no clamp across the hook's opto-coupler"),
        pytest.param("ratings_in_ringing", _without("D4"), id="no clamp across the ring's opto-coupler"),
        pytest.param("ratings_in_a_surge", _both("R1", "R2", 0.1), id="surge resistors a tenth as large"),
        pytest.param("ratings_with_mains", _both("R1", "R2", 0.1), id="less before the clamp with mains"),
        pytest.param("insertion_loss", _both("R3", "R4", 0.5), id="tap resistors half as large"),
        pytest.param("insertion_loss", _value("R12", 0.2), id="hook current five times as large"),
        pytest.param("level", _value("R5", 0.5), id="load half as large"),
        pytest.param("on_hook_resistance", _value("R13", 0.5), id="base resistor half as large"),
        pytest.param("hook_threshold", _value("R11", 2), id="hook divider's foot twice as large"),
        pytest.param("hook_threshold", _value("R10", 2), id="hook divider's head twice as large"),
        pytest.param("hook_threshold_at_the_corners", _value("R14", 0.3), id="hook pull-up three times as strong"),
        pytest.param("ring_detect", _value("C6", 0.05), id="ring capacitor a twentieth as large"),
        pytest.param("ringing_load", _value("C6", 10), id="ring capacitor ten times as large"),
    ],
)
def test_a_change_breaks_the_promise_that_is_about_it(broken: str, change: Callable[[Circuit], Circuit]) -> None:
    one: Promise = promise(broken)
    found = one.measure(change(read_circuit()))
    assert not one.holds(*found), f"{broken} is still kept: {found}"


def test_a_netlist_that_is_none_is_told_with_ngspices_words() -> None:
    with pytest.raises(SpiceFailed, match="no answer"):
        ask("R1 a 0 nonsense", "op", ["b"])
