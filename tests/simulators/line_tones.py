"""What an exchange sends and what a line adds to it, made anew from a seed.

Levels are in dBFS, 0 dBFS being a full-scale square wave, as in `appliance.recorder.ear.signals`. A sound is
float64 with full scale 1.0, so that sounds can be added up; `as_pcm` ends it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from appliance.recorder.ear.countries import InformationTone, Tone
from appliance.recorder.ear.signals import Pcm
from appliance.terms import RATE_HZ

Sound = npt.NDArray[np.float64]


def as_pcm(sound: npt.NDArray[Any]) -> Pcm:
    """16 bit; what has them already stays as it is."""
    samples: Pcm = sound if sound.dtype == np.int16 else np.rint(np.clip(sound, -1, 1) * 32767).astype(np.int16)
    return samples


def silence(seconds: float) -> Sound:
    return np.zeros(round(seconds * RATE_HZ))


def sines(frequencies_hz: Sequence[float], seconds: float, dbfs: float, phase: float = 0.0) -> Sound:
    """All frequencies equally loud; `dbfs` is the level of all together."""
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    each = amplitude(dbfs) * np.sqrt(2 / len(frequencies_hz))
    total: Sound = each * sum(
        (np.sin(2 * np.pi * hz * time + phase + hz) for hz in frequencies_hz), np.zeros(len(time))
    )
    return total


def amplitude(dbfs: float) -> float:
    return float(10 ** (dbfs / 20))


def level_dbfs(sound: Sound) -> float:
    return float(10 * np.log10(np.mean(sound**2)))


def tone(wanted: Tone, seconds: float, dbfs: float, *, pitch: float = 1.0, tempo: float = 1.0) -> Sound:
    """A call-progress tone; `dbfs` is its level while it is on. pitch and tempo: what it is off by, as factors."""
    sound = sines([hz * pitch for hz in wanted.frequencies_hz], seconds, dbfs)
    if wanted.modulation_hz is not None:
        time = np.arange(len(sound)) / RATE_HZ
        sound *= (1 + 0.9 * np.cos(2 * np.pi * wanted.modulation_hz * time)) / np.sqrt(1 + 0.9**2 / 2)
    return sound * gate(wanted.cadence_s, len(sound), tempo)


def gate(cadence_s: Sequence[float], frames: int, tempo: float = 1.0) -> Sound:
    """1 while a cadence is on, 0 while it is off."""
    if not cadence_s:
        return np.ones(frames)
    parts = [np.full(round(part * tempo * RATE_HZ), 1.0 - at % 2) for at, part in enumerate(cadence_s)]
    period = np.concatenate(parts)
    return np.resize(period, frames)


def information_tone(wanted: InformationTone, dbfs: float, *, times: int = 1, shift_hz: float = 0.0) -> Sound:
    parts = []
    for hz, length in zip(wanted.notes_hz, wanted.notes_s, strict=True):
        parts += [sines([hz + shift_hz], length, dbfs), silence(wanted.gap_s)]
    return np.concatenate([*parts, silence(wanted.pause_s)] * times)


def white(frames: int, dbfs: float, random: np.random.Generator) -> Sound:
    return random.normal(0, amplitude(dbfs), frames)


def babble(frames: int, dbfs: float, voices: Sequence[Sound], random: np.random.Generator) -> Sound:
    """Several voices at once, each begun anywhere and repeated."""
    mixed = np.zeros(frames)
    for _ in range(6):
        voice = voices[int(random.integers(len(voices)))]
        at = np.arange(frames) + random.integers(len(voice))
        part = voice[at % len(voice)]
        mixed += part / max(np.std(part), 1e-6)
    whole: Sound = mixed * amplitude(dbfs) / np.sqrt(np.mean(mixed**2))
    return whole


def hum(frames: int, hz: float, dbfs: float, random: np.random.Generator, overtones_db: float = -60.0) -> Sound:
    """Mains hum; its overtones fall from `overtones_db` below it by 3 dB each, up to the tenth."""
    time = np.arange(frames) / RATE_HZ
    sound = np.sin(2 * np.pi * hz * time + random.uniform(0, 6.28))
    for order in range(2, 11):
        level = amplitude(overtones_db - 3 * (order - 2))
        sound += level * np.sin(2 * np.pi * order * hz * time + random.uniform(0, 6.28))
    whole: Sound = sound * amplitude(dbfs) * np.sqrt(2)
    return whole


def ringing(
    hz: float, cadence_s: Sequence[float], seconds: float, dbfs: float, *, clipped: float = 1.0, high_pass_hz: float = 0
) -> Sound:
    """Ringing voltage as it couples into audio: `clipped` times as high as the coupler lets through.

    high_pass_hz: what the coupler takes away below; what is left of a clipped ring are clicks.
    """
    frames = round(seconds * RATE_HZ)
    wave = np.sin(2 * np.pi * hz * np.arange(frames) / RATE_HZ)
    wave = np.clip(wave * clipped, -1, 1)
    if high_pass_hz:
        spectrum = np.fft.rfft(wave)
        spectrum[: round(high_pass_hz * frames / RATE_HZ)] = 0
        wave = np.fft.irfft(spectrum, frames)
    sound: Sound = wave / np.sqrt(np.mean(wave**2)) * amplitude(dbfs)
    return sound * gate(cadence_s, frames)
