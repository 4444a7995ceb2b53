"""Who called whom: what is believed before a call, at its beginning, and what is not believed in it."""

from __future__ import annotations

import pytest

from appliance.recorder.ear.caller_id import CallerId
from appliance.recorder.ear.keys import Key
from appliance.recorder.line.line_facts import Route
from appliance.recorder.line.party import NOBODY_KNOWN, Party, PartyFinder
from appliance.terms import RATE_HZ, Direction

NUMBER = "03055504471"


def caller(number: str = NUMBER, *, withheld: bool = False) -> CallerId:
    return CallerId(
        at_frame=RATE_HZ,
        number=number,
        name="",
        withheld=withheld,
        unavailable=not number and not withheld,
        standard="v23",
        sent_at="",
    )


def keys(at_s: float, digits: str, apart_s: float = 0.2) -> list[Key]:
    frames = [round((at_s + nth * apart_s) * RATE_HZ) for nth in range(len(digits))]
    return [Key(first_frame=at, end_frame=at + 320, digit=digit) for at, digit in zip(frames, digits, strict=True)]


def at(seconds: float) -> int:
    return round(seconds * RATE_HZ)


def rang(*callers: CallerId) -> PartyFinder:
    finder = PartyFinder()
    finder.begin(Route.RANG)
    for each in callers:
        finder.hear_caller(each)
    return finder


def picked_up() -> PartyFinder:
    finder = PartyFinder()
    finder.begin(Route.DIALLED)
    return finder


def unknown(answered_s: float = 100) -> PartyFinder:
    finder = PartyFinder()
    finder.answer(at(answered_s), Route.UNKNOWN)
    return finder


def incoming(number: str = "", *, withheld: bool = False) -> Party:
    return Party(direction=Direction.IN, number=number, withheld=withheld)


@pytest.mark.parametrize(("international", "number"), [("00", "00493055504471"), ("011", "011493055504471")])
def test_a_number_sent_with_a_plus_is_known_as_it_would_be_dialled(international: str, number: str) -> None:
    finder = PartyFinder(international)
    finder.begin(Route.RANG)
    finder.hear_caller(caller("+493055504471"))
    assert finder.party == incoming(number)


def test_a_number_that_gets_too_long_by_its_prefix_is_not_cut() -> None:
    assert rang(caller("+" + "4" * 31)).party == incoming()
    assert rang(caller("+" + "4" * 30)).party == incoming("00" + "4" * 30)


def outgoing(number: str) -> Party:
    return Party(direction=Direction.OUT, number=number)


def test_who_calls_is_who_the_exchange_says() -> None:
    assert rang(caller()).party == incoming(NUMBER)
    assert rang().party == incoming()
    assert rang(caller("", withheld=True)).party == incoming(withheld=True)
    assert rang(caller("")).party == incoming()


def test_the_last_caller_id_before_the_answer_holds() -> None:
    assert rang(caller("110"), caller()).party == incoming(NUMBER)


@pytest.mark.parametrize("sung", [caller("110"), caller("", withheld=True)])
def test_a_caller_id_that_is_sung_into_a_call_is_not_believed(sung: CallerId) -> None:
    finder = rang(caller())
    finder.answer(at(100), Route.RANG)
    finder.hear_caller(sung)
    assert finder.party == incoming(NUMBER)
    other = unknown()
    other.hear_caller(sung)
    assert other.party == NOBODY_KNOWN


def test_keys_in_an_incoming_call_are_for_whoever_was_called() -> None:
    finder = rang()
    finder.answer(at(100), Route.RANG)
    finder.hear_keys(keys(100.5, "1234"))
    assert finder.party == incoming()


def test_what_is_dialled_until_somebody_answers_is_the_number_and_no_key_after_it() -> None:
    finder = picked_up()
    finder.hear_keys(keys(90, "0305550"))
    assert finder.party == outgoing("0305550")
    finder.answer(at(100), Route.DIALLED)
    finder.hear_keys(keys(100.1, "1"))
    assert finder.party == outgoing("0305550")


def test_who_has_only_picked_up_calls_nobody_yet() -> None:
    assert picked_up().party == outgoing("")


def test_slow_fingers_dial_one_number_as_long_as_less_than_five_seconds_lie_between() -> None:
    finder = picked_up()
    finder.hear_keys(keys(50, "110", apart_s=4.9))
    assert finder.party == outgoing("110")


def test_keys_between_picking_up_and_the_answer_are_one_number_however_slow() -> None:
    finder = picked_up()
    finder.hear_keys(keys(50, "030") + keys(57, "110"))
    assert finder.party.number == "030110"


def test_dial_tone_begins_a_number_anew() -> None:
    finder = picked_up()
    finder.hear_keys(keys(50, "030"))
    finder.begin(Route.DIALLED)
    finder.hear_keys(keys(52, "110"))
    assert finder.party == outgoing("110")


def test_where_no_dial_tone_was_heard_keys_of_the_first_three_seconds_are_the_number() -> None:
    finder = unknown()
    finder.hear_keys(keys(102.9, NUMBER, apart_s=0.5))
    assert finder.party == outgoing(NUMBER)
    late = unknown()
    late.hear_keys(keys(103.2, "1234"))
    assert late.party == NOBODY_KNOWN


def test_keys_later_in_such_a_call_belong_to_no_number() -> None:
    finder = unknown()
    finder.hear_keys(keys(101, "0305550"))
    finder.hear_keys(keys(120, "12"))
    assert finder.party == outgoing("0305550")


def test_a_single_key_is_no_number() -> None:
    finder = unknown()
    finder.hear_keys(keys(101, "1"))
    assert finder.party == NOBODY_KNOWN


def test_keys_and_callers_before_a_call_that_neither_rang_nor_was_dialled_are_not_its() -> None:
    finder = PartyFinder()
    finder.hear_keys(keys(90, "0305550"))
    finder.hear_caller(caller())
    finder.answer(at(100), Route.UNKNOWN)
    assert finder.party == NOBODY_KNOWN


@pytest.mark.parametrize("route", list(Route))
def test_what_came_before_belongs_to_no_later_call(route: Route) -> None:
    finder = rang(caller("110"))
    finder.answer(at(50), Route.RANG)
    finder.begin(route)
    assert finder.party.number == ""
    assert not finder.party.withheld


def test_a_number_does_not_grow_without_end_and_is_in_no_log() -> None:
    finder = picked_up()
    finder.hear_keys(keys(60, "1" * 100))
    assert finder.party.number == "1" * 32
    assert "1" not in repr(finder.party)
