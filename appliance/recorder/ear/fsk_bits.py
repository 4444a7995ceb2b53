"""Two tones that take turns, 1200 times a second: finding where they begin, and deciding which one each bit was.

Pure; the modem that asks is in `fsk`.

*Start.* Mark, then the bits of a known type byte. Here both frequencies are measured too.

*Bit clock.* Rate and phase are tried on ever longer stretches of the message; where they are right, the energy that the
stronger tone has in each bit is greatest.

Where the bytes do not follow each other in whole bits, the edge before each byte is its clock.

*Bits.* The phase of the tones is continuous, so a bit also shows in its neighbours. Each bit is decided by comparing
all sequences of itself and three bits on either side with what was heard, each sequence as one wave of unknown phase
(W. Osborne and M. Luntz, IEEE Transactions on Communications 22, 1974). That is worth 4 dB over one bit at a time. A
first reading, bit by bit, gives what the comparison needs: the amplitudes of both tones, their exact frequencies, and
the phase by which the line delays one against the other. So twist and group delay cost little.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from appliance.recorder.ear.signals import Pcm
from appliance.terms import RATE_HZ

Complex = npt.NDArray[np.complex128]
Real = npt.NDArray[np.float64]
Bits = npt.NDArray[np.bool_]

BIT_FRAMES = RATE_HZ / 1200

LEAD_BITS = 24
"""Bits of mark before a message that serve to measure it."""

SLACK_BITS = 2
"""The bits are read from here on before the message: in noise its beginning is seen one bit too late at times."""
_SURE_LEAD = LEAD_BITS - SLACK_BITS

TYPE_BITS = {
    0x80: np.array([0, 0, 0, 0, 0, 0, 0, 0, 1, 1], np.bool_),
    0x04: np.array([0, 0, 0, 1, 0, 0, 0, 0, 0, 1], np.bool_),
}
"""Call setup as MDMF and as SDMF: start bit, type byte with the lowest bit first, stop bit."""

_SPACE_HZ = np.arange(1860.0, 2341.0, 30.0)
_SEEK_SPACE_HZ = 2100.0
"""One bit is so short that 150 Hz off costs 0.2 dB."""

_SEEK_BITS = 8
_LEAST_AGREEMENT = 0.7
"""How much of what was heard must speak for the type byte and the mark before it. In noise 3 dB below the signal it is
0.9 and more; nine of ten tones that end within speech have less than this."""

_LEAST_RUN_SHARE = 0.45
"""How much of the energy two tones in these bits must have: noise 3 dB below leaves them 0.6, most music has less."""

_GRID_FRAMES = 0.5
_MOST_JITTER_FRAMES = 1.0

_SIDE_BITS = 3
_READINGS = 2

_LEAST_NOISE = 1e-3

_BAND_HZ = (350.0, 3650.0)
TAPS = 65
"""Hum up to 150 Hz is taken down by 47 dB and more, and so is the mirror image at negative frequencies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Carrier:
    """Two tones and a bit clock. `first_frame` is where the start bit of the type byte begins."""

    first_frame: float
    bit_frames: float
    mark_hz: float
    space_hz: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    """How the line passes the tones: what a bit of each comes to, and the phase of space against mark."""

    mark: float
    space: float
    turn: complex


@dataclass(frozen=True, slots=True, kw_only=True)
class _HeardBits:
    """Both tones over each bit, lead first."""

    starts: Real
    mark: Complex
    space: Complex
    carrier: Carrier
    shape: _Shape

    @property
    def turns(self) -> Complex:
        """By how much space runs behind mark where each bit begins."""
        apart = (self.carrier.mark_hz - self.carrier.space_hz) / RATE_HZ
        return np.asarray(np.exp(2j * np.pi * apart * self.starts))


