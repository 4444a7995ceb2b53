"""A sound device whose output is joined to its input by a cable: does what it plays come back, as loud and as clean?

The cable goes from each channel of the output to the same one of the input; on a machine without a card the kernel's
snd-aloop is such a cable. The channels play one after the other, so that exchanged ones show. Each plays a second of
1020 Hz, the reference test frequency of ITU-T O.6, at -20 dBFS, and then a second of silence.

Of what comes back the tone is fitted and taken out. What then is left, less the noise of the silence, is distortion. A
telephone channel keeps 33 dB between a tone and the distortion of it (ITU-T G.712, total distortion, sine-wave method);
a card that is worse spoils the line.

Levels are in dBFS as everywhere: 0 is a square wave as large as it can be, a sine is at most at -3.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import structlog
from numpy.typing import NDArray

from appliance.recorder.daily_tone import TONE_HZ
from appliance.recorder.device.playback import Outcome, Output, Sounding
from appliance.recorder.device.sound_cards import playback_device
from appliance.recorder.ear.signals import Pcm
from appliance.selftest.finding import Finding, bad, good, look
from appliance.selftest.sound import FULL_SCALE, LOUD_DBFS, NOISY_DBFS, Heard, delivery, listen
from appliance.settings import DeviceSettings
from appliance.terms import RATE_HZ, LineTrouble

PLAYED_DBFS = -20.0
_TONE_S, _TURN_S, _SPARE_S = 1.0, 2.0, 1.0
"""The spare second is for what waits in buffers on its way."""
_RAMP_S = 0.02
_FAINT_DBFS = -60.0
_MOST_OFF_DB = 6.0
_CLEAN_DB, _SPOILT_DB = -45.0, -33.0
_CLIPS_FROM = 32_700

_WINDOW = RATE_HZ // 20
"""Holds 51 periods of the tone."""
_FITTED_WINDOWS = 14
"""Of the twenty that the tone lasts."""
_REST_FROM, _REST_FRAMES = RATE_HZ * 35 // 100, RATE_HZ // 2
"""After the fitted ones. They may be the tone's first, then it lasts six windows more."""

