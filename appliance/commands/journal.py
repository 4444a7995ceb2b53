"""`linekeep journal`: exports the journal with its signed heads, and checks an export, also on another computer."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.commands.arguments import Commands, add_state
from appliance.terms import SettingsTrouble, StorageTrouble

if TYPE_CHECKING:
    from appliance.boundary.vault import VaultClient
    from appliance.vault.box import Box


def add(commands: Commands) -> None:
    journal = commands.add_parser("journal", help="export the journal of acts, or check an export")
    actions = journal.add_subparsers(required=True, metavar="ACTION")
    export = actions.add_parser("export", help="write journal, signed heads, certificates and verifier to a ZIP")
    add_state(export)
    export.add_argument("file", type=Path, metavar="FILE")
    export.set_defaults(command=_export)
    verify = actions.add_parser("verify", help="check an export; needs no box; 1 if something is wrong")
    verify.add_argument("file", type=Path, metavar="FILE")
    verify.add_argument("--root", metavar="FINGERPRINT", help="as on the box's label")
    verify.add_argument("--earlier", type=Path, metavar="FILE", help="an earlier export of the same box")
    verify.set_defaults(command=_verify)


def _export(parsed: argparse.Namespace) -> int:
    from appliance.commands.state import ask_vault_or_open  # noqa: PLC0415 - verifying needs no box
    from appliance.vault.evidence.identity import CHAIN_NAME  # noqa: PLC0415 - as above
    from appliance.vault.evidence.journal_export import write_export  # noqa: PLC0415 - as above

    if parsed.file.exists():
        raise StorageTrouble(f"{parsed.file} is there already. Nothing was written; name another file.")

    def ask(vault: VaultClient) -> tuple[int, int]:
        head = vault.sign_journal()
        return head.journal_bytes, head.heads_bytes

    journal_bytes, heads_bytes = ask_vault_or_open(parsed.state, ask, _sign_alone)
    write_export(
        parsed.file,
        journal=parsed.state / "journal" / "acts.jsonl",
        heads=parsed.state / "journal" / "heads.jsonl",
        chain=parsed.state / "identity" / CHAIN_NAME,
        journal_bytes=journal_bytes,
        heads_bytes=heads_bytes,
    )
    print(f"{parsed.file} is written. Check it anywhere: linekeep journal verify {parsed.file}")  # noqa: T201
    return 0


def _sign_alone(box: Box) -> tuple[int, int]:
    head = box.journal_desk.sign_export(by="console")
    return head.journal_bytes, head.heads_bytes


def _verify(parsed: argparse.Namespace) -> int:
    from appliance.vault.evidence.journal_verifier import show, verify_export  # noqa: PLC0415 - only here
    from appliance.vault.evidence.verifier import NotProven  # noqa: PLC0415 - as above

    try:
        return show(verify_export(parsed.file, root=parsed.root, earlier=parsed.earlier))
    except NotProven as wrong:
        raise SettingsTrouble(str(wrong)) from wrong
