"""Makes a TPM the box's own: keys and indices in it, its hierarchies ruled by two secrets that only the ring has."""

from __future__ import annotations

import os
from typing import Final

from appliance.terms import KeyTrouble
from appliance.vault.ring import Ring
from appliance.vault.ring_file import RingContents
from appliance.vault.tpm import Ownership, Tpm, TpmFault

OWNER_SECRET: Final = "tpm_owner"  # noqa: S105 - the name of a secret, as the next
LOCKOUT_SECRET: Final = "tpm_lockout"  # noqa: S105
"""Secrets of this TPM: another one has others."""


def provision(tpm: Tpm) -> None:
    """Make what the vault needs in the TPM, unless it is there. Raises KeyTrouble."""
    try:
        tpm.provision()
    except TpmFault as error:
        if not tpm.has_owner():
            raise
        raise KeyTrouble(
            "This TPM has an owner already, a Linekeep whose ring of keys is not here. Nothing was changed. Put "
            "the folder 'ring' back, or clear the TPM to begin anew; what was recorded with it is lost then."
        ) from error


def own(tpm: Tpm, ring: Ring) -> Ownership:
    """The ring first: a secret that only the TPM has would lock us out for good."""
    secrets = ring.contents.secrets
    missing = {name: os.urandom(32) for name in (OWNER_SECRET, LOCKOUT_SECRET) if name not in secrets}
    if missing:
        ring.change(lambda now: RingContents(buckets=now.buckets, secrets={**now.secrets, **missing}))
    secrets = ring.contents.secrets
    return tpm.take_ownership(secrets[OWNER_SECRET], secrets[LOCKOUT_SECRET])


def own_again(tpm: Tpm, contents: RingContents) -> RingContents:
    """What a recovered ring is to hold with this TPM: the two secrets only if they are this TPM's.

    Raises KeyTrouble: the TPM is another Linekeep's.
    """
    secrets = dict(contents.secrets)
    if not tpm.has_owner():
        own_secrets = (OWNER_SECRET, LOCKOUT_SECRET)
        return RingContents(
            buckets=contents.buckets, secrets={name: each for name, each in secrets.items() if name not in own_secrets}
        )
    owner, lockout = secrets.get(OWNER_SECRET, b""), secrets.get(LOCKOUT_SECRET, b"")
    if not owner or tpm.take_ownership(owner, lockout) is Ownership.ANOTHERS:
        raise KeyTrouble(
            "This board's TPM belongs to another Linekeep. Nothing was changed. Take a board with a fresh TPM, or "
            "clear this one; what was recorded with it is lost then."
        )
    return contents
