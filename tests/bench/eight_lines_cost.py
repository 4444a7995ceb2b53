"""What the recorder costs with eight lines at once, in CPU seconds for an hour of a line: idle, and recorded talk."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from tests.bench.box import BenchBox
from tests.bench.eight_lines import LINES
from tests.bench.hour import talking
from tests.simulators.line_tones import as_pcm, white
from tests.system.sounds import Pcm

SPEED = 3.0
_FEED_S = 120
_SETTLES_S = 5.0
_MEASURED_S = 15.0
_IDLE_DBFS = -60.0


def measure_eight_lines_cost(folder: Path) -> dict[str, Any]:
    """Twice for each feed, as other programs on the machine make it dearer."""
    said = talking(folder, _FEED_S)
    talk = np.stack([np.roll(said, line * len(said) // LINES) for line in range(LINES)], axis=1)
    random = np.random.default_rng(1)
    idle = np.stack([as_pcm(white(len(said), _IDLE_DBFS, random)) for _ in range(LINES)], axis=1)
    costs = {}
    for name, feed in (("idle", idle), ("talk", talk)):
        (folder / name).mkdir()
        costs[name] = _recorder_s(folder / name, feed)
    return {"eight_lines_recorder_cpu_s_per_line_hour": {"speed": SPEED, **costs}}


def _recorder_s(folder: Path, feed: Pcm) -> list[float]:
    with BenchBox(folder, feed, speed=SPEED, repeat=True) as box:
        box.start("vault")
        box.start("recorder")
        box.wait_for("recorder_ready")
        time.sleep(_SETTLES_S)
        return [_measured_s(box) for _ in range(2)]


def _measured_s(box: BenchBox) -> float:
    before_s = box.cpu_s("recorder")
    time.sleep(_MEASURED_S)
    hours = _MEASURED_S * SPEED * LINES / 3600
    return round((box.cpu_s("recorder") - before_s) / hours, 1)
