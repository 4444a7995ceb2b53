"""`linekeep recover-box`: opens a box with the words that were brought on a stick. In the image; as root.

Nobody can type on such a box, and its disk too opens with its TPM only. Whoever reads the stick has no right to the
disk, and asks here (boundary/root_helper.py):

    the disk is shut    the words open it, so the TPM that is there gets its key in place of the former one. The box
                        must be restarted then, and comes to the second row
    the disk is open    the vault is stopped, and the ring is made for the TPM that is there: it is another one, its
                        registers have changed, the PIN is lost, ring files are
    a trial             nothing is changed: one recording is opened with the words alone, and the disk would open too

Each step can be cut and done again: the words open the disk whatever a TPM does. Root touches the disk and nothing
else: what is read of the vault's folder is read by the vault's user, in `linekeep recover`. The unit starts the vault
again, however this ends.
"""

from __future__ import annotations

import argparse
import os
import pwd
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.boundary.root_helper import HelperAnswer, RecoverBox, RestartBox, TryRecovery, answer_one
from appliance.commands.arguments import Commands
from appliance.commands.luks import LuksPartition
from appliance.commands.recover import NOT_ALL, NOTHING_TO_DO
from appliance.settings import BOX_STATE
from appliance.terms import KeyTrouble, StorageTrouble

if TYPE_CHECKING:
    from appliance.vault.recovery.words import RecoveryKey

_VAULT = "linekeep-vault"


def add(commands: Commands) -> None:
    recover = commands.add_parser("recover-box", help="open a box with the words on a stick; for the image")
    recover.add_argument("device", type=Path, metavar="DEVICE", help="the data partition; asked on standard input")
    recover.add_argument("--opened", type=Path, required=True, metavar="DEVICE", help="what it is when it is open")
    recover.set_defaults(command=_recover_box)


def _recover_box(parsed: argparse.Namespace) -> int:
    helper = _Helper(LuksPartition(parsed.device), parsed.opened)
    with socket.socket(fileno=0) as connection:
        answer_one(connection, RecoverBox | TryRecovery | RestartBox, helper.handle)
    return 0


class _Helper:
    def __init__(self, partition: LuksPartition, opened: Path) -> None:
        self._partition = partition
        self._opened = opened

    def handle(self, request: RecoverBox | TryRecovery | RestartBox) -> HelperAnswer:
        match request:
            case RecoverBox() if os.path.ismount(BOX_STATE):
                _systemctl("stop", f"{_VAULT}.service")
                return HelperAnswer(said=_as_vault("recover", typed=request.sheets, done=(0, NOTHING_TO_DO)))
            case RecoverBox():
                return self._unlock(_key_of(request.sheets))
            case TryRecovery() if os.path.ismount(BOX_STATE):
                said = _as_vault("recover", "--drill", typed=request.sheets, done=(0, NOT_ALL))
                self._must_open(_key_of(request.sheets))
                return HelperAnswer(said=(*said, "They open the disk too."))
            case TryRecovery():
                raise StorageTrouble("The disk of this box is shut, so there is nothing to try the words on.")
            case RestartBox():
                _systemctl("reboot")
                return HelperAnswer(yes=True)

    def _unlock(self, key: RecoveryKey) -> HelperAnswer:
        if self._opened.exists():
            raise StorageTrouble(
                "The disk of this box opens by itself, but what is on it cannot be read. Words do not help there. "
                "Nothing was changed; keep the disk, it may be possible to repair it."
            )
        self._must_open(key)
        self._partition.seal_to_tpm(key.disk_passphrase)
        return HelperAnswer(restart=True)

    def _must_open(self, key: RecoveryKey) -> None:
        if not self._partition.opens_with(key.disk_passphrase):
            raise KeyTrouble(
                "These words are in order, but they do not open the disk of this box: they are those of another box, "
                "or of a recovery key that this box had before. Nothing was changed."
            )


def _key_of(sheets: Sequence[str]) -> RecoveryKey:
    from appliance.vault.recovery.words import key_of  # noqa: PLC0415 - loaded only by who needs it

    return key_of(sheets)


def _as_vault(*command: str, typed: Sequence[str], done: tuple[int, ...]) -> tuple[str, ...]:
    """Run a command of ours as the vault's user. Returns: what it says. Raises StorageTrouble: it could not."""
    user = pwd.getpwnam(_VAULT)
    ran = subprocess.run(
        [sys.executable, "-m", "appliance.cli", *command, "--state", str(BOX_STATE)],
        input="\n".join(typed),
        user=user.pw_uid,
        group=user.pw_gid,
        extra_groups=os.getgrouplist(_VAULT, user.pw_gid),
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode not in done:
        lines = ran.stderr.strip().splitlines() or [f"linekeep {command[0]} ended with {ran.returncode}"]
        raise StorageTrouble(lines[-1].removeprefix("linekeep: "))
    return tuple(ran.stdout.splitlines())


def _systemctl(*how: str) -> None:
    done = subprocess.run(["systemctl", *how], capture_output=True, text=True, check=False)
    if done.returncode:
        raise StorageTrouble(f"systemd does not {' '.join(how)}: {' '.join(done.stderr.split())[:300]}")
