"""Whether a line's audio is as it should be, and what a person should change if it is not.

Pure. Blocks and what `signals` made of them go in; what is wrong comes out, one sentence each. Nothing is recorded
better or worse for it.

Seconds are looked at, not blocks, and each only for what can be seen in it: the noise when nobody speaks, the level
when somebody does. What is seen must last before it is told, and be clearly over before it is taken back, so that no
sentence flickers. All thresholds have two values for that.

- Dead: all samples equal, or 10 dB below the least noise that this line had in an hour or more of hearing it.
- Quiet: neither ring nor tone nor speech for days, on a line that had them before.
- Clipping: samples at full scale while somebody speaks. What an amplifier before the card cuts off below full scale
  is not seen.
- Half a wave: the part of a second's sound above its resting level has a quite different power from the one below, as
  after a diode. Voices differ by 2 dB, seldom by more.
- Hum: 50 Hz or 60 Hz and their overtones. Too loud is what an ear would find so (ITU-T O.41, the weighting of telephone
  noise), or what takes room from speech whatever an ear finds.
- Offset: what the card adds to every sample.
- Level: of active speech, in the manner of ITU-T P.56 (what lies in its pauses does not count). The nominal level is
  26 dB below overload; on a two-wire tap the near side is often 10 dB louder than the far one, and counts most.

What cannot be known from audio, and is not claimed: whether the wires a and b are swapped. That turns the sign of every
sample, which neither an ear nor a spectrum tells; only a hook sense that needs a polarity would notice. Nor can a
tap of two wires tell the sides apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from appliance.recorder.ear.sides import side_of
from appliance.recorder.ear.signals import Heard, Pcm
from appliance.terms import RATE_HZ

BEST_SPEECH_DBFS = -24.0
"""What is advised: 2 dB above the nominal level, and 20 dB of room for the loudest sounds of a loud voice."""

_FULL_SCALE = 32768.0
_FULL = 32600.0
"""-0.04 dB. A converter that is driven too far stays at its last value or next to it."""
_CLIPPED_SAMPLES = 8
"""0.1 % of a second: heard as a crackle."""
_CLIPPED_SHARE = (0.1, 0.03)
"""Of the seconds with speech. Two values here and below: from where on it is told, below which it is taken back."""

_TOO_LOUD_DBFS = (-14.0, -17.0)
_TOO_SOFT_DBFS = (-38.0, -35.0)
_HALF_WAVE_DB = (6.0, 4.0)
_OFFSET = (0.05, 0.03)
_FAINT_DB = (10.0, 4.0)
_HUM_DB = (0.0, -4.0)
_LOUD_HUM_DBFS = -26.0
_HEARD_HUM_DBFS = -58.0
"""After weighting; with the overtones above 300 Hz that such a hum has, some 30 dB below speech."""

_KNOWN_AFTER_S = 3600
"""On the hook a line is quieter than off it, so its least noise is known only after it had time for both."""


class Ailment(StrEnum):
    """What can be wrong with a line's audio, the gravest first."""

    DEAD = "dead"
    HALF_WAVE = "half_wave"
    CLIPPING = "clipping"
    HUM = "hum"
    TOO_LOUD = "too_loud"
    TOO_SOFT = "too_soft"
    OFFSET = "offset"
    QUIET = "quiet"


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthRules:
    """How much is heard before anything is said. The defaults are a recorder's; a technician has less time.

    dead_after_s: seconds of nothing.
    quiet_after_s: seconds without ring, tone or speech on a line that had them.
    speech_s: seconds of speech before its level is judged.
    steady_s: seconds in a row in which hum or offset is there, or is not.
    """

    dead_after_s: int = 30
    quiet_after_s: int = 3 * 86_400
    speech_s: int = 60
    steady_s: int = 10


