"""Who rules the TPM: the platform hierarchy is shut, the owner's and the lock-out's authorisations are ours.

A TPM has rulers beside the one who uses it. After every reset the platform's authorisation is empty, the owner's and
the lock-out's are until somebody sets them: with any of them, root, or a live stick, can clear the TPM, undefine our
indices or make room for keys of its own. That opens nothing and destroys everything. So the platform hierarchy is
disabled at every start, first of all, and the two others get secrets that only the ring has. What is left is pulling
the plug and starting another system before ours: only what boots the board can prevent that.

Beside tpm_connection.py the only file that knows tpm2_pytss. Used by tpm.py alone.
"""

from __future__ import annotations

from enum import Enum, auto

import tpm2_pytss as tss

from appliance.vault.tpm_connection import TpmAnswer, TpmConnection
from appliance.vault.tpm_trouble import HIERARCHY_OFF, plain_code, says_wrong_owner

_MOST_WRONG_PINS = 10
_FORGIVES_ONE_AFTER_S = 3600
_LOCKOUT_FORGIVES_AFTER_S = 24 * 3600


class Ownership(Enum):
    """Whose the owner's authorisation is."""

    TAKEN = auto()
    """It was empty, and is ours now."""
    OURS = auto()
    ANOTHERS = auto()
    """Somebody else has set it. Nothing opens by that; but they can destroy what they like."""


def disable_platform(connection: TpmConnection) -> None:
    """Shut the platform hierarchy until the next reset; it may be shut already."""
    platform = tss.ESYS_TR.PLATFORM
    try:
        connection.esys.hierarchy_control(platform, platform, False)
    except TpmAnswer as error:
        # With an authorisation of its own the firmware looks after the hierarchy itself.
        if plain_code(error.rc) != HIERARCHY_OFF and not says_wrong_owner(error.rc):
            raise


def take_ownership(connection: TpmConnection, owner: bytes, lockout: bytes) -> Ownership:
    """Set both authorisations where they are empty; after a cut the next call goes on.

    Args:
        owner, lockout: 32 bytes each, kept by the caller before this is called.
    """
    flags = _permanent_flags(connection)
    if not flags & tss.TPMA_PERMANENT.LOCKOUTAUTHSET:
        # Their limits first: afterwards that takes the lock-out's secret, and a wrong one would lock out for a day.
        connection.esys.dictionary_attack_parameters(_MOST_WRONG_PINS, _FORGIVES_ONE_AFTER_S, _LOCKOUT_FORGIVES_AFTER_S)
        _set(connection, tss.ESYS_TR.LOCKOUT, lockout)
    if not flags & tss.TPMA_PERMANENT.OWNERAUTHSET:
        _set(connection, tss.ESYS_TR.OWNER, owner)
        taken = Ownership.TAKEN
    else:
        taken = Ownership.OURS
    connection.know_owner(owner)
    return taken if _is_owner(connection) else Ownership.ANOTHERS


def has_owner(connection: TpmConnection) -> bool:
    """Is the owner's authorisation set, by whomever? A fresh TPM has no key to make that answer sure with."""
    return bool(_flags_of(connection) & tss.TPMA_PERMANENT.OWNERAUTHSET)


def _permanent_flags(connection: TpmConnection) -> tss.TPMA_PERMANENT:
    with connection.hmac_session() as session:
        return _flags_of(connection, session1=connection.auditing(session))


def _flags_of(connection: TpmConnection, **sessions: tss.ESYS_TR) -> tss.TPMA_PERMANENT:
    _, capability = connection.esys.get_capability(tss.TPM2_CAP.TPM_PROPERTIES, tss.TPM2_PT.PERMANENT, 1, **sessions)
    return tss.TPMA_PERMANENT(int(capability.data.tpmProperties[0].value))


def _set(connection: TpmConnection, hierarchy: tss.ESYS_TR, secret: bytes) -> None:
    with connection.hmac_session() as session:
        connection.esys.hierarchy_change_auth(hierarchy, secret, session1=connection.hiding(session))


def _is_owner(connection: TpmConnection) -> bool:
    """Ask the TPM to check the owner's secret, without writing anything in it."""
    with connection.hmac_session() as session, connection.policy_session() as policy:
        try:
            connection.esys.policy_secret(
                tss.ESYS_TR.OWNER, policy, nonce_tpm=b"", expiration=0, session1=connection.auditing(session)
            )
        except TpmAnswer as error:
            if not says_wrong_owner(error.rc):
                raise
            return False
    return True
