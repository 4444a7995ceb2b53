"""A simulated telephone line: a real ALSA device that plays an array, with knobs to break it, and an output into it.

Promises: frame k of the feed is heard k / (8000 * speed) seconds after the first opening, bit for bit,
whatever listens and however often it restarts. What is played on it is heard with it. pcm_linekeep.c beside this
file says what each knob does.
Leaves to others: what the line says (conversation.py), and listening (any ALSA program, in any process).

The demo starts it too, so nothing here needs pytest; it needs gcc and ALSA's headers.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from appliance.terms import RATE_HZ, LineTrouble

_SOURCE = Path(__file__).with_name("pcm_linekeep.c")
_SYSTEM_CONFIG = Path("/usr/share/alsa/alsa.conf")
_GCC = ("gcc", "-shared", "-fPIC", "-DPIC", "-O2", "-Wall", "-Wextra", "-Werror")


def build_plugin(build_dir: Path, source: Path = _SOURCE) -> Path:
    """Compile a plugin, unless the same source was compiled into this directory before.

    Raises:
        LineTrouble: there is no compiler, or it refused.
    """
    fingerprint = hashlib.sha256(source.read_bytes()).hexdigest()[:16]
    plugin = build_dir / f"{source.stem}-{fingerprint}.so"
    if plugin.exists():
        return plugin
    if shutil.which("gcc") is None:
        raise LineTrouble("The simulated line must be compiled: install gcc and libasound2-dev.")
    build_dir.mkdir(parents=True, exist_ok=True)
    unfinished = plugin.with_suffix(".new")
    command = [*_GCC, "-o", str(unfinished), str(source), "-lasound"]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    if outcome.returncode != 0:
        raise LineTrouble(f"The simulated line cannot be compiled; is libasound2-dev installed? {outcome.stderr}")
    return unfinished.replace(plugin)


class SimulatedLine:
    """A device of one or more lines. Making one starts a new life: it is at frame 0 when first opened.

    Args:
        run_dir: for feed, ALSA configuration and knobs; made if missing. One directory, one line.
        feed: int16, shape (frames, channels), 8 kHz.
        speed: 1.0 is real time; 60 plays an hour in a minute.
        repeat: begin again after the feed's end; else there is silence.
        echo: how loud what is played on the device is heard on it: 1.0 as loud as it was played, 0 not at all.
        name: the ALSA device's name.
        plugin: what build_plugin() returned; by default it is built into run_dir.
    """

    def __init__(
        self,
        run_dir: Path,
        feed: NDArray[np.int16],
        speed: float = 1.0,
        repeat: bool = False,
        name: str = "line0",
        *,
        plugin: Path | None = None,
        echo: float = 0.5,
    ) -> None:
        self.device = name
        self.speed = speed
        self._channels = feed.shape[1]
        self._config = run_dir / "alsa.conf"
        self._knobs = run_dir / "knobs"
        shutil.rmtree(self._knobs, ignore_errors=True)
        self._knobs.mkdir(parents=True)
        raw = run_dir / "feed.raw"
        raw.write_bytes(np.ascontiguousarray(feed, dtype="<i2").tobytes())
        system = f"<{_SYSTEM_CONFIG}>\n" if _SYSTEM_CONFIG.exists() else ""
        self._config.write_text(
            f"""{system}pcm_type.linekeep_line {{ lib "{(plugin or build_plugin(run_dir)).resolve()}" }}
pcm.{name} {{
    type linekeep_line
    feed "{raw.resolve()}"
    knobs "{self._knobs.resolve()}"
    channels {feed.shape[1]}
    rate {RATE_HZ}
    speed {speed:.6f}
    repeat {int(repeat)}
    echo {echo:.6f}
}}
"""
        )

    def environment(self) -> dict[str, str]:
        """What a process must find in its environment to see the device."""
        return {"ALSA_CONFIG_PATH": str(self._config.resolve())}

    def frame_now(self) -> int:
        """The frame of the feed that is being said just now; 0 before the first opening."""
        started = self._knobs / "started"
        if not started.exists():
            return 0
        since_ns = time.monotonic_ns() - int(started.read_text())
        return int(since_ns * RATE_HZ * self.speed / 1e9)

    def unplug(self) -> None:
        """Pull the card out: it answers ENODEV, also to whoever opens it."""
        self._set("unplugged", on=True)

    def plug(self) -> None:
        """Put the card back; who had it open must open it again."""
        self._set("unplugged", on=False)

    def occupy(self, on: bool) -> None:
        """Let opening fail as if another program had the card."""
        self._set("busy", on=on)

    def silence(self, on: bool) -> None:
        """Zeros instead of the feed, as with the line's plug pulled out of the coupler."""
        self._set("silence", on=on)

    def stall(self, on: bool) -> None:
        """No frames come although the device stays open; what is said meanwhile is lost."""
        self._set("stalled", on=on)

    def decouple(self, on: bool) -> None:
        """What is played does not reach the line, as with the plug of the card's output pulled out."""
        self._set("decoupled", on=on)

    def underrun(self) -> None:
        """Let what is being played break off once, as if it had not been fed in time."""
        self._set("underrun", on=True)

    def spoken(self) -> NDArray[np.int16]:
        """What was played on it, each frame at its place in the line; shape (frames, channels)."""
        path = self._knobs / "spoken"
        played = np.frombuffer(path.read_bytes() if path.exists() else b"", "<i2")
        return played[: played.size // self._channels * self._channels].reshape(-1, self._channels)

    def overrun(self, frames: int) -> None:
        """Overrun the stream once, so that this many frames are missing."""
        # Renamed into place: the plugin must never read half a number.
        written = self._knobs / "overrun.new"
        written.write_text(str(frames))
        written.replace(self._knobs / "overrun")

    def _set(self, knob: str, *, on: bool) -> None:
        if on:
            (self._knobs / knob).touch()
        else:
            (self._knobs / knob).unlink(missing_ok=True)
