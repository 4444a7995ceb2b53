"""`linekeep line check` as a technician types it, on a real ALSA device."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from appliance.recorder.ear.signals import Pcm
from appliance.terms import RATE_HZ
from tests.simulators.line import SimulatedLine, build_plugin
from tests.simulators.voices import HUMANS, human

COMMAND = [sys.executable, "-m", "appliance.cli", "line", "check"]


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_plugin(tmp_path_factory.mktemp("plugin"))


@pytest.fixture
def line(tmp_path: Path, plugin: Path) -> SimulatedLine:
    """Somebody speaks on the first channel; the second one is dead."""
    said = human(HUMANS[0])[: 20 * RATE_HZ] // 2
    heard: Pcm = said + np.random.default_rng(3).normal(0, 20, said.size).astype(np.int16)
    return SimulatedLine(tmp_path, np.stack((heard, np.zeros_like(heard)), 1), repeat=True, plugin=plugin)


def settings(tmp_path: Path) -> Path:
    path = tmp_path / "linekeep.toml"
    lines = '[[recorder.lines]]\nname = "front-desk"\nalsa = "line0"\n'
    device = '[[recorder.devices]]\nalsa = "line0"\nchannels = 2\n'
    path.write_text(f'state_dir = "{tmp_path}"\nrun_dir = "{tmp_path}"\n{device}{lines}')
    return path


def check(line: SimulatedLine, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | line.environment()
    return subprocess.run([*COMMAND, *arguments], env=environment, capture_output=True, text=True, check=False)


def test_each_channel_has_its_meter_and_its_verdict_and_nothing_is_written(tmp_path: Path, line: SimulatedLine) -> None:
    config = settings(tmp_path)
    there = sorted(tmp_path.rglob("*"))
    run = check(line, "--config", str(config), "--seconds", "12")
    assert (run.returncode, run.stderr) == (1, "")
    *meters, good, dead = run.stdout.splitlines()
    assert good.startswith("Line front-desk: good. Speech at -2")
    assert dead.startswith("Line channel1: Nothing comes from this line")
    assert any("front-desk" in meter and "#####" in meter and "speech" in meter for meter in meters)
    assert {path for path in tmp_path.rglob("*") if "knobs" not in str(path)} <= set(there)


def test_each_side_of_a_line_has_a_meter_of_its_own(tmp_path: Path, line: SimulatedLine) -> None:
    """By which a technician sees whether the near and the far wire are where the settings say."""
    config = settings(tmp_path)
    config.write_text(config.read_text() + "near_channel = 1\nfar_channel = 0\n")
    run = check(line, "--config", str(config), "--seconds", "12")
    assert (run.returncode, run.stderr) == (1, "")
    *_meters, far, near = run.stdout.splitlines()
    assert far.startswith("Line front-desk far: good.")
    assert near.startswith("Line front-desk near: Nothing comes from this line")


def test_json_is_one_object_a_line(line: SimulatedLine) -> None:
    run = check(line, "--alsa", "line0", "--channels", "2", "--seconds", "5", "--json")
    told = [json.loads(row) for row in run.stdout.splitlines()]
    assert {one["what"] for one in told} >= {"level", "trouble", "verdict"}
    assert [one["good"] for one in told if one["what"] == "verdict"][1] is False


def test_on_a_terminal_the_meters_are_redrawn_in_place(line: SimulatedLine) -> None:
    ours, theirs = pty.openpty()
    arguments = [*COMMAND, "--alsa", "line0", "--channels", "2", "--seconds", "2"]
    with subprocess.Popen(arguments, env=os.environ | line.environment(), stdout=theirs) as run:
        os.close(theirs)
        shown = b""
        while True:
            try:
                shown += os.read(ours, 4096)
            except OSError:  # the other end is closed
                break
        assert run.wait() == 1
    os.close(ours)
    assert shown.count(b"\x1b[2F") >= 5


def test_a_device_that_the_recorder_has_open_is_said_to_be_so(line: SimulatedLine) -> None:
    line.occupy(True)
    run = check(line, "--alsa", "line0", "--seconds", "5")
    assert run.returncode == 2
    assert "Another program uses the sound device 'line0'" in run.stderr
    assert "recorder" in run.stderr
    assert run.stderr.count("\n") == 1


def test_a_device_that_is_not_there_or_pulled_out_is_one_sentence(line: SimulatedLine) -> None:
    line.unplug()
    run = check(line, "--alsa", "line0", "--seconds", "5")
    assert run.returncode == 2
    assert "There is no sound device 'line0'" in run.stderr
