"""A call as volts between the wires a and b, and what comes out of the line interface for it: sound, hook, ring.

Promises: the sound goes through the interface's simulated response (linear, from ngspice's small signals, then cut
where its clamp and a codec cut); the two inputs come from a simulation of the whole circuit under battery, ringing and
hook.
Levels of the sound are dBm0, 0 dBm0 being 1 mW in 600 ohm.
Leaves to others: whether the linear response is enough (tests/hardware/test_line_call.py compares).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from appliance.recorder.ear.signals import Pcm
from appliance.terms import RATE_HZ
from hardware.bench import OFF_HOOK_V, ON_HOOK_V, ZERO_DBM_V, netlist
from hardware.circuit import Circuit
from hardware.levels import response
from hardware.pages import FULL_SCALE_DBM0, full_scale_v
from hardware.sense import Edges, edges, steps
from hardware.spice import Answer, ask
from tests.simulators.line_tones import Sound, silence

_SLOWEST_HZ = 0.05
_DIODE_V = 0.65

SAMPLE_V = ZERO_DBM_V * np.sqrt(2) * 10 ** (FULL_SCALE_DBM0 / 20) / 32767
"""Volts of a sample value of `key_tones` and `caller_id_tones`, whose full-scale sine is 3.14 dBm0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Burst:
    from_s: float
    to_s: float


@dataclass(slots=True)
class WiredLine:
    """Grows sound by sound. ring_v: RMS."""

    ring_v: float = 75.0
    ring_hz: float = 25.0
    parts: list[Sound] = field(default_factory=list)
    bursts: list[Burst] = field(default_factory=list)
    battery: list[tuple[float, float]] = field(default_factory=list)

    @property
    def at_s(self) -> float:
        return sum(len(part) for part in self.parts) / RATE_HZ

    def wait(self, seconds: float) -> WiredLine:
        self.parts.append(silence(seconds))
        return self

    def hear(self, volts: Sound) -> WiredLine:
        self.parts.append(volts)
        return self

    def ring(self, seconds: float) -> WiredLine:
        self.bursts.append(Burst(from_s=self.at_s, to_s=self.at_s + seconds))
        return self.wait(seconds)

    def lift(self) -> WiredLine:
        self.battery.append((self.at_s, OFF_HOOK_V))
        return self

    def put_down(self) -> WiredLine:
        self.battery.append((self.at_s, ON_HOOK_V))
        return self

    @property
    def volts(self) -> Sound:
        """Between a and b, less the battery of an idle line."""
        whole = np.concatenate(self.parts)
        seconds = np.arange(len(whole)) / RATE_HZ
        wave = self.ring_v * np.sqrt(2) * np.sin(2 * np.pi * self.ring_hz * seconds)
        for burst in self.bursts:
            whole = whole + wave * ((seconds >= burst.from_s) & (seconds < burst.to_s))
        for at_s, volts in self.battery:
            whole = np.where(seconds >= at_s, whole + _change(self.battery, at_s, volts), whole)
        return np.asarray(whole)


def _change(battery: list[tuple[float, float]], at_s: float, volts: float) -> float:
    before = [told for earlier_s, told in battery if earlier_s < at_s]
    return volts - (before[-1] if before else ON_HOOK_V)


def heard(circuit: Circuit, line: WiredLine, hum_dbm0: float = -60.0, noise_dbm0: float = -65.0) -> Pcm:
    """What a codec makes of it whose gain is set as levels.md says."""
    volts = line.volts
    random = np.random.default_rng(34)
    seconds = np.arange(len(volts)) / RATE_HZ
    volts = volts + random.normal(0, _rms(noise_dbm0), len(volts))
    volts += np.sqrt(2) * _rms(hum_dbm0) * np.sin(2 * np.pi * 50 * seconds)
    return coded(circuit, np.clip(filtered(circuit, volts), -_DIODE_V, _DIODE_V))


def heard_without_sound(circuit: Circuit, line: WiredLine, noise_dbm0: float = -65.0) -> Pcm:
    """The same of battery and ringing alone, through the whole circuit with all that is not linear in it."""
    answer = _transient(circuit, line, "125u", ["out"])
    seconds = np.arange(round(line.at_s * RATE_HZ)) / RATE_HZ
    noise = np.random.default_rng(34).normal(0, _rms(noise_dbm0), len(seconds))
    return coded(circuit, np.interp(seconds, answer.scale, answer["out"]) + filtered(circuit, noise))


def coded(circuit: Circuit, volts: Sound) -> Pcm:
    """Volts at the audio pins as samples."""
    share = volts / (np.sqrt(2) * full_scale_v(circuit))
    samples: Pcm = np.rint(np.clip(share, -1, 1) * 32767).astype(np.int16)
    return samples


def filtered(circuit: Circuit, volts: Sound) -> Sound:
    """Through the interface, as small signals go: volts at the codec.

    So many points that what lies between them is a line to 1 in 10^6: else a ring has an echo before it begins.
    """
    told_hz, told = response(circuit, f"dec 800 {_SLOWEST_HZ} {RATE_HZ / 2}")
    hz = np.fft.rfftfreq(2 * len(volts), 1 / RATE_HZ)
    at = np.log10(np.maximum(hz, _SLOWEST_HZ))
    real, imaginary = (np.interp(at, np.log10(told_hz), part) for part in (told.real, told.imag))
    through = (real + 1j * imaginary) * (hz >= _SLOWEST_HZ)
    return np.asarray(np.fft.irfft(np.fft.rfft(volts, 2 * len(volts)) * through)[: len(volts)])


def sensed(circuit: Circuit, line: WiredLine) -> tuple[Edges, Edges]:
    """Edges of the hook's and the ring's input."""
    answer = _transient(circuit, line, "1m", ["hook", "ring"])
    return edges(answer.scale, answer["hook"]), edges(answer.scale, answer["ring"])


def _transient(circuit: Circuit, line: WiredLine, step: str, save: list[str]) -> Answer:
    gate = [change for burst in line.bursts for change in ((burst.from_s, 1.0), (burst.to_s, 0.0))]
    wave = f"(v(dc)+{line.ring_v * np.sqrt(2)}*v(gate)*sin({2 * np.pi * line.ring_hz}*time))"
    wires = (
        f"V_dc dc 0 {steps(ON_HOOK_V, line.battery)}",
        f"V_gate gate 0 {steps(0.0, gate)}",
        f"B_a a 0 V=0.5*{wave}",
        f"B_b b 0 V=-0.5*{wave}",
    )
    return ask(netlist(circuit, *wires), f"tran {step} {line.at_s} 0 {step}", save)


def _rms(dbm0: float) -> float:
    return float(ZERO_DBM_V * 10 ** (dbm0 / 20))
