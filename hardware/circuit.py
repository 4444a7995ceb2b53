"""The line interface as parts and the nodes between them: one table for simulation, drawing and parts list.

Promise: what is simulated, drawn and bought is the same circuit, because all three are made from
`line-interface/parts.toml`; and a circuit can be changed (a part taken out, a value multiplied, all values drawn anew
within their tolerances) without touching that file, so that tests can ask what the change would break.

Leaves to others: how parts behave (line-interface/models.lib), running the simulation (`spice`), drawing (`drawing`).
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parent / "line-interface"
PARTS_FILE = FOLDER / "parts.toml"
MODELS_FILE = FOLDER / "models.lib"

GROUND = "0"
_PREFIXES = {"p": 1e-12, "n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6}
_TWO_POLES = {"resistor": "R", "capacitor": "C"}

_STRESSED = {"transformer": (0, 3), "opto": (0, 1), "bridge": (2, 3), "npn": (0, 2), "depletion": (0, 2)}
"""Between which terminals a part is strained: a transformer across its barrier. All others have two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """A parameter of a model: as it is, and the least and the most that the maker promises."""

    now: float
    least: float
    most: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """value: in ohm or farad, of a resistor or capacitor; tolerance: as a share of it.

    nodes: in the order of the model's terminals. limits: what it bears, see parts.toml.
    """

    ref: str
    model: str
    nodes: tuple[str, ...]
    buy: str
    does: str
    value: float = 0.0
    tolerance: float = 0.0
    spreads: Mapping[str, Spread]
    limits: Mapping[str, float]
    option: str = ""

    @property
    def strained(self) -> tuple[str, str]:
        """The nodes between which its voltage counts."""
        one, other = _STRESSED.get(self.model, (0, 1))
        return self.nodes[one], self.nodes[other]

    @property
    def sensed(self) -> bool:
        """Its current is asked for, and follows from no voltage."""
        return self.model not in _TWO_POLES and bool({"ampere", "watt", "heat", "joule"} & set(self.limits))

    @property
    def label(self) -> str:
        """Its value as a schematic shows it; empty if a part has none."""
        return written(self.value) if self.value else ""

    def spice(self) -> str:
        nodes = list(self.nodes)
        sense = ""
        if self.sensed:
            nodes[0] = f"{self.nodes[0]}_{self.ref}"
            sense = f"V_{self.ref} {self.nodes[0]} {nodes[0]} 0\n"
        if self.model in _TWO_POLES:
            return f"{_TWO_POLES[self.model]}_{self.ref} {' '.join(nodes)} {self.value:.6g}"
        told = " ".join(f"{name}={spread.now:.6g}" for name, spread in self.spreads.items())
        return f"{sense}X_{self.ref} {' '.join(nodes)} {self.model} {told}".rstrip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Circuit:
    """temperature_c: of all parts."""

    parts: tuple[Part, ...]
    temperature_c: float = 25.0

    def __getitem__(self, ref: str) -> Part:
        for part in self.parts:
            if part.ref == ref:
                return part
        raise KeyError(ref)

    @property
    def nets(self) -> dict[str, frozenset[tuple[str, int]]]:
        """Which terminals each node joins."""
        joined: dict[str, set[tuple[str, int]]] = {}
        for part in self.parts:
            for terminal, node in enumerate(part.nodes):
                joined.setdefault(node, set()).add((part.ref, terminal))
        return {node: frozenset(terminals) for node, terminals in joined.items()}

    def without(self, *refs: str) -> Circuit:
        """The same with these places empty."""
        for ref in refs:
            _ = self[ref]
        return replace(self, parts=tuple(part for part in self.parts if part.ref not in refs))

    def with_value(self, ref: str, factor: float) -> Circuit:
        """The same with one value multiplied."""
        return self._changed(replace(self[ref], value=self[ref].value * factor))

    def with_parameter(self, ref: str, name: str, now: float) -> Circuit:
        """The same with one parameter of a model at this value."""
        part = self[ref]
        return self._changed(replace(part, spreads={**part.spreads, name: replace(part.spreads[name], now=now)}))

    def drawn(self, random: np.random.Generator, temperatures_c: tuple[float, float]) -> Circuit:
        """Any that could be built: each value within its tolerance, each parameter within what the maker promises."""
        return Circuit(
            parts=tuple(_drawn(part, random) for part in self.parts), temperature_c=random.uniform(*temperatures_c)
        )

    def spice(self) -> str:
        """As a netlist, without a source."""
        lines = [f".include {MODELS_FILE}", f".options temp={self.temperature_c:.2f}"]
        return "\n".join([*lines, *(part.spice() for part in self.parts)])

    def _changed(self, changed: Part) -> Circuit:
        return replace(self, parts=tuple(changed if part.ref == changed.ref else part for part in self.parts))


def read_table(path: Path = PARTS_FILE) -> dict[str, Any]:
    return tomllib.loads(path.read_text("utf-8"))


def read_circuit(options: Iterable[str] = ()) -> Circuit:
    """The tap, and these options (injection, handset)."""
    wanted = {"", *options}
    parts = tuple(_part(row) for row in read_table()["part"])
    return Circuit(parts=tuple(part for part in parts if part.option in wanted))


def _part(row: dict[str, Any]) -> Part:
    spreads = {
        name: Spread(now=now, least=least, most=most) for name, (now, least, most) in row.get("with", {}).items()
    }
    return Part(
        ref=row["ref"],
        model=row["model"],
        nodes=tuple(row["nodes"]),
        buy=row["buy"],
        does=row["does"],
        value=parse(row["value"]) if "value" in row else 0.0,
        tolerance=row.get("tolerance", 0.0),
        spreads=spreads,
        limits=row["limits"],
        option=row.get("option", ""),
    )


def _drawn(part: Part, random: np.random.Generator) -> Part:
    spreads = {
        name: replace(spread, now=float(random.uniform(spread.least, spread.most)))
        for name, spread in part.spreads.items()
    }
    return replace(part, value=part.value * (1 + random.uniform(-part.tolerance, part.tolerance)), spreads=spreads)


def parse(text: str) -> float:
    """4.7k, 100n, 9.1M, 220."""
    return float(text[:-1]) * _PREFIXES[text[-1]] if text[-1] in _PREFIXES else float(text)


def written(value: float) -> str:
    """As `parse` reads it."""
    for prefix, factor in reversed(_PREFIXES.items()):
        if prefix != "m" and value >= factor * 0.9999 and (factor > 1 or value < 1):
            return f"{value / factor:.4g}{prefix}"
    return f"{value:.4g}"