class LineHealth:
    """The health of one line, as long as the recorder runs. A device that is opened again may go on with it."""

    def __init__(self, rules: HealthRules | None = None) -> None:
        self._rules = rules or HealthRules()
        steady = self._rules.steady_s
        self._latches = {ailment: _Latch() for ailment in Ailment} | {
            Ailment.DEAD: _Latch(on_after=self._rules.dead_after_s),
            Ailment.HUM: _Latch(on_after=steady, off_after=steady),
            Ailment.OFFSET: _Latch(on_after=steady, off_after=steady),
        }
        self._sentences: dict[Ailment, str] = {}
        self._speech = _Speech(memory_s=3 * self._rules.speech_s)
        self._noise = _LeastNoise()
        self._gravest = ""
        self._silent_s: int | None = None
        self._second = np.empty(RATE_HZ, np.float32)
        self._filled = 0
        self._sounds = False
        self._spoken = 0
        self._loudest_dbfs = -math.inf

    @property
    def found(self) -> dict[Ailment, str]:
        """All that is wrong now, the gravest first, with its sentence."""
        return {ailment: self._sentences[ailment] for ailment in Ailment if ailment in self._sentences}

    @property
    def speech_dbfs(self) -> float | None:
        """The level of active speech; None until enough of it was heard."""
        return self._speech.level_dbfs if self._speech.seconds >= self._rules.speech_s else None

    def hear(self, samples: Pcm, heard: Heard, *, exchange_sounds: bool = False) -> str:
        """Take in the next block; blocks of any length are welcome, and holes between them do no harm.

        Args:
            samples: int16, shape (frames,).
            heard: what `Signals` said of this block.
            exchange_sounds: what sounds is a tone of the exchange, whose level is nobody's fault.
        Returns: the sentence about the gravest trouble, empty if all is well.
        """
        self._loudest_dbfs = max(self._loudest_dbfs, heard.level_dbfs)
        if heard.speech:
            self._sounds = True
            self._spoken += 0 if exchange_sounds else samples.size
        end = self._filled + samples.size
        if end < RATE_HZ:
            self._second[self._filled : end] = samples
            self._filled = end
        else:
            self._look_at_seconds(samples)
        return self._gravest

    def forget_audio(self) -> None:
        """The device is closed: nothing that was said stays here."""
        self._second.fill(0)
        self._filled = 0

    def _look_at_seconds(self, samples: Pcm) -> None:
        """Fill this second, look at it, and go on with what is left; a long block is several seconds."""
        while samples.size >= (missing := RATE_HZ - self._filled):
            self._second[self._filled :] = samples[:missing]
            self._look()
            samples = samples[missing:]
            self._filled = 0
        self._second[: samples.size] = samples
        self._filled = samples.size
        self._sounds, self._spoken, self._loudest_dbfs = False, 0, -math.inf

    def _look(self) -> None:
        highest, lowest = float(self._second.max()), float(self._second.min())
        slow = self._second.reshape(-1, _SLOWER) @ _MEAN_OF_SLOWER
        mean = float(slow.mean())
        self._look_for_life(constant=highest == lowest)
        self._judge(Ailment.OFFSET, abs(mean) / _FULL_SCALE, _OFFSET, lambda: _offset_sentence(mean))
        if not self._sounds:
            self._look_for_hum(slow)
        elif self._spoken >= RATE_HZ // 2:
            self._look_at_speech(mean, full=highest >= _FULL or lowest <= -_FULL)

    def _look_for_life(self, *, constant: bool) -> None:
        if self._sounds:
            self._silent_s = 0
            if self._latches[Ailment.DEAD].on:
                self._noise = _LeastNoise()  # not dead after all: it has become a quieter line
        elif self._silent_s is not None:
            self._silent_s += 1
        silent = self._silent_s is not None and self._silent_s >= self._rules.quiet_after_s
        self._judge(Ailment.QUIET, float(silent), (1, 1), lambda: _quiet_sentence(self._rules.quiet_after_s))
        below_db = math.inf if constant else self._noise.below_db(self._loudest_dbfs)
        self._judge(Ailment.DEAD, below_db, _FAINT_DB, lambda: _dead_sentence(self._rules.dead_after_s))

    def _look_for_hum(self, slow: Reals) -> None:
        hz, above_db = _hum(slow)
        self._judge(Ailment.HUM, above_db, _HUM_DB, lambda: _hum_sentence(hz))

    def _look_at_speech(self, mean: float, *, full: bool) -> None:
        power = float(self._second @ self._second) / RATE_HZ - mean**2
        if power > _FULL_SCALE**2 * 10 ** (self._loudest_dbfs / 10):
            return  # most of it lies below 200 Hz: not a voice but the ringing voltage, or a hum that is judged as such
        some = self._second[::_SPARSE]
        some = some - np.median(some)
        squares = some * some
        if float(squares @ squares) * some.size < _VOICE_KURTOSIS * float(squares.sum()) ** 2:
            return  # a modem, or a tone
        clipped = full and int(np.count_nonzero(np.abs(self._second) >= _FULL)) >= _CLIPPED_SAMPLES
        self._speech.add(some, min(self._spoken, RATE_HZ), power, clipped=clipped)
        if self._speech.seconds < self._rules.speech_s:
            return
        level_dbfs, best = self._speech.level_dbfs, BEST_SPEECH_DBFS
        self._judge(
            Ailment.CLIPPING, self._speech.clipped_share, _CLIPPED_SHARE, lambda: _clipping_sentence(level_dbfs)
        )
        self._judge(Ailment.TOO_LOUD, level_dbfs, _TOO_LOUD_DBFS, lambda: _loud_sentence(level_dbfs, level_dbfs - best))
        self._judge(
            Ailment.TOO_SOFT,
            -level_dbfs,
            _negative(_TOO_SOFT_DBFS),
            lambda: _soft_sentence(level_dbfs, best - level_dbfs),
        )
        self._judge(Ailment.HALF_WAVE, self._speech.lopsided_db, _HALF_WAVE_DB, _half_wave_sentence)

    def _judge(self, ailment: Ailment, value: float, limits: tuple[float, float], sentence: Callable[[], str]) -> None:
        """Look at a value of which much is bad; a sentence is made once, so that its figures stand still."""
        latch = self._latches[ailment]
        if not latch.look(value >= limits[1] if latch.on else value >= limits[0]):
            return
        if latch.on:
            self._sentences[ailment] = sentence()
        else:
            del self._sentences[ailment]
        self._gravest = next(iter(self.found.values()), "")


