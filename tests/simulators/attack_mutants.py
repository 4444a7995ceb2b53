"""Other schemes in the place of the ring's, each with a flaw that is known: the attack must show it.

Named in crash_changes.py, so that a life can be lived with them.
"""

from __future__ import annotations

import secrets

from appliance.vault.recovery.copy import seal_copy
from appliance.vault.ring import Ring, RingCommit, RingOld
from appliance.vault.ring_file import KEY_BYTES, OpenedRing, RingContents, RingFile, make_header, open_ring, seal_ring
from appliance.vault.tpm import PolicyNotMet, SealDamaged, TpmForeign
from appliance.vault.tpm_policy import RING_INDEX_NAME, STATE_BYTES, next_state

_NEVER = b"\xff" * STATE_BYTES


def write_for_the_next_state_only(ring: Ring, wanted: OpenedRing, states: tuple[bytes, bytes]) -> None:
    """As with a counter: sealed for "one more", renamed over the ring that opens now, and then counted."""
    ring_key = secrets.token_bytes(KEY_BYTES)
    sealed = ring._tpm.seal(ring_key, (_NEVER, states[1]))
    header = make_header(sealed, storage_key_name=ring._tpm.storage_key_name(), index_name=RING_INDEX_NAME)
    ring._folder.stage(seal_ring(ring_key, header, wanted), seal_copy(wanted, sealed.states))
    ring._folder.replace()


def opened_if_it_opens(ring: Ring, file: RingFile) -> OpenedRing:
    """Without the question whether its two states follow each other."""
    try:
        ring._tpm.check_storage_key(file.header.storage_key_name)
        return open_ring(ring._tpm.unseal(file.header.sealed_key), file)
    except (TpmForeign, SealDamaged, PolicyNotMet) as error:
        raise RingOld("dead") from error


def commit_with_a_known_step(ring: Ring, contents: RingContents) -> RingCommit:
    """As with a counter: whatever is tried at v is sealed for v and v + 1, and v + 1 is the same for all tries."""
    before, r = ring._tpm.ring_state(), bytes(STATE_BYTES)
    after = next_state(before, r)
    ring._write(OpenedRing(contents=contents, r=r), (before, after))
    ring._move_on(r, before, after)
    ring._adopt(contents, (before, after))
    return RingCommit(before=before, after=after)


def keep_the_sessions(_tpm: object) -> None:
    """Whoever has satisfied a policy has satisfied it."""


_RING = "appliance.vault.ring.Ring"
ATTACK_MUTANTS: dict[str, dict[str, object]] = {
    "a counter, sealed for equal, renamed over": {
        f"{_RING}._write": write_for_the_next_state_only,
        f"{_RING}._opened": opened_if_it_opens,
    },
    "a counter, sealed for at most, nothing burnt": {f"{_RING}._commit": commit_with_a_known_step},
    "sessions are not flushed": {"appliance.vault.tpm.Tpm.flush_sessions": keep_the_sessions},
}
