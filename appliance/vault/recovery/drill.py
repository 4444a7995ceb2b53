"""Proves that the words open a recording: with nothing but the words, the recovery copy, the catalogue and the file.

The TPM and the ring are not touched, nothing is written, and the vault may run meanwhile. A state directory will do,
or a backup, on any machine with Linekeep: what works here works on the day the box has burnt down.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from appliance.recordings.folder import RecordingsFolder
from appliance.recordings.reader import RecordingReader
from appliance.recordings.sealing import unwrap_key
from appliance.terms import CallId, KeyForgotten, StorageTrouble
from appliance.vault.backup.forgotten_list import decoded
from appliance.vault.backup.place import CATALOGUE, FORGOTTEN, MANIFEST, WRAPS, BackupFolder, recording_name
from appliance.vault.backup.wrap_log import records_in
from appliance.vault.catalogue import CallState, Wrap
from appliance.vault.ring_file import BucketId, RingContents

_PIECE_BYTES = 256 * 1024
_NEWEST_FIRST = "SELECT call_id FROM calls WHERE state = ? {recorded} ORDER BY started_at_ms DESC"
_COLUMNS = "SELECT name FROM pragma_table_info('calls')"
_EVERY_BUCKET = "SELECT calls.call_id, bucket_id FROM calls LEFT JOIN call_keys USING (call_id) WHERE state = ?"
_WRAPS = "SELECT bucket_id, wrapped FROM call_keys WHERE call_id = ?"


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillGround:
    """Where a drill finds what it needs: a state directory, or a backup."""

    ring: Path
    catalogue: str
    wraps: Path
    recording: Callable[[CallId], Path]
    forgotten: frozenset[CallId] = frozenset()
    """Calls that a backup's catalogue has still, and its list no longer."""


def ground_in(directory: Path) -> DrillGround:
    """What lies there."""
    if (directory / MANIFEST).exists():
        return DrillGround(
            ring=directory / "ring",
            # Nobody writes to this file while it lies there: a backup puts another in its place.
            catalogue=f"file:{directory / CATALOGUE}?immutable=1",
            wraps=directory / WRAPS,
            recording=lambda call: directory / recording_name(call),
            forgotten=frozenset(decoded(BackupFolder(directory).read(FORGOTTEN) or b"")),
        )
    folder = RecordingsFolder(directory / "recordings")
    return DrillGround(
        ring=directory / "ring",
        catalogue=f"file:{directory / CATALOGUE}?mode=ro",
        wraps=directory / "ring" / WRAPS,
        recording=folder.finished_path,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Drilled:
    """The call that opened, to its last byte. started_at_ms: UTC.  seconds: its length."""

    call: CallId
    line: str
    started_at_ms: int
    seconds: float


def drill(ground: DrillGround, contents: RingContents, call: CallId | None, audio_to: BinaryIO | None) -> Drilled:
    """Open one call: this one, or the newest that is kept.

    Args:
        contents: what the words opened.
        audio_to: where its audio goes as well; None: nowhere.
    Raises:
        StorageTrouble, DamagedRecording, RecordingMissing; KeyForgotten: the copy has no key for it.
    """
    call, key = _call_and_key(ground, contents, call)
    with RecordingReader(ground.recording(call), call=call, key=key) as reader:
        reader.verify()
        if audio_to is not None:
            for offset in range(0, reader.audio_bytes, _PIECE_BYTES):
                audio_to.write(reader.read_audio(offset, _PIECE_BYTES))
        opening, frames = reader.opening, reader.closing.frames
        return Drilled(
            call=call,
            line=opening.line,
            started_at_ms=opening.started_at_ms,
            seconds=frames / opening.rate_hz,
        )


def count_opening(ground: DrillGround, contents: RingContents) -> tuple[int, int]:
    """For how many of the kept calls the copy has a key, and how many there are. Raises StorageTrouble."""
    with _reading(ground.catalogue) as catalogue:
        rows = catalogue.execute(_EVERY_BUCKET, (CallState.KEPT,)).fetchall()
    kept = {call for call, _bucket in rows} - ground.forgotten
    opening = {call for call, bucket in rows if bucket in contents.buckets}
    opening |= {wrap.call_id for wrap in _noted_since(ground.wraps) if wrap.bucket_id in contents.buckets}
    return len(kept & opening), len(kept)


def _call_and_key(ground: DrillGround, contents: RingContents, wanted: CallId | None) -> tuple[CallId, bytes]:
    noted = _noted_since(ground.wraps)
    with _reading(ground.catalogue) as catalogue:
        newest_first = _recorded(catalogue)
        calls = [call for call in newest_first if call not in ground.forgotten] if wanted is None else [wanted]
        for call in calls:
            in_catalogue = (
                Wrap(call_id=call, bucket_id=bucket, wrapped=wrapped)
                for bucket, wrapped in catalogue.execute(_WRAPS, (call,))
            )
            for wrap in chain(in_catalogue, (wrap for wrap in noted if wrap.call_id == call)):
                bucket = contents.buckets.get(BucketId(wrap.bucket_id))
                if bucket is not None:
                    return call, unwrap_key(bucket.key, call, wrap.bucket_id, wrap.wrapped)
    if not calls:
        raise StorageTrouble("There is no recording to try it on yet. Nothing was changed; record a call first.")
    raise KeyForgotten(
        f"The recovery copy has no key for call {calls[0]}: it was forgotten, or never here, or is newer than the "
        "copy. Nothing was changed; name another with --call."
    )


def _recorded(catalogue: sqlite3.Connection) -> list[CallId]:
    """Kept calls with a recording, the newest first."""
    # The catalogue of an older backup knows no other ones; nothing brings it up to date here.
    knows_others = ("not_kept",) in catalogue.execute(_COLUMNS).fetchall()
    query = _NEWEST_FIRST.format(recorded="AND not_kept = ''" if knows_others else "")
    return [CallId(call) for (call,) in catalogue.execute(query, (CallState.KEPT,))]


@contextmanager
def _reading(catalogue: str) -> Iterator[sqlite3.Connection]:
    try:
        with closing(sqlite3.connect(catalogue, uri=True, timeout=30)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise StorageTrouble(f"The catalogue cannot be read: {error}. Nothing was changed.") from error


def _noted_since(wraps: Path) -> list[Wrap]:
    """Keys that were wrapped again since the catalogue beside them was copied."""
    return [record.wrap for record in records_in(wraps.read_bytes())] if wraps.exists() else []
