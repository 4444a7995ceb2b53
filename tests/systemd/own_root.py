"""A root of its own for the scripts that put Linekeep on a machine and take it away: they can touch nothing else.

Its /usr is this machine's, for reading only, and so is the project; all that a script may write to lies in one folder.
systemd's tools, userdel and the like are the real ones. There are no other processes and there is no network. Only what
speaks to a running systemd is noted instead, and so is the program, whose wheels nobody builds for this: that and the
running units are left to the booted machine. Needs root.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.systemd.installed import may_make_namespaces

PROJECT = Path(__file__).parents[2]
WANTED = "/etc/systemd/system/multi-user.target.wants"

_OWN = ("usr/local", "usr/lib/systemd/system", "usr/lib/sysusers.d", "usr/lib/tmpfiles.d", "usr/lib/udev/rules.d")
"""Where the scripts write below /usr."""

_NEEDED = ("systemd-sysusers", "systemd-tmpfiles", "systemctl", "userdel", "groupdel", "unshare", "chroot")
can_be_made = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can have a root of its own"),
    *(pytest.mark.skipif(shutil.which(name) is None, reason=f"{name} is not installed") for name in _NEEDED),
    *(pytest.mark.skipif(not Path("/", place).is_dir(), reason=f"there is no /{place}") for place in _OWN),
    pytest.mark.skipif(not may_make_namespaces(), reason="root may not make namespaces here"),
]
"""Marks of the tests that make one."""


_FOLDERS = (
    "usr",
    "project",
    "proc",
    "dev",
    "etc",
    "opt",
    "tmp",
    "run/systemd/system",
    "var/lib",
    "var/log",
    "var/wheels",
)
_USERS = {"passwd": "root:x:0:0::/root:/bin/sh\n", "group": "root:x:0:\n", "shadow": "root:*:1::::::\n"}

_ENTER = """
set -e
project=$1 root=$2 own=$3
shift 3
read_only() { mount --bind "$1" "$2" && mount -o remount,bind,ro "$2"; }
read_only /usr "$root/usr"
read_only "$project" "$root/project"
for place in $own; do mount --bind "$root/own/$place" "$root/$place"; done
mount -t proc proc "$root/proc"
mount --bind /dev/null "$root/dev/null"
exec chroot "$root" "$@"
"""

_NOTING = {
    # What it does to files it does.
    "systemctl": 'case "$1" in --root=*) exec /usr/bin/systemctl "$@" ;; is-active) exit 3 ;; esac\n'
    'echo "systemctl $*" >> /var/log/called',
    "udevadm": 'echo "udevadm $*" >> /var/log/called',
    "dpkg-query": 'echo "install ok installed"',
    "python3": "mkdir -p /opt/linekeep/bin && cp /usr/local/share/program /opt/linekeep/bin/linekeep &&\n"
    "ln -s /usr/bin/true /opt/linekeep/bin/python",
}

_LINEKEEP = """
echo "linekeep $*, $([ -e /var/lib/linekeep/ring ] && echo with || echo without) a ring" >> /var/log/called
[ ! -e /tmp/fails ]
"""


class OwnRoot:
    """
    Args:
        folder: empty.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.chmod(0o755)
        for place in (*_FOLDERS, *(f"own/{own}" for own in _OWN), "own/usr/local/bin", "own/usr/local/share"):
            (folder / place).mkdir(parents=True, exist_ok=True)
        for name in ("bin", "sbin", "lib", "lib64"):
            (folder / name).symlink_to(f"usr/{name}")
        for name, content in _USERS.items():
            (folder / "etc" / name).write_text(content)
        (folder / "dev/null").touch()
        (folder / "dev/fd").symlink_to("/proc/self/fd")
        for name, does in _NOTING.items():
            _program(self.path(f"/usr/local/bin/{name}"), does)
        _program(self.path("/usr/local/share/program"), _LINEKEEP)
        shutil.copy("/etc/login.defs", folder / "etc")
        # As Debian's package has it, which Linekeep needs.
        self.path("/usr/lib/systemd/system/nginx.service").write_text("[Install]\nWantedBy=multi-user.target\n")
        self.path(WANTED).mkdir(parents=True)
        self.path(f"{WANTED}/nginx.service").symlink_to("/usr/lib/systemd/system/nginx.service")

    def path(self, inside: str) -> Path:
        """Where a file of this root lies on this machine."""
        own = any(f"{inside}/".startswith(f"/{place}/") for place in _OWN)
        return self.folder / ("own" if own else "") / inside.removeprefix("/")

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        apart = ["unshare", "--mount", "--propagation=private", "--net", "--pid", "--fork", "--kill-child"]
        enter = ["bash", "-c", _ENTER, "enter", str(PROJECT), str(self.folder), " ".join(_OWN)]
        path = "/usr/local/bin:/usr/sbin:/usr/bin"
        return subprocess.run(
            [*apart, *enter, *command], env={"PATH": path, **environment}, capture_output=True, text=True, check=False
        )

    def install(self) -> subprocess.CompletedProcess[str]:
        """By the script, with wheels of which the program that stands here for Linekeep's needs none."""
        return self.run("/project/systemd/install", "--wheels", "/var/wheels")

    def uninstall(self, **environment: str) -> subprocess.CompletedProcess[str]:
        return self.run("/project/systemd/uninstall", **environment)

    def users(self) -> set[str]:
        return {line.split(":")[0] for line in self.path("/etc/passwd").read_text().splitlines()}

    def called(self) -> list[str]:
        """What was noted since the last time."""
        log = self.path("/var/log/called")
        noted = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return noted


def _program(path: Path, does: str) -> None:
    path.write_text(f"#!/bin/sh\n{does}\n")
    path.chmod(0o755)
