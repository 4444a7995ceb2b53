"""Who calls, as the exchange tells it before the call is taken: by two tones that take turns, or by DTMF keys.

Pure. Blocks of int16 go in, one `CallerId` comes out for each message that is whole and whose checksum is right. A
wrong number is worse than none: what is damaged is never told.

Tones (EN 300 659-1 with V.23, GR-30-CORE with Bell 202) are read in `fsk`. Their messages are of two kinds:

    MDMF, 0x80: parameters, each a type, a length and so many bytes (EN 300 659-3, clause 5)
        0x01 time, MMDDHHMM       0x02 number     0x04 why there is no number: P withheld, O unavailable
        0x07 name                 0x08 why there is no name, the same letters
        0x11 type of call: 0x81 tells of a waiting message and of no caller
    SDMF, 0x04: the time in eight digits, then the number, or one of these letters (GR-30-CORE)

Keys (EN 300 659-1, the annex on DTMF) are detected elsewhere and told here one by one. A, B or D begins a part, C or #
ends them all: A the caller's number; D the number of who diverted the call, or, where A is not used, the caller's; B 00
unavailable, B 10 withheld. Denmark says D 1 # for withheld, D 2 # and D 3 # for unavailable.

All of this comes from outside, and the caller himself chooses the name. During a call either side can sing such a
message into the line: to believe only what comes before the call is taken is left to the line's state.
"""

from __future__ import annotations

import string
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from appliance.recorder.ear.fsk import FskMessage, FskReceiver
from appliance.recorder.ear.signals import Pcm
from appliance.terms import RATE_HZ

Standard = Literal["v23", "bell202", "dtmf"]

STANDARDS = frozenset({"v23", "bell202", "dtmf"})

MAX_NAME_CHARACTERS = 50
"""As EN 300 659-3 limits it."""

_MAX_NUMBER_DIGITS = 32
"""EN 300 659-3 has 20; some exchanges send more, and a number is never cut."""

_TONES_HZ: tuple[tuple[Literal["v23", "bell202"], float, float], ...] = (
    ("v23", 1300.0, 2100.0),
    ("v23", 1400.0, 1950.0),
    ("bell202", 1200.0, 2200.0),
)
"""Mark and space. The second pair has been measured on a German exchange."""

_SDMF = 0x04
_TIME, _NUMBER, _NO_NUMBER, _NAME, _CALL_TYPE = 0x01, 0x02, 0x04, 0x07, 0x11
_MESSAGE_WAITING = 0x81
_WITHHELD = b"P"

_NUMBER_BYTES = frozenset(b"0123456789*#")
_TIME_DIGITS = 8

