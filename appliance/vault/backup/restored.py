"""What a state directory says of the restore that it has been through, or is in the middle of.

While `restoring.json` is there, nothing opens the box: half of it would look like a new one. The last step of a restore
renames it to `restored.json`; the vault journals that at its next start, and the check says it from then on.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from appliance.audit.events import Act
from appliance.audit.journal import Journal
from appliance.terms import StorageTrouble
from appliance.vault.backup.place import Place

RESTORING, RESTORED = "restoring.json", "restored.json"


class Restored(Struct, frozen=True, kw_only=True):
    """
    at_ms, backup_made_at_ms: UTC.
    calls: in the catalogue afterwards.  recordings: brought back.  left_out: in the backup, and forgotten since.
    journalled: whether the journal knows.
    """

    at_ms: int
    backup_made_at_ms: int
    calls: int = 0
    recordings: int = 0
    left_out: int = 0
    journalled: bool = False

    def sentence(self) -> str:
        return (
            f"Restored on {_date(self.at_ms)} from the backup of {_date(self.backup_made_at_ms)}. Calls: {self.calls}. "
            f"Forgotten since then, left out, and forgotten for good: {self.left_out}."
        )


def refuse_half_restored(state: Path) -> None:
    """Raises StorageTrouble."""
    if (state / RESTORING).exists():
        raise StorageTrouble(
            f"A restore into {state} was cut off. Nothing is lost; run `linekeep restore` again with the same backup."
        )


def restored_of(state: Path) -> Restored | None:
    """Raises StorageTrouble: the file cannot be read."""
    content = Place(state, what="state directory").read(RESTORED)
    try:
        return None if content is None else msgspec.json.decode(content, type=Restored)
    except msgspec.MsgspecError:
        return None  # a note only


def note_restored(state: Path, journal: Journal) -> None:
    """Journal the restore, if there was one that the journal does not know of."""
    restored = restored_of(state)
    if restored is None or restored.journalled:
        return
    counts: dict[str, str | int] = {name: getattr(restored, name) for name in ("calls", "recordings", "left_out")}
    journal.append(Act.BOX_RESTORED, by="console", notes={**counts, "backup_made_at_ms": restored.backup_made_at_ms})
    told = msgspec.structs.replace(restored, journalled=True)
    Place(state, what="state directory").put(RESTORED, msgspec.json.encode(told))


def _date(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, tz=UTC).strftime("%Y-%m-%d %H:%M UTC")