class Tones:
    """One stretch of line, correlated with both tones of a carrier over any bits of it."""

    def __init__(self, wave: Complex, mark_hz: float, space_hz: float) -> None:
        self._frames = len(wave)
        self._mark = _summed(wave, mark_hz)
        self._space = _summed(wave, space_hz)

    def correlate(self, starts: Real, frames: Real | float) -> tuple[Complex, Complex]:
        """Mark and space over stretches of so many frames."""
        begins, ends = self._summed_to(starts), self._summed_to(starts + frames)
        return ends[0] - begins[0], ends[1] - begins[1]

    def _summed_to(self, places: Real) -> tuple[Complex, Complex]:
        inside = np.clip(places, 0, self._frames - 1e-3)
        whole = inside.astype(np.int64)
        part = inside - whole

        def between(summed: Complex) -> Complex:
            return np.asarray(summed[whole] + part * (summed[whole + 1] - summed[whole]))

        return between(self._mark), between(self._space)


def _one_sided() -> Complex:
    """A band pass for positive frequencies only: an ideal one, moved up and windowed (Hamming)."""
    low, high = (hz / RATE_HZ for hz in _BAND_HZ)
    taps = np.arange(TAPS) - TAPS // 2
    ideal = (high - low) * np.sinc((high - low) * taps) * np.exp(1j * np.pi * (low + high) * taps)
    return np.asarray(2 * ideal * np.hamming(TAPS))


_ONE_SIDED = _one_sided()
_ONE_SIDED_ROUGH = _ONE_SIDED.astype(np.complex64)


def _summed(wave: Complex, hz: float) -> Complex:
    turned = wave * np.exp(-2j * np.pi * hz / RATE_HZ * np.arange(len(wave)))
    return np.concatenate(([0], np.cumsum(turned)))


def one_sided(samples: Pcm) -> Complex:
    """The samples without what is below 300 Hz and without their mirror image at negative frequencies."""
    return np.convolve(samples, _ONE_SIDED, "same")


def one_sided_rough(samples: npt.NDArray[np.float32]) -> npt.NDArray[np.complex64]:
    """The same in single precision, without the 32 frames at either end in which the filter is not filled."""
    return np.asarray(np.convolve(samples, _ONE_SIDED_ROUGH, "valid"), np.complex64)


def find_start(wave: Complex, earliest: int, latest: int, mark_hz: float) -> Carrier | None:
    """Where mark turns into a known type byte, between two frames of this stretch.

    It must reach 25 bits further back, and 16 bits further on.
    """
    tones = Tones(wave, mark_hz, _SEEK_SPACE_HZ)
    before = _SEEK_BITS * BIT_FRAMES
    grid = np.arange(earliest - before, latest + 10 * BIT_FRAMES, _GRID_FRAMES)
    mark, space = tones.correlate(grid, BIT_FRAMES)
    each = np.abs(mark) - np.abs(space)
    places = np.array([_place(bit * BIT_FRAMES) for bit in range(_SEEK_BITS + 10)])
    contrast = each[np.add.outer(np.arange(_place(latest - earliest)), places)]
    heard = np.abs(contrast).sum(axis=1) + 1e-9
    found: Carrier | None = None
    best = 0.0
    for kind, bits in TYPE_BITS.items():
        signs = np.concatenate((np.ones(_SEEK_BITS), np.where(bits, 1.0, -1.0)))
        likeness = contrast @ signs
        place = int(likeness.argmax())
        if likeness[place] > best and likeness[place] / heard[place] > _LEAST_AGREEMENT:
            best = float(likeness[place])
            found = _measured(wave, tones, float(grid[place] + before), mark_hz, kind) or found
    return found


