"""Where the recorder's processor time goes, in CPU seconds for an hour of a line: `python -m tests.bench.stages`.

Each stage hears the same blocks of 100 ms, once on an idle line and once in talk without a pause; the last one is all
that is heard and decided on a line of duty, which in a call listens less often. The best of five
runs: what another program on the machine costs is no part of it. Real lines wait between two blocks, and find less in
the processor's cache: `python -m tests.bench.whole hour` has that.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as `linekeep` itself has it; numpy reads it when it is imported

import numpy as np

from appliance.recorder.ear.caller_id import CallerIdListener
from appliance.recorder.ear.countries import COUNTRIES
from appliance.recorder.ear.keys import KeyListener
from appliance.recorder.ear.ringing import RingListener
from appliance.recorder.ear.signals import Pcm, Signals
from appliance.recorder.ear.tones import ToneListener
from appliance.recorder.line.line_plan import plan_of
from appliance.recorder.line.line_watch import LineWatch
from appliance.recorder.peaks import Peaks
from appliance.recordings.encoder import OpusPages
from appliance.settings import LineSettings, RecorderSettings
from appliance.terms import BLOCK_FRAMES, RATE_HZ
from tests.bench.hour import talking
from tests.simulators.line_tones import as_pcm, white

_RUNS = 5
_IDLE_DBFS = -60.0

Take = Callable[[Pcm], Any]


def stages() -> Iterator[tuple[str, Callable[[], Take]]]:
    """Each one's name, and what makes it anew."""
    country = COUNTRIES["de"]
    yield "signals", lambda: Signals(10.0).hear
    yield "keys", lambda: KeyListener().hear
    yield "caller ID", lambda: CallerIdListener(frozenset(country.caller_id)).hear
    yield "tones", lambda: ToneListener(country).hear
    yield "ringing", lambda: RingListener(country).hear
    yield "all ears, and the line", _watch
    yield "outline", lambda: second_by_second(Peaks().add)
    for complexity in (0, 3, 5, 10):
        yield f"opus, complexity {complexity}", partial(_encoder, complexity)


def _watch() -> Take:
    line = LineSettings(name="line", alsa="none", ground="a measurement", consent="duty")
    watch = LineWatch(Signals(10.0), plan_of(line, RecorderSettings()), lambda _frame: False)

    def take(block: Pcm) -> None:
        watch.hear(watch.end_frame, block)

    return take


def _encoder(complexity: int) -> Take:
    return second_by_second(OpusPages(serial=1, complexity=complexity).push)


def second_by_second(take: Take) -> Take:
    """As a call hands its audio on."""
    waiting: list[Pcm] = []

    def add(block: Pcm) -> None:
        waiting.append(block)
        if len(waiting) * BLOCK_FRAMES == RATE_HZ:
            take(np.concatenate(waiting))
            waiting.clear()

    return add


def cost_s(make: Callable[[], Take], line: Pcm) -> float:
    blocks = [line[at : at + BLOCK_FRAMES] for at in range(0, len(line) - BLOCK_FRAMES + 1, BLOCK_FRAMES)]
    best = min(_once_s(make(), blocks) for _ in range(_RUNS))
    return best * 3600 / (len(blocks) * BLOCK_FRAMES / RATE_HZ)


def _once_s(take: Take, blocks: list[Pcm]) -> float:
    began_s = time.process_time()
    for block in blocks:
        take(block)
    return time.process_time() - began_s


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    with tempfile.TemporaryDirectory() as folder:
        talk = talking(Path(folder), seconds)
    idle = as_pcm(white(len(talk), _IDLE_DBFS, np.random.default_rng(1)))
    print(f"{'':22}{'idle':>8}{'talk':>8}")
    for name, make in stages():
        print(f"{name:22}{cost_s(make, idle):8.2f}{cost_s(make, talk):8.2f}", flush=True)


if __name__ == "__main__":
    main()
