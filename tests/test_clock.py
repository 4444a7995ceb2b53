"""When the clock is believed: the limits, exactly, and that waiting makes no honest clock wrong."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.clock import DEVIATION_MS, EARLIEST_MS, STEP_BACK_MS, Clock, ClockMark, why_untrusted

NOW = ClockMark(wall_ms=EARLIEST_MS + 10**9, steady_ms=5_000_000)


def later(*, wall_ms: int, steady_ms: int) -> ClockMark:
    return ClockMark(wall_ms=NOW.wall_ms + wall_ms, steady_ms=NOW.steady_ms + steady_ms)


@pytest.mark.parametrize(
    ("mark", "word"),
    [
        (ClockMark(wall_ms=0, steady_ms=0), "before this software"),
        (ClockMark(wall_ms=EARLIEST_MS - 1, steady_ms=0), "before this software"),
        (later(wall_ms=-STEP_BACK_MS - 1, steady_ms=0), "gone back"),
        (later(wall_ms=DEVIATION_MS + 1, steady_ms=0), "jumped ahead"),
        (later(wall_ms=DEVIATION_MS + 1001, steady_ms=1000), "jumped ahead"),
        (later(wall_ms=0, steady_ms=DEVIATION_MS + 1), "fallen behind"),
    ],
)
def test_a_wrong_clock_is_not_believed_and_the_reason_is_said(mark: ClockMark, word: str) -> None:
    assert word in (why_untrusted(mark, since=NOW, latest_ms=NOW.wall_ms) or "")


@pytest.mark.parametrize(
    "mark",
    [
        NOW,
        later(wall_ms=-STEP_BACK_MS, steady_ms=0),
        later(wall_ms=DEVIATION_MS, steady_ms=0),
        later(wall_ms=DEVIATION_MS + 1000, steady_ms=1000),
        later(wall_ms=0, steady_ms=DEVIATION_MS),
    ],
)
def test_small_corrections_are_believed(mark: ClockMark) -> None:
    assert why_untrusted(mark, since=NOW, latest_ms=NOW.wall_ms) is None


@pytest.mark.parametrize(
    ("date", "believed"),
    [
        ("1970-01-01", False),  # a board without a battery
        ("2025-08-09", False),  # when Debian 13 came out
        ("2026-10-31", False),
        ("2027-01-15", True),
    ],
)
def test_no_date_is_believed_on_which_this_software_did_not_exist(date: str, *, believed: bool) -> None:
    wall_ms = int(datetime.fromisoformat(date).replace(tzinfo=UTC).timestamp()) * 1000
    why = why_untrusted(ClockMark(wall_ms=wall_ms, steady_ms=0), since=None, latest_ms=0)
    assert why == (None if believed else "The clock shows a time before this software was made.")


@given(st.integers(0, 10**13))
def test_time_that_really_passed_is_believed_however_long_it_was(passed_ms: int) -> None:
    mark = later(wall_ms=passed_ms, steady_ms=passed_ms)
    assert why_untrusted(mark, since=NOW, latest_ms=NOW.wall_ms) is None


def test_the_machines_own_clocks_run_in_milliseconds() -> None:
    clock = Clock()
    first, second = clock.mark(), clock.mark()
    assert 0 <= second.steady_ms - first.steady_ms < 10_000
    assert clock.now_ms() > 1_700_000_000_000
