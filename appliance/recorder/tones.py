"""Call-progress tones, information tones and the calls of fax machines, heard on a line.

Pure. Blocks of int16 go in; what is told is only what is certain, dated back to where it could first be heard:
a busy tone after two whole periods, because it ends a call.

Every 20 ms the last 40 ms are projected on the Slepian sequences of the narrow bands in which the country's
tones lie (D. Slepian, Bell System Technical Journal 57, 1978; within 2 % of each frequency), after all below
200 Hz, where hum is, has been taken out of them. A tone is on where that projection holds a good share of
the energy above 200 Hz and at least a quarter of its own height 40 ms around: a window half filled by a tone
holds a quarter of its energy there, so bursts keep their length. What is steady for the length of a burst,
and the same again after the right pause, is compared with the cadences of the country (ITU-T E.180
supplement 2), each length within 15 %.

Fax: CNG, 1100 Hz within 38 Hz, 0.5 s every 3 s, and CED, 2100 Hz within 15 Hz for 2.6 s and more
(ITU-T T.30); modems answer on 2100 Hz too (ITU-T V.25), some with a reversed phase every 450 ms.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from appliance.recorder.countries import Country, Tone
from appliance.recorder.signals import STEP_FRAMES, Pcm
from appliance.terms import RATE_HZ

ToneName = Literal["dial", "ringback", "busy", "congestion", "sit", "fax"]
Matrix = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]
Band = tuple[float, float]

_FREQUENCY_TOLERANCE = 0.02
_CADENCE_TOLERANCE = 0.15
_SLACK_STEPS = 2.0
"""What the grid of 20 ms and noise at both ends add to a length."""

_SHARE = 0.42
"""White noise at 3 dB SNR leaves a tone two thirds of all energy, babble at 6 dB rarely less than this."""
_OTHER_SHARE = 0.5
_QUARTER = 0.33
_BALANCE = 0.1
"""Of two frequencies the weaker is at most 10 dB below the other: 6 dB of twist, and noise."""
_NEAREST = 0.8
"""A tone lies in the band that holds most of it; its neighbour, 25 Hz away, holds up to half."""
_STEADY = 0.35
"""Standard deviation of the energy in a burst, against its mean. Babble at 6 dB SNR makes 0.25."""
_SAME_LEVEL = 2.0
_NOISE_BELOW = 5.0
"""7 dB: in the United Kingdom one burst of congestion tone is 6 dB above the next (BT SIN 350)."""
_APART_HZ = 15.0
_BEGIN_STEPS = 5
_END_STEPS = 4
"""What is on for less than 100 ms is no burst, a pause of less than 80 ms is none: the shortest are of 128 ms."""
_LOOK_STEPS = 2
_AGAIN_STEPS = _BEGIN_STEPS - 1
_BACK_STEPS = 10
_BEFORE_STEPS = _AGAIN_STEPS + _BACK_STEPS
_WINDOW_FRAMES = 2 * STEP_FRAMES

_NOTE_TOLERANCE_HZ = 35.0
_NOTES_GAP_STEPS = 4
_NOTES_PAUSE_STEPS = 65
"""1.0 s and 15 %, and until a note is believed."""

_CNG_BAND = (1062.0, 1138.0)
_CNG_CADENCE_S = (0.5, 3.0)
_CED_BAND = (2085.0, 2115.0)
_CED_STEPS = 50

_LEAST_CONTINUOUS_STEPS = 30
_KEPT_LEVELS = 200
_LOUD_IN_PAUSE = 0.1

_TONAL_SHARE = 0.55
_TONAL_STEPS = 4
_TONAL_RIPPLE = 1.7

_FULL_SCALE = _WINDOW_FRAMES * 32768.0**2
_LEAST = np.float32(_FULL_SCALE * 10**-4.8)
"""Tones arrive at -35 dBFS and louder; 13 dB below is crosstalk from another line."""

_LOW_BAND_HZ = 200.0
_LOW_SHAPES = 22


@dataclass(frozen=True, slots=True, kw_only=True)
class ToneChange:
    """A tone that is certain has begun or ended.

    at_frame: where it could first be heard, or where it ended; counted from the first sample ever fed.
    """

    at_frame: int
    name: ToneName
    on: bool


@dataclass(frozen=True, slots=True)
class _Sought:
    """A tone of one pitch: on, off, on, off ... in steps, and how many whole periods make it certain."""

    name: ToneName
    cadence: tuple[float, ...]
    periods: int


@dataclass(frozen=True, slots=True)
class _Burst:
    """Something steady, or not, in one band. begin and end count windows."""

    begin: int
    end: int
    level: float
    steady: bool


Change = tuple[int, ToneName, bool]
"""Window, name, on."""


class ToneListener:
    """The ear for tones of one line. Feed it every block in order; blocks of any length are welcome."""

    def __init__(self, country: Country) -> None:
        plan = _plan(country)
        self._spectrum = _Spectrum(plan.chords, plan.other_bands)
        self._columns = len(plan.chords) + len(plan.other_bands)
        single = sum(len(chord) == 1 for chord in plan.chords)
        self._single, self._pairs = slice(0, single), slice(single, len(plan.chords))
        self._share = np.array([_SHARE] * len(plan.chords) + [_OTHER_SHARE] * len(plan.other_bands), np.float32)
        self._followers = [_Follower(sought, least) for sought, least in plan.followers]
        self._notes = _NotesFollower(plan.note_steps)
        self._recent = np.zeros((_BEFORE_STEPS + _LOOK_STEPS, self._spectrum.columns), np.float32)
        self._window = -_LOOK_STEPS
        self._asleep = True
        self._sounding: tuple[_Ear, ToneName] | None = None
        self._tonal = False

    @property
    def tonal(self) -> bool:
        """What sounded last is a tone, not speech: told within 120 ms, before it is known which tone."""
        return self._tonal

    def hear(self, samples: Pcm) -> list[ToneChange]:
        """Take in the next samples of the line.

        Args:
            samples: int16, shape (frames,). What does not fill a 20 ms step waits for the next block.
        """
        heard = self._spectrum.add(samples)
        if not heard.size:
            return []
        energies = np.concatenate((self._recent, heard))
        self._recent = energies[-_BEFORE_STEPS - _LOOK_STEPS :]
        shares: Matrix = energies[:, : self._columns] / np.maximum(energies[:, -1:], _LEAST)
        hot = shares > self._share
        long_hot = hot[:-4] & hot[1:-3] & hot[2:-2] & hot[3:-1] & hot[4:]
        wakes = bool(long_hot.any())
        self._tonal = wakes and self._sounds_tonal(energies, shares, long_hot[-1])
        changes = self._follow(energies, shares, hot) if wakes or not self._asleep else []
        self._window += len(heard)
        return changes

    def _sounds_tonal(self, energies: Matrix, shares: Matrix, long_hot: Flags) -> bool:
        for column in np.flatnonzero(long_hot):
            last = energies[-_TONAL_STEPS:, column]
            if shares[-_TONAL_STEPS:, column].min() > _TONAL_SHARE and last.max() < _TONAL_RIPPLE * last.min():
                return True
        return False

    def _follow(self, energies: Matrix, shares: Matrix, hot: Flags) -> list[ToneChange]:
        """Who has been asleep hears the last windows again: a burst may have begun in them."""
        again = _AGAIN_STEPS if self._asleep else 0
        here = slice(_BEFORE_STEPS - again, -_LOOK_STEPS)
        parts = energies[:, : self._columns]
        on = hot[here] & (parts[here] > _QUARTER * _highest_around(parts[here.start - _BACK_STEPS :]))
        self._choose(on, shares[here], energies[here])
        bits, levels, loudness = on.T.tolist(), parts[here].T.tolist(), energies[here, -1].tolist()
        changes: list[ToneChange] = []
        first = self._window - again
        for index, follower in enumerate(self._followers):
            if not follower.busy and True not in bits[index]:
                follower.sleep()
                continue
            for change in follower.follow(first, bits[index], levels[index], loudness):
                changes += self._told(follower, change)
        notes = len(self._followers)
        for change in self._notes.follow(first, bits[notes:], levels[notes:]):
            changes += self._told(self._notes, change)
        self._sleep_if_idle()
        return changes

    def _sleep_if_idle(self) -> None:
        everybody: tuple[_Ear, ...] = (*self._followers, self._notes)
        self._asleep = not any(follower.busy for follower in everybody)
        if self._asleep:
            for follower in everybody:
                follower.sleep()

    def _choose(self, on: Flags, shares: Matrix, energies: Matrix) -> None:
        single = shares[:, self._single]
        on[:, self._single] &= single >= _NEAREST * single.max(axis=1, keepdims=True, initial=0)
        if self._pairs.start < self._pairs.stop:
            one, other = energies[:, self._columns : -1 : 2], energies[:, self._columns + 1 : -1 : 2]
            on[:, self._pairs] &= np.minimum(one, other) > _BALANCE * np.maximum(one, other)

    def _told(self, follower: _Ear, change: Change) -> Iterator[ToneChange]:
        """A line sends one tone at a time: neighbouring bands that hear it too are not told of."""
        window, name, on = change
        at_frame = max(0, window * STEP_FRAMES - STEP_FRAMES // 2)
        if not on:
            if self._sounding == (follower, name):
                self._sounding = next(((other, name) for other in self._followers if other.name == name), None)
                if self._sounding is None:
                    yield ToneChange(at_frame=at_frame, name=name, on=False)
        elif self._sounding is None or self._sounding[1] != name:
            if self._sounding is not None:
                yield ToneChange(at_frame=at_frame, name=self._sounding[1], on=False)
            self._sounding = (follower, name)
            yield ToneChange(at_frame=at_frame, name=name, on=True)


class _Bursts:
    """What is on for 80 ms and longer, with gaps shorter than that closed."""

    def __init__(self) -> None:
        self.on = False
        self.since = 0
        self.levels: list[float] = []
        self._contrary = 0
        self._rest: list[float] = []

    def add(self, window: int, on: bool, level: float) -> _Burst | bool:
        """Returns: the burst that has ended, True if one has begun, else False."""
        if on == self.on:
            self._contrary = 0
            if on:
                self.levels += self._rest
                self.levels.append(level)
            self._rest.clear()
            return False
        self._contrary += 1
        self._rest.append(level)
        return self._contrary == (_END_STEPS if self.on else _BEGIN_STEPS) and self._turn(window + 1 - self._contrary)

    def sleep(self) -> None:
        """Forget what has been on for less than 80 ms: it will be heard again."""
        self._contrary = 0
        self._rest.clear()

    def _turn(self, window: int) -> _Burst | bool:
        since, levels = self.since, self.levels
        self.on, self.since, self._contrary = not self.on, window, 0
        self.levels, self._rest = self._rest, []
        if self.on:
            return True
        return _Burst(since, window, sum(levels) / len(levels), steady(levels))


def steady(levels: list[float]) -> bool:
    """The first and the last window are only partly filled."""
    inner = levels[1:-1]
    mean = sum(inner) / len(inner)
    return sum((level - mean) ** 2 for level in inner) <= len(inner) * (_STEADY * mean) ** 2


class _Follower:
    """Follows one pitch or chord and compares it with the cadences in which the country sends it."""

    def __init__(self, sought: Sequence[_Sought], continuous: tuple[ToneName, int] | None) -> None:
        self._sought = sought
        self._continuous = continuous
        self._band = _Bursts()
        self._bursts: deque[_Burst] = deque(maxlen=2 + 2 * max((len(one.cadence) for one in sought), default=0))
        self._forget_steps = max((_most(max(one.cadence)) for one in sought), default=0) + _END_STEPS
        self._active: _Sought | None = None
        self._last_end = 0
        self._loud_in_pause = 0

    @property
    def busy(self) -> bool:
        return self._band.on or self._active is not None or len(self._bursts) > 0

    @property
    def name(self) -> ToneName | None:
        """What is sounding, if that is certain."""
        return None if self._active is None else self._active.name

    def sleep(self) -> None:
        self._band.sleep()

    def follow(self, window: int, on: list[bool], levels: list[float], loudness: list[float]) -> Iterator[Change]:
        for at, (sounds, level, loud) in enumerate(zip(on, levels, loudness, strict=True), window):
            turned = self._band.add(at, sounds, level)
            if isinstance(turned, _Burst):
                yield from self._burst_ended(turned)
            elif turned:
                yield from self._compare(self._band.since)
            elif self._band.on:
                yield from self._sounding_on(at)
            elif self._bursts or self._active:
                yield from self._waiting(at, loud)

    def _burst_ended(self, burst: _Burst) -> Iterator[Change]:
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

    def _is_noise_after(self, before: _Burst, burst: _Burst) -> bool:
        """A voice in the pause, far weaker than the tone."""
        could_be_tone = any(_fits(before.end - before.begin, on) for one in self._sought for on in one.cadence[::2])
        return could_be_tone and burst.level * _NOISE_BELOW < before.level

    def _goes_on(self, burst: _Burst) -> bool:
        """A burst of the right length, or one that was cut short, after the right pause."""
        cadences = self._cadences()
        length, pause = burst.end - burst.begin, burst.begin - self._last_end
        if any(_fits(length, on) for cadence in cadences for on in cadence[::2]):
            return True
        fits = any(_fits(pause, off) for cadence in cadences for off in cadence[1::2])
        return fits and length <= _most(self._longest(0))

    def _cadences(self) -> list[tuple[float, ...]]:
        """All by the name of what sounds: which of two similar cadences it is, does not matter."""
        return [one.cadence for one in self._sought if self._active is not None and one.name == self._active.name]

    def _longest(self, first: Literal[0, 1]) -> float:
        """The longest burst (0) or pause (1) of what sounds."""
        return max(length for cadence in self._cadences() for length in cadence[first::2])

    def _compare(self, until: int) -> Iterator[Change]:
        """A pause has ended, so that whole periods can be compared."""
        for sought in self._sought:
            begin = _matched(self._bursts, until, sought)
            if begin is not None and (self._active is None or self._active.name != sought.name):
                yield from self._start(sought, begin)
                return

    def _start(self, sought: _Sought, begin: int) -> Iterator[Change]:
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
            if length > _most(self._longest(0)) + _END_STEPS:
                yield from self._stop(self._last_end)
        elif self._active is None and self._continuous is not None:
            name, least = self._continuous
            if length >= least and steady(self._band.levels[-least:]):
                self._active = _Sought(name, (), 0)
                yield self._band.since, name, True
        # A tone of hours needs no more than its last second.
        del self._band.levels[:-_KEPT_LEVELS]

    def _waiting(self, at: int, loud: float) -> Iterator[Change]:
        if self._bursts:
            self._loud_in_pause += loud > self._bursts[-1].level / 2
            pause = at + 1 - self._bursts[-1].end
            if pause > self._forget_steps:
                self._bursts.clear()
            elif self._active is None and self._loud_in_pause <= pause * _LOUD_IN_PAUSE:
                yield from self._compare_quiet(pause)
        if self._active is not None and at - self._last_end > self._patience():
            yield from self._stop(self._last_end)

    def _patience(self) -> int:
        """The longest pause; of busy and congestion tone a burst may be spoilt, and a pause more is waited."""
        pause = _most(self._longest(1)) + _END_STEPS
        spoilt = self._active is not None and self._active.periods > 1
        return pause + spoilt * (_most(self._longest(0)) + pause)

    def _compare_quiet(self, pause: int) -> Iterator[Change]:
        """The long quiet pause after one burst of ringback is enough: the next may never come."""
        for sought in self._sought:
            longest = max(sought.cadence[1::2])
            if sought.name == "ringback" and pause >= _least(longest):
                begin = _matched(self._bursts, self._bursts[-1].end + round(longest), sought)
                if begin is not None:
                    yield from self._start(sought, begin)
                    return


def _matched(bursts: Sequence[_Burst], until: int, sought: _Sought) -> int | None:
    """Where the tone began, if the last bursts and the pause before `until` are whole periods of it."""
    each = len(sought.cadence) // 2
    count = each * sought.periods
    last = list(bursts)[-count:]
    if len(last) < count or not all(burst.steady for burst in last):
        return None
    if any(not _same_level(last[at], last[at + each]) for at in range(count - each)):
        return None
    ends = [*(burst.begin for burst in last[1:]), until]
    lengths = [
        part for burst, end in zip(last, ends, strict=True) for part in (burst.end - burst.begin, end - burst.end)
    ]
    for turn in range(0, len(sought.cadence), 2):
        cadence = (sought.cadence[turn:] + sought.cadence[:turn]) * sought.periods
        if all(map(_fits, lengths, cadence)):
            return _dated_back(list(bursts)[:-count], last[0].begin, sought.cadence)
    return None


def _dated_back(earlier: list[_Burst], begin: int, cadence: tuple[float, ...]) -> int:
    """Bursts before those that were compared: noise has bent them, or the feed began within one."""
    for burst in reversed(earlier):
        if not any(_fits(begin - burst.end, off) for off in cadence[1::2]):
            break
        if burst.end - burst.begin > _most(max(cadence[::2])):
            break
        begin = burst.begin
    return begin


class _NotesFollower:
    """Follows the three notes of an information tone, each in its own band."""

    def __init__(self, note_steps: tuple[int, int]) -> None:
        self._shortest, self._longest = note_steps
        self._bands = (_Bursts(), _Bursts(), _Bursts())
        self._heard: list[_Burst] = []
        self._active = False
        self._last_end = 0

    @property
    def busy(self) -> bool:
        return self._active or len(self._heard) > 0 or any(band.on for band in self._bands)

    def sleep(self) -> None:
        for band in self._bands:
            band.sleep()

    def follow(self, window: int, on: list[list[bool]], levels: list[list[float]]) -> Iterator[Change]:
        for at in range(len(on[0])):
            for note in (0, 1, 2):
                turned = self._bands[note].add(window + at, on[note][at], levels[note][at])
                if isinstance(turned, _Burst):
                    yield from self._note_ended(note, turned)
            if self._heard and window + at - self._heard[-1].end > self._longest + _END_STEPS:
                self._heard.clear()
            if self._active and window + at - self._last_end > _NOTES_PAUSE_STEPS and not self._bands[0].on:
                self._active = False
                yield self._last_end, "sit", False

    def _note_ended(self, note: int, burst: _Burst) -> Iterator[Change]:
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


def _follows(burst: _Burst, before: _Burst) -> bool:
    at_once = -_NOTES_GAP_STEPS <= burst.begin - before.end <= _NOTES_GAP_STEPS
    return at_once and 0.1 < burst.level / before.level < 10


_Ear = _Follower | _NotesFollower


def _fits(length: float, nominal: float) -> bool:
    return abs(length - nominal) <= nominal * _CADENCE_TOLERANCE + _SLACK_STEPS


def _most(nominal: float) -> int:
    return math.floor(nominal * (1 + _CADENCE_TOLERANCE) + _SLACK_STEPS)


def _least(nominal: float) -> int:
    return math.ceil(nominal * (1 - _CADENCE_TOLERANCE) - _SLACK_STEPS)


def _same_level(one: _Burst, other: _Burst) -> bool:
    return 1 / _SAME_LEVEL < one.level / other.level < _SAME_LEVEL


def _highest_around(parts: Matrix) -> Matrix:
    """The highest of each window, the ten before it and the two after it."""
    highest, reach = parts, 1
    while reach < _BACK_STEPS + 1 + _LOOK_STEPS:
        shift = min(reach, _BACK_STEPS + 1 + _LOOK_STEPS - reach)
        highest = np.maximum(highest[:-shift], highest[shift:])
        reach += shift
    return highest


@dataclass(frozen=True, slots=True)
class _Plan:
    """What to listen for in a country, in steps and bands.

    chords: the bands of each pitch that call-progress tones have; followed like the two fax bands after them.
    other_bands: CNG, CED, then the three notes.
    """

    chords: list[tuple[Band, ...]]
    other_bands: list[Band]
    followers: list[tuple[list[_Sought], tuple[ToneName, int] | None]]
    note_steps: tuple[int, int]


def _plan(country: Country) -> _Plan:
    by_chord: dict[tuple[Band, ...], list[Tone]] = {}
    for tone in country.tones:
        bands = _bands_of(tone.frequencies_hz)
        by_chord.setdefault(bands, []).append(tone)
    by_chord = dict(sorted(by_chord.items(), key=lambda item: len(item[0])))
    followers = [
        (_cadenced(tones), _continuous(tones, _longest_within(chord, country.tones)))
        for chord, tones in by_chord.items()
    ]
    notes = country.information_tones
    lengths = [length for tone in notes for length in tone.notes_s]
    return _Plan(
        chords=list(by_chord),
        other_bands=[_CNG_BAND, _CED_BAND, *(_note_band([tone.notes_hz[note] for tone in notes]) for note in range(3))],
        followers=[*followers, ([_Sought("fax", _steps_of(_CNG_CADENCE_S), 1)], None), ([], ("fax", _CED_STEPS))],
        note_steps=(_least(_steps(min(lengths))), _most(_steps(max(lengths)))),
    )


def _bands_of(frequencies_hz: Sequence[float]) -> tuple[Band, ...]:
    """One band for each frequency; one for both if 40 ms cannot tell them apart."""
    bands = [(hz * (1 - _FREQUENCY_TOLERANCE), hz * (1 + _FREQUENCY_TOLERANCE)) for hz in sorted(frequencies_hz)]
    if len(bands) == 2 and bands[1][0] - bands[0][1] < _APART_HZ:
        return (_around(*bands),)
    return tuple(bands)


def _around(one: Band, other: Band) -> Band:
    return min(one[0], other[0]), max(one[1], other[1])


def _cadenced(tones: Sequence[Tone]) -> list[_Sought]:
    """Two periods of what ends a call, one of what does not."""
    return [
        _Sought(tone.name, _steps_of(tone.cadence_s), 2 if tone.name in {"busy", "congestion"} else 1)
        for tone in tones
        if tone.cadence_s
    ]


def _continuous(tones: Sequence[Tone], longest_burst_s: float) -> tuple[ToneName, int] | None:
    """A continuous tone is known when it lasts longer than any burst that it could be."""
    for tone in tones:
        if not tone.cadence_s:
            return tone.name, max(_most(_steps(longest_burst_s)) + _END_STEPS, _LEAST_CONTINUOUS_STEPS)
    return None


def _longest_within(chord: tuple[Band, ...], tones: Sequence[Tone]) -> float:
    alike = [tone for tone in tones if tone.cadence_s and _could_be(_bands_of(tone.frequencies_hz), chord)]
    return max((max(tone.cadence_s[::2]) for tone in alike), default=0.0)


def _could_be(bands: tuple[Band, ...], chord: tuple[Band, ...]) -> bool:
    return len(bands) == len(chord) and all(
        one[0] < other[1] and other[0] < one[1] for one, other in zip(bands, chord, strict=True)
    )


def _note_band(notes_hz: Sequence[float]) -> Band:
    return min(notes_hz) - _NOTE_TOLERANCE_HZ, max(notes_hz) + _NOTE_TOLERANCE_HZ


def _steps(seconds: float) -> float:
    return seconds * RATE_HZ / STEP_FRAMES


def _steps_of(cadence_s: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(map(_steps, cadence_s))


class _Spectrum:
    """The energy of each window of 40 ms in each chord and band, and in all above 200 Hz."""

    def __init__(self, chords: list[tuple[Band, ...]], other_bands: list[Band]) -> None:
        low = _shapes(_WINDOW_FRAMES, (0.0, _LOW_BAND_HZ), _LOW_SHAPES)
        bands = list(dict.fromkeys([*(band for chord in chords for band in chord), *other_bands]))
        parts = [*(_clean(_shapes(_WINDOW_FRAMES, band), low) for band in bands), low]
        self._shapes = np.ascontiguousarray(np.concatenate(parts, axis=1), dtype=np.float32)
        halves = [(band,) for chord in chords if len(chord) == 2 for band in chord]
        wanted = [*chords, *((band,) for band in other_bands), *halves]
        self.columns = len(wanted) + 1
        rows = [np.full((part.shape[1], 1), index) for index, part in enumerate(parts)]
        of_band = np.concatenate(rows)
        sums = [np.isin(of_band, [bands.index(band) for band in chord]) for chord in wanted]
        self._sums = np.concatenate([*sums, -1.0 * (of_band == len(bands))], axis=1).astype(np.float32)
        self._rest = np.zeros(STEP_FRAMES, np.int16)

    def add(self, samples: Pcm) -> Matrix:
        """Shape (windows, columns): chords, other bands, both halves of each pair, all above 200 Hz."""
        samples = np.concatenate((self._rest, samples))
        count = samples.size // STEP_FRAMES - 1
        self._rest = samples[count * STEP_FRAMES :].copy()
        if not count:
            return np.empty((0, self.columns), np.float32)
        steps = samples[: (count + 1) * STEP_FRAMES].astype(np.float32)
        windows = np.ndarray((count, _WINDOW_FRAMES), np.float32, steps, strides=(4 * STEP_FRAMES, 4))
        found = windows @ self._shapes
        energies: Matrix = (found * found) @ self._sums
        energies[:, -1] += np.vecdot(windows, windows)
        return energies


def _shapes(frames: int, band: Band, count: int | None = None) -> npt.NDArray[np.float64]:
    """The Slepian sequences of a band: the first eigenvectors of its kernel."""
    width, centre = (band[1] - band[0]) / RATE_HZ, (band[1] + band[0]) / 2 / RATE_HZ
    apart = np.arange(frames)[:, None] - np.arange(frames)
    if band[0] == 0:
        kernel = 2 * width * np.sinc(2 * width * apart)
    else:
        kernel = 2 * width * np.sinc(width * apart) * np.cos(2 * np.pi * centre * apart)
    _values, vectors = np.linalg.eigh(kernel)
    return vectors[:, -(count or 2 * math.ceil(width * frames + 1)) :]


def _clean(shapes: npt.NDArray[np.float64], low: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Shapes without anything of the low band, so that hum is in none of them."""
    return np.linalg.qr(shapes - low @ (low.T @ shapes))[0]
