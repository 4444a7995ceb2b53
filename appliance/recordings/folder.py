"""The folder of recordings: which file may lie where, and how it gets there.

    ROOT/growing/   mode 02770: the recorder creates here, the vault (member of the group) reads and takes away
    ROOT/finished/  mode 0700: the vault alone

Every legal state of one call, C being its id; whatever a crash leaves is one of them:

    growing            finished           meaning, and who moves it on
    -                  -                  nothing recorded, or removed
    C.new              -                  being created, or its recorder died creating it: swept, it holds no audio
    C.new and C        -                  created, the passing name not gone yet: swept, C stays
    C, locked          -                  being written by the recorder
    C, not locked      -                  finished or cut off: the vault authenticates it, then adopts or recovers it
    C, not locked      C.tmp(.new)        being copied or recovered, or the vault died doing so: swept, done again
    C, not locked      C                  adopted, the source not discarded yet: if `finished` authenticates, it is
    -                  C                  finished
    -                  C.tmp(.new)        left by a removal in the middle of a recovery: swept

Anything else is a stranger: told, never touched. Each side sweeps what it has left itself, at its own start and
before it creates anything: the recorder `growing`, the vault `finished`.

Promise: a change of names is durable when the function returns. What a file holds is not looked at.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from appliance.recordings import disk
from appliance.recordings.closing import RECOVERED_SUFFIX
from appliance.recordings.writer import STAGED_SUFFIX
from appliance.terms import CallId, SettingsTrouble, StorageTrouble, parse_call_id

_GROWING_TEMPORARIES = (STAGED_SUFFIX,)
_FINISHED_TEMPORARIES = (RECOVERED_SUFFIX, RECOVERED_SUFFIX + STAGED_SUFFIX)


class RecordingsFolder:
    """Names and moves recordings under one root; all methods raise StorageTrouble when the disk refuses."""

    def __init__(self, root: Path) -> None:
        self._growing = root / "growing"
        self._finished = root / "finished"

    def create(self) -> None:
        """Make what is missing; existing folders keep their content and get their rights.

        On a box `growing` is the recorder's own folder, made beforehand with the vault's group: its owner alone may
        change its rights, and nobody needs to. One that bars it does not keep the vault from starting, and forgetting.
        """
        places = ((self._growing.parent, 0o751), (self._growing, 0o2770), (self._finished, 0o700))
        with disk.storage_errors("the folders for recordings are made"):
            for folder, mode in places:
                folder.mkdir(parents=True, exist_ok=True)
                status = folder.stat()
                if status.st_mode & 0o7777 != mode and status.st_uid == os.geteuid():
                    # Not as mkdir's argument: the umask would take from it.
                    folder.chmod(mode)
            disk.sync_folder(self._growing.parent)

    def growing_path(self, call: CallId) -> Path:
        return self._growing / call

    def finished_path(self, call: CallId) -> Path:
        return self._finished / call

    def growing_calls(self) -> list[CallId]:
        """Calls being written or left by their writer, sorted by id."""
        return _calls_in(self._growing)

    def finished_calls(self) -> list[CallId]:
        """Calls in the finished folder, sorted by id."""
        return _calls_in(self._finished)

    def is_being_written(self, call: CallId) -> bool:
        """Whether somebody holds the lock of the growing recording. Raises RecordingMissing."""
        with disk.storage_errors("a recording is looked at"):
            descriptor = disk.open_plain(self.growing_path(call))
            try:
                return not disk.lock_for_reading(descriptor)
            finally:
                # Closing drops the lock, if it was given.
                os.close(descriptor)

    def make_durable(self, call: CallId) -> None:
        """Make a finished recording durable: a vault may have been killed before its name was.

        To be done before it is authenticated: what is read from then on is what the disk holds.
        """
        with disk.storage_errors("a recording is made safe"):
            disk.sync_left_by_others(self.finished_path(call))

    def adopt(self, call: CallId, *, sha256: str) -> None:
        """Bring a growing recording to the finished ones, as a file of our own, and discard it.

        A copy, and not the file itself: who has written that may still hold it open, and the key with it.

        Args:
            sha256: of the file as the caller has authenticated it, in hexadecimal.
        Raises:
            RecordingMissing: there is none.
            StorageTrouble: it is not the authenticated one any more, or the disk does not hold it; or a finished one
                of this name exists: whoever writes `growing` must not replace it. All is left as it was.
        """
        finished = self.finished_path(call)
        copy = finished.with_name(finished.name + RECOVERED_SUFFIX)
        with disk.storage_errors("a finished recording is taken over"):
            # The vault alone writes `finished`, so nothing comes between this question and the rename.
            if os.path.lexists(finished):
                raise StorageTrouble("A finished recording of this call exists already; both were left as they are.")
            copy.unlink(missing_ok=True)
            try:
                if disk.copy_durably(self.growing_path(call), copy) != sha256:
                    raise StorageTrouble(
                        "A recording changed while it was taken over, or the disk does not give back what was written. "
                        "It was left as it is; the next try follows by itself."
                    )
                copy.rename(finished)
            finally:
                copy.unlink(missing_ok=True)
            # First the new name, then the loss of the old one: a cut between them may show both, never none.
            disk.sync_folder(self._finished)
        self.discard_growing(call)

    def discard_growing(self, call: CallId) -> None:
        """Remove a growing recording that was recovered, or holds nothing; missing is fine."""
        with disk.storage_errors("a recording is removed"):
            disk.remove_names(self._growing, (call + suffix for suffix in ("", *_GROWING_TEMPORARIES)))

    def remove_all(self, calls: Iterable[CallId]) -> None:
        """Remove every file of these calls, temporaries too; missing is fine, so an interrupted erasure is repeated.

        The vault's own folder comes first: the other is the recorder's, which may bar it.
        """
        gone = list(calls)
        with disk.storage_errors("recordings are removed"):
            disk.remove_names(
                self._finished, (call + suffix for call in gone for suffix in ("", *_FINISHED_TEMPORARIES))
            )
            # Few are growing at a time, so that folder is read once instead of being asked for each name.
            growing = set(_names_in(self._growing))
            names = {call + suffix for call in gone for suffix in ("", *_GROWING_TEMPORARIES)}
            disk.remove_names(self._growing, names & growing)

    def sweep_growing(self) -> None:
        """Remove what a recorder that died has left half created; only for the recorder, before it records."""
        self._sweep(self._growing, _GROWING_TEMPORARIES)

    def sweep_finished(self) -> None:
        """Remove what a recovery that died has left half written; only for the vault, before it recovers."""
        self._sweep(self._finished, _FINISHED_TEMPORARIES)

    def strangers(self) -> list[str]:
        """Names that have no business here, as "growing/NAME" or "finished/NAME", sorted; folders too."""
        places = ((self._growing, _GROWING_TEMPORARIES), (self._finished, _FINISHED_TEMPORARIES))
        return [
            f"{folder.name}/{name}"
            for folder, temporaries in places
            for name in _names_in(folder)
            if _call_of(name, ("", *temporaries)) is None or (folder == self._growing and (folder / name).is_dir())
        ]

    def free_bytes(self) -> int:
        """Room that is left for recordings, without what the file system keeps for root."""
        with disk.storage_errors("the free room is asked for"):
            room = os.statvfs(self._growing)
        return room.f_bavail * room.f_frsize

    def _sweep(self, folder: Path, temporaries: tuple[str, ...]) -> None:
        with disk.storage_errors("leftovers are removed"):
            # Of a million names hardly one is a leftover, so the ending is looked at first.
            with os.scandir(folder) as entries:
                names = [entry.name for entry in entries if entry.name.endswith(temporaries)]
            disk.remove_names(folder, (name for name in names if _call_of(name, temporaries) is not None))


def _calls_in(folder: Path) -> list[CallId]:
    calls: Iterator[CallId | None] = (_call_of(name, ("",)) for name in _names_in(folder))
    return [call for call in calls if call is not None]


def _names_in(folder: Path) -> list[str]:
    with disk.storage_errors("the recordings are listed"):
        return sorted(path.name for path in folder.iterdir())


def _call_of(name: str, suffixes: tuple[str, ...]) -> CallId | None:
    """The call whose id, with one of these suffixes, is this name."""
    for suffix in suffixes:
        if name.endswith(suffix):
            try:
                return parse_call_id(name.removesuffix(suffix))
            except SettingsTrouble:
                continue
    return None
