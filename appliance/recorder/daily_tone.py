"""The daily test tone: when it is due, what it sounds like, and how it came back.

Pure. Played into an idle line and heard back on it, it shows that the output, the coupler, the input and the line
between them are connected: the same way that an announcement takes, when there is no call that depends on it.

The tone is 1020 Hz, the reference test frequency of ITU-T O.6. It is no key, no part of a caller ID, no tone of an
exchange and no answer of a fax machine; and with 0.2 s it is a click to whoever asks whether somebody speaks
(`line/stirring`). It is as loud as soft speech, and an on-hook line rings for nobody by it.

It has come back if for about its length there is much more at its frequency than at other times of the same seconds: a
click is too short for that, a hum or a whistle too long.
"""

from __future__ import annotations

import math
from datetime import datetime, time, timedelta

import numpy as np
import numpy.typing as npt

from appliance.recorder.ear.signals import Pcm
from appliance.terms import RATE_HZ

TONE_HZ = 1020
TONE_S = 0.2
TONE_DBFS = -26.0
HEARD_FOR_S = 3.0
"""From when it was asked for: it is on its way for half a second at most, but what is heard may have waited too."""

_RAMP_S = 0.02
_WINDOW = RATE_HZ // 20
_HOP = RATE_HZ // 100
_ABOVE_DB = 12.0
_LEAST_HOPS, _MOST_HOPS = 12, 30
"""Windows within 6 dB of the loudest: 20 of a tone of 0.2 s, five of a click."""
_FAINT_DBFS = -50.0
_LOUD_DBFS = -9.0
_AGAIN = timedelta(hours=1)
_TURN = timedelta(seconds=10)

NOT_HEARD = (
    "The daily test tone was not heard, so on this line an announcement would not be heard either. What was "
    "recorded is safe. Look whether the coupler is plugged into input and output of the sound card and into the "
    "line, and whether that output is turned on (alsamixer, F3). It is tried again every hour."
)


def tone_trouble(level_dbfs: float | None) -> str:
    """What to change, if the tone came back like this; empty if all is well. None: it did not come back."""
    if level_dbfs is None:
        return NOT_HEARD
    if level_dbfs < _FAINT_DBFS:
        return (
            f"The daily test tone was too faint ({level_dbfs:.0f} dBFS), as an announcement would be. What was "
            "recorded is safe. Turn up the output of the sound card (alsamixer, F3). It is tried again every hour."
        )
    if level_dbfs > _LOUD_DBFS:
        return (
            f"The daily test tone was too loud ({level_dbfs:.0f} dBFS), as an announcement would be. What was "
            "recorded is safe. Turn down the output of the sound card (alsamixer, F3). It is tried again every hour."
        )
    return ""


def daily_tone() -> Pcm:
    """int16, shape (frames,), 8 kHz; its ends are soft, so that they do not click."""
    t = np.arange(round(TONE_S * RATE_HZ)) / RATE_HZ
    ramp = np.clip(np.minimum(t, t[::-1]) / _RAMP_S, 0, 1)
    amplitude = 32768 * math.sqrt(2) * 10 ** (TONE_DBFS / 20)
    return np.rint(amplitude * np.sin(np.pi / 2 * ramp) ** 2 * np.sin(2 * np.pi * TONE_HZ * t)).astype(np.int16)


def tone_level_dbfs(heard: Pcm) -> float | None:
    """How loud the tone came back, or None if it did not. heard: some seconds in which it was played once."""
    powers = _powers(heard)
    loudest = float(powers.max())
    sounds = int(np.count_nonzero(powers > loudest / 4))
    above_db = 10 * math.log10(max(loudest, 1e-9) / max(float(np.median(powers)), 1e-9))
    if not _LEAST_HOPS <= sounds <= _MOST_HOPS or above_db < _ABOVE_DB:
        return None
    return 10 * math.log10(loudest / 32768**2)


def _powers(heard: Pcm) -> npt.NDArray[np.float64]:
    """At the tone's frequency, in each window of 50 ms, which holds 51 of its periods."""
    windows = np.lib.stride_tricks.sliding_window_view(heard.astype(np.float64), _WINDOW)[::_HOP]
    parts = windows @ np.exp(-2j * np.pi * TONE_HZ / RATE_HZ * np.arange(_WINDOW))
    return np.asarray(2 * np.abs(parts / _WINDOW) ** 2)


class DailyTime:
    """When the next one is due, by the clock on the wall. The first is so at the next time after the first look.

    Args:
        at: "03:30".
        turn: of how many lines the test comes first; each gets ten seconds, or one would be heard on another.
    """

    def __init__(self, at: str, *, turn: int = 0) -> None:
        self._at = time.fromisoformat(at)
        self._turn = turn * _TURN
        self._next: datetime | None = None

    def is_due(self, now: datetime) -> bool:
        if self._next is None or self._next - now > timedelta(days=1, hours=1):  # or the clock was set back
            self.done(now)
        return self._next is not None and now >= self._next

    def done(self, now: datetime) -> None:
        """The next is tomorrow's, or today's if that is yet to come."""
        today = now.replace(hour=self._at.hour, minute=self._at.minute, second=0, microsecond=0) + self._turn
        self._next = today if today > now else today + timedelta(days=1)

    def failed(self, now: datetime) -> None:
        self._next = now + _AGAIN
