"""One connection to a TPM: the commands, the sessions they travel in, and cleaning up behind them.

Promise: this file and tpm_owner.py alone know tpm2_pytss, and none but that and tpm.py uses this one. A connection
is for one thread at a time, and good until an answer that the TPM did not give (`TpmAnswer` with another layer's
code); then it is closed, and a new one begun. Left to tpm.py: the lock, further tries, sentences, which policy.

Who sits on the bus between processor and chip reads no key and fakes no success:
- Each session is salted to the storage key. Its name is computed here, from the public area that the salt is
  encrypted to, and compared with the one that the ring remembers; what the answer says its name is counts for
  nothing (ESYS believes it).
- What is secret crosses encrypted, what matters is answered under an HMAC. With a password session a faked
  success of NV_Extend was believed.
- Listing and flushing is not authenticated: who can fake that could have asked the TPM for the key himself.

A client that was killed leaves sessions and objects in the TPM, and a policy session that was satisfied once
still unseals after the state has moved on. So a new connection flushes whatever it finds: on a raw TPM
everything; behind the kernel's resource manager (/dev/tpmrm0) all sessions, and the objects that are ours.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Final

import tpm2_pytss as tss
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from appliance.terms import SettingsTrouble
from appliance.vault.tpm_policy import (
    BOOT_POLICY_REF,
    DIGEST_BYTES,
    JOURNAL_INDEX_HANDLE,
    RING_INDEX_HANDLE,
    SIGNING_KEY_HANDLE,
    STATE_BYTES,
    STATE_INDEX_ATTRIBUTES,
    STORAGE_KEY_HANDLE,
    BootPolicy,
    SealedSecret,
    boot_policy_message,
    pcr_selection,
    policy_pcr_digest,
    state_index_name,
    state_index_public,
)
from appliance.vault.tpm_trouble import (
    NO_SUCH_HANDLE,
    BootChanged,
    SealDamaged,
    TpmFault,
    TpmForeign,
    finds_fault_with_parameter,
    plain_code,
    said_by_tpm,
)

# The C library would write its errors to stderr by itself; it reads this before its first word.
os.environ.setdefault("TSS2_LOG", "all+NONE")

TpmAnswer = tss.TSS2_Exception
"""What the library raises for every answer but success; `rc` is the code. See tpm_trouble.py."""

_FIRST_HANDLES: Final = (0x0200_0000, 0x0300_0000, 0x8000_0000)
"""Loaded sessions, saved sessions, transient objects (part 2, 7.4)."""
_MOST_HANDLES = 254
_MANUFACTURER, _VENDOR_STRINGS, _FIRMWARE = 0x105, range(0x106, 0x10A), 0x10B
"""Properties that do not change (part 2, 6.13)."""
_PCRS_A_READ = 8
_RANDOM_A_READ = 32

_HOLD = tss.TPMA_SESSION.CONTINUESESSION
_AUDIT = _HOLD | tss.TPMA_SESSION.AUDIT
_TO_TPM = _HOLD | tss.TPMA_SESSION.DECRYPT
_FROM_TPM = _HOLD | tss.TPMA_SESSION.ENCRYPT
_BOTH_WAYS = _TO_TPM | _FROM_TPM

_FIXED = tss.TPMA_OBJECT.FIXEDTPM | tss.TPMA_OBJECT.FIXEDPARENT | tss.TPMA_OBJECT.NODA
_STORAGE = (
    tss.TPMA_OBJECT.SENSITIVEDATAORIGIN
    | tss.TPMA_OBJECT.USERWITHAUTH
    | tss.TPMA_OBJECT.RESTRICTED
    | tss.TPMA_OBJECT.DECRYPT
)
_SIGNING = (
    tss.TPMA_OBJECT.SENSITIVEDATAORIGIN
    | tss.TPMA_OBJECT.USERWITHAUTH
    | tss.TPMA_OBJECT.RESTRICTED
    | tss.TPMA_OBJECT.SIGN_ENCRYPT
)
"""Restricted: it signs what the TPM itself says and nothing that is given to it, so no attestation is forged."""

_OWN_SCHEME: Final = tss.TPM2_ALG.NULL
"""The one that the key was made with."""

_EMPTY_UNIQUE_BYTES = 4
_INDICES: Final = (RING_INDEX_HANDLE, JOURNAL_INDEX_HANDLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class TpmClock:
    """The TPM's own clock: it stops while the TPM is off; after a dirty cut it may fall back (not `safe`).

    `reset_count` counts boots, `restart_count` resumes. Good for "at least this much time has passed".
    """

    time_ms: int
    reset_count: int
    restart_count: int
    safe: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TpmMake:
    """Who made a TPM, as it says itself: TCG vendor id ("IFX"), model ("SLB9670"), firmware ("7.85")."""

    manufacturer: str
    model: str
    firmware: str


class TpmConnection:
    """One ESYS context: what it knows of the TPM, and the few compound steps. Raises TpmAnswer.

    Args:
        trusted_name: the only storage key that sessions may be salted to; None: whichever has our template.
    """

    def __init__(self, tcti: str, trusted_name: bytes | None) -> None:
        self._trusted_name = trusted_name
        self._checked_key: tss.ESYS_TR | None = None
        self._checked_indices: dict[int, tss.ESYS_TR] = {}
        self._has_owner_secret = False
        self.esys = tss.ESAPI(tcti)
        try:
            self.flush_all()
        except BaseException:
            self.esys.close()
            raise

    def close(self) -> None:
        self.esys.close()

    def flush_all(self) -> None:
        """Flush every session and object that can be listed. Raises TpmFault if something stays."""
        for _ in range(3):
            left = [handle for first in _FIRST_HANDLES for handle in self._handles(first)]
            if not left:
                return
            for handle in left:
                self._flush_listed(handle)
        raise TpmFault("Another program keeps opening TPM sessions, so nothing can be called forgotten now.")

    def _handles(self, first: int) -> list[int]:
        # `capability` must outlive the list: the handles lie in its memory.
        _, capability = self.esys.get_capability(tss.TPM2_CAP.HANDLES, first, _MOST_HANDLES)
        return [int(handle) for handle in capability.data.handles]

    def _flush_listed(self, handle: int) -> None:
        try:
            self.esys.flush_context(self.esys.tr_from_tpmpublic(handle))
        except TpmAnswer as error:
            # Gone by itself, or not ours to flush: listing again tells which.
            if not said_by_tpm(error.rc):
                raise

    def _find(self, handle: int) -> tss.ESYS_TR | None:
        """The key or index at a handle, with its public area read; None if there is none."""
        try:
            return self.esys.tr_from_tpmpublic(handle)
        except TpmAnswer as error:
            if plain_code(error.rc) != NO_SUCH_HANDLE:
                raise
            return None

    def _storage_key(self) -> tss.ESYS_TR:
        """The storage key, once its template, and its name if one is remembered, are seen to be ours."""
        if self._checked_key is None:
            key = self._find(STORAGE_KEY_HANDLE)
            if key is None:
                raise TpmForeign(
                    "This TPM is not the ring's, or it was cleared. Nothing was changed; use the right one."
                )
            self._check_storage_key(key)
            self._checked_key = key
        return self._checked_key

    def _check_storage_key(self, key: tss.ESYS_TR) -> None:
        public = self.esys.read_public(key)[0]
        if not public.publicArea.marshal().startswith(
            _storage_key_template().publicArea.marshal()[:-_EMPTY_UNIQUE_BYTES]
        ):
            raise TpmForeign("A key that is not Linekeep's lies at the storage key's place in this TPM.")
        # The name as ESYS computes it from the public area it salts to; `public` was a second reading.
        name = bytes(self.esys.tr_get_name(key))
        if name != bytes(public.get_name()) or self._trusted_name not in (None, name):
            raise TpmForeign(
                "This is not the TPM that the ring was made with. Nothing was changed; put the right one in."
            )

    def storage_key_name(self) -> bytes:
        return bytes(self.esys.tr_get_name(self._storage_key()))

    def _signing_key(self) -> tss.ESYS_TR:
        """The signing key, once its template is seen to be ours. Raises TpmForeign.

        Which of all keys with this template it is, its certificate tells whoever reads a signature.
        """
        key = self._find(SIGNING_KEY_HANDLE)
        if key is None:
            raise TpmForeign("This TPM has no signing key of Linekeep's. Nothing was signed; start the vault again.")
        area = self.esys.read_public(key)[0].publicArea
        template = _signing_key_template().publicArea
        if (int(area.objectAttributes), area.parameters.eccDetail.marshal()) != (
            int(template.objectAttributes),
            template.parameters.eccDetail.marshal(),
        ):
            raise TpmForeign("A key that is not Linekeep's lies at the signing key's place in this TPM.")
        return key

    def signing_point(self) -> bytes:
        """The public half of the signing key: a point on P-256, 65 bytes, uncompressed (SEC 1, 2.3.3)."""
        return b"\x04" + _point(self.esys.read_public(self._signing_key())[0])

    def _state_index(self, handle: int) -> tss.ESYS_TR:
        """An index of ours, written and with our attributes. Raises TpmForeign."""
        if handle not in self._checked_indices:
            index = self._find(handle)
            if index is None or bytes(self.esys.tr_get_name(index)) != state_index_name(handle):
                raise TpmForeign(
                    "This TPM is not the ring's, or it was cleared. Nothing was changed; use the right one."
                )
            self._checked_indices[handle] = index
        return self._checked_indices[handle]

    def hmac_session(self) -> AbstractContextManager[tss.ESYS_TR]:
        """A salted session that authorises and authenticates; flushed afterwards."""
        return self._salted(tss.TPM2_SE.HMAC)

    def policy_session(self) -> AbstractContextManager[tss.ESYS_TR]:
        """A salted session that collects a policy; flushed afterwards."""
        return self._salted(tss.TPM2_SE.POLICY)

    def _salted(self, kind: tss.TPM2_SE) -> AbstractContextManager[tss.ESYS_TR]:
        key, unbound = self._storage_key(), tss.ESYS_TR.NONE
        return self._flushed(self.esys.start_auth_session(key, unbound, kind, "aes128cfb", tss.TPM2_ALG.SHA256))

    @contextmanager
    def _flushed(self, handle: tss.ESYS_TR) -> Iterator[tss.ESYS_TR]:
        """Flush a session or object afterwards; after a broken transport the next opening does that."""
        try:
            yield handle
        except TpmAnswer as error:
            if said_by_tpm(error.rc):
                self._flush(handle)
            raise
        except BaseException:
            self._flush(handle)
            raise
        self._flush(handle)

    def _flush(self, handle: tss.ESYS_TR) -> None:
        try:
            self.esys.flush_context(handle)
        except TpmAnswer as error:
            if not said_by_tpm(error.rc):
                raise
            # Another program flushed it before us. What it was used for was done or not, and that was told.
            self.esys.tr_close(handle)

    def know_owner(self, secret: bytes) -> None:
        """What needs the owner's authorisation uses this secret from now on, and never in clear."""
        self.esys.tr_set_auth(tss.ESYS_TR.OWNER, secret)
        self._has_owner_secret = True

    @contextmanager
    def _owner_session(self) -> Iterator[tss.ESYS_TR]:
        """What authorises as the owner: the empty password of a new TPM, else a session that hides the secret."""
        if not self._has_owner_secret:
            yield tss.ESYS_TR.PASSWORD
            return
        with self.hmac_session() as session:
            yield self._use(session, _AUDIT)

    def auditing(self, session: tss.ESYS_TR) -> tss.ESYS_TR:
        """The session, authenticating the next command and its answer."""
        return self._use(session, _AUDIT)

    def hiding(self, session: tss.ESYS_TR) -> tss.ESYS_TR:
        """The session, encrypting the next command's first parameter as well."""
        return self._use(session, _TO_TPM)

    def _use(self, session: tss.ESYS_TR, attributes: tss.TPMA_SESSION) -> tss.ESYS_TR:
        """Set what the session does in the next command: not every command has something to encrypt."""
        self.esys.trsess_set_attributes(session, attributes)
        return session

    def _make_key(self, template: tss.TPM2B_PUBLIC, handle: int) -> None:
        """Create a key from the owner's seed and make it persistent. The same seed and template give the same key."""
        with self._owner_session() as owner:
            primary = self.esys.create_primary(None, template, session1=owner)[0]
            with self._flushed(primary):
                self.esys.evict_control(tss.ESYS_TR.OWNER, primary, handle, session1=owner)

    def _make_state_index(self, handle: int) -> None:
        """Define an index unless it is there, and give it a first value unless it has one.

        The first value is random and known to nobody, and so is no later state reachable again, not even by
        somebody who undefines the index, defines it anew (it gets the same name) and knows every r.
        """
        self._checked_indices.pop(handle, None)
        index = self._find(handle)
        if index is None:
            public = tss.TPM2B_NV_PUBLIC(nvPublic=_index_template(handle))
            with self._owner_session() as owner:
                index = self.esys.nv_define_space(b"", public, session1=owner)
        name = bytes(self.esys.tr_get_name(index))
        if name == bytes(_index_template(handle).get_name()):
            self._extend(index, os.urandom(STATE_BYTES))
            # Its name changes with the first write; the next reading of its public area knows the new one.
            self.esys.tr_close(index)
        elif name != state_index_name(handle):
            raise TpmForeign("An index that is not Linekeep's lies at the place of one of Linekeep's in this TPM.")

    def provision(self) -> None:
        """Make what is not there yet; each step is whole or not at all. Raises TpmForeign."""
        if self._find(STORAGE_KEY_HANDLE) is None:
            self._make_key(_storage_key_template(), STORAGE_KEY_HANDLE)
        self._storage_key()
        if self._find(SIGNING_KEY_HANDLE) is None:
            self._make_key(_signing_key_template(), SIGNING_KEY_HANDLE)
        self._signing_key()
        for handle in _INDICES:
            self._make_state_index(handle)

    def read_state(self, session: tss.ESYS_TR, handle: int = RING_INDEX_HANDLE) -> bytes:
        reading = self._use(session, _FROM_TPM)
        return bytes(self.esys.nv_read(self._state_index(handle), STATE_BYTES, session1=reading))

    def extend(self, r: bytes, handle: int = RING_INDEX_HANDLE) -> None:
        self._extend(self._state_index(handle), r)

    def certify(self, digest: bytes, handle: int) -> tuple[bytes, bytes, bytes]:
        """Sign an index's present value together with 32 bytes of ours; TPMS_ATTEST, and the signature's r and s.

        The answer is authenticated by the first session; the second only says that reading needs no secret.
        """
        key, index, scheme = self._signing_key(), self._state_index(handle), tss.TPMT_SIG_SCHEME(scheme=_OWN_SCHEME)
        with self.hmac_session() as session:
            attest, signature = self.esys.nv_certify(
                key, index, digest, scheme, STATE_BYTES, 0, index, session1=self._use(session, _TO_TPM)
            )
        ecdsa = signature.signature.ecdsa
        return bytes(attest), bytes(ecdsa.signatureR), bytes(ecdsa.signatureS)

    def _extend(self, index: tss.ESYS_TR, r: bytes) -> None:
        with self.hmac_session() as session:
            self.esys.nv_extend(index, r, session1=self._use(session, _TO_TPM))

    def pcr_digest(self, session: tss.ESYS_TR, pcrs: tuple[int, ...]) -> bytes:
        """The digest over the registers' values, in rising order, as PolicyPCR computes it."""
        values: list[bytes] = []
        rising = sorted(set(pcrs))
        for start in range(0, len(rising), _PCRS_A_READ):
            wanted = tuple(rising[start : start + _PCRS_A_READ])
            _, _, read = self.esys.pcr_read(_selection(wanted), session1=self._use(session, _AUDIT))
            values += [bytes(value) for value in read]
        if len(values) != len(rising):
            raise TpmFault(
                "The TPM lacks registers that the settings name (vault.pcrs). Nothing was changed; name others."
            )
        return hashlib.sha256(b"".join(values)).digest()

    @contextmanager
    def loaded(self, sealed: SealedSecret, session: tss.ESYS_TR) -> Iterator[tss.ESYS_TR]:
        """The sealed object inside the TPM. Raises SealDamaged."""
        private, public = _unmarshalled(sealed)
        key = self._storage_key()
        try:
            item = self.esys.load(key, private, public, session1=self._use(session, _BOTH_WAYS))
        except TpmAnswer as error:
            # Mostly 0x1df, integrity; bytes that do not even parse in there give others.
            if finds_fault_with_parameter(error.rc):
                raise SealDamaged("A sealed key is damaged, or it was sealed by another TPM.") from error
            raise
        with self._flushed(item):
            yield item

    def create_sealed(
        self, session: tss.ESYS_TR, secret: bytes, policy: bytes, pin_auth: bytes | None
    ) -> tuple[bytes, bytes]:
        """Seal inside the TPM; public and private half, marshalled.

        With a PIN it is an object that the TPM's lock-out guards; without one it is not, so that nobody locks it out.
        """
        content = tss.TPMS_SENSITIVE_CREATE(data=secret, userAuth=pin_auth or b"")
        sensitive = tss.TPM2B_SENSITIVE_CREATE(sensitive=content)
        template = _sealed_template(policy, guarded=pin_auth is not None)
        private, public, *_ = self.esys.create(
            self._storage_key(), sensitive, template, session1=self._use(session, _BOTH_WAYS)
        )
        return public.marshal(), private.marshal()

    def policy_nv(self, policy: tss.ESYS_TR, session: tss.ESYS_TR, state: bytes) -> None:
        """Let the TPM compare its state with ours, and note in the policy session that they are equal."""
        index, equal = self._state_index(RING_INDEX_HANDLE), tss.TPM2_EO.EQ
        self.esys.policy_nv(index, index, policy, state, equal, session1=self._use(session, _TO_TPM))

    def policy_or(self, policy: tss.ESYS_TR, branches: tuple[bytes, ...]) -> None:
        self.esys.policy_or(policy, tss.TPML_DIGEST([tss.TPM2B_DIGEST(branch) for branch in branches]))

    def policy_pcr(self, policy: tss.ESYS_TR, pcrs: tuple[int, ...], pcr_digest: bytes) -> None:
        self.esys.policy_pcr(policy, pcr_digest, _selection(pcrs))

    def policy_authorize(self, policy: tss.ESYS_TR, boot: BootPolicy, update_key_pem: bytes) -> None:
        """Let the TPM see that the update key vouches for the registers that the session has just compared.

        Raises:
            BootChanged: it does not.
        """
        approved = policy_pcr_digest(bytes(DIGEST_BYTES), boot.pcrs, boot.pcr_digest)
        message = boot_policy_message(boot.pcrs, boot.pcr_digest)
        public = update_key_public(update_key_pem)
        # Under the owner: a ticket of the null hierarchy proves nothing to PolicyAuthorize.
        key = self.esys.load_external(public, hierarchy=tss.ESYS_TR.OWNER)
        with self._flushed(key):
            try:
                ticket = self.esys.verify_signature(key, hashlib.sha256(message).digest(), _signature(boot.signature))
            except (TpmAnswer, ValueError, OverflowError) as error:
                if isinstance(error, TpmAnswer) and not finds_fault_with_parameter(error.rc):
                    raise
                raise BootChanged(
                    "This box was started in another way than when its keys were sealed, and the boot policy that fits "
                    "is not signed by the update key. Nothing was changed. Start it as before."
                ) from error
        self.esys.policy_authorize(policy, approved, public.get_name(), ticket, BOOT_POLICY_REF)

    def policy_pin(self, policy: tss.ESYS_TR, item: tss.ESYS_TR, pin_auth: bytes) -> None:
        """The object's own secret must be known too; it is proven by HMAC and never sent."""
        self.esys.tr_set_auth(item, pin_auth)
        self.esys.policy_auth_value(policy)

    def unseal(self, item: tss.ESYS_TR, policy: tss.ESYS_TR) -> bytes:
        """What the loaded object holds, encrypted on the bus under the policy session's salt."""
        return bytes(self.esys.unseal(item, session1=self._use(policy, _FROM_TPM)))

    def random(self, count: int) -> bytes:
        drawn = b""
        with self.hmac_session() as session:
            self._use(session, _FROM_TPM)
            while len(drawn) < count:
                drawn += bytes(self.esys.get_random(min(count - len(drawn), _RANDOM_A_READ), session1=session))
        return drawn

    def clock(self) -> TpmClock:
        with self.hmac_session() as session:
            told = self.esys.read_clock(session1=self._use(session, _AUDIT)).clockInfo
        return TpmClock(
            time_ms=int(told.clock),
            reset_count=int(told.resetCount),
            restart_count=int(told.restartCount),
            safe=bool(told.safe),
        )

    def random_in_clear(self, count: int) -> bytes:
        """Readable on the bus, so never for a key; a TPM that is not provisioned yet can give it."""
        drawn = b""
        while len(drawn) < count:
            drawn += bytes(self.esys.get_random(min(count - len(drawn), _RANDOM_A_READ)))
        return drawn

    def make(self) -> TpmMake:
        told = self._properties(_MANUFACTURER, _FIRMWARE)
        return TpmMake(
            manufacturer=_text(told[_MANUFACTURER]),
            model="".join(_text(told.get(which, 0)) for which in _VENDOR_STRINGS),
            firmware=f"{told[_FIRMWARE] >> 16}.{told[_FIRMWARE] & 0xFFFF}",
        )

    def _properties(self, first: int, last: int) -> dict[int, int]:
        _, capability = self.esys.get_capability(tss.TPM2_CAP.TPM_PROPERTIES, first, last - first + 1)
        return {int(each.property): int(each.value) for each in capability.data.tpmProperties}