_FIRST_KEYS = "ABD"
_LAST_KEYS = "C#"
_MAX_KEYS = 64
_KEY_GAP_FRAMES = RATE_HZ
"""Keys of one message follow each other within 140 ms; after a second a new one begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerId:
    """One message of the exchange. The name is text from outside: printable, and true of nothing.

    at_frame: its end.
    number: digits, * and #, as telephone adapters send it perhaps after a +; empty if withheld or unavailable.
    sent_at: MMDDHHMM by the exchange's clock, or empty.
    """

    at_frame: int
    number: str
    name: str
    withheld: bool
    unavailable: bool
    standard: Standard
    sent_at: str


class CallerIdListener:
    """Hears the callers of one line. Feed it every block in order; blocks of any length are welcome."""

    def __init__(self, standards: frozenset[str]) -> None:
        if not standards <= STANDARDS:
            raise ValueError(f"no such caller ID standard: {', '.join(sorted(standards - STANDARDS))}")
        self._standards = standards
        self._receiver = FskReceiver() if standards & {"v23", "bell202"} else None
        self._keys = ""
        self._last_key_frame = 0

    def collects(self, at_frame: int) -> bool:
        """The keys before this frame are the beginning of a caller ID, and the next one may belong to it."""
        return bool(self._keys) and at_frame - self._last_key_frame <= _KEY_GAP_FRAMES

    def hear(self, samples: Pcm, *, listens: bool = True) -> list[CallerId]:
        """Take in the next samples of the line; a caller is told 0.5 s of audio after the message at the latest.

        Args:
            listens: False where no modem can sound.
        """
        if self._receiver is None:
            return []
        told = (caller_of(message) for message in self._receiver.hear(samples, listens=listens))
        return [caller for caller in told if caller is not None and caller.standard in self._standards]

    @property
    def receiving(self) -> bool:
        """A modem sounds now, and it is no speech: true from its first 60 ms on, long before it has told anything."""
        return self._receiver is not None and self._receiver.receiving

    def hear_key(self, digit: str, at_frame: int) -> CallerId | None:
        """Take in the next DTMF key of the line, and where it was heard."""
        if "dtmf" not in self._standards:
            return None
        late = at_frame - self._last_key_frame > _KEY_GAP_FRAMES
        self._last_key_frame = at_frame
        if late or len(self._keys) >= _MAX_KEYS:
            self._keys = ""
        if not self._keys and digit not in _FIRST_KEYS:
            return None
        if digit not in _LAST_KEYS:
            self._keys += digit
            return None
        keys, self._keys = self._keys, ""
        return _told_by_keys(keys, digit, at_frame)


def caller_of(message: FskMessage) -> CallerId | None:
    """Whom a message tells of; None if it tells of no caller, or is not what its standard defines."""
    parameters = _sdmf(message.content) if message.kind == _SDMF else _mdmf(message.content)
    if parameters is None or parameters.get(_CALL_TYPE) == bytes([_MESSAGE_WAITING]):
        return None
    number = _number(parameters.get(_NUMBER, b""))
    withheld = parameters.get(_NO_NUMBER) == _WITHHELD
    return CallerId(
        at_frame=message.end_frame,
        # Who withholds his number is not told, even if the exchange sends it too.
        number="" if withheld else number,
        name=_name(parameters.get(_NAME, b"")),
        withheld=withheld,
        unavailable=not withheld and not number,
        standard=_standard(message.mark_hz, message.space_hz),
        sent_at=_time(parameters.get(_TIME, b"")),
    )


def _mdmf(content: bytes) -> dict[int, bytes] | None:
    """The parameters, of each type the first; None if they do not fill the message exactly."""
    parameters: dict[int, bytes] = {}
    place = 0
    while place + 2 <= len(content):
        kind, length = content[place], content[place + 1]
        place += 2 + length
        parameters.setdefault(kind, content[place - length : place])
    return parameters if parameters and place == len(content) else None


def _sdmf(content: bytes) -> dict[int, bytes] | None:
    sent_at, number = content[:_TIME_DIGITS], content[_TIME_DIGITS:]
    if not _time(sent_at):
        return None
    return {_TIME: sent_at, (_NO_NUMBER if number in {b"P", b"O"} else _NUMBER): number}


def _number(untrusted_number: bytes) -> str:
    if len(untrusted_number) > _MAX_NUMBER_DIGITS or not _NUMBER_BYTES.issuperset(untrusted_number.removeprefix(b"+")):
        return ""
    return untrusted_number.decode("ascii") if untrusted_number != b"+" else ""


def _name(untrusted_name: bytes) -> str:
    """ISO 8859-1 (EN 300 659-3, clause 4). What cannot be shown is left out, so no name moves a cursor."""
    shown = (character for character in untrusted_name.decode("latin-1") if character.isprintable())
    return "".join(shown).strip()[:MAX_NAME_CHARACTERS].rstrip()


def _time(untrusted_time: bytes) -> str:
    if len(untrusted_time) != _TIME_DIGITS or not untrusted_time.isdigit():
        return ""
    month, day, hour, minute = (int(untrusted_time[place : place + 2]) for place in range(0, _TIME_DIGITS, 2))
    right = 1 <= month <= 12 and 1 <= day <= 31 and hour <= 23 and minute <= 59
    return untrusted_time.decode("ascii") if right else ""


def _standard(mark_hz: float, space_hz: float) -> Literal["v23", "bell202"]:
    return min(_TONES_HZ, key=lambda tones: abs(mark_hz - tones[1]) + abs(space_hz - tones[2]))[0]


def _told_by_keys(keys: str, end: str, at_frame: int) -> CallerId | None:
    parts = dict(_parts(keys))
    number = parts.get("A", parts.get("D", ""))
    codes = {"00": "unavailable", "10": "withheld"}
    absence = codes.get(parts.get("B", ""), "")
    if end == "#" and keys.startswith("D") and len(keys) == 2:
        absence = {"1": "withheld", "2": "unavailable", "3": "unavailable"}.get(number, "")
        number = ""
    if not number and not absence:
        return None
    return CallerId(
        at_frame=at_frame,
        number="" if absence else number,
        name="",
        withheld=absence == "withheld",
        unavailable=absence == "unavailable",
        standard="dtmf",
        sent_at="",
    )


def _parts(keys: str) -> Iterator[tuple[str, str]]:
    """Each part's letter and its digits."""
    begins = [place for place, key in enumerate(keys) if key in _FIRST_KEYS]
    for begin, end in zip(begins, [*begins[1:], len(keys)], strict=True):
        digits = keys[begin + 1 : end]
        if len(digits) <= _MAX_NUMBER_DIGITS and set(digits) <= set(string.digits + "*"):
            yield keys[begin], digits