class TwoSidedHealth:
    """The health of a line whose sides are apart, each by itself: one may be dead, or too soft."""

    def __init__(self) -> None:
        self._sides = {"Own side": LineHealth(), "Other side": LineHealth()}

    def hear(self, samples: Pcm, heard: Heard, *, exchange_sounds: bool = False) -> str:
        """As `LineHealth.hear`, of int16, shape (frames, 2); the sentence begins with the side."""
        told = []
        for column, (name, health) in enumerate(self._sides.items()):
            side = heard.sides[column] if heard.sides else heard
            sentence = health.hear(side_of(samples, column), side, exchange_sounds=exchange_sounds)
            told += [f"{name}: {sentence}"] if sentence else []
        return next(iter(told), "")

    def forget_audio(self) -> None:
        """As `LineHealth.forget_audio`."""
        for health in self._sides.values():
            health.forget_audio()


class _Latch:
    """On, or off, after so many looks in a row that say otherwise."""

    def __init__(self, *, on_after: int = 1, off_after: int = 1) -> None:
        self.on = False
        self._needed = {True: on_after, False: off_after}
        self._against = 0

    def look(self, bad: bool) -> bool:
        """Whether it changes."""
        self._against = self._against + 1 if bad != self.on else 0
        if self._against < self._needed[not self.on]:
            return False
        self.on, self._against = not self.on, 0
        return True


class _Speech:
    """What the speech of the last minutes was like; older speech weighs less and less.

    seconds: how much of it is weighed in.
    """

    def __init__(self, memory_s: float) -> None:
        self._keep = 1 - 1 / memory_s
        self.seconds = 0.0
        self._looks = 0.0
        self._energy = 0.0
        self._clipped = 0.0
        self._above = 1.0
        self._below = 1.0

    def add(self, some: Reals, spoken: int, power: float, *, clipped: bool) -> None:
        """Weigh in a second. some: samples of it, counted from their median."""
        above = np.maximum(some, 0)
        above_power = float(above @ above)
        keep = self._keep
        self._above = self._above * keep + above_power
        self._below = self._below * keep + float(some @ some) - above_power
        self._looks = self._looks * keep + 1
        self._clipped = self._clipped * keep + clipped
        self._energy = self._energy * keep + power
        self.seconds = self.seconds * keep + spoken / RATE_HZ

    @property
    def level_dbfs(self) -> float:
        return 10 * math.log10(max(self._energy / self.seconds, 1e-3) / _FULL_SCALE**2)

    @property
    def clipped_share(self) -> float:
        return self._clipped / self._looks

    @property
    def lopsided_db(self) -> float:
        return abs(10 * math.log10(max(self._above, 1.0) / max(self._below, 1.0)))


class _LeastNoise:
    """The quietest second that a line ever had, once it has been heard for long enough."""

    def __init__(self) -> None:
        self._heard_s = 0
        self._least_dbfs = math.inf

    def below_db(self, loudest_dbfs: float) -> float:
        """By how much a second lies below all before. Such ones are not learned, so that a fall stays one."""
        below_db = self._least_dbfs - loudest_dbfs if self._heard_s >= _KNOWN_AFTER_S else 0.0
        self._heard_s += 1
        if below_db < _FAINT_DB[0]:
            self._least_dbfs = min(self._least_dbfs, loudest_dbfs)
        return below_db


Reals = npt.NDArray[np.float32]

_SPARSE = 8
"""A thousand samples of a second say how lopsided it is, and whether it is a voice."""

_VOICE_KURTOSIS = 3.0
"""A sine has 1.5, two have 2.25, and so 3 at most if they fill half a second; syllables and pauses have 4 and more."""

_SLOWER = 10
"""Hum is looked for at 800 Hz, in means of ten samples."""
_MEAN_OF_SLOWER = np.full(_SLOWER, 1 / _SLOWER, np.float32)

_HUM_HZ = np.array([50, 100, 150, 200, 250, 60, 120, 180, 240, 300])
"""Two families. Above these begin the dial tones; a hum with overtones there has them here too."""

