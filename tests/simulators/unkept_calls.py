"""Calls of every kind that must not be recorded, side by side on the channels of one card, and calls that are kept.

One of them comes on a line whose sides are apart.

Promises: a mark is said on every channel every quarter of a second while the call lasts: 16 samples that no chance
makes, then the channel, then which of the marks it is. They are said at the same frames everywhere, so that blocks in
which the channels lie one sample beside the other can be searched as well. Between them lie speech, and the keys.
Leaves to others: playing it (line), and looking for the marks (tests.system.hunt).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

from appliance.recorder.ear.signals import Pcm
from appliance.sound_file import write_wav
from appliance.terms import RATE_HZ, NotKept
from tests.simulators.caller_id_tones import V23, Caller, call_setup, fsk
from tests.simulators.line_tones import Sound, as_pcm, ringing, silence, sines, white
from tests.simulators.talk import voice

GROUND = "A test with synthesised audio; nobody's call is recorded."
MAGIC: Pcm = np.random.default_rng(4).integers(-3000, 3000, 16).astype(np.int16)
"""What each mark begins with."""
MARK_FRAMES = MAGIC.size + 2
MARK_EVERY_FRAMES = RATE_HZ // 4
_PLACE = 1000
"""Added to both numbers of a mark, so that they are no rarer than other samples."""

RINGS_AT_S, TOLD_AT_S, ANSWERED_AT_S, WITHIN_S = 1.5, 3.0, 5.0, 5.0
_KEY_AFTER_MARK_S = 0.06
_KEY_S = 0.12
_KEY_DBFS, _LEAKED_DBFS = -15.0, -25.0
_FAX_S = 2.8
_KEY_HZ = {"1": (697, 1209), "2": (697, 1336), "*": (941, 1209), "7": (852, 1209), "4": (770, 1209)}
_NUMBER = "030231250"
"""And two digits more: Berlin's numbers for films."""

