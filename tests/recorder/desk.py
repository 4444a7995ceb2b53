"""A line worker with everything around it, and what tests do with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from appliance.boundary import verbs
from appliance.recorder.ear.signals import Pcm
from appliance.recorder.line_board import LineBoard
from appliance.recorder.line_worker import LineWorker
from appliance.recorder.vault_link import VaultLink
from appliance.recordings.folder import RecordingsFolder
from appliance.recordings.opus import silence
from appliance.recordings.reader import RecordingReader
from appliance.settings import RecorderSettings
from appliance.terms import BLOCK_FRAMES, CallId, LineName, StorageTrouble
from tests.recorder.fake_vault import FakeVault

LINE = LineName("front-desk")
OPENED_MS = 1_800_000_000_000
SETTINGS = RecorderSettings(pre_roll_s=2.0, hold_over_s=2.0)
PLENTY = 10**12
GROUND = "Orders by telephone, announced at the beginning of each call."


@dataclass
class Disk:
    """The free room that the recorder is told of."""

    free: int = PLENTY

    def free_bytes(self) -> int:
        if self.free < 0:
            raise StorageTrouble("The disk is gone.")
        return self.free


@dataclass
class Desk:
    """A line worker with everything around it, fed block by block."""

    worker: LineWorker
    folder: RecordingsFolder
    board: LineBoard
    vault: FakeVault
    link: VaultLink
    at_frame: int = 0
    said: list[Pcm] = field(default_factory=list)

    def hear(self, samples: Pcm) -> None:
        for start in range(0, len(samples) - len(samples) % BLOCK_FRAMES, BLOCK_FRAMES):
            block = samples[start : start + BLOCK_FRAMES]
            self.worker.hear(self.at_frame, block)
            self.said.append(block)
            self.at_frame += BLOCK_FRAMES

    def lose(self, frames: int, why: str = "overrun") -> None:
        self.worker.lose(self.at_frame, frames, why)
        self.said.append(silence(frames, self.said[-1].ndim if self.said else 1))
        self.at_frame += frames

    @property
    def now(self) -> verbs.LineNow:
        return self.board.read()[0]

    def finished(self) -> list[CallId]:
        """The calls that the vault was told to take, once all that waits was told."""
        self.vault.wait_for_beats()
        return self.vault.calls(verbs.FinishCall)

    def open(self, call: CallId) -> RecordingReader:
        return RecordingReader(self.folder.growing_path(call), call=call, key=self.vault.keys[call])

    def wait_for_key(self) -> None:
        self.vault.wait_for_beats()


MakeDesk = Callable[..., Desk]
