"""`linekeep claim-code`: what the label of a box says, for its owner before the machine."""

from __future__ import annotations

import argparse
import json

from appliance.boundary.vault import VaultClient
from appliance.boundary.verbs import Caller
from appliance.commands.arguments import Commands, add_state


def add(commands: Commands) -> None:
    label = commands.add_parser(
        "claim-code",
        help="show address, fingerprints and claim code of the running box",
        description="Who can be root on the box, or has it before them, is its owner: the code makes the first "
        "account, and is dead afterwards.",
    )
    add_state(label)
    label.add_argument("--json", action="store_true", help="for programs")
    label.set_defaults(command=_claim_code)


def _claim_code(parsed: argparse.Namespace) -> int:
    from appliance.commands.state import settings_of  # noqa: PLC0415 - loaded only by who needs a box
    from appliance.vault.evidence.verifier import shown_fingerprint  # noqa: PLC0415 - as above

    settings = settings_of(parsed.state)
    label = VaultClient(settings.vault_socket(Caller.CONSOLE)).label()
    port = "" if settings.webui.port == 443 else f":{settings.webui.port}"
    addresses = [f"https://{f'[{name}]' if ':' in name else name}{port}/" for name in settings.webui.names]
    if parsed.json:
        told = {
            "addresses": addresses,
            "claim_code": label.claim_code or None,
            "page_fingerprint": label.page_fingerprint,
            "box_fingerprint": label.box_fingerprint,
        }
        print(json.dumps(told))  # noqa: T201
        return 0
    print(f"Address:     {'  '.join(addresses)}")  # noqa: T201
    print(f"Claim code:  {label.claim_code or 'none any more: this box has an owner already'}")  # noqa: T201
    print("Fingerprint of the issuer that the browser shows with the page's certificate (SHA-256):")  # noqa: T201
    print(f"  {label.page_fingerprint.upper()}")  # noqa: T201
    print("Fingerprint of the box, against which evidence and receipts are checked (SHA-256):")  # noqa: T201
    print(f"  {shown_fingerprint(label.box_fingerprint)}")  # noqa: T201
    return 0
