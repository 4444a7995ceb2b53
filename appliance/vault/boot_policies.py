"""Boot policies: what the maker of an update vouches for, as files that an update brings along.

A file says: a box that starts with these register values runs our software. The TPM checks the signature, when the
registers are no longer as they were; this file only reads and writes. Not signed is anything about the ring's
state: a boot policy opens the present ring after an update, and never one from before a forgetting.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import Meta, Struct

from appliance.terms import SettingsTrouble
from appliance.vault.tpm_policy import BootPolicy, boot_policy_message

_FORMAT = "linekeep boot policy 1"
_REGISTER_BYTES = 32


class _File(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    format: str
    pcrs: tuple[Annotated[int, Meta(ge=0, le=23)], ...]
    pcr_digest: Annotated[bytes, Meta(min_length=32, max_length=32)]
    signature: bytes


def sign_boot_policy(private_key_pem: bytes, registers: Mapping[int, bytes]) -> bytes:
    """Vouch for these register values (SHA-256 bank); the bytes of a boot policy's file.

    Raises:
        SettingsTrouble: the key is no P-256 key without a password, or a value has not 32 bytes.
    """
    try:
        key = serialization.load_pem_private_key(private_key_pem, password=None)
    except (ValueError, TypeError) as error:
        raise SettingsTrouble("The key is not a private key in PEM without a password; nothing was signed.") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise SettingsTrouble("The key must be an ECDSA key on P-256; nothing was signed.")
    if not registers or any(len(value) != _REGISTER_BYTES for value in registers.values()):
        raise SettingsTrouble("A register's value has 64 hexadecimal digits; nothing was signed.")
    pcrs = tuple(sorted(registers))
    pcr_digest = hashlib.sha256(b"".join(registers[pcr] for pcr in pcrs)).digest()
    signature = key.sign(boot_policy_message(pcrs, pcr_digest), ec.ECDSA(hashes.SHA256()))
    return msgspec.json.encode(_File(format=_FORMAT, pcrs=pcrs, pcr_digest=pcr_digest, signature=signature))


def parse_boot_policy(untrusted_bytes: bytes) -> BootPolicy:
    """Read a boot policy's file; its signature is not looked at. Raises SettingsTrouble."""
    try:
        file = msgspec.json.decode(untrusted_bytes, type=_File)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise SettingsTrouble("This is not a boot policy of Linekeep.") from error
    if file.format != _FORMAT:
        raise SettingsTrouble("This boot policy was made for another version of Linekeep.")
    return BootPolicy(pcrs=file.pcrs, pcr_digest=file.pcr_digest, signature=file.signature)


def read_boot_policies(folder: Path) -> list[BootPolicy]:
    """All that can be read in a folder; what cannot is no reason to stay shut for the others."""
    found: list[BootPolicy] = []
    for path in sorted(folder.glob("*.json")) if folder.is_dir() else []:
        try:
            found.append(parse_boot_policy(path.read_bytes()))
        except (SettingsTrouble, OSError):
            continue
    return found
