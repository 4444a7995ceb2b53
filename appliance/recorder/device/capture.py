"""Hearing the line: 100 ms blocks from an ALSA device, and how it is kept open.

Promises:
- What is handed on keeps the promises of line_time.py, whatever the card does.
- Junk that a card returns after an overrun is never handed on.
- A card that is pulled out, or delivers no frames, is opened again by CaptureThread for as long as it takes.

Leaves to others: what the audio means (the line worker).

Only this file, playback.py and mixer.py know alsaaudio. Traps of pyalsaaudio 0.11.0 that shape it: errors of
hw_params are ignored, so what the card really does is read back; read() after an overrun gives -EPIPE and prepares the
stream again, but does not start it; poll() never fires on a stream that no first read() has started; errors carry text,
no number.
"""

from __future__ import annotations

import ctypes
import errno
import os
import queue
import select
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import alsaaudio

from appliance.clock import Clock
from appliance.daemon import Pulse
from appliance.recorder.device.line_time import Block, LineTime, Lost, WhyLost
from appliance.terms import BLOCK_FRAMES, RATE_HZ, LineTrouble

__all__ = [
    "Block",
    "CaptureThread",
    "Closed",
    "DeviceBusy",
    "DeviceLost",
    "DeviceMissing",
    "DeviceStalled",
    "DeviceUnsuitable",
    "Event",
    "Lost",
    "Opened",
    "SoundDevice",
    "WhyLost",
]

BUFFER_BLOCKS = 50
"""5 s inside ALSA: so long may this process be kept from running (a full disk cache, an SD card's pause)."""

QUEUE_BLOCKS = 300
"""30 s between capture and the line worker, on top of ALSA's buffer."""

STALLED_AFTER_S = 10
"""No frames for so long: the device is closed and opened again (restart within 10 s, alarm within 30 s)."""

REOPEN_S = 1.0
"""How often a missing device is tried; an attempt costs about a millisecond."""

READ_TIMEOUT_S = 0.5
"""A request to stop is seen so soon at the latest."""

_QUICK_NS = 250_000
# Clock and card are read one after the other, within two frames; if that took longer, we were kept from running in
# between.


class DeviceMissing(LineTrouble):
    """There is no such device, or it is not plugged in."""


class DeviceBusy(LineTrouble):
    """Another program has the device open."""


class DeviceUnsuitable(LineTrouble):
    """The device cannot do 8000 frames a second of 16 bit with the wanted channels, or ALSA refuses it."""


class DeviceLost(LineTrouble):
    """The device was there and is gone."""


class DeviceStalled(LineTrouble):
    """The device stays open but delivers no frames."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The device is open and frames come; they count from 0 again.

    wall_ms: UTC when frame 0 was heard. Cards drift by up to 0.01 %, 9 s a day: whoever wants the time of
        a call that begins days later reads the clock then, and does not count frames from here.
    """

    wall_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """The device is not open: not yet, no longer, or (trouble None) because we were asked to stop."""

    trouble: LineTrouble | None


Event = Opened | Block | Lost | Closed


