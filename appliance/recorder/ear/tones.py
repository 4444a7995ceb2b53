"""Call-progress tones, information tones and the calls of fax machines, heard on a line.

Pure. Blocks of int16 go in; what is told is only what is certain, dated back to where it could first be heard:
a busy tone when its cadence has come back, and after a second at least, because it ends a call.

Every 20 ms the last 40 ms are projected on the Slepian sequences of the narrow bands in which the country's
tones lie (D. Slepian, Bell System Technical Journal 57, 1978; within 2 % of each frequency), after all below
200 Hz, where hum is, has been taken out of them. A tone is on where that projection holds a good share of
the energy above 200 Hz and at least a third of the highest energy around: a window half filled by a tone holds
a quarter of its energy there, so bursts keep their length. What is steady for the length of a burst, and the
same again after the right quiet pause, is compared with the cadences of the country (ITU-T E.180
supplement 2), each length within 15 %.

Fax: CNG, 1100 Hz within 38 Hz, 0.5 s every 3 s, and CED, 2100 Hz within 15 Hz for 2.6 s and more, told after 1 s
(ITU-T T.30); modems answer on 2100 Hz too (ITU-T V.25), some with a reversed phase every 450 ms.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from appliance.recorder.ear.bands import Band, Matrix, Windows, shapes_of, without
from appliance.recorder.ear.bursts import (
    AHEAD_STEPS,
    BACK_STEPS,
    BEGIN_STEPS,
    END_STEPS,
    highest_around,
    least,
    most,
    steps_in,
)
from appliance.recorder.ear.countries import Country, Tone
from appliance.recorder.ear.signals import STEP_FRAMES, Pcm
from appliance.recorder.ear.tone_cadences import Change, Ear, NotesFollower, Sought, ToneFollower, ToneName

Flags = npt.NDArray[np.bool_]

_WINDOW_STEPS = 2
_WINDOW_FRAMES = _WINDOW_STEPS * STEP_FRAMES
_AGAIN_STEPS = BEGIN_STEPS - 1
_BEFORE_STEPS = _AGAIN_STEPS + BACK_STEPS

_FREQUENCY_TOLERANCE = 0.02
_APART_HZ = 15.0
"""Bands closer than this are one: in 40 ms nothing tells them apart."""
_NARROW_HZ = 40.0
"""So far and further a single tone spills."""
_LOW_BAND_HZ = 200.0
_LOW_SHAPES = 22
"""2 * 200 Hz * 40 ms = 16 shapes fill the band below 200 Hz, six more take its edge: hum goes down by 70 dB."""

_SHARE = 0.42
"""White noise at 3 dB SNR leaves a tone two thirds of all energy, babble at 6 dB rarely less than this."""
_OTHER_SHARE = 0.5
"""For fax tones and notes, above the loudest part of speech."""
_PART = 0.33
"""Of the highest energy around. A half filled window holds a quarter; a little more keeps babble out of pauses."""
_BALANCE = 0.1
"""Of two frequencies the weaker is at most 10 dB below the other: 6 dB of twist, and noise."""
_NEAREST = 0.8
"""A tone lies in the band that holds most of it; its neighbour, 25 Hz away, holds up to half."""
_HALF = 0.65
"""A pitch that is one of two that sound is not heard alone: it has half of what both have."""

_NOTE_TOLERANCE_HZ = 35.0
"""E.180 allows 50 Hz, at whose edge a window of 40 ms still sees most of a note."""
_CNG_BAND = (1062.0, 1138.0)
_CNG_CADENCE_S = (0.5, 3.0)
_CED_BAND = (2085.0, 2115.0)
_CED_STEPS = 50
_LEAST_CONTINUOUS_STEPS = 30
"""Dial tone where nothing else has its pitch: 600 ms."""

_TONAL_SHARE = 0.55
_TONAL_STEPS = 4
_TONAL_RIPPLE = 1.7
_TONAL_RIPPLE_OF_PAIRS = 2.8
"""Two frequencies 40 Hz apart beat: the energy of 40 ms swings to double and back."""

_FULL_SCALE = _WINDOW_FRAMES * 32768.0**2
_LEAST = np.float32(_FULL_SCALE * 10**-4.8)
"""Tones arrive at -35 dBFS and louder; 13 dB below is crosstalk from another line."""
_TOO_QUIET = _SHARE * _LEAST
"""All that sounds, hum and all: no band of a window holds as much as would be compared with anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToneChange:
    """A tone that is certain has begun or ended.

    at_frame: where it could first be heard, or where it ended; counted from the first sample ever fed.
    """

    at_frame: int
    name: ToneName
    on: bool


