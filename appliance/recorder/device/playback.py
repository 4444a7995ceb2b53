"""Speaking on a line: sounds played through an ALSA output, each on its own channel.

Promises:
- Whoever asks for a sound never waits: it is played by a thread of the device's own, and how it went can be looked at.
- A sound counts as played only if all of it has left the device's buffer in one piece. Where the device is missing or
  lost, or was not fed in time, it is broken off there and then, and never taken up again.
- A sound that is to stop is silent within 50 ms; on a device on which another line speaks at this moment, within 0.4 s.
- While nobody speaks the device is closed and the thread sleeps. It is opened once at the start, to know whether that
  can be done, and twice a minute while it, or a relay, cannot be used.
- A channel that a relay joins to its line is played into only while the contact is closed, from 50 ms before the sound
  on; it is opened as soon as the sound is over, however it ended.

Leaves to others: what is played and when (line_voice), and whether anybody hears it.

ALSA's traps are those of `capture`; two more: `close` first waits until all has sounded, unless `drop` came before; and
a stream starts with its first write, which should therefore fill the buffer.
"""

from __future__ import annotations

import contextlib
import errno
import threading
from collections.abc import Callable
from enum import Enum, auto
from typing import Any

import alsaaudio
import numpy as np
import structlog

from appliance.recorder.device.capture import DeviceLost, DeviceUnsuitable, hush_alsa, trouble_at_opening
from appliance.recorder.device.relay import LEAD_FRAMES, Relay
from appliance.recorder.ear.signals import Pcm
from appliance.terms import RATE_HZ, LineTrouble

PERIOD_FRAMES = RATE_HZ // 20
BUFFER_PERIODS = 8
"""0.4 s: so long may this process be kept from running before a sound breaks off."""

_OUTLASTS_FRAMES = RATE_HZ // 20
"""What ALSA has handed over is on its way for some milliseconds more, in a USB card's packets and in its filters."""
_TRY_AGAIN_S = 30.0
_ENDS_WITHIN_S = 1.0

FAULT = (
    "Something went wrong inside the recorder, and what it played on this line has broken off. "
    "What was recorded is safe; the log says more."
)


class Outcome(Enum):
    PLAYS = auto()
    """It waits, or sounds."""
    PLAYED = auto()
    """To its end."""
    STOPPED = auto()
    """Because nobody wants it any more."""
    BROKEN = auto()


class DeviceStarved(LineTrouble):
    """It was not fed in time."""


class Sounding:
    """A sound on its way out. Whoever asked for it may look at it, and stop it, from any thread."""

    def __init__(self, channel: int, samples: Pcm, over: Callable[[], None] = lambda: None) -> None:
        self._channel = channel
        self._samples = samples
        self._over = over
        """Called once, when it does not sound any more."""
        self._at = 0
        self._end_frame = 0
        """In what was written to the device; 0 until all of it was."""
        self._lock = threading.Lock()
        self._outcome = Outcome.PLAYS

    @property
    def outcome(self) -> Outcome:
        return self._outcome

    def stop(self) -> None:
        """It is not wanted any more. Does nothing if it is over."""
        self._conclude(Outcome.STOPPED)

    def _conclude(self, outcome: Outcome) -> None:
        with self._lock:
            if self._outcome is not Outcome.PLAYS:
                return
            # First: who sees that it is over may rely on the relay being open.
            self._over()
            self._outcome = outcome

    def _write(self, room: Pcm, first_frame: int) -> None:
        """Put what comes next into its channel; shape (frames, channels), written from this frame on."""
        piece = self._samples[self._at : self._at + len(room)]
        mixed = room[: piece.size, self._channel].astype(np.int32) + piece
        room[: piece.size, self._channel] = np.clip(mixed, -32768, 32767)
        self._at += piece.size
        if not self._end_frame and self._at == self._samples.size:
            self._end_frame = first_frame + piece.size + _OUTLASTS_FRAMES

    def _look(self, sounded_frame: int) -> None:
        if self._end_frame and sounded_frame >= self._end_frame:
            self._conclude(Outcome.PLAYED)


class Output:
    """One channel of a device: the way into one line.

    Args:
        playback: not started.
        relay: what joins them; None: they are always joined.
    """

    def __init__(self, playback: Playback, channel: int, relay: Relay | None = None) -> None:
        self._playback = playback
        self._channel = channel
        self._relay = relay
        if relay is not None:
            playback.watch(relay)

    @property
    def trouble(self) -> str:
        """Why nothing can be played, as a sentence; empty if it can."""
        return self._playback.trouble or (self._relay.trouble if self._relay is not None else "")

    def play(self, samples: Pcm) -> Sounding:
        """Begin to play this; int16, shape (frames,), 8 kHz. Does not wait."""
        if self._relay is None:
            sounding = Sounding(self._channel, samples)
        elif self._relay.join():
            sounding = Sounding(self._channel, np.pad(samples, (LEAD_FRAMES, 0)), self._relay.part)
        else:
            return _unplayed(self._channel, samples)
        self._playback.add(sounding)
        return sounding


def _unplayed(channel: int, samples: Pcm) -> Sounding:
    sounding = Sounding(channel, samples)
    sounding._conclude(Outcome.BROKEN)
    return sounding


