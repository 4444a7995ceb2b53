"""Compares what is on and off in one pitch with the cadences in which an exchange sends it.

What only informs is told after a whole period; what ends a call once its cadence has come back, which is a period
and one burst more, with its pause. A burst that noise has spoilt does not end what is certain already, and a voice far
below it in its pauses is not heard.
Which pitch it is, and in what it lies, is left to `tones`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Literal

from appliance.recorder.ear.bursts import END_STEPS, Burst, Bursts, fits, least, most, same_level, steady

ToneName = Literal["dial", "ringback", "busy", "congestion", "sit", "fax"]
Change = tuple[int, ToneName, bool]
"""Window, name, on."""

_NOISE_BELOW = 5.0
"""7 dB: in the United Kingdom one burst of congestion tone is 6 dB above the next (BT SIN 350)."""
_LOUD_IN_PAUSE = 0.1
"""Who dials after a second of dial tone is loud in what could be the pause of ringback."""
_QUIET = 0.7
"""Of the tone's energy, on average in a pause: white noise at 3 dB SNR has half of it."""
_NOTES_GAP_STEPS = 4
_NOTES_PAUSE_STEPS = 65
"""1.0 s and 15 %, and until a note is believed."""


@dataclass(frozen=True, slots=True)
class Sought:
    """A tone of one pitch: on, off, on, off ... in steps, and how many bursts, with their pauses, make it certain."""

    name: ToneName
    cadence: tuple[float, ...]
    bursts: int

    @property
    def comes_back(self) -> bool:
        """It is certain only when its first burst has come again."""
        return self.bursts > len(self.cadence) // 2