def _measured(wave: Complex, tones: Tones, first_frame: float, mark_hz: float, kind: int) -> Carrier | None:
    """Place and frequencies: mark from the phase of the lead; the others are tried, on the runs of equal bits."""
    lead, _space = tones.correlate(first_frame + BIT_FRAMES * np.arange(1.0 - LEAD_BITS, 0.0), BIT_FRAMES)
    mark_hz += _drift_hz(lead, BIT_FRAMES, np.ones(len(lead) - 1, np.bool_))
    bits = np.concatenate((np.ones(_SEEK_BITS, np.bool_), TYPE_BITS[kind]))
    turns = np.concatenate(([0], np.flatnonzero(bits[1:] != bits[:-1]) + 1, [len(bits)]))
    lengths = np.diff(turns)
    # All that follows lies within these frames.
    base = int(first_frame - _SEEK_BITS * BIT_FRAMES) - 10
    wave = wave[base : base + round((_SEEK_BITS + 10) * BIT_FRAMES) + 20]
    firsts = first_frame + np.arange(-8.0, 8.1, 0.5)
    starts: Real = np.add.outer(firsts - base, BIT_FRAMES * (turns[:-1] - _SEEK_BITS))
    energy = np.empty((len(_SPACE_HZ), len(firsts)))
    for index, space_hz in enumerate(_SPACE_HZ):
        mark, space = Tones(wave, mark_hz, float(space_hz)).correlate(starts, BIT_FRAMES * lengths)
        energy[index] = (_power(np.where(bits[turns[:-1]], mark, space)) / lengths).sum(axis=1)
    best_hz, best_first = np.unravel_index(int(energy.argmax()), energy.shape)
    if energy.max() < _LEAST_RUN_SHARE * len(bits) * BIT_FRAMES**2 * _power(wave).mean():
        return None
    return Carrier(
        first_frame=float(firsts[best_first]),
        bit_frames=BIT_FRAMES,
        mark_hz=mark_hz,
        space_hz=float(_SPACE_HZ[best_hz]),
    )


def _drift_hz(bits: Complex, bit_frames: float, pairs: Bits) -> float:
    """How far a tone lies from where it was looked for, by the phase from one bit to the next in these pairs."""
    turn = np.angle((bits[1:] * bits[:-1].conj())[pairs].sum())
    return float(turn / (2 * np.pi * bit_frames) * RATE_HZ)


def fit_clock(tones: Tones, carrier: Carrier, bits: int) -> Carrier:
    """Rate and phase of the bit clock over so many bits; EN 300 659-1 allows 1 % off 1200 bit/s."""
    spread, shift, length = 0.015, 2.5, 320
    while True:
        length = min(length, bits)
        carrier = _best_clock(tones, carrier, length, spread, shift)
        if length == bits:
            return carrier
        spread, shift = 0.5 / length, 0.8
        length *= 4


def _best_clock(tones: Tones, carrier: Carrier, bits: int, spread: float, shift: float) -> Carrier:
    steps = int(2 * spread * bits / 0.2) + 3
    lengths = carrier.bit_frames * (1 + np.linspace(-spread, spread, steps))
    elapsed = np.multiply.outer(lengths, np.arange(bits))
    firsts = carrier.first_frame + np.linspace(-shift, shift, 11)
    energy = np.empty((len(firsts), steps))
    for index, first in enumerate(firsts):
        mark, space = tones.correlate(first + elapsed, lengths[:, None])
        # A longer bit holds more of any tone.
        energy[index] = np.abs(_power(mark) - _power(space)).sum(axis=1) / lengths**2
    best_first, best_length = np.unravel_index(int(energy.argmax()), energy.shape)
    return replace(carrier, first_frame=float(firsts[best_first]), bit_frames=float(lengths[best_length]))


def _power(values: Complex) -> Real:
    return values.real**2 + values.imag**2


def even_starts(carrier: Carrier, bits: int) -> Real:
    """Where each bit begins if all are equally long, lead first."""
    starts: Real = carrier.first_frame + carrier.bit_frames * np.arange(-LEAD_BITS, float(bits))
    return starts


