"""The database file: its tables, and transactions on it. The one place that makes SQLite behave.

Clear columns only for what must be sorted and deleted by; all else is in sealed cards. A dump of this file
shows when a line was busy, and nothing of who called. Every commit is synced before it returns.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DatabaseError, OperationalError

from appliance.terms import DiskFull, StorageTrouble
from appliance.vault.migrations import bring_up_to_date

_PAGES_AT_ONCE = 256
"""Of 4 KiB, in a copy of the catalogue."""

LONGER = "hold_until_ms IS NOT NULL OR keep_asked_at_ms IS NOT NULL"
"""Of a call: somebody wants it to be kept longer. So few that they have an index of their own, in these words."""

metadata = sa.MetaData()

calls = sa.Table(
    "calls",
    metadata,
    sa.Column("call_id", sa.String(32), primary_key=True),
    sa.Column("line", sa.String(32), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("issued_at_ms", sa.BigInteger, nullable=False),
    sa.Column("started_at_ms", sa.BigInteger),
    sa.Column("length_ms", sa.BigInteger),
    sa.Column("direction", sa.String(8), nullable=False),
    sa.Column("deletion_class", sa.String(32), nullable=False),
    sa.Column("due_at_ms", sa.BigInteger),
    sa.Column("condemned_at_ms", sa.BigInteger),
    sa.Column("card", sa.LargeBinary),
    sa.Column("erasure_id", sa.String(16)),
    sa.Column("not_kept", sa.String(32), nullable=False, server_default=""),
    sa.Column("hold_until_ms", sa.BigInteger),
    sa.Column("keep_asked_at_ms", sa.BigInteger),
    sa.Index("calls_by_start", "state", "started_at_ms", "call_id"),
    sa.Index("calls_by_line", "line", "state", "started_at_ms"),
    sa.Index("calls_by_due", "state", "due_at_ms"),
    # For counting: the rows themselves are a kilobyte each, and a million of them take a card half a minute.
    sa.Index("calls_unrecorded", "state", "not_kept", sqlite_where=sa.text("not_kept != ''")),
    sa.Index("calls_longer", "state", "started_at_ms", "call_id", sqlite_where=sa.text(LONGER)),
)
call_keys = sa.Table(
    "call_keys",
    metadata,
    sa.Column("call_id", sa.String(32), primary_key=True),
    sa.Column("bucket_id", sa.String(16), primary_key=True),
    sa.Column("wrapped", sa.LargeBinary, nullable=False),
    sa.Index("call_keys_by_bucket", "bucket_id"),
)
number_tokens = sa.Table(
    "number_tokens",
    metadata,
    sa.Column("token", sa.LargeBinary, primary_key=True),
    sa.Column("call_id", sa.String(32), primary_key=True),
    sa.Column("bucket_id", sa.String(16), nullable=False),
    sa.Index("number_tokens_by_call", "call_id"),
    sa.Index("number_tokens_by_bucket", "bucket_id"),
)
gaps = sa.Table(
    "gaps",
    metadata,
    sa.Column("call_id", sa.String(32), primary_key=True),
    sa.Column("at_frame", sa.BigInteger, primary_key=True),
    sa.Column("frames", sa.BigInteger, nullable=False),
    sa.Column("why", sa.String(32), nullable=False),
)
forgotten = sa.Table(
    "forgotten",
    metadata,
    sa.Column("call_id", sa.String(32), primary_key=True),
    sa.Column("forgotten_at_ms", sa.BigInteger, nullable=False),
    sa.Column("erasure_id", sa.String(16)),
    sa.Index("forgotten_by_erasure", "erasure_id"),
)
erasures = sa.Table(
    "erasures",
    metadata,
    sa.Column("erasure_id", sa.String(16), primary_key=True),
    sa.Column("asked_at_ms", sa.BigInteger, nullable=False),
    sa.Column("asked_by", sa.String(16), nullable=False),
    sa.Column("why", sa.String(32), nullable=False),
    sa.Column("classes", sa.JSON, nullable=False),
    sa.Column("ring_before", sa.LargeBinary),
    sa.Column("ring_after", sa.LargeBinary),
    sa.Column("done_at_ms", sa.BigInteger),
    sa.Column("receipt", sa.LargeBinary),
    sa.Index("erasures_by_time", "asked_at_ms", "erasure_id"),
)
call_evidence = sa.Table(
    "call_evidence",
    metadata,
    sa.Column("call_id", sa.String(32), primary_key=True),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
)
numbered_calls = sa.Table(
    "numbered_calls",
    metadata,
    sa.Column("line", sa.String(32), primary_key=True),
    sa.Column("day", sa.String(10), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("call_id", sa.String(32), nullable=False, unique=True),
    sa.Column("outcome", sa.String(16), nullable=False),
    sa.Column("why", sa.String(32), nullable=False),
    sa.Column("frames", sa.BigInteger, nullable=False),
    sa.Column("frames_lost", sa.BigInteger, nullable=False),
    sa.Column("frames_paused", sa.BigInteger, nullable=False),
    sa.Column("statement_sha256", sa.String(64)),
)
line_days = sa.Table(
    "line_days",
    metadata,
    sa.Column("line", sa.String(32), primary_key=True),
    sa.Column("day", sa.String(10), primary_key=True),
    sa.Column("signed", sa.LargeBinary, nullable=False),
)
accounts = sa.Table(
    "accounts",
    metadata,
    sa.Column("account_id", sa.String(16), primary_key=True),
    sa.Column("name", sa.String(64), nullable=False),
    sa.Column("name_key", sa.String(256), nullable=False, unique=True),
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("password_hash", sa.String(256), nullable=False),
    sa.Column("created_at_ms", sa.BigInteger, nullable=False),
)
logins = sa.Table(
    "logins",
    metadata,
    sa.Column("token_hash", sa.LargeBinary, primary_key=True),
    sa.Column("account_id", sa.String(16), nullable=False),
    sa.Column("begun_at_ms", sa.BigInteger, nullable=False),
    sa.Column("used_at_ms", sa.BigInteger, nullable=False),
    sa.Column("ends_at_ms", sa.BigInteger, nullable=False),
)
tries = sa.Table(
    "tries",
    metadata,
    sa.Column("subject", sa.String(32), primary_key=True),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("last_at_ms", sa.BigInteger, nullable=False),
)
marks = sa.Table(
    "marks",
    metadata,
    sa.Column("name", sa.String(32), primary_key=True),
    sa.Column("value", sa.BigInteger, nullable=False),
)


class Store:
    """The database file, and transactions on it. Shared by the catalogue, the accounts and the marks."""

    def __init__(self, path: Path) -> None:
        _make_private(path)
        # A statement's parameters never enter an error's text, and so no log.
        self._engine = sa.create_engine(f"sqlite:///{path}", connect_args={"timeout": 30}, hide_parameters=True)
        sa.event.listen(self._engine, "connect", _prepare_connection)
        sa.event.listen(self._engine, "begin", _begin)
        self._reader = self._engine.execution_options(reads_only=True)
        self._copying = threading.Lock()
        try:
            with _translated():
                bring_up_to_date(self._engine)
        except StorageTrouble:
            self.close()
            raise

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A consistent view; waits for no writer."""
        with _translated(), self._reader.begin() as connection:
            yield connection

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        with _translated(), self._engine.begin() as connection:
            yield connection

    def empty_log(self) -> None:
        """Fold the write-ahead log into the file and cut it, so that old rows do not linger there.

        While a copy is being made it is left to the copy's end: to wait for that would keep all writers waiting.
        """
        if not self._copying.acquire(blocking=False):
            return
        try:
            self._cut_log()
        finally:
            self._copying.release()

    def _cut_log(self) -> None:
        with _translated(), self._engine.connect() as connection:
            raw: Any = connection.connection.dbapi_connection
            try:
                raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            except sqlite3.Error as error:  # SQLAlchemy translates only what passes through it
                raise StorageTrouble(
                    "The catalogue's log could not be emptied, so struck rows linger there until the next erasure. "
                    "What was asked for before is done."
                ) from error

    def copy_to(self, target: Path, rest: Callable[[float], None]) -> None:
        """Write the catalogue, as it is at this moment, into a file of its own; writers go on meanwhile.

        Args:
            rest: told after each piece how many seconds it took.
        """
        with self._copying:
            try:
                self._copy(target, rest)
            except sqlite3.Error as error:  # SQLAlchemy translates only what passes through it
                if "full" in str(error):
                    raise DiskFull("There is no room for a copy of the catalogue.") from error
                raise StorageTrouble("A copy of the catalogue could not be written.") from error
            finally:
                self._cut_log()

    def _copy(self, target: Path, rest: Callable[[float], None]) -> None:
        with self.reading() as connection:
            connection.execute(sa.text("SELECT count(*) FROM alembic_version"))  # a view begins with its first look
            raw: Any = connection.connection.dbapi_connection
            # No locks and no journal: the medium may know neither, and nobody else looks at a passing name.
            with closing(sqlite3.connect(f"{_uri(target)}?nolock=1", uri=True, isolation_level=None)) as copy:
                copy.execute("PRAGMA journal_mode=OFF")
                raw.backup(copy, pages=_PAGES_AT_ONCE, progress=_Paced(rest))
        with closing(sqlite3.connect(f"{_uri(target)}?immutable=1", uri=True)) as copy:
            if copy.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
                raise StorageTrouble("The copy of the catalogue is damaged; `linekeep check` tells more.")

    def integrity(self) -> str:
        """SQLite's own word on the file: 'ok', or what is wrong."""
        with self.reading() as connection:
            return str(connection.execute(sa.text("PRAGMA quick_check(1)")).scalar())

    def close(self) -> None:
        self._engine.dispose()


