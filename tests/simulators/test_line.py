"""The simulated line, as a program that knows nothing of it hears it: arecord."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from appliance.terms import LineTrouble
from tests.simulators.line import SimulatedLine, build_plugin

# Every sample tells its place, so that a window of one is found again.
FEED = np.arange(65_536, dtype=np.uint16).view(np.int16)[:, np.newaxis]


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_plugin(tmp_path_factory.mktemp("plugin"))


def start_arecord(line: SimulatedLine, frames: int, channels: int, speed: float = 1) -> subprocess.Popen[bytes]:
    options = ["-q", "-D", line.device, "-t", "raw", "-f", "S16_LE", "-r", "8000", "-c", str(channels)]
    # A buffer of a second of our time, so that a busy machine is no reason for an overrun.
    buffer_us = str(int(1_000_000 * speed))
    return subprocess.Popen(
        ["arecord", *options, "-B", buffer_us, "-F", "100000", "-s", str(frames)],
        env=os.environ | line.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def arecord(line: SimulatedLine, frames: int, channels: int = 1, speed: float = 1) -> NDArray[np.int16]:
    heard, complaints = start_arecord(line, frames, channels, speed).communicate(timeout=30)
    assert complaints == b""
    return np.frombuffer(heard, np.int16).reshape(-1, channels)


def complaint_of_arecord(line: SimulatedLine) -> str:
    _, complaints = start_arecord(line, 800, 1).communicate(timeout=30)
    return complaints.decode()


def place(sample: np.int16) -> int:
    return int(np.uint16(sample))


def test_five_seconds_are_heard_bit_for_bit(tmp_path: Path, plugin: Path) -> None:
    line = SimulatedLine(tmp_path, FEED, speed=10, plugin=plugin)
    heard = arecord(line, 40_000, speed=10)
    first = place(heard[0, 0])
    np.testing.assert_array_equal(heard, FEED[first : first + 40_000])


def test_channels_are_lines_of_their_own(tmp_path: Path, plugin: Path) -> None:
    feed = np.hstack([FEED, FEED[::-1], FEED // 2])
    line = SimulatedLine(tmp_path, feed, speed=10, plugin=plugin)
    heard = arecord(line, 8000, channels=3, speed=10)
    first = place(heard[0, 0])
    np.testing.assert_array_equal(heard, feed[first : first + 8000])


def test_frames_come_when_the_clock_says_and_never_before(tmp_path: Path, plugin: Path) -> None:
    line = SimulatedLine(tmp_path, FEED, speed=2, plugin=plugin)
    heard = arecord(line, 8000, speed=2)
    assert place(heard[-1, 0]) <= line.frame_now()


def test_a_listener_who_comes_back_hears_the_line_where_it_is_by_then(tmp_path: Path, plugin: Path) -> None:
    line = SimulatedLine(tmp_path, FEED, speed=4, plugin=plugin)
    arecord(line, 800, speed=4)
    hung_up_at = line.frame_now()
    first = place(arecord(line, 800, speed=4)[0, 0])
    assert 800 < hung_up_at <= first <= line.frame_now()


def test_a_new_line_starts_a_new_life_in_the_same_directory(tmp_path: Path, plugin: Path) -> None:
    arecord(SimulatedLine(tmp_path, FEED, plugin=plugin), 800)
    assert SimulatedLine(tmp_path, FEED, plugin=plugin).frame_now() == 0


def test_after_the_feed_there_is_silence(tmp_path: Path, plugin: Path) -> None:
    line = SimulatedLine(tmp_path, FEED[1:2000], speed=10, plugin=plugin)
    assert not arecord(line, 16_000, speed=10)[2000:].any()


def test_a_repeating_line_begins_again_after_the_feed(tmp_path: Path, plugin: Path) -> None:
    line = SimulatedLine(tmp_path, FEED[:3000], speed=10, repeat=True, plugin=plugin)
    heard = arecord(line, 16_000, speed=10)
    first = place(heard[0, 0])
    np.testing.assert_array_equal(heard[:, 0], (np.arange(16_000) + first) % 3000)


def test_the_silence_knob_gives_zeros_until_it_is_taken_back(tmp_path: Path, plugin: Path) -> None:
    line = SimulatedLine(tmp_path, FEED, speed=4, plugin=plugin)
    line.silence(True)
    assert not arecord(line, 1600, speed=4).any()
    line.silence(False)
    assert arecord(line, 1600, speed=4).all()


def test_an_unplugged_line_cannot_be_opened_and_a_plugged_one_can(tmp_path: Path, plugin: Path) -> None:
    line = SimulatedLine(tmp_path, FEED, plugin=plugin)
    line.unplug()
    assert "No such device" in complaint_of_arecord(line)
    line.plug()
    assert len(arecord(line, 800)) == 800


def test_a_line_that_is_pulled_out_ends_the_recording(tmp_path: Path, plugin: Path) -> None:
    line = SimulatedLine(tmp_path, FEED, plugin=plugin)
    listener = start_arecord(line, 80_000, 1)
    assert listener.stdout is not None
    listener.stdout.read(1600)
    line.unplug()
    assert b"No such device" in listener.communicate(timeout=30)[1]


def test_a_busy_line_cannot_be_opened(tmp_path: Path, plugin: Path) -> None:
    line = SimulatedLine(tmp_path, FEED, plugin=plugin)
    line.occupy(True)
    assert "Device or resource busy" in complaint_of_arecord(line)


def test_a_line_has_one_listener_at_a_time(tmp_path: Path, plugin: Path) -> None:
    line = SimulatedLine(tmp_path, FEED, plugin=plugin)
    first = start_arecord(line, 16_000, 1)
    assert first.stdout is not None
    first.stdout.read(1600)
    assert "Device or resource busy" in complaint_of_arecord(line)
    first.terminate()
    first.communicate(timeout=30)


def aplay(line: SimulatedLine, sound: NDArray[np.int16]) -> None:
    options = ["-q", "-D", line.device, "-t", "raw", "-f", "S16_LE", "-r", "8000", "-c", str(sound.shape[1])]
    subprocess.run(["aplay", *options], env=os.environ | line.environment(), input=sound.tobytes(), check=True)


@pytest.mark.parametrize("connected", [True, False])
def test_what_is_played_on_the_line_is_heard_with_what_it_says_unless_it_is_decoupled(
    tmp_path: Path, plugin: Path, connected: bool
) -> None:
    said = np.full((80_000, 2), 1000, np.int16)
    line = SimulatedLine(tmp_path, said, plugin=plugin, echo=0.5)
    line.decouple(not connected)
    listener = start_arecord(line, 16_000, 2)
    assert listener.stdout is not None
    listener.stdout.read(3200)
    played = np.stack([np.arange(4000), np.arange(4000)[::-1]], axis=1).astype(np.int16)
    aplay(line, played)
    rest, complaints = listener.communicate(timeout=30)
    assert complaints == b""
    heard = np.frombuffer(rest, np.int16).reshape(-1, 2)
    echo = heard[np.flatnonzero((heard != 1000).any(1))] - 1000
    np.testing.assert_array_equal(echo, played // 2 if connected else echo[:0])
    spoken = line.spoken()
    first = np.flatnonzero(spoken.any(1))[0]
    np.testing.assert_array_equal(spoken[first : first + 4000], played)


def test_the_plugin_is_compiled_once_for_one_source(tmp_path: Path) -> None:
    built_ns = build_plugin(tmp_path).stat().st_mtime_ns
    assert build_plugin(tmp_path).stat().st_mtime_ns == built_ns


def test_without_a_compiler_the_sentence_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LineTrouble, match="install gcc and libasound2-dev"):
        build_plugin(tmp_path)
