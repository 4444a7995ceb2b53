"""The catalogue: what calls there are, when they must go, and their wrapped keys.

Every method is one transaction. Knows no key and no rule: it stores what it is told.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert as upsert

from appliance.terms import CallId, LineName, NotKept
from appliance.vault.store import LONGER, Store, call_keys, calls, forgotten, gaps, marks, number_tokens

BATCH = 500
"""Ids in one statement; SQLite's own limit on parameters is higher, PostgreSQL plans better below."""


_PERIOD = "period_ms"
"""Mark: the period under which the vault last started."""


class CallState(StrEnum):
    """A call's way: issued -> running -> kept -> condemned, and then its row is gone."""

    ISSUED = "issued"
    RUNNING = "running"
    KEPT = "kept"
    CONDEMNED = "condemned"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRow:
    """A call as the catalogue knows it. Times: UTC milliseconds; None where not yet known.

    not_kept: why there is no recording (a `NotKept`) of a kept call; empty: there is one.
    hold_until_ms: the end of its hold, also of one that is over; None: there is none.
    keep_asked_at_ms: when somebody asked to keep it longer; 0: on an untrusted clock; None: no open request.
    """

    call_id: CallId
    line: LineName
    state: CallState
    issued_at_ms: int
    started_at_ms: int | None
    length_ms: int | None
    direction: str
    deletion_class: str
    due_at_ms: int | None
    condemned_at_ms: int | None
    card: bytes | None
    erasure_id: str | None
    not_kept: str
    hold_until_ms: int | None
    keep_asked_at_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DueCall:
    """As much of a call as a verdict needs."""

    call_id: CallId
    due_at_ms: int | None
    hold_until_ms: int | None
    keep_asked_at_ms: int | None


@dataclass(slots=True)
class KeptChange:
    """By how many calls a transaction changes what is kept. unrecorded: of those that have no recording."""

    by: int = 0
    unrecorded: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrap:
    """A call's key, wrapped under a bucket's key."""

    call_id: CallId
    bucket_id: str
    wrapped: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberToken:
    """A keyed token of a caller's number: means nothing without its bucket's key."""

    token: bytes
    call_id: CallId
    bucket_id: str


