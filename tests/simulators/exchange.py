"""What an exchange does for a telephone, as its country does it: ring, show who calls, send tones, take keys.

Promises: every sound keeps to `appliance.recorder.ear.countries`; what was sent is remembered, to compare with what is
heard. Leaves to others: when somebody answers, talks or hangs up.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from appliance.recorder.ear.countries import Tone
from appliance.terms import RATE_HZ
from tests.simulators import line_tones
from tests.simulators.caller_id_tones import BELL_202, FIELD_V23, V23, Caller, call_setup, fsk, sdmf
from tests.simulators.key_tones import Sender
from tests.simulators.line_tones import Sound, sines
from tests.simulators.plant import Tape

Span = tuple[float, float]
"""Seconds: the earliest and the latest."""

SPECIAL_CODES = ("*31", "*67", "*21", "*82")
"""Withhold my number, divert my calls, and the like: they are dialled before a number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownCaller:
    end_s: float
    number: str | None
    withheld: bool
    standard: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """number: as it was shown. cut: the last burst is shorter than it should be."""

    span_s: Span
    number: str | None
    cut: bool
    story: str


class Exchange:
    """Everything is put on the tape."""

    def __init__(self, tape: Tape) -> None:
        self._tape = tape
        self._plant = tape.plant
        self._country = tape.plant.country
        self.rings: list[Span] = []
        self.callers: list[ShownCaller] = []
        self.keys: list[tuple[float, str]] = []

    def ring(self, *, answered: bool) -> Rung:
        """Until somebody lifts, in a burst or in the pause after it, or until the caller gives up."""
        tape = self._tape
        standard = tape.one_of(self._country.caller_id)
        shown = tape.one_of(("number", "withheld", "unavailable", "nothing"), (0.7, 0.1, 0.05, 0.15))
        number = self.any_number(5, 14) if shown == "number" else None
        # SIN 227, and DTMF: before the first ring.
        shows_first = standard == "dtmf" or self._country.code == "uk"
        if shown != "nothing" and shows_first:
            self._show(number, shown, standard)
            tape.wait(tape.any(0.2, 1.0))
        lengths, cut = self._any_bursts(answered, may_be_one=shown == "nothing" or shows_first)
        first_s = tape.now_s
        for index in range(0, len(lengths), 2):
            self._burst(lengths[index])
            burst_end = tape.at
            if index == 0 and shown != "nothing" and not shows_first:
                tape.wait(tape.any(0.5, 1.0))
                self._show(number, shown, standard)
            if index + 2 < len(lengths):
                tape.at = burst_end + round(lengths[index + 1] * RATE_HZ)
        end_s = self.rings[-1][1]
        if answered and not cut:
            tape.wait(tape.any(0.15, max(0.3, lengths[-1] - (tape.now_s - end_s) - 0.2)))
        how = "the last one cut" if cut else "answered in the pause" if answered else "whole"
        story = f"{first_s:.1f} caller ID {shown} {standard}, {len(lengths) // 2} bursts, {how}"
        return Rung(span_s=(first_s, end_s), number=number, cut=cut, story=story)

    def _any_bursts(self, answered: bool, may_be_one: bool) -> tuple[list[float], bool]:
        """Seconds on, off, on, off; and whether the last burst is cut."""
        tape, ringing = self._tape, self._country.ringing
        cadence = ringing.cadences_s[0] if tape.chance(0.85) else ringing.cadences_s[-1]
        rounds = int(tape.random.integers(1, 6))
        # In the United Kingdom a ring is two bursts, and nobody stops between them.
        doubled = min(cadence[1::2]) < 1
        lengths = np.resize(cadence, rounds * len(cadence) if doubled else 2 * rounds).tolist()
        cut = lengths[-2] > 0.7 and (rounds > 1 or may_be_one) and tape.chance(0.4 if answered else 0.25)
        if cut:
            lengths[-2] = tape.any(0.4, lengths[-2] - 0.3)
        return lengths, cut

    def _burst(self, seconds: float) -> None:
        plant = self._plant
        self.rings.append((self._tape.now_s, self._tape.now_s + seconds))
        clipped, high_pass_hz = plant.ring_clipped, plant.ring_high_pass_hz
        self._tape.play(
            line_tones.ringing(plant.ring_hz, (), seconds, plant.ring_dbfs, clipped=clipped, high_pass_hz=high_pass_hz)
        )

    def _show(self, number: str | None, shown: str, standard: str) -> None:
        if standard == "dtmf":
            self._tape.play(self._caller_in_keys(number, shown))
        else:
            if self._country.code == "uk":
                # SIN 227: the line is reversed, then 2130 Hz and 2750 Hz for 100 ms tell of what comes.
                self._tape.click()
                self._tape.wait(self._tape.any(0.1, 0.3))
                self._tape.play(sines((2130, 2750), 0.1, self._plant.caller_id_dbm0 - 6))
                self._tape.wait(self._tape.any(0.05, 0.2))
            self._tape.play(self._caller_in_tones(number, shown, standard))
        self.callers.append(
            ShownCaller(end_s=self._tape.now_s, number=number, withheld=shown == "withheld", standard=standard)
        )

    def _caller_in_keys(self, number: str | None, shown: str) -> Sound:
        """EN 300 659-1, the annex on DTMF."""
        keys = f"D{number}C" if number else "B10C" if shown == "withheld" else "B00C"
        level = max(self._plant.caller_id_dbm0, self._plant.idle_dbfs + 12)
        return Sender(tone_ms=70, pause_ms=70, level_dbm0=level).press(keys, self._tape.random)[0] / 32768

    def _caller_in_tones(self, number: str | None, shown: str, standard: str) -> Sound:
        tape = self._tape
        absent = {"withheld": b"P", "unavailable": b"O"}.get(shown, b"")
        name = b"Holm Joinery" if number and tape.chance(0.3) else b""
        absent_name = b"P" if shown == "withheld" and tape.chance(0.5) else b""
        told = (number or "").encode()
        message = call_setup(Caller(number=told, absent_number=absent, name=name, absent_name=absent_name))
        if standard == "bell202" and tape.chance(0.4):
            message = sdmf(b"11281504", told or absent)
        modem = BELL_202 if standard == "bell202" else FIELD_V23 if tape.chance(0.1) else V23
        return fsk(message, replace(modem, level_dbm0=self._plant.caller_id_dbm0)) / 32768

    def any_number(self, least: int, most: int) -> str:
        return "".join(
            str(digit) for digit in self._tape.random.integers(0, 10, self._tape.random.integers(least, most + 1))
        )

    def dial(self) -> str:
        """Dial tone, and keys at a human's pace: the digits. Then the exchange searches for its way."""
        tape = self._tape
        self.tone("dial", tape.any(0.7, 3))
        # The exchange takes its tone away when it has understood the first key.
        tape.wait(-tape.any(0.03, 0.07))
        number = self.any_number(3, 15)
        if tape.chance(0.12):
            number = f"{tape.one_of(SPECIAL_CODES)}{number}"[:15]
        self.press(number, self._plant.own_dbfs + tape.any(-6, 4), length_s=(0.09, 0.35), pause_s=(0.08, 0.7))
        tape.wait(tape.any(0.5, 4))
        return number

    def press(self, digits: str, dbfs: float, *, length_s: Span, pause_s: Span) -> int:
        """Each key as long as a finger stays on it: the frame at which the last one ends."""
        tape = self._tape
        ends = tape.at
        level = min(max(dbfs, self._plant.noise_dbfs + 8) + 3, -4)
        twist_db = tape.any(0, 4)
        for digit in digits:
            sender = Sender(tone_ms=1000 * tape.any(*length_s), level_dbm0=level, twist_db=twist_db)
            self.keys.append((tape.now_s, digit))
            tape.play(sender.key(digit, tape.random) / 32768)
            ends = tape.at
            tape.wait(tape.any(*pause_s))
        return ends

    def tone(self, name: str, seconds: float) -> str:
        """One of the country's tones of that name, from its beginning on: which one."""
        tone = self._any_tone(name)
        self._tape.play(_audible(line_tones.tone(tone, seconds, self._plant.tone_dbfs)))
        return f"{name} {'+'.join(f'{hz:g}' for hz in tone.frequencies_hz)}"

    def ringback(self, bursts: int) -> int:
        """So many, the last one cut or the pause after it: the frame at which the last one ends."""
        if not bursts:
            return self._tape.at
        tone = self._any_tone("ringback")
        seconds = max(sum(tone.cadence_s) * (bursts - self._tape.any(0, 0.95)), 0.3)
        sound = line_tones.tone(tone, seconds, self._plant.tone_dbfs)
        heard = self._tape.at + len(_audible(sound))
        self._tape.play(sound)
        return heard

    def information_tone(self) -> None:
        tone = self._tape.one_of(self._country.information_tones)
        times = int(self._tape.random.integers(1, 4))
        self._tape.play(_audible(line_tones.information_tone(tone, self._plant.tone_dbfs, times=times)))

    def _any_tone(self, name: str) -> Tone:
        return self._tape.one_of([tone for tone in self._country.tones if tone.name == name])


def _audible(sound: Sound) -> Sound:
    """Without the pause at its end."""
    return sound[: np.flatnonzero(sound)[-1] + 1]
