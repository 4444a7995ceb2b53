"""The TPM policy of the ring key, computed in software: templates, names and digests, as bytes.

Decides nothing about keys and touches no TPM. What is computed here is what a TPM computes by itself when it
goes through the same steps (TCG TPM 2.0 Library, part 1 chapters 16 and 19, part 3 under the command named at
each function); a test lets a TPM and stock tools compute it too. A wrong digest could only make a seal that
does not open, and that is found before anything is renamed (see ring.py).

The policy of a ring key, each step on top of the one before:

    boot   PolicyPCR(registers as they are)
           or, if there is an update key, PolicyOR of that and PolicyAuthorize(update key)
    state  PolicyOR(PolicyNV(x == states[0]), PolicyNV(x == states[1]))
    PIN    PolicyAuthValue, if there is one

PolicyAuthorize stands first, so whoever holds the update key can vouch for other registers and for nothing else: a
signature replaces what was collected before it, and before it there is only PolicyPCR. The states stay ours.
Rings of format 1 had the state before the registers, and neither update key nor PIN.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, field

STORAGE_KEY_HANDLE = 0x8100_0001
"""Where the storage key lies; the first place that TCG's handle registry gives to an owner's storage key."""

SIGNING_KEY_HANDLE = 0x8100_0002
"""Where the key lies that signs statements: behind the storage key, in the same range."""

RING_INDEX_HANDLE = 0x0180_6C6B
"""Where the ring state lies: in the owner's range of NV indices, 'lk' in ASCII."""

JOURNAL_INDEX_HANDLE = 0x0180_6C6A
"""Where the journal's state lies, 'lj': the chain of all its signed heads."""

STATE_BYTES = 32
DIGEST_BYTES = 32

_SHA256 = 0x000B
_NV_TYPE_EXTEND = 4 << 4
_NV_AUTH_WRITE = 1 << 2
_NV_AUTH_READ = 1 << 18
_NV_NO_DA = 1 << 25
_NV_WRITTEN = 1 << 29

STATE_INDEX_ATTRIBUTES = _NV_TYPE_EXTEND | _NV_AUTH_WRITE | _NV_AUTH_READ | _NV_NO_DA
"""Never ORDERLY: such an index lives in the TPM's RAM, and a power cut sets it back or makes it jump."""

STATE_INDEX_WRITTEN = STATE_INDEX_ATTRIBUTES | _NV_WRITTEN

_CC_POLICY_NV = 0x149
_CC_POLICY_OR = 0x171
_CC_POLICY_PCR = 0x17F
_CC_POLICY_AUTHORIZE = 0x16A
_CC_POLICY_AUTH_VALUE = 0x16B
_OPERATION_EQUAL = 0

BOOT_POLICY_REF = b"linekeep boot 1"
"""What a signature by the update key is for; the same key may sign images, and no such signature passes for this."""

_NOTHING = bytes(DIGEST_BYTES)
"""The digest that every policy begins with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attestation:
    """The TPM's word on an index and on 32 bytes that were put to it; both halves are public.

    attest: TPMS_ATTEST of type NV (part 2, 10.12.12).  signature: ECDSA over its SHA-256, DER (RFC 3279, 2.2.3).
    """

    attest: bytes
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedSecret:
    """A secret that only one TPM opens, in one of two states, started as it was when this was made.

    public, private: the TPM's own two halves, worthless elsewhere.
    states: the values of the ring state under which it opens: when it was made, and the next one.
    pcrs, pcr_digest: the platform registers (SHA-256 bank) it is bound to, and the digest of their values.
    update_key_name: the TPM's name of the key that may vouch for other values; empty: nobody may.
    has_pin: it opens with the PIN only.
    state_first: sealed as in rings of format 1.
    """

    public: bytes = field(repr=False)
    private: bytes = field(repr=False)
    states: tuple[bytes, bytes]
    pcrs: tuple[int, ...]
    pcr_digest: bytes
    update_key_name: bytes = b""
    has_pin: bool = False
    state_first: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BootPolicy:
    """Registers that the holder of the update key vouches for. signature: ECDSA, DER, over `boot_policy_message`."""

    pcrs: tuple[int, ...]
    pcr_digest: bytes
    signature: bytes


def state_index_public(handle: int, attributes: int) -> bytes:
    """TPMS_NV_PUBLIC of an index that holds a state: handle, hash, attributes, no policy, size (part 2, 13.5)."""
    return struct.pack(">IHIHH", handle, _SHA256, attributes, 0, STATE_BYTES)


def state_index_name(handle: int) -> bytes:
    """An index's name once it was written. It commits to type and attributes, not to the value."""
    return struct.pack(">H", _SHA256) + hashlib.sha256(state_index_public(handle, STATE_INDEX_WRITTEN)).digest()


