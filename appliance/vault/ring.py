"""The ring: the one set of keys that opens anything, and the one place where keys are forgotten.

Promise: once `commit` has returned, no byte that was ever written to the disk, together with this TPM and
root on this box, brings back a key that the committed contents do not have; and whatever happens at whatever
moment, `open` afterwards finds either all keys from before the commit or all the committed ones.

Left to others: which keys to drop and when (retention), bytes (ring_file.py), the disk (ring_folder.py), the
TPM (tpm.py). The caller writes re-wrapped call keys before the commit, and deletes the old wraps after it.

The theory
----------
Flash does not forget when it is told to, so old rings must die where they lie. The TPM keeps one value x in an
NV index of type EXTEND: x can only become H(x || something). It never has a value twice, and nobody, not even
the TPM's owner, sets it back. A ring carries a random r. If it is made at x, its key is sealed under

    PolicyPCR, and PolicyOR(state == x, state == H(x || r))

so it opens now and, after NV_Extend(r), it still opens, and is the only one that does:

- every older ring was sealed for x and its predecessor, or for states before that: dead;
- every ring of an aborted attempt at x (an orphan) was sealed for x and H(x || r'), with an r' of its own:
  dead, and for ever, as H(x || r') can no longer be reached. A plain counter has no such branches: there an
  orphan sealed for "one more" comes to life with the next increment.

Because the new ring opens on both sides of the commit, it may take the old one's place before it: there is no
moment without a ring that opens. The commit is the extend: one step inside the TPM, whole or not at all.

What a cut leaves (O is the ring before, N the new one; A, B are the two copies):

    while N is written beside O       A=O B=O     opens O; what was begun is removed
    between the two renames           A=N B=O     opens N, writes it over both, extends by the r inside N
    after both, before the extend     A=N B=N     the same
    after the extend                  A=N B=N     opens N, which was not made at this state: nothing to do

Copy A is renamed, durably, before copy B. So where both open and differ, A is the newer one: A is taken, and B
is overwritten before the extend kills it. Had A been damaged in the second case, B would be taken; its
contents are then the truth, and N is an orphan that dies with the next commit. Nobody had called anything
forgotten yet.

Rolling forward brings nothing back: what opens and was made at the present state was made from the contents
of the present state, which lack everything that was forgotten before. Both copies are written and synced once
more before the extend: after a kill, what was read may be in the page cache only.

A policy session that was satisfied at x still unseals once at H(x || r). Sessions are flushed before the
extend and after it; the second time is the one that counts, for until then one could be satisfied anew.

With a recovery key a third file goes with them: what the ring holds, sealed to words on paper (recovery/copy.py). It
is renamed after copy B and before the extend, so it too has lost a key before that is called forgotten, and has got
one before a call is recorded under it; where it is not the ring's own copy, opening writes it again.

Nothing is believed on the way: what gets renamed was read back from the disk, unsealed by the TPM and
decrypted; the extend counts when the TPM shows the expected state under an HMAC that nobody else can make.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from appliance.terms import KeyForgotten, KeyTrouble
from appliance.vault.recovery.copy import is_in_step, seal_copy
from appliance.vault.ring_file import (
    KEY_BYTES,
    Bucket,
    BucketId,
    OpenedRing,
    RingContents,
    RingDamaged,
    RingFile,
    RingHeader,
    fresh_bucket_id,
    make_header,
    open_ring,
    parse_bucket_id,
    parse_ring,
    seal_ring,
)
from appliance.vault.ring_folder import REAL_DISK, Disk, RingCopy, RingFolder
from appliance.vault.tpm import (
    BootChanged,
    PinLocked,
    PinNeeded,
    PinWrong,
    PolicyNotMet,
    SealDamaged,
    SealedSecret,
    Tpm,
    TpmForeign,
)
from appliance.vault.tpm_policy import RING_INDEX_NAME, STATE_BYTES, next_state

__all__ = [
    "Bucket",
    "BucketId",
    "Ring",
    "RingCommit",
    "RingContents",
    "RingDamaged",
    "RingExists",
    "RingForeign",
    "RingMissing",
    "RingOld",
    "fresh_bucket_id",
    "parse_bucket_id",
]

_EXTEND_TRIES = 5
"""An answer lost five times over is no accident; the caller is told, and opening rolls forward."""

_OLD = (
    "This ring is not the present one of this TPM: it is an old copy. Nothing was changed. Put the present ring back."
)


class RingMissing(KeyTrouble):
    """There is no ring in the folder."""


class RingExists(KeyTrouble):
    """There is a ring in the folder already."""


class RingForeign(KeyTrouble):
    """The ring belongs to another TPM."""


class RingOld(KeyTrouble):
    """The TPM has moved on since this ring was made: it is dead, as it should be."""


_RECOVERABLE = (
    RingMissing, RingForeign, RingOld, RingDamaged, BootChanged, PinNeeded, PinWrong, PinLocked, SealDamaged,
)  # fmt: skip
"""What words on paper help against: everything that keeps a ring shut, but not a TPM or a disk that fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RingCommit:
    """The two states of the TPM around a commit; together they are the receipt's anchor."""

    before: bytes
    after: bytes


