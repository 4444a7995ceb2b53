"""Properties of the decision: unclear means keep, and a shorter period never keeps more."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from appliance.terms import CallId
from appliance.vault.retention.run import interval_s
from appliance.vault.retention.verdict import Reason, due_at, judge

CALL = CallId("ab" * 16)
TIMES = st.integers(0, 2**53)
PERIODS = st.integers(1, 10**9)


@given(st.none() | TIMES, TIMES)
def test_an_untrusted_clock_never_erases(due_at_ms: int | None, now_ms: int) -> None:
    verdict = judge(CALL, due_at_ms=due_at_ms, now_ms=now_ms, clock_trusted=False)
    assert (verdict.erase, verdict.reason) == (False, Reason.CLOCK_UNTRUSTED)


@given(TIMES)
def test_without_a_due_date_nothing_is_erased(now_ms: int) -> None:
    verdict = judge(CALL, due_at_ms=None, now_ms=now_ms, clock_trusted=True)
    assert (verdict.erase, verdict.reason) == (False, Reason.NO_DUE_DATE)


@given(TIMES, PERIODS, PERIODS, TIMES)
def test_a_shorter_period_never_keeps_more(ended_at_ms: int, one_s: int, other_s: int, now_ms: int) -> None:
    shorter, longer = sorted((one_s, other_s))
    erased_by_longer = judge(
        CALL, due_at_ms=due_at(ended_at_ms=ended_at_ms, keep_s=longer), now_ms=now_ms, clock_trusted=True
    ).erase
    erased_by_shorter = judge(
        CALL, due_at_ms=due_at(ended_at_ms=ended_at_ms, keep_s=shorter), now_ms=now_ms, clock_trusted=True
    ).erase
    assert erased_by_shorter >= erased_by_longer


@given(TIMES, TIMES)
def test_what_is_erased_now_is_erased_later_too(due_at_ms: int, now_ms: int) -> None:
    now = judge(CALL, due_at_ms=due_at_ms, now_ms=now_ms, clock_trusted=True).erase
    later = judge(CALL, due_at_ms=due_at_ms, now_ms=now_ms + 1, clock_trusted=True).erase
    assert later >= now


def test_the_due_moment_itself_is_over() -> None:
    erased = [judge(CALL, due_at_ms=1000, now_ms=now_ms, clock_trusted=True).erase for now_ms in (999, 1000, 1001)]
    assert erased == [False, True, True]


@given(PERIODS)
def test_a_run_comes_at_least_hourly_and_at_most_each_second(keep_s: int) -> None:
    assert 1 <= interval_s(keep_s) <= 3600
