"""`linekeep disk-key`: writes the disk's key slot for the recovery key, when the vault asks. In the image; as root."""

from __future__ import annotations

import argparse
import socket
from pathlib import Path

from appliance.boundary.root_helper import HelperAnswer, KeepKeySlot, PutKeySlot, answer_one
from appliance.commands.arguments import Commands
from appliance.commands.luks import LuksPartition
from appliance.terms import StorageTrouble


def add(commands: Commands) -> None:
    disk_key = commands.add_parser("disk-key", help="let the recovery key open the disk of a box; for the image")
    disk_key.add_argument("device", type=Path, metavar="DEVICE", help="the data partition; asked on standard input")
    disk_key.add_argument("--below", type=Path, metavar="DIR", help="what is mounted from it")
    disk_key.set_defaults(command=_disk_key)


def _disk_key(parsed: argparse.Namespace) -> int:
    partition = LuksPartition(parsed.device)

    def handle(request: PutKeySlot | KeepKeySlot) -> HelperAnswer:
        if parsed.below is not None and not partition.is_below(parsed.below):
            raise StorageTrouble(f"{parsed.device} is not the disk of this box.")
        match request:
            case PutKeySlot():
                partition.put(request.public_key, request.passphrase)
                return HelperAnswer(yes=True)
            case KeepKeySlot():
                return HelperAnswer(yes=partition.keep(request.public_key))

    with socket.socket(fileno=0) as connection:
        answer_one(connection, PutKeySlot | KeepKeySlot, handle)
    return 0
