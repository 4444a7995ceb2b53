"""The numbers of each line's calls, day by day, and the signed statements about calls and days.

Promise: every call that began gets the next number of its line and UTC day, also one that is then not kept; a day
that was stated takes no further call. What is told of a day after it was stated counts for the first day that is
still open: no call without a number, no number without a call. Every method is one transaction.

Left to others: what the statements say (statements.py) and when they are signed (run.py).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert as upsert

from appliance.terms import CallId, LineName
from appliance.vault.catalogue import CallState
from appliance.vault.store import Store, call_evidence, calls, line_days, marks, numbered_calls

STATED_UNTIL = "line_days_stated"
"""Mark: the last day, as its ordinal, on which every line has been stated."""


class Outcome(StrEnum):
    """What became of a call that began."""

    BEGUN = "begun"
    KEPT = "kept"
    RECOVERED = "recovered"
    """Kept, from a recording that was cut off."""
    NOT_KEPT = "not_kept"
    REFUSED = "refused"
    """Without consent: it was never written."""
    UNFINISHED = "unfinished"
    """Two days later it had still not been taken over. If it is after all, it gets another number then."""


KEPT = (Outcome.KEPT, Outcome.RECOVERED)


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberedCall:
    """A call with its place in its line's day. statement_sha256: of the signed statement about it, in hexadecimal."""

    line: LineName
    day: str
    number: int
    call_id: CallId
    outcome: Outcome
    why: str = ""
    frames: int = 0
    frames_lost: int = 0
    frames_paused: int = 0
    statement_sha256: str | None = None


def day_of(at_ms: int) -> date:
    """The UTC day of a moment; the first one there is for a moment that no calendar has."""
    try:
        return datetime.fromtimestamp(at_ms / 1000, tz=UTC).date()
    except (ValueError, OverflowError, OSError):
        return date.min


class DayBook:
    """Safe for use by several threads."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def number(self, call: CallId, line: LineName, started_at_ms: int, today: date | None) -> None:
        """Give a call that began its number, once. `today`: None if the clock is not to be believed."""
        with self._store.transaction() as connection:
            _number(connection, call, line, started_at_ms, today)

    def settle(
        self,
        call: CallId,
        line: LineName,
        started_at_ms: int,
        today: date | None,
        *,
        outcome: Outcome,
        why: str = "",
        frames: int = 0,
        frames_lost: int = 0,
        frames_paused: int = 0,
    ) -> None:
        """Note what became of a call; numbered now if its beginning was never heard of. May be repeated."""
        with self._store.transaction() as connection:
            _number(connection, call, line, started_at_ms, today)
            connection.execute(
                numbered_calls.update()
                .where(numbered_calls.c.call_id == call)
                .values(outcome=outcome, why=why, frames=frames, frames_lost=frames_lost, frames_paused=frames_paused)
            )

    # calls

    def unsigned(self, limit: int, but: Collection[CallId] = ()) -> list[NumberedCall]:
        """Kept calls about which nothing has been signed, the oldest day first."""
        query = (
            sa.select(numbered_calls)
            .join(calls, calls.c.call_id == numbered_calls.c.call_id)
            .where(
                numbered_calls.c.outcome.in_(KEPT),
                numbered_calls.c.statement_sha256.is_(None),
                calls.c.state == CallState.KEPT,
                numbered_calls.c.call_id.not_in(list(but)),
            )
            .order_by(numbered_calls.c.day, numbered_calls.c.number)
            .limit(limit)
        )
        with self._store.reading() as connection:
            return [_numbered(row) for row in connection.execute(query)]

    def note_signed(self, call: CallId, sealed: bytes, statement_sha256: str) -> None:
        """Keep the sealed statement about a call, unless the call is to be forgotten."""
        is_kept = sa.select(calls.c.call_id).where(calls.c.call_id == call, calls.c.state == CallState.KEPT)
        with self._store.transaction() as connection:
            if connection.execute(is_kept).one_or_none() is None:
                return
            connection.execute(upsert(call_evidence).values(call_id=call, sealed=sealed).on_conflict_do_nothing())
            connection.execute(
                numbered_calls.update()
                .where(numbered_calls.c.call_id == call)
                .values(statement_sha256=statement_sha256)
            )

    def sealed_statement(self, call: CallId) -> bytes | None:
        query = sa.select(call_evidence.c.sealed).where(call_evidence.c.call_id == call)
        with self._store.reading() as connection:
            sealed = connection.execute(query).scalar()
            return None if sealed is None else bytes(sealed)

    # days

    def stated_until(self) -> date | None:
        """The last day on which every line has been stated; None before the first one."""
        with self._store.reading() as connection:
            return _stated_until(connection)

    def begin_with(self, today: date) -> None:
        """The first day of which this box says anything; later ones change nothing."""
        with self._store.transaction() as connection:
            _begin_with(connection, today)

    def lines_of(self, day: date) -> set[LineName]:
        """Lines with calls on a day that are not stated yet."""
        query = sa.select(numbered_calls.c.line).where(numbered_calls.c.day == day.isoformat()).distinct()
        with self._store.reading() as connection:
            return {LineName(line) for line in connection.execute(query).scalars()}

    def calls_of(self, line: LineName, day: date) -> list[NumberedCall]:
        """A line's calls of a day that is not stated yet, by their numbers."""
        with self._store.reading() as connection:
            return _calls_of(connection, line, day)

    def is_settled(self, line: LineName, day: date) -> bool:
        """Nothing about this day is still to come: no call runs, and every kept one has its statement."""
        waits = sa.and_(
            numbered_calls.c.outcome.in_(KEPT),
            numbered_calls.c.statement_sha256.is_(None),
            sa.exists().where(calls.c.call_id == numbered_calls.c.call_id, calls.c.state != CallState.CONDEMNED),
        )
        query = sa.select(sa.func.count()).select_from(numbered_calls)
        query = query.where(
            numbered_calls.c.line == line,
            numbered_calls.c.day == day.isoformat(),
            sa.or_(numbered_calls.c.outcome == Outcome.BEGUN, waits),
        )
        with self._store.reading() as connection:
            return connection.execute(query).scalar_one() == 0

    def close(self, line: LineName, day: date, stated: Sequence[NumberedCall], signed: bytes) -> bool:
        """Keep a line's signed day in place of its calls' rows. False if the day has changed since `calls_of`."""
        with self._store.transaction() as connection:
            if _calls_of(connection, line, day) != list(stated):
                return False
            row = {"line": line, "day": day.isoformat(), "signed": signed}
            connection.execute(line_days.insert().values(row))
            connection.execute(numbered_calls.delete().where(_in(line, day)))
            return True

    def pass_over(self, day: date) -> None:
        """Every line of this day has been stated; unless a call was numbered in it meanwhile."""
        open_rows = sa.select(sa.func.count()).select_from(numbered_calls)
        open_rows = open_rows.where(numbered_calls.c.day <= day.isoformat())
        with self._store.transaction() as connection:
            if connection.execute(open_rows).scalar_one() == 0:
                connection.execute(marks.update().where(marks.c.name == STATED_UNTIL).values(value=day.toordinal()))

    def signed_day(self, line: LineName, day: str) -> bytes | None:
        query = sa.select(line_days.c.signed).where(line_days.c.line == line, line_days.c.day == day)
        with self._store.reading() as connection:
            signed = connection.execute(query).scalar()
            return None if signed is None else bytes(signed)


