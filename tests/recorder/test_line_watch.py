"""Whole calls as they sound on a line, and what is told of them in which order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from appliance.recorder.ear.announcement import Announcement, AnnouncementHeard
from appliance.recorder.ear.countries import COUNTRIES
from appliance.recorder.ear.signals import Pcm, Signals
from appliance.recorder.line.consent import Granted, Refused
from appliance.recorder.line.line_facts import CallBegins, Route, SpeechChanges
from appliance.recorder.line.line_plan import plan_of
from appliance.recorder.line.line_state import State
from appliance.recorder.line.line_watch import Event, KeptCallEnds, LineWatch, Ordered, Unanswered
from appliance.recorder.line.party import Party
from appliance.recordings.container import EndReason
from appliance.settings import COUNTRY_CODES, CountryCode, LineSettings, RecorderSettings
from appliance.terms import BLOCK_FRAMES, RATE_HZ, Direction, Order
from tests.simulators import line_tones
from tests.simulators.caller_id_tones import V23, Caller, call_setup
from tests.simulators.caller_id_tones import fsk as caller_tones
from tests.simulators.key_tones import Sender, fsk
from tests.simulators.line_tones import Sound, as_pcm, silence, sines, white
from tests.simulators.talk import click

NUMBER = "03023125471"
DIALLED = "0302315001"
GERMANY = COUNTRIES["de"]
KEYS = Sender(tone_ms=120, level_dbm0=-10)


@dataclass(repr=False)
class Tape:
    """A line grows sound by sound; the noise of the line comes last."""

    spoken: Pcm
    parts: list[Sound] = field(default_factory=list)
    said: int = 0

    @property
    def at(self) -> int:
        return sum(len(part) for part in self.parts)

    def wait(self, seconds: float) -> Tape:
        self.parts.append(silence(seconds))
        return self

    def play(self, sound: Sound) -> Tape:
        self.parts.append(sound)
        return self

    def ring(self, seconds: float = 1.0) -> Tape:
        return self.play(line_tones.ringing(25, (), seconds, -20, clipped=3))

    def caller(self, number: str = NUMBER, absent: bytes = b"") -> Tape:
        told = Caller(number=number.encode(), absent_number=absent)
        return self.play(caller_tones(call_setup(told), V23) / 32768)

    def rings(self, number: str | None = NUMBER) -> Tape:
        """A burst, who calls, and a second burst; picked up 1.5 s later."""
        self.wait(6).ring().wait(0.7)
        before = self.at
        if number is not None:
            self.caller(number, b"" if number else b"P")
        return self.wait(3.3 - (self.at - before) / RATE_HZ).ring().wait(1.5)

    def talk(self, seconds: float) -> Tape:
        part = np.resize(np.roll(self.spoken, -self.said), round(seconds * RATE_HZ))
        self.said += len(part)
        return self.play(part / 32768)

    def press(self, digits: str) -> Tape:
        for digit in digits:
            self.play(KEYS.key(digit, np.random.default_rng(5)) / 32768).wait(0.2)
        return self

    def tone(self, name: str, seconds: float) -> Tape:
        wanted = next(tone for tone in GERMANY.tones if tone.name == name)
        return self.play(line_tones.tone(wanted, seconds, -18))

    def dials(self, number: str = DIALLED) -> Tape:
        return self.wait(6).tone("dial", 1.5).press(number).wait(1.5)

    def hangs_up(self) -> Tape:
        return self.wait(0.4).tone("busy", 4).wait(8)

    @property
    def pcm(self) -> Pcm:
        sound = np.concatenate(self.parts)
        return as_pcm(sound + white(len(sound), -66, np.random.default_rng(8)))


@pytest.fixture
def tape(spoken: Pcm) -> Tape:
    return Tape(spoken)


@dataclass(repr=False)
class Heard:
    events: list[Event]
    watch: LineWatch

    @property
    def told(self) -> list[str]:
        return [_word(one) for one in self.events if not isinstance(one, SpeechChanges)]

    def only(self, kind: type[Any]) -> Any:
        (one,) = [each for each in self.events if isinstance(each, kind)]
        return one


def _word(event: Event) -> str:
    match event:
        case Granted():
            return f"granted {event.by.value}"
        case Refused():
            return f"refused {event.why.value}"
        case Ordered():
            return event.order.value
        case KeptCallEnds():
            return f"ends {event.not_kept.value if event.not_kept else 'kept'}"
        case Unanswered():
            return event.why.value
        case CallBegins():
            return "goes on" if event.goes_on else f"begins {event.route.name.lower()}"
    return type(event).__name__


def watch_of(private: bool = False, settings: RecorderSettings | None = None, **line: Any) -> LineWatch:
    settings = settings or RecorderSettings(hold_over_s=8)
    plan = plan_of(LineSettings(name="front", alsa="line0", ground="x", **line), settings)
    return LineWatch(Signals(settings.speech_above_floor_db), plan, lambda _frame: private)


def listen(
    tape: Tape,
    watch: LineWatch | None = None,
    *,
    orders: Sequence[tuple[int, Order]] = (),
    lost: Sequence[int] = (),
    **line: Any,
) -> Heard:
    """Block by block; orders come after a frame, and of some blocks nobody has the audio."""
    watch = watch or watch_of(**line)
    pcm, events, due = tape.pcm, [], list(orders)
    for first in range(0, len(pcm) - BLOCK_FRAMES + 1, BLOCK_FRAMES):
        if any(first <= frame < first + BLOCK_FRAMES for frame in lost):
            events += watch.lose(first, BLOCK_FRAMES)
            continue
        events += watch.hear(first, pcm[first : first + BLOCK_FRAMES]).events
        while due and due[0][0] < first + BLOCK_FRAMES:
            events += watch.order(due.pop(0)[1])
    return Heard(events=events, watch=watch)


def near(frame: int, wanted: int, seconds: float = 0.5) -> bool:
    return abs(frame - wanted) <= seconds * RATE_HZ


INCOMING = Party(direction=Direction.IN, number=NUMBER)
OUTGOING = Party(direction=Direction.OUT, number=DIALLED)


# incoming


def test_an_incoming_call_is_kept_from_its_beginning_on_once_the_key_for_yes_is_pressed(tape: Tape) -> None:
    answered = tape.rings().at
    tape.talk(4)
    pressed = tape.wait(0.3).at
    tape.press("1").talk(4)
    hung_up = tape.at
    heard = listen(tape.hangs_up())
    assert heard.told == ["begins rang", "granted key", "ends kept"]
    begins, granted, ends = heard.only(CallBegins), heard.only(Granted), heard.only(KeptCallEnds)
    assert near(begins.answered_frame, answered)
    assert begins.audio_from <= begins.answered_frame
    assert begins.audio_from >= answered - 1.6 * RATE_HZ
    assert pressed <= granted.at_frame <= pressed + RATE_HZ // 5
    assert near(ends.ends.at_frame, hung_up, 0.7)
    assert ends.ends.why is EndReason.HUNG_UP
    assert ends.party == INCOMING


def test_a_call_that_is_refused_is_told_with_who_it_was_and_why(tape: Tape) -> None:
    heard = listen(tape.rings().talk(4).press("2").talk(4).press("1").hangs_up())
    assert heard.told == ["begins rang", "refused refused", "ends refused"]
    assert heard.only(KeptCallEnds).party == INCOMING


def test_who_says_nothing_in_time_is_not_kept_nor_after_it(tape: Tape) -> None:
    heard = listen(tape.rings().talk(8).press("1").talk(3).hangs_up(), consent_within_s=5)
    assert heard.told == ["begins rang", "refused timed_out", "ends timed_out"]


def test_a_call_that_ends_before_a_yes_is_not_kept(tape: Tape) -> None:
    assert listen(tape.rings().talk(5).hangs_up()).told == ["begins rang", "refused refused", "ends refused"]


def test_it_rang_and_nobody_answered(tape: Tape) -> None:
    rang = tape.rings().at - round(1.5 * RATE_HZ)
    heard = listen(tape.wait(15))
    assert heard.told == ["missed"]
    missed = heard.only(Unanswered)
    assert missed.party == INCOMING
    assert near(missed.since_frame, 6 * RATE_HZ)
    assert near(missed.at_frame, rang)
    assert heard.watch.state is State.IDLE


def test_a_number_that_is_never_recorded_is_refused_at_the_answer(tape: Tape) -> None:
    heard = listen(tape.rings().talk(3).press("1").hangs_up(), never_numbers=("030*",))
    assert heard.told == ["begins rang", "refused number_listed", "ends number_listed"]


def test_whoever_withholds_his_number_is_known_by_that(tape: Tape) -> None:
    heard = listen(tape.rings("").talk(3).press("1").hangs_up(), never_numbers=("withheld",))
    assert heard.told == ["begins rang", "refused number_listed", "ends number_listed"]
    assert heard.only(KeptCallEnds).party.withheld


def test_a_number_with_a_standing_consent_is_kept_at_once(tape: Tape) -> None:
    heard = listen(tape.rings().talk(5).hangs_up(), always_numbers=(NUMBER,))
    assert heard.told == ["begins rang", "granted duty", "ends kept"]


def test_in_private_hours_nothing_is_kept(tape: Tape) -> None:
    watch = watch_of(private=True, consent="duty")
    assert listen(tape.rings().talk(3).hangs_up(), watch).told == ["begins rang", "refused private", "ends private"]


@pytest.mark.parametrize(("digit", "decision"), [("1", "granted key"), ("2", "refused refused")])
def test_a_key_right_after_the_first_word_counts(tape: Tape, digit: str, decision: str) -> None:
    pressed = tape.rings().talk(0.4).wait(0.1).at
    heard = listen(tape.press(digit).talk(5).hangs_up())
    assert heard.told[:2] == ["begins rang", decision]
    decided = next(one for one in heard.events if isinstance(one, Granted | Refused))
    assert near(decided.at_frame, pressed, 0.2)


def test_a_crackle_between_two_rings_is_not_the_answer(tape: Tape) -> None:
    tape.wait(6).ring().wait(1.5)
    tape.play(sines((900,), 0.03, -16)).wait(0.05).play(sines((700,), 0.04, -16)).wait(2.4).ring().wait(1.5)
    answered = tape.at
    heard = listen(tape.talk(4).hangs_up(), consent="duty")
    assert near(heard.only(CallBegins).answered_frame, answered)
    assert heard.only(CallBegins).audio_from >= answered - 1.6 * RATE_HZ


# codes and orders


def test_a_code_that_ends_with_the_key_for_yes_is_the_own_sides_word(tape: Tape) -> None:
    heard = listen(tape.rings().talk(4).press("*71").talk(3).hangs_up())
    assert heard.told == ["begins rang", "confirm", "granted agent", "ends kept"]


def test_a_code_that_ends_with_the_key_for_no_pauses_and_does_not_refuse(tape: Tape) -> None:
    tape.rings().talk(4).press("1").talk(2)
    began = tape.at
    tape.press("*72")
    whole = tape.at
    heard = listen(tape.talk(3).press("*73").talk(3).hangs_up())
    assert heard.told == ["begins rang", "granted key", "pause", "resume", "ends kept"]
    pause = next(one for one in heard.events if isinstance(one, Ordered))
    assert near(pause.from_frame, began, 0.05)
    assert began < pause.at_frame <= whole


def test_a_call_may_be_asked_to_be_kept_longer_and_nothing_else_comes_of_it(tape: Tape) -> None:
    heard = listen(tape.rings().talk(4).press("1").talk(2).press("*75").talk(3).hangs_up())
    assert heard.told == ["begins rang", "granted key", "keep", "ends kept"]
    assert heard.only(KeptCallEnds).not_kept is None


@pytest.mark.parametrize("code", ["*74", ""])
def test_the_own_side_forgets_a_call_also_when_it_is_recorded_already(tape: Tape, code: str) -> None:
    tape.rings().talk(4)
    order = [(tape.at, Order.FORGET)] if not code else []
    heard = listen(tape.press(code).talk(4).press("1").hangs_up(), orders=order, consent="duty")
    assert heard.told == ["begins rang", "granted duty", "forget", "refused forgotten", "ends forgotten"]


def test_the_own_side_confirms_from_outside_the_line_and_outside_a_call_orders_nothing(tape: Tape) -> None:
    tape.rings().talk(4)
    confirm = (tape.at, Order.CONFIRM)
    tape.talk(3).hangs_up()
    heard = listen(tape, orders=[(5 * RATE_HZ, Order.FORGET), confirm, (tape.at - 800, Order.FORGET)])
    assert heard.told == ["begins rang", "confirm", "granted agent", "ends kept"]


def test_a_code_of_one_call_does_not_go_on_in_the_next(tape: Tape) -> None:
    heard = listen(tape.rings().talk(3).press("*7").hangs_up().rings().talk(3).press("1").talk(2).hangs_up())
    assert heard.told[3:] == ["begins rang", "granted key", "ends kept"]


# outgoing


def test_what_was_dialled_is_the_number_and_its_keys_agree_to_nothing(tape: Tape) -> None:
    tape.dials().tone("ringback", 11).wait(1)
    answered = tape.at
    heard = listen(tape.talk(5).hangs_up())
    assert heard.told == ["begins dialled", "refused refused", "ends refused"]
    begins = heard.only(CallBegins)
    assert begins.route is Route.DIALLED
    assert near(begins.at_frame, 6 * RATE_HZ)
    assert near(begins.answered_frame, answered)
    assert heard.only(KeptCallEnds).party == OUTGOING


def test_a_number_that_is_never_recorded_is_not_when_it_is_dialled(tape: Tape) -> None:
    heard = listen(tape.dials().talk(4).hangs_up(), consent="duty", never_numbers=(DIALLED,))
    assert heard.told == ["begins dialled", "refused number_listed", "ends number_listed"]


@pytest.mark.parametrize("number", ["0302315001", "03023151", "110"])
def test_the_last_key_of_a_number_that_is_answered_at_once_is_no_yes(tape: Tape, number: str) -> None:
    tape.wait(6).tone("dial", 1.5).press(number)
    heard = listen(tape.talk(6).hangs_up())
    assert heard.told == ["begins dialled", "refused refused", "ends refused"]
    assert heard.only(KeptCallEnds).party.number == number


def test_a_key_right_after_the_far_sides_first_word_is_no_part_of_the_number(tape: Tape) -> None:
    # Without a ringback tone a digit that follows within five seconds is dialled: it agrees to nothing.
    tape.dials().tone("ringback", 6)
    heard = listen(tape.talk(0.4).wait(0.1).press("1").talk(5).hangs_up())
    assert heard.only(KeptCallEnds).party == OUTGOING


def test_an_attempt_that_meets_busy_is_no_call(tape: Tape) -> None:
    heard = listen(tape.dials().tone("busy", 5).wait(8), consent="duty")
    assert heard.told == ["not_answered"]
    assert heard.only(Unanswered).party == OUTGOING


def test_an_attempt_that_nobody_answers_is_no_call(tape: Tape) -> None:
    heard = listen(tape.dials().tone("ringback", 11).wait(25), consent="duty")
    assert heard.told == ["not_answered"]
    assert heard.only(Unanswered).party == OUTGOING


def test_an_attempt_that_was_put_down_is_over_before_it_rings(tape: Tape) -> None:
    tape.dials().wait(3)
    heard = listen(tape.rings().wait(15), consent="duty")
    assert heard.told == ["not_answered", "missed"]
    attempt, missed = (one for one in heard.events if isinstance(one, Unanswered))
    assert attempt.at_frame <= missed.since_frame


def test_a_standing_consent_of_who_was_dialled_does_not_hold_for_who_calls_soon_after(tape: Tape) -> None:
    # FAULT: a single burst, and no caller ID, is not believed while dialling: who answers is taken for the one called.
    tape.dials().wait(2).ring().wait(1.5).talk(4)
    heard = listen(tape.hangs_up(), always_numbers=(DIALLED,))
    assert "granted duty" not in heard.told


def test_who_picks_up_and_dials_nothing_is_not_told(tape: Tape) -> None:
    assert listen(tape.wait(6).tone("dial", 4).wait(25), consent="duty").told == []


# fax


def modem(seconds: float) -> Sound:
    """V.21, channel 2, as fax machines begin to talk: bits at random, in bursts."""
    bits = np.random.default_rng(3).integers(0, 2, round(seconds * 300))
    return fsk(bits, 300, 1850, 1650, -16) / 32768


def page(seconds: float, dbfs: float = -16) -> Sound:
    """A fast modem is much like noise in the telephone band."""
    sound = np.fft.rfft(np.random.default_rng(2).normal(0, 1, round(seconds * RATE_HZ)))
    hz = np.fft.rfftfreq(round(seconds * RATE_HZ), 1 / RATE_HZ)
    sound[(hz < 600) | (hz > 3000)] = 0
    wave: Sound = np.fft.irfft(sound, round(seconds * RATE_HZ))
    return wave / np.std(wave) * line_tones.amplitude(dbfs)


def cng(times: int = 4) -> Sound:
    return np.concatenate([np.concatenate((sines((1100,), 0.5, -18), silence(3)))] * times)


def test_a_fax_machine_that_calls_into_a_conversation_ends_what_is_kept_of_it(tape: Tape) -> None:
    heard = listen(tape.rings().talk(4).play(cng()).talk(3).hangs_up(), consent="duty")
    assert heard.told == ["begins rang", "granted duty", "refused fax", "ends fax"]


def test_a_fax_is_kept_where_it_is_wanted(tape: Tape) -> None:
    heard = listen(tape.rings().talk(4).play(cng()).talk(3).hangs_up(), consent="duty", keep_fax=True)
    assert heard.told == ["begins rang", "granted duty", "ends kept"]


@pytest.mark.parametrize("incoming", [True, False])
@pytest.mark.parametrize("burst_s", [0.6, 1.5])
def test_a_fax_machine_that_answers_is_not_recorded(tape: Tape, incoming: bool, burst_s: float) -> None:
    tape = tape.rings() if incoming else tape.dials()
    tape.play(sines((2100,), 3, -18)).wait(0.1)
    for _ in range(8):
        tape.play(modem(1)).wait(0.075).play(page(burst_s)).wait(0.4)
    heard = listen(tape.hangs_up(), consent="duty")
    assert "ends kept" not in heard.told


def test_a_fax_machine_that_calls_before_somebody_says_hello_is_not_recorded(tape: Tape) -> None:
    tape.rings().play(cng(2)).talk(2).wait(0.3).play(cng(2)).talk(2)
    assert "ends kept" not in listen(tape.hangs_up(), consent="duty").told


# what else happens


def test_frames_that_are_lost_while_a_call_waits_refuse_it(tape: Tape) -> None:
    tape.rings().talk(4)
    lost = tape.at
    heard = listen(tape.talk(3).press("1").talk(2).hangs_up(), lost=[lost])
    assert heard.told == ["begins rang", "refused doubt", "ends doubt"]


def test_frames_that_are_lost_in_a_call_that_is_kept_change_nothing(tape: Tape) -> None:
    tape.rings().talk(4)
    lost = tape.at
    heard = listen(tape.talk(6).hangs_up(), lost=[lost, lost + 4 * RATE_HZ], consent="duty")
    assert heard.told == ["begins rang", "granted duty", "ends kept"]
    assert heard.only(KeptCallEnds).party == INCOMING


def test_frames_that_are_lost_while_it_rings_leave_it_ringing(tape: Tape) -> None:
    tape.rings()
    heard = listen(tape.talk(4).hangs_up(), lost=[tape.at - 3 * RATE_HZ], consent="duty")
    assert heard.told == ["begins rang", "granted duty", "ends kept"]


def test_a_call_that_is_too_long_is_kept_in_parts_without_a_hole_and_without_a_frame_twice(tape: Tape) -> None:
    watch = watch_of(settings=RecorderSettings(hold_over_s=8, longest_call_s=60), consent="duty")
    heard = listen(tape.rings().talk(150).hangs_up(), watch)
    assert heard.told == ["begins rang", "granted duty", *["ends kept", "goes on"] * 2, "ends kept"]
    parts = [one for one in heard.events if isinstance(one, CallBegins)]
    ends = [one for one in heard.events if isinstance(one, KeptCallEnds)]
    assert [one.audio_from for one in parts[1:]] == [one.ends.audio_to for one in ends[:-1]]
    assert all(one.party == INCOMING for one in ends)


def test_of_a_call_that_waits_or_is_refused_there_are_no_parts(tape: Tape) -> None:
    watch = watch_of(settings=RecorderSettings(hold_over_s=8, longest_call_s=60), consent_within_s=120)
    heard = listen(tape.rings().talk(70).press("1").talk(60).hangs_up(), watch)
    assert heard.told == ["begins rang", "granted key", "ends kept", "goes on", "ends kept"]
    refused = watch_of(settings=RecorderSettings(hold_over_s=8, longest_call_s=60))
    assert listen(tape, refused).told == ["begins rang", "refused timed_out", "ends timed_out"]


def test_a_silent_hang_up_and_the_next_call_that_rings_soon_after_it(tape: Tape) -> None:
    tape.rings().talk(4)
    over = tape.at
    tape.rings("03023125000").talk(4).hangs_up()
    watch = watch_of(settings=RecorderSettings(hold_over_s=30), consent="duty")
    heard = listen(tape, watch)
    assert heard.told == ["begins rang", "granted duty", "ends kept"] * 2
    first, second = (one for one in heard.events if isinstance(one, KeptCallEnds))
    assert near(first.ends.at_frame, over)
    assert (first.party.number, second.party.number) == (NUMBER, "03023125000")


def test_a_yes_does_not_hold_for_who_rings_after_a_silent_hang_up(tape: Tape) -> None:
    # FAULT: in a call the ear no longer explains a ring (`seeks`), which so counts as speech, is not believed, and
    # the next caller is recorded by the last one's yes.
    tape.rings().talk(4).press("1").talk(2).rings("03023125000").talk(4).hangs_up()
    heard = listen(tape, watch_of(settings=RecorderSettings(hold_over_s=30)))
    assert heard.told == [
        *("begins rang", "granted key", "ends kept"),
        *("begins rang", "refused refused", "ends refused"),
    ]


def test_a_silent_hang_up_and_somebody_who_dials_soon_after_it(tape: Tape) -> None:
    tape.rings().talk(4)
    over = tape.at
    tape.wait(4).dials().talk(4).hangs_up()
    heard = listen(tape, watch_of(settings=RecorderSettings(hold_over_s=30), consent="duty"))
    assert heard.told == ["begins rang", "granted duty", "ends kept", "begins dialled", "granted duty", "ends kept"]
    first, second = (one for one in heard.events if isinstance(one, KeptCallEnds))
    assert near(first.ends.at_frame, over)
    assert second.party == OUTGOING


def test_a_long_hold_on_a_line_that_is_noisier_in_use_belongs_to_the_call(tape: Tape) -> None:
    tape.rings().talk(4)
    answered = tape.at
    tape.wait(60).talk(4)
    hung_up = tape.at
    tape.wait(20)
    noise = white(tape.at, -48, np.random.default_rng(6))
    noise[: answered - 4 * RATE_HZ] = noise[hung_up:] = 0
    heard = listen(Tape(tape.spoken, [np.concatenate(tape.parts) + noise]), consent="duty")
    assert heard.told == ["begins rang", "granted duty", "ends kept"]
    assert near(heard.only(KeptCallEnds).ends.at_frame, hung_up)


class Pretended:
    """An announcement of three seconds that is heard to its end, or to its middle; it runs on for two more."""

    share = 1.0

    def __init__(self, _announcement: object) -> None:
        self._heard = 0
        self.running = False

    def hear(self, samples: Pcm) -> list[AnnouncementHeard]:
        before, self._heard = self._heard, self._heard + samples.size
        self.running = RATE_HZ <= self._heard < 5 * RATE_HZ
        if before < 5 * RATE_HZ <= self._heard:
            return [AnnouncementHeard(at_frame=3 * RATE_HZ, share=self.share, whole=self.share == 1.0)]
        return []

    def hear_out(self) -> list[AnnouncementHeard]:
        return []


@pytest.mark.parametrize(
    ("share", "told"),
    [
        (1.0, ["begins unknown", "AnnouncementHeard", "granted announcement", "ends kept"]),
        (0.5, ["begins unknown", "AnnouncementHeard", "refused half_heard", "ends half_heard"]),
    ],
)
def test_an_announcement_counts_only_whole_and_where_it_is_placed(
    tape: Tape, monkeypatch: pytest.MonkeyPatch, share: float, told: list[str]
) -> None:
    monkeypatch.setattr(Pretended, "share", share)
    monkeypatch.setattr("appliance.recorder.line.line_watch.AnnouncementListener", Pretended)
    settings = RecorderSettings(hold_over_s=8)
    line = LineSettings(name="front", alsa="line0", ground="x", consent="announced", consent_within_s=9)
    announcement = Announcement.of("hello", tape.spoken[: 3 * RATE_HZ])
    plan = replace(plan_of(line, settings), announcement=announcement)
    watch = LineWatch(Signals(12), plan, lambda _frame: False)
    said = tape.wait(6.05).at
    heard = listen(tape.talk(12).hangs_up(), watch)
    assert heard.told == told
    # The ear for it is there with the first sound, before that is known to be a call.
    assert near(heard.only(AnnouncementHeard).at_frame, said + 3 * RATE_HZ, 0.11)


def test_a_yes_and_a_number_are_of_one_call_only(tape: Tape) -> None:
    heard = listen(tape.rings().talk(3).press("1").talk(3).hangs_up().rings(None).talk(4).hangs_up())
    assert heard.told == ["begins rang", "granted key", "ends kept", "begins rang", "refused refused", "ends refused"]
    assert [one.party.number for one in heard.events if isinstance(one, KeptCallEnds)] == [NUMBER, ""]


def test_a_device_that_is_lost_ends_a_call_where_it_was_lost(tape: Tape) -> None:
    heard = listen(tape.rings().talk(5), consent="duty")
    events = heard.watch.break_off(heard.watch.end_frame, EndReason.DEVICE_LOST)
    (ends,) = [one for one in events if isinstance(one, KeptCallEnds)]
    assert ends.ends.why is EndReason.DEVICE_LOST
    assert ends.ends.at_frame == ends.ends.audio_to == heard.watch.end_frame
    assert heard.watch.gate is None


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda tape: tape.rings(), "missed"),
        (lambda tape: tape.dials(), "not_answered"),
        (lambda tape: tape.rings().talk(4), "ends refused"),
    ],
)
def test_at_the_end_of_all_audio_what_is_open_is_over(tape: Tape, make: Callable[[Tape], Tape], told: str) -> None:
    heard = listen(make(tape))
    heard.watch.hear_out()
    heard.events = heard.watch.run_out(heard.watch.end_frame)
    assert heard.told[-1] == told


def test_a_caller_id_and_a_ring_sung_into_a_call_change_nothing(tape: Tape) -> None:
    tape.rings().talk(4).caller("110").talk(4).hangs_up()
    heard = listen(tape, consent="duty")
    assert heard.told == ["begins rang", "granted duty", "ends kept"]
    assert heard.only(KeptCallEnds).party == INCOMING


def test_who_just_speaks_is_in_a_call_whose_number_nobody_knows(tape: Tape) -> None:
    heard = listen(tape.wait(6).talk(6).hangs_up(), consent="duty")
    assert heard.told == ["begins unknown", "granted duty", "ends kept"]
    assert heard.only(KeptCallEnds).party == Party()


def test_a_listed_number_that_is_known_only_in_the_call_forbids_what_is_kept_of_it(tape: Tape) -> None:
    """No dial tone was heard: somebody speaks, and dials at once."""
    heard = listen(tape.wait(6).talk(2).press(DIALLED).talk(5).hangs_up(), consent="duty", never_numbers=(DIALLED,))
    assert heard.told == ["begins unknown", "granted duty", "refused number_listed", "ends number_listed"]


def test_a_code_at_the_beginning_of_a_call_is_no_number(tape: Tape) -> None:
    heard = listen(tape.wait(6).talk(2).press("*71").talk(5).hangs_up())
    assert heard.told == ["begins unknown", "confirm", "granted agent", "ends kept"]
    assert heard.only(KeptCallEnds).party == Party()


@pytest.mark.parametrize("country", COUNTRY_CODES)
@pytest.mark.parametrize("usual", [True, False])
def test_every_countrys_ringing_is_one_call_that_is_missed_or_answered(
    tape: Tape, country: CountryCode, usual: bool
) -> None:
    rings = COUNTRIES[country].ringing
    cadence = rings.cadences_s[0 if usual else -1]
    period = len(cadence) if min(cadence[1::2]) < 1 else 2
    tape.wait(6)
    for _ in range(3):
        for on, off in zip(cadence[:period:2], cadence[1:period:2], strict=True):
            tape.play(line_tones.ringing(rings.frequencies_hz[0], (), on, -18, clipped=3))
            end = tape.at
            tape.wait(off)
    settings = RecorderSettings(country=country, hold_over_s=8)
    answered = Tape(tape.spoken, [np.concatenate(tape.parts)[: end + RATE_HZ]]).talk(4).wait(9)
    heard = listen(answered, watch_of(settings=settings, consent="duty"))
    assert heard.told == ["begins rang", "granted duty", "ends kept"]
    assert near(heard.only(CallBegins).answered_frame, end + RATE_HZ)
    assert heard.only(CallBegins).audio_from >= end - RATE_HZ // 20
    missed = listen(tape.wait(10), watch_of(settings=settings, consent="duty"))
    assert missed.told == ["missed"]
    assert near(missed.only(Unanswered).since_frame, 6 * RATE_HZ, 0.2)
    assert near(missed.only(Unanswered).at_frame, end, 0.2)


def test_an_idle_line_tells_nothing(tape: Tape) -> None:
    assert listen(tape.wait(30)).events == []


def cut_ring(tape: Tape, dbfs: float = -47) -> Tape:
    """As fast as the mains, soft, picked up after 0.7 s, and the first word half a second later."""
    return tape.wait(6).play(line_tones.ringing(50, (), 0.7, dbfs, clipped=2)).wait(0.5)


def test_one_short_ring_of_50_hz_and_a_voice_are_an_incoming_call_from_where_it_was_cut(tape: Tape) -> None:
    cut_ring(tape)
    cut_at = tape.at - RATE_HZ // 2
    heard = listen(tape.talk(6), consent="duty")
    begins = heard.only(CallBegins)
    assert begins.route is Route.RANG
    assert near(begins.at_frame, cut_at, 0.1)
    assert begins.audio_from >= begins.at_frame
    assert heard.watch.party.direction is Direction.IN


def test_one_short_soft_burst_of_50_hz_alone_is_nothing(tape: Tape) -> None:
    assert listen(cut_ring(tape).wait(20), consent="duty").told == []


def test_one_short_burst_of_50_hz_as_loud_as_speech_is_a_missed_call(tape: Tape) -> None:
    assert listen(cut_ring(tape, -20).wait(20), consent="duty").told == ["missed"]


def test_one_short_ring_of_50_hz_does_not_prove_that_the_call_is_new(tape: Tape) -> None:
    plan = plan_of(LineSettings(name="front", alsa="line0", ground="x"), RecorderSettings())
    late = LineWatch(Signals(10.0), plan, lambda _frame: False, joins_late=True)
    told = listen(cut_ring(tape).talk(3).press("1").talk(3), late).told
    assert told == ["begins rang", "refused doubt"]


def test_a_ring_that_is_shorter_than_those_before_it_was_cut_though_exchanges_may_ring_so_short(tape: Tape) -> None:
    tape.wait(6)
    for seconds in (2.0, 2.0, 1.74):
        tape.play(line_tones.ringing(20, (), seconds, -18, clipped=3))
        cut_at = tape.at
        tape.wait(4 if seconds == 2 else 1)
    settings = RecorderSettings(country="us", hold_over_s=8)
    heard = listen(tape.talk(4), watch_of(settings=settings, consent="duty"))
    assert near(heard.only(CallBegins).at_frame, cut_at, 0.1)


def test_after_a_click_on_an_idle_line_syllables_9_db_above_the_noise_are_somebody(tape: Tape) -> None:
    random = np.random.default_rng(3)
    tape.wait(12)
    picked_up = tape.at
    tape.play(click(-8, random)).wait(0.7)
    for _ in range(12):
        tape.play(white(round(0.15 * RATE_HZ), -20, random)).wait(0.1)
    noise = white(tape.wait(12).at, -28.5, random)
    watch = watch_of(settings=RecorderSettings(speech_above_floor_db=12), consent="duty")
    heard = listen(Tape(tape.spoken, [np.concatenate(tape.parts) + noise]), watch)
    assert near(heard.only(CallBegins).at_frame, picked_up, 0.2)
