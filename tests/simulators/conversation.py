"""A telephone call nobody ever made: what the demo's line says.

Promises: the same bytes at every run of one espeak-ng version; a plausible course: idle line, two ring bursts with
the caller's number between them, a business conversation between two voices with no pause over 2 s, busy tone, idle
line.
Leaves to others: playing it (tests.simulators.line). It is made anew wherever it is needed, never committed.

    python -m tests.simulators.conversation call.wav
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from appliance.sound_file import read_sound_file, write_wav
from appliance.terms import RATE_HZ, LineTrouble
from tests.simulators.caller_id_tones import V23, Caller, call_setup, fsk

Sound = NDArray[np.float64]  # shape (frames,), full scale 1.0

ANSWERING = ("de+f2", 165, -20.0)
CALLING = ("de+m3", 155, -25.0)  # voice, words a minute, level dBFS; the far end is quieter

ANNOUNCEMENT = "Schreinerei Holm. Wenn Sie möchten, zeichnen wir dieses Gespräch auf. Drücken Sie dafür die Eins."
ANNOUNCING = ("de+f4", 160, -20.0)
YES_KEY_HZ = (697, 1209)
YES_KEY_DBFS = -18.0

SCRIPT = (
    (ANSWERING, 0.4, "Guten Tag, Schreinerei Holm, Anna Becker am Apparat."),
    (CALLING, 0.7, "Guten Tag, Frau Becker. Hier ist Brandt, vom Hotel am See."),
    (CALLING, 0.4, "Ich rufe wegen der zwölf Tische an."),
    (ANSWERING, 0.8, "Ja, Herr Brandt. Die Tische sind fertig. Wann sollen wir liefern?"),
    (CALLING, 1.2, "Am Donnerstag, wenn es geht. Am besten vor zehn Uhr."),
    (ANSWERING, 1.6, "Donnerstag um neun, das passt. Brauchen Sie Hilfe beim Aufstellen?"),
    (CALLING, 0.6, "Nein danke, das machen wir selbst. Vielen Dank, auf Wiederhören."),
    (ANSWERING, 0.5, "Gern geschehen. Auf Wiederhören."),
)
"""Who, after how many seconds of pause, says what."""

CALLER = b"03023125471"
"""One of Berlin's numbers that belong to nobody: Bundesnetzagentur, numbers for use in films (030 23125 000 to 999)."""

NOISE_DBFS = -65.0
RING_DBFS = -30.0
BUSY_DBFS = -20.0
IDLE_BEFORE_S = 2.0
IDLE_AFTER_S = 12.0
BUSY_S = 3.0


def synthesise(path: Path) -> None:
    """Write the call as WAV, 8 kHz, mono, 16 bit.

    Raises:
        LineTrouble: espeak-ng is not installed, or failed.
    """
    call = np.concatenate([_pause(IDLE_BEFORE_S), _ringing(), _talk(), _pause(0.5), _busy_tone(), _pause(IDLE_AFTER_S)])
    call += np.random.default_rng(seed=425).normal(0, _amplitude(NOISE_DBFS), len(call))
    write_wav(path, np.rint(np.clip(call, -1, 1) * 32767).astype(np.int16)[:, np.newaxis])


def _talk() -> Sound:
    """The announcement, the caller's key for yes, and the conversation."""
    pieces: list[Sound] = []
    with tempfile.TemporaryDirectory() as folder:
        spoken = Path(folder) / "spoken.wav"
        pieces += [_said(spoken, ANNOUNCING, ANNOUNCEMENT), _pause(0.8), _yes_key(), _pause(0.8)]
        for voice, pause_s, text in SCRIPT:
            pieces += [_pause(pause_s), _said(spoken, voice, text)]
    return np.concatenate(pieces)


def _said(scratch: Path, voice: tuple[str, int, float], text: str) -> Sound:
    name, words_a_minute, level_dbfs = voice
    return _at_level(_telephone_band(_speak(scratch, name, words_a_minute, text)), level_dbfs)


def _yes_key() -> Sound:
    t = np.arange(round(0.15 * RATE_HZ)) / RATE_HZ
    return _at_level(np.asarray(sum(np.sin(2 * np.pi * hz * t) for hz in YES_KEY_HZ)), YES_KEY_DBFS)


def _speak(scratch: Path, voice: str, words_a_minute: int, text: str) -> Sound:
    command = ["espeak-ng", "-v", voice, "-s", str(words_a_minute), "-w", str(scratch), "--", text]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except FileNotFoundError as error:
        raise LineTrouble("The demo's call is spoken by espeak-ng: install it.") from error
    except subprocess.CalledProcessError as error:
        raise LineTrouble(f"espeak-ng could not speak: {error.stderr.decode(errors='replace')}") from error
    spoken = read_sound_file(scratch)[:, 0] / 32768
    heard = np.flatnonzero(np.abs(spoken) > 0.01)
    return np.asarray(spoken[heard[0] : heard[-1] + 1], dtype=np.float64)


def _telephone_band(sound: Sound) -> Sound:
    """300 to 3400 Hz (ITU-T G.712), by a windowed-sinc filter whose delay is taken off."""
    n = np.arange(-200, 201)
    taps = (_sinc_low_pass(n, 3400) - _sinc_low_pass(n, 300)) * np.hamming(len(n))
    filtered: Sound = np.convolve(sound, taps, mode="same")
    return filtered


def _sinc_low_pass(n: NDArray[np.int_], cut_hz: float) -> Sound:
    share = 2 * cut_hz / RATE_HZ
    curve: Sound = np.sinc(share * n)
    return share * curve


def _ringing() -> Sound:
    """Two bursts of the German cadence (1 s on, 4 s off), who calls between them; picked up 1.5 s after the second.

    The exchange's 25 Hz is far below the telephone band. What a coupler lets through are its harmonics, and a
    touch of 425 Hz pulsing with them.
    """
    t = np.arange(RATE_HZ) / RATE_HZ
    harmonics = sum(np.sin(2 * np.pi * 25 * k * t) / k for k in range(1, 60, 2))
    pulsing = 0.5 * (1 + np.sin(2 * np.pi * 25 * t)) * np.sin(2 * np.pi * 425 * t)
    burst = _at_level(_telephone_band(np.asarray(harmonics) + pulsing), RING_DBFS)
    caller_id = fsk(call_setup(Caller(number=CALLER)), V23)
    silence = _pause(4.0 - len(caller_id) / RATE_HZ - 1.0)
    return np.concatenate([burst, _pause(1.0), caller_id, silence, burst, _pause(1.5)])


def _busy_tone() -> Sound:
    """425 Hz, 480 ms on and 480 ms off (ITU-T E.180, Germany): the far end has hung up."""
    t = np.arange(round(BUSY_S * RATE_HZ)) / RATE_HZ
    on = (t % 0.96) < 0.48
    tone: Sound = np.sqrt(2) * np.sin(2 * np.pi * 425 * t)
    return _amplitude(BUSY_DBFS) * tone * on


def _pause(seconds: float) -> Sound:
    return np.zeros(round(seconds * RATE_HZ))


def _at_level(sound: Sound, level_dbfs: float) -> Sound:
    return sound * (_amplitude(level_dbfs) / float(np.sqrt(np.mean(sound**2))))


def _amplitude(level_dbfs: float) -> float:
    return float(10 ** (level_dbfs / 20))


if __name__ == "__main__":
    synthesise(Path(sys.argv[1]))
