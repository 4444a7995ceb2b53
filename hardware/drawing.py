"""The schematic, drawn part by part; only this file knows schemdraw.

Promise: what is drawn is what is simulated. Every part, wire and label is put down with its coordinates, and from
these alone `Sheet.nets` traces which terminals are joined: a test compares that with the netlist, terminal by terminal.
Labels come from the parts table.

Rule of the drawing: wires join where an end of one lies on an end of another, or on a terminal; what only crosses does
not. Two places with the same name are one node.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import schemdraw
import schemdraw.elements as elm

from hardware.circuit import GROUND, Circuit, Part, read_circuit, read_table

Point = tuple[float, float]
Nets = frozenset[frozenset[tuple[str, int]]]

_RESISTOR = elm.ResistorIEC
_TWO_POLES = {
    "resistor": _RESISTOR,
    "capacitor": elm.Capacitor,
    "suppressor": elm.DiodeTVS,
    "diode": elm.Diode,
    "diode_pair": elm.Diode,
    "zener": elm.Zener,
    "relay": elm.Switch,
}

_SHOWN = {"v33": "3.3 V"}
"""Nodes that the wiring and the pin header call otherwise."""


class Sheet:
    """One drawing of some parts of a circuit."""

    def __init__(self, circuit: Circuit) -> None:
        schemdraw.use("svg")
        self._drawing = schemdraw.Drawing(show=False)
        self._drawing.config(unit=2, fontsize=10, lw=1.2)
        self._circuit = circuit
        self._table = read_table()
        self._joined: dict[Point, Point] = {}
        self._terminals: dict[tuple[str, int], Point] = {}
        self._names: dict[str, Point] = {}

    def two(self, ref: str, start: Point, end: Point, side: str = "right") -> None:
        """A part with two terminals, from the first to the second."""
        part = self._circuit[ref]
        element = _TWO_POLES[part.model]().at(start).to(end)
        self._drawing.add(element.label(self._label(part), loc=_where(start, end, side), fontsize=9))
        self._is_at(ref, 0, start)
        self._is_at(ref, 1, end)

    def again(self, ref: str, start: Point, end: Point) -> None:
        """The second symbol of a part that has two: only for the eye."""
        self._drawing.add(_TWO_POLES[self._circuit[ref].model]().at(start).to(end))

    def many(self, ref: str, element: Any, anchors: Sequence[str], label_at: Point) -> Callable[[str], Point]:
        """A part with more terminals. anchors: schemdraw's names of them, in the model's order."""
        placed = self._drawing.add(element.theta(0))
        self.text(self._label(self._circuit[ref]), label_at)
        for terminal, anchor in enumerate(anchors):
            self._is_at(ref, terminal, _point(placed.absanchors[anchor]))
        return lambda anchor: _point(placed.absanchors[anchor])

    def wire(self, *points: Point) -> None:
        for start, end in pairwise(points):
            self._drawing.add(elm.Line().at(start).to(end))
            self._join(start, end)

    def dot(self, *points: Point) -> None:
        """Only for the eye: that wires are joined is known from their ends."""
        for point in points:
            self._drawing.add(elm.Dot().at(point))

    def port(self, name: str, at: Point, side: str = "left") -> None:
        """A node's name; all places of that name are joined."""
        self._drawing.add(elm.Dot(open=True).at(at).label(_SHOWN.get(name, name), loc=side, fontsize=10))
        self._name(name, at)

    def ground(self, at: Point) -> None:
        self._drawing.add(elm.Ground().at(at))
        self._name(GROUND, at)

    def text(self, text: str, at: Point, size: float = 9) -> None:
        self._drawing.add(elm.Label().at(at).label(text, fontsize=size))

    def barrier(self, x: float, top: float, bottom: float) -> None:
        self._drawing.add(elm.Line().at((x, top)).to((x, bottom)).linestyle("--").color("firebrick"))
        self.text("isolation: 8 mm free of copper", (x, top + 0.5))

    def svg(self) -> str:
        return str(self._drawing.get_imagedata("svg").decode("utf-8"))

    @property
    def nets(self) -> Nets:
        """Which terminals are joined, as drawn."""
        found: dict[Point, set[tuple[str, int]]] = {}
        for terminal, point in self._terminals.items():
            found.setdefault(self._root(point), set()).add(terminal)
        return frozenset(frozenset(net) for net in found.values())

    def _label(self, part: Part) -> str:
        bought = str(self._table["buy"][part.buy]["first"]).split()[-1]
        return f"{part.ref}\n{part.label or bought}"

    def _is_at(self, ref: str, terminal: int, point: Point) -> None:
        self._terminals[ref, terminal] = _rounded(point)

    def _name(self, name: str, at: Point) -> None:
        self._join(self._names.setdefault(name, at), at)

    def _join(self, one: Point, other: Point) -> None:
        self._joined[self._root(one)] = self._root(other)

    def _root(self, point: Point) -> Point:
        point = _rounded(point)
        while self._joined.setdefault(point, point) != point:
            point = self._joined[point]
        return point


