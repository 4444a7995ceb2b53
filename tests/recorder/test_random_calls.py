"""A dozen calls at random, told as they were. tests.bench.calls hears hundreds."""

from __future__ import annotations

import pytest

from appliance.settings import CountryCode
from tests.bench.calls import JudgedLine, hear_line

SEED = 4
LINES: tuple[tuple[CountryCode, int], ...] = (("de", 0), ("uk", 1), ("us", 2))
CALLS_A_LINE = 4
MADE_UP = ("ghost call", "ghost missed call", "ghost caller ID", "ghost key")


@pytest.fixture(scope="module")
def lines() -> list[JudgedLine]:
    return [hear_line(SEED, number, CALLS_A_LINE, country=country) for country, number in LINES]


def missed(lines: list[JudgedLine], *facts: str) -> list[str]:
    return [
        f"line {line.number} ({line.story}): {miss.fact}: expected {miss.expected}, told {miss.told}; {one.call.story}"
        for line in lines
        for one in line.calls
        for miss in one.misses
        if miss.fact in facts
    ]


def test_every_call_is_told_once_and_none_that_never_was(lines: list[JudgedLine]) -> None:
    assert missed(lines, "lost", "split", "merged") == []
    assert [ghost for line in lines for ghost in line.ghosts if ghost.fact in MADE_UP] == []


def test_calls_begin_and_end_within_half_a_second_of_the_truth(lines: list[JudgedLine]) -> None:
    assert missed(lines, "begin", "end", "seconds") == []


def test_who_called_whom_is_told(lines: list[JudgedLine]) -> None:
    assert missed(lines, "direction", "number") == []


def test_exactly_the_calls_with_consent_are_kept_and_the_others_say_why_not(lines: list[JudgedLine]) -> None:
    assert missed(lines, "kept", "why") == []


def test_no_first_word_is_clipped(lines: list[JudgedLine]) -> None:
    assert missed(lines, "clipped") == []
