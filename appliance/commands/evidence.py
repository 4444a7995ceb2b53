"""`linekeep evidence verify`: checks an export of evidence, as the verify.py in it does."""

from __future__ import annotations

import argparse
from pathlib import Path

from appliance.commands.arguments import Commands
from appliance.terms import SettingsTrouble

FOUND = 1


def add(commands: Commands) -> None:
    evidence = commands.add_parser("evidence", help="check an export of evidence")
    acts = evidence.add_subparsers(required=True, metavar="verify")
    verify = acts.add_parser("verify", help="1 if something is not proven")
    verify.add_argument("file", type=Path, metavar="FILE.zip")
    verify.add_argument("--root", action="append", default=[], metavar="FINGERPRINT", help="from the box's label")
    verify.set_defaults(command=_verify)


def _verify(parsed: argparse.Namespace) -> int:
    from appliance.vault.evidence import verifier  # noqa: PLC0415 - a daemon must not load what only this needs

    try:
        verdict = verifier.check_export(parsed.file, parsed.root)
    except verifier.Unreadable as error:
        raise SettingsTrouble(str(error)) from error
    print("\n".join(verifier.tell(verdict, asked=bool(parsed.root))))  # noqa: T201
    return FOUND if verdict.findings else 0
