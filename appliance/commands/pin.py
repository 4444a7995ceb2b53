"""`linekeep pin` and what belongs to it: a PIN that the box asks for at every start."""

from __future__ import annotations

import argparse
import getpass
import sys
from pathlib import Path

from appliance.boundary.vault import VaultClient
from appliance.boundary.verbs import PIN_MIN_LENGTH, Caller
from appliance.commands.arguments import Commands, add_state
from appliance.commands.state import settings_of
from appliance.terms import SettingsTrouble


def add(commands: Commands) -> None:
    pin = commands.add_parser(
        "pin",
        help="have the box ask for a PIN at every start, or no longer",
        description="With a PIN a stolen box does not start by itself: the TPM gives the keys out for it only, and "
        "after ten wrong ones makes everybody wait. Price: after a power cut nothing is recorded until somebody types "
        "it, and without PIN and recovery key the recordings are lost.",
    )
    pin.add_argument("action", choices=("set", "remove"))
    add_state(pin)
    pin.set_defaults(command=_pin)

    unlock = commands.add_parser("unlock", help="type the PIN that the box asks for after its start")
    add_state(unlock)
    unlock.set_defaults(command=_unlock)


def _pin(parsed: argparse.Namespace) -> int:
    pin = _new_pin() if parsed.action == "set" else None
    _vault(parsed.state).set_pin(pin)
    print("The box asks for this PIN at its next start." if pin else "The box starts without a PIN.")  # noqa: T201
    return 0


def _unlock(parsed: argparse.Namespace) -> int:
    _vault(parsed.state).unlock(_typed("PIN: "))
    print("The box is unlocked.")  # noqa: T201
    return 0


def _new_pin() -> str:
    pin = _typed(f"New PIN, at least {PIN_MIN_LENGTH} characters: ")
    if len(pin) < PIN_MIN_LENGTH:
        raise SettingsTrouble(f"A PIN needs at least {PIN_MIN_LENGTH} characters. Nothing was changed.")
    if _typed("The same again: ") != pin:
        raise SettingsTrouble("The two are not the same. Nothing was changed.")
    return pin


def _typed(prompt: str) -> str:
    """What is typed unseen, or a line of the standard input if that is no terminal."""
    return getpass.getpass(prompt) if sys.stdin.isatty() else sys.stdin.readline().removesuffix("\n")


def _vault(state: Path) -> VaultClient:
    return VaultClient(settings_of(state).vault_socket(Caller.CONSOLE))
