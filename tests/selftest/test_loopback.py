"""A cable from output to input, as real ALSA plays it: what comes back right is good, and each fault is named."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from appliance.cli import main
from appliance.recorder.ear.signals import Pcm
from appliance.selftest import loopback
from appliance.selftest.finding import Finding, Verdict
from appliance.selftest.loopback import Returned, look_at_loopback, measure, turn_of
from appliance.settings import DeviceSettings
from appliance.terms import RATE_HZ
from tests.recorder.test_playback import wait_until
from tests.selftest.test_faults import named, wrong
from tests.simulators.line import SimulatedLine, build_plugin

RNG = np.random.default_rng(9)
QUIET: Pcm = RNG.normal(0, 10, 8 * RATE_HZ).astype(np.int16)
Try = Callable[..., list[Finding]]


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_plugin(tmp_path_factory.mktemp("plugin"))


@pytest.fixture
def cable(tmp_path: Path, plugin: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., SimulatedLine]:
    def cable(gain: float, noise: NDArray[np.int16] = QUIET[:, np.newaxis]) -> SimulatedLine:
        line = SimulatedLine(tmp_path, noise, repeat=True, plugin=plugin, echo=gain)
        for name, value in line.environment().items():
            monkeypatch.setenv(name, value)
        return line

    return cable


def tried(line: SimulatedLine, channels: int = 1) -> list[Finding]:
    return list(look_at_loopback(DeviceSettings(alsa=line.device, channels=channels)))


def test_two_good_channels_have_nothing_wrong(cable: Callable[..., SimulatedLine]) -> None:
    findings = tried(cable(1.0, np.column_stack([QUIET, QUIET[::-1]])), channels=2)
    assert [each.verdict for each in findings] == [Verdict.GOOD] * 7, findings
    assert findings[1].reading == findings[4].reading == "+0 dB from output to input"
    assert findings[3].reading in {"-70 dBFS", "-71 dBFS"}


def test_wrong_level_is_named_with_what_to_turn(cable: Callable[..., SimulatedLine]) -> None:
    named(tried(cable(0.25)), "sound line0, channel 0 level", Verdict.LOOK, "up by 12 dB")


def test_missing_cable_is_named(cable: Callable[..., SimulatedLine]) -> None:
    named(tried(cable(0.0)), "sound line0, channel 0", Verdict.BAD, "cable in both sockets")


def test_input_that_is_driven_too_far_is_named(cable: Callable[..., SimulatedLine]) -> None:
    found = {each.part.rpartition(" ")[2]: each for each in wrong(tried(cable(10.0)))}
    assert {part: each.verdict for part, each in found.items()} == {"level": Verdict.BAD, "distortion": Verdict.BAD}
    assert "cut off" in found["level"].reading


def test_lost_frames_are_named_and_nothing_is_judged_by_what_is_left(cable: Callable[..., SimulatedLine]) -> None:
    line = cable(1.0)
    line.overrun(800)
    named(tried(line), "sound line0", Verdict.BAD, "without a hub")


def test_output_that_was_not_fed_in_time_is_tried_again(cable: Callable[..., SimulatedLine]) -> None:
    line = cable(1.0)
    line.underrun()
    assert wrong(tried(line)) == []


def test_output_that_another_program_holds_is_named(
    cable: Callable[..., SimulatedLine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loopback, "_TRIED_AGAIN", 0)
    line = cable(1.0)
    command = ["aplay", "-q", "-D", line.device, "-t", "raw", "-f", "S16_LE", "-r", "8000", "-c", "1", "/dev/zero"]
    with subprocess.Popen(command, env=os.environ | line.environment()) as holds:
        wait_until(lambda: line.spoken().size > 0)
        named(tried(line), "sound line0 output", Verdict.BAD, "End that program")
        holds.terminate()


def test_missing_card_is_named(cable: Callable[..., SimulatedLine]) -> None:
    line = cable(1.0)
    line.unplug()
    named(tried(line), "sound line0", Verdict.BAD, "Plug it in")


def test_command_plays_where_a_cable_is_said_to_be(
    cable: Callable[..., SimulatedLine], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line, settings = cable(0.25), tmp_path / "linekeep.toml"
    settings.write_text(
        f'state_dir = "{tmp_path}"\nrun_dir = "/r"\n[vault]\ntpm = "/dev/tpmrm99"\n'
        f'[recorder]\ndevices = [{{ alsa = "{line.device}" }}]\n'
    )
    assert main(["selftest", "--config", str(settings), "--loopback", "--json"]) == 1
    findings = {each["part"]: each for each in json.loads(capsys.readouterr().out)["findings"]}
    assert findings["sound line0, channel 0 level"]["advice"].endswith("up by 12 dB.")


# what is measured, of sound that was not played


def returned(change: Callable[[NDArray[np.float64]], NDArray[np.float64]], turn: int = 0) -> Pcm:
    """What comes back 0.17 s late over a cable that changes it."""
    played = np.pad(turn_of(turn).astype(np.float64), (1360, RATE_HZ))
    return np.rint(change(played) + RNG.normal(0, 10, played.size)).astype(np.int16)


@pytest.mark.parametrize("cube_db", [-30, -40, -50])
def test_distortion_is_measured_as_large_as_it_is(cube_db: float) -> None:
    # cos^3 = (3 cos + cos 3x) / 4
    peak = 32768 * np.sqrt(2) / 10
    share = 4 * 10 ** (cube_db / 20)
    found = measure(returned(lambda x: x + share * (x / peak) ** 3 * peak - 0.75 * share * x))
    assert found is not None
    assert abs(found.distortion_db - cube_db) < 1


def test_noise_is_no_distortion_and_is_measured_in_the_silence() -> None:
    found = measure(returned(lambda x: x + RNG.normal(0, 328, x.size)))
    assert found is not None
    assert abs(found.noise_dbfs + 40) < 0.5
    assert found.distortion_db < -35


def test_each_finding_of_a_noisy_and_loud_return_names_what_to_do() -> None:
    returned = Returned(turn=1, level_dbfs=-8, distortion_db=-40, noise_dbfs=-45, clips=False)
    found = wrong(loopback.judge("x", 0, returned))
    assert [(each.part, each.verdict) for each in found] == [
        ("x", Verdict.BAD),
        ("x level", Verdict.LOOK),
        ("x distortion", Verdict.LOOK),
        ("x noise", Verdict.LOOK),
    ]
    advice = ("Exchange the plugs", "down by 12 dB", "gain control", "shielded cable")
    assert all(words in each.advice for words, each in zip(advice, found, strict=True)), found


def test_card_with_a_clock_of_its_own_is_not_taken_for_distortion() -> None:
    def late(x: NDArray[np.float64]) -> NDArray[np.float64]:
        t = np.arange(x.size)
        on = np.convolve(np.abs(x), np.ones(32) / 32, "same") > 1000
        return np.where(on, 4634 * np.sin(2 * np.pi * 1020.1 / RATE_HZ * t), 0.0)

    found = measure(returned(late))
    assert found is not None
    assert found.distortion_db < -45
    assert abs(found.level_dbfs + 20) < 0.1


def test_channel_that_hears_another_is_told_by_its_turn() -> None:
    found = [measure(returned(lambda x: x, turn)) for turn in range(3)]
    assert [each.turn for each in found if each is not None] == [0, 1, 2]


def test_noise_alone_and_nothing_at_all_are_no_tone() -> None:
    assert measure(RNG.normal(0, 1000, 3 * RATE_HZ).astype(np.int16)) is None
    assert measure(np.zeros(3 * RATE_HZ, np.int16)) is None
