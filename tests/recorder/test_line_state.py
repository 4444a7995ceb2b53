"""Each row of the line's table of transitions, as far as it goes by ear."""

from __future__ import annotations

import pytest

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
    SpeechChanges,
    rules_from,
)
from appliance.recorder.line.line_state import TAIL_FRAMES, State
from appliance.recordings.container import EndReason
from appliance.settings import RecorderSettings
from appliance.terms import BLOCK_FRAMES, RATE_HZ
from tests.recorder.told_line import LEAD, RULES, Line, dialling, frames, in_call, ringing

# idle


def test_a_ring_begins_where_it_could_first_be_heard() -> None:
    line = ringing()
    assert line.facts == [Rings(at_frame=frames(5))]
    assert line.state.since_frame == frames(5)


def test_an_exchange_that_tells_who_calls_rings() -> None:
    line = Line()
    line.wait(5)
    line.cue(CueKind.CALLER)
    assert (line.now, line.names) == (State.RINGING, ["Rings"])


@pytest.mark.parametrize("kind", [CueKind.DIAL_TONE, CueKind.KEY])
def test_dial_tone_or_a_key_says_that_somebody_has_picked_up(kind: CueKind) -> None:
    line = Line()
    line.wait(5)
    line.cue(kind, back_s=0.5)
    assert (line.now, line.facts) == (State.DIALLING, [PicksUp(at_frame=frames(4.5))])


@pytest.mark.parametrize("kind", [CueKind.RINGBACK, CueKind.BUSY, CueKind.INFORMATION, CueKind.TONE_ENDS])
def test_other_tones_on_an_idle_line_are_nobodys(kind: CueKind) -> None:
    line = Line()
    line.wait(5)
    line.cue(kind)
    assert (line.now, line.facts) == (State.IDLE, [])


def test_somebody_who_speaks_is_in_a_call_of_unknown_route() -> None:
    line = in_call()
    assert line.facts == [
        CallBegins(at_frame=frames(5), answered_frame=frames(5), audio_from=frames(5) - LEAD, route=Route.UNKNOWN)
    ]


def test_half_a_second_of_talk_within_three_seconds_is_enough_and_less_is_not() -> None:
    line = Line()
    line.wait(5)
    for _ in range(3):
        line.talk(0.1)
        line.wait(0.9)
    assert line.facts == []
    line.talk(0.3)
    line.wait(0.5)
    assert line.names == ["CallBegins"]


def test_what_turns_out_to_have_been_a_tone_begins_no_call() -> None:
    line = Line()
    line.wait(5)
    line.tone(20)
    line.wait(5)
    assert line.facts == []


def test_a_noise_that_sets_in_begins_no_call() -> None:
    line = Line()
    line.wait(5)
    line.drone(12)
    line.wait(5)
    assert line.facts == []


# ringing


def test_it_goes_on_ringing_and_begins_only_once() -> None:
    line = ringing()
    for _ in range(3):
        line.wait(3.9)
        line.ring()
    assert line.facts == [Rings(at_frame=frames(5))]


def test_answered_in_the_pause_is_the_first_sound_after_the_ring() -> None:
    line = ringing()
    line.wait(1.9)
    line.talk(2)
    assert line.facts[1:] == [
        CallBegins(at_frame=frames(8), answered_frame=frames(8), audio_from=frames(6), route=Route.RANG)
    ]


def test_a_ring_that_was_cut_short_is_the_off_hook_and_nothing_of_it_is_recorded() -> None:
    line = ringing()
    line.wait(3.9)
    line.ring(0.6, cut=True)
    line.wait(0.9)
    line.talk(2)
    begins = line.begun
    assert begins.at_frame == frames(10.6)
    assert begins.answered_frame == frames(11.6)
    assert begins.audio_from == frames(10.6)


def test_nobody_answers_and_the_next_ring_is_overdue() -> None:
    line = ringing()
    line.wait(9)
    assert line.facts[1:] == [Missed(at_frame=frames(6), since_frame=frames(5))]
    assert line.now is State.IDLE


