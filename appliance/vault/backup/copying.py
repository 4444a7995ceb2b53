"""Makes a backup, and keeps it in step with forgetting.

Promise: at each moment, also after a cut, the backup directory holds a backup that can be restored: the one from
before, or the new one. What the order of the steps is for:

- Every ring in the directory has, for each call that it can open, a wrapped key in the catalogue or in `wraps` there.
  So wrapped keys come before the ring that needs them, and old ones go only when the catalogue and the ring are newer.
- The list of the forgotten comes before the new catalogue and before recordings are removed.
- Whose backup it is stands there first; that it is whole, last.

Recordings are immutable: they are copied once and read back. One that cannot be read is named, and the others are
copied. Left to others: when (keeper.py), how fast (`rest`), and the directory (place.py). One thread at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from appliance.clock import Clock
from appliance.recordings.folder import RecordingsFolder
from appliance.settings import SETTINGS_NAME
from appliance.terms import CallId
from appliance.vault.backup.forgotten_list import ForgottenCalls, decoded, encoded, forgotten_of
from appliance.vault.backup.place import (
    CATALOGUE,
    FORGOTTEN,
    JOURNAL_FILES,
    RING_FILES,
    WRAPS,
    BackupFolder,
    BackupTrouble,
    Rest,
    SourceUnreadable,
    recording_name,
)
from appliance.vault.backup.wrap_log import RECORD_BYTES, WrapLog, WrapRecord, is_of_same_generation, records_in
from appliance.vault.call_keys import CallKeys
from appliance.vault.catalogue import CallState, Catalogue
from appliance.vault.evidence.identity import CHAIN_NAME
from appliance.vault.evidence.verifier import Chain
from appliance.vault.ring import Ring
from appliance.vault.store import Store

Progress = Callable[[int, int], None]
"""Told how many recordings have been looked at, and of how many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A whole backup. calls: recordings in it; copied: this time; not_copied: those that cannot be read, and why."""

    made_at_ms: int
    calls: int
    copied: int
    not_copied: dict[str, str]


class Copying:
    """From one box into backup directories."""

    def __init__(
        self,
        *,
        state: Path,
        store: Store,
        catalogue: Catalogue,
        call_keys: CallKeys,
        ring: Ring,
        folder: RecordingsFolder,
        wrap_log: WrapLog,
        chain: Chain,
        clock: Clock,
    ) -> None:
        self._state = state
        self._store = store
        self._catalogue = catalogue
        self._call_keys = call_keys
        self._ring = ring
        self._folder = folder
        self._wrap_log = wrap_log
        self._chain = chain
        self._clock = clock
        self._told_at: dict[Path, bytes] = {}

    def admit(self, backup: BackupFolder, *, must_be_there: bool) -> None:
        """See that this directory is for a backup of this box. Raises BackupTrouble: what to do."""
        root = backup.root
        if not root.is_dir():
            raise BackupTrouble(f"There is no directory {root}. Plug the drive in and mount it, or make the directory.")
        manifest = backup.manifest()
        if manifest is None:
            if must_be_there:
                raise BackupTrouble(
                    f"{root} is there, but not the backup that was made in it. Is the drive mounted? If it is a "
                    "new one, run `linekeep backup` once with --to and this directory."
                )
            if not backup.is_empty():
                raise BackupTrouble(f"{root} holds other things and no backup. Name an empty directory.")
            backup.put_manifest(self._chain.root_fingerprint, 0)
        elif not is_of_box(self._state / "identity", manifest.box):
            raise BackupTrouble(f"{root} holds the backup of another box. Nothing was changed; name another directory.")

    def make(self, backup: BackupFolder, *, rest: Rest, progress: Progress) -> Made:
        """Bring the backup up to date. Raises LinekeepError, and what `rest` raises; the last one is good then."""
        backup.sweep()
        self.keep_in_step(backup)
        copied, not_copied = self._copy_recordings(backup, rest, progress)
        made_at_ms, since = self._clock.now_ms(), self._wrap_log.end()
        backup.put_made(CATALOGUE, lambda path: self._store.copy_to(path, rest))
        self._copy_papers(backup)
        # All of it: a call may have been forgotten while its recording was being copied.
        self._told_at.pop(backup.root, None)
        self.keep_in_step(backup)
        there, listed = backup.recordings(), decoded(backup.read(FORGOTTEN) or b"")
        backup.put_manifest(
            self._chain.root_fingerprint,
            made_at_ms,
            ring=self._ring.last_commit.after.hex(),
            calls=len(there),
            forgotten=len(listed),
        )
        self._wrap_log.rewrite(self._present_wraps(), keep_from=since)
        self._put_wraps_and_ring(backup)
        return Made(made_at_ms=made_at_ms, calls=len(there), copied=copied, not_copied=not_copied)

    def is_in_step(self, root: Path) -> bool:
        """Whether the ring has not moved since the backup there was told."""
        return self._told_at.get(root) == self._ring.last_commit.after

    def keep_in_step(self, backup: BackupFolder) -> int:
        """Tell the backup what has been forgotten and how the others open now; how many are on its list."""
        state, was_told = self._ring.last_commit.after, self._told_at.pop(backup.root, None) is not None
        self._begin_wrap_log(backup)
        self._put_wraps_and_ring(backup)
        gone = forgotten_of(self._store)
        fresh = self._tell_forgotten(backup, gone)
        # Whether the removals before this one were carried out is known only if this process did them.
        backup.remove_recordings(fresh if was_told else [call for call in backup.recordings() if call in gone])
        self._told_at[backup.root] = state
        return len(gone)

    def _begin_wrap_log(self, backup: BackupFolder) -> None:
        if self._wrap_log.is_whole:
            return
        # Also what the backup has, and what is here though something is missing: its ring may need it still.
        kept = list(records_in(backup.read(WRAPS) or b""))
        if self._wrap_log.path.exists():
            kept += records_in(self._wrap_log.path.read_bytes())
        # Without a file nothing is noted, so nothing may be wrapped between the look and the writing.
        with self._call_keys.holding_still():
            self._wrap_log.rewrite([*kept, *self._present_wraps()])

    def _present_wraps(self) -> Iterator[WrapRecord]:
        now_ms = self._clock.now_ms()
        for wrap, line in self._catalogue.all_wraps():
            yield WrapRecord(wrap=wrap, line=line, at_ms=now_ms)

    def _put_wraps_and_ring(self, backup: BackupFolder) -> None:
        with self._call_keys.holding_still():
            ring = {name: self._state / "ring" / name for name in RING_FILES}
            contents = {name: path.read_bytes() for name, path in ring.items() if path.exists()}
            wraps = self._wrap_log.path.read_bytes()[: self._wrap_log.end()]
        self._put_wraps(backup, wraps)
        for name, content in contents.items():
            backup.put_if_other(f"ring/{name}", content)
        # A recovery copy that is no more would keep what has been forgotten since.
        backup.remove(*(f"ring/{name}" for name in RING_FILES if name not in contents))

    def _put_wraps(self, backup: BackupFolder, wraps: bytes) -> None:
        head, length = backup.begins_with(WRAPS, RECORD_BYTES)
        at = length - length % RECORD_BYTES
        if not is_of_same_generation(head, wraps) or at > len(wraps):
            backup.put(WRAPS, wraps)
        elif at < len(wraps):
            backup.append(WRAPS, wraps[at:], at)

    def _tell_forgotten(self, backup: BackupFolder, gone: ForgottenCalls) -> list[CallId]:
        """Which of these the list has not had."""
        before = backup.read(FORGOTTEN)
        listed = decoded(before or b"")
        fresh = [each for call, each in gone.items() if call not in listed]
        if before is None or (before and not before.endswith(b"\n")):
            backup.put(FORGOTTEN, encoded([*listed.values(), *fresh]))
        elif fresh:
            backup.append(FORGOTTEN, encoded(fresh), len(before))
        return [each.call for each in fresh]

    def _copy_recordings(self, backup: BackupFolder, rest: Rest, progress: Progress) -> tuple[int, dict[str, str]]:
        there, not_copied, copied = backup.recordings(), dict[str, str](), 0
        calls = self._folder.finished_calls()
        condemned = {row.call_id for row in self._catalogue.in_state(CallState.CONDEMNED)}
        for number, call in enumerate(calls):
            progress(number, len(calls))
            if call in condemned or self._is_there(call, there):
                continue
            if not self.is_in_step(backup.root):
                self.keep_in_step(backup)
            path = self._folder.finished_path(call)
            try:
                backup.copy_in(path, recording_name(call), rest)
                copied += 1
            except SourceUnreadable as trouble:
                if path.exists():  # not one that was erased meanwhile
                    not_copied[call] = str(trouble)
        progress(len(calls), len(calls))
        return copied, not_copied

    def _is_there(self, call: CallId, there: dict[CallId, int]) -> bool:
        try:
            return there.get(call) == self._folder.finished_path(call).stat().st_size
        except OSError:
            return False

    def _copy_papers(self, backup: BackupFolder) -> None:
        """Everything else that is not secret: the page's own key and the claim code stay here."""
        papers = [(self._state / SETTINGS_NAME, SETTINGS_NAME), (self._state / "tls" / "ca.pem", "tls/ca.pem")]
        for folder in ("identity", "boot-policies"):
            if (self._state / folder).is_dir():
                files = sorted((self._state / folder).iterdir())
                papers += [(path, f"{folder}/{path.name}") for path in files if path.suffix != ".new"]
        for path, name in papers:
            if path.is_file():
                backup.put_if_other(name, path.read_bytes())
        for name in JOURNAL_FILES:
            path = self._state / "journal" / name
            if path.is_file():
                whole_lines = path.read_bytes().rpartition(b"\n")
                backup.put_if_other(f"journal/{name}", b"".join(whole_lines[:2]))


def is_of_box(identity: Path, fingerprint: str) -> bool:
    """Whether a root's fingerprint is, or was before a recovery, that of the box with this folder of certificates."""
    if not (identity / CHAIN_NAME).exists():
        return False
    known = {Chain((identity / CHAIN_NAME).read_bytes()).root_fingerprint[:16]}
    known |= {path.stem.removeprefix("former-") for path in identity.glob("former-*.pem")}
    return fingerprint[:16] in known
