"""An output into a line that is heard on the same two wires: what is played comes with the next block.

A working stand-in for `playback.Output` and a coupler, in the time of the blocks instead of the clock's, with knobs.
"""

from __future__ import annotations

import numpy as np

from appliance.recorder.device.playback import Outcome
from appliance.recorder.ear.signals import Pcm


class Sound:
    """As playback.Sounding."""

    def __init__(self, samples: Pcm) -> None:
        self.samples = samples
        self.at = 0
        self.outcome = Outcome.PLAYS

    def stop(self) -> None:
        if self.outcome is Outcome.PLAYS:
            self.outcome = Outcome.STOPPED


class TwoWires:
    """
    Args:
        gain: how loud what is played comes back; 0 with a plug pulled out.
        breaks_after: so many frames of a sound are played, then the device is gone; None: it lasts.
    """

    def __init__(self, gain: float = 0.5, breaks_after: int | None = None) -> None:
        self.gain = gain
        self.breaks_after = breaks_after
        self.trouble = ""
        self.played: list[Sound] = []

    def play(self, samples: Pcm) -> Sound:
        self.played.append(Sound(samples))
        return self.played[-1]

    @property
    def sounds(self) -> bool:
        return any(sound.outcome is Outcome.PLAYS for sound in self.played)

    def heard_with(self, block: Pcm) -> Pcm:
        """The next block of the line, with what is played in it."""
        mixed = block.astype(np.float64)
        for sound in self.played:
            if sound.outcome is not Outcome.PLAYS:
                continue
            piece = sound.samples[sound.at : sound.at + block.size]
            mixed[: piece.size] += self.gain * piece
            sound.at += piece.size
            if self.breaks_after is not None and sound.at >= self.breaks_after:
                sound.outcome = Outcome.BROKEN
                self.trouble = "The output is gone."
            elif sound.at == sound.samples.size:
                sound.outcome = Outcome.PLAYED
        return np.clip(np.rint(mixed), -32768, 32767).astype(np.int16)