class SoundDevice:
    """One ALSA capture device: 8000 frames a second, 16 bit, each channel a line.

    Args:
        name: as ALSA knows it, for example "plughw:CARD=Device" or "line0".
        channels: how many to open.
        find: gives the name to open, each time anew, for a card that ALSA calls by another name next time; raises
            LineTrouble if there is none now.
        now_ns: a clock that nobody sets: CLOCK_MONOTONIC runs up to 8 % fast while chrony sets the time, and frames
            would seem to be missing. Tests on a line that is played faster give a clock as fast.
    """

    def __init__(
        self,
        name: str,
        channels: int,
        *,
        find: Callable[[], str] | None = None,
        now_ns: Callable[[], int] = lambda: time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW),
    ) -> None:
        self.name = name
        self._find = find or (lambda: name)
        self.channels = channels
        self._now_ns = now_ns
        self._pcm: Any = None
        self._poll = select.poll()
        self._line_time = LineTime(channels)
        self._last_sign_ns = 0
        hush_alsa()

    def open(self) -> None:
        """Open the device and start it; frames count from 0 now.

        Raises:
            DeviceMissing, DeviceBusy, DeviceUnsuitable: the device is closed again.
            LineTrouble: as `find` does.
        """
        self._line_time = LineTime(self.channels)
        found = self._find()
        try:
            self._pcm = alsaaudio.PCM(
                type=alsaaudio.PCM_CAPTURE,
                mode=alsaaudio.PCM_NONBLOCK,
                device=found,
                rate=RATE_HZ,
                channels=self.channels,
                format=alsaaudio.PCM_FORMAT_S16_LE,
                periodsize=BLOCK_FRAMES,
                periods=BUFFER_BLOCKS,
            )
            self._refuse_unsuitable(self._pcm.info())
            self._poll = select.poll()
            for descriptor, wanted in self._pcm.polldescriptors():
                self._poll.register(descriptor, wanted)
            self._last_sign_ns = self._now_ns()
            self._take_what_came()  # starts the stream
        except alsaaudio.ALSAAudioError as error:
            self.close()
            raise trouble_at_opening(self.name, str(error)) from error
        except LineTrouble:
            self.close()
            raise

    def read(self, timeout_s: float = READ_TIMEOUT_S) -> Block | Lost | None:
        """Wait for the next piece of line time.

        Returns: None if none is complete yet; call again.
        Raises:
            DeviceLost: unplugged.
            DeviceStalled: no frames for STALLED_AFTER_S.
            After both: close, then open again.
        """
        ready = self._line_time.next()
        if ready is not None:
            return ready
        try:
            fired = self._poll.poll(timeout_s * 1000)
            # Only ALSA knows what a descriptor's event means: some devices signal with a timer.
            if fired and self._pcm.polldescriptors_revents(fired):
                self._take_what_came()
        except alsaaudio.ALSAAudioError as error:
            raise DeviceLost(
                f"The sound device '{self.name}' is gone. What was recorded is safe; "
                "plug it in again, and recording goes on by itself."
            ) from error
        if self._now_ns() - self._last_sign_ns > STALLED_AFTER_S * 1_000_000_000:
            raise DeviceStalled(
                f"The sound device '{self.name}' has delivered nothing for {STALLED_AFTER_S} seconds. "
                "It is opened again; if that does not help, unplug it and plug it in."
            )
        return self._line_time.next()

    def close(self) -> None:
        """Let go of the device. Does nothing if it is closed."""
        if self._pcm is not None:
            self._pcm.close()
            self._pcm = None

    def _take_what_came(self) -> None:
        frames, audio = self._pcm.read()
        if frames == -errno.EPIPE:
            # What came with it is junk in older versions. The overrun proves that the card lives.
            self._line_time.note_overrun()
            self._last_sign_ns = self._now_ns()
            frames, audio = self._pcm.read()  # starts the stream again
        if frames > 0:
            self._last_sign_ns = self._now_ns()
            now_ns, waiting_frames = self._clock_and_waiting_frames()
            self._line_time.add(audio, now_ns=now_ns, waiting_frames=waiting_frames)

    def _clock_and_waiting_frames(self) -> tuple[int, int]:
        """Read clock and card as one: (ns, frames that wait in ALSA's buffer; negative after an overrun)."""
        readings = []
        for _ in range(3):
            before_ns = self._now_ns()
            waiting_frames = int(self._pcm.avail())
            took_ns = self._now_ns() - before_ns
            readings.append((took_ns, before_ns + took_ns // 2, waiting_frames))
            if took_ns < _QUICK_NS:
                break
        return min(readings)[1:]

    def _refuse_unsuitable(self, got: dict[str, Any]) -> None:
        if (got["rate"], got["format_name"], got["channels"]) == (RATE_HZ, "S16_LE", self.channels):
            return
        raise DeviceUnsuitable(
            f"The sound device '{self.name}' gives {got['channels']} channels of {got['format_name']} at "
            f"{got['rate']} Hz, not {self.channels} of S16_LE at {RATE_HZ} Hz. "
            "Set the number of channels it has, or use its 'plughw:' name, which converts."
        )


def trouble_at_opening(name: str, text: str) -> LineTrouble:
    """Tell from ALSA's text, which is all that pyalsaaudio hands on, what to say and do."""
    if text.startswith((os.strerror(errno.ENODEV), os.strerror(errno.ENOENT), os.strerror(errno.ENXIO))):
        return DeviceMissing(
            f"There is no sound device '{name}'. Plug it in, or correct its name in the settings; "
            "'arecord -L' lists the names."
        )
    if text.startswith((os.strerror(errno.EBUSY), os.strerror(errno.EAGAIN))):
        return DeviceBusy(f"Another program uses the sound device '{name}'. End that program.")
    return DeviceUnsuitable(
        f"The sound device '{name}' cannot be opened for {RATE_HZ} Hz, 16 bit: {text}. "
        "Check its name and the rights of this user (group 'audio')."
    )


def hush_alsa() -> None:
    """Stop ALSA from writing to standard error: a missing device tried every second would fill the log.

    The handler is a C function that takes nothing and does nothing, which the calling conventions of all our
    boards allow; a Python one would need memory that is writable and executable.
    """
    alsa = ctypes.CDLL("libasound.so.2")
    alsa.snd_lib_error_set_handler(alsa.snd_asoundlib_version)


class CaptureThread:
    """Listens to a device in a thread of its own, so that nothing the consumer does can make a card overrun.

    The consumer (the line worker) calls next_event() and sees:

        Closed(trouble)?  Opened  (Block | Lost)*  Closed(trouble)  Opened  ...  Closed(None)

    - After each Opened frames count from 0; Block and Lost then follow each other without holes.
    - Closed(trouble) comes once when the device is lost or cannot be opened, and again only if the reason
      changes; meanwhile it is tried every second. Only the wall clock knows how long it was closed.
    - If the consumer falls 30 s behind, blocks are dropped and come as one Lost(why=OVERLOAD).
    - Closed(None) is the end, after stop().
    - The pulse beats with each reading and each attempt to open, so that a thread that hangs in a device is noticed.
    """

    def __init__(
        self, device: SoundDevice, clock: Clock, *, queue_blocks: int = QUEUE_BLOCKS, pulse: Pulse | None = None
    ) -> None:
        self._device = device
        self._clock = clock
        self._queue_blocks = queue_blocks
        self._pulse = pulse or Pulse()
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._dropped: Lost | None = None
        self._last_trouble: str | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen, name=f"capture {device.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Close the device and end the thread, within a second. Events that wait can still be fetched."""
        self._stop.set()
        self._thread.join()

    def next_event(self, timeout_s: float) -> Event | None:
        """The next thing that happened on the line, or None if nothing did within the time.

        Raises:
            LineTrouble: a fault of the program has ended the thread; its traceback is in the log.
        """
        try:
            return self._events.get(timeout=timeout_s)
        except queue.Empty:
            if not self._thread.is_alive() and not self._stop.is_set():
                raise LineTrouble(
                    f"Listening to '{self._device.name}' broke off. "
                    "Nothing is recorded until the recorder is restarted."
                ) from None
            return None

    def _listen(self) -> None:
        try:
            while not self._stop.is_set():
                self._pulse.beat()
                try:
                    self._device.open()
                    self._read_until_stopped(Opened(wall_ms=self._clock.now_ms()))
                except LineTrouble as trouble:
                    self._device.close()
                    self._put_trouble(trouble)
                    self._stop.wait(REOPEN_S)
        finally:
            self._device.close()
        self._put_dropped()
        self._events.put(Closed(trouble=None))

    def _read_until_stopped(self, opened: Opened) -> None:
        """Opened is told when frames come: a card that opens but stays dumb is still in trouble."""
        while not self._stop.is_set():
            piece = self._device.read()
            self._pulse.beat()
            if piece is None:
                continue
            if piece.first_frame == 0:
                self._last_trouble = None
                self._events.put(opened)
            self._offer(piece)

    def _offer(self, piece: Block | Lost) -> None:
        """Hand on a piece of line time, or count it as lost if the consumer is too far behind."""
        if self._events.qsize() >= self._queue_blocks:
            first = self._dropped.first_frame if self._dropped else piece.first_frame
            frames = piece.first_frame + piece.frames - first
            self._dropped = Lost(first_frame=first, frames=frames, why=WhyLost.OVERLOAD)
            return
        self._put_dropped()
        self._events.put(piece)

    def _put_dropped(self) -> None:
        if self._dropped is not None:
            self._events.put(self._dropped)
            self._dropped = None

    def _put_trouble(self, trouble: LineTrouble) -> None:
        self._put_dropped()
        if str(trouble) != self._last_trouble:
            self._events.put(Closed(trouble=trouble))
        self._last_trouble = str(trouble)
