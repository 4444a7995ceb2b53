"""The whole daemon as a process: a simulated line at one end, a vault that only remembers at the other."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from appliance.boundary import verbs
from appliance.clock import Clock
from appliance.recorder import __main__ as recorder_daemon
from appliance.recorder.device.capture import SoundDevice
from appliance.recorder.ear.signals import Pcm
from appliance.recordings.container import EndReason
from appliance.recordings.folder import RecordingsFolder
from appliance.recordings.reader import RecordingCutOff, RecordingReader
from appliance.settings import read_settings
from appliance.terms import RATE_HZ, CallId, LineName, LineNowState, NotKept
from tests.recorder.fake_vault import FakeVault
from tests.recorder.heard_log import HeardLog
from tests.simulators.line import SimulatedLine, build_plugin

Noise = Callable[[float, float], Pcm]
LINE = LineName("line1")
PATIENCE_S = 30.0
GROUND = "Synthesised audio."
STOPS_WITHIN_S = 8.5
"""Five seconds for the calls and three for the vault are allowed; it should take one."""


@dataclass
class Box:
    """A settings file, a line and a vault; the recorder is started by the test."""

    settings: Path
    folder: RecordingsFolder
    line: SimulatedLine
    vault: FakeVault
    running: list[subprocess.Popen[bytes]]

    def start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "appliance.cli", "run", "--config", str(self.settings), "recorder"]
        recorder = subprocess.Popen(command, stderr=subprocess.PIPE, env=os.environ | self.line.environment())
        self.running.append(recorder)
        return recorder

    def begun(self) -> list[CallId]:
        return self.vault.calls(verbs.BeginCall)

    def finished(self) -> list[CallId]:
        return self.vault.calls(verbs.FinishCall)

    def trouble(self) -> str:
        return self.vault.lines[LINE].trouble if LINE in self.vault.lines else ""

    def open(self, call: CallId) -> RecordingReader:
        return RecordingReader(self.folder.growing_path(call), call=call, key=self.vault.keys[call])


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_plugin(tmp_path_factory.mktemp("plugin"))


@pytest.fixture
def box(tmp_path: Path, plugin: Path, vault: FakeVault, spoken: Pcm, noise: Noise) -> Iterator[Box]:
    """The line says ten seconds of speech, then eight of nothing, again and again."""
    settings = tmp_path / "linekeep.toml"
    settings.write_text(
        f"""