def _text(word: int) -> str:
    """Four characters of a property (part 2, 6.13), without what fills them up."""
    return word.to_bytes(4, "big").decode("ascii", "replace").strip("\0 ")


def _storage_key_template() -> tss.TPM2B_PUBLIC:
    area = tss.TPMT_PUBLIC.parse("ecc256:aes128cfb", objectAttributes=_FIXED | _STORAGE)
    return tss.TPM2B_PUBLIC(publicArea=area)


def _signing_key_template() -> tss.TPM2B_PUBLIC:
    area = tss.TPMT_PUBLIC.parse("ecc256:ecdsa-sha256:null", objectAttributes=_FIXED | _SIGNING)
    return tss.TPM2B_PUBLIC(publicArea=area)


def _sealed_template(policy: bytes, *, guarded: bool) -> tss.TPM2B_PUBLIC:
    # No USERWITHAUTH: the policy is the only way in.
    attributes = _FIXED & ~tss.TPMA_OBJECT.NODA if guarded else _FIXED
    area = tss.TPMT_PUBLIC.parse("keyedhash", objectAttributes=attributes)
    area.authPolicy = tss.TPM2B_DIGEST(policy)
    return tss.TPM2B_PUBLIC(publicArea=area)


def update_key_public(pem: bytes) -> tss.TPM2B_PUBLIC:
    """The update key as the TPM loads it, and names it. Raises SettingsTrouble: it is no P-256 key."""
    attributes = tss.TPMA_OBJECT.SIGN_ENCRYPT | tss.TPMA_OBJECT.USERWITHAUTH
    if b"PRIVATE KEY" in pem:
        raise SettingsTrouble("vault.update_key holds a private key, which no box may have. Put the public one there.")
    try:
        public = tss.TPM2B_PUBLIC.from_pem(pem, objectAttributes=attributes)
    except (ValueError, RuntimeError) as error:
        raise SettingsTrouble("vault.update_key is not a public key in PEM; nothing was changed.") from error
    if not public.publicArea.marshal().startswith(bytes.fromhex("0023000b")) or len(_point(public)) != 64:
        raise SettingsTrouble("vault.update_key must be an ECDSA key on P-256; nothing was changed.")
    return public


