"""A line's day on a real box, and its evidence as a person takes it away: through the web page, as a ZIP."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import structlog

from appliance.boundary import verbs
from appliance.boundary.peer import Listener
from appliance.recordings.container import ClosingRecord, EndReason, Gap
from appliance.settings import Settings, WebuiSettings
from appliance.terms import CallId, Direction
from appliance.vault.box import Box
from appliance.vault.evidence import verifier
from appliance.vault.service import Service
from tests.vault.box_house import NOON_MS, PASSWORD, begin_writing
from webui.app import create_app
from webui.gate import LOGIN_COOKIE
from webui.vault_client import ThreadVault

NUMBER = "03055504471"
DAY_S = 86_400
GAPS = (Gap(at_frame=800, frames=80, why="overrun"), Gap(at_frame=8000, frames=4000, why="unplugged"))

Export = dict[str, bytes]
"""The files of a ZIP, by name."""


def call_with_gaps(box: Box, *, seconds: float = 2, gaps: tuple[Gap, ...] = GAPS) -> CallId:
    call, writer, pages = begin_writing(box, seconds=seconds)
    for page in pages.finish():
        writer.write(page)
    closing = ClosingRecord(
        call=call,
        frames=pages.frames,
        audio_bytes=writer.audio_bytes,
        audio_sha256=writer.audio_sha256,
        ended=EndReason.SILENCE,
        ended_at_ms=NOON_MS,
        gaps=gaps,
        peaks="gH8A/wD/",
        direction=Direction.IN,
        number=NUMBER,
    )
    writer.finish(closing)
    box.intake.finish(call)
    return call


def call_without_audio(box: Box) -> CallId:
    call, writer, _pages = begin_writing(box, seconds=0)
    writer.abandon()
    box.intake.take_over_what_was_left()
    return call


class Desk:
    """A person with a login before the web page of a running box."""

    def __init__(self, box: Box, settings: Settings) -> None:
        socket = settings.vault_socket("webui")
        self.faults: list[BaseException] = []
        self._listener = Listener(socket, verbs.Caller.WEBUI, os.geteuid(), Service(box).handlers(), self.faults.append)
        self._vault = ThreadVault(socket)
        self.app = create_app(WebuiSettings(), self._vault, structlog.get_logger(), box.clock)
        self._accounts = box.accounts
        if code := box.accounts.claim_code():
            self._accounts.claim(code, "Ada", PASSWORD)

    def export(self, call: CallId, *, whole_day: bool) -> Export:
        client = self.app.test_client()
        token, _ends_at_ms = self._accounts.log_in("Ada", PASSWORD)  # each time: a day may have passed
        client.set_cookie(LOGIN_COOKIE, token)
        answer = client.get(f"/calls/{call}/{'day-' if whole_day else ''}evidence.zip")
        assert answer.status_code == 200, answer.text
        assert answer.mimetype == "application/zip"
        with zipfile.ZipFile(io.BytesIO(answer.data)) as archive:
            return {name: archive.read(name) for name in archive.namelist()}

    @contextmanager
    def opened(self) -> Iterator[Desk]:
        self._listener.start()
        try:
            yield self
        finally:
            self._vault.close()
            self._listener.stop()
            assert self.faults == []


def written(files: Mapping[str, bytes], path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def verdict_of(files: Mapping[str, bytes], folder: Path, *roots: str) -> verifier.Verdict:
    return verifier.check_export(written(files, folder / "export.zip"), roots)


def run_verifier(files: Mapping[str, bytes], folder: Path, *roots: str) -> subprocess.CompletedProcess[str]:
    """The program of the export itself, in a Python that finds nothing of Linekeep."""
    (folder / "verify.py").write_bytes(files["verify.py"])
    written(files, folder / "export.zip")
    asked = [argument for root in roots for argument in ("--root", root)]
    command = [sys.executable, "-I", "verify.py", "export.zip", *asked]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def commands_of(how_to: bytes) -> str:
    """The indented lines, as somebody would type them."""
    lines = how_to.decode().partition("With openssl alone")[2].splitlines()
    return "\n".join(line[4:] for line in lines if line.startswith("    "))


def by_hand(files: Export, folder: Path) -> str:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    done = subprocess.run(
        ["sh", "-c", commands_of(files["HOW-TO-VERIFY.txt"])], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.stderr.replace("Verification failure", "") == done.stderr or "CHANGED" in done.stdout
    return done.stdout