def test_after_a_caller_id_alone_it_may_be_answered_for_a_minute() -> None:
    line = Line()
    line.wait(5)
    line.cue(CueKind.CALLER)
    line.wait(59)
    assert line.now is State.RINGING
    line.wait(2)
    assert line.names == ["Rings", "Missed"]


def test_dial_tone_while_it_rings_means_missed_and_picked_up_later() -> None:
    line = ringing()
    line.wait(3)
    line.cue(CueKind.DIAL_TONE, back_s=1)
    assert line.names == ["Rings", "Missed", "PicksUp"]
    assert line.now is State.DIALLING


def test_a_key_while_it_rings_is_nothing() -> None:
    line = ringing()
    line.press()
    assert (line.now, line.names) == (State.RINGING, ["Rings"])


def test_a_crackle_between_two_rings_is_not_the_answer() -> None:
    line = ringing()
    line.wait(0.9)
    line.click()
    line.wait(2.9)
    line.ring()
    line.wait(1)
    line.talk(2)
    assert line.begun.answered_frame >= line.rings[-1][1]
    assert line.begun.audio_from >= line.rings[-1][1]


@pytest.mark.parametrize("make", ["rings", "dials"])
def test_a_line_that_crackles_holds_no_ringing_and_no_attempt_for_ever(make: str) -> None:
    line = ringing() if make == "rings" else dialling()
    for _ in range(15):
        line.observe(sound=line.loud(lowest_dbfs=-60, steps=1))
        line.wait(3.9)
    assert line.now is State.IDLE


# dialling


def test_an_attempt_goes_on_with_keys_and_ringback_and_is_answered_by_a_voice() -> None:
    line = dialling()
    for _ in range(3):
        line.tone(1, CueKind.RINGBACK, told_after_s=0.5)
        line.wait(4)
    answered = line.at_frame
    line.talk(2)
    assert line.facts == [
        PicksUp(at_frame=frames(5)),
        CallBegins(at_frame=frames(5), answered_frame=answered, audio_from=answered - LEAD, route=Route.DIALLED),
    ]


@pytest.mark.parametrize("kind", [CueKind.BUSY, CueKind.INFORMATION])
def test_once_the_exchange_says_that_it_is_engaged_no_voice_is_an_answer(kind: CueKind) -> None:
    line = dialling()
    line.tone(3, kind, told_after_s=2)
    line.talk(5)
    assert line.now is State.DIALLING
    line.wait(14)
    assert line.names == ["PicksUp", "NotAnswered"]


def test_an_attempt_is_over_where_the_engaged_tone_ends() -> None:
    line = dialling()
    line.tone(3, CueKind.BUSY, told_after_s=2)
    end = line.at_frame
    line.wait(0.3)
    line.observe([Cue(kind=CueKind.TONE_ENDS, at_frame=end)])
    assert line.facts[1:] == [NotAnswered(at_frame=end, since_frame=frames(5), dialled=True)]
    assert line.now is State.IDLE


def test_an_attempt_of_which_nothing_is_heard_for_too_long_is_not_answered() -> None:
    line = dialling()
    line.wait(19.5)
    assert line.now is State.DIALLING
    line.wait(1)
    assert line.names == ["PicksUp", "NotAnswered"]


def test_who_only_picked_up_has_not_dialled() -> None:
    line = dialling(digits=0)
    line.wait(25)
    (_, given_up) = line.facts
    assert isinstance(given_up, NotAnswered)
    assert not given_up.dialled


def test_a_second_dial_tone_after_keys_is_a_new_attempt() -> None:
    line = dialling()
    line.wait(5)
    line.tone(1, CueKind.DIAL_TONE, told_after_s=0.8)
    assert line.names == ["PicksUp", "NotAnswered", "PicksUp"]


