"""The models keep to the figures of data sheets that their comments name."""

from __future__ import annotations

import numpy as np
import pytest

from hardware.circuit import MODELS_FILE, Part, read_circuit
from hardware.spice import ask

_INCLUDE = f".include {MODELS_FILE}\n"


def volts_at(part: str, amperes: float) -> float:
    """Across a part with two terminals, with a current driven through it."""
    return float(ask(f"{_INCLUDE}I_x 0 p {amperes}\nX_x p 0 {part}", "op", ["p"])["p"][0])


@pytest.mark.parametrize(("breakdown", "polarity"), [(250, 1), (250, -1), (263, 1), (237, -1)])
def test_the_suppressor_breaks_down_and_clamps_as_its_sheet_says(breakdown: float, polarity: int) -> None:
    part = f"suppressor vbr={breakdown}"
    assert 237 <= abs(volts_at(part, 1e-3 * polarity)) <= 263.5
    assert breakdown < abs(volts_at(part, 1.75 * polarity)) <= 344


@pytest.mark.parametrize(("amperes", "most_v"), [(1e-3, 0.715), (10e-3, 0.855), (50e-3, 1.0), (150e-3, 1.25)])
def test_the_diode_pair_clamps_both_ways_as_its_sheet_says(amperes: float, most_v: float) -> None:
    for signed in (amperes, -amperes):
        assert 0.7 * most_v < abs(volts_at("diode_pair", signed)) <= most_v


def test_the_zener_diode_holds_its_voltage_and_conducts_forward() -> None:
    assert 14.25 <= -volts_at("zener", -8.5e-3) <= 15.75
    assert 0.5 < volts_at("zener", 10e-3) < 1.0


def test_the_transistor_has_gain_and_base_voltage_of_its_sheet() -> None:
    for part in ("npn", *(f"npn bf={bf} is={at}" for bf in (420, 800) for at in (3e-15, 8e-14))):
        # The base current is found for 2 mA in the collector at 5 V.
        swept = ask(f"{_INCLUDE}V_c c 0 5\nI_b 0 b 0\nX_x c b 0 {part}", "dc I_b 2u 6u 0.05u", ["b", "i(V_c)"])
        at = int(np.argmin(np.abs(-swept["i(v_c)"] - 2e-3)))
        assert 400 <= 2e-3 / swept.scale[at] <= 900, part
        assert 0.56 <= swept["b"][at] <= 0.72, part


@pytest.mark.parametrize(("vto", "idss"), [(-1, 1e-3), (-2, 2e-3), (-3, 3e-3)])
def test_the_depletion_transistor_conducts_without_a_gate_voltage_and_not_beyond_its_threshold(
    vto: float, idss: float
) -> None:
    netlist = f"{_INCLUDE}V_d d 0 25\nV_g g 0 0\nX_x d g 0 depletion vto={vto} idss={idss}"
    swept = ask(netlist, "dc V_g -4 0 0.5", ["i(V_d)"])
    drain = -swept["i(v_d)"]
    assert drain[-1] == pytest.approx(idss, rel=0.05)
    assert drain[0] < 1e-6


def test_the_coupler_transfers_at_10_ma_and_1_ma_what_its_sheet_says() -> None:
    spread = read_circuit()["U1"].spreads["ctr"]
    ratios = {}
    for ctr in (spread.least, spread.now, spread.most):
        for amperes in (1e-3, 10e-3):
            netlist = f"{_INCLUDE}I_l 0 a {amperes}\nV_c c 0 5\nX_x a 0 c 0 opto ctr={ctr}"
            ratios[ctr, amperes] = -float(ask(netlist, "op", ["i(V_c)"])["i(v_c)"][0]) / amperes
    assert ratios[spread.least, 1e-3] == pytest.approx(0.56, abs=0.01)
    assert ratios[spread.now, 1e-3] == pytest.approx(1.1, abs=0.01)
    assert 1.6 <= ratios[spread.now, 10e-3] <= 3.2
    forward = float(ask(f"{_INCLUDE}I_l 0 a 10m\nV_c c 0 5\nX_x a 0 c 0 opto", "op", ["a"])["a"][0])
    assert 1.0 < forward < 1.65


def _open_circuit(part: Part) -> str:
    told = " ".join(f"{name}={spread.now}" for name, spread in part.spreads.items())
    return f"{_INCLUDE}X_x p 0 s 0 transformer {told}\n"


def test_the_transformer_has_inductance_resistance_and_ratio_of_its_sheet() -> None:
    circuit = _open_circuit(read_circuit()["T1"])
    at_200_hz = ask(f"{circuit}I_x 0 p AC 1\nR_s s 0 1e9", "ac lin 1 200 200", ["p", "s"])
    impedance = at_200_hz["p"][0]
    inductive = 1 / (2 * np.pi * 200 * (1 / impedance).imag)
    assert 2.8 <= abs(inductive) <= 15
    assert 14e3 <= 1 / (1 / impedance).real <= 40e3
    assert abs(at_200_hz["s"][0]) == pytest.approx(abs(impedance), rel=0.02)
    shorted = ask(f"{circuit}I_x 0 p AC 1\nR_s s 0 1u", "ac lin 1 1000 1000", ["p"])["p"][0]
    assert 118 <= shorted.real <= 146
    assert 14e-3 <= shorted.imag / (2 * np.pi * 1000) <= 19e-3


def test_a_telephones_600_ohm_lose_less_through_the_transformer_than_its_sheet_allows() -> None:
    circuit = _open_circuit(read_circuit()["T1"])
    out = ask(f"{circuit}V_x x 0 AC 2\nR_x x p 560\nR_s s 0 560", "ac lin 1 2000 2000", ["s"])["s"][0]
    assert -20 * np.log10(abs(out)) < 1.5