def _point(public: tss.TPM2B_PUBLIC) -> bytes:
    point = public.publicArea.unique.ecc
    return bytes(point.x).rjust(32, b"\0") + bytes(point.y).rjust(32, b"\0")


def _signature(der: bytes) -> tss.TPMT_SIGNATURE:
    r, s = decode_dss_signature(der)
    ecdsa = tss.TPMS_SIGNATURE_ECC(
        hash=tss.TPM2_ALG.SHA256, signatureR=r.to_bytes(32, "big"), signatureS=s.to_bytes(32, "big")
    )
    return tss.TPMT_SIGNATURE(sigAlg=tss.TPM2_ALG.ECDSA, signature=tss.TPMU_SIGNATURE(ecdsa=ecdsa))


def _index_template(handle: int) -> tss.TPMS_NV_PUBLIC:
    return tss.TPMS_NV_PUBLIC.unmarshal(state_index_public(handle, STATE_INDEX_ATTRIBUTES))[0]


def _selection(pcrs: tuple[int, ...]) -> tss.TPML_PCR_SELECTION:
    return tss.TPML_PCR_SELECTION.unmarshal(pcr_selection(pcrs))[0]


def _unmarshalled(sealed: SealedSecret) -> tuple[tss.TPM2B_PRIVATE, tss.TPM2B_PUBLIC]:
    try:
        return tss.TPM2B_PRIVATE.unmarshal(sealed.private)[0], tss.TPM2B_PUBLIC.unmarshal(sealed.public)[0]
    except TpmAnswer as error:
        raise SealDamaged("A sealed key is damaged.") from error
