"""How alike a stretch of a line is to a sound that is known, whatever telephony did to it on its way.

Pure. The measure is the normalised cross-correlation (zero mean, unit energy), taken apart into three bands of the
telephone channel, each of them a complex signal of 1000 columns a second. Taken so,

* level, polarity and any constant phase drop out, since only the magnitude of a band's correlation counts;
* a filter's slope and the delay it adds to one band (lines and couplers: up to a millisecond) change next to nothing;
* noise that fills one band leaves the others alone.

The bands are joined as a likelihood ratio does it, for a known signal of unknown gain and phase in each band amid
noise of unknown power (L. L. Scharf, Statistical Signal Processing, 1991, section 4.12): one minus the product of
(1 - |c|^2), here with the geometric mean, so that 0 is nothing in common and 1 is the same. Its square root is told,
which reads like a correlation: 0.7 is as much known sound as other sound.

Figures: docs/measurements/announcement.md.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from appliance.recorder.ear.signals import Pcm
from appliance.terms import RATE_HZ

Columns = npt.NDArray[np.complex64]
"""Three bands, shape (3, columns)."""

Likeness = npt.NDArray[np.float32]

COLUMN_FRAMES = 8
BLOCK_COLUMNS = 1024
"""A second at once: a quarter less processor time than half a second."""
_BLOCK_FRAMES = BLOCK_COLUMNS * COLUMN_FRAMES
_EDGE_FRAMES = 512
"""Shared with the neighbour on each side; the bands' edges are so soft that nothing rings on for longer than 64 ms."""
_WINDOW_FRAMES = _BLOCK_FRAMES + 2 * _EDGE_FRAMES
_WINDOW_COLUMNS = _WINDOW_FRAMES // COLUMN_FRAMES
_EDGE_COLUMNS = _EDGE_FRAMES // COLUMN_FRAMES

_BANDS_HZ = ((300.0, 900.0), (800.0, 1500.0), (1400.0, 2300.0))
"""Where voices have their strength, above hum; speech codecs of 8 kbit/s keep no waveform above it."""
_SOFT_HZ = 80.0
_GRID_HZ = RATE_HZ / 512
"""A band's middle turns by whole circles in a block and fits a line of the window's spectrum, so blocks join up."""

_SILENT_DBFS = -74.0
"""So much is taken to be in every band, whatever is there: an announcement that comes as crosstalk from the next line,
or sounds in rounding noise, is not alike to anything."""
_SILENT = np.float32(2 * (32768 * 10 ** (_SILENT_DBFS / 20)) ** 2)


class BandEar:
    """Takes a line apart into bands. Blocks of any length are welcome; columns come in blocks of BLOCK_COLUMNS.

    Column n holds what is around frame n * COLUMN_FRAMES; it comes when 64 ms after its block are there.
    """

    def __init__(self) -> None:
        self._rest: Pcm = np.zeros(_EDGE_FRAMES, np.int16)

    def hear(self, samples: Pcm) -> list[Columns]:
        heard = np.concatenate((self._rest, samples))
        blocks = []
        at = 0
        while heard.size - at >= _WINDOW_FRAMES:
            blocks.append(_taken_apart(heard[at : at + _WINDOW_FRAMES]))
            at += _BLOCK_FRAMES
        self._rest = heard[at:].copy()
        return blocks


def columns_of(samples: Pcm) -> Columns:
    """A whole sound at once: one column for each COLUMN_FRAMES."""
    columns = -(-samples.size // COLUMN_FRAMES)
    silence = np.zeros(_BLOCK_FRAMES + 2 * _EDGE_FRAMES, np.int16)
    return np.concatenate(BandEar().hear(np.concatenate((samples, silence))), 1)[:, :columns]


def powers(columns: Columns) -> npt.NDArray[np.float32]:
    """Squared magnitudes, twice the mean square of the band in sample values."""
    squares: npt.NDArray[np.float32] = columns.real**2 + columns.imag**2
    return squares


class Known:
    """A sound that is looked for: some columns of it."""

    def __init__(self, columns: Columns) -> None:
        self.size = columns.shape[1]
        energy = powers(columns).sum(1, keepdims=True) + np.float32(1)
        self._unit: Columns = (columns / np.sqrt(energy)).astype(np.complex64)
        self._spectrum: Columns = np.empty((3, 0), np.complex64)

    def found_in(self, line: Columns) -> Likeness:
        """The likeness at each column where it could begin, shape (columns of the line - size + 1,).

        Through the spectrum: for long sounds and many places.
        """
        length = _next_fast(line.shape[1])
        if self._spectrum.shape[1] != length:
            self._spectrum = np.fft.fft(self._unit, length).conj().astype(np.complex64)
        spectrum: Columns = np.fft.fft(line, length).astype(np.complex64, copy=False)
        spectrum *= self._spectrum
        products = np.fft.ifft(spectrum)[:, : line.shape[1] - self.size + 1]
        return self._likeness(products.astype(np.complex64, copy=False), line)

    def found_near(self, line: Columns) -> Likeness:
        """The same product by product: for few places."""
        windows = np.lib.stride_tricks.sliding_window_view(line, self.size, axis=1)
        return self._likeness((windows @ self._unit.conj()[:, :, None])[..., 0], line)

    def _likeness(self, products: Columns, line: Columns) -> Likeness:
        sums = np.cumsum(powers(line), 1, dtype=np.float64)
        energies = sums[:, self.size - 1 :].copy()
        energies[:, 1:] -= sums[:, : -self.size]
        left = 1 - powers(products) / (energies + _SILENT * self.size)
        # A band may come a column later or earlier than another.
        near = left.copy()
        np.minimum(near[:, 1:], left[:, :-1], out=near[:, 1:])
        np.minimum(near[:, :-1], left[:, 1:], out=near[:, :-1])
        likeness: Likeness = np.sqrt(1 - np.cbrt(np.maximum(near, 0).prod(0))).astype(np.float32)
        return likeness


def _taken_apart(window: Pcm) -> Columns:
    lines = np.fft.rfft(window.astype(np.float32))
    # Half of a real band's strength lies at negative frequencies, hence twice.
    bands = np.fft.ifft(lines[_LINES] * _SHAPES)[:, _EDGE_COLUMNS:-_EDGE_COLUMNS]
    return np.ascontiguousarray(bands, np.complex64)


def _lines_and_shapes() -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float32]]:
    """Which lines of a window's spectrum make each band, its middle first as an inverse transform wants it."""
    hz = np.fft.rfftfreq(_WINDOW_FRAMES, 1 / RATE_HZ)
    around = np.rint(np.fft.fftfreq(_WINDOW_COLUMNS, 1 / _WINDOW_COLUMNS)).astype(np.intp)
    lines, shapes = [], []
    for low, high in _BANDS_HZ:
        middle = round((low + high) / 2 / _GRID_HZ) * (_WINDOW_FRAMES // 512)
        ramp = np.clip(np.minimum(hz - low, high - hz) / _SOFT_HZ + 0.5, 0, 1)
        chosen = np.clip(middle + around, 0, len(hz) - 1)
        lines.append(chosen)
        shapes.append((np.sin(ramp * np.pi / 2) ** 2)[chosen] * 2 / COLUMN_FRAMES)
    return np.stack(lines), np.stack(shapes).astype(np.float32)


_LINES, _SHAPES = _lines_and_shapes()


def _next_fast(least: int) -> int:
    """The next product of powers of two and three, which a transform likes."""
    return min(odd << (-(-least // odd) - 1).bit_length() for odd in (1, 3, 9, 27))
