"""`linekeep backup`: a copy of the box elsewhere, made now."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.boundary.verbs import BackupState
from appliance.commands.arguments import Commands, add_state
from appliance.terms import StorageTrouble

if TYPE_CHECKING:
    from appliance.boundary.vault import VaultClient
    from appliance.vault.box import Box

NOT_ALL = 1
"""The exit code of a backup in which recordings are missing."""

_LOOK_AGAIN_S = 0.5


def add(commands: Commands) -> None:
    backup = commands.add_parser(
        "backup",
        help="copy recordings, catalogue and sealed keys to another disk; only what is new is copied",
        description="Without the box's TPM or the recovery key nothing in a backup opens. What is forgotten on the box "
        "is removed from the backup that the settings name within seconds, from another one when it is named again.",
    )
    add_state(backup)
    backup.add_argument("--to", type=Path, metavar="DIR", help="instead of the directory that the settings name")
    backup.set_defaults(command=_backup)


def _backup(parsed: argparse.Namespace) -> int:
    from appliance.commands.state import ask_vault_or_open  # noqa: PLC0415 - loaded only by who needs a box

    to = str(parsed.to.absolute()) if parsed.to else ""
    state = ask_vault_or_open(parsed.state, lambda vault: _ask(vault, to), lambda box: _alone(box, to))
    if state.trouble:
        raise StorageTrouble(state.trouble)
    for sentence in state.not_copied:
        print(sentence)  # noqa: T201
    print(f"The backup is made. Recordings in it: {state.calls}.")  # noqa: T201
    return NOT_ALL if state.not_copied else 0


def _ask(vault: VaultClient, to: str) -> BackupState:
    """The vault copies by itself; here somebody watches."""
    state = vault.make_backup(to)
    while state.running:
        time.sleep(_LOOK_AGAIN_S)
        state = vault.backup_state()
        if sys.stderr.isatty():
            print(f"\r{state.seen} of {state.calls} recordings", end="", file=sys.stderr)  # noqa: T201
    return state


def _alone(box: Box, to: str) -> BackupState:
    return box.backup.make_now(to)
