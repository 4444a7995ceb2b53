"""The ring: what it keeps, what it refuses, and what it makes of a disk or a TPM that fails."""

from __future__ import annotations

import errno
import os
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import tpm2_pytss as tss

from appliance.terms import DiskFull, KeyForgotten, KeyTrouble, StorageTrouble
from appliance.vault.ring import (
    Bucket,
    Ring,
    RingContents,
    RingDamaged,
    RingExists,
    RingForeign,
    RingMissing,
    RingOld,
    fresh_bucket_id,
)
from appliance.vault.ring_file import OpenedRing, parse_ring
from appliance.vault.ring_folder import Disk
from appliance.vault.tpm import BootChanged, SealedSecret, Tpm, TpmMissing
from tests.simulators.ring_disk import FailingDisk
from tests.simulators.ring_thief import RingThief
from tests.simulators.ring_world import with_fresh_bucket, without
from tests.simulators.software_tpm import FINE, NV_EXTEND, Fault, FaultyTpm, SoftwareTpm, Verdict, nth


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "ring"


@pytest.fixture
def ring(folder: Path, tpm: Tpm) -> Ring:
    """A ring with two buckets and a secret."""
    ring = Ring.create(folder, tpm)
    ring.commit(SOME)
    return ring


def some_contents(buckets: int) -> RingContents:
    return RingContents(
        buckets={fresh_bucket_id(): Bucket.fresh("2026-01-30") for _ in range(buckets)},
        secrets={"journal key": b"a secret of the vault"},
    )


SOME = some_contents(2)


def copies(folder: Path) -> tuple[bytes, bytes]:
    return (folder / "ring.a").read_bytes(), (folder / "ring.b").read_bytes()


def test_a_new_ring_is_empty_and_only_the_vault_may_read_it(folder: Path, tpm: Tpm) -> None:
    ring = Ring.create(folder, tpm)
    assert ring.contents == RingContents(buckets={}, secrets={})
    assert not ring.repaired
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()} == {"ring.a": 0o600, "ring.b": 0o600}


def test_what_was_committed_is_there_after_a_restart(ring: Ring, folder: Path, tpm: Tpm) -> None:
    again = Ring.open(folder, tpm)
    assert again.contents == SOME
    assert not again.repaired


def test_a_commit_tells_the_states_of_the_tpm_around_it(ring: Ring, tpm: Tpm) -> None:
    before = tpm.ring_state()
    commit = ring.commit(without(SOME, 1))
    assert (commit.before, commit.after) == (before, tpm.ring_state())
    assert commit.before != commit.after


def test_a_ring_is_not_made_over_another(ring: Ring, folder: Path, tpm: Tpm) -> None:
    (folder / "ring.a").unlink()
    with pytest.raises(RingExists):
        Ring.create(folder, tpm)


def test_no_ring_is_told_apart_from_a_bad_one(folder: Path, tpm: Tpm) -> None:
    with pytest.raises(RingMissing):
        Ring.open(folder, tpm)


def test_a_ring_made_at_the_present_state_is_rolled_forward_on_opening(
    ring: Ring, folder: Path, bus: FaultyTpm
) -> None:
    state_before = copies(folder)
    bus.rule = lambda code: Verdict(fault=Fault.LOSE_COMMAND) if code == NV_EXTEND else FINE
    with pytest.raises(TpmMissing):
        ring.commit(without(SOME, 2))
    bus.rule = lambda _code: FINE
    with closing(Tpm(bus.tcti)) as tpm:
        state = tpm.ring_state()
        again = Ring.open(folder, tpm)
        assert not again.contents.buckets.keys() & SOME.buckets.keys()
        assert tpm.ring_state() == parse_ring(copies(folder)[0]).header.states[1] != state
        put_back(folder, state_before)
        with pytest.raises(RingOld):
            Ring.open(folder, tpm)


