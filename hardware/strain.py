"""What the worst that a line brings does to each part, and to the codec behind it.

Source: the surge generator of ITU-T K.44 for 10/700 us (20 uF charged, 50 ohm across it, 15 ohm, 0.2 uF, 25 ohm to each
wire), at the 1.5 kV of ITU-T K.21's basic level. Not shown by any of this: sparks across the board, a lightning stroke
that is larger, what many surges do to a part, and heat where air does not move.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from hardware.bench import Floats, netlist, ringing
from hardware.circuit import Circuit, Part
from hardware.spice import Answer, ask


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """sources: what is on the wires. analysis: how long, how finely. lasts: so long that parts become warm."""

    sources: tuple[str, ...]
    analysis: str
    lasts: bool


def _surge(volts: float, *wires: str) -> Event:
    charged = f"C_g g 0 20u ic={volts}\nR_g1 g 0 50\nR_g2 g h 15\nC_h h 0 0.2u ic=0"
    return Event(sources=(charged, *wires), analysis="tran 2u 8m 0 2u uic", lasts=False)


def _rings(volts: float, hz: float, volts_dc: float) -> Event:
    return Event(sources=ringing(volts, hz, volts_dc), analysis="tran 50u 0.2 0 50u", lasts=True)


EVENTS: Mapping[str, Event] = {
    "surge 1.5 kV, a to b": _surge(1500, "R_ga h a 25", "R_gb b 0 1m"),
    "surge 1.5 kV, b to a": _surge(-1500, "R_ga h a 25", "R_gb b 0 1m"),
    "surge 1.5 kV, both wires to earth": _surge(1500, "R_ga h a 25", "R_gb h b 25"),
    "ringing 75 V 25 Hz on 48 V": _rings(75, 25, 48),
    "ringing 90 V 25 Hz on 48 V": _rings(90, 25, 48),
    "ringing 90 V 50 Hz on 60 V": _rings(90, 50, 60),
    "mains 230 V between the wires": Event(
        sources=("V_a a 0 SIN(0 325 50)", "R_b b 0 10"), analysis="tran 50u 0.1 0 50u", lasts=True
    ),
}
SURGES = tuple(name for name in EVENTS if name.startswith("surge"))
RINGING = tuple(name for name in EVENTS if name.startswith("ringing"))
MAINS = "mains 230 V between the wires"


@dataclass(frozen=True, slots=True, kw_only=True)
class Strain:
    """`now` of what `limit` names; the part bears `most`."""

    ref: str
    limit: str
    now: float
    most: float
    event: str

    @property
    def share(self) -> float:
        return self.now / self.most


@dataclass(frozen=True, slots=True, kw_only=True)
class Borne:
    """What one event did. codec_v: the peak at the codec's input, once the event has begun."""

    codec_v: float
    strains: tuple[Strain, ...]


def bear(circuit: Circuit, event_name: str) -> Borne:
    """Let one of EVENTS happen."""
    event = EVENTS[event_name]
    answer = _answer(netlist(circuit, *event.sources), event.analysis)
    return Borne(
        codec_v=float(np.abs(answer["out"]).max()),
        strains=tuple(strain for part in circuit.parts for strain in _strains(part, answer, event_name, event)),
    )


@lru_cache(maxsize=len(EVENTS))
def _answer(question: str, analysis: str) -> Answer:
    """The same event is asked about for the codec, for the parts and for the table."""
    return ask(question, analysis)


def worst(strains: Iterator[Strain] | tuple[Strain, ...]) -> dict[tuple[str, str], Strain]:
    """Of each part and limit the one that is nearest to it."""
    found: dict[tuple[str, str], Strain] = {}
    for strain in strains:
        key = strain.ref, strain.limit
        if key not in found or strain.share > found[key].share:
            found[key] = strain
    return found


def _strains(part: Part, answer: Answer, event_name: str, event: Event) -> Iterator[Strain]:
    volts = answer.across(part.strained)
    amperes = _current(part, volts, answer)
    for limit, most in part.limits.items():
        if limit == "heat" and not event.lasts:
            continue
        now = _borne(limit, volts, amperes, answer.scale)
        yield Strain(ref=part.ref, limit=limit, now=now, most=most, event=event_name)


def _current(part: Part, volts: Floats, answer: Answer) -> Floats:
    if part.sensed:
        return np.asarray(answer[f"i(v_{part.ref})"])
    return volts / part.value if part.model == "resistor" else np.zeros_like(volts)


def _borne(limit: str, volts: Floats, amperes: Floats, time: Floats) -> float:
    match limit:
        case "volt":
            return float(np.abs(volts).max())
        case "reverse":
            return float(max(0.0, (-volts).max()))
        case "ampere":
            return float(np.abs(amperes).max())
        case "watt":
            return float(np.abs(volts * amperes).max())
        case "joule":
            return float(np.trapezoid(np.abs(volts * amperes), time))
        case "heat":
            return float(np.trapezoid(np.abs(volts * amperes), time) / time[-1])
    raise ValueError(f"no such limit: {limit}")
