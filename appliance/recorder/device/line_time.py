"""Line time: a count of frames without holes, in which every frame is either audio or listed as lost.

Promises:
- Every frame since the device was opened is in a Block or in a Lost, in order: each begins where the one
  before ended. Audio is never made up and never put in the wrong place.
- What is lost is measured by the monotonic clock against the card's own count since the last good read, so
  that the drift of the card's crystal never adds up. Right to a frame or two with a card that counts frames,
  to within 100 ms with one that counts periods; rounded up, so that no lost frame lies outside.
- What a card leaves out bit by bit is listed as soon as it comes to 250 ms. A single piece shorter than that, or
  less than a thousandth of all, cannot be told from the jitter of its count and the drift of two clocks.

Decides only. Leaves to others: the card (capture.py), and filling the place of a Lost with silence.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from appliance.terms import BLOCK_FRAMES, RATE_HZ

_FRAME_NS = 1_000_000_000 // RATE_HZ
_DROPOUT_NS = 250_000_000
# Frames that vanish without an overrun (USB packets lost). Cards may count in whole periods of 100 ms, so
# that two of those say nothing.

_DRIFT = 1000
# Of so many frames one may be drift: two crystals, each up to 100 ppm off, with a good margin.


class WhyLost(StrEnum):
    OVERRUN = "overrun"
    """This process did not fetch the frames in time."""
    DROPOUT = "dropout"
    """The device itself left frames out, without a word."""
    OVERLOAD = "overload"
    """The line worker did not fetch the blocks in time."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Block:
    """BLOCK_FRAMES frames of the line.

    first_frame: counts frames of line time since the device was opened, lost ones included.
    samples: int16, shape (BLOCK_FRAMES, channels), read-only.
    """

    first_frame: int
    samples: NDArray[np.int16]

    @property
    def frames(self) -> int:
        return len(self.samples)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """A piece of line time whose audio nobody has. Not a multiple of a block."""

    first_frame: int
    frames: int
    why: WhyLost


class LineTime:
    """Puts what the card gives in its place.

    The line's place is reckoned by the clock from the last good read. That is renewed at every read, so that
    only the drift of the card between two reads can count: nothing. What is too little at each of them is
    summed up as a CUSUM (E. S. Page, Biometrika 41, 1954): less the drift, and never below nothing.
    """

    def __init__(self, channels: int) -> None:
        self._channels = channels
        self._frame_bytes = 2 * channels
        self._next_frame = 0  # line time of the first of the crumbs
        self._crumbs = bytearray()  # of a block that is not full yet
        self._overrun = False
        self._known: tuple[int, int] | None = None  # at this time (ns) the line stood at this frame
        self._behind_ns = 0
        """Summed up over reads at each of which it may have been jitter."""
        self._ready: deque[Block | Lost] = deque()

    def next(self) -> Block | Lost | None:
        """The next piece of line time, if one is complete."""
        return self._ready.popleft() if self._ready else None

    def note_overrun(self) -> None:
        """The card has thrown frames away; how many shows when it gives frames again."""
        self._overrun = True

    def add(self, audio: bytes, *, now_ns: int, waiting_frames: int) -> None:
        """Place new audio.

        Args:
            audio: int16, whole frames, interleaved.
            now_ns: a steady clock when the card was asked for the next.
            waiting_frames: what the card had heard by then beyond this audio; negative after an overrun.
        """
        if waiting_frames < 0:  # already overrun again: this audio has no known place, it is lost with the rest
            self._overrun = True
            return
        fresh, crumbs = len(audio) // self._frame_bytes, len(self._crumbs) // self._frame_bytes
        missing_ns = self._missing_ns(now_ns, self._next_frame + crumbs + fresh + waiting_frames)
        if self._overrun:
            # The crumbs go with the gap: less than 100 ms, and every Block stays whole. An overrun is always
            # listed, even if it was too short to measure.
            self._lose(max(1, _frames(missing_ns) + crumbs), WhyLost.OVERRUN)
        elif (left_out_ns := self._left_out_ns(missing_ns, fresh)) > _DROPOUT_NS:
            # The gap may lie before or within this audio: none of it has a sure place.
            self._lose(_frames(left_out_ns) + crumbs + fresh, WhyLost.DROPOUT)
            audio = b""
        self._crumbs += audio
        self._known = (now_ns, self._next_frame + len(self._crumbs) // self._frame_bytes + waiting_frames)
        self._cut_blocks()

    def _missing_ns(self, now_ns: int, frame: int) -> int:
        """How much the line is further by the clock than the frame to which the card has come."""
        if self._known is None:
            return 0
        known_ns, known_frame = self._known
        return now_ns - known_ns - (frame - known_frame) * _FRAME_NS

    def _left_out_ns(self, missing_ns: int, fresh: int) -> int:
        """What the card has left out, at this read or bit by bit."""
        self._behind_ns = max(0, self._behind_ns + missing_ns - fresh * _FRAME_NS // _DRIFT)
        left_out_ns = max(missing_ns, self._behind_ns)  # a stall's beginning may have been too short by itself
        if left_out_ns > _DROPOUT_NS:
            self._behind_ns = 0
        return left_out_ns

    def _lose(self, frames: int, why: WhyLost) -> None:
        self._ready.append(Lost(first_frame=self._next_frame, frames=frames, why=why))
        self._next_frame += frames
        self._crumbs.clear()
        self._overrun = False

    def _cut_blocks(self) -> None:
        block_bytes = BLOCK_FRAMES * self._frame_bytes
        while len(self._crumbs) >= block_bytes:
            block = np.frombuffer(bytes(self._crumbs[:block_bytes]), dtype=np.int16)
            samples = block.reshape(BLOCK_FRAMES, self._channels)
            self._ready.append(Block(first_frame=self._next_frame, samples=samples))
            self._next_frame += BLOCK_FRAMES
            del self._crumbs[:block_bytes]


def _frames(ns: int) -> int:
    """Rounded up."""
    return -(-ns // _FRAME_NS)
