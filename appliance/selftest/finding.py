"""What a test of a part says: a verdict, what was measured, and what to check.

Words of one meaning: GOOD; LOOK, it works but a person should look; BAD, do not deliver the box like this; UNTRIED, the
part is not there or could not be tried, and the reading says why.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """The worst last."""

    GOOD = "good"
    UNTRIED = "untried"
    LOOK = "look"
    BAD = "bad"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One part, one thing about it. reading: with its unit; advice: empty if there is nothing to do."""

    part: str
    verdict: Verdict
    reading: str
    advice: str = ""


def good(part: str, reading: str) -> Finding:
    return Finding(part=part, verdict=Verdict.GOOD, reading=reading)


def untried(part: str, reading: str) -> Finding:
    return Finding(part=part, verdict=Verdict.UNTRIED, reading=reading)


def look(part: str, reading: str, advice: str) -> Finding:
    return Finding(part=part, verdict=Verdict.LOOK, reading=reading, advice=advice)


def bad(part: str, reading: str, advice: str) -> Finding:
    return Finding(part=part, verdict=Verdict.BAD, reading=reading, advice=advice)
