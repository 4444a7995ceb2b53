"""A USB stick with a FAT file system, through mtools: nothing of it is mounted, so the kernel reads no stranger's."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO, cast

from appliance.terms import LinekeepError, SettingsTrouble

_ANSWERS_WITHIN_S = 120
_MOST_BYTES = 64 * 1024
_MOST_LISTED_BYTES = 1024 * 1024


class UnfitStick(LinekeepError):
    """The stick cannot be read or written."""


class Stick:
    """Files in its first folder. mtools reads and writes the device as any file."""

    def __init__(self, device: Path) -> None:
        self._device = device

    def read(self, name: str, *, most_bytes: int = _MOST_BYTES) -> bytes | None:
        """A file; None: it is not there. Raises SettingsTrouble: it is too long."""
        listed = self._run(["mdir", "-b", "-a", "-i", str(self._device), "::/"], most_bytes=_MOST_LISTED_BYTES)
        names = {line.rpartition("/")[2].casefold() for line in listed.decode("utf-8", "replace").splitlines()}
        if name.casefold() not in names:
            return None
        content = self._run(["mcopy", "-i", str(self._device), f"::{name}", "-"], most_bytes=most_bytes + 1)
        if len(content) > most_bytes:
            raise SettingsTrouble(f"{name} on the stick is longer than {most_bytes // 1024} KiB.")
        return content

    def write(self, name: str, content: bytes) -> None:
        """Put a file there, unless it is there with this content."""
        with suppress(SettingsTrouble):  # one that is too long is another's
            if self.read(name) == content:
                return
        self._run(["mcopy", "-o", "-i", str(self._device), "-", f"::{name}"], content)

    def remove(self, name: str) -> None:
        """Take a file away. Who has the stick may find again what stood in it."""
        self._run(["mdel", "-i", str(self._device), f"::{name}"])

    def _run(self, command: list[str], given: bytes = b"", *, most_bytes: int = 1) -> bytes:
        """Run a program of mtools. Of what it says at most so many bytes are returned, and no more are read."""
        environment = {**os.environ, "MTOOLSRC": os.devnull, "MTOOLS_SKIP_CHECK": "1", "LC_ALL": "C.UTF-8"}
        with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as error:
            source.write(given)
            source.seek(0)
            limited = ["timeout", str(_ANSWERS_WITHIN_S), *command]
            with subprocess.Popen(
                limited, env=environment, stdin=source, stdout=subprocess.PIPE, stderr=error
            ) as running:
                said = cast(IO[bytes], running.stdout).read(most_bytes)
                cut = len(said) == most_bytes
                if cut:
                    running.kill()
            if running.returncode != 0 and not cut:
                error.seek(0)
                why = error.read(2000).decode("utf-8", "replace").strip().rpartition("\n")[2]
                raise UnfitStick(f"The stick cannot be used; is it a healthy one with a FAT file system? ({why[:200]})")
        return said


def for_windows(lines: Iterable[str]) -> str:
    """Text for any editor: lines end as Windows wants them."""
    return "".join(f"{line}\r\n" for line in lines)
