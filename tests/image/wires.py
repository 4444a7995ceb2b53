"""Wires of a box in the machine: lines of the kernel's own GPIO, moved by the bench (guest/gpio_bridge.py).

Line by line as `SETTINGS` names them. A number instead of a name: this chip's lines have none.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.image.box import Box, settings
from tests.image.machine import SLOWER
from tests.system.house import until

HOOK, BUTTON, LAMP, TAMPER = range(4)
REPORT = "/run/bench-report"

_BRIDGE = Path(__file__).parent / "guest" / "gpio_bridge.py"
_FOLDER = "/run/bench-gpio"
_UNIT = "bench-gpio"
_CHIP = "/dev/gpiochip0"
_LABEL = f"import gpiod; print(gpiod.Chip('{_CHIP}').get_info().label)"


def wired_settings() -> bytes:
    """Those of the bench's box, with wires."""
    wires = f"""
hook = {{ line = {HOOK} }}
button = {{ line = {BUTTON} }}
lamp = {{ line = {LAMP} }}
"""
    return settings().replace(b"[recorder]", f"[recorder]\ntamper = {{ line = {TAMPER} }}".encode()) + wires.encode()


class Wires:
    """All lines low at first: on the hook, button up, case closed."""

    def __init__(self, box: Box) -> None:
        self._box = box
        self._levels = 0

    def plug_in(self) -> None:
        """The bridge is there, and its driver has made a chip of it."""
        box = self._box
        box.put(f"{_FOLDER}/bridge.py", _BRIDGE.read_bytes())
        self._write()
        box.sh("modprobe -a uhid hid-cp2112")
        box.sh(f"systemd-run -q --unit={_UNIT} /usr/bin/python3 {_FOLDER}/bridge.py {_FOLDER}")
        until(lambda: box.run("test", "-e", _CHIP), 60 * SLOWER)
        label = box.python(_LABEL, interpreter="/opt/linekeep/bin/python").strip()
        assert label == "cp2112_gpio", label

    def pull_out(self) -> None:
        self._box.sh(f"systemctl stop {_UNIT}")
        until(lambda: not self._box.run("test", "-e", _CHIP), 60 * SLOWER)

    def set(self, line: int, *, high: bool) -> None:
        self._levels = self._levels & ~(1 << line) | (high << line)
        self._write()

    def pulse(self, line: int, seconds: float) -> None:
        """High for so long, timed inside the machine."""
        self._box.sh(f"{_put(self._levels | 1 << line)}; sleep {seconds}; {_put(self._levels)}")

    def is_lit(self, line: int) -> bool:
        put_out = self._box.run("cat", f"{_FOLDER}/outputs").out
        return bool(int(put_out or 0) >> line & 1)

    def _write(self) -> None:
        self._box.sh(_put(self._levels))


def _put(levels: int) -> str:
    """In one go: the bridge must never read half of it."""
    return f"echo {levels} > {_FOLDER}/new; mv {_FOLDER}/new {_FOLDER}/levels"


@contextlib.contextmanager
def without_recorder(box: Box) -> Iterator[None]:
    """Its lines and its card are free for somebody else."""
    box.sh("systemctl stop linekeep-recorder")
    try:
        yield
    finally:
        box.sh("systemctl start linekeep-recorder")
