"""A line on a working day, made up from a seed: calls one after the other as a two-wire tap hears them, and the truth.

Promises: what an exchange sends keeps to its country; what people do (when they answer, press, talk, wait and hang up)
is drawn at random within what people do; nothing is ever softer than the noise, though a voice may be only 6 dB
above it. The truth says what somebody knows who stood beside the telephone. Where a moment makes no sound at all
(a receiver lifted in the pause of a ring, nobody speaking yet), the truth is a span: from the moment to the first
sound after it, or from the last sound before it.
Leaves to others: playing it, and comparing (tests.bench.calls).

    python -m tests.simulators.random_calls line.wav [--seed 1] [--country de]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path

import numpy as np

from appliance.recorder.countries import COUNTRIES, Country, Tone
from appliance.recorder.signals import Pcm
from appliance.settings import COUNTRY_CODES, ConsentMode, CountryCode
from appliance.sound_file import write_wav
from appliance.terms import RATE_HZ, NotKept
from tests.simulators import line_tones, talk
from tests.simulators.caller_id_tones import BELL_202, FIELD_V23, V23, Caller, call_setup, fsk, sdmf
from tests.simulators.key_tones import Sender
from tests.simulators.line_tones import Sound, as_pcm, sines
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
CONSENTS: dict[ConsentMode, float] = {"opt_in": 0.6, "announced": 0.2, "duty": 0.2}
Span = tuple[float, float]
"""Seconds: the earliest and the latest that is true."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueCall:
    """What happened. Seconds from the beginning of the audio.

    begin: off-hook; of a missed call, its first ring. end: the hang-up; of a missed call, the end of its last ring.
    direction: in, out, unknown. why: of a call that is not kept; any of these is right.
    first_word_s: None if nobody ever spoke. answered_s: when both sides were there.
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
class TrueCallerId:
    end_s: float
    number: str | None
    withheld: bool
    standard: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomLine:
    """coupler: how a ring comes through. rings: each burst. keys: all that were pressed, and when each begins.
    never, always: numbers for the line's settings."""

    country: CountryCode
    consent: ConsentMode
    pcm: Pcm
    calls: Sequence[TrueCall]
    caller_ids: Sequence[TrueCallerId]
    coupler: str
    rings: Sequence[Span]
    keys: Sequence[tuple[float, str]]
    never: Sequence[str]
    always: Sequence[str]
    announcement: Pcm
    story: str