class ToneFollower:
    """Follows one pitch or chord and compares it with the cadences in which the country sends it."""

    def __init__(self, sought: Sequence[Sought], continuous: tuple[ToneName, int] | None) -> None:
        self._sought = sought
        self._continuous = continuous
        self._band = Bursts()
        self._bursts: deque[Burst] = deque(maxlen=2 + max((2 * one.bursts for one in sought), default=0))
        self._forget_steps = max((most(max(one.cadence)) for one in sought), default=0) + END_STEPS
        self._active: Sought | None = None
        self._last_end = 0
        self._cut_end = 0
        """Of a burst that was on time, but too short to be one: the receiver was put down in it."""
        self._loud_in_pause = 0
        # How loud all was, window by window, up to and with the last one.
        self._loudness: deque[float] = deque(maxlen=self._forget_steps + END_STEPS)

    @property
    def busy(self) -> bool:
        return self._band.on or self._active is not None or len(self._bursts) > 0

    @property
    def name(self) -> ToneName | None:
        """What is sounding, if that is certain."""
        return None if self._active is None else self._active.name

    @property
    def silent_since(self) -> int | None:
        """The window in which the last burst ended; None while one is on."""
        return None if self._band.on or self._band.begins else self._last_end

    def sleep(self) -> None:
        self._band.sleep()

    def follow(self, window: int, on: list[bool], levels: list[float], loudness: list[float]) -> Iterator[Change]:
        for at, (sounds, level, loud) in enumerate(zip(on, levels, loudness, strict=True), window):
            self._loudness.append(loud)
            turned = self._band.add(at, sounds, level)
            if isinstance(turned, Burst):
                yield from self._burst_ended(turned)
            elif turned:
                self._judge_pause(at)
                yield from self._compare(self._band.since)
            elif self._band.on:
                yield from self._sounding_on(at)
            elif self._bursts or self._active:
                if sounds and self._is_on_time(at, level):
                    self._cut_end = at + 1
                yield from self._waiting(at, loud)

    def _burst_ended(self, burst: Burst) -> Iterator[Change]:
        if self._active is not None and not self._active.cadence:
            yield from self._stop(burst.end)
            self._bursts.clear()
        elif self._bursts and self._is_noise_after(self._bursts[-1], burst):
            return
        else:
            self._loud_in_pause = 0
            if self._active is not None and self._goes_on(burst):
                self._last_end = burst.end
            if not burst.steady:
                self._bursts.clear()
            else:
                self._bursts.append(burst)

    def _is_noise_after(self, before: Burst, burst: Burst) -> bool:
        """A voice in the pause, far weaker than the tone."""
        could_be_tone = any(fits(before.end - before.begin, on) for one in self._sought for on in one.cadence[::2])
        return could_be_tone and burst.level * _NOISE_BELOW < before.level

    def _goes_on(self, burst: Burst) -> bool:
        """A burst of the right length, or one that was cut short, after the right pause."""
        cadences = self._cadences()
        length, pause = burst.end - burst.begin, burst.begin - self._last_end
        if any(fits(length, on) for cadence in cadences for on in cadence[::2]):
            return True
        after_pause = any(fits(pause, off) for cadence in cadences for off in cadence[1::2])
        return after_pause and length <= most(self._longest(0))

    def _is_on_time(self, at: int, level: float) -> bool:
        """A burst of what sounds may begin here, and this is as loud as the last one."""
        if self._active is None or not self._bursts or not same_level(level, self._bursts[-1].level):
            return False
        return any(fits(at - self._last_end, off) for off in self._active.cadence[1::2])

    def _cadences(self) -> list[tuple[float, ...]]:
        """All by the name of what sounds: which of two similar cadences it is, does not matter."""
        return [one.cadence for one in self._sought if self._active is not None and one.name == self._active.name]

    def _longest(self, first: Literal[0, 1]) -> float:
        """The longest burst (0) or pause (1) of what sounds."""
        return max(length for cadence in self._cadences() for length in cadence[first::2])

    def _judge_pause(self, at: int) -> None:
        """Exchanges are silent between bursts; a tune that comes back to its note is not."""
        if not self._bursts:
            return
        before = self._bursts[-1]
        # The first and the last window of a pause are partly filled by what is around it.
        last = len(self._loudness) - 1 - at
        pause = list(self._loudness)[max(before.end + 1 + last, 0) : self._band.since - 1 + last]
        if sum(pause) > len(pause) * _QUIET * before.level:
            self._bursts.clear()

    def _compare(self, until: int) -> Iterator[Change]:
        """A pause has ended, so that bursts and pauses can be compared."""
        for sought in self._sought:
            begin = _matched(self._bursts, until, sought)
            if begin is not None and (self._active is None or self._active.name != sought.name):
                yield from self._start(sought, begin)
                return

    def _start(self, sought: Sought, begin: int) -> Iterator[Change]:
        yield from self._stop(min(begin, self._last_end))
        self._active, self._last_end = sought, self._bursts[-1].end
        yield begin, sought.name, True

    def _stop(self, at: int) -> Iterator[Change]:
        if (name := self.name) is not None:
            self._active = None
            yield at, name, False

    def _sounding_on(self, at: int) -> Iterator[Change]:
        length = at + 1 - self._band.since
        if self._active is not None and self._active.cadence:
            if length > most(self._longest(0)) + END_STEPS:
                yield from self._stop(self._last_end)
        elif self._active is None and self._continuous is not None:
            name, least = self._continuous
            if length >= least and steady(self._band.levels[-least:]):
                self._active = Sought(name, (), 0)
                yield self._band.since, name, True

    def _waiting(self, at: int, loud: float) -> Iterator[Change]:
        if self._bursts:
            self._loud_in_pause += loud > self._bursts[-1].level / 2
            pause = at + 1 - self._bursts[-1].end
            if pause > self._forget_steps:
                self._bursts.clear()
            elif self._active is None and self._loud_in_pause <= pause * _LOUD_IN_PAUSE:
                yield from self._compare_quiet(pause)
        if self._active is not None and at - self._last_end > self._patience():
            yield from self._stop(max(self._last_end, self._cut_end))

    def _patience(self) -> int:
        """The longest pause; of busy and congestion tone a burst may be spoilt, and a pause more is waited."""
        pause = most(self._longest(1)) + END_STEPS
        spoilt = self._active is not None and self._active.comes_back
        return pause + spoilt * (most(self._longest(0)) + pause)

    def _compare_quiet(self, pause: int) -> Iterator[Change]:
        """The long quiet pause after one burst of ringback is enough: the next may never come."""
        for sought in self._sought:
            longest = max(sought.cadence[1::2])
            if sought.name == "ringback" and pause >= least(longest):
                begin = _matched(self._bursts, self._bursts[-1].end + round(longest), sought)
                if begin is not None:
                    yield from self._start(sought, begin)
                    return


