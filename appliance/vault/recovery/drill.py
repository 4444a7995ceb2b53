"""Proves that the words open a recording: with nothing but the words, the recovery copy, the catalogue and the file.

The TPM and the ring are not touched, nothing is written, and the vault may run meanwhile. A state directory will do,
or a backup, on any machine with Linekeep: what works here works on the day the box has burnt down.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from appliance.recordings.folder import RecordingsFolder
from appliance.recordings.reader import RecordingReader
from appliance.recordings.sealing import unwrap_key
from appliance.terms import CallId, KeyForgotten, StorageTrouble
from appliance.vault.backup.place import CATALOGUE, MANIFEST, WRAPS, recording_name
from appliance.vault.backup.wrap_log import records_in
from appliance.vault.catalogue import CallState
from appliance.vault.ring_file import BucketId, RingContents

_PIECE_BYTES = 256 * 1024
_NEWEST = "SELECT call_id FROM calls WHERE state = ? ORDER BY started_at_ms DESC LIMIT 1"
_EVERY_BUCKET = "SELECT calls.call_id, bucket_id FROM calls LEFT JOIN call_keys USING (call_id) WHERE state = ?"
_WRAPS = "SELECT bucket_id, wrapped FROM call_keys WHERE call_id = ?"


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillGround:
    """Where a drill finds what it needs: a state directory, or a backup."""

    ring: Path
    catalogue: str
    wraps: Path
    recording: Callable[[CallId], Path]


def ground_in(directory: Path) -> DrillGround:
    """What lies there."""
    if (directory / MANIFEST).exists():
        return DrillGround(
            ring=directory / "ring",
            # Nobody writes to this file while it lies there: a backup puts another in its place.
            catalogue=f"file:{directory / CATALOGUE}?immutable=1",
            wraps=directory / WRAPS,
            recording=lambda call: directory / recording_name(call),
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
    opening = {call for call, bucket in rows if bucket in contents.buckets}
    if len(opening) < len({call for call, _bucket in rows}) and ground.wraps.exists():
        noted = (record.wrap for record in records_in(ground.wraps.read_bytes()))
        opening |= {wrap.call_id for wrap in noted if wrap.bucket_id in contents.buckets} & {row[0] for row in rows}
    return len(opening), len({call for call, _bucket in rows})


def _call_and_key(ground: DrillGround, contents: RingContents, call: CallId | None) -> tuple[CallId, bytes]:
    with _reading(ground.catalogue) as catalogue:
        if call is None:
            call = _newest(catalogue)
        wraps = [(str(bucket), bytes(wrapped)) for bucket, wrapped in catalogue.execute(_WRAPS, (call,))]
    for bucket_id, wrapped in [*wraps, *_noted_since(ground.wraps, call)]:
        bucket = contents.buckets.get(BucketId(bucket_id))
        if bucket is not None:
            return call, unwrap_key(bucket.key, call, bucket_id, wrapped)
    raise KeyForgotten(
        f"The recovery copy has no key for call {call}: it was forgotten, or never here. Nothing was changed; name "
        "another with --call."
    )


@contextmanager
def _reading(catalogue: str) -> Iterator[sqlite3.Connection]:
    try:
        with closing(sqlite3.connect(catalogue, uri=True, timeout=30)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise StorageTrouble(f"The catalogue cannot be read: {error}. Nothing was changed.") from error


def _newest(catalogue: sqlite3.Connection) -> CallId:
    row = catalogue.execute(_NEWEST, (CallState.KEPT,)).fetchone()
    if row is None:
        raise StorageTrouble("There is no recording to try it on yet. Nothing was changed; record a call first.")
    return CallId(row[0])


def _noted_since(wraps: Path, call: CallId) -> list[tuple[str, bytes]]:
    if not wraps.exists():
        return []
    records = (record.wrap for record in records_in(wraps.read_bytes()))
    return [(wrap.bucket_id, wrap.wrapped) for wrap in records if wrap.call_id == call]