class Ring:
    """The present ring, open. One lock: any thread may call anything.

    `repaired` tells that one of the two files was missing, damaged or dead, and was written again.
    """

    def __init__(self, folder: RingFolder, tpm: Tpm) -> None:
        """For `create` and `open`; what is in the folder has not been looked at yet."""
        self.repaired = False
        self._folder = folder
        self._tpm = tpm
        self._lock = threading.RLock()
        self._contents: RingContents | None = None
        self._sealed: SealedSecret | None = None
        self._state = self._made_at = b""
        self._ids: AbstractSet[BucketId] = frozenset()
        self._forgotten: set[BucketId] = set()
        self.when_moved: Callable[[RingCommit], None] = lambda _commit: None
        """Told of each move of the TPM's state, in order, while no other can begin. It must not raise."""

    @classmethod
    def create(cls, folder: Path, tpm: Tpm, *, disk: Disk = REAL_DISK) -> Ring:
        """Make the first ring, empty. Trusts the storage key that the TPM has now.

        Raises:
            RingExists: there are ring files; opening them is the only way on.
        """
        ring = cls(RingFolder(folder, disk), tpm)
        ring._begin()
        return ring

    @classmethod
    def open(cls, folder: Path, tpm: Tpm, *, disk: Disk = REAL_DISK) -> Ring:
        """Open the ring, finish a commit that was cut, repair a copy that is broken.

        Raises (nothing was changed then):
            RingMissing, RingForeign, RingOld, RingDamaged: neither copy opens, and why.
            BootChanged: the platform registers differ from those the ring is bound to.
            PinNeeded, PinWrong, PinLocked: it opens with a PIN.
            KeyTrouble, StorageTrouble: TPM or disk refuse; what is there is as safe as before.
        """
        ring = cls(RingFolder(folder, disk), tpm)
        with ring._lock:
            ring._settle()
        return ring

    @classmethod
    def recover(cls, folder: Path, tpm: Tpm, contents: RingContents, *, disk: Disk = REAL_DISK) -> Ring:
        """Make a ring of what a recovery copy held, in place of files that this TPM does not open.

        After a cut either nothing has changed, or `open` opens it. Trusts the storage key that the TPM has now.
        Raises:
            RingExists: the ring that is there opens; nothing needs to be recovered.
        """
        ring = cls(RingFolder(folder, disk), tpm)
        with ring._lock:
            with suppress(*_RECOVERABLE):
                ring._settle()
                raise RingExists("The ring of keys opens with this TPM. Nothing was changed: nothing needs recovering.")
            ring._make(contents)
        return ring

    @property
    def contents(self) -> RingContents:
        """What the ring keeps. After a failed commit: what disk and TPM say now; raises as `open` does."""
        known = self._contents
        if known is not None:
            return known
        with self._lock:
            return self._settle() if self._contents is None else self._contents

    @property
    def is_sealed_as_now(self) -> bool:
        """Whether a commit would seal as the present ring is sealed: registers, update key, PIN or none."""
        with self._lock:
            sealed = self._sealed
            return sealed is None or (sealed.has_pin == self._tpm.has_pin and self._tpm.is_sealed_for_this_boot(sealed))

    @property
    def last_commit(self) -> RingCommit:
        """The states around the commit that made the ring what it is; raises as `contents` does."""
        with self._lock:
            if self._contents is None:
                self._settle()
            return RingCommit(before=self._made_at, after=self._state)

    def tell_last_move(self) -> None:
        """Tell the last move again, for whoever may have missed it; raises as `contents` does."""
        with self._lock:
            self.when_moved(self.last_commit)

    def commit(self, contents: RingContents) -> RingCommit:
        """Make these the contents, and forget for good every key that is not among them.

        Raises:
            KeyForgotten: a bucket that was forgotten is among them; nothing was done.
            KeyTrouble, StorageTrouble: done or not; `contents` tells which, and nothing is in between.
        """
        with self._lock:
            if self._contents is None:
                self._settle()
            if not self._forgotten.isdisjoint(contents.buckets):
                raise KeyForgotten("A day's key that was forgotten cannot be put back. Nothing was changed.")
            return self._commit_or_doubt(contents)

    def change(self, change: Callable[[RingContents], RingContents]) -> RingCommit:
        """Commit what `change` makes of the contents, with no other commit in between. As `commit` otherwise."""
        with self._lock:
            return self.commit(change(self.contents))

    def change_pin(self, pin: str | None, note: Callable[[], object]) -> RingCommit:
        """Seal the contents as they are with this PIN, or with none. Raises as `commit`, and what `note` raises.

        After any of these the TPM has the PIN of the ring that is in its place then: with another one nothing would
        open, and each look would be a wrong try.

        Args:
            note: called first, while no other commit can begin; if it raises, nothing was done.
        """
        with self._lock:
            contents, pin_before, ring_before = self.contents, self._tpm.pin, self._folder.read(RingCopy.A)
            note()
            self._tpm.use_pin(pin)
            try:
                return self.commit(contents)
            except BaseException:
                if self._folder.read(RingCopy.A) == ring_before:
                    self._tpm.use_pin(pin_before)
                raise

    def _begin(self) -> None:
        with self._lock:
            if any(self._folder.read(copy) is not None for copy in RingCopy):
                raise RingExists("There is a ring already. Nothing was changed.")
            self._make(RingContents(buckets={}, secrets={}))

    def _make(self, contents: RingContents) -> None:
        self._folder.make()
        self._tpm.check_storage_key(self._tpm.storage_key_name())
        self._state = self._tpm.ring_state()
        self._commit_or_doubt(contents)

    def _commit_or_doubt(self, contents: RingContents) -> RingCommit:
        try:
            return self._commit(contents)
        except BaseException:
            # Done, half done or not begun: disk and TPM know, and are asked at the next look.
            self._contents = None
            raise

    def _commit(self, contents: RingContents) -> RingCommit:
        before = self._tpm.ring_state()
        if before != self._state:
            raise RingOld(_OLD)
        r = secrets.token_bytes(STATE_BYTES)
        after = next_state(before, r)
        self._write(OpenedRing(contents=contents, r=r), (before, after))
        self._move_on(r, before, after)
        self._adopt(contents, (before, after))
        return RingCommit(before=before, after=after)

    def _write(self, wanted: OpenedRing, states: tuple[bytes, bytes]) -> None:
        """Put a new ring in place of the old one, after the TPM has opened what the disk gave back."""
        ring_key = secrets.token_bytes(KEY_BYTES)
        sealed = self._tpm.seal(ring_key, states)
        name = self._tpm.storage_key_name()
        header = make_header(sealed, storage_key_name=name, index_name=RING_INDEX_NAME)
        self._sealed = sealed
        kept = self._folder.stage(seal_ring(ring_key, header, wanted), seal_copy(wanted, states))
        if self._opened(parse_ring(kept)) != wanted:
            raise RingDamaged("The new ring does not hold what was put in; the old one is in its place still.")
        self._folder.replace()

    def _move_on(self, r: bytes, before: bytes, after: bytes) -> None:
        """Extend the TPM's state, and believe only the state that it shows afterwards."""
        trouble: KeyTrouble = RingOld(_OLD)
        for _ in range(_EXTEND_TRIES):
            # Ends an earlier try's session too: a command held back on the bus must not come after this one.
            self._tpm.flush_sessions()
            try:
                self._tpm.extend(r)
            except KeyTrouble as error:
                trouble = error
            state = self._tpm.ring_state()
            if state == after:
                self._tpm.flush_sessions()
                return
            if state != before:
                raise RingOld(_OLD)
        raise trouble

    def _settle(self) -> RingContents:
        """Find out what is true, make both copies and the TPM agree with it, and adopt it."""
        copies = {copy: self._folder.read(copy) for copy in RingCopy}
        chosen, header, opened = self._first_that_opens(copies)
        made_at, after = header.states
        self._sealed = header.sealed_key
        state = self._tpm.ring_state()
        if state == made_at:
            self._roll_forward(chosen, opened, (made_at, after))
        else:
            has_copy = is_in_step(self._folder.read_recovery(), opened.contents, header.states)
            if not has_copy or any(content != chosen for content in copies.values()):
                self._store(chosen, seal_copy(opened, header.states))
            self.repaired = self.repaired or not has_copy
            # The last commit may have been cut between its extend and the flush that makes it final.
            self._tpm.flush_sessions()
        self._folder.clean()
        self.repaired = self.repaired or any(_is_broken(content, state) for content in copies.values())
        return self._adopt(opened.contents, header.states)

    def _first_that_opens(self, copies: dict[RingCopy, bytes | None]) -> tuple[bytes, RingHeader, OpenedRing]:
        """Copy A if it opens, else copy B. Trouble with the TPM says nothing about a copy: it is raised."""
        troubles: list[KeyTrouble] = []
        for content in [content for content in copies.values() if content is not None]:
            try:
                ring = parse_ring(content)
                return content, ring.header, self._opened(ring)
            except (RingDamaged, RingForeign, RingOld) as trouble:
                troubles.append(trouble)
        raise _what_is_wrong(troubles)

    def _opened(self, ring: RingFile) -> OpenedRing:
        """Let the TPM open a ring. Raises RingForeign, RingOld, RingDamaged."""
        header = ring.header
        try:
            self._tpm.check_storage_key(header.storage_key_name)
            ring_key = self._tpm.unseal(header.sealed_key)
        except TpmForeign as error:
            raise RingForeign("This ring was made with another TPM. Nothing was changed.") from error
        except SealDamaged as error:
            raise RingDamaged("The key of a copy of the ring is damaged.") from error
        except BootChanged:
            raise
        except PolicyNotMet as error:
            raise RingOld(_OLD) from error
        opened = open_ring(ring_key, ring)
        if next_state(header.states[0], opened.r) != header.states[1]:
            raise RingDamaged("A copy of the ring contradicts itself.")
        return opened

    def _roll_forward(self, chosen: bytes, opened: OpenedRing, states: tuple[bytes, bytes]) -> None:
        """Finish a commit that was cut before its extend."""
        self._store(chosen, seal_copy(opened, states))
        self._move_on(opened.r, *states)

    def _store(self, content: bytes, recovery: bytes | None) -> None:
        self._folder.stage(content, recovery)
        self._folder.replace()

    def _adopt(self, contents: RingContents, states: tuple[bytes, bytes]) -> RingContents:
        """From now on this is the truth, and what was there before and is not now, is forgotten."""
        self._forgotten |= self._ids - contents.buckets.keys()
        self._ids = frozenset(contents.buckets)
        has_moved = self._state != states[1]
        self._made_at, self._state = states
        self._contents = contents
        if has_moved:
            self.when_moved(RingCommit(before=states[0], after=states[1]))
        return contents


def _is_broken(content: bytes | None, state: bytes) -> bool:
    """Missing, damaged or dead. An older copy that still opens is what a cut leaves, and in order."""
    try:
        return content is None or state not in parse_ring(content).header.states
    except RingDamaged:
        return True


def _what_is_wrong(troubles: list[KeyTrouble]) -> KeyTrouble:
    """Neither copy opens: the trouble that a person can do most about. Damage may hide the present ring."""
    for kind in (RingDamaged, RingForeign, RingOld):
        for trouble in troubles:
            if isinstance(trouble, kind):
                return trouble
    return RingMissing("There is no ring in its folder. Nothing was changed. Put the ring back, or begin anew.")
