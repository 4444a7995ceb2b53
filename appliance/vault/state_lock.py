"""One process at a time has a state directory: the kernel's lock, gone with the process."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from appliance.recordings.disk import sync_folder
from appliance.terms import StorageTrouble


def lock_state(state: Path) -> Callable[[], None]:
    """Make the directory if there is none, and take its lock; what gives it back.

    Raises StorageTrouble: it cannot be used, or another process has it.
    """
    try:
        state.mkdir(mode=0o751, parents=True, exist_ok=True)
        with suppress(PermissionError):  # who may not read the folder above has not made this one either
            sync_folder(state.parent)
        lock = os.open(state / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StorageTrouble(f"The state directory {state} cannot be used: {error.strerror}.") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise StorageTrouble(f"The state directory {state} is in use by another Linekeep.") from error
    return lambda: os.close(lock)
