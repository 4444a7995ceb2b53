"""What a backup costs: `python -m tests.bench.backup [CALLS] [ROWS]`.

CALLS recordings of a minute are copied to a directory on the same disk, then one more; then one is forgotten and the
backup is told. ROWS more calls are only in the catalogue, as those of a large box are.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import sqlalchemy as sa

from appliance.recordings.sealing import wrap_key
from appliance.terms import CallId
from appliance.vault.box import Box
from appliance.vault.store import call_keys, calls
from tests.simulators.software_tpm import SoftwareTpm
from tests.vault.backup.backup_house import BackedUp, back_up
from tests.vault.box_house import BoxHouse, kept_call

_BATCH = 10_000


def fill(box: Box, rows: int) -> None:
    bucket, keys = next(iter(box.ring.contents.buckets.items()))
    for start in range(0, rows, _BATCH):
        ids = [os.urandom(16).hex() for _ in range(min(_BATCH, rows - start))]
        row = {"line": "front-desk", "state": "kept", "issued_at_ms": 1, "direction": "unknown", "card": bytes(540)}
        row |= {"deletion_class": "standard", "started_at_ms": 1, "length_ms": 60_000, "due_at_ms": 1 << 50}
        with box.store.transaction() as connection:
            connection.execute(sa.insert(calls), [{"call_id": name, **row} for name in ids])
            wraps = [
                {"call_id": name, "bucket_id": bucket, "wrapped": wrap_key(keys.key, CallId(name), bucket, bytes(32))}
                for name in ids
            ]
            connection.execute(sa.insert(call_keys), wraps)


def copies_of(box: Box, call: CallId, count: int) -> None:
    """Files only: the backup copies bytes, whoever's they are."""
    path = box.folder.finished_path(call)
    for _ in range(count):
        shutil.copy(path, path.with_name(os.urandom(16).hex()))


def timed(what: str, work: Callable[[], object]) -> None:
    began_s, cpu_s = time.monotonic(), time.process_time()
    work()
    print(f"{what:45} {time.monotonic() - began_s:7.2f} s  {time.process_time() - cpu_s:7.2f} s processor")


def main(count: int, rows: int) -> None:
    with (
        TemporaryDirectory(prefix="lk-") as run,
        TemporaryDirectory(prefix="lk-bench-") as folder,
        SoftwareTpm(Path(folder) / "tpm", Path(run)),
    ):
        backed_up = BackedUp(BoxHouse(Path(folder), Path(run)), "bench")
        with backed_up.opened() as box:
            gone = kept_call(box, seconds=60)
            copies_of(box, gone, count - 1)
            fill(box, rows)
            timed(f"first, {count} recordings, {rows} rows", lambda: back_up(box))
            kept_call(box)
            timed("next, one more recording", lambda: back_up(box))
            timed("forget one (the ring)", lambda: box.erasure.erase([gone], by="bench", why="asked"))
            timed("tell the backup", box.backup.keep_in_step)
            for name in ("catalogue.sqlite", "wraps"):
                print(f"{name:45} {(backed_up.directory / name).stat().st_size / 1e6:7.1f} MB")


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]) if len(sys.argv) == 3 else (1000, 6000))
