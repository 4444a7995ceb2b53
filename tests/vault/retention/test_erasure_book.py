"""Requests to forget, from the asking to the receipt; what the catalogue shows of their calls meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from appliance.terms import CallId
from appliance.vault.catalogue import CallState, Catalogue, NumberToken, Wrap
from appliance.vault.evidence.day_book import DayBook
from appliance.vault.retention.erasure_book import ErasureBook
from appliance.vault.retention.receipt import ErasureId, receipt_facts
from appliance.vault.store import Store, metadata
from tests.vault.box_house import LINE

FIRST, SECOND = ErasureId("1" * 16), ErasureId("2" * 16)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store(tmp_path / "catalogue.sqlite")) as store:
        yield store


@pytest.fixture
def catalogue(store: Store) -> Catalogue:
    return Catalogue(store)


@pytest.fixture
def book(store: Store, catalogue: Catalogue) -> ErasureBook:
    return ErasureBook(store, catalogue)


def kept(catalogue: Catalogue, number: int) -> CallId:
    call = CallId(f"{number:032x}")
    catalogue.issue(call, LINE, 1000, Wrap(call_id=call, bucket_id="b1", wrapped=b"w"))
    token = NumberToken(token=b"t%d" % number, call_id=call, bucket_id="b1")
    assert catalogue.keep(
        call, started_at_ms=5000, length_ms=10, direction="unknown", due_at_ms=9000, card=b"card", tokens=[token]
    )
    return call


def condemn(book: ErasureBook, erasure_id: ErasureId, *calls: CallId, now_ms: int = 7000) -> bool:
    return book.condemn(erasure_id, calls, now_ms=now_ms, by="test", why="asked")


def test_a_condemned_call_is_listed_nowhere_has_no_card_and_cannot_be_kept_again(
    catalogue: Catalogue, book: ErasureBook
) -> None:
    call = kept(catalogue, 1)
    assert condemn(book, FIRST, call)
    assert not condemn(book, SECOND, call, now_ms=8000)
    row = catalogue.find(call)
    assert row is not None
    assert (row.state, row.condemned_at_ms, row.card, row.erasure_id) == (CallState.CONDEMNED, 7000, None, FIRST)
    assert catalogue.page(limit=10) == []
    assert catalogue.count_kept() == 0
    assert not catalogue.keep(
        call, started_at_ms=5, length_ms=1, direction="unknown", due_at_ms=None, card=b"c", tokens=[]
    )
    assert [each.erasure_id for each in book.unfinished()] == [FIRST]


def tables_with(store: Store, call: CallId) -> set[str]:
    """Of all that there are; the rows themselves and not what is told of them."""
    of_calls = [table for table in metadata.sorted_tables if "call_id" in table.c]
    with store.reading() as connection:
        counts = {
            table.name: connection.execute(
                sa.select(sa.func.count()).select_from(table).where(table.c.call_id == call)
            ).scalar_one()
            for table in of_calls
        }
    return {name for name, count in counts.items() if count}


def test_of_a_forgotten_call_only_the_id_stays(store: Store, catalogue: Catalogue, book: ErasureBook) -> None:
    gone, stays = kept(catalogue, 1), kept(catalogue, 2)
    of_each = {"calls", "call_keys", "number_tokens", "gaps", "call_evidence"}
    for call in (gone, stays):
        catalogue.add_gap(call, 1, 1, "overrun")
        DayBook(store).note_signed(call, b"sealed", "0f" * 32)
        assert tables_with(store, call) == of_each
    condemn(book, FIRST, gone)
    for now_ms in (1, 2):
        book.strike(book.unfinished(), now_ms)
    assert tables_with(store, gone) == {"forgotten"}
    assert tables_with(store, stays) == of_each
    assert catalogue.was_forgotten(gone)
    assert [row.call_id for row in catalogue.page(limit=10, tokens=[b"t1", b"t2"])] == [stays]
    assert book.forgotten_by(book.unfinished()[0]) == [gone]


def test_what_is_condemned_meanwhile_is_not_struck_before_its_key_is_gone(
    catalogue: Catalogue, book: ErasureBook
) -> None:
    first, second = kept(catalogue, 1), kept(catalogue, 2)
    condemn(book, FIRST, first)
    under_way = book.unfinished()
    condemn(book, SECOND, second)
    book.note_commit(under_way, before=b"b" * 32, after=b"a" * 32, now_ms=9000)
    book.strike(under_way, 9000)
    assert catalogue.find(second) is not None
    assert [each.done_at_ms for each in book.unfinished()] == [9000, None]


def test_the_first_word_on_a_commit_counts(catalogue: Catalogue, book: ErasureBook) -> None:
    condemn(book, FIRST, kept(catalogue, 1))
    for state, now_ms in ((b"1", 9000), (b"2", 9500)):
        book.note_commit(book.unfinished(), before=state * 32, after=state * 32, now_ms=now_ms)
    (erasure,) = book.unfinished()
    assert (erasure.ring_before, erasure.done_at_ms) == (b"1" * 32, 9000)


def test_a_receipt_closes_its_erasure_and_tells_when_what_and_by_which_rings(
    catalogue: Catalogue, book: ErasureBook
) -> None:
    calls = [kept(catalogue, number) for number in (2, 1)]
    condemn(book, FIRST, *calls)
    book.note_commit(book.unfinished(), before=b"b" * 32, after=b"a" * 32, now_ms=9000)
    book.strike(book.unfinished(), 9000)
    (erasure,) = book.unfinished()
    facts = receipt_facts(erasure, book.forgotten_by(erasure))
    assert facts == {
        "erasure": FIRST,
        "why": "asked",
        "asked_by": "test",
        "asked_at_ms": 7000,
        "done_at_ms": 9000,
        "classes": {"standard": 2},
        "count": 2,
        "calls": sorted(calls),
        "ring_before": (b"b" * 32).hex(),
        "ring_after": (b"a" * 32).hex(),
    }
    book.close(erasure, b"receipt")
    assert book.unfinished() == []
    assert book.receipt(FIRST) == b"receipt"
    assert [(each.erasure_id, is_signed) for each, is_signed in book.page(limit=10)] == [(FIRST, True)]
