"""The schedule: jobs run at once, again when asked, and survive their own troubles."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from queue import Queue

import pytest

from appliance.terms import StorageTrouble
from appliance.vault.schedule import Schedule

_LONG_S = 3600.0


@pytest.fixture
def troubles() -> Queue[tuple[str, BaseException]]:
    return Queue()


@pytest.fixture
def schedule(troubles: Queue[tuple[str, BaseException]]) -> Iterator[Schedule]:
    made = Schedule(lambda name, error: troubles.put((name, error)))
    yield made
    made.stop()


def test_job_runs_at_the_start_and_again_as_soon_as_it_is_asked_for(schedule: Schedule) -> None:
    runs: Queue[int] = Queue()
    schedule.every(_LONG_S, "count", lambda: runs.put(1))
    schedule.start()
    assert runs.get(timeout=10) == 1
    schedule.soon("count")
    assert runs.get(timeout=10) == 1


def test_job_that_is_asked_for_while_it_runs_runs_once_more_afterwards_and_never_twice_at_a_time(
    schedule: Schedule,
) -> None:
    runs: Queue[str] = Queue()
    go_on = threading.Event()

    def job() -> None:
        runs.put("begins")
        go_on.wait(10)
        runs.put("ends")

    schedule.every(_LONG_S, "job", job)
    schedule.every(_LONG_S, "looks", lambda: runs.put("looked"), beside=True)
    schedule.start()
    assert {runs.get(timeout=10), runs.get(timeout=10)} == {"begins", "looked"}
    schedule.soon("job")
    schedule.soon("looks")
    assert runs.get(timeout=10) == "looked"  # so the scheduler has been through what was asked for before it
    assert runs.empty()
    go_on.set()
    assert [runs.get(timeout=10) for _ in range(3)] == ["ends", "begins", "ends"]


def test_job_that_fails_is_reported_and_runs_again(
    schedule: Schedule, troubles: Queue[tuple[str, BaseException]]
) -> None:
    ran_again = threading.Event()
    failures = iter([StorageTrouble("no room"), ValueError("a fault")])

    def job() -> None:
        failure = next(failures, None)
        if failure is not None:
            raise failure
        ran_again.set()

    schedule.every(_LONG_S, "job", job)
    schedule.start()
    assert isinstance(troubles.get(timeout=10)[1], StorageTrouble)
    schedule.soon("job")
    assert isinstance(troubles.get(timeout=10)[1], ValueError)
    schedule.soon("job")
    assert ran_again.wait(10)


def test_job_asked_for_after_the_stop_is_let_be() -> None:
    schedule = Schedule(lambda _name, _error: None)
    schedule.every(_LONG_S, "job", lambda: None)
    schedule.start()
    schedule.stop()
    schedule.soon("job")


def test_a_job_that_takes_long_runs_beside_the_others(schedule: Schedule) -> None:
    runs: Queue[str] = Queue()
    go_on = threading.Event()

    def slow() -> None:
        runs.put("slow begins")
        go_on.wait(10)

    schedule.every(_LONG_S, "slow", slow, beside=True)
    schedule.start()
    assert runs.get(timeout=10) == "slow begins"
    schedule.every(_LONG_S, "quick", lambda: runs.put("quick"))
    assert runs.get(timeout=10) == "quick"
    go_on.set()
