"""Keys that are pressed on a line: the sixteen pairs of tones (DTMF).

Pure. Samples of any length go in, each key comes out once.

A key is one of four low and one of four high tones together (ITU-T Q.23). A receiver takes a pair that lasts
40 ms, with pauses of 40 ms and both tones within 1.5 % of their frequency, and leaves what is shorter than
20 ms or off by more than 3.5 % (ITU-T Q.24, ETSI ES 201 235-3). The hard part is the human voice: its vowels
hit two of the eight tones many times an hour. Three looks tell them apart, each dearer than the one before
and taken on less of the sound:

1. Every 10 ms, the spectrum of the last 32 ms. Two looks in a row show the same pair, which holds a good part
   of the energy; neither tone lies far below the other, and no other line comes near the weaker one.
2. Over the last 107 ms, in pieces of 12.5 ms, the complex amplitude of both tones at the frequency that fits
   best. A sender's tones stand still: they begin together, keep their phase and have one level. What a voice
   hits drifts, and its parts come and go one by one.
3. What was measured is weighed into one number (logistic discriminant, D. R. Cox, 1958): above zero, the key
   is certain.

A hum of the mains is taken out first, as a wave (`mains.py`). Other lines that never fall silent, a dial tone or what
is left of a hum, are learned, and their power is taken out of what is compared with a key.

A key is told when it is certain, as a rule 35 ms to 45 ms after it began and not when it ends: a person waits
for what the key does. While it is held it is not told again, nor after an interruption of 10 ms (ITU-T Q.24).
Nor is its echo. One that a voice masks when it begins is told when it comes out.

What a key means, and which side pressed it, is left to others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

from appliance.recorder.ear.mains import Mains
from appliance.recorder.ear.signals import Pcm
from appliance.terms import BLOCK_FRAMES, RATE_HZ

LOW_HZ = (697, 770, 852, 941)
HIGH_HZ = (1209, 1336, 1477, 1633)
DIGITS = "123A456B789C*0#D"
"""Row by row: the digit of low tone i and high tone j stands at 4 i + j (ITU-T Q.23)."""

LEAST_DBM0 = -46.0
"""Of one tone: 6 dB below the faintest that must be heard. What is fainter still is crosstalk from other lines."""

DBM0_OF_FULL_SCALE_SINE = 3.14
"""ITU-T G.711, A-law: the card is taken to be set so that its full scale is that of the digital network."""

STEP_FRAMES = 80
"""10 ms: from one look to the next."""

_STEPS = BLOCK_FRAMES // STEP_FRAMES
_WINDOW = 256
_PIECE = 100
_PIECE_STEP = 40
_PIECES = 20
"""12.5 ms every 5 ms: shorter pieces take in a hum's overtones, longer ones blur where a key begins."""
_MEMORY = _PIECE + _PIECE_STEP * (_PIECES - 1)

SHORTEST_PIECES = 6
"""Pieces in a row that hold both tones: 30 ms. A tone of 20 ms fills four or five, one of 40 ms seven or eight."""

_MUCH_BELOW, _LITTLE_ELSE = 10**-0.1, 10**-1.2
"""Much energy below the tones, nothing else: a high voice's harmonics are like that. 15 ms more are waited for."""

_NO_VOICE = np.float32(10**1.5)
"""A line that is known to be so much steadier than the least has sounded for half a second on end: of a hum that is
still being learned, and no voice's."""

_LEAST_SHARE = 0.45
"""Of the energy between 500 Hz and 3400 Hz. In white noise as loud as the key it is 0.46 and more."""

_MOST_TWIST = 10**1.15
"""11.5 dB between the tones: 8 dB as asked for, and noise on both."""

_LOUDEST_RIVAL = 10**-0.2
"""-2 dB to the weaker tone. With a louder one hardly any key would become certain."""

_MOST_DEVIATION = 0.0215
"""Some standards ask for 1.8 %, and noise adds 0.2 %."""
_DEVIATIONS = np.linspace(-0.04, 0.04, 33)

_FALLEN, _FALLEN_STEPS = 10**-0.8, 2
"""A tone 8 dB weaker than when told, for two steps, has ended: 40 ms of pause give three, 10 ms one at most."""

_ECHO, _ECHO_FRAMES = 10**-0.7, RATE_HZ // 2
"""The same key 7 dB weaker within half a second is its echo: whoever presses twice is as loud again."""

