"""The company's own announcement, heard on a line: how far, and whether to its end.

Promise: an announcement is whole only if its beginning and its end were heard, in order, at the pace at which it was
recorded, with no hole of more than half a second between; whatever the line, the noise and the codec did to it. What
is played in part, begins in the middle or ends otherwise is half-heard, and no consent.

Pure. Blocks of int16 go in, what was heard of it comes out. The announcement's sound is cut into pieces of 0.3 s. Its
first three are looked for all the time; where they may be, a match begins: each further piece must be alike (see
`likeness`) to the line at the time at which it is due. A jitter buffer may drop or add some 10 ms of it at once, a
sound card's clock drifts: so each piece that was heard says when the next one is due, and one that comes at another
time must be the more alike.

Who plays a copy of the whole announcement is heard as if the company had played it: a sound says nothing of where it
comes from. What follows from it for a call is left to others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from appliance.recorder.ear.likeness import (
    BLOCK_COLUMNS,
    COLUMN_FRAMES,
    BandEar,
    Columns,
    Known,
    columns_of,
    powers,
)
from appliance.recorder.ear.signals import Pcm
from appliance.sound_file import read_sound_file
from appliance.terms import RATE_HZ, SettingsTrouble

SHORTEST_S, LONGEST_S = 1, 60

_PIECE = 200
"""Columns, which are milliseconds. A loud word takes more away from longer pieces, and shorter ones tell too little."""
_END = 300
"""The last piece is longer: it alone says that the end was heard."""
_OPENING = 3
"""Pieces that are looked for all the time, as one."""
_LONGEST_OPENING = 900

_AUDIBLE_DBFS = -60.0
_SILENCE_DB = -15.0
"""Below the mean of what sounds: silence at its ends, as the last breath of a word would drown in any noise."""
_STEP = 20

_MAY_OPEN = 0.45
"""How alike the first pieces together must be to look closer. Costs time when it is low, and decides nothing."""
_ALIKE = 0.5
"""How alike a piece must be that comes when it is due. Ends that were cut off reach 0.49 once in 250 times; ends that
are there, in babble at 10 dB through the worst codec, 0.55 and more."""
_ALIKE_IN_DOUBT = 0.65
"""The same at another time, or after a piece that was missing: two chances must not bridge a hole."""
_DUE_WITHIN = 6
_SLIP = 50
"""40 ms, and what two neighbours' codecs may add."""
_SLIPS = 150
"""All slips together: an announcement of a minute at another pace is another sound."""
_MOST_MISSING = 2
"""Pieces in a row: three would be a hole of 0.6 s."""
_LONGEST_HOLE = 800
"""Columns from a piece that was heard to the next one if any between is missing: a pause beside them counts as well."""
_LEAST_HEARD = 0.7
"""Of all pieces, for a whole: somebody talks over a part of it, not over every other word."""
_LEAST_TOLD = 4
"""Pieces. Who says the first word as it is said in the announcement has not played it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    """From this column of the announcement to that one."""

    first: int
    end: int
    sound: Known


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """An announcement as it is played.

    name: the file's, without its ending.
    samples: int16, shape (frames,), 8 kHz.
    sound: first and last column of its sound, without the silence at its ends.
    opening: its first pieces and what lies between them, which is looked for all the time.
    pieces: what of it must be heard, in order.
    """

    name: str
    samples: Pcm
    sound: tuple[int, int]
    opening: Known
    pieces: tuple[_Piece, ...]

    @classmethod
    def of(cls, name: str, samples: Pcm) -> Self:
        """From its samples. Raises SettingsTrouble: silence, shorter than SHORTEST_S, longer than LONGEST_S."""
        if samples.size > LONGEST_S * RATE_HZ:
            raise SettingsTrouble(f"The announcement '{name}' is longer than {LONGEST_S} s. Shorten it.")
        columns = columns_of(samples)
        loudness = _loudness(columns)
        audible = np.flatnonzero(loudness > 10 ** (_AUDIBLE_DBFS / 10))
        if not audible.size:
            raise SettingsTrouble(f"The announcement '{name}' is silent. Give a file in which somebody speaks.")
        loud = loudness > loudness[audible].mean() * 10 ** (_SILENCE_DB / 10)
        sounding = np.flatnonzero(loud)
        first, end = int(sounding[0]) * _STEP, (int(sounding[-1]) + 1) * _STEP
        places = list(_places(loud, first, end))
        if (end - first) * COLUMN_FRAMES < SHORTEST_S * RATE_HZ or len(places) < _LEAST_TOLD:
            raise SettingsTrouble(
                f"The announcement '{name}' is shorter than {SHORTEST_S} s without the silence at its ends; that is too"
                " short to be told from other words. Give a longer one."
            )
        pieces = tuple(_Piece(first=at, end=to, sound=Known(columns[:, at:to])) for at, to in places)
        if _is_steady(columns, pieces):
            raise SettingsTrouble(
                f"The announcement '{name}' is one steady tone, which any exchange may send. Give a file in which"
                " somebody speaks."
            )
        opening = Known(columns[:, first : min(pieces[_OPENING - 1].end, first + _LONGEST_OPENING)])
        return cls(name=name, samples=samples, sound=(first, end), opening=opening, pieces=pieces)


def read_announcement(path: Path) -> Announcement:
    """An announcement from a sound file of any usual rate; of several channels, their mean.

    Raises:
        SettingsTrouble: it cannot be read, or is no announcement; one sentence says why.
    """
    channels = read_sound_file(path)
    return Announcement.of(path.stem, np.rint(channels.mean(1)).astype(np.int16))


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnouncementHeard:
    """The announcement was heard, or a part of it.

    at_frame: the first frame after its sound, or after what was heard of it.
    share: how far it was heard from its beginning on, 0 to 1.
    whole: from its beginning to its end.
    """

    at_frame: int
    share: float
    whole: bool


class AnnouncementListener:
    """The ear of one line for one announcement. Feed it every block in order; blocks of any length are welcome.

    A whole announcement is told 0.1 s to 1.2 s after its end, a half-heard one 0.6 s later.
    """

    def __init__(self, announcement: Announcement) -> None:
        self._announcement = announcement
        self._opening = announcement.opening
        self._ear = BandEar()
        kept = self._opening.size - 1 + _SLIP
        self._line: Columns = np.zeros((3, kept), np.complex64)
        self._first = -kept
        self._matches: list[_Match] = []

    @property
    def running(self) -> bool:
        """What may be the announcement has begun and is not over: it is worth waiting for."""
        return bool(self._matches)

    def hear(self, samples: Pcm) -> list[AnnouncementHeard]:
        """Take in the next samples of the line.

        Args:
            samples: int16, shape (frames,). What does not fill a second waits for the next block.
        """
        return [heard for block in self._ear.hear(samples) for heard in self._hear_block(block)]

    def hear_out(self) -> list[AnnouncementHeard]:
        """The line has ended: what was heard to its last frame, and what is now half-heard."""
        heard = self.hear(np.zeros(_HEARD_OUT_FRAMES, np.int16))
        best = max(self._matches, key=_far, default=None)
        self._matches = []
        return [*heard, best.told()] if best is not None and best.heard >= _LEAST_TOLD else heard

    def _hear_block(self, block: Columns) -> list[AnnouncementHeard]:
        self._line = np.concatenate((self._line, block), 1)
        self._begin_matches()
        for match in self._matches:
            match.follow(self._line, self._first)
        told = self._tell()
        self._line = self._line[:, BLOCK_COLUMNS:]
        self._first += BLOCK_COLUMNS
        return told

    def _begin_matches(self) -> None:
        """The most likely place in each 64 columns, if it is likely enough and none of those that run."""
        likeness = self._opening.found_in(self._line[:, _SLIP:])
        cells = likeness.reshape(-1, _CELL)
        if cells.max() < _MAY_OPEN:
            return
        best = cells.argmax(1) + np.arange(len(cells)) * _CELL
        for place in best[np.argsort(-likeness[best], kind="stable")].tolist():
            match = _Match(self._announcement, self._first + _SLIP + place)
            if likeness[place] >= _MAY_OPEN and not any(match.is_near(other) for other in self._matches):
                self._matches.append(match)

    def _tell(self) -> list[AnnouncementHeard]:
        whole = [match for match in self._matches if match.whole]
        if whole:
            # Whatever else began before its end was the announcement, mistaken for its own beginning.
            self._matches = []
            return [max(whole, key=_far).told()]
        over = [match for match in self._matches if match.over]
        self._matches = _apart([match for match in self._matches if not match.over])
        furthest = max((match.heard for match in self._matches), default=_LEAST_TOLD - 1)
        best = max(over, key=_far, default=None)
        return [best.told()] if best is not None and best.heard > furthest else []


class _Match:
    """An announcement whose sound may have begun at this column of the line."""

    def __init__(self, announcement: Announcement, opened: int) -> None:
        self._pieces = announcement.pieces
        self._sound = announcement.sound
        self._opened = self._lag = opened - announcement.sound[0]
        self._next = 0
        self._missing = 0
        self._reached = announcement.sound[0]
        self.heard = 0

    @property
    def over(self) -> bool:
        return self._missing > _MOST_MISSING or self._next == len(self._pieces)

    @property
    def whole(self) -> bool:
        enough = self.heard >= _LEAST_HEARD * len(self._pieces)
        return self.over and not self._missing and enough

    def is_near(self, other: _Match) -> bool:
        return abs(self._lag - other._lag) <= _SLIP

    def follow(self, line: Columns, first: int) -> None:
        """Look for each piece that is due by now.

        Args:
            line: columns of the line.
            first: which of all columns is their first.
        """
        while not self.over:
            piece = self._pieces[self._next]
            due = self._lag - first
            if due + piece.end + _SLIP > line.shape[1]:
                return
            self._look_for(piece, line[:, due + piece.first - _SLIP : due + piece.end + _SLIP])
            self._next += 1

    def _look_for(self, piece: _Piece, line: Columns) -> None:
        slips = self._lag - self._opened + _SLIPS_SEEN
        asked = np.float32(_ALIKE_IN_DOUBT) if self._missing else _LEAST_ALIKE
        beyond = piece.sound.found_near(line) - np.where(np.abs(slips) > _SLIPS, np.float32(1), asked)
        best = int(beyond.argmax())
        if beyond[best] < 0:
            self._missing += 1
            return
        if self._missing and piece.first - self._reached > _LONGEST_HOLE:
            self._missing = _MOST_MISSING + 1
            return
        self._missing = 0
        self._lag += best - _SLIP
        self._reached = piece.end
        self.heard += 1

    def told(self) -> AnnouncementHeard:
        first, end = self._sound
        share = (self._reached - first) / (end - first)
        if share == 1 and not self.whole:
            # The end was heard, and too little else.
            share = self.heard / len(self._pieces)
        return AnnouncementHeard(
            at_frame=(self._lag + self._reached) * COLUMN_FRAMES, share=round(share, 3), whole=self.whole
        )


def _far(match: _Match) -> int:
    return match.heard


def _apart(matches: Sequence[_Match]) -> list[_Match]:
    """Of matches that have found the same place only the one that has heard most."""
    kept: list[_Match] = []
    for match in sorted(matches, key=_far, reverse=True):
        if not any(match.is_near(other) for other in kept):
            kept.append(match)
    return kept


def _loudness(columns: Columns) -> npt.NDArray[np.float64]:
    """Of each _STEP columns the power in all bands, as a share of a full-scale square wave's."""
    whole = columns.shape[1] // _STEP * _STEP
    steps = powers(columns[:, :whole]).sum(0, dtype=np.float64).reshape(-1, _STEP)
    return np.asarray(steps.mean(1) / 2 / 32768**2)