def test_a_dial_tone_that_is_certain_only_after_the_key_belongs_to_the_same_attempt() -> None:
    line = Line()
    line.wait(5)
    line.tone(1)
    line.press()
    line.cue(CueKind.DIAL_TONE, back_s=1.2)
    assert line.names == ["PicksUp"]
    assert line.state.since_frame == frames(5)


def test_a_ring_while_dialling_means_not_answered_and_put_down_before() -> None:
    line = dialling()
    line.wait(5)
    line.ring()
    assert line.names == ["PicksUp", "NotAnswered", "Rings"]
    assert line.now is State.RINGING


def test_an_attempt_is_over_before_the_ring_that_ends_it() -> None:
    line = dialling()
    line.wait(5)
    line.ring()
    _, given_up, rings = line.facts
    assert given_up.at_frame <= rings.at_frame


# in a call


def test_a_pause_shorter_than_the_hold_over_belongs_to_the_call() -> None:
    line = in_call()
    for _ in range(3):
        line.wait(9.5)
        line.talk(1)
    assert line.names == ["CallBegins"]


def test_a_silence_ends_a_call_at_its_last_sound_and_five_seconds_are_recorded() -> None:
    line = in_call()
    last = line.at_frame
    line.wait(10)
    assert line.ended == CallEnds(at_frame=last, audio_to=last + TAIL_FRAMES, why=EndReason.SILENCE)
    assert line.now is State.IDLE


def test_the_lines_own_noise_says_that_nobody_has_hung_up_but_not_for_ever() -> None:
    line = in_call()
    last = line.at_frame
    line.wait(39, alive=True)
    assert line.now is State.IN_CALL
    line.wait(15, alive=True)
    assert line.is_idle
    assert last + RULES.longest_hold - BLOCK_FRAMES <= line.ended.at_frame <= last + RULES.longest_hold


def test_noise_that_falls_silent_was_the_hang_up() -> None:
    line = in_call()
    line.wait(20, alive=True)
    hung_up = line.at_frame
    line.wait(10)
    assert line.ended == CallEnds(at_frame=hung_up, audio_to=hung_up, why=EndReason.SILENCE)


def test_busy_ends_a_call_where_it_began_and_nothing_of_it_belongs_to_a_later_one() -> None:
    line = in_call()
    hung_up = line.at_frame
    line.tone(3, CueKind.BUSY, told_after_s=2)
    told = hung_up + frames(2.1)
    assert (line.ended.at_frame, line.ended.why) == (hung_up, EndReason.HUNG_UP)
    assert line.ended.audio_to <= told
    line.talk(2)
    assert line.begun.audio_from >= told


def test_dial_tone_ends_a_call_and_somebody_may_dial() -> None:
    line = in_call()
    hung_up = line.at_frame
    line.tone(2, CueKind.DIAL_TONE, told_after_s=1.5)
    assert line.names == ["CallBegins", "CallEnds", "PicksUp"]
    assert line.ended.at_frame == hung_up
    assert line.now is State.DIALLING


@pytest.mark.parametrize("quiet_s", [0, 2, 6])
def test_who_picks_up_after_a_call_does_so_where_the_dial_tone_began(quiet_s: int) -> None:
    # FAULT: what surely belonged to the last call's audio (`_end_call`) also shifts when the next attempt began.
    line = in_call()
    line.wait(quiet_s)
    picked_up = line.at_frame
    line.tone(2, CueKind.DIAL_TONE, told_after_s=1.5)
    assert line.facts[-1] == PicksUp(at_frame=picked_up)


def test_dial_tone_long_after_the_last_sound_follows_a_hang_up_that_was_not_heard() -> None:
    line = in_call()
    last = line.at_frame
    line.wait(5)
    line.tone(2, CueKind.DIAL_TONE, told_after_s=1.5)
    assert line.ended.at_frame == last


