"""How many callers are heard on a bad line, beside minimodem and multimon-ng.

`python -m tests.bench.caller_id [FOLDER ...]` prints JSON; takes about fifteen minutes. Every situation is one file at
8 kHz with many messages, each of another number, and all decoders get the same file: minimodem is told the nominal
tones of the standard, multimon-ng gets it at 22.05 kHz, its own rate. `heard` is the share of numbers that were told,
`wrong` how many were told that nobody sent.

The folders hold speech or music as WAV files of 8 kHz: the babble is made of them, and false messages are sought in
them, at four speeds. Without any, two voices of espeak-ng talk.
"""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
import tempfile
import wave
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from appliance.recorder.ear.caller_id import CallerIdListener
from appliance.recorder.ear.signals import Pcm
from appliance.terms import BLOCK_FRAMES, RATE_HZ
from tests.bench.hour import talking
from tests.simulators.caller_id_tones import (
    BELL_202,
    FIELD_V23,
    V23,
    Caller,
    Modem,
    Signal,
    call_setup,
    fsk,
    hum,
    pcm,
    through_a_line,
    white,
    with_noise,
)

_MESSAGES = 100
_SPEEDS = (0.85, 1.0, 1.15, 1.3)
_KEYS_HZ = ((697, 770, 852, 941), (1209, 1336, 1477, 1633))


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """`noise`: white or babble; `hum_db`: hum above the signal."""

    name: str
    modem: Modem
    snr_db: float = 20.0
    noise: str = "white"
    hum_db: float | None = None
    filtered: bool = False
    messages: int = _MESSAGES


def situations() -> Iterator[Situation]:
    standards = {"v23": V23, "bell202": BELL_202}
    for standard, modem in standards.items():
        for noise in ("white", "babble"):
            for snr_db in (0, 2, 3, 4, 6, 10, 15, 20):
                count = 500 if snr_db in {0, 10} else _MESSAGES
                name = f"{standard}, {noise} {snr_db} dB"
                yield Situation(name=name, modem=modem, noise=noise, snr_db=snr_db, messages=count)
        for level_dbm0 in (-3, -24, -36, -44):
            yield Situation(name=f"{standard}, {level_dbm0} dBm0", modem=replace(modem, level_dbm0=level_dbm0))
        for twist_db in (-10, -6, 6, 10):
            for snr_db in (10, 20):
                name = f"{standard}, twist {twist_db} dB, white {snr_db} dB"
                yield Situation(name=name, modem=replace(modem, twist_db=twist_db), snr_db=snr_db)
        for off_hz in (-40, -20, 20, 40):
            off = replace(modem, mark_hz=modem.mark_hz + off_hz, space_hz=modem.space_hz + off_hz)
            yield Situation(name=f"{standard}, {off_hz} Hz off, white 10 dB", modem=off, snr_db=10)
        for baud in (1188, 1212):
            yield Situation(name=f"{standard}, {baud} bit/s, white 10 dB", modem=replace(modem, baud=baud), snr_db=10)
        for snr_db in (10, 20):
            name = f"{standard}, hum 20 dB above, white {snr_db} dB"
            yield Situation(name=name, modem=replace(modem, level_dbm0=-25), snr_db=snr_db, hum_db=20)
        yield Situation(name=f"{standard}, 300-3400 Hz, white 10 dB", modem=modem, snr_db=10, filtered=True)
        short = replace(modem, seizure_bits=0, mark_bits=80)
        yield Situation(name=f"{standard}, no seizure, 80 bits of mark, white 10 dB", modem=short, snr_db=10)
        for bits, snr_db in ((10, 10), (0.37, 10), (0.37, 15)):
            stuffed = replace(modem, stuffing_bits=bits)
            name = f"{standard}, {bits} bits between bytes, white {snr_db} dB"
            yield Situation(name=name, modem=stuffed, snr_db=snr_db)
    for snr_db in (4, 6, 10, 20):
        yield Situation(name=f"1400 and 1950 Hz, white {snr_db} dB", modem=FIELD_V23, snr_db=snr_db)


