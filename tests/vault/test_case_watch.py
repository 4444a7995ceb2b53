"""What the journal and the first page say of the case, and that a switch that chatters fills neither."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from appliance.audit.journal import Entry
from appliance.boundary.verbs import ReportCase
from appliance.terms import AccountId, StorageTrouble
from appliance.vault.box import Box
from appliance.vault.case_watch import MOST_ENTRIES, CaseWatch
from tests.vault.box_house import NOON_MS, OWNER, BoxHouse

HOUR_S = 3600


class Case:
    """A watch over this box's journal and catalogue, its clock turned by hand."""

    def __init__(self, house: BoxHouse, box: Box) -> None:
        self._box = box
        self._house = house
        self._from = box.journal.end
        self.heads = 0
        self.watch = self._new()

    def _new(self) -> CaseWatch:
        watch = CaseWatch(
            catalogue=self._box.catalogue,
            journal=self._box.journal,
            clock=self._house.hands.clock,
            is_watched=True,
            steady_s=lambda: self._house.hands.steady_ms / 1000,
        )
        watch.when_opened = self._sign
        return watch

    def _sign(self) -> None:
        self.heads += 1

    def restart(self) -> None:
        self.watch = self._new()

    def tell(self, *, is_open: bool | None, **facts: Any) -> None:
        told = {"found_open": False, "openings": 0, "since_ms": 7} | facts
        self.watch.hear(ReportCase(is_open=is_open, **told))

    def open(self) -> None:
        self.tell(is_open=True, openings=1)

    def close(self) -> None:
        self.tell(is_open=False)

    def pass_s(self, seconds: float) -> None:
        self._house.hands.pass_s(seconds)
        self.watch.write_down()

    def entries(self) -> list[Entry]:
        return list(self._box.journal.entries_from(self._from))

    def acts(self) -> list[str]:
        return [entry.act.value for entry in self.entries()]

    def shown(self) -> tuple[bool | None, int]:
        now = self.watch.now()
        assert now is not None
        return now.is_open, now.openings


@pytest.fixture
def case(house: BoxHouse, box: Box) -> Case:
    for mark in ("case_state", "case_counted", "case_acknowledged", "case_opened_ms"):
        box.catalogue.set_mark(mark, 0)
    return Case(house, box)


def test_opening_and_closing_are_acts_with_their_time_and_who_says_so(case: Case) -> None:
    case.close()
    case.open()
    case.close()
    assert case.acts() == ["case:watched", "case:opened", "case:closed"]
    assert {entry.by for entry in case.entries()} == {"recorder"}
    assert case.entries()[1].notes == {"openings": 1, "since_ms": 7}


def test_case_that_is_found_open_at_the_start_is_an_opening(case: Case) -> None:
    case.tell(is_open=True, found_open=True)
    assert case.acts() == ["case:watched", "case:found_open"]
    assert case.shown() == (True, 1)


def test_case_that_stood_open_before_the_restart_is_not_opened_again(case: Case) -> None:
    case.close()
    case.open()
    case.restart()
    case.tell(is_open=True, found_open=True)
    assert case.acts() == ["case:watched", "case:opened"]
    assert case.shown() == (True, 1)


def test_case_that_is_found_closed_after_it_stood_open_is_noted_as_closed(case: Case) -> None:
    case.open()
    case.restart()
    case.close()
    assert case.acts() == ["case:watched", "case:opened", "case:closed"]


def test_what_was_counted_while_the_vault_was_away_is_told_in_its_order(case: Case) -> None:
    case.close()
    case.tell(is_open=False, found_open=True, openings=3)
    assert case.acts() == ["case:watched", "case:found_open", "case:opened", "case:closed"]
    assert case.shown() == (False, 4)


def test_switch_that_cannot_be_read_is_noted_once_and_again_when_it_can(case: Case) -> None:
    case.close()
    for _ in range(2):
        case.tell(is_open=None, trouble="The chip is gone.")
    now = case.watch.now()
    assert now is not None
    assert (now.is_open, now.trouble) == (None, "The chip is gone.")
    case.close()
    assert case.acts() == ["case:watched", "case:unwatched", "case:watched"]
    assert case.shown() == (False, 0)


