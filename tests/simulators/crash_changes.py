"""Changes to the product for the disk tests: mutants that must be caught, and a next step of the catalogue's schema.

Promise: inside `apply_change(name)` the product is changed, afterwards it is as it was.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from appliance.recordings.disk import sync_folder
from appliance.vault import migrations
from tests.simulators.attack_mutants import ATTACK_MUTANTS

FIRST_REVISION = "0001"
NEXT_SCHEMA = "the schema goes one step further"

_NEXT_STEP = f"""
import sqlalchemy as sa
from alembic import op

revision, down_revision = "next", "{migrations.HEAD}"


def upgrade() -> None:
    op.create_table("made_up", sa.Column("call_id", sa.String(32), primary_key=True))
    op.add_column("calls", sa.Column("made_up", sa.String(8)))
    op.create_index("calls_by_made_up", "calls", ["made_up"])
    op.execute("UPDATE calls SET made_up = 'old'")
    op.execute("INSERT INTO made_up SELECT call_id FROM calls")
"""  # noqa: S608 - our own names


class _OsWithoutSync:
    """The module `os`, as one file of the product sees it."""

    def __getattr__(self, name: str) -> Any:
        return _trust_the_disk if name in ("fsync", "fdatasync") else getattr(os, name)


def _trust_the_disk(*_arguments: Any) -> None:
    """What was written will be there."""


def _prepare_without_sync(raw: Any, _record: object) -> None:
    raw.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=OFF", "secure_delete=ON", "temp_store=MEMORY"):
        raw.execute(f"PRAGMA {pragma}")


_VAULT, _RECORDINGS = "appliance.vault", "appliance.recordings"
MUTANTS: dict[str, dict[str, Any]] = {
    "the catalogue does not sync": {f"{_VAULT}.store._prepare_connection": _prepare_without_sync},
    "the journal does not sync": {"appliance.audit.journal.os": _OsWithoutSync()},
    "a running recording is not synced": {f"{_RECORDINGS}.writer.RecordingWriter.sync": _trust_the_disk},
    "a recording that was taken over is not synced": {f"{_RECORDINGS}.disk.sync_and_let_go": _trust_the_disk},
    "the folders of recordings are not synced": {f"{_RECORDINGS}.disk.sync_folder": _trust_the_disk},
    "the ring's files are not synced": {f"{_VAULT}.ring_folder.Disk.sync": _trust_the_disk},
    "the ring's folder is not synced": {f"{_VAULT}.ring_folder.Disk.sync_folder": _trust_the_disk},
}


@contextmanager
def apply_change(name: str) -> Iterator[None]:
    """`name`: of a mutant, NEXT_SCHEMA, or "" for none."""
    with ExitStack() as stack:
        if name == NEXT_SCHEMA:
            folder = Path(stack.enter_context(TemporaryDirectory())) / "migrations"
            shutil.copytree(Path(migrations.__file__).parent, folder)
            (folder / "versions" / "next.py").write_text(_NEXT_STEP)
            stack.enter_context(mock.patch.multiple(migrations, __file__=str(folder / "__init__.py"), HEAD="next"))
        for target, stand_in in (MUTANTS | ATTACK_MUTANTS).get(name, {}).items():
            stack.enter_context(mock.patch(target, stand_in))
        yield


def go_back_to_the_first_schema(catalogue: Path) -> None:
    """Put a catalogue of the first version in place of this one, with as much of its rows as that one has room for."""
    old = catalogue.with_name("catalogue.old")
    engine = sa.create_engine(f"sqlite:///{old}")
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, FIRST_REVISION)
    tables = {table: {column["name"] for column in sa.inspect(engine).get_columns(table)} for table in _tables(engine)}
    engine.dispose()
    with closing(sqlite3.connect(old)) as raw, raw:
        raw.execute("ATTACH ? AS new", (str(catalogue),))
        for table, columns in tables.items():
            names = ", ".join(sorted(columns))
            raw.execute(f"INSERT INTO {table} ({names}) SELECT {names} FROM new.{table}")  # noqa: S608
    old.replace(catalogue)
    sync_folder(catalogue.parent)


def _tables(engine: sa.Engine) -> list[str]:
    return [table for table in sa.inspect(engine).get_table_names() if table != "alembic_version"]
