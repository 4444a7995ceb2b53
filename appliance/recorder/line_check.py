"""What a technician is told of one line while listening to it: how loud it is, what is heard, and what to change.

Pure. Blocks go in; nothing of them is kept. The ears are the recorder's own, and so is the health of a line; only the
patience is a technician's, seconds instead of minutes.

Whoever calls during a check has agreed to nothing, so that a number is told by its last two digits: enough to know
one's own telephone by. Of keys in a row the first three are told, which shows a star code and hides who is dialled.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any, assert_never

from appliance.recorder.ear.caller_id import CallerId
from appliance.recorder.ear.countries import Country
from appliance.recorder.ear.keys import Key
from appliance.recorder.ear.line_ear import LineEar, LineSound
from appliance.recorder.ear.ringing import RingChange
from appliance.recorder.ear.signals import Pcm, Signals
from appliance.recorder.ear.tones import ToneChange
from appliance.recorder.line_health import HealthRules, LineHealth
from appliance.terms import RATE_HZ

RULES = HealthRules(dead_after_s=3, speech_s=3, steady_s=3)

_SHOWN_FRAMES = 3 * RATE_HZ
"""So long a key or a number stands beside the meter."""

_KEYS_TOLD = 3
_SAME_ROW_FRAMES = 10 * RATE_HZ

Told = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The end of a check. `sentences` begin with the line's name; speech_dbfs is None if too little was heard."""

    good: bool
    speech_dbfs: float | None
    sentences: tuple[str, ...]


class LineCheck:
    """One line, from the opening of its device on.

    Args:
        name: what the technician calls it.
        speech_above_floor_db: as the recorder has it.
    """

    def __init__(self, name: str, country: Country, speech_above_floor_db: float) -> None:
        self.name = name
        self.level_dbfs = -100.0
        self._country = country
        self._signals = Signals(speech_above_floor_db)
        self._ear = LineEar(country)
        self._health = LineHealth(RULES)
        self._frames = 0
        self._lost_frames = 0
        self._speech = self._explained = False
        self._going_on: dict[str, str] = {}
        self._just_now: deque[tuple[int, str]] = deque()
        self._last_key_frame = -_SAME_ROW_FRAMES
        self._keys_in_row = 0

    @property
    def seconds(self) -> float:
        """Since the device was opened."""
        return round(self._frames / RATE_HZ, 3)

    @property
    def heard_now(self) -> str:
        """What goes on, and what has just been, in words."""
        words = [*self._going_on.values(), *(said for _frame, said in self._just_now)]
        if self._speech and not self._explained:
            words.insert(0, "speech")
        return ", ".join([*words, *(ailment.replace("_", " ") for ailment in self._health.found)])

    def hear(self, samples: Pcm) -> list[Told]:
        """Take in the next block. Returns what is new in it: `t` (seconds), `what`, `line`, and what belongs to it."""
        heard = self._signals.hear(samples)
        before = self._health.found
        ear = self._ear.hear(samples)
        self._explained = bool(ear.explained)
        news = [told for sound in ear.sounds if (told := self._told(sound))]
        self._health.hear(samples, heard, exchange_sounds=self._explained)
        self.level_dbfs, self._speech = heard.level_dbfs, heard.speech
        self._frames += samples.size
        while self._just_now and self._just_now[0][0] <= self._frames - _SHOWN_FRAMES:
            self._just_now.popleft()
        found = self._health.found
        news += [self._news(self._frames, "trouble", why=found[new]) for new in found if new not in before]
        return news

    def lose(self, frames: int) -> Told:
        """Nobody has the audio of the next frames."""
        self._frames += frames
        self._lost_frames += frames
        self._ear = LineEar(self._country, from_frame=self._frames)
        self._going_on.clear()
        return self._news(self._frames, "gap", frames=frames)

    def verdict(self) -> Verdict:
        """What to change, or that all is well."""
        level = self._health.speech_dbfs
        wrong = list(self._health.found.values())
        if self._lost_frames:
            wrong.append(
                f"{self._lost_frames / RATE_HZ:.1f} seconds of audio were lost on the way from the card. Plug the card "
                "in directly, without a hub, and check again."
            )
        if level is None and not wrong:
            wrong.append("Too little speech was heard to judge it. Check again, and telephone for ten seconds.")
        good = () if wrong else (f"Line {self.name}: good. Speech at {level:.0f} dBFS.",)
        return Verdict(
            good=not wrong,
            speech_dbfs=None if level is None else round(level, 1),
            sentences=good or tuple(f"Line {self.name}: {sentence}" for sentence in wrong),
        )

    def _told(self, sound: LineSound) -> Told | None:
        match sound:
            case RingChange():
                return self._state(sound.at_frame, "ring", "ringing", on=sound.on)
            case ToneChange(name="fax"):
                return self._state(sound.at_frame, "fax", "fax", on=sound.on)
            case ToneChange():
                news = self._state(sound.at_frame, "tone", f"{sound.name} tone", on=sound.on)
                return news | {"name": sound.name}
            case CallerId():
                return self._told_caller(sound)
            case Key():
                return self._told_key(sound)
            case _:
                assert_never(sound)

    def _told_caller(self, caller: CallerId) -> Told:
        ends_in = caller.number[-2:] if len(caller.number) > 2 else ""
        number = f"a number that ends in {ends_in}" if ends_in else "withheld" if caller.withheld else "no number"
        self._just_now.append((self._frames, f"caller ID: {number}"))
        facts: Told = {"ends_in": ends_in or None, "withheld": caller.withheld, "standard": caller.standard}
        return self._news(caller.at_frame, "caller_id", **facts)

    def _told_key(self, key: Key) -> Told:
        in_row = key.first_frame - self._last_key_frame < _SAME_ROW_FRAMES
        self._keys_in_row = self._keys_in_row + 1 if in_row else 1
        self._last_key_frame = key.first_frame
        digit = key.digit if self._keys_in_row <= _KEYS_TOLD else None
        self._just_now.append((self._frames, f"key {digit}" if digit else "a key"))
        return self._news(key.first_frame, "dtmf", digit=digit)

    def _state(self, at_frame: int, what: str, words: str, *, on: bool) -> Told:
        if on:
            self._going_on[words] = words
        else:
            self._going_on.pop(words, None)
        return self._news(at_frame, what, state="on" if on else "off")

    def _news(self, at_frame: int, what: str, **facts: object) -> Told:
        return {"t": round(at_frame / RATE_HZ, 3), "what": what, "line": self.name, **facts}
