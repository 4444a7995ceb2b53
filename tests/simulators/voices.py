"""Hours of people who talk and press no key.

Human voices are the prompts of Debian's asterisk-core-sounds-*-wav (five languages, five speakers, 2.3 hours);
synthetic ones are espeak-ng's, reading the words of a licence in any order.
"""

from __future__ import annotations

import random
import subprocess
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from appliance.recorder.ear.signals import Pcm
from appliance.terms import RATE_HZ

HUMANS = ("en_US_f_Allison", "es_MX_f_Allison", "fr_CA_f_June", "it_IT_m_Carlo", "ru_RU_f_IvrvoiceRU")
_PROMPTS = Path("/usr/share/asterisk/sounds")
SOUNDS = ("ascending-2tone", "beep", "beeperr", "descending-2tone", "tt-monkeys")
"""Among the prompts, but no voices: tones, and apes that scream. At another pitch they may well be a key."""

_TEXT = Path("/usr/share/common-licenses/GPL-3")
"""On every Debian, and the same for ever."""
_LANGUAGES = ("en-us", "en-gb", "de", "fr-fr", "es", "it", "nl", "pl", "pt", "ru", "sv", "fi")
_VARIANTS = ("", "+f1", "+f2", "+f3", "+f4", "+f5", "+m1", "+m2", "+m3", "+m4", "+m5", "+m6", "+m7", "+croak")
_ESPEAK_RATE_HZ = 22050


def human(speaker: str, pitch: float = 1.0) -> Pcm:
    """All that one speaker says, 0.2 s between them. A pitch of 1.1 is a voice that is higher, and faster, by 10 %."""
    paths = sorted(path for path in (_PROMPTS / speaker).rglob("*.wav") if path.stem not in SOUNDS)
    voice = np.concatenate([part for path in paths for part in (_read(path), np.zeros(RATE_HZ // 5, np.int16))])
    return voice if pitch == 1.0 else resampled(voice, round(RATE_HZ * pitch), RATE_HZ)


def sounds(speaker: str) -> Pcm:
    """What is among the prompts and no voice."""
    return np.concatenate([_read(_PROMPTS / speaker / f"{name}.wav") for name in SOUNDS])


def _read(path: Path) -> Pcm:
    with wave.open(str(path)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)


def synthetic(seconds: float, seed: int) -> Iterator[Pcm]:
    """espeak-ng in many languages, voices, speeds and pitches, some minutes each, until there is enough."""
    chance = random.Random(seed)
    words = _TEXT.read_text().split()
    spoken = 0
    while spoken < seconds * RATE_HZ:
        numbers = [str(chance.randrange(10 ** chance.randrange(1, 7))) for _ in range(60)]
        voice = chance.choice(_LANGUAGES) + chance.choice(_VARIANTS)
        manner = ["-v", voice, "-s", str(chance.randrange(110, 220)), "-p", str(chance.randrange(10, 95))]
        text = " ".join(chance.choices(words, k=400) + numbers)
        run = subprocess.run(["espeak-ng", *manner, "--stdout", text], capture_output=True, check=False)
        samples = np.frombuffer(run.stdout[44:], np.int16)
        # Not every language has every voice.
        if len(samples) > _ESPEAK_RATE_HZ:
            part = resampled(samples, _ESPEAK_RATE_HZ, RATE_HZ)
            spoken += len(part)
            yield part


def resampled(samples: Pcm, from_hz: int, to_hz: int) -> Pcm:
    """Through the spectrum of each 20 s, which is good enough for what has no sound at its edges' frequency."""
    part = 20 * from_hz
    return np.concatenate([_resampled(samples[at : at + part], from_hz, to_hz) for at in range(0, len(samples), part)])


def _resampled(samples: Pcm, from_hz: int, to_hz: int) -> Pcm:
    frames = round(len(samples) * to_hz / from_hz)
    lines = np.fft.rfft(samples.astype(np.float64))
    kept = np.zeros(frames // 2 + 1, np.complex128)
    common = min(len(lines), len(kept))
    kept[:common] = lines[:common]
    sound = np.fft.irfft(kept, frames) * (frames / max(len(samples), 1))
    result: Pcm = np.clip(np.rint(sound), -32768, 32767).astype(np.int16)
    return result


def talking(voice: Pcm) -> Pcm:
    """Without its pauses: the tenths of a second that are not much softer than the mean."""
    tenths = voice[: len(voice) // 800 * 800].reshape(-1, 800)
    power = np.mean(tenths.astype(np.float64) ** 2, 1)
    loud: Pcm = tenths[power > 0.05 * power.mean()].reshape(-1)
    return loud
