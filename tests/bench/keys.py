"""Keys in noise, babble and hum, of bad senders and under a voice, beside multimon-ng; false ones in hours of speech.

Prints JSON. Of each condition: the share of keys that were heard, in percent, and how many were told that nobody had
pressed; ours, then multimon-ng's on the same samples. Babble and the talker are voices that the weights' keys never
lay under. `--hours N` bounds the speech that is listened to (default 12).

    python -m tests.bench.keys [--hours N]
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from appliance.recorder.ear.keys import Key, KeyListener
from appliance.recorder.ear.signals import Pcm
from appliance.terms import BLOCK_FRAMES, RATE_HZ
from tests.simulators import voices
from tests.simulators.key_tones import (
    Pressed,
    Sender,
    Sound,
    any_digits,
    babble,
    fsk,
    hum,
    sampled,
    steady,
    white,
)

_KEYS = 500
_BABBLE, _TALKER = voices.HUMANS[3], voices.HUMANS[2]
_PITCHES = (1.0, 0.91, 0.95, 1.05, 1.1)
"""All but the first are not among those that the weights were made with."""
_ESPEAK_SHARE = 0.35
_ESPEAK_SEED = 123
_MULTIMON_HZ = 22050


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    sender: Sender
    snr_db: float
    kind: str = "white"
    hum_db: float | None = None


class Bench:
    def __init__(self) -> None:
        self._babble = voices.talking(voices.human(_BABBLE))
        self._talker = voices.talking(voices.human(_TALKER))

    def tables(self) -> dict[str, Any]:
        return {name: {label: self._row(each) for label, each in rows} for name, rows in _conditions().items()}

    def _row(self, condition: Condition) -> dict[str, Any]:
        random = np.random.default_rng(20261128)
        sender = condition.sender
        sound, pressed = sender.press(any_digits(_KEYS, random), random)
        noise = sender.power / 10 ** (condition.snr_db / 10)
        if condition.kind == "white":
            sound += white(len(sound), noise, random)
        elif condition.kind == "babble":
            sound += babble(self._babble, len(sound), noise, random)
        else:
            sound += babble(self._talker, len(sound), noise, random, voices=1)
        if condition.hum_db is not None:
            sound += hum(len(sound), sender.power * 10 ** (condition.hum_db / 10), random)
        samples = sampled(sound)
        told = listened(samples)
        heard = [_heard(key, told) for key in pressed]
        return {
            "heard": round(100 * sum(heard) / len(pressed), 1),
            "too_many": len(told) - sum(heard),
            "multimon": dict(zip(("heard", "too_many"), _compared(pressed, multimon(samples)), strict=True)),
        }


def _conditions() -> dict[str, Sequence[tuple[str, Condition]]]:
    snr, quiet = (0, 3, 6, 10, 20), 20
    low = Sender(level_dbm0=-31)
    return {
        "white_snr_db": [(str(db), Condition(sender=Sender(), snr_db=db)) for db in snr],
        "babble_snr_db": [(str(db), Condition(sender=Sender(), snr_db=db, kind="babble")) for db in snr],
        "hum_20_db_above_white_snr_db": [(str(db), Condition(sender=low, snr_db=db, hum_db=20)) for db in snr],
        "hum_20_db_above_babble_snr_db": [
            (str(db), Condition(sender=low, snr_db=db, kind="babble", hum_db=20)) for db in (6, 10, 20)
        ],
        "level_dbm0_at_20_db": [
            (str(dbm0), Condition(sender=Sender(level_dbm0=dbm0), snr_db=quiet))
            for dbm0 in (-3, -10, -20, -30, -40, -44)
        ],
        "twist_db_at_20_db": [
            (str(db), Condition(sender=Sender(twist_db=db), snr_db=quiet)) for db in (-12, -10, -8, -4, 0, 4, 8, 10, 12)
        ],
        "twist_db_at_6_db": [(str(db), Condition(sender=Sender(twist_db=db), snr_db=6)) for db in (-8, -4, 4, 8)],
        "error_percent_at_20_db": [
            (str(percent), Condition(sender=Sender(error=percent / 100), snr_db=quiet))
            for percent in (-4, -3.5, -3, -2.5, -1.8, -1.5, 1.5, 1.8, 2.5, 3, 3.5, 4)
        ],
        "error_percent_at_6_db": [
            (str(percent), Condition(sender=Sender(error=percent / 100), snr_db=6))
            for percent in (-3.5, -1.8, 1.8, 3.5)
        ],
        "tone_ms_at_20_db": [
            (str(ms), Condition(sender=Sender(tone_ms=ms), snr_db=quiet))
            for ms in (10, 15, 20, 25, 30, 35, 40, 50, 100)
        ],
        "pause_ms_at_20_db": [
            (str(ms), Condition(sender=Sender(pause_ms=ms), snr_db=quiet)) for ms in (10, 20, 30, 40, 50)
        ],
        "one_voice_snr_db_and_tone_ms": [
            (f"{db}/{ms}", Condition(sender=Sender(tone_ms=ms, pause_ms=100), snr_db=db, kind="voice"))
            for db in (0, 3, 6, 10)
            for ms in (40, 70, 100, 200)
        ],
    }


def listened(samples: Pcm) -> list[Key]:
    listener = KeyListener()
    blocks = (samples[at : at + BLOCK_FRAMES] for at in range(0, len(samples), BLOCK_FRAMES))
    return [key for block in blocks for key in listener.hear(block)]


def _heard(key: Pressed, told: Sequence[Key]) -> bool:
    return any(
        each.digit == key.digit and each.first_frame < key.end_frame and each.end_frame > key.first_frame
        for each in told
    )


def multimon(samples: Pcm) -> str:
    """The digits that multimon-ng tells of the same samples; it tells no places."""
    command = ["multimon-ng", "-q", "-a", "DTMF", "-t", "raw", "-"]
    raw = voices.resampled(samples, RATE_HZ, _MULTIMON_HZ).tobytes()
    said = subprocess.run(command, input=raw, capture_output=True, check=True).stdout.decode()
    return "".join(re.findall(r"DTMF: (.)", said))


def _compared(pressed: Sequence[Pressed], told: str) -> tuple[float, int]:
    """Share heard and too many, by the longest common subsequence, as no places are known."""
    longest = [0] * (len(told) + 1)
    for key in pressed:
        before = 0
        for at, digit in enumerate(told, 1):
            before, longest[at] = longest[at], before + 1 if digit == key.digit else max(longest[at], longest[at - 1])
    return round(100 * longest[-1] / len(pressed), 1), len(told) - longest[-1]


def speech(hours: float) -> Iterator[tuple[str, Pcm]]:
    """Synthetic voices first, then human ones, as many hours as asked for."""
    for part in voices.synthetic(hours * _ESPEAK_SHARE * 3600, _ESPEAK_SEED):
        yield "espeak-ng", part
    left = hours * (1 - _ESPEAK_SHARE) * 3600 * RATE_HZ
    for pitch in _PITCHES:
        for speaker in voices.HUMANS:
            if left > 0:
                voice = voices.human(speaker, pitch)[: int(left)]
                left -= len(voice)
                yield f"human, pitch {pitch}", voice


def false_keys(hours: float) -> dict[str, Any]:
    """What is told in speech, where nobody presses a key, and what the listening costs."""
    frames, ours, theirs = Counter[str](), Counter[str](), Counter[str]()
    cpu_s = 0.0
    for kind, part in speech(hours):
        frames[kind] += len(part)
        began = time.process_time()
        ours[kind] += len(listened(part))
        cpu_s += time.process_time() - began
        theirs[kind] += len(multimon(part))
    return {
        "by_kind": {
            kind: {"hours": round(count / RATE_HZ / 3600, 2), "ours": ours[kind], "multimon": theirs[kind]}
            for kind, count in frames.items()
        },
        "hours": round(frames.total() / RATE_HZ / 3600, 2),
        "ours": ours.total(),
        "multimon": theirs.total(),
        "cpu_s_per_hour_of_speech": round(cpu_s / (frames.total() / RATE_HZ / 3600), 2),
    }


def no_keys() -> dict[str, Any]:
    """What is neither voice nor key, a minute each."""
    random = np.random.default_rng(425)
    bits = random.integers(0, 2, 72000)
    notes = 220 * 2 ** (random.integers(0, 24, (300, 3)) / 12)
    whole = {
        "dial tone 425": steady((425,), 60, -10),
        "dial tone 350+440": steady((350, 440), 60, -13),
        "busy 480+620": steady((480, 620), 60, -13),
        "fax CNG 1100": steady((1100,), 60, -10),
        "fax CED 2100": steady((2100,), 60, -10),
        "special information 950, 1400, 1800": np.tile(
            np.concatenate([steady((hz,), 0.33, -10) for hz in (950, 1400, 1800)]), 60
        ),
        "V.23 1300/2100": fsk(bits, 1200, 2100, 1300, -14),
        "Bell 202 1200/2200": fsk(bits, 1200, 2200, 1200, -14),
        "V.21 1650/1850": fsk(bits[:18000], 300, 1850, 1650, -14),
        "chords": np.concatenate([_chord(chord) for chord in notes]),
        "noise": white(60 * RATE_HZ, 1e6, random),
        "sounds among the prompts": np.concatenate([voices.sounds(name).astype(float) for name in voices.HUMANS[:4]]),
    }
    return {
        name: {"ours": len(listened(sampled(sound))), "multimon": len(multimon(sampled(sound)))}
        for name, sound in whole.items()
    }


def _chord(notes: Sound) -> Sound:
    """Three notes with four overtones each, every one 6 dB weaker than the one before."""
    overtones = [steady(tuple(notes * (number + 1)), 0.2, -16 - 6 * number) for number in range(5)]
    return np.asarray(np.sum(overtones, axis=0))


def cost() -> dict[str, float]:
    """CPU seconds an hour: digital silence, a quiet line, noise, a hum, one voice without a pause."""
    random = np.random.default_rng(1)
    ten = 600 * RATE_HZ
    lines = {
        "silence": np.zeros(ten, np.int16),
        "line noise of -70 dBm0": sampled(random.normal(0, 32767 * 10 ** (-73.14 / 20) / 2**0.5, ten)),
        "line noise of -40 dBm0": sampled(random.normal(0, 32767 * 10 ** (-43.14 / 20) / 2**0.5, ten)),
        "hum of 50 Hz": sampled(hum(ten, 1e6, random) + white(ten, 1e3, random)),
        "one voice without a pause": voices.talking(voices.human(_BABBLE))[:ten],
    }
    spent = {}
    for name, samples in lines.items():
        began = time.process_time()
        listened(samples)
        spent[name] = round((time.process_time() - began) * 3600 * RATE_HZ / len(samples), 2)
    return spent


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--hours", type=float, default=12)
    hours: float = parser.parse_args().hours
    figures = {"cpu_s_per_hour": cost(), "no_keys": no_keys(), **Bench().tables(), "speech": false_keys(hours)}
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
