"""Speech as it comes over a telephone line, noise to put it in, a vault to tell, and one line with all it needs."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance.clock import Clock
from appliance.recorder.disk_room import DiskRoom
from appliance.recorder.ear.sides import signals_for
from appliance.recorder.ear.signals import Pcm
from appliance.recorder.line.line_plan import plan_of
from appliance.recorder.line_board import LineBoard
from appliance.recorder.line_wires import LineWires
from appliance.recorder.line_worker import LineWorker
from appliance.recorder.vault_link import VaultLink
from appliance.recorder.wall_time import WallTime
from appliance.recordings.folder import RecordingsFolder
from appliance.settings import ConsentMode, LineSettings, RecorderSettings
from appliance.terms import RATE_HZ
from tests.recorder.desk import GROUND, LINE, OPENED_MS, SETTINGS, Desk, Disk, MakeDesk
from tests.recorder.fake_vault import FakeVault
from tests.recorder.heard_log import HeardLog

SENTENCE = (
    "Good morning, this is the workshop. Your car is ready, you can pick it up today until six. "
    "The bill comes to two hundred and twelve euros, and the winter tyres are in the boot."
)


@pytest.fixture(scope="session")
def spoken() -> Pcm:
    """Some ten seconds of speech in the telephone band, its loud parts at about -20 dBFS."""
    voice = subprocess.run(["espeak-ng", "-s", "150", "--stdout", SENTENCE], check=True, capture_output=True)
    over_the_line = ["-t", "raw", "-r", str(RATE_HZ), "-e", "signed", "-b", "16", "-c", "1", "-"]
    heard = subprocess.run(
        ["sox", "-R", "-t", "wav", "-", *over_the_line, "sinc", "300-3400", "norm", "-9"],
        input=voice.stdout,
        check=True,
        capture_output=True,
    )
    samples = np.frombuffer(heard.stdout, np.int16)
    loud = np.flatnonzero(np.abs(samples) > 300)
    return samples[loud[0] : loud[-1]]


@pytest.fixture
def noise() -> Callable[[float, float], Pcm]:
    """White noise: seconds, level in dBFS."""
    random = np.random.default_rng(20261101)

    def make(seconds: float, dbfs: float) -> Pcm:
        loudness = 32768 * 10 ** (dbfs / 20)
        return np.clip(random.normal(0, loudness, int(seconds * RATE_HZ)), -32768, 32767).astype(np.int16)

    return make


@pytest.fixture
def heard_log() -> HeardLog:
    return HeardLog()


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[FakeVault]:
    """Away at first."""
    vault = FakeVault(tmp_path / "vault" / "recorder" / "vault.sock")
    yield vault
    vault.go()
    assert vault.faults == []


@pytest.fixture
def disk() -> Disk:
    return Disk()


def in_utc(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)


@pytest.fixture
def make_desk(
    tmp_path: Path, vault: FakeVault, disk: Disk, heard_log: HeardLog, monkeypatch: pytest.MonkeyPatch
) -> Iterator[MakeDesk]:
    # Tests wait for beats, to know that the link has done what it had to do.
    monkeypatch.setattr("appliance.recorder.vault_link.HEARTBEAT_S", 0.02)
    links: list[VaultLink] = []

    def make(
        ground: str = GROUND,
        settings: RecorderSettings = SETTINGS,
        *,
        folder_exists: bool = True,
        consent: ConsentMode = "duty",
        wires: LineWires | None = None,
        local_time: Callable[[int], datetime] = in_utc,
        **line: Any,
    ) -> Desk:
        folder = RecordingsFolder(tmp_path / "recordings")
        if folder_exists:
            folder.create()
        board = LineBoard([LINE])
        link = VaultLink(tmp_path / "vault" / "recorder" / "vault.sock", [LINE], board.read, Clock(), heard_log.logger)
        links.append(link)
        link.start()
        line_settings = LineSettings(name=LINE, alsa="line0", ground=ground, consent=consent, **line)
        worker = LineWorker(
            line_settings,
            signals_for(len(line_settings.channels), settings.speech_above_floor_db),
            plan_of(line_settings, settings),
            local_time,
            folder=folder,
            room=DiskRoom(disk.free_bytes, settings.reserve_mib, look_every_s=0),
            link=link,
            board=board,
            software="linekeep test",
            log=heard_log.logger,
            wires=wires,
        )
        worker.open(WallTime(OPENED_MS))
        return Desk(worker=worker, folder=folder, board=board, vault=vault, link=link)

    yield make
    for link in links:
        link.stop()


@pytest.fixture
def desk(vault: FakeVault, make_desk: MakeDesk) -> Desk:
    vault.come()
    desk = make_desk()
    desk.wait_for_key()
    return desk