RING_INDEX_NAME = state_index_name(RING_INDEX_HANDLE)
JOURNAL_INDEX_NAME = state_index_name(JOURNAL_INDEX_HANDLE)


def next_state(state: bytes, r: bytes) -> bytes:
    """What TPM2_NV_Extend makes of an index of type EXTEND (part 3, 31.9): there is no way back."""
    return hashlib.sha256(state + r).digest()


def pcr_selection(pcrs: tuple[int, ...]) -> bytes:
    """TPML_PCR_SELECTION: one bank, SHA-256, three bytes of bits (part 2, 10.9.7)."""
    bits = sum(1 << pcr for pcr in set(pcrs))
    return struct.pack(">IHB", 1, _SHA256, 3) + bits.to_bytes(3, "little")


def policy_nv_digest(state: bytes, before: bytes = _NOTHING) -> bytes:
    """PolicyNV on top of `before`: the ring index's value equals `state` (part 3, 23.9)."""
    arguments = hashlib.sha256(state + struct.pack(">HH", 0, _OPERATION_EQUAL)).digest()
    return _extended(before, _CC_POLICY_NV, arguments + RING_INDEX_NAME)


def policy_or_digest(branches: tuple[bytes, bytes]) -> bytes:
    """PolicyOR: forgets which branch was true, remembers which ones there were (part 3, 23.6)."""
    return _extended(_NOTHING, _CC_POLICY_OR, b"".join(branches))


def policy_pcr_digest(before: bytes, pcrs: tuple[int, ...], pcr_digest: bytes) -> bytes:
    """PolicyPCR on top of `before` (part 3, 23.7)."""
    return _extended(before, _CC_POLICY_PCR, pcr_selection(pcrs) + pcr_digest)


def policy_authorize_digest(key_name: bytes) -> bytes:
    """PolicyAuthorize: forgets what was approved, remembers whose approval counted, and for what (part 3, 23.16)."""
    return hashlib.sha256(_extended(_NOTHING, _CC_POLICY_AUTHORIZE, key_name) + BOOT_POLICY_REF).digest()


def boot_policy_message(pcrs: tuple[int, ...], pcr_digest: bytes) -> bytes:
    """What the holder of the update key signs to vouch for these registers (part 3, 23.16.1: aHash)."""
    return policy_pcr_digest(_NOTHING, pcrs, pcr_digest) + BOOT_POLICY_REF


def boot_branches(pcrs: tuple[int, ...], pcr_digest: bytes, update_key_name: bytes) -> tuple[bytes, bytes]:
    """The two digests that the first PolicyOR is asked with, if there is an update key."""
    return policy_pcr_digest(_NOTHING, pcrs, pcr_digest), policy_authorize_digest(update_key_name)


def boot_digest(sealed: SealedSecret) -> bytes:
    """The policy's first part."""
    if not sealed.update_key_name:
        return policy_pcr_digest(_NOTHING, sealed.pcrs, sealed.pcr_digest)
    return policy_or_digest(boot_branches(sealed.pcrs, sealed.pcr_digest, sealed.update_key_name))


def state_branches(states: tuple[bytes, bytes], before: bytes = _NOTHING) -> tuple[bytes, bytes]:
    """The two digests that the PolicyOR over the states is asked with."""
    return policy_nv_digest(states[0], before), policy_nv_digest(states[1], before)


def ring_key_policy(sealed: SealedSecret) -> bytes:
    """The whole policy that a ring key is sealed under."""
    state = policy_or_digest(state_branches(sealed.states, boot_digest(sealed)))
    return _extended(state, _CC_POLICY_AUTH_VALUE, b"") if sealed.has_pin else state


def _extended(before: bytes, command: int, arguments: bytes) -> bytes:
    return hashlib.sha256(before + struct.pack(">I", command) + arguments).digest()
