"""What the line interface promises, each with its name, its limit and the simulation that says whether it holds.

Promise: the table in line-interface/figures.md, the tests and the tests of the tests (a part taken out, a value
multiplied) ask the same questions. Every draw of tolerances has a seed of its own, so that figures repeat.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from hardware import levels, sense, strain
from hardware.circuit import Circuit

TEMPERATURES_C = (-10.0, 60.0)
CODEC_PEAK_V = 1.2
"""Half of a supply of 1.8 V and the 0.3 V that any input bears beyond it: inputs that rest at half their supply, behind
a capacitor, as those of audio codecs do."""

LEAK_A = 5e-6
"""Of an input at 85 degrees Celsius, as the data sheet of the Compute Module 3 has it."""

_DRAWS = 60
_FEW_DRAWS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """name: as a test is called. measure: least and most of what it is about. Both must lie within the limits."""

    name: str
    what: str
    unit: str
    measure: Callable[[Circuit], tuple[float, float]]
    at_least: float = -math.inf
    at_most: float = math.inf
    digits: int = 2

    def holds(self, least: float, most: float) -> bool:
        return self.at_least <= least and most <= self.at_most

    @property
    def limit(self) -> str:
        bounds = []
        if self.at_least > -math.inf:
            bounds.append(f"at least {self.at_least:g}")
        if self.at_most < math.inf:
            bounds.append(f"at most {self.at_most:g}")
        return ", ".join(bounds)


def draws(circuit: Circuit, count: int, seed: int) -> Iterator[Circuit]:
    """Any that could be built, at any temperature; the first has all values as they are."""
    random = np.random.default_rng(seed)
    yield circuit
    for _ in range(count - 1):
        yield circuit.drawn(random, TEMPERATURES_C)


def _span(values: Iterator[float] | list[float]) -> tuple[float, float]:
    found = list(values)
    return min(found), max(found)


def _pass_band(circuit: Circuit) -> tuple[float, float]:
    both = [levels.ripple_db(any_one) for any_one in draws(circuit, _FEW_DRAWS, seed=300)]
    return min(low for low, _ in both), max(high for _, high in both)


def _level(circuit: Circuit) -> tuple[float, float]:
    return _span(levels.gain_db(any_one) for any_one in draws(circuit, _FEW_DRAWS, seed=1000))


def _hum(circuit: Circuit) -> tuple[float, float]:
    return _span(levels.hum_db(any_one) for any_one in draws(circuit, _FEW_DRAWS, seed=50))


def _longitudinal_hum(circuit: Circuit) -> tuple[float, float]:
    return _span(levels.longitudinal_hum_db(any_one) for any_one in draws(circuit, _FEW_DRAWS, seed=51))


def _balance(circuit: Circuit) -> tuple[float, float]:
    return _span(levels.balance_db(any_one) for any_one in draws(circuit, _FEW_DRAWS, seed=9))


def _insertion_loss(circuit: Circuit) -> tuple[float, float]:
    return _span(levels.insertion_loss_db(any_one) for any_one in draws(circuit, _FEW_DRAWS, seed=21))


def _direct_resistance(circuit: Circuit) -> tuple[float, float]:
    voltages = (42.0, 48.0, 60.0)
    found = [
        levels.direct_resistance_ohm(any_one, volts) / 1e6
        for any_one in draws(circuit, _FEW_DRAWS, seed=1)
        for volts in voltages
    ]
    return _span(found)


def _hook_threshold(circuit: Circuit) -> tuple[float, float]:
    found = [sense.hook_threshold(any_one) for any_one in draws(circuit, _DRAWS, seed=15)]
    return min(one.off_hook_v for one in found), max(one.on_hook_v for one in found)


def _hook_corners(circuit: Circuit) -> tuple[float, float]:
    """All that lowers the threshold at its limit at once, and all that raises it; the input leaks either way."""
    found = [
        sense.hook_threshold(cornered, leak_a)
        for cornered in (_hook_corner(circuit, low=True), _hook_corner(circuit, low=False))
        for leak_a in (-LEAK_A, LEAK_A)
    ]
    return min(one.off_hook_v for one in found), max(one.on_hook_v for one in found)


def _hook_corner(circuit: Circuit, *, low: bool) -> Circuit:
    """low: Q1 conducts early, since it is hot and of the leaky kind, and its divider high; the coupler is weak."""
    sign = -1 if low else 1
    saturation, gain = circuit["Q1"].spreads["is"], circuit["Q1"].spreads["bf"]
    ratio, current = circuit["U1"].spreads["ctr"], circuit["Q3"].spreads["idss"]
    changed = circuit.with_value("R10", 1 + sign * circuit["R10"].tolerance)
    changed = changed.with_value("R11", 1 - sign * circuit["R11"].tolerance)
    changed = changed.with_value("R13", 1 - sign * circuit["R13"].tolerance)
    changed = changed.with_parameter("Q1", "is", saturation.most if low else saturation.least)
    changed = changed.with_parameter("Q1", "bf", gain.most if low else gain.least)
    changed = changed.with_parameter("U1", "ctr", ratio.least if low else ratio.most)
    changed = changed.with_parameter("U1", "keeps", circuit["U1"].spreads["keeps"].least if low else 1)
    changed = changed.with_parameter("Q3", "idss", current.least if low else current.most)
    changed = changed.with_parameter("Q3", "vto", -1 if low else -3)
    return replace(changed, temperature_c=TEMPERATURES_C[1] if low else TEMPERATURES_C[0])


def _off_hook_from(circuit: Circuit) -> tuple[float, float]:
    return _span(sense.hook_threshold(any_one).least_v for any_one in draws(circuit, _FEW_DRAWS, seed=16))


RINGS = ((25.0, 20.0, 48.0), (25.0, 25.0, 48.0), (25.0, 60.0, 48.0), (25.0, 25.0, 0.0))
"""Volts RMS, Hz, and the direct voltage beneath."""


def _rings_missed(circuit: Circuit) -> tuple[float, float]:
    any_ones = list(draws(circuit, 3, seed=25))
    missed = sum(not sense.ring_told(any_one, *ring) for any_one in any_ones for ring in RINGS)
    return missed, missed


def _false_rings(circuit: Circuit) -> tuple[float, float]:
    told = sense.rings_in_dialling(circuit)
    return told, told


def _false_hooks(circuit: Circuit) -> tuple[float, float]:
    rings = ((25.0, 20.0, 48.0), (90.0, 25.0, 48.0), (90.0, 50.0, 60.0), (75.0, 16.0, 24.0))
    told = sum(sense.ring_seen_as_hook(circuit, *ring) for ring in rings)
    return told, told


def _off_hook_delay(circuit: Circuit) -> tuple[float, float]:
    return _span(1000 * sense.off_hook_delay_s(any_one) for any_one in draws(circuit, 3, seed=200))


def _codec_peak(events: tuple[str, ...]) -> Callable[[Circuit], tuple[float, float]]:
    return lambda circuit: (0.0, max(strain.bear(circuit, event).codec_v for event in events))


def _largest_share(events: tuple[str, ...]) -> Callable[[Circuit], tuple[float, float]]:
    def measure(circuit: Circuit) -> tuple[float, float]:
        shares = [each.share for event in events for each in strain.bear(circuit, event).strains]
        return 0.0, 100 * max(shares)

    return measure


PROMISES = (
    Promise(
        name="pass_band",
        what="300 Hz to 3400 Hz against 1 kHz, on and off the hook, any build",
        unit="dB",
        measure=_pass_band,
        at_least=-1.5,
        at_most=1.5,
    ),
    Promise(
        name="level",
        what="line to codec input, 1 kHz, any build",
        unit="dB",
        measure=_level,
        at_least=-27.6,
        at_most=-25.6,
        digits=1,
    ),
    Promise(
        name="hum_between_the_wires",
        what="50 Hz between the wires, against 1 kHz, any build",
        unit="dB",
        measure=_hum,
        at_most=-12,
        digits=1,
    ),
    Promise(
        name="hum_on_both_wires",
        what="50 Hz on both wires alike, against 1 kHz between them, any build",
        unit="dB",
        measure=_longitudinal_hum,
        at_most=-70,
        digits=0,
    ),
    Promise(
        name="longitudinal_balance",
        what="longitudinal conversion loss, 50 Hz to 3400 Hz, any build",
        unit="dB",
        measure=_balance,
        at_least=60,
        digits=0,
    ),
    Promise(
        name="insertion_loss",
        what="loss on the line, 300 Hz to 3400 Hz, 600 ohm and TBR 21, any build",
        unit="dB",
        measure=_insertion_loss,
        at_most=0.2,
        digits=3,
    ),
    Promise(
        name="on_hook_resistance",
        what="direct resistance on-hook, 42 V to 60 V, any build",
        unit="Mohm",
        measure=_direct_resistance,
        at_least=1,
    ),
    Promise(
        name="ringing_load",
        what="load on the ringing generator, 25 Hz",
        unit="kohm",
        measure=lambda circuit: 2 * (levels.ringing_load_ohm(circuit) / 1000,),
        at_least=20,
        digits=1,
    ),
    Promise(
        name="hook_threshold",
        what=f"voltage between off-hook and on-hook, {_DRAWS} builds, -10 to 60 degrees C",
        unit="V",
        measure=_hook_threshold,
        at_least=15,
        at_most=40,
        digits=1,
    ),
    Promise(
        name="hook_threshold_at_the_corners",
        what="the same with everything at its limit at once, and 5 uA of leakage at the input",
        unit="V",
        measure=_hook_corners,
        at_least=15,
        at_most=40,
        digits=1,
    ),
    Promise(
        name="off_hook_from",
        what="off-hook is told from this line voltage on, any build",
        unit="V",
        measure=_off_hook_from,
        at_most=4,
        digits=1,
    ),
    Promise(
        name="off_hook_delay",
        what="off-hook told, with bouncing, the recorder's debouncer and one block of audio",
        unit="ms",
        measure=_off_hook_delay,
        at_most=200,
        digits=0,
    ),
    Promise(
        name="ring_detect",
        what="of 25 V ringing, 20 Hz to 60 Hz, with and without battery, 3 builds: not told",
        unit="rings",
        measure=_rings_missed,
        at_most=0,
        digits=0,
    ),
    Promise(
        name="no_false_ring",
        what="dial pulses and the lifting of a handset: told as a ring",
        unit="rings",
        measure=_false_rings,
        at_most=0,
        digits=0,
    ),
    Promise(
        name="no_false_hook",
        what="ringing of 25 V to 90 V, 16 Hz to 50 Hz: told as a hook",
        unit="hooks",
        measure=_false_hooks,
        at_most=0,
        digits=0,
    ),
    Promise(
        name="codec_in_a_surge",
        what="codec input in a surge of 1.5 kV 10/700 us, across and to earth",
        unit="V peak",
        measure=_codec_peak(strain.SURGES),
        at_most=CODEC_PEAK_V,
    ),
    Promise(
        name="codec_in_ringing",
        what="codec input in ringing, 75 V and 90 V, and with mains on the line",
        unit="V peak",
        measure=_codec_peak((*strain.RINGING, strain.MAINS)),
        at_most=CODEC_PEAK_V,
    ),
    Promise(
        name="ratings_in_a_surge",
        what="the part nearest to its rating in a surge",
        unit="% of it",
        measure=_largest_share(strain.SURGES),
        at_most=100,
        digits=0,
    ),
    Promise(
        name="ratings_in_ringing",
        what="the part nearest to its rating in ringing",
        unit="% of it",
        measure=_largest_share(strain.RINGING),
        at_most=100,
        digits=0,
    ),
    Promise(
        name="ratings_with_mains",
        what="the part nearest to its rating with 230 V mains between the wires, for ever",
        unit="% of it",
        measure=_largest_share((strain.MAINS,)),
        at_most=100,
        digits=0,
    ),
)


def promise(name: str) -> Promise:
    return next(one for one in PROMISES if one.name == name)
