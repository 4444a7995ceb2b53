"""Every act that the journal may hold. An act that is not in this list cannot be written.

No act comes with a name or a number: `by` is an account's id or a part of the product, ids are hexadecimal, notes are
counts, hexadecimal digests and words that stand in the source.
"""

from __future__ import annotations

from enum import StrEnum


class Act(StrEnum):
    """Subject and what happened to it."""

    BOX_PROVISIONED = "box:provisioned"
    BOX_CLAIMED = "box:claimed"
    BOX_CLAIM_REFUSED = "box:claim_refused"
    BOX_RESTORED = "box:restored"
    BOX_RECOVERED = "box:recovered"
    RECOVERY_SET_UP = "recovery:set_up"
    RECOVERY_DECLINED = "recovery:declined"
    RECOVERY_DRILLED = "recovery:drilled"
    BACKUP_MADE = "backup:made"
    BACKUP_FAILED = "backup:failed"
    VAULT_STARTED = "vault:started"
    VAULT_STOPPED = "vault:stopped"
    SETTINGS_CHANGED = "settings:changed"
    PERIOD_CHANGED = "period:changed"
    CERTIFICATE_ISSUED = "certificate:issued"
    CHECK_RUN = "check:run"
    RING_MOVED = "ring:moved"
    RING_MOVED_UNSEEN = "ring:moved_unseen"
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
    CALL_ORDERED = "call:ordered"
    CALL_KEEP_ASKED = "call:keep_asked"
    CALL_KEEP_DISMISSED = "call:keep_dismissed"
    CALL_HELD = "call:held"
    CALL_HOLD_LIFTED = "call:hold_lifted"
    CALLS_LISTED = "calls:listed"
    CALL_SHOWN = "call:shown"
    CALL_OPENED = "call:opened"
    CALL_DOWNLOADED = "call:downloaded"
    EVIDENCE_EXPORTED = "evidence:exported"
    CALL_ERASURE_ASKED = "call:erasure_asked"
    CALLS_CONDEMNED = "calls:condemned"
    CALLS_FORGOTTEN = "calls:forgotten"
    RECEIPT_EXPORTED = "receipt:exported"
    JOURNAL_EXPORTED = "journal:exported"
    JOURNAL_HEADS_BEGUN = "journal:heads_begun"
    JOURNAL_HEADS_BROKEN = "journal:heads_broken"
    JOURNAL_TORN_LINE_DROPPED = "journal:torn_line_dropped"
