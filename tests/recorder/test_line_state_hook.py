"""The rows of the line's table of transitions that go by the hook, where a wire senses it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from appliance.recorder.line.hook_sense import HookDoubt
from appliance.recorder.line.line_facts import (
    CallBegins,
    CallEnds,
    Cue,
    CueKind,
    NotAnswered,
    PicksUp,
    Route,
)
from appliance.recorder.line.line_state import State
from appliance.recordings.container import EndReason
from appliance.terms import BLOCK_FRAMES, RATE_HZ
from tests.recorder.told_line import Line, dialling, frames, in_call, ringing


def hooked(kind: CueKind = CueKind.ON_HOOK) -> Line:
    line = Line()
    line.cue(kind)
    line.wait(4.9)
    return line


def lifted() -> Line:
    line = hooked()
    line.cue(CueKind.OFF_HOOK)
    assert line.now is State.DIALLING
    return line


def in_hooked_call() -> Line:
    line = lifted()
    line.tone(1, CueKind.DIAL_TONE, told_after_s=0.8)
    line.press(4)
    line.wait(2)
    line.talk(3)
    assert line.now is State.IN_CALL
    return line


def test_who_lifts_on_an_idle_line_has_picked_up_there() -> None:
    line = hooked()
    line.wait(0.1)
    line.cue(CueKind.OFF_HOOK, back_s=0.1)
    assert (line.now, line.facts) == (State.DIALLING, [PicksUp(at_frame=frames(5))])


def test_who_lifts_while_it_rings_has_answered_there_and_nothing_before_is_recorded() -> None:
    line = hooked()
    line.ring()
    line.wait(1.4)
    lifted_at = line.at_frame
    line.wait(0.1)
    line.cue(CueKind.OFF_HOOK, back_s=0.1)
    assert line.facts[1:] == [
        CallBegins(at_frame=lifted_at, answered_frame=lifted_at, audio_from=lifted_at, route=Route.RANG)
    ]


def test_a_ring_that_ended_a_moment_after_it_was_lifted_is_not_recorded() -> None:
    line = hooked()
    line.ring(0.8, cut=True)
    end = line.rings[-1][1]
    line.cue(CueKind.OFF_HOOK, back_s=0.2)
    assert line.begun.at_frame == end - BLOCK_FRAMES
    assert line.begun.audio_from == line.begun.answered_frame == end


def test_a_ring_that_is_known_only_after_it_was_lifted_was_answered() -> None:
    line = lifted()
    line.cue(CueKind.RING, back_s=0.3)
    assert line.names == ["PicksUp", "NotAnswered", "Rings", "CallBegins"]
    assert (line.begun.route, line.begun.at_frame) == (Route.RANG, frames(5))


@pytest.mark.parametrize("found", [CueKind.OFF_HOOK, CueKind.FOUND_OFF_HOOK])
@pytest.mark.parametrize("make", [dialling, in_call])
def test_off_hook_is_known_already_where_somebody_dials_or_speaks(make: Callable[[], Line], found: CueKind) -> None:
    line = make()
    before = line.names
    line.cue(found)
    assert line.names == before


def test_who_hangs_up_ends_the_call_there() -> None:
    line = in_hooked_call()
    line.wait(3)
    hung_up = line.at_frame
    line.wait(0.8)
    line.cue(CueKind.ON_HOOK, back_s=0.8)
    assert line.ended == CallEnds(at_frame=hung_up, audio_to=hung_up, why=EndReason.HUNG_UP)
    assert line.is_idle


def test_who_puts_down_while_dialling_was_not_answered() -> None:
    line = lifted()
    line.press(4)
    line.wait(5)
    put_down = line.at_frame
    line.wait(0.8)
    line.cue(CueKind.ON_HOOK, back_s=0.8)
    assert line.facts[1:] == [NotAnswered(at_frame=put_down, since_frame=frames(5), dialled=True)]
    assert line.is_idle


def test_who_lifts_again_a_second_later_begins_the_next_attempt_there() -> None:
    line = in_hooked_call()
    end = line.at_frame
    line.wait(1)
    line.observe([Cue(kind=CueKind.OFF_HOOK, at_frame=end + 7200), Cue(kind=CueKind.ON_HOOK, at_frame=end)])
    assert line.facts[-2:] == [
        CallEnds(at_frame=end, audio_to=end, why=EndReason.HUNG_UP),
        PicksUp(at_frame=end + 7200),
    ]


def test_on_hook_is_known_already_while_it_rings_or_nothing_goes_on() -> None:
    line = ringing()
    line.cue(CueKind.ON_HOOK)
    assert (line.now, line.names) == (State.RINGING, ["Rings"])
    line.wait(9)
    line.cue(CueKind.ON_HOOK)
    assert line.names == ["Rings", "Missed"]


def test_a_hook_that_was_off_at_the_opening_says_nothing_of_who_called_whom() -> None:
    line = hooked(CueKind.FOUND_OFF_HOOK)
    assert line.facts == []
    line.talk(2)
    assert line.begun.route is Route.UNKNOWN
    line.wait(20)
    assert line.now is State.IN_CALL


def test_a_hook_found_off_while_it_rings_has_answered() -> None:
    line = ringing()
    line.cue(CueKind.FOUND_OFF_HOOK)
    assert line.names == ["Rings", "CallBegins"]


def test_who_lifts_and_is_heard_to_speak_at_once_may_have_answered_what_nobody_heard_ring() -> None:
    line = lifted()
    line.wait(1)
    line.talk(2)
    assert (line.begun.route, line.begun.at_frame, line.begun.audio_from) == (Route.UNKNOWN, frames(5), frames(5))


def test_silence_ends_no_call_while_the_hook_is_off_and_all_of_it_is_the_call() -> None:
    line = in_hooked_call()
    line.wait(45)
    assert line.now is State.IN_CALL
    assert line.state.certain_until(line.at_frame) == line.at_frame - RATE_HZ
    line.talk(1)
    assert line.names.count("CallBegins") == 1


def test_what_was_certain_before_the_hook_was_known_stays_in_the_call() -> None:
    line = in_call()
    certain = line.state.certain_until(line.at_frame)
    line.cue(CueKind.FOUND_OFF_HOOK)
    line.cue(CueKind.ON_HOOK, back_s=0.5)
    assert line.ended.at_frame < line.ended.audio_to == certain


def test_silence_ends_no_attempt_while_the_hook_is_off() -> None:
    line = lifted()
    line.press(4)
    line.wait(45)
    line.talk(2)
    assert line.names == ["PicksUp", "CallBegins"]
    assert line.begun.route is Route.DIALLED


@pytest.mark.parametrize("kind", [CueKind.RING, CueKind.CALLER])
@pytest.mark.parametrize("make", [in_hooked_call, lifted])
def test_a_ring_that_is_only_heard_ends_nothing_while_the_hook_is_off(make: Callable[[], Line], kind: CueKind) -> None:
    line = make()
    line.wait(6)
    before = line.names
    line.cue(kind)
    assert line.names == before


def test_ringing_voltage_says_that_the_hook_cannot_be_off() -> None:
    line = in_hooked_call()
    last = line.at_frame
    line.wait(6)
    line.observe([Cue(kind=CueKind.RING, at_frame=line.at_frame, sensed=True)])
    assert line.ended.at_frame == last
    assert line.now is State.RINGING


def test_a_dial_tone_in_a_call_is_a_flash_while_the_hook_is_off() -> None:
    line = in_hooked_call()
    line.tone(2, CueKind.DIAL_TONE, told_after_s=1.5)
    line.press(3)
    line.talk(2)
    assert line.now is State.IN_CALL
    assert line.names == ["PicksUp", "CallBegins"]


def test_busy_ends_a_call_while_the_hook_is_off_and_who_is_heard_then_is_in_another() -> None:
    line = in_hooked_call()
    hung_up = line.at_frame
    line.tone(3, CueKind.BUSY, told_after_s=2)
    assert (line.ended.at_frame, line.ended.why, line.now) == (hung_up, EndReason.HUNG_UP, State.IDLE)
    line.talk(2)
    assert (line.now, line.begun.route) == (State.IN_CALL, Route.UNKNOWN)


def test_an_engaged_attempt_lasts_until_it_is_put_down() -> None:
    line = lifted()
    line.press(4)
    line.tone(3, CueKind.BUSY, told_after_s=2)
    line.cue(CueKind.TONE_ENDS)
    line.wait(30)
    assert line.now is State.DIALLING
    put_down = line.at_frame
    line.cue(CueKind.ON_HOOK)
    assert line.facts[1:] == [NotAnswered(at_frame=put_down, since_frame=frames(5), dialled=True)]


@pytest.mark.parametrize("kind", [CueKind.DIAL_TONE, CueKind.KEY])
def test_while_the_hook_is_on_no_sound_begins_anything(kind: CueKind) -> None:
    line = hooked()
    line.talk(2)
    line.cue(kind)
    assert (line.now, line.facts) == (State.IDLE, [])
    line.wait(9)
    line.ring()
    line.cue(kind)
    line.talk(2)
    assert (line.now, line.names) == (State.RINGING, ["Rings"])


def test_when_the_hook_is_lost_the_hold_over_begins_anew_and_then_ends_the_call() -> None:
    line = in_hooked_call()
    line.wait(30)
    lost = line.at_frame
    line.cue(CueKind.HOOK_UNKNOWN)
    line.wait(9.8)
    assert line.now is State.IN_CALL
    line.wait(0.5)
    assert (line.ended.at_frame, line.ended.why) == (lost, EndReason.SILENCE)


def test_when_the_hook_is_lost_an_attempt_is_given_up_as_without_it() -> None:
    line = lifted()
    line.press(4)
    line.wait(30)
    line.cue(CueKind.HOOK_UNKNOWN)
    line.wait(19)
    assert line.now is State.DIALLING
    line.wait(1)
    assert line.names == ["PicksUp", "NotAnswered"]


def test_after_a_hook_that_is_lost_while_it_lay_on_sound_begins_calls_again() -> None:
    line = hooked()
    line.cue(CueKind.HOOK_UNKNOWN)
    line.talk(2)
    assert line.now is State.IN_CALL


def test_somebody_who_speaks_for_more_than_two_seconds_with_the_hook_on_is_told_until_it_moves() -> None:
    line = hooked()
    line.talk(2)
    assert line.state.hook.doubt is None
    line.wait(0.5)
    line.talk(1.5)
    assert line.state.hook.doubt is HookDoubt.SPEAKS_ON_HOOK
    line.wait(60)
    assert line.state.hook.doubt is HookDoubt.SPEAKS_ON_HOOK
    line.cue(CueKind.OFF_HOOK)
    assert line.state.hook.doubt is None


def test_single_words_far_apart_and_rings_with_the_hook_on_are_no_contradiction() -> None:
    line = hooked()
    for _ in range(6):
        line.talk(1.2)
        line.wait(9)
    for _ in range(6):
        line.ring()
        line.wait(3)
    assert line.state.hook.doubt is None


def test_a_minute_after_lifting_without_any_sound_is_told_until_there_is_one() -> None:
    line = lifted()
    line.wait(59.5)
    assert line.state.hook.doubt is None
    line.wait(1)
    assert line.state.hook.doubt is HookDoubt.SILENT_OFF_HOOK
    line.tone(1, CueKind.DIAL_TONE, told_after_s=0.8)
    assert line.state.hook.doubt is None


def test_a_hold_of_minutes_after_something_was_heard_is_no_contradiction() -> None:
    line = in_hooked_call()
    line.wait(50)
    line.wait(50)
    assert line.state.hook.doubt is None
