"""`linekeep boot-policy`: for whoever makes updates. Vouches for the register values of a new image."""

from __future__ import annotations

import argparse
from pathlib import Path

from appliance.commands.arguments import Commands
from appliance.terms import SettingsTrouble, StorageTrouble


def add(commands: Commands) -> None:
    policy = commands.add_parser("boot-policy", help="vouch for the register values of an update; for its maker")
    actions = policy.add_subparsers(required=True, metavar="ACTION")
    sign = actions.add_parser("sign", help="write a signed boot policy")
    sign.add_argument("--key", type=Path, required=True, metavar="FILE", help="ECDSA P-256 private key, PEM")
    sign.add_argument(
        "--pcr", type=_register, action="append", required=True, metavar="N=HEX", help="a register and its value"
    )
    sign.add_argument("--to", type=Path, required=True, metavar="FILE")
    sign.set_defaults(command=_sign)
    show = actions.add_parser("show", help="tell what a boot policy vouches for")
    show.add_argument("file", type=Path, metavar="FILE")
    show.set_defaults(command=_show)


def _sign(parsed: argparse.Namespace) -> int:
    from appliance.vault.boot_policies import sign_boot_policy  # noqa: PLC0415 - only this command needs it

    try:
        parsed.to.write_bytes(sign_boot_policy(parsed.key.read_bytes(), dict(parsed.pcr)))
    except OSError as error:
        raise StorageTrouble(f"{error.filename} cannot be used: {error.strerror}. Nothing was signed.") from error
    return 0


def _show(parsed: argparse.Namespace) -> int:
    from appliance.vault.boot_policies import parse_boot_policy  # noqa: PLC0415 - as above

    try:
        policy = parse_boot_policy(parsed.file.read_bytes())
    except OSError as error:
        raise SettingsTrouble(f"{parsed.file} cannot be read: {error.strerror}.") from error
    print(f"registers {', '.join(map(str, policy.pcrs))}; digest of their values {policy.pcr_digest.hex()}")  # noqa: T201
    return 0


def _register(text: str) -> tuple[int, bytes]:
    number, _, value = text.partition("=")
    try:
        return int(number), bytes.fromhex(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError("a register is written as 7=64 hexadecimal digits") from error
