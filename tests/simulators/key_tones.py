"""Key presses as a telephone sends them, and what may lie over them on a line.

Sounds are float64 in sample values, so that they add up before they are rounded. Levels are of one tone, in
dBm0, with full scale at 3.14 dBm0 (ITU-T G.711, A-law).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.recorder.ear.keys import DIGITS, HIGH_HZ, LOW_HZ
from appliance.recorder.ear.signals import Pcm
from appliance.terms import RATE_HZ

Sound = NDArray[np.float64]

_HUM_DB = {1: 0, 2: -15, 3: -10, 5: -15, 7: -20, 9: -25, 11: -30, 13: -30}
"""Overtones of 50 Hz beside the first: odd ones are the stronger, as of mains that is clipped a little."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pressed:
    first_frame: int
    end_frame: int
    digit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """A telephone's key sender, good or bad.

    level_dbm0: mean of the two tones. twist_db: by how much the high tone is louder.
    error: by what share both frequencies are too high.
    """

    tone_ms: float = 40
    pause_ms: float = 60
    level_dbm0: float = -13
    twist_db: float = 0
    error: float = 0

    def key(self, digit: str, random: np.random.Generator) -> Sound:
        place = DIGITS.index(digit)
        time = np.arange(round(self.tone_ms * RATE_HZ / 1000)) / RATE_HZ
        sound = np.zeros(len(time))
        for hz, twist_db in ((LOW_HZ[place // 4], -self.twist_db / 2), (HIGH_HZ[place % 4], self.twist_db / 2)):
            angle = 2 * np.pi * hz * (1 + self.error) * time + random.uniform(0, 2 * np.pi)
            sound += amplitude(self.level_dbm0 + twist_db) * np.sin(angle)
        return sound

    def press(self, digits: str, random: np.random.Generator) -> tuple[Sound, list[Pressed]]:
        """One key after the other, each up to 10 ms late, half a second of silence before and after."""
        at = RATE_HZ // 2
        pause = round(self.pause_ms * RATE_HZ / 1000)
        parts, pressed = [np.zeros(at)], []
        for digit in digits:
            key, late = self.key(digit, random), int(random.integers(0, 80))
            pressed.append(Pressed(first_frame=at + late, end_frame=at + late + len(key), digit=digit))
            parts += [np.zeros(late), key, np.zeros(pause)]
            at = pressed[-1].end_frame + pause
        return np.concatenate([*parts, np.zeros(RATE_HZ // 2)]), pressed

    @property
    def power(self) -> float:
        """Of a key while it sounds, in squared sample values."""
        tones_db = (self.level_dbm0 - self.twist_db / 2, self.level_dbm0 + self.twist_db / 2)
        return sum(amplitude(level) ** 2 / 2 for level in tones_db)


def amplitude(dbm0: float) -> float:
    return float(32767 * 10 ** ((dbm0 - 3.14) / 20))


def any_digits(count: int, random: np.random.Generator) -> str:
    return "".join(random.choice(list(DIGITS), count))


def white(frames: int, power: float, random: np.random.Generator) -> Sound:
    """White noise, 0 Hz to 4 kHz."""
    return random.normal(0, np.sqrt(power), frames)


def hum(frames: int, power: float, random: np.random.Generator, hz: float = 50) -> Sound:
    """Mains hum with its overtones, of random phase."""
    time = np.arange(frames) / RATE_HZ
    sound = np.zeros(frames)
    for overtone, level_db in _HUM_DB.items():
        sound += 10 ** (level_db / 20) * np.sin(2 * np.pi * hz * overtone * time + random.uniform(0, 2 * np.pi))
    return scaled(sound, power)


def babble(voice: Pcm, frames: int, power: float, random: np.random.Generator, voices: int = 5) -> Sound:
    """Several people at once: pieces of this speech, equally loud, on top of each other. One voice is a far talker."""
    sound = np.zeros(frames)
    for _ in range(voices):
        first = int(random.integers(0, len(voice) - frames))
        sound += scaled(voice[first : first + frames].astype(np.float64), 1)
    return scaled(sound, power)


def scaled(sound: Sound, power: float) -> Sound:
    return np.asarray(sound * np.sqrt(power / (np.mean(sound**2) + 1e-9)))


def steady(hz: tuple[float, ...], seconds: float, level_dbm0: float) -> Sound:
    """Tones that stay: dial tone, fax, a chord."""
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return np.asarray(sum(amplitude(level_dbm0) * np.sin(2 * np.pi * each * time) for each in hz))


def fsk(bits: NDArray[np.int_], baud: float, space_hz: float, mark_hz: float, level_dbm0: float) -> Sound:
    """A modem's tones, continuous in phase: V.21, V.23, Bell 202."""
    frames = int(len(bits) * RATE_HZ / baud)
    bit = bits[(np.arange(frames) * baud / RATE_HZ).astype(int)]
    angle = 2 * np.pi * np.cumsum(np.where(bit == 1, mark_hz, space_hz)) / RATE_HZ
    return np.asarray(amplitude(level_dbm0) * np.sin(angle))


def sampled(sound: Sound) -> Pcm:
    samples: Pcm = np.clip(np.rint(sound), -32768, 32767).astype(np.int16)
    return samples
