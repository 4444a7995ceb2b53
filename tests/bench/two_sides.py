"""A line whose sides are apart: how far the codec keeps them so, who pressed a key, and what it costs.

    python -m tests.bench.two_sides codec|keys|cost

codec: two human voices in two channels, coded together at several rates, and each by itself. Segmental SNR over 20 ms
and log-spectral distance over 32 ms of each side against what was said; how loud a silent side comes back while the
other one speaks, on the whole and in the worst 20 ms.
keys: 300 keys from each side, with the other side silent or talking; see `appliance/recorder/ear/sides.py`.
cost: the processor time of everything that hears or encodes, CPU seconds for an hour, of one channel and of two.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Callable

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as `linekeep` itself has it; numpy reads it when it is imported

import numpy as np

from appliance.recorder.ear.countries import COUNTRIES
from appliance.recorder.ear.keys import Side
from appliance.recorder.ear.line_ear import LineEar
from appliance.recorder.ear.sides import TwoSidedKeys, signals_for
from appliance.recorder.ear.signals import Pcm
from appliance.recorder.line_health import LineHealth, TwoSidedHealth
from appliance.recordings.encoder import OpusPages
from appliance.recordings.opus import OpusDecoder
from appliance.terms import BLOCK_FRAMES, RATE_HZ
from tests.bench.stages import second_by_second
from tests.simulators.key_tones import Sender, Sound, any_digits
from tests.simulators.two_sides import tapped
from tests.simulators.voices import HUMANS, human, talking

_SECONDS = 20
_TALK_DBFS = -24.0
_STEP = RATE_HZ // 50


def spoken(speaker: str, dbfs: float = _TALK_DBFS) -> Sound:
    voice = talking(human(speaker))[: _SECONDS * RATE_HZ].astype(np.float64)
    return np.asarray(voice * 32768 * 10 ** (dbfs / 20) / np.sqrt(np.mean(voice**2)))


def dbfs(sound: Pcm | Sound) -> float:
    return float(10 * np.log10(np.mean(sound.astype(np.float64) ** 2) / 32768**2 + 1e-13))


# codec


def coded(sound: Pcm, bitrate_bps: int, complexity: int, channels: int) -> Pcm:
    pages = OpusPages(1, bitrate_bps=bitrate_bps, complexity=complexity, channels=channels)
    return OpusDecoder().feed(b"".join(pages.push(sound) + pages.finish()))


def together(kbit_s: int, complexity: int) -> Callable[[Pcm], Pcm]:
    return lambda sound: coded(sound, kbit_s * 500, complexity, 2)


def by_themselves(complexity: int) -> Callable[[Pcm], Pcm]:
    return lambda sound: np.stack(
        [coded(np.ascontiguousarray(side), 16_000, complexity, 1) for side in sound.T], axis=1
    )


def segmental_snr(said: Pcm, heard: Pcm) -> float:
    rows = [each[: len(each) // _STEP * _STEP].reshape(-1, _STEP).astype(np.float64) for each in (said, heard)]
    power, error = np.mean(rows[0] ** 2, 1), np.mean((rows[0] - rows[1]) ** 2, 1)
    loud = power > 100**2
    return float(np.mean(np.clip(10 * np.log10(power[loud] / np.maximum(error[loud], 1e-3)), -10, 35)))


def spectral_distance(said: Pcm, heard: Pcm) -> float:
    spectra = []
    for each in (said, heard):
        rows = each[: len(each) // 256 * 256].reshape(-1, 256).astype(np.float64) * np.hanning(256)
        spectra.append(np.abs(np.fft.rfft(rows, axis=1)) ** 2 + 100)
    loud = spectra[0].sum(1) > 1e8
    difference = 10 * np.log10(spectra[0][loud] / spectra[1][loud])
    return float(np.mean(np.sqrt(np.mean(difference**2, 1))))


def separation(sides: Pcm, heard: Pcm, turns: np.ndarray) -> tuple[float, float]:
    """By how many dB who listens lies below who speaks: on the whole, and in the worst 20 ms; not next to a turn."""
    whole, worst = [], []
    edges = np.flatnonzero(np.diff(turns)) + 1
    for first, end in zip([0, *edges], [*edges, len(turns)], strict=True):
        part, speaker = heard[first + 480 : end - 480], 0 if turns[first] else 1
        speaks, listens = dbfs(part[:, speaker]), part[:, 1 - speaker]
        whole.append(speaks - dbfs(listens))
        worst += [speaks - dbfs(step) for step in listens[: len(listens) // _STEP * _STEP].reshape(-1, _STEP)]
    return min(whole), min(worst)


def codec() -> None:
    near, far = spoken("it_IT_m_Carlo"), spoken("en_US_f_Allison")
    turns = np.arange(len(near)) // (2 * RATE_HZ) % 2 == 0
    scenes = {
        "in turns": tapped(near * turns, far * ~turns, leak_db=-200),
        "in turns, leak -12 dB": tapped(near * turns, far * ~turns, leak_db=-12, turned=False),
        "in turns, leak turned": tapped(near * turns, far * ~turns, leak_db=-12),
        "both at once": tapped(near, far, leak_db=-200),
        "both at once, leak -12 dB": tapped(near, far, leak_db=-12),
        "far 12 dB softer, both": tapped(near, far / 4, leak_db=-200),
    }
    ways = {"together, 24 kbit/s": together(24, 3), "together, 32 kbit/s": together(32, 3)}
    ways |= {"the same, complexity 5": together(32, 5), "together, 40 kbit/s": together(40, 3)}
    ways |= {"apart, 2 x 16 kbit/s": by_themselves(3), "the same, complexity 5 ": by_themselves(5)}
    for scene, sides in scenes.items():
        for way, code in ways.items():
            began_s = time.process_time()
            heard = code(sides)
            cost_s = (time.process_time() - began_s) * 3600 / _SECONDS
            told = [f"{segmental_snr(sides[:, n], heard[:, n]):5.1f}" for n in (0, 1)]
            told += [f"{spectral_distance(sides[:, n], heard[:, n]):5.1f}" for n in (0, 1)]
            if scene == "in turns":
                told += [f"{each:5.1f}" for each in separation(sides, heard, turns)]
            print(f"{scene:27}{way:24}{cost_s:5.1f} s  {' '.join(told)}", flush=True)


# keys


def keys() -> None:
    voice = talking(human("it_IT_m_Carlo")).astype(np.float64)
    voice *= 32768 / np.sqrt(np.mean(voice**2))
    print(f"{'other side':12}{'leak':>6}{'tone':>8}  {'right':>6}{'unclear':>8}{'wrong':>6}{'missed':>7}{'twice':>6}")
    for talk_dbfs in (None, -24.0, -18.0):
        for leak_db in (-6.0, -10.0, -20.0):
            for tone_ms in (65, 120):
                count: Counter[str] = Counter()
                for side in (Side.NEAR, Side.FAR):
                    count += _senders(side, voice, talk_dbfs, leak_db, tone_ms)
                talks = "silent" if talk_dbfs is None else f"{talk_dbfs:.0f} dBFS"
                told = "".join(f"{count[kind]:>{width}}" for kind, width in _KINDS)
                print(f"{talks:12}{leak_db:>6.0f}{tone_ms:>5} ms  {told}", flush=True)


_KINDS = (("right", 6), ("unclear", 8), ("wrong", 6), ("missed", 7), ("twice", 6))


def _senders(side: Side, voice: Sound, talk_dbfs: float | None, leak_db: float, tone_ms: int) -> Counter[str]:
    random = np.random.default_rng([tone_ms, round(-leak_db), side is Side.NEAR])
    sound, pressed = Sender(tone_ms=tone_ms, pause_ms=300).press(any_digits(300, random), random)
    other = np.zeros(len(sound)) if talk_dbfs is None else np.resize(voice, len(sound)) * 10 ** (talk_dbfs / 20)
    line = tapped(*((sound, other) if side is Side.NEAR else (other, sound)), leak_db=leak_db)
    ear = TwoSidedKeys()
    told = [key for at in range(0, len(line), BLOCK_FRAMES) for key in ear.hear(line[at : at + BLOCK_FRAMES])]
    count: Counter[str] = Counter()
    for each in pressed:
        found = [key for key in told if key.digit == each.digit and -400 <= key.first_frame - each.first_frame <= 1600]
        count["twice"] += max(0, len(found) - 1)
        if not found:
            count["missed"] += 1
        else:
            is_right, is_unclear = found[0].side is side, found[0].side is Side.UNCLEAR
            count["right" if is_right else "unclear" if is_unclear else "wrong"] += 1
    return count


# cost


def cost() -> None:
    near, far = spoken(HUMANS[0]), spoken(HUMANS[3])
    turns = np.arange(len(near)) // (2 * RATE_HZ) % 2 == 0
    two, turned = (tapped(near * turns, far * ~turns, leak_db=-12, turned=sign) for sign in (False, True))
    one = np.ascontiguousarray(two.sum(axis=1, dtype=np.int16))
    print(f"{'':24}{'one':>8}{'two':>8}{'leak turned':>14}")
    for name, make in (("everything that hears", _ears), ("health", _health), ("encoder", _encoder)):
        costs = [min(_once_s(make(sound.ndim), sound) for _ in range(3)) for sound in (one, two, turned)]
        print(f"{name:24}{costs[0]:8.2f}{costs[1]:8.2f}{costs[2]:14.2f}", flush=True)


def _ears(channels: int) -> Callable[[Pcm], object]:
    signals, ear = signals_for(channels, 12.0), LineEar(COUNTRIES["de"], channels=channels)
    return lambda block: (signals.hear(block), ear.hear(block))


def _health(channels: int) -> Callable[[Pcm], object]:
    health = LineHealth() if channels == 1 else TwoSidedHealth()
    heard = signals_for(channels, 12.0).hear(tapped(np.zeros(BLOCK_FRAMES), np.zeros(1))[:, :channels].squeeze())
    return lambda block: health.hear(block, heard)


def _encoder(channels: int) -> Callable[[Pcm], object]:
    return second_by_second(OpusPages(serial=1, channels=channels).push)


def _once_s(take: Callable[[Pcm], object], sound: Pcm) -> float:
    began_s = time.process_time()
    for at in range(0, len(sound) - BLOCK_FRAMES + 1, BLOCK_FRAMES):
        take(sound[at : at + BLOCK_FRAMES])
    return (time.process_time() - began_s) * 3600 / _SECONDS


if __name__ == "__main__":
    {"codec": codec, "keys": keys, "cost": cost}[sys.argv[1]]()