Reals = npt.NDArray[np.float32]
Phasors = npt.NDArray[np.complex64]
Numbers = npt.NDArray[np.intp]

_TONES_HZ = np.array(LOW_HZ + HIGH_HZ)
_LEAST_POWER = (32767 * 10 ** ((LEAST_DBM0 - DBM0_OF_FULL_SCALE_SINE) / 20)) ** 2
"""Powers are squared amplitudes in sample values."""

_LEAST_STEADY = np.float32(_LEAST_POWER / 100)
_STEADY_RISE = np.float32(10**0.3)
"""3 dB a block: what begins to hum is learned in two seconds, long after a key that begins was told."""

_QUIET = _LEAST_POWER / 4 * _WINDOW / 4
"""All lines of a window hold at most eight times the mean square of its samples (Parseval), and a key has two tones: if
no step has a quarter of that, and a window touches four, there is nothing to look at."""

WEIGHTS = np.array([-2.6, -4.79, -3.32, -3.82, -2.71, -2.88, 2.1, -2.57, 2.21, -13.06], np.float32)
BIAS = -18.2
"""Found by tests.bench.keys_weights: keys in noise, babble and hum on one side, 58 hours of speech on the other.

In this order: impurity of the worse and of the better tone; deviation of the low and of the high one, in percent; by
how many pieces one lasts longer; energy below both, beside the low one, beside the high one, at twice the high one; the
strongest other line. Energies, as ratios to the tone's own, and impurities are taken as logarithms. Zero lies above the
heaviest step of all that speech."""