@pytest.mark.parametrize("quiet_s", [4, 6])
def test_a_ring_in_a_call_means_that_it_was_over_at_its_last_sound(quiet_s: int) -> None:
    line = in_call()
    last = line.at_frame
    line.wait(quiet_s)
    line.ring()
    ended, rings = line.facts[1:]
    assert isinstance(ended, CallEnds)
    assert (ended.at_frame, ended.why) == (last, EndReason.HUNG_UP)
    assert rings == Rings(at_frame=last + frames(quiet_s))


@pytest.mark.parametrize("kind", [CueKind.KEY, CueKind.RINGBACK, CueKind.CALLER, CueKind.TONE_ENDS])
def test_what_is_pressed_or_sung_in_a_call_ends_none(kind: CueKind) -> None:
    line = in_call()
    line.cue(kind)
    assert (line.now, line.names) == (State.IN_CALL, ["CallBegins"])


def test_a_call_that_is_too_long_goes_on_with_the_very_next_frame() -> None:
    line = in_call(70)
    begins, ends, again = line.facts
    assert isinstance(begins, CallBegins)
    assert isinstance(ends, CallEnds)
    assert ends.why is EndReason.LONGEST
    assert ends.audio_to == begins.audio_from + RULES.longest_call
    assert again == CallBegins(
        at_frame=ends.audio_to, answered_frame=ends.audio_to, audio_from=ends.audio_to, goes_on=True
    )


def test_a_busy_tone_that_began_before_the_last_cut_leaves_an_empty_part() -> None:
    line = in_call(56.5)
    line.tone(3, CueKind.BUSY, told_after_s=2)
    assert line.ended.at_frame == line.begun.audio_from


# any


def test_lost_frames_may_have_been_speech() -> None:
    line = in_call()
    line.wait(9)
    line.lose(1)
    line.wait(9)
    assert line.names == ["CallBegins"]


@pytest.mark.parametrize("make", [Line, ringing, dialling])
def test_no_call_reaches_back_over_what_was_not_heard(make: type[Line]) -> None:
    line = make()
    state = line.now
    line.lose(2)
    assert line.now is state
    line.talk(2)
    assert line.begun.audio_from == line.losses[0][1]


@pytest.mark.parametrize("make", [in_call, ringing, dialling])
def test_a_line_of_which_too_much_is_lost_is_idle(make: type[Line]) -> None:
    line = make()
    last = line.at_frame
    line.lose(21)
    assert line.now is State.IDLE
    line.talk(2)
    assert line.begun.audio_from == line.losses[0][1]
    if make is in_call:
        assert line.ended == CallEnds(at_frame=last, audio_to=last, why=EndReason.DEVICE_LOST)


def test_a_device_that_breaks_ends_the_call_there_and_speech_with_it() -> None:
    line = in_call()
    line.break_off()
    assert line.happenings[-2:] == [
        SpeechChanges(at_frame=line.at_frame, on=False),
        CallEnds(at_frame=line.at_frame, audio_to=line.at_frame, why=EndReason.DEVICE_LOST),
    ]


def test_a_device_that_breaks_on_an_idle_line_is_no_happening() -> None:
    line = Line()
    line.wait(1)
    line.break_off()
    assert line.happenings == []


@pytest.mark.parametrize(
    ("make", "last"), [(ringing, "Missed"), (dialling, "NotAnswered"), (in_call, "CallEnds"), (Line, "")]
)
def test_at_the_end_of_all_audio_who_has_not_answered_has_not(make: type[Line], last: str) -> None:
    line = make()
    line.run_out()
    assert ([*line.names, ""][-1] if not last else line.names[-1]) == last
    assert line.now is State.IDLE


def test_the_rules_follow_the_settings_and_the_lead_is_whole_blocks() -> None:
    rules = rules_from(RecorderSettings(pre_roll_s=1.03, hold_over_s=12.5, longest_call_s=90))
    assert rules.lead % BLOCK_FRAMES == 0
    assert rules.lead >= 1.03 * RATE_HZ
    assert (rules.hold_over, rules.longest_call) == (100_000, 720_000)
