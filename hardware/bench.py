"""The bench on which the line interface is measured: what is connected to it, and how loud a milliwatt is.

Everything is measured with the electronics earthed, which is the worst case: in a box on a floating supply the barrier
bears less. Logic levels are those of a 3.3 V input of the BCM2711 (at most 0.8 V is low, from 2.0 V on is high).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardware.circuit import Circuit

Floats = NDArray[np.float64]

ON_HOOK_V = 48.0
OFF_HOOK_V = 6.0
LOW_V, HIGH_V = 0.8, 2.0
CODEC_OHM = 20e3
ZERO_DBM_V = float(np.sqrt(0.6))
"""1 mW in 600 ohm."""


def netlist(circuit: Circuit, *sources: str, codec_ohm: float = CODEC_OHM) -> str:
    """The circuit with its supply, a codec and what feeds the line."""
    return "\n".join([circuit.spice(), "V33 v33 0 3.3", f"R_codec out 0 {codec_ohm:g}", *sources])


def held(volts: float, ac: float = 1.0) -> tuple[str, str]:
    """A line without resistance, balanced about earth."""
    return f"V_a a 0 DC {volts / 2} AC {ac / 2}", f"V_b b 0 DC {-volts / 2} AC {-ac / 2}"


def ringing(volts_rms: float, hz: float, volts_dc: float = ON_HOOK_V) -> tuple[str, str]:
    """Ringing voltage on the exchange's battery, balanced about earth."""
    peak = volts_rms * np.sqrt(2) / 2
    return f"V_a a 0 SIN({volts_dc / 2} {peak} {hz})", f"V_b b 0 SIN({-volts_dc / 2} {-peak} {hz})"


def db(ratio: NDArray[Any] | float) -> Floats:
    return np.asarray(20 * np.log10(np.abs(ratio)))
