"""Statements signed by a real (software) TPM, and what happens to them on the way to whoever checks them."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from appliance.terms import KeyTrouble
from appliance.vault.evidence import verifier
from appliance.vault.evidence.identity import ensure_identity
from appliance.vault.evidence.notary import Anchor, Notary
from appliance.vault.evidence.verifier import Chain, NotProven, SignedStatement
from appliance.vault.tpm import Tpm
from appliance.vault.tpm_policy import JOURNAL_INDEX_NAME, RING_INDEX_NAME
from tests.simulators.software_tpm import FaultyTpm, SoftwareTpm, Verdict
from tests.vault.box_house import NOON_MS

NV_CERTIFY = 0x184


@pytest.fixture
def notary(tpm: Tpm, tmp_path: Path) -> Notary:
    return Notary(tpm, ensure_identity(tmp_path / "identity", tpm.signing_point(), NOON_MS))


def test_the_verifier_knows_the_indices_by_the_names_that_they_have() -> None:
    assert verifier._INDEX_NAMES == {"ring": RING_INDEX_NAME, "journal": JOURNAL_INDEX_NAME}


@pytest.mark.parametrize(("anchor", "index"), [(Anchor.RING, "ring"), (Anchor.JOURNAL, "journal")])
def test_a_signed_statement_holds_and_tells_the_state(notary: Notary, tpm: Tpm, anchor: Anchor, index: str) -> None:
    checked = notary.chain.check(notary.sign("test", {"count": 3}, anchor=anchor))
    assert checked.facts["count"] == 3
    assert checked.facts["kind"] == "test"
    assert (checked.attested.index, checked.attested.state) == (
        index,
        tpm.ring_state() if index == "ring" else tpm.journal_state(),
    )


def test_a_later_start_finds_the_same_certificates(notary: Notary, tpm: Tpm, tmp_path: Path) -> None:
    again = ensure_identity(tmp_path / "identity", tpm.signing_point(), NOON_MS + 1)
    assert again.pem == notary.chain.pem


def test_another_tpm_gets_other_certificates_and_the_former_ones_are_kept(
    notary: Notary, tmp_path: Path, run_dir: Path
) -> None:
    with SoftwareTpm(tmp_path / "other", run_dir / "other") as chip:
        other = Tpm(chip.tcti)
        other.provision()
        chain = ensure_identity(tmp_path / "identity", other.signing_point(), NOON_MS)
        other.close()
    assert chain.root_fingerprint != notary.chain.root_fingerprint
    former = tmp_path / "identity" / f"former-{notary.chain.root_fingerprint[:16]}.pem"
    assert former.read_bytes() == notary.chain.pem


def test_damaged_certificates_are_not_made_anew(notary: Notary, tpm: Tpm, tmp_path: Path) -> None:
    path = tmp_path / "identity" / "chain.pem"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(KeyTrouble, match="damaged"):
        ensure_identity(tmp_path / "identity", tpm.signing_point(), NOON_MS)


def _flipped(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda s: dataclasses.replace(s, statement=s.statement.replace(b"3", b"2")), "its text was changed"),
        (lambda s: dataclasses.replace(s, attest=_flipped(s.attest)), "not signed by this box"),
        (lambda s: dataclasses.replace(s, signature=_flipped(s.signature)), "not signed by this box"),
        (lambda s: dataclasses.replace(s, signature=b""), "not signed by this box"),
    ],
)
def test_a_changed_statement_is_noticed(
    notary: Notary, change: Callable[[SignedStatement], SignedStatement], sentence: str
) -> None:
    with pytest.raises(NotProven, match=sentence):
        notary.chain.check(change(notary.sign("test", {"count": 3})))


def test_the_root_on_the_label_is_asked_for(notary: Notary) -> None:
    label = verifier.shown_fingerprint(notary.chain.root_fingerprint)
    assert Chain(notary.chain.pem, label).root_fingerprint == notary.chain.root_fingerprint
    with pytest.raises(NotProven, match="another box's"):
        Chain(notary.chain.pem, "ab" * 32)


def test_what_somebody_on_the_bus_forges_is_not_stated(notary: Notary, bus: FaultyTpm) -> None:
    bus.rule = lambda code: Verdict(forge=_flipped if code == NV_CERTIFY else None)
    with pytest.raises(KeyTrouble):
        notary.sign("test", {})


def test_openssl_checks_the_same(notary: Notary, tmp_path: Path) -> None:
    signed = notary.sign("test", {"count": 3})
    key = notary.chain.device.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for name, content in {"key.pem": key, "attest": signed.attest, "signature": signed.signature}.items():
        (tmp_path / name).write_bytes(content)
    command = ["openssl", "dgst", "-sha256", "-verify", "key.pem", "-signature", "signature", "attest"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=True).stdout == b"Verified OK\n"


def test_it_travels_as_json(notary: Notary) -> None:
    signed = notary.sign("test", {"count": 3})
    assert verifier.signed_statement(signed.as_json()) == signed
    with pytest.raises(NotProven):
        verifier.signed_statement({"statement": "x"})
