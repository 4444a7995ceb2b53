"""A USB bridge with eight GPIO lines that nobody plugged in: real lines of the kernel, moved from a file. In the guest.

Debian's kernel has neither gpio-sim nor gpio-mockup. It has the driver of Silicon Labs' CP2112 (hid-cp2112), a HID
device that tells its lines in a report of one byte, and uhid, through which a program can be a HID device. The driver
is the real one, and so are the chip that it makes, its interrupts (it polls, 25 times a second) and gpiod.

What the lines are is one number in the file FOLDER/levels, bit by bit; what was put out on them, in FOLDER/outputs.
Reports as in Silicon Labs' AN495, events as in linux/uhid.h.
"""

from __future__ import annotations

import os
import struct
import sys
from pathlib import Path

_GET_REPORT, _GET_REPORT_REPLY, _CREATE2, _SET_REPORT, _SET_REPORT_REPLY = 9, 10, 11, 13, 14
_EVENT_BYTES = 4376
_BUS_USB, _CYGNAL, _CP2112 = 3, 0x10C4, 0xEA90
_EINVAL = 22

_DESCRIPTOR = bytes.fromhex("0600ff 0901 a101 8502 7508 9504 1500 26ff00 0901 b102 c0".replace(" ", ""))
"""A feature report of the vendor's own; the driver asks for reports whatever stands here."""

_GPIO_CONFIG, _GPIO_GET, _GPIO_SET, _VERSION, _SMBUS_CONFIG, _LOCK = 2, 3, 4, 5, 6, 0x20


class Bridge:
    """The device's side of its reports."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._outputs = 0
        self._config = bytes([_GPIO_CONFIG, 0, 0, 0, 0])
        self._smbus = bytes([_SMBUS_CONFIG]) + bytes(13)

    def told(self, report: int) -> bytes | None:
        """What it answers; None: there is no such report."""
        return {
            _GPIO_CONFIG: self._config,
            _GPIO_GET: bytes([_GPIO_GET, self._read_levels()]),
            _VERSION: bytes([_VERSION, 0x0C, 3]),
            _SMBUS_CONFIG: self._smbus,
            _LOCK: bytes([_LOCK, 0]),
        }.get(report)

    def hear(self, report: int, said: bytes) -> None:
        if report == _GPIO_CONFIG:
            self._config = said
        elif report == _SMBUS_CONFIG:
            self._smbus = said
        elif report == _GPIO_SET:
            _id, values, mask = said
            self._outputs = (self._outputs & ~mask) | (values & mask)
            (self._folder / "outputs").write_text(f"{self._outputs}\n")

    def _read_levels(self) -> int:
        """Lines that are put out read as they were put."""
        inputs, out = int((self._folder / "levels").read_text()), self._config[1]
        return (inputs & ~out | self._outputs & out) & 0xFF


def serve(folder: Path) -> None:
    bridge = Bridge(folder)
    device = os.open("/dev/uhid", os.O_RDWR)
    names = b"Bench CP2112".ljust(128, b"\0") + bytes(64 + 64)
    facts = struct.pack("<HHIIII", len(_DESCRIPTOR), _BUS_USB, _CYGNAL, _CP2112, 0, 0)
    os.write(device, struct.pack("<I", _CREATE2) + names + facts + _DESCRIPTOR.ljust(4096, b"\0"))
    while True:
        event = os.read(device, _EVENT_BYTES)
        (kind,) = struct.unpack_from("<I", event)
        if kind == _GET_REPORT:
            asked, report, _type = struct.unpack_from("<IBB", event, 4)
            told = bridge.told(report)
            answer = struct.pack("<IHH", asked, 0 if told else _EINVAL, len(told or b"")) + (told or b"")
            os.write(device, struct.pack("<I", _GET_REPORT_REPLY) + answer)
        elif kind == _SET_REPORT:
            asked, report, _type, size = struct.unpack_from("<IBBH", event, 4)
            bridge.hear(report, event[12 : 12 + size])
            os.write(device, struct.pack("<IIH", _SET_REPORT_REPLY, asked, 0))


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
