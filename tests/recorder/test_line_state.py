"""The line's table of transitions, and what holds whatever happens on the line."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.recorder.line_state import (
    CallBegins,
    CallEnds,
    Happening,
    LineRules,
    LineState,
    Observed,
    SpeechChanges,
)
from appliance.recordings.container import EndReason
from appliance.terms import BLOCK_FRAMES

RULES = LineRules(lead=10, hold_over=60, longest_call=400, longest_gap=100)


@dataclass
class Line:
    """A line state and all that it has said, with the frame at which it was said."""

    state: LineState = field(default_factory=lambda: LineState(RULES))
    at_frame: int = 0
    happenings: list[Happening] = field(default_factory=list)
    told_at: list[int] = field(default_factory=list)
    sound_ends: list[int] = field(default_factory=list)

    def hear(self, frames: int, *, speech: bool, hung_up_frame: int | None = None) -> None:
        seen = Observed(first_frame=self.at_frame, frames=frames, speech=speech, hung_up_frame=hung_up_frame)
        self.at_frame += frames
        if speech:
            self.sound_ends.append(self.at_frame)
        self._note(self.state.observe(seen))

    def lose(self, frames: int) -> None:
        happenings = self.state.lose(self.at_frame, frames)
        self.at_frame += frames
        self.sound_ends.append(self.at_frame)
        self._note(happenings)

    def break_off(self) -> None:
        self._note(self.state.break_off(self.at_frame, EndReason.DEVICE_LOST))

    def _note(self, happenings: list[Happening]) -> None:
        self.happenings += happenings
        self.told_at += [self.at_frame] * len(happenings)

    @property
    def calls(self) -> list[Happening]:
        return [happening for happening in self.happenings if not isinstance(happening, SpeechChanges)]


def test_call_begins_in_the_pre_roll_and_ends_after_the_hold_over() -> None:
    line = Line()
    line.hear(50, speech=False)
    line.hear(10, speech=True)
    for _ in range(6):
        line.hear(10, speech=False)
    assert line.happenings == [
        SpeechChanges(at_frame=50, on=True),
        CallBegins(at_frame=40),
        SpeechChanges(at_frame=60, on=False),
        CallEnds(at_frame=120, why=EndReason.SILENCE),
    ]


def test_a_pause_shorter_than_the_hold_over_belongs_to_the_call() -> None:
    line = Line()
    line.hear(10, speech=True)
    line.hear(59, speech=False)
    line.hear(10, speech=True)
    line.hear(59, speech=False)
    assert line.calls == [CallBegins(at_frame=0)]


def test_pre_roll_ends_where_the_last_call_ended() -> None:
    line = Line()
    line.hear(10, speech=True)
    line.hear(60, speech=False)
    line.hear(4, speech=False)
    line.hear(10, speech=True)
    assert line.calls[1:] == [CallEnds(at_frame=70, why=EndReason.SILENCE), CallBegins(at_frame=70)]


def test_pre_roll_does_not_reach_back_over_lost_frames() -> None:
    line = Line()
    line.hear(50, speech=False)
    line.lose(30)
    line.hear(4, speech=False)
    line.hear(10, speech=True)
    assert line.calls == [CallBegins(at_frame=80)]


def test_longest_call_is_followed_by_the_next_without_a_hole() -> None:
    line = Line()
    for _ in range(45):
        line.hear(10, speech=True)
    assert line.calls == [
        CallBegins(at_frame=0),
        CallEnds(at_frame=400, why=EndReason.LONGEST),
        CallBegins(at_frame=400, goes_on=True),
    ]


def test_longest_call_that_ends_in_a_pause_still_goes_on_in_the_next() -> None:
    line = Line()
    for _ in range(38):
        line.hear(10, speech=True)
    line.hear(50, speech=False)
    line.hear(20, speech=False)
    assert line.calls[1:] == [
        CallEnds(at_frame=430, why=EndReason.LONGEST),
        CallBegins(at_frame=430, goes_on=True),
        CallEnds(at_frame=450, why=EndReason.SILENCE),
    ]


def test_lost_frames_may_have_been_speech() -> None:
    line = Line()
    line.hear(10, speech=True)
    line.hear(50, speech=False)
    line.lose(5)
    line.hear(55, speech=False)
    assert line.calls == [CallBegins(at_frame=0)]


def test_call_in_which_too_much_is_lost_is_over_where_the_loss_begins() -> None:
    line = Line()
    line.hear(10, speech=True)
    line.lose(101)
    line.hear(10, speech=True)
    assert line.calls == [
        CallBegins(at_frame=0),
        CallEnds(at_frame=10, why=EndReason.DEVICE_LOST),
        CallBegins(at_frame=111),
    ]


@pytest.mark.parametrize("speech", [True, False])
def test_device_lost_ends_the_call_there_and_speech_with_it(speech: bool) -> None:
    line = Line()
    line.hear(10, speech=True)
    line.hear(10, speech=speech)
    line.break_off()
    assert line.happenings[-1] == CallEnds(at_frame=20, why=EndReason.DEVICE_LOST)
    assert SpeechChanges(at_frame=20 if speech else 10, on=False) in line.happenings
    assert not line.state.in_call


def test_device_lost_on_an_idle_line_is_no_happening() -> None:
    line = Line()
    line.hear(10, speech=False)
    line.break_off()
    assert line.happenings == []


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("speech"), st.integers(1, 50)),
        st.tuples(st.just("quiet"), st.integers(1, 80)),
        st.tuples(st.just("lost"), st.integers(1, 150)),
        st.tuples(st.just("broken"), st.just(0)),
    ),
    max_size=80,
)


def played(steps: list[tuple[str, int]]) -> Line:
    line = Line()
    for what, frames in steps:
        if what == "lost":
            line.lose(frames)
        elif what == "broken":
            line.break_off()
        else:
            line.hear(frames, speech=what == "speech")
    return line


@settings(deadline=None)
@given(STEPS)
def test_calls_never_overlap_and_never_end_before_they_begin(steps: list[tuple[str, int]]) -> None:
    last_frame, open_call = 0, False
    for happening in played(steps).calls:
        assert isinstance(happening, CallEnds if open_call else CallBegins)
        assert happening.at_frame >= last_frame
        last_frame, open_call = happening.at_frame, not open_call


@settings(deadline=None)
@given(STEPS)
def test_a_call_begins_no_earlier_than_the_lead_before_it_is_told_and_never_in_the_future(
    steps: list[tuple[str, int]],
) -> None:
    line = played(steps)
    for happening, told_at in zip(line.happenings, line.told_at, strict=True):
        assert happening.at_frame <= told_at
        if isinstance(happening, CallBegins):
            assert told_at - happening.at_frame <= RULES.lead + 50


@settings(deadline=None)
@given(STEPS)
def test_silence_ends_a_call_only_after_the_whole_hold_over(steps: list[tuple[str, int]]) -> None:
    line = played(steps)
    for happening in line.calls:
        if isinstance(happening, CallEnds) and happening.why is EndReason.SILENCE:
            last_sound = max(end for end in line.sound_ends if end <= happening.at_frame)
            assert happening.at_frame - last_sound >= RULES.hold_over


@settings(deadline=None)
@given(STEPS)
def test_no_call_outlives_the_longest_length_by_more_than_one_step(steps: list[tuple[str, int]]) -> None:
    line = played(steps)
    begins = 0
    for happening in line.calls:
        if isinstance(happening, CallBegins):
            begins = happening.at_frame
        else:
            assert happening.at_frame - begins <= RULES.longest_call + 150


@settings(deadline=None)
@given(STEPS)
def test_all_speech_lies_within_a_call(steps: list[tuple[str, int]]) -> None:
    line, spoken = Line(), []
    for what, frames in steps:
        first_frame = line.at_frame
        if what == "speech":
            spoken.append((first_frame, first_frame + frames))
        line = _played_on(line, what, frames)
    spans = _spans(line)
    for first, end in spoken:
        assert any(begin <= first and end <= stop for begin, stop in spans)


def _played_on(line: Line, what: str, frames: int) -> Line:
    if what == "lost":
        line.lose(frames)
    elif what == "broken":
        line.break_off()
    else:
        line.hear(frames, speech=what == "speech")
    return line


def _spans(line: Line) -> list[tuple[int, int]]:
    frames = [happening.at_frame for happening in line.calls]
    if len(frames) % 2:
        frames.append(line.at_frame + BLOCK_FRAMES)
    return list(zip(frames[::2], frames[1::2], strict=True))


def test_a_call_ends_where_the_exchange_began_to_say_so_and_the_next_does_not_reach_back_to_it() -> None:
    line = Line()
    for _ in range(10):
        line.hear(10, speech=True)
    line.hear(10, speech=True, hung_up_frame=80)
    line.hear(10, speech=True)
    assert line.calls == [
        CallBegins(at_frame=0),
        CallEnds(at_frame=80, why=EndReason.HUNG_UP),
        CallBegins(at_frame=110),
    ]


def test_what_the_exchange_sends_outside_a_call_is_none() -> None:
    line = Line()
    line.hear(10, speech=False, hung_up_frame=0)
    assert line.calls == []


def test_a_call_is_never_over_before_it_began() -> None:
    line = Line()
    line.hear(50, speech=False)
    line.hear(10, speech=True)
    line.hear(10, speech=False, hung_up_frame=5)
    assert line.calls == [CallBegins(at_frame=40), CallEnds(at_frame=40, why=EndReason.HUNG_UP)]
