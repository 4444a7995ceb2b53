"""All that is listened for on one line beside speech: what the exchange sends, and what people press.

Pure. Blocks of int16 go in, what was heard in them comes out. A cadence is told once two of its periods are there, and
dated back to its beginning. Where the sides are apart, keys are listened for on both, and what the exchange sends on
the far one only, from where it comes. What follows for a call is left to others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from appliance.recorder.ear.caller_id import CallerId, CallerIdListener
from appliance.recorder.ear.countries import Country
from appliance.recorder.ear.keys import Key, KeyListener, Side
from appliance.recorder.ear.ringing import RingChange, RingListener
from appliance.recorder.ear.sides import FAR, TwoSidedKeys, side_of
from appliance.recorder.ear.signals import Pcm, Span
from appliance.recorder.ear.tones import ToneChange, ToneListener
from appliance.terms import RATE_HZ

LineSound = CallerId | Key | RingChange | ToneChange

_TONAL_AFTER = RATE_HZ // 5
"""A tone is known to be one 120 ms after it began."""
_RECEIVING_AFTER = RATE_HZ // 4
_KEY_AFTER = RATE_HZ // 5
_KEY_BEFORE = RATE_HZ // 20
_MESSAGE_FRAMES = 2 * RATE_HZ
"""The longest message of an exchange, with its channel seizure."""
_AROUND = RATE_HZ // 10


@dataclass(frozen=True, slots=True, kw_only=True)
class EarHeard:
    """What was heard in a block.

    sounds: in the order in which they became certain.
    dialled: those keys among them that are no part of a caller ID.
    explained: spans up to now in which what sounded was no speech.
    tonal: where a tone, whichever it may be, sounds or has sounded last.
    """

    sounds: tuple[LineSound, ...]
    dialled: tuple[Key, ...]
    explained: tuple[Span, ...]
    tonal: Span


class LineEar:
    """The ear of one line, from a frame on without a hole: after a gap comes a new one.

    Args:
        from_frame: of the first sample that will be heard; all frames told are counted like it.
        channels: 2, if its sides are apart.
    """

    def __init__(self, country: Country, *, from_frame: int = 0, channels: int = 1) -> None:
        self._from_frame = from_frame
        self._keys = KeyListener() if channels == 1 else TwoSidedKeys()
        self._callers = CallerIdListener(frozenset(country.caller_id))
        self._tones = ToneListener(country)
        self._rings = RingListener(country)
        self._heard_frames = 0
        self._sent = False
        self._tonal: Span = (0, 0)

    def hear(self, samples: Pcm, *, seeks: bool = True) -> EarHeard:
        """Take in the next samples of the line: int16, shape (frames,) or (frames, 2).

        Args:
            seeks: they are louder than the line's noise, and it matters at once whether that is speech.
        """
        begin, self._heard_frames = self._heard_frames, self._heard_frames + len(samples)
        sounds: list[LineSound] = []
        dialled: list[Key] = []
        for pressed in self._keys.hear(samples):
            sounds.append(pressed)
            collected = self._callers.collects(pressed.end_frame)
            caller = None
            if pressed.side is not Side.NEAR:
                caller = self._callers.hear_key(pressed.digit, pressed.end_frame)
            if caller is not None:
                sounds.append(caller)
            if not collected and not self._callers.collects(pressed.end_frame):
                dialled.append(pressed)
        sent = side_of(samples, FAR)
        sounds += self._callers.hear(sent)
        sounds += self._tones.hear(sent)
        sounds += self._rings.hear(sent)
        explained = tuple(self._placed_span(span) for span in self._explained(begin, sounds, seeks=seeks))
        return EarHeard(
            sounds=tuple(self._placed(sound) for sound in sounds),
            dialled=tuple(key for each in dialled if isinstance(key := self._placed(each), Key)),
            explained=explained,
            tonal=self._placed_span(self._tonal),
        )

    def _explained(self, begin: int, sounds: list[LineSound], *, seeks: bool) -> Iterator[Span]:
        now = self._heard_frames
        if self._tones.tonal:
            since = self._tonal[0] if self._tonal[1] == begin else max(begin - _AROUND, 0)
            self._tonal = since, now
            yield begin - _TONAL_AFTER, now
        receiving = seeks and self._callers.receiving
        if receiving:
            yield begin - _RECEIVING_AFTER, now
        sends = self._tones.tonal or receiving or (seeks and (self._rings.ringing or self._keys.pressing))
        if sends or (seeks and self._sent):
            yield begin, now  # what ended in this block is no speech either
        self._sent = sends
        for sound in sounds:
            match sound:
                case Key():
                    yield sound.first_frame - _KEY_BEFORE, sound.end_frame + _KEY_AFTER
                case CallerId():
                    yield sound.at_frame - _MESSAGE_FRAMES, sound.at_frame + _AROUND
                case RingChange(on=True) | ToneChange(on=True):
                    yield sound.at_frame - _AROUND, now
                case RingChange() | ToneChange():
                    yield sound.at_frame - _AROUND, sound.at_frame + _AROUND

    def _placed_span(self, span: Span) -> Span:
        return span[0] + self._from_frame, span[1] + self._from_frame

    def _placed(self, sound: LineSound) -> LineSound:
        shift = self._from_frame
        if not isinstance(sound, Key):
            return replace(sound, at_frame=sound.at_frame + shift)
        return replace(sound, first_frame=sound.first_frame + shift, end_frame=sound.end_frame + shift)
