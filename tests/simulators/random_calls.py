"""A line on a working day, made up from a seed: calls one after the other as a two-wire tap hears them, and the truth.

Promises: what an exchange sends keeps to its country; what people do (when they answer, press, talk, wait and hang
up) is drawn at random within what people do. The truth says what somebody knows who stood beside the telephone. Where
a moment makes no sound at all (a receiver lifted in the pause of a ring, and nobody speaks yet), the truth is a span:
from the moment to the first sound after it, or from the last sound before it to the moment.
Leaves to others: playing it, and comparing (tests.bench.calls).

    python -m tests.simulators.random_calls line.wav [--seed 1 0] [--country de]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import numpy as np

from appliance.recorder.ear.countries import COUNTRIES
from appliance.recorder.ear.signals import Pcm
from appliance.settings import COUNTRY_CODES, ConsentMode, CountryCode
from appliance.sound_file import write_wav
from appliance.terms import RATE_HZ, NotKept
from tests.simulators import line_tones, talk
from tests.simulators.exchange import Exchange, ShownCaller, Span
from tests.simulators.line_tones import as_pcm, sines
from tests.simulators.plant import Plant, Tape, any_plant
from tests.simulators.talk import Phrase, Voice

CONSENT_WITHIN_S = 60.0
YES, NO = "1", "2"
_MENU_KEYS = "3456789"
"""Neither yes nor no, and no star code: who presses it in a call's middle does not say anything about consent."""


class Kind(StrEnum):
    IN = "in"
    MISSED = "missed"
    OUT = "out"
    BUSY = "out_busy"
    CONGESTION = "out_congestion"
    SIT = "out_sit"
    NO_ANSWER = "out_no_answer"
    UNKNOWN = "unknown"


SHARES = {
    Kind.IN: 0.34,
    Kind.MISSED: 0.12,
    Kind.OUT: 0.24,
    Kind.BUSY: 0.06,
    Kind.CONGESTION: 0.04,
    Kind.SIT: 0.04,
    Kind.NO_ANSWER: 0.06,
    Kind.UNKNOWN: 0.10,
}
CONSENTS: tuple[ConsentMode, ...] = ("opt_in", "announced", "duty")
_CONSENT_SHARES = (0.6, 0.2, 0.2)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueCall:
    """What happened. Seconds from the beginning of the audio.

    begin: off-hook; of a missed call, its first ring. end: the hang-up; of a missed call, the end of its last ring.
    direction: in, out, unknown. why: of a call that is not kept; any of these is right.
    answered_s: when both sides were there. first_word_s: None if nobody ever spoke.
    """

    kind: Kind
    begin: Span
    end: Span
    direction: str
    number: str | None
    kept: bool
    why: tuple[NotKept, ...]
    answered_s: float | None
    first_word_s: float | None
    story: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomLine:
    """rings: each burst. keys: all that were pressed, and when each begins. never, always: for the line's settings."""

    plant: Plant
    consent: ConsentMode
    pcm: Pcm
    calls: Sequence[TrueCall]
    callers: Sequence[ShownCaller]
    rings: Sequence[Span]
    keys: Sequence[tuple[float, str]]
    never: Sequence[str]
    always: Sequence[str]
    announcement: Pcm


def random_line(
    seed: Sequence[int],
    calls: int,
    *,
    country: CountryCode | None = None,
    consent: ConsentMode | None = None,
    kinds: Sequence[Kind] = tuple(Kind),
) -> RandomLine:
    """So many calls on one line."""
    random = np.random.default_rng(list(seed))
    code = country or COUNTRY_CODES[int(random.integers(len(COUNTRY_CODES)))]
    tape = Tape(any_plant(COUNTRIES[code], random), random)
    any_consent = tape.one_of(CONSENTS, _CONSENT_SHARES)
    day = _Day(tape, consent or any_consent)
    shares = np.array([SHARES[kind] for kind in kinds])
    tape.wait(tape.any(5, 15))
    for _ in range(calls):
        day.live(tape.one_of(kinds, shares / shares.sum()))
    return RandomLine(
        plant=tape.plant,
        consent=day.consent,
        pcm=tape.heard(idle_after_s=40),
        calls=day.calls,
        callers=day.exchange.callers,
        rings=day.exchange.rings,
        keys=day.exchange.keys,
        never=day.never,
        always=day.always,
        announcement=as_pcm(talk.announcement(code).sound * line_tones.amplitude(-18)),
    )


