"""A line in use is noisier than one that is not; where it is not, nothing is said."""

from __future__ import annotations

import pytest

from appliance.recorder.ear.signals import Heard
from appliance.recorder.line.line_noise import LineNoise


def heard(lowest_dbfs: float, *, speech: bool = False) -> Heard:
    return Heard(level_dbfs=-20 if speech else lowest_dbfs, speech=speech, floor_dbfs=-60, lowest_dbfs=lowest_dbfs)


def idle(noise: LineNoise, lowest_dbfs: float, blocks: int = 100) -> None:
    for _ in range(blocks):
        noise.says_alive(heard(lowest_dbfs), idle=True)


def test_a_line_that_was_never_idle_proves_nothing() -> None:
    noise = LineNoise()
    assert not any(noise.says_alive(heard(-30), idle=False) for _ in range(100))


@pytest.mark.parametrize(
    ("in_use_dbfs", "alive"), [(-50, True), (-53.9, True), (-54.1, False), (-60, False), (-75, False)]
)
def test_more_than_6_db_above_the_idle_line_is_alive(in_use_dbfs: float, alive: bool) -> None:
    noise = LineNoise()
    idle(noise, -60)
    assert noise.says_alive(heard(in_use_dbfs), idle=False) is alive


def test_a_far_side_that_mutes_itself_proves_nothing() -> None:
    noise = LineNoise()
    idle(noise, -60)
    assert noise.says_alive(heard(-50), idle=False)
    assert not noise.says_alive(heard(-60), idle=False)


def test_below_minus_80_all_lines_are_the_same() -> None:
    noise = LineNoise()
    idle(noise, -100)
    assert not noise.says_alive(heard(-81), idle=False)
    assert not noise.says_alive(heard(-74.1), idle=False)
    assert noise.says_alive(heard(-73.9), idle=False)


def test_speech_on_an_idle_line_and_a_call_of_any_length_teach_nothing() -> None:
    noise = LineNoise()
    idle(noise, -60)
    for _ in range(1000):
        noise.says_alive(heard(-40, speech=True), idle=True)
        noise.says_alive(heard(-40), idle=False)
    assert noise.says_alive(heard(-50), idle=False)
    assert not noise.says_alive(heard(-57), idle=False)


def test_it_follows_the_day() -> None:
    noise = LineNoise()
    idle(noise, -70)
    assert noise.says_alive(heard(-50), idle=False)
    idle(noise, -50, blocks=300)
    assert not noise.says_alive(heard(-50), idle=False)
