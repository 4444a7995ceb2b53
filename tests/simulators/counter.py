"""A signal that tells its own frame number, a line that checks it, and breaks at random moments.

Theory: on every channel lies the same noise, shifted. It was drawn once and never repeats within itself, so any few
samples of it occur at one place only (as those of a maximum length sequence do), and one that is missing, doubled or in
another place is seen to the frame. The noise comes in syllables with pauses between them: a recorder takes it for
talk, and what a codec has made of it is still found to the frame by correlation. It goes round after `PERIOD_FRAMES`;
which round it is, the line's own clock says.

Leaves to others: the line itself (line), and what is done with what was heard.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from appliance.recorder.ear.signals import Pcm
from appliance.recorder.line_worker import LineWorker
from appliance.recorder.wall_time import WallTime
from appliance.recordings.container import EndReason
from appliance.terms import RATE_HZ
from tests.simulators.line import SimulatedLine

PERIOD_FRAMES = 1 << 21
"""Four minutes and 22 seconds."""

_SYLLABLE_S, _STOP_S, _PHRASE_S, _BREATH_S = 0.2, 0.06, 3.0, 0.8
_TALK_DBFS, _STOP_DBFS, _BREATH_DBFS = -22.0, -45.0, -58.0
_BAND_HZ = 300, 2000


def counter_signal(seed: int = 1) -> Pcm:
    """One period; shape (PERIOD_FRAMES,)."""
    noise = np.random.default_rng(seed).normal(0, 1, PERIOD_FRAMES)
    spectrum = np.fft.rfft(noise)
    hz = np.fft.rfftfreq(PERIOD_FRAMES, 1 / RATE_HZ)
    spectrum[(hz < _BAND_HZ[0]) | (hz > _BAND_HZ[1])] = 0
    shaped = np.fft.irfft(spectrum, PERIOD_FRAMES)
    seconds = np.arange(PERIOD_FRAMES) / RATE_HZ
    level = np.where(seconds % (_SYLLABLE_S + _STOP_S) < _SYLLABLE_S, _TALK_DBFS, _STOP_DBFS)
    level[seconds % (_PHRASE_S + _BREATH_S) >= _PHRASE_S] = _BREATH_DBFS
    return np.asarray(np.round(shaped / shaped.std() * 32768 * 10 ** (level / 20)), np.int16)


def place_on(channel: int, channels: int) -> int:
    """How far the signal of a channel is ahead of the first one's."""
    return channel * PERIOD_FRAMES // channels


def counter_feed(signal: Pcm, channels: int) -> Pcm:
    """What a device of so many lines says; shape (PERIOD_FRAMES, channels)."""
    return np.stack([np.roll(signal, -place_on(channel, channels)) for channel in range(channels)], axis=1)


@dataclass(slots=True, kw_only=True)
class Stretch:
    """Audio that was heard without a hole.

    opening: of the device, the how many-th.
    first_frame: in the line time of that opening.
    place: the frame of the line, counted from its first one, that this was in truth.
    """

    opening: int
    first_frame: int
    place: int
    frames: int = 0

    @property
    def end_frame(self) -> int:
        return self.first_frame + self.frames

    @property
    def end_place(self) -> int:
        return self.place + self.frames


@dataclass(frozen=True, slots=True, kw_only=True)
class Hole:
    """Between two stretches, in frames.

    at_frame: of the opening that ends with it, or in which it is.
    listed: as lost; None: the device was closed.
    by_clock: what the wall clock says that it was, as the times of recordings do.
    missing: in truth.
    """

    at_frame: int
    listed: int | None
    by_clock: int
    missing: int