def byte_starts(tones: Tones, carrier: Carrier, end_frame: float, longest_gap_bits: int) -> Real:
    """The same if every byte begins when it likes, as many as are whole: by the edge from mark to space before each."""
    bit = carrier.bit_frames
    grid = np.arange(carrier.first_frame - LEAD_BITS * bit, end_frame - bit, _GRID_FRAMES)
    mark, space = (np.abs(tone) for tone in tones.correlate(grid, bit))
    first = _place(LEAD_BITS * bit)
    # Both tones equally loud: then a window has as much of one as of the other where its middle meets the edge.
    loudness = mark[:first].mean() / (space[first + _place(5 * bit) : first + _place(8 * bit)].mean() + 1e-9)
    contrast = mark - loudness * space
    within_byte = np.array([_place(index * bit) for index in range(10)])
    shifts = np.arange(-_place(bit / 3), _place(bit / 3) + 1)
    begins: list[float] = []
    edge = first
    while edge + shifts[-1] + within_byte[-1] < len(grid):
        tried = contrast[edge + np.add.outer(shifts, within_byte)]
        # Space first, mark last, and whatever between.
        fit = np.abs(tried[:, 1:9]).sum(axis=1) + tried[:, 9] - tried[:, 0]
        begin = edge + int(shifts[fit.argmax()])
        begins.append(float(grid[begin]))
        stop = begin + _place(9.25 * bit)
        falls = np.flatnonzero(contrast[stop : stop + _place((longest_gap_bits + 1) * bit)] < 0)
        if not falls.size:
            break
        edge = stop + int(falls[0]) + _place(bit / 2)
    lead = carrier.first_frame + bit * np.arange(-LEAD_BITS, 0)
    return np.concatenate((lead, np.add.outer(_smoothed(np.array(begins)), bit * np.arange(10)).ravel()))


def _smoothed(begins: Real) -> Real:
    """On one line, if they nearly are: most senders wait equally long after each byte."""
    if len(begins) < 3:
        return begins
    number = np.arange(len(begins)) - (len(begins) - 1) / 2
    line = begins.mean() + number * (begins @ number) / (number @ number)
    return line if np.sqrt(np.square(begins - line).mean()) < _MOST_JITTER_FRAMES else begins


def _place(frames: float) -> int:
    return round(frames / _GRID_FRAMES)


def read_bits(tones: Tones, carrier: Carrier, starts: Real) -> tuple[Real, Carrier]:
    """The log-likelihood of mark against space for each bit, and the carrier as it really was.

    `starts` as above; of the lead, the last two bits are read like all others.
    """
    mark, space = tones.correlate(starts, carrier.bit_frames)
    heard = _HeardBits(starts=starts, mark=mark, space=space, carrier=carrier, shape=_first_shape(mark, space))
    soft = _one_by_one(heard)
    for _ in range(_READINGS):
        soft[:_SURE_LEAD] = 1
        heard = _tuned(heard, soft > 0)
        soft = _in_sequence(heard)
    return (soft * (2 / _noise(heard, soft > 0)))[_SURE_LEAD:], heard.carrier


def _noise(heard: _HeardBits, said: Bits) -> float:
    """The mean square of what noise adds to one bit: twice what it adds to its length."""
    lengths = (np.abs(heard.mark[said]), np.abs(heard.space[~said]))
    scatter = sum(float(np.square(tone - tone.mean()).sum()) for tone in lengths if tone.size)
    return max(2 * scatter / len(said), _LEAST_NOISE)


def _first_shape(mark: Complex, space: Complex) -> _Shape:
    """Mark as the lead has it, space as the type byte has it (both types: bits 5 to 7)."""
    lead = abs(mark[1:LEAD_BITS].sum()) / (LEAD_BITS - 1)
    run = np.abs(space[LEAD_BITS + 5 : LEAD_BITS + 8]).mean()
    return _Shape(mark=float(lead), space=float(run), turn=1)


