"""One table: what is simulated, drawn and bought is the same circuit."""

from __future__ import annotations

import re

import numpy as np
import pytest

from hardware import drawing
from hardware.circuit import FOLDER, MODELS_FILE, parse, read_circuit, read_table, written
from hardware.pages import MOST_EUR, parts_page, sum_eur
from hardware.wiring import LANGUAGES, MANUAL, named_lines, wiring


def test_the_schematic_joins_what_the_netlist_joins() -> None:
    assert drawing.tap().nets == drawing.nets_of(read_circuit())


def test_the_drawing_of_the_options_joins_what_the_netlist_joins() -> None:
    options = read_circuit(["injection", "handset"])
    only = {part.ref for part in options.parts if part.option}
    assert drawing.options().nets == drawing.nets_of(
        options.without(*(part.ref for part in options.parts if part.ref not in only))
    )


def test_a_wire_that_is_forgotten_in_a_drawing_is_noticed() -> None:
    sheet = drawing.Sheet(read_circuit())
    sheet.two("R1", (0, 4), (2.5, 4))
    sheet.two("C1", (3, 4), (5, 4))
    sheet.wire((2.5, 4), (2.9, 4))
    assert frozenset({("R1", 1), ("C1", 0)}) not in sheet.nets


@pytest.mark.parametrize("name", ["schematic", "options"])
def test_the_drawing_is_made_from_the_parts(name: str) -> None:
    sheet = drawing.tap() if name == "schematic" else drawing.options()
    assert sheet.svg() == (FOLDER / f"{name}.svg").read_text("utf-8"), "run `make hardware`"


def test_the_parts_list_is_made_from_the_parts() -> None:
    assert parts_page() == (FOLDER / "parts.md").read_text("utf-8"), "run `make hardware`"


def test_a_line_costs_less_than_promised() -> None:
    assert 0 < sum_eur() < MOST_EUR


def test_every_part_can_be_bought_from_two_makers_and_all_that_is_bought_is_a_part() -> None:
    table = read_table()
    for row in [*table["buy"].values(), *table["extra"].values()]:
        assert row["first"]
        assert row["second"]
        assert row["first"] != row["second"]
        assert row["eur"] > 0
        assert row["from"]
    assert {row["buy"] for row in table["part"]} == set(table["buy"])


def test_every_model_says_which_figures_it_keeps_to() -> None:
    models = MODELS_FILE.read_text("utf-8")
    used = {row["model"] for row in read_table()["part"]} - {"resistor", "capacitor"}
    assert used <= set(re.findall(r"^\.subckt (\w+)", models, re.MULTILINE))


def test_every_part_that_crosses_the_barrier_isolates() -> None:
    # The electronics' own nodes; each part that touches them and the line must be one of two kinds.
    electronics = {"0", "s1", "out", "hook", "ring", "v33", "speak", "i3", "far", "near"}
    crossing = {
        part.model
        for part in read_circuit(["injection", "handset"]).parts
        if set(part.nodes) & electronics and not set(part.nodes) <= electronics
    }
    assert crossing == {"transformer", "opto"}


def test_values_are_read_as_they_are_written() -> None:
    for part in read_circuit(["injection", "handset"]).parts:
        if part.value:
            assert parse(written(part.value)) == pytest.approx(part.value)
    assert (written(4.7e3), written(9.1e6), written(100e-9), written(220.0)) == ("4.7k", "9.1M", "100n", "220")


def test_a_drawn_circuit_stays_within_its_tolerances_and_the_same_seed_draws_the_same() -> None:
    circuit = read_circuit()
    first, again = (circuit.drawn(np.random.default_rng(7), (-10, 60)) for _ in range(2))
    assert first == again
    assert first != circuit
    for part, drawn in zip(circuit.parts, first.parts, strict=True):
        assert abs(drawn.value - part.value) <= part.tolerance * part.value + 1e-15
        for name, spread in drawn.spreads.items():
            assert spread.least <= spread.now <= spread.most, name


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_wiring_shows_the_lines_that_the_overlay_names(language: str) -> None:
    drawn = wiring(language)
    assert drawn == (MANUAL / f"wiring.{language}.svg").read_text("utf-8"), "run `make hardware`"
    for name in ("hook", "ring", "button", "lamp", "tamper"):
        assert f"GPIO {named_lines()[name]}" in drawn
