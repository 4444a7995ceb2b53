"""The list of forgotten calls as a backup keeps it: ids, when, and by which erasure; one JSON object a line.

It only grows. With it, a recording or a key that an old backup still has is left out at a restore. A line that a cut
has torn is passed over: the next backup writes the list anew from the catalogue.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import msgspec
import sqlalchemy as sa
from msgspec import Meta, Struct

from appliance.terms import CallId
from appliance.vault.store import Store, forgotten


class Forgotten(Struct, frozen=True, kw_only=True):
    """A call that is forgotten. erasure: empty if not known."""

    call: Annotated[CallId, Meta(pattern=r"\A[0-9a-f]{32}\Z")]
    at_ms: int
    erasure: Annotated[str, Meta(pattern=r"\A([0-9a-f]{16})?\Z")] = ""


ForgottenCalls = dict[CallId, Forgotten]


def forgotten_of(store: Store) -> ForgottenCalls:
    query = sa.select(forgotten.c.call_id, forgotten.c.forgotten_at_ms, forgotten.c.erasure_id)
    with store.reading() as connection:
        return {
            CallId(call): Forgotten(call=CallId(call), at_ms=at_ms, erasure=erasure or "")
            for call, at_ms, erasure in connection.execute(query)
        }


def count_forgotten(store: Store) -> int:
    with store.reading() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(forgotten)).scalar_one())


def encoded(calls: Iterable[Forgotten]) -> bytes:
    return b"".join(msgspec.json.encode(each) + b"\n" for each in sorted(calls, key=lambda each: each.call))


def decoded(untrusted_bytes: bytes) -> ForgottenCalls:
    """Every line that is one."""
    found: ForgottenCalls = {}
    for line in untrusted_bytes.splitlines():
        try:
            each = msgspec.json.decode(line, type=Forgotten)
        except msgspec.MsgspecError:
            continue
        found[each.call] = each
    return found