def nets_of(circuit: Circuit) -> Nets:
    """The same of the netlist."""
    return frozenset(circuit.nets.values())


def _where(start: Point, end: Point, side: str) -> str:
    """schemdraw's side of a part that lies along an axis: right of it, or above it."""
    upright = start[0] == end[0]
    forward = (end[1] > start[1]) if upright else (end[0] > start[0])
    wanted = {"right": "bottom", "left": "top"} if upright else {"right": "top", "left": "bottom"}
    told = wanted[side]
    return told if forward else {"top": "bottom", "bottom": "top"}[told]


def _point(anchor: Any) -> Point:
    return float(anchor[0]), float(anchor[1])


def _rounded(point: Point) -> Point:
    return round(point[0], 3), round(point[1], 3)


def tap() -> Sheet:
    """The tap: audio above, hook sense in the middle, ring sense below."""
    sheet = Sheet(read_circuit())
    _draw_audio(sheet)
    _draw_hook(sheet)
    _draw_ring(sheet)
    sheet.barrier(17.2, 5, -21)
    return sheet


def _draw_audio(sheet: Sheet) -> None:
    sheet.port("a", (0, 4))
    sheet.port("b", (0, 0))
    sheet.two("R1", (0, 4), (2.5, 4))
    sheet.two("R2", (0, 0), (2.5, 0))
    sheet.wire((2.5, 4), (3.5, 4), (6.5, 4))
    sheet.wire((2.5, 0), (3.5, 0), (6.5, 0))
    sheet.port("a1", (3.5, 4), "top")
    sheet.port("b1", (3.5, 0), "top")
    sheet.two("D1", (4.5, 4), (4.5, 0))
    sheet.wire((3.5, 4), (4.5, 4))
    sheet.wire((3.5, 0), (4.5, 0))
    sheet.dot((4.5, 4), (4.5, 0))
    sheet.two("C1", (6.5, 4), (9, 4))
    sheet.two("C2", (6.5, 0), (9, 0))
    sheet.two("R3", (9, 4), (11.5, 4))
    sheet.two("R4", (9, 0), (11.5, 0))
    at = sheet.many("T1", elm.Transformer(t1=6, t2=6).at((16.7, 0.8)), ("p1", "p2", "s1", "s2"), (15.6, 2))
    sheet.wire((11.5, 4), (at("p1")[0], 4), at("p1"))
    sheet.wire((11.5, 0), (at("p2")[0], 0), at("p2"))
    right = at("s1")[0]
    sheet.wire(at("s1"), (right, 4), (19.5, 4), (21.5, 4), (23.5, 4), (24.5, 4), (25.5, 4))
    sheet.wire(at("s2"), (right, 0), (19.5, 0), (21.5, 0), (23.5, 0), (24.5, 0), (28.5, 0))
    sheet.two("R5", (19.5, 4), (19.5, 0))
    sheet.two("C4", (21.5, 4), (21.5, 0))
    sheet.two("D2", (23.5, 4), (23.5, 0))
    sheet.wire((24.5, 4), (24.5, 3))
    sheet.wire((24.5, 0), (24.5, 1))
    sheet.again("D2", (24.5, 1), (24.5, 3))
    sheet.two("C3", (25.5, 4), (28, 4))
    sheet.two("R6", (28.5, 4), (28.5, 0))
    sheet.wire((28, 4), (28.5, 4), (30, 4))
    sheet.port("out", (30, 4), "right")
    sheet.dot((19.5, 4), (21.5, 4), (23.5, 4), (24.5, 4), (28.5, 4), (19.5, 0), (21.5, 0), (23.5, 0), (24.5, 0))
    sheet.ground((28.5, 0))


