"""Forgetting and starting with a million calls in the catalogue: `python -m tests.bench.million [CALLS_A_DAY]`.

Prints JSON; takes about ten minutes and 12 GB. What is built is what a box has after 100 days of 10,000 calls: rows,
cards of the size of a short call's, wrapped keys under one bucket a day, signed evidence, and a file for each call. The
files of the calls that are to be forgotten have 4 KiB each, and so have those that `find -delete` removes in the same
run; the others are empty.

Seconds named `cpu` are of this process alone; those of the software TPM, whose work a chip does, are named `tpm`.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, redirect_stderr
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from appliance.clock import Clock
from appliance.commands import software_tpm
from appliance.daemon import start_log
from appliance.recordings.sealing import wrap_key
from appliance.settings import SOFTWARE_TPM, read_settings
from appliance.terms import CallId
from appliance.vault.box import Box
from appliance.vault.evidence.day_book import STATED_UNTIL, Outcome
from appliance.vault.ring_file import Bucket, BucketId, RingContents, fresh_bucket_id
from appliance.vault.store import call_evidence, call_keys, calls, numbered_calls

_DAYS = 100
_KEPT_DAYS = 120
_DAY_MS = 86_400_000
_CALL_MS = 20_000
_CARD_BYTES = 12 + 3 * 256 + 16
_EVIDENCE_BYTES = 2844
"""A signed statement about a call, sealed."""

_LINES = 8
_FILE_BYTES = 4096
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")

Figures = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class _House:
    """A state directory, the settings for it, and the software TPM beside it."""

    folder: Path
    tpm: int
    a_day: int

    def settings(self) -> Path:
        text = (
            f"state_dir = {json.dumps(str(self.folder / 'state'))}\nrun_dir = {json.dumps(str(self.folder / 'run'))}\n"
            f'[vault]\ntpm = {json.dumps(SOFTWARE_TPM)}\nkeep = "{_KEPT_DAYS}d"\n'
        )
        path = self.folder / "linekeep.toml"
        path.write_text(text, "utf-8")
        return path

    @contextmanager
    def opened(self) -> Iterator[Box]:
        with (self.folder / "log").open("a", encoding="utf-8") as log, redirect_stderr(log):
            box = Box(read_settings(self.settings()), start_log("vault"), Clock())
            with closing(box):
                yield box


@contextmanager
def _house(folder: Path, a_day: int) -> Iterator[_House]:
    for name in ("state", "run"):
        (folder / name).mkdir()
    settings = read_settings(_House(folder=folder, tpm=0, a_day=a_day).settings())
    chip = subprocess.Popen(list(software_tpm.program(settings).command), stderr=subprocess.DEVNULL)
    try:
        software_tpm.wait_until_ready(settings)
        yield _House(folder=folder, tpm=chip.pid, a_day=a_day)
    finally:
        chip.terminate()
        chip.wait()


# what is built


def _fill(house: _House) -> tuple[list[CallId], list[CallId]]:
    """A catalogue of all days. Returns the calls of the oldest day, and as many spread evenly over all others."""
    with house.opened() as box:
        oldest_ms = box.clock.now_ms() - _DAYS * _DAY_MS
        buckets = {fresh_bucket_id(): Bucket.fresh(_day(oldest_ms + n * _DAY_MS)) for n in range(_DAYS)}
        secrets = box.ring.contents.secrets
        box.ring.commit(RingContents(buckets=buckets, secrets=secrets))
        days = [
            _fill_day(box, name, bucket, oldest_ms + number * _DAY_MS, house.a_day)
            for number, (name, bucket) in enumerate(buckets.items())
        ]
        yesterday = datetime.fromtimestamp(box.clock.now_ms() / 1000, tz=UTC).date().toordinal() - 1
        box.catalogue.set_mark(STATED_UNTIL, yesterday)  # as if every day had been stated
        finished = box.folder.finished_path(CallId("x")).parent
    share = house.a_day // (_DAYS - 1)
    spread = [call for day in days[1:] for call in day[:: len(day) // share][:share]]
    with_bytes = {*days[0], *spread}
    _make_files(finished, (call for day in days for call in day), with_bytes)
    return days[0], spread


def _fill_day(box: Box, name: BucketId, bucket: Bucket, from_ms: int, a_day: int) -> list[CallId]:
    ids = [CallId(os.urandom(16).hex()) for _ in range(a_day)]
    step_ms = 20 * 3_600_000 // a_day
    rows = []
    for number, call in enumerate(ids):
        at_ms = from_ms + 7_200_000 + number * step_ms
        rows.append(
            {
                "call_id": call,
                "line": f"line{number % _LINES}",
                "state": "kept",
                "issued_at_ms": at_ms,
                "started_at_ms": at_ms,
                "length_ms": _CALL_MS,
                "direction": "unknown",
                "deletion_class": "standard",
                "due_at_ms": at_ms + _CALL_MS + _KEPT_DAYS * _DAY_MS,
                "card": os.urandom(_CARD_BYTES),
            }
        )
    wraps = [
        {"call_id": call, "bucket_id": name, "wrapped": wrap_key(bucket.key, call, name, os.urandom(32))}
        for call in ids
    ]
    day = _day(from_ms)
    numbers = [
        {
            "line": row["line"], "day": day, "number": number // _LINES + 1, "call_id": row["call_id"],
            "outcome": Outcome.KEPT, "why": "", "frames": _CALL_MS * 8, "frames_lost": 0, "frames_paused": 0,
            "statement_sha256": os.urandom(32).hex(),
        }
        for number, row in enumerate(rows)
    ]  # fmt: skip
    sealed = [{"call_id": call, "sealed": os.urandom(_EVIDENCE_BYTES)} for call in ids]
    with box.store.transaction() as connection:
        connection.execute(calls.insert(), rows)
        connection.execute(call_keys.insert(), wraps)
        connection.execute(numbered_calls.insert(), numbers)
        connection.execute(call_evidence.insert(), sealed)
    return ids


def _make_files(folder: Path, names: Iterator[CallId], with_bytes: set[CallId]) -> None:
    place, content = os.open(folder, os.O_RDONLY), os.urandom(_FILE_BYTES)
    for name in names:
        file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640, dir_fd=place)
        if name in with_bytes:
            os.write(file, content)
        os.close(file)
    os.close(place)


def _day(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, tz=UTC).date().isoformat()


# how it is measured


def _cost(house: _House, work: Callable[[], object]) -> Figures:
    """Seconds of the clock, of this process and of the software TPM; memory at its highest, and before."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # proc(5): resets the high-water mark
    before_mb, tpm_s = _memory_mb("VmRSS"), _cpu_s(house.tpm)
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    work()
    return {
        "wall_s": round(time.perf_counter() - wall_s, 3),
        "cpu_s": round(time.process_time() - cpu_s, 3),
        "tpm_cpu_s": round(_cpu_s(house.tpm) - tpm_s, 2),
        "rss_mb_before": before_mb,
        "rss_mb_highest": _memory_mb("VmHWM"),
    }