class Catalogue:
    """The calls, their wraps, tokens and gaps."""

    def __init__(self, store: Store) -> None:
        self._store = store
        # Begins at the time of day, so that it grows over a restart too.
        self.changes = time.time_ns() // 1_000_000
        """Grows whenever the list of kept calls changes."""
        self.when_wrapped: Callable[[Sequence[Wrap], str], None] = lambda _wraps, _line: None
        """Told of each wrapped key that is new, before anything depends on it; the line if it is known."""
        self._kept: int | None = None
        self._changing_kept = threading.Lock()

    @contextmanager
    def changing_kept(self) -> Iterator[KeptChange]:
        """To be held around every transaction that makes kept calls more or fewer; it says by how many."""
        with self._changing_kept:
            change = KeptChange()
            try:
                yield change
            except BaseException:
                self._kept = None  # committed or not: counted anew when next asked for
                raise
            if self._kept is not None:
                self._kept += change.by
            if change.by or change.unrecorded:
                self.changes += 1

    def issue(self, call: CallId, line: LineName, now_ms: int, wrap: Wrap) -> None:
        with self._store.transaction() as connection:
            connection.execute(
                calls.insert().values(
                    call_id=call,
                    line=line,
                    state=CallState.ISSUED,
                    issued_at_ms=now_ms,
                    direction="unknown",
                    deletion_class="standard",
                )
            )
            connection.execute(call_keys.insert().values(**_columns(wrap)))
        self.when_wrapped([wrap], line)

    def begin(self, call: CallId, started_at_ms: int) -> bool:
        """Returns: False if the call is not one that can begin (unknown, or finished already)."""
        with self._store.transaction() as connection:
            changed = connection.execute(
                calls.update()
                .where(calls.c.call_id == call, calls.c.state == CallState.ISSUED)
                .values(state=CallState.RUNNING, started_at_ms=started_at_ms)
            )
            return changed.rowcount == 1

    def note_party(self, call: CallId, direction: str, card: bytes | None) -> None:
        """Only while the call runs; its sealed card holds the number."""
        with self._store.transaction() as connection:
            connection.execute(
                calls.update()
                .where(calls.c.call_id == call, calls.c.state == CallState.RUNNING)
                .values(direction=direction, card=card)
            )

    def add_gap(self, call: CallId, at_frame: int, frames: int, why: str) -> None:
        """One that is told again has grown."""
        place, told = {"call_id": call, "at_frame": at_frame}, {"frames": frames, "why": why}
        with self._store.transaction() as connection:
            connection.execute(upsert(gaps).values(place | told).on_conflict_do_update(index_elements=place, set_=told))

    def gaps_of(self, call: CallId) -> list[tuple[int, int, str]]:
        query = sa.select(gaps.c.at_frame, gaps.c.frames, gaps.c.why).where(gaps.c.call_id == call)
        with self._store.reading() as connection:
            return [(row[0], row[1], row[2]) for row in connection.execute(query.order_by(gaps.c.at_frame))]

    def keep(
        self,
        call: CallId,
        *,
        started_at_ms: int,
        length_ms: int,
        direction: str,
        due_at_ms: int | None,
        card: bytes,
        tokens: Sequence[NumberToken],
    ) -> bool:
        """The recording is whole, authenticated and in its place; from now on it counts.

        Returns: False, and nothing is changed, if the call is kept already, condemned or forgotten.
        """
        with self.changing_kept() as kept, self._store.transaction() as connection:
            changed = connection.execute(
                calls.update()
                .where(calls.c.call_id == call, calls.c.state.in_((CallState.ISSUED, CallState.RUNNING)))
                .values(
                    state=CallState.KEPT,
                    started_at_ms=started_at_ms,
                    length_ms=length_ms,
                    direction=direction,
                    due_at_ms=due_at_ms,
                    card=card,
                )
            )
            if changed.rowcount != 1:
                return False
            connection.execute(gaps.delete().where(gaps.c.call_id == call))
            _insert_all(connection, number_tokens, tokens)
            kept.by = 1
        return True

    def keep_unrecorded(
        self,
        call: CallId,
        *,
        why: NotKept,
        started_at_ms: int,
        length_ms: int,
        direction: str,
        due_at_ms: int | None,
        card: bytes,
        tokens: Sequence[NumberToken],
    ) -> None:
        """Keep the fact of a call without a recording, under the id and key of a spare one. May be repeated."""
        with self.changing_kept() as kept, self._store.transaction() as connection:
            changed = connection.execute(
                calls.update()
                .where(calls.c.call_id == call, calls.c.state == CallState.ISSUED)
                .values(
                    state=CallState.KEPT,
                    not_kept=why,
                    started_at_ms=started_at_ms,
                    length_ms=length_ms,
                    direction=direction,
                    due_at_ms=due_at_ms,
                    card=card,
                )
            )
            if changed.rowcount == 1:
                _insert_all(connection, number_tokens, tokens)
                kept.unrecorded = 1

    def find(self, call: CallId) -> CallRow | None:
        with self._store.reading() as connection:
            row = connection.execute(sa.select(calls).where(calls.c.call_id == call)).one_or_none()
            return None if row is None else _call_row(row)

    def in_state(self, *states: CallState) -> list[CallRow]:
        with self._store.reading() as connection:
            return [_call_row(row) for row in connection.execute(sa.select(calls).where(calls.c.state.in_(states)))]

    def page(
        self,
        *,
        limit: int,
        before: tuple[int, CallId] | None = None,
        line: LineName | None = None,
        tokens: Sequence[bytes] | None = None,
        longer: bool = False,
    ) -> list[CallRow]:
        """Kept calls, also those without a recording, newest first.

        Args:
            tokens: only calls that have one of these.
            longer: only calls that are held, or that somebody has asked to keep longer.
        """
        query = sa.select(calls).where(calls.c.state == CallState.KEPT)
        if longer:
            query = query.where(sa.text(f"({LONGER})"))
        if line is not None:
            query = query.where(calls.c.line == line)
        if before is not None:
            query = query.where(sa.tuple_(calls.c.started_at_ms, calls.c.call_id) < sa.tuple_(*before))
        if tokens is not None:
            query = query.where(
                calls.c.call_id.in_(sa.select(number_tokens.c.call_id).where(number_tokens.c.token.in_(tokens)))
            )
        query = query.order_by(calls.c.started_at_ms.desc(), calls.c.call_id.desc()).limit(limit)
        with self._store.reading() as connection:
            return [_call_row(row) for row in connection.execute(query)]

    def count_kept(self) -> int:
        """Calls with a recording.

        Counted once, then kept in step: a page asks every few seconds, and a million rows take 0.1 s.
        """
        kept = self._kept
        if kept is None:
            with self._changing_kept, self._store.reading() as connection:
                is_kept, is_unrecorded = calls.c.state == CallState.KEPT, sa.text("not_kept != ''")
                kept = self._kept = _count(connection, is_kept) - _count(connection, is_kept, is_unrecorded)
        return kept

    def due_before(self, moment_ms: int) -> int:
        """How many kept calls were due before this moment."""
        with self._store.reading() as connection:
            return _count(connection, calls.c.state == CallState.KEPT, calls.c.due_at_ms < moment_ms)

    def count_kept_outside(self, buckets: Collection[str]) -> int:
        """Kept calls that have no wrapped key in any of these buckets. Looks at every kept call."""
        # As a case, since for a plain IN SQLite looks into the index once for each bucket: 14 s instead of 2 s for a
        # million calls of 100 days.
        is_known = sa.case((call_keys.c.bucket_id.in_(list(buckets)), 1), else_=0) == 1
        openable = sa.exists().where(call_keys.c.call_id == calls.c.call_id, is_known)
        with self._store.reading() as connection:
            return _count(connection, calls.c.state == CallState.KEPT, ~openable)

    def due(self, now_ms: int) -> list[DueCall]:
        """Calls whose time may have come, also recordings that could not be taken over; the verdict decides."""
        states = (CallState.ISSUED, CallState.RUNNING, CallState.KEPT)
        query = sa.select(*_DUE).where(calls.c.state.in_(states), calls.c.due_at_ms <= now_ms)
        with self._store.reading() as connection:
            return [DueCall(**row._mapping) for row in connection.execute(query)]

    def kept_longer(self, *states: CallState) -> list[DueCall]:
        """Calls in these states that have a hold, also one that is over, or an open request to keep them longer."""
        # The states are looked at here: asked for them, SQLite takes their index, and so every kept call.
        query = sa.select(calls.c.state, *_DUE).where(sa.text(f"({LONGER})"))
        with self._store.reading() as connection:
            found = [dict(row._mapping) for row in connection.execute(query)]
        return [DueCall(**row) for row in found if row.pop("state") in states]

    def note_keep_asked(self, call: CallId, at_ms: int | None) -> None:
        """Somebody has asked to keep this call longer; None: nobody has, or it is answered."""
        self._change_one(call, {"keep_asked_at_ms": at_ms})

    def hold(self, call: CallId, until_ms: int | None, card: bytes | None) -> None:
        """The call is held until then; None: no longer. A hold answers a request.

        Args:
            card: with the reason, or without; None: as it is.
        """
        changed: dict[str, Any] = {"hold_until_ms": until_ms}
        if until_ms is not None:
            changed["keep_asked_at_ms"] = None
        if card is not None:
            changed["card"] = card
        self._change_one(call, changed)

    def _change_one(self, call: CallId, changed: dict[str, Any]) -> None:
        """Whatever it is, unless its erasure is decided."""
        is_it = sa.and_(calls.c.call_id == call, calls.c.state != CallState.CONDEMNED)
        with self._store.transaction() as connection:
            connection.execute(calls.update().where(is_it).values(**changed))
        with self._changing_kept:
            self.changes += 1

    def give_due_date(self, left: CallId, due_at_ms: int) -> None:
        """A recording that is left, and cannot be taken over, is due then; the first word on that counts."""
        is_left = sa.and_(calls.c.state.in_((CallState.ISSUED, CallState.RUNNING)), calls.c.due_at_ms.is_(None))
        with self._store.transaction() as connection:
            connection.execute(calls.update().where(calls.c.call_id == left, is_left).values(due_at_ms=due_at_ms))

    def set_missing_due(self, due_at_ms: int) -> None:
        """Calls recorded on an untrusted clock get their due date once the clock is trusted."""
        with self._store.transaction() as connection:
            connection.execute(
                calls.update()
                .where(calls.c.state == CallState.KEPT, calls.c.due_at_ms.is_(None))
                .values(due_at_ms=due_at_ms)
            )

    def shorten_due(self, keep_ms: int) -> None:
        """The vault starts under this period. If it became shorter, due dates move nearer; a longer one moves none.

        A million calls are looked at for seconds, so the period is remembered, and the same one has nothing to move.
        """
        before_ms = self.mark(_PERIOD)
        if keep_ms == before_ms:
            return
        with self._store.transaction() as connection:
            if keep_ms < before_ms or not before_ms:
                _shorten_due(connection, keep_ms, before_ms)
            _set_mark(connection, _PERIOD, keep_ms)

    def drop_unused(self, unused: Iterable[CallId]) -> None:
        """Strike those of these spare calls that are still spare: nothing was ever sealed under their keys."""
        with self._store.transaction() as connection:
            for batch in batches(list(unused)):
                spare = sa.and_(calls.c.call_id.in_(batch), calls.c.state == CallState.ISSUED)
                connection.execute(
                    call_keys.delete().where(call_keys.c.call_id.in_(sa.select(calls.c.call_id).where(spare)))
                )
                connection.execute(calls.delete().where(spare))

    def was_forgotten(self, call: CallId) -> bool:
        query = sa.select(forgotten.c.call_id).where(forgotten.c.call_id == call)
        with self._store.reading() as connection:
            return connection.execute(query).one_or_none() is not None

    # wrapped keys and tokens

    def wraps_of(self, wanted: Iterable[CallId]) -> list[Wrap]:
        found: list[Wrap] = []
        with self._store.reading() as connection:
            for batch in batches(list(wanted)):
                rows = connection.execute(sa.select(call_keys).where(call_keys.c.call_id.in_(batch)))
                found += [Wrap(call_id=row.call_id, bucket_id=row.bucket_id, wrapped=row.wrapped) for row in rows]
        return found

    def all_wraps(self) -> Iterator[tuple[Wrap, str]]:
        """Every wrapped key, with its call's line."""
        query = sa.select(call_keys, calls.c.line).join_from(call_keys, calls, call_keys.c.call_id == calls.c.call_id)
        with self._store.reading() as connection:
            for row in connection.execute(query):
                yield Wrap(call_id=row.call_id, bucket_id=row.bucket_id, wrapped=row.wrapped), row.line

    def buckets_of(self, wanted: Iterable[CallId]) -> set[str]:
        """The buckets in which any of these calls has a wrapped key."""
        found: set[str] = set()
        with self._store.reading() as connection:
            for batch in batches(list(wanted)):
                query = sa.select(call_keys.c.bucket_id).distinct().where(call_keys.c.call_id.in_(batch))
                found.update(connection.execute(query).scalars())
        return found

    def calls_in(self, bucket: str) -> set[CallId]:
        query = sa.select(call_keys.c.call_id).where(call_keys.c.bucket_id == bucket)
        with self._store.reading() as connection:
            return set(connection.execute(query).scalars())

    def wraps_in(self, bucket: str) -> list[Wrap]:
        with self._store.reading() as connection:
            rows = connection.execute(sa.select(call_keys).where(call_keys.c.bucket_id == bucket))
            return [Wrap(call_id=row.call_id, bucket_id=row.bucket_id, wrapped=row.wrapped) for row in rows]

    def bucket_ids(self) -> set[str]:
        """Every bucket that a wrapped key names."""
        # From one to the next by the index: there are few of them, and a million wrapped keys.
        least = sa.func.min(call_keys.c.bucket_id)
        steps = sa.select(least.label("bucket_id")).cte("steps", recursive=True)
        following = sa.select(least).where(call_keys.c.bucket_id > steps.c.bucket_id).scalar_subquery()
        steps = steps.union_all(sa.select(following).where(steps.c.bucket_id.is_not(None)))
        with self._store.reading() as connection:
            found = connection.execute(sa.select(steps.c.bucket_id).where(steps.c.bucket_id.is_not(None)))
            return set(found.scalars())

    def cards_with_tokens(self, bucket: str) -> dict[CallId, bytes]:
        """The sealed cards of those kept calls that are found by a number under this bucket."""
        numbered = sa.select(number_tokens.c.call_id).where(number_tokens.c.bucket_id == bucket)
        query = sa.select(calls.c.call_id, calls.c.card)
        query = query.where(calls.c.call_id.in_(numbered), calls.c.state == CallState.KEPT, calls.c.card.is_not(None))
        with self._store.reading() as connection:
            return {CallId(call): card for call, card in connection.execute(query)}

    def add_wraps(self, wraps: Sequence[Wrap], tokens: Sequence[NumberToken]) -> None:
        with self._store.transaction() as connection:
            _insert_all(connection, call_keys, wraps)
            _insert_all(connection, number_tokens, tokens)
        self.when_wrapped(wraps, "")

    def drop_buckets(self, buckets: Iterable[str]) -> None:
        """Strike wraps and tokens under bucket keys that the ring no longer holds."""
        with self._store.transaction() as connection:
            for batch in batches(list(buckets)):
                connection.execute(call_keys.delete().where(call_keys.c.bucket_id.in_(batch)))
                connection.execute(number_tokens.delete().where(number_tokens.c.bucket_id.in_(batch)))

    # marks

    def mark(self, name: str) -> int:
        """A remembered number, 0 if never set."""
        with self._store.reading() as connection:
            return connection.execute(sa.select(marks.c.value).where(marks.c.name == name)).scalar() or 0

    def set_mark(self, name: str, value: int) -> None:
        with self._store.transaction() as connection:
            _set_mark(connection, name, value)


