"""The ringing voltage, as it couples into the audio of a line: one change when a burst begins, one when it ends.

Pure. Exchanges ring with 20 Hz to 50 Hz and up to 90 V; what of it gets through a coupler is a low tone, often
clipped (which adds its odd multiples), or, where the coupler stops all below 200 Hz, only a click at every edge.
Three ears for each frequency of the country, whichever hears it first:

* The tone itself: the energy of windows of 120 ms in a band around the frequency, after hum and its overtones
  have been taken out, against the noise of that band and against all else below 45 Hz.
* The clicks: they come at every half wave, up and down in turn, and so are made of odd multiples of the
  frequency only; hum and its overtones are even multiples of 25 Hz. Five of the eight multiples between 200 Hz
  and 600 Hz must stand out from what lies beside them; a voice, whose own multiples are 70 Hz and more apart,
  has three of them at the most.
* Where the ring is as fast as the mains (50 Hz), nothing but its coming and going tells it, or its clicks, from hum: a
  burst is told only when it has ended, and was five times as strong as the hum before and as long as it should be, or
  came when it was due. It is one line in the spectrum, and twice as strong as what lies beside it: noise that sets in
  when somebody picks up is not.

Cadences and frequencies are in `countries`. What a ring means is left to whoever asks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from appliance.recorder.ear.bands import Matrix, Shapes, Windows
from appliance.recorder.ear.bursts import (
    AHEAD_STEPS,
    BACK_STEPS,
    Burst,
    Bursts,
    fits,
    highest_around,
    most,
    steady,
    steps_in,
)
from appliance.recorder.ear.countries import Country
from appliance.recorder.ear.signals import STEP_FRAMES, Pcm, Span
from appliance.terms import RATE_HZ

_SLOWER = 4
"""2 kHz: of what that folds down, multiples of a ring stay odd or even, and what falls on a ring itself, from
around 2 kHz, is 37 dB down."""
_SLOW_RATE_HZ = RATE_HZ // _SLOWER
_SLOW_STEP_FRAMES = STEP_FRAMES // _SLOWER
_TONE_STEPS = 6
_CLICK_STEPS = 8
_EDGE_FRAMES = (_CLICK_STEPS - _TONE_STEPS) // 2 * _SLOW_STEP_FRAMES
_BATCH_STEPS = 16
"""Nothing here is so urgent that it could not wait for 320 ms, and half the processor time is saved."""
_FREQUENCY_TOLERANCE = 0.1
"""EN 300 001: 25 Hz within 2 Hz or so; small exchanges keep to it less well."""
_MAINS_TOLERANCE_HZ = 0.5
_MAINS_ORDERS = 4
_NEIGHBOURS_HZ = range(8, 45, 3)
"""Hum is taken out with three overtones and half a hertz to both sides, more than the mains ever wander."""
_BESIDE_MAINS = (0.5, 0.6, 0.7, 1.3, 1.4, 1.5)
"""Of a ring as fast as the mains: what lies beside it, clear of its own multiples."""

_ABOVE_NOISE = 5.0
"""A ring 10 dB above the noise is eleven times as strong. Noise is five times its median in one window of a
thousand, and not for 200 ms on end."""
_ABOVE_HUM = 5.0
_ALONE_ABOVE_HUM = 25.0
_LEAST_ALONE_DBFS = -45.0
"""Ringing is 25 V and more where speech is below 1 V, and hum between the wires less still: what comes alone and is too
short must be 14 dB above the hum, and as loud as speech."""
_HUM_KNOWN_BATCHES = 16
"""The hum of a line that has just been opened is known after five seconds."""
_SHARE = 0.7
"""Of all between 8 Hz and 44 Hz: a thump is spread over it."""
_SHARE_OF_ALL = 0.02
_SHARE_OF_ALL_AS_MAINS = 0.1
"""What comes and goes with a loud tone is what its ends spill over the band: -25 dB and less."""
_ABOVE_BESIDE_AS_MAINS = 2.0
"""A ring is a line in the spectrum; noise that sets in when somebody picks up, be it pink, is as strong beside it."""
_PART = 0.3
"""As in `tones`: a window half filled holds a quarter."""
_SHORTEST_S = 0.3
_TOLD_STEPS = 10
"""The shortest bursts have 300 ms, of which a window of 120 ms sees 240 ms well filled."""

_ODD_ORDERS = np.arange(9, 25, 2)
"""Of 25 Hz these are 225 Hz to 575 Hz."""
_ODD_ORDERS_AS_MAINS = np.arange(5, 21, 2)
"""Of 50 Hz 250 Hz to 950 Hz, where hum has multiples of its own, which neither come nor go."""
_DETUNED = (1.0, 0.98, 1.02)
"""At 575 Hz a window of 160 ms sees 1 % off, so three combs see 3 %."""
_STANDS_OUT = 5.0
_STANDING_OUT = 5
"""In white noise one multiple stands out so far by chance in 21 times, five of eight in 100,000 windows."""

_FULL_SCALE = _TONE_STEPS * STEP_FRAMES * _SLOWER * 32768.0**2
"""Four samples are added up to one, so there is a quarter of them and each is four times as high."""
_LEAST = _FULL_SCALE * 10**-8.5
_LEAST_CLICKS = _CLICK_STEPS * STEP_FRAMES * _SLOWER * (58.0 / 2) ** 2
"""-61 dBFS: 6 dB below what may pass for speech, as some of it lies above 1 kHz."""
_LEAST_ALONE = _FULL_SCALE * 10 ** (_LEAST_ALONE_DBFS / 10)
_FIRST_NOISE = _FULL_SCALE * 10**-6.8
_NOISE_RATE = 1.15
"""Each 320 ms move the noise by this towards what was heard: it settles on the median, 2 dB a second."""
_HURRY_BATCHES = 4
"""At first by more, up to double: nothing is known yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RingChange:
    """A burst of ringing has begun or ended. at_frame: where; counted from the first sample ever fed."""

    at_frame: int
    on: bool


