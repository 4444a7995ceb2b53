"""A number is on the list in whichever form it is sent, and no other number is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.recorder.line.number_list import DIAL_PLANS, NumberList
from appliance.settings import COUNTRY_CODES, CountryCode
from appliance.terms import SettingsTrouble


@pytest.mark.parametrize(
    ("pattern", "number", "covered"),
    [
        ("03023125471", "03023125471", True),
        ("03023125471", "+493023125471", True),
        ("03023125471", "00493023125471", True),
        ("+493023125471", "03023125471", True),
        ("00493023125471", "03023125471", True),
        ("03023125471", "3023125471", False),  # it might be local
        ("03023125471", "030231254711", False),
        ("03023125471", "+443023125471", False),
        ("0302312????", "03023125471", True),
        ("0302312????", "0302312547", False),
        ("0800*", "08001234567", True),
        ("0800*", "+498001234567", True),
        ("0800*", "0800", True),
        ("0800*", "0900", False),
        ("*5471", "03023125471", True),
        ("*5471", "5471", True),
        ("*5471", "03023125470", False),
        ("0044*", "+44207", True),
        ("00*", "0044207", True),
        ("00*", "03023125471", False),
        ("0*", "03023125471", True),
        ("110", "110", True),
        ("withheld", "03023125471", False),
        ("0800*", "", False),
        ("*71", "*71", True),
    ],
)
def test_german_numbers(pattern: str, number: str, *, covered: bool) -> None:
    assert NumberList([pattern], "de").covers(number) is covered


@pytest.mark.parametrize("written", ["2125550142", "12125550142", "+12125550142"])
def test_american_numbers_are_whole_with_ten_digits(written: str) -> None:
    assert NumberList(["2125550142"], "us").covers(written)
    assert NumberList([written], "us").covers("2125550142")
    assert not NumberList([written], "us").covers("5550142")


def test_withheld_is_who_withholds_and_not_who_is_unknown() -> None:
    numbers = NumberList(["withheld"], "de")
    assert numbers.covers("", withheld=True)
    assert not numbers.covers("")
    assert not NumberList(["0800*"], "de").covers("", withheld=True)


@pytest.mark.parametrize("pattern", ["", "mother", "0*1", "**1", "*", "+", "1" * 33, "٠٣٠", "030 1"])
def test_what_is_no_pattern_is_a_sentence_with_an_example(pattern: str) -> None:
    with pytest.raises(SettingsTrouble, match=r"0800\*"):
        NumberList([pattern], "de")


digits = st.text("0123456789", min_size=2, max_size=15)
abroad = st.from_regex(r"\A[2-9][0-9]{5,11}\Z")


@given(number=digits)
def test_every_number_is_on_a_list_of_itself_and_not_on_an_empty_one(number: str) -> None:
    assert NumberList([number], "de").covers(number)
    assert not NumberList([], "de").covers(number)


@given(country=st.sampled_from(COUNTRY_CODES), number=abroad)
def test_all_forms_of_a_number_are_one_number(country: CountryCode, number: str) -> None:
    plan = DIAL_PLANS[country]
    whole = f"{plan.code}{number}"
    forms = [f"+{whole}", f"{plan.international}{whole}", f"{plan.national}{number}"]
    for pattern in forms:
        assert [NumberList([pattern], country).covers(form) for form in forms] == [True, True, True]


@given(number=digits, cut=st.integers(1, 5))
def test_an_end_with_a_star_covers_whatever_ends_so(number: str, cut: int) -> None:
    assert NumberList([f"*{number[-cut:]}"], "de").covers(number)


@given(one=abroad, other=abroad)
def test_two_numbers_are_two(one: str, other: str) -> None:
    assert NumberList([f"0{one}"], "de").covers(f"0{other}") is (one == other)


@pytest.mark.parametrize(
    ("country", "dialled"), [("de", "*31#03023125471"), ("de", "#31#03023125471"), ("us", "*672125550123")]
)
def test_what_is_dialled_before_a_number_does_not_hide_it(country: CountryCode, dialled: str) -> None:
    assert NumberList(("03023125471", "2125550123"), country).covers(dialled)
