"""What the box states about a recording, about a line's day, and about who has had access. Pure.

Ids, counts and hashes only, and in a recording's statement what its own two records say, but for the number of the
other side: that stays in the recording, whose hash is stated.
The statement about a recording is kept under the call's key; the one about a day is kept for good.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict

from appliance.audit.journal import Entry
from appliance.recordings.container import ClosingRecord, OpeningRecord, members_of
from appliance.terms import RATE_HZ, CallId, LineName
from appliance.vault.evidence.day_book import NumberedCall, Outcome

RECORDING = "recording"
LINE_DAY = "line_day"
ACCESS_LOG = "access_log"


def recording_facts(
    numbered: NumberedCall,
    opening: OpeningRecord,
    closing: ClosingRecord,
    *,
    container_sha256: str,
    container_bytes: int,
) -> dict[str, object]:
    """Both records as the file's format has them, but for the number; the audio's hash is in the closing record."""
    closing_members = members_of(closing, opening.format)
    closing_members.pop("number", None)
    return {
        "call": numbered.call_id,
        "line": numbered.line,
        "day": numbered.day,
        "number": numbered.number,
        "opening": members_of(opening, opening.format),
        "closing": closing_members,
        "frames_lost": numbered.frames_lost,
        "frames_paused": numbered.frames_paused,
        "container": {"sha256": container_sha256, "bytes": container_bytes},
    }


def day_facts(line: LineName, day: str, stated: Sequence[NumberedCall]) -> dict[str, object]:
    """A line's day, whole: every number from 1 on, and what the seconds add up to."""
    captured = [call for call in stated if call.outcome is not Outcome.REFUSED]
    lost, paused = (sum(getattr(call, name) for call in captured) for name in ("frames_lost", "frames_paused"))
    return {
        "line": line,
        "day": day,
        "rate_hz": RATE_HZ,
        "calls": [_in_the_day(call) for call in stated],
        "captured_ms": _ms(sum(call.frames for call in captured) - lost - paused),
        "paused_ms": _ms(paused),
        "refused_ms": _ms(sum(call.frames for call in stated if call.outcome is Outcome.REFUSED)),
        "lost_ms": _ms(lost),
    }


def access_facts(
    *,
    scope: str,
    calls: Sequence[CallId],
    day_sha256: str | None,
    verifier_sha256: str,
    by: str,
    at_ms: int,
    entries: Iterable[Entry],
) -> dict[str, object]:
    """What is handed out, to whom, and what the journal knows of these calls.

    Args:
        scope: "call" or "day".
        calls: whose audio is handed out.
        day_sha256: of the statement about the day; None if the day is not over.
        verifier_sha256: of the program that goes with it.
    """
    wanted = frozenset(calls)
    return {
        "scope": scope,
        "calls": list(calls),
        "day_sha256": day_sha256,
        "verifier_sha256": verifier_sha256,
        "exported_by": by,
        "exported_at_ms": at_ms,
        "entries": [_access(entry, call) for entry in entries for call in entry.ids if call in wanted],
    }


def _in_the_day(call: NumberedCall) -> dict[str, object]:
    facts = asdict(call)
    del facts["line"], facts["day"]
    return {"call": facts.pop("call_id"), **facts}


def _access(entry: Entry, call: str) -> dict[str, object]:
    facts: dict[str, object] = {
        "number": entry.number,
        "at_ms": entry.at_ms,
        "act": entry.act.value,
        "by": entry.by,
        "call": call,
    }
    if "until_ms" in entry.notes:
        facts["until_ms"] = entry.notes["until_ms"]  # of a hold
    return facts


def _ms(frames: int) -> int:
    return frames * 1000 // RATE_HZ
