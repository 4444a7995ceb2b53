"""`linekeep check`: asks the running vault; if none runs, opens the box itself and looks."""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import msgspec

from appliance import software_tpm
from appliance.boundary.vault import VaultAway, VaultClient
from appliance.boundary.verbs import Caller
from appliance.children import Child
from appliance.daemon import start_log
from appliance.settings import SETTINGS_NAME, SOFTWARE_TPM, Settings, read_settings
from appliance.terms import StorageTrouble
from appliance.vault.box import Box
from appliance.vault.check import find_faults

_VAULT_RETURNS_WITHIN_S = 15.0


def check_state(state: Path) -> list[str]:
    """One sentence a finding. Raises LinekeepError if the box cannot be opened at all."""
    settings_file = state / SETTINGS_NAME
    if not settings_file.exists():
        raise StorageTrouble(
            f"{state} is no state directory of Linekeep: it has no {SETTINGS_NAME}. Name the right one."
        )
    settings = read_settings(settings_file)
    give_up = time.monotonic() + _VAULT_RETURNS_WITHIN_S
    while True:
        try:
            return list(VaultClient(settings.vault_socket(Caller.CONSOLE)).check())
        except VaultAway:
            if not _is_running(state):
                return _check_alone(settings)
            if time.monotonic() > give_up:
                raise
            time.sleep(0.2)  # the vault is being restarted


def _is_running(state: Path) -> bool:
    """Does a demonstration hold this directory, whatever its vault is doing at the moment?"""
    lock_file = state / "demo.lock"
    if not lock_file.exists():
        return False
    lock = os.open(lock_file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def _check_alone(settings: Settings) -> list[str]:
    with ExitStack() as stack:
        run = stack.enter_context(tempfile.TemporaryDirectory(prefix="linekeep-"))
        settings = msgspec.structs.replace(settings, run_dir=run)
        if settings.vault.tpm == SOFTWARE_TPM:
            tpm = Child(software_tpm.program(settings), lambda _name, _line: None, lambda _name: None)
            tpm.start()
            stack.callback(tpm.stop)
            software_tpm.wait_until_ready(settings)
        box = Box(settings, start_log("check"))
        stack.callback(box.close)
        return list(find_faults(box))