_O41_HZ = [16.66, 50, 100, 200, 300, 400]
_O41_DB = [-85, -63, -41, -21, -10.6, -6.3]
"""ITU-T O.41, table 1."""


def _hum_shapes() -> Reals:
    """Columns that give the cosine and the sine part of each frequency in half a second, as roots of power.

    Half a second holds whole periods of all of them, so that an offset stays out. A Hann window keeps a loud dial tone
    out, and hears mains that are 0.2 Hz off.
    """
    frames = RATE_HZ // _SLOWER // 2
    window = 1 - np.cos(2 * np.pi * np.arange(frames) / frames)
    angles = 2 * np.pi * _HUM_HZ * np.arange(frames)[:, None] * _SLOWER / RATE_HZ
    lost_by_means = np.sinc(_HUM_HZ * _SLOWER / RATE_HZ)
    shapes = np.concatenate((np.cos(angles), np.sin(angles)), 1) * window[:, None] * np.sqrt(2) / frames
    columns: Reals = (shapes / np.tile(lost_by_means, 2)).astype(np.float32)
    return columns


_HUM_SHAPES = _hum_shapes()
_WEIGHTS = (10 ** (np.interp(np.log(_HUM_HZ), np.log(_O41_HZ), _O41_DB) / 10)).astype(np.float32)
_FAMILIES = np.kron(np.eye(2), np.ones((5, 1)))
_SUMS = np.concatenate((_FAMILIES, _FAMILIES * _WEIGHTS[:, None]), 1).astype(np.float32)
"""From the powers of ten frequencies: of 50 Hz, of 60 Hz, and both weighted."""
_LIMITS = np.repeat([_LOUD_HUM_DBFS, _HEARD_HUM_DBFS], 2)


def _hum(slow: Reals) -> tuple[int, float]:
    """Of which mains there is most hum, and by how many dB it is above what may be."""
    parts = slow.reshape(2, -1) @ _HUM_SHAPES
    parts *= parts
    powers = (parts[:, :10] + parts[:, 10:]).min(0) @ _SUMS
    above = 10 * np.log10(powers / _FULL_SCALE**2 + 1e-12) - _LIMITS
    most = int(above.argmax())
    return (50, 60)[most % 2], float(above[most])


def _negative(limits: tuple[float, float]) -> tuple[float, float]:
    return -limits[0], -limits[1]


def _dead_sentence(seconds: int) -> str:
    return (
        f"Nothing comes from this line: for {seconds} seconds there was not even noise, so no call on it can be "
        "recorded. What was recorded is safe. Look whether the line's plug is in its coupler and the coupler's in the "
        "sound card, and whether the card's input is turned on."
    )


def _quiet_sentence(seconds: int) -> str:
    return (
        f"Neither ring nor speech was heard on this line for {seconds / 86_400:.2g} days. If nobody telephoned, all is "
        "well; otherwise call it, and if this stays, look at the plugs of line and coupler. What was recorded is safe."
    )


def _clipping_sentence(level_dbfs: float) -> str:
    lower = max(6, round(level_dbfs - BEST_SPEECH_DBFS))
    return (
        "Loud speech is cut off at the card's full scale and crackles. What was recorded can be understood. "
        f"The level should be {lower} dB lower: turn down the card's input (alsamixer, F4)."
    )


def _loud_sentence(level_dbfs: float, db: float) -> str:
    return (
        f"Speech on this line is too loud ({level_dbfs:.0f} dBFS) and nearly cut off. What was recorded is safe. "
        f"The level should be {db:.0f} dB lower: turn down the card's input (alsamixer, F4)."
    )


def _soft_sentence(level_dbfs: float, db: float) -> str:
    return (
        f"Speech on this line is too soft ({level_dbfs:.0f} dBFS), and a soft voice may be missed. What was recorded "
        f"is safe. The level should be {db:.0f} dB higher: turn up the card's input (alsamixer, F4)."
    )


def _hum_sentence(hz: int) -> str:
    return (
        f"The line hums with the mains ({hz} Hz and overtones). Calls are recorded, with the hum. Lay its cable away "
        "from mains cables, feed box and sound card from one socket, or let a technician put a transformer between "
        "line and card."
    )


def _offset_sentence(mean: float) -> str:
    return (
        f"The sound card adds an offset of {100 * mean / _FULL_SCALE:+.0f} % of full scale, and loud speech has so "
        "much less room. Calls are recorded. Check that the coupler blocks direct current, or take another card."
    )


def _half_wave_sentence() -> str:
    return (
        "Only one half of the sound's wave arrives, so that speech is harsh. What was recorded can be understood. "
        "Look for a broken coupler, a microphone input that feeds it voltage, or a plug that is half in."
    )