def _draw_hook(sheet: Sheet) -> None:
    plus, minus = -4.0, -15.0
    pins = [
        elm.IcPin(name="~", side="left", anchorname="ac1"),
        elm.IcPin(name="~", side="left", anchorname="ac2"),
        elm.IcPin(name="-", side="right", anchorname="minus"),
        elm.IcPin(name="+", side="right", anchorname="plus"),
    ]
    box = elm.Ic(pins=pins, size=(1.6, 2.4)).at((1.5, -8.5))
    at = sheet.many("BR1", box, ("ac2", "ac1", "plus", "minus"), (2.6, -5.6))
    sheet.wire((0, at("ac2")[1]), at("ac2"))
    sheet.wire((0, at("ac1")[1]), at("ac1"))
    sheet.port("a1", (0, at("ac2")[1]))
    sheet.port("b1", (0, at("ac1")[1]))
    side = at("plus")[0] + 0.4
    sheet.wire(at("plus"), (side, at("plus")[1]), (side, plus), (5, plus))
    sheet.wire(at("minus"), (side, at("minus")[1]), (side, minus), (5, minus), (6.6, minus))
    sheet.two("R10", (5, plus), (5, -10))
    sheet.two("R11", (5, -10), (5, minus))
    sheet.two("C10", (6.6, -10), (6.6, minus))
    q1 = sheet.many("Q1", elm.BjtNpn().at((8, -10)).anchor("base"), ("collector", "base", "emitter"), (9.6, -10.4))
    sheet.wire((5, -10), (6.6, -10), q1("base"))
    x1 = q1("collector")[0]
    sheet.wire((5, plus), (x1, plus), (15.2, plus), (15.6, plus))
    sheet.wire((6.6, minus), (x1, minus), (x1, q1("emitter")[1]))
    sheet.wire(q1("collector"), (x1, -8.4))
    sheet.two("R13", (x1, plus), (x1, -8.4), "left")
    q2 = sheet.many("Q2", elm.BjtNpn().at((10.4, -8.4)).anchor("base"), ("collector", "base", "emitter"), (12.1, -8.9))
    sheet.wire((x1, -8.4), q2("base"))
    x2 = q2("collector")[0]
    sheet.wire((x1, minus), (11.15, minus), (x2, minus), (x2, q2("emitter")[1]))
    sheet.two("R12", (x2, -5.9), q2("collector"))
    q3 = sheet.many("Q3", elm.NFet().at((x2, -4.6)).anchor("drain"), ("drain", "gate", "source"), (11.9, -3.2))
    sheet.wire(q3("source"), (x2, -5.9))
    gate = q3("gate")
    sheet.wire(gate, (gate[0] + 0.3, gate[1]), (gate[0] + 0.3, minus), (x2, minus))
    opto = sheet.many(
        "U1", elm.Optocoupler().at((16.6, plus)), ("anode", "cathode", "collector", "emitter"), (18.7, plus + 0.9)
    )
    sheet.wire((15.6, plus), opto("anode"))
    sheet.wire(q3("drain"), (x2, -4.3), (13.6, -4.3), (13.6, -5.5), (15.2, -5.5), opto("cathode"))
    sheet.two("D6", (15.2, -5.5), (15.2, plus), "left")
    _draw_output(sheet, opto, "hook", "R14", plus)
    sheet.dot(
        (5, plus), (x1, plus), (5, -10), (6.6, -10), (x1, -8.4), (5, minus), (6.6, minus), (x1, minus), (x2, minus)
    )


