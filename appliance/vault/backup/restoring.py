"""Brings a backup back into a state directory: an empty one of a new box, or one that has lost something.

What is there and whole stays: above all the ring, which is newer than the backup's. What is missing or damaged comes
from the backup. The vault does not run meanwhile; the TPM is not asked, so it works on any machine.

What was forgotten stays forgotten. The list is everything that anybody remembers: the catalogues, the journals (here
and in the backup), the backup's own list, and receipts that are given by hand. Whatever of it the restored catalogue
still has becomes a request to forget, as if it had been cut off before its end: nothing lists or opens these calls,
their recordings are not brought back, and the vault carries the erasure out at its next start. That is what makes it
true on a new box too, where the recovered ring may still have the key: it leaves that ring then, and a receipt says so.
A catalogue that stays is not told what only the backup says: who can write there must not have calls erased here.

A call that was wrapped again since the backup was made opens with its wrapped key from `wraps`. A call that came after
the backup has a row again if its recording is here: the recording says the rest when the vault takes it over.

Everything is made under passing names, read back, and renamed; `restoring.json` keeps the box shut until the last step.
A cut leaves the old state or that; running it again goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from appliance.clock import Clock
from appliance.recordings.closing import RECOVERED_SUFFIX
from appliance.recordings.folder import RecordingsFolder
from appliance.settings import SETTINGS_NAME
from appliance.terms import CallId, StorageTrouble
from appliance.vault.backup import rows
from appliance.vault.backup.copying import is_of_box
from appliance.vault.backup.forgotten_list import decoded, forgotten_of
from appliance.vault.backup.place import (
    CATALOGUE,
    FORGOTTEN,
    JOURNAL_FILES,
    REAL_BACKUP_DISK,
    RING_FILES,
    WRAPS,
    BackupDisk,
    BackupFolder,
    Manifest,
    Place,
    SourceUnreadable,
    no_rest,
    recording_name,
)
from appliance.vault.backup.requests import Requests
from appliance.vault.backup.restored import RESTORED, RESTORING, Restored
from appliance.vault.backup.wrap_log import records_in
from appliance.vault.evidence.identity import CHAIN_NAME
from appliance.vault.evidence.verifier import Chain, NotProven
from appliance.vault.ring_folder import RingCopy
from appliance.vault.state_lock import lock_state
from appliance.vault.store import Store

_JOURNAL = "journal/acts.jsonl"
_CHAIN = f"identity/{CHAIN_NAME}"
_STAGED = "catalogue.sqlite.restoring"
_ASIDE = ".damaged"
_SQLITE_FILES = ("", "-wal", "-shm")


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What came of it. not_restored: recordings that the medium does not give back, and why."""

    restored: Restored
    has_catalogue_from_backup: bool
    has_ring_from_backup: bool
    not_restored: dict[str, str] = field(default_factory=dict)


