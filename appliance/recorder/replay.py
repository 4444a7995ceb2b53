"""A sound file heard as a line: what would have happened, and when. For tuning a line's thresholds.

Promise: the same ear and the same rules as the recorder's, faster than real time; no audio is written anywhere.
Leaves to others: printing, and which settings to try.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, assert_never

import numpy as np

from appliance.recorder.caller_id import CallerId
from appliance.recorder.countries import COUNTRIES
from appliance.recorder.keys import Key
from appliance.recorder.line_ear import LineSound
from appliance.recorder.line_state import CallBegins, CallEnds, Happening, SpeechChanges, rules_from
from appliance.recorder.line_watch import LineWatch
from appliance.recorder.ringing import RingChange
from appliance.recorder.signals import Pcm, Signals
from appliance.recorder.tones import ToneChange
from appliance.recordings.container import EndReason
from appliance.settings import RecorderSettings
from appliance.sound_file import read_sound_file
from appliance.terms import BLOCK_FRAMES, RATE_HZ

_DATED_BACK_S = 20.0
"""A cadence is certain after two periods of it; the longest, ringback in Austria, is 6 s."""

END_OF_FILE = "end_of_file"
"""Why a call ended that still went on when the file was over."""

Told = dict[str, Any]


def replay(path: Path, settings: RecorderSettings) -> Iterator[Told]:
    """Tell each happening of a sound file, in the order of time.

    Every happening has `t` (seconds from the file's start), `what` and `line` (line1 is the first channel):

        ring                state: on or off, for each burst
        caller_id           number, name: null if there is none; withheld: true or false; standard: v23, bell202, dtmf
        dtmf                digit
        tone                name: dial, ringback, busy, congestion or sit; state: on or off
        fax                 a fax machine's or modem's tone begins
        speech              state: on or off
        call_begin          t is the first frame that the recording would hold; direction: in, out or unknown;
                            number: null if it is not known
        call_end            seconds: the recording's length; why: an EndReason, or end_of_file

    Nothing that follows a call's beginning is told before the call is over: who called may show late.

    Raises:
        SettingsTrouble: the file cannot be read, or is none.
    """
    sound = read_sound_file(path)
    rules, country = rules_from(settings), COUNTRIES[settings.country]
    lines = [
        _Line(f"line{channel + 1}", LineWatch(Signals(settings.speech_above_floor_db), rules, country))
        for channel in range(sound.shape[1])
    ]
    looks_back_s = max(rules.lead / RATE_HZ, _DATED_BACK_S)
    order = _Order()
    for first_frame in range(0, len(sound), BLOCK_FRAMES):
        block = sound[first_frame : first_frame + BLOCK_FRAMES]
        for channel, line in enumerate(lines):
            order.add(line.hear(first_frame, np.ascontiguousarray(block[:, channel])))
        # What is noticed later began no earlier than this.
        noticed_s = (first_frame + BLOCK_FRAMES) / RATE_HZ - looks_back_s
        yield from order.up_to(
            min([noticed_s, *(_just_before(line.call_begin["t"]) for line in lines if line.call_begin)])
        )
    for line in lines:
        order.add(line.end(len(sound)))
    yield from order.up_to(float("inf"))


class _Line:
    """One channel. `call_begin`: of the running call, told when it is over."""

    def __init__(self, name: str, watch: LineWatch) -> None:
        self._name = name
        self._watch = watch
        self._began_frame = 0
        self.call_begin: Told | None = None

    def hear(self, first_frame: int, samples: Pcm) -> Iterator[Told]:
        watched = self._watch.hear(first_frame, samples)
        yield from (told for sound in watched.sounds if (told := self._heard(sound)))
        for happening in watched.happenings:
            yield from self._told(happening)

    def end(self, at_frame: int) -> Iterator[Told]:
        late = [sound for sound in self._watch.hear_out() if _frame_of(sound) <= at_frame]
        yield from (told for sound in late if (told := self._heard(sound)))
        for happening in self._watch.break_off(at_frame, EndReason.STOPPED):
            for told in self._told(happening):
                yield told | {"why": END_OF_FILE} if told["what"] == "call_end" else told

    def _heard(self, sound: LineSound) -> Told | None:
        told: Told = {"t": _seconds(_frame_of(sound)), "what": "", "line": self._name}
        match sound:
            case RingChange():
                return told | {"what": "ring", "state": _state(on=sound.on)}
            case CallerId():
                facts = {"number": sound.number or None, "name": sound.name or None, "withheld": sound.withheld}
                return told | {"what": "caller_id", **facts, "standard": sound.standard}
            case Key():
                return told | {"what": "dtmf", "digit": sound.digit}
            case ToneChange(name="fax"):
                return told | {"what": "fax"} if sound.on else None
            case ToneChange():
                return told | {"what": "tone", "name": sound.name, "state": _state(on=sound.on)}
            case _:
                assert_never(sound)

    def _told(self, happening: Happening) -> Iterator[Told]:
        told: Told = {"t": _seconds(happening.at_frame), "what": "", "line": self._name}
        match happening:
            case CallBegins():
                self._began_frame = happening.at_frame
                self.call_begin = told | {"what": "call_begin"}
            case CallEnds():
                party = self._watch.party
                if self.call_begin is not None:
                    yield self.call_begin | {"direction": party.direction.value, "number": party.number or None}
                self.call_begin = None
                length = _seconds(happening.at_frame - self._began_frame)
                yield told | {"what": "call_end", "seconds": length, "why": happening.why.value}
                self._watch.forget(happening)
            case SpeechChanges():
                yield told | {"what": "speech", "state": _state(on=happening.on)}
            case _:
                assert_never(happening)


_RANKS = {("speech", "off"): 0, ("call_end", None): 1, ("call_begin", None): 2, ("speech", "on"): 3}
"""What comes first of several at the same moment; what is heard comes before what follows from it."""


class _Order:
    """Puts happenings in the order of time: a call begins in the pre-roll, and is noticed later."""

    def __init__(self) -> None:
        self._waiting: list[tuple[float, int, int, Told]] = []
        self._count = 0

    def add(self, happenings: Iterable[Told]) -> None:
        for told in happenings:
            self._count += 1  # of two that are equal otherwise, the one noticed first
            rank = _RANKS.get((told["what"], told.get("state")), -1)
            heapq.heappush(self._waiting, (told["t"], rank, self._count, told))

    def up_to(self, seconds: float) -> Iterator[Told]:
        while self._waiting and self._waiting[0][0] <= seconds:
            yield heapq.heappop(self._waiting)[-1]


def _just_before(seconds: float) -> float:
    return math.nextafter(seconds, -math.inf)


def _frame_of(sound: LineSound) -> int:
    return sound.first_frame if isinstance(sound, Key) else sound.at_frame


def _state(*, on: bool) -> str:
    return "on" if on else "off"


def _seconds(frames: int) -> float:
    return round(frames / RATE_HZ, 3)
