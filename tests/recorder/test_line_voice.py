"""What the box says into a line, heard back on it through the ears of a line: when, how far, and what follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache, partial
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from appliance.recorder.daily_tone import NOT_HEARD, DailyTime
from appliance.recorder.device.playback import Outcome
from appliance.recorder.ear.announcement import Announcement
from appliance.recorder.ear.countries import COUNTRIES
from appliance.recorder.ear.sides import signals_for
from appliance.recorder.ear.signals import Pcm, Signals
from appliance.recorder.line.consent import Granted
from appliance.recorder.line.line_facts import CallBegins, SpeechChanges
from appliance.recorder.line.line_plan import plan_of
from appliance.recorder.line.line_watch import Event, KeptCallEnds, LineWatch
from appliance.recorder.line_voice import LineVoice
from appliance.settings import COUNTRY_CODES, CountryCode, LineSettings, OutputSettings, RecorderSettings
from appliance.terms import BLOCK_FRAMES, RATE_HZ, ConsentBy, NotKept, Order
from tests.recorder.heard_log import HeardLog
from tests.recorder.test_line_watch import NUMBER, Tape
from tests.simulators import announcements, line_tones
from tests.simulators.line_tones import sines
from tests.simulators.two_wires import TwoWires

BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = datetime(2026, 11, 28, 3, 0, tzinfo=BERLIN)
OUTPUT = OutputSettings(alsa="line0")


@cache
def announcement() -> Announcement:
    """Nine seconds."""
    return announcements.synthetic()["de"]


@dataclass(repr=False)
class Line:
    """A line with a voice; what it says is on the tape by the time it is heard."""

    wires: TwoWires = field(default_factory=TwoWires)
    private: bool = False
    country: CountryCode = "de"
    self_test: DailyTime | None = None
    consent: str = "announced"
    settings: dict[str, Any] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    at: int = 0
    later: timedelta = timedelta()

    def __post_init__(self) -> None:
        rules = RecorderSettings(hold_over_s=8, country=self.country)
        line: Any = {"ground": "x", "consent": self.consent, "output": OUTPUT, "announcement": "/x.wav"} | self.settings
        settings = LineSettings(name="front", alsa="line0", **line)
        plan = replace(
            plan_of(LineSettings(name="front", alsa="line0", **(line | {"announcement": ""})), rules),
            announcement=announcement(),
        )
        plan = replace(plan, consent=replace(plan.consent, plays=settings.plays_announcement))
        self.watch = LineWatch(Signals(12), plan, lambda _frame: self.private)
        says = announcement().samples if settings.plays_announcement else None
        self.voice = LineVoice(settings.line, self.wires, says, self.self_test, HeardLog().logger)

    def hear(self, pcm: Pcm, *, orders: Sequence[tuple[float, Order]] = ()) -> None:
        """orders: seconds after the beginning of this piece."""
        due = [(self.at + round(after_s * RATE_HZ), order) for after_s, order in orders]
        for first in range(0, pcm.size - BLOCK_FRAMES + 1, BLOCK_FRAMES):
            block = self.wires.heard_with(pcm[first : first + BLOCK_FRAMES])
            watched = self.watch.hear(self.at, block)
            self.events += watched.events
            while due and due[0][0] < self.at:
                self.events += self.watch.order(due.pop(0)[1])
            self.voice.follow(
                self.watch, watched, block, lambda: NIGHT + self.later + timedelta(seconds=self.at / RATE_HZ)
            )
            self.at += BLOCK_FRAMES

    def all(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def end(self) -> NotKept | str:
        (ended,) = self.all(KeptCallEnds)
        return ended.not_kept or "kept"


@pytest.fixture
def tape(spoken: Pcm) -> Tape:
    return Tape(spoken)


# the announcement


def test_who_calls_hears_the_announcement_after_the_greeting_and_is_kept_once_somebody_speaks_after_it(
    tape: Tape,
) -> None:
    answered = tape.rings().at
    talks = tape.talk(2).wait(12).at
    line = Line()
    line.hear(tape.talk(6).hangs_up().pcm)
    (sound,) = line.wires.played
    assert sound.outcome is Outcome.PLAYED
    (begins,) = line.all(CallBegins)
    assert abs(begins.answered_frame - answered) < RATE_HZ // 2
    (granted,) = line.all(Granted)
    assert granted.by is ConsentBy.ANNOUNCEMENT
    assert talks + RATE_HZ // 2 < granted.at_frame < talks + 2 * RATE_HZ
    assert line.end == "kept"


def test_the_announcement_waits_for_the_greeting_but_not_for_ever(tape: Tape) -> None:
    line = Line()
    line.hear(tape.rings().talk(2.5).pcm)
    assert not line.wires.sounds
    line.hear(Tape(tape.spoken).wait(1).pcm)
    assert line.wires.sounds
    talkative = Line()
    talkative.hear(Tape(tape.spoken).rings().talk(8).pcm)
    assert talkative.wires.sounds


def test_a_caller_who_hangs_up_during_the_announcement_is_not_kept_though_it_drowns_the_busy_tone(tape: Tape) -> None:
    line = Line(TwoWires(gain=3.0))
    line.hear(tape.rings().talk(2).wait(5).tone("busy", 15).wait(10).pcm)
    assert line.end is NotKept.HALF_HEARD
    assert not line.all(Granted)


def test_where_both_have_hung_up_during_the_announcement_without_a_tone_nothing_is_kept(tape: Tape) -> None:
    line = Line()
    line.hear(tape.rings().talk(2).wait(30).pcm)
    (sound,) = line.wires.played
    assert sound.outcome is Outcome.PLAYED
    assert line.end is NotKept.HALF_HEARD


@pytest.mark.parametrize("country", COUNTRY_CODES)
def test_a_tone_of_the_exchange_after_the_announcement_is_nobody_who_speaks(spoken: Pcm, country: CountryCode) -> None:
    for tone in (tone for tone in COUNTRIES[country].tones if tone.name in ("busy", "ringback")):
        line = Line(country=country)
        cadence = COUNTRIES[country].ringing.cadences_s[0]
        rings = line_tones.ringing(25, cadence, sum(cadence) + cadence[0], -20, clipped=3)
        tape = Tape(spoken).wait(6).play(rings).wait(1.5).talk(2).wait(11.5)
        line.hear(tape.play(line_tones.tone(tone, 9, -24)).pcm)
        assert [sound.outcome for sound in line.wires.played] == [Outcome.PLAYED], tone.name
        assert not line.all(Granted), tone.name


def test_nothing_is_played_on_after_a_hang_up_that_was_heard(tape: Tape) -> None:
    line = Line(TwoWires(gain=0.02))
    line.hear(tape.rings().talk(2).wait(3).tone("busy", 6).wait(10).pcm)
    (sound,) = line.wires.played
    assert sound.outcome is Outcome.STOPPED
    assert sound.at < sound.samples.size


def test_an_announcement_that_breaks_off_is_none(tape: Tape) -> None:
    line = Line(TwoWires(breaks_after=5 * RATE_HZ))
    line.hear(tape.rings().talk(2).wait(12).talk(6).hangs_up().pcm)
    assert line.end is NotKept.HALF_HEARD
    assert line.voice.trouble


def test_an_announcement_that_does_not_reach_the_line_is_none_however_well_it_was_played(tape: Tape) -> None:
    line = Line(TwoWires(gain=0))
    line.hear(tape.rings().talk(2).wait(5).talk(12).hangs_up().pcm)
    assert [sound.outcome for sound in line.wires.played] == [Outcome.PLAYED]
    assert line.end is NotKept.HALF_HEARD


def test_where_the_caller_is_asked_for_a_key_the_announcement_asks_and_the_key_ends_it(tape: Tape) -> None:
    line = Line(consent="opt_in")
    line.hear(tape.rings().talk(2).wait(4).press("1").talk(6).hangs_up().pcm)
    (sound,) = line.wires.played
    assert sound.outcome is Outcome.STOPPED
    assert sound.at < 5 * RATE_HZ
    assert [granted.by for granted in line.all(Granted)] == [ConsentBy.KEY]
    assert line.end == "kept"


def test_the_announcement_alone_agrees_to_nothing_where_a_key_is_asked_for(tape: Tape) -> None:
    line = Line(consent="opt_in")
    line.hear(tape.rings().talk(2).wait(12).talk(6).hangs_up().pcm)
    assert [sound.outcome for sound in line.wires.played] == [Outcome.PLAYED]
    assert line.end is NotKept.REFUSED


def test_a_no_ends_the_announcement_at_once(tape: Tape) -> None:
    line = Line(consent="opt_in")
    line.hear(tape.rings().talk(2).wait(4).press("2").pcm)
    assert [sound.outcome for sound in line.wires.played] == [Outcome.STOPPED]


@pytest.mark.parametrize("order", [Order.FORGET, Order.CONFIRM])
def test_the_own_sides_word_ends_the_announcement_at_once(tape: Tape, order: Order) -> None:
    line = Line()
    line.hear(tape.rings().talk(2).wait(1).pcm)
    assert line.wires.sounds
    line.hear(Tape(tape.spoken).wait(1).pcm, orders=[(0.5, order)])
    (sound,) = line.wires.played
    assert sound.outcome is Outcome.STOPPED
    assert sound.at < 2 * RATE_HZ


@pytest.mark.parametrize(
    ("line", "route"),
    [
        (Line(private=True), "rings"),
        (Line(settings={"never_numbers": (NUMBER,)}), "rings"),
        (Line(settings={"always_numbers": (NUMBER,)}), "rings"),
        (Line(consent="duty"), "rings"),
        (Line(), "dials"),
        (Line(), "unheard"),
    ],
)
def test_into_other_calls_nothing_is_said(tape: Tape, line: Line, route: str) -> None:
    {"rings": tape.rings, "dials": tape.dials, "unheard": lambda: tape.wait(6)}[route]()
    line.hear(tape.talk(3).wait(12).talk(6).hangs_up().pcm)
    assert line.all(CallBegins)
    assert not line.wires.played


def test_nothing_is_said_on_in_a_call_of_which_audio_was_lost(tape: Tape) -> None:
    line = Line()
    line.hear(tape.rings().talk(2).wait(1).pcm)
    assert line.wires.sounds
    line.watch.lose(line.at, 400)
    line.at += 400
    line.voice.fall_silent()
    line.hear(Tape(tape.spoken).wait(12).talk(4).pcm)
    assert [sound.outcome for sound in line.wires.played] == [Outcome.STOPPED]
    assert not line.all(Granted)


def test_a_second_call_hears_the_announcement_too(tape: Tape) -> None:
    line = Line()
    line.hear(tape.rings().talk(2).wait(12).talk(4).hangs_up().rings().talk(2).wait(12).talk(4).hangs_up().pcm)
    assert [sound.outcome for sound in line.wires.played] == [Outcome.PLAYED] * 2
    assert [ended.not_kept for ended in line.all(KeptCallEnds)] == [None, None]


# the daily test tone


def line_to_test(at: str = "03:01", **line: Any) -> Line:
    return Line(self_test=DailyTime(at), settings={"announcement": ""}, **line)


@pytest.mark.parametrize("country", COUNTRY_CODES)
def test_the_tone_comes_back_and_is_neither_speech_nor_a_call_nor_a_tone_of_the_exchange(
    tape: Tape, country: CountryCode
) -> None:
    line = line_to_test(country=country)
    line.hear(tape.wait(64.5).pcm)
    (sound,) = line.wires.played
    assert sound.outcome is Outcome.PLAYED
    assert [event for event in line.events if not isinstance(event, SpeechChanges)] == []
    assert not line.voice.trouble


@pytest.mark.parametrize(
    ("gain", "says"), [(0.0, NOT_HEARD), (0.04, "too faint"), (8.0, "too loud"), (0.2, ""), (3.0, "")]
)
def test_a_tone_that_does_not_come_back_as_it_should_is_a_trouble_until_one_does(
    tape: Tape, gain: float, says: str
) -> None:
    line = line_to_test(wires=TwoWires(gain=gain))
    quiet = tape.wait(68).pcm
    line.hear(quiet)
    assert says in line.voice.trouble
    assert bool(line.voice.trouble) is bool(says)
    line.wires.gain = 1.0
    line.later = timedelta(minutes=58)
    line.hear(quiet)
    assert len(line.wires.played) == 1
    line.later = timedelta(minutes=61)
    line.hear(quiet)
    assert len(line.wires.played) == (2 if says else 1)
    assert not line.voice.trouble


@pytest.mark.parametrize("side", [0, 1])
def test_where_the_sides_are_apart_the_tone_is_found_on_the_one_that_carries_it(tape: Tape, side: int) -> None:
    settings = LineSettings(name="front", alsa="line0", near_channel=0, far_channel=1, ground="x", output=OUTPUT)
    watch = LineWatch(signals_for(2, 12), plan_of(settings, RecorderSettings()), lambda _frame: False)
    wires = TwoWires()
    voice = LineVoice(settings.line, wires, None, DailyTime("03:01"), HeardLog().logger)
    quiet = tape.wait(64.5).pcm
    for at in range(0, quiet.size - BLOCK_FRAMES + 1, BLOCK_FRAMES):
        sides = [quiet[at : at + BLOCK_FRAMES]] * 2
        sides[side] = wires.heard_with(sides[side])
        block = np.stack(sides, axis=1)
        now = NIGHT + timedelta(seconds=at / RATE_HZ)
        voice.follow(watch, watch.hear(at, block), block, partial(datetime.fromtimestamp, now.timestamp(), BERLIN))
    assert [sound.outcome for sound in wires.played] == [Outcome.PLAYED]
    assert not voice.trouble


def test_the_tone_waits_until_nothing_has_gone_on_for_a_minute(tape: Tape) -> None:
    line = line_to_test()
    line.hear(tape.rings().talk(60).hangs_up().pcm)
    assert not line.wires.played
    line.hear(Tape(tape.spoken).wait(50).pcm)
    assert not line.wires.played
    line.hear(Tape(tape.spoken).wait(15).pcm)
    assert len(line.wires.played) == 1


def test_a_tone_that_a_ring_comes_upon_stops_and_comes_later(tape: Tape) -> None:
    line = line_to_test()
    line.hear(tape.wait(60.2).pcm)
    (sound,) = line.wires.played
    sound.samples = np.zeros(8 * RATE_HZ, np.int16)  # a device so slow that it still plays when it rings
    line.hear(Tape(tape.spoken).ring().wait(4).ring().pcm)
    assert sound.outcome is Outcome.STOPPED
    assert not line.voice.tests
    line.hear(Tape(tape.spoken).wait(80).pcm)
    assert [each.outcome for each in line.wires.played] == [Outcome.STOPPED, Outcome.PLAYED]
    assert not line.voice.trouble


def test_a_tone_that_could_not_be_played_is_not_said_to_be_unheard(tape: Tape) -> None:
    line = line_to_test(wires=TwoWires(breaks_after=1))
    line.hear(tape.wait(68).pcm)
    assert line.voice.trouble == "The output is gone."
    line.wires.trouble = ""
    assert not line.voice.trouble


def test_a_device_that_hangs_is_a_tone_that_is_not_heard(tape: Tape) -> None:
    line = line_to_test(wires=TwoWires(gain=0))
    line.hear(tape.wait(60.2).pcm)
    line.wires.played[0].samples = np.zeros(99 * RATE_HZ, np.int16)
    line.hear(Tape(tape.spoken).wait(5).pcm)
    assert line.wires.played[0].outcome is Outcome.STOPPED
    assert line.voice.trouble == NOT_HEARD


def test_a_hiss_or_a_whistle_is_not_the_tone(tape: Tape) -> None:
    line = line_to_test(wires=TwoWires(gain=0))
    line.hear(tape.wait(61).pcm)
    line.hear(Tape(tape.spoken).play(sines([1020], 7, -50)).pcm)
    assert line.voice.trouble == NOT_HEARD


def test_nothing_that_was_heard_with_the_tone_stays(tape: Tape) -> None:
    line = line_to_test()
    line.hear(tape.wait(62).pcm)
    kept = list(line.voice._heard)
    assert any(piece.any() for piece in kept)
    line.hear(Tape(tape.spoken).wait(3).pcm)
    assert not any(piece.any() for piece in kept)
    assert line.voice._heard == []


# when it is due


def test_the_tone_is_due_once_a_day_from_its_time_on() -> None:
    daily = DailyTime("03:30")
    assert not daily.is_due(NIGHT)
    assert not daily.is_due(NIGHT + timedelta(minutes=29))
    assert daily.is_due(NIGHT + timedelta(minutes=30))
    assert daily.is_due(NIGHT + timedelta(hours=9))
    daily.done(NIGHT + timedelta(hours=9))
    assert not daily.is_due(NIGHT + timedelta(hours=24))
    assert daily.is_due(NIGHT + timedelta(hours=24, minutes=30))


def test_a_box_that_starts_after_the_time_waits_for_tomorrows() -> None:
    daily = DailyTime("03:30")
    assert not daily.is_due(NIGHT + timedelta(hours=1))
    assert daily.is_due(NIGHT + timedelta(hours=24, minutes=31))


def test_lines_take_turns() -> None:
    second = DailyTime("03:30", turn=1)
    assert not second.is_due(NIGHT)
    assert not second.is_due(NIGHT + timedelta(minutes=30, seconds=9))
    assert second.is_due(NIGHT + timedelta(minutes=30, seconds=10))


def test_a_clock_that_is_set_back_does_not_put_the_tone_off_for_long() -> None:
    daily = DailyTime("03:30")
    daily.done(NIGHT + timedelta(days=300))
    assert not daily.is_due(NIGHT)
    assert daily.is_due(NIGHT + timedelta(minutes=31))
