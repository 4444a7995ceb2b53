"""The TPM: keeps a ring's key, and the one number that decides which ring is the present one.

Promise: every public method is one transaction under one lock, leaves no session or object behind, and tells
its trouble as a KeyTrouble with a sentence. What the TPM is only too busy for is tried again. After a broken
or malformed answer the connection is closed; the next transaction begins a new one, and flushes the remains.

Left to others: the commands and their sessions (tpm_connection.py), the digests (tpm_policy.py), what answers
mean (tpm_trouble.py), which states and which ring (ring.py), and who owns the TPM's hierarchies.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from appliance.vault.tpm_connection import TpmAnswer, TpmClock, TpmConnection
from appliance.vault.tpm_policy import (
    JOURNAL_INDEX_HANDLE,
    RING_INDEX_HANDLE,
    Attestation,
    SealedSecret,
    ring_key_policy,
    state_branches,
)
from appliance.vault.tpm_trouble import (
    PCR_CHANGED,
    BootChanged,
    NextStep,
    PolicyNotMet,
    SealDamaged,
    TpmFault,
    TpmForeign,
    TpmMissing,
    next_step,
    plain_code,
    trouble,
)

__all__ = [
    "Attestation",
    "BootChanged",
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

_WORTH_ANOTHER_TRY: Final = (NextStep.WAIT, NextStep.MAKE_ROOM)


class Tpm:
    """One TPM, opened at once and again whenever the road to it broke.

    Args:
        tcti: the road, e.g. "device:/dev/tpmrm0" or "swtpm:path=/run/x/tpm.sock".
        pcrs: platform registers (SHA-256 bank) that secrets are bound to.
    Raises:
        TpmMissing: it cannot be reached.
    """

    def __init__(self, tcti: str, *, pcrs: tuple[int, ...] = (7,)) -> None:
        self._tcti = tcti
        self._pcrs = pcrs
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
        """
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

    def clock(self) -> TpmClock:
        """The TPM's clock, as the TPM itself vouches for it."""
        return self._transact(TpmConnection.clock)

    def close(self) -> None:
        with self._lock:
            self._disconnect()

    def _policy(self, states: tuple[bytes, bytes], pcr_digest: bytes) -> bytes:
        return ring_key_policy(states, self._pcrs, pcr_digest)

    def _satisfy(
        self, connection: TpmConnection, policy: Any, session: Any, sealed: SealedSecret, state: bytes
    ) -> None:
        connection.policy_nv(policy, session, state)
        connection.policy_or(policy, state_branches(sealed.states))
        connection.policy_pcr(policy, sealed.pcrs, sealed.pcr_digest)

    @staticmethod
    def _read_state(connection: TpmConnection, handle: int = RING_INDEX_HANDLE) -> bytes:
        with connection.hmac_session() as session:
            return connection.read_state(session, handle)

    def _seal(self, connection: TpmConnection, secret: bytes, states: tuple[bytes, bytes]) -> SealedSecret:
        with connection.hmac_session() as session:
            pcr_digest = connection.pcr_digest(session, self._pcrs)
            policy = self._policy(states, pcr_digest)
            public, private = connection.create_sealed(session, secret, policy)
        return SealedSecret(public=public, private=private, states=states, pcrs=self._pcrs, pcr_digest=pcr_digest)

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
                return connection.unseal(item, policy)

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


def _certified(connection: TpmConnection, digest: bytes, handle: int) -> Attestation:
    attest, r, s = connection.certify(digest, handle)
    signature = encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))
    return Attestation(attest=attest, signature=signature)
