"""The two sides of a line that is tapped where they are apart: near, what the own side sends, and far, what it hears.

Pure. Audio of such a line has two columns, near and far. Whatever listens to a line of two wires has its way with these
too: speech is what either side says; what the exchange sends comes from the far side alone; an announcement is heard in
the sum of both; a key has a sender.

The sides are not apart altogether. The own voice, and the own keys, come back on the far channel (sidetone), and what
comes out of the earpiece is picked up by the microphone: 6 dB to 20 dB below. So a key is often heard on both, and it
is the level that tells whose it is. Both its tones must be louder on one side, by 3 dB or more; where one of them is
not, because both sides press at once or somebody speaks into it, the sender is unclear, and nothing that would need a
sender follows from such a key (line/consent.py, line/star_codes.py). How often: docs/measurements/two-sides.md.

What is sent comes back from the other end of a line too, weaker and up to a second later: a key that one side repeats
after the other is its echo if it is weaker, and else its sender is unclear.

What cannot be known here: whether what comes from the earpiece was sent by the other side. A telephone that plays its
own keys into the earpiece, and not into what the tap hears of the near side, makes them keys of the far one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from appliance.recorder.ear.keys import DIGITS, HIGH_HZ, LOW_HZ, Key, KeyListener, Side
from appliance.recorder.ear.signals import Heard, Pcm, Signals
from appliance.terms import BLOCK_FRAMES, RATE_HZ

NEAR, FAR = 0, 1
"""The columns."""

Powers = npt.NDArray[np.float64]

_CLEAR = 10**0.3
"""Of power: 3 dB."""
_WINDOW = RATE_HZ // 25
_HOP = _WINDOW // 4
"""40 ms, through which a tone that is 1.8 % off its frequency loses 2 dB on both sides alike."""
_LONGEST = RATE_HZ // 10
"""Of a key so much is measured: its newest part, which its ear has just found to be one."""
_REMEMBERED = RATE_HZ // 2
_ECHO = RATE_HZ
"""Half a second to a satellite and back, and what packet networks wait."""


def channels_of(samples: Pcm, channels: tuple[int, ...]) -> Pcm:
    """Some channels of a device's block, contiguous: shape (frames,) of one, (frames, 2) of two."""
    return np.ascontiguousarray(samples[:, channels[0]] if len(channels) == 1 else samples[:, channels])


def side_of(samples: Pcm, side: int) -> Pcm:
    """One side, contiguous; of a line of two wires both at once."""
    return samples if samples.ndim == 1 else np.ascontiguousarray(samples[:, side])


def mixed(samples: Pcm) -> Pcm:
    """Both sides, as on two wires."""
    if samples.ndim == 1:
        return samples
    both = samples[:, NEAR].astype(np.int32) + samples[:, FAR]
    mix: Pcm = np.clip(both, -32768, 32767).astype(np.int16)
    return mix


class TwoSidedSignals:
    """An ear for each side: who speaks on either speaks on the line."""

    def __init__(self, speech_above_floor_db: float) -> None:
        self._ears = (Signals(speech_above_floor_db), Signals(speech_above_floor_db))

    def hear(self, samples: Pcm, *, expects: bool = False) -> Heard:
        """As `Signals.hear`, of int16, shape (frames, 2). What each side gave is in `sides`."""
        near, far = (ear.hear(side_of(samples, side), expects=expects) for side, ear in enumerate(self._ears))
        return Heard(
            level_dbfs=max(near.level_dbfs, far.level_dbfs),
            speech=near.speech or far.speech,
            floor_dbfs=max(near.floor_dbfs, far.floor_dbfs),
            lowest_dbfs=max(near.lowest_dbfs, far.lowest_dbfs),
            loud=_either(near.loud, far.loud),
            sides=(near, far),
        )


LineSignals = Signals | TwoSidedSignals


def signals_for(channels: int, speech_above_floor_db: float) -> LineSignals:
    return Signals(speech_above_floor_db) if channels == 1 else TwoSidedSignals(speech_above_floor_db)


