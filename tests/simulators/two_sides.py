"""A line whose sides are apart, as a tap hears them: each comes through on the other, and has noise of its own.

Sounds are float64 in sample values, as in key_tones.
"""

from __future__ import annotations

import numpy as np

from appliance.recorder.ear.signals import Pcm
from tests.simulators.key_tones import Sound, amplitude, sampled

NOISE_DBM0 = -60.0


def tapped(near: Sound, far: Sound, *, leak_db: float = -10.0, turned: bool = True, seed: int = 1) -> Pcm:
    """What the two channels carry: int16, shape (frames, 2).

    Args:
        near, far: what each side sends; the shorter one is followed by silence.
        leak_db: how much of either comes through on the other one.
        turned: with its sign turned.
    """
    frames = max(len(near), len(far))
    sent = np.stack([np.concatenate((side, np.zeros(frames - len(side)))) for side in (near, far)], axis=1)
    leaked = (-1 if turned else 1) * sent[:, ::-1] * 10 ** (leak_db / 20)
    return sampled(sent + leaked + np.random.default_rng(seed).normal(0, amplitude(NOISE_DBM0), sent.shape))
