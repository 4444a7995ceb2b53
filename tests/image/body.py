"""What of a box lasts while it is off: its disk, its TPM's memory, its firmware's variables, a USB stick.

A body is a folder. The disk is an overlay over an image that nobody writes to, so each test starts from the same
state, and a body that is off can be copied in no time (`fork`): first boot is lived once, many tests begin after it.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

STICK_MIB = 16
_FIRMWARE_VARIABLES = Path("/usr/share/OVMF/OVMF_VARS_4M.fd")


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    folder: Path

    @property
    def disk(self) -> Path:
        return self.folder / "disk.qcow2"

    @property
    def tpm(self) -> Path:
        return self.folder / "tpm"

    @property
    def firmware(self) -> Path:
        return self.folder / "firmware.fd"

    @property
    def stick(self) -> Path:
        return self.folder / "stick.img"

    def fork(self, folder: Path) -> Body:
        """Another body that goes on from here. This one must be off, and stay so."""
        twin = Body(folder=folder)
        folder.mkdir()
        _overlay(self.disk, twin.disk, "qcow2")
        shutil.copytree(self.tpm, twin.tpm)
        shutil.copy(self.firmware, twin.firmware)
        if self.stick.exists():
            shutil.copy(self.stick, twin.stick)
        return twin

    def with_another_tpm(self) -> None:
        """As if the disk stood in another machine."""
        shutil.rmtree(self.tpm)
        self.tpm.mkdir()

    def put_on_stick(self, name: str, content: bytes) -> None:
        _mtools("mcopy", "-o", "-i", _first_partition(self.stick), "-", f"::{name}", typed=content)

    def take_from_stick(self, name: str) -> bytes | None:
        """A file as it lies on the stick at this moment; None if it is not there."""
        command = ["mtype", "-i", _first_partition(self.stick), f"::{name}"]
        done = subprocess.run(command, capture_output=True, check=False, timeout=20)
        return done.stdout if done.returncode == 0 else None


def new_body(folder: Path, image: Path, *, disk_gib: int = 6, stick: bool = True) -> Body:
    """A box as it comes from the table where it was flashed, with an empty stick beside it."""
    body = Body(folder=folder)
    folder.mkdir()
    body.tpm.mkdir()
    _overlay(image, body.disk, "raw", f"{disk_gib}G")
    shutil.copy(_FIRMWARE_VARIABLES, body.firmware)
    if stick:
        _new_stick(body.stick)
    return body


def _new_stick(path: Path) -> None:
    """As shops sell them: one partition from the first MiB on, with FAT in it."""
    first, sectors = 2048, STICK_MIB << 11
    partition = struct.pack("<B3sB3sII", 0, b"\0" * 3, 0x0E, b"\0" * 3, first, sectors - first)
    with path.open("wb") as file:
        file.truncate(sectors << 9)
        file.seek(446)
        file.write(partition + b"\0" * 48 + b"\x55\xaa")
    _mtools("mformat", "-i", _first_partition(path), "-T", str(sectors - first), "-v", "LINEKEEP", "::")


def _first_partition(stick: Path) -> str:
    return f"{stick}@@1M"


def _overlay(below: Path, path: Path, kind: str, *size: str) -> None:
    command = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", kind, "-b", str(below.absolute()), str(path), *size]
    subprocess.run(command, check=True, timeout=60)


def _mtools(*command: str, typed: bytes = b"") -> None:
    subprocess.run(command, input=typed, check=True, capture_output=True, timeout=20)
