"""A process that works with a ring until it is killed: `python -m tests.simulators.ring_worker TCTI RING ATTIC`.

Before each commit it prints the keys that the ring will hold, on one line; so the keys that it holds at any moment
are those of the last line or of the one before. Every byte written to the ring is kept in the attic too.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

from appliance.vault.ring import Ring, RingContents, RingMissing
from appliance.vault.ring_folder import Disk
from appliance.vault.tpm import Tpm
from tests.simulators.ring_world import with_fresh_bucket, without


class _KeepingDisk(Disk):
    def __init__(self, attic: Path) -> None:
        self._attic = attic

    def write(self, path: Path, content: bytes) -> None:
        (self._attic / f"{sum(1 for _ in self._attic.iterdir()):05}").write_bytes(content)
        super().write(path, content)


def _announce(contents: RingContents) -> None:
    print(*(bucket.key.hex() for bucket in contents.buckets.values()), flush=True)


def main(tcti: str, folder: Path, attic: Path) -> None:
    """Add two, forget two, and so on."""
    tpm, disk = Tpm(tcti), _KeepingDisk(attic)
    tpm.provision()
    try:
        ring = Ring.open(folder, tpm, disk=disk)
    except RingMissing:
        _announce(RingContents(buckets={}, secrets={}))
        ring = Ring.create(folder, tpm, disk=disk)
    _announce(ring.contents)
    for change in itertools.cycle((with_fresh_bucket, with_fresh_bucket, without, without)):
        wished = change(ring.contents, "2026-01-30") if change is with_fresh_bucket else without(ring.contents, 2)
        _announce(wished)
        ring.commit(wished)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
