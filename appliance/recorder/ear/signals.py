"""What can be heard on a line: how loud it is, how loud its own noise is, whether somebody speaks.

Pure. Blocks of int16 go in, one `Heard` a block comes out. What a call is, is decided in `line_state`.

Speech is energy above the line's own noise. In each 20 ms frame all that lies below 200 Hz (hum, its
overtones, an offset of the card) is taken out, by subtracting the energy of the frame's projection on the
Slepian sequences of that band (D. Slepian, Bell System Technical Journal 57, 1978): those few shapes hold
nearly everything that a frame can hold of so low a band, and one small matrix product finds it. No frame
smears into the next one, so a click stays in the frame or two in which it happened. The noise floor is
the lowest frame of the last ten seconds (minimum statistics after R. Martin, 2001): whoever speaks also
breathes, a noise does not.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from appliance.terms import RATE_HZ

Pcm = npt.NDArray[np.int16]
"""Samples of one channel, shape (frames,), 8 kHz; of near and far side (ear/sides.py), shape (frames, 2)."""

Span = tuple[int, int]
"""First frame, and the frame after the last."""

STEP_FRAMES = 160
"""20 ms: the step in which energy is measured."""

ONSET_FRAMES = 6 * STEP_FRAMES
"""Speech is believed this long after its first frame at the latest, counted in audio."""

PRIOR_DBFS = -60.0
"""The floor of a line that has not been heard yet: a feed that begins amid speech is heard as speech."""
_PRIOR_PARTS = 3
"""So many seconds that is held for true, if the line is louder: nobody speaks for longer without a breath of 20 ms."""

_LOWEST_FLOOR_DBFS = -70.0
_LOWEST_SPEECH_DBFS = -55.0
"""Speech on a working line lies at -35 dBFS to -10 dBFS; below this is crosstalk."""

_HYSTERESIS_DB = 6.0
_ONSET_STEPS = 4
"""So many loud steps of the last six begin speech: a click shorter than 40 ms touches three at most."""
_ONSET_MASK = 0b111111
_RELEASE_MASK = (1 << 10) - 1
"""Ten steps (200 ms) without sound end speech, so that the stop before a 't' does not."""

_AWAKE_STEPS = 500
"""For ten seconds after speech, whatever would not have ended it begins it again: who has spoken loudly goes
on softly, and at 10 dB above the noise only every third syllable passes the full threshold."""

_WINDOW_PARTS = 10
_PART_STEPS = 50
"""The floor looks back ten parts of one second: longer than a sentence without any breath."""

_MINIMUM_BIAS = 1.5
"""White noise of power 1, 150 degrees of freedom a step: the lowest of 500 steps lies at about 1/1.5."""

_LOW_BAND_HZ = 200
_LOW_SHAPES = 14
"""Takes 50 and 60 Hz and their overtones up to 180 Hz down by 74 dB and more, 300 Hz by 1.3 dB."""

_FULL_SCALE = STEP_FRAMES * 32768.0**2
"""Energy of a full step. All energies below are those of one step, in squared sample values."""

_LEAST = _FULL_SCALE * 1e-10
"""-100 dBFS, a tenth of a bit: where digital silence is shown, and below what float32 resolves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One block. Levels are those of the band above 200 Hz; 0 dBFS is a full-scale square wave.

    level_dbfs: the loudest 20 ms of the block.
    lowest_dbfs: its quietest 20 ms.
    speech: somebody speaks at the block's end.
    floor_dbfs: the line's own noise.
    loud: the 20 ms steps that are louder than the noise, speech or not: first frame, end of the last and how many.
        Frames count from the block's first one, and may lie a little before it. None: there is none.
    sides: of a line whose sides are apart, near and far.
    """

    level_dbfs: float
    speech: bool
    floor_dbfs: float
    lowest_dbfs: float = -100.0
    loud: tuple[int, int, int] | None = None
    sides: tuple[Heard, Heard] | None = None


SILENCE = Heard(level_dbfs=-100.0, speech=False, floor_dbfs=PRIOR_DBFS)


class Signals:
    """The ear of one line. Feed it every block in order; blocks of any length are welcome."""

    def __init__(self, speech_above_floor_db: float) -> None:
        self._floor = _NoiseFloor()
        self._onset_gain = _ratio(speech_above_floor_db)
        # Half way down at most, so that a line set to 3 dB does not take its own noise for the end of speech.
        self._release_gain = _ratio(-min(_HYSTERESIS_DB, speech_above_floor_db / 2))
        self._rest = np.empty(0, np.int16)
        self._loud = 0
        self._audible = 0
        self._speech = False
        self._awake = 0
        self._heard = SILENCE

    def hear(self, samples: Pcm, *, expects: bool = False) -> Heard:
        """Take in the next samples of the line.

        Args:
            samples: int16, shape (frames,). What does not fill a 20 ms step waits for the next block.
            expects: somebody may speak at any moment, as after speech: it takes less to be heard.
        """
        before = self._rest.size
        energies = _step_energies(self._whole_steps(samples))
        if energies:
            floor = self._floor.energy
            loud = self._decide(energies, max(floor * self._onset_gain, _LOWEST_SPEECH), expects=expects)
            lowest = min(energies)
            self._floor.add(lowest, len(energies))
            self._heard = Heard(
                level_dbfs=_dbfs(max(energies)),
                speech=self._speech,
                floor_dbfs=_dbfs(floor),
                lowest_dbfs=_dbfs(lowest),
                loud=_span(loud, -before),
            )
        elif self._heard.loud is not None:
            self._heard = replace(self._heard, loud=None)
        return self._heard

    def _whole_steps(self, samples: Pcm) -> Pcm:
        if self._rest.size:
            samples = np.concatenate((self._rest, samples))
        elif samples.size % STEP_FRAMES == 0:
            return samples
        whole = samples.size - samples.size % STEP_FRAMES
        self._rest = samples[whole:].copy()
        return samples[:whole]

    def _decide(self, energies: list[float], onset: float, *, expects: bool) -> list[int]:
        """Follow the speech, and say which steps are loud."""
        release = onset * self._release_gain
        if self._awake > 0 or expects:
            onset = release
        loud = []
        for step, energy in enumerate(energies):
            if energy > onset:
                loud.append(step)
            self._loud = (self._loud << 1 | (energy > onset)) & _ONSET_MASK
            self._audible = (self._audible << 1 | (energy > release)) & _RELEASE_MASK
            if self._speech:
                self._speech = self._audible != 0
            else:
                self._speech = self._loud.bit_count() >= _ONSET_STEPS
        self._awake = _AWAKE_STEPS if self._speech else self._awake - len(energies)
        return loud


def _span(steps: list[int], first_frame: int) -> tuple[int, int, int] | None:
    """First frame, end and number of some steps; the first step of all begins at that frame."""
    if not steps:
        return None
    return first_frame + steps[0] * STEP_FRAMES, first_frame + (steps[-1] + 1) * STEP_FRAMES, len(steps)


class _NoiseFloor:
    """The lowest energy of the last ten seconds, in ten parts so that nothing older has to be kept."""

    def __init__(self) -> None:
        self._parts: deque[float] = deque(maxlen=_WINDOW_PARTS)
        self._lowest_part = _PRIOR
        self._running = math.inf
        self._steps = 0

    def add(self, lowest: float, steps: int) -> None:
        self._running = min(self._running, lowest * _MINIMUM_BIAS)
        self._steps += steps
        if self._steps >= _PART_STEPS:
            self._parts.append(self._running)
            self._lowest_part = min(self._parts) if len(self._parts) >= _PRIOR_PARTS else _PRIOR
            self._running = math.inf
            self._steps = 0

    @property
    def energy(self) -> float:
        return max(min(self._running, self._lowest_part), _LOWEST_FLOOR)


def _low_shapes() -> npt.NDArray[np.float32]:
    """The Slepian sequences of the band below 200 Hz: the first eigenvectors of its sinc matrix."""
    band = _LOW_BAND_HZ / RATE_HZ
    steps = np.arange(STEP_FRAMES)
    _values, vectors = np.linalg.eigh(2 * band * np.sinc(2 * band * (steps[:, None] - steps)))
    return np.ascontiguousarray(vectors[:, -_LOW_SHAPES:], dtype=np.float32)


_SHAPES = _low_shapes()


def _step_energies(samples: Pcm) -> list[float]:
    """The energy above 200 Hz of each 20 ms."""
    steps = samples.astype(np.float32).reshape(-1, STEP_FRAMES)
    low = steps @ _SHAPES
    energies: list[float] = (np.vecdot(steps, steps) - np.vecdot(low, low)).tolist()
    return energies


def _ratio(decibel: float) -> float:
    return float(10 ** (decibel / 10))


def _dbfs(energy: float) -> float:
    return 10 * math.log10(max(energy, _LEAST) / _FULL_SCALE)


_PRIOR = _FULL_SCALE * _ratio(PRIOR_DBFS)
_LOWEST_FLOOR = _FULL_SCALE * _ratio(_LOWEST_FLOOR_DBFS)
_LOWEST_SPEECH = _FULL_SCALE * _ratio(_LOWEST_SPEECH_DBFS)
