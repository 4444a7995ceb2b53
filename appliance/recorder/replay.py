"""A sound file heard as a line: what would have happened, and when. For tuning a line's thresholds.

Promise: the same ear and the same rules as the recorder's, faster than real time; no audio is written anywhere.
Leaves to others: printing, and which settings to try.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, assert_never

import numpy as np

from appliance.recorder.line_state import (
    CallBegins,
    CallEnds,
    Happening,
    LineRules,
    LineState,
    Observed,
    SpeechChanges,
    rules_from,
)
from appliance.recorder.signals import Pcm, Signals
from appliance.recordings.container import EndReason
from appliance.settings import RecorderSettings
from appliance.sound_file import read_sound_file
from appliance.terms import BLOCK_FRAMES, RATE_HZ

END_OF_FILE = "end_of_file"
"""Why a call ended that still went on when the file was over."""

Told = dict[str, Any]


def replay(path: Path, settings: RecorderSettings) -> Iterator[Told]:
    """Tell each happening of a sound file, in the order of time.

    Every happening has `t` (seconds from the file's start), `what` and `line` (line1 is the first channel):

        call_begin          t is the first frame that the recording would hold
        call_end            seconds: the recording's length; why: an EndReason, or end_of_file
        speech              state: on or off

    Raises:
        SettingsTrouble: the file cannot be read, or is none.
    """
    sound = read_sound_file(path)
    rules = rules_from(settings)
    lines = [
        _Line(f"line{channel + 1}", Signals(settings.speech_above_floor_db), rules) for channel in range(sound.shape[1])
    ]
    order = _Order()
    for first_frame in range(0, len(sound), BLOCK_FRAMES):
        block = sound[first_frame : first_frame + BLOCK_FRAMES]
        for channel, line in enumerate(lines):
            order.add(line.hear(first_frame, np.ascontiguousarray(block[:, channel])))
        # A call that is noticed later begins no earlier than this.
        yield from order.up_to((first_frame + BLOCK_FRAMES - rules.lead) / RATE_HZ)
    for line in lines:
        order.add(line.end(len(sound)))
    yield from order.up_to(float("inf"))


class _Line:
    """One channel: its ear, its state, and when its call began."""

    def __init__(self, name: str, signals: Signals, rules: LineRules) -> None:
        self._name = name
        self._signals = signals
        self._state = LineState(rules)
        self._began_frame = 0

    def hear(self, first_frame: int, samples: Pcm) -> Iterator[Told]:
        speech = self._signals.hear(samples).speech
        seen = Observed(first_frame=first_frame, frames=samples.size, speech=speech)
        return (self._told(happening) for happening in self._state.observe(seen))

    def end(self, at_frame: int) -> Iterator[Told]:
        for told in map(self._told, self._state.break_off(at_frame, EndReason.STOPPED)):
            yield told | {"why": END_OF_FILE} if told["what"] == "call_end" else told

    def _told(self, happening: Happening) -> Told:
        told: Told = {"t": _seconds(happening.at_frame), "what": "", "line": self._name}
        match happening:
            case CallBegins():
                self._began_frame = happening.at_frame
                return told | {"what": "call_begin"}
            case CallEnds():
                length = _seconds(happening.at_frame - self._began_frame)
                return told | {"what": "call_end", "seconds": length, "why": happening.why.value}
            case SpeechChanges():
                return told | {"what": "speech", "state": "on" if happening.on else "off"}
            case _:
                assert_never(happening)


_RANKS = (("speech", "off"), ("call_end", None), ("call_begin", None), ("speech", "on"))
"""What comes first of several at the same moment."""


class _Order:
    """Puts happenings in the order of time: a call begins in the pre-roll, and is noticed later."""

    def __init__(self) -> None:
        self._waiting: list[tuple[float, int, int, Told]] = []
        self._count = 0

    def add(self, happenings: Iterable[Told]) -> None:
        for told in happenings:
            self._count += 1  # of two that are equal otherwise, the one noticed first
            rank = _RANKS.index((told["what"], told.get("state")))
            heapq.heappush(self._waiting, (told["t"], rank, self._count, told))

    def up_to(self, seconds: float) -> Iterator[Told]:
        while self._waiting and self._waiting[0][0] <= seconds:
            yield heapq.heappop(self._waiting)[-1]


def _seconds(frames: int) -> float:
    return round(frames / RATE_HZ, 3)
