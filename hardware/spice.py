"""ngspice, asked one question at a time: a netlist goes in, named vectors come out. Only this file knows the program.

Promise: an answer is whole (a transient that stopped early, a netlist that did not converge, a program that is not
there raise); nothing is left on the disk.

Leaves to others: what to ask. Source of the file's form: ngspice manual, "rawfile format", chapter on interactive use.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[Any]  # float64, or complex128 after .ac
_VALUES = re.compile(rb"^Binary:\n", re.MULTILINE)


class SpiceFailed(Exception):
    """ngspice gave no whole answer; the message holds what it said."""


class Answer(Mapping[str, Vector]):
    """Vectors by name: a node's voltage by the node's name, a source's current as i(name)."""

    def __init__(self, vectors: dict[str, Vector]) -> None:
        self._vectors = vectors

    def __getitem__(self, name: str) -> Vector:
        if name == "0":
            return np.zeros_like(self.scale)
        return self._vectors[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._vectors)

    def __len__(self) -> int:
        return len(self._vectors)

    @property
    def scale(self) -> Vector:
        """Time, frequency, or what was swept."""
        return next(iter(self._vectors.values()))

    def across(self, nodes: tuple[str, str]) -> Vector:
        one, other = nodes
        return self[one] - self[other]


def ask(netlist: str, analysis: str, save: Iterable[str] = ()) -> Answer:
    """Run one analysis.

    Args:
        netlist: with its sources, without .end.
        analysis: "ac dec 20 100 10k", "tran 1u 5m", "dc Vline 0 60 0.1", "op".
        save: nodes, and sources whose current is wanted as i(name); all voltages if empty.
    Raises:
        SpiceFailed: see there.
    """
    saved = " ".join(name if "(" in name else f"v({name})" for name in save) or "all"
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "answer.raw"
        control = f".control\nset filetype=binary\nsave {saved}\n{analysis}\nwrite {raw} {saved}\nquit\n.endc\n.end\n"
        deck = Path(folder) / "question.cir"
        deck.write_text(f"* question\n{netlist}\n{control}")
        said = _run(deck)
        if not raw.exists():
            raise SpiceFailed(f"ngspice gave no answer to {analysis!r}: {said[-2000:]}")
        answer = Answer(_vectors(raw.read_bytes()))
    if analysis.startswith("tran") and answer.scale[-1] < 0.999 * _seconds(analysis.split()[2]):
        raise SpiceFailed(f"ngspice stopped at {answer.scale[-1]:.3g} s of {analysis!r}: {said[-2000:]}")
    return answer


def _run(deck: Path) -> str:
    try:
        done = subprocess.run(["ngspice", "-b", deck], capture_output=True, text=True, check=False, timeout=120)
    except FileNotFoundError as error:
        raise SpiceFailed("ngspice is not installed: it is in requirements/debian-develop.txt.") from error
    return done.stdout + done.stderr


def _seconds(text: str) -> float:
    return float(text[:-1]) * {"u": 1e-6, "m": 1e-3}[text[-1]] if text[-1] in "um" else float(text)


def _vectors(raw: bytes) -> dict[str, Vector]:
    cut = _VALUES.search(raw)
    if cut is None:
        raise SpiceFailed("ngspice wrote an answer of an unknown form.")
    head = raw[: cut.start()].decode()
    names = [line.split()[1].lower() for line in head.split("Variables:\n")[1].splitlines() if line.strip()]
    kind = np.complex128 if "Flags: complex" in head else np.float64
    values = np.frombuffer(raw[cut.end() :], kind)
    rows = values[: len(values) // len(names) * len(names)].reshape(-1, len(names))
    plain = [re.sub(r"\Av\((.*)\)\Z", r"\1", name) for name in names]
    return {name: rows[:, column].copy() for column, name in enumerate(plain)}
