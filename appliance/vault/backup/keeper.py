"""When backups are made, and what the box tells about them.

Runs on a thread of its own (schedule.py), so that nothing waits for a slow stick or a network that hangs; it pauses
after each piece, longer while a call is being recorded. A backup that fails is tried again within the hour. What has
been forgotten is told to the backup within seconds; if it is away, as soon as it is back, and until then the box says
how many wait.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from appliance.audit.events import Act
from appliance.audit.journal import Journal
from appliance.boundary.verbs import BackupFacts, BackupState
from appliance.clock import Clock
from appliance.recordings.folder import RecordingsFolder
from appliance.terms import LinekeepError, SettingsTrouble, StorageTrouble
from appliance.vault.backup.copying import Copying, Made
from appliance.vault.backup.forgotten_list import count_forgotten
from appliance.vault.backup.ledger import Ledger
from appliance.vault.backup.place import REAL_BACKUP_DISK, BackupDisk, BackupFolder, no_rest
from appliance.vault.store import Store

LOOK_EVERY_S = 600
"""Between two looks whether a backup is due, or one that failed can be made now."""

STEP_EVERY_S = 10
"""Between two looks whether the ring has moved; they cost nothing when it has not."""

LATE_PERIODS = 3
"""So many periods without a backup are a fault."""

_LONGEST_PAUSE_S = 2.0
_PAUSE, _PAUSE_BESIDE_A_CALL = 1.0, 4.0
"""Times as long as the piece took."""

_MOST_NAMED = 100


class Stopped(Exception):
    """The vault is being stopped; the next run goes on."""


class BackupKeeper:
    """`directory`: where the settings want it; None: nowhere. Safe for use by several threads."""

    def __init__(
        self,
        *,
        directory: Path | None,
        every_s: int,
        state: Path,
        copying: Copying,
        store: Store,
        folder: RecordingsFolder,
        journal: Journal,
        clock: Clock,
        log: Any,
        disk: BackupDisk = REAL_BACKUP_DISK,
    ) -> None:
        self._directory = directory
        self._every_ms = every_s * 1000
        self._ledger = Ledger(state, str(directory or ""))
        self._copying = copying
        self._store = store
        self._folder = folder
        self._journal = journal
        self._clock = clock
        self._log = log
        self._disk = disk
        self._stopping = threading.Event()
        self._asking = threading.Lock()
        self._asked: str | None = None
        self._target = directory
        self._step_failed = False
        self._state = BackupState(running=False)
        self.wake: Callable[[], None] = lambda: None
        """Has `run` called soon, on its thread."""

    # by the clock

    def run(self) -> None:
        """Make the backup that somebody asked for, and the one that is due."""
        asked, self._asked = self._asked, None
        if asked is not None:
            self._make(self.directory(asked), paced=True, may_begin=bool(asked))
        elif self._directory is not None and self._is_due():
            self._make(self._directory, paced=True)

    def keep_in_step(self) -> None:
        """Tell the backup what the ring's last move was for, if it has moved."""
        if self._directory is None or not self._ledger.entry.made_at_ms:
            return
        try:
            if self._copying.is_in_step(self._directory):
                return
            backup = self._admitted(self._directory)
            self._ledger.note(told=self._copying.keep_in_step(backup))
            self._step_failed = False
        except LinekeepError as trouble:
            if not self._step_failed:  # every ten seconds would be too often
                self._log.warning("backup_not_in_step", why=str(trouble))
            self._step_failed = True

    def stop(self) -> None:
        """A running backup ends within seconds."""
        self._stopping.set()

    # by hand

    def ask(self, to: str) -> BackupState:
        """Have a backup made soon. Empty: where the settings want it. Raises SettingsTrouble, StorageTrouble."""
        path = self.directory(to)
        with self._asking:
            if self._state.running and path != self._target:
                raise StorageTrouble("Another backup is being made at the moment. Try again when it is done.")
            if not self._state.running:
                self._asked, self._target = to, path
                self._state = BackupState(running=True)
                self.wake()
        return self._state

    def make_now(self, to: str) -> BackupState:
        """Make a backup and return when it is there, or why it is not."""
        self._make(self.directory(to), paced=False, may_begin=bool(to))
        return self._state

    def directory(self, to: str) -> Path:
        """Where to. Raises SettingsTrouble: none was named anywhere."""
        if to and not Path(to).is_absolute():
            raise SettingsTrouble("Name the backup's directory by its whole path, from / on.")
        path = Path(to) if to else self._directory
        if path is None:
            raise SettingsTrouble(
                "The settings name no directory for the backup. Set vault.backup, or name one with --to."
            )
        return path

    # what is known

    def state(self) -> BackupState:
        """How far the present or last run is."""
        return self._state

    def facts(self) -> BackupFacts | None:
        """For the first page; None if the settings want no backup."""
        if self._directory is None:
            return None
        entry = self._ledger.entry
        return BackupFacts(
            made_at_ms=entry.made_at_ms, failed=bool(entry.trouble), late=self._is_late(), waiting=self._waiting()
        )

    def faults(self) -> list[str]:
        """For the check: one sentence each."""
        if self._directory is None:
            return []
        entry, found = self._ledger.entry, list[str]()
        if entry.trouble:
            found.append(f"The last backup failed: {entry.trouble}")
        if self._is_late():
            found.append("The last backup is too old; everything on the box is as safe as the box itself.")
        if waiting := self._waiting():
            found.append(
                f"Forgotten calls that have not been removed from the backup yet: {waiting}. Their keys are gone; it "
                "is done as soon as the backup's directory is there."
            )
        for call, why in entry.not_copied.items():
            found.append(f"Call {call}: not in the backup, {why}.")
        return found

    def _waiting(self) -> int:
        entry = self._ledger.entry
        return max(0, count_forgotten(self._store) - entry.told) if entry.made_at_ms else 0

    def _is_due(self) -> bool:
        entry, now_ms = self._ledger.entry, self._clock.now_ms()
        # A clock that has gone back must not hold backups up.
        return bool(entry.trouble) or not 0 <= now_ms - entry.made_at_ms < self._every_ms

    def _is_late(self) -> bool:
        made_at_ms = self._ledger.entry.made_at_ms
        return bool(made_at_ms) and self._clock.now_ms() - made_at_ms > LATE_PERIODS * self._every_ms

    # the work

    def _make(self, path: Path, *, paced: bool, may_begin: bool = False) -> None:
        self._state, self._target = BackupState(running=True), path
        try:
            backup = self._admitted(path, may_begin=may_begin)
            made = self._copying.make(backup, rest=self._rest if paced else no_rest, progress=self._progress)
        except Stopped:
            self._state = BackupState(running=False, trouble="The box is being stopped; the backup goes on later.")
        except LinekeepError as trouble:
            self._note_failure(path, trouble)
        except BaseException:
            self._state = BackupState(running=False, trouble="A fault in Linekeep itself stopped the backup.")
            raise
        else:
            self._note_made(path, made)

    def _admitted(self, path: Path, *, may_begin: bool = False) -> BackupFolder:
        """`may_begin`: somebody named the directory, so an empty one is a new medium and not a drive gone missing."""
        backup = BackupFolder(path, self._disk)
        was_made_there = path == self._directory and bool(self._ledger.entry.made_at_ms)
        self._copying.admit(backup, must_be_there=was_made_there and not may_begin)
        return backup

    def _note_made(self, path: Path, made: Made) -> None:
        counts: dict[str, str | int] = {
            "calls": made.calls,
            "copied": made.copied,
            "not_copied": len(made.not_copied),
        }
        self._journal.append(Act.BACKUP_MADE, by="vault", notes=counts)
        if path == self._directory:
            self._ledger.note(
                made_at_ms=made.made_at_ms,
                failed_at_ms=0,
                trouble="",
                told=count_forgotten(self._store),
                not_copied=made.not_copied,
            )
        self._log.info("backup_made", **counts)
        self._state = BackupState(
            running=False,
            seen=made.calls,
            calls=made.calls,
            made_at_ms=made.made_at_ms,
            not_copied=tuple(f"Call {call}: {why}." for call, why in list(made.not_copied.items())[:_MOST_NAMED]),
        )

    def _note_failure(self, path: Path, trouble: LinekeepError) -> None:
        self._state = BackupState(running=False, trouble=str(trouble))
        self._log.warning("backup_failed", why=str(trouble))
        if path != self._directory:
            self._journal.append(Act.BACKUP_FAILED, by="vault", notes={"why": type(trouble).__name__})
            return
        # Tried again and again while a drive is away; the journal is told once.
        if not self._ledger.entry.trouble:
            self._journal.append(Act.BACKUP_FAILED, by="vault", notes={"why": type(trouble).__name__})
        self._ledger.note(failed_at_ms=self._clock.now_ms(), trouble=str(trouble))

    def _progress(self, seen: int, calls: int) -> None:
        if self._stopping.is_set():
            raise Stopped
        self._state = msgspec.structs.replace(self._state, seen=seen, calls=calls)

    def _rest(self, took_s: float) -> None:
        share = _PAUSE_BESIDE_A_CALL if self._folder.growing_calls() else _PAUSE
        if self._stopping.wait(min(_LONGEST_PAUSE_S, took_s * share)):
            raise Stopped
