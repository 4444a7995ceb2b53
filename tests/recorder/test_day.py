"""Ten minutes of a counter signal on eight lines of one device, faster than life; `make day` plays the whole day."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from appliance.recorder.ear.signals import Pcm
from appliance.recordings.container import EndReason
from appliance.terms import RATE_HZ
from tests.simulators.counted_day import Checker, Day, Plan, live
from tests.simulators.counter import CountedLine, breaks_until, counter_signal
from tests.simulators.line import build_plugin

MINUTE = 60 * RATE_HZ
PLAN = Plan(frames=10 * MINUTE + RATE_HZ, speed=30, recorded=1, longest_call_s=120, look_every=5 * RATE_HZ)
BREAKS = 6
MOST_ERROR = RATE_HZ // 10
"""What line_time.py promises of the length of a gap, which only a clock can tell."""

MOST_GROWTH_MIB = 2.0
SETTLED = 3 * MINUTE
"""By then ALSA's buffer, which is longer here than on a box, has been used once from end to end."""

PROMPT_S = 3.0
"""What waits in buffers when this machine is later than that is no growth."""


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_plugin(tmp_path_factory.mktemp("plugin"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, plugin: Path) -> Day:
    return live(tmp_path_factory.mktemp("whole"), PLAN, plugin=plugin)


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory, plugin: Path) -> Day:
    frames = 3 * MINUTE
    plan = replace(PLAN, frames=frames, speed=10, recorded=2, breaks=breaks_until(frames, BREAKS, seed=4))
    return live(tmp_path_factory.mktemp("broken"), plan, plugin=plugin)


def test_no_frame_is_missing_or_doubled_on_any_of_eight_lines(whole: Day) -> None:
    for line in whole.lines:
        assert line.faults == []
        (stretch,) = line.stretches
        assert stretch.first_frame == 0
        assert abs(stretch.end_place - whole.played) < MINUTE


def test_a_call_that_outlasts_its_recordings_loses_no_frame_between_them(whole: Day, tmp_path: Path) -> None:
    checker = Checker(whole, 0, tmp_path / "heard.ogg")
    assert checker.faults == []
    assert [part.ended for part in checker.parts] == [EndReason.LONGEST] * 5 + [EndReason.STOPPED]
    assert sum(part.frames for part in checker.parts) == whole.lines[0].frames
    assert all(part.windows > 5 for part in checker.parts[:5])


def test_memory_does_not_grow_with_time(whole: Day) -> None:
    prompt = [look for look in whole.looks if look.behind_s < PROMPT_S]
    early = [look.memory_mib for look in prompt if SETTLED <= look.at_frame < 6 * MINUTE]
    late = [look.memory_mib for look in prompt if look.at_frame >= 8 * MINUTE]
    if not early or not late:
        pytest.skip("this machine was late all the time, and what waits in buffers hides the rest")
    assert min(late) - min(early) < MOST_GROWTH_MIB


def test_whatever_befalls_the_device_every_lost_frame_is_in_a_listed_gap_or_while_it_was_closed(broken: Day) -> None:
    kinds = [one.kind for one in broken.plan.breaks]
    holes = broken.lines[0].holes
    for line in broken.lines:
        assert line.faults == []
        assert line.holes == holes
    listed = [hole for hole in holes if hole.listed is not None]
    assert len(holes) >= BREAKS
    assert len(listed) >= kinds.count("overrun")  # a stall may last long enough to have the device opened again
    assert len(holes) - len(listed) >= kinds.count("unplug")
    assert all(abs((hole.listed or 0) - hole.missing) <= MOST_ERROR for hole in listed)


def test_recordings_hold_every_frame_that_was_heard_and_list_every_frame_that_was_lost(
    broken: Day, tmp_path: Path
) -> None:
    for channel in range(broken.plan.recorded):
        checker = Checker(broken, channel, tmp_path / "heard.ogg")
        assert checker.faults == []
        lost = [hole.listed for hole in broken.lines[channel].holes if hole.listed is not None]
        assert [frames for part in checker.parts for _at, frames in part.gaps] == lost
        assert sum(part.frames for part in checker.parts) == broken.lines[channel].frames + sum(lost)


# the measures themselves


@pytest.fixture(scope="module")
def signal() -> Pcm:
    return counter_signal()


@pytest.mark.parametrize("shift", [-1, 1], ids=["doubled", "missing"])
def test_one_frame_is_seen_by_the_counter(signal: Pcm, shift: int) -> None:
    line = CountedLine(signal, lambda: 2000)
    line.hear(0, signal[:800])
    assert line.faults == []
    line.hear(800, signal[800 + shift : 1600 + shift])
    assert len(line.faults) == 1


def test_what_a_line_lost_is_known_to_the_frame(signal: Pcm) -> None:
    line = CountedLine(signal, lambda: 4000)
    line.hear(0, signal[:800])
    line.lose(800, 1001, "overrun")
    line.hear(1801, signal[1800:2600])
    (hole,) = line.holes
    assert (hole.at_frame, hole.listed, hole.missing) == (800, 1001, 1000)
    assert line.faults == []


def test_a_recording_that_begins_one_frame_off_is_seen_by_the_checker(broken: Day, tmp_path: Path) -> None:
    line = broken.lines[1]
    told, line.signal = line.signal, np.roll(line.signal, 1)
    try:
        assert any("first frame" in fault for fault in Checker(broken, 1, tmp_path / "heard.ogg").faults)
    finally:
        line.signal = told
