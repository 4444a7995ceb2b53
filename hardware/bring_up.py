"""What a builder must measure on the bench before a line is connected: the table in the bring-up guide.

Promise: each expected value is the span of the simulation over tolerances, widened by a tenth for the instrument. The
guide is written by hand around it, between two marks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from hardware import sense
from hardware.bench import HIGH_V, LOW_V, ZERO_DBM_V, held, netlist
from hardware.circuit import Circuit, read_circuit
from hardware.figures import draws
from hardware.pages import short
from hardware.spice import ask

_BEGIN, _END = "<!-- made by `make hardware` -->\n", "<!-- until here -->"

_POINT = re.compile(r"(?<=\d)\.(?=\d)")
"""Of a number, for which German has a comma."""

_ON_HOOK_FROM_V = 30
"""No build has its threshold so high (figures.md)."""

_METER_OHM = 10e6
"""Of a usual multimeter: no codec hangs on the bench."""

_WORDS = {
    "en": ("between a and b", "measure", "expect", "current", "`hook` pin", "`ring` pin", "`out` pin"),
    "de": ("zwischen a und b", "messen", "erwarten", "Strom", "Stift `hook`", "Stift `ring`", "Stift `out`"),
}
_PULSES = {"en": "pulses, {hz} a second", "de": "Impulse, {hz} in der Sekunde"}
_QUIET = {"en": "stays above {volts:g} V", "de": "bleibt über {volts:g} V"}
_LOW = {"en": "below {volts:g} V", "de": "unter {volts:g} V"}
_HIGH = {"en": "above {volts:g} V", "de": "über {volts:g} V"}


def with_table(guide: Path, language: str) -> str:
    """The guide with its table made anew."""
    before, rest = guide.read_text("utf-8").split(_BEGIN)
    return before + _BEGIN + bench_table(language) + _END + rest.split(_END)[1]


def bench_table(language: str) -> str:
    between, measure, expect, current, hook, ring, out = _WORDS[language]
    bench = _measured()
    rows = [f"| {between} | {measure} | {expect} |", "|---|---|---|"]
    for volts, milliamperes in bench.milliamperes.items():
        rows.append(f"| {volts} V = | {current} | {_span(milliamperes)} mA |")
        told = _HIGH[language].format(volts=HIGH_V) if volts > _ON_HOOK_FROM_V else _LOW[language].format(volts=LOW_V)
        rows.append(f"| | {hook} | {told} |")
    for hz, millivolts in bench.millivolts.items():
        rows.append(f"| {1000 * ZERO_DBM_V:.0f} mV, {hz} Hz | {out} | {_span(millivolts)} mV |")
    rows.append(f"| 24 V, 50 Hz | {ring} | {_PULSES[language].format(hz=50)} |")
    rows.append(f"| 5 V, 50 Hz | {ring} | {_QUIET[language].format(volts=HIGH_V)} |")
    table = "\n".join(rows) + "\n"
    return _POINT.sub(",", table) if language == "de" else table


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bench:
    """By direct voltage, and by frequency at 1 mW: what every build of a dozen shows."""

    milliamperes: dict[int, list[float]]
    millivolts: dict[int, list[float]]


@cache
def _measured() -> _Bench:
    """Raises ValueError if the inputs do not tell the same in every build."""
    built = list(draws(read_circuit(), 12, seed=77))
    milliamperes = {}
    for volts in (48, 36, 15, 8):
        found = [_at(circuit, volts) for circuit in built]
        if not all(pin > HIGH_V if volts > _ON_HOOK_FROM_V else pin < LOW_V for _, pin in found):
            raise ValueError(f"the hook pin at {volts} V is neither low nor high in every build")
        milliamperes[volts] = [1000 * amperes for amperes, _ in found]
    millivolts = {hz: [1000 * ZERO_DBM_V * _gain(circuit, hz) for circuit in built] for hz in (1000, 300, 3400, 50)}
    # 24 V from a bell transformer is the weakest ring that one has at hand; 5 V is louder than any voice.
    if not all(sense.ring_told(circuit, 24, 50, 0) for circuit in built[:3]):
        raise ValueError("24 V, 50 Hz is not told as a ring in every build")
    if any(sense.ring_told(circuit, 5, 50, 0) for circuit in built[:3]):
        raise ValueError("5 V, 50 Hz is told as a ring")
    return _Bench(milliamperes=milliamperes, millivolts=millivolts)


def _at(circuit: Circuit, volts: float) -> tuple[float, float]:
    """Amperes, and volts of the hook pin."""
    answer = ask(netlist(circuit, *held(volts)), "op", ["hook", "i(V_a)"])
    return float(-answer["i(v_a)"][0]), float(answer["hook"][0])


def _gain(circuit: Circuit, hz: float) -> float:
    """From a line that has no battery to a meter at the audio pins."""
    bench = netlist(circuit, *held(0), codec_ohm=_METER_OHM)
    return float(abs(ask(bench, f"ac lin 1 {hz} {hz}", ["out"])["out"][0]))


def _span(values: list[float]) -> str:
    return f"{short(0.9 * min(values))} … {short(1.1 * max(values))}"
