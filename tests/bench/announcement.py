"""Announcements on good and bad lines, and what must not be taken for one: how often which is heard as whole.

Prints JSON. Of each condition: percent told as whole, at the right place to 0.1 s; what else was told of the same lines
is counted. `--hours N` bounds the speech that is listened to (default 0.4), `--only` the tables.

    OPENBLAS_NUM_THREADS=1 python -m tests.bench.announcement [--hours N] [--only lines halves speech costs]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from appliance.recorder.ear.announcement import Announcement, AnnouncementHeard, AnnouncementListener
from appliance.recorder.ear.signals import Pcm
from appliance.terms import BLOCK_FRAMES, RATE_HZ
from tests.simulators import announcements, telephony, voices
from tests.simulators.key_tones import Sound, babble, hum, sampled, scaled, white

SEED = 20261128
_BABBLE, _TALKER = voices.HUMANS[4], voices.HUMANS[2]
_BEFORE_S, _AFTER_S = 3, 2
_PLACED_FRAMES = RATE_HZ // 10
_ESPEAK_SHARE = 0.35

Change = Callable[[Sound, np.random.Generator], Sound]
"""What is done to an announcement; noise is measured against its mean power."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A condition: what happens to the announcement, then what lies over the whole line.

    noise_dbfs: the line's own, always there.
    """

    change: Change = lambda sound, _random: sound
    level_db: float = 0
    snr_db: float = 99
    kind: str = "white"
    hum_db: float | None = None
    through: Change = lambda sound, _random: sound
    noise_dbfs: float = -70


def lines() -> dict[str, dict[str, Line]]:
    codecs = telephony.CODECS
    return {
        "white_snr_db": {str(db): Line(snr_db=db) for db in (-3, 0, 3, 6, 10, 20)},
        "babble_snr_db": {str(db): Line(snr_db=db, kind="babble") for db in (-3, 0, 3, 6, 10, 20)},
        "hum_db_above_at_white_10_db": {str(db): Line(snr_db=10, hum_db=db, level_db=-15) for db in (0, 10, 20)},
        "level_db": {str(db): Line(level_db=db) for db in (-40, -30, -20, 0, 6)},
        "codec": {name: Line(through=_codec(name)) for name in codecs},
        "codec_twice": {"GSM, AMR 7.95": Line(through=lambda sound, random: _both("GSM", "AMR 7.95", sound))},
        "codec_at_babble_10_db": {name: Line(snr_db=10, kind="babble", through=_codec(name)) for name in codecs},
        "telephone_band": {
            "alone": Line(through=lambda sound, _random: telephony.telephone_band(sound)),
            "inverted, babble 10 dB": Line(
                snr_db=10, kind="babble", through=lambda sound, _random: -telephony.telephone_band(sound)
            ),
        },
        "clock_ppm": {str(ppm): Line(snr_db=20, change=_clock(ppm)) for ppm in (-1000, -200, 200, 1000)},
        "slip_ms": {str(ms): Line(snr_db=20, change=_slip(ms)) for ms in (-60, -40, -20, 20, 40, 60)},
        "two_slips_ms": {"40, -40": Line(snr_db=20, change=lambda s, r: _slip(-40)(_slip(40)(s, r), r))},
        "echo_ms_and_db": {
            f"{ms}, {db}": Line(snr_db=20, change=_echo(ms, db)) for ms in (20, 80, 250) for db in (-12, -6, -3)
        },
        "talked_over_s_and_db": {
            f"{seconds}, {db}": Line(snr_db=20, change=_talk(seconds, db))
            for seconds in (0.4, 0.8, 2.0)
            for db in (-6, 0, 6, 12)
        },
        "talked_over_throughout_db": {str(db): Line(snr_db=20, change=_masked(db)) for db in (-6, 0, 3, 6, 12)},
        "all_at_once": {
            "GSM, babble 10 dB, 200 ppm, slip, echo": Line(snr_db=10, kind="babble", change=_all, through=_codec("GSM"))
        },
    }


def halves() -> dict[str, dict[str, Line]]:
    """What must never be told as whole. On the best line, on which most is alike, and on a bad one."""
    cases: dict[str, Change] = {
        **{f"cut off {s} s before its end": _cut(s) for s in (0.3, 0.4, 0.5, 1.0)},
        "a hole of 1 s": lambda sound, random: _hole(sound, random, removed=False),
        "1 s left out": lambda sound, random: _hole(sound, random, removed=True),
        "another voice for 1 s in it": _replaced,
        **{f"begun {s} s late": _late(s) for s in (1.0, 2.0)},
        "its last second": lambda sound, _random: sound[-RATE_HZ:],
        "its halves the other way round": lambda s, _random: np.concatenate((s[len(s) // 2 :], s[: len(s) // 2])),
        "backwards": lambda sound, _random: sound[::-1],
        "5 % faster": lambda sound, _random: telephony.at_clock(sound, -50_000),
        "50 dB below": lambda sound, _random: sound / 316,
        "halves at the same time": lambda s, _random: s[: len(s) // 2] + s[len(s) // 2 :][: len(s) // 2],
    }
    return {
        name: {
            "alone": Line(change=case),
            "A-law, babble 15 dB": Line(change=case, snr_db=15, kind="babble", through=_codec("A-law")),
            "and goes on with other words": Line(change=case, kind="same"),
        }
        for name, case in cases.items()
    }


def _codec(name: str) -> Change:
    return lambda sound, _random: telephony.coded(sound, name)


def _both(first: str, second: str, sound: Sound) -> Sound:
    return telephony.coded(telephony.coded(sound, first), second)


def _clock(ppm: int) -> Change:
    return lambda sound, _random: telephony.at_clock(sound, ppm)


def _slip(ms: int) -> Change:
    def slip(sound: Sound, random: np.random.Generator) -> Sound:
        at = int(random.integers(len(sound) // 10, len(sound) * 9 // 10))
        return telephony.slipped(sound, at, ms * RATE_HZ // 1000)

    return slip


def _echo(ms: float, db: float) -> Change:
    return lambda sound, _random: telephony.echoed(sound, ms, db)


class _Talk:
    """Pieces of one human voice without its pauses."""

    voice: Pcm | None = None

    @classmethod
    def of(cls, frames: int, random: np.random.Generator) -> Pcm:
        if cls.voice is None:
            cls.voice = voices.talking(voices.human(_TALKER))
        first = int(random.integers(0, len(cls.voice) - frames))
        return cls.voice[first : first + frames]


def _talk(seconds: float, db: float) -> Change:
    def talk(sound: Sound, random: np.random.Generator) -> Sound:
        frames = round(seconds * RATE_HZ)
        at = int(random.integers(0, max(1, len(sound) - frames)))
        return telephony.talked_over(sound, _Talk.of(frames, random), at, db)

    return talk


def _masked(db: float) -> Change:
    return lambda sound, random: telephony.talked_over(sound, _Talk.of(len(sound), random), 0, db)


def _all(sound: Sound, random: np.random.Generator) -> Sound:
    return telephony.echoed(_clock(200)(_slip(30)(sound, random), random), 80, -12)


def _cut(seconds: float) -> Change:
    return lambda sound, _random: sound[: -round(seconds * RATE_HZ)]


def _late(seconds: float) -> Change:
    return lambda sound, _random: sound[round(seconds * RATE_HZ) :]


def _hole(sound: Sound, random: np.random.Generator, *, removed: bool) -> Sound:
    at = _sounding_second(sound, random)
    filled = np.zeros(0 if removed else RATE_HZ)
    return np.concatenate((sound[:at], filled, sound[at + RATE_HZ :]))


def _replaced(sound: Sound, random: np.random.Generator) -> Sound:
    at = _sounding_second(sound, random)
    voice = _Talk.of(RATE_HZ, random).astype(np.float64)
    return np.concatenate((sound[:at], scaled(voice, float(np.mean(sound**2))), sound[at + RATE_HZ :]))


def _sounding_second(sound: Sound, random: np.random.Generator) -> int:
    """Where a second begins that is no pause, and lies in its middle 60 %."""
    tenths = np.mean(sound[: len(sound) // 800 * 800].reshape(-1, 800) ** 2, 1) > 0.05 * np.mean(sound**2)
    seconds = [at for at in range(len(tenths) // 5, len(tenths) * 4 // 5 - 9) if tenths[at : at + 10].sum() >= 8]
    return int(random.choice(seconds or [len(tenths) // 3])) * 800


class Bench:
    def __init__(self) -> None:
        self._announcements = {**announcements.synthetic(), **announcements.human()}
        self._babble = voices.talking(voices.human(_BABBLE))

    def table(self, conditions: dict[str, dict[str, Line]], trials: int) -> dict[str, Any]:
        return {
            name: {label: self._row(line, trials) for label, line in row.items()} for name, row in conditions.items()
        }

    def _row(self, line: Line, trials: int) -> dict[str, Any]:
        random = np.random.default_rng(SEED)
        whole, placed, failed, shares = 0, 0, [], []
        for name, announcement in self._announcements.items():
            for _ in range(trials):
                samples, end = self._played(announcement, line, random)
                told = listened(samples, announcement)
                wholes = [heard for heard in told if heard.whole]
                whole += len(wholes)
                placed += sum(abs(heard.at_frame - end) < _PLACED_FRAMES for heard in wholes)
                shares.append(max((heard.share for heard in told), default=0.0))
                failed += [name] if not wholes else []
        played = len(self._announcements) * trials
        return {
            "whole": round(100 * whole / played, 1),
            "placed": round(100 * placed / played, 1),
            "of": played,
            "mean_share": round(float(np.mean(shares)), 2),
            "not": sorted(set(failed)) if len(failed) < played // 2 else [],
        }

    def _played(self, announcement: Announcement, line: Line, random: np.random.Generator) -> tuple[Pcm, int]:
        """A line on which it is played, and where its sound ends if nothing is done to it."""
        start, end = (column * 8 for column in announcement.sound)
        whole = announcement.samples.astype(np.float64)[start:end]
        power = float(np.mean(whole**2)) * 10.0 ** (line.level_db / 10)
        sound = line.change(whole, random) * 10 ** (line.level_db / 20)
        before = _BEFORE_S * RATE_HZ + int(random.integers(0, RATE_HZ))
        after = np.zeros(_AFTER_S * RATE_HZ)
        if line.kind == "same":
            after[: RATE_HZ * 3 // 2] = _other_words(whole, sound, random)
        feed = np.concatenate((np.zeros(before), sound, after))
        noise = power / 10 ** (line.snr_db / 10)
        if line.kind == "babble":
            feed += babble(self._babble, len(feed), noise, random)
        else:
            feed += white(len(feed), noise, random)
        if line.hum_db is not None:
            feed += hum(len(feed), power * 10 ** (line.hum_db / 10), random)
        feed = line.through(np.clip(feed, -32768, 32767), random)
        feed += white(len(feed), (32768 * 10 ** (line.noise_dbfs / 20)) ** 2, random)
        return sampled(feed), before + len(sound)


def _other_words(whole: Sound, sound: Sound, random: np.random.Generator) -> Sound:
    """The same voice goes on: a second and a half from anywhere else in the announcement."""
    first = int(random.integers(0, max(1, len(whole) - 2 * RATE_HZ)))
    return np.resize(whole[first : first + RATE_HZ * 3 // 2], RATE_HZ * 3 // 2)


def listened(samples: Pcm, announcement: Announcement) -> list[AnnouncementHeard]:
    listener = AnnouncementListener(announcement)
    blocks = (samples[at : at + BLOCK_FRAMES] for at in range(0, len(samples), BLOCK_FRAMES))
    return [heard for block in blocks for heard in listener.hear(block)] + listener.hear_out()


def other_endings() -> dict[str, Any]:
    """The same synthetic voice begins with the same words."""
    told = {}
    for language, announcement in announcements.synthetic().items():
        other = announcements.spoken(language, announcements.OTHER_ENDING[language])
        padded = np.concatenate((np.zeros(RATE_HZ, np.int16), other, np.zeros(RATE_HZ, np.int16)))
        told[language] = [(heard.share, heard.whole) for heard in listened(padded, announcement)]
    return told


def speech(hours: float) -> Iterator[tuple[str, Pcm]]:
    """Synthetic voices first, then human ones, as many hours as asked for."""
    for part in voices.synthetic(hours * _ESPEAK_SHARE * 3600, SEED):
        yield "espeak-ng", part
    left = hours * (1 - _ESPEAK_SHARE) * 3600 * RATE_HZ
    for pitch in (1.0, 0.95, 1.05):
        for speaker in voices.HUMANS:
            if left > 0:
                voice = voices.human(speaker, pitch)[: int(left)]
                left -= len(voice)
                yield f"human, pitch {pitch}", voice


def in_speech(hours: float) -> dict[str, Any]:
    """What is told of announcements that nobody plays; each listener hears all hours.

    The human announcements are among what is said at pitch 1.0, once each, and no more; also in other prompts that are
    made of the same recordings.
    """
    chosen = {**announcements.synthetic(), **announcements.human()}
    counted: dict[str, dict[str, float]] = {}
    for kind, part in speech(hours):
        row = counted.setdefault(kind, {"hours": 0, "whole": 0, "half": 0, "most_share": 0})
        row["hours"] += len(part) / RATE_HZ / 3600 * len(chosen)
        for announcement in chosen.values():
            for heard in listened(part, announcement):
                row["whole" if heard.whole else "half"] += 1
                if not heard.whole:
                    row["most_share"] = max(row["most_share"], heard.share)
    return {kind: {name: round(value, 2) for name, value in row.items()} for kind, row in counted.items()}


def costs() -> dict[str, float]:
    """CPU seconds an hour: nothing under way, one voice without a pause, and an announcement again and again."""
    random = np.random.default_rng(1)
    ten = 600 * RATE_HZ
    announcement = announcements.synthetic()["de"]
    feeds = {
        "line noise": sampled(white(ten, 300.0, random)),
        "one voice without a pause": voices.talking(voices.human(_BABBLE))[:ten],
        "the announcement, again and again": np.resize(announcement.samples, ten),
    }
    spent = {}
    for name, samples in feeds.items():
        began = time.process_time()
        listened(samples, announcement)
        spent[name] = round((time.process_time() - began) * 3600 * RATE_HZ / len(samples), 2)
    return spent


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--hours", type=float, default=0.4)
    parser.add_argument("--trials", type=int, default=1)
    parser.add_argument("--only", nargs="+", default=["lines", "halves", "speech", "costs"])
    asked = parser.parse_args()
    tables: dict[str, Callable[[], Any]] = {
        "lines": lambda: Bench().table(lines(), asked.trials),
        "halves": lambda: {"other_endings": other_endings(), **Bench().table(halves(), asked.trials)},
        "speech": lambda: in_speech(asked.hours),
        "costs": costs,
    }
    print(json.dumps({name: tables[name]() for name in asked.only}, indent=1))


if __name__ == "__main__":
    main()
