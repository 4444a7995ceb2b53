"""The watch remembers the latest trusted time over a restart and journals each change of mind once."""

from __future__ import annotations

from appliance.vault.box import Box
from appliance.vault.clock_watch import ClockWatch
from tests.vault.box_house import NOON_MS, BoxHouse, acts_of


def test_a_change_of_mind_is_journalled_once(house: BoxHouse, box: Box) -> None:
    before = len(acts_of(box))
    for wall_ms in (NOON_MS, 0, 0, NOON_MS, NOON_MS):
        house.hands.wall_ms = wall_ms
        box.watch.trouble()
    assert acts_of(box)[before:] == ["clock:distrusted", "clock:trusted"]


def test_the_latest_trusted_time_lasts_over_a_restart(house: BoxHouse, box: Box) -> None:
    assert box.watch.trouble() is None
    house.hands.wall_ms = NOON_MS - 3_600_000
    again = ClockWatch(house.hands.clock, box.catalogue, box.journal)
    assert again.trouble() == "The clock has gone back behind a time that this box has already seen."
    house.hands.wall_ms = NOON_MS
    assert again.trouble() is None


def test_a_wrong_time_is_never_remembered(house: BoxHouse, box: Box) -> None:
    assert box.watch.trouble() is None
    house.hands.wall_ms = NOON_MS + 86_400_000
    assert box.watch.trouble() is not None
    house.hands.wall_ms = NOON_MS
    again = ClockWatch(house.hands.clock, box.catalogue, box.journal)
    assert again.trouble() is None
