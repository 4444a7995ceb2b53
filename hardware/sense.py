"""What the two wires of the line interface tell, as the recorder's own debouncers take it.

Promise: thresholds, edges and delays come from the simulated voltage at the input, and what they mean from the code
that runs on the box (`appliance.recorder.line.hook`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from appliance.recorder.line.hook import HookChange, HookDebouncer, RingDebouncer, RingPulses
from appliance.terms import BLOCK_FRAMES, RATE_HZ
from hardware.bench import HIGH_V, LOW_V, OFF_HOOK_V, ON_HOOK_V, Floats, netlist, ringing
from hardware.circuit import Circuit
from hardware.spice import ask

Edges = list[tuple[float, bool]]
"""Seconds, and whether the input is active (low) from then on."""

_STEP_NS = 1_000_000
_RINGING_S = 0.33
"""Three periods of the slowest that must be told, 16 Hz, and two to settle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """Volts of the line: below `off_hook_v` the input is surely low, above `on_hook_v` surely high.

    least_v: from here on off-hook is told at all.
    """

    least_v: float
    off_hook_v: float
    on_hook_v: float


def hook_threshold(circuit: Circuit, leak_a: float = 0.0) -> Threshold:
    """By a line whose voltage rises slowly from 0 V to 60 V. leak_a: what the processor's input draws, or gives."""
    wires = "V_a a 0 0", "E_b b 0 a 0 -1", f"I_leak hook 0 {leak_a}"
    answer = ask(netlist(circuit, *wires), "dc V_a 0 30 0.1", ["hook"])
    line_v, hook_v = 2 * answer.scale, answer["hook"]
    low = np.flatnonzero(hook_v < LOW_V)
    if not low.size:
        return Threshold(least_v=np.inf, off_hook_v=0.0, on_hook_v=0.0)
    above = np.flatnonzero(hook_v[low[-1] :] > HIGH_V)
    on_hook_v = line_v[low[-1] + above[0]] if above.size else np.inf
    return Threshold(least_v=line_v[low[0]], off_hook_v=line_v[low[-1]], on_hook_v=float(on_hook_v))


def edges(seconds: Floats, volts: Floats) -> Edges:
    """Of an input that keeps its state between low and high."""
    found: Edges = []
    active = False
    for at in np.flatnonzero((volts < LOW_V) | (volts > HIGH_V)):
        now = bool(volts[at] < LOW_V)
        if now != active:
            active = now
            found.append((float(seconds[at]), active))
    return found


def ring_told(circuit: Circuit, volts_rms: float, hz: float, volts_dc: float = ON_HOOK_V) -> bool:
    """Whether the recorder tells a third of a second of this ringing as a ring."""
    return any(ring.on for ring in _in_ringing(circuit, volts_rms, hz, volts_dc)[0])


def ring_seen_as_hook(circuit: Circuit, volts_rms: float, hz: float, volts_dc: float = ON_HOOK_V) -> bool:
    """Whether it takes that ringing for a hook that moves."""
    return bool(_in_ringing(circuit, volts_rms, hz, volts_dc)[1])


def rings_in_dialling(circuit: Circuit) -> int:
    """How many rings it hears when a handset is lifted and a rotary dial sends a nought: ten breaks of 60 ms."""
    off_s = 0.1
    breaks = [(off_s + 0.3 + n * 0.1, off_s + 0.36 + n * 0.1) for n in range(10)]
    changes = [(off_s, OFF_HOOK_V), *(change for at in breaks for change in ((at[0], ON_HOOK_V), (at[1], OFF_HOOK_V)))]
    wires = f"V_a a 0 {steps(ON_HOOK_V, changes, 0.5)}", "E_b b 0 a 0 -1"
    answer = ask(netlist(circuit, *wires), "tran 100u 1.6 0 200u", ["ring"])
    rings, _hooks = debounced(edges(answer.scale, answer["ring"]), [], 1.6)
    return sum(ring.on for ring in rings)


def steps(first_v: float, changes: list[tuple[float, float]], factor: float = 1.0) -> str:
    """A source that jumps, within 10 us, to each voltage at its second."""
    told, now_v = [f"0 {first_v * factor}"], first_v
    for at_s, volts in changes:
        told.append(f"{at_s:.6f} {now_v * factor} {at_s + 1e-5:.6f} {volts * factor}")
        now_v = volts
    return f"PWL({' '.join(told)})"


def _in_ringing(
    circuit: Circuit, volts_rms: float, hz: float, volts_dc: float
) -> tuple[list[RingPulses], list[HookChange]]:
    answer = ask(
        netlist(circuit, *ringing(volts_rms, hz, volts_dc)), f"tran 200u {_RINGING_S} 0 200u", ["ring", "hook"]
    )
    return debounced(edges(answer.scale, answer["ring"]), edges(answer.scale, answer["hook"]), _RINGING_S)


def debounced(ring: Edges, hook: Edges, seconds: float) -> tuple[list[RingPulses], list[HookChange]]:
    """What the recorder would make of it."""
    rings, hooks = RingDebouncer(), HookDebouncer()
    told_rings = [event for at_s, active in ring for event in rings.edge(_ns(at_s), active)]
    told_hooks = [event for at_s, active in hook for event in hooks.edge(_ns(at_s), active)]
    told_rings += rings.until(_ns(seconds))
    told_hooks += hooks.until(_ns(seconds))
    return (
        [event for event in told_rings if isinstance(event, RingPulses)],
        [event for event in told_hooks if isinstance(event, HookChange)],
    )


def off_hook_delay_s(circuit: Circuit) -> float:
    """From the first contact of a hook switch that bounces for 11 ms until the recorder's line knows of it.

    The line looks at its wires once in a block of audio, so that a block is added.
    """
    bounces_ms = (0, 0.4, 0.9, 2.1, 3.0, 5.5, 6.2, 8.8, 11.0)
    lifted_s = 0.05
    contacts = [
        (lifted_s + late_ms / 1000, ON_HOOK_V if count % 2 else OFF_HOOK_V) for count, late_ms in enumerate(bounces_ms)
    ]
    wires = f"V_a a 0 {steps(ON_HOOK_V, contacts, 0.5)}", "E_b b 0 a 0 -1"
    answer = ask(netlist(circuit, *wires), "tran 20u 0.3 0 50u", ["hook"])
    return _first_told_s(edges(answer.scale, answer["hook"])) - lifted_s + BLOCK_FRAMES / RATE_HZ


def _first_told_s(hook: Edges) -> float:
    """When the debouncer is sure that the handset was lifted: asked every millisecond."""
    debouncer = HookDebouncer()
    waiting = list(hook)
    for now_ns in range(0, 1_000_000_000, _STEP_NS):
        told = [event for at_s, active in waiting if _ns(at_s) <= now_ns for event in debouncer.edge(_ns(at_s), active)]
        waiting = [edge for edge in waiting if _ns(edge[0]) > now_ns]
        if any(isinstance(event, HookChange) and event.off_hook for event in [*told, *debouncer.until(now_ns)]):
            return now_ns / 1e9
    return float("inf")


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)
