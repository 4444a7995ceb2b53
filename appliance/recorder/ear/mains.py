"""A hum of the mains, taken out of what is listened to: its lines are subtracted as waves, with their phase.

Pure. Taking a line's mean power out of a spectrum is not enough where voices sound as well: hum and voice add up as
waves, so their sum is now louder and now softer than both. A hum can be foretold, though. In 100 ms lie five whole
periods of 50 Hz and six of 60 Hz: every overtone falls on a line of that spectrum and on none of the others, and
comes back in the next 100 ms with its phase, but for what the mains is off its frequency, which turns overtone k by k
times as much. That turn is found by least squares over all overtones; the mean over a second, turned back, holds the
hum's wave and next to nothing of a voice, whose phase is any.

A line is a hum's if that mean has half of the line's energy or more, and it is taken out of a block only if that
makes the block softer. An overtone that a key's tone could lie on is left alone: a key that is held would be learned
as a hum, and told again. Where 100 ms are not like the 100 ms before, two scalar products say so and nothing is done.

What is left, and other lines that never fall silent, is for whoever listens.
"""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

from appliance.terms import BLOCK_FRAMES, RATE_HZ

Reals = npt.NDArray[np.float32]
Lines = npt.NDArray[np.complex64]

MAINS_HZ = (50, 60)
_OVERTONES = np.arange(1, 41)
"""To 2000 Hz and 2400 Hz: what lies above is weak."""

_LEAST_ALIKE = 0.25
"""Correlation of a block with the one before. A hum that has less of the energy hides no key."""

_BLOCKS, _FEWEST_BLOCKS = 10, 5
"""A second is short enough for the mains to keep their frequency, and long enough for a voice to lose its phase."""
_LEAST_COHERENCE = 0.5

_SPARED = 0.022
"""Farther off no tone is a key's (keys.py)."""

_LINES = np.outer(np.array(MAINS_HZ) * BLOCK_FRAMES // RATE_HZ, _OVERTONES)
"""Shape (2, overtones): their place in the spectrum of a block, one line every 10 Hz."""

_BLOCK_S = BLOCK_FRAMES / RATE_HZ
_TIME_S = ((np.arange(BLOCK_FRAMES) - (BLOCK_FRAMES - 1) / 2) / RATE_HZ).astype(np.float32)
"""From the middle of a block."""


class Mains:
    """The hum of one line.

    Args:
        memory: so many frames before the new blocks, a block at least, are handed over with them again.
        spared_hz: tones of keys; an overtone on one of them is never taken out.
    """

    def __init__(self, memory: int, spared_hz: npt.NDArray[np.intp]) -> None:
        self._memory = memory
        hz = np.outer(MAINS_HZ, _OVERTONES)
        self._free = (np.abs(hz[..., None] / spared_hz - 1) > _SPARED).all(2)
        self._heard: deque[Lines] = deque(maxlen=_BLOCKS)
        self._off_hz = np.zeros(2)
        self._taken: Reals | None = None

    def forget(self) -> None:
        """The line was quiet, or another one begins."""
        self._forget_hum()
        self._taken = None

    def take_out(self, sound: Reals) -> Reals:
        """The same sound, memory and whole blocks, without the hum. The memory loses what it lost as a block."""
        alike = _alike(sound[self._memory - BLOCK_FRAMES :].reshape(-1, BLOCK_FRAMES))
        if self._taken is None and True not in alike:
            self._forget_hum()
            return sound
        taken = np.zeros_like(sound)
        if self._taken is not None:
            taken[: self._memory] = self._taken
        for first, hums in enumerate(alike):
            part = slice(self._memory + first * BLOCK_FRAMES, self._memory + (first + 1) * BLOCK_FRAMES)
            if hums:
                taken[part] = self._hum_of(sound[part])
            else:
                self._forget_hum()
        self._taken = taken[-self._memory :].copy() if taken[-self._memory :].any() else None
        return sound - taken

    def _forget_hum(self) -> None:
        if self._heard:
            self._heard.clear()
            self._off_hz.fill(0)

    def _hum_of(self, block: Reals) -> Reals | float:
        """Learn from a block, and foretell its hum."""
        self._heard.append(np.fft.rfft(block)[_LINES].astype(np.complex64, copy=False))
        if len(self._heard) < _FEWEST_BLOCKS:
            return 0.0
        turned = np.array(self._heard) * self._turns()
        self._follow(turned)
        mean = turned.mean(0)
        power = np.abs(mean) ** 2
        coherent = self._free & (power > _LEAST_COHERENCE * np.mean(np.abs(turned) ** 2, 0))
        coherent &= np.abs(turned[-1] - mean) < np.abs(turned[-1])
        which = int((power * coherent).sum(1).argmax())
        chosen = coherent[which]
        return self._wave(which, _OVERTONES[chosen], mean[which, chosen])

    def _turns(self) -> Lines:
        """What turns each block's lines to where they are in the last one, shape (blocks, 2, overtones)."""
        age_s = _BLOCK_S * np.arange(len(self._heard) - 1, -1, -1)
        turn = 2 * np.pi * age_s[:, None] * self._off_hz
        turns: Lines = np.exp(1j * turn[..., None] * _OVERTONES).astype(np.complex64)
        return turns

    def _follow(self, turned: Lines) -> None:
        """By how much the second half is still ahead of the first, is how wrong the frequency was."""
        half = len(turned) // 2
        ahead = turned[-half:].sum(0) * turned[:half].sum(0).conj()
        slope = (_OVERTONES * ahead.imag).sum(1) / ((_OVERTONES**2 * np.abs(ahead)).sum(1) + 1)
        self._off_hz += slope / (2 * np.pi * _BLOCK_S * (len(turned) - half))

    def _wave(self, which: int, overtones: npt.NDArray[np.intp], lines: Lines) -> Reals:
        """Of a block. Lines that are a little beside the spectrum's own: a Taylor series about the middle of it."""
        off_hz = self._off_hz[which] * overtones
        spectra = np.zeros((3, BLOCK_FRAMES // 2 + 1), np.complex64)
        order = np.stack((np.ones_like(off_hz), 2j * np.pi * off_hz, -2 * (np.pi * off_hz) ** 2))
        spectra[:, _LINES[which, overtones - 1]] = order * lines / np.sinc(off_hz * _BLOCK_S)
        wave, slope, bend = np.fft.irfft(spectra, BLOCK_FRAMES)
        hum: Reals = wave + _TIME_S * (slope + _TIME_S * bend)
        return hum


def _alike(blocks: Reals) -> list[bool]:
    """Whether each but the first is like the one before."""
    energy = np.vecdot(blocks, blocks)
    alike: list[bool] = (2 * np.vecdot(blocks[1:], blocks[:-1]) > _LEAST_ALIKE * (energy[1:] + energy[:-1])).tolist()
    return alike
