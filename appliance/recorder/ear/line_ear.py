"""All that is listened for on one line beside speech: what the exchange sends, and what people press.

Pure. Blocks of int16 go in, what was heard in them comes out. A cadence is told once two of its periods are there, and
dated back to its beginning. Where the sides are apart, keys are listened for on both, and what the exchange sends on
the far one only, from where it comes. What follows for a call is left to others.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from appliance.recorder.ear.caller_id import CallerId, CallerIdListener
from appliance.recorder.ear.countries import Country
from appliance.recorder.ear.keys import Key, KeyListener, Side
from appliance.recorder.ear.ringing import RingChange, RingListener
from appliance.recorder.ear.sides import FAR, TwoSidedKeys, side_of
from appliance.recorder.ear.signals import Pcm, Span
from appliance.recorder.ear.tone_cadences import ToneName
from appliance.recorder.ear.tones import ToneChange, ToneListener
from appliance.terms import BLOCK_FRAMES, RATE_HZ

LineSound = CallerId | Key | RingChange | ToneChange

_TONAL_AFTER = RATE_HZ // 5
"""A tone is known to be one 120 ms after it began."""
_RECEIVING_AFTER = RATE_HZ // 4
_KEY_AFTER = RATE_HZ // 5
_KEY_BEFORE = RATE_HZ // 20
_MESSAGE_FRAMES = 2 * RATE_HZ
"""The longest message of an exchange, with its channel seizure."""
_AROUND = RATE_HZ // 10
_WITH_A_RING = RATE_HZ // 4
"""So near to the beginning of a ring a tone begins with it."""
_AT_ONCE_FRAMES = 8 * BLOCK_FRAMES
"""What may wait is listened to 800 ms at a time, which takes a third of the processor time of 100 ms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EarHeard:
    """What was heard in a block.

    sounds: in the order in which they became certain.
    dialled: those keys among them that are no part of a caller ID.
    explained: spans up to now in which what sounded was no speech.
    tonal: where a tone, whichever it may be, sounds or has sounded last.
    cut_ring: of a burst that has ended, and may have been a ring that somebody has answered, or nothing.
    """

    sounds: tuple[LineSound, ...]
    dialled: tuple[Key, ...]
    explained: tuple[Span, ...]
    tonal: Span
    cut_ring: Span | None = None


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
        self._ring: tuple[float, float] = (-_WITH_A_RING, 0)
        """From, to, of the last one; for ever as long as it goes on."""
        self._unsure: list[tuple[int, ToneChange]] = []
        """What was told of tones, and when, and may be part of a ring."""
        self._tone: ToneName | None = None
        self._heard_frames = 0
        self._waiting: list[Pcm] = []
        self._waiting_frames = 0
        self._nothing_new = EarHeard(sounds=(), dialled=(), explained=(), tonal=(from_frame, from_frame))
        self._sent = False
        self._tonal: Span = (0, 0)
        self._receiving_since: int | None = None

    def hear(self, samples: Pcm, *, seeks: bool = True, may_wait: bool = False, amid_talk: bool = False) -> EarHeard:
        """Take in the next samples of the line: int16, shape (frames,) or (frames, 2).

        Args:
            seeks: they are louder than the line's noise, and it matters at once whether that is speech.
            may_wait: nothing hangs on hearing them at once. As long as they wait, what sounded is taken to go on.
            amid_talk: people have talked on and on for the last seconds: neither ring nor caller ID can be there.
        """
        self._waiting.append(samples)
        self._waiting_frames += len(samples)
        if may_wait and self._waiting_frames < _AT_ONCE_FRAMES:
            return self._as_before(len(samples))
        samples = self._waiting[0] if len(self._waiting) == 1 else np.concatenate(self._waiting)
        self._waiting, self._waiting_frames = [], 0
        return self._hear(samples, seeks=seeks, amid_talk=amid_talk)

    def _as_before(self, frames: int) -> EarHeard:
        if not self._sent:
            return self._nothing_new
        now = self._heard_frames + self._waiting_frames
        since, until = self._tonal
        tonal = (since, now) if until == self._heard_frames else self._tonal
        explained = (self._placed_span((now - frames, now)),)
        return EarHeard(sounds=(), dialled=(), explained=explained, tonal=self._placed_span(tonal))

    def _hear(self, samples: Pcm, *, seeks: bool, amid_talk: bool) -> EarHeard:
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
        sounds += self._callers.hear(sent, listens=not amid_talk)
        rings = self._rings.hear(sent, listens=not amid_talk)
        sounds += (*rings, *self._tones_but_rings(self._tones.hear(sent), rings))
        explained = tuple(self._placed_span(span) for span in self._explained(begin, sounds, seeks=seeks))
        heard = EarHeard(
            sounds=tuple(self._placed(sound) for sound in sounds),
            dialled=tuple(key for each in dialled if isinstance(key := self._placed(each), Key)),
            explained=explained,
            tonal=self._placed_span(self._tonal),
            cut_ring=self._placed_span(self._rings.cut) if self._rings.cut is not None else None,
        )
        self._nothing_new = EarHeard(sounds=(), dialled=(), explained=(), tonal=heard.tonal)
        return heard

    def _tones_but_rings(self, tones: Sequence[ToneChange], rings: Sequence[RingChange]) -> Iterator[ToneChange]:
        """A loud ring, clipped, has overtones that pass for a tone: what begins in a ring, and does not outlast it, is
        part of it. As long as a burst may be a ring or hum, such a tone waits; hum that has come to stay lets it go.
        """
        for ring in rings:
            self._ring = (ring.at_frame, math.inf) if ring.on else (self._ring[0], ring.at_frame)
        if self._rings.cut is not None:
            self._ring = self._rings.cut
        self._unsure += ((self._heard_frames, tone) for tone in tones)
        undecided = self._rings.undecided
        if undecided is not None and any(undecided < tone.at_frame + _WITH_A_RING for _told, tone in self._unsure):
            return
        unsure, self._unsure = self._unsure, []
        began, ended = self._ring
        for told, tone in unsure:
            in_ring = began - _WITH_A_RING < tone.at_frame < ended and told < ended + _WITH_A_RING
            if tone.on and not in_ring:
                self._tone = tone.name
                yield tone
            elif not tone.on and tone.name == self._tone:
                self._tone = None
                yield tone

    def _explained(self, begin: int, sounds: list[LineSound], *, seeks: bool) -> Iterator[Span]:
        now = self._heard_frames
        if self._tones.tonal:
            since = self._tonal[0] if self._tonal[1] == begin else max(begin - _AROUND, 0)
            self._tonal = since, now
            yield begin - _TONAL_AFTER, now
        receiving = seeks and self._callers.receiving
        if not receiving:
            self._receiving_since = None
        elif self._receiving_since is None:
            self._receiving_since = begin  # a noise passes for a modem now and then, but not in two blocks in a row
        else:
            yield self._receiving_since - _RECEIVING_AFTER, now
        sends = self._tones.tonal or receiving or (seeks and (self._rings.ringing or self._keys.pressing))
        rings_end = [sound.at_frame for sound in sounds if isinstance(sound, RingChange) and not sound.on]
        ring_until = min(max(rings_end) + _AROUND, now) if rings_end else now
        if sends or (seeks and self._sent):
            yield begin, now if sends else ring_until  # what ended in this block is no speech either
        self._sent = sends
        if self._rings.cut is not None:
            yield self._rings.cut
        for sound in sounds:
            match sound:
                case Key():
                    yield sound.first_frame - _KEY_BEFORE, sound.end_frame + _KEY_AFTER
                case CallerId():
                    yield sound.at_frame - _MESSAGE_FRAMES, sound.at_frame + _AROUND
                case RingChange(on=True):
                    yield sound.at_frame - _AROUND, ring_until  # somebody may have picked up since
                case ToneChange(on=True):
                    silent = self._tones.silent_since
                    yield sound.at_frame - _AROUND, now if silent is None else min(silent + _AROUND, now)
                case RingChange() | ToneChange():
                    yield sound.at_frame - _AROUND, sound.at_frame + _AROUND

    def _placed_span(self, span: Span) -> Span:
        return span[0] + self._from_frame, span[1] + self._from_frame

    def _placed(self, sound: LineSound) -> LineSound:
        shift = self._from_frame
        if not isinstance(sound, Key):
            return replace(sound, at_frame=sound.at_frame + shift)
        return replace(sound, first_frame=sound.first_frame + shift, end_frame=sound.end_frame + shift)
