"""What telephony does to a sound on its way: codecs, filters, clocks, jitter buffers, echoes, a voice over it.

Sounds are float64 in sample values, 8 kHz. Codecs are those of the ffmpeg and the sox that are installed.
"""

from __future__ import annotations

import subprocess

import numpy as np

from appliance.recorder.ear.signals import Pcm
from appliance.terms import RATE_HZ
from tests.simulators import voices
from tests.simulators.key_tones import Sound, sampled, scaled

_RAW = ("-f", "s16le", "-ar", str(RATE_HZ), "-ac", "1")
_ENCODERS: dict[str, tuple[str, ...]] = {
    "A-law": ("-c:a", "pcm_alaw", "-f", "alaw"),
    "mu-law": ("-c:a", "pcm_mulaw", "-f", "mulaw"),
    "G.726 32": ("-c:a", "g726", "-b:a", "32k", "-f", "wav"),
    "G.726 16": ("-c:a", "g726", "-b:a", "16k", "-f", "wav"),
    "G.722": ("-ar", "16000", "-c:a", "g722", "-f", "wav"),
    "GSM": ("-c:a", "libgsm", "-f", "gsm"),
    "G.723.1": ("-c:a", "g723_1", "-b:a", "6.3k", "-f", "nut"),
    "Speex 8": ("-c:a", "libspeex", "-b:a", "8k", "-f", "ogg"),
    "Opus 8": ("-c:a", "libopus", "-b:a", "8k", "-application", "voip", "-f", "ogg"),
    "Opus 16": ("-c:a", "libopus", "-b:a", "16k", "-application", "voip", "-f", "ogg"),
}
_AMR_MODES = {"AMR 12.2": "7", "AMR 7.95": "5", "AMR 4.75": "0"}
"""AMR at 7.95 kbit/s and less is built as G.729 is: algebraic code excitation (ACELP)."""
CODECS = (*_ENCODERS, *_AMR_MODES)


def coded(sound: Sound, codec: str) -> Sound:
    """Through a codec and back; it may come some 10 ms later."""
    raw = sampled(sound).tobytes()
    if codec in _AMR_MODES:
        told = ("-t", "raw", "-r", str(RATE_HZ), "-e", "signed", "-b", "16", "-c", "1")
        sent = _run(raw, "sox", *told, "-", "-t", "amr-nb", "-C", _AMR_MODES[codec], "-")
        return _sound(_run(sent, "sox", "-t", "amr-nb", "-", *told, "-"))
    container = _ENCODERS[codec][-1]
    sent = _run(raw, *_FFMPEG, *_RAW, "-i", "pipe:0", *_ENCODERS[codec], "pipe:1")
    plain = ("-ar", str(RATE_HZ), "-ac", "1") if container in {"alaw", "mulaw"} else ()
    return _sound(_run(sent, *_FFMPEG, "-f", container, *plain, "-i", "pipe:0", *_RAW, "pipe:1"))


_FFMPEG = ("ffmpeg", "-hide_banner", "-loglevel", "error")


def _run(given: bytes, *command: str) -> bytes:
    return subprocess.run(command, input=given, capture_output=True, check=True).stdout


def _sound(raw: bytes) -> Sound:
    return np.frombuffer(raw, np.int16).astype(np.float64)


def telephone_band(sound: Sound) -> Sound:
    """Two codec filters and a coupler: Butterworth, 300 Hz (8 poles) to 3400 Hz (12 poles), with their phase.

    Delays 300 Hz to 500 Hz by up to 4 ms against 1.5 kHz, which is more than ITU-T G.712 allows.
    """
    hz = np.fft.rfftfreq(2 * len(sound), 1 / RATE_HZ)
    with np.errstate(divide="ignore"):
        response = _butterworth(300 / np.maximum(hz, 1e-3), 4).conj() ** 2 * _butterworth(hz / 3400, 6) ** 2
    return np.asarray(np.fft.irfft(np.fft.rfft(sound, 2 * len(sound)) * response)[: len(sound)])


def _butterworth(ratio: Sound, poles: int) -> np.ndarray[tuple[int, ...], np.dtype[np.complex128]]:
    angles = np.pi * (2 * np.arange(poles) + poles + 1) / (2 * poles)
    return np.asarray(np.prod(1 / (1j * ratio[:, None] - np.exp(1j * angles)), 1))


def at_clock(sound: Sound, ppm: int) -> Sound:
    """As a sound card hears it whose clock is too fast by so many millionths."""
    return voices.resampled(sampled(sound), 1_000_000, 1_000_000 + ppm).astype(np.float64)


def slipped(sound: Sound, at_frame: int, frames: int) -> Sound:
    """A jitter buffer drops so many frames here, or plays them twice if they are negative."""
    return np.concatenate((sound[:at_frame], sound[at_frame + frames :]))


def echoed(sound: Sound, delay_ms: float, level_db: float) -> Sound:
    delay = round(delay_ms * RATE_HZ / 1000)
    echo = np.concatenate((np.zeros(delay), sound))[: len(sound)]
    return np.asarray(sound + 10 ** (level_db / 20) * echo)


def talked_over(sound: Sound, voice: Pcm, at_frame: int, level_db: float) -> Sound:
    """Somebody says this meanwhile, so much louder than the sound's mean."""
    over = sound.copy()
    said = scaled(voice.astype(np.float64), float(np.mean(sound**2)) * 10 ** (level_db / 10))
    over[at_frame : at_frame + len(said)] += said[: len(over) - at_frame]
    return over
