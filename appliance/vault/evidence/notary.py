"""Signs statements with the TPM's restricted key, bound to the value of an index and to the TPM's clock.

Promise: what `sign` returns was checked with the verifier that others will use, so a forged or garbled answer of
the TPM never gets stored. Left to others: what is stated (facts hold ids and counts, no personal data), where it is
kept. A chip takes up to a second for it: never where a caller waits.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from enum import Enum, auto

from appliance.terms import KeyTrouble
from appliance.vault.evidence.verifier import FORMAT, Chain, NotProven, SignedStatement
from appliance.vault.tpm import Tpm


class Anchor(Enum):
    """Which of the TPM's states a statement is signed together with."""

    RING = auto()
    JOURNAL = auto()


class Notary:
    """Safe for use by several threads."""

    def __init__(self, tpm: Tpm, chain: Chain) -> None:
        self._tpm = tpm
        self.chain = chain

    def statement(self, kind: str, facts: Mapping[str, object]) -> bytes:
        """The exact bytes that stand for these facts: one line of JSON, keys sorted."""
        head = {"format": FORMAT, "kind": kind, "box": self.chain.root_fingerprint}
        return json.dumps({**facts, **head}, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()

    def sign(self, kind: str, facts: Mapping[str, object], *, anchor: Anchor = Anchor.RING) -> SignedStatement:
        """State these facts. Raises KeyTrouble: the TPM does not sign now; nothing was stated."""
        return self.sign_statement(self.statement(kind, facts), anchor=anchor)

    def sign_statement(self, statement: bytes, *, anchor: Anchor = Anchor.RING) -> SignedStatement:
        certify = self._tpm.certify_ring if anchor is Anchor.RING else self._tpm.certify_journal
        attestation = certify(hashlib.sha256(statement).digest())
        signed = SignedStatement(statement=statement, attest=attestation.attest, signature=attestation.signature)
        try:
            self.chain.check(signed)
        except NotProven as error:
            raise KeyTrouble(
                "The TPM's signature does not hold, so nothing was stated. Start the box again."
            ) from error
        return signed
