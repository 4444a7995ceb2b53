"""What the ring costs on a software TPM: `python -m tests.bench.ring_costs`. Medians in milliseconds.

A chip is 5 to 50 times slower; run it there with its TCTI as the only argument, on a TPM that may be written to.
"""

from __future__ import annotations

import contextlib
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from appliance.vault.ring import Bucket, Ring, RingContents, fresh_bucket_id
from appliance.vault.tpm import Tpm
from appliance.vault.tpm_policy import next_state
from tests.simulators.software_tpm import SoftwareTpm

_ROUNDS = 50
_BUCKETS = 440
"""Fill a file of 30 kB: a year of days, and some that were forgotten in part."""


def _median_ms(work: Callable[[], object]) -> float:
    taken = []
    for _ in range(_ROUNDS):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken) * 1000


@contextlib.contextmanager
def _tcti(folder: Path) -> Iterator[str]:
    if len(sys.argv) > 1:
        yield sys.argv[1]
        return
    with SoftwareTpm(folder / "tpm", folder / "run") as chip:
        yield chip.tcti


def main() -> None:
    """Print one line for each figure."""
    with TemporaryDirectory(prefix="lk-") as name, _tcti(Path(name)) as tcti, contextlib.closing(Tpm(tcti)) as tpm:
        tpm.provision()
        folder = Path(name) / "ring"
        states = tpm.ring_state(), next_state(tpm.ring_state(), bytes(32))
        sealed = tpm.seal(bytes(32), states)
        figures = {
            "read the state": _median_ms(tpm.ring_state),
            "flush sessions": _median_ms(tpm.flush_sessions),
            "seal": _median_ms(lambda: tpm.seal(bytes(32), states)),
            "unseal": _median_ms(lambda: tpm.unseal(sealed)),
            "extend": _median_ms(lambda: tpm.extend(bytes(32))),
        }
        ring = Ring.create(folder, tpm)
        ring.commit(
            RingContents(buckets={fresh_bucket_id(): Bucket.fresh("2026-01-30") for _ in range(_BUCKETS)}, secrets={})
        )
        size = (folder / "ring.a").stat().st_size
        figures[f"commit, file of {size} bytes"] = _median_ms(lambda: ring.commit(ring.contents))
        figures[f"open, file of {size} bytes"] = _median_ms(lambda: Ring.open(folder, tpm))
        for what, median in figures.items():
            print(f"{what:32} {median:6.1f} ms")


if __name__ == "__main__":
    main()
