"""What a restore can do only once the ring opens: finish what waits for it, and tell sound recordings from damaged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.recordings.closing import RECOVERED_SUFFIX
from appliance.recordings.reader import RecordingReader
from appliance.terms import CallId, LinekeepError
from appliance.vault.backup.place import BackupFolder, Place, no_rest, recording_name
from appliance.vault.catalogue import CallState

if TYPE_CHECKING:
    from pathlib import Path

    from appliance.vault.box import Box


def settle(box: Box) -> None:
    """Carry out what the restore has left to the vault, as its next start would."""
    box.erasure.finish_condemned()
    box.intake.take_over_what_was_left()
    # Wrapped keys from before the ring's last moves open nothing.
    box.catalogue.drop_buckets(box.catalogue.bucket_ids() - box.call_keys.bucket_ids())
    box.backup.keep_in_step()


def mend(box: Box, backup: BackupFolder) -> int:
    """Replace each recording that does not authenticate by the backup's, if that one does; how many."""
    there, mended = backup.recordings(), 0
    for row in box.catalogue.in_state(CallState.KEPT):
        call = row.call_id
        if call in there and not row.not_kept and not _is_sound(box, call, box.folder.finished_path(call)):
            mended += _replace(box, call, backup)
    return mended


def _replace(box: Box, call: CallId, backup: BackupFolder) -> bool:
    finished = Place(box.settings.state / "recordings" / "finished", backup.disk, what="state directory")
    passing = f"{call}{RECOVERED_SUFFIX}"
    try:
        finished.copy_in(backup.path(recording_name(call)), passing, no_rest)
        if _is_sound(box, call, finished.path(passing)):
            finished.rename(passing, call)
            return True
    except LinekeepError as trouble:
        box.log.warning("not_mended", call=call, why=str(trouble))
    finished.remove(passing)
    return False


def _is_sound(box: Box, call: CallId, path: Path) -> bool:
    try:
        with RecordingReader(path, call=call, key=box.call_keys.key_of(call)) as reader:
            reader.verify()
    except LinekeepError:
        return False
    return True