def put_back(folder: Path, contents: tuple[bytes, bytes]) -> None:
    for name, content in zip(("ring.a", "ring.b"), contents, strict=True):
        (folder / name).write_bytes(content)


def test_an_old_ring_put_back_is_refused_and_nothing_is_changed(ring: Ring, folder: Path, tpm: Tpm) -> None:
    old = copies(folder)
    ring.commit(without(SOME, 1))
    put_back(folder, old)
    state = tpm.ring_state()
    with pytest.raises(RingOld, match="it is an old copy"):
        Ring.open(folder, tpm)
    assert copies(folder) == old
    assert tpm.ring_state() == state


@pytest.mark.parametrize("name", ["ring.a", "ring.b"])
@pytest.mark.parametrize("harm", ["missing", "empty", "cut short", "old", "garbage"])
def test_one_copy_is_enough_and_the_other_is_made_again(
    ring: Ring, folder: Path, tpm: Tpm, name: str, harm: str
) -> None:
    old = (folder / name).read_bytes()
    ring.commit(without(SOME, 1))
    kept, whole = ring.contents, copies(folder)
    path = folder / name
    match harm:
        case "missing":
            path.unlink()
        case "old":
            path.write_bytes(old)
        case _:
            path.write_bytes({"empty": b"", "cut short": whole[0][:-1], "garbage": os.urandom(5000)}[harm])
    again = Ring.open(folder, tpm)
    assert again.contents == kept
    assert again.repaired
    assert copies(folder) == whole
    assert not Ring.open(folder, tpm).repaired


def test_a_copy_that_the_disk_cannot_read_is_made_again(ring: Ring, folder: Path, tpm: Tpm) -> None:
    class BadSector(Disk):
        def read(self, path: Path) -> bytes:
            if path.name == "ring.a":
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return super().read(path)

    again = Ring.open(folder, tpm, disk=BadSector())
    assert again.contents == SOME
    assert again.repaired


