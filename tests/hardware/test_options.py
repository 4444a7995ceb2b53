"""What is not needed for recording: an announcement onto the line, and the two sides of a handset."""

from __future__ import annotations

import numpy as np
import pytest

from hardware import levels, strain
from hardware.bench import ON_HOOK_V, db, held, netlist
from hardware.circuit import Circuit, read_circuit
from hardware.spice import ask

_CODEC_OUT = "R_speak speak 0 1"


@pytest.fixture
def speaking() -> Circuit:
    return read_circuit(["injection"]).with_parameter("K1", "closed", 1)


def test_an_announcement_is_as_loud_on_the_line_as_the_level_plan_says(speaking: Circuit) -> None:
    assert -19 < levels.injected_dbm0(speaking) < -15


def test_the_line_loses_little_while_an_announcement_is_played_and_nothing_otherwise(speaking: Circuit) -> None:
    assert 0.3 < levels.insertion_loss_db(speaking, _CODEC_OUT) < 1.7
    assert levels.insertion_loss_db(read_circuit(["injection"]), _CODEC_OUT) < 0.2


def test_the_injection_path_passes_no_direct_current(speaking: Circuit) -> None:
    current = ask(netlist(speaking, *held(ON_HOOK_V), _CODEC_OUT), "op", ["i(V_a)"])["i(v_a)"][0]
    assert ON_HOOK_V / -current > 1e6


@pytest.mark.parametrize("event", strain.EVENTS)
def test_the_injection_path_stays_within_its_ratings(event: str) -> None:
    nearest = max(strain.bear(read_circuit(["injection"]), event).strains, key=lambda found: found.share)
    assert nearest.share < 1, nearest


def test_the_relay_of_the_announcement_would_not_bear_a_surge_without_the_clamp() -> None:
    circuit = read_circuit(["injection"]).without("D1")
    borne = strain.worst(strain.bear(circuit, strain.SURGES[0]).strains)
    assert borne["K1", "volt"].share > 1


def test_both_sides_of_a_handset_are_heard_evenly_and_apart() -> None:
    handset = read_circuit(["handset"])
    wires = ("V_e ear hs AC 1", "V_m mouth hs AC 0", "R_hs hs 0 1e6", "R_1 far 0 20k", "R_2 near 0 20k", *held(8, 0))
    answer = ask(netlist(handset, *wires), "ac lin 60 300 3400", ["far", "near"])
    far, near = db(answer["far"]), db(answer["near"])
    assert np.ptp(far) < 1.5
    assert -13 < far.mean() < -9
    assert (far - near).min() > 40
