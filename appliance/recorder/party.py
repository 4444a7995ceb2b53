"""Who called whom: direction and number of a call, from what was heard before it and at its beginning.

Pure. Time is counted in frames of the line, as in `line_state`.

    heard                                                                        the call
    a ring up to 12 s before it, or in it (nobody rings a line that is taken)    came in
    a caller ID up to a minute before it, in its first 4 s, or beside a ring     came in, from that number
    nothing of these, and keys: before it, or from its first 3 s on              went out, to those keys
    nothing of this                                                              unknown

Keys are one number as long as less than 5 s lie between two of them; what is pressed later in the call is for whoever
was called. Dial tone begins a number anew. In the middle of a call either side can sing keys or a caller ID into the
line: they are not believed there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from appliance.recorder.caller_id import CallerId
from appliance.recorder.keys import Key
from appliance.recorder.line_ear import LineSound
from appliance.recorder.ringing import RingChange
from appliance.recorder.tones import ToneChange
from appliance.terms import RATE_HZ

_RANG_BEFORE = 12 * RATE_HZ
_CALLER_BEFORE = 60 * RATE_HZ
_CALLER_AFTER = 4 * RATE_HZ
_CALLER_BESIDE_RING = 8 * RATE_HZ
_FIRST_KEY_AFTER = 3 * RATE_HZ
_KEYS_APART = 5 * RATE_HZ
_FEWEST_KEYS = 2
_MOST_KEYS = 32


class Direction(StrEnum):
    """As the catalogue has them."""

    IN = "in"
    OUT = "out"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """The other side. number: digits, * and #; empty if it is not known."""

    direction: Direction = Direction.UNKNOWN
    number: str = ""

    def __repr__(self) -> str:
        return f"Party({self.direction.value}, a number)" if self.number else f"Party({self.direction.value})"


NOBODY_KNOWN = Party()


class PartyFinder:
    """One line's memory of who is at the other end. Feed it everything that is heard, in calls and between them."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """A call is over, or the line was not heard: what came before belongs to no later call."""
        self._began: int | None = None
        self._rang: int | None = None
        self._caller: CallerId | None = None
        self._keys = ""
        self._last_key: int | None = None

    def begin(self, at_frame: int) -> None:
        """A call has begun, and its first sound was at this frame."""
        self._began = at_frame

    def hear(self, sounds: Iterable[LineSound]) -> None:
        for sound in sounds:
            match sound:
                case RingChange():
                    self._rang = sound.at_frame
                case CallerId():
                    self._take_caller(sound)
                case Key():
                    self._take_key(sound)
                case ToneChange(name="dial", on=True):
                    self._keys, self._caller, self._rang = "", None, None
                case ToneChange():
                    pass

    @property
    def party(self) -> Party:
        """Of the running call, as far as it is known by now."""
        began = self._began
        if began is None:
            return NOBODY_KNOWN
        caller = self._caller if self._caller and self._caller.at_frame > began - _CALLER_BEFORE else None
        if caller or (self._rang is not None and self._rang > began - _RANG_BEFORE):
            return Party(direction=Direction.IN, number=caller.number if caller else "")
        if len(self._keys) >= _FEWEST_KEYS:
            return Party(direction=Direction.OUT, number=self._keys)
        return NOBODY_KNOWN

    def _take_caller(self, caller: CallerId) -> None:
        began, rang = self._began, self._rang
        is_early = began is None or caller.at_frame - began <= _CALLER_AFTER
        if is_early or (rang is not None and caller.at_frame - rang <= _CALLER_BESIDE_RING):
            self._caller, self._keys = caller, ""

    def _take_key(self, key: Key) -> None:
        goes_on = self._last_key is not None and key.first_frame - self._last_key <= _KEYS_APART
        if not goes_on:
            if self._began is not None and key.first_frame - self._began > _FIRST_KEY_AFTER:
                return
            self._keys = ""
        self._keys = (self._keys + key.digit)[:_MOST_KEYS]
        self._last_key = key.end_frame
