"""`linekeep check`: compares recordings, keys, catalogue and journal."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from appliance.boundary.verbs import CheckFindings
from appliance.commands.arguments import Commands, add_state

if TYPE_CHECKING:
    from appliance.vault.box import Box

FOUND = 1
"""The exit code of a check that found something."""


def add(commands: Commands) -> None:
    check = commands.add_parser(
        "check", help="compare recordings, keys, catalogue and journal; 1 if something is wrong"
    )
    add_state(check)
    check.set_defaults(command=_check)


def _check(parsed: argparse.Namespace) -> int:
    from appliance.commands.state import ask_vault_or_open  # noqa: PLC0415 - loaded only by who needs a box

    said = ask_vault_or_open(parsed.state, lambda vault: vault.check(), _findings)
    for sentence in (*said.findings, *said.notes):
        print(sentence)  # noqa: T201
    return FOUND if said.findings else 0


def _findings(box: Box) -> CheckFindings:
    from appliance.vault.check import check_box  # noqa: PLC0415 - as above

    return check_box(box)
