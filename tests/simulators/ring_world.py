"""A ring that lives through cuts, and a thief who reads along: what the crash tests of the ring play in.

Promise: `change` and `reopen` check after every step that no kept key is lost (`KeyLost`), `rob` that no forgotten
one can be had (`KeyLeaked`). What a scheme does differently from the product is in `Scheme`, so that a broken
scheme can be put through the same tests.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from appliance.terms import LinekeepError
from appliance.vault.recovery.copy import Choice, choice_of, open_copy, parse_copy, with_choice
from appliance.vault.recovery.words import RecoveryKey
from appliance.vault.ring import Bucket, Ring, RingContents, RingMissing, fresh_bucket_id
from appliance.vault.ring_folder import RECOVERY_COPY
from appliance.vault.tpm import Tpm
from tests.simulators.ring_disk import CutDisk, PowerCut, Steps
from tests.simulators.ring_thief import RingThief
from tests.simulators.software_tpm import FINE, Fault, FaultyTpm, SoftwareTpm, Verdict

RECOVERY_KEY = RecoveryKey(bytes(range(32)))
"""Of all worlds: on paper only, so the thief has not got it."""


class KeyLost(AssertionError):
    """A key that was to be kept does not open any more."""


class KeyLeaked(AssertionError):
    """A key that was forgotten can be had from old bytes and the live TPM."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheme:
    """The parts a world is made of; the product's own unless a test says otherwise."""

    ring: type[Ring] = Ring
    tpm: type[Tpm] = Tpm
    disk: type[CutDisk] = CutDisk


class RingWorld:
    """One box: TPM, disk, ring. Not started until entered.

    truth: what the ring must hold.  forgotten: keys that must be gone.  steps: counts disk and TPM steps.
    """

    def __init__(self, folder: Path, run_dir: Path, scheme: Scheme, seed: int = 0) -> None:
        self.steps = Steps()
        self.disk = scheme.disk(self.steps, seed)
        self.truth = self._wished = RingContents(buckets={}, secrets={})
        self.forgotten: set[bytes] = set()
        self._scheme = scheme
        self._folder = folder / "ring"
        self._chip = SoftwareTpm(folder / "tpm", run_dir)
        self._bus = FaultyTpm(self._chip, run_dir)
        self._bus.rule = self._count_command

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._chip)
            stack.enter_context(self._bus)
            self.tpm = self._scheme.tpm(self._bus.tcti)
            self.tpm.provision()
            self.thief = RingThief(self._chip.tcti)
            stack.callback(self.thief.close)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.tpm.close()
        self._stack.close()

    def create(self, *, cut_after: int | str | None = None) -> bool:
        """Make the ring, or be cut while making it. True: it was made."""
        self.steps.begin(cut_after)
        try:
            self.ring = self._scheme.ring.create(self._folder, self.tpm, disk=self.disk)
        except (PowerCut, LinekeepError):
            if not self.steps.dead:
                raise
            return False
        return True

    def change(self, wished: RingContents, *, cut_after: int | str | None = None) -> bool:
        """Commit, or be cut while committing. True: it was committed."""
        self._wished = wished
        self.steps.begin(cut_after)
        try:
            self.ring.commit(wished)
        except (PowerCut, LinekeepError):
            if not self.steps.dead:
                raise
            return False
        self._accept(wished, self.ring.contents)
        return True

    def reopen(self, *, power: bool, cut_after: int | str | None = None) -> bool:
        """Start again after a cut, or after a stop; be cut while starting. True: the ring is open."""
        self.steps.begin(None)
        self.disk.cut(power=power)
        self.tpm.close()
        self.steps.begin(cut_after)
        try:
            self.tpm = self._scheme.tpm(self._bus.tcti)
            self.ring = self._scheme.ring.open(self._folder, self.tpm, disk=self.disk)
        except (PowerCut, LinekeepError) as error:
            if self.steps.dead:
                return False
            if isinstance(error, RingMissing) and not self.truth.buckets:
                raise
            raise KeyLost("The ring does not open any more.") from error
        self._accept(self._wished, self.ring.contents)
        return True

    def wipe(self) -> None:
        """Take the ring's files away, durably, as for a new box."""
        for path in self._folder.iterdir():
            self.disk.remove(path)
        self.disk.sync_folder(self._folder)
        self.truth = self._wished = RingContents(buckets={}, secrets={})

    def rob(self, newest: int | None = None) -> None:
        """Let the thief try the newest versions, or all. Raises KeyLeaked."""
        for version in self._versions()[-newest if newest else None :]:
            got = self.thief.open(version)
            keys = {bucket.key for bucket in got.buckets.values()} if got else set()
            if keys & self.forgotten:
                raise KeyLeaked("A forgotten key opens from old bytes.")

    def _versions(self) -> list[bytes]:
        return list(dict.fromkeys(self.disk.written))

    def _accept(self, wished: RingContents, found: RingContents) -> None:
        """What is there now must be all of the old or all of the new; what is there no more is forgotten."""
        if found not in (self.truth, wished):
            raise KeyLost("The ring holds neither what it held before nor what was committed.")
        self._check_recovery_copy(found)
        self.forgotten |= _keys(self.truth) - _keys(found)
        self.truth = self._wished = found

    def _check_recovery_copy(self, found: RingContents) -> None:
        path = self._folder / RECOVERY_COPY
        if path.exists() != bool(choice_of(found)):
            raise KeyLost("There is a recovery copy and no recovery key, or the other way round.")
        if path.exists() and open_copy(parse_copy(path.read_bytes()), RECOVERY_KEY) != found:
            raise KeyLost("The recovery copy holds something else than the ring.")

    def _count_command(self, code: int) -> Verdict:
        # A cut before a command is the cut after the step before it; so the one after it is what is left to try.
        if self.steps.dead:
            return Verdict(fault=Fault.LOSE_COMMAND)
        return Verdict(fault=Fault.LOSE_ANSWER) if self.steps.done(f"command {code:x}") else FINE


def with_fresh_bucket(contents: RingContents, day: str) -> RingContents:
    """One bucket more."""
    buckets = {**contents.buckets, fresh_bucket_id(): Bucket.fresh(day)}
    return RingContents(buckets=buckets, secrets=contents.secrets)


def with_many_buckets() -> RingContents:
    """Enough to forget one after every step, with a recovery key."""
    buckets = {fresh_bucket_id(): Bucket.fresh("2026-01-29") for _ in range(80)}
    return with_recovery_key(RingContents(buckets=buckets, secrets={"mail": b"secret"}))


def with_recovery_key(contents: RingContents) -> RingContents:
    return with_choice(contents, Choice(public_key=RECOVERY_KEY.public, needed=1, sheets=1, at_ms=1))


def without_recovery_key(contents: RingContents) -> RingContents:
    return with_choice(contents, Choice(at_ms=2))


def without(contents: RingContents, count: int) -> RingContents:
    """Without the oldest `count` buckets, and one bucket of their day anew, as when survivors are re-wrapped."""
    kept = dict(list(contents.buckets.items())[count:])
    kept[fresh_bucket_id()] = Bucket.fresh("2026-01-31")
    return RingContents(buckets=kept, secrets=contents.secrets)


def _keys(contents: RingContents) -> set[bytes]:
    return {bucket.key for bucket in contents.buckets.values()}