state_dir = "{tmp_path / "state"}"
run_dir = "{tmp_path}"
[recorder]
hold_over_s = 2
devices = [{{ alsa = "line0" }}]
lines = [{{ name = "{LINE}", alsa = "line0", ground = "{GROUND}", consent = "duty" }}]
"""
    )
    folder = RecordingsFolder(tmp_path / "state" / "recordings")
    folder.create()
    feed = np.concatenate((spoken[: 10 * RATE_HZ], noise(8, -65)))[:, np.newaxis]
    line = SimulatedLine(tmp_path / "line", feed, speed=2, repeat=True, plugin=plugin)
    box = Box(settings=settings, folder=folder, line=line, vault=vault, running=[])
    yield box
    for recorder in box.running:
        recorder.kill()
        recorder.communicate()


def stopped(recorder: subprocess.Popen[bytes]) -> list[dict[str, object]]:
    """Ask it to stop; what it had logged."""
    recorder.send_signal(signal.SIGTERM)
    _, log = recorder.communicate(timeout=STOPS_WITHIN_S)
    assert recorder.returncode == 0, log.decode()
    return [json.loads(line) for line in log.splitlines()]


def test_a_call_on_the_line_becomes_a_recording(box: Box) -> None:
    box.vault.come()
    recorder = box.start()
    box.vault.wait_until(box.finished, PATIENCE_S)
    (call,) = box.finished()
    with box.open(call) as reader:
        reader.verify()
        assert reader.opening.ground == GROUND
        assert reader.closing.ended is EndReason.SILENCE
        assert 12 * RATE_HZ < reader.closing.frames < 14 * RATE_HZ
        assert reader.closing.gaps == ()
    events = [told["event"] for told in stopped(recorder)]
    assert events.index("call_recording_begun") < events.index("call_recording_ended")


def test_the_vault_sees_a_running_call_soon_and_stopping_ends_it_whole(box: Box) -> None:
    box.vault.come()
    recorder = box.start()
    box.vault.wait_until(lambda: LINE in box.vault.lines and box.vault.lines[LINE].call, PATIENCE_S)
    assert box.vault.lines[LINE].level_dbfs > -40
    asked = time.monotonic()
    stopped(recorder)
    assert time.monotonic() - asked < 5
    (call,) = box.finished()
    with box.open(call) as reader:
        reader.verify()
        assert reader.closing.ended is EndReason.STOPPED


def test_a_device_that_is_missing_and_then_plugged_in_is_no_reason_to_die(box: Box) -> None:
    box.line.unplug()
    box.vault.come()
    recorder = box.start()
    box.vault.wait_until(lambda: "no sound device" in box.trouble(), PATIENCE_S)
    box.line.plug()
    box.vault.wait_until(lambda: box.begun() and not box.trouble(), PATIENCE_S)
    box.line.unplug()
    box.vault.wait_until(lambda: box.finished() and box.trouble(), PATIENCE_S)
    call = box.finished()[0]
    with box.open(call) as reader:
        reader.verify()
        assert reader.closing.ended in {EndReason.DEVICE_LOST, EndReason.SILENCE}
    assert recorder.poll() is None
    stopped(recorder)


def test_an_overrun_is_listed_in_the_recording_and_told_at_once(box: Box) -> None:
    box.vault.come()
    recorder = box.start()
    box.vault.wait_until(box.begun, PATIENCE_S)
    box.line.overrun(1500)
    box.vault.wait_until(
        lambda: [request for request in box.vault.told if isinstance(request, verbs.ReportGap)], PATIENCE_S
    )
    box.vault.wait_until(box.finished, PATIENCE_S)
    with box.open(box.finished()[0]) as reader:
        reader.verify()
        (gap,) = reader.closing.gaps
        assert gap.why == "overrun"
    stopped(recorder)


def test_a_recorder_that_was_killed_leaves_its_file_and_begins_anew(box: Box) -> None:
    box.vault.come()
    recorder = box.start()
    box.vault.wait_until(box.begun, PATIENCE_S)
    recorder.kill()
    recorder.wait(PATIENCE_S)
    (call,) = box.begun()
    assert not box.folder.is_being_written(call)
    with pytest.raises(RecordingCutOff):
        box.open(call)
    again = box.start()
    box.vault.wait_until(lambda: len(box.begun()) == 2, PATIENCE_S)
    assert call in box.folder.growing_calls()
    stopped(again)


def test_a_vault_that_comes_late_is_found(box: Box) -> None:
    recorder = box.start()
    threading.Timer(1.5, box.vault.come).start()
    box.vault.wait_until(box.begun, PATIENCE_S)
    stopped(recorder)


def test_a_ground_that_no_recording_can_hold_stops_the_start_in_one_sentence(box: Box) -> None:
    box.settings.write_text(box.settings.read_text().replace(GROUND, "because " * 40))
    recorder = box.start()
    _, told = recorder.communicate(timeout=PATIENCE_S)
    assert recorder.returncode == 2
    assert "recorder.lines[0].ground" in told.decode()
    assert "Traceback" not in told.decode()


def test_a_thread_that_hangs_in_its_device_is_no_life_and_a_missing_device_is(
    box: Box, monkeypatch: pytest.MonkeyPatch, heard_log: HeardLog
) -> None:
    monkeypatch.setattr(recorder_daemon, "_HANGS_AFTER_S", 3.0)
    box.line.unplug()
    monkeypatch.setenv("ALSA_CONFIG_PATH", box.line.environment()["ALSA_CONFIG_PATH"])
    recorder = recorder_daemon.Recorder(read_settings(box.settings), heard_log.logger)
    tried, hangs, may_go_on = threading.Semaphore(0), threading.Event(), threading.Event()
    open_device = SoundDevice.open

    def open_or_hang(device: SoundDevice) -> None:
        tried.release()
        if hangs.is_set():
            may_go_on.wait()
        open_device(device)

    monkeypatch.setattr(SoundDevice, "open", open_or_hang)
    recorder.start()
    try:
        for _ in range(5):
            assert tried.acquire(timeout=PATIENCE_S)
            assert recorder.is_alive()
        hangs.set()
        wait_until(lambda: not recorder.is_alive())
        may_go_on.set()
        wait_until(recorder.is_alive)
    finally:
        may_go_on.set()
        recorder.stop()


def test_private_hours_are_meant_in_the_time_zone_of_the_settings(
    box: Box, monkeypatch: pytest.MonkeyPatch, heard_log: HeardLog
) -> None:
    monkeypatch.setenv("ALSA_CONFIG_PATH", box.line.environment()["ALSA_CONFIG_PATH"])
    text = box.settings.read_text("utf-8").replace('"duty" }', '"duty", private = ["18:00-19:00"] }')
    box.settings.write_text(text + '[webui]\ntimezone = "Asia/Tokyo"\n', "utf-8")
    half_past_six_ms = int(datetime(2027, 1, 15, 9, 30, tzinfo=UTC).timestamp()) * 1000
    recorder = recorder_daemon.Recorder(read_settings(box.settings), heard_log.logger, Clock(lambda: half_past_six_ms))
    box.vault.come()
    recorder.start()
    try:
        in_call = {LineNowState.RECORDING, LineNowState.NOT_RECORDED}
        box.vault.wait_until(lambda: LINE in box.vault.lines and box.vault.lines[LINE].state in in_call, PATIENCE_S)
    finally:
        recorder.stop()
    assert [told.why for told in box.vault.told if isinstance(told, verbs.NoteUnrecorded)] == [NotKept.PRIVATE]
    assert box.folder.growing_calls() == []


def wait_until(is_so: Callable[[], bool]) -> None:
    give_up = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < give_up
        time.sleep(0.02)  # it is the passing of time that makes it so


def test_a_switch_of_the_case_that_cannot_be_read_is_reported_and_calls_are_recorded(box: Box) -> None:
    text = box.settings.read_text("utf-8")
    switch = 'tamper = { chip = "/dev/gpiochip99", line = "tamper" }'
    box.settings.write_text(text.replace("[recorder]", f"[recorder]\n{switch}"), "utf-8")
    box.vault.come()
    recorder = box.start()
    box.vault.wait_until(box.begun, PATIENCE_S)
    (report,) = (each for each in box.vault.told if isinstance(each, verbs.ReportCase))
    assert (report.is_open, report.openings) == (None, 0)
    assert "so the switch of the case is not used" in report.trouble
    assert "case_trouble" in [line["event"] for line in stopped(recorder)]
