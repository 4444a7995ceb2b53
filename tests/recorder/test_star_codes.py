"""Keys that are a code, keys that are not, and what a code swallows."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.recorder.ear.keys import Key
from appliance.recorder.line.star_codes import CodeReader, PlainKey, TypedOrder
from appliance.settings import StarCodes
from appliance.terms import RATE_HZ, Order

Taken = PlainKey | TypedOrder


def key(digit: str, at_s: float) -> Key:
    first = round(at_s * RATE_HZ)
    return Key(first_frame=first, end_frame=first + 320, digit=digit)


def typed(digits: str, *, apart_s: float = 0.5, codes: StarCodes | None = None) -> list[Taken]:
    reader = CodeReader(codes or StarCodes())
    taken = [reader.take(key(digit, 1 + nth * apart_s)) for nth, digit in enumerate(digits)]
    return [one for one in taken if one is not None]


def meant(taken: list[Taken]) -> str:
    """Plain keys as they are, an order as its first letter in capitals."""
    return "".join(one.digit if isinstance(one, PlainKey) else one.order.value[0].upper() for one in taken)


@pytest.mark.parametrize(
    ("digits", "order"),
    [("*71", Order.CONFIRM), ("*72", Order.PAUSE), ("*73", Order.RESUME), ("*74", Order.FORGET), ("*75", Order.KEEP)],
)
def test_a_code_is_one_order_and_none_of_its_keys_counts(digits: str, order: Order) -> None:
    (taken,) = typed(digits)
    assert isinstance(taken, TypedOrder)
    assert taken.order is order
    assert taken.from_frame == RATE_HZ
    assert taken.at_frame == 2 * RATE_HZ + 320


@pytest.mark.parametrize(
    ("digits", "means"),
    [
        ("1", "1"),
        ("2", "2"),
        ("71", "71"),
        ("#71", "#71"),
        ("1*71", "1C"),
        ("*711", "C1"),
        ("**71", "*C"),
        ("*7*71", "*C"),
        ("*71*74", "CF"),
        ("*75", "K"),
        ("1*75*74", "1KF"),
        ("*79", "9"),
        ("*1", "1"),
        ("*0#", "0#"),
    ],
)
def test_what_keys_mean_one_after_the_other(digits: str, means: str) -> None:
    # What was swallowed because a code might have become of it is gone; only a star that begins none counts.
    assert meant(typed(digits)).replace("*", "") == means.replace("*", "")


def test_a_star_where_there_are_no_codes_is_a_key_like_any_other() -> None:
    none = StarCodes(confirm="", pause="", resume="", forget="", keep="")
    assert meant(typed("*71", codes=none)) == "*71"


def test_a_code_is_typed_with_less_than_three_seconds_between_its_keys() -> None:
    assert meant(typed("*71", apart_s=2.9)) == "C"
    assert meant(typed("*71", apart_s=3.2)) == "71"


def test_an_old_star_does_not_swallow_what_comes_much_later() -> None:
    reader = CodeReader(StarCodes())
    assert reader.take(key("*", 1)) is None
    assert reader.take(key("1", 10)) == PlainKey(digit="1", at_frame=10 * RATE_HZ + 320)


def test_codes_may_be_of_other_lengths() -> None:
    codes = StarCodes(confirm="*1", pause="*#12", resume="**", forget="")
    assert meant(typed("*1*#12**", codes=codes)) == "CPR"


@settings(deadline=None, max_examples=300)
@given(st.text("*#12345678", max_size=20))
def test_no_key_of_a_code_is_a_key_too_and_none_counts_twice(digits: str) -> None:
    taken = typed(digits)
    plain = [one.at_frame for one in taken if isinstance(one, PlainKey)]
    spans = [(one.from_frame, one.at_frame) for one in taken if isinstance(one, TypedOrder)]
    assert len(set(plain)) == len(plain)
    assert not [at for at in plain for first, end in spans if first <= at <= end]
    # Every whole code is an order, unless it lies in one that was typed before.
    text = meant(taken)
    assert sum(text.count(letter) for letter in "CPRFK") == sum(
        digits.count(code) for code in ("*71", "*72", "*73", "*74", "*75")
    )


@settings(deadline=None, max_examples=200)
@given(st.text("*71", max_size=8))
def test_a_key_for_yes_at_the_end_of_a_code_is_never_a_plain_one(digits: str) -> None:
    last = CodeReader(StarCodes())
    taken: Taken | None = None
    for nth, digit in enumerate(digits + "*71"):
        taken = last.take(key(digit, nth))
    assert isinstance(taken, TypedOrder)