def test_two_damaged_copies_are_refused_as_damaged_and_left_alone(ring: Ring, folder: Path, tpm: Tpm) -> None:
    a, b = copies(folder)
    damaged = (a[:-1] + b"\0", b[: len(b) // 2])
    put_back(folder, damaged)
    with pytest.raises(RingDamaged):
        Ring.open(folder, tpm)
    assert copies(folder) == damaged


def test_the_ring_of_another_tpm_is_refused_as_foreign(ring: Ring, folder: Path, tmp_path: Path, run_dir: Path) -> None:
    before = copies(folder)
    with SoftwareTpm(tmp_path / "other", run_dir / "o") as chip, closing(Tpm(chip.tcti)) as other:
        with pytest.raises(RingForeign):
            Ring.open(folder, other)
        other.provision()
        with pytest.raises(RingForeign):
            Ring.open(folder, other)
    assert copies(folder) == before


def test_a_box_started_differently_is_told_so_and_nothing_is_changed(
    ring: Ring, folder: Path, tpm: Tpm, chip: SoftwareTpm
) -> None:
    before = copies(folder)
    with tss.ESAPI(chip.tcti) as stranger:
        digest = tss.TPMT_HA(hashAlg=tss.TPM2_ALG.SHA256, digest=tss.TPMU_HA(sha256=b"x" * 32))
        stranger.pcr_extend(tss.ESYS_TR.PCR7, tss.TPML_DIGEST_VALUES([digest]))
    with pytest.raises(BootChanged):
        Ring.open(folder, tpm)
    assert copies(folder) == before


@pytest.mark.parametrize("fault", [Fault.LOSE_COMMAND, Fault.LOSE_ANSWER, Fault.FAKE_SUCCESS])
def test_an_extend_whose_answer_is_lost_or_faked_is_done_exactly_once(
    ring: Ring, folder: Path, tpm: Tpm, bus: FaultyTpm, fault: Fault
) -> None:
    bus.rule = nth(NV_EXTEND, 1, Verdict(fault=fault))
    commit = ring.commit(without(SOME, 1))
    assert tpm.ring_state() == commit.after
    assert Ring.open(folder, tpm).contents == ring.contents


def test_a_tpm_that_somebody_else_moved_ends_the_ring_instead_of_lying(
    ring: Ring, folder: Path, bus: FaultyTpm, chip: SoftwareTpm
) -> None:
    def move_it_first(code: int) -> Verdict:
        if code == NV_EXTEND:
            with closing(Tpm(chip.tcti)) as stranger:
                stranger.extend(b"?" * 32)
        return FINE

    bus.rule = move_it_first
    with pytest.raises(KeyTrouble):
        ring.commit(without(SOME, 1))
    bus.rule = lambda _code: FINE
    with pytest.raises(RingOld):
        _ = ring.contents
    with pytest.raises(RingOld):
        ring.commit(SOME)


@pytest.mark.parametrize("step", range(1, 11))
def test_after_a_commit_that_the_disk_refused_the_contents_are_what_is_true(folder: Path, tpm: Tpm, step: int) -> None:
    disk = FailingDisk()
    ring = Ring.create(folder, tpm, disk=disk)
    ring.commit(SOME)
    wished = without(SOME, 1)
    disk.fail_at = step
    with pytest.raises(StorageTrouble):
        ring.commit(wished)
    # Until the first rename the old ring is the truth; from then on the new one is, and was rolled forward.
    assert ring.contents == (SOME if step <= 7 else wished)
    assert Ring.open(folder, tpm).contents == ring.contents
    ring.commit(without(ring.contents, 1))
    assert Ring.open(folder, tpm).contents == ring.contents


def test_a_full_disk_is_named_and_harms_nothing(folder: Path, tpm: Tpm) -> None:
    disk = FailingDisk()
    ring = Ring.create(folder, tpm, disk=disk)
    ring.commit(SOME)
    disk.fail_at, disk.error = 1, errno.ENOSPC
    with pytest.raises(DiskFull):
        ring.commit(without(SOME, 1))
    assert ring.contents == SOME


def test_a_disk_that_does_not_keep_what_was_written_is_found_out_before_the_rename(folder: Path, tpm: Tpm) -> None:
    class LyingDisk(Disk):
        lies = False

        def read_back(self, path: Path) -> bytes:
            content = super().read_back(path)
            return content[:-1] + b"\0" if self.lies and path.name == "ring.b.new" else content

    disk = LyingDisk()
    ring = Ring.create(folder, tpm, disk=disk)
    before = copies(folder)
    disk.lies = True
    with pytest.raises(StorageTrouble, match="did not keep"):
        ring.commit(SOME)
    assert copies(folder) == before


def test_a_seal_that_does_not_open_is_found_out_before_the_rename(folder: Path, bus: FaultyTpm) -> None:
    class SealsForAnotherBoot(Tpm):
        wrong = False

        def _policy(self, sealed: SealedSecret) -> bytes:
            return super()._policy(replace(sealed, pcr_digest=bytes(32)) if self.wrong else sealed)

    with closing(SealsForAnotherBoot(bus.tcti)) as tpm:
        tpm.provision()
        ring = Ring.create(folder, tpm)
        before, state = copies(folder), tpm.ring_state()
        tpm.wrong = True
        with pytest.raises(KeyTrouble):
            ring.commit(SOME)
        assert copies(folder) == before
        assert tpm.ring_state() == state


def test_a_tpm_that_vanishes_for_good_leaves_no_wishful_contents(ring: Ring, bus: FaultyTpm) -> None:
    bus.rule = lambda code: Verdict(fault=Fault.LOSE_COMMAND) if code == NV_EXTEND else FINE
    with pytest.raises(TpmMissing):
        ring.commit(without(SOME, 1))
    with pytest.raises(TpmMissing):
        _ = ring.contents
    bus.rule = lambda _code: FINE
    assert len(ring.contents.buckets) == 2
    assert ring.contents != SOME


def test_a_forgotten_bucket_cannot_be_put_back(ring: Ring, tpm: Tpm) -> None:
    kept = without(SOME, 1)
    ring.commit(kept)
    state = tpm.ring_state()
    with pytest.raises(KeyForgotten):
        ring.commit(SOME)
    assert ring.contents == kept
    assert tpm.ring_state() == state


class _NeverFlushes(Tpm):
    def flush_sessions(self) -> None:
        """Leave what others have opened."""


@pytest.mark.parametrize(("kind", "opens"), [(Tpm, False), (_NeverFlushes, True)], ids=["ours", "without flushing"])
def test_a_session_satisfied_before_the_commit_opens_nothing_after_it(
    folder: Path, bus: FaultyTpm, chip: SoftwareTpm, kind: type[Tpm], opens: bool
) -> None:
    with closing(kind(bus.tcti)) as tpm:
        tpm.provision()
        ring = Ring.create(folder, tpm)
        ring.commit(SOME)
        with closing(RingThief(chip.tcti)) as thief:
            open_later = thief.satisfy_now(copies(folder)[0])
            ring.commit(without(SOME, 2))
            assert (open_later() == SOME) is opens


def test_a_session_satisfied_just_before_the_extend_opens_nothing_after_it(
    ring: Ring, folder: Path, bus: FaultyTpm, chip: SoftwareTpm
) -> None:
    old = copies(folder)[0]
    with closing(RingThief(chip.tcti)) as thief:
        prepared = []

        def prepare(code: int) -> Verdict:
            if code == NV_EXTEND:
                prepared.append(thief.satisfy_now(old))
            return FINE

        bus.rule = prepare
        ring.commit(without(SOME, 2))
        assert [open_later() for open_later in prepared] == [None]


def test_the_orphan_of_an_aborted_attempt_dies_with_the_next_commit(folder: Path, tpm: Tpm, chip: SoftwareTpm) -> None:
    disk = FailingDisk()
    ring = Ring.create(folder, tpm, disk=disk)
    ring.commit(SOME)
    disk.fail_at = 7
    with pytest.raises(StorageTrouble):
        ring.commit(with_fresh_bucket(SOME, "2026-01-31"))
    orphan = (folder / "ring.a.new").read_bytes()
    with closing(RingThief(chip.tcti)) as thief:
        assert thief.open(orphan) is not None
        ring.commit(without(SOME, 2))
        assert thief.open(orphan) is None
        (folder / "ring.a").write_bytes(orphan)
        again = Ring.open(folder, tpm)
        assert again.repaired
        assert not again.contents.buckets.keys() & SOME.buckets.keys()


def test_contents_can_be_read_by_many_threads_while_one_commits(ring: Ring) -> None:
    stop, seen = threading.Event(), set()

    def read() -> None:
        while not stop.wait(0.001):
            seen.add(len(ring.contents.buckets))

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for _ in range(3):
        ring.commit(with_fresh_bucket(ring.contents, "2026-01-31"))
    stop.set()
    for reader in readers:
        reader.join()
    assert len(ring.contents.buckets) == 5
    assert seen <= {2, 3, 4, 5}


def test_the_size_of_the_file_does_not_tell_how_many_days_had_calls(ring: Ring, folder: Path) -> None:
    small = len(copies(folder)[0])
    ring.commit(some_contents(30))
    assert len(copies(folder)[0]) == small


def test_no_secret_is_in_any_repr(ring: Ring, folder: Path) -> None:
    bucket = next(iter(ring.contents.buckets.values()))
    shown = repr((ring, ring.contents, bucket, OpenedRing(contents=ring.contents, r=b"R" * 32)))
    for secret in (bucket.key, b"a secret of the vault", b"R" * 32):
        assert repr(secret)[2:-1] not in shown
        assert secret.hex() not in shown
    assert bucket.day in shown
