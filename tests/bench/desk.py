"""One line in real time with its page open: memory, and what keeping the line costs beside the codec."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from appliance.terms import RATE_HZ
from tests.bench.box import BenchBox
from tests.bench.hour import talking
from tests.bench.visitor import Visitor

_RUNS_S = 25.0
_PAGE_ASKS_EVERY_S = 0.5


def measure_desk(folder: Path) -> dict[str, Any]:
    """Memory in MB of each daemon, and CPU seconds of recorder and vault for an hour at real speed."""
    feed = np.concatenate([np.zeros(2 * RATE_HZ, np.int16), talking(folder, 120)])[:, np.newaxis]
    with BenchBox(folder, feed) as box:
        for daemon in ("vault", "webui", "front"):
            box.start(daemon)
        with Visitor(box) as visitor:
            box.start("recorder")
            box.wait_for("call_begun")
            alone_s = _cpu_s_an_hour(box, lambda: time.sleep(_PAGE_ASKS_EVERY_S))
            visitor.connect_anew()
            watched_s = _cpu_s_an_hour(box, lambda: _look(visitor))
            return {
                "memory_pss_mb": _memory(box),
                "real_time_cpu_s_per_line_hour": {
                    "recorder_and_vault": alone_s,
                    "recorder_and_vault_page_open": watched_s,
                },
            }


def _look(visitor: Visitor) -> None:
    """What an open page asks for while no call ends."""
    visitor.live()
    time.sleep(_PAGE_ASKS_EVERY_S)


def _cpu_s_an_hour(box: BenchBox, meanwhile: Any) -> float:
    began_s, before_s = time.monotonic(), box.cpu_s("recorder") + box.cpu_s("vault")
    while time.monotonic() - began_s < _RUNS_S:
        meanwhile()
    used_s = box.cpu_s("recorder") + box.cpu_s("vault") - before_s
    return round(used_s / (time.monotonic() - began_s) * 3600, 1)


def _memory(box: BenchBox) -> dict[str, float]:
    each = {name: round(box.pss_mb(name), 1) for name in ("vault", "recorder", "webui", "front")}
    return {**each, "three_daemons": round(each["vault"] + each["recorder"] + each["webui"], 1)}
