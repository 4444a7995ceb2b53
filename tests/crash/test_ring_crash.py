"""The ring under cuts at every step, against a thief who keeps every byte ever written and owns the live TPM.

After each cut the ring opens with all keys from before or all from after; what is gone from it opens from no byte.
Schemes that lack one part of the product's are put through the same, and must be caught: so the tests can fail.
"""

from __future__ import annotations

import itertools
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from appliance.vault.recovery.copy import seal_copy
from appliance.vault.ring import Ring, RingContents, RingMissing
from appliance.vault.ring_file import OpenedRing
from appliance.vault.tpm import Tpm
from appliance.vault.tpm_connection import TpmConnection
from appliance.vault.tpm_policy import SealedSecret, policy_pcr_digest
from tests.simulators.ring_disk import CutDisk
from tests.simulators.ring_thief import RingThief
from tests.simulators.ring_world import (
    KeyLeaked,
    KeyLost,
    RingWorld,
    Scheme,
    with_fresh_bucket,
    with_many_buckets,
    with_recovery_key,
    without,
    without_recovery_key,
)
from tests.simulators.software_tpm import NV_EXTEND, SoftwareTpm

MakeWorld = Callable[..., AbstractContextManager[RingWorld]]


@pytest.fixture
def run_dir() -> Iterator[Path]:
    # Not tmp_path: a socket's path has 107 bytes at most.
    with TemporaryDirectory(prefix="lk-") as folder:
        yield Path(folder)


@pytest.fixture
def make_world(tmp_path: Path, run_dir: Path) -> MakeWorld:
    def make(scheme: Scheme = Scheme(), seed: int = 0) -> RingWorld:  # noqa: B008 (frozen)
        return RingWorld(tmp_path, run_dir, scheme, seed)

    return make


_FILES = ("a", "b", "recovery")
_AROUND_THE_COMMIT = (
    "rename ring.a", "sync folder ring", "rename ring.b", "rename ring.recovery", f"command {NV_EXTEND:x}",
)  # fmt: skip


def some_cut(chance: random.Random) -> int | str | None:
    """None for two of three; else any step, or one of those where most is at stake."""
    if chance.random() < 0.67:
        return None
    steps: list[int | str] = [*_AROUND_THE_COMMIT, *(chance.randrange(1, 52) for _ in _AROUND_THE_COMMIT)]
    return chance.choice(steps)


def live_through(world: RingWorld, operations: int, seed: int) -> None:
    """Random commits, forgettings and restarts, a third of them cut somewhere; the thief tries all along."""
    chance = random.Random(seed)
    world.create()
    world.change(with_recovery_key(world.truth))
    for _ in range(operations):
        cut_after, power = some_cut(chance), chance.random() < 0.5
        match chance.choice(("add", "add", "forget one", "forget many", "restart")):
            case "add":
                whole = world.change(with_fresh_bucket(world.truth, "2026-01-30"), cut_after=cut_after)
            case "forget one":
                whole = world.change(without(world.truth, 1), cut_after=cut_after)
            case "forget many":
                whole = world.change(without(world.truth, 5), cut_after=cut_after)
            case _:
                whole = world.reopen(power=power, cut_after=cut_after)
        if not whole:
            world.reopen(power=power)
        world.rob(newest=2)
    world.rob()


def test_no_forgotten_key_opens_and_no_kept_key_is_lost_in_a_long_life_with_cuts(make_world: MakeWorld) -> None:
    with make_world(seed=1) as world:
        live_through(world, operations=150, seed=1)
        assert len(world.forgotten) > 50
        assert len(world.truth.buckets) > 0


def test_forgetting_survives_being_killed_after_every_single_step(make_world: MakeWorld) -> None:
    with make_world() as world:
        world.create()
        world.change(with_many_buckets())
        for cut_after in itertools.count(1):
            done = world.change(without(world.truth, 1), cut_after=cut_after)
            world.reopen(power=False)
            # What was found after the kill was built upon, so it must be durable by now.
            world.reopen(power=True)
            world.rob(newest=2)
            if done:
                break
        assert cut_after > 30
        world.rob()


def test_forgetting_survives_a_power_cut_after_every_step_on_the_disk(make_world: MakeWorld) -> None:
    with make_world() as world:
        world.create()
        world.change(with_many_buckets())
        steps = [
            f"{verb} ring.{copy}.new" for copy in ("a", "b", "recovery") for verb in ("write", "sync", "read back")
        ]
        for cut_after in (*steps, *_AROUND_THE_COMMIT):
            assert not world.change(without(world.truth, 1), cut_after=cut_after)
            world.reopen(power=True)
            world.rob()


@pytest.mark.parametrize("power", [True, False], ids=["power cut", "kill"])
def test_a_recovery_key_is_set_up_or_given_up_wholly_or_not_at_all_after_a_cut_at_any_step(
    make_world: MakeWorld, power: bool
) -> None:
    with make_world() as world:
        world.create()
        for change in (with_recovery_key, without_recovery_key):
            for cut_after in itertools.count(1):
                before = world.truth
                done = world.change(change(before), cut_after=cut_after)
                world.reopen(power=power)  # checks the copy against the ring, or that there is none
                if done:
                    break
                if world.truth != before:
                    world.change(before)
            assert cut_after > 25