def _one_by_one(heard: _HeardBits) -> Real:
    shape = heard.shape
    for_mark = shape.mark * np.abs(heard.mark) - shape.mark**2 / 2
    for_space = shape.space * np.abs(heard.space) - shape.space**2 / 2
    return np.asarray(for_mark - for_space)


def _tuned(heard: _HeardBits, said: Bits) -> _HeardBits:
    """The same bits after both frequencies and the shape have been measured with what the bits seem to be."""
    carrier = heard.carrier
    marks, spaces = said[1:] & said[:-1], ~said[1:] & ~said[:-1]
    mark_off = _drift_hz(heard.mark, carrier.bit_frames, marks)
    space_off = _drift_hz(heard.space, carrier.bit_frames, spaces)
    turn = -2j * np.pi / RATE_HZ * (heard.starts + carrier.bit_frames / 2)
    tuned = replace(
        heard,
        mark=heard.mark * np.exp(turn * mark_off),
        space=heard.space * np.exp(turn * space_off),
        carrier=replace(carrier, mark_hz=carrier.mark_hz + mark_off, space_hz=carrier.space_hz + space_off),
    )
    return replace(tuned, shape=_shape(tuned, said))


def _shape(heard: _HeardBits, said: Bits) -> _Shape:
    mark, space, turns = heard.mark, heard.space, heard.turns
    falls = np.flatnonzero(said[:-1] & ~said[1:]) + 1
    rises = np.flatnonzero(~said[:-1] & said[1:]) + 1
    turn = (space[falls] * mark[falls - 1].conj() * turns[falls].conj()).sum()
    turn += (space[rises - 1] * mark[rises].conj() * turns[rises].conj()).sum()
    return _Shape(
        mark=float(np.abs(mark[said]).mean()) if said.any() else 0.0,
        space=float(np.abs(space[~said]).mean()) if not said.all() else 0.0,
        turn=complex(turn / abs(turn)) if abs(turn) > 0 else 1,
    )


def _in_sequence(heard: _HeardBits) -> Real:
    """Each bit by the likeliest sequence of itself and its neighbours, against the likeliest with the other bit."""
    bits = len(heard.mark)

    def spread(values: Complex) -> Complex:
        return np.pad(values, _SIDE_BITS)

    shape = heard.shape
    tree = _Sequences(
        bits=bits,
        tones=(spread(heard.space * shape.space * np.conj(shape.turn)), spread(heard.mark * shape.mark)),
        costs=(shape.space**2 / 2, shape.mark**2 / 2),
        falls=spread(heard.turns),
        best=(np.full(bits, -np.inf), np.full(bits, -np.inf)),
    )
    for first in (0, 1):
        tree.walk(1, first, first, tree.tones[first][:bits], np.ones(bits, np.complex128), tree.costs[first])
    return tree.best[1] - tree.best[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sequences:
    """All sequences of seven bits, walked as a tree, for every middle bit at once. A pair holds space and mark.

    Measured by tones of absolute phase, a wave of continuous phase turns by `falls` where mark becomes space, and
    back where space becomes mark. `best` is the log-likelihood of the likeliest sequence with this bit in the middle.
    """

    bits: int
    tones: tuple[Complex, Complex]
    costs: tuple[float, float]
    falls: Complex
    best: tuple[Real, Real]

    def walk(self, place: int, last: int, middle: int, total: Complex, phase: Complex, cost: float) -> None:
        if place > 2 * _SIDE_BITS:
            np.maximum(self.best[middle], np.abs(total) - cost, out=self.best[middle])
            return
        here = slice(place, place + self.bits)
        for bit in (0, 1):
            turned = phase
            if bit < last:
                turned = phase * self.falls[here].conj()
            elif bit > last:
                turned = phase * self.falls[here]
            longer = total + self.tones[bit][here] * turned
            self.walk(place + 1, bit, bit if place == _SIDE_BITS else middle, longer, turned, cost + self.costs[bit])
