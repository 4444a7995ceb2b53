"""A TPM in software (swtpm), to try Linekeep without the chip. Its keys lie on the same disk: no protection."""

from __future__ import annotations

import shutil
import socket
import struct
import time
from pathlib import Path

from appliance.commands.children import Program
from appliance.settings import Settings
from appliance.terms import KeyTrouble

_READY_WITHIN_S = 10.0
_GET_CAPABILITY = struct.pack(">I", 0x01)
"""A command for the control socket (swtpm_ioctls(3)), without effect."""


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
            control.settimeout(_READY_WITHIN_S)
            try:
                control.connect(str(_control_path(settings)))
                control.sendall(_GET_CAPABILITY)
                if control.recv(64):
                    return
                raise ConnectionResetError
            except OSError as error:
                if time.monotonic() > give_up:
                    raise KeyTrouble("The software TPM does not start; its state may be damaged or in use.") from error
        # swtpm tells nobody when it is ready. Its control socket can be reached before the other one is there, so that
        # it answers is the only sign.
        time.sleep(0.005)


def socket_path(settings: Settings) -> Path:
    return settings.run / "tpm"


def _control_path(settings: Settings) -> Path:
    # tpm2-tss looks for the control socket under this very name.
    return settings.run / "tpm.ctrl"
