"""A day of the counter signal on eight lines of one device: is every frame there, once, and does memory grow?

    python -m tests.bench.day [--hours 24] [--speed 42] [--recorded 1] [--breaks 0] [--seed 1]

All eight lines are compared with what was said, sample by sample, as the device worker hands them on; those that are
recorded as well, so many as this machine can encode at that speed, are decoded afterwards and laid over it. Prints
JSON; exits with 1 if a frame is where it should not be.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from appliance.terms import RATE_HZ
from tests.simulators.counted_day import Checker, Day, Plan, live
from tests.simulators.counter import CountedLine, breaks_until

HOUR = 3600 * RATE_HZ


def main() -> int:
    asked = _arguments()
    frames = round(asked.hours * HOUR)
    plan = Plan(
        frames=frames,
        speed=asked.speed,
        recorded=asked.recorded,
        longest_call_s=asked.longest_call_s,
        breaks=breaks_until(frames, asked.breaks, asked.seed),
        look_every=min(HOUR // 30, frames // 48),
    )
    with tempfile.TemporaryDirectory(prefix="lk-", dir="/tmp") as folder:
        began_s = time.monotonic()
        day = live(Path(folder), plan, seen=lambda look: print(look, file=sys.stderr, flush=True))
        figures: dict[str, Any] = {"wall_s": round(time.monotonic() - began_s), **_played(day)}
        faults: list[str] = []
        for channel in range(plan.recorded):
            checker = Checker(day, channel, Path(folder) / "heard.ogg")
            figures[f"recorded line {channel}"] = _recorded(checker)
            faults += checker.faults
    faults += [fault for line in day.lines for fault in line.faults]
    print(json.dumps({**vars(asked), **figures, "faults": faults[:20]}, indent=1))
    return 1 if faults else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--speed", type=float, default=42.0)
    parser.add_argument("--recorded", type=int, default=1, choices=range(9))
    parser.add_argument("--longest-call-s", type=int, default=3600)
    parser.add_argument("--breaks", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def _played(day: Day) -> dict[str, Any]:
    holes = day.lines[0].holes
    hour = min(HOUR, day.plan.frames // 4)  # or a quarter of what is less than a few
    # The least, as what waits in buffers when this machine is late is no growth.
    floors = [
        round(min(look.memory_mib for look in day.looks if look.at_frame // hour == number), 2)
        for number in range(day.plan.frames // hour)
    ]
    return {
        "cpu_s": round(day.cpu_s),
        "breaks": Counter(one.kind for one in day.plan.breaks),
        "lines": [_line(line) for line in day.lines],
        "holes": [asdict(hole) for hole in holes],
        "same_holes_on_all_lines": all(line.holes == holes for line in day.lines),
        "listed_minus_missing": _spread(hole.listed - hole.missing for hole in holes if hole.listed is not None),
        "closed_by_clock_minus_missing": _spread(hole.by_clock - hole.missing for hole in holes if hole.listed is None),
        "memory_mib": {
            "least of each hour": floors,
            "grown after the second": round(max(floors[2:], default=0.0) - floors[1], 2),
        },
        "most_behind_s": round(max(look.behind_s for look in day.looks), 1),
        "log": Counter(told["event"] for told in day.log.events),
    }


def _line(line: CountedLine) -> dict[str, int]:
    """place: of the line, from the first frame heard to the last."""
    return {
        "place": line.stretches[-1].end_place - line.stretches[0].place,
        "heard": line.frames,
        "in_holes": sum(hole.missing for hole in line.holes),
        "not_as_said": len(line.faults),
    }


def _spread(errors: Iterable[int]) -> dict[str, float]:
    """By how many frames lengths are off that only a clock can tell."""
    each = sorted(errors)
    return {"of": len(each), "least": each[0], "median": statistics.median(each), "most": each[-1]} if each else {}


def _recorded(checker: Checker) -> dict[str, Any]:
    return {
        "recordings": len(checker.parts),
        "frames": sum(part.frames for part in checker.parts),
        "gaps": sum(len(part.gaps) for part in checker.parts),
        "frames_in_gaps": sum(frames for part in checker.parts for _at, frames in part.gaps),
        "ended": Counter(part.ended.value for part in checker.parts),
        "compared": sum(part.windows for part in checker.parts),
        "weakest": round(min(part.weakest for part in checker.parts if part.windows), 3),
    }


if __name__ == "__main__":
    sys.exit(main())
