"""Who called whom: what is believed before a call, at its beginning, and what is not believed in it."""

from __future__ import annotations

import pytest

from appliance.recorder.caller_id import CallerId
from appliance.recorder.keys import Key
from appliance.recorder.line_ear import LineSound
from appliance.recorder.party import NOBODY_KNOWN, Direction, Party, PartyFinder
from appliance.recorder.ringing import RingChange
from appliance.recorder.tones import ToneChange
from appliance.terms import RATE_HZ

NUMBER = "03055504471"


def ring(at_s: float) -> LineSound:
    return RingChange(at_frame=round(at_s * RATE_HZ), on=False)


def caller(at_s: float, number: str = NUMBER) -> LineSound:
    return CallerId(
        at_frame=round(at_s * RATE_HZ),
        number=number,
        name="",
        withheld=not number,
        unavailable=False,
        standard="v23",
        sent_at="",
    )


def keys(at_s: float, digits: str, apart_s: float = 0.2) -> list[LineSound]:
    frames = [round((at_s + nth * apart_s) * RATE_HZ) for nth in range(len(digits))]
    return [Key(first_frame=at, end_frame=at + 400, digit=digit) for at, digit in zip(frames, digits, strict=True)]


def dial_tone(at_s: float) -> LineSound:
    return ToneChange(at_frame=round(at_s * RATE_HZ), name="dial", on=True)


def party(before: list[LineSound], in_call: list[LineSound] | None = None, *, began_s: float = 100.0) -> Party:
    finder = PartyFinder()
    finder.hear(before)
    finder.begin(round(began_s * RATE_HZ))
    finder.hear(in_call or [])
    return finder.party


def incoming(number: str = "") -> Party:
    return Party(direction=Direction.IN, number=number)


def outgoing(number: str) -> Party:
    return Party(direction=Direction.OUT, number=number)


def test_a_ring_just_before_makes_it_incoming_and_the_caller_id_names_who_it_was() -> None:
    assert party([ring(90), caller(92), ring(95)]) == incoming(NUMBER)
    assert party([ring(95)]) == incoming()
    assert party([ring(95), caller(96, number="")]) == incoming()


def test_a_caller_id_is_enough_where_no_ring_can_be_heard() -> None:
    assert party([caller(70)]) == incoming(NUMBER)
    assert party([caller(30)]) == NOBODY_KNOWN


def test_a_ring_long_ago_is_another_calls() -> None:
    assert party([ring(80)]) == NOBODY_KNOWN


def test_a_call_that_begins_with_its_own_ringing_is_incoming() -> None:
    assert party([], [ring(101), caller(103), ring(106), ring(111)]) == incoming(NUMBER)
    assert party([], [ring(120), caller(123)]) == incoming(NUMBER)


def test_a_caller_id_that_is_sung_into_a_call_is_not_believed() -> None:
    assert party([], [caller(103)]) == incoming(NUMBER)
    assert party([], [caller(105)]) == NOBODY_KNOWN
    assert party([ring(95), caller(96)], [caller(130, "110")]) == incoming(NUMBER)


def test_keys_before_a_call_or_from_its_beginning_on_are_the_number_that_was_dialled() -> None:
    assert party(keys(90, "0305550")) == outgoing("0305550")
    assert party([dial_tone(95)], keys(100.5, NUMBER)) == outgoing(NUMBER)


def test_keys_later_in_a_call_belong_to_no_number() -> None:
    assert party([], keys(110, "1234")) == NOBODY_KNOWN
    assert party([], [*keys(101, "0305550"), *keys(120, "1")]) == outgoing("0305550")
    assert party([ring(95)], keys(101, "1")) == incoming()


def test_a_single_key_is_no_number() -> None:
    assert party([], keys(101, "1")) == NOBODY_KNOWN


def test_whoever_begins_anew_has_dialled_the_second_number_only() -> None:
    assert party([*keys(60, "0305550"), *keys(90, "110")]) == outgoing("110")
    assert party([*keys(92, "030"), dial_tone(94), *keys(95, "110")]) == outgoing("110")


def test_dial_tone_says_that_who_had_called_is_gone() -> None:
    assert party([ring(89), caller(90), dial_tone(93), *keys(94, "110")]) == outgoing("110")


@pytest.mark.parametrize("before", [[], [ring(95)], [caller(95)], keys(95, "110")])
def test_without_a_call_there_is_nobody_and_after_one_it_is_forgotten(before: list[LineSound]) -> None:
    finder = PartyFinder()
    finder.hear(before)
    assert finder.party == NOBODY_KNOWN
    finder.begin(100 * RATE_HZ)
    finder.forget()
    finder.begin(101 * RATE_HZ)
    assert finder.party == NOBODY_KNOWN


def test_a_number_does_not_grow_without_end_and_is_in_no_log() -> None:
    found = party(keys(60, "1" * 100))
    assert found.number == "1" * 32
    assert "1" not in repr(found)