def random_line(
    seed: Sequence[int], calls: int, *, country: CountryCode | None = None, kinds: Sequence[Kind] = tuple(Kind)
) -> RandomLine:
    """So many calls on one line."""
    random = np.random.default_rng(list(seed))
    code = country or COUNTRY_CODES[int(random.integers(len(COUNTRY_CODES)))]
    consent = list(CONSENTS)[int(random.choice(len(CONSENTS), p=list(CONSENTS.values())))]
    shares = np.array([SHARES[kind] for kind in kinds])
    day = _Day(_any_plant(COUNTRIES[code], random), consent, random)
    for chosen in random.choice(len(kinds), calls, p=shares / shares.sum()):
        day.live(kinds[int(chosen)])
    return RandomLine(
        country=code,
        consent=consent,
        pcm=day.heard(),
        calls=day.calls,
        caller_ids=day.caller_ids,
        coupler=f"ring {day.plant.ring_hz:.0f} Hz" + (" high-passed" if day.plant.ring_high_pass_hz else ""),
        rings=day.rings,
        keys=day.keys,
        never=day.never,
        always=day.always,
        announcement=as_pcm(talk.announcement(code).sound * line_tones.amplitude(-18)),
        story=f"{code} {consent} {day.plant.story}",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plant:
    """What does not change from call to call: exchange, coupler, noise. Levels in dBFS."""

    country: Country
    own_dbfs: float
    noise_dbfs: float
    idle_dbfs: float
    colour: str
    hum_dbfs: float | None
    tone_dbfs: float
    ring_hz: float
    ring_dbfs: float
    ring_clipped: float
    ring_high_pass_hz: float
    caller_id_dbm0: float

    @property
    def noise_tells_hook(self) -> bool:
        return self.noise_dbfs > self.idle_dbfs + 8

    @property
    def story(self) -> str:
        hum = f", hum {self.hum_dbfs:.0f}" if self.hum_dbfs is not None else ""
        return (
            f"speech {self.own_dbfs:.0f}, {self.colour} noise {self.noise_dbfs:.0f} (idle {self.idle_dbfs:.0f}){hum}, "
            f"tones {self.tone_dbfs:.0f}, ring {self.ring_hz:.0f} Hz {self.ring_dbfs:.0f} "
            f"x{self.ring_clipped:.1f} >{self.ring_high_pass_hz:.0f} Hz, caller ID {self.caller_id_dbm0:.0f} dBm0"
        )


def _any_plant(country: Country, random: np.random.Generator) -> _Plant:
    own = random.uniform(-22, -14)
    noise = own - random.uniform(10, 30)
    idle = noise if random.random() < 0.5 else random.uniform(-80, -60)
    hum = random.uniform(-55, -32) if random.random() < 0.3 else None
    ring_hz = country.ringing.frequencies_hz[int(random.random() < 0.2)]
    # A ring as fast as the mains that is as loud as hum is not to be told from it.
    ring_floor = max(idle + 8, (hum or -99) + 16)
    # A transformer; of an undistorted ring it would leave nothing.
    high_pass_hz = 200.0 if random.random() < 0.3 else 0.0
    return _Plant(
        country=country,
        own_dbfs=own,
        noise_dbfs=noise,
        idle_dbfs=idle,
        colour=str(random.choice(["white", "pink", "line"])),
        hum_dbfs=hum,
        tone_dbfs=max(random.uniform(-26, -14), noise + 8),
        ring_hz=ring_hz,
        ring_dbfs=max(random.uniform(-32, -10), ring_floor),
        ring_clipped=random.uniform(3 if high_pass_hz else 1, 5),
        ring_high_pass_hz=high_pass_hz,
        caller_id_dbm0=max(random.uniform(-28, -12), idle + 18, (hum or -99) - 10),
    )


@dataclass(slots=True)
class _Course:
    """One call while it is lived: what is told of it in the end."""

    own: Voice
    far: Voice
    far_dbfs: float
    story: list[str] = field(default_factory=list)
    first_word: int | None = None
    first_loud: int | None = None
    last_loud: int = 0
    kept: bool = False
    why: tuple[NotKept, ...] = ()
    may_time_out: bool = False


class _Day:
    """A tape that grows, call by call. Positions are in frames, what is drawn at random in seconds."""

    def __init__(self, plant: _Plant, consent: ConsentMode, random: np.random.Generator) -> None:
        self.plant = plant
        self._consent = consent
        self._random = random
        self._at = 0
        self._parts: list[tuple[int, Sound]] = []
        self._off_hook: list[tuple[int, int]] = []
        self.calls: list[TrueCall] = []
        self.caller_ids: list[TrueCallerId] = []
        self.rings: list[Span] = []
        self.keys: list[tuple[float, str]] = []
        self.never: list[str] = []
        self.always: list[str] = []
        self._wait(self._any(5, 15))

    # The tape.

    def heard(self) -> Pcm:
        """All of it, with 40 s of an idle line at the end."""
        frames = self._at + 40 * RATE_HZ
        plant, random = self.plant, self._random
        sound = talk.line_noise(frames, plant.noise_dbfs, plant.colour, random)
        if plant.idle_dbfs != plant.noise_dbfs:
            idle = np.ones(frames, bool)
            for first, end in self._off_hook:
                idle[first:end] = False
            sound[idle] *= line_tones.amplitude(plant.idle_dbfs - plant.noise_dbfs)
        if plant.hum_dbfs is not None:
            sound += line_tones.hum(
                frames, plant.country.mains_hz, plant.hum_dbfs, random, overtones_db=random.uniform(-40, -20)
            )
        for at, part in self._parts:
            sound[at : at + len(part)] += part
        return as_pcm(sound)

    def _any(self, least: float, most: float) -> float:
        return float(self._random.uniform(least, most))

    def _chance(self, share: float) -> bool:
        return bool(self._random.random() < share)

    def _wait(self, seconds: float) -> None:
        self._at += round(seconds * RATE_HZ)

    def _play(self, sound: Sound) -> None:
        self._parts.append((self._at, sound))
        self._at += len(sound)

    def _click(self) -> None:
        peak = max(self._any(-18, -3), max(self.plant.noise_dbfs, self.plant.idle_dbfs) + 18)
        self._parts.append((self._at, talk.click(min(peak, -1), self._random)))

    def _note(self, course: _Course, what: str) -> None:
        course.story.append(f"{self._now_s:.1f} {what}")

    @property
    def _now_s(self) -> float:
        return round(self._at / RATE_HZ, 3)

    # One call.

    def live(self, kind: Kind) -> None:
        own, far = self._random.choice(len(talk.VOICES), 2, replace=False)
        far_dbfs = max(self.plant.own_dbfs - self._any(0, 20), self.plant.noise_dbfs + 6)
        course = _Course(talk.voice(talk.VOICES[own]), talk.voice(talk.VOICES[far]), far_dbfs)
        match kind:
            case Kind.MISSED:
                silent = self._missed(course)
            case Kind.IN:
                silent = self._incoming(course)
            case Kind.UNKNOWN:
                silent = self._unknown(course)
            case Kind.OUT:
                silent = self._outgoing(course)
            case _:
                silent = self._attempt(kind, course)
        self._wait(self._any(35, 50) if silent else self._any(6, 30) + 4 * (kind is Kind.MISSED))

    def _missed(self, course: _Course) -> bool:
        first, number, _ = self._ring(course, answered=False)
        end_s = self._now_s
        self._tell(Kind.MISSED, course, (first, first), (end_s, end_s), "in", number, None)
        return False

    def _incoming(self, course: _Course) -> bool:
        _, number, ring_was_cut = self._ring(course, answered=True)
        begin, clicked = self._lift(course, must_click=False)
        return self._talk(Kind.IN, course, begin, "in", number, heard=clicked or ring_was_cut)

    def _unknown(self, course: _Course) -> bool:
        begin, _ = self._lift(course, must_click=True)
        return self._talk(Kind.UNKNOWN, course, begin, "unknown", None, heard=True)

    def _outgoing(self, course: _Course) -> bool:
        begin, begin_span, number = self._dial(course)
        bursts = int(self._random.integers(0, 7))
        self._ringback(course, bursts)
        return self._talk(Kind.OUT, course, begin, "out", number, span=begin_span)

    def _attempt(self, kind: Kind, course: _Course) -> bool:
        begin, begin_span, number = self._dial(course)
        plant = self.plant
        if kind is Kind.NO_ANSWER:
            self._ringback(course, int(self._random.integers(3, 9)))
        elif kind is Kind.SIT:
            notes = plant.country.information_tones
            tone = notes[int(self._random.integers(len(notes)))]
            self._play(line_tones.information_tone(tone, plant.tone_dbfs, times=int(self._random.integers(1, 4))))
            self._wait(-tone.pause_s)
            course.last_loud = self._at
            if self._chance(0.5):
                self._wait(self._any(0.1, 0.8))
                self._note(course, "network announcement")
                self._say(course, course.far, plant.tone_dbfs, short=False)
            course.first_word = None
        else:
            name = "busy" if kind is Kind.BUSY else "congestion"
            self._tone(course, name, self._any(3, 9))
        end = self._replace(course, begin, self._any(0.0, 1.0) if kind is Kind.SIT else 0.0)
        course.why = (NotKept.NOT_ANSWERED,)
        self._tell(kind, course, begin_span, end, "out", number, None)
        return kind in (Kind.NO_ANSWER, Kind.SIT)

    # Before somebody is there.

    def _ring(self, course: _Course, *, answered: bool) -> tuple[float, str | None, bool]:
        """Ring until somebody lifts or the caller gives up: when it began, who calls, whether a burst was cut."""
        plant, ringing = self.plant, self.plant.country.ringing
        standard = plant.country.caller_id[int(self._random.integers(len(plant.country.caller_id)))]
        shown = str(self._random.choice(["number", "withheld", "unavailable", "nothing"], p=[0.7, 0.1, 0.05, 0.15]))
        number = self._any_number(5, 14) if shown == "number" else None
        self._note(course, f"caller ID {shown} {standard}")
        first_shows = standard != "dtmf" and plant.country.code != "uk"
        if shown != "nothing" and not first_shows:
            self._show(number, shown, standard)
            self._wait(self._any(0.2, 1.0))
        cadence = ringing.cadences_s[int(self._chance(0.15)) * (len(ringing.cadences_s) - 1)]
        rounds = int(self._random.integers(1, 6))
        # In the United Kingdom a ring is two bursts.
        lengths = np.resize(cadence, rounds * len(cadence) if min(cadence[1::2]) < 1 else 2 * rounds).tolist()
        may_cut = lengths[-2] > 0.7 and (rounds > 1 or shown == "nothing")
        cut = may_cut and self._chance(0.4 if answered else 0.25)
        if cut:
            lengths[-2] = self._any(0.4, lengths[-2] - 0.15)
        first_s = self._now_s
        for index in range(0, len(lengths), 2):
            self.rings.append((self._now_s, self._now_s + lengths[index]))
            self._play(self._burst(lengths[index]))
            pause_from, rings_again = self._at, index + 2 < len(lengths)
            if index == 0 and first_shows and shown != "nothing":
                self._wait(self._any(0.5, 1.0))
                self._show(number, shown, standard)
            if rings_again:
                self._at = pause_from + round(lengths[index + 1] * RATE_HZ)
            elif answered and not cut:
                spent_s = (self._at - pause_from) / RATE_HZ
                self._wait(self._any(0.15, max(0.3, lengths[-1] - spent_s - 0.2)))
        how = ", the last one cut" if cut else ", answered in the pause" if answered else ""
        self._note(course, f"{len(lengths) // 2} bursts{how}")
        return first_s, number, cut

    def _burst(self, seconds: float) -> Sound:
        plant = self.plant
        return line_tones.ringing(
            plant.ring_hz, (), seconds, plant.ring_dbfs,
            clipped=plant.ring_clipped, high_pass_hz=plant.ring_high_pass_hz,
        )  # fmt: skip

    def _show(self, number: str | None, shown: str, standard: str) -> None:
        """Caller ID, in the form of the country."""
        plant, random = self.plant, self._random
        if standard == "dtmf":
            keys = f"D{number}C" if number else ("B10C" if shown == "withheld" else "B00C")
            sender = Sender(tone_ms=70, pause_ms=70, level_dbm0=max(plant.caller_id_dbm0, plant.idle_dbfs + 12))
            self._play(sender.press(keys, random)[0] / 32768)
        else:
            caller = Caller(
                number=(number or "").encode(),
                absent_number={"withheld": b"P", "unavailable": b"O"}.get(shown, b""),
                name=b"Holm Joinery" if number and self._chance(0.3) else b"",
                absent_name=b"P" if shown == "withheld" and self._chance(0.5) else b"",
            )
            modem = BELL_202 if standard == "bell202" else FIELD_V23 if self._chance(0.1) else V23
            if standard == "bell202" and self._chance(0.4):
                message = sdmf(b"11281504", (number or {"withheld": "P"}.get(shown, "O")).encode())
            else:
                message = call_setup(caller)
            if plant.country.code == "uk":
                # SIN 227: the line is reversed, then 2130 Hz and 2750 Hz for 100 ms tell of what comes.
                self._click()
                self._wait(self._any(0.1, 0.3))
                self._play(sines((2130, 2750), 0.1, plant.caller_id_dbm0 - 6))
                self._wait(self._any(0.05, 0.2))
            self._play(fsk(message, replace(modem, level_dbm0=plant.caller_id_dbm0)) / 32768)
        self.caller_ids.append(
            TrueCallerId(end_s=self._now_s, number=number, withheld=shown == "withheld", standard=standard)
        )

    def _any_number(self, least: int, most: int) -> str:
        return "".join(
            str(digit) for digit in self._random.integers(0, 10, int(self._random.integers(least, most + 1)))
        )

    def _lift(self, course: _Course, *, must_click: bool) -> tuple[int, bool]:
        clicks = must_click or self._chance(0.4)
        if clicks:
            self._click()
        self._note(course, "off-hook, click" if clicks else "off-hook")
        return self._at, clicks

    def _dial(self, course: _Course) -> tuple[int, Span, str]:
        begin, clicked = self._lift(course, must_click=False)
        self._wait(self._any(0.1, 0.5))
        heard_s = begin / RATE_HZ if clicked or self.plant.noise_tells_hook else self._now_s
        self._tone(course, "dial", self._any(0.7, 3))
        # The exchange takes its tone away when it has understood the first key.
        self._wait(-self._any(0.03, 0.07))
        number = self._any_number(3, 15)
        if self._chance(0.12):
            number = f"*{self._random.choice(['31', '67', '21', '82'])}{number}"[:15]
        self._note(course, f"dials {number}")
        self._press(number, self.plant.own_dbfs + self._any(-6, 4), (0.09, 0.35), (0.08, 0.7))
        self._wait(self._any(0.5, 4))
        return begin, (begin / RATE_HZ, heard_s), number

    def _press(self, digits: str, dbfs: float, length_s: Span, pause_s: Span) -> None:
        level = max(dbfs, self.plant.noise_dbfs + 8) + 3
        twist = self._any(0, 4)
        for digit in digits:
            sender = Sender(tone_ms=1000 * self._any(*length_s), level_dbm0=min(level, -4), twist_db=twist)
            self.keys.append((self._now_s, digit))
            self._play(sender.key(digit, self._random) / 32768)
            self._wait(self._any(*pause_s))

    def _any_tone(self, name: str) -> Tone:
        tones = [tone for tone in self.plant.country.tones if tone.name == name]
        return tones[int(self._random.integers(len(tones)))]

    def _tone(self, course: _Course, name: str, seconds: float) -> None:
        tone = self._any_tone(name)
        sound = line_tones.tone(tone, seconds, self.plant.tone_dbfs)
        course.last_loud = self._at + int(np.flatnonzero(sound)[-1])
        self._note(course, f"{name} {'+'.join(f'{hz:g}' for hz in tone.frequencies_hz)} {seconds:.1f} s")
        self._play(sound)

    def _ringback(self, course: _Course, bursts: int) -> None:
        self._note(course, f"ringback x{bursts}")
        if not bursts:
            return
        tone = self._any_tone("ringback")
        seconds = sum(tone.cadence_s) * (bursts - self._any(0.0, 0.95))
        sound = line_tones.tone(tone, max(seconds, 0.3), self.plant.tone_dbfs)
        course.last_loud = self._at + int(np.flatnonzero(sound)[-1])
        self._play(sound)

    # Somebody is there.

    def _talk(
        self, kind: Kind, course: _Course, begin: int, direction: str, number: str | None,
        *, heard: bool = False, span: Span | None = None,
    ) -> bool:  # fmt: skip
        """From the answer to the hang-up. heard: the moment of off-hook can be heard."""
        answered = self._at
        self._wait(self._any(0.2, 1.5))
        self._ask(course, answered, number, greets=course.far if direction == "out" else course.own)
        end, silent = self._part(course, begin)
        if NotKept.TIMED_OUT not in course.why and course.may_time_out:
            course.why = _in_time(course.why, end[1] - answered / RATE_HZ)
        if span is None:
            heard = heard or self.plant.noise_tells_hook
            latest = begin if heard or course.first_loud is None else max(begin, course.first_loud)
            span = (begin / RATE_HZ, latest / RATE_HZ)
        self._tell(kind, course, span, end, direction, number, answered)
        return silent

    def _ask(self, course: _Course, answered: int, number: str | None, greets: Voice) -> None:
        """All that is said, and whether it may be kept."""
        if number and self._chance(0.08):
            self._converse(course, self._any(5, 40), free=False)
            listed, course.kept = (self.never, False) if self._chance(0.5) else (self.always, True)
            course.why = () if course.kept else (NotKept.NUMBER_LISTED,)
            listed.append(number)
            self._note(course, "listed always" if course.kept else "listed never")
            return
        if self._chance(0.6):
            self._say(course, greets, self._level(course, greets), short=self._chance(0.5))
            self._wait(self._any(0.2, 1))
        {"opt_in": self._ask_for_key, "announced": self._announce}.get(self._consent, self._just_talk)(course, answered)

    def _just_talk(self, course: _Course, answered: int) -> None:
        self._converse(course, self._any(2, 45), free=True)
        course.kept = True

    def _ask_for_key(self, course: _Course, answered: int) -> None:
        outcome = str(self._random.choice(["yes", "no", "nothing", "late", "hangs up"], p=[0.55, 0.12, 0.1, 0.1, 0.13]))
        self._note(course, f"asked: {outcome}")
        self._say_phrase(course, talk.announcement(self.plant.country.code), self.plant.own_dbfs + self._any(-6, 2))
        if outcome in ("yes", "no"):
            self._wait(self._any(0.2, 4) if self._chance(0.8) else -self._any(0.2, 1.0))
            if self._chance(0.1):
                self._press("7", self._key_level(course), (0.06, 0.3), (0.5, 2))
                self._note(course, "wrong key")
            self._note(course, "key")
            self._press(YES if outcome == "yes" else NO, self._key_level(course), (0.06, 0.4), (0.3, 1.5))
        course.kept = outcome == "yes"
        if outcome == "yes":
            self._converse(course, self._any(3, 45), free=True)
        elif outcome == "no":
            self._converse(course, self._any(2, 15), free=False)
            course.why = (NotKept.REFUSED,)
        elif outcome == "nothing":
            self._converse(course, self._any(2, 30), free=False)
            course.why, course.may_time_out = (NotKept.REFUSED,), True
        elif outcome == "late":
            spent_s = (self._at - answered) / RATE_HZ
            self._converse(course, CONSENT_WITHIN_S + self._any(6, 20) - spent_s, free=False)
            course.why = (NotKept.TIMED_OUT,)
        else:
            self._wait(self._any(0.3, 4))
            course.why = (NotKept.REFUSED,)

    def _announce(self, course: _Course, answered: int) -> None:
        outcome = str(self._random.choice(["whole", "half", "none"], p=[0.65, 0.25, 0.1]))
        self._note(course, f"announced: {outcome}")
        whole = talk.announcement(self.plant.country.code)
        if outcome != "none":
            frames = len(whole.sound) if outcome == "whole" else round(self._any(0.2, 0.75) * len(whole.sound))
            part = Phrase(sound=whole.sound[:frames], loud_from=whole.loud_from, loud_to=min(whole.loud_to, frames))
            self._say_phrase(course, part, self.plant.own_dbfs + self._any(-8, 2))
        self._wait(self._any(0.2, 1.0))
        self._converse(course, self._any(4, 40), free=True)
        course.kept = outcome == "whole"
        if outcome == "half":
            course.why, course.may_time_out = (NotKept.HALF_HEARD,), True
        elif outcome == "none":
            course.why, course.may_time_out = (NotKept.HALF_HEARD, NotKept.REFUSED), True

    def _key_level(self, course: _Course) -> float:
        return course.far_dbfs + self._any(0, 8)

    def _level(self, course: _Course, speaker: Voice) -> float:
        return (course.far_dbfs if speaker is course.far else self.plant.own_dbfs) + self._any(-2, 2)

    def _say(self, course: _Course, speaker: Voice, dbfs: float, *, short: bool) -> None:
        self._say_phrase(course, speaker.says(self._random, short=short), dbfs)

    def _say_phrase(self, course: _Course, phrase: Phrase, dbfs: float) -> None:
        if course.first_word is None:
            course.first_word, course.first_loud = self._at, self._at + phrase.loud_from
        course.last_loud = self._at + phrase.loud_to
        self._play(phrase.sound * line_tones.amplitude(dbfs))

    def _converse(self, course: _Course, seconds: float, *, free: bool) -> None:
        """Turns of two people, one hold or tone among them. free: keys mean nothing here."""
        until = self._at + round(seconds * RATE_HZ)
        event_at = self._at + round(self._any(0.2, 0.8) * seconds * RATE_HZ) if self._chance(0.55) else until
        speaker = course.own
        while self._at < until:
            self._say(course, speaker, self._level(course, speaker), short=self._chance(0.3))
            if self._at >= event_at:
                self._interrupt(course, free=free)
                event_at = until + RATE_HZ * 3600
            if self._chance(0.7):
                speaker = course.far if speaker is course.own else course.own
            self._wait(
                float(
                    self._random.choice(
                        [self._any(-0.3, 0.2), self._any(0.2, 1.2), self._any(1, 5)], p=[0.2, 0.65, 0.15]
                    )
                )
            )
        self._at = max(self._at, course.last_loud)

    def _interrupt(self, course: _Course, *, free: bool) -> None:
        """What is neither of the two voices."""
        sorts = ["music", "hold beeps", "hold silence", "beep", "waiting", "transfer", *(["menu"] if free else [])]
        sort = str(self._random.choice(sorts))
        seconds = self._any(8, 25)
        plant = self.plant
        self._wait(self._any(0.2, 1))
        self._note(course, sort if "hold" not in sort and sort != "music" else f"{sort} {seconds:.0f} s")
        match sort:
            case "music":
                self._play(talk.music(seconds, max(course.far_dbfs - 3, plant.noise_dbfs + 6), self._random))
            case "hold silence":
                self._wait(seconds)
            case "hold beeps":
                until = self._at + round(seconds * RATE_HZ)
                every = self._any(5, 15)
                while self._at < until:
                    self._play(
                        sines((self._random.choice([425, 440, 800, 1000]),), self._any(0.1, 0.4), plant.tone_dbfs)
                    )
                    self._wait(every)
            case "beep":
                self._play(sines((self._any(400, 1500),), self._any(0.1, 0.4), plant.tone_dbfs))
            case "waiting":
                hz = 440 if plant.country.code == "us" else 400 if plant.country.code == "uk" else 425
                for _ in range(2):
                    self._play(sines((hz,), 0.25, plant.tone_dbfs))
                    self._wait(self._any(3, 6))
            case "transfer":
                self._ringback(course, int(self._random.integers(1, 4)))
            case "menu":
                self._press("".join(self._random.choice(list(_MENU_KEYS), 2)), plant.own_dbfs, (0.08, 0.3), (0.3, 2))
        self._wait(self._any(0.2, 1))

    # The end.

    def _part(self, course: _Course, begin: int) -> tuple[Span, bool]:
        """Somebody hangs up: when, and whether nothing is heard of it afterwards."""
        if self._chance(0.4):
            self._note(course, "own hang-up")
            return self._replace(course, begin, self._any(0.3, 2)), True
        self._wait(self._any(0.2, 1.5))
        end, earliest = self._at, course.last_loud
        if self._chance(0.3):
            self._click()
            earliest = end
            self._note(course, "far click")
        if self.plant.country.code in ("uk", "us") and self._chance(0.4):
            self._note(course, "far hang-up, silence")
            self._wait(self._any(4, 15))
            self._tone(course, "dial", self._any(2, 6))
        else:
            self._note(course, "far hang-up")
            self._wait(self._any(0.05, 0.4))
            end = self._at if earliest != end else end
            self._tone(course, str(self._random.choice(["busy", "busy", "congestion"])), self._any(3, 10))
            earliest = max(earliest, end - RATE_HZ // 2)
        self._replace(course, begin, 0.0)
        return (earliest / RATE_HZ, end / RATE_HZ), False

    def _replace(self, course: _Course, begin: int, after_s: float) -> Span:
        """The own side puts the receiver down: from the last sound, or from the moment itself, to that moment."""
        self._wait(after_s)
        self._off_hook.append((begin, self._at))
        latest = self._now_s
        clicked = self._chance(0.4)
        if clicked:
            self._click()
            self._note(course, "own click")
        heard = clicked or self.plant.noise_tells_hook
        return (latest if heard else min(latest, course.last_loud / RATE_HZ), latest)

    def _tell(
        self, kind: Kind, course: _Course, begin: Span, end: Span, direction: str, number: str | None,
        answered: int | None,
    ) -> None:  # fmt: skip
        self.calls.append(
            TrueCall(
                kind=kind,
                begin=begin,
                end=end,
                direction=direction,
                number=number,
                kept=course.kept,
                why=course.why,
                answered_s=None if answered is None else answered / RATE_HZ,
                first_word_s=None if course.first_word is None else course.first_word / RATE_HZ,
                story=f"far {course.far_dbfs:.0f} dBFS; " + ", ".join(course.story),
            )
        )


def _in_time(why: tuple[NotKept, ...], lasted_s: float) -> tuple[NotKept, ...]:
    """Nobody says to a second when a call was answered: around the limit either is right."""
    if lasted_s < CONSENT_WITHIN_S - 8:
        return why
    return (NotKept.TIMED_OUT,) if lasted_s > CONSENT_WITHIN_S + 5 else (NotKept.TIMED_OUT, *why)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("wav", type=Path)
    parser.add_argument("--seed", type=int, nargs="+", default=[1])
    parser.add_argument("--calls", type=int, default=8)
    parser.add_argument("--country", choices=COUNTRY_CODES)
    options = parser.parse_args()
    line = random_line(options.seed, options.calls, country=options.country)
    write_wav(options.wav, line.pcm[:, np.newaxis])
    print(line.story)
    for call in line.calls:
        print(json.dumps(asdict(call)))


if __name__ == "__main__":
    main()