Say = Callable[[float, Sound], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A call, and the line on which it comes.

    why: what the box should say of it; None: it is kept. Empty: the line is not even followed.
    line: its settings, as in the file; without `consent` it is opt_in.
    keys: pressed so many seconds after the answer.
    late: what only the first of several passes has, as whoever restarts in the middle cannot know what came before.
    two_sided: keys are the own side's; on the other side's channel, the last one, they leak in. The marks are on both.
    """

    name: str
    why: NotKept | str | None
    line: Mapping[str, object] = field(default_factory=dict)
    keys: Sequence[tuple[float, str]] = ()
    late: Sequence[tuple[float, str]] = ()
    announced: float = 0.0
    fax_s: float | None = None
    shows: bool = True
    two_sided: bool = False


_YES = ((1.5, "1"),)

KINDS = (
    Kind(name="refused", why=NotKept.REFUSED, keys=((3.5, "2"),), late=((8.0, "1"),)),
    Kind(name="nobody-answers-the-question", why=NotKept.TIMED_OUT, late=((8.0, "1"),)),
    Kind(name="hung-up", why=NotKept.REFUSED, line={"consent_within_s": 60}),
    Kind(name="listed", why=NotKept.NUMBER_LISTED, line={"never_numbers": [f"{_NUMBER}*"]}, late=_YES),
    Kind(name="withheld", why=NotKept.NUMBER_LISTED, line={"never_numbers": ["withheld"]}, late=_YES, shows=False),
    Kind(
        name="half-announced",
        why=NotKept.HALF_HEARD,
        line={"consent": "announced", "announcement": True, "consent_within_s": 6},
        announced=0.7,
    ),
    Kind(name="private-hours", why=NotKept.PRIVATE, line={"private": ["mo-su"]}, late=_YES),
    Kind(name="fax", why=NotKept.FAX, late=_YES, fax_s=5.5),
    Kind(name="forgotten", why=NotKept.FORGOTTEN, keys=(*_YES, (6.5, "*"), (7.0, "7"), (7.5, "4"))),
    Kind(name="without-ground", why="", line={"ground": ""}, keys=_YES),
    Kind(name="never", why="", line={"consent": "never"}, keys=_YES),
    Kind(name="kept-by-key", why=None, keys=_YES),
    Kind(
        name="kept-by-announcement",
        why=None,
        line={"consent": "announced", "announcement": True, "consent_within_s": 20},
        announced=1.0,
    ),
    Kind(name="kept-by-duty", why=None, line={"consent": "duty"}),
    Kind(
        name="own-side-presses",
        why=NotKept.TIMED_OUT,
        line={"near_channel": 14, "far_channel": 15},
        keys=_YES,
        two_sided=True,
    ),
)
CHANNELS = len(KINDS) + 1
"""Of the card, which is all that one may have."""
KEPT = frozenset(kind.name for kind in KINDS if kind.why is None)
FORGOTTEN = "forgotten"


def number_of(channel: int) -> str:
    return f"{_NUMBER}{channel + 11}"


def mark(channel: int, index: int) -> Pcm:
    return np.concatenate((MAGIC, np.array([_PLACE + channel, _PLACE + index], np.int16)))


def place_of(numbers: Pcm) -> tuple[int, int] | None:
    """Channel and index of a mark, from the two samples behind its beginning; None if they are none."""
    channel, index = (int(number) - _PLACE for number in numbers)
    return (channel, index) if 0 <= channel < len(KINDS) and 0 <= index < 1000 else None


def marked_at_frame(index: int) -> int:
    """The first frame of the mark with this index, the first of all being said at the answer."""
    return round(ANSWERED_AT_S * RATE_HZ) + index * MARK_EVERY_FRAMES


def write_calls(folder: Path, *, talk_s: float, first_pass: bool) -> tuple[Path, Path]:
    """The audio of all channels as WAV, and their lines as JSON.

    Args:
        talk_s: how long the calls last from their answer on.
        first_pass: with the keys that are pressed against the rules.
    """
    announcement = folder / "announcement.wav"
    write_wav(announcement, as_pcm(_announcement())[:, np.newaxis])
    channels = [_call(channel, kind, talk_s, first_pass=first_pass) for channel, kind in enumerate(KINDS)]
    last = len(KINDS) - 1
    channels.append(_call(last, KINDS[last], talk_s, first_pass=first_pass, key_dbfs=_LEAKED_DBFS))
    audio, lines = folder / "calls.wav", folder / "lines.json"
    write_wav(audio, np.stack(channels, 1))
    lines.write_text(json.dumps([_line_of(kind, announcement) for kind in KINDS]))
    return audio, lines


def _line_of(kind: Kind, announcement: Path) -> dict[str, object]:
    line = {"name": kind.name, "ground": GROUND, "consent_within_s": WITHIN_S, "unrecorded_numbers": False}
    line |= dict(kind.line)
    return line | ({"announcement": str(announcement)} if "announcement" in line else {})


def _call(channel: int, kind: Kind, talk_s: float, *, first_pass: bool, key_dbfs: float = _KEY_DBFS) -> Pcm:
    random = np.random.default_rng([4, channel])
    sound = white(round((ANSWERED_AT_S + talk_s) * RATE_HZ), -65, random)

    def say(at_s: float, said: Sound) -> None:
        at = round(at_s * RATE_HZ)
        sound[at : at + len(said)] += said[: len(sound) - at]

    say(RINGS_AT_S, ringing(25, (), 1.0, -30, clipped=3.0))
    shown = Caller(number=number_of(channel).encode()) if kind.shows else Caller(absent_number=b"P")
    say(TOLD_AT_S, fsk(call_setup(shown), V23) / 32768)
    _talk(say, channel, kind, talk_s, random)
    for at_s, digit in (*kind.keys, *(kind.late if first_pass else ())):
        hushed = round((ANSWERED_AT_S + at_s) * RATE_HZ)
        sound[hushed : hushed + RATE_HZ // 4] *= 0.01
        say(ANSWERED_AT_S + at_s + _KEY_AFTER_MARK_S, sines(_KEY_HZ[digit], _KEY_S, key_dbfs))
    samples = as_pcm(sound)
    for index in range(round(talk_s * RATE_HZ) // MARK_EVERY_FRAMES):
        at = marked_at_frame(index)
        samples[at : at + MARK_FRAMES] = mark(channel, index)
    return samples


def _talk(say: Say, channel: int, kind: Kind, talk_s: float, random: np.random.Generator) -> None:
    """Sentences without a pause in which a call could seem to be over."""
    begin_s = 0.0
    if kind.announced:
        announcement = _announcement()[: round(kind.announced * len(_announcement()))]
        say(ANSWERED_AT_S, announcement)
        begin_s = len(announcement) / RATE_HZ
    spans = [(begin_s, talk_s)]
    if kind.fax_s is not None:
        say(ANSWERED_AT_S + kind.fax_s, sines((2100,), _FAX_S, -18))
        spans = [(begin_s, kind.fax_s), (kind.fax_s + _FAX_S, talk_s)]
    speaker = voice(("de+m3", "de+f2", "de+f4")[channel % 3])
    for first_s, end_s in spans:
        at_s = first_s
        while at_s < end_s:
            sentence = speaker.says(random, short=False).sound * 0.1
            say(ANSWERED_AT_S + at_s, sentence[: round((end_s - at_s) * RATE_HZ)])
            at_s += len(sentence) / RATE_HZ + 0.2


@cache
def _announcement() -> Sound:
    spoken = voice("de+f4").sentences
    return np.concatenate([part for phrase in spoken[1:3] for part in (phrase.sound * 0.1, silence(0.15))])