def _either(near: tuple[int, int, int] | None, far: tuple[int, int, int] | None) -> tuple[int, int, int] | None:
    """Where either is loud. How many steps at least: mostly one side speaks, and leaks into the other."""
    if near is None or far is None:
        return near or far
    return min(near[0], far[0]), max(near[1], far[1]), max(near[2], far[2])


@dataclass(slots=True, kw_only=True)
class _Press:
    """Of one key: which ear has told it, how strong its tones were on the louder side, and until where they sound."""

    told_by: int
    side: Side
    power: float
    until: int


class TwoSidedKeys:
    """An ear for keys on each side. A key that both hear is told once, with its sender."""

    def __init__(self) -> None:
        self._ears = (KeyListener(), KeyListener())
        self._newest: Pcm = np.zeros((0, 2), np.int16)
        self._end = 0
        self._presses: dict[str, _Press] = {}

    @property
    def pressing(self) -> bool:
        """As `KeyListener.pressing`, on either side."""
        return any(ear.pressing for ear in self._ears)

    def hear(self, samples: Pcm) -> list[Key]:
        """As `KeyListener.hear`, of int16, shape (frames, 2)."""
        blocks = (samples[at : at + BLOCK_FRAMES] for at in range(0, len(samples), BLOCK_FRAMES))
        return [key for block in blocks for key in self._hear_block(block)]

    def _hear_block(self, block: Pcm) -> list[Key]:
        self._newest = np.concatenate((self._newest, block))[-_REMEMBERED:]
        self._end += len(block)
        for ear in self._ears:
            if ear.held in self._presses:
                self._presses[ear.held].until = self._end
        found = [(key, side) for side, ear in enumerate(self._ears) for key in ear.hear(side_of(block, side))]
        found.sort(key=lambda each: each[0].first_frame)
        return [told for key, side in found if (told := self._judged(key, told_by=side)) is not None]

    def _judged(self, key: Key, *, told_by: int) -> Key | None:
        """With its sender; None if it is one that is known already, because the other ear has told it or as an echo."""
        before = self._presses.get(key.digit)
        if before is not None and before.told_by != told_by and key.first_frame <= before.until:
            return None
        powers = self._measure(key)
        side, power = _louder(powers), float(powers.sum(1).max())
        if before is not None and before.side is not side and key.first_frame < before.until + _ECHO:
            if power * _CLEAR < before.power:
                return None
            side = Side.UNCLEAR
        is_held = self._ears[told_by].held == key.digit
        until = self._end if is_held else key.end_frame
        self._presses[key.digit] = _Press(told_by=told_by, side=side, power=power, until=until)
        return replace(key, side=side)

    def _measure(self, key: Key) -> Powers:
        began = self._end - len(self._newest)
        first = max(key.first_frame, key.end_frame - _LONGEST, began)
        return _powers(self._newest[first - began : key.end_frame - began], key.digit)


def _louder(powers: Powers) -> Side:
    if (powers[FAR] >= _CLEAR * powers[NEAR]).all():
        return Side.FAR
    if (powers[NEAR] >= _CLEAR * powers[FAR]).all():
        return Side.NEAR
    return Side.UNCLEAR


def _powers(sound: Pcm, digit: str) -> Powers:
    """How strong the two tones of a key are on each side: shape (sides, tones), in squared sample values."""
    window = min(_WINDOW, len(sound))
    low, high = divmod(DIGITS.index(digit), 4)
    turns = np.outer((LOW_HZ[low], HIGH_HZ[high]), np.arange(window)) * (-2j * np.pi / RATE_HZ)
    hann = np.hanning(window)
    tones = np.exp(turns) * hann / hann.sum()
    starts = range(0, len(sound) - window + 1, _HOP)
    parts = np.stack([tones @ sound[at : at + window] for at in starts])
    powers: Powers = (np.abs(parts) ** 2).mean(0).T + 1e-3
    return powers