_DUE = (calls.c.call_id, calls.c.due_at_ms, calls.c.hold_until_ms, calls.c.keep_asked_at_ms)


def _count(connection: sa.Connection, *conditions: sa.ColumnElement[bool] | sa.TextClause) -> int:
    return int(connection.execute(sa.select(sa.func.count()).select_from(calls).where(*conditions)).scalar_one())


def _shorten_due(connection: sa.Connection, keep_ms: int, before_ms: int) -> None:
    by_end = calls.c.started_at_ms + calls.c.length_ms + keep_ms
    # Where a wrong clock told the end, the period runs from the day on which it was put right: that day stays.
    by_period = calls.c.due_at_ms - (before_ms - keep_ms)
    sooner = sa.case((by_end < by_period, by_period), else_=by_end) if before_ms else by_end
    is_later = sa.and_(calls.c.state == CallState.KEPT, calls.c.due_at_ms > sooner)
    connection.execute(calls.update().where(is_later).values(due_at_ms=sooner))


def _set_mark(connection: sa.Connection, name: str, value: int) -> None:
    insert = upsert(marks).values(name=name, value=value)
    connection.execute(insert.on_conflict_do_update(index_elements=["name"], set_={"value": value}))


def _call_row(row: Any) -> CallRow:
    return CallRow(**{**row._mapping, "state": CallState(row.state)})


def _columns(row: Wrap | NumberToken) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__slots__}


def _insert_all(connection: sa.Connection, table: sa.Table, rows: Sequence[Wrap] | Sequence[NumberToken]) -> None:
    if rows:
        connection.execute(upsert(table).on_conflict_do_nothing(), [_columns(row) for row in rows])


def batches(ids: list[Any], size: int = BATCH) -> Iterator[list[Any]]:
    """Pieces of this size; unless it is given, of one that fits into one statement."""
    for start in range(0, len(ids), size):
        yield ids[start : start + size]
