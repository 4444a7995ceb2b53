"""A recorder that keeps what it must not, for a test that must notice it: the product's own, with two mistakes.

Audio that waits for its consent lies in a file, "to save memory"; and a refusal is understood as a consent.
"""

from __future__ import annotations

import sys
import tempfile

import numpy as np

from appliance import cli
from appliance.recorder.line.consent import ConsentGate, Granted
from appliance.recorder.pre_roll import PreRoll
from appliance.terms import ConsentBy


def main() -> int:
    begin = PreRoll.__init__

    def begin_in_a_file(self: PreRoll, keep_frames: int, channels: int = 1) -> None:
        begin(self, keep_frames, channels)
        with tempfile.NamedTemporaryFile(prefix="pre-roll-", delete=False) as file:
            self._kept = np.memmap(file, np.int16, "w+", shape=self._kept.shape)

    def grant_instead(self: ConsentGate, at_frame: int, why: object) -> Granted | None:
        return self._grant(at_frame, ConsentBy.DUTY)

    PreRoll.__init__ = begin_in_a_file  # type: ignore[method-assign]
    ConsentGate._refuse = grant_instead  # type: ignore[method-assign,assignment]
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
