"""`linekeep recover-box`: opens a box with the words that were brought on a stick. In the image; as root.

Nobody can type on such a box, and its disk too opens with its TPM only. Whoever reads the stick has no right to the
disk, and asks here (boundary/root_helper.py):

    the disk is shut    the words open it, so the TPM that is there gets its key in place of the former one. The box
                        must be restarted then, and comes to the second row
    the disk is open    the vault is stopped, and the ring is made for the TPM that is there: it is another one, its
                        registers have changed, the PIN is lost, ring files are
    a trial             nothing is changed: one recording is opened with the words alone, and the disk would open too

Each step can be cut and done again: the words open the disk whatever a TPM does.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.boundary.root_helper import HelperAnswer, RecoverBox, TryRecovery, answer_one
from appliance.commands.arguments import Commands
from appliance.commands.luks import LuksPartition
from appliance.commands.recover import drilled, recovered
from appliance.settings import BOX_STATE
from appliance.terms import KeyTrouble, StorageTrouble

if TYPE_CHECKING:
    from appliance.vault.recovery.words import RecoveryKey
    from appliance.vault.ring_file import RingContents


def add(commands: Commands) -> None:
    recover = commands.add_parser("recover-box", help="open a box with the words on a stick; for the image")
    recover.add_argument("device", type=Path, metavar="DEVICE", help="the data partition; asked on standard input")
    recover.set_defaults(command=_recover_box)


def _recover_box(parsed: argparse.Namespace) -> int:
    helper = _Helper(LuksPartition(parsed.device))
    with socket.socket(fileno=0) as connection:
        answer_one(connection, RecoverBox | TryRecovery, helper.handle)
    return 0


class _Helper:
    def __init__(self, partition: LuksPartition) -> None:
        self._partition = partition

    def handle(self, request: RecoverBox | TryRecovery) -> HelperAnswer:
        from appliance.vault.recovery.words import RecoveryKey  # noqa: PLC0415 - loaded only by who needs it

        key, is_open = RecoveryKey(bytes.fromhex(request.secret)), os.path.ismount(BOX_STATE)
        match request:
            case TryRecovery() if is_open:
                return self._try(key)
            case TryRecovery():
                raise StorageTrouble("The disk of this box is shut, so there is nothing to try the words on.")
            case RecoverBox() if is_open:
                return self._recover(key)
            case RecoverBox():
                self._must_open(key)
                self._partition.seal_to_tpm(key.disk_passphrase)
                return HelperAnswer(restart=True)

    def _recover(self, key: RecoveryKey) -> HelperAnswer:
        from appliance.vault.ring import RingExists  # noqa: PLC0415 - as above

        contents = _contents(key)
        with _without_vault():
            try:
                return HelperAnswer(said=tuple(recovered(BOX_STATE, contents)))
            except RingExists as nothing_to_do:
                return HelperAnswer(said=(str(nothing_to_do),))

    def _try(self, key: RecoveryKey) -> HelperAnswer:
        _opens_all, told = drilled(BOX_STATE, _contents(key))
        self._must_open(key)
        return HelperAnswer(said=(*told, "They open the disk too."))

    def _must_open(self, key: RecoveryKey) -> None:
        if not self._partition.opens_with(key.disk_passphrase):
            raise KeyTrouble(
                "These words are in order, but they do not open the disk of this box: they are those of another box, "
                "or of a recovery key that this box had before. Nothing was changed."
            )


def _contents(key: RecoveryKey) -> RingContents:
    from appliance.vault.recovery.copy import open_copy  # noqa: PLC0415 - as above
    from appliance.vault.recovery.recovering import copy_in  # noqa: PLC0415 - as above

    return open_copy(copy_in(BOX_STATE / "ring"), key)


@contextmanager
def _without_vault() -> Iterator[None]:
    _systemctl("stop")
    try:
        yield
    finally:
        _systemctl("start", "--no-block")


def _systemctl(*how: str) -> None:
    command = ["systemctl", *how, "linekeep-vault.service"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StorageTrouble(f"systemd does not {how[0]} the vault: {' '.join(done.stderr.split())[:300]}")