@dataclass(slots=True)
class _Course:
    """One call while it is lived, and what is told of it in the end. Frames of the tape.

    begin: off-hook. begin_heard: from when on it can be heard. may_time_out: how long it lasts decides on why.
    """

    own: Voice
    far: Voice
    far_dbfs: float
    direction: str = "unknown"
    number: str | None = None
    begin: int = 0
    begin_heard: int | None = None
    answered: int | None = None
    first_word: int | None = None
    first_loud: int | None = None
    last_loud: int = 0
    kept: bool = False
    why: tuple[NotKept, ...] = ()
    may_time_out: bool = False
    story: list[str] = field(default_factory=list)


class _Day:
    """Calls, one by one."""

    def __init__(self, tape: Tape, consent: ConsentMode) -> None:
        self._tape = tape
        self._plant = tape.plant
        self.consent = consent
        self.exchange = Exchange(tape)
        self.calls: list[TrueCall] = []
        self.never: list[str] = []
        self.always: list[str] = []

    def live(self, kind: Kind) -> None:
        """One call, and the pause after it: longer than a hold if nobody can hear that it is over."""
        tape = self._tape
        own, far = (talk.voice(talk.VOICES[index]) for index in tape.random.choice(len(talk.VOICES), 2, replace=False))
        far_dbfs = max(self._plant.own_dbfs - tape.any(0, 20), self._plant.softest_voice_dbfs)
        course = _Course(own=own, far=far, far_dbfs=far_dbfs)
        match kind:
            case Kind.MISSED:
                silent = self._missed(course)
            case Kind.IN:
                silent = self._incoming(course)
            case Kind.OUT:
                silent = self._outgoing(course)
            case Kind.UNKNOWN:
                silent = self._unknown(course)
            case _:
                silent = self._attempt(kind, course)
        tape.wait(tape.any(35, 50) if silent else tape.any(10 if kind is Kind.MISSED else 6, 30))

    def _missed(self, course: _Course) -> bool:
        rung = self.exchange.ring(answered=False)
        course.direction, course.number = "in", rung.number
        course.story.append(rung.story)
        first_s, end_s = rung.span_s
        self._tell(Kind.MISSED, course, (first_s, first_s), (end_s, end_s))
        return False

    def _incoming(self, course: _Course) -> bool:
        rung = self.exchange.ring(answered=True)
        course.direction, course.number = "in", rung.number
        course.story.append(rung.story)
        self._lift(course)
        if rung.cut:
            course.begin_heard = course.begin
        return self._talk(Kind.IN, course)

    def _unknown(self, course: _Course) -> bool:
        self._lift(course, clicks=True)
        return self._talk(Kind.UNKNOWN, course)

    def _outgoing(self, course: _Course) -> bool:
        self._dial(course)
        self._ringback(course, int(self._tape.random.integers(0, 7)))
        return self._talk(Kind.OUT, course)

    def _attempt(self, kind: Kind, course: _Course) -> bool:
        """Nobody answers. Returns whether nothing tells that it is over."""
        self._dial(course)
        course.why = (NotKept.NOT_ANSWERED,)
        tape = self._tape
        if kind is Kind.NO_ANSWER:
            self._ringback(course, int(tape.random.integers(3, 9)))
        elif kind is Kind.SIT:
            self._note(course, "information tone")
            self.exchange.information_tone()
            course.last_loud = tape.at
            if tape.chance(0.5):
                tape.wait(tape.any(0.1, 0.8))
                self._note(course, "announcement of the network")
                self._say(course, course.far, self._plant.tone_dbfs)
            course.first_word = None
            tape.wait(tape.any(0, 1))
        else:
            self._note(course, self.exchange.tone("busy" if kind is Kind.BUSY else "congestion", tape.any(3, 9)))
            course.last_loud = tape.at
            tape.wait(tape.any(0, 0.4))
        self._tell(kind, course, self._begin_span(course), self._replace(course))
        return kind in (Kind.NO_ANSWER, Kind.SIT)

    def _lift(self, course: _Course, *, clicks: bool = False) -> None:
        course.begin = self._tape.at
        clicks = clicks or self._tape.chance(0.4)
        if clicks:
            self._tape.click()
        if clicks or self._plant.noise_tells_hook:
            course.begin_heard = course.begin
        self._note(course, "off-hook, click" if clicks else "off-hook")

    def _dial(self, course: _Course) -> None:
        self._lift(course)
        self._tape.wait(self._tape.any(0.1, 0.5))
        if course.begin_heard is None:
            course.begin_heard = self._tape.at
        course.direction, course.number = "out", self.exchange.dial()
        self._note(course, f"dialled {course.number}")

    def _ringback(self, course: _Course, bursts: int) -> None:
        self._note(course, f"ringback x{bursts}")
        course.last_loud = self.exchange.ringback(bursts)

    # Somebody is there.

    def _talk(self, kind: Kind, course: _Course) -> bool:
        """From the answer to the hang-up. Returns whether nothing tells that it is over."""
        course.answered = self._tape.at
        self._tape.wait(self._tape.any(0.2, 1.5))
        self._ask(course)
        end, silent = self._part(course)
        if course.may_time_out:
            course.why = _in_time(course.why, end[1] - course.answered / RATE_HZ, silent=silent)
        self._tell(kind, course, self._begin_span(course), end)
        return silent

    def _ask(self, course: _Course) -> None:
        """All that is said, and whether it may be kept."""
        tape = self._tape
        if course.number and tape.chance(0.08):
            self._listed(course, course.number)
            return
        if tape.chance(0.6):
            greets = course.far if course.direction == "out" else course.own
            self._say(course, greets, self._level(course, greets), short=tape.chance(0.5))
            tape.wait(tape.any(0.2, 1))
        if self.consent == "opt_in":
            self._ask_for_key(course)
        elif self.consent == "announced":
            self._announce(course)
        else:
            course.kept = True
            self._converse(course, tape.any(2, 45))

    def _listed(self, course: _Course, number: str) -> None:
        """A number that the settings name. Nobody asks anything."""
        self._converse(course, self._tape.any(5, 40), menu=False)
        course.kept = self._tape.chance(0.5)
        course.why = () if course.kept else (NotKept.NUMBER_LISTED,)
        (self.always if course.kept else self.never).append(number)
        self._note(course, "number is listed: always" if course.kept else "number is listed: never")

    def _ask_for_key(self, course: _Course) -> None:
        tape = self._tape
        answer = tape.one_of(("yes", "no", "nothing", "late", "hangs up"), (0.55, 0.12, 0.1, 0.1, 0.13))
        self._note(course, f"asked: {answer}")
        asked_dbfs = max(self._plant.own_dbfs + tape.any(-6, 2), self._plant.softest_voice_dbfs)
        self._say_phrase(course, talk.announcement(self._plant.country.code), asked_dbfs)
        course.kept, course.why = answer == "yes", () if answer == "yes" else (NotKept.REFUSED,)
        if answer in ("yes", "no"):
            self._press_answer(course, YES if answer == "yes" else NO, asked_dbfs)
        match answer:
            case "yes":
                self._converse(course, tape.any(3, 45))
            case "no":
                self._converse(course, tape.any(2, 15), menu=False)
            case "nothing":
                course.may_time_out = True
                self._converse(course, tape.any(2, 30), menu=False)
            case "late":
                course.may_time_out = True
                spent_s = tape.now_s - (course.answered or 0) / RATE_HZ
                self._converse(course, CONSENT_WITHIN_S + tape.any(6, 20) - spent_s, menu=False)
            case _:
                tape.wait(tape.any(0.3, 4))

    def _press_answer(self, course: _Course, key: str, asked_dbfs: float) -> None:
        """After the question, or into its end; then so loud that it can be understood."""
        tape = self._tape
        dbfs = course.far_dbfs + tape.any(0, 8)
        if tape.chance(0.2):
            tape.wait(-tape.any(0.4, 1.0))
            dbfs = max(dbfs, asked_dbfs + 6)
        else:
            tape.wait(tape.any(0.2, 4))
            if tape.chance(0.1):
                self._note(course, "wrong key")
                self.exchange.press("7", dbfs, length_s=(0.06, 0.3), pause_s=(0.5, 2))
        self._note(course, f"key {key}")
        self.exchange.press(key, dbfs, length_s=(0.08, 0.4), pause_s=(0.3, 1.5))
        course.last_loud = max(course.last_loud, tape.at)

    def _announce(self, course: _Course) -> None:
        tape = self._tape
        heard = tape.one_of(("whole", "half", "none"), (0.65, 0.25, 0.1))
        self._note(course, f"announced: {heard}")
        whole = talk.announcement(self._plant.country.code)
        if heard != "none":
            frames = round(len(whole.sound) * (1 if heard == "whole" else tape.any(0.2, 0.75)))
            part = Phrase(sound=whole.sound[:frames], loud_from=whole.loud_from, loud_to=min(whole.loud_to, frames))
            dbfs = max(self._plant.own_dbfs + tape.any(-8, 2), self._plant.softest_voice_dbfs)
            self._say_phrase(course, part, dbfs)
        tape.wait(tape.any(0.2, 1))
        self._converse(course, tape.any(4, 40))
        course.kept = heard == "whole"
        if not course.kept:
            course.may_time_out = True
            course.why = (NotKept.HALF_HEARD,) if heard == "half" else (NotKept.HALF_HEARD, NotKept.REFUSED)

    def _level(self, course: _Course, speaker: Voice) -> float:
        dbfs = (course.far_dbfs if speaker is course.far else self._plant.own_dbfs) + self._tape.any(-2, 2)
        return max(dbfs, self._plant.softest_voice_dbfs)

    def _say(self, course: _Course, speaker: Voice, dbfs: float, *, short: bool = False) -> None:
        self._say_phrase(course, speaker.says(self._tape.random, short=short), dbfs)

    def _say_phrase(self, course: _Course, phrase: Phrase, dbfs: float) -> None:
        at = self._tape.at
        if course.first_word is None:
            course.first_word, course.first_loud = at, at + phrase.loud_from
        course.last_loud = max(course.last_loud, at + phrase.loud_to)
        self._tape.play(phrase.sound * line_tones.amplitude(dbfs))

    def _converse(self, course: _Course, seconds: float, *, menu: bool = True) -> None:
        """Turns of two people, perhaps something else among them. menu: keys may be pressed."""
        tape = self._tape
        began = tape.at
        until = began + round(seconds * RATE_HZ)
        interrupt_at = began + round(tape.any(0.2, 0.8) * seconds * RATE_HZ) if tape.chance(0.55) else None
        speaker = course.own
        while tape.at < until:
            self._say(course, speaker, self._level(course, speaker), short=tape.chance(0.3))
            if interrupt_at is not None and tape.at >= interrupt_at:
                self._interrupt(course, menu=menu)
                interrupt_at = None
            if tape.chance(0.7):
                speaker = course.far if speaker is course.own else course.own
            tape.wait(tape.any(*tape.one_of(((-0.3, 0.2), (0.2, 1.2), (1.0, 5.0)), (0.2, 0.65, 0.15))))
        tape.at = max(tape.at, course.last_loud)

    def _interrupt(self, course: _Course, *, menu: bool) -> None:
        """What is neither of the two voices."""
        tape, plant = self._tape, self._plant
        sorts = ("music", "beeps on hold", "silent hold", "beep", "call waiting", "transfer", "menu")
        sort = tape.one_of(sorts if menu else sorts[:-1])
        hold_s = tape.any(8, 25)
        tape.wait(tape.any(0.2, 1))
        self._note(course, f"{sort} {hold_s:.0f} s" if sort in sorts[:3] else sort)
        match sort:
            case "music":
                tape.play(talk.music(hold_s, max(course.far_dbfs - 3, plant.noise_dbfs + 6), tape.random))
                course.last_loud = tape.at - RATE_HZ  # its last note fades
            case "beeps on hold":
                self._beeps(course, tape.one_of((425, 440, 800, 1000)), hold_s)
            case "silent hold":
                tape.wait(hold_s)
            case "beep":
                tape.play(sines((tape.any(400, 1500),), tape.any(0.1, 0.4), plant.tone_dbfs))
            case "call waiting":
                for _ in range(2):
                    tape.play(sines(({"us": 440, "uk": 400}.get(plant.country.code, 425),), 0.25, plant.tone_dbfs))
                    course.last_loud = tape.at
                    tape.wait(tape.any(3, 6))
            case "transfer":
                self._ringback(course, int(tape.random.integers(1, 4)))
            case _:
                keys = "".join(tape.one_of(_MENU_KEYS) for _ in range(2))
                course.last_loud = self.exchange.press(keys, plant.own_dbfs, length_s=(0.08, 0.3), pause_s=(0.3, 2))
        if sort == "beep":
            course.last_loud = tape.at
        tape.wait(tape.any(0.2, 1))

    def _beeps(self, course: _Course, hz: float, seconds: float) -> None:
        tape = self._tape
        until, every_s, length_s = tape.at + round(seconds * RATE_HZ), tape.any(5, 15), tape.any(0.1, 0.4)
        while tape.at < until:
            tape.play(sines((hz,), length_s, self._plant.tone_dbfs))
            course.last_loud = tape.at
            tape.wait(every_s)

    # The end.

    def _part(self, course: _Course) -> tuple[Span, bool]:
        """Somebody hangs up: when, and whether nothing tells it afterwards."""
        tape = self._tape
        tape.wait(tape.any(0.3, 2))
        if tape.chance(0.4):
            self._note(course, "own hang-up")
            return self._replace(course), True
        clicks = tape.chance(0.3)
        self._note(course, "far hang-up, click" if clicks else "far hang-up")
        if clicks:
            tape.click()
        earliest = latest = tape.at
        if self._plant.country.code in ("uk", "us") and tape.chance(0.4):
            earliest = latest if clicks else min(course.last_loud, latest)
            tape.wait(tape.any(4, 15))
            self._note(course, "dial tone")
            self.exchange.tone("dial", tape.any(2, 6))
        else:
            tape.wait(tape.any(0.05, 0.4))
            latest = latest if clicks else tape.at
            self._note(course, self.exchange.tone(tape.one_of(("busy", "congestion"), (0.7, 0.3)), tape.any(3, 10)))
        self._replace(course)
        return (earliest / RATE_HZ, latest / RATE_HZ), False

    def _replace(self, course: _Course) -> Span:
        """The own side puts the receiver down: when, or between which moments if it cannot be heard."""
        tape = self._tape
        tape.was_off_hook(course.begin)
        clicks = tape.chance(0.4)
        self._note(course, "on-hook, click" if clicks else "on-hook")
        if clicks:
            tape.click()
        heard = clicks or self._plant.noise_tells_hook
        earliest = tape.at if heard else min(tape.at, course.last_loud)
        return (earliest / RATE_HZ, tape.at / RATE_HZ)

    def _begin_span(self, course: _Course) -> Span:
        heard = course.begin_heard if course.begin_heard is not None else course.first_loud
        return (course.begin / RATE_HZ, (course.begin if heard is None else heard) / RATE_HZ)

    def _note(self, course: _Course, what: str) -> None:
        course.story.append(f"{self._tape.now_s:.1f} {what}")

    def _tell(self, kind: Kind, course: _Course, begin: Span, end: Span) -> None:
        self.calls.append(
            TrueCall(
                kind=kind,
                begin=begin,
                end=end,
                direction=course.direction,
                number=course.number,
                kept=course.kept,
                why=course.why,
                answered_s=_seconds(course.answered),
                first_word_s=_seconds(course.first_word),
                story=f"far side {course.far_dbfs:.0f} dBFS; " + ", ".join(course.story),
            )
        )


def _seconds(frame: int | None) -> float | None:
    return None if frame is None else frame / RATE_HZ


def _in_time(why: tuple[NotKept, ...], lasted_s: float, *, silent: bool) -> tuple[NotKept, ...]:
    """Around the limit either is right: nobody says to a second when a call was answered, or has ended in silence."""
    if lasted_s < CONSENT_WITHIN_S - (35 if silent else 8):
        return why
    return (NotKept.TIMED_OUT,) if lasted_s > CONSENT_WITHIN_S + 5 else (NotKept.TIMED_OUT, *why)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("wav", type=Path)
    parser.add_argument("--seed", type=int, nargs="+", default=[1, 0])
    parser.add_argument("--calls", type=int, default=8)
    parser.add_argument("--country", choices=COUNTRY_CODES)
    options = parser.parse_args()
    line = random_line(options.seed, options.calls, country=options.country)
    write_wav(options.wav, line.pcm[:, np.newaxis])
    print(line.plant.story, line.consent)
    for call in line.calls:
        print(call)


if __name__ == "__main__":
    main()
