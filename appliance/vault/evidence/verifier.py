"""Checks what a Linekeep box has signed. Needs Python 3.11 and the package `cryptography`, and nothing of Linekeep.

Promise: imports no other file of the product, so that this one file can be handed to a court with what it checks.
Everything it reads is untrusted; a check that fails raises `NotProven` with a sentence for a person.

What a statement is worth rests on four things, each checked by itself:

1. the statement: JSON in one line, the exact bytes that were signed for;
2. the attestation: TPMS_ATTEST (TCG TPM 2.0 Library, part 2, 10.12.12), in which the TPM says that it was shown the
   SHA-256 of the statement when one of its indices had a certain value, and what its own clock was;
3. the signature over it, by a key that signs nothing but what the TPM itself says;
4. the certificate of that key, issued by the box's root, whose fingerprint stands on the box's label.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import struct
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

FORMAT = "linekeep statement 1"

_GENERATED_BY_TPM = 0xFF544347
_ATTESTS_NV = 0x8014
_INDEX_NAMES = {
    "ring": bytes.fromhex("000ba9c4d53e3e6c0227f6bb8cb970f9eef23f50c90d85afdf1cd3a675d369a3b7ee"),
    "journal": bytes.fromhex("000bd221ba444ae2ebcdbe58c151a069475b11ac0198eedb13de05e9e9865541db8c"),
}
"""The names of the two indices: SHA-256 over their public areas, the same in every TPM."""


class NotProven(Exception):
    """Something is not what a box of Linekeep has signed; the message says what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedStatement:
    """A statement as it was signed. statement: JSON, UTF-8.  attest: TPMS_ATTEST.  signature: ECDSA, DER."""

    statement: bytes
    attest: bytes
    signature: bytes

    def as_json(self) -> dict[str, str]:
        """For a file in which several stand."""
        attest, signature = (base64.b64encode(part).decode() for part in (self.attest, self.signature))
        return {"statement": self.statement.decode(), "attest": attest, "signature": signature}


@dataclass(frozen=True, slots=True, kw_only=True)
class Attested:
    """What the TPM said.

    shown: the 32 bytes that were put to it.  index: which of its indices, "ring" or "journal".  state: the value of
    that index, 32 bytes.  clock_ms, resets, restarts: of the TPM's clock; the two counts are shifted by a secret, so
    only their differences mean something.
    """

    shown: bytes
    index: str
    state: bytes
    clock_ms: int
    resets: int
    restarts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A statement that holds: its own fields, and what the TPM said beside it."""

    facts: dict[str, Any]
    attested: Attested


def signed_statement(untrusted_json: object) -> SignedStatement:
    """The reverse of `as_json`. Raises NotProven."""
    try:
        parts = dict(untrusted_json)  # type: ignore[call-overload]
        attest, signature = (base64.b64decode(parts[name], validate=True) for name in ("attest", "signature"))
        return SignedStatement(statement=parts["statement"].encode(), attest=attest, signature=signature)
    except (TypeError, ValueError, KeyError, AttributeError, binascii.Error) as error:
        raise NotProven("This is not a signed statement of Linekeep: parts of it are missing.") from error


class Chain:
    """A box's certificates: the TPM's signing key, and the root that vouches for it.

    Args:
        untrusted_pem: both, the key's first.
        root_fingerprint: SHA-256 of the root in hexadecimal, as on the label; blanks and colons do not matter. None:
            the root is taken as it is, and only `root_fingerprint` tells whose it is.
    Raises:
        NotProven: not such a pair, or another root.
    """

    def __init__(self, untrusted_pem: bytes, root_fingerprint: str | None = None) -> None:
        try:
            device, root = x509.load_pem_x509_certificates(untrusted_pem)
            device.verify_directly_issued_by(root)
            root.verify_directly_issued_by(root)
        except (ValueError, TypeError, InvalidSignature) as error:
            raise NotProven("The certificates do not belong together: the root has not issued the key's.") from error
        key = device.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise NotProven("The certificate's key is of another kind than a box's.")
        self._key = key
        self.pem = untrusted_pem
        self.device, self.root = device, root
        self.root_fingerprint = hashlib.sha256(root.public_bytes(Encoding.DER)).hexdigest()
        if root_fingerprint is not None and plain_fingerprint(root_fingerprint) != self.root_fingerprint:
            raise NotProven(
                "These certificates are another box's: the root's fingerprint is "
                f"{shown_fingerprint(self.root_fingerprint)}, and not the one from the label."
            )

    def check(self, signed: SignedStatement) -> Checked:
        """See that this box's TPM has signed this statement. Raises NotProven."""
        try:
            self._key.verify(signed.signature, signed.attest, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature as error:
            raise NotProven("A statement is not signed by this box: it was changed, or another box's.") from error
        attested = _read_attest(signed.attest)
        if attested.shown != hashlib.sha256(signed.statement).digest():
            raise NotProven("A statement is not the one that was signed: its text was changed.")
        facts = _read_statement(signed.statement)
        if facts.get("box") != self.root_fingerprint:
            raise NotProven("A statement names another box than the certificates do.")
        return Checked(facts=facts, attested=attested)


def plain_fingerprint(untrusted_text: str) -> str:
    """A fingerprint as people type it, as we compare it."""
    return "".join(sign for sign in untrusted_text.lower() if sign in "0123456789abcdef")


def shown_fingerprint(fingerprint: str) -> str:
    """A fingerprint as people read it: groups of four."""
    return " ".join(fingerprint[start : start + 4].upper() for start in range(0, len(fingerprint), 4))


def _read_attest(attest: bytes) -> Attested:
    try:
        magic, kind = struct.unpack_from(">IH", attest)
        _, rest = _sized(attest[6:])  # the signer's name, qualified by its parents'
        shown, rest = _sized(rest)
        clock_ms, resets, restarts = struct.unpack_from(">QII", rest)
        name, rest = _sized(rest[17 + 8 :])  # behind the clock, its `safe` flag, and the firmware's version
        state, end = _sized(rest[2:])  # behind the offset
    except struct.error as error:
        raise NotProven("The TPM's attestation is cut off.") from error
    if (magic, kind, end) != (_GENERATED_BY_TPM, _ATTESTS_NV, b""):
        raise NotProven("The TPM's attestation is of another kind than Linekeep's.")
    for index, known in _INDEX_NAMES.items():
        if name == known:
            return Attested(shown=shown, index=index, state=state, clock_ms=clock_ms, resets=resets, restarts=restarts)
    raise NotProven("The TPM's attestation is of an index that is not Linekeep's.")


def _sized(content: bytes) -> tuple[bytes, bytes]:
    """A part with its length in two bytes before it, and what follows."""
    (length,) = struct.unpack_from(">H", content)
    if len(content) < 2 + length:
        raise struct.error("cut off")
    return content[2 : 2 + length], content[2 + length :]


def _read_statement(statement: bytes) -> dict[str, Any]:
    try:
        facts = json.loads(statement)
    except ValueError as error:
        raise NotProven("A statement is not readable.") from error
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise NotProven("A statement is of a later format. Use the verifier of a newer version.")
    return facts