_TRIED_AGAIN = 2
"""A box that has just started may be too busy to feed an output, and is so no more a moment later."""
_SURELY = 1.1
"""Half a second tells the power of a noise to some hundredths."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """How the tone came back on one channel.

    turn: of which channel of the output.
    distortion_db: against the tone.
    noise_dbfs: of the silence after it.
    """

    turn: int
    level_dbfs: float
    distortion_db: float
    noise_dbfs: float
    clips: bool


def look_at_loopback(device: DeviceSettings) -> Iterator[Finding]:
    """One device, all its channels: two seconds each, and two more."""
    part = f"sound {device.device}"
    seconds = device.channels * _TURN_S + _SPARE_S
    try:
        heard, why_not = _play_and_listen(device, seconds)
        for _again in range(_TRIED_AGAIN):
            if why_not:
                heard, why_not = _play_and_listen(device, seconds)
    except LineTrouble as trouble:
        yield bad(part, "does not deliver", str(trouble))
        return
    if why_not:
        yield bad(f"{part} output", "does not play", why_not)
        return
    yield delivery(part, heard, seconds)
    if heard.lost:
        return  # a tone with holes says nothing
    samples = heard.samples()
    for channel in range(device.channels):
        yield from judge(f"{part}, channel {channel}", channel, measure(samples[:, channel]))


def _play_and_listen(device: DeviceSettings, seconds: float) -> tuple[Heard, str]:
    """What came back, and why it was not played whole. Raises LineTrouble if nothing comes."""
    log: structlog.stdlib.BoundLogger = structlog.wrap_logger(None, processors=[_unheard])
    playback = playback_device(device, log)
    soundings: list[Sounding] = []

    def play() -> None:
        soundings.extend(Output(playback, channel).play(turn_of(channel)) for channel in range(device.channels))

    playback.start()
    try:
        heard = listen(device, seconds, play)
        if all(sounding.outcome is Outcome.PLAYED for sounding in soundings):
            return heard, ""
        return heard, playback.trouble or "It did not come to its end. Unplug the card and plug it in again."
    finally:
        playback.stop()


def turn_of(channel: int) -> Pcm:
    """What a channel plays: silence until it is its turn, the tone with soft ends, silence."""
    t = np.arange(round(_TONE_S * RATE_HZ)) / RATE_HZ
    ramp = np.clip(np.minimum(t, t[::-1]) / _RAMP_S, 0, 1)
    tone = FULL_SCALE * math.sqrt(2) * 10 ** (PLAYED_DBFS / 20) * ramp * np.sin(2 * np.pi * TONE_HZ * t)
    before, after = round(channel * _TURN_S * RATE_HZ), round((_TURN_S - _TONE_S) * RATE_HZ)
    return np.pad(np.rint(tone), (before, after)).astype(np.int16)


def measure(heard: Pcm) -> Returned | None:
    """None: there is no tone in it. heard: one channel, from when the first began to play or a little before."""
    windows = heard[: heard.size // _WINDOW * _WINDOW].reshape(-1, _WINDOW) / FULL_SCALE
    powers = 2 * np.abs(windows @ np.exp(-2j * np.pi * TONE_HZ / RATE_HZ * np.arange(_WINDOW)) / _WINDOW) ** 2
    first = int(np.convolve(powers, np.ones(_FITTED_WINDOWS), "valid").argmax())
    loud = windows[first : first + _FITTED_WINDOWS].ravel()
    silence = heard[(first + _FITTED_WINDOWS) * _WINDOW + _REST_FROM :][:_REST_FRAMES] / FULL_SCALE
    tone, rest = _apart(loud - loud.mean())
    noise = silence.var() if silence.size else rest
    if _db(tone) < _FAINT_DBFS:
        return None
    return Returned(
        turn=int(first * _WINDOW // (_TURN_S * RATE_HZ)),
        level_dbfs=_db(tone),
        distortion_db=_db(max(rest - _SURELY * noise, 0.0) / tone),
        noise_dbfs=_db(noise),
        clips=bool(np.abs(loud).max() * FULL_SCALE >= _CLIPS_FROM),
    )


def _apart(loud: NDArray[np.float64]) -> tuple[float, float]:
    """The powers of the tone and of what is no tone.

    Two cards differ by some 0.01 % in their clocks, which in this time would turn the tone away from its fit: so its
    frequency is taken from how far it has turned from one half to the other.
    """
    t, half = np.arange(loud.size) / RATE_HZ, loud.size // 2
    turned = loud * np.exp(-2j * np.pi * TONE_HZ * t)
    off_hz = float(np.angle(turned[half:].sum() * turned[:half].sum().conj())) / (2 * math.pi * half / RATE_HZ)
    angle = 2 * np.pi * (TONE_HZ + off_hz) * t
    basis = np.column_stack([np.cos(angle), np.sin(angle)])
    tone = basis @ np.linalg.lstsq(basis, loud)[0]
    return float(np.mean(tone**2)), float(np.mean((loud - tone) ** 2))


def _db(power: float) -> float:
    return 10 * math.log10(max(power, 1e-12))


def judge(part: str, channel: int, returned: Returned | None) -> Iterator[Finding]:
    """What to say of one channel."""
    if returned is None:
        yield bad(
            part,
            "the tone did not come back",
            "Is the cable in both sockets, the right input chosen, and neither output nor input muted (alsamixer)?",
        )
        return
    if returned.turn != channel:
        yield bad(part, f"hears what channel {returned.turn} plays", "Exchange the plugs of output or input.")
    yield _level(f"{part} level", returned)
    yield _distortion(f"{part} distortion", returned)
    yield _noise(f"{part} noise", returned.noise_dbfs)


def _level(part: str, returned: Returned) -> Finding:
    gain_db = returned.level_dbfs - PLAYED_DBFS
    reading = f"{round(gain_db):+d} dB from output to input"
    if returned.clips:
        return bad(part, f"{reading}, and cut off", "Turn the output (alsamixer, F3) or the input (F4) down by 20 dB.")
    if abs(gain_db) <= _MOST_OFF_DB:
        return good(part, reading)
    way = "down" if gain_db > 0 else "up"
    return look(part, reading, f"Turn the output (alsamixer, F3) or the input (F4) {way} by {abs(gain_db):.0f} dB.")


def _distortion(part: str, returned: Returned) -> Finding:
    reading = f"{returned.distortion_db:.0f} dB"
    if returned.distortion_db <= _CLEAN_DB:
        return good(part, reading)
    advice = (
        "Is an automatic gain control on, or an effect? Turn down what is at its most (alsamixer). Else take another."
    )
    return (bad if returned.distortion_db > _SPOILT_DB else look)(part, reading, advice)


def _noise(part: str, dbfs: float) -> Finding:
    reading = f"{dbfs:.0f} dBFS"
    if dbfs <= NOISY_DBFS:
        return good(part, reading)
    advice = "Take a shielded cable, and plug card and cable in apart from power supplies. Is a microphone boost on?"
    return (bad if dbfs > LOUD_DBFS else look)(part, reading, advice)


def _unheard(_logger: object, _method: str, _event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """What a playback tells a daemon's log is among the findings here."""
    raise structlog.DropEvent
