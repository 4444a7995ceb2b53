"""How the wait grows, and that it is never longer than its most."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.vault.tries import FREE_TRIES, LONGEST_WAIT_S, wait_s


def test_the_first_tries_are_free_and_then_the_wait_doubles() -> None:
    waits = [wait_s(failures=failures, last_at_ms=0, now_ms=0) for failures in range(FREE_TRIES + 9)]
    assert waits == [0] * FREE_TRIES + [1, 2, 4, 8, 16, 32, 60, 60, 60]


@pytest.mark.parametrize(("passed_ms", "left_s"), [(0, 4), (1, 4), (1000, 3), (3001, 1), (3999, 1), (4000, 0)])
def test_what_is_left_of_a_wait_is_rounded_up(passed_ms: int, left_s: int) -> None:
    assert wait_s(failures=FREE_TRIES + 2, last_at_ms=5000, now_ms=5000 + passed_ms) == left_s


@given(st.integers(0, 10_000), st.integers(0, 2**53), st.integers(0, 2**53))
def test_no_clock_makes_a_wait_longer_than_its_most(failures: int, last_at_ms: int, now_ms: int) -> None:
    assert 0 <= wait_s(failures=failures, last_at_ms=last_at_ms, now_ms=now_ms) <= LONGEST_WAIT_S
