"""How often tones and rings are heard right, what is heard that was not there, and what it costs.

    OPENBLAS_NUM_THREADS=1 python -m tests.bench.tones [--trials 10] [--hours 10] [--country de ...] [--only tones|...]

Right: the tone is told once, by its name, and nothing else is; where it began and ended is told to 0.1 s (for a
tone in noise, `dated`). A tone lasts for three periods and for 6 s at least. Human voices are those of Debian's asterisk-core-sounds packages, at 8 kHz; where they
are not installed, espeak-ng speaks alone. One thread, because the processor time of an idle second one counts.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from appliance.recorder.countries import COUNTRIES, Country, InformationTone, Tone
from appliance.recorder.ringing import RingListener
from appliance.recorder.signals import Pcm
from appliance.recorder.tones import ToneListener
from appliance.sound_file import read_sound_file
from appliance.terms import BLOCK_FRAMES, RATE_HZ
from tests.simulators import line_tones
from tests.simulators.line_tones import Sound, as_pcm

VOICES = Path("/usr/share/asterisk/sounds")
SNRS_DB = (0, 3, 6, 10, 20)
SEED = 180
DATED_S = 0.1

TEXTS = {
    "de": "Guten Tag, hier ist die Werkstatt. Ihr Wagen ist fertig, Sie können ihn heute bis sechs Uhr abholen.",
    "en": "Good morning, this is the workshop. Your car is ready, you can pick it up today until six.",
    "fr": "Bonjour, ici l'atelier. Votre voiture est prête, vous pouvez la prendre jusqu'à six heures.",
    "it": "Buongiorno, qui è l'officina. La sua macchina è pronta, può ritirarla oggi fino alle sei.",
    "nl": "Goedemorgen, met de garage. Uw auto is klaar, u kunt hem vandaag tot zes uur ophalen.",
}
FAX = (
    Tone(name="dial", frequencies_hz=(1100,), cadence_s=(0.5, 3.0)),
    Tone(name="dial", frequencies_hz=(2100,)),
)


@dataclass(frozen=True, slots=True)
class Case:
    """A sound and what should be heard in it."""

    name: str
    label: str
    make: Callable[[float, float, float], Sound]  # dBFS, pitch, tempo


def cases(country: Country) -> Iterator[Case]:
    for tone in country.tones:
        yield Case(tone.name, f"{tone.name} {_written(tone)}", _tone_maker(tone))
    for notes in country.information_tones:
        yield Case("sit", f"sit {'/'.join(f'{hz:g}' for hz in notes.notes_hz)}", _notes_maker(notes))
    for fax in FAX:
        yield Case("fax", f"fax {_written(fax)}", _tone_maker(fax))


def _written(tone: Tone) -> str:
    pitch = "+".join(f"{hz:g}" for hz in tone.frequencies_hz)
    modulation = f"*{tone.modulation_hz:g}" if tone.modulation_hz else ""
    return f"{pitch}{modulation} {'-'.join(f'{part:g}' for part in tone.cadence_s)}".strip()


def _tone_maker(tone: Tone) -> Callable[[float, float, float], Sound]:
    def make(dbfs: float, pitch: float, tempo: float) -> Sound:
        period = sum(tone.cadence_s)
        seconds = tempo * period * max(3, np.ceil(6 / period)) if period else 4.0
        sound = line_tones.tone(tone, seconds, dbfs, pitch=pitch, tempo=tempo)
        return sound[: np.flatnonzero(sound)[-1] + 1]

    return make


def _notes_maker(notes: InformationTone) -> Callable[[float, float, float], Sound]:
    def make(dbfs: float, pitch: float, tempo: float) -> Sound:
        # E.180: each note within 50 Hz; GR-674 keeps to 1.5 %.
        other = InformationTone(
            notes_hz=notes.notes_hz, notes_s=_scaled(notes.notes_s, tempo), gap_s=notes.gap_s, pause_s=notes.pause_s
        )
        sound = line_tones.information_tone(other, dbfs, times=1, shift_hz=1400 * (pitch - 1))
        return sound[: np.flatnonzero(sound)[-1] + 1]

    return make


def _scaled(lengths: tuple[float, float, float], by: float) -> tuple[float, float, float]:
    return lengths[0] * by, lengths[1] * by, lengths[2] * by


@dataclass(frozen=True, slots=True)
class Condition:
    label: str
    snr_db: float | None = 30.0
    noise: str = "white"
    dbfs: float = -20.0
    pitch: float = 1.0
    tempo: float = 1.0
    hum_db: float | None = None


CONDITIONS = (
    *(Condition(f"{noise} {snr} dB", snr, noise) for noise in ("white", "babble") for snr in SNRS_DB),
    *(Condition(f"level {dbfs} dBFS", 20, dbfs=dbfs) for dbfs in (-10, -27, -35)),
    *(Condition(f"pitch {pitch:+.0%}, white 10 dB", 10, pitch=1 + pitch) for pitch in (-0.02, 0.02)),
    *(Condition(f"tempo {tempo:+.0%}, white 10 dB", 10, tempo=1 + tempo) for tempo in (-0.15, 0.15)),
    Condition("hum +20 dB, white 6 dB", 6, hum_db=20),
    Condition("hum +20 dB, babble 6 dB", 6, "babble", hum_db=20),
    Condition("hum +20 dB, white 6 dB, -35 dBFS", 6, dbfs=-35, hum_db=20),
)


def measure_tones(countries: Sequence[Country], trials: int, voices: Sequence[Sound]) -> dict[str, Any]:
    right: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    each: dict[str, dict[str, float]] = {}
    wrong: dict[str, int] = defaultdict(int)
    for country in countries:
        for case in cases(country):
            for condition in CONDITIONS:
                counts = [0, 0, 0]
                for trial in range(trials):
                    random = np.random.default_rng([SEED, trial])
                    named, dated, others = _try(country, case, condition, voices, random)
                    counts = [counts[0] + 1, counts[1] + named, counts[2] + dated]
                    for other in others:
                        wrong[f"{condition.label}: {case.name} heard as {other}"] += 1
                for at, count in enumerate(counts):
                    right[condition.label][at] += count
                each.setdefault(f"{country.code} {case.label}", {})[condition.label] = round(counts[1] / counts[0], 3)
    return {
        "all": {
            label: {"trials": trials, "right": round(named / trials, 4), "dated": round(dated / trials, 4)}
            for label, (trials, named, dated) in right.items()
        },
        "each, where not all are right": {
            label: {condition: share for condition, share in row.items() if share < 1} for label, row in each.items()
        },
        "other names": dict(sorted(wrong.items())),
    }


def _try(
    country: Country, case: Case, condition: Condition, voices: Sequence[Sound], random: np.random.Generator
) -> tuple[bool, bool, list[str]]:
    before_s = random.uniform(1.0, 1.5)
    sound = case.make(condition.dbfs, condition.pitch, condition.tempo)
    line = np.concatenate((line_tones.silence(before_s), sound, line_tones.silence(7.5)))
    if condition.snr_db is not None:
        line += _noise(len(line), condition, voices, random)
    if condition.hum_db is not None:
        line += line_tones.hum(len(line), country.mains_hz, min(condition.dbfs + condition.hum_db, -4.0), random)
    changes = (
        [change for block in blocks(as_pcm(line)) for change in listener.hear(block)]
        if (listener := ToneListener(country))
        else []
    )
    told = [(change.name, change.on) for change in changes]
    named = told == [(case.name, True), (case.name, False)]
    truth = (before_s, before_s + len(sound) / RATE_HZ)
    dated = named and all(
        abs(change.at_frame / RATE_HZ - at) <= DATED_S for change, at in zip(changes, truth, strict=True)
    )
    return named, dated, [change.name for change in changes if change.on and change.name != case.name]


def _noise(frames: int, condition: Condition, voices: Sequence[Sound], random: np.random.Generator) -> Sound:
    dbfs = condition.dbfs - (condition.snr_db or 0)
    if condition.noise == "white":
        return line_tones.white(frames, dbfs, random)
    return line_tones.babble(frames, dbfs, voices, random)


def blocks(samples: Pcm) -> Iterator[Pcm]:
    for at in range(0, len(samples), BLOCK_FRAMES):
        yield samples[at : at + BLOCK_FRAMES]