class RingListener:
    """The ear for ringing of one line. Feed it every block in order; blocks of any length are welcome."""

    def __init__(self, country: Country) -> None:
        ringing = country.ringing
        own = [hz for hz in ringing.frequencies_hz if abs(hz - country.mains_hz) > _FREQUENCY_TOLERANCE * hz]
        as_mains = [hz for hz in ringing.frequencies_hz if hz not in own]
        lengths = [
            steps_in(length) for cadence in ringing.cadences_s for length in cadence[::2] if length >= _SHORTEST_S
        ]
        pauses = [steps_in(pause) for cadence in ringing.cadences_s for pause in cadence[1::2]]
        longest = most(max(lengths))
        self._tones = _Tones(own, as_mains, country.mains_hz)
        self._clicks = _Clicks(own, as_mains)
        self._tone_ears = [
            *(_Ear(_ABOVE_NOISE, longest) for _ in own),
            *(_Ear(_ABOVE_HUM, longest, lengths, pauses, alone=_ALONE_ABOVE_HUM) for _ in as_mains),
        ]
        self._click_ears = [
            *(_Ear(0.0, longest) for _ in own),
            *(_Ear(_ABOVE_HUM, longest, lengths, pauses, alone=_ALONE_ABOVE_HUM) for _ in as_mains),
        ]
        self._windows = Windows(_CLICK_STEPS, _BATCH_STEPS, _SLOWER)
        self._window = 0
        self._owner: _Ear | None = None
        self._last_end = 0
        self.cut: Span | None = None
        """A burst as fast as the mains that ended in the newest samples, too short to be told: a ring that somebody
        has answered, or none."""

    @property
    def ringing(self) -> bool:
        """A burst is on, or has probably begun. Clicks, which may pass for speech, show in their first 200 ms, the tone
        itself in its first half second. After its end the tone keeps it true for 120 ms, clicks for half a second."""
        newest = self._windows.newest
        clicks = self._clicks.heard_in(newest)
        if any(ear.likely for ear in self._click_ears):
            return True
        if any(level > ear.limit for ear, level in zip(self._click_ears, clicks, strict=False)):
            return True
        if not any(ear.likely for ear in self._tone_ears):
            return False
        levels = self._tones.heard_in(newest)
        return any(ear.likely and level > ear.limit for ear, level in zip(self._tone_ears, levels, strict=True))

    @property
    def undecided(self) -> int | None:
        """Where a burst began that is as fast as the mains and goes on: a ring, or hum that has come to stay."""
        ears = (*self._tone_ears, *self._click_ears)
        begun = [ear.undecided for ear in ears if ear.undecided is not None]
        return max(_frame_of(min(begun)), 0) if begun else None

    @property
    def _is_on(self) -> bool:
        return any(ear.likely for ears in (self._tone_ears, self._click_ears) for ear in ears)

    def hear(self, samples: Pcm, *, listens: bool = True) -> list[RingChange]:
        """Take in the next samples of the line.

        Args:
            samples: int16, shape (frames,). What does not fill a 20 ms step waits for the next block.
            listens: False where no ring can begin.
        """
        windows = self._windows.add(samples)
        self.cut = None
        first = self._window - AHEAD_STEPS
        self._window += len(windows)
        if not len(windows) or not (listens or self._is_on):
            return []
        changes: list[RingChange] = []
        # A shorter window in the middle of the longer one.
        for heard, ears, part in (
            (self._tones, self._tone_ears, windows[:, _EDGE_FRAMES:-_EDGE_FRAMES]),
            (self._clicks, self._click_ears, windows),
        ):
            for ear, levels, likely in zip(ears, *heard.add(part), strict=True):
                for window, on in ear.follow(first, levels, likely):
                    changes += self._told(ear, _frame_of(window), on)
                if ear.cut is not None and self._owner is None:
                    self.cut = _frame_of(ear.cut.begin), _frame_of(ear.cut.end)
        return changes

    def _told(self, ear: _Ear, at_frame: int, on: bool) -> Iterator[RingChange]:
        """A burst that two ears have heard is told once."""
        at_frame = max(at_frame, 0)
        if on and self._owner is None and at_frame >= self._last_end:
            self._owner = ear
            yield RingChange(at_frame=at_frame, on=True)
        elif not on and self._owner is ear:
            self._owner = None
            self._last_end = at_frame
            yield RingChange(at_frame=at_frame, on=False)


