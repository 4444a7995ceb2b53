"""All that is listened for on one line beside speech: what the exchange sends, and what people press.

Pure. Blocks of int16 go in, what was heard in them comes out. A cadence is told once two of its periods are there, and
dated back to its beginning. What follows from it for a call is left to others.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from appliance.recorder.caller_id import CallerId, CallerIdListener
from appliance.recorder.countries import Country
from appliance.recorder.keys import Key, KeyListener
from appliance.recorder.ringing import RingChange, RingListener
from appliance.recorder.signals import Pcm
from appliance.recorder.tones import ToneChange, ToneListener
from appliance.terms import RATE_HZ

LineSound = CallerId | Key | RingChange | ToneChange

_HANGS_UP = ("busy", "congestion")
"""What an exchange sends when the other side has hung up."""


_TONE_FADES = 7 * RATE_HZ // 10
"""So long after a burst comes the next one of a busy tone, before it is known to be one. The pre-roll is longer, so
whoever speaks meanwhile loses nothing."""


class LineEar:
    """The ear of one line, from a frame on without a hole: after a gap comes a new one.

    Args:
        from_frame: of the first sample that will be heard; all frames told are counted like it.
    """

    def __init__(self, country: Country, *, from_frame: int = 0) -> None:
        self._from_frame = from_frame
        self._keys = KeyListener()
        self._callers = CallerIdListener(frozenset(country.caller_id))
        self._tones = ToneListener(country)
        self._rings = RingListener(country)
        self._heard_frames = 0
        self._tonal_frames = -_TONE_FADES
        self._hangs_up = False

    @property
    def exchange_sounds(self) -> bool:
        """What sounds, or has just sounded, is a tone of the exchange, and not speech."""
        return self._hangs_up or self._heard_frames - self._tonal_frames <= _TONE_FADES

    def hear(self, samples: Pcm) -> list[LineSound]:
        """Take in the next samples of the line: int16, shape (frames,)."""
        self._heard_frames += samples.size
        keys = self._keys.hear(samples)
        by_keys = (self._callers.hear_key(key.digit, key.end_frame) for key in keys)
        heard: list[LineSound] = [
            *keys,
            *(caller for caller in by_keys if caller is not None),
            *self._callers.hear(samples),
            *self._hear_tones(samples),
            *self._rings.hear(samples),
        ]
        return [self._placed(sound) for sound in heard]

    def _hear_tones(self, samples: Pcm) -> list[ToneChange]:
        changes = self._tones.hear(samples)
        if self._tones.tonal:
            self._tonal_frames = self._heard_frames
        for change in changes:
            if change.name in _HANGS_UP:
                self._hangs_up = change.on
        return changes

    def _placed(self, sound: LineSound) -> LineSound:
        shift = self._from_frame
        if not isinstance(sound, Key):
            return replace(sound, at_frame=sound.at_frame + shift)
        return replace(sound, first_frame=sound.first_frame + shift, end_frame=sound.end_frame + shift)


def hung_up_in(sounds: Iterable[LineSound]) -> int | None:
    """The frame from which the exchange says that the other side has hung up."""
    frames = (s.at_frame for s in sounds if isinstance(s, ToneChange) and s.on and s.name in _HANGS_UP)
    return next(frames, None)
