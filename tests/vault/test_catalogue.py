"""A call's way through the catalogue; only the steps that it may go."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from appliance.terms import CallId, LineName
from appliance.vault.catalogue import CallState, Catalogue, NumberToken, Wrap
from appliance.vault.store import Store
from tests.vault.box_house import LINE


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Catalogue]:
    with closing(Store(tmp_path / "catalogue.sqlite")) as store:
        yield Catalogue(store)


def call_named(number: int) -> CallId:
    return CallId(f"{number:032x}")


def issued(catalogue: Catalogue, number: int, line: LineName = LINE) -> CallId:
    call = call_named(number)
    catalogue.issue(call, line, 1000, Wrap(call_id=call, bucket_id="b1", wrapped=b"w"))
    return call


def kept(catalogue: Catalogue, number: int, *, started_at_ms: int = 5000, line: LineName = LINE) -> CallId:
    call = issued(catalogue, number, line)
    token = NumberToken(token=b"t%d" % number, call_id=call, bucket_id="b1")
    assert catalogue.keep(
        call,
        started_at_ms=started_at_ms,
        length_ms=10,
        direction="unknown",
        due_at_ms=9000,
        card=b"card",
        tokens=[token],
    )
    return call


def test_a_call_begins_once_and_is_kept_once(catalogue: Catalogue) -> None:
    call = issued(catalogue, 1)
    assert catalogue.begin(call, 5)
    assert not catalogue.begin(call, 6)
    for expected in (True, False):
        assert (
            catalogue.keep(
                call, started_at_ms=5, length_ms=1, direction="unknown", due_at_ms=None, card=b"c", tokens=[]
            )
            is expected
        )
    assert not catalogue.begin(call, 7)


def test_pages_are_newest_first_and_calls_of_the_same_moment_are_not_lost_between_them(catalogue: Catalogue) -> None:
    calls = [kept(catalogue, number, started_at_ms=5000 + number // 3) for number in range(9)]
    seen: list[CallId] = []
    before: tuple[int, CallId] | None = None
    while page := catalogue.page(limit=2, before=before):
        seen += [row.call_id for row in page]
        before = (page[-1].started_at_ms or 0, page[-1].call_id)
    assert seen == calls[::-1]


def test_a_page_of_one_line_shows_no_other(catalogue: Catalogue) -> None:
    kept(catalogue, 1)
    other = kept(catalogue, 2, line=LineName("workshop"))
    assert [row.call_id for row in catalogue.page(limit=9, line=LineName("workshop"))] == [other]


def test_only_calls_still_spare_are_struck(catalogue: Catalogue) -> None:
    spare, begun = issued(catalogue, 1), issued(catalogue, 2)
    catalogue.begin(begun, 5)
    catalogue.drop_unused([spare, begun])
    assert catalogue.find(spare) is None
    assert catalogue.find(begun) is not None
    assert [wrap.call_id for wrap in catalogue.wraps_in("b1")] == [begun]


def test_more_ids_than_a_statement_takes_are_all_found(catalogue: Catalogue) -> None:
    call = issued(catalogue, 1)
    wanted = [*(call_named(number) for number in range(2, 2000)), call]
    assert [wrap.call_id for wrap in catalogue.wraps_of(wanted)] == [call]


def test_kept_calls_without_a_key_in_these_buckets_are_counted(catalogue: Catalogue) -> None:
    kept(catalogue, 1)
    issued(catalogue, 2)
    assert (catalogue.count_kept_outside(["b1"]), catalogue.count_kept_outside(["b2"])) == (0, 1)
    assert catalogue.count_kept_outside([]) == 1


def test_a_mark_is_0_until_it_is_set_and_then_the_last(catalogue: Catalogue) -> None:
    assert catalogue.mark("m") == 0
    catalogue.set_mark("m", 5)
    catalogue.set_mark("m", 7)
    assert catalogue.mark("m") == 7


def test_calls_that_are_kept_longer_are_found_by_an_index_of_their_own(
    catalogue: Catalogue, caplog: pytest.LogCaptureFixture
) -> None:
    held, asked, plain = (kept(catalogue, number, started_at_ms=5000 + number) for number in (1, 2, 3))
    catalogue.hold(held, 10**6, b"card with a reason")
    catalogue.note_keep_asked(asked, 5)
    with caplog.at_level(logging.INFO, "sqlalchemy.engine"):
        assert {row.call_id for row in catalogue.kept_longer(CallState.KEPT)} == {held, asked}
        assert [row.call_id for row in catalogue.page(limit=5, longer=True)] == [asked, held]
    assert catalogue.kept_longer(CallState.RUNNING) == []
    assert plain in [row.call_id for row in catalogue.page(limit=5)]
    queries = [said for said in caplog.messages if said.startswith("SELECT")]
    assert len(queries) == 2
    with catalogue._store.reading() as connection:
        for query in queries:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}", (CallState.KEPT, 5, 0)[: query.count("?")])
            assert "calls_longer" in str(plan.all())
