"""Roles are sets of rights; the vault asks for a right, never for a role."""

from __future__ import annotations

from enum import StrEnum


class Right(StrEnum):
    SEE_CALLS = "see_calls"
    HEAR_CALLS = "hear_calls"
    ERASE_CALLS = "erase_calls"
    ORDER_CALLS = "order_calls"
    """Confirm, pause, resume or forget a call that is on the line, or ask to keep it longer."""
    HOLD_CALLS = "hold_calls"
    """Decide that a call is kept longer, or no longer: place, renew and lift a hold, dismiss a request."""
    ACKNOWLEDGE_OPENINGS = "acknowledge_openings"
    """Say that one knows of an opening of the case; it is then shown no more."""
    SEE_ERASURES = "see_erasures"
    SEE_JOURNAL = "see_journal"
    """Who did what and when: read it, and take it away."""
    SET_UP_RECOVERY = "set_up_recovery"
    CHOOSE_PIN = "choose_pin"
    """Have the box ask for a PIN at every start, or no longer."""


class Role(StrEnum):
    OWNER = "owner"


RIGHTS: dict[Role, frozenset[Right]] = {
    Role.OWNER: frozenset(
        {
            Right.SEE_CALLS,
            Right.HEAR_CALLS,
            Right.ERASE_CALLS,
            Right.ORDER_CALLS,
            Right.HOLD_CALLS,
            Right.ACKNOWLEDGE_OPENINGS,
            Right.SEE_ERASURES,
            Right.SEE_JOURNAL,
            Right.SET_UP_RECOVERY,
            Right.CHOOSE_PIN,
        }
    ),
}