class Playback:
    """One ALSA playback device: 8000 frames a second, 16 bit, each channel a line's.

    Args:
        name, channels, find: as of a `SoundDevice`.
    """

    def __init__(
        self,
        name: str,
        channels: int,
        log: structlog.stdlib.BoundLogger,
        *,
        find: Callable[[], str] | None = None,
    ) -> None:
        self._name = name
        self._channels = channels
        self._find = find or (lambda: name)
        self._log = log
        self._pcm: Any = None
        self._buffer_frames = PERIOD_FRAMES * BUFFER_PERIODS
        self._soundings: list[Sounding] = []
        self._relays: list[Relay] = []
        self._news = threading.Condition()
        self._stop = False
        self.trouble = ""
        self._thread = threading.Thread(target=self._run, name=f"playback {name}", daemon=True)
        hush_alsa()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Break off whatever sounds, and end the thread; one that hangs in its device is not waited for."""
        with self._news:
            self._stop = True
            self._news.notify()
        self._thread.join(_ENDS_WITHIN_S)

    def watch(self, relay: Relay) -> None:
        """Hold this relay from the start on. Before the start."""
        self._relays.append(relay)

    def add(self, sounding: Sounding) -> None:
        with self._news:
            self._soundings.append(sounding)
            self._news.notify()

    def _run(self) -> None:
        while not self._stop:
            held = [relay.hold() for relay in self._relays]
            try:
                self._speak()
                self._tell("")
            except LineTrouble as trouble:
                self._give_up(str(trouble))
            except Exception as fault:  # noqa: BLE001 - the outer loop: logged, and all starts anew
                self._log.error("playback_fault", device=self._name, exc_info=fault)
                self._give_up(FAULT)
            finally:
                self._close()
            with self._news:
                self._news.wait_for(lambda: self._stop or self._soundings, self._pause_s(all_held=all(held)))
        self._give_up("")
        for relay in self._relays:
            relay.let_go()

    def _pause_s(self, *, all_held: bool) -> float | None:
        """Until something is tried again, if nobody speaks before."""
        return _TRY_AGAIN_S if self.trouble or not all_held else None

    def _tell(self, trouble: str) -> None:
        if trouble != self.trouble:
            self._log.info("playback_possible", device=self._name, why_not=trouble)
        self.trouble = trouble

    def _give_up(self, trouble: str) -> None:
        """What has not been played by now never will be."""
        self._tell(trouble)
        with self._news:
            for sounding in self._soundings:
                sounding._conclude(Outcome.BROKEN)
            self._soundings.clear()

    def _speak(self) -> None:
        """Play until there is nothing to play. Raises LineTrouble."""
        self._open()
        written = 0
        while True:
            room = self._room()
            sounding_now = self._still_sounding(written + room - self._buffer_frames)
            if not sounding_now:
                return
            if room:
                written += self._write(sounding_now, written, room)
            with self._news:
                self._news.wait(PERIOD_FRAMES / RATE_HZ)

    def _still_sounding(self, sounded_frame: int) -> list[Sounding]:
        with self._news:
            for sounding in self._soundings:
                sounding._look(sounded_frame)
            self._soundings = [one for one in self._soundings if one.outcome is Outcome.PLAYS]
            return [] if self._stop else list(self._soundings)

    def _write(self, soundings: list[Sounding], first_frame: int, frames: int) -> int:
        room = np.zeros((frames, self._channels), np.int16)
        for sounding in soundings:
            sounding._write(room, first_frame)
        if self._asked(lambda: self._pcm.write(room.tobytes())) != frames:
            raise self._starved()
        return frames

    def _room(self) -> int:
        """How many frames fit into the buffer."""
        room = int(self._asked(self._pcm.avail))
        if room == -errno.EPIPE:
            raise self._starved()
        if room < 0 or self._pcm.state() == alsaaudio.PCM_STATE_DISCONNECTED:
            raise self._lost()  # one that is pulled out before its first sound says 0 for ever
        return room

    def _asked(self, ask: Callable[[], int]) -> int:
        try:
            return ask()
        except alsaaudio.ALSAAudioError as error:
            raise self._lost() from error

    def _open(self) -> None:
        found = self._find()
        try:
            self._pcm = alsaaudio.PCM(
                type=alsaaudio.PCM_PLAYBACK,
                mode=alsaaudio.PCM_NONBLOCK,
                device=found,
                rate=RATE_HZ,
                channels=self._channels,
                format=alsaaudio.PCM_FORMAT_S16_LE,
                periodsize=PERIOD_FRAMES,
                periods=BUFFER_PERIODS,
            )
        except alsaaudio.ALSAAudioError as error:
            raise trouble_at_opening(self._name, str(error)) from error
        got = self._pcm.info()
        if (got["rate"], got["format_name"], got["channels"]) != (RATE_HZ, "S16_LE", self._channels):
            raise DeviceUnsuitable(
                f"The output of the sound device '{self._name}' takes {got['channels']} channels of "
                f"{got['format_name']} at {got['rate']} Hz, not {self._channels} of S16_LE at {RATE_HZ} Hz. "
                "Set the number of channels it has, or use its 'plughw:' name, which converts."
            )
        self._buffer_frames = int(got["buffer_size"])

    def _close(self) -> None:
        if self._pcm is None:
            return
        for let_go in (self._pcm.drop, self._pcm.close):
            with contextlib.suppress(alsaaudio.ALSAAudioError):  # it is gone already
                let_go()
        self._pcm = None

    def _lost(self) -> DeviceLost:
        return DeviceLost(
            f"The output of the sound device '{self._name}' is gone, so nothing can be played on this line. "
            "What was recorded is safe; plug the device in again."
        )

    def _starved(self) -> DeviceStarved:
        return DeviceStarved(
            f"The sound device '{self._name}' was not fed in time, so what it played on this line has broken off. "
            "What was recorded is safe; if this comes again, the box is too busy."
        )
