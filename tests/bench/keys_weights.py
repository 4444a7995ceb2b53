"""Where the weights of `appliance.recorder.ear.keys` come from: a logistic discriminant, fitted anew. Prints JSON.

On one side the best step of each key in many conditions, on the other every step of speech that passes the first
look and has a key's length and frequencies. Then the threshold is set above the heaviest step of all that speech.
A quarter of an hour.

    python -m tests.bench.keys_weights
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from appliance.recorder.ear import keys
from appliance.recorder.ear.keys import KeyListener
from appliance.recorder.ear.signals import Pcm
from appliance.terms import RATE_HZ
from tests.simulators import voices
from tests.simulators.key_tones import Sender, any_digits, babble, hum, sampled, white

Rows = NDArray[np.float64]
_PITCHES = (1.0, 0.84, 0.86, 0.88, 0.9, 0.92, 0.94, 0.96, 0.98, 1.02, 1.04, 1.06, 1.08, 1.12, 1.14, 1.16)
_ESPEAK_HOURS = {4: 8, 2026: 7, 5: 5}
"""By seed."""
_KEYS = 400
_MARGIN = 0.53
"""Above the heaviest step of speech. Dearer ones cost keys of 40 ms amid babble."""


class _Collector(KeyListener):
    """Keeps what was measured instead of deciding."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[Rows] = [np.zeros((0, 12))]

    def _lengths(self, looks: keys.Looks) -> list[int]:
        if looks.steps.size:
            pieces, measures, possible = keys.measure(looks)
            ends = self._frames + (looks.steps + 1) * keys.STEP_FRAMES
            rows: Rows = np.column_stack((ends, pieces, measures)).astype(np.float64)
            self.rows.append(rows[possible])
        return [0] * len(looks.steps)


def measured(samples: Pcm) -> Rows:
    """End frame, pieces and measures of each possible step."""
    collector = _Collector()
    for at in range(0, len(samples), 80000):
        collector.hear(samples[at : at + 80000])
    return np.concatenate(collector.rows)


def speech() -> Iterator[Pcm]:
    for speaker in voices.HUMANS:
        for pitch in _PITCHES:
            yield voices.human(speaker, pitch)
    for seed, hours in _ESPEAK_HOURS.items():
        yield from voices.synthetic(hours * 3600, seed)


def pressed(voice: Pcm) -> Iterator[Rows]:
    """For each key its steps, in all conditions."""
    random = np.random.default_rng(4)
    for sender, snr_db, kind in conditions():
        sound, wanted = sender.press(any_digits(_KEYS, random), random)
        power = sender.power / 10 ** (snr_db / 10)
        sound += white(len(sound), power, random) if kind != "babble" else babble(voice, len(sound), power, random)
        if kind == "hum":
            sound += hum(len(sound), 100 * sender.power, random)
        rows = measured(sampled(sound))
        for key in wanted:
            during = (rows[:, 0] > key.first_frame) & (rows[:, 0] < key.end_frame + 100)
            if during.any():
                yield rows[during]


def conditions() -> Iterator[tuple[Sender, float, str]]:
    for snr_db in (0, 3, 6, 20):
        yield Sender(), snr_db, "white"
    for snr_db in (3, 6, 10):
        yield Sender(), snr_db, "babble"
    for twist_db in (-8, 8):
        yield Sender(twist_db=twist_db), 20, "white"
        yield Sender(twist_db=twist_db), 10, "babble"
    for error in (-0.018, 0.018):
        yield Sender(error=error), 6, "white"
    for snr_db in (6, 20):
        yield Sender(level_dbm0=-31), snr_db, "hum"
    yield Sender(level_dbm0=-40), 20, "white"


def fitted(wanted: list[Rows], others: Rows) -> Rows:
    """Weights and bias; which step of a key is its best is asked anew in each round."""
    weights = np.concatenate((keys.WEIGHTS, [0.0]))
    for _ in range(4):
        best = np.array([rows[np.argmax(_with_one(rows) @ weights)] for rows in wanted])
        weights = _discriminant(_with_one(best), _with_one(others))
    return weights


def _with_one(rows: Rows) -> Rows:
    return np.column_stack((rows[:, 2:], np.ones(len(rows))))


def _discriminant(wanted: Rows, others: Rows) -> Rows:
    """Newton's method, with a prior that holds weights small."""
    both = np.concatenate((wanted, others))
    is_key = np.arange(len(both)) < len(wanted)
    weights = np.zeros(both.shape[1])
    for _ in range(15):
        chance = 1 / (1 + np.exp(-np.clip(both @ weights, -30, 30)))
        slope = both.T @ (is_key - chance) - 0.1 * weights
        bend = (both * (chance * (1 - chance))[:, None]).T @ both + 0.1 * np.eye(len(weights))
        weights += np.linalg.solve(bend, slope)
    return weights


def main() -> None:
    hours, parts = 0.0, []
    for voice in speech():
        parts.append(measured(voice))
        hours += len(voice) / RATE_HZ / 3600
    others = np.concatenate(parts)
    wanted = list(pressed(voices.talking(voices.human(voices.HUMANS[0]))))
    weights = fitted(wanted, others)
    weighed = _with_one(others) @ weights
    longest = {str(least): np.sort(weighed[others[:, 1] >= least])[-4:].round(2).tolist() for least in range(6, 15)}
    gain = keys.PIECE_WEIGHT * np.minimum(others[:, 1] - keys.SHORTEST_PIECES, keys.WEIGHED_PIECES)
    heaviest = np.sort(weighed + gain)[-8:]
    print(
        json.dumps(
            {
                "hours_of_speech": round(hours, 2),
                "steps_of_speech": len(others),
                "keys": len(wanted),
                "weights": weights[:-1].round(2).tolist(),
                "heaviest_by_least_pieces": longest,
                "heaviest": heaviest.round(2).tolist(),
                "bias": round(float(weights[-1] - heaviest[-1] - _MARGIN), 2),
            }
        )
    )


if __name__ == "__main__":
    main()