class Restoring:
    """One restore. Raises StorageTrouble, DiskFull, SettingsTrouble with the sentence to show."""

    def __init__(
        self,
        backup: BackupFolder,
        state: Path,
        *,
        receipts: Sequence[Path],
        clock: Clock,
        disk: BackupDisk = REAL_BACKUP_DISK,
    ) -> None:
        self._backup = backup
        self._state = Place(state, disk, what="state directory")
        self._receipts = receipts
        self._clock = clock
        self._not_restored: dict[str, str] = {}

    def run(self) -> Outcome:
        manifest = self._whole_backup()
        unlock = lock_state(self._state.root)
        try:
            self._refuse_another_box(manifest)
            begun = Restored(at_ms=self._clock.now_ms(), backup_made_at_ms=manifest.made_at_ms)
            own = self._own_requests()
            if not self._state.exists(RESTORING):
                self._state.put(RESTORING, msgspec.json.encode(begun))
            return self._bring_back(begun, own)
        finally:
            unlock()

    def _bring_back(self, begun: Restored, own: Requests) -> Outcome:
        is_sound = self._has_sound_catalogue()
        self._make_folders()
        self._stage_catalogue()
        every, left_out = self._every_request()
        with closing(Store(self._state.path(CATALOGUE if is_sound else _STAGED))) as store:
            self._amend(store, own if is_sound else every)
            if not is_sound:
                rows.end_logins(store)
            wanted = rows.calls_with_recordings(store) - every.calls.keys()
            store.empty_log()
        recordings = self._bring_recordings(wanted)
        self._bring_papers()
        has_ring = self._bring_ring()
        if is_sound:
            self._state.remove(*(_STAGED + suffix for suffix in _SQLITE_FILES))
        else:
            self._put_catalogue_in_place()
        calls = len(wanted & self._calls_here())
        restored = msgspec.structs.replace(begun, calls=calls, recordings=recordings, left_out=left_out)
        self._state.put(RESTORING, msgspec.json.encode(restored))
        self._state.rename(RESTORING, RESTORED)
        return Outcome(
            restored=restored,
            has_catalogue_from_backup=not is_sound,
            has_ring_from_backup=has_ring,
            not_restored=self._not_restored,
        )

    # before anything is changed

    def _whole_backup(self) -> Manifest:
        manifest = self._backup.manifest()
        if manifest is None:
            raise StorageTrouble(f"There is no backup in {self._backup.root}. Nothing was changed; name its directory.")
        if not manifest.made_at_ms:
            raise StorageTrouble(
                f"The first backup into {self._backup.root} was never finished. Nothing was changed; it cannot help."
            )
        return manifest

    def _refuse_another_box(self, manifest: Manifest) -> None:
        identity = self._state.path("identity")
        if _chain_in(self._state) is not None and not is_of_box(identity, manifest.box):
            raise StorageTrouble(
                f"The backup is of another box than {self._state.root}. Nothing was changed; name the right one."
            )

    def _own_requests(self) -> Requests:
        """What the journal here and signed receipts say was forgotten."""
        requests = Requests()
        roots = [chain.root_fingerprint for chain in map(_chain_in, (self._state, self._backup)) if chain is not None]
        for path in self._receipts:
            requests.hear_receipts(path, roots)
        requests.hear_journal(self._state.read(_JOURNAL) or b"")
        return requests

    def _every_request(self) -> tuple[Requests, int]:
        """What anybody remembers, and how many calls of the backup have been forgotten since it was made."""
        requests = self._own_requests()
        requests.hear_journal(self._backup.read(_JOURNAL) or b"")
        for each in decoded(self._backup.read(FORGOTTEN) or b"").values():
            requests.hear(each)
        if self._state.exists(CATALOGUE):
            for each in rows.forgotten_if_readable(self._state.path(CATALOGUE)):
                requests.hear(each)
        with closing(Store(self._state.path(_STAGED))) as store:
            for each in forgotten_of(store).values():
                requests.hear(each)
            calls = rows.calls_with_recordings(store)
        return requests, len(calls & requests.calls.keys())

    # the catalogue

    def _has_sound_catalogue(self) -> bool:
        path = self._state.path(CATALOGUE)
        return self._state.exists(CATALOGUE) and rows.is_sound(path)

    def _stage_catalogue(self) -> None:
        self._state.remove(*(_STAGED + suffix for suffix in _SQLITE_FILES))
        try:
            self._state.copy_in(self._backup.path(CATALOGUE), _STAGED, no_rest)
        except SourceUnreadable as error:
            raise StorageTrouble(
                f"The backup's catalogue cannot be used: {error}. Nothing that was here was changed."
            ) from error
        if not rows.is_sound(self._state.path(_STAGED)):
            raise StorageTrouble("The backup's catalogue is damaged. Nothing that was here was changed.")

    def _amend(self, store: Store, requests: Requests) -> None:
        """Put in what came after the backup, then what must stay forgotten."""
        own = list(records_in(self._state.read("ring/wraps") or b""))
        rows.add_wraps(store, own, self._calls_here() - requests.calls.keys())
        rows.add_wraps(store, list(records_in(self._backup.read(WRAPS) or b"")), set())
        requests.condemn_in(store, self._clock.now_ms())

    def _put_catalogue_in_place(self) -> None:
        for suffix in _SQLITE_FILES:
            if self._state.exists(CATALOGUE + suffix):
                # Also a write-ahead log whose catalogue is gone: it must not be read into the restored one.
                self._state.rename(CATALOGUE + suffix, CATALOGUE + _ASIDE + suffix)
        self._state.rename(_STAGED, CATALOGUE)

    # files

    def _make_folders(self) -> None:
        for folder in ("journal", "identity", "ring"):
            with self._state.refusals():
                self._state.path(folder).mkdir(mode=0o700, exist_ok=True)
        RecordingsFolder(self._state.path("recordings")).create()

    def _calls_here(self) -> set[CallId]:
        folder = RecordingsFolder(self._state.path("recordings"))
        return {*folder.growing_calls(), *folder.finished_calls()}

    def _bring_recordings(self, wanted: set[CallId]) -> int:
        count, here = 0, self._calls_here()
        for call in sorted((wanted & self._backup.recordings().keys()) - here):
            # Under the passing name of a recovery, which the vault sweeps.
            passing, name = f"recordings/finished/{call}{RECOVERED_SUFFIX}", f"recordings/finished/{call}"
            try:
                self._state.copy_in(self._backup.path(recording_name(call)), passing, no_rest)
            except SourceUnreadable as trouble:
                self._not_restored[call] = str(trouble)
                continue
            self._state.rename(passing, name)
            count += 1
        return count

    def _bring_papers(self) -> None:
        for name in self._papers():
            content = self._backup.read(name)
            is_here = _chain_in(self._state) is not None if name == _CHAIN else self._state.exists(name)
            if content is not None and not is_here:
                self._state.put(name, content)
        if not self._state.exists(SETTINGS_NAME):
            content = self._backup.read(SETTINGS_NAME)
            if content is not None:
                self._state.put(SETTINGS_NAME, rows.with_state_dir(content, self._state.root))

    def _papers(self) -> Iterator[str]:
        yield from (f"journal/{name}" for name in JOURNAL_FILES)
        for folder in ("identity", "boot-policies", "tls"):
            path = self._backup.path(folder)
            if path.is_dir():
                yield from (
                    f"{folder}/{name}"
                    for name in sorted(each.name for each in path.iterdir())
                    if not name.endswith(".new")
                )

    def _bring_ring(self) -> bool:
        """Only where there is none: the one that is there is newer, and opens what can be opened."""
        if not self._state.exists("ring/wraps") and (wraps := self._backup.read(WRAPS)) is not None:
            self._state.put("ring/wraps", wraps)
        if any(self._state.exists(f"ring/{copy.value}") for copy in RingCopy):
            return False
        # The two copies last: with one of them there, this is not done again.
        for name in reversed(RING_FILES):
            content = self._backup.read(f"ring/{name}")
            if content is not None:
                self._state.put(f"ring/{name}", content)
        return True


def _chain_in(place: Place) -> Chain | None:
    """The box's certificates that lie there; None if there are none, or damaged ones."""
    try:
        return Chain(place.read(_CHAIN) or b"")
    except NotProven:
        return None
