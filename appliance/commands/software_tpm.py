"""A TPM in software (swtpm), to try Linekeep without the chip. Its keys lie on the same disk: no protection."""

from __future__ import annotations

import shutil
import socket
import time
from pathlib import Path

from appliance.commands.children import Program
from appliance.settings import Settings
from appliance.terms import KeyTrouble

_READY_WITHIN_S = 10.0


def program(settings: Settings) -> Program:
    """How to start it over this state directory. Raises KeyTrouble if it is not installed."""
    if shutil.which("swtpm") is None:
        raise KeyTrouble("The software TPM is not installed, so no key can be made. Install the package 'swtpm'.")
    state = settings.state / "tpm"
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    command = [
        *("swtpm", "socket", "--tpm2", "--tpmstate", f"dir={state.absolute()}"),
        *("--server", f"type=unixio,path={socket_path(settings)}"),
        *("--ctrl", f"type=unixio,path={_control_path(settings)}"),
        *("--flags", "not-need-init,startup-clear"),
    ]
    return Program(name="tpm", command=command, environment={})


def wait_until_ready(settings: Settings) -> None:
    """Raises KeyTrouble if it does not answer in time."""
    give_up = time.monotonic() + _READY_WITHIN_S
    while True:
        with socket.socket(socket.AF_UNIX) as control:
            try:
                control.connect(str(_control_path(settings)))
            except OSError as error:
                if time.monotonic() > give_up:
                    raise KeyTrouble("The software TPM does not start; its state may be damaged or in use.") from error
            else:
                return
        # swtpm tells nobody when it is ready; that its control socket answers is the only sign.
        time.sleep(0.005)


def socket_path(settings: Settings) -> Path:
    return settings.run / "tpm"


def _control_path(settings: Settings) -> Path:
    # tpm2-tss looks for the control socket under this very name.
    return settings.run / "tpm.ctrl"
