"""The certificate of the box's own page: a small authority made here, bound to local names, and what it signs.

The authority's key lives in the ring, so the disk alone cannot make certificates; name constraints (RFC 5280,
4.2.1.10) keep it from vouching for any name outside the house even if the key were stolen. The front's own
key must lie in a file for the TLS server.

Promise: a key's authority is made once and stays, whatever the clock shows later: browsers were told to trust that one.
What it signs is renewed by the clock.
"""

from __future__ import annotations

import ipaddress
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from appliance.clock import EARLIEST_MS
from appliance.recordings.disk import sync_folder
from appliance.settings import LOCAL_NAMES, LOCAL_NETS
from appliance.terms import SettingsTrouble

LEAF_LIVES = timedelta(days=397)
"""Browsers refuse longer ones (CA/Browser Forum Baseline Requirements 6.3.2)."""

RENEW_BEFORE = timedelta(days=60)
_CA_BEGINS = datetime.fromtimestamp(EARLIEST_MS / 1000, tz=UTC) - timedelta(days=1)
_CA_LIVES = timedelta(days=20 * 365)

Name = x509.DNSName | x509.IPAddress


def new_authority_key() -> bytes:
    """A fresh key for the box's authority, PKCS 8 DER."""
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def ensure_front_certificate(folder: Path, authority_key: bytes, names: tuple[str, ...], now_ms: int) -> bool:
    """Have ca.pem, front.pem and front.key in the folder: made if missing, expiring or for other names.

    Args:
        names: host names and addresses under which the page is reached.
        now_ms: a clock before this software was made is not used: the certificates begin with it instead.
    Returns: whether a certificate was made.
    """
    now = datetime.fromtimestamp(max(now_ms, EARLIEST_MS) / 1000, tz=UTC)
    folder.mkdir(mode=0o750, exist_ok=True)
    sync_folder(folder.parent)
    key = serialization.load_der_private_key(authority_key, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("the authority's key is not an elliptic curve key")
    ca_path = folder / "ca.pem"
    if not _is_of_key(ca_path, key):
        _write(ca_path, _authority(key).public_bytes(serialization.Encoding.PEM), 0o644)
    ca = x509.load_pem_x509_certificate(ca_path.read_bytes())
    wanted = [_name(name) for name in names]
    if _is_good(folder, ca, wanted, now):
        return False
    _issue_leaf(folder, ca, key, wanted, now)
    return True


def authority_certificate(folder: Path) -> str:
    """The authority's certificate as PEM: what a browser is told to trust."""
    return (folder / "ca.pem").read_text("ascii")


def fingerprint_of(certificate: str) -> str:
    """SHA-256 of a certificate given as PEM, in hexadecimal: what a browser shows of it."""
    return x509.load_pem_x509_certificate(certificate.encode("ascii")).fingerprint(hashes.SHA256()).hex()


def _authority(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Linekeep box {os.urandom(4).hex()}")])
    constraints: list[x509.GeneralName] = [x509.DNSName(local) for local in LOCAL_NAMES]
    constraints += [x509.IPAddress(ipaddress.ip_network(net)) for net in LOCAL_NETS]
    usage = x509.KeyUsage(
        digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    return (
        _builder(name, name, key.public_key(), _CA_BEGINS, _CA_LIVES)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.NameConstraints(permitted_subtrees=constraints, excluded_subtrees=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _issue_leaf(
    folder: Path, ca: x509.Certificate, ca_key: ec.EllipticCurvePrivateKey, names: list[Name], now: datetime
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Linekeep")])
    usage = x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=False, crl_sign=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    leaf = (
        _builder(subject, ca.subject, key.public_key(), now - timedelta(days=1), LEAF_LIVES)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    _write(folder / "front.key", private, 0o640)
    _write(folder / "front.pem", leaf.public_bytes(pem) + ca.public_bytes(pem), 0o644)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, begins: datetime, lives: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + lives)
    )


def _is_of_key(path: Path, key: ec.EllipticCurvePrivateKey) -> bool:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes()).public_key() == key.public_key()
    except (OSError, ValueError):
        return False


def _is_good(folder: Path, ca: x509.Certificate, names: list[Name], now: datetime) -> bool:
    try:
        leaf = x509.load_pem_x509_certificate((folder / "front.pem").read_bytes())
        key = serialization.load_pem_private_key((folder / "front.key").read_bytes(), password=None)
        leaf.verify_directly_issued_by(ca)
        held = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except Exception:  # noqa: BLE001 - whatever is wrong with it, it is made anew
        return False
    return _is_valid(leaf, now) and list(held) == names and leaf.public_key() == key.public_key()


def _is_valid(certificate: x509.Certificate, now: datetime) -> bool:
    # The beginning counts too: made while the clock was ahead, it would be refused once the clock is right.
    return certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc - RENEW_BEFORE


def _name(text: str) -> Name:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        pass
    try:
        return x509.DNSName(text)
    except ValueError as error:
        raise SettingsTrouble(f"'{text[:40]}' in webui.names is no host name; write it in ASCII (xn--...).") from error


def _write(path: Path, content: bytes, mode: int) -> None:
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        # A umask of 077 would hide it from the front, which reads it as a member of the folder's group.
        os.fchmod(file.fileno(), mode)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)
    # Or a power cut brings another authority than the one that a browser was told to trust.
    sync_folder(path.parent)
