"""One line followed: what is heard in it, what that means for a call, and who is at the other end.

Pure, and the same for a live line and for a file: nothing about a call is decided anywhere else. What becomes of the
audio is left to others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from appliance.recorder.countries import Country
from appliance.recorder.line_ear import LineEar, LineSound, hung_up_in
from appliance.recorder.line_state import CallBegins, CallEnds, Happening, LineRules, LineState, Observed
from appliance.recorder.party import Party, PartyFinder
from appliance.recorder.signals import Pcm, Signals
from appliance.recordings.container import EndReason
from appliance.terms import RATE_HZ

_CERTAIN_WITHIN_FRAMES = 2 * RATE_HZ


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """One block. level_dbfs: its loudest 20 ms.  sounds: of the exchange, and keys."""

    level_dbfs: float
    sounds: Sequence[LineSound]
    happenings: Sequence[Happening]


class LineWatch:
    """One line, from one opening of its device to its loss.

    Args:
        signals: the line's ear for speech, which outlasts the device.
    """

    def __init__(self, signals: Signals, rules: LineRules, country: Country) -> None:
        self._signals = signals
        self._country = country
        self._ear = LineEar(country)
        self._state = LineState(rules)
        self._finder = PartyFinder()

    @property
    def party(self) -> Party:
        """Who is at the other end of the running call, as far as it is known by now."""
        return self._finder.party

    def hear(self, first_frame: int, samples: Pcm) -> Watched:
        """Take in the next block; after a hole `lose` comes before it."""
        heard = self._signals.hear(samples)
        sounds = self._ear.hear(samples)
        self._finder.hear(sounds)
        # A tone of the exchange begins no call; in one it may be what keeps it alive until somebody answers.
        speech = heard.speech and (self._state.in_call or not self._ear.exchange_sounds)
        seen = Observed(first_frame=first_frame, frames=samples.size, speech=speech, hung_up_frame=hung_up_in(sounds))
        happenings = self._state.observe(seen)
        if any(isinstance(happening, CallBegins) and not happening.goes_on for happening in happenings):
            self._finder.begin(first_frame)
        return Watched(level_dbfs=heard.level_dbfs, sounds=sounds, happenings=happenings)

    def hear_out(self) -> list[LineSound]:
        """Nothing more comes: what was heard last, and would have become certain a little later."""
        sounds = self._ear.hear(np.zeros(_CERTAIN_WITHIN_FRAMES, np.int16))
        self._finder.hear(sounds)
        return sounds

    def lose(self, first_frame: int, frames: int) -> list[Happening]:
        """Nobody has the audio of these frames."""
        self._ear = LineEar(self._country, from_frame=first_frame + frames)
        return self._state.lose(first_frame, frames)

    def break_off(self, at_frame: int, why: EndReason) -> list[Happening]:
        """Nothing can be heard from this frame on."""
        return self._state.break_off(at_frame, why)

    def forget(self, ended: CallEnds) -> None:
        """All that was to be said of this call has been said: who it was with belongs to no later one."""
        if ended.why is not EndReason.LONGEST:
            self._finder.forget()
