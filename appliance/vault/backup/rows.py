"""The questions and changes that a restore has for a catalogue, and for the settings' one line that names a path."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert as upsert

from appliance.terms import CallId
from appliance.vault.backup.forgotten_list import Forgotten
from appliance.vault.backup.wrap_log import WrapRecord
from appliance.vault.catalogue import CallState, batches
from appliance.vault.store import Store, call_keys, calls, logins

_STATE_DIR = re.compile(rb"^state_dir\s*=.*$", re.MULTILINE)


def is_sound(path: Path) -> bool:
    """SQLite's own word on a catalogue's file."""
    try:
        with closing(sqlite3.connect(path, timeout=30)) as connection:
            verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            has_calls = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'calls'").fetchone()[0]
    except sqlite3.Error:
        return False
    return bool(verdict == "ok" and has_calls)


def forgotten_if_readable(path: Path) -> list[Forgotten]:
    """What a catalogue, perhaps a damaged one, knows to be forgotten; as much as it gives back."""
    found: list[Forgotten] = []
    try:
        with closing(sqlite3.connect(path, timeout=30)) as connection:
            for call, at_ms, erasure in connection.execute(
                "SELECT call_id, forgotten_at_ms, erasure_id FROM forgotten"
            ):
                found.append(msgspec.convert({"call": call, "at_ms": at_ms, "erasure": erasure or ""}, Forgotten))
    except (sqlite3.Error, msgspec.ValidationError):
        pass  # the journals and the backup's list have them too
    return found


def calls_with_recordings(store: Store) -> set[CallId]:
    """Calls that may have a recording: all but those that are to be forgotten."""
    query = sa.select(calls.c.call_id).where(calls.c.state != CallState.CONDEMNED)
    with store.reading() as connection:
        return {CallId(call) for call in connection.execute(query).scalars()}


def add_wraps(store: Store, records: Sequence[WrapRecord], with_recordings: set[CallId]) -> None:
    """Give back wrapped keys to calls that have a row, and a row to those that lost it and have a recording here."""
    lines = {record.wrap.call_id: record.line for record in records if record.line}
    issued = {record.wrap.call_id: record.at_ms for record in reversed(records)}
    with store.transaction() as connection:
        lost = [
            {
                "call_id": call,
                "line": line,
                "state": CallState.ISSUED,
                "issued_at_ms": issued[call],
                "direction": "unknown",
                "deletion_class": "standard",
            }
            for call, line in lines.items()
            if call in with_recordings
        ]
        for batch in batches(lost):
            connection.execute(upsert(calls).values(batch).on_conflict_do_nothing())
        known = set(connection.execute(sa.select(calls.c.call_id)).scalars())
        found = [record.wrap for record in records if record.wrap.call_id in known]
        for some in batches(found):
            values = [{"call_id": w.call_id, "bucket_id": w.bucket_id, "wrapped": w.wrapped} for w in some]
            connection.execute(upsert(call_keys).on_conflict_do_nothing(), values)


def end_logins(store: Store) -> None:
    """Who has logged out since the backup must not be logged in again."""
    with store.transaction() as connection:
        connection.execute(logins.delete())


def with_state_dir(settings: bytes, state: Path) -> bytes:
    """Settings that name this state directory."""
    line = f"state_dir = {msgspec.json.encode(str(state.absolute())).decode()}".encode()
    return _STATE_DIR.sub(lambda _match: line, settings, count=1)
