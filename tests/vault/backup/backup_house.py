"""Boxes with a backup directory, and what is asked of them afterwards."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from appliance.recordings.reader import RecordingReader
from appliance.settings import Settings
from appliance.terms import CallId, LinekeepError
from appliance.vault.backup.place import REAL_BACKUP_DISK, BackupDisk, BackupFolder
from appliance.vault.backup.restoring import Outcome, Restoring
from appliance.vault.box import Box, reach_tpm
from appliance.vault.catalogue import CallState
from appliance.vault.recovery.recovering import recover_ring
from appliance.vault.ring_file import RingContents
from tests.simulators.software_tpm import SoftwareTpm
from tests.vault.box_house import BoxHouse


class BackedUp:
    """A state directory, its backup directory beside it, and boxes opened on them."""

    def __init__(self, house: BoxHouse, name: str) -> None:
        self.house = house
        self.directory = house.folder / f"{name}-backup"
        self.directory.mkdir()
        plain = house.settings(name)
        vault = msgspec.structs.replace(plain.vault, backup=str(self.directory))
        self.settings = msgspec.structs.replace(plain, vault=vault)
        self.state = plain.state

    @contextmanager
    def opened(self) -> Iterator[Box]:
        with self.house.opened(self.settings) as box:
            yield box

    def backup(self) -> BackupFolder:
        return BackupFolder(self.directory)

    def restore(
        self,
        state: Path | None = None,
        *,
        receipts: Sequence[Path] = (),
        disk: BackupDisk = REAL_BACKUP_DISK,
    ) -> Outcome:
        clock = self.house.hands.clock
        return Restoring(
            BackupFolder(self.directory, disk), state or self.state, receipts=receipts, clock=clock, disk=disk
        ).run()

    def lose_catalogue(self) -> None:
        for path in self.state.glob("catalogue.sqlite*"):
            path.unlink()


def back_up(box: Box) -> None:
    state = box.backup.make_now("")
    assert not state.trouble, state.trouble


def plays(box: Box, call: CallId) -> bool:
    """Kept, and every byte of it authenticates."""
    row = box.catalogue.find(call)
    if row is None or row.state is not CallState.KEPT:
        return False
    try:
        key = box.call_keys.key_of(call)
        with RecordingReader(box.folder.finished_path(call), call=call, key=key) as reader:
            reader.verify()
    except LinekeepError:
        return False
    return True


@contextmanager
def recovered_elsewhere(backed_up: BackedUp, contents: RingContents) -> Iterator[Settings]:
    """Another machine with another TPM: the backup restored there, and a ring with these keys in it.

    `contents` is what the recovery key of the time of the backup opens.
    """
    state = backed_up.house.folder / f"{backed_up.state.name}-elsewhere"
    backed_up.restore(state)
    with TemporaryDirectory(prefix="lk-") as run, SoftwareTpm(state / "tpm", Path(run)):
        settings = msgspec.structs.replace(backed_up.settings, state_dir=str(state), run_dir=run)
        with closing(reach_tpm(settings)) as tpm:
            recover_ring(state / "ring", tpm, contents, now_ms=backed_up.house.hands.wall_ms)
        yield settings
        shutil.rmtree(state)
