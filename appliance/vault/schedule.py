"""What the vault does by the clock. The only owner of APScheduler."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler

from appliance.terms import LinekeepError

_BESIDE = "beside"


class Schedule:
    """Runs jobs again and again, one at a time, on a thread of its own; a missed run is made up once.

    What may take hours runs beside the others, on a second thread, one at a time too.

    Args:
        on_trouble: told of what a job raised. The job runs again at its next time: a deletion that could not be
            carried out now stays decided.
    """

    def __init__(self, on_trouble: Callable[[str, BaseException], None]) -> None:
        self._on_trouble = on_trouble
        logging.getLogger("apscheduler").setLevel(logging.ERROR)
        # Two, of which one waits for the thread: what is asked for while a job runs may come too late for that run.
        defaults = {"coalesce": True, "max_instances": 2, "misfire_grace_time": None}
        executors = {"default": ThreadPoolExecutor(1), _BESIDE: ThreadPoolExecutor(1)}
        self._scheduler: Any = BackgroundScheduler(executors=executors, job_defaults=defaults, timezone="UTC")

    def every(self, seconds: float, name: str, job: Callable[[], None], *, beside: bool = False) -> None:
        """Run the job at the start and every so many seconds after."""

        def run() -> None:
            try:
                job()
            except LinekeepError as trouble:
                self._on_trouble(name, trouble)
            except Exception as fault:  # noqa: BLE001 - the outer loop of a job
                self._on_trouble(name, fault)

        executor, now = _BESIDE if beside else "default", datetime.now(UTC)
        self._scheduler.add_job(run, "interval", seconds=seconds, id=name, executor=executor, next_run_time=now)

    def soon(self, name: str) -> None:
        """Run this job now, and from here on at its interval. If it runs already, it runs once more after that."""
        with contextlib.suppress(JobLookupError):  # the schedule has been stopped meanwhile
            self._scheduler.modify_job(name, next_run_time=datetime.now(UTC))

    def start(self) -> None:
        self._scheduler.start()

    def stop(self) -> None:
        """Returns when the running jobs have ended."""
        self._scheduler.shutdown(wait=True)
