"""Backup and restore, cut after every single step, the last one torn or whole.

After a cut backup the directory must hold one that can be restored with any ring in it; after a cut restore the box
stays shut or is whole, and running it again finishes it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from appliance.recordings.sealing import unwrap_key
from appliance.terms import CallId, KeyTrouble, StorageTrouble
from appliance.vault.backup.mending import settle
from appliance.vault.backup.place import CATALOGUE, WRAPS, BackupFolder
from appliance.vault.backup.rows import is_sound
from appliance.vault.backup.wrap_log import records_in
from appliance.vault.box import Box
from appliance.vault.catalogue import Catalogue, Wrap
from appliance.vault.check import find_faults
from appliance.vault.ring_file import BucketId, RingContents
from appliance.vault.store import Store
from tests.simulators.backup_disk import CutBackupDisk
from tests.simulators.ring_disk import PowerCut, Steps
from tests.simulators.software_tpm import SoftwareTpm
from tests.vault.backup.backup_house import BackedUp, back_up, plays
from tests.vault.box_house import BoxHouse, kept_call

MOST_STEPS = 200


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BoxHouse]:
    folder = tmp_path_factory.mktemp("house")
    with TemporaryDirectory(prefix="lk-") as run_dir, SoftwareTpm(folder / "tpm", Path(run_dir)):
        yield BoxHouse(folder, Path(run_dir))


def put_back(saved: Path, folder: Path) -> None:
    shutil.rmtree(folder)
    shutil.copytree(saved, folder)


def wraps_in(directory: Path, scratch: Path) -> list[Wrap]:
    """Every wrapped key that a restore would find."""
    shutil.copy(directory / CATALOGUE, scratch)
    with closing(Store(scratch)) as store:
        wraps = [wrap for wrap, _line in Catalogue(store).all_wraps()]
    return wraps + [record.wrap for record in records_in((directory / WRAPS).read_bytes())]


def opens(wraps: list[Wrap], call: CallId, ring: RingContents) -> bool:
    for wrap in wraps:
        bucket = ring.buckets.get(BucketId(wrap.bucket_id))
        if wrap.call_id == call and bucket is not None:
            unwrap_key(bucket.key, call, wrap.bucket_id, wrap.wrapped)
            return True
    return False


class Moment:
    """A backup is there; since then a call was forgotten and one has come, and the ring has moved."""

    def __init__(self, box: Box, backed_up: BackedUp) -> None:
        self.box = box
        self.directory = backed_up.directory
        self.kept = [kept_call(box) for _ in range(2)]
        gone = kept_call(box)
        back_up(box)
        self.rings = {self._ring_file("ring.a"): box.ring.contents}
        box.erasure.erase([gone], by="test", why="asked")
        self.gone = gone
        self.new = kept_call(box)
        self.rings[(backed_up.state / "ring" / "ring.a").read_bytes()] = box.ring.contents
        self._wraps = backed_up.state / "ring" / "wraps"
        self._saved = self.directory.with_name(f"{self.directory.name}-saved")
        shutil.copytree(self.directory, self._saved)
        self._saved_wraps = self._wraps.read_bytes()

    def again(self) -> None:
        put_back(self._saved, self.directory)
        self._wraps.write_bytes(self._saved_wraps)
        self.box.backup._copying._told_at.clear()

    def run(self, steps: Steps, last: int | None, *, torn: bool) -> None:
        steps.begin(last)
        backup = BackupFolder(self.directory, CutBackupDisk(steps, torn=torn))
        self.box.backup._copying.make(backup, rest=lambda _took_s: None, progress=lambda _seen, _of: None)

    def broken_promises(self) -> Iterator[str]:
        backup = BackupFolder(self.directory)
        manifest = backup.manifest()
        if manifest is None or not manifest.made_at_ms:
            yield "no whole backup"
        if not is_sound(self.directory / CATALOGUE):
            yield "no sound catalogue"
        if not backup.recordings().keys() >= set(self.kept):
            yield "a recording is gone"
        wraps = wraps_in(self.directory, self._saved.with_name("scratch.sqlite"))
        for name in ("ring.a", "ring.b"):
            for call in self.kept:
                if not opens(wraps, call, self.rings[self._ring_file(name)]):
                    yield f"{name} does not open {call}"

    def _ring_file(self, name: str) -> bytes:
        return (self.directory / "ring" / name).read_bytes()


def test_a_backup_cut_after_any_step_can_be_restored_and_the_next_one_is_whole(house: BoxHouse) -> None:
    backed_up, steps = BackedUp(house, "cut"), Steps()
    with backed_up.opened() as box:
        moment = Moment(box, backed_up)
        moment.run(steps, None, torn=False)
        all_steps = steps.count
        assert 20 < all_steps < MOST_STEPS
        for last in range(1, all_steps + 1):
            moment.again()
            with pytest.raises(PowerCut):
                moment.run(steps, last, torn=last % 2 == 0)
            assert list(moment.broken_promises()) == [], last
            moment.run(Steps(), None, torn=False)
            assert list(moment.broken_promises()) == [], last
            there = BackupFolder(backed_up.directory).recordings().keys()
            assert there == {*moment.kept, moment.new}, last
            assert not list(backed_up.directory.rglob("*.new")), last


def test_a_backup_that_wrote_the_ring_before_the_wrapped_keys_would_be_caught(
    house: BoxHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    backed_up, steps = BackedUp(house, "mutant"), Steps()
    with backed_up.opened() as box:
        moment = Moment(box, backed_up)
        copying = box.backup._copying
        put_wraps = copying._put_wraps
        late: list[bytes] = []
        monkeypatch.setattr(copying, "_put_wraps", lambda _backup, wraps: late.append(wraps))
        remove = BackupFolder.remove

        def then_wraps(backup: BackupFolder, *names: str) -> None:
            remove(backup, *names)
            while late:
                put_wraps(backup, late.pop())

        monkeypatch.setattr(BackupFolder, "remove", then_wraps)
        caught = 0
        for last in range(1, MOST_STEPS):
            moment.again()
            late.clear()
            try:
                moment.run(steps, last, torn=False)
            except PowerCut:
                caught += bool(list(moment.broken_promises()))
            else:
                break
        assert caught


def test_a_restore_cut_after_any_step_keeps_the_box_shut_until_it_is_run_again(house: BoxHouse) -> None:
    backed_up, steps = BackedUp(house, "back"), Steps()
    with backed_up.opened() as box:
        kept = [kept_call(box) for _ in range(2)]
        gone = kept_call(box)
        back_up(box)
        box.erasure.erase([gone], by="test", why="asked")
        later = kept_call(box)
        box.folder.finished_path(kept[0]).unlink()
    backed_up.lose_catalogue()
    shutil.rmtree(backed_up.state / "identity")
    saved = house.folder / "saved state"
    shutil.copytree(backed_up.state, saved)
    steps.begin(None)
    backed_up.restore(disk=CutBackupDisk(steps, torn=False))
    all_steps = steps.count
    assert 10 < all_steps < MOST_STEPS
    for last in range(1, all_steps + 1):
        put_back(saved, backed_up.state)
        steps.begin(last)
        with pytest.raises(PowerCut):
            backed_up.restore(disk=CutBackupDisk(steps, torn=last % 2 == 0))
        if last < all_steps:
            with pytest.raises((StorageTrouble, KeyTrouble), match=r"cut off|catalogue is missing"):
                house.start(backed_up.settings)
        backed_up.restore()
        with backed_up.opened() as box:
            settle(box)
            assert [plays(box, call) for call in (*kept, later)] == [True] * 3, last
            assert box.catalogue.was_forgotten(gone), last
            assert list(find_faults(box)) == [], last
