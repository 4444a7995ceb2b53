"""People on a telephone: phrases to put together, kept once they are made, and what else a call lets one hear.

Human voices are the prompts of Debian's asterisk-core-sounds-*-wav, cut into words and sentences; synthetic ones are
espeak-ng's. A sound is float64 with full scale 1.0; a phrase is as loud as a full-scale square wave while somebody
speaks, so that its level is whatever it is multiplied by.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from appliance.sound_file import read_sound_file
from appliance.terms import RATE_HZ
from tests.simulators.caller_id_tones import through_a_line
from tests.simulators.line_tones import Sound, amplitude
from tests.simulators.voices import HUMANS, SOUNDS, resampled

_PROMPTS = Path("/usr/share/asterisk/sounds")
_ESPEAK_RATE_HZ = 22050
_WORD_FOLDERS = ("digits", "letters", "phonetic")
_WORDS, _SENTENCES = 16, 36
_SHORTEST_S, _LONGEST_WORD_S, _LONGEST_S = 0.15, 0.9, 6.0
_STEP = RATE_HZ // 50
_LOUD = 0.06
"""12 dB below the mean: from here on a phrase is loud enough to be heard over the noise of any line."""

_ENGLISH = (
    "Yes.",
    "No.",
    "Okay.",
    "Right.",
    "Hello?",
    "Good morning, this is the workshop.",
    "I am calling about the twelve tables.",
    "Your car is ready, you can pick it up today until six.",
    "Could you tell me your order number, please?",
    "It is four, seven, one, two, nine.",
    "I will have to ask my colleague. Are you still there?",
    "That was not what we had agreed upon last week.",
    "Thank you very much, good bye.",
)
_GERMAN = (
    "Ja.",
    "Nein.",
    "Genau.",
    "Gut.",
    "Hallo?",
    "Guten Tag, Schreinerei Holm, Anna Becker am Apparat.",
    "Ich rufe wegen der zwölf Tische an.",
    "Am Donnerstag, wenn es geht. Am besten vor zehn Uhr.",
    "Sagen Sie mir bitte Ihre Kundennummer?",
    "Vier, sieben, eins, zwei, neun.",
    "Da muss ich die Kollegin fragen. Sind Sie noch da?",
    "So hatten wir das letzte Woche aber nicht besprochen.",
    "Vielen Dank, auf Wiederhören.",
)
_FRENCH = (
    "Oui.",
    "Non.",
    "Voilà.",
    "Bien.",
    "Allô?",
    "Bonjour, ici l'atelier Moreau, que puis-je faire pour vous?",
    "J'appelle à propos des douze tables.",
    "Votre voiture est prête, vous pouvez la prendre jusqu'à six heures.",
    "Quel est votre numéro de client, s'il vous plaît?",
    "Quatre, sept, un, deux, neuf.",
    "Merci beaucoup, au revoir.",
)
_DUTCH = (
    "Ja.",
    "Nee.",
    "Precies.",
    "Goed.",
    "Hallo?",
    "Goedemorgen, met de garage, waarmee kan ik u helpen?",
    "Ik bel over de twaalf tafels.",
    "Uw auto is klaar, u kunt hem vandaag tot zes uur ophalen.",
    "Wat is uw klantnummer, alstublieft?",
    "Hartelijk dank, tot ziens.",
)
_SYNTHETIC = {
    "de+f2": (_GERMAN, 160),
    "de+m3": (_GERMAN, 150),
    "de+f4": (_GERMAN, 185),
    "en-gb+m1": (_ENGLISH, 165),
    "en-gb+f3": (_ENGLISH, 150),
    "en-us+m7": (_ENGLISH, 175),
    "fr-fr+f2": (_FRENCH, 165),
    "fr-fr+m2": (_FRENCH, 155),
    "nl+f5": (_DUTCH, 160),
    "nl+m4": (_DUTCH, 170),
}
VOICES = (*HUMANS, *_SYNTHETIC)

_ANNOUNCEMENTS = {
    "de+f2": "Dieses Gespräch wird aufgezeichnet. Wenn Sie einverstanden sind, drücken Sie die eins, sonst die zwei.",
    "en-gb+f3": "This call will be recorded. If you agree, please press one. If you do not agree, press two.",
    "fr-fr+f2": "Cet appel sera enregistré. Si vous êtes d'accord, appuyez sur un, sinon sur deux.",
    "nl+f5": "Dit gesprek wordt opgenomen. Gaat u akkoord, toets dan een. Gaat u niet akkoord, toets dan twee.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Phrase:
    """loud_from, loud_to: frames between which nobody can miss it."""

    sound: Sound
    loud_from: int
    loud_to: int

    @property
    def seconds(self) -> float:
        return len(self.sound) / RATE_HZ


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    name: str
    words: tuple[Phrase, ...]
    sentences: tuple[Phrase, ...]

    def says(self, random: np.random.Generator, *, short: bool) -> Phrase:
        choice = self.words if short else self.sentences
        return choice[int(random.integers(len(choice)))]


@cache
def voice(name: str) -> Voice:
    """One of VOICES. What it can say is the same at every run."""
    said = [_phrase(sound) for sound in (_prompts(name) if name in HUMANS else _spoken(name))]
    said = [phrase for phrase in said if phrase.seconds > _SHORTEST_S]
    return Voice(
        name=name,
        words=tuple(phrase for phrase in said if phrase.seconds <= _LONGEST_WORD_S),
        sentences=tuple(phrase for phrase in said if _LONGEST_WORD_S < phrase.seconds <= _LONGEST_S),
    )


@cache
def announcement(country: str) -> Phrase:
    """One that asks for a key, in a language that is understood there."""
    spoken_by = {"fr": "fr-fr+f2", "nl": "nl+f5", "uk": "en-gb+f3", "us": "en-gb+f3"}.get(country, "de+f2")
    return _phrase(_speak(spoken_by, 160, _ANNOUNCEMENTS[spoken_by]))


def _prompts(speaker: str) -> Iterator[Sound]:
    folder = _PROMPTS / speaker
    words = [path for name in _WORD_FOLDERS for path in sorted((folder / name).glob("*.wav"))]
    sentences = [path for path in sorted(folder.glob("*.wav")) if path.stem not in SOUNDS]
    for path in (*_spread(words, 3 * _WORDS), *_spread(sentences, 2 * _SENTENCES)):
        sound = read_sound_file(path)[:, 0] / 32768
        if len(sound) <= _LONGEST_S * RATE_HZ:
            yield sound


def _spread(paths: list[Path], count: int) -> Iterable[Path]:
    return paths[:: max(1, len(paths) // count)]


def _spoken(name: str) -> Iterator[Sound]:
    texts, words_a_minute = _SYNTHETIC[name]
    return (_speak(name, words_a_minute, text) for text in texts)


def _speak(name: str, words_a_minute: int, text: str) -> Sound:
    command = ["espeak-ng", "-v", name, "-s", str(words_a_minute), "--stdout", "--", text]
    run = subprocess.run(command, capture_output=True, check=True)
    return resampled(np.frombuffer(run.stdout[44:], np.int16), _ESPEAK_RATE_HZ, RATE_HZ) / 32768


def _phrase(sound: Sound) -> Phrase:
    """Through a telephone, without the silence around it, at a level of 0 dBFS."""
    sound = through_a_line(sound, low_hz=250)
    heard = np.flatnonzero(np.abs(sound) > 0.015 * np.max(np.abs(sound)))
    sound = sound[heard[0] : heard[-1] + 1]
    steps = _power(sound)
    loud = np.flatnonzero(steps > _LOUD * np.mean(steps[steps > 0.05 * np.max(steps)]))
    level = np.sqrt(np.mean(steps[loud[0] : loud[-1] + 1][steps[loud[0] : loud[-1] + 1] > 0.05 * np.max(steps)]))
    edge = np.minimum(1, np.minimum(np.arange(len(sound)), np.arange(len(sound))[::-1]) / 40)
    return Phrase(sound=sound * edge / level, loud_from=int(loud[0]) * _STEP, loud_to=int(loud[-1] + 1) * _STEP)


def _power(sound: Sound) -> Sound:
    whole = np.pad(sound, (0, -len(sound) % _STEP))
    return np.asarray(np.mean(whole.reshape(-1, _STEP) ** 2, axis=1))


def music(seconds: float, dbfs: float, random: np.random.Generator) -> Sound:
    """A tune for people on hold: notes of a scale, plucked, each over a bass that stays for four of them."""
    base, beat = 220 * 2 ** (random.integers(12) / 12), random.uniform(0.25, 0.5)
    scale = (0, 2, 4, 7, 9, 12, 14, 16)
    frames = round(seconds * RATE_HZ)
    sound = np.zeros(frames)
    for index in range(int(seconds / beat)):
        pitches = [base * 2 ** (scale[int(random.integers(len(scale)))] / 12)]
        if index % 4 == 0:
            pitches.append(base * 2 ** ((0, 5, 7)[int(random.integers(3))] / 12))
        for pitch in pitches:
            length = beat * (1.2 if pitch == pitches[0] else 4.5)
            time = np.arange(min(round(length * RATE_HZ), frames - round(index * beat * RATE_HZ))) / RATE_HZ
            note = sum(np.sin(2 * np.pi * pitch * order * time) / order**1.5 for order in range(1, 6))
            at = round(index * beat * RATE_HZ)
            sound[at : at + len(time)] += note * np.exp(-2.5 * time / length) * np.minimum(1, time / 0.01)
    return np.asarray(sound * amplitude(dbfs) / np.sqrt(np.mean(sound**2)))


def click(peak_dbfs: float, random: np.random.Generator) -> Sound:
    """A hook switch: a current that begins or ends, as a transformer passes it on, and a contact that bounces."""
    time = np.arange(round(random.uniform(0.05, 0.1) * RATE_HZ)) / RATE_HZ
    sound = np.exp(-time / random.uniform(0.008, 0.025)) * np.cos(2 * np.pi * random.uniform(250, 900) * time)
    for _ in range(int(random.integers(0, 4))):
        at = int(random.integers(1, len(time) // 2))
        sound[at : at + 8] += random.uniform(-0.7, 0.7) * np.exp(-np.arange(8) / 2)
    return np.asarray(sound / np.max(np.abs(sound)) * amplitude(peak_dbfs))


def line_noise(frames: int, dbfs: float, colour: str, random: np.random.Generator) -> Sound:
    """white; pink, 3 dB less in each octave; or line, white as far as a telephone channel goes."""
    piece = min(frames, 1 << 18)
    hz = np.maximum(np.fft.rfftfreq(1 << 18, 1 / RATE_HZ), 20)
    shape = {"white": np.ones_like(hz), "pink": hz**-0.5, "line": (hz > 200) / (1 + (hz / 3400) ** 8)}[colour]
    pieces = []
    for _ in range(-(-frames // piece)):
        noise = np.fft.irfft(np.fft.rfft(random.normal(size=1 << 18)) * shape)
        pieces.append(noise / np.std(noise))
    return np.concatenate(pieces)[:frames] * amplitude(dbfs)
