"""`make hardware`: writes what is generated in line-interface/ and docs/manual/, and schematics as PDF into build/."""

from __future__ import annotations

import subprocess
from itertools import islice
from pathlib import Path

import numpy as np

from hardware import drawing, levels, sense, strain
from hardware.bench import LOW_V, ON_HOOK_V, db, netlist, ringing
from hardware.bring_up import with_table
from hardware.circuit import FOLDER, Circuit, read_circuit
from hardware.figures import draws
from hardware.pages import figures_page, levels_page, parts_page
from hardware.plots import Axis, Curve, plot
from hardware.spice import ask
from hardware.wiring import LANGUAGES, MANUAL, wiring

_BUILT = Path("build/hardware")


def main() -> None:
    circuit = read_circuit()
    _write("figures.md", figures_page(lambda promise: promise.measure(circuit)))
    _write("levels.md", levels_page())
    _write("parts.md", parts_page())
    for name, sheet in (("schematic", drawing.tap()), ("options", drawing.options())):
        _write_as_pdf(name, sheet.svg())
    _write("pass-band.svg", _pass_band(circuit))
    _write("hook-threshold.svg", _hook_threshold(circuit))
    _write("surge.svg", _surge(circuit))
    _write("ringing.svg", _ringing(circuit))
    for language in LANGUAGES:
        (MANUAL / f"wiring.{language}.svg").write_text(wiring(language), "utf-8")
        guide = MANUAL / f"bring-up.{language}.md"
        guide.write_text(with_table(guide, language), "utf-8")


def _write(name: str, text: str) -> None:
    (FOLDER / name).write_text(text, "utf-8")


def _write_as_pdf(name: str, svg: str) -> None:
    _write(f"{name}.svg", svg)
    _BUILT.mkdir(parents=True, exist_ok=True)
    subprocess.run(["rsvg-convert", "-f", "pdf", "-o", _BUILT / f"{name}.pdf", FOLDER / f"{name}.svg"], check=True)


def _pass_band(circuit: Circuit) -> str:
    at_1_khz = levels.gain_db(circuit)
    curves = []
    for built in [*islice(draws(circuit, 9, seed=300), 1, None), circuit]:
        hz, gain = levels.response(built, "dec 24 20 8000")
        curves.append(Curve(x=hz, y=db(gain) - at_1_khz, name="as drawn" if built is circuit else ""))
    mask = [Curve(x=(300, 3400), y=(limit, limit)) for limit in (-1.5, 1.5)]
    x_axis = Axis(title="Hz", ticks=(20, 50, 100, 300, 1000, 3400, 8000), log=True)
    y_axis = Axis(title="dB against 1 kHz", ticks=(-30, -25, -20, -15, -10, -5, 0, 5))
    return plot("Line to codec; grey: any build", x_axis, y_axis, curves, mask)


def _hook_threshold(circuit: Circuit) -> str:
    found = [sense.hook_threshold(built) for built in draws(circuit, 60, seed=15)]
    share = np.arange(1, len(found) + 1) / len(found) * 100
    curves = [
        Curve(x=sorted(one.off_hook_v for one in found), y=share, name="surely off-hook below"),
        Curve(x=sorted(one.on_hook_v for one in found), y=share, name="surely on-hook above"),
    ]
    limits = [Curve(x=(volts, volts), y=(0, 100)) for volts in (15, 40)]
    x_axis = Axis(title="line voltage, V", ticks=(10, 15, 20, 25, 30, 35, 40, 45))
    y_axis = Axis(title="% of 60 builds", ticks=(0, 25, 50, 75, 100))
    return plot("Hook threshold over tolerance, -10 to 60 degrees C", x_axis, y_axis, curves, limits)


def _surge(circuit: Circuit) -> str:
    event = strain.EVENTS["surge 1.5 kV, a to b"]
    answer = ask(netlist(circuit, *event.sources), event.analysis)
    at = np.searchsorted(answer.scale, np.geomspace(2e-6, 7.9e-3, 160))
    ms = 1000 * answer.scale[at]
    curves = [
        Curve(x=ms, y=np.maximum(np.abs(answer.across(("a", "b"))[at]), 1e-2), name="line, a to b"),
        Curve(x=ms, y=np.maximum(np.abs(answer.across(("a1", "b1"))[at]), 1e-2), name="behind R1 and R2"),
        Curve(x=ms, y=np.maximum(np.abs(answer["out"][at]), 1e-2), name="codec input"),
    ]
    x_axis = Axis(title="ms", ticks=(0.002, 0.01, 0.1, 1, 8), log=True)
    y_axis = Axis(title="V", ticks=(0.01, 0.1, 1, 10, 100, 1000, 10000), log=True)
    return plot("Surge of 1.5 kV 10/700 us", x_axis, y_axis, curves)


def _ringing(circuit: Circuit) -> str:
    answer = ask(netlist(circuit, *ringing(25, 20, ON_HOOK_V)), "tran 100u 0.4 0 200u")
    at = np.searchsorted(answer.scale, np.linspace(0.2, 0.399, 300))
    ms = 1000 * answer.scale[at]
    curves = [
        Curve(x=ms, y=answer.across(("a", "b"))[at] / 10, name="line, V / 10"),
        Curve(x=ms, y=answer["ring"][at], name=f"ring input, V (low below {LOW_V:g})"),
        Curve(x=ms, y=answer["hook"][at], name="hook input, V"),
    ]
    x_axis = Axis(title="ms", ticks=(200, 250, 300, 350, 400))
    y_axis = Axis(title="V", ticks=(-2, 0, 2, 4, 6, 8, 10, 12))
    return plot("The weakest ring: 25 V, 20 Hz on 48 V", x_axis, y_axis, curves)


if __name__ == "__main__":
    main()
