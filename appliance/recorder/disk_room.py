"""Whether the disk has room for recording.

Recording stops while a reserve is still free: a disk filled to the last byte could not even forget, as
forgetting writes a new ring.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from appliance.terms import StorageTrouble

_LOOK_EVERY_S = 1.0
_BACK_AGAIN_BYTES = 1024 * 1024
"""So much above the reserve before recording begins again: eight minutes of a call, so that it does not flutter."""

_MIB = 1024 * 1024


class DiskRoom:
    """Safe for use by several threads; the disk is asked once a second at most.

    Args:
        free_bytes: asks the disk in question. Raises StorageTrouble.
        reserve_mib: below this nothing is recorded.
    """

    def __init__(self, free_bytes: Callable[[], int], reserve_mib: int, *, look_every_s: float = _LOOK_EVERY_S) -> None:
        self._free_bytes = free_bytes
        self._reserve_bytes = reserve_mib * _MIB
        self._look_every_s = look_every_s
        self._lock = threading.Lock()
        self._looked_at_s = float("-inf")
        self._is_low = False

    def is_low(self) -> bool:
        with self._lock:
            now_s = time.monotonic()
            if now_s - self._looked_at_s >= self._look_every_s:
                self._looked_at_s = now_s
                self._is_low = self._ask()
            return self._is_low

    def _ask(self) -> bool:
        try:
            free = self._free_bytes()
        except StorageTrouble:
            # The folder is not there or cannot be read: creating the recording will say so, and better.
            return False
        return free < self._reserve_bytes + (_BACK_AGAIN_BYTES if self._is_low else 0)
