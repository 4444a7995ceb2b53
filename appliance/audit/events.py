"""Every act that the journal may hold. An act that is not in this list cannot be written."""

from __future__ import annotations

from enum import StrEnum


class Act(StrEnum):
    """Subject and what happened to it."""

    BOX_PROVISIONED = "box:provisioned"
    BOX_CLAIMED = "box:claimed"
    BOX_CLAIM_REFUSED = "box:claim_refused"
    VAULT_STARTED = "vault:started"
    RING_REPAIRED = "ring:repaired"
    RING_SEALED_ANEW = "ring:sealed_anew"
    PIN_SET = "pin:set"
    PIN_REMOVED = "pin:removed"
    TPM_OWNED = "tpm:owned"
    TPM_OWNED_BY_ANOTHER = "tpm:owned_by_another"
    CLOCK_DISTRUSTED = "clock:distrusted"
    CLOCK_TRUSTED = "clock:trusted"
    LOGIN_BEGUN = "login:begun"
    LOGIN_REFUSED = "login:refused"
    LOGIN_ENDED = "login:ended"
    CALL_KEPT = "call:kept"
    CALL_RECOVERED = "call:recovered"
    CALL_NOT_KEPT = "call:not_kept"
    CALL_OPENED = "call:opened"
    CALL_DOWNLOADED = "call:downloaded"
    EVIDENCE_EXPORTED = "evidence:exported"
    CALL_ERASURE_ASKED = "call:erasure_asked"
    CALLS_CONDEMNED = "calls:condemned"
    CALLS_FORGOTTEN = "calls:forgotten"
    JOURNAL_TORN_LINE_DROPPED = "journal:torn_line_dropped"