def _draw_output(sheet: Sheet, opto: Callable[[str], Point], name: str, pull_up: str, top: float) -> None:
    collector, emitter = opto("collector"), opto("emitter")
    sheet.two(pull_up, (21.5, top + 2), (21.5, collector[1]))
    sheet.port("v33", (21.5, top + 2), "top")
    sheet.wire(collector, (21.5, collector[1]), (24, collector[1]))
    sheet.port(name, (24, collector[1]), "right")
    sheet.dot((21.5, collector[1]))
    sheet.wire(emitter, (19.5, emitter[1]))
    sheet.ground((19.5, emitter[1]))


def _draw_ring(sheet: Sheet) -> None:
    top = -18.5
    sheet.port("a1", (0, top))
    sheet.two("C6", (0, top), (3, top))
    sheet.two("R20", (3, top), (6, top))
    opto = sheet.many(
        "U2", elm.Optocoupler().at((16.6, top)), ("anode", "cathode", "collector", "emitter"), (18.7, top + 0.9)
    )
    sheet.two("D3", (9, top), (6, top), "left")
    sheet.wire((9, top), (12, top), opto("anode"))
    below = opto("cathode")[1]
    sheet.port("b1", (0, below))
    sheet.wire((0, below), (12, below), opto("cathode"))
    sheet.two("D4", (12, below), (12, top))
    sheet.dot((12, top), (12, below))
    _draw_output(sheet, opto, "ring", "R21", top)


def options() -> Sheet:
    """What is not needed for recording: injection above, handset tap below."""
    circuit = read_circuit(["injection", "handset"])
    only = Circuit(parts=tuple(part for part in circuit.parts if part.option))
    sheet = Sheet(only)
    _draw_injection(sheet)
    _draw_handset(sheet, "ear", "far", ("R30", "C8", "T3", "R31"), -6)
    _draw_handset(sheet, "mouth", "near", ("R32", "C9", "T4", "R33"), -12)
    sheet.barrier(11.2, 4.6, -13.5)
    return sheet


def _draw_injection(sheet: Sheet) -> None:
    sheet.port("a1", (0, 3.2))
    sheet.port("b1", (0, 0))
    sheet.two("K1", (0, 3.2), (3.5, 3.2))
    sheet.two("C7", (3.5, 3.2), (7, 3.2))
    at = sheet.many("T2", elm.Transformer(t1=6, t2=6).at((10.7, 0.4)), ("p1", "p2", "s1", "s2"), (9.6, 1.5))
    sheet.wire((7, 3.2), (at("p1")[0], 3.2), at("p1"))
    sheet.wire((0, 0), (at("p2")[0], 0), at("p2"))
    right = at("s1")[0]
    sheet.wire(at("s1"), (right, 3.2), (14, 3.2))
    sheet.wire(at("s2"), (right, 0), (14, 0))
    sheet.two("D5", (14, 3.2), (14, 0))
    sheet.ground((14, 0))
    sheet.two("R7", (18, 3.2), (14, 3.2), "left")
    sheet.port("speak", (18, 3.2), "right")
    sheet.dot((14, 3.2), (14, 0))


def _draw_handset(sheet: Sheet, wire: str, out: str, refs: tuple[str, str, str, str], low: float) -> None:
    series, capacitor, transformer, load = refs
    top = low + 3.2
    sheet.port(wire, (0, top))
    sheet.port("hs", (0, low))
    sheet.two(series, (0, top), (3.5, top))
    sheet.two(capacitor, (3.5, top), (7, top))
    box = elm.Transformer(t1=6, t2=6).at((10.7, low + 0.4))
    at = sheet.many(transformer, box, ("p1", "p2", "s1", "s2"), (9.6, low + 1.5))
    sheet.wire((7, top), (at("p1")[0], top), at("p1"))
    sheet.wire((0, low), (at("p2")[0], low), at("p2"))
    right = at("s1")[0]
    sheet.wire(at("s1"), (right, top), (14, top), (18, top))
    sheet.wire(at("s2"), (right, low), (14, low))
    sheet.two(load, (14, top), (14, low))
    sheet.ground((14, low))
    sheet.port(out, (18, top), "right")
    sheet.dot((14, top), (14, low))
