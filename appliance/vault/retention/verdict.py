"""Keep or erase: a pure decision about one call at one moment, with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from appliance.terms import CallId


class Reason(StrEnum):
    PERIOD_RUNS = "its period is not over"
    PERIOD_OVER = "its period is over"
    NO_DUE_DATE = "it was recorded on an untrusted clock and has no due date yet"
    CLOCK_UNTRUSTED = "the clock is not trusted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    call: CallId
    erase: bool
    reason: Reason


def due_at(*, ended_at_ms: int, keep_s: int) -> int:
    """The moment from which a call must be gone: its end plus the period of its class."""
    return ended_at_ms + keep_s * 1000


def judge(call: CallId, *, due_at_ms: int | None, now_ms: int, clock_trusted: bool) -> Verdict:
    """Decide about one finished call. Unclear means keep: what is erased cannot come back."""
    if not clock_trusted:
        return Verdict(call=call, erase=False, reason=Reason.CLOCK_UNTRUSTED)
    if due_at_ms is None:
        return Verdict(call=call, erase=False, reason=Reason.NO_DUE_DATE)
    if due_at_ms > now_ms:
        return Verdict(call=call, erase=False, reason=Reason.PERIOD_RUNS)
    return Verdict(call=call, erase=True, reason=Reason.PERIOD_OVER)
