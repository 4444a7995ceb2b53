"""What the recorder costs with eight lines at once: CPU seconds for an hour of a line, and memory for each line.

Idle; a third of the time recorded talk, as on a busy line; talk without a pause. Beside them ffmpeg and age, for which
all of it is talk: they know no calls.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from appliance.terms import RATE_HZ
from tests.bench.box import BenchBox
from tests.bench.eight_lines import LINES
from tests.bench.hour import ffmpeg_and_age_s, talking
from tests.simulators.line_tones import as_pcm, white
from tests.system.sounds import Pcm

SPEED = 3.0
_FEED_S = 240
_SETTLES_S = 25.0
"""By then what a line keeps in memory, at most 75 s of it, has been used from end to end."""

_MEASURED_S = 15.0
_IDLE_DBFS = -60.0


def measure_eight_lines_cost(folder: Path) -> dict[str, Any]:
    """Each cost twice, as other programs on the machine make it dearer."""
    said = talking(folder, _FEED_S)
    random = np.random.default_rng(1)
    idle = np.stack([as_pcm(white(len(said), _IDLE_DBFS, random)) for _ in range(LINES)], axis=1)
    talk = np.stack([np.roll(said, _shift(line)) for line in range(LINES)], axis=1)
    third = idle.copy()
    for line in range(LINES):
        third[:, line] = np.roll(np.concatenate((said[: len(said) // 3], idle[len(said) // 3 :, line])), _shift(line))
    costs: dict[str, list[float]] = {}
    memory: dict[str, float] = {}
    for name, feed in (("idle", idle), ("a third is talk", third), ("talk", talk), ("one line, talk", talk[:, :1])):
        (folder / "box").mkdir()
        costs[name], memory[name] = _recorder(folder / "box", feed)
        (folder / "box").rename(folder / name)
    (folder / "said.raw").write_bytes(said.tobytes())
    return {
        "eight_lines_recorder_cpu_s_per_line_hour": {
            "speed": SPEED,
            **costs,
            "ffmpeg_and_age": round(ffmpeg_and_age_s(folder) * 3600 / _FEED_S, 1),
        },
        "recorder_memory_pss_mb": {
            **memory,
            "for_each_further_line": round((memory["talk"] - memory["one line, talk"]) / (LINES - 1), 2),
        },
    }


def _shift(line: int) -> int:
    return line * _FEED_S * RATE_HZ // LINES


def _recorder(folder: Path, feed: Pcm) -> tuple[list[float], float]:
    with BenchBox(folder, feed, speed=SPEED, repeat=True) as box:
        box.start("vault")
        box.start("recorder")
        box.wait_for("recorder_ready")
        time.sleep(_SETTLES_S)
        costs = [_measured_s(box, feed.shape[1]) for _ in range(2)]
        return costs, round(box.pss_mb("recorder"), 1)


def _measured_s(box: BenchBox, lines: int) -> float:
    before_s = box.cpu_s("recorder")
    time.sleep(_MEASURED_S)
    hours = _MEASURED_S * SPEED * lines / 3600
    return round((box.cpu_s("recorder") - before_s) / hours, 1)
