"""The TPM: keeps a ring's key, and the one number that decides which ring is the present one.

Promise: every public method is one transaction under one lock, leaves no session or object behind, and tells
its trouble as a KeyTrouble with a sentence. What the TPM is only too busy for is tried again. After a broken
or malformed answer the connection is closed; the next transaction begins a new one, and flushes the remains.

Left to others: the commands and their sessions (tpm_connection.py), the digests (tpm_policy.py), what answers
mean (tpm_trouble.py), which states and which ring (ring.py), and who owns the TPM's hierarchies.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from appliance.vault.tpm_connection import TpmAnswer, TpmClock, TpmConnection, TpmMake, update_key_public
from appliance.vault.tpm_owner import Ownership, disable_platform, has_owner, take_ownership
from appliance.vault.tpm_policy import (
    DIGEST_BYTES,
    JOURNAL_INDEX_HANDLE,
    RING_INDEX_HANDLE,
    Attestation,
    BootPolicy,
    SealedSecret,
    boot_branches,
    boot_digest,
    ring_key_policy,
    state_branches,
)
from appliance.vault.tpm_trouble import (
    PCR_CHANGED,
    BootChanged,
    NextStep,
    PinLocked,
    PinNeeded,
    PinWrong,
    PolicyNotMet,
    SealDamaged,
    TpmFault,
    TpmForeign,
    TpmMissing,
    next_step,
    plain_code,
    says_wrong_pin,
    trouble,
)

__all__ = [
    "Attestation",
    "BootChanged",
    "BootPolicy",
    "Ownership",
    "PinLocked",
    "PinNeeded",
    "PinWrong",
    "PolicyNotMet",
    "SealDamaged",
    "SealedSecret",
    "Tpm",
    "TpmClock",
    "TpmFault",
    "TpmForeign",
    "TpmMissing",
]

_T = TypeVar("_T")

_WAITS_S: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.0, 1.0)
"""Between ten tries, 3.3 s in all: a limit on NV writes lets one through every few hundred milliseconds."""

_PIN_INFO = b"linekeep pin 1 "

_WORTH_ANOTHER_TRY: Final = (NextStep.WAIT, NextStep.MAKE_ROOM)


class Tpm:
    """One TPM, opened at once and again whenever the road to it broke.

    Args:
        tcti: the road, e.g. "device:/dev/tpmrm0" or "swtpm:path=/run/x/tpm.sock".
        pcrs: platform registers (SHA-256 bank) that secrets are bound to.
        update_key_pem: the public key of whoever may vouch for other registers; None: nobody may.
        boot_policies: what they have vouched for; asked when the registers are not as they were.
    Raises:
        TpmMissing: it cannot be reached.
    """

    def __init__(
        self,
        tcti: str,
        *,
        pcrs: tuple[int, ...] = (7,),
        update_key_pem: bytes | None = None,
        boot_policies: Callable[[], Sequence[BootPolicy]] = tuple,
    ) -> None:
        self._tcti = tcti
        self._pcrs = pcrs
        self._update_key_pem = update_key_pem
        self._boot_policies = boot_policies
        self._update_key_name = bytes(update_key_public(update_key_pem).get_name()) if update_key_pem else b""
        self.pin: str | None = None
        self._pin_auth: bytes | None = None
        self._owner: bytes | None = None
        self._trusted_name: bytes | None = None
        self._lock = threading.Lock()
        self._connection: TpmConnection | None = None
        # Connecting flushes by itself; there is nothing else to do yet.
        self._transact(lambda _connection: None)

    def provision(self) -> None:
        """Make both keys and both indices unless they are there; after a cut the next call goes on.

        Needs the owner hierarchy with an empty authorisation the first time, and not at all later.
        Raises:
            TpmForeign: something that is not ours lies at one of their places.
        """
        self._transact(TpmConnection.provision)

    def disable_platform(self) -> None:
        """Shut the platform hierarchy until the next reset."""
        self._transact(disable_platform)

    def take_ownership(self, owner: bytes, lockout: bytes) -> Ownership:
        """Make the owner's and the lock-out's authorisation these, where they are empty; and use the owner's."""
        ownership = self._transact(lambda connection: take_ownership(connection, owner, lockout))
        self._owner = None if ownership is Ownership.ANOTHERS else owner
        return ownership

    def has_owner(self) -> bool:
        """Is the owner's authorisation set, by whomever?"""
        return self._transact(has_owner)

    def use_pin(self, pin: str | None) -> None:
        """Seal with this PIN from now on, and open with it. None: seal without; what has one stays shut."""
        self.pin = pin
        # In hexadecimal: a TPM takes zeros off the end of a secret.
        self._pin_auth = None if pin is None else hashlib.sha256(_PIN_INFO + pin.encode()).hexdigest()[:32].encode()

    @property
    def has_pin(self) -> bool:
        """Whether what is sealed now opens with a PIN only."""
        return self._pin_auth is not None

    def is_sealed_for_this_boot(self, sealed: SealedSecret) -> bool:
        """Whether this was sealed as it would be now: same registers, same update key, same policy."""
        now = self._transact(self._boot_now)
        return (now, self._update_key_name, False) == (sealed.pcr_digest, sealed.update_key_name, sealed.state_first)

    def storage_key_name(self) -> bytes:
        """The name to remember this TPM by. Raises TpmForeign: it has no storage key of ours."""
        return self._transact(TpmConnection.storage_key_name)

    def check_storage_key(self, name: bytes) -> None:
        """Trust this storage key and no other from now on, also after the TPM was reached anew.

        Raises:
            TpmForeign: it is not this TPM's; then what was trusted before still is.
        """
        if self.storage_key_name() != name:
            raise TpmForeign("This is not the TPM that the ring was made with. Nothing was changed.")
        self._trusted_name = name

    def ring_state(self) -> bytes:
        """The state, 32 bytes, as the TPM itself vouches for it. Raises TpmForeign."""
        return self._transact(self._read_state)

    def extend(self, r: bytes) -> None:
        """Move the state on to SHA256(state || r).

        After any trouble only `ring_state` tells whether it was done: an answer may be lost or faked.
        """
        self._transact(lambda connection: connection.extend(r))

    def journal_state(self) -> bytes:
        """The state of the journal's index, 32 bytes, as the TPM itself vouches for it. Raises TpmForeign."""
        return self._transact(lambda connection: self._read_state(connection, JOURNAL_INDEX_HANDLE))

    def extend_journal(self, digest: bytes) -> None:
        """Move the journal's state on to SHA256(state || digest). As for `extend`, only reading tells."""
        self._transact(lambda connection: connection.extend(digest, JOURNAL_INDEX_HANDLE))

    def signing_point(self) -> bytes:
        """The public half of the signing key: an uncompressed point on P-256, 65 bytes. Raises TpmForeign."""
        return self._transact(TpmConnection.signing_point)

    def certify_ring(self, digest: bytes) -> Attestation:
        """Have the TPM sign these 32 bytes together with the ring's state and its own clock."""
        return self._transact(lambda connection: _certified(connection, digest, RING_INDEX_HANDLE))

    def certify_journal(self, digest: bytes) -> Attestation:
        """Have the TPM sign these 32 bytes together with the journal's state and its own clock."""
        return self._transact(lambda connection: _certified(connection, digest, JOURNAL_INDEX_HANDLE))

    def seal(self, secret: bytes, states: tuple[bytes, bytes]) -> SealedSecret:
        """Seal up to 128 bytes, to open in one of two states, started as this box is now."""
        return self._transact(lambda connection: self._seal(connection, secret, states))

    def unseal(self, sealed: SealedSecret) -> bytes:
        """Open a sealed secret.

        Raises:
            PolicyNotMet: the state is neither of the two; BootChanged: the platform registers differ.
            SealDamaged: the bytes are not what this TPM gave out.
            PinNeeded, PinWrong, PinLocked: it has a PIN.
        """
        if sealed.has_pin and self._pin_auth is None:
            raise PinNeeded
        return self._transact(lambda connection: self._unseal_again_if_pcr_moved(connection, sealed))

    def flush_sessions(self) -> None:
        """Flush sessions and objects, so that no policy which was satisfied before opens anything any more.

        Raises:
            TpmFault: another program keeps opening sessions.
        """
        self._transact(TpmConnection.flush_all)

    def random(self, count: int) -> bytes:
        """Random bytes from the TPM, encrypted on the bus."""
        return self._transact(lambda connection: connection.random(count))

    def random_in_clear(self, count: int) -> bytes:
        """Random bytes for a look at the chip, never for a key: the bus has seen them."""
        return self._transact(lambda connection: connection.random_in_clear(count))

    def make(self) -> TpmMake:
        """Who made it. Nothing vouches for the answer."""
        return self._transact(TpmConnection.make)

    def clock(self) -> TpmClock:
        """The TPM's clock, as the TPM itself vouches for it."""
        return self._transact(TpmConnection.clock)

    def close(self) -> None:
        with self._lock:
            self._disconnect()

    def _policy(self, sealed: SealedSecret) -> bytes:
        return ring_key_policy(sealed)

    def _satisfy(
        self, connection: TpmConnection, policy: Any, session: Any, sealed: SealedSecret, state: bytes
    ) -> None:
        if sealed.state_first:
            self._satisfy_state(connection, policy, session, sealed, state)
            connection.policy_pcr(policy, sealed.pcrs, sealed.pcr_digest)
        else:
            self._satisfy_boot(connection, policy, session, sealed)
            self._satisfy_state(connection, policy, session, sealed, state)

    @staticmethod
    def _satisfy_state(
        connection: TpmConnection, policy: Any, session: Any, sealed: SealedSecret, state: bytes
    ) -> None:
        before = bytes(DIGEST_BYTES) if sealed.state_first else boot_digest(sealed)
        connection.policy_nv(policy, session, state)
        connection.policy_or(policy, state_branches(sealed.states, before))

    def _satisfy_boot(self, connection: TpmConnection, policy: Any, session: Any, sealed: SealedSecret) -> None:
        """The registers as they were, or as the holder of the update key says that they may be."""
        boot = self._vouched_for(connection, session, sealed)
        if boot is None:
            connection.policy_pcr(policy, sealed.pcrs, sealed.pcr_digest)
        else:
            connection.policy_pcr(policy, boot.pcrs, boot.pcr_digest)
            connection.policy_authorize(policy, boot, self._update_key_pem or b"")
        if sealed.update_key_name:
            branches = boot_branches(sealed.pcrs, sealed.pcr_digest, sealed.update_key_name)
            connection.policy_or(policy, branches)

    def _vouched_for(self, connection: TpmConnection, session: Any, sealed: SealedSecret) -> BootPolicy | None:
        """What fits the registers as they are now, if they are not as they were; the TPM checks the signature."""
        if not sealed.update_key_name or sealed.update_key_name != self._update_key_name:
            return None
        now = connection.pcr_digest(session, sealed.pcrs)
        if now == sealed.pcr_digest:
            return None
        fitting = (boot for boot in self._boot_policies() if (boot.pcrs, boot.pcr_digest) == (sealed.pcrs, now))
        return next(fitting, None)

    def _boot_now(self, connection: TpmConnection) -> bytes:
        with connection.hmac_session() as session:
            return connection.pcr_digest(session, self._pcrs)

    @staticmethod
    def _read_state(connection: TpmConnection, handle: int = RING_INDEX_HANDLE) -> bytes:
        with connection.hmac_session() as session:
            return connection.read_state(session, handle)

    def _seal(self, connection: TpmConnection, secret: bytes, states: tuple[bytes, bytes]) -> SealedSecret:
        with connection.hmac_session() as session:
            planned = SealedSecret(
                public=b"",
                private=b"",
                states=states,
                pcrs=self._pcrs,
                pcr_digest=connection.pcr_digest(session, self._pcrs),
                update_key_name=self._update_key_name,
                has_pin=self.has_pin,
            )
            public, private = connection.create_sealed(session, secret, self._policy(planned), self._pin_auth)
        return replace(planned, public=public, private=private)

    def _unseal_again_if_pcr_moved(self, connection: TpmConnection, sealed: SealedSecret) -> bytes:
        try:
            return self._unseal(connection, sealed)
        except TpmAnswer as error:
            # Any register that is extended, ours or not, makes the TPM doubt its PolicyPCR: once is chance.
            if plain_code(error.rc) != PCR_CHANGED:
                raise
            return self._unseal(connection, sealed)

    def _unseal(self, connection: TpmConnection, sealed: SealedSecret) -> bytes:
        with connection.hmac_session() as session:
            state = connection.read_state(session)
            if state not in sealed.states:
                raise PolicyNotMet("This key was sealed for another state of the TPM. Nothing was changed.")
            with connection.loaded(sealed, session) as item, connection.policy_session() as policy:
                self._satisfy(connection, policy, session, sealed, state)
                if not sealed.has_pin:
                    return connection.unseal(item, policy)
                connection.policy_pin(policy, item, self._pin_auth or b"")
                return _unsealed_with_pin(connection, item, policy)

    def _transact(self, work: Callable[[TpmConnection], _T]) -> _T:
        """Run one transaction, from its beginning again as long as the TPM says that it is only busy."""
        waits_s = iter(_WAITS_S)
        with self._lock:
            while True:
                try:
                    return self._attempt(work)
                except TpmAnswer as error:
                    wait_s = next(waits_s, None)
                    if wait_s is None or next_step(error.rc) not in _WORTH_ANOTHER_TRY:
                        raise trouble(error.rc) from error
                time.sleep(wait_s)

    def _attempt(self, work: Callable[[TpmConnection], _T]) -> _T:
        try:
            if self._connection is None:
                self._connection = TpmConnection(self._tcti, self._trusted_name)
                if self._owner is not None:
                    self._connection.know_owner(self._owner)
            return work(self._connection)
        except TpmAnswer as error:
            # Opening flushes; so a full TPM is a reason to reconnect as well.
            if next_step(error.rc) in (NextStep.RECONNECT, NextStep.MAKE_ROOM):
                self._disconnect()
            raise
        except TpmForeign:
            # The library remembers the public areas it once read, also one that somebody slipped in.
            self._disconnect()
            raise

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _unsealed_with_pin(connection: TpmConnection, item: Any, policy: Any) -> bytes:
    try:
        return connection.unseal(item, policy)
    except TpmAnswer as error:
        if says_wrong_pin(error.rc):
            raise PinWrong from error
        raise


def _certified(connection: TpmConnection, digest: bytes, handle: int) -> Attestation:
    attest, r, s = connection.certify(digest, handle)
    signature = encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))
    return Attestation(attest=attest, signature=signature)
