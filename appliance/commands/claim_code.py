"""`linekeep claim-code`: what the label of a box says, for its owner before the machine."""

from __future__ import annotations

import argparse
import json

from appliance.boundary.vault import VaultClient
from appliance.boundary.verbs import Caller, Label
from appliance.commands.arguments import Commands, add_state
from appliance.settings import Settings


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

    settings = settings_of(parsed.state)
    label = VaultClient(settings.vault_socket(Caller.CONSOLE)).label()
    if parsed.json:
        told = {
            "addresses": addresses_of(settings),
            "claim_code": label.claim_code or None,
            "page_fingerprint": label.page_fingerprint,
            "box_fingerprint": label.box_fingerprint,
        }
        print(json.dumps(told))  # noqa: T201
        return 0
    print("\n".join(label_lines(settings, label)))  # noqa: T201
    return 0


def label_lines(settings: Settings, label: Label) -> list[str]:
    """The label for people."""
    from appliance.vault.evidence.verifier import shown_fingerprint  # noqa: PLC0415 - as above

    return [
        f"Address:     {'  '.join(addresses_of(settings))}",
        f"Claim code:  {label.claim_code or 'none any more: this box has an owner already'}",
        "Fingerprint of the issuer that the browser shows with the page's certificate (SHA-256):",
        f"  {label.page_fingerprint.upper()}",
        "Fingerprint of the box, against which evidence and receipts are checked (SHA-256):",
        f"  {shown_fingerprint(label.box_fingerprint)}",
    ]


def addresses_of(settings: Settings) -> list[str]:
    """Where the page is."""
    port = "" if settings.webui.port == 443 else f":{settings.webui.port}"
    return [f"https://{f'[{name}]' if ':' in name else name}{port}/" for name in settings.webui.names]
