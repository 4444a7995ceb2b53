"""Keep or erase: a pure decision about one call at one moment, with its reason. Holds and requests are input to it.

A hold is a person's decision, with an end (retention/holds.py). A request to keep a call longer is anybody's: whoever
is on the line can type its code. So it gives the owner time to decide, counted from the call and not from the end of
its period, and where the period is as long as that time it lengthens nothing. Why so: docs/decisions/holds.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from appliance.terms import CallId

KEEP_ASKED_LASTS_MS = 14 * 86_400_000
"""So long after it was made, a request that nobody has answered puts off the erasure."""


class Reason(StrEnum):
    PERIOD_RUNS = "its period is not over"
    PERIOD_OVER = "its period is over"
    NO_DUE_DATE = "it was recorded on an untrusted clock and has no due date yet"
    CLOCK_UNTRUSTED = "the clock is not trusted"
    HELD = "it is held"
    KEEP_ASKED = "somebody has asked to keep it longer, and there is still time to decide"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    call: CallId
    erase: bool
    reason: Reason


def due_at(*, ended_at_ms: int, keep_s: int) -> int:
    """The moment from which a call must be gone: its end plus the period of its class."""
    return ended_at_ms + keep_s * 1000


def asked_until(keep_asked_at_ms: int | None) -> int:
    """Until when an open request puts off the erasure; 0: there is none, or it was made on an untrusted clock."""
    return keep_asked_at_ms + KEEP_ASKED_LASTS_MS if keep_asked_at_ms else 0


def goes_at(*, due_at_ms: int, hold_until_ms: int | None, keep_asked_at_ms: int | None) -> int:
    """The moment from which a call must be gone as things stand."""
    return max(due_at_ms, hold_until_ms or 0, asked_until(keep_asked_at_ms))


def is_held(hold_until_ms: int | None, *, now_ms: int, clock_trusted: bool) -> bool:
    """Whether nothing and nobody may erase the call now. A clock that is not trusted ends no hold."""
    return hold_until_ms is not None and (hold_until_ms > now_ms or not clock_trusted)


def judge(
    call: CallId,
    *,
    due_at_ms: int | None,
    hold_until_ms: int | None,
    keep_asked_at_ms: int | None,
    now_ms: int,
    clock_trusted: bool,
) -> Verdict:
    """Decide about one finished call. Unclear means keep: what is erased cannot come back."""

    def keep(reason: Reason) -> Verdict:
        return Verdict(call=call, erase=False, reason=reason)

    if not clock_trusted:
        return keep(Reason.CLOCK_UNTRUSTED)
    if is_held(hold_until_ms, now_ms=now_ms, clock_trusted=True):
        return keep(Reason.HELD)
    if due_at_ms is None:
        return keep(Reason.NO_DUE_DATE)
    if due_at_ms > now_ms:
        return keep(Reason.PERIOD_RUNS)
    if asked_until(keep_asked_at_ms) > now_ms:
        return keep(Reason.KEEP_ASKED)
    return Verdict(call=call, erase=True, reason=Reason.PERIOD_OVER)
