"""What a deletion receipt says: facts about an erasure, and nothing about anybody.

Pure. The statement is signed with the ring's state of that moment (evidence/notary.py): the TPM itself says that
the ring has moved on from `ring_before`, and only a ring without these calls' keys opens at `ring_after` or later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NewType

from appliance.terms import CallId

ErasureId = NewType("ErasureId", str)
"""An erasure's name: 16 lower-case hexadecimal digits, random."""

KIND = "deletion_receipt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """A request to forget, as far as it has come. Times: UTC milliseconds.

    asked_by: an account's id, or the daemon's part that decided.  why: "period", "asked", "nothing_recorded",
    "dropped" (while it ran), "forgotten_before" (and brought back by a restore).
    classes: how many calls of each deletion class.  ring_before, ring_after: the ring's states around the commit
    that forgot the keys; None until then, as `done_at_ms`.
    """

    erasure_id: ErasureId
    asked_at_ms: int
    asked_by: str
    why: str
    classes: Mapping[str, int]
    ring_before: bytes | None = None
    ring_after: bytes | None = None
    done_at_ms: int | None = None

    @property
    def count(self) -> int:
        return sum(self.classes.values())


def receipt_facts(erasure: Erasure, forgotten: Sequence[CallId]) -> dict[str, object]:
    """The facts of the receipt for an erasure whose keys are gone, with the ids of its calls."""
    before, after = erasure.ring_before or b"", erasure.ring_after or b""
    return {
        "erasure": erasure.erasure_id,
        "why": erasure.why,
        "asked_by": erasure.asked_by,
        "asked_at_ms": erasure.asked_at_ms,
        "done_at_ms": erasure.done_at_ms,
        "classes": dict(erasure.classes),
        "count": len(forgotten),
        "calls": sorted(forgotten),
        "ring_before": before.hex(),
        "ring_after": after.hex(),
    }
