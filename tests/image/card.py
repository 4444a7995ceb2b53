"""A flashed card, read as the board's firmware does: its partitions by GPT (UEFI 2.10, chapter 5), files by mtools."""

from __future__ import annotations

import struct
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path

_SECTOR = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    image: Path
    name: str
    identifier: uuid.UUID
    first: int

    def files(self) -> set[str]:
        """Names of what lies in its root folder; it must be FAT."""
        listed = self._mtools("mdir", "-b", "::").decode()
        return {line.removeprefix("::/") for line in listed.split()}

    def read(self, name: str) -> bytes:
        return self._mtools("mtype", f"::{name}")

    def is_empty(self) -> bool:
        """Whether no file system begins here."""
        with self.image.open("rb") as file:
            file.seek(self.first * _SECTOR)
            return not any(file.read(1 << 20))

    def _mtools(self, program: str, *arguments: str) -> bytes:
        command = [program, "-i", f"{self.image}@@{self.first * _SECTOR}", *arguments]
        return subprocess.run(command, check=True, capture_output=True, timeout=60).stdout


def partitions(image: Path) -> list[Partition]:
    """In the order of their numbers; the first is 1."""
    with image.open("rb") as file:
        file.seek(_SECTOR)
        header = file.read(92)
        assert header[:8] == b"EFI PART", "no GPT"
        at, count, size = struct.unpack_from("<QII", header, 72)
        file.seek(at * _SECTOR)
        entries = [file.read(size) for _ in range(count)]
    return [_partition(image, entry) for entry in entries if any(entry[:16])]


def _partition(image: Path, entry: bytes) -> Partition:
    (first,) = struct.unpack_from("<Q", entry, 32)
    name = entry[56:128].decode("utf-16-le").rstrip("\0")
    return Partition(image=image, name=name, identifier=uuid.UUID(bytes_le=entry[16:32]), first=first)