def line_with(situation: Situation, babble: Signal, seed: int) -> tuple[Pcm, list[str]]:
    """One feed with all messages, and the numbers in it. The last message is there for decoders that need an end."""
    random = np.random.default_rng(seed)
    numbers = [f"0{random.integers(10**10, 10**11)}" for _ in range(situation.messages)]
    parts = []
    for number in [*numbers, numbers[-1]]:
        message = call_setup(Caller(number=number.encode(), name=b"Schreinerei Holm"))
        parts += [np.zeros(random.integers(4000, 8000)), fsk(message, situation.modem)]
    clean = np.concatenate([*parts, np.zeros(RATE_HZ)])
    if situation.filtered:
        clean = through_a_line(clean)
    if situation.hum_db is not None:
        clean = clean + hum(len(clean), situation.modem.level_dbm0 + situation.hum_db)
    behind = white(len(clean), random) if situation.noise == "white" else np.resize(babble, len(clean))
    return pcm(with_noise(clean, behind, situation.snr_db, situation.modem.level_dbm0)), numbers


def ours(samples: Pcm, _path: Path, _modem: Modem) -> list[str]:
    return [caller.number for caller in heard_in(samples) if caller.number]


def heard_in(samples: Pcm) -> list[Any]:
    ear = CallerIdListener(frozenset({"v23", "bell202"}))
    return [
        caller for at in range(0, len(samples), BLOCK_FRAMES) for caller in ear.hear(samples[at : at + BLOCK_FRAMES])
    ]


def minimodem(_samples: Pcm, path: Path, modem: Modem) -> list[str]:
    mark, space = ("1200", "2200") if modem.mark_hz < 1250 else ("1300", "2100")
    command = ["minimodem", "--rx", "callerid", "-M", mark, "-S", space, "-f", str(path)]
    said = subprocess.run(command, capture_output=True, check=False).stdout.decode("latin-1")
    return [number.replace("-", "") for number in re.findall(r"Phone: +(\S+)", said)]


def multimon_ng(_samples: Pcm, path: Path, _modem: Modem) -> list[str]:
    raw = ["-t", "raw", "-r", "22050", "-e", "signed", "-b", "16", "-"]
    samples = subprocess.run(["sox", str(path), *raw], capture_output=True, check=True).stdout
    command = ["multimon-ng", "-q", "-a", "CLIPFSK", "-t", "raw", "-"]
    said = subprocess.run(command, input=samples, capture_output=True, check=False).stdout.decode("latin-1")
    return re.findall(r"CID=(\S+)", said)


_DECODERS: dict[str, Callable[[Pcm, Path, Modem], list[str]]] = {
    "ours": ours,
    "minimodem": minimodem,
    "multimon-ng": multimon_ng,
}


def compare(situation: Situation, babble: Signal, folder: Path, seed: int) -> dict[str, Any]:
    samples, numbers = line_with(situation, babble, seed)
    path = write_wav(folder / "line.wav", samples)
    row: dict[str, Any] = {"situation": situation.name, "messages": situation.messages}
    for name, decode in _DECODERS.items():
        told = decode(samples, path, situation.modem)
        heard = len(set(numbers) & set(told)) / len(set(numbers))
        wrong = sum(number not in numbers for number in told)
        row[name] = {"heard": round(heard, 3), "wrong": wrong}
    return row


def write_wav(path: Path, samples: Pcm) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(samples.tobytes())
    return path


def false_callers(audio: Pcm) -> list[dict[str, Any]]:
    """What is told of audio in which nobody calls: the given one at four speeds, keys, chords, another modem."""
    random = np.random.default_rng(20)
    rows = [_false_in(f"given audio, speed {speed}", _at_speed(audio, speed)) for speed in _SPEEDS]
    rows.append(_false_in("keys", np.concatenate([_key(random) for _ in range(12_000)])))
    rows.append(_false_in("chords", np.concatenate([_chord(random) for _ in range(9_000)])))
    modems = (V23, BELL_202, FIELD_V23)
    bursts = [_other_modem(modems[number % 3], random) for number in range(900)]
    rows.append(_false_in("another modem's bytes", np.concatenate(bursts)))
    return rows


