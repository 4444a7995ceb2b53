"""Debian's kernel for arm64, without installing it: its device trees and its configuration, under build/.

apt is asked with folders of its own, so that a machine of another kind needs no foreign architecture. Kept for the
next run; `make clean` removes it.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

_SUITE = "trixie"
"""As the image takes it."""
_META = "linux-image-arm64"
_KEPT = Path(__file__).parents[2] / "build" / f"kernel-{_SUITE}-arm64"
_WANTED = ("*/broadcom/bcm27*.dtb", "*/broadcom/bcm2837*.dtb", "./boot/config-*")


class NoKernel(Exception):
    """The package cannot be had here; the message says why."""


@dataclass(frozen=True, slots=True)
class DebianKernel:
    folder: Path

    def device_tree(self, board: str) -> Path:
        return next(self.folder.glob(f"usr/lib/linux-image-*/broadcom/{board}.dtb"))

    def is_set(self, option: str) -> bool:
        """Whether a driver is there, as a module or built in."""
        (config,) = self.folder.glob("boot/config-*")
        lines = config.read_text("utf-8").splitlines()
        return f"CONFIG_{option}=y" in lines or f"CONFIG_{option}=m" in lines


def debian_kernel() -> DebianKernel:
    """Raises NoKernel."""
    unpacked = _KEPT / "unpacked"
    if not unpacked.exists():
        fetched = _fetch()
        half = _KEPT / "half"
        half.mkdir(exist_ok=True)
        _unpack(fetched, half)
        fetched.unlink()
        half.rename(unpacked)
    return DebianKernel(unpacked)


def _unpack(package: Path, folder: Path) -> None:
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE) as whole:
        subprocess.run(["tar", "-x", "-C", folder, "--wildcards", *_WANTED], stdin=whole.stdout, check=True)


def _fetch() -> Path:
    for name in ("lists/partial", "cache/archives/partial"):
        (_KEPT / name).mkdir(parents=True, exist_ok=True)
    (_KEPT / "status").touch()
    keys = "/usr/share/keyrings/debian-archive-keyring.gpg"
    (_KEPT / "sources.list").write_text(f"deb [signed-by={keys}] {_mirror()} {_SUITE} main\n")
    (_KEPT / "apt.conf").write_text(
        f'APT::Architecture "arm64"; APT::Architectures {{ "arm64"; }}; APT::Sandbox::User "";\n'
        f'Dir::State "{_KEPT}"; Dir::State::status "{_KEPT}/status"; Dir::Cache "{_KEPT}/cache";\n'
        f'Dir::Etc::sourcelist "{_KEPT}/sources.list"; Dir::Etc::sourceparts "-"; Acquire::Languages "none";\n'
    )
    _apt("apt-get", "-q", "update")
    (image,) = (
        line.split()[-1]
        for line in _apt("apt-cache", "depends", _META).splitlines()
        if " Depends: linux-image-" in line
    )
    _apt("apt-get", "-q", "download", image)
    return next(_KEPT.glob(f"{image}_*.deb"))


def _mirror() -> str:
    """From where this machine has its own Debian packages."""
    command = ("apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Label: Debian")
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    except FileNotFoundError as error:
        raise NoKernel("there is no apt-get") from error
    if not found:
        raise NoKernel("apt knows no Debian mirror; apt-get update?")
    return found[0]


def _apt(*command: str) -> str:
    environment = os.environ | {"APT_CONFIG": str(_KEPT / "apt.conf")}
    try:
        done = subprocess.run(
            command, cwd=_KEPT, env=environment, capture_output=True, text=True, check=False, timeout=240
        )
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        raise NoKernel(f"{command[0]}: {error}") from error
    if done.returncode or "Err:" in done.stdout:
        raise NoKernel(f"{' '.join(command)}: {(done.stdout + done.stderr)[-400:]}")
    return done.stdout
