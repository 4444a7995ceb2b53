"""An update changes the registers: what its maker vouches for opens, and nothing else does."""

from __future__ import annotations

import hashlib
from contextlib import closing
from pathlib import Path

import pytest
import tpm2_pytss as tss
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from appliance.terms import SettingsTrouble
from appliance.vault.boot_policies import parse_boot_policy, read_boot_policies, sign_boot_policy
from appliance.vault.ring import Ring, RingOld
from appliance.vault.tpm import BootChanged, BootPolicy, Tpm
from tests.simulators.ring_world import with_fresh_bucket
from tests.simulators.software_tpm import FaultyTpm


def fresh_key() -> tuple[bytes, bytes]:
    """A private and its public key, PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    return (
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    )


VENDOR, VENDOR_PUBLIC = fresh_key()
STRANGER, STRANGER_PUBLIC = fresh_key()
REGISTERS_NOW = {7: bytes(32)}
REGISTERS_UPDATED = {7: hashlib.sha256(bytes(32) + b"u" * 32).digest()}


class Update:
    """A box with an update key, and what came with the update."""

    def __init__(self, tcti: str, folder: Path) -> None:
        self.policies: list[BootPolicy] = []
        self._tcti, self._folder = tcti, folder

    def tpm(self, update_key: bytes | None = VENDOR_PUBLIC) -> Tpm:
        return Tpm(self._tcti, update_key_pem=update_key, boot_policies=lambda: self.policies)

    def vouch(self, private_key: bytes, registers: dict[int, bytes]) -> None:
        self.policies.append(parse_boot_policy(sign_boot_policy(private_key, registers)))

    def opened(self, update_key: bytes | None = VENDOR_PUBLIC) -> Ring:
        return Ring.open(self._folder, self.tpm(update_key))


@pytest.fixture
def update(bus: FaultyTpm, tmp_path: Path) -> Update:
    update = Update(bus.tcti, tmp_path / "ring")
    with closing(update.tpm()) as tpm:
        tpm.provision()
        Ring.create(tmp_path / "ring", tpm).commit(
            with_fresh_bucket(Ring.open(tmp_path / "ring", tpm).contents, "2026-01-30")
        )
    return update


def start_updated(stranger: tss.ESAPI) -> None:
    digest = tss.TPMT_HA(hashAlg=tss.TPM2_ALG.SHA256, digest=tss.TPMU_HA(sha256=b"u" * 32))
    stranger.pcr_extend(tss.ESYS_TR.PCR7, tss.TPML_DIGEST_VALUES([digest]))


def test_with_an_update_key_and_no_update_the_box_opens_as_before(update: Update) -> None:
    ring = update.opened()
    assert len(ring.contents.buckets) == 1
    assert ring.is_sealed_as_now


def test_an_update_that_nobody_vouches_for_opens_nothing(update: Update, stranger: tss.ESAPI) -> None:
    start_updated(stranger)
    with pytest.raises(BootChanged, match="in another way"):
        update.opened()


def test_an_update_that_its_maker_vouches_for_opens_and_is_sealed_anew(update: Update, stranger: tss.ESAPI) -> None:
    update.vouch(VENDOR, {7: b"o" * 32})
    update.vouch(VENDOR, REGISTERS_UPDATED)
    start_updated(stranger)
    ring = update.opened()
    assert not ring.is_sealed_as_now
    ring.commit(ring.contents)
    assert ring.is_sealed_as_now
    update.policies.clear()
    assert update.opened().contents == ring.contents


@pytest.mark.parametrize("case", ["another key", "other registers", "altered"])
def test_what_the_maker_did_not_sign_opens_nothing(update: Update, stranger: tss.ESAPI, case: str) -> None:
    if case == "another key":
        update.vouch(STRANGER, REGISTERS_UPDATED)
    else:
        update.vouch(VENDOR, REGISTERS_NOW)
    if case == "altered":
        update.vouch(STRANGER, REGISTERS_UPDATED)
        (signed, wanted) = update.policies
        update.policies[:] = [
            BootPolicy(pcrs=wanted.pcrs, pcr_digest=wanted.pcr_digest, signature=signed.signature),
        ]
    start_updated(stranger)
    with pytest.raises(BootChanged):
        update.opened()


def test_another_update_key_in_the_settings_opens_nothing(update: Update, stranger: tss.ESAPI) -> None:
    update.vouch(STRANGER, REGISTERS_UPDATED)
    start_updated(stranger)
    for key in (STRANGER_PUBLIC, None):
        with pytest.raises(BootChanged):
            update.opened(key)


def test_a_boot_policy_brings_no_old_ring_back(update: Update, stranger: tss.ESAPI, tmp_path: Path) -> None:
    update.vouch(VENDOR, REGISTERS_UPDATED)
    old = {path.name: path.read_bytes() for path in (tmp_path / "ring").iterdir()}
    ring = update.opened()
    ring.commit(ring.contents)
    start_updated(stranger)
    for name, content in old.items():
        (tmp_path / "ring" / name).write_bytes(content)
    with pytest.raises(RingOld):
        update.opened()


def test_a_box_gets_an_update_key_later_by_sealing_anew(bus: FaultyTpm, tmp_path: Path) -> None:
    with closing(Tpm(bus.tcti)) as without:
        without.provision()
        Ring.create(tmp_path / "ring", without)
    with closing(Tpm(bus.tcti, update_key_pem=VENDOR_PUBLIC)) as tpm:
        ring = Ring.open(tmp_path / "ring", tpm)
        assert not ring.is_sealed_as_now
        ring.commit(ring.contents)
        assert ring.is_sealed_as_now


def test_what_is_no_boot_policy_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"{}")
    (tmp_path / "b.json").write_bytes(sign_boot_policy(VENDOR, REGISTERS_NOW))
    (tmp_path / "c.txt").write_bytes(sign_boot_policy(VENDOR, REGISTERS_NOW))
    assert [policy.pcrs for policy in read_boot_policies(tmp_path)] == [(7,)]
    assert read_boot_policies(tmp_path / "missing") == []


@pytest.mark.parametrize(
    ("key", "registers"), [(b"no key", REGISTERS_NOW), (VENDOR, {7: b"short"}), (VENDOR, {}), (VENDOR_PUBLIC, {})]
)
def test_what_cannot_be_signed_is_said(key: bytes, registers: dict[int, bytes]) -> None:
    with pytest.raises(SettingsTrouble, match="nothing was signed"):
        sign_boot_policy(key, registers)


@pytest.mark.parametrize("pem", [b"nonsense", VENDOR])
def test_an_update_key_that_is_none_is_said(bus: FaultyTpm, pem: bytes) -> None:
    with pytest.raises(SettingsTrouble, match="update_key"):
        Tpm(bus.tcti, update_key_pem=pem)
