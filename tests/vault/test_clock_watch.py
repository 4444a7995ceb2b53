"""The watch remembers the latest trusted time over a restart and journals each change of mind once."""

from __future__ import annotations

import pytest

from appliance.vault.box import Box
from appliance.vault.clock_watch import ClockWatch
from appliance.vault.retention.run import RetentionRun
from tests.vault.box_house import NOON_MS, BoxHouse, acts_of, kept_call


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


# a time server of the company's network that does not tell the truth, asked every half minute


@pytest.fixture
def watch(house: BoxHouse, box: Box) -> ClockWatch:
    """Of a vault that starts on a clock that is right."""
    house.hands.wall_ms = max(house.hands.wall_ms, NOON_MS) + 86_400_000
    watch = ClockWatch(house.hands.clock, box.catalogue, box.journal)
    assert watch.trouble() is None
    return watch


def steps(house: BoxHouse, watch: ClockWatch, *, wall_s: float, times: int) -> list[str]:
    """Half a minute passes again and again, in which the clock goes on by that much altogether."""
    told = []
    for _ in range(times):
        house.hands.steady_ms += 30_000
        house.hands.wall_ms += int(wall_s * 1000)
        told.append(watch.trouble() or "")
    return told


def test_a_clock_that_is_put_on_in_small_steps_does_not_have_all_forgotten(
    house: BoxHouse, box: Box, watch: ClockWatch
) -> None:
    call, keep_s = kept_call(box), 30 * 86_400
    told = steps(house, watch, wall_s=3_000, times=1000)
    run = RetentionRun(catalogue=box.catalogue, erasure=box.erasure, clock=box.clock, watch=watch, keep_s=keep_s)
    run.run()
    assert box.catalogue.find(call) is not None
    assert told[:1] == [""]
    assert all("jumped ahead" in each for each in told[1:])


def test_a_clock_that_is_held_back_in_small_steps_is_told_after_an_hour(house: BoxHouse, watch: ClockWatch) -> None:
    right_ms = house.hands.wall_ms - house.hands.steady_ms
    told = steps(house, watch, wall_s=0, times=360)
    assert told[:120] == [""] * 120
    assert told[120:] == ["The clock has fallen behind the time that has passed."] * 240
    # Put right, it is believed again.
    house.hands.wall_ms = right_ms + house.hands.steady_ms
    assert watch.trouble() is None


def test_a_clock_that_was_ahead_and_is_put_right_is_believed_once_it_has_caught_up(
    house: BoxHouse, watch: ClockWatch
) -> None:
    house.hands.wall_ms -= 5 * 3_600_000
    told = steps(house, watch, wall_s=30, times=5 * 120 + 10)
    assert "gone back" in told[0]
    assert told[-10:] == [""] * 10


def test_a_clock_that_goes_back_gains_no_step_ahead_by_it(house: BoxHouse, watch: ClockWatch) -> None:
    told = []
    for _ in range(4):
        latest_ms = house.hands.wall_ms
        house.hands.wall_ms -= 120_000
        assert "gone back" in (watch.trouble() or "")
        house.hands.wall_ms = latest_ms + 1_199_000
        told.append(watch.trouble())
    assert told == [None, None, None, "The clock has jumped ahead further than time has passed."]