@dataclass
class CountedLine:
    """Takes what a device worker hands to a line, compares it with what was said, and hands it on.

    signal: of this channel.
    frame_now: which frame of the line is being said.
    line: who gets it; None: nobody.
    faults: what must not be: a block that is not what was said, or not where it should be.
    """

    signal: Pcm
    frame_now: Callable[[], int]
    line: LineWorker | None = None
    stretches: list[Stretch] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    wall_times: list[WallTime] = field(default_factory=list)
    _next_frame: int = 0
    _in_stretch: bool = False

    def open(self, wall_time: WallTime) -> None:
        self.wall_times.append(wall_time)
        self._next_frame, self._in_stretch = 0, False
        if self.line is not None:
            self.line.open(wall_time)

    def hear(self, first_frame: int, samples: Pcm) -> None:
        self._expect(first_frame)
        if not self._in_stretch:
            self._begin_stretch(first_frame, samples)
        stretch = self.stretches[-1]
        if not np.array_equal(samples, self._said(stretch.end_place, samples.size)):
            self.faults.append(
                f"{samples.size} frames at {first_frame} of opening {stretch.opening} are not what was said"
            )
        stretch.frames += samples.size
        self._next_frame += samples.size
        if self.line is not None:
            self.line.hear(first_frame, samples)

    def lose(self, first_frame: int, frames: int, why: str) -> None:
        self._expect(first_frame)
        self._next_frame, self._in_stretch = first_frame + frames, False
        if self.line is not None:
            self.line.lose(first_frame, frames, why)

    def close(self, why: EndReason, trouble: str) -> None:
        if self.line is not None:
            self.line.close(why, trouble)

    def abandon(self, trouble: str) -> None:
        self.faults.append(trouble)
        if self.line is not None:
            self.line.abandon(trouble)

    @property
    def frames(self) -> int:
        return sum(stretch.frames for stretch in self.stretches)

    @property
    def holes(self) -> list[Hole]:
        return list(self._holes())

    def _holes(self) -> Iterator[Hole]:
        for before, after in pairwise(self.stretches):
            yield Hole(
                at_frame=before.end_frame,
                listed=after.first_frame - before.end_frame if after.opening == before.opening else None,
                by_clock=(self._at_ms(after, after.first_frame) - self._at_ms(before, before.end_frame))
                * RATE_HZ
                // 1000,
                missing=after.place - before.end_place,
            )

    def _at_ms(self, stretch: Stretch, frame: int) -> int:
        return self.wall_times[stretch.opening - 1].at_ms(frame) if self.wall_times else 0

    def _expect(self, first_frame: int) -> None:
        if first_frame != self._next_frame:
            self.faults.append(f"frame {first_frame} came where {self._next_frame} was due")
            self._next_frame, self._in_stretch = first_frame, False

    def _begin_stretch(self, first_frame: int, samples: Pcm) -> None:
        within = self._find(samples)
        # What comes was said a moment ago, and surely less than a period.
        latest = self.frame_now()
        place = latest - (latest - within) % PERIOD_FRAMES
        self.stretches.append(Stretch(opening=len(self.wall_times), first_frame=first_frame, place=place))
        self._in_stretch = True

    def _find(self, samples: Pcm) -> int:
        for at in np.flatnonzero(self.signal == samples[0]):
            if np.array_equal(samples, self._said(int(at), samples.size)):
                return int(at)
        self.faults.append("a block occurs nowhere in what was said")
        return 0

    def _said(self, place: int, frames: int) -> Pcm:
        at = place % PERIOD_FRAMES
        if at + frames <= PERIOD_FRAMES:
            return self.signal[at : at + frames]
        return np.concatenate((self.signal[at:], self.signal[: at + frames - PERIOD_FRAMES]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """Something that befalls a line. frames: as many are lost, or so long it lasts."""

    at_frame: int
    kind: str
    frames: int


def breaks_until(end_frame: int, count: int, seed: int) -> list[Break]:
    """So many, one after the other, each in its own share of the time, in equal numbers of each kind."""
    draw = random.Random(seed)
    share = end_frame // (count + 1)
    lengths_s = {"overrun": (0.05, 5), "stall": (0.4, 8), "unplug": (3, 20)}
    kinds = [list(lengths_s)[number % len(lengths_s)] for number in range(count)]
    draw.shuffle(kinds)
    return [
        Break(
            at_frame=(number + 1) * share + draw.randrange(share // 3),
            kind=kind,
            frames=min(round(draw.uniform(*lengths_s[kind]) * RATE_HZ), share // 2),
        )
        for number, kind in enumerate(kinds)
    ]


def begin_break(line: SimulatedLine, one: Break) -> None:
    match one.kind:
        case "overrun":
            line.overrun(one.frames)
        case "stall":
            line.stall(True)
        case "unplug":
            line.unplug()


def end_break(line: SimulatedLine, one: Break) -> None:
    match one.kind:
        case "stall":
            line.stall(False)
        case "unplug":
            line.plug()
