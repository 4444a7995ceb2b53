"""May a call be kept: each line of the table, and that unclear means closed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.recorder.ear.announcement import AnnouncementHeard
from appliance.recorder.line.consent import ConsentGate, Decision, Granted, Refused, consent_rules
from appliance.recorder.line.party import NOBODY_KNOWN, Party
from appliance.recorder.line.star_codes import PlainKey
from appliance.settings import LineSettings, OutputSettings
from appliance.terms import RATE_HZ, ConsentBy, Direction, NotKept

ANSWER = 100 * RATE_HZ
WITHIN_S = 20
UNTIL = ANSWER + WITHIN_S * RATE_HZ
CALLER = Party(direction=Direction.IN, number="03023125471")


def gate(**line: Any) -> ConsentGate:
    return ConsentGate(
        consent_rules(LineSettings(name="front", alsa="line0", ground="x", consent_within_s=WITHIN_S, **line), "de")
    )


def waiting(party: Party = NOBODY_KNOWN, **line: Any) -> ConsentGate:
    made = gate(**line)
    assert made.answer(ANSWER, party, private=False) is None
    assert made.waits
    return made


def key(digit: str, at: int = ANSWER + RATE_HZ) -> PlainKey:
    return PlainKey(digit=digit, at_frame=at)


def announcement(share: float, at: int = ANSWER + RATE_HZ, *, whole: bool = False) -> AnnouncementHeard:
    return AnnouncementHeard(at_frame=at, share=share, whole=whole)


# at the answer


@pytest.mark.parametrize("consent", ["opt_in", "announced", "duty", "never"])
def test_a_number_that_is_never_recorded_is_not_whatever_the_ground(consent: str) -> None:
    made = gate(consent=consent, never_numbers=("0302312*",), always_numbers=("0302312*",))
    assert made.answer(ANSWER, CALLER, private=True) == Refused(at_frame=ANSWER, why=NotKept.NUMBER_LISTED)


def test_whoever_withholds_his_number_may_be_listed() -> None:
    made = gate(consent="duty", never_numbers=("withheld",))
    withheld = Party(direction=Direction.IN, withheld=True)
    assert made.answer(ANSWER, withheld, private=False) == Refused(at_frame=ANSWER, why=NotKept.NUMBER_LISTED)
    assert isinstance(
        gate(consent="duty", never_numbers=("withheld",)).answer(ANSWER, NOBODY_KNOWN, private=False), Granted
    )


@pytest.mark.parametrize("consent", ["opt_in", "announced", "duty"])
def test_while_the_line_is_private_nothing_is_kept_also_of_who_has_agreed(consent: str) -> None:
    made = gate(consent=consent, always_numbers=("0302312*",))
    assert made.answer(ANSWER, CALLER, private=True) == Refused(at_frame=ANSWER, why=NotKept.PRIVATE)


def test_on_a_line_that_is_never_recorded_nothing_is_kept() -> None:
    made = gate(consent="never", always_numbers=("0302312*",))
    assert isinstance(made.answer(ANSWER, CALLER, private=False), Refused)


@pytest.mark.parametrize("consent", ["opt_in", "announced"])
def test_who_has_agreed_once_and_for_all_is_kept_at_once(consent: str) -> None:
    made = gate(consent=consent, always_numbers=("03023125471",))
    assert made.answer(ANSWER, CALLER, private=False) == Granted(at_frame=ANSWER, by=ConsentBy.DUTY)


def test_a_duty_asks_nobody() -> None:
    made = gate(consent="duty")
    assert made.answer(ANSWER, NOBODY_KNOWN, private=False) == Granted(at_frame=ANSWER, by=ConsentBy.DUTY)
    assert made.is_open


# while it waits


def test_the_key_for_yes_opens_from_then_on() -> None:
    made = waiting()
    assert made.hear_key(key("1")) == Granted(at_frame=ANSWER + RATE_HZ, by=ConsentBy.KEY)
    assert made.is_open
    assert made.refused is None


def test_the_key_for_no_closes() -> None:
    made = waiting()
    assert made.hear_key(key("2")) == Refused(at_frame=ANSWER + RATE_HZ, why=NotKept.REFUSED)


def test_the_keys_are_those_of_the_settings() -> None:
    made = waiting(yes_key="7", no_key="8")
    assert made.hear_key(key("1")) is None
    assert made.hear_key(key("2")) is None
    assert isinstance(made.hear_key(key("7")), Granted)


@pytest.mark.parametrize("digit", "03456789*#ABCD")
def test_other_keys_say_nothing(digit: str) -> None:
    made = waiting()
    assert made.hear_key(key(digit)) is None
    assert made.waits


def test_where_yes_and_no_are_the_same_key_it_is_no() -> None:
    made = waiting(yes_key="1", no_key="1")
    assert not isinstance(made.hear_key(key("1")), Granted)


def test_a_key_that_was_pressed_before_the_answer_agrees_to_nothing() -> None:
    made = waiting()
    assert made.hear_key(key("1", ANSWER - 1)) is None
    assert made.waits


def test_an_own_word_from_before_the_answer_agrees_to_nothing() -> None:
    made = waiting()
    assert made.confirm(ANSWER - 1) is None


def test_the_own_side_confirms_a_spoken_yes() -> None:
    assert waiting().confirm(ANSWER + 5) == Granted(at_frame=ANSWER + 5, by=ConsentBy.AGENT)


def test_the_time_counts_from_the_answer_and_its_last_frame_belongs_to_it() -> None:
    assert isinstance(waiting().hear_key(key("1", UNTIL)), Granted)
    assert waiting().hear_key(key("1", UNTIL + 1)) is None
    assert isinstance(waiting().confirm(UNTIL), Granted)
    assert waiting().confirm(UNTIL + 1) is None
    made = waiting()
    assert made.wait(UNTIL) is None
    assert made.wait(UNTIL + 1) == Refused(at_frame=UNTIL + 1, why=NotKept.TIMED_OUT)


OUTPUT = OutputSettings(alsa="line0")


def announcing() -> ConsentGate:
    """The box itself plays it, and has: it ended a second after the answer."""
    made = waiting(consent="announced", announcement="/a.wav", output=OUTPUT)
    assert made.hear_announcement(announcement(1.0, whole=True)) is None
    assert made.waits
    return made


def test_after_an_announcement_that_the_box_has_played_somebody_must_speak() -> None:
    made = announcing()
    since, block = ANSWER + 2 * RATE_HZ, RATE_HZ // 10
    decisions = [made.hear_voice(at, at + block) for at in range(since, since + 6 * block, block)]
    assert decisions == [None] * 5 + [Granted(at_frame=since + 6 * block, by=ConsentBy.ANNOUNCEMENT)]


def test_its_own_last_sound_and_a_voice_before_it_or_too_late_say_nothing() -> None:
    made = announcing()
    for at in (ANSWER, ANSWER + RATE_HZ, ANSWER + RATE_HZ + RATE_HZ // 2 - 1, UNTIL):
        assert made.hear_voice(at, at + RATE_HZ) is None
    assert made.end(UNTIL) == Refused(at_frame=UNTIL, why=NotKept.HALF_HEARD)


def test_what_sounds_like_a_voice_now_and_then_is_none() -> None:
    made = announcing()
    block = RATE_HZ // 10
    for at in range(ANSWER + 2 * RATE_HZ, UNTIL, RATE_HZ):
        assert made.hear_voice(at, at + 4 * block) is None
    assert made.waits


def test_a_voice_says_nothing_where_no_announcement_was_heard_to_its_end() -> None:
    made = waiting(consent="announced", announcement="/a.wav", output=OUTPUT)
    made.hear_announcement(announcement(0.9))
    assert made.hear_voice(ANSWER + 5 * RATE_HZ, ANSWER + 9 * RATE_HZ) is None
    assert waiting().hear_voice(ANSWER + 5 * RATE_HZ, ANSWER + 9 * RATE_HZ) is None


def test_an_announcement_must_be_heard_to_its_end_and_within_the_time() -> None:
    made = waiting(consent="announced")
    assert made.hear_announcement(announcement(0.9)) is None
    assert isinstance(made.hear_announcement(announcement(1.0, whole=True)), Granted)
    late = waiting(consent="announced")
    assert late.hear_announcement(announcement(1.0, UNTIL + 1, whole=True)) is None
    assert late.wait(UNTIL + 1) == Refused(at_frame=UNTIL + 1, why=NotKept.HALF_HEARD)


def test_an_announcement_of_which_nothing_was_heard_has_timed_out() -> None:
    assert waiting(consent="announced").wait(UNTIL + 1) == Refused(at_frame=UNTIL + 1, why=NotKept.TIMED_OUT)


@pytest.mark.parametrize(("consent", "why"), [("opt_in", NotKept.REFUSED), ("announced", NotKept.HALF_HEARD)])
def test_a_call_that_is_over_before_a_ground_was_there_is_not_kept(consent: str, why: NotKept) -> None:
    assert waiting(consent=consent).end(ANSWER + 7) == Refused(at_frame=ANSWER + 7, why=why)


@pytest.mark.parametrize("consent", ["opt_in", "announced"])
def test_lost_audio_may_have_held_a_no(consent: str) -> None:
    assert waiting(consent=consent).lose(ANSWER + 7) == Refused(at_frame=ANSWER + 7, why=NotKept.DOUBT)


def test_in_an_announced_call_keys_say_nothing_and_a_spoken_yes_does() -> None:
    made = waiting(consent="announced")
    assert made.hear_key(key("1")) is made.hear_key(key("2")) is None
    assert made.waits
    assert made.confirm(ANSWER + 9) == Granted(at_frame=ANSWER + 9, by=ConsentBy.AGENT)


def test_a_whistle_late_in_a_call_that_is_kept_destroys_nothing() -> None:
    made = gate(consent="duty")
    made.answer(ANSWER, CALLER, private=False)
    assert made.hear_fax(ANSWER + 61 * RATE_HZ) is None
    assert made.is_open
    assert isinstance(made.hear_fax(ANSWER + 59 * RATE_HZ), Refused)


def test_an_announcement_is_no_yes_where_a_key_is_asked_for() -> None:
    made = waiting()
    assert made.hear_announcement(announcement(1.0, whole=True)) is None
    assert made.waits


# at any time


def opened() -> ConsentGate:
    made = waiting(never_numbers=("0302312*",))
    made.hear_key(key("1"))
    assert made.is_open
    return made


@pytest.mark.parametrize(
    ("happen", "why"),
    [
        (lambda made: made.know(UNTIL, CALLER), NotKept.NUMBER_LISTED),
        (lambda made: made.hear_fax(UNTIL), NotKept.FAX),
        (lambda made: made.forget(UNTIL), NotKept.FORGOTTEN),
    ],
)
@pytest.mark.parametrize("granted", [True, False])
def test_what_forbids_it_forbids_it_also_later(
    happen: Callable[[ConsentGate], Decision | None], why: NotKept, granted: bool
) -> None:
    made = opened() if granted else waiting(never_numbers=("0302312*",))
    assert happen(made) == Refused(at_frame=UNTIL, why=why)
    assert made.refused is not None
    assert not made.is_open


def test_a_granted_call_outlives_time_loss_end_and_a_late_no() -> None:
    made = opened()
    assert made.wait(UNTIL * 2) is made.lose(UNTIL) is made.end(UNTIL) is made.hear_key(key("2", UNTIL)) is None
    assert made.is_open


def test_a_fax_is_kept_where_it_is_asked_for() -> None:
    made = waiting(keep_fax=True)
    assert made.hear_fax(UNTIL) is None


FRAMES = st.integers(ANSWER, UNTIL + 10 * RATE_HZ)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["yes", "no", "whole", "half", "confirm", "forget", "fax", "lose", "wait", "end", "listed"]),
        FRAMES,
    ),
    max_size=12,
)


def happen(made: ConsentGate, what: str, at: int) -> Decision | None:
    match what:
        case "yes" | "no":
            return made.hear_key(key("1" if what == "yes" else "2", at))
        case "whole" | "half":
            return made.hear_announcement(announcement(1.0 if what == "whole" else 0.5, at, whole=what == "whole"))
        case "confirm":
            return made.confirm(at)
        case "forget":
            return made.forget(at)
        case "fax":
            return made.hear_fax(at)
        case "lose":
            return made.lose(at)
        case "wait":
            return made.wait(at)
        case "end":
            return made.end(at)
    return made.know(at, CALLER)


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(["opt_in", "announced", "duty", "never"]), st.booleans(), STEPS)
def test_no_decision_is_taken_back_but_by_a_refusal_and_after_that_there_is_none(
    consent: str, private: bool, steps: list[tuple[str, int]]
) -> None:
    made = gate(consent=consent, never_numbers=("0302312*",))
    told = [made.answer(ANSWER, NOBODY_KNOWN, private=private)]
    told += [happen(made, what, at) for what, at in steps]
    decisions = [one for one in told if one is not None]
    assert [type(one) for one in decisions] in ([], [Granted], [Refused], [Granted, Refused])
    last = decisions[-1] if decisions else None
    assert made.refused == (last if isinstance(last, Refused) else None)
    assert made.waits is (last is None)
    assert made.is_open is isinstance(last, Granted)


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(["opt_in", "announced"]), STEPS)
def test_only_what_the_mode_asks_for_opens_and_only_in_time(consent: str, steps: list[tuple[str, int]]) -> None:
    made = waiting(consent=consent)
    opens = {
        "opt_in": {"yes": ConsentBy.KEY, "confirm": ConsentBy.AGENT},
        "announced": {"whole": ConsentBy.ANNOUNCEMENT, "confirm": ConsentBy.AGENT},
    }
    for what, at in steps:
        decision = happen(made, what, at)
        if isinstance(decision, Granted):
            assert decision == Granted(at_frame=at, by=opens[consent][what])
            assert ANSWER <= at <= UNTIL


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(["opt_in", "announced", "duty", "never"]), STEPS)
def test_after_the_end_nothing_waits(consent: str, steps: list[tuple[str, int]]) -> None:
    made = gate(consent=consent)
    made.answer(ANSWER, NOBODY_KNOWN, private=False)
    for what, at in steps:
        happen(made, what, at)
    made.end(UNTIL)
    assert not made.waits
