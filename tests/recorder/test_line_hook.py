"""Whole calls on a line with a hook and a ring input: edges beside real sound, through the watch and to the disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from appliance.recorder.ear.countries import COUNTRIES
from appliance.recorder.ear.signals import Pcm, Signals
from appliance.recorder.line.consent import Granted, Refused
from appliance.recorder.line.line_facts import CallBegins, SpeechChanges
from appliance.recorder.line.line_plan import plan_of
from appliance.recorder.line.line_watch import Event, HookMoves, KeptCallEnds, LineWatch, Unanswered
from appliance.recorder.line_wires import LineWires
from appliance.recorder.line_worker import SILENT_OFF_HOOK, SPEAKS_ON_HOOK
from appliance.recorder.wall_time import WallTime
from appliance.recordings.container import EndReason
from appliance.settings import LineSettings, RecorderSettings
from appliance.terms import BLOCK_FRAMES, RATE_HZ, Direction, LineNowState
from tests.recorder.desk import OPENED_MS, Desk, MakeDesk
from tests.recorder.fake_vault import FakeVault
from tests.recorder.heard_log import HeardLog
from tests.simulators import line_tones
from tests.simulators.key_tones import Sender
from tests.simulators.line_tones import Sound, as_pcm, silence, white
from tests.simulators.wires import BlockClock, Edges, PlayedWire, bounced, flash, ring_wire, ringing

GERMANY = COUNTRIES["de"]
KEYS = Sender(tone_ms=120, level_dbm0=-10)


class Line:
    """A line grows sound by sound, and its wires with it; the noise of the line comes last."""

    def __init__(self, spoken: Pcm) -> None:
        self._spoken = spoken
        self._said = 0
        self.parts: list[Sound] = []
        self.hook: Edges = []
        self.voltage: Edges = []

    @property
    def at_s(self) -> float:
        return sum(len(part) for part in self.parts) / RATE_HZ

    def wait(self, seconds: float) -> Line:
        self.parts.append(silence(seconds))
        return self

    def talk(self, seconds: float) -> Line:
        part = np.resize(np.roll(self._spoken, -self._said), round(seconds * RATE_HZ))
        self._said += len(part)
        self.parts.append(part / 32768)
        return self

    def ring(self, seconds: float = 1.0, *, heard: bool = True, sensed: bool = False) -> Line:
        if sensed:
            self.voltage += ringing(self.at_s, seconds)
        sound = line_tones.ringing(25, (), seconds, -20, clipped=3) if heard else silence(seconds)
        self.parts.append(sound)
        return self

    def tone(self, name: str, seconds: float) -> Line:
        wanted = next(tone for tone in GERMANY.tones if tone.name == name)
        self.parts.append(line_tones.tone(wanted, seconds, -18))
        return self

    def press(self, digits: str) -> Line:
        for digit in digits:
            self.parts.append(KEYS.key(digit, np.random.default_rng(5)) / 32768)
            self.wait(0.2)
        return self

    def lift(self) -> Line:
        self.hook += bounced(self.at_s, True)
        return self

    def put_down(self) -> Line:
        self.hook += bounced(self.at_s, False)
        return self

    def flash(self) -> Line:
        self.hook += flash(self.at_s)
        return self.wait(0.4)

    @property
    def pcm(self) -> Pcm:
        sound = np.concatenate(self.parts)
        return as_pcm(sound + white(len(sound), -66, np.random.default_rng(8)))

    def wires(self, *, hook: bool = True, ring: bool = False) -> LineWires:
        clock = BlockClock()
        return LineWires(
            hook=PlayedWire(self.hook, lambda: clock.ns) if hook else None,
            ring=ring_wire(self.voltage, lambda: clock.ns) if ring else None,
            now_ns=clock,
        )


@pytest.fixture
def line(spoken: Pcm) -> Line:
    return Line(spoken).wait(6)


@dataclass(repr=False)
class Heard:
    events: list[Event]
    watch: LineWatch

    @property
    def told(self) -> list[str]:
        return [_word(one) for one in self.events if not isinstance(one, SpeechChanges | HookMoves)]

    def all(self, kind: type[Any]) -> list[Any]:
        return [each for each in self.events if isinstance(each, kind)]

    def only(self, kind: type[Any]) -> Any:
        (one,) = self.all(kind)
        return one


def _word(event: Event) -> str:
    match event:
        case CallBegins():
            return f"begins {event.route.name.lower()}"
        case KeptCallEnds():
            return f"ends {event.ends.why.value}"
        case Unanswered():
            return event.why.value
        case Granted():
            return "granted"
        case Refused():
            return f"refused {event.why.value}"
    return type(event).__name__


def listen(
    line: Line, *, hook: bool = True, ring: bool = False, hold_over_s: float = 8, consent: Any = "duty"
) -> Heard:
    settings = RecorderSettings(hold_over_s=hold_over_s)
    plan = plan_of(LineSettings(name="front", alsa="line0", ground="x", consent=consent), settings)
    watch = LineWatch(Signals(settings.speech_above_floor_db), plan, lambda _frame: False)
    wires, pcm = line.wires(hook=hook, ring=ring), line.pcm
    events: list[Event] = []
    for first in range(0, len(pcm) - BLOCK_FRAMES + 1, BLOCK_FRAMES):
        samples = pcm[first : first + BLOCK_FRAMES]
        events += watch.hear(first, samples, wires.read(first + BLOCK_FRAMES)).events
    return Heard(events=events, watch=watch)


def near(frame: int, seconds: float, within_s: float = 0.02) -> bool:
    return abs(frame - seconds * RATE_HZ) <= within_s * RATE_HZ


# through the watch


def test_an_incoming_call_begins_and_ends_where_the_hook_says_so_though_nobody_speaks_for_long(line: Line) -> None:
    line.ring().wait(4).ring().wait(1.3)
    lifted_s = line.lift().at_s
    line.wait(5).talk(4).wait(7)
    put_down_s = line.put_down().at_s
    heard = listen(line.wait(3))
    assert heard.told == ["begins rang", "granted", "ends hung_up"]
    begins, ends = heard.only(CallBegins), heard.only(KeptCallEnds).ends
    assert near(begins.at_frame, lifted_s)
    assert begins.audio_from == begins.answered_frame == begins.at_frame
    assert near(ends.at_frame, put_down_s)
    assert ends.audio_to == ends.at_frame
    assert [
        (moves.off, near(moves.at_frame, at_s))
        for moves, at_s in zip(heard.all(HookMoves), (0.1, lifted_s, put_down_s), strict=True)
    ] == [(False, True), (True, True), (False, True)]


def test_an_outgoing_call_begins_where_it_was_lifted_and_is_answered_after_a_long_silence(line: Line) -> None:
    lifted_s = line.lift().at_s
    line.wait(0.5).tone("dial", 1.5).press("0302315001").wait(40)
    answered_s = line.at_s
    line.talk(5)
    put_down_s = line.put_down().at_s
    heard = listen(line.wait(3))
    assert heard.told == ["begins dialled", "granted", "ends hung_up"]
    assert near(heard.only(CallBegins).at_frame, lifted_s)
    assert near(heard.only(CallBegins).answered_frame, answered_s, 0.5)
    assert near(heard.only(KeptCallEnds).ends.at_frame, put_down_s)
    assert heard.only(KeptCallEnds).party.number == "0302315001"


def test_an_attempt_is_over_where_the_handset_is_put_down(line: Line) -> None:
    line.lift().wait(0.5).tone("dial", 1.5).press("0302315001").tone("ringback", 11).wait(1)
    put_down_s = line.put_down().at_s
    heard = listen(line.wait(3))
    assert heard.told == ["not_answered"]
    assert near(heard.only(Unanswered).at_frame, put_down_s)


def test_a_hold_of_minutes_a_flash_and_a_second_dial_tone_belong_to_the_call(line: Line) -> None:
    line.ring().wait(1.5).lift().talk(4).wait(120).talk(3)
    line.flash().tone("dial", 2).press("42").wait(2).talk(3)
    line.flash().talk(3)
    put_down_s = line.put_down().at_s
    heard = listen(line.wait(3))
    assert heard.told == ["begins rang", "granted", "ends hung_up"]
    assert near(heard.only(KeptCallEnds).ends.at_frame, put_down_s)
    without = listen(line, hook=False)
    assert without.told.count("granted") > 1


def test_what_sounds_like_ringing_in_a_call_ends_it_only_without_a_hook(line: Line) -> None:
    line.ring().wait(1.5).lift().talk(4)
    for _ in range(3):
        line.wait(4).ring()
    line.wait(4).talk(3).put_down().wait(3)
    assert listen(line, hold_over_s=30).told == ["begins rang", "granted", "ends hung_up"]
    assert listen(line, hook=False, hold_over_s=30).told[:3] == ["begins rang", "granted", "ends hung_up"]
    assert len(listen(line, hook=False, hold_over_s=30).all(CallBegins)) == 2


def test_who_lifts_before_the_first_ring_is_known_to_be_one_has_answered_it(line: Line) -> None:
    line.ring(0.2).lift().ring(0.4).wait(1).talk(4).put_down().wait(3)
    assert listen(line).told == ["begins rang", "granted", "ends hung_up"]


def test_what_sounds_like_one_ring_while_somebody_dials_is_none(line: Line) -> None:
    line.lift().wait(0.5).tone("dial", 1.5).press("0302315001").wait(2).ring().wait(1.5).talk(4).put_down()
    heard = listen(line.wait(3))
    assert heard.told == ["begins dialled", "granted", "ends hung_up"]
    assert heard.only(KeptCallEnds).party.number == "0302315001"


def test_sparks_on_the_ring_input_end_no_call(line: Line) -> None:
    line.ring(sensed=True).wait(1.5).lift().talk(4)
    for _ in range(3):
        line.ring(0.4, heard=False, sensed=True).talk(2)
    assert listen(line.put_down().wait(3), ring=True).told == ["begins rang", "granted", "ends hung_up"]


def test_busy_ends_a_call_where_it_begins_though_the_handset_is_still_lifted(line: Line) -> None:
    line.ring().wait(1.5).lift().talk(4)
    busy_s = line.at_s
    heard = listen(line.tone("busy", 5).wait(1).put_down().wait(3))
    assert heard.told == ["begins rang", "granted", "ends hung_up"]
    assert near(heard.only(KeptCallEnds).ends.at_frame, busy_s, 0.5)


def test_speech_while_the_hook_is_on_is_no_call_and_a_contradiction(line: Line) -> None:
    heard = listen(line.talk(6))
    assert heard.told == []
    assert heard.watch.hook_doubt is not None


def test_ringing_that_nobody_hears_is_known_by_its_voltage(line: Line) -> None:
    began_s = line.at_s
    for _ in range(3):
        line.ring(heard=False, sensed=True).wait(4)
    ended_s = line.at_s - 4
    missed = listen(line.wait(9), ring=True)
    assert missed.told == ["missed"]
    assert near(missed.only(Unanswered).since_frame, began_s)
    assert near(missed.only(Unanswered).at_frame, ended_s, 0.05)


def test_a_cut_burst_of_ringing_voltage_dates_the_answer_where_no_hook_is_sensed(line: Line) -> None:
    line.ring(heard=False, sensed=True).wait(4).ring(0.6, heard=False, sensed=True)
    lifted_s = line.at_s
    heard = listen(line.wait(1).talk(4).tone("busy", 5).wait(3), hook=False, ring=True)
    assert heard.told == ["begins rang", "granted", "ends hung_up"]
    assert near(heard.only(CallBegins).at_frame, lifted_s, 0.05)


def test_ringing_voltage_ends_a_call_of_which_the_hang_up_was_neither_heard_nor_sensed(line: Line) -> None:
    line.ring(sensed=True).wait(1.5).lift().talk(4)
    over_s = line.at_s
    line.wait(20).ring(heard=False, sensed=True).wait(4).ring(heard=False, sensed=True).wait(12)
    heard = listen(line, ring=True, consent="opt_in")
    assert heard.told == ["begins rang", "refused refused", "ends hung_up", "missed"]
    assert near(heard.only(KeptCallEnds).ends.at_frame, over_s, 0.5)


# to the disk


@pytest.fixture
def hooked(make_desk: MakeDesk, vault: FakeVault) -> Callable[[Line], Desk]:
    def make(line: Line) -> Desk:
        vault.come()
        desk = make_desk(wires=line.wires())
        desk.wait_for_key()
        return desk

    return make


def test_a_recording_begins_where_it_was_lifted_and_ends_where_it_was_put_down(
    hooked: Callable[[Line], Desk], line: Line
) -> None:
    line.ring().wait(4).ring().wait(1.3)
    lifted_s = line.lift().at_s
    line.wait(2).talk(3).wait(30)
    put_down_s = line.put_down().at_s
    desk = hooked(line.wait(3))
    desk.hear(line.pcm)
    (call,) = desk.finished()
    with desk.open(call) as reader:
        reader.verify()
        assert reader.opening.started_at_ms - OPENED_MS == pytest.approx(lifted_s * 1000, abs=20)
        assert reader.closing.frames / RATE_HZ == pytest.approx(put_down_s - lifted_s, abs=0.02)
        assert reader.closing.ended is EndReason.HUNG_UP
        assert reader.closing.direction is Direction.IN
    assert desk.now.trouble == ""


def test_contradictions_of_hook_and_sound_are_shown_and_logged_once(
    hooked: Callable[[Line], Desk], line: Line, heard_log: HeardLog
) -> None:
    line.talk(8).wait(1)
    spoken_to = len(line.pcm)
    line.lift().wait(62)
    silent_to = len(line.pcm)
    line.tone("dial", 3).put_down().wait(3)
    desk, pcm = hooked(line), line.pcm
    desk.hear(pcm[:spoken_to])
    assert desk.now.trouble == SPEAKS_ON_HOOK
    desk.hear(pcm[desk.at_frame : silent_to])
    assert desk.now.trouble == SILENT_OFF_HOOK
    desk.hear(pcm[desk.at_frame :])
    assert desk.now.trouble == ""
    logged = [each["trouble"] for each in heard_log.named("line_trouble")]
    assert logged.count(SPEAKS_ON_HOOK) == logged.count(SILENT_OFF_HOOK) == 1
    assert desk.finished() == []


def test_a_line_whose_hook_input_is_missing_is_recorded_by_its_sound_and_says_so(
    make_desk: MakeDesk, vault: FakeVault, line: Line
) -> None:
    clock = BlockClock()
    hook = PlayedWire([], lambda: clock.ns)
    hook.missing = True
    vault.come()
    desk = make_desk(wires=LineWires(hook=hook, now_ns=clock))
    desk.wait_for_key()
    desk.hear(line.talk(5).wait(4).pcm)
    assert len(desk.finished()) == 1
    assert desk.now.trouble == "The chip is gone."
    hook.missing = False
    desk.hear(Line(np.zeros(1, np.int16)).wait(30).pcm)
    assert desk.now.trouble == ""


def test_the_wires_are_let_go_with_the_device_and_asked_anew_with_it(
    make_desk: MakeDesk, vault: FakeVault, line: Line
) -> None:
    clock = BlockClock()
    hook = PlayedWire(line.lift().hook, lambda: clock.ns)
    vault.come()
    desk = make_desk(wires=LineWires(hook=hook, now_ns=clock))
    desk.wait_for_key()
    desk.hear(line.talk(3).pcm)
    desk.worker.close(EndReason.DEVICE_LOST, "unplugged")
    assert hook.closed == 1
    desk.at_frame = 0
    desk.worker.open(WallTime(OPENED_MS + 60_000))
    desk.hear(line.wait(30).pcm)  # ... and the hook, which is still off, holds the call
    assert hook.opened == 2
    assert len(desk.finished()) == 1
    assert desk.now.call is not None


def test_a_line_without_a_ground_leaves_its_wires_alone(make_desk: MakeDesk, vault: FakeVault, line: Line) -> None:
    clock = BlockClock()
    hook = PlayedWire([], lambda: clock.ns)
    vault.come()
    desk = make_desk(ground="", wires=LineWires(hook=hook, now_ns=clock))
    desk.hear(line.pcm)
    assert hook.opened == 0


def test_an_idle_line_with_its_hook_on_shows_nothing(hooked: Callable[[Line], Desk], line: Line) -> None:
    desk = hooked(line.wait(10))
    desk.hear(line.pcm)
    assert desk.now.trouble == ""
    assert desk.now.state is LineNowState.IDLE
