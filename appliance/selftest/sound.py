"""A sound device: does it deliver, at its rate, whole, and is its input quiet while the line rests on its hook?

Judged on audio that nobody speaks in. Nothing of it is kept. Loud speech, hum and the like are for `linekeep line
check`, with the line in use; what an output plays, for `loopback`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from appliance.clock import Clock
from appliance.recorder.device.capture import Block, CaptureThread, Closed, Lost
from appliance.recorder.device.sound_cards import sound_device
from appliance.recorder.ear.signals import Pcm
from appliance.selftest.finding import Finding, bad, good, look
from appliance.settings import DeviceSettings
from appliance.terms import RATE_HZ, LineTrouble

_SETTLES_S = 0.5
"""A codec's input swings for some tenths of a second after it was opened."""

_MOST_OFF = 0.05
"""A quartz is wrong by 0.01 % at worst; a card that runs at 44.1 kHz and says 48 kHz, by 8 %."""
NOISY_DBFS, LOUD_DBFS = -50.0, -30.0
_OFFSET = 0.05
FULL_SCALE = 32768.0


@dataclass(slots=True)
class Heard:
    """What came. late_s: by how much each block was later than its frames say, counted from the first."""

    blocks: list[Pcm] = field(default_factory=list)
    late_s: list[float] = field(default_factory=list)
    lost: int = 0

    def samples(self) -> Pcm:
        """Shape (frames, channels)."""
        return np.concatenate(self.blocks)

    def rate_hz(self) -> float:
        """A block may be fetched late, and never early: the least late one of each half tells the card's pace."""
        half = len(self.late_s) // 2
        drift_s = min(self.late_s[half:]) - min(self.late_s[:half])
        frames = sum(len(block) for block in self.blocks) / 2
        return frames / (frames / RATE_HZ + drift_s)


def look_at_sound(device: DeviceSettings, seconds: float = 3.0) -> Iterator[Finding]:
    """One device, all its channels. Takes `seconds`, and half of one more."""
    part = f"sound {device.device}"
    try:
        heard = listen(device, seconds)
    except LineTrouble as trouble:
        yield bad(part, "does not deliver", str(trouble))
        return
    yield delivery(part, heard, seconds)
    samples = heard.samples()
    for channel in range(device.channels):
        yield _input(f"{part}, channel {channel}", samples[:, channel])


def delivery(part: str, heard: Heard, seconds: float) -> Finding:
    """Is what came whole, and as fast as it should?"""
    rate = heard.rate_hz()
    if heard.lost:
        return bad(part, f"{heard.lost} frames lost in {seconds:.0f} s", "Plug the card in directly, without a hub.")
    if abs(rate / RATE_HZ - 1) > _MOST_OFF:
        return bad(part, f"{rate:.0f} frames a second, not {RATE_HZ}", "The card's clock is wrong. Take another card.")
    return good(part, f"{rate:.0f} frames a second, none lost")


def listen(device: DeviceSettings, seconds: float, settled: Callable[[], None] = lambda: None) -> Heard:
    """
    Args:
        settled: called when what comes begins to count.
    Raises:
        LineTrouble: it does not deliver.
    """
    capture = CaptureThread(sound_device(device), Clock())
    capture.start()
    heard, frames, began_s, give_up = Heard(), 0, 0.0, time.monotonic() + seconds + 10
    try:
        while time.monotonic() < give_up:
            event = capture.next_event(1.0)
            now_s = time.monotonic()
            if isinstance(event, Closed) and event.trouble is not None:
                raise event.trouble
            if isinstance(event, Lost):
                heard.lost += event.frames
            if not isinstance(event, Block) or event.first_frame < _SETTLES_S * RATE_HZ:
                began_s = now_s
                continue
            if not heard.blocks:
                settled()
            heard.blocks.append(event.samples)
            frames += event.frames
            heard.late_s.append(now_s - began_s - frames / RATE_HZ)
            if frames >= seconds * RATE_HZ:
                return heard
    finally:
        capture.stop()
    raise LineTrouble("It opened, but delivered nothing. Unplug it and plug it in again; else take another card.")


def _input(part: str, samples: Pcm) -> Finding:
    mean = float(samples.mean()) / FULL_SCALE
    spread = float(samples.astype(np.float64).std()) / FULL_SCALE
    if spread == 0:
        return bad(part, "dead: all samples are the same", "Is the input chosen and turned on (alsamixer, F4)?")
    dbfs = 20 * float(np.log10(spread))
    reading = f"noise at {dbfs:.0f} dBFS, offset {mean * 100:+.1f} %"
    if abs(mean) > _OFFSET:
        return bad(part, reading, "The coupler must block direct current. Look at its capacitor.")
    if dbfs > LOUD_DBFS:
        return bad(part, reading, "That is far too loud for a line at rest. Is a wire loose, or the gain too high?")
    if dbfs > NOISY_DBFS:
        return look(part, reading, "Noisy. Look for mains hum: linekeep line check names it.")
    return good(part, reading)