def _uri(path: Path) -> str:
    return path.absolute().as_uri()


class _Paced:
    """What SQLite calls after each piece."""

    def __init__(self, rest: Callable[[float], None]) -> None:
        self._rest = rest
        self._since_s = time.monotonic()

    def __call__(self, _status: int, _remaining: int, _total: int) -> None:
        self._rest(time.monotonic() - self._since_s)
        self._since_s = time.monotonic()


def _make_private(path: Path) -> None:
    # Before SQLite opens it: the write-ahead log takes over the rights that the file has then.
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        path.chmod(0o600)
    except OSError as error:
        raise StorageTrouble(f"The catalogue cannot be opened: {error.strerror}.") from error


def _prepare_connection(raw: Any, _record: object) -> None:
    # Python's own transaction handling would begin late and commit around DDL; ours begins at once.
    raw.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON", "temp_store=MEMORY"):
        raw.execute(f"PRAGMA {pragma}")


def _begin(connection: sa.Connection) -> None:
    # A writer takes its place at once: a reader that turned writer midway could only fail.
    reads_only = connection.get_execution_options().get("reads_only", False)
    connection.exec_driver_sql("BEGIN" if reads_only else "BEGIN IMMEDIATE")


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        if "full" in str(error.orig):
            raise DiskFull("The disk is full: nothing was changed. Make room and try again.") from error
        raise StorageTrouble("The catalogue cannot be read or written; nothing was changed.") from error
    except DatabaseError as error:
        raise StorageTrouble("The catalogue is damaged; nothing was changed. Restore it from the backup.") from error
