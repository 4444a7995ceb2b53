"""`linekeep restore`: brings a backup back, on the same box or a new one."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.commands.arguments import Commands, add_state
from appliance.terms import KeyTrouble, StorageTrouble

if TYPE_CHECKING:
    from appliance.vault.backup.place import BackupFolder
    from appliance.vault.backup.restoring import Outcome

NOT_ALL = 1
"""The exit code of a restore after which recordings are missing."""


def add(commands: Commands) -> None:
    restore = commands.add_parser(
        "restore",
        help="bring back from a backup what is missing or damaged",
        description="What is there and whole stays, above all the ring of keys. What has been forgotten, before the "
        "backup or since, stays forgotten: the journal, the backup's list and receipts say what that is.",
    )
    restore.add_argument("--from", dest="source", type=Path, required=True, metavar="DIR", help="the backup")
    add_state(restore)
    restore.add_argument(
        "--receipts", type=Path, nargs="+", default=[], metavar="FILE", help="deletion receipts that somebody has kept"
    )
    restore.set_defaults(command=_restore)


def _restore(parsed: argparse.Namespace) -> int:
    from appliance.clock import Clock  # noqa: PLC0415 - loaded only by who needs a box
    from appliance.commands.state import is_running, left_to_owner  # noqa: PLC0415 - as above
    from appliance.vault.backup.place import BackupFolder  # noqa: PLC0415 - as above
    from appliance.vault.backup.restoring import Restoring  # noqa: PLC0415 - as above

    if is_running(parsed.state):
        raise StorageTrouble(f"A Linekeep runs in {parsed.state}. Nothing was changed; stop it first.")
    backup = BackupFolder(parsed.source)
    with left_to_owner(parsed.state):
        outcome = Restoring(backup, parsed.state, receipts=parsed.receipts, clock=Clock()).run()
    _say(outcome)
    _open(parsed.state, backup)
    return NOT_ALL if outcome.not_restored else 0


def _say(outcome: Outcome) -> None:
    print(outcome.restored.sentence())  # noqa: T201
    print(f"Recordings brought back: {outcome.restored.recordings}.")  # noqa: T201
    if outcome.has_catalogue_from_backup:
        print(  # noqa: T201
            "The catalogue is the backup's; everybody must log in again. A damaged one, if there was one, lies beside "
            "it as catalogue.sqlite.damaged: delete it once all is well."
        )
    for call, why in outcome.not_restored.items():
        print(f"Call {call}: not brought back, {why}.")  # noqa: T201


def _open(state: Path, backup: BackupFolder) -> None:
    """Say whether the ring opens with this TPM, and finish what needs it."""
    from appliance.commands.state import opened_box, settings_of  # noqa: PLC0415 - as above
    from appliance.vault.backup.mending import mend, settle  # noqa: PLC0415 - as above
    from appliance.vault.tpm import PinNeeded  # noqa: PLC0415 - as above

    try:
        with opened_box(settings_of(state)) as box:
            settle(box)
            mended = mend(box, backup)
    except PinNeeded:
        print("The ring of keys asks for its PIN; start the box as usual.")  # noqa: T201
    except KeyTrouble as trouble:
        print(f"The ring of keys does not open with this TPM. {trouble}")  # noqa: T201
        print(f"Next: `linekeep recover --state {state}` with the words of the recovery key.")  # noqa: T201
    else:
        if mended:
            print(f"Damaged recordings replaced: {mended}.")  # noqa: T201
        print("The ring of keys opens with this TPM. Run `linekeep check` now.")  # noqa: T201
