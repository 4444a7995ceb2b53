"""What is said on the line in these tests, and how what was recorded is compared with it."""

from __future__ import annotations

import io
import subprocess
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from appliance.sound_file import read_sound_file
from appliance.terms import RATE_HZ

Pcm = NDArray[np.int16]

SPOKEN_HZ = 22_050
"""What espeak-ng makes; not the line's rate, so that resampling is on the way."""

_TALKS = (
    ("de+m3", "Guten Tag, hier ist die Schreinerei Holm."),
    ("de+f2", "Guten Morgen, ich hätte gern einen Tisch aus Eiche, zwei Meter lang."),
    ("de+m3", "Das machen wir gern. Wann brauchen Sie ihn denn?"),
    ("de+f2", "Am besten noch vor dem ersten Juni, wenn das geht."),
    ("de+m3", "Ja, das geht. Ich schicke Ihnen heute ein Angebot."),
    ("de+f2", "Vielen Dank und auf Wiederhören."),
)
_FIGURES = ("eins zwei drei vier fünf", "sechs sieben acht neun zehn", "elf zwölf dreizehn vierzehn")


def conversation(seconds: float, *, first: int = 0, lead_s: float = 1.0) -> NDArray[np.int16]:
    """Two voices in turn, at 22.05 kHz, after `lead_s` of silence; `first` chooses another talk."""
    pieces = [np.zeros(round(lead_s * SPOKEN_HZ), dtype=np.int16)]
    turn = first
    while sum(map(len, pieces)) < seconds * SPOKEN_HZ:
        voice, text = _TALKS[turn % len(_TALKS)]
        if first:
            text = f"{_FIGURES[turn % len(_FIGURES)]}. {text}"
        pieces += [_spoken(voice, text), np.zeros(round(0.4 * SPOKEN_HZ), dtype=np.int16)]
        turn += 1
    return np.concatenate(pieces)[: round(seconds * SPOKEN_HZ)]


def write_wav(path: Path, *channels: Pcm, rate_hz: int = SPOKEN_HZ) -> Path:
    """One file, as many channels as given, all as long as the longest."""
    frames = np.zeros((max(map(len, channels)), len(channels)), dtype="<i2")
    for number, samples in enumerate(channels):
        frames[: len(samples), number] = samples
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(channels))
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(frames.tobytes())
    return path


def read_wav(content: bytes) -> Pcm:
    """A downloaded file; it must be what a telephone line's WAV is."""
    with wave.open(io.BytesIO(content)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, RATE_HZ)
        samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
        assert len(samples) == file.getnframes()
    return samples


def as_on_the_line(path: Path) -> Pcm:
    """What the line says of this file: shape (frames, channels), 8 kHz."""
    return read_sound_file(path)


def decoded_ogg(content: bytes, scratch: Path) -> Pcm:
    """An Ogg as a stranger's program decodes it."""
    scratch.write_bytes(content)
    command = ["ffmpeg", "-v", "error", "-xerror", "-i", str(scratch), "-f", "s16le", "-ar", str(RATE_HZ), "-"]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    return np.frombuffer(done.stdout, dtype="<i2")


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """How a recording lies over what was said.

    lead: frames of the recording before the first frame of what was said.
    whole: correlation over all that was said.
    seconds: correlation of each second of it that is not silence.
    """

    lead: int
    whole: float
    seconds: tuple[float, ...]


def match(recorded: Pcm, said: Pcm) -> Match:
    """Lay a recording over what was said, where it fits best."""
    lead = _best_lead(recorded.astype(float), said.astype(float))
    over = np.zeros(len(said))
    first, last = max(0, -lead), min(len(said), len(recorded) - lead)
    over[first:last] = recorded[first + lead : last + lead]
    loud = float(np.sqrt(np.mean(said.astype(float) ** 2)))
    seconds = [
        correlation(over[at : at + RATE_HZ], said[at : at + RATE_HZ])
        for at in range(0, len(said) - RATE_HZ + 1, RATE_HZ)
        if np.sqrt(np.mean(said[at : at + RATE_HZ].astype(float) ** 2)) > loud / 4
    ]
    return Match(lead=lead, whole=correlation(over, said), seconds=tuple(seconds))


def correlation(one: NDArray[np.generic], other: NDArray[np.generic]) -> float:
    """1 for the same shape, 0 for nothing in common."""
    a, b = one.astype(float), other.astype(float)
    length = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / length if length else 0.0


def _best_lead(recorded: NDArray[np.float64], said: NDArray[np.float64]) -> int:
    size = 1 << (len(recorded) + len(said)).bit_length()
    fits = np.fft.irfft(np.fft.rfft(recorded, size) * np.conj(np.fft.rfft(said, size)), size)
    at = int(np.argmax(fits))
    return at if at < len(recorded) else at - size


def _spoken(voice: str, text: str) -> Pcm:
    command = ["espeak-ng", "-v", voice, "-s", "160", "--stdout", text]
    spoken = subprocess.run(command, capture_output=True, check=True, timeout=30).stdout
    # espeak-ng cannot know the length when it writes the header to a pipe: 44 bytes, then samples.
    return np.frombuffer(spoken[44 : 44 + (len(spoken) - 44) // 2 * 2], dtype="<i2")