def _matched(bursts: Sequence[Burst], until: int, sought: Sought) -> int | None:
    """Where the tone began, if the last bursts and the pause before `until` are its cadence."""
    each = len(sought.cadence) // 2
    count = sought.bursts
    last = list(bursts)[-count:]
    if len(last) < count or not all(burst.steady for burst in last):
        return None
    if any(not same_level(last[at].level, last[at + each].level) for at in range(count - each)):
        return None
    ends = [*(burst.begin for burst in last[1:]), until]
    lengths = [
        part for burst, end in zip(last, ends, strict=True) for part in (burst.end - burst.begin, end - burst.end)
    ]
    for turn in range(0, len(sought.cadence), 2):
        if all(map(fits, lengths, islice(cycle(sought.cadence), turn, None))):
            return _dated_back(list(bursts)[:-count], last[0].begin, sought.cadence)
    return None


def _dated_back(earlier: list[Burst], begin: int, cadence: tuple[float, ...]) -> int:
    """Bursts before those that were compared: noise has bent them, or the feed began within one."""
    for burst in reversed(earlier):
        if not any(fits(begin - burst.end, off) for off in cadence[1::2]):
            break
        if burst.end - burst.begin > most(max(cadence[::2])):
            break
        begin = burst.begin
    return begin


class NotesFollower:
    """Follows the three notes of an information tone, each in its own band."""

    def __init__(self, note_steps: tuple[int, int]) -> None:
        self._shortest, self._longest = note_steps
        self._bands = (Bursts(), Bursts(), Bursts())
        self._heard: list[Burst] = []
        self._active = False
        self._last_end = 0

    @property
    def busy(self) -> bool:
        return self._active or len(self._heard) > 0 or any(band.on for band in self._bands)

    @property
    def silent_since(self) -> int | None:
        """Its pauses are too short for anything else to be heard in them."""
        return None

    def sleep(self) -> None:
        for band in self._bands:
            band.sleep()

    def follow(self, window: int, on: list[list[bool]], levels: list[list[float]]) -> Iterator[Change]:
        for at in range(len(on[0])):
            for note in (0, 1, 2):
                turned = self._bands[note].add(window + at, on[note][at], levels[note][at])
                if isinstance(turned, Burst):
                    yield from self._note_ended(note, turned)
            if self._heard and window + at - self._heard[-1].end > self._longest + END_STEPS:
                self._heard.clear()
            if self._active and window + at - self._last_end > _NOTES_PAUSE_STEPS and not self._bands[0].on:
                self._active = False
                yield self._last_end, "sit", False

    def _note_ended(self, note: int, burst: Burst) -> Iterator[Change]:
        if not (burst.steady and self._shortest <= burst.end - burst.begin <= self._longest):
            self._heard.clear()
            return
        if note == 0:
            self._heard = [burst]
        elif len(self._heard) == note and _follows(burst, self._heard[-1]):
            self._heard.append(burst)
        else:
            self._heard.clear()
        if len(self._heard) == 3:
            begin = self._heard[0].begin
            self._heard.clear()
            self._last_end = burst.end
            if not self._active:
                self._active = True
                yield begin, "sit", True


def _follows(burst: Burst, before: Burst) -> bool:
    at_once = -_NOTES_GAP_STEPS <= burst.begin - before.end <= _NOTES_GAP_STEPS
    return at_once and 0.1 < burst.level / before.level < 10


Ear = ToneFollower | NotesFollower
