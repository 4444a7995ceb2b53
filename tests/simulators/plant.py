"""A line in a wall, and the tape on which it is heard: what does not change from call to call.

Levels are in dBFS, 0 dBFS being a full-scale square wave; a sound is float64 with full scale 1.0. Nothing is lost in
the noise: tones and keys are 8 dB above it, voices 10 dB, caller ID 12 dB, a ring 8 dB and 16 dB above the hum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from appliance.recorder.ear.countries import Country
from appliance.recorder.ear.signals import Pcm
from appliance.terms import RATE_HZ
from tests.simulators import line_tones, talk
from tests.simulators.line_tones import Sound, as_pcm

One = TypeVar("One")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plant:
    """Exchange, coupler, noise.

    own_dbfs: how loud the own side speaks. noise_dbfs, idle_dbfs: noise of the line off-hook and on-hook.
    ring_clipped, ring_high_pass_hz: see line_tones.ringing. caller_id_dbm0: of its tones.
    """

    country: Country
    own_dbfs: float
    noise_dbfs: float
    idle_dbfs: float
    colour: str
    hum_dbfs: float | None
    tone_dbfs: float
    ring_hz: float
    ring_dbfs: float
    ring_clipped: float
    ring_high_pass_hz: float
    caller_id_dbm0: float

    @property
    def softest_voice_dbfs(self) -> float:
        return self.noise_dbfs + 10

    @property
    def noise_tells_hook(self) -> bool:
        return self.noise_dbfs > self.idle_dbfs + 8

    @property
    def coupler(self) -> str:
        return f"ring {self.ring_hz:.0f} Hz" + (" high-passed" if self.ring_high_pass_hz else "")

    @property
    def story(self) -> str:
        hum = f", hum {self.hum_dbfs:.0f}" if self.hum_dbfs is not None else ""
        return (
            f"{self.country.code}, speech {self.own_dbfs:.0f}, {self.colour} noise {self.noise_dbfs:.0f} "
            f"(idle {self.idle_dbfs:.0f}){hum}, tones {self.tone_dbfs:.0f}, {self.coupler} {self.ring_dbfs:.0f} "
            f"x{self.ring_clipped:.1f}, caller ID {self.caller_id_dbm0:.0f} dBm0"
        )


def any_plant(country: Country, random: np.random.Generator) -> Plant:
    own = random.uniform(-22, -14)
    noise = own - random.uniform(10, 30)
    idle = noise if random.random() < 0.5 else random.uniform(-80, -60)
    hum = random.uniform(-55, -32) if random.random() < 0.3 else None
    loudest_hum = -99 if hum is None else hum
    # A transformer takes away what is below 200 Hz. Of a ring that is not clipped it would leave nothing.
    high_pass_hz = 200.0 if random.random() < 0.3 else 0.0
    return Plant(
        country=country,
        own_dbfs=own,
        noise_dbfs=noise,
        idle_dbfs=idle,
        colour=str(random.choice(["white", "pink", "line"])),
        hum_dbfs=hum,
        tone_dbfs=max(random.uniform(-26, -14), noise + 8),
        ring_hz=country.ringing.frequencies_hz[int(random.random() < 0.2)],
        ring_dbfs=max(random.uniform(-32, -10), idle + 8, loudest_hum + 16),
        ring_clipped=random.uniform(3 if high_pass_hz else 1, 5),
        ring_high_pass_hz=high_pass_hz,
        caller_id_dbm0=max(random.uniform(-28, -12), idle + 18, loudest_hum - 10),
    )


class Tape:
    """Grows sound by sound; noise and hum come last. `at` is the frame at which the next sound begins."""

    def __init__(self, plant: Plant, random: np.random.Generator) -> None:
        self.plant = plant
        self.random = random
        self.at = 0
        self._parts: list[tuple[int, Sound]] = []
        self._off_hook: list[tuple[int, int]] = []

    @property
    def now_s(self) -> float:
        return self.at / RATE_HZ

    def wait(self, seconds: float) -> None:
        """Back if negative: the next sound then begins before the last one is over."""
        self.at += round(seconds * RATE_HZ)

    def play(self, sound: Sound) -> None:
        self._parts.append((self.at, sound))
        self.at += len(sound)

    def click(self) -> None:
        """A hook switch or a reversal of the line, its peak far above the noise. It takes no time."""
        peak = max(self.any(-14, -2), self.plant.noise_dbfs + 26)
        self._parts.append((self.at, talk.click(min(peak, -1), self.random)))

    def was_off_hook(self, from_frame: int) -> None:
        self._off_hook.append((from_frame, self.at))

    def any(self, least: float, most: float) -> float:
        return float(self.random.uniform(least, most))

    def chance(self, share: float) -> bool:
        return bool(self.random.random() < share)

    def one_of(self, choices: Sequence[One], shares: Sequence[float] | None = None) -> One:
        return choices[int(self.random.choice(len(choices), p=shares))]

    def heard(self, idle_after_s: float) -> Pcm:
        frames = self.at + round(idle_after_s * RATE_HZ)
        plant = self.plant
        sound = talk.line_noise(frames, plant.noise_dbfs, plant.colour, self.random)
        on_hook = np.ones(frames, bool)
        for first, end in self._off_hook:
            on_hook[first:end] = False
        sound[on_hook] *= line_tones.amplitude(plant.idle_dbfs - plant.noise_dbfs)
        if plant.hum_dbfs is not None:
            overtones_db = self.any(-40, -20)
            sound += line_tones.hum(frames, plant.country.mains_hz, plant.hum_dbfs, self.random, overtones_db)
        for at, part in self._parts:
            sound[at : at + len(part)] += part
        return as_pcm(sound)