def _false_in(name: str, samples: Pcm) -> dict[str, Any]:
    before_s = resource.getrusage(resource.RUSAGE_SELF)
    told = heard_in(samples)
    after_s = resource.getrusage(resource.RUSAGE_SELF)
    hours = len(samples) / RATE_HZ / 3600
    cpu_s = after_s.ru_utime + after_s.ru_stime - before_s.ru_utime - before_s.ru_stime
    return {"audio": name, "hours": round(hours, 2), "told": len(told), "cpu_s_an_hour": round(cpu_s / hours, 2)}


def _at_speed(audio: Pcm, speed: float) -> Pcm:
    """Faster and higher, or slower and lower; a minute at a time, so that hours need little memory."""
    pieces = np.array_split(audio, max(len(audio) // (60 * RATE_HZ), 1))
    return np.concatenate([_resampled(piece, speed) for piece in pieces])


def _resampled(piece: Pcm, speed: float) -> Pcm:
    places = np.arange(int(len(piece) / speed)) * speed
    return np.asarray(np.interp(places, np.arange(len(piece)), piece), np.int16)


def _key(random: np.random.Generator) -> Pcm:
    low, high = (random.choice(row) for row in _KEYS_HZ)
    return np.concatenate(
        (_tones([low, high], random.uniform(0.05, 0.3)), np.zeros(random.integers(400, 2400), np.int16))
    )


def _chord(random: np.random.Generator) -> Pcm:
    """One to four notes with their overtones, as an organ has them."""
    notes = 55 * 2 ** (random.integers(0, 60, random.integers(1, 5)) / 12)
    overtones = np.concatenate([notes * number for number in range(1, 5)])
    return _tones(list(overtones[overtones < RATE_HZ / 2]), random.uniform(0.1, 0.7))


def _tones(frequencies_hz: list[float], seconds: float) -> Pcm:
    time_s = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    whole = sum(np.sin(2 * np.pi * hz * time_s) for hz in frequencies_hz)
    return pcm(np.asarray(whole) * (12_000 / len(frequencies_hz)))


def _other_modem(modem: Modem, random: np.random.Generator) -> Pcm:
    """Random bytes after a lead of mark, the first of them a type: all but the checksum's luck is like a message."""
    content = random.bytes(int(random.integers(8, 60)))
    message = bytes([random.choice([0x80, 0x04]), len(content) - 1]) + content
    return pcm(np.concatenate((fsk(message, modem), np.zeros(RATE_HZ // 2))))


def _babble(audio: Pcm) -> Signal:
    """Eight voices at once, for up to five minutes."""
    begins = np.linspace(0, len(audio), 8, endpoint=False).astype(int)
    frames = min(len(audio) // 8, 300 * RATE_HZ)
    return np.asarray(sum(audio[begin : begin + frames].astype(np.float64) for begin in begins))


def audio_from(folders: list[Path], scratch: Path) -> Pcm:
    parts = [_read(path) for folder in folders for path in sorted(folder.rglob("*.wav"))]
    return np.concatenate([part for part in parts if part.size]) if parts else talking(scratch, 3600)


def _read(path: Path) -> Pcm:
    with wave.open(str(path)) as file:
        if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (RATE_HZ, 1, 2):
            return np.empty(0, np.int16)
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)


def main(folders: list[Path]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        audio = audio_from(folders, folder)
        babble = _babble(audio)
        rows = [compare(situation, babble, folder, seed) for seed, situation in enumerate(situations())]
        silence = [_false_in("silence", np.zeros(3600 * RATE_HZ, np.int16))]
        print(json.dumps({"heard": rows, "false": false_callers(audio) + silence}, indent=1))


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