class ToneListener:
    """The ear for tones of one line. Feed it every block in order; blocks of any length are welcome."""

    def __init__(self, country: Country) -> None:
        plan = _plan(country)
        self._windows = Windows(_WINDOW_STEPS)
        self._spectrum = _Spectrum(plan.chords, plan.other_bands)
        self._columns = len(plan.chords) + len(plan.other_bands)
        single = sum(len(chord) == 1 for chord in plan.chords)
        self._single, self._pairs = slice(0, single), slice(single, len(plan.chords))
        self._share = np.array([_SHARE] * len(plan.chords) + [_OTHER_SHARE] * len(plan.other_bands), np.float32)
        self._followers = [ToneFollower(sought, least) for sought, least in plan.followers]
        self._notes = NotesFollower(plan.note_steps)
        self._recent = np.zeros((_BEFORE_STEPS + AHEAD_STEPS, self._spectrum.columns), np.float32)
        self._window = -AHEAD_STEPS
        self._wakes = False
        self._asleep = True
        self._sounding: tuple[Ear, ToneName] | None = None
        self._tonal = False

    @property
    def tonal(self) -> bool:
        """What sounded last is a tone, not speech: told within 120 ms, before it is known which tone."""
        return self._tonal

    @property
    def silent_since(self) -> int | None:
        """Where the last burst of what is certain ended: who speaks in the pause is no part of it. None: it sounds."""
        window = self._sounding[0].silent_since if self._sounding is not None else None
        return None if window is None else window * STEP_FRAMES

    def hear(self, samples: Pcm) -> list[ToneChange]:
        """Take in the next samples of the line.

        Args:
            samples: int16, shape (frames,). What does not fill a 20 ms step waits for the next block.
        """
        windows = self._windows.add(samples)
        if not len(windows):
            return []
        loudness = np.vecdot(windows, windows)
        if self._asleep and not self._wakes and loudness.max() < _TOO_QUIET:
            return self._hear_nothing(loudness)
        heard = self._spectrum.energies(windows, loudness)
        energies = np.concatenate((self._recent, heard))
        self._recent = energies[-_BEFORE_STEPS - AHEAD_STEPS :]
        shares: Matrix = energies[:, : self._columns] / np.maximum(energies[:, -1:], _LEAST)
        hot = shares > self._share
        long_hot = hot[:-4] & hot[1:-3] & hot[2:-2] & hot[3:-1] & hot[4:]
        self._wakes = bool(long_hot.any())
        self._tonal = self._wakes and self._sounds_tonal(energies, shares, long_hot[-1])
        changes = self._follow(energies, shares, hot) if self._wakes or not self._asleep else []
        self._window += len(heard)
        return changes

    def _hear_nothing(self, loudness: Matrix) -> list[ToneChange]:
        """None of these windows can hold a tone, so none is looked into."""
        heard = np.zeros((len(loudness), self._spectrum.columns), np.float32)
        heard[:, -1] = loudness
        self._recent = np.concatenate((self._recent, heard))[-_BEFORE_STEPS - AHEAD_STEPS :]
        self._window += len(heard)
        self._tonal = False
        return []

    def _sounds_tonal(self, energies: Matrix, shares: Matrix, long_hot: Flags) -> bool:
        last, shares = energies[-_TONAL_STEPS:], shares[-_TONAL_STEPS:]
        for column in np.flatnonzero(long_hot):
            pair = self._pairs.start <= column < self._pairs.stop
            ripple = last[:, column].max() / last[:, column].min()
            good = shares[:, column].min() > _TONAL_SHARE and ripple < (
                _TONAL_RIPPLE_OF_PAIRS if pair else _TONAL_RIPPLE
            )
            if good and (not pair or self._balanced(last)[:, column - self._pairs.start].all()):
                return True
        return False

    def _balanced(self, energies: Matrix) -> Flags:
        """Of each pair: both of its frequencies sound."""
        one, other = energies[:, self._columns : -1 : 2], energies[:, self._columns + 1 : -1 : 2]
        balanced: Flags = np.minimum(one, other) > _BALANCE * np.maximum(one, other)
        return balanced

    def _follow(self, energies: Matrix, shares: Matrix, hot: Flags) -> list[ToneChange]:
        """Who has been asleep hears the last windows again: a burst may have begun in them."""
        again = _AGAIN_STEPS if self._asleep else 0
        here = slice(_BEFORE_STEPS - again, -AHEAD_STEPS)
        parts = energies[:, : self._columns]
        on = hot[here] & (parts[here] > _PART * highest_around(parts[here.start - BACK_STEPS :]))
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
        everybody: tuple[Ear, ...] = (*self._followers, self._notes)
        self._asleep = not any(follower.busy for follower in everybody)
        if self._asleep:
            for follower in everybody:
                follower.sleep()

    def _choose(self, on: Flags, shares: Matrix, energies: Matrix) -> None:
        single = shares[:, self._single]
        best = single.max(axis=1, keepdims=True, initial=0) * _NEAREST
        if self._pairs.start < self._pairs.stop:
            on[:, self._pairs] &= self._balanced(energies)
            pairs = shares[:, self._pairs] * on[:, self._pairs]
            best = np.maximum(best, pairs.max(axis=1, keepdims=True) * _HALF)
        on[:, self._single] &= single >= best

    def _told(self, follower: Ear, change: Change) -> Iterator[ToneChange]:
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


