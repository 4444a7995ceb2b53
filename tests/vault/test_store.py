"""The schema, a migration that is cut, a damaged or newer file, and who may read it."""

from __future__ import annotations

import os
import resource
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import op
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from appliance.terms import DiskFull, StorageTrouble
from appliance.vault.store import Store, _translated, marks, metadata


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "catalogue.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with closing(Store(path)) as store:
        yield store


def tables_in(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as raw:
        return {row[0] for row in raw.execute("SELECT name FROM sqlite_master WHERE type='table'")}


def test_the_migrations_lead_to_the_tables_that_the_code_uses(store: Store) -> None:
    with store.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


@pytest.mark.parametrize("step", range(1, 24))
def test_a_migration_cut_after_any_step_leaves_nothing_and_is_done_again(
    path: Path, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = 0

    def cut_after(name: str) -> None:
        real = getattr(op, name)

        def counted(*arguments: object, **named: object) -> object:
            nonlocal done
            made = real(*arguments, **named)
            done += 1
            if done == step:
                raise KeyboardInterrupt
            return made

        monkeypatch.setattr(op, name, counted)

    cut_after("create_table")
    cut_after("create_index")
    cut_after("add_column")
    with pytest.raises(KeyboardInterrupt):
        Store(path)
    monkeypatch.undo()
    assert tables_in(path) == set()
    with closing(Store(path)):
        assert tables_in(path) == {*metadata.tables, "alembic_version"}


def test_a_catalogue_of_a_newer_version_is_one_sentence_and_stays_as_it_is(path: Path) -> None:
    Store(path).close()
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("UPDATE alembic_version SET version_num='9999'")
    with pytest.raises(StorageTrouble, match="newer Linekeep"):
        Store(path)
    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("SELECT version_num FROM alembic_version").fetchone() == ("9999",)


def test_a_file_that_is_no_database_is_one_sentence_and_stays_as_it_is(path: Path) -> None:
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(StorageTrouble, match="damaged"):
        Store(path)
    assert path.read_bytes() == b"not a database" * 1000


def test_nobody_else_may_read_the_file_or_its_log_from_the_first_moment(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        with closing(Store(tmp_path / "catalogue.sqlite")):
            modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert "catalogue.sqlite-wal" in modes
    assert set(modes.values()) == {0o600}


def test_a_transaction_that_fails_changes_nothing(store: Store) -> None:
    def fail() -> None:
        with store.transaction() as connection:
            connection.execute(marks.insert().values(name="a", value=1))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with store.reading() as connection:
        assert connection.execute(sa.select(marks)).all() == []


def test_what_was_struck_is_not_in_the_files_after_the_log_was_emptied(store: Store, path: Path) -> None:
    secret = "struck-from-the-catalogue"  # noqa: S105 - something to look for
    with store.transaction() as connection:
        connection.execute(marks.insert().values(name=secret, value=1))
    with store.transaction() as connection:
        connection.execute(marks.delete())
    store.empty_log()
    held = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert secret.encode() not in held


def test_a_full_disk_is_said_and_the_catalogue_goes_on_afterwards(store: Store) -> None:
    with store._engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
        connection.rollback()
        with pytest.raises(DiskFull), _translated(), connection.begin():
            connection.execute(marks.insert(), [{"name": f"mark {n}", "value": n} for n in range(10_000)])
    assert store.integrity() == "ok"
    with store.reading() as connection:
        assert connection.execute(sa.select(marks)).all() == []


def test_an_errors_text_holds_no_parameter_of_its_statement(store: Store) -> None:
    twice = marks.insert().values([{"name": "secret-name", "value": 1}] * 2)
    with pytest.raises(StorageTrouble) as trouble, store.transaction() as connection:
        connection.execute(twice)
    assert trouble.value.__cause__ is not None
    assert "secret-name" not in str(trouble.value.__cause__)


def test_a_log_that_the_disk_does_not_let_be_emptied_is_one_sentence(store: Store) -> None:
    with store.transaction() as connection:
        connection.execute(marks.insert(), [{"name": f"mark {n}", "value": n} for n in range(1000)])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(StorageTrouble, match="could not be emptied"):
            store.empty_log()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    store.empty_log()
    assert store.integrity() == "ok"


def test_the_log_is_not_waited_for_while_a_copy_is_made_and_is_empty_after_it(tmp_path: Path) -> None:
    with closing(Store(tmp_path / "catalogue.sqlite")) as store:

        def meanwhile(_took_s: float) -> None:
            with store.transaction() as connection:
                connection.execute(marks.insert().values(name=os.urandom(4).hex(), value=1))
            store.empty_log()

        store.copy_to(tmp_path / "copy.sqlite", meanwhile)
        assert (tmp_path / "catalogue.sqlite-wal").stat().st_size == 0
        with store.reading() as connection:
            assert connection.execute(sa.select(sa.func.count()).select_from(marks)).scalar_one() > 0
    with closing(Store(tmp_path / "copy.sqlite")) as copy, copy.reading() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(marks)).scalar_one() == 0
