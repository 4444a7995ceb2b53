"""Disks under the ring: one that stops after any step and drops what was not synced, one that fails once.

Promise: `CutDisk` does what the real disk does, on real files, and notes beside them what would have been durable.
After `cut(power=True)` the folder holds what a journaling file system may hold after a power cut: names up to any
point since the last sync of the folder, contents as last synced or torn. After `cut(power=False)`, as after
SIGKILL, everything done is there, durable or not. Every write stays in `written`: that is the attacker's copy.
"""

from __future__ import annotations

import errno
import os
import random
from pathlib import Path

from appliance.vault.ring_folder import Disk


class PowerCut(BaseException):
    """This process is no more. Not an Exception: nobody may handle it and go on."""


class Steps:
    """Counts the steps of one attempt, of disk and TPM together, and says after which one the power goes."""

    def __init__(self) -> None:
        self.count = 0
        self.dead = False
        self._last: int | str | None = None

    def begin(self, last: int | str | None) -> None:
        """Count anew; die when step `last`, by number or name, has been done; None: never."""
        self.count, self.dead, self._last = 0, False, last

    def done(self, name: str) -> bool:
        """Note a step. True: the power is gone now."""
        self.count += 1
        self.dead = self.dead or self._last in (self.count, name)
        return self.dead


class _Inode:
    """A file's content, and as much of it as is on the platter."""

    def __init__(self) -> None:
        self.content = b""
        self.durable = b""

    def after_power_cut(self, chance: random.Random) -> bytes:
        if self.content == self.durable or chance.random() < 0.5:
            return self.durable
        return self.content[: chance.randrange(len(self.content) + 1)]


class CutDisk(Disk):
    """See above. For one folder."""

    def __init__(self, steps: Steps, seed: int) -> None:
        self.written: list[bytes] = []
        self._steps = steps
        self._chance = random.Random(seed)
        self._folder: Path | None = None
        self._names: dict[str, _Inode] = {}
        self._possible_names: list[dict[str, _Inode]] = [{}]

    def cut(self, *, power: bool) -> None:
        """What the next start finds."""
        if not power or self._folder is None:
            return
        names = self._chance.choice(self._possible_names)
        contents = {name: inode.after_power_cut(self._chance) for name, inode in names.items()}
        for path in self._folder.iterdir():
            path.unlink()
        self._names = {}
        for name, content in contents.items():
            (self._folder / name).write_bytes(content)
            inode = self._names[name] = _Inode()
            inode.content = inode.durable = content
        self._possible_names = [dict(self._names)]

    def make_folder(self, folder: Path) -> None:
        self._alive()
        super().make_folder(folder)
        self._folder = folder
        self._step(f"make folder {folder.name}")

    def read(self, path: Path) -> bytes:
        self._alive()
        return super().read(path)

    def write(self, path: Path, content: bytes) -> None:
        self._alive()
        self.written.append(content)
        super().write(path, content)
        self._names.setdefault(path.name, _Inode()).content = content
        self._note_names()
        self._step(f"write {path.name}")

    def sync(self, path: Path) -> None:
        self._alive()
        inode = self._names[path.name]
        inode.durable = inode.content
        self._step(f"sync {path.name}")

    def read_back(self, path: Path) -> bytes:
        self._alive()
        content = path.read_bytes()
        self._step(f"read back {path.name}")
        return content

    def rename(self, old: Path, new: Path) -> None:
        self._alive()
        super().rename(old, new)
        self._names[new.name] = self._names.pop(old.name)
        self._note_names()
        self._step(f"rename {new.name}")

    def sync_folder(self, folder: Path) -> None:
        self._alive()
        self._possible_names = [dict(self._names)]
        self._step(f"sync folder {folder.name}")

    def remove(self, path: Path) -> None:
        self._alive()
        super().remove(path)
        self._names.pop(path.name, None)
        self._note_names()
        self._step(f"remove {path.name}")

    def _note_names(self) -> None:
        self._possible_names.append(dict(self._names))

    def _alive(self) -> None:
        if self._steps.dead:
            raise PowerCut

    def _step(self, name: str) -> None:
        if self._steps.done(name):
            raise PowerCut


class FailingDisk(Disk):
    """Fails once, at its `fail_at`-th step."""

    def __init__(self) -> None:
        self.fail_at = 0
        self.error = errno.EIO

    def _step(self) -> None:
        self.fail_at -= 1
        if self.fail_at == 0:
            raise OSError(self.error, os.strerror(self.error))

    def write(self, path: Path, content: bytes) -> None:
        self._step()
        super().write(path, content)

    def sync(self, path: Path) -> None:
        self._step()
        super().sync(path)

    def read_back(self, path: Path) -> bytes:
        self._step()
        return super().read_back(path)

    def rename(self, old: Path, new: Path) -> None:
        self._step()
        super().rename(old, new)

    def sync_folder(self, folder: Path) -> None:
        self._step()
        super().sync_folder(folder)