def _number(connection: sa.Connection, call: CallId, line: LineName, started_at_ms: int, today: date | None) -> None:
    known = sa.select(numbered_calls.c.number).where(numbered_calls.c.call_id == call)
    if connection.execute(known).scalar() is not None:
        return
    if today is not None:
        _begin_with(connection, today)
    day = _open_day(connection, line, day_of(started_at_ms), today)
    last = sa.select(sa.func.max(numbered_calls.c.number)).where(_in(line, day))
    connection.execute(
        numbered_calls.insert().values(
            line=line,
            day=day.isoformat(),
            number=(connection.execute(last).scalar() or 0) + 1,
            call_id=call,
            outcome=Outcome.BEGUN,
            why="",
            frames=0,
            frames_lost=0,
            frames_paused=0,
        )
    )


def _begin_with(connection: sa.Connection, today: date) -> None:
    first = upsert(marks).values(name=STATED_UNTIL, value=today.toordinal() - 1).on_conflict_do_nothing()
    if connection.execute(first).rowcount == 1:
        # Whatever was numbered before this box had a clock to believe.
        connection.execute(numbered_calls.update().values(day=today.isoformat()))


def _open_day(connection: sa.Connection, line: LineName, begun: date, today: date | None) -> date:
    """The day on which a call counts: its own, if that is not over yet and not to come."""
    newest = sa.select(sa.func.max(line_days.c.day)).where(line_days.c.line == line)
    stated = [_stated_until(connection)]
    last_day = connection.execute(newest).scalar()
    stated.append(date.fromisoformat(last_day) if last_day else None)
    first_open = max((day + timedelta(days=1) for day in stated if day), default=date.min)
    # Without a clock to believe the call counts at once: a day to come would keep its number for years.
    return max(first_open, min(begun, today or date.min))


def _stated_until(connection: sa.Connection) -> date | None:
    ordinal = connection.execute(sa.select(marks.c.value).where(marks.c.name == STATED_UNTIL)).scalar()
    return None if ordinal is None else date.fromordinal(ordinal)


def _in(line: LineName, day: date) -> sa.ColumnElement[bool]:
    return sa.and_(numbered_calls.c.line == line, numbered_calls.c.day == day.isoformat())


def _calls_of(connection: sa.Connection, line: LineName, day: date) -> list[NumberedCall]:
    query = sa.select(numbered_calls).where(_in(line, day)).order_by(numbered_calls.c.number)
    return [_numbered(row) for row in connection.execute(query)]


def _numbered(row: sa.Row[tuple[object, ...]]) -> NumberedCall:
    return NumberedCall(**{**row._mapping, "outcome": Outcome(row.outcome)})