def _is_steady(columns: Columns, pieces: Sequence[_Piece]) -> bool:
    """Most pieces are the same some 10 ms earlier: then they say nothing of when they are played."""
    inner = pieces[1:-1]
    earlier = [piece.sound.found_near(columns[:, piece.first - _SLIP : piece.end - _SLIP // 2]) for piece in inner]
    return bool(np.median([likeness.max() for likeness in earlier]) > _STEADY)


def _places(loud: npt.NDArray[np.bool_], first: int, end: int) -> Iterator[tuple[int, int]]:
    """One piece after the other, each from a sound on; the last one is the sound's end."""
    at = first
    while at + _PIECE <= end - _END // 2:
        if loud[at // _STEP]:
            yield at, at + _PIECE
            at += _PIECE
        else:
            at += _STEP
    yield end - _END, end


_STEADY = 0.9
"""Voices: 0.4 at the most. A tone: 1."""
_CELL = 64
_SLIPS_SEEN = np.arange(-_SLIP, _SLIP + 1)
_LEAST_ALIKE = np.where(np.abs(_SLIPS_SEEN) <= _DUE_WITHIN, _ALIKE, _ALIKE_IN_DOUBT).astype(np.float32)
_HEARD_OUT_FRAMES = 2 * BLOCK_COLUMNS * COLUMN_FRAMES
