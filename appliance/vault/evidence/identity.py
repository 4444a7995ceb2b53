"""Who the box is, for those who check its signatures: the certificate of the TPM's signing key, and its root.

The root exists to print one fingerprint on the label. Its key signs one certificate, that of the key which this TPM
has and never gives out, and is dropped in the same moment: nobody can make another box pass for this one, not even
root on it. Another TPM, after a recovery, is another box with another label; the old certificates are kept, since
what they vouch for stays true.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from appliance.clock import EARLIEST_MS
from appliance.recordings.disk import storage_errors, sync_folder
from appliance.terms import KeyTrouble
from appliance.vault.evidence.verifier import Chain, NotProven

CHAIN_NAME = "chain.pem"

_LIVES = timedelta(days=50 * 365)
"""A signature must be checkable as long as anybody asks; nothing here is ever renewed."""


def ensure_identity(folder: Path, signing_point: bytes, now_ms: int) -> Chain:
    """The certificates of this TPM's signing key; made if there are none, or if they are another TPM's.

    Args:
        folder: keeps `chain.pem`, and former ones under the first digits of their root's fingerprint.
        signing_point: an uncompressed point on P-256.
    Raises:
        StorageTrouble, DiskFull: the folder cannot be written.
        KeyTrouble: the certificates are damaged; they are not made anew, as the label would no longer be right.
    """
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), signing_point)
    with storage_errors("the box's certificates are read"):
        folder.mkdir(mode=0o700, exist_ok=True)
        present = folder / CHAIN_NAME
        if present.exists():
            chain = _chain(present)
            if chain.device.public_key() == key:
                return chain
            present.rename(folder / f"former-{chain.root_fingerprint[:16]}.pem")
        _write(present, _issue(key, now_ms))
    return _chain(present)


def chain_of(folder: Path, root_fingerprint: str) -> Chain:
    """The certificates with this root: those of today's TPM, or of a former one. Raises KeyTrouble, StorageTrouble."""
    former = folder / f"former-{root_fingerprint[:16]}.pem"
    with storage_errors("the box's certificates are read"):
        chain = _chain(former if former.exists() else folder / CHAIN_NAME)
    if chain.root_fingerprint != root_fingerprint:
        raise KeyTrouble("The certificates of the TPM that signed this are missing. Put the folder 'identity' back.")
    return chain


def _chain(path: Path) -> Chain:
    try:
        return Chain(path.read_bytes())
    except NotProven as error:
        raise KeyTrouble(
            f"The box's certificates are damaged, so it signs nothing. Put {path.name} back from a backup."
        ) from error


def _issue(key: ec.EllipticCurvePublicKey, now_ms: int) -> bytes:
    now = datetime.fromtimestamp(max(now_ms, EARLIEST_MS) / 1000, tz=UTC)
    root_key = ec.generate_private_key(ec.SECP256R1())
    number = os.urandom(4).hex()
    root = _certificate(f"Linekeep root {number}", f"Linekeep root {number}", root_key.public_key(), now, is_root=True)
    device = _certificate(f"Linekeep TPM {number}", f"Linekeep root {number}", key, now, is_root=False)
    signed = [builder.sign(root_key, hashes.SHA256()) for builder in (device, root)]
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in signed)


def _certificate(
    subject: str, issuer: str, key: ec.EllipticCurvePublicKey, now: datetime, *, is_root: bool
) -> x509.CertificateBuilder:
    usage = x509.KeyUsage(
        digital_signature=not is_root, content_commitment=not is_root, key_encipherment=False,
        data_encipherment=False, key_agreement=False, key_cert_sign=is_root, crl_sign=False,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + _LIVES)
        .add_extension(x509.BasicConstraints(ca=is_root, path_length=0 if is_root else None), critical=True)
        .add_extension(usage, critical=True)
    )


def _write(path: Path, content: bytes) -> None:
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)
    sync_folder(path.parent)
