"""Forgetting on time, and for good: what was forgotten does not come back with an old copy of anything.

Rolling back the TPM itself is left out: its memory is the one thing that a thief of the disk does not hold.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest

from appliance.boundary.vault import VaultClient
from appliance.boundary.verbs import Caller
from appliance.settings import SETTINGS_NAME, read_settings
from tests.simulators.software_tpm import SoftwareTpm
from tests.system.house import ROOT, House, free_port, refused, run_linekeep
from tests.system.sounds import conversation, read_wav, write_wav
from tests.system.visitor import NAME, PASSWORD

pytestmark = pytest.mark.system

CALL_ENDS_WITHIN_S = 40.0
KEEP_S = 12
FORGOTTEN_WITHIN_S = KEEP_S + 5
_FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")
_COPIED = ("ring", "recordings", "catalogue.sqlite")


def record_calls(house: House, count: int) -> list[str]:
    return [house.wait_for("call_ended", CALL_ENDS_WITHIN_S, kept=True)["call"] for _ in range(count)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShortLived:
    """A running box that keeps calls for seconds, its only call, and what the page gave of it while it was kept."""

    house: House
    call: str
    ended_s: float
    listed: list[str]
    wav: bytes

    @property
    def file(self) -> Path:
        return self.house.state / "recordings" / "finished" / self.call


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """A stopped box, and copies of its parts from before one of its two calls was deleted."""

    state: Path
    copies: Path
    deleted: str
    kept: str

    def put_back(self, *parts: str) -> None:
        """Bring the box back as it was when it was stopped, but these parts as they were before."""
        for part in _COPIED:
            source = (self.copies / "before" if part in parts else self.copies / "after") / part
            _replace(source, self.state / part)
        for rest in self.state.glob("catalogue.sqlite-*"):
            rest.unlink()


def _replace(source: Path, target: Path) -> None:
    if target.is_dir():
        shutil.rmtree(target)
    else:
        target.unlink(missing_ok=True)
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copy2(source, target)


def copy_parts(state: Path, copies: Path) -> None:
    copies.mkdir(parents=True)
    for folder in ("ring", "recordings"):
        shutil.copytree(state / folder, copies / folder)
    with (
        contextlib.closing(sqlite3.connect(state / "catalogue.sqlite", timeout=30)) as source,
        contextlib.closing(sqlite3.connect(copies / "catalogue.sqlite")) as target,
    ):
        source.backup(target)


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_wav(tmp_path_factory.mktemp("said") / "call.wav", conversation(4))


@pytest.fixture(scope="module")
def short_lived(tmp_path_factory: pytest.TempPathFactory, said: Path) -> Iterator[ShortLived]:
    with House(tmp_path_factory.mktemp("short") / "state", [said], keep=f"{KEEP_S}s") as house:
        house.claim()
        ended = house.wait_for("call_ended", CALL_ENDS_WITHIN_S, kept=True)
        call = ended["call"]
        wav = house.download(call)
        yield ShortLived(house=house, call=call, ended_s=ended["heard_s"], listed=house.calls(), wav=wav)


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory, said: Path, short_lived: ShortLived) -> Past:
    """Two calls; copies were made; one was deleted through the page; then the box was stopped.

    `short_lived` is asked for only so that its call is forgotten meanwhile.
    """
    folder = tmp_path_factory.mktemp("past")
    with House(folder / "state", [said, said]) as house:
        house.claim()
        deleted, kept = record_calls(house, 2)
        copy_parts(house.state, folder / "before")
        house.delete(deleted)
        assert house.calls() == [kept]
        house.stop()
    copy_parts(folder / "state", folder / "after")
    return Past(state=folder / "state", copies=folder, deleted=deleted, kept=kept)


def test_a_call_is_forgotten_on_time_and_then_nowhere(short_lived: ShortLived, past: Past) -> None:
    house, call = short_lived.house, short_lived.call
    assert short_lived.listed == [call]
    assert len(read_wav(short_lived.wav)) > 0
    forgotten = house.wait_for("forgotten", FORGOTTEN_WITHIN_S, call=call)
    assert KEEP_S - 2 < forgotten["heard_s"] - short_lived.ended_s < FORGOTTEN_WITHIN_S
    assert house.calls() == []
    for page in ("", "/audio.ogg", "/download.wav", "/delete"):
        assert house.ask(f"/calls/{call}{page}").status == 404
    assert not short_lived.file.exists()
    house.stop()
    assert not list(house.state.rglob(f"*{call}*"))


def test_recordings_and_catalogue_put_back_stay_unreadable_and_the_check_names_the_call(past: Past, said: Path) -> None:
    past.put_back("recordings", "catalogue.sqlite")
    checked = run_linekeep("check", "--state", str(past.state))
    assert checked.returncode == 1, checked.stdout + checked.stderr
    assert past.deleted in checked.stdout
    assert "forgotten" in checked.stdout
    with House(past.state, [said]) as house:
        house.log_in()
        for page in ("", "/audio.ogg", "/download.wav", "/download.ogg"):
            assert house.ask(f"/calls/{past.deleted}{page}").status in {404, 410}
        assert past.deleted not in house.calls()
        assert any(chip["name"] == "unreadable" for chip in house.live()["chips"]), "the page keeps quiet about it"
        house.stop()


def test_an_old_ring_put_back_stops_the_start_with_one_sentence(past: Past, said: Path) -> None:
    past.put_back(*_COPIED)
    sentence = refused("demo", "--state", str(past.state), "--port", str(free_port()), "--audio", str(said))
    assert "ring" in sentence.lower(), sentence


def test_the_current_ring_and_catalogue_put_back_play_what_was_kept(past: Past, said: Path) -> None:
    past.put_back()
    checked = run_linekeep("check", "--state", str(past.state))
    assert (checked.returncode, checked.stdout) == (0, ""), checked.stdout + checked.stderr
    with House(past.state, [said]) as house:
        house.log_in()
        assert past.kept in house.calls()
        assert len(read_wav(house.download(past.kept))) > 0
        house.stop()


class LoneVault:
    """The vault alone, by hand, beside a TPM that runs already; on a clock of its own if wanted."""

    def __init__(self, settings_file: Path, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "appliance.cli", "run", "--config", str(settings_file), "vault"],
            cwd=ROOT,
            env=os.environ | environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._told: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        finally:
            self._process.kill()
            self._process.wait()
            self._reader.join(5)

    def _read(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr:
            for line in self._process.stderr:
                with contextlib.suppress(ValueError):
                    self._told.put(json.loads(line))

    def wait_for(self, event: str, timeout_s: float) -> dict[str, Any]:
        give_up = time.monotonic() + timeout_s
        while True:
            told = self._told.get(timeout=max(0.0, give_up - time.monotonic()))
            if told["event"] == event:
                return told


@pytest.fixture
def due_call(past: Past, tmp_path: Path) -> Iterator[Path]:
    """Settings under which the kept call should have gone long ago, its TPM running."""
    past.put_back()
    run = Path("/tmp") / f"lk-{os.getpid()}-{time.monotonic_ns() % 10**9}"  # noqa: S108 - short, for sockets
    text = (past.state / SETTINGS_NAME).read_text()
    text = re.sub(r"(?m)^run_dir = .*$", f'run_dir = "{run}"', text)
    text = re.sub(r"(?m)^keep = .*$", 'keep = "1s"', text)
    settings_file = tmp_path / SETTINGS_NAME
    settings_file.write_text(text)
    try:
        with SoftwareTpm(past.state / "tpm", run):
            yield settings_file
    finally:
        shutil.rmtree(run, ignore_errors=True)


def test_on_a_clock_of_1970_nothing_is_deleted_and_the_vault_says_why(due_call: Path, past: Past) -> None:
    if not _FAKETIME.exists():
        pytest.skip("needs Debian's libfaketime")
    in_1970 = {"LD_PRELOAD": str(_FAKETIME), "FAKETIME": "@1970-01-02 00:00:00", "DONT_FAKE_MONOTONIC": "1"}
    file = past.state / "recordings" / "finished" / past.kept
    with LoneVault(due_call, in_1970) as vault:
        vault.wait_for("vault_ready", 30)
        client = VaultClient(_socket(due_call))
        with contextlib.closing(client):
            login = client.log_in(NAME, PASSWORD).login
            runs_over_s = time.monotonic() + 3.5  # the retention run comes every second
            while time.monotonic() < runs_over_s:
                now = client.now(login)
                assert now.kept_calls == 1
                assert "before this software was made" in now.clock_trouble
                time.sleep(0.5)
    assert file.exists()
    with LoneVault(due_call, {}) as vault:  # on the true clock it goes at once: it was due
        assert vault.wait_for("forgotten", 30)["call"] == past.kept
    assert not file.exists()


def _socket(settings_file: Path) -> Path:
    return read_settings(settings_file).vault_socket(Caller.WEBUI)
