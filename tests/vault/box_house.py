"""Boxes to take apart: a software TPM, a clock with knobs, state directories, and calls as a recorder writes them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from appliance.boundary import verbs
from appliance.boundary.peer import Handler
from appliance.boundary.verbs import NoteUnrecorded
from appliance.clock import Clock
from appliance.recordings.container import ClosingRecord, Consent, EndReason, Format, OpeningRecord
from appliance.recordings.encoder import OpusPages
from appliance.recordings.writer import RecordingWriter
from appliance.settings import SOFTWARE_TPM, Settings, VaultSettings
from appliance.terms import RATE_HZ, AccountId, CallId, ConsentBy, Direction, LineName, NotKept
from appliance.vault.accounts import Visitor
from appliance.vault.box import Box
from appliance.vault.door import Door
from appliance.vault.evidence.verifier import Checked, signed_statement
from appliance.vault.retention.receipt import ErasureId
from appliance.vault.rights import Right
from appliance.vault.service import Service
from tests.recorder.heard_log import HeardLog

LINE = LineName("front-desk")
NOON_MS = 1_800_000_000_000
CONSENT_AFTER_MS = 7_000
PASSWORD = "correct horse battery"  # noqa: S105 - of a test
OWNER = Visitor(account=AccountId("00" * 8), name="Owner", rights=frozenset(Right))


class Hands:
    """A clock whose hands a test turns."""

    def __init__(self) -> None:
        self.wall_ms = NOON_MS
        self.steady_ms = 0
        self.clock = Clock(lambda: self.wall_ms, lambda: self.steady_ms)

    def pass_s(self, seconds: float) -> None:
        self.wall_ms += int(seconds * 1000)
        self.steady_ms += int(seconds * 1000)


class BoxHouse:
    """A folder with one running software TPM (`run_dir/tpm`), in which boxes are opened one after the other."""

    def __init__(self, folder: Path, run_dir: Path) -> None:
        self.folder = folder
        self.run_dir = run_dir
        self.hands = Hands()
        self.log = HeardLog()

    def settings(self, state: str = "state", *, keep: str = "30d") -> Settings:
        vault = VaultSettings(tpm=SOFTWARE_TPM, keep=keep)
        return Settings(state_dir=str(self.folder / state), run_dir=str(self.run_dir), vault=vault)

    def start(self, settings: Settings | None = None, disk_key: Path | None = None) -> Box:
        return Box(settings or self.settings(), self.log.logger, self.hands.clock, disk_key=disk_key)

    @contextmanager
    def opened(self, settings: Settings | None = None, disk_key: Path | None = None) -> Iterator[Box]:
        box = self.start(settings, disk_key)
        try:
            yield box
        finally:
            box.close()

    def other_run(self, run_dir: Path) -> Settings:
        return msgspec.structs.replace(self.settings(), run_dir=str(run_dir))


@contextmanager
def door_of(house: BoxHouse, state: str) -> Iterator[tuple[Door, list[Box]]]:
    """A door to the box of this state directory, and the box once it is open."""
    opened: list[Box] = []

    def put_in_service(pin: str | None) -> dict[type[verbs.Request], Handler]:
        opened.append(Box(house.settings(state), house.log.logger, house.hands.clock, pin=pin))
        return dict(Service(opened[0]).handlers())

    try:
        yield Door(put_in_service), opened
    finally:
        for box in opened:
            box.close()


def begin_writing(
    box: Box, *, seconds: float = 1, line: LineName = LINE, record_format: Format = 3, channels: Literal[1, 2] = 1
) -> tuple[CallId, RecordingWriter, OpusPages]:
    """Issue and begin a call, and write that much of it."""
    call, key = box.intake.issue(line)
    started_at_ms = box.clock.now_ms()
    opening = OpeningRecord(
        call=call,
        line=line,
        started_at_ms=started_at_ms,
        rate_hz=RATE_HZ,
        ground="Consent.",
        software="linekeep 0.1.0",
        consent=Consent(at_ms=started_at_ms + CONSENT_AFTER_MS, by=ConsentBy.KEY) if record_format != 1 else None,
        format=record_format,
        channels=channels,
    )
    writer = RecordingWriter(box.folder.growing_path(call), call=call, key=key, opening=opening)
    box.intake.begin(call, line, started_at_ms)
    pages = OpusPages(7, channels=channels)
    noise = np.random.default_rng(1).integers(-3000, 3000, (int(seconds * RATE_HZ), channels)).astype(np.int16)
    noise = noise if channels == 2 else noise[:, 0]
    for page in pages.push(noise):
        writer.write(page)
    return call, writer, pages


def end_writing(
    call: CallId,
    writer: RecordingWriter,
    pages: OpusPages,
    *,
    direction: Direction = Direction.UNKNOWN,
    number: str = "",
) -> None:
    for page in pages.finish():
        writer.write(page)
    writer.finish(
        ClosingRecord(
            call=call,
            frames=pages.frames,
            audio_bytes=writer.audio_bytes,
            audio_sha256=writer.audio_sha256,
            ended=EndReason.SILENCE,
            ended_at_ms=NOON_MS,
            peaks="gH8A/wD/",
            direction=direction,
            number=number,
        )
    )


def written_call(box: Box, *, seconds: float = 1) -> CallId:
    """A recording that is whole and that nobody has finished yet."""
    call, writer, pages = begin_writing(box, seconds=seconds)
    end_writing(call, writer, pages)
    return call


def kept_call(box: Box, *, seconds: float = 1) -> CallId:
    call = written_call(box, seconds=seconds)
    box.intake.finish(call)
    return call


def unrecorded_call(
    box: Box, *, why: NotKept = NotKept.MISSED, number: str = "03055504471", line: LineName = LINE
) -> CallId:
    """The fact of a call that was not recorded."""
    call, _key = box.intake.issue(line)
    box.intake.note_unrecorded(noted(box, call, why=why, number=number, line=line))
    return call


def noted(
    box: Box, call: CallId, *, why: NotKept = NotKept.MISSED, number: str = "03055504471", line: LineName = LINE
) -> NoteUnrecorded:
    return NoteUnrecorded(
        call=call,
        line=line,
        started_at_ms=box.clock.now_ms() - 12_000,
        length_ms=12_000,
        direction="in",
        number=number,
        why=why,
    )


def condemn(box: Box, *calls: CallId) -> None:
    """As a request that was cut before its keys were forgotten leaves it."""
    box.erasures.condemn(ErasureId(os.urandom(8).hex()), calls, now_ms=box.clock.now_ms(), by="test", why="test")


def receipt_of(box: Box, erasure_id: ErasureId) -> Checked:
    """The receipt of an erasure, checked as whoever it was handed to checks it."""
    return box.notary.chain.check(signed_statement(msgspec.json.decode(box.erasures.receipt(erasure_id) or b"null")))


def acts_of(box: Box) -> list[str]:
    """The journal's acts, in order."""
    return [msgspec.json.decode(line)["act"] for line in box.journal_path.read_bytes().splitlines()]


def contents_of(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, byte for byte."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
