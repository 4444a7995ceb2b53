"""A TPM that can do nothing but keep the journal's index and sign it: for tests that need thousands of heads.

Promise: what it signs has the form of a real one (TPMS_ATTEST, TPM 2.0 Library part 2, 10.12.12). That a real one
behaves so is shown by the tests that run on swtpm.
"""

from __future__ import annotations

import hashlib
import os
import struct

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from appliance.vault.tpm_policy import JOURNAL_INDEX_NAME, Attestation


class SigningTpm:
    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._index = os.urandom(32)

    def signing_point(self) -> bytes:
        return self._key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    def journal_state(self) -> bytes:
        return self._index

    def extend_journal(self, digest: bytes) -> None:
        self._index = hashlib.sha256(self._index + digest).digest()

    def flush_sessions(self) -> None:
        pass

    def certify_journal(self, digest: bytes) -> Attestation:
        attest = b"".join(
            (
                struct.pack(">IH", 0xFF544347, 0x8014),
                _sized(b"name"),
                _sized(digest),
                struct.pack(">QIIBQ", 1, 0, 0, 1, 0),
                _sized(JOURNAL_INDEX_NAME),
                struct.pack(">H", 0),
                _sized(self._index),
            )
        )
        return Attestation(attest=attest, signature=self._key.sign(attest, ec.ECDSA(hashes.SHA256())))


def _sized(part: bytes) -> bytes:
    return struct.pack(">H", len(part)) + part
