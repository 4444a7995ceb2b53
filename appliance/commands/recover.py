"""`linekeep recover`: opens a box with the words of its recovery key, or tries whether that would work."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.commands.arguments import Commands, add_state
from appliance.terms import KeyTrouble, StorageTrouble, parse_call_id

if TYPE_CHECKING:
    from appliance.vault.recovery.copy import RecoveryCopy
    from appliance.vault.recovery.drill import Drilled
    from appliance.vault.recovery.words import RecoveryKey
    from appliance.vault.ring_file import RingContents


NOT_ALL = 1
"""The exit code of a drill after which some calls would stay shut."""
NOTHING_TO_DO = 1
"""That of a recovery which is not needed."""


def add(commands: Commands) -> None:
    recover = commands.add_parser(
        "recover",
        help="open a box with the words of its recovery key, or try whether that would work",
        description="On a new board with a new TPM, or where the PIN is lost: bring the state directory, or a backup "
        "with `linekeep restore`, and type the words, one sheet a line. With --drill nothing is changed: one recording "
        "is opened with the words alone. Type them only on a machine that you trust: they open everything.",
    )
    add_state(recover, "; with --drill a backup will do too")
    recover.add_argument("--drill", action="store_true", help="only try; the box may run")
    recover.add_argument("--call", metavar="ID", help="with --drill: open this call, not the newest")
    recover.add_argument("--to", type=Path, metavar="FILE.ogg", help="with --drill: write the call's audio there")
    recover.add_argument("--go-without", action="store_true", help="go on though some calls are newer than the copy")
    recover.set_defaults(command=_command)


def _command(parsed: argparse.Namespace) -> int:
    if parsed.drill:
        return _drill(parsed)
    return _recover(parsed.state, go_without=parsed.go_without)


def _recover(state: Path, *, go_without: bool) -> int:
    from appliance.clock import Clock  # noqa: PLC0415 - loaded only by who needs a box
    from appliance.commands.state import (  # noqa: PLC0415 - as above
        is_running,
        left_to_owner,
        opened_box,
        reachable_tpm,
        settings_of,
    )
    from appliance.vault.backup.restored import refuse_half_restored  # noqa: PLC0415 - as above
    from appliance.vault.box import reach_tpm  # noqa: PLC0415 - as above
    from appliance.vault.recovery.drill import count_opening, ground_in  # noqa: PLC0415 - as above
    from appliance.vault.recovery.recovering import copy_in, recover_ring  # noqa: PLC0415 - as above
    from appliance.vault.ring import RingExists  # noqa: PLC0415 - as above
    from appliance.vault.state_lock import lock_state  # noqa: PLC0415 - as above

    settings = settings_of(state)
    if is_running(state):
        raise StorageTrouble(f"A Linekeep runs in {state}. Nothing was changed; stop it first.")
    refuse_half_restored(state)
    contents = _opened(copy_in(state / "ring"))
    opening, kept = count_opening(ground_in(state), contents)
    if opening < kept and not go_without:
        raise KeyTrouble(
            f"This recovery copy has keys for {opening} of {kept} calls: it is older than the others. Nothing was "
            "changed. Look for a newer file ring.recovery, in a backup or on the old board's disk; or lose those calls "
            "with --go-without."
        )
    with ExitStack() as stack:
        stack.enter_context(left_to_owner(state))
        stack.callback(lock_state(state))
        tpm = reach_tpm(stack.enter_context(reachable_tpm(settings)))
        stack.callback(tpm.close)
        try:
            recover_ring(state / "ring", tpm, contents, now_ms=Clock().now_ms())
        except RingExists as nothing_to_do:
            print(nothing_to_do)  # noqa: T201
            return NOTHING_TO_DO
    print("The words fit. Every call is being wrapped again under fresh keys.")  # noqa: T201
    with opened_box(settings) as box:
        box.sign_journal_head()  # a TPM that has signed nothing yet looks like one whose heads were cut off
        print(f"Calls that open: {opening} of {kept}. The box starts without a PIN now.")  # noqa: T201
        print(f"Its new root certificate, for the label: {box.notary.chain.root_fingerprint}")  # noqa: T201
    print("The words stay valid.")  # noqa: T201
    if sys.stdin.isatty():
        print("Run `linekeep check` now, then start the box as usual.")  # noqa: T201
    return 0


def _drill(parsed: argparse.Namespace) -> int:
    from appliance.vault.recovery.drill import count_opening, drill, ground_in  # noqa: PLC0415 - loaded only by who needs it
    from appliance.vault.recovery.recovering import copy_in  # noqa: PLC0415 - as above

    call = None if parsed.call is None else parse_call_id(parsed.call)
    ground = ground_in(parsed.state)
    contents = _opened(copy_in(ground.ring))
    with ExitStack() as stack:
        # For who asked, and nobody else on this machine.
        audio_to = stack.enter_context(open(parsed.to, "xb", opener=_private)) if parsed.to else None
        drilled = drill(ground, contents, call, audio_to)
        opening, kept = count_opening(ground, contents)
    began = datetime.fromtimestamp(drilled.started_at_ms / 1000, tz=UTC).strftime("%Y-%m-%d %H:%M UTC")
    print(  # noqa: T201
        f"The words open call {drilled.call}, of {began} on {drilled.line}: all of its {drilled.seconds:.0f} seconds."
    )
    print(f"The recovery copy has keys for {opening} of {kept} calls.")  # noqa: T201
    _note(parsed.state, drilled)
    return 0 if opening == kept else NOT_ALL


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _note(state: Path, drilled: Drilled) -> None:
    """Have the running vault journal it; it is no part of the proof."""
    from appliance.boundary.vault import VaultAway, VaultClient  # noqa: PLC0415 - as above
    from appliance.boundary.verbs import Caller  # noqa: PLC0415 - as above
    from appliance.commands.state import settings_of  # noqa: PLC0415 - as above
    from appliance.terms import LinekeepError  # noqa: PLC0415 - as above

    try:
        VaultClient(settings_of(state).vault_socket(Caller.CONSOLE)).note_drill(drilled.call)
    except (VaultAway, StorageTrouble):
        print("No vault runs here, so its journal does not say so.")  # noqa: T201
    except LinekeepError as trouble:
        print(f"The journal does not say so: {trouble}")  # noqa: T201


def _opened(copy: RecoveryCopy) -> RingContents:
    from appliance.vault.recovery.copy import open_copy  # noqa: PLC0415 - as above

    return open_copy(copy, _typed_key(copy.choice.needed))


def _typed_key(needed: int) -> RecoveryKey:
    """The key from sheets as they are typed; a sheet that is wrong is asked for again on a terminal."""
    from appliance.vault.recovery.words import SheetsMissing, key_of  # noqa: PLC0415 - as above

    if not sys.stdin.isatty():
        return key_of(sys.stdin.read().splitlines())
    print(f"Sheets needed: {needed}. Type the 33 words of a sheet in one line, then Enter.")  # noqa: T201
    sheets: list[str] = []
    while True:
        line = input(f"Sheet {len(sheets) + 1}: ")
        if not line.strip():
            raise KeyTrouble("No words were typed. Nothing was changed.")
        try:
            return key_of([*sheets, line])
        except SheetsMissing:
            sheets.append(line)
        except KeyTrouble as trouble:
            print(trouble)  # noqa: T201