_MOST = np.array([100, 10, 10, 10, 10], np.float32)
PIECE_WEIGHT = 0.3
WEIGHED_PIECES = 5
"""For each further 5 ms in which both tones stand still. In speech the heaviest steps lose more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """Steps that deserve the second look: which of the block; of each its pair, the places of the two tones and the
    power they hold, the power of all lines, that of those below the tones which may be a voice's, and the strongest
    other one as a ratio to the weaker tone."""

    sound: Reals
    steps: Numbers
    pairs: Numbers
    tones: Numbers
    lines: Reals
    below: Reals
    held: Reals
    rivals: Reals


class Side(Enum):
    """Where a key came from."""

    LINE = "line"
    """Two wires: nobody can tell."""
    NEAR = "near"
    FAR = "far"
    UNCLEAR = "unclear"
    """The sides are apart, and still nobody can tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key press.

    first_frame: where both tones began, to 5 ms; one that was in the noise at first begins later.
    end_frame: where it was certain. The tones may go on.
    digit: one of 0-9 * # A-D.
    """

    first_frame: int
    end_frame: int
    digit: str
    side: Side = Side.LINE


class KeyListener:
    """The ear for keys of one line. Feed it every block in order; blocks of any length are welcome."""

    def __init__(self) -> None:
        self._past = np.zeros(_MEMORY, np.int16)
        self._frames = 0
        self._last_pair = -1
        self._mains = Mains(_MEMORY, _TONES_HZ)
        self._steady = np.full(len(_LINES_HZ), _LEAST_STEADY, np.float32)
        self._held = -1
        self._told = -1
        self._told_powers = (0.0, 0.0)
        self._told_at = 0
        self._fallen = 0
        self._shows = False

    @property
    def pressing(self) -> bool:
        """A key is held, or what sounds now may become one: true 40 ms after it began at the latest, and until 20 ms
        after it ended. In speech it is true of one block in a hundred, and not of three in a row."""
        return self._held >= 0 or self._shows

    @property
    def held(self) -> str:
        """The key that was told and is still held; empty: none."""
        return DIGITS[self._held] if self._held >= 0 else ""

    def hear(self, samples: Pcm) -> list[Key]:
        """Take in the next samples of the line; the keys that became certain in them.

        Args:
            samples: int16, shape (frames,). What does not fill 100 ms waits for the next block.
        """
        heard = np.concatenate((self._past, samples))
        whole = (heard.size - _MEMORY) // BLOCK_FRAMES * BLOCK_FRAMES
        self._past = heard[whole:].copy()
        return self._hear_blocks(heard[: _MEMORY + whole].astype(np.float32)) if whole else []

    def _hear_blocks(self, sound: Reals) -> list[Key]:
        """What is loud enough is listened to in one go, up to the next quiet block."""
        told: list[Key] = []
        loud = _loud_blocks(sound)
        at = 0
        while at < len(loud):
            end = at + 1
            while loud[at] and end < len(loud) and loud[end]:
                end += 1
            self._shows = False
            if loud[at] or self._held >= 0:
                told += self._listen(sound[at * BLOCK_FRAMES : end * BLOCK_FRAMES + _MEMORY])
            else:
                self._last_pair = -1
                self._mains.forget()
                self._steady.fill(_LEAST_STEADY)
            self._frames += (end - at) * BLOCK_FRAMES
            at = end
        return told

    def _listen(self, sound: Reals) -> list[Key]:
        sound = self._mains.take_out(sound)
        parts = _spectra(sound)
        powers = parts @ _TONE_LINES
        steady = self._learn_steady(_lines(parts[_STEPS // 2 - 1 :: _STEPS // 2]))
        powers[:, 8] -= np.repeat(steady @ _ABOVE_DIAL_TONES, _STEPS)
        found, pairs = self._shown_twice(powers)
        certain: dict[int, tuple[int, int]] = {}
        if found.size:
            new = np.maximum(_lines(parts[found]) - steady[found // _STEPS], 0)
            low = np.where(steady[found // _STEPS] < _LEAST_STEADY * _NO_VOICE, new, 0) @ _BELOW
            looks = _looks(sound, new, low, powers, found, pairs)
            self._shows = len(parts) - 1 in looks.steps
            places = zip(looks.steps.tolist(), looks.pairs.tolist(), self._lengths(looks), strict=True)
            certain = {step: (pair, pieces) for step, pair, pieces in places if pieces}
        return self._follow(powers, certain) if certain or self._held >= 0 else []

    def _learn_steady(self, apart: Reals) -> Reals:
        """Lines that never fall silent, a hum or a dial tone; two windows that do not overlap say it of a block.

        Returns: what was known of them before each block.
        """
        before = np.empty((len(apart) // 2, len(_LINES_HZ)), np.float32)
        for block, lowest in enumerate(np.minimum(apart[::2], apart[1::2])):
            before[block] = self._steady
            self._steady = np.maximum(np.minimum(self._steady * _STEADY_RISE, lowest), _LEAST_STEADY)
        return before

    def _shown_twice(self, powers: Reals) -> tuple[Numbers, Numbers]:
        """Steps that show the pair of the step before, and that pair."""
        low, high = powers[:, :4].max(1), powers[:, 4:8].max(1)
        weaker, both = np.minimum(low, high), low + high
        shown = (both > _LEAST_SHARE * powers[:, 8]) & (weaker * (_MOST_TWIST + 1) > both) & (weaker > _LEAST_POWER)
        if not shown.any():
            self._last_pair = -1
            return np.flatnonzero(shown), np.flatnonzero(shown)
        pairs = np.where(shown, powers[:, :4].argmax(1) * 4 + powers[:, 4:8].argmax(1), -1)
        before = np.concatenate(([self._last_pair], pairs[:-1]))
        self._last_pair = int(pairs[-1])
        found = np.flatnonzero(shown & (pairs == before))
        return found, pairs[found]

    def _lengths(self, looks: Looks) -> list[int]:
        """For each look, how many pieces a certain key has lasted; 0 if there is none."""
        if not looks.steps.size:
            return []
        pieces, measures, possible = measure(looks)
        lasting = np.minimum(pieces - SHORTEST_PIECES, WEIGHED_PIECES)
        certain = possible & (measures @ WEIGHTS + PIECE_WEIGHT * lasting + BIAS > 0)
        lengths: list[int] = np.where(certain, pieces, 0).tolist()
        return lengths

    def _follow(self, powers: Reals, certain: dict[int, tuple[int, int]]) -> list[Key]:
        """Tell a certain key at its first step, and no more while it is held."""
        told = []
        for step in range(len(powers)):
            if self._held >= 0:
                self._look_for_end(powers[step])
            pair, pieces = certain.get(step, (self._held, 0))
            end = self._frames + (step + 1) * STEP_FRAMES
            if pair != self._held and not self._is_echo(pair, end, powers[step]):
                first = max(0, end - _PIECE // 2 - pieces * _PIECE_STEP + _PIECE_STEP // 2)
                told.append(Key(first_frame=first, end_frame=end, digit=DIGITS[pair]))
                self._held = self._told = pair
                self._told_powers, self._told_at = _pair_of(powers[step], pair), end
                self._fallen = 0
        return told

    def _look_for_end(self, powers: Reals) -> None:
        self._fallen = self._fallen + 1 if self._below_told(_FALLEN, any, powers) else 0
        if self._fallen >= _FALLEN_STEPS:
            self._held = -1

    def _is_echo(self, pair: int, end: int, powers: Reals) -> bool:
        return pair == self._told and end - self._told_at < _ECHO_FRAMES and self._below_told(_ECHO, all, powers)

    def _below_told(self, share: float, which: Callable[[Iterable[bool]], bool], powers: Reals) -> bool:
        """Whether any or all of the told key's tones are weaker now than this share of what they were."""
        now = _pair_of(powers, self._told)
        return which(power < share * told for power, told in zip(now, self._told_powers, strict=True))


