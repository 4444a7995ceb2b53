"""Root on the box, with the live TPM and a copy of every byte that was ever written to the disk.

Promise: tries every way in that the format offers, asks the TPM itself and none of our code's opinions about
states, and never plays fair: no salt, no encryption, commands of its own. What it gets is what is not forgotten.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator

import tpm2_pytss as tss
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from appliance.vault.ring_file import RingContents, RingDamaged, RingFile, open_ring, parse_ring
from appliance.vault.tpm_policy import (
    BOOT_POLICY_REF,
    RING_INDEX_HANDLE,
    STORAGE_KEY_HANDLE,
    SealedSecret,
    boot_digest,
    boot_policy_message,
    pcr_selection,
    policy_pcr_digest,
    state_branches,
)

Way = Callable[["RingThief", tss.ESYS_TR, SealedSecret], None]
"""How to satisfy a policy session."""


class RingThief:
    """A connection of its own to the TPM; used while nobody else uses it."""

    def __init__(self, tcti: str) -> None:
        self._esys = tss.ESAPI(tcti)
        self._storage_key = self._esys.tr_from_tpmpublic(STORAGE_KEY_HANDLE)
        self._own_key = ec.generate_private_key(ec.SECP256R1())
        self._index = self._esys.tr_from_tpmpublic(RING_INDEX_HANDLE)

    def close(self) -> None:
        self._esys.close()

    def open(self, version: bytes) -> RingContents | None:
        """The contents of a ring's bytes, if there is any way in; None otherwise, also for torn bytes."""
        try:
            ring = parse_ring(version)
        except RingDamaged:
            return None
        session = self._policy_session()
        try:
            with self._loaded(ring) as item:
                return self._opened_by_any_way(ring, session, item)
        finally:
            # A successful unseal ends the session by itself.
            with contextlib.suppress(tss.TSS2_Exception):
                self._esys.flush_context(session)

    def _opened_by_any_way(self, ring: RingFile, session: tss.ESYS_TR, item: tss.ESYS_TR) -> RingContents | None:
        for way in _WAYS:
            with contextlib.suppress(tss.TSS2_Exception):
                self.begin_anew(session)
                way(self, session, ring.header.sealed_key)
                return self._unsealed(ring, session, item)
        return None

    def satisfy_now(self, version: bytes) -> Callable[[], RingContents | None]:
        """Satisfy the policy of bytes that open now, and keep the session; the result tries to open later."""
        ring = parse_ring(version)
        session = self._policy_session()
        _first_that_works(self, session, ring.header.sealed_key)

        def open_later() -> RingContents | None:
            try:
                with self._loaded(ring) as item:
                    return self._unsealed(ring, session, item)
            except tss.TSS2_Exception:
                return None

        return open_later

    @contextlib.contextmanager
    def _loaded(self, ring: RingFile) -> Iterator[tss.ESYS_TR]:
        private = tss.TPM2B_PRIVATE.unmarshal(ring.header.sealed_private)[0]
        public = tss.TPM2B_PUBLIC.unmarshal(ring.header.sealed_public)[0]
        item = self._esys.load(self._storage_key, private, public)
        try:
            yield item
        finally:
            self._esys.flush_context(item)

    def _unsealed(self, ring: RingFile, session: tss.ESYS_TR, item: tss.ESYS_TR) -> RingContents:
        return open_ring(bytes(self._esys.unseal(item, session1=session)), ring).contents

    def _policy_session(self) -> tss.ESYS_TR:
        nothing, sha256 = tss.ESYS_TR.NONE, tss.TPM2_ALG.SHA256
        return self._esys.start_auth_session(nothing, nothing, tss.TPM2_SE.POLICY, None, sha256)

    def begin_anew(self, session: tss.ESYS_TR) -> None:
        self._esys.policy_restart(session)

    def by_branch(self, session: tss.ESYS_TR, sealed: SealedSecret, branch: int) -> None:
        """The way that the scheme means: the registers, one state, the OR."""
        self.by_registers(session, sealed)
        self._by_state(session, sealed, branch)

    def by_own_signature(self, session: tss.ESYS_TR, sealed: SealedSecret, branch: int) -> None:
        """As if anybody's signature could vouch for the registers."""
        self.by_registers(session, sealed)
        message = boot_policy_message(sealed.pcrs, sealed.pcr_digest)
        signature = _signature(self._own_key.sign(message, ec.ECDSA(hashes.SHA256())))
        pem = self._own_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        public = tss.TPM2B_PUBLIC.from_pem(pem)
        key = self._esys.load_external(public, hierarchy=tss.ESYS_TR.OWNER)
        try:
            ticket = self._esys.verify_signature(key, hashlib.sha256(message).digest(), signature)
        finally:
            self._esys.flush_context(key)
        approved = policy_pcr_digest(bytes(32), sealed.pcrs, sealed.pcr_digest)
        self._esys.policy_authorize(session, approved, public.get_name(), ticket, BOOT_POLICY_REF)
        self._by_state(session, sealed, branch)

    def _by_state(self, session: tss.ESYS_TR, sealed: SealedSecret, branch: int) -> None:
        state, equal = sealed.states[branch], tss.TPM2_EO.EQ
        self._esys.policy_nv(self._index, self._index, session, state, equal)
        digests = [tss.TPM2B_DIGEST(digest) for digest in state_branches(sealed.states, boot_digest(sealed))]
        self._esys.policy_or(session, tss.TPML_DIGEST(digests))

    def by_registers(self, session: tss.ESYS_TR, sealed: SealedSecret) -> None:
        """As if the state did not matter."""
        selection = tss.TPML_PCR_SELECTION.unmarshal(pcr_selection(sealed.pcrs))[0]
        self._esys.policy_pcr(session, sealed.pcr_digest, selection)

    def by_nothing(self, session: tss.ESYS_TR, sealed: SealedSecret) -> None:
        """As if there were no policy at all."""


def _signature(der: bytes) -> tss.TPMT_SIGNATURE:
    r, s = decode_dss_signature(der)
    ecdsa = tss.TPMS_SIGNATURE_ECC(
        hash=tss.TPM2_ALG.SHA256, signatureR=r.to_bytes(32, "big"), signatureS=s.to_bytes(32, "big")
    )
    return tss.TPMT_SIGNATURE(sigAlg=tss.TPM2_ALG.ECDSA, signature=tss.TPMU_SIGNATURE(ecdsa=ecdsa))


def _first_that_works(thief: RingThief, session: tss.ESYS_TR, sealed: SealedSecret) -> None:
    try:
        thief.by_branch(session, sealed, 0)
    except tss.TSS2_Exception:
        thief.begin_anew(session)
        thief.by_branch(session, sealed, 1)


_WAYS: tuple[Way, ...] = (
    lambda thief, session, sealed: thief.by_branch(session, sealed, 0),
    lambda thief, session, sealed: thief.by_branch(session, sealed, 1),
    lambda thief, session, sealed: thief.by_own_signature(session, sealed, 0),
    lambda thief, session, sealed: thief.by_own_signature(session, sealed, 1),
    RingThief.by_registers,
    RingThief.by_nothing,
)
