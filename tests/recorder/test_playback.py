"""Playing through real ALSA into a line that is heard on the same wires, with knobs to break it."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from appliance.recorder.device import playback
from appliance.recorder.device.capture import Block, SoundDevice
from appliance.recorder.device.playback import Outcome, Output, Playback, Sounding
from appliance.recorder.ear.signals import Pcm
from appliance.terms import RATE_HZ
from tests.recorder.heard_log import HeardLog
from tests.simulators.line import SimulatedLine, build_plugin

PATIENCE_S = 10.0
MakeLine = Callable[..., SimulatedLine]
Plays = Callable[..., Playback]
COUNTS = np.arange(1, RATE_HZ + 1, dtype=np.int16)
"""A second in which every sample is another."""


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_plugin(tmp_path_factory.mktemp("plugin"))


@pytest.fixture
def make_line(tmp_path: Path, plugin: Path, monkeypatch: pytest.MonkeyPatch) -> MakeLine:
    def make(channels: int = 1, echo: float = 1.0) -> SimulatedLine:
        line = SimulatedLine(tmp_path, np.zeros((8, channels), np.int16), plugin=plugin, echo=echo)
        for name, value in line.environment().items():
            monkeypatch.setenv(name, value)
        return line

    return make


@pytest.fixture
def start(heard_log: HeardLog) -> Iterator[Plays]:
    started: list[Playback] = []

    def make(line: SimulatedLine, channels: int = 1) -> Playback:
        made = Playback(line.device, channels, heard_log.logger)
        started.append(made)
        made.start()
        return made

    yield make
    for each in started:
        each.stop()


def wait_until(holds: Callable[[], bool]) -> None:
    give_up_s = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < give_up_s
        time.sleep(0.01)


def over(sounding: Sounding) -> Outcome:
    wait_until(lambda: sounding.outcome is not Outcome.PLAYS)
    return sounding.outcome


def found(line: SimulatedLine, channel: int = 0) -> Pcm:
    """What was played on a channel, without the silence around it."""
    played = line.spoken()[:, channel]
    sounds = np.flatnonzero(played)
    return played[sounds[0] : sounds[-1] + 1] if sounds.size else played[:0]


def test_a_sound_is_played_whole_and_counts_only_when_its_last_frame_has_sounded(
    make_line: MakeLine, start: Plays
) -> None:
    line = make_line()
    sounding = Output(start(line), 0).play(COUNTS)
    assert sounding.outcome is Outcome.PLAYS
    assert over(sounding) is Outcome.PLAYED
    sounded = line.frame_now()
    np.testing.assert_array_equal(found(line), COUNTS)
    assert np.flatnonzero(line.spoken()[:, 0])[-1] < sounded


def test_what_is_played_is_heard_on_the_line(make_line: MakeLine, start: Plays) -> None:
    line = make_line(echo=0.5)
    device = SoundDevice(line.device, 1)
    device.open()
    sounding = Output(start(line), 0).play(COUNTS)
    heard: list[Pcm] = []
    while sum(map(len, heard)) < 2 * RATE_HZ:
        piece = device.read()
        if isinstance(piece, Block):
            heard.append(piece.samples[:, 0])
    device.close()
    samples = np.concatenate(heard)
    first = int(np.flatnonzero(samples)[0]) - 1  # half of 1 is nothing
    np.testing.assert_array_equal(samples[first : first + RATE_HZ], COUNTS // 2)
    assert sounding.outcome is Outcome.PLAYED


def test_a_sound_that_is_stopped_is_silent_at_once(make_line: MakeLine, start: Plays) -> None:
    line = make_line()
    sounding = Output(start(line), 0).play(np.tile(COUNTS, 10))
    wait_until(lambda: line.frame_now() > 0 and found(line).size > RATE_HZ)
    stopped = line.frame_now()
    sounding.stop()
    wait_until(lambda: can_be_opened(line))
    assert sounding.outcome is Outcome.STOPPED
    last = int(np.flatnonzero(line.spoken()[:, 0])[-1])
    assert last - stopped < RATE_HZ // 2  # 50 ms; the rest is for a machine that is busy
    assert found(line).size < 3 * RATE_HZ


def can_be_opened(line: SimulatedLine) -> bool:
    """Another program has the output now."""
    silence = bytes(1600)
    command = ["aplay", "-q", "-D", line.device, "-t", "raw", "-f", "S16_LE", "-r", "8000", "-c", "1"]
    return subprocess.run(command, env=os.environ, input=silence, capture_output=True, check=False).returncode == 0


def test_while_nobody_speaks_the_output_is_left_alone(make_line: MakeLine, start: Plays) -> None:
    line = make_line()
    made = start(line)
    wait_until(lambda: can_be_opened(line))
    assert over(Output(made, 0).play(COUNTS)) is Outcome.PLAYED
    wait_until(lambda: can_be_opened(line))
    assert not made.trouble


def test_lines_of_one_device_speak_at_once_and_each_into_its_own_channel(make_line: MakeLine, start: Plays) -> None:
    line = make_line(channels=2)
    made = start(line, 2)
    left = Output(made, 0).play(COUNTS)
    right = Output(made, 1).play(np.tile(COUNTS[::-1], 5))
    assert over(left) is Outcome.PLAYED
    right.stop()
    np.testing.assert_array_equal(found(line, 0), COUNTS)
    assert found(line, 1)[0] == COUNTS[-1]
    assert right.outcome is Outcome.STOPPED


def test_a_sound_that_was_not_fed_in_time_is_broken_off_and_not_taken_up_again(
    make_line: MakeLine, start: Plays, heard_log: HeardLog
) -> None:
    line = make_line()
    made = start(line)
    sounding = Output(made, 0).play(np.tile(COUNTS, 10))
    wait_until(lambda: found(line).size > RATE_HZ)
    line.underrun()
    assert over(sounding) is Outcome.BROKEN
    assert "not fed in time" in made.trouble
    played = found(line).size
    assert over(Output(made, 0).play(COUNTS)) is Outcome.PLAYED
    assert found(line).size < played + 3 * RATE_HZ
    wait_until(lambda: not made.trouble)
    assert [told["why_not"] != "" for told in heard_log.named("playback_possible")] == [True, False]


def test_a_device_that_is_pulled_out_breaks_the_sound_off(make_line: MakeLine, start: Plays) -> None:
    line = make_line()
    made = start(line)
    sounding = Output(made, 0).play(np.tile(COUNTS, 10))
    wait_until(lambda: found(line).size > RATE_HZ)
    line.unplug()
    assert over(sounding) is Outcome.BROKEN
    assert "gone" in made.trouble
    assert over(Output(made, 0).play(COUNTS)) is Outcome.BROKEN


def test_a_missing_device_is_a_trouble_from_the_start_until_it_is_there(
    make_line: MakeLine, start: Plays, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(playback, "_TRY_AGAIN_S", 0.05)
    line = make_line()
    line.unplug()
    made = start(line)
    wait_until(lambda: "There is no sound device" in made.trouble)
    line.plug()
    wait_until(lambda: not made.trouble)
    assert over(Output(made, 0).play(COUNTS)) is Outcome.PLAYED


def test_an_output_with_other_channels_is_one_sentence(make_line: MakeLine, start: Plays) -> None:
    made = start(make_line(channels=2), 1)
    wait_until(lambda: "takes 2 channels" in made.trouble)


def test_stopping_breaks_off_whatever_sounds(make_line: MakeLine, start: Plays) -> None:
    line = make_line()
    made = start(line)
    sounding = Output(made, 0).play(np.tile(COUNTS, 10))
    wait_until(lambda: found(line).size > 0)
    made.stop()
    assert sounding.outcome is Outcome.BROKEN
    assert can_be_opened(line)
