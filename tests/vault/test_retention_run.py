"""The run: what is over goes, and nothing goes on a clock that is not believed."""

from __future__ import annotations

from contextlib import suppress

import pytest

from appliance.terms import KeyForgotten, StorageTrouble
from appliance.vault.box import Box
from appliance.vault.catalogue import CallState
from appliance.vault.retention.erasure import NotGoneYet
from tests.vault.box_house import NOON_MS, BoxHouse, acts_of, condemn, kept_call

DAY_S = 86_400


@pytest.fixture(autouse=True)
def noon(house: BoxHouse, box: Box) -> None:
    house.hands.wall_ms = max(house.hands.wall_ms, NOON_MS)
    assert box.watch.trouble() is None


def test_a_call_goes_when_its_period_is_over_and_not_before(house: BoxHouse, box: Box) -> None:
    call = kept_call(box)
    house.hands.pass_s(30 * DAY_S - 1)
    box.retention.run()
    assert box.catalogue.find(call) is not None
    house.hands.pass_s(2)
    box.retention.run()
    assert box.catalogue.was_forgotten(call)
    assert not box.folder.finished_path(call).exists()
    assert box.retention.overdue() == 0
    assert acts_of(box)[-3:] == ["calls:condemned", "ring:moved", "calls:forgotten"]


def test_a_run_with_nothing_to_do_writes_nothing(box: Box) -> None:
    kept_call(box)
    before = acts_of(box)
    box.retention.run()
    assert acts_of(box) == before


@pytest.mark.parametrize("wall_ms", [0, NOON_MS + 10 * 365 * DAY_S * 1000], ids=["1970", "ten years ahead"])
def test_on_a_clock_that_is_wrong_nothing_goes(house: BoxHouse, box: Box, wall_ms: int) -> None:
    call, honest_ms = kept_call(box), house.hands.wall_ms
    house.hands.wall_ms = wall_ms
    box.retention.run()
    house.hands.wall_ms = honest_ms
    assert box.catalogue.find(call) is not None
    assert box.watch.trouble() is None
    assert acts_of(box)[-2:] == ["clock:distrusted", "clock:trusted"]


def test_calls_of_a_wrong_clock_get_their_due_date_once_it_is_right(house: BoxHouse, box: Box) -> None:
    honest_ms, house.hands.wall_ms = house.hands.wall_ms, 5000
    call = kept_call(box)
    box.retention.run()
    row = box.catalogue.find(call)
    assert row is not None
    assert row.due_at_ms is None
    house.hands.wall_ms = honest_ms
    box.retention.run()
    row = box.catalogue.find(call)
    assert row is not None
    assert row.due_at_ms == honest_ms + 30 * DAY_S * 1000


def test_a_decided_erasure_is_carried_out_by_the_next_run(box: Box) -> None:
    call = kept_call(box)
    condemn(box, call)
    box.retention.run()
    assert box.catalogue.was_forgotten(call)


def test_erasing_twice_is_the_same_as_once(box: Box) -> None:
    call, before = kept_call(box), acts_of(box).count("calls:forgotten")
    for _ in range(2):
        box.erasure.erase([call], by="test", why="test")
        box.erasure.finish_condemned()
    assert box.catalogue.was_forgotten(call)
    assert acts_of(box).count("calls:forgotten") == before + 1


def test_a_shorter_period_moves_due_dates_nearer_and_a_longer_one_leaves_them(house: BoxHouse, box: Box) -> None:
    call = kept_call(box)
    row = box.catalogue.find(call)
    assert row is not None
    assert row.due_at_ms is not None
    box.catalogue.shorten_due(60 * DAY_S * 1000)
    assert box.catalogue.find(call) == row
    box.catalogue.shorten_due(DAY_S * 1000)
    nearer = box.catalogue.find(call)
    assert nearer is not None
    assert nearer.due_at_ms == house.hands.wall_ms + DAY_S * 1000 + 1000
    assert nearer.state is CallState.KEPT


def test_what_should_have_gone_long_ago_is_counted(house: BoxHouse, box: Box) -> None:
    kept_call(box)
    house.hands.pass_s(31 * DAY_S)
    assert box.retention.overdue() > 0
    box.retention.run()
    assert box.retention.overdue() == 0


@pytest.mark.parametrize("barred", [False, True], ids=["a folder of a call's name", "the folder barred"])
def test_a_recorder_that_hinders_the_removal_of_files_keeps_no_key_and_no_finished_recording(
    house: BoxHouse, box: Box, barred: bool
) -> None:
    """It owns the folder in which it writes."""
    asked, due = kept_call(box), kept_call(box)
    growing = box.folder.growing_path(asked).parent
    box.folder.growing_path(asked).mkdir()
    aside = growing.with_name("aside")
    if barred:
        growing.rename(aside)
    with suppress(StorageTrouble, NotGoneYet):
        box.erasure.erase([asked], by="test", why="asked")
    house.hands.pass_s(31 * 86_400)
    with suppress(StorageTrouble, NotGoneYet):
        box.retention.run()
    for call in (asked, due):
        with pytest.raises(KeyForgotten):
            box.call_keys.key_of(call)
        assert not box.folder.finished_path(call).exists()
    if barred:
        aside.rename(growing)
    box.retention.run()
    assert [box.catalogue.was_forgotten(call) for call in (asked, due)] == [True, True]
    assert box.erasures.unfinished() == []
    assert box.folder.strangers() == [f"growing/{asked}"]
    box.folder.growing_path(asked).rmdir()
