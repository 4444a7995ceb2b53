"""What telephone exchanges send, country by country: ringing, call-progress tones, the form of caller ID.

Facts only. Sources, named beside each country by these letters (the documents that have the last word; what was at hand
were lists that cite them, so each figure is to be compared with its document before a line of that country is trusted):

    E  ITU-T E.180 supplement 2, "Various tones used in national networks" (01/94, list renewed 2003)
    R  ITU-T E.180/Q.35 (03/98): limits for all tones, 425 Hz and 950/1400/1800 Hz recommended
    T  ETSI TR 101 041-1/-2 (1997), tones that European networks should move to
    N  ETSI EN 300 001 (national ringing signals), ETSI EN 300 659-1 and -3 (caller ID)
    B  BT SIN 350 (tones), SIN 351 (ringing), SIN 227 (caller ID)
    G  Telcordia GR-506 (tones, ringing), GR-674 (information tones), GR-30 (caller ID)

How exactly a network keeps to them is left to whoever listens: `tones`, `ringing`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from appliance.settings import CountryCode

CallerIdStandard = Literal["v23", "bell202", "dtmf"]
CadencedName = Literal["dial", "ringback", "busy", "congestion"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tone:
    """A call-progress tone.

    frequencies_hz: all of them sound together.
    cadence_s: seconds on, off, on, off ..., then from the beginning; empty if the tone is continuous.
    modulation_hz: the tone's loudness swings at this rate (written 400*25 in E); None if it does not.
    """

    name: CadencedName
    frequencies_hz: tuple[float, ...]
    cadence_s: tuple[float, ...] = ()
    modulation_hz: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InformationTone:
    """Three rising notes, one after the other, before an announcement that a call cannot be made.

    notes_s: how long each note is; gap_s: between two of them; pause_s: before they begin again.
    """

    notes_hz: tuple[float, float, float]
    notes_s: tuple[float, float, float] = (0.33, 0.33, 0.33)
    gap_s: float = 0.0
    pause_s: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ringing:
    """The ringing voltage.

    frequencies_hz: the usual one first.
    cadences_s: seconds on, off, ..., then from the beginning; the usual one first.
    """

    frequencies_hz: tuple[float, ...]
    cadences_s: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Country:
    """caller_id: the usual form first. mains_hz: of the hum that lines pick up."""

    code: CountryCode
    caller_id: tuple[CallerIdStandard, ...]
    mains_hz: float
    ringing: Ringing
    tones: tuple[Tone, ...]
    information_tones: tuple[InformationTone, ...]


def _harmonised(hz: float) -> tuple[Tone, ...]:
    """T: what all European networks should send, at their own frequency or at 425 Hz."""
    return (
        Tone(name="dial", frequencies_hz=(hz,)),
        Tone(name="ringback", frequencies_hz=(hz,), cadence_s=(1.0, 4.0)),
        Tone(name="busy", frequencies_hz=(hz,), cadence_s=(0.5, 0.5)),
        Tone(name="congestion", frequencies_hz=(hz,), cadence_s=(0.2, 0.2)),
    )


_USUAL_NOTES = InformationTone(notes_hz=(950, 1400, 1800))
"""R: each within 50 Hz."""

_GERMANY = Country(
    code="de",
    caller_id=("v23",),  # N, national annex; 1300/2100 Hz between first and second ring
    mains_hz=50,
    ringing=Ringing(
        frequencies_hz=(25, 50),  # N: 25 Hz from exchanges, 50 Hz from older private ones
        cadences_s=((1.0, 4.0), (0.25, 4.0, 1.0, 4.0, 1.0, 4.0)),  # E, as for ringback
    ),
    tones=(
        *_harmonised(425),  # E, "II" where there are two
        Tone(name="dial", frequencies_hz=(425, 400)),  # E, special dial tone
        Tone(name="busy", frequencies_hz=(425,), cadence_s=(0.48, 0.48)),  # E, busy I
        Tone(name="congestion", frequencies_hz=(425,), cadence_s=(0.24, 0.24)),  # E, congestion I
    ),
    information_tones=(_USUAL_NOTES, InformationTone(notes_hz=(900, 1400, 1800))),  # E, II and I
)

_AUSTRIA = Country(
    code="at",
    caller_id=("v23",),  # N
    mains_hz=50,
    ringing=Ringing(frequencies_hz=(50, 25), cadences_s=((1.0, 5.0),)),  # N; E
    tones=(
        Tone(name="dial", frequencies_hz=(420,)),  # E, this and the next three
        Tone(name="ringback", frequencies_hz=(420,), cadence_s=(1.0, 5.0)),
        Tone(name="busy", frequencies_hz=(420,), cadence_s=(0.4, 0.4)),
        Tone(name="congestion", frequencies_hz=(420,), cadence_s=(0.2, 0.2)),
        Tone(name="dial", frequencies_hz=(380, 420)),  # E, special dial tone
        Tone(name="dial", frequencies_hz=(450,)),  # not in E: what adapters sold for Austria send
        Tone(name="ringback", frequencies_hz=(450,), cadence_s=(1.0, 5.0)),
        Tone(name="busy", frequencies_hz=(450,), cadence_s=(0.3, 0.3)),
    ),
    information_tones=(InformationTone(notes_hz=(950, 1450, 1850)), _USUAL_NOTES),  # E; R
)

_SWITZERLAND = Country(
    code="ch",
    caller_id=("v23",),  # N
    mains_hz=50,
    ringing=Ringing(frequencies_hz=(25, 50), cadences_s=((1.0, 4.0),)),  # N
    tones=(
        *_harmonised(425),  # E
        Tone(name="dial", frequencies_hz=(425, 340), cadence_s=(1.1, 1.1)),  # E, special dial tone
    ),
    information_tones=(_USUAL_NOTES,),  # E
)

_FRANCE = Country(
    code="fr",
    caller_id=("v23",),  # N
    mains_hz=50,
    ringing=Ringing(frequencies_hz=(50, 25), cadences_s=((1.5, 3.5),)),  # N
    tones=(
        Tone(name="dial", frequencies_hz=(440,)),  # E, this and the next three
        Tone(name="dial", frequencies_hz=(330, 440)),
        Tone(name="ringback", frequencies_hz=(440,), cadence_s=(1.5, 3.5)),
        Tone(name="busy", frequencies_hz=(440,), cadence_s=(0.5, 0.5)),
        Tone(name="congestion", frequencies_hz=(440,), cadence_s=(0.25, 0.25)),  # not in E; private exchanges
        *_harmonised(425),
        Tone(name="ringback", frequencies_hz=(425,), cadence_s=(1.5, 3.5)),
    ),
    information_tones=(InformationTone(notes_hz=(950, 1400, 1800), notes_s=(0.3, 0.3, 0.3), gap_s=0.03), _USUAL_NOTES),
)

_NETHERLANDS = Country(
    code="nl",
    caller_id=("dtmf", "v23"),  # N: DTMF before the first ring from the old network, V.23 from newer ones
    mains_hz=50,
    ringing=Ringing(frequencies_hz=(25, 50), cadences_s=((1.0, 4.0),)),  # N
    tones=(
        *_harmonised(425),  # E
        Tone(name="congestion", frequencies_hz=(425,), cadence_s=(0.25, 0.25)),  # E
        *_harmonised(450),  # E: 450 Hz where 425 Hz is not yet sent
        Tone(name="congestion", frequencies_hz=(450,), cadence_s=(0.25, 0.25)),
    ),
    information_tones=(_USUAL_NOTES,),  # E
)

_UNITED_KINGDOM = Country(
    code="uk",
    caller_id=("v23",),  # B: SIN 227, before the first ring
    mains_hz=50,
    ringing=Ringing(frequencies_hz=(25, 20), cadences_s=((0.4, 0.2, 0.4, 2.0),)),  # B: SIN 351
    tones=(
        Tone(name="dial", frequencies_hz=(350, 440)),  # B: SIN 350, this and the next three
        Tone(name="ringback", frequencies_hz=(400, 450), cadence_s=(0.4, 0.2, 0.4, 2.0)),
        Tone(name="busy", frequencies_hz=(400,), cadence_s=(0.375, 0.375)),
        # The second burst is 6 dB louder than the first.
        Tone(name="congestion", frequencies_hz=(400,), cadence_s=(0.4, 0.35, 0.225, 0.525)),
        Tone(name="ringback", frequencies_hz=(400,), cadence_s=(0.4, 0.2, 0.4, 2.0), modulation_hz=25),  # E: 400*25
        Tone(name="busy", frequencies_hz=(400,), cadence_s=(0.75, 0.75)),  # E, older exchanges
    ),
    information_tones=(InformationTone(notes_hz=(950, 1400, 1800), gap_s=0.015), _USUAL_NOTES),  # B; R
)

_UNITED_STATES = Country(
    code="us",
    caller_id=("bell202",),  # G: GR-30, between first and second ring
    mains_hz=60,
    ringing=Ringing(frequencies_hz=(20, 25), cadences_s=((2.0, 4.0),)),  # G: GR-506
    tones=(
        Tone(name="dial", frequencies_hz=(350, 440)),  # E; G: GR-506, this and the next three
        Tone(name="ringback", frequencies_hz=(440, 480), cadence_s=(2.0, 4.0)),
        Tone(name="busy", frequencies_hz=(480, 620), cadence_s=(0.5, 0.5)),
        Tone(name="congestion", frequencies_hz=(480, 620), cadence_s=(0.25, 0.25)),
    ),
    information_tones=(
        _USUAL_NOTES,
        # G: GR-674; four meanings, told apart by notes of two pitches and two lengths.
        InformationTone(notes_hz=(985.2, 1428.5, 1776.7), notes_s=(0.38, 0.38, 0.38)),
        InformationTone(notes_hz=(913.8, 1370.6, 1776.7), notes_s=(0.274, 0.274, 0.38)),
        InformationTone(notes_hz=(985.2, 1370.6, 1776.7), notes_s=(0.38, 0.274, 0.38)),
        InformationTone(notes_hz=(913.8, 1428.5, 1776.7), notes_s=(0.274, 0.38, 0.38)),
    ),
)

COUNTRIES: dict[CountryCode, Country] = {
    country.code: country
    for country in (_GERMANY, _AUSTRIA, _SWITZERLAND, _FRANCE, _NETHERLANDS, _UNITED_KINGDOM, _UNITED_STATES)
}
