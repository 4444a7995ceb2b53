"""What the box remembers of the backups into the directory that its settings name: a small file in its state."""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import Struct

from appliance.recordings.disk import storage_errors
from appliance.vault.backup.place import Place


class Entry(Struct, frozen=True, kw_only=True):
    """
    path: the directory.
    made_at_ms: the last whole backup, UTC; 0: none yet.
    failed_at_ms, trouble: the last failure since then, and its sentence; 0 and empty: none.
    told: so many forgotten calls are on the backup's list, and their recordings gone from it.
    not_copied: recordings that could not be read, with the reason.
    """

    path: str = ""
    made_at_ms: int = 0
    failed_at_ms: int = 0
    trouble: str = ""
    told: int = 0
    not_copied: dict[str, str] = {}


class Ledger:
    """One file; read once, written whole."""

    def __init__(self, state: Path, path: str) -> None:
        self._place = Place(state, what="state directory")
        self._name = "backup.json"
        self.entry = self._read(path)

    def note(self, **changed: object) -> None:
        """Raises StorageTrouble, DiskFull."""
        entry = msgspec.structs.replace(self.entry, **changed)
        if entry != self.entry:
            self.entry = entry
            self._place.put(self._name, msgspec.json.encode(entry))

    def _read(self, path: str) -> Entry:
        with storage_errors("what is known of the backup is read"):
            content = self._place.read(self._name)
        try:
            entry = msgspec.json.decode(content or b"{}", type=Entry)
        except msgspec.MsgspecError:
            entry = Entry()  # the backup directory itself says the rest
        return entry if entry.path == path else Entry(path=path)