class _Spectrum:
    """The energy of each window of 40 ms in each chord and band, and in all above 200 Hz."""

    def __init__(self, chords: list[tuple[Band, ...]], other_bands: list[Band]) -> None:
        low = shapes_of(_WINDOW_FRAMES, (0.0, _LOW_BAND_HZ), _LOW_SHAPES)
        bands = list(dict.fromkeys([*(band for chord in chords for band in chord), *other_bands]))
        parts = [*(without(low, shapes_of(_WINDOW_FRAMES, band)) for band in bands), low]
        self._shapes = np.ascontiguousarray(np.concatenate(parts, axis=1), dtype=np.float32)
        halves = [(band,) for chord in chords if len(chord) == 2 for band in chord]
        wanted = [*chords, *((band,) for band in other_bands), *halves]
        self.columns = len(wanted) + 1
        rows = [np.full((part.shape[1], 1), index) for index, part in enumerate(parts)]
        of_band = np.concatenate(rows)
        sums = [np.isin(of_band, [bands.index(band) for band in chord]) for chord in wanted]
        self._sums = np.concatenate([*sums, -1.0 * (of_band == len(bands))], axis=1).astype(np.float32)

    def energies(self, windows: Matrix, loudness: Matrix) -> Matrix:
        """Shape (windows, columns): chords, other bands, both halves of each pair, all above 200 Hz.

        loudness: the energy of each window.
        """
        found = windows @ self._shapes
        energies: Matrix = (found * found) @ self._sums
        energies[:, -1] += loudness
        return energies


@dataclass(frozen=True, slots=True)
class _Plan:
    """What to listen for in a country, in steps and bands.

    chords: the bands of each pitch that call-progress tones have; followed like the two fax bands after them.
    other_bands: CNG, CED, then the three notes.
    """

    chords: list[tuple[Band, ...]]
    other_bands: list[Band]
    followers: list[tuple[list[Sought], tuple[ToneName, int] | None]]
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
        followers=[*followers, ([Sought("fax", _steps_of(_CNG_CADENCE_S), 1)], None), ([], ("fax", _CED_STEPS))],
        note_steps=(least(steps_in(min(lengths))), most(steps_in(max(lengths)))),
    )


def _bands_of(frequencies_hz: Sequence[float]) -> tuple[Band, ...]:
    """One band for each frequency; one for both if 40 ms cannot tell them apart."""
    bands = [(hz * (1 - _FREQUENCY_TOLERANCE), hz * (1 + _FREQUENCY_TOLERANCE)) for hz in sorted(frequencies_hz)]
    if len(bands) == 2 and bands[1][0] - bands[0][1] < _APART_HZ:
        return (_around(*bands),)
    return tuple(bands)


def _around(one: Band, other: Band) -> Band:
    return min(one[0], other[0]), max(one[1], other[1])


def _cadenced(tones: Sequence[Tone]) -> list[Sought]:
    return [Sought(tone.name, _steps_of(tone.cadence_s), _bursts(tone)) for tone in tones if tone.cadence_s]


def _bursts(tone: Tone) -> int:
    """A period of what only informs; of what ends a call the next period's first burst too, and a second at least."""
    period = len(tone.cadence_s) // 2
    if tone.name not in {"busy", "congestion"}:
        return period
    return max(period + 1, math.ceil(period / sum(tone.cadence_s)))


def _continuous(tones: Sequence[Tone], longest_burst_s: float) -> tuple[ToneName, int] | None:
    """A continuous tone is known when it lasts longer than any burst that it could be."""
    for tone in tones:
        if not tone.cadence_s:
            return tone.name, max(most(steps_in(longest_burst_s)) + END_STEPS, _LEAST_CONTINUOUS_STEPS)
    return None


def _longest_within(chord: tuple[Band, ...], tones: Sequence[Tone]) -> float:
    alike = [tone for tone in tones if tone.cadence_s and _could_be(_bands_of(tone.frequencies_hz), chord)]
    return max((max(tone.cadence_s[::2]) for tone in alike), default=0.0)


def _could_be(bands: tuple[Band, ...], chord: tuple[Band, ...]) -> bool:
    if len(bands) == len(chord):
        return all(_overlap(one, other) for one, other in zip(bands, chord, strict=True))
    # A single tone spills into the other band of a pair that is so narrow.
    narrow = len(chord) == 2 and chord[1][0] - chord[0][1] < _NARROW_HZ
    return narrow and any(_overlap(one, other) for one in bands for other in chord)


def _overlap(one: Band, other: Band) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def _note_band(notes_hz: Sequence[float]) -> Band:
    return min(notes_hz) - _NOTE_TOLERANCE_HZ, max(notes_hz) + _NOTE_TOLERANCE_HZ


def _steps_of(cadence_s: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(map(steps_in, cadence_s))