def test_rolling_forward_survives_a_cut_after_every_single_step(make_world: MakeWorld) -> None:
    with make_world() as world:
        world.create()
        world.change(with_many_buckets())
        for cut_after in itertools.count(1):
            assert not world.change(without(world.truth, 1), cut_after="rename ring.b")
            done = world.reopen(power=False, cut_after=cut_after)
            world.reopen(power=True)
            world.rob(newest=2)
            if done:
                break
        assert cut_after > 30
        world.rob()


def test_creation_survives_a_cut_after_every_single_step(make_world: MakeWorld) -> None:
    with make_world() as world:
        for cut_after in itertools.count(1):
            done = world.create(cut_after=cut_after)
            try:
                world.reopen(power=cut_after % 2 == 0)
            except RingMissing:
                world.create()
            world.wipe()
            if done:
                break
        assert cut_after > 30


def start_worker(chip: SoftwareTpm, ring: Path, attic: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.simulators.ring_worker", chip.tcti, str(ring), str(attic)]
    root = Path(__file__).parents[2]
    return subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True)


def kill_somewhere(worker: subprocess.Popen[str], chance: random.Random) -> list[set[str]]:
    """Let it work a little, kill it; the sets of keys that it was about to commit. All but the last it has."""
    assert worker.stdout is not None
    said = list(itertools.islice(worker.stdout, chance.randrange(3, 9)))
    # Not a wait for anything: the moment is the thing under test. A commit takes about 0.1 s.
    time.sleep(chance.uniform(0, 0.15))
    worker.kill()
    said += list(worker.stdout)
    worker.wait()
    worker.stdout.close()
    return [set(line.split()) for line in said]


def test_a_killed_process_leaves_a_ring_that_opens_whole(tmp_path: Path, run_dir: Path) -> None:
    chance = random.Random(1)
    ring, attic = tmp_path / "ring", tmp_path / "attic"
    attic.mkdir()
    once_kept: set[str] = set()
    with SoftwareTpm(tmp_path / "tpm", run_dir) as chip:
        for _ in range(5):
            announced = kill_somewhere(start_worker(chip, ring, attic), chance)
            once_kept.update(*announced[:-1])
            with closing(Tpm(chip.tcti)) as tpm:
                kept = {bucket.key.hex() for bucket in Ring.open(ring, tpm).contents.buckets.values()}
            assert kept in announced[-2:]
            with closing(RingThief(chip.tcti)) as thief:
                got = [thief.open(path.read_bytes()) for path in sorted(attic.iterdir())]
            had = {bucket.key.hex() for each in got if each for bucket in each.buckets.values()}
            assert not had & (once_kept - kept)
    assert once_kept - kept


class _AnyState(Ring):
    """A ring that takes the TPM's state as it comes, so that the mutants below do not stumble over it."""

    def _adopt(self, contents: RingContents, states: tuple[bytes, bytes]) -> RingContents:
        return super()._adopt(contents, (states[0], self._tpm.ring_state()))


class _WithoutExtend(_AnyState):
    def _move_on(self, r: bytes, before: bytes, after: bytes) -> None:
        """Rename over, and leave it at that."""


class _WithoutRollForward(_AnyState):
    def _roll_forward(self, chosen: bytes, opened: OpenedRing, states: tuple[bytes, bytes]) -> None:
        """It opens, so all seems well."""
        self._store(chosen, seal_copy(opened, states))


class _SealedWithoutState(Tpm):
    def _policy(self, sealed: SealedSecret) -> bytes:
        return policy_pcr_digest(bytes(32), sealed.pcrs, sealed.pcr_digest)

    def _satisfy(
        self, connection: TpmConnection, policy: Any, session: Any, sealed: SealedSecret, state: bytes
    ) -> None:
        connection.policy_pcr(policy, sealed.pcrs, sealed.pcr_digest)


class _FolderNeverSynced(CutDisk):
    def sync_folder(self, folder: Path) -> None:
        """Trust that a rename is durable by itself."""


class _FileNeverSynced(CutDisk):
    def sync(self, path: Path) -> None:
        """Trust that what was written is durable by itself."""


@pytest.mark.parametrize(
    "scheme",
    [
        pytest.param(Scheme(ring=_WithoutExtend), id="the extend is skipped"),
        pytest.param(Scheme(ring=_WithoutRollForward), id="opening does not roll forward"),
        pytest.param(Scheme(tpm=_SealedWithoutState), id="sealed without PolicyNV"),
    ],
)
def test_a_long_life_shows_a_scheme_that_leaks(make_world: MakeWorld, scheme: Scheme) -> None:
    with make_world(scheme, seed=2) as world, pytest.raises(KeyLeaked):
        live_through(world, operations=150, seed=2)


@pytest.mark.parametrize(
    "scheme",
    [
        pytest.param(Scheme(disk=_FolderNeverSynced), id="the folder is not synced"),
        pytest.param(Scheme(disk=_FileNeverSynced), id="the files are not synced"),
    ],
)
def test_a_long_life_shows_a_scheme_that_loses(make_world: MakeWorld, scheme: Scheme) -> None:
    with make_world(scheme, seed=1) as world, pytest.raises(KeyLost):
        live_through(world, operations=150, seed=1)