def _cost_of_forgetting(house: _House, box: Box, work: Callable[[], object]) -> Figures:
    """The same, and when the keys were gone: the ring's commit has returned."""
    gone_at: list[float] = []
    commit = box.ring.commit

    def timed(contents: RingContents) -> object:
        result = commit(contents)
        gone_at.append(time.perf_counter())
        return result

    box.ring.commit = timed  # type: ignore[method-assign, assignment]
    started = time.perf_counter()
    cost = _cost(house, work)
    del box.ring.commit
    return {"keys_gone_after_s": round(gone_at[0] - started, 3), "ring_commits": len(gone_at), **cost}


def _start_up(house: _House) -> Figures:
    """The daemon, from its process's start to the line that says it is ready; then stopped."""
    command = [sys.executable, "-m", "appliance.cli", "run", "--config", str(house.settings()), "vault"]
    started = time.perf_counter()
    vault = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    if vault.stderr is None:
        raise RuntimeError("a daemon without standard error")
    for line in vault.stderr:
        if '"vault_ready"' in line:
            break
    else:
        raise RuntimeError("the vault did not start")
    wall_s, cpu_s = time.perf_counter() - started, _cpu_s(vault.pid)
    rss_mb = _memory_mb("VmRSS", vault.pid)
    vault.terminate()
    complaints = [line for line in vault.stderr if '"level": "info"' not in line]
    vault.wait()
    if complaints:
        raise RuntimeError("".join(complaints))
    return {"wall_s": round(wall_s, 2), "cpu_s": round(cpu_s, 2), "rss_mb": rss_mb}


