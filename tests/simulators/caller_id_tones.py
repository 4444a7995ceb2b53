"""An exchange that sends caller ID, and the line that spoils it.

Messages are built as EN 300 659-3 (V.23, MDMF) and GR-30-CORE (Bell 202, MDMF and SDMF) define them; the tones have
continuous phase and exact bit edges, so rate and frequency can be set off by any amount.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from appliance.recorder.ear.signals import Pcm
from appliance.terms import RATE_HZ

Signal = npt.NDArray[np.float64]

FULL_SCALE_DBM0 = 3.14
"""A full-scale sine, by ITU-T G.711 table 5 (A-law)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Modem:
    """How an exchange modulates. `twist_db`: the space tone above the mark tone, in dB."""

    mark_hz: float
    space_hz: float
    baud: float = 1200.0
    seizure_bits: int = 300
    mark_bits: int = 180
    stuffing_bits: float = 0.0
    twist_db: float = 0.0
    level_dbm0: float = -13.0


V23 = Modem(mark_hz=1300, space_hz=2100)
BELL_202 = Modem(mark_hz=1200, space_hz=2200)
FIELD_V23 = Modem(mark_hz=1400, space_hz=1950)
"""As measured on a German exchange."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """What a call setup message tells. Absences are the standards' letters: P withheld, O unavailable."""

    number: bytes = b""
    name: bytes = b""
    sent_at: bytes = b"11281504"
    absent_number: bytes = b""
    absent_name: bytes = b""
    more: Sequence[tuple[int, bytes]] = field(default=())


def with_checksum(body: bytes) -> bytes:
    return body + bytes([-sum(body) & 0xFF])


def mdmf(parameters: Sequence[tuple[int, bytes]], message_type: int = 0x80) -> bytes:
    body = b"".join(bytes([kind, len(value)]) + value for kind, value in parameters)
    return with_checksum(bytes([message_type, len(body)]) + body)


def call_setup(caller: Caller) -> bytes:
    told = [(0x01, caller.sent_at), (0x02, caller.number), (0x04, caller.absent_number)]
    told += [(0x07, caller.name), (0x08, caller.absent_name)]
    return mdmf([(kind, value) for kind, value in told if value] + list(caller.more))


def sdmf(sent_at: bytes, number: bytes) -> bytes:
    return with_checksum(bytes([0x04, len(sent_at + number)]) + sent_at + number)


def fsk(message: bytes, modem: Modem) -> Signal:
    """The tones of one message, nothing before and nothing after, in sample values."""
    levels, lengths = _keyed(message, modem)
    edges = np.concatenate(([0.0], np.cumsum(lengths))) / modem.baud
    hz = np.where(levels == 1, modem.mark_hz, modem.space_hz)
    turns = np.concatenate(([0.0], np.cumsum(hz * np.diff(edges))))
    times = np.arange(int(edges[-1] * RATE_HZ)) / RATE_HZ
    bit = np.minimum(np.searchsorted(edges, times, side="right") - 1, len(hz) - 1)
    phase = turns[bit] + hz[bit] * (times - edges[bit])
    loudness = np.where(levels == 1, 1.0, 10 ** (modem.twist_db / 20))[bit]
    tones: Signal = loudness * np.sin(2 * np.pi * phase)
    return np.asarray(tones * (rms(modem.level_dbm0) / np.sqrt(np.mean(tones**2))))


def _keyed(message: bytes, modem: Modem) -> tuple[npt.NDArray[np.int64], Signal]:
    """Each stretch of one tone: its bit, and how many bit times it lasts."""
    levels = [index % 2 for index in range(modem.seizure_bits)]
    lengths = [1.0] * modem.seizure_bits
    levels.append(1)
    lengths.append(float(modem.mark_bits))
    for byte in message:
        levels += [0, *((byte >> place) & 1 for place in range(8)), 1]
        lengths += [1.0] * 9 + [1.0 + modem.stuffing_bits]
    return np.array(levels), np.array(lengths)


def rms(dbm0: float) -> float:
    return float(32767 / np.sqrt(2) * 10 ** ((dbm0 - FULL_SCALE_DBM0) / 20))


def within(silence_s: float, signal: Signal, after_s: float = 1.0) -> Signal:
    """The signal with silence before and after it."""
    return np.concatenate((np.zeros(round(silence_s * RATE_HZ)), signal, np.zeros(round(after_s * RATE_HZ))))


def with_noise(whole: Signal, noise: Signal, snr_db: float, level_dbm0: float) -> Signal:
    """Any noise, as long as the line, at this distance below the signal's level."""
    return np.asarray(whole + noise * (rms(level_dbm0 - snr_db) / np.sqrt(np.mean(noise**2))))


def white(frames: int, random: np.random.Generator) -> Signal:
    return random.normal(0, 1, frames)


def hum(frames: int, dbm0: float, hz: float = 50.0) -> Signal:
    """Mains hum with its third and fifth overtone, 20 dB and 30 dB below."""
    turns = 2 * np.pi * hz * np.arange(frames) / RATE_HZ
    wave: Signal = np.sin(turns + 0.4) + 0.1 * np.sin(3 * turns + 1) + 0.03 * np.sin(5 * turns + 2)
    return np.asarray(wave * (rms(dbm0) * np.sqrt(2)))


def through_a_line(signal: Signal, low_hz: float = 300.0, high_hz: float = 3400.0, order: int = 4) -> Signal:
    """A Butterworth band pass with its own group delay, as a codec and a loaded cable have."""
    spectrum = np.fft.rfft(signal, 2 * len(signal))
    hz = np.fft.rfftfreq(2 * len(signal), 1 / RATE_HZ)
    with np.errstate(divide="ignore", invalid="ignore"):
        low_pass = _butterworth(1j * hz / high_hz, order)
        high_pass = _butterworth(low_hz / (1j * hz), order)
    high_pass[0] = 0
    filtered: Signal = np.fft.irfft(spectrum * low_pass * high_pass)[: len(signal)]
    return filtered


def _butterworth(s: npt.NDArray[Any], order: int) -> npt.NDArray[Any]:
    response = np.ones_like(s)
    for pole in np.exp(1j * np.pi * (2 * np.arange(order) + order + 1) / (2 * order)):
        response /= 1 - s / pole
    return response


def pcm(signal: Signal) -> Pcm:
    return np.clip(np.rint(signal), -32768, 32767).astype(np.int16)
