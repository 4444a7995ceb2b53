"""Properties of the decision: unclear means keep, a hold is always kept, and a shorter period never keeps more."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from appliance.terms import CallId
from appliance.vault.retention.run import interval_s
from appliance.vault.retention.verdict import (
    KEEP_ASKED_LASTS_MS,
    Reason,
    Verdict,
    asked_until,
    due_at,
    goes_at,
    is_held,
    judge,
)

CALL = CallId("ab" * 16)
TIMES = st.integers(0, 2**53)
PERIODS = st.integers(1, 10**9)
PERHAPS = st.none() | TIMES


def judged(
    now_ms: int,
    *,
    due_at_ms: int | None,
    hold: int | None = None,
    asked: int | None = None,
    clock_trusted: bool = True,
) -> Verdict:
    return judge(
        CALL,
        due_at_ms=due_at_ms,
        hold_until_ms=hold,
        keep_asked_at_ms=asked,
        now_ms=now_ms,
        clock_trusted=clock_trusted,
    )


@given(PERHAPS, TIMES, PERHAPS, PERHAPS)
def test_an_untrusted_clock_never_erases(
    due_at_ms: int | None, now_ms: int, hold: int | None, asked: int | None
) -> None:
    verdict = judged(now_ms, due_at_ms=due_at_ms, hold=hold, asked=asked, clock_trusted=False)
    assert (verdict.erase, verdict.reason) == (False, Reason.CLOCK_UNTRUSTED)


@given(TIMES, PERHAPS)
def test_without_a_due_date_nothing_is_erased(now_ms: int, asked: int | None) -> None:
    verdict = judged(now_ms, due_at_ms=None, asked=asked)
    assert (verdict.erase, verdict.reason) == (False, Reason.NO_DUE_DATE)


@given(PERHAPS, TIMES, TIMES, PERHAPS, st.booleans())
def test_no_verdict_erases_a_held_call(
    due_at_ms: int | None, now_ms: int, hold: int, asked: int | None, trusted: bool
) -> None:
    if is_held(hold, now_ms=now_ms, clock_trusted=trusted):
        assert not judged(now_ms, due_at_ms=due_at_ms, hold=hold, asked=asked, clock_trusted=trusted).erase


@given(TIMES, TIMES)
def test_a_hold_ends_by_its_clock_and_never_by_one_that_is_not_trusted(hold: int, now_ms: int) -> None:
    assert is_held(hold, now_ms=now_ms, clock_trusted=True) == (hold > now_ms)
    assert is_held(hold, now_ms=now_ms, clock_trusted=False)
    assert not is_held(None, now_ms=now_ms, clock_trusted=False)


@given(TIMES, PERIODS, PERIODS, TIMES, PERHAPS, PERHAPS)
def test_a_shorter_period_never_keeps_more(
    ended_at_ms: int, one_s: int, other_s: int, now_ms: int, hold: int | None, asked: int | None
) -> None:
    shorter, longer = (
        judged(now_ms, due_at_ms=due_at(ended_at_ms=ended_at_ms, keep_s=keep_s), hold=hold, asked=asked).erase
        for keep_s in sorted((one_s, other_s))
    )
    assert shorter >= longer


@given(TIMES, TIMES, PERHAPS, PERHAPS)
def test_what_is_erased_now_is_erased_later_too(
    due_at_ms: int, now_ms: int, hold: int | None, asked: int | None
) -> None:
    now = judged(now_ms, due_at_ms=due_at_ms, hold=hold, asked=asked).erase
    later = judged(now_ms + 1, due_at_ms=due_at_ms, hold=hold, asked=asked).erase
    assert later >= now


@given(TIMES, TIMES, PERHAPS, PERHAPS)
def test_a_call_goes_at_the_moment_that_its_page_tells(
    due_at_ms: int, now_ms: int, hold: int | None, asked: int | None
) -> None:
    goes_at_ms = goes_at(due_at_ms=due_at_ms, hold_until_ms=hold, keep_asked_at_ms=asked)
    assert judged(now_ms, due_at_ms=due_at_ms, hold=hold, asked=asked).erase == (goes_at_ms <= now_ms)


@given(st.integers(1, 2**50), st.integers(0, 2**50))
def test_a_request_lengthens_by_two_weeks_from_its_own_moment_and_nothing_that_lasts_longer(
    asked: int, due_at_ms: int
) -> None:
    goes_at_ms = goes_at(due_at_ms=due_at_ms, hold_until_ms=None, keep_asked_at_ms=asked)
    assert goes_at_ms == max(due_at_ms, asked + 14 * 86_400_000)
    assert KEEP_ASKED_LASTS_MS == 14 * 86_400_000


def test_a_request_of_an_untrusted_clock_lengthens_nothing() -> None:
    assert (asked_until(None), asked_until(0), asked_until(1)) == (0, 0, 1 + KEEP_ASKED_LASTS_MS)
    assert judged(1000, due_at_ms=1000, asked=0).erase


def test_the_due_moment_itself_is_over() -> None:
    assert [judged(now_ms, due_at_ms=1000).erase for now_ms in (999, 1000, 1001)] == [False, True, True]
    assert [judged(now_ms, due_at_ms=10, hold=1000).erase for now_ms in (999, 1000, 1001)] == [False, True, True]


def test_the_reason_says_what_keeps_it() -> None:
    reasons = [
        judged(1000, due_at_ms=due, hold=hold, asked=asked).reason
        for due, hold, asked in ((1000, None, None), (1000, 1001, 5), (1000, 1000, 5), (1001, None, 5))
    ]
    assert reasons == [Reason.PERIOD_OVER, Reason.HELD, Reason.KEEP_ASKED, Reason.PERIOD_RUNS]


@given(PERIODS)
def test_a_run_comes_at_least_hourly_and_at_most_each_second(keep_s: int) -> None:
    assert 1 <= interval_s(keep_s) <= 3600
