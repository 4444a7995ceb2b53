"""What holds whatever happens on the line."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.recorder.line.line_facts import (
    CallBegins,
    CallEnds,
    Cue,
    CueKind,
    Missed,
    NotAnswered,
    PicksUp,
    Rings,
    Route,
)
from appliance.recorder.line.line_state import State
from appliance.terms import BLOCK_FRAMES, RATE_HZ
from tests.recorder.told_line import RULES, Line, in_call, ringing

_TONES = [
    CueKind.DIAL_TONE,
    CueKind.RINGBACK,
    CueKind.BUSY,
    CueKind.INFORMATION,
    CueKind.KEY,
    None,
]
_HOOK = [CueKind.OFF_HOOK, CueKind.ON_HOOK, CueKind.FOUND_OFF_HOOK, CueKind.HOOK_UNKNOWN]
_STEP = st.one_of(
    *(
        st.tuples(st.just("talk"), st.integers(1, 30)),
        st.tuples(st.just("wait"), st.integers(1, 120)),
        st.tuples(st.just("alive"), st.integers(1, 120)),
        st.tuples(st.just("drone"), st.integers(1, 30)),
        st.tuples(st.just("click"), st.just(1)),
        st.tuples(st.just("ring"), st.sampled_from([4, 6, 10])),
        st.tuples(st.just("lose"), st.sampled_from([1, 20, 210])),
        st.tuples(st.just("broken"), st.just(0)),
        st.tuples(st.sampled_from([CueKind.CALLER, CueKind.TONE_ENDS]), st.just(1)),
        st.tuples(st.sampled_from(_TONES), st.integers(1, 30)),
    )
)
STEPS = st.one_of(
    st.lists(_STEP, max_size=16), st.lists(st.one_of(_STEP, st.tuples(st.sampled_from(_HOOK), st.just(1))), max_size=16)
)
Steps = list[tuple[str | CueKind | None, int]]


def played(steps: Steps) -> Line:
    line = Line()
    for what, tenths in steps:
        seconds = tenths / 10
        match what:
            case "talk":
                line.talk(seconds)
            case "wait" | "alive":
                line.wait(seconds, alive=what == "alive")
            case "drone":
                line.drone(seconds)
            case "click":
                line.click()
            case "ring":
                line.ring(seconds, cut=tenths < 10)
            case "lose":
                line.lose(seconds)
            case "broken":
                line.break_off()
            case CueKind.CALLER | CueKind.TONE_ENDS:
                line.cue(what)
            case CueKind() if what in _HOOK:
                line.cue(what)
            case CueKind() | None:
                line.tone(seconds, what, told_after_s=max(seconds - 0.1, 0) if what is not CueKind.KEY else 0)
            case _:
                raise AssertionError(what)
    return line


@settings(deadline=None, max_examples=60)
@given(STEPS)
def test_calls_and_attempts_begin_and_end_in_turn(steps: Steps) -> None:
    attempt = call = False
    line = played(steps)
    for nth, one in enumerate(line.happenings):
        attempt = attempt and nth not in line.broken
        match one:
            case Rings() | PicksUp():
                assert not attempt
                assert not call
                attempt = True
            case Missed() | NotAnswered():
                assert attempt
                attempt = False
            case CallBegins():
                assert not call
                attempt, call = False, True
            case CallEnds():
                assert call
                call = False


@settings(deadline=None, max_examples=60)
@given(STEPS)
def test_nothing_lies_in_the_future_and_nothing_ends_before_it_begins(steps: Steps) -> None:
    line, began = played(steps), 0
    for one, told_at in zip(line.happenings, line.told_at, strict=True):
        assert 0 <= one.at_frame <= told_at
        match one:
            case Missed() | NotAnswered():
                assert 0 <= one.since_frame <= one.at_frame
            case CallBegins():
                assert 0 <= one.audio_from <= one.answered_frame <= told_at
                assert one.at_frame <= one.answered_frame
                began = one.at_frame
            case CallEnds():
                assert began <= one.at_frame <= one.audio_to


@settings(deadline=None, max_examples=60)
@given(STEPS)
def test_calls_and_attempts_never_overlap(steps: Steps) -> None:
    over = since = 0
    for one in played(steps).facts:
        match one:
            case Missed() | NotAnswered():
                assert one.since_frame >= over
                over = one.at_frame
            case Rings() | PicksUp():
                assert one.at_frame >= over
            case CallBegins():
                assert one.at_frame >= over
                since = one.at_frame
            case CallEnds():
                assert one.at_frame >= since
                over = one.at_frame


@settings(deadline=None, max_examples=60)
@given(STEPS)
def test_the_audio_of_a_call_never_reaches_into_another_nor_over_what_was_lost_before_it(steps: Steps) -> None:
    line, recorded_to = played(steps), 0
    for one, told_at in zip(line.happenings, line.told_at, strict=True):
        if isinstance(one, CallBegins):
            assert one.audio_from >= recorded_to
            before = [end for _begin, end in line.losses if end <= told_at]
            assert all(one.audio_from >= end for end in before) or one.goes_on
        elif isinstance(one, CallEnds):
            recorded_to = one.audio_to


@settings(deadline=None, max_examples=60)
@given(STEPS)
def test_nothing_of_ringing_is_recorded(steps: Steps) -> None:
    line = played(steps)
    for one, told_at in zip(line.happenings, line.told_at, strict=True):
        if isinstance(one, CallBegins) and one.route is Route.RANG:
            assert all(one.audio_from >= end for _begin, end in line.rings if end <= told_at)


@settings(deadline=None, max_examples=60)
@given(STEPS)
def test_what_surely_belongs_to_a_call_is_not_taken_away_from_it(steps: Steps) -> None:
    line, begins = played(steps), None
    for one, told_at in zip(line.happenings, line.told_at, strict=True):
        if isinstance(one, CallBegins):
            begins = one
        elif isinstance(one, CallEnds) and begins is not None:
            assert line.surely_of(begins, told_at) <= one.audio_to


@settings(deadline=None, max_examples=60)
@given(STEPS)
def test_no_part_of_a_call_is_longer_than_the_longest_by_more_than_a_block_and_what_was_lost(steps: Steps) -> None:
    line, audio_from = played(steps), 0
    lost = sum(end - begin for begin, end in line.losses)
    for one in line.facts:
        if isinstance(one, CallBegins):
            audio_from = one.audio_from
        elif isinstance(one, CallEnds):
            assert one.audio_to - audio_from <= RULES.longest_call + lost + BLOCK_FRAMES


@settings(deadline=None, max_examples=60)
@given(STEPS)
def test_an_idle_line_that_is_left_alone_becomes_idle_again(steps: Steps) -> None:
    line = played(steps)
    line.cue(CueKind.HOOK_UNKNOWN)
    line.wait(61)
    assert line.now is State.IDLE


def test_a_key_in_a_call_is_the_end_of_it_if_nothing_follows() -> None:
    line = Line()
    line.talk(3)
    line.wait(3)
    pressed = line.at_frame
    line.press()
    line.wait(12)
    assert abs(line.ended.at_frame - pressed) < RATE_HZ // 2


def test_the_click_of_the_hook_counts_after_a_last_short_word_and_though_something_older_is_explained() -> None:
    line = Line()
    line.talk(3)
    line.wait(0.3)
    line.click()
    line.wait(2)
    began = line.at_frame
    line.observe(sound=line.loud(lowest_dbfs=-60, steps=3), explained=0, explained_to=RATE_HZ)
    line.wait(12)
    assert line.ended.at_frame == began + BLOCK_FRAMES


def test_a_short_word_after_the_last_ring_keeps_it_from_being_missed_until_somebody_speaks_on() -> None:
    line = ringing()
    line.wait(1)
    word = line.at_frame
    line.talk(0.3)
    line.wait(7.2)
    assert line.now is State.RINGING
    line.talk(0.6)
    line.wait(0.4)
    assert line.begun.route is Route.RANG
    assert line.begun.at_frame == word
    assert "Missed" not in line.names


def test_the_noise_of_a_line_in_use_is_no_last_word_of_a_short_call() -> None:
    line = Line()
    line.wait(5)
    while line.now is not State.IN_CALL:
        line.talk(0.1)
    for _ in range(5):
        line.observe(speech=True, sound=replace(line.loud(lowest_dbfs=-24), level_dbfs=-8))
    said = line.at_frame
    for _ in range(40):  # it passes for a voice until the ear's floor has followed it
        line.observe(speech=True, sound=line.loud(lowest_dbfs=-24))
    line.tone(1, CueKind.DIAL_TONE, told_after_s=0.6)
    assert line.ended.at_frame == said


def test_a_click_soon_after_the_last_word_is_the_hook_though_the_dial_tone_begins_like_a_click() -> None:
    line = in_call()
    line.wait(0.6)
    line.click()
    hook = line.at_frame
    line.wait(6)
    line.click()  # the first block of the tone
    begin = line.at_frame - BLOCK_FRAMES
    line.tone(0.6)
    line.observe([Cue(kind=CueKind.DIAL_TONE, at_frame=begin)])
    assert line.ended.at_frame == hook


def test_an_attempt_begins_where_the_noise_of_the_line_in_use_set_in_before_the_dial_tone() -> None:
    line = Line()
    line.wait(5)
    lifted = line.at_frame
    line.drone(0.4)
    line.tone(2, CueKind.DIAL_TONE, told_after_s=1)
    assert line.facts[-1] == PicksUp(at_frame=lifted)
