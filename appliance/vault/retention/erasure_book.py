"""The book of erasures: who asked to forget which calls, how far it has come, and the receipt.

A request that is in the book is carried out, whatever interrupts; it is closed by its receipt. Every method is one
transaction. Knows no key and no file.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert as upsert

from appliance.terms import CallId
from appliance.vault.catalogue import CallState, Catalogue, batches
from appliance.vault.retention.receipt import Erasure, ErasureId
from appliance.vault.store import Store, call_evidence, call_keys, calls, erasures, forgotten, gaps, number_tokens

_FACTS = [column for column in erasures.c if column is not erasures.c.receipt]


class ErasureBook:
    """Safe for use by several threads."""

    def __init__(self, store: Store, catalogue: Catalogue) -> None:
        self._store = store
        self._catalogue = catalogue

    def condemn(self, erasure_id: ErasureId, condemned: Collection[CallId], *, now_ms: int, by: str, why: str) -> bool:
        """From here on these calls are nowhere listed and are forgotten, whatever interrupts.

        Returns: False, and nothing is noted, if all are unknown, forgotten, or condemned by an earlier request.
        """
        counts: dict[str, int] = {}
        with self._catalogue.changing_kept() as kept, self._store.transaction() as connection:
            for batch in batches(list(condemned)):
                chosen = sa.and_(calls.c.call_id.in_(batch), calls.c.state != CallState.CONDEMNED)
                kinds = (calls.c.deletion_class, calls.c.state, calls.c.not_kept == "")
                for name, state, is_recorded, count in connection.execute(
                    sa.select(*kinds, sa.func.count()).where(chosen).group_by(*kinds)
                ):
                    counts[name] = counts.get(name, 0) + count
                    if state == CallState.KEPT:
                        kept.by -= count if is_recorded else 0
                        kept.unrecorded -= 0 if is_recorded else count
                connection.execute(
                    calls.update()
                    .where(chosen)
                    .values(state=CallState.CONDEMNED, condemned_at_ms=now_ms, card=None, erasure_id=erasure_id)
                )
            if not counts:
                return False
            row = {"erasure_id": erasure_id, "asked_at_ms": now_ms, "asked_by": by, "why": why, "classes": counts}
            connection.execute(erasures.insert().values(row))
        return True

    def knows(self, erasure_id: ErasureId) -> bool:
        query = sa.select(erasures.c.erasure_id).where(erasures.c.erasure_id == erasure_id)
        with self._store.reading() as connection:
            return connection.execute(query).one_or_none() is not None

    def unfinished(self) -> list[Erasure]:
        """Those without a receipt, oldest first."""
        query = sa.select(*_FACTS).where(erasures.c.receipt.is_(None)).order_by(erasures.c.asked_at_ms)
        with self._store.reading() as connection:
            return [Erasure(**row._mapping) for row in connection.execute(query)]

    def condemned_calls(self, of: Collection[Erasure]) -> list[CallId]:
        """Calls of these erasures that are still there."""
        query = sa.select(calls.c.call_id).where(_of(of))
        with self._store.reading() as connection:
            return [CallId(call) for call in connection.execute(query).scalars()]

    def note_commit(self, of: Collection[Erasure], *, before: bytes, after: bytes, now_ms: int) -> None:
        """Their keys are gone; the first word on that counts."""
        with self._store.transaction() as connection:
            connection.execute(
                erasures.update()
                .where(erasures.c.erasure_id.in_([each.erasure_id for each in of]), erasures.c.done_at_ms.is_(None))
                .values(ring_before=before, ring_after=after, done_at_ms=now_ms)
            )

    def strike(self, of: Collection[Erasure], now_ms: int) -> None:
        """Strike everything about calls whose keys are forgotten, but the ids and what a line's day counts of them."""
        gone = sa.select(calls.c.call_id).where(_of(of))
        told = sa.select(calls.c.call_id, sa.literal(now_ms), calls.c.erasure_id).where(_of(of))
        with self._store.transaction() as connection:
            connection.execute(
                upsert(forgotten)
                .from_select(["call_id", "forgotten_at_ms", "erasure_id"], told)
                .on_conflict_do_nothing()
            )
            for table in (call_keys, number_tokens, gaps, call_evidence):
                connection.execute(table.delete().where(table.c.call_id.in_(gone)))
            connection.execute(calls.delete().where(_of(of)))

    def forgotten_by(self, erasure: Erasure) -> list[CallId]:
        query = sa.select(forgotten.c.call_id).where(forgotten.c.erasure_id == erasure.erasure_id)
        with self._store.reading() as connection:
            return [CallId(call) for call in connection.execute(query.order_by(forgotten.c.call_id)).scalars()]

    def close(self, erasure: Erasure, receipt: bytes) -> None:
        with self._store.transaction() as connection:
            connection.execute(
                erasures.update().where(erasures.c.erasure_id == erasure.erasure_id).values(receipt=receipt)
            )

    def page(self, *, limit: int, before: tuple[int, str] | None = None) -> list[tuple[Erasure, bool]]:
        """Erasures, newest first, each with whether it has its receipt."""
        query = sa.select(*_FACTS, erasures.c.receipt.is_not(None).label("is_signed"))
        if before is not None:
            query = query.where(sa.tuple_(erasures.c.asked_at_ms, erasures.c.erasure_id) < sa.tuple_(*before))
        query = query.order_by(erasures.c.asked_at_ms.desc(), erasures.c.erasure_id.desc()).limit(limit)
        with self._store.reading() as connection:
            found = [dict(row._mapping) for row in connection.execute(query)]
        signed = [bool(row.pop("is_signed")) for row in found]
        return [(Erasure(**row), is_signed) for row, is_signed in zip(found, signed, strict=True)]

    def receipt(self, erasure_id: ErasureId) -> bytes | None:
        """A receipt as it is handed out: JSON; None if there is none, or not yet."""
        query = sa.select(erasures.c.receipt).where(erasures.c.erasure_id == erasure_id)
        with self._store.reading() as connection:
            found: Any = connection.execute(query).scalar()
            return None if found is None else bytes(found)

    def receipts_about(self, gone: Collection[CallId]) -> dict[ErasureId, bytes]:
        """The receipts that there are for these forgotten calls, as they are handed out."""
        found: dict[ErasureId, bytes] = {}
        query = sa.select(erasures.c.erasure_id, erasures.c.receipt).where(erasures.c.receipt.is_not(None))
        with self._store.reading() as connection:
            for batch in batches(list(gone)):
                about = sa.select(forgotten.c.erasure_id).where(forgotten.c.call_id.in_(batch))
                for row in connection.execute(query.where(erasures.c.erasure_id.in_(about))):
                    found[ErasureId(row.erasure_id)] = bytes(row.receipt)
        return found


def _of(wanted: Collection[Erasure]) -> sa.ColumnElement[bool]:
    # With the state, so that the index over it serves: few calls are ever condemned at a time.
    ids = [each.erasure_id for each in wanted]
    return sa.and_(calls.c.state == CallState.CONDEMNED, calls.c.erasure_id.in_(ids))
