"""Hours of the counter signal through the recorder's own parts, faster than life; what was recorded, to the frame.

Capture, device worker, line workers, encoder, writer and link are the product's; the card is the simulated line, the
vault one that only remembers. All clocks run as fast as the line. Buffers hold as much of our time as on a box, as far
as ALSA allows: what is tested is the counting, not whether this machine is quick enough.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import cast
from unittest.mock import patch

import numpy as np
import numpy.typing as npt

from appliance.boundary import verbs
from appliance.clock import Clock
from appliance.recorder.device import capture
from appliance.recorder.device.capture import CaptureThread, SoundDevice
from appliance.recorder.device_worker import DeviceWorker
from appliance.recorder.disk_room import DiskRoom
from appliance.recorder.ear.signals import Pcm, Signals
from appliance.recorder.line.line_plan import plan_of
from appliance.recorder.line_board import LineBoard
from appliance.recorder.line_worker import LineWorker
from appliance.recorder.vault_link import VaultLink
from appliance.recordings.container import EndReason
from appliance.recordings.folder import RecordingsFolder
from appliance.recordings.reader import RecordingReader
from appliance.settings import LineSettings, RecorderSettings
from appliance.terms import RATE_HZ, CallId, LineName
from tests.recorder.fake_vault import FakeVault
from tests.recorder.heard_log import HeardLog
from tests.simulators.counter import (
    PERIOD_FRAMES,
    Break,
    CountedLine,
    Stretch,
    begin_break,
    counter_feed,
    counter_signal,
    end_break,
    place_on,
)
from tests.simulators.line import SimulatedLine
from tests.system.sounds import correlation, decoded_ogg

CODEC_LAG = 1
"""Opus at 8 kHz gives everything out one frame later than its pre-skip says."""

_MOST_PERIODS = 1000
_LOOK_S = 0.1
_ENDS_WITHIN_S = 60.0
_WINDOW = RATE_HZ // 2
_WINDOW_EVERY = 7 * RATE_HZ
_FIND = 2 * RATE_HZ
_AROUND = 400
_NEAR = 10 * RATE_HZ
"""So far around where it is due a recording is looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """
    frames: how much of the line is played.
    lines, recorded: how many there are, and how many of them, from the first one on, are recorded.
    look_every: frames between two looks at this process.
    """

    frames: int
    speed: float
    lines: int = 8
    recorded: int = 1
    longest_call_s: int = 3600
    breaks: Sequence[Break] = ()
    look_every: int = 600 * RATE_HZ


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """memory_mib: what this process holds that is no file's.  behind_s: line time that waits in buffers."""

    at_frame: int
    memory_mib: float
    behind_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A recording, laid over what its line was handed.

    opening, first_frame: where it begins in line time.  ended: why.
    windows, weakest: how often it was compared, and the worst correlation.
    """

    call: CallId
    opening: int
    first_frame: int
    frames: int
    gaps: tuple[tuple[int, int], ...]
    ended: EndReason
    windows: int
    weakest: float

    @property
    def end_frame(self) -> int:
        return self.first_frame + self.frames


@dataclass
class Day:
    """What came of a plan.

    played: the frame of the line that was said when the recorder was asked to stop.
    looks: at this process while the line was played.
    cpu_s: of this process meanwhile.
    """

    plan: Plan
    folder: RecordingsFolder
    vault: FakeVault
    log: HeardLog = field(default_factory=HeardLog)
    lines: list[CountedLine] = field(default_factory=list)
    played: int = 0
    looks: list[Look] = field(default_factory=list)
    cpu_s: float = 0.0


def line_name(channel: int) -> LineName:
    return LineName(f"line{channel}")


def live(
    folder: Path, plan: Plan, *, plugin: Path | None = None, seen: Callable[[Look], None] = lambda look: None
) -> Day:
    """Play the plan through the recorder's parts. `folder` is empty, and short for the socket in it."""
    signal = counter_signal()
    line = SimulatedLine(
        folder / "line", counter_feed(signal, plan.lines), speed=plan.speed, repeat=True, plugin=plugin
    )
    day = Day(plan=plan, folder=RecordingsFolder(folder / "recordings"), vault=FakeVault(folder / "vault.sock"))
    day.folder.create()
    clock = _clock(plan.speed)
    board = LineBoard([line_name(channel) for channel in range(plan.recorded)])
    recorded = [line_name(channel) for channel in range(plan.recorded)]
    link = VaultLink(folder / "vault.sock", recorded, board.read, clock, day.log.logger)
    for channel in range(plan.lines):
        worker = _worker(channel, day, link, board) if channel < plan.recorded else None
        day.lines.append(CountedLine(np.roll(signal, -place_on(channel, plan.lines)), line.frame_now, worker))

    def new_capture() -> CaptureThread:
        device = SoundDevice(line.device, plan.lines, now_ns=lambda: int(time.monotonic_ns() * plan.speed))
        return CaptureThread(device, clock, queue_blocks=round(capture.QUEUE_BLOCKS * plan.speed))

    lines = cast("dict[tuple[int, ...], LineWorker]", {(nth,): line for nth, line in enumerate(day.lines)})
    with ExitStack() as stack:
        stack.enter_context(patch.dict("os.environ", line.environment()))
        blocks = min(_MOST_PERIODS, round(capture.BUFFER_BLOCKS * plan.speed))
        stack.enter_context(patch.object(capture, "BUFFER_BLOCKS", blocks))
        stack.enter_context(patch.object(capture, "REOPEN_S", capture.REOPEN_S / plan.speed))
        day.vault.come()
        stack.callback(day.vault.go)
        link.start()
        stack.callback(link.stop)
        day.vault.wait_for_beats()
        _run(day, line, DeviceWorker(line.device, new_capture, lines, clock, day.log.logger), seen)
        day.vault.wait_for_beats()
    return day