def _pair_of(powers: Reals, pair: int) -> tuple[float, float]:
    return float(powers[pair // 4]), float(powers[4 + pair % 4])


def _loud_blocks(sound: Reals) -> list[bool]:
    """Whether a window that ends in a block, or the memory before it, holds enough for a key."""
    steps = sound[_MEMORY % STEP_FRAMES :].reshape(-1, STEP_FRAMES)
    loud = (np.vecdot(steps, steps) > _QUIET).tolist()
    return [
        True in loud[first : first + _MEMORY // STEP_FRAMES + _STEPS]
        for first in range(0, len(loud) - _MEMORY // STEP_FRAMES, _STEPS)
    ]


def _spectra(sound: Reals) -> Reals:
    """Squared real and imaginary part of each line, shape (steps, 2 lines), in the window that ends each step."""
    first = sound[_MEMORY + STEP_FRAMES - _WINDOW :]
    shape = (len(sound) - _MEMORY) // STEP_FRAMES, _WINDOW
    windows: Reals = np.ndarray(shape, np.float32, first, strides=(4 * STEP_FRAMES, 4))
    parts: Reals = np.fft.rfft(windows * _HANN).view(np.float32)
    parts *= parts
    return parts


def _lines(parts: Reals) -> Reals:
    return parts[:, ::2] + parts[:, 1::2]


def _looks(sound: Reals, lines: Reals, below: Reals, powers: Reals, steps: Numbers, pairs: Numbers) -> Looks:
    """Of these steps those in which nothing else is nearly as loud as the pair."""
    tones = np.stack((pairs // 4, 4 + pairs % 4), 1)
    held = powers[steps[:, None], tones] + 1
    rivals = (lines * _OTHER_LINES[pairs]).max(1) / held.min(1)
    alone = rivals < _LOUDEST_RIVAL
    return Looks(
        sound=sound,
        steps=steps[alone],
        pairs=pairs[alone],
        tones=tones[alone],
        lines=lines[alone],
        below=below[alone],
        held=held[alone],
        rivals=rivals[alone],
    )


def measure(looks: Looks) -> tuple[Numbers, Reals, npt.NDArray[np.bool_]]:
    """Pieces that hold the pair, the ten measures of a look, and whether length and frequencies are a key's."""
    pieces, apart, impurity, deviation = _stand_still(_pieces(looks), looks.tones)
    sums = looks.lines @ _NEAR_LINES
    rows, (low, high) = np.arange(len(pieces)), looks.tones.T
    ratios = np.stack(
        (
            sums[:, 12] / looks.held.sum(1),
            sums[rows, low] / looks.held[:, 0],
            sums[rows, high] / looks.held[:, 1],
            sums[rows, high + 4] / looks.held[:, 1],
            looks.rivals,
        ),
        1,
    )
    measures = np.concatenate(
        (
            np.log10(0.01 + np.sort(impurity, 1)[:, ::-1]),
            100 * deviation,
            np.minimum(apart, 4)[:, None],
            np.log10(np.clip(ratios, 10**-2.5, _MOST)),
        ),
        1,
    )
    enough = SHORTEST_PIECES + 3 * ((looks.below > _MUCH_BELOW * looks.held.sum(1)) & (looks.rivals < _LITTLE_ELSE))
    return pieces, measures, (pieces >= enough) & (deviation < _MOST_DEVIATION).all(1)


def _pieces(looks: Looks) -> Phasors:
    """Complex amplitudes of the two tones in each piece, shape (looks, 2, pieces)."""
    shape, strides = (len(looks.sound) - _MEMORY + 1, _PIECES, _PIECE), (4, 4 * _PIECE_STEP, 4)
    every: Reals = np.ndarray(shape, np.float32, looks.sound, strides=strides)
    parts = (every[(looks.steps + 1) * STEP_FRAMES] @ _PIECE_TONES[looks.pairs]).transpose(0, 2, 1)
    return parts[:, :2] + 1j * parts[:, 2:]


def _stand_still(pieces: Phasors, tones: Numbers) -> tuple[Numbers, Numbers, Reals, Reals]:
    """How long both tones have stood still until now, by how much one longer than the other; each one's impurity
    (share of its energy that is not one steady tone) and deviation from its frequency."""
    fits = np.abs(_TURNS[tones][..., -SHORTEST_PIECES:] @ pieces[..., -SHORTEST_PIECES:, None])[..., 0]
    best = fits.argmax(2)
    still = pieces * _TURNS[tones, best]
    steady = still[..., -SHORTEST_PIECES:].mean(2, keepdims=True)
    there = (still * steady.conj()).real > 0.5 * np.abs(steady) ** 2
    until_now = np.logical_and.accumulate(there[..., ::-1], 2)
    lasted = until_now.all(1).sum(1)
    each = until_now.sum(2)
    judged = np.arange(_PIECES)[::-1] < np.maximum(lasted, SHORTEST_PIECES)[:, None, None]
    inside = still * judged
    energy = (np.abs(inside) ** 2).sum(2) * judged.sum(2) + 1
    impurity = 1 - np.abs(inside.sum(2)) ** 2 / energy
    return lasted, np.abs(each[:, 0] - each[:, 1]), impurity, np.abs(_DEVIATIONS[best])


def _hann(frames: int) -> npt.NDArray[np.float64]:
    """Sums to 2, so that a sine shows its amplitude."""
    return (1 - np.cos(2 * np.pi * np.arange(frames) / frames)) * (2 / frames)


def _piece_tones() -> Reals:
    """For each pair the four columns (real and imaginary parts) that give the tones of one piece."""
    angles = -2 * np.pi * _TONES_HZ / RATE_HZ * np.arange(_PIECE)[:, None]
    tones = _hann(_PIECE)[:, None] * np.exp(1j * angles)
    columns = [tones[:, [pair // 4, 4 + pair % 4]] for pair in range(16)]
    return np.stack([np.concatenate((two.real, two.imag), 1) for two in columns]).astype(np.float32)


def _turns() -> Phasors:
    """What turns the phase of piece k back to that of the last one, shape (tones, deviations, pieces)."""
    frequencies = _TONES_HZ[:, None, None] * (1 + _DEVIATIONS[:, None])
    back = np.arange(_PIECES) - (_PIECES - 1)
    turns: Phasors = np.exp(-2j * np.pi * frequencies / RATE_HZ * _PIECE_STEP * back).astype(np.complex64)
    return turns


def _columns(chosen: list[npt.NDArray[np.bool_]]) -> Reals:
    return np.stack(chosen, 1).astype(np.float32)


_LINES_HZ = np.fft.rfftfreq(_WINDOW, 1 / RATE_HZ)


def _near(hz: float, within_hz: float) -> npt.NDArray[np.bool_]:
    return _between(hz - within_hz, hz + within_hz)


def _between(first_hz: float, last_hz: float) -> npt.NDArray[np.bool_]:
    chosen: npt.NDArray[np.bool_] = (first_hz <= _LINES_HZ) & (last_hz >= _LINES_HZ)
    return chosen


_HANN = _hann(_WINDOW).astype(np.float32)
_PIECE_TONES = _piece_tones()
_TURNS = _turns()

_ABOVE_DIAL_TONES = _between(500, 3400).astype(np.float32)
"""All but hum and the dial tones of 350 Hz to 450 Hz (ITU-T E.180)."""

_TONE_LINES = np.repeat(np.column_stack((_columns([_near(hz, 55) for hz in _TONES_HZ]), _ABOVE_DIAL_TONES)), 2, axis=0)
"""The main lobe of each tone, and all above the dial tones. Each line counts as real and as imaginary part."""

_BELOW = _between(180, 480).astype(np.float32)
_NEAR_LINES = _columns(
    [_near(hz, 165) & ~_near(hz, 55) for hz in _TONES_HZ] + [_near(2 * hz, 55) for hz in HIGH_HZ] + [_between(180, 480)]
)
"""What lies beside each tone, at twice the high ones, and below all of them."""

_OTHER_LINES = np.stack(
    [_columns([_between(500, 3600) & ~_near(low, 80) & ~_near(high, 80)])[:, 0] for low in LOW_HZ for high in HIGH_HZ]
)
"""For each pair, the lines that are neither of its tones."""
