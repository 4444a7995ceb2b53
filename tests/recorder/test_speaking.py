"""The whole daemon with an output: it plays the announcement into a call, and hears it there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance.boundary import verbs
from appliance.recorder.ear.announcement import AnnouncementListener
from appliance.recorder.ear.signals import Pcm
from appliance.recordings.folder import RecordingsFolder
from appliance.recordings.reader import RecordingReader
from appliance.sound_file import read_sound_file, write_wav
from appliance.terms import RATE_HZ, CallId, ConsentBy, LineName, LineNowState, NotKept
from tests.recorder.fake_vault import FakeVault
from tests.recorder.test_line_watch import Tape
from tests.simulators import announcements
from tests.simulators.line import SimulatedLine, build_plugin

LINE = LineName("line1")
PATIENCE_S = 40.0
SAID = "fr-fr"
"""Six seconds."""


@dataclass
class Box:
    """A recorder with a line that says what the test gives it, once."""

    folder: RecordingsFolder
    line: SimulatedLine
    vault: FakeVault
    recorder: subprocess.Popen[bytes]

    @property
    def unrecorded(self) -> list[verbs.NoteUnrecorded]:
        return [told for told in self.vault.told if isinstance(told, verbs.NoteUnrecorded)]

    @property
    def state(self) -> LineNowState | None:
        return self.vault.lines[LINE].state if LINE in self.vault.lines else None

    def stop(self) -> list[dict[str, Any]]:
        """What it had logged."""
        self.recorder.send_signal(signal.SIGTERM)
        _, log = self.recorder.communicate(timeout=PATIENCE_S)
        assert self.recorder.returncode == 0, log.decode()
        return [json.loads(line) for line in log.splitlines()]


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_plugin(tmp_path_factory.mktemp("plugin"))


@pytest.fixture
def start(tmp_path: Path, plugin: Path, vault: FakeVault) -> Iterator[Callable[..., Box]]:
    announcement, settings = tmp_path / "announcement.wav", tmp_path / "linekeep.toml"
    write_wav(announcement, announcements.synthetic()[SAID].samples[:, np.newaxis])
    settings.write_text(
        f"""
state_dir = "{tmp_path / "state"}"
run_dir = "{tmp_path}"
[recorder]
hold_over_s = 4
devices = [{{ alsa = "line0", channels = CHANNELS }}]
[[recorder.lines]]
name = "{LINE}"
alsa = "line0"
channel = CHANNEL
ground = "Synthesised audio."
consent = "announced"
announcement = "{announcement}"
output = {{ alsa = "line0", channels = CHANNELS, channel = CHANNEL RELAY }}
"""
    )
    folder = RecordingsFolder(tmp_path / "state" / "recordings")
    folder.create()
    vault.come()
    boxes: list[Box] = []

    def make(feed: Pcm, relay: str = "") -> Box:
        """feed: of the device; its last channel is the line's."""
        feed = feed.reshape(len(feed), -1)
        channels = feed.shape[1]
        text = settings.read_text().replace("CHANNELS", str(channels)).replace("CHANNEL", str(channels - 1))
        settings.write_text(text.replace("RELAY", relay))
        line = SimulatedLine(tmp_path / "line", feed, speed=2, plugin=plugin)
        command = [sys.executable, "-m", "appliance.cli", "run", "--config", str(settings), "recorder"]
        recorder = subprocess.Popen(command, stderr=subprocess.PIPE, env=os.environ | line.environment())
        boxes.append(Box(folder=folder, line=line, vault=vault, recorder=recorder))
        return boxes[-1]

    yield make
    for box in boxes:
        box.recorder.kill()
        box.recorder.communicate()


def sound_of(box: Box, call: CallId, path: Path) -> Pcm:
    with RecordingReader(box.folder.growing_path(call), call=call, key=box.vault.keys[call]) as reader:
        reader.verify()
        assert reader.opening.consent is not None
        assert reader.opening.consent.by is ConsentBy.ANNOUNCEMENT
        path.write_bytes(reader.read_audio(0, reader.audio_bytes))
    return read_sound_file(path)[:, 0]


def test_the_announcement_is_played_into_the_call_heard_there_and_recorded_with_it(
    start: Callable[[Pcm], Box], spoken: Pcm, tmp_path: Path
) -> None:
    box = start(Tape(spoken).rings().talk(2).wait(9).talk(6).hangs_up().pcm)
    box.vault.wait_until(lambda: box.state is LineNowState.WAITING, PATIENCE_S)
    assert box.folder.growing_calls() == []
    box.vault.wait_until(lambda: box.vault.calls(verbs.FinishCall), PATIENCE_S)
    (call,) = box.vault.calls(verbs.FinishCall)
    log = box.stop()
    assert [told["how"] for told in log if told["event"] == "announcement_ends"] == ["played"]
    listener = AnnouncementListener(announcements.synthetic()[SAID])
    heard = listener.hear(sound_of(box, call, tmp_path / "call.ogg"))
    assert [one.whole for one in heard] == [True]


def test_the_announcement_is_played_into_the_channel_of_its_line_alone(
    start: Callable[[Pcm], Box], spoken: Pcm
) -> None:
    line = Tape(spoken).wait(1).ring().wait(1.5).talk(3).wait(20).pcm
    box = start(np.column_stack((np.zeros_like(line), line)))
    box.vault.wait_until(lambda: box.line.spoken().any(), PATIENCE_S)
    box.stop()
    others, its_own = box.line.spoken().T
    assert its_own.any()
    assert not others.any()


def test_of_a_caller_who_hangs_up_during_the_announcement_nothing_is_kept_and_it_stops(
    start: Callable[[Pcm], Box], spoken: Pcm
) -> None:
    box = start(Tape(spoken).rings().talk(2).wait(3).tone("busy", 12).wait(30).pcm)
    box.vault.wait_until(lambda: box.unrecorded, PATIENCE_S)
    (fact,) = box.unrecorded
    assert fact.why is NotKept.HALF_HEARD
    assert box.folder.growing_calls() == []
    played = box.line.spoken()[:, 0]
    assert np.flatnonzero(played).size > RATE_HZ
    assert not box.vault.calls(verbs.BeginCall)
    assert [told["event"] for told in box.stop()].count("announcement_plays") == 1


def test_an_announcement_that_never_reaches_the_line_is_no_consent(start: Callable[[Pcm], Box], spoken: Pcm) -> None:
    box = start(Tape(spoken).rings().talk(2).wait(9).talk(6).hangs_up().pcm)
    box.line.decouple(True)
    box.vault.wait_until(lambda: box.unrecorded, PATIENCE_S)
    assert box.unrecorded[0].why is NotKept.HALF_HEARD
    assert box.line.spoken().any()
    assert box.folder.growing_calls() == []
    box.stop()


def test_an_announcement_whose_relay_cannot_be_switched_is_not_played_and_the_line_says_so(
    start: Callable[..., Box], spoken: Pcm
) -> None:
    box = start(
        Tape(spoken).rings().talk(2).wait(9).talk(6).hangs_up().pcm,
        ', relay = { chip = "/dev/gpiochip99", line = "speak" }',
    )
    box.vault.wait_until(lambda: box.unrecorded, PATIENCE_S)
    assert box.unrecorded[0].why is NotKept.HALF_HEARD
    assert "so the relay is not used. Nothing is played on this line" in box.vault.lines[LINE].trouble
    assert not box.line.spoken().any()
    log = box.stop()
    assert [told["how"] for told in log if told["event"] == "announcement_ends"] == ["broken"]