def _clock(speed: float) -> Clock:
    began_ns, began_ms = time.monotonic_ns(), time.time_ns() // 1_000_000
    return Clock(wall=lambda: began_ms + int((time.monotonic_ns() - began_ns) * speed) // 1_000_000)


def _run(day: Day, line: SimulatedLine, worker: DeviceWorker, seen: Callable[[Look], None]) -> None:
    cpu_s = time.process_time()
    worker.start()
    _play(day, line, seen)
    day.played = line.frame_now()
    worker.ask_to_stop()
    if not worker.join(_ENDS_WITHIN_S):
        raise RuntimeError("the lines did not end")
    day.cpu_s = time.process_time() - cpu_s


def _worker(channel: int, day: Day, link: VaultLink, board: LineBoard) -> LineWorker:
    settings = RecorderSettings(longest_call_s=day.plan.longest_call_s)
    line = LineSettings(
        name=line_name(channel), alsa="line0", channel=channel, ground="A measurement; nobody speaks.", consent="duty"
    )
    return LineWorker(
        line,
        Signals(settings.speech_above_floor_db),
        plan_of(line, settings),
        lambda at_ms: datetime.fromtimestamp(at_ms / 1000, UTC),
        folder=day.folder,
        room=DiskRoom(day.folder.free_bytes, settings.reserve_mib),
        link=link,
        board=board,
        software="linekeep test",
        log=day.log.logger,
    )


def _play(day: Day, line: SimulatedLine, seen: Callable[[Look], None]) -> None:
    """Let the line speak, break it when its time has come, and look at the memory now and then."""
    acts: list[tuple[int, Callable[[], None]]] = [(day.plan.frames, lambda: None)]
    for one in day.plan.breaks:
        acts.append((one.at_frame, partial(begin_break, line, one)))
        acts.append((one.at_frame + one.frames, partial(end_break, line, one)))
    looked = -day.plan.look_every
    for at_frame, act in sorted(acts, key=lambda act: act[0]):
        while (now := line.frame_now()) < at_frame:
            if now - looked >= day.plan.look_every:
                looked = now
                day.looks.append(_look(day, now))
                seen(day.looks[-1])
            time.sleep(min(_LOOK_S, (at_frame - now) / RATE_HZ / line.speed))
        act()


def _look(day: Day, now_frame: int) -> Look:
    stretches = day.lines[-1].stretches
    behind = now_frame - stretches[-1].end_place if stretches else 0
    return Look(at_frame=now_frame, memory_mib=_memory_mib(), behind_s=behind / RATE_HZ)


def _memory_mib() -> float:
    ctypes.CDLL(None).malloc_trim(0)  # what waited in buffers while this machine was late is given back first
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("the kernel tells no RssAnon")


# what was recorded


class Checker:
    """Lays the recordings of one line over what it was handed. faults: where they differ."""

    def __init__(self, day: Day, channel: int, scratch: Path) -> None:
        self._day = day
        self._line = day.lines[channel]
        self._scratch = scratch
        self._spectrum = np.conj(np.fft.rfft(self._line.signal.astype(np.float32)))
        self.faults: list[str] = []
        self.parts: list[Part] = []
        for told in day.vault.told:
            if isinstance(told, verbs.BeginCall) and told.line == line_name(channel):
                self.parts.append(self._part(told))
        self._check_joints()

    def _part(self, begun: verbs.BeginCall) -> Part:
        path, key = self._day.folder.growing_path(begun.call), self._day.vault.keys[begun.call]
        with RecordingReader(path, call=begun.call, key=key) as reader:
            reader.verify()
            closing = reader.closing
            heard = decoded_ogg(reader.read_audio(0, reader.audio_bytes), self._scratch)
        gaps = tuple((gap.at_frame, gap.frames) for gap in closing.gaps)
        told = [
            (told.at_frame, told.frames)
            for told in self._day.vault.told
            if isinstance(told, verbs.ReportGap) and told.call == begun.call
        ]
        self._expect("gaps told to the vault", begun.call, tuple(told), gaps)
        self._expect("frames that a stranger's program decodes", begun.call, len(heard), closing.frames)
        opening, first_frame = self._find(begun.call, heard, gaps)
        handed = self._gaps_handed(opening, first_frame, closing.frames)
        self._expect("gaps listed", begun.call, gaps, handed)
        fits = list(self._compare(begun.call, heard, opening, first_frame))
        return Part(
            call=begun.call,
            opening=opening,
            first_frame=first_frame,
            frames=closing.frames,
            gaps=gaps,
            ended=closing.ended,
            windows=len(fits),
            weakest=min(fits, default=0.0),
        )

    def _find(self, call: CallId, heard: Pcm, gaps: tuple[tuple[int, int], ...]) -> tuple[int, int]:
        """In which opening, and at which frame of line time, a recording begins: by what is in it."""
        opening, due = self._due()
        after = 0
        for at_frame, frames in gaps:
            if at_frame - after >= _FIND:
                break
            after = at_frame + frames
        stretch = self._stretch(opening, due + after, 0)
        if stretch is None:
            self.faults.append(f"{call}: the line was handed nothing at {due + after} of opening {opening}")
            return opening, due
        window = np.zeros(PERIOD_FRAMES, np.float32)
        sample = heard[after : after + _FIND]
        window[: sample.size] = sample
        fits = np.fft.irfft(np.conj(np.fft.rfft(window) * self._spectrum), PERIOD_FRAMES)
        near = stretch.place + due + after - stretch.first_frame
        places = np.arange(near - _NEAR, near + _NEAR)
        found = int(places[np.argmax(fits[places % PERIOD_FRAMES])]) + CODEC_LAG
        return opening, due + found - near

    def _due(self) -> tuple[int, int]:
        """Where the next recording should begin: with the next frame, or with the next opening's first one."""
        ends = {stretch.opening: stretch.end_frame for stretch in self._line.stretches}
        if not self.parts:
            return min(ends), 0
        last = self.parts[-1]
        later = [opening for opening in ends if opening > last.opening]
        return (min(later), 0) if later and last.end_frame >= ends[last.opening] else (last.opening, last.end_frame)

    def _gaps_handed(self, opening: int, first_frame: int, frames: int) -> tuple[tuple[int, int], ...]:
        stretches = [stretch for stretch in self._line.stretches if stretch.opening == opening]
        return tuple(
            (before.end_frame - first_frame, after.first_frame - before.end_frame)
            for before, after in pairwise(stretches)
            if first_frame <= before.end_frame < first_frame + frames
        )

    def _compare(self, call: CallId, heard: Pcm, opening: int, first_frame: int) -> Iterator[float]:
        """The correlation of every few seconds of the recording with what was said; it must lie to the frame."""
        for at in range(_AROUND, len(heard) - _WINDOW - _AROUND, _WINDOW_EVERY):
            stretch = self._stretch(opening, first_frame + at - _AROUND, _WINDOW + 2 * _AROUND)
            if stretch is None:
                continue
            place = stretch.place + first_frame + at - stretch.first_frame
            said = self._said(place - _AROUND, _WINDOW + 2 * _AROUND)
            window = heard[at : at + _WINDOW].astype(np.float64)
            lag = _AROUND - int(np.argmax(np.correlate(said, window, "valid")))
            fit = correlation(window, said[_AROUND - lag :][:_WINDOW])
            if _is_breath(said):
                continue
            if lag != CODEC_LAG:
                self.faults.append(f"{call}: frame {at} lies {lag - CODEC_LAG} frames off")
            yield fit

    def _stretch(self, opening: int, frame: int, frames: int) -> Stretch | None:
        for stretch in self._line.stretches:
            if stretch.opening == opening and stretch.first_frame <= frame and frame + frames <= stretch.end_frame:
                return stretch
        return None

    def _said(self, place: int, frames: int) -> npt.NDArray[np.float64]:
        return np.take(self._line.signal, np.arange(place, place + frames), mode="wrap").astype(np.float64)

    def _check_joints(self) -> None:
        """In each opening: from the first frame on, one recording after the other, to the last frame."""
        for opening in {stretch.opening for stretch in self._line.stretches}:
            due = min(stretch.first_frame for stretch in self._line.stretches if stretch.opening == opening)
            for part in self.parts:
                if part.opening == opening:
                    self._expect("first frame", part.call, part.first_frame, due)
                    due = part.end_frame
            end = max(stretch.end_frame for stretch in self._line.stretches if stretch.opening == opening)
            if due != end:
                self.faults.append(f"opening {opening}: recorded until {due}, heard until {end}")

    def _expect(self, what: str, call: CallId, found: object, due: object) -> None:
        if found != due:
            self.faults.append(f"{call}: {what}: {found}, not {due}")


def _is_breath(said: npt.NDArray[np.float64]) -> bool:
    steps = said[: said.size // 160 * 160].reshape(-1, 160)
    return bool(np.sqrt((steps**2).mean(axis=1)).min() < 60)