def _find_delete(folder: Path, count: int) -> Figures:
    folder.mkdir()
    names = [CallId(os.urandom(16).hex()) for _ in range(count)]
    _make_files(folder, iter(names), set(names))
    os.sync()
    started = time.perf_counter()
    finder = subprocess.Popen(["find", str(folder), "-type", "f", "-delete"])
    _, status, used = os.wait4(finder.pid, 0)
    if status:
        raise RuntimeError("find failed")
    return {
        "wall_s": round(time.perf_counter() - started, 3),
        "cpu_s": round(used.ru_utime + used.ru_stime, 3),
    }


def _counters(box: Box) -> Figures:
    """What the first page's numbers cost, in milliseconds: first, and then the second time."""
    asked: dict[str, Callable[[], object]] = {
        "kept": box.catalogue.count_kept,
        "overdue": box.retention.overdue,
        "unreadable": box.playback.unreadable,
    }
    return {name: [_ms(count), _ms(count)] for name, count in asked.items()}


def _ms(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return round((time.perf_counter() - started) * 1000, 2)


def _cpu_s(process: int) -> float:
    # proc(5): the name in brackets may hold blanks; utime and stime are fields 14 and 15.
    fields = Path(f"/proc/{process}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND


def _memory_mb(field: str, process: int | str = "self") -> int:
    for line in Path(f"/proc/{process}/status").read_text("ascii").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) // 1024
    raise RuntimeError(f"the kernel tells no {field}")


def measure_million(folder: Path, a_day: int) -> Figures:
    """All figures; see the module's docstring."""
    figures: Figures = {"calls": _DAYS * a_day}
    with _house(folder, a_day) as house:
        oldest, spread = _fill(house)
        os.sync()
        figures["catalogue_mb"] = (folder / "state/catalogue.sqlite").stat().st_size >> 20
        figures["ring_bytes"] = (folder / "state/ring/ring.a").stat().st_size
        figures["start_up_first"] = _start_up(house)
        figures["start_up"] = _start_up(house)
        with house.opened() as box:
            figures["counters_ms"] = _counters(box)
            figures["find_delete"] = _find_delete(folder / "found", a_day)
            before = box.catalogue.count_kept()
            _make_due(box, oldest)
            figures["forget_oldest_day"] = _cost_of_forgetting(house, box, box.retention.run)
            _must_be(before - box.catalogue.count_kept(), a_day)
            figures["forget_one_call"] = _erasing(house, box, spread[:1])
            figures["forget_spread"] = _erasing(house, box, spread[1:])
            _must_be(before - box.catalogue.count_kept(), a_day + len(spread))
            figures["counters_ms_after"] = _counters(box)
        figures["start_up_after"] = _start_up(house)
    return figures


def _make_due(box: Box, due: Sequence[CallId]) -> None:
    """Their time has come. Only now: a vault that starts runs the retention at once."""
    rows = [{"name": call, "due": box.clock.now_ms() - 1} for call in due]
    statement = calls.update().where(calls.c.call_id == sa.bindparam("name")).values(due_at_ms=sa.bindparam("due"))
    with box.store.transaction() as connection:
        connection.execute(statement, rows)
    box.store.empty_log()


def _erasing(house: _House, box: Box, gone: Sequence[CallId]) -> Figures:
    erase = box.erasure.erase
    return _cost_of_forgetting(house, box, lambda: erase(gone, by="bench", why="asked"))


def _must_be(count: int, expected: int) -> None:
    if count != expected:
        raise RuntimeError(f"{count} calls were forgotten, not {expected}")


def main() -> None:
    """Measure with 10,000 calls a day, or as many as the command line says."""
    a_day = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory(prefix="lk-", dir="/tmp") as folder:
        print(json.dumps(measure_million(Path(folder), a_day), indent=1))


if __name__ == "__main__":
    main()