class _Ear:
    """Follows one frequency in one form.

    above: so many times stronger than before a ring must be.
    fitting: lengths in steps, one of which a burst must have before it is told; empty if it is told at once.
    pauses: in steps; a burst that comes after one of them may be shorter: somebody has picked up, or hung up.
    alone: so many times stronger than before is a shorter one without a pause before it.
    """

    def __init__(
        self,
        above: float,
        longest: int,
        fitting: Sequence[float] = (),
        pauses: Sequence[float] = (),
        *,
        alone: float = math.inf,
    ) -> None:
        self._above = above
        self._alone = alone
        self._longest = longest
        self._fitting = fitting
        self._shortest = min(fitting, default=0)
        self._pauses = pauses
        self._last_end: int | None = None
        self._bursts = Bursts()
        self._noise = _FIRST_NOISE
        self._batches = 0
        self._told = False
        self._spent = False
        self.cut: Burst | None = None
        """A burst that ended in what was followed last, and is shorter than any."""

    @property
    def likely(self) -> bool:
        return (self._bursts.on and not self._spent) or self._bursts.begins

    @property
    def undecided(self) -> int | None:
        """The window in which a burst began that can be told only when it has ended."""
        return self._bursts.since if self._fitting and self._bursts.on else None

    @property
    def limit(self) -> float:
        return self._above * self._noise

    def follow(self, window: int, levels: list[float], likely: list[bool]) -> Iterator[tuple[int, bool]]:
        self.cut = None
        limit = self.limit
        on = [could_be and level > limit for level, could_be in zip(levels, likely, strict=True)]
        if self._bursts.on or True in on:
            for at, (sounds, level) in enumerate(zip(on, levels, strict=True), window):
                turned = self._bursts.add(at, sounds, level)
                if isinstance(turned, Burst):
                    yield from self._ended(turned)
                elif sounds and self._bursts.on and not self._fitting:
                    yield from self._lasts(at)
        else:
            self._bursts.sleep()
        usual = max(sorted(levels)[len(levels) // 2], _LEAST)
        if not self._bursts.on:
            self._learn_noise(usual)
        elif window - self._bursts.since > self._longest:
            # Nobody rings for so long: it is what the line will sound like from now on.
            self._noise = usual

    def _lasts(self, at: int) -> Iterator[tuple[int, bool]]:
        length = at + 1 - self._bursts.since
        if not self._told and not self._spent and length >= _TOLD_STEPS and steady(self._bursts.levels):
            self._told = True
            yield self._bursts.since, True
        if length > self._longest:
            self._spent = True
            if self._told:
                self._told = False
                yield at, False

    def _ended(self, burst: Burst) -> Iterator[tuple[int, bool]]:
        length = burst.end - burst.begin
        is_ring = self._is_whole(length) or self._is_due(burst.begin, length) or self._is_strong(burst.level, length)
        if self._fitting and burst.steady and is_ring:
            self._last_end = burst.end
            yield burst.begin, True
            yield burst.end, False
        elif self._told:
            yield burst.end, False
        elif self._fitting and burst.steady and _TOLD_STEPS <= length < self._shortest:
            self.cut = burst
        self._told = self._spent = False

    def _is_whole(self, length: int) -> bool:
        return any(fits(length, nominal) for nominal in self._fitting)

    def _is_due(self, begin: int, length: int) -> bool:
        pause = begin - self._last_end if self._last_end is not None else 0
        return _TOLD_STEPS <= length <= self._longest and any(fits(pause, nominal) for nominal in self._pauses)

    def _is_strong(self, level: float, length: int) -> bool:
        if self._batches < _HUM_KNOWN_BATCHES or not _TOLD_STEPS <= length <= self._longest:
            return False
        return level > max(self._alone * self._noise, _LEAST_ALONE)

    def _learn_noise(self, level: float) -> None:
        self._batches += 1
        rate = max(_NOISE_RATE, 1 + _HURRY_BATCHES / (_HURRY_BATCHES + self._batches))
        self._noise = min(self._noise * rate, level) if level > self._noise else max(self._noise / rate, level)


def _frame_of(window: int) -> int:
    return window * STEP_FRAMES - (_CLICK_STEPS - 1) * STEP_FRAMES // 2


Heard = tuple[list[list[float]], list[list[bool]]]
"""For each frequency how strong it is, and whether it could be a ring at all."""


class _Tones:
    """Rings whose own frequency gets through."""

    def __init__(self, own_hz: Sequence[float], as_mains_hz: Sequence[float], mains_hz: float) -> None:
        frames = _TONE_STEPS * _SLOW_STEP_FRAMES
        hum = _sines(
            frames,
            [
                order * mains_hz + by
                for order in range(1, 1 + _MAINS_ORDERS)
                for by in (-_MAINS_TOLERANCE_HZ, _MAINS_TOLERANCE_HZ)
            ],
        )
        bands = [_but(hum, _sines(frames, [hz * factor for factor in (0.9, 0.95, 1.0, 1.05, 1.1)])) for hz in own_hz]
        bands += [_sines(frames, [hz * factor for factor in (0.95, 1.0, 1.05)]) for hz in as_mains_hz]
        as_mains = slice(len(own_hz), len(bands))
        bands += [
            _but(ring, _sines(frames, [hz * factor for factor in _BESIDE_MAINS]))
            for ring, hz in zip(bands[as_mains], as_mains_hz, strict=True)
        ]
        self._beside = slice(as_mains.stop, len(bands))
        bands += [_but(hum, _sines(frames, list(_NEIGHBOURS_HZ))), hum]
        self._own, self._as_mains = slice(0, len(own_hz)), as_mains
        self._shapes = np.concatenate(bands, axis=1).astype(np.float32)
        self._starts = [0, *np.cumsum([band.shape[1] for band in bands])[:-1].tolist()]
        self._recent: Matrix = np.zeros((BACK_STEPS + AHEAD_STEPS, len(bands) + 1), np.float32)

    def add(self, windows: Matrix) -> Heard:
        energies = np.concatenate((self._recent, self._energies(windows)))
        self._recent = energies[-BACK_STEPS - AHEAD_STEPS :]
        here = energies[BACK_STEPS:-AHEAD_STEPS]
        rings = here[:, : self._as_mains.stop]
        likely = self._stand_out(here) & (rings > _PART * highest_around(energies)[:, : self._as_mains.stop])
        return rings.T.tolist(), likely.T.tolist()

    def heard_in(self, windows: Matrix) -> list[float]:
        """How strong each frequency is in the end of one window; 0 where it could be no ring."""
        energies = self._energies(windows[:, -len(self._shapes) :])
        strengths: list[float] = (energies[0, : self._as_mains.stop] * self._stand_out(energies)[0]).tolist()
        return strengths

    def _energies(self, windows: Matrix) -> Matrix:
        """Shape (windows, columns): rings, beside those as fast as the mains, neighbours of all, all but hum, all."""
        found = windows @ self._shapes
        everything = np.vecdot(windows, windows)
        energies = np.add.reduceat(found * found, self._starts, axis=1)
        energies[:, -1] = everything - energies[:, -1]
        return np.concatenate((energies, everything[:, None]), axis=1)

    def _stand_out(self, energies: Matrix) -> npt.NDArray[np.bool_]:
        own, as_mains = self._own, self._as_mains
        rings, beside = energies[:, : as_mains.stop], energies[:, self._beside]
        neighbours, but_hum, everything = energies[:, -3:].T[:, :, None]
        stand_out = np.empty(rings.shape, np.bool_)
        stand_out[:, own] = rings[:, own] > np.maximum(_SHARE * neighbours, _SHARE_OF_ALL * but_hum)
        stand_out[:, as_mains] = rings[:, as_mains] > np.maximum(
            _ABOVE_BESIDE_AS_MAINS * beside, _SHARE_OF_ALL_AS_MAINS * everything
        )
        return stand_out


class _Clicks:
    """Rings of which only clicks get through: odd multiples of the frequency, and nothing between them."""

    def __init__(self, own_hz: Sequence[float], as_mains_hz: Sequence[float]) -> None:
        kinds = [*((hz, _ODD_ORDERS) for hz in own_hz), *((hz, _ODD_ORDERS_AS_MAINS) for hz in as_mains_hz)]
        self._shapes = [[_combs(hz * by, orders) for by in _DETUNED] for hz, orders in kinds]
        self._recent: Matrix = np.zeros((BACK_STEPS + AHEAD_STEPS, len(kinds)), np.float32)
        self._sounded = False

    def add(self, windows: Matrix) -> Heard:
        if not self._shapes:
            return [], []
        # Clicks need no closer look than every other window.
        odd = [self._strength(windows[1::2], combs) for combs in self._shapes]
        if not self._sounded and not any(strength.any() for strength in odd):
            return [[0.0] * len(windows)] * len(odd), [[False] * len(windows)] * len(odd)
        energies = np.concatenate((self._recent, np.repeat(np.stack(odd, axis=1), 2, axis=0)))
        self._recent = energies[-BACK_STEPS - AHEAD_STEPS :]
        here = energies[BACK_STEPS:-AHEAD_STEPS]
        self._sounded = bool(self._recent.any())
        likely = (here > 0) & (here >= _PART * highest_around(energies))
        return here.T.tolist(), likely.T.tolist()

    def heard_in(self, windows: Matrix) -> list[float]:
        """How strong the clicks of each frequency are at most; none if all is too quiet."""
        if not (np.vecdot(windows, windows) > _LEAST_CLICKS).any():
            return []
        return [float(self._strength(windows, combs).max(initial=0)) for combs in self._shapes]

    def _strength(self, windows: Matrix, combs: list[Matrix]) -> Matrix:
        strength = np.zeros(len(windows), np.float32)
        for comb in combs:
            found = (windows @ comb) ** 2
            count = len(_ODD_ORDERS)
            energies = found[:, : 2 * count + 1] + found[:, 2 * count + 1 :]
            odd, beside = energies[:, 1::2], energies[:, ::2]
            stands_out = (odd > _STANDS_OUT * beside[:, :-1]) & (odd > _STANDS_OUT * beside[:, 1:])
            standing_out = stands_out.sum(axis=1)
            most_out = standing_out.max()
            if most_out >= _STANDING_OUT:
                strength = np.maximum(strength, odd.sum(axis=1) * (standing_out >= _STANDING_OUT))
            if most_out < _STANDING_OUT - 2:
                break
        return strength


def _combs(hz: float, odd_orders: npt.NDArray[np.int_]) -> Matrix:
    """Cosines, then sines: beside the lowest odd multiple, at it, beside it, at the next ..."""
    frames = _CLICK_STEPS * _SLOW_STEP_FRAMES
    orders = np.sort(np.concatenate((odd_orders, odd_orders + 0.5, [odd_orders[0] - 0.5])))
    phase = 2 * np.pi * hz * orders * np.arange(frames)[:, None] / _SLOW_RATE_HZ
    waves = np.concatenate((np.cos(phase), np.sin(phase)), axis=1) * np.hanning(frames)[:, None]
    combs: Matrix = (waves / np.sqrt(frames * 3 / 16)).astype(np.float32)
    return combs


def _sines(frames: int, frequencies_hz: Sequence[float]) -> Shapes:
    """What spans all sines of these frequencies and those between them, shape (frames, count)."""
    phase = 2 * np.pi * np.asarray(frequencies_hz) * np.arange(frames)[:, None] / _SLOW_RATE_HZ
    shapes, sizes, _rest = np.linalg.svd(np.concatenate((np.cos(phase), np.sin(phase)), axis=1), full_matrices=False)
    return shapes[:, sizes > 0.1 * sizes[0]]


def _but(hum: Shapes, shapes: Shapes) -> Shapes:
    """`shapes` without what of them lies in hum."""
    cleaned = shapes - hum @ (hum.T @ shapes)
    directions, sizes, _rest = np.linalg.svd(cleaned, full_matrices=False)
    return directions[:, sizes > 0.1]
