"""A sound file heard as a line: what would have happened, and when. For tuning a line's thresholds.

Promise: the same ear and the same rules as the recorder's, faster than real time; no audio is written anywhere.
Leaves to others: printing, and which settings to try.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, assert_never

from appliance.recorder.ear.announcement import AnnouncementHeard
from appliance.recorder.ear.caller_id import CallerId
from appliance.recorder.ear.keys import Key, Side
from appliance.recorder.ear.line_ear import LineSound
from appliance.recorder.ear.ringing import RingChange
from appliance.recorder.ear.sides import channels_of, signals_for
from appliance.recorder.ear.signals import Pcm
from appliance.recorder.ear.tones import ToneChange
from appliance.recorder.line.consent import Granted, Refused
from appliance.recorder.line.line_facts import CallBegins, Cue, SpeechChanges
from appliance.recorder.line.line_plan import plan_of
from appliance.recorder.line.line_watch import Event, HookMoves, KeptCallEnds, LineWatch, Ordered, Unanswered
from appliance.recorder.line.party import Party
from appliance.recordings.container import EndReason
from appliance.settings import LineSettings, RecorderSettings
from appliance.sound_file import read_sound_file
from appliance.terms import BLOCK_FRAMES, RATE_HZ, NotKept, SettingsTrouble

_DATED_BACK_S = 20.0
"""A cadence is certain after two periods of it; the longest, ringback in Austria, is 6 s."""

END_OF_FILE = "end_of_file"
"""Why a call ended that still went on when the file was over."""

Told = dict[str, Any]


def replay(path: Path, settings: RecorderSettings) -> Iterator[Told]:
    """Tell each happening of a sound file, in the order of time. What is told is described in docs/replay.md.

    Args:
        settings: its first line is the file's first channel, or its first two if the line's sides are apart, and so on;
            a channel that is left over is a line with consent by key.
    Raises:
        SettingsTrouble: the file, or an announcement of the settings, cannot be read, or is no sound; or a side of a
            line is not in the file.
    """
    sound = read_sound_file(path)
    placed = list(_placed(settings.lines, sound.shape[1]))
    lines = [HeardLine(f"line{nth}", _watch(line, settings)) for nth, (line, _channels) in enumerate(placed, start=1)]
    order = _Order()
    for first_frame in range(0, len(sound), BLOCK_FRAMES):
        block = sound[first_frame : first_frame + BLOCK_FRAMES]
        for line, (_settings, channels) in zip(lines, placed, strict=True):
            order.add(line.hear(first_frame, channels_of(block, channels)))
        # What is noticed later began no earlier than this.
        noticed_s = (first_frame + BLOCK_FRAMES) / RATE_HZ - _DATED_BACK_S
        yield from order.up_to(min([noticed_s, *(_just_before(line.since_s) for line in lines)]))
    for line in lines:
        order.add(line.end(len(sound)))
    yield from order.up_to(float("inf"))


def _placed(lines: Iterable[LineSettings], channels: int) -> Iterator[tuple[LineSettings, tuple[int, ...]]]:
    """Each line with its channels of the file; of two, the near one is first if it is in the settings."""
    first = 0
    for line in lines:
        end = first + len(line.channels)
        if first < channels < end:
            raise SettingsTrouble(
                f"Line '{line.name}' has two sides, and of the file one channel is left for it. "
                "Give a file with near and far side."
            )
        if end > channels:
            break
        place = range(first, end)
        yield line, tuple(place) if list(line.channels) == sorted(line.channels) else tuple(reversed(place))
        first = end
    for channel in range(first, channels):
        yield LineSettings(name="line", alsa="file"), (channel,)


def _watch(line: LineSettings, settings: RecorderSettings) -> LineWatch:
    signals = signals_for(len(line.channels), settings.speech_above_floor_db)
    # A file has no date, so nothing in it is at a private hour.
    return LineWatch(signals, plan_of(line, settings), lambda _frame: False)


class HeardLine:
    """One channel, or one line with wires."""

    def __init__(self, name: str, watch: LineWatch) -> None:
        self._name = name
        self._watch = watch
        self._begins: CallBegins | None = None

    @property
    def since_s(self) -> float:
        """Nothing that is still to be told began before this."""
        since = self._watch.since_frame
        return math.inf if since is None else _seconds(since)

    def hear(self, first_frame: int, samples: Pcm, sensed: Sequence[Cue] = ()) -> Iterator[Told]:
        watched = self._watch.hear(first_frame, samples, sensed)
        yield from (told for sound in watched.sounds if (told := self._heard(sound)))
        for event in watched.events:
            yield from self._told(event)

    def end(self, at_frame: int) -> Iterator[Told]:
        late = [sound for sound in self._watch.hear_out() if _frame_of(sound) <= at_frame]
        yield from (told for sound in late if (told := self._heard(sound)))
        for event in self._watch.run_out(at_frame):
            for told in self._told(event):
                yield told | {"why": END_OF_FILE} if told.get("why") == EndReason.STOPPED else told

    def _heard(self, sound: LineSound) -> Told | None:
        told = self._at(_frame_of(sound))
        match sound:
            case RingChange():
                return told | {"what": "ring", "state": _state(on=sound.on)}
            case CallerId():
                facts = {"number": sound.number or None, "name": sound.name or None, "withheld": sound.withheld}
                return told | {"what": "caller_id", **facts, "standard": sound.standard}
            case Key():
                side = {} if sound.side is Side.LINE else {"side": sound.side.value}
                return told | {"what": "dtmf", "digit": sound.digit, **side}
            case ToneChange(name="fax"):
                return told | {"what": "fax"} if sound.on else None
            case ToneChange():
                return told | {"what": "tone", "name": sound.name, "state": _state(on=sound.on)}
            case _:
                assert_never(sound)

    def _told(self, event: Event) -> Iterator[Told]:
        if isinstance(event, KeptCallEnds):
            yield from self._call(event)
            return
        told = self._at(event.at_frame)
        match event:
            case CallBegins():
                self._begins = event
            case Unanswered(why=NotKept.MISSED):
                yield told | {"what": "missed_call", "number": event.party.number or None}
            case Unanswered():
                yield self._at(event.since_frame) | {"what": "call_begin"} | _of_party(event.party)
                length = _seconds(event.at_frame - event.since_frame)
                yield told | {"what": "call_end", "kept": False, "why": event.why.value, "seconds": length}
            case Granted():
                yield told | {"what": "consent", "given": True, "by": event.by.value}
            case Refused():
                yield told | {"what": "consent", "given": False, "by": "none", "why": event.why.value}
            case AnnouncementHeard():
                yield told | {"what": "announcement", "name": self._watch.announcement, "heard": round(event.share, 2)}
            case Ordered():
                yield told | {"what": "order", "order": event.order.value}
            case HookMoves():
                yield told | {"what": "hook", "state": _state(on=not event.off)}
            case SpeechChanges():
                yield told | {"what": "speech", "state": _state(on=event.on)}
            case _:
                assert_never(event)

    def _call(self, ended: KeptCallEnds) -> Iterator[Told]:
        begins, ends = self._begins, ended.ends
        if begins is None:
            return
        audio = {"audio_from": _seconds(begins.audio_from), "audio_to": _seconds(ends.audio_to)}
        yield self._at(begins.at_frame) | {"what": "call_begin", **_of_party(ended.party)} | audio
        why = ends.why.value if ended.not_kept is None else ended.not_kept.value
        length = _seconds(ends.at_frame - begins.at_frame)
        yield self._at(ends.at_frame) | {
            "what": "call_end",
            "kept": ended.not_kept is None,
            "why": why,
            "seconds": length,
        }

    def _at(self, frame: int) -> Told:
        return {"t": _seconds(frame), "what": "", "line": self._name}


def _of_party(party: Party) -> Told:
    return {"direction": party.direction.value, "number": party.number or None}


_RANKS = {
    ("speech", "off"): 0,
    ("consent", None): 1,
    ("call_end", None): 2,
    ("missed_call", None): 2,
    ("call_begin", None): 3,
    ("speech", "on"): 4,
}
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
