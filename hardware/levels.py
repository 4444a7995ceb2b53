"""How loud the line is at the codec, and how little of the interface the line feels: answers of small signals.

Sources of what is connected: complex impedance of TBR 21 and ES 203 021 (270 ohm, then 750 ohm with 150 nF across it);
longitudinal conversion as in ITU-T O.9.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hardware.bench import OFF_HOOK_V, ON_HOOK_V, ZERO_DBM_V, Floats, db, held, netlist, ringing
from hardware.circuit import Circuit
from hardware.spice import ask

_BAND = "lin 125 300 3400"
_LONGITUDINAL = "V_l l 0 AC 1\nR_la l a 300\nR_lb l b 300"

LINE_IMPEDANCES = {
    "600 ohm": "R_{0} {1} {2} 600",
    "TBR 21": "R1_{0} {1} m_{0} 270\nR2_{0} m_{0} {2} 750\nC2_{0} m_{0} {2} 150n",
}


def response(circuit: Circuit, points: str, volts: float = OFF_HOOK_V) -> tuple[Floats, NDArray[np.complex128]]:
    """Hertz, and the codec's voltage over the line's. points: as of .ac. volts: of the line."""
    answer = ask(netlist(circuit, *held(volts)), f"ac {points}", ["out"])
    return answer.scale.real, answer["out"]


def gain_db(circuit: Circuit, hz: float = 1000.0) -> float:
    return float(db(response(circuit, f"lin 1 {hz} {hz}")[1])[0])


def ripple_db(circuit: Circuit) -> tuple[float, float]:
    """From 300 Hz to 3400 Hz, on and off the hook, against 1 kHz: the least and the most."""
    at_1_khz = gain_db(circuit)
    both = [db(response(circuit, _BAND, volts)[1]) - at_1_khz for volts in (ON_HOOK_V, OFF_HOOK_V)]
    return min(float(band.min()) for band in both), max(float(band.max()) for band in both)


def hum_db(circuit: Circuit, hz: float = 50.0) -> float:
    """Of hum between the wires, against 1 kHz."""
    return gain_db(circuit, hz) - gain_db(circuit)


def longitudinal_hum_db(circuit: Circuit, hz: float = 50.0) -> float:
    """Of hum on both wires alike, as most hum is: at the codec, against 1 kHz between the wires."""
    out = ask(netlist(circuit, _LONGITUDINAL), f"ac lin 1 {hz} {hz}", ["out"])["out"]
    return float(db(out)[0]) - gain_db(circuit)


def balance_db(circuit: Circuit) -> float:
    """Longitudinal conversion loss, the least from 50 Hz to 3400 Hz."""
    answer = ask(netlist(circuit, _LONGITUDINAL), "ac lin 68 50 3400", ["a", "b"])
    return float((-db(answer.across(("a", "b")))).min())


def insertion_loss_db(circuit: Circuit, *sources: str) -> float:
    """What the far end loses by the tap: the most from 300 Hz to 3400 Hz, at both impedances, on and off the hook.

    sources: what else is connected.
    """
    cases = ((volts, impedance) for volts in (ON_HOOK_V, OFF_HOOK_V) for impedance in LINE_IMPEDANCES)
    return max(_insertion_loss_db(circuit, sources, *case) for case in cases)


def _insertion_loss_db(circuit: Circuit, sources: tuple[str, ...], volts: float, impedance: str) -> float:
    # Coils that no sound passes bring the direct voltage; capacitors that all sound passes keep it off the rest.
    feed = f"V_da da 0 {volts / 2}\nL_a da a 100k\nV_db db 0 {-volts / 2}\nL_b db b 100k\nC_a x a 1\nC_b y b 1"
    near = LINE_IMPEDANCES[impedance].format("near", "s", "x") + "\nV_s s y AC 1\nR_y y 0 1"
    far = LINE_IMPEDANCES[impedance].format("far", "x", "y")
    loaded = ask(netlist(circuit, *sources, feed, near, far), f"ac {_BAND}", ["x", "y"]).across(("x", "y"))
    bare = ask(f"{near}\n{far}", f"ac {_BAND}", ["x", "y"]).across(("x", "y"))
    return float((db(bare) - db(loaded)).max())


def direct_resistance_ohm(circuit: Circuit, volts: float = ON_HOOK_V) -> float:
    answer = ask(netlist(circuit, *held(volts)), "op", ["i(V_a)"])
    return volts / float(-answer["i(v_a)"][0])


def ringing_load_ohm(circuit: Circuit, hz: float = 25.0) -> float:
    """What the ringing generator sees of it at 75 V: volts by amperes, both RMS."""
    answer = ask(netlist(circuit, *ringing(75, hz)), "tran 50u 0.4", ["a", "i(V_a)"])
    time = np.linspace(0.2, 0.4, 4000)
    return 75.0 / float(np.std(np.interp(time, answer.scale, answer["i(v_a)"])))


def injected_dbm0(circuit: Circuit, volts: float = 1.0) -> float:
    """With the option `injection`, its relay closed: what 1 kHz of so many volts RMS at `speak` is on the line."""
    speaking = circuit.with_parameter("K1", "closed", 1)
    # The exchange's and the telephone's 600 ohm side by side are 300 ohm, here half in each wire.
    line = f"V_x x 0 {OFF_HOOK_V / 2}\nR_x x a 150\nV_y y 0 {-OFF_HOOK_V / 2}\nR_y y b 150"
    answer = ask(netlist(speaking, line, f"V_s speak 0 AC {volts}"), "ac lin 1 1000 1000", ["a", "b"])
    return float(db(answer.across(("a", "b")) / ZERO_DBM_V)[0])