def test_opening_is_shown_until_somebody_acknowledges_it_also_after_a_restart(case: Case, house: BoxHouse) -> None:
    case.open()
    house.hands.pass_s(60)
    case.close()
    case.restart()
    now = case.watch.now()
    assert now is not None
    assert (now.is_open, now.openings, now.opened_at_ms) == (False, 1, house.hands.wall_ms - 60_000)
    case.watch.acknowledge(now.counted, by=OWNER.account)
    assert case.shown() == (False, 0)
    entry = case.entries()[-1]
    assert (entry.act.value, entry.by, entry.notes) == (
        "case:acknowledged",
        OWNER.account,
        {"openings": 1, "counted": now.counted},
    )
    case.restart()
    assert case.shown() == (False, 0)


def test_opening_that_was_not_seen_yet_is_not_acknowledged_with_an_earlier_one(case: Case) -> None:
    case.open()
    seen = case.watch.now()
    case.close()
    case.open()
    assert seen is not None
    case.watch.acknowledge(seen.counted, by=OWNER.account)
    assert case.shown() == (True, 1)
    case.watch.acknowledge(2**53, by=OWNER.account)
    case.close()
    case.open()
    assert case.shown() == (True, 1)


def test_acknowledging_twice_is_one_act(case: Case) -> None:
    case.open()
    for _ in range(2):
        case.watch.acknowledge(1, by=AccountId("ab" * 8))
    assert case.acts().count("case:acknowledged") == 1


def test_switch_that_chatters_makes_a_bounded_number_of_acts_an_hour_and_says_so(case: Case, house: BoxHouse) -> None:
    case.close()
    for _second in range(2 * HOUR_S):
        case.open()
        case.close()
        case.pass_s(1)
    acts, began_ms = case.acts(), house.hands.wall_ms - 2 * HOUR_S * 1000
    assert case.shown() == (False, 2 * HOUR_S)
    for hour in (0, 1):
        within = [each for each in case.entries() if 0 <= each.at_ms - began_ms - hour * HOUR_S * 1000 < HOUR_S * 1000]
        assert 0 < len(within) <= MOST_ENTRIES, hour
    assert "case:chatters" in acts
    case.pass_s(HOUR_S)
    case.pass_s(HOUR_S)
    told = sum(int(entry.notes["openings"]) for entry in case.entries() if entry.act == "case:opened")
    assert told == 2 * HOUR_S
    assert case.acts()[-1] == "case:closed"


def test_what_was_only_counted_is_written_when_the_vault_stops(case: Case) -> None:
    case.close()
    for _ in range(20):
        case.open()
        case.close()
    assert case.acts()[-1] == "case:chatters"
    case.watch.write_down(at_the_end=True)
    told = sum(int(entry.notes["openings"]) for entry in case.entries() if entry.act == "case:opened")
    assert (told, case.acts()[-1]) == (20, "case:closed")
    case.restart()
    assert case.shown() == (False, 20)


def test_openings_ask_for_a_head_of_the_journal_once_an_hour(case: Case) -> None:
    case.close()
    assert case.heads == 0
    for expected in (1, 1, 2):
        case.open()
        case.close()
        assert case.heads == expected
        case.pass_s(HOUR_S / 2)


def test_opening_that_the_journal_cannot_take_does_not_count_as_heard(
    case: Case, box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    case.close()

    def full(*_arguments: object, **_facts: object) -> None:
        raise StorageTrouble("The journal cannot be written.")

    with monkeypatch.context() as patched:
        patched.setattr(box.journal, "append", full)
        with pytest.raises(StorageTrouble):
            case.open()
    assert case.shown() == (False, 0)
    case.open()
    assert case.shown() == (True, 1)


def test_nothing_is_shown_of_a_case_without_a_switch_but_what_nobody_has_seen(
    house: BoxHouse, box: Box, case: Case
) -> None:
    def without() -> CaseWatch:
        return CaseWatch(
            catalogue=box.catalogue,
            journal=box.journal,
            clock=house.hands.clock,
            is_watched=False,
            steady_s=lambda: 0.0,
        )

    assert without().now() is None
    case.open()
    now = without().now()
    assert now is not None
    assert (now.is_open, now.openings) == (None, 1)
    assert msgspec.structs.asdict(now)["opened_at_ms"] >= NOON_MS
