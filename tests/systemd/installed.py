"""Linekeep as installed, in namespaces of its own: real users, paths and ports, and nothing of it on this machine.

Users and folders come from the files that a box gets (sysusers.conf, tmpfiles.conf), the daemons run as those users
with the rights to files and capabilities that the units give. There is no systemd: sandbox and device rights are left
to the booted machine, and the TPM is a software one. Needs root.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import psutil  # type: ignore[import-untyped]  # its stubs are a package of their own
from numpy.typing import NDArray

from tests.simulators.line import SimulatedLine
from tests.systemd.matrix import UNITS

ROOT = Path(__file__).parents[2]
READY_WITHIN_S = 60.0

SETTINGS = """
state_dir = "/var/lib/linekeep"
run_dir = "/run/linekeep"
[vault]
tpm = "software"
recorder_user = "linekeep-recorder"
webui_user = "linekeep-webui"
[webui]
names = ["localhost", "127.0.0.1"]
[recorder]
hold_over_s = 2
devices = [{ alsa = "line0" }]
lines = [{ name = "front-desk", alsa = "line0", ground = "Test", consent = "duty" }]
"""

_ENTER = """
set -e
ip link set lo up
# What only root may look into, and what we run lies in, is opened for others here.
for place in "$@"; do
    closed=$(python3 - "$place" <<'PY'
import sys
from pathlib import Path
place = Path(sys.argv[1])
print(next((each for each in reversed(place.parents) if not each.stat().st_mode & 1), ""))
PY
)
    [ -n "$closed" ] || continue
    mkdir -p "$STAGE/kept"
    mount --bind "$place" "$STAGE/kept"
    mount -t tmpfs -o mode=755 tmpfs "$closed"
    mkdir -p "$place"
    mount --bind "$STAGE/kept" "$place"
done
mount --bind "$STAGE/etc" /etc
mount --bind "$STAGE/var/lib" /var/lib
mount --bind "$STAGE/run" /run
mount -t tmpfs -o mode=755 tmpfs /opt
mkdir /opt/linekeep
echo ready
exec sleep infinity
"""

_LISTEN = """
import grp, os, pwd, socket, sys
path, user, group, mode = sys.argv[1:5]
listening = socket.socket(socket.AF_UNIX)
listening.bind(path)
os.chown(path, pwd.getpwnam(user).pw_uid, grp.getgrnam(group).gr_gid)
os.chmod(path, int(mode, 8))
listening.listen()
os.dup2(listening.fileno(), 3)
os.set_inheritable(3, True)
os.environ["LISTEN_FDS"] = "1"
os.environ["LISTEN_PID"] = str(os.getpid())
os.execvp(sys.argv[5], sys.argv[5:])
"""
"""What systemd does for a .socket unit; setpriv comes after it, and keeps the process's number."""

_ASK_PAGE = """
import socket, sys
with socket.socket(socket.AF_UNIX) as page:
    page.connect(sys.argv[1])
    page.sendall(b"GET / HTTP/1.1\\r\\nHost: test.invalid\\r\\nConnection: close\\r\\n\\r\\n")
    print(page.recv(9).decode(), end="")
"""


class Installed:
    """
    Args:
        stage: an empty folder with a short path that everybody may enter.
        feed: what the line says, again and again.
    """

    def __init__(self, stage: Path, feed: NDArray[np.int16]) -> None:
        self._stage = stage
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        shutil.copytree("/etc", stage / "etc", symlinks=True)
        for folder in ("var/lib", "run", "etc/linekeep"):
            (stage / folder).mkdir(parents=True)
        (stage / "etc/linekeep/linekeep.toml").write_text(SETTINGS)
        for kind in ("sysusers", "tmpfiles"):
            program = [f"systemd-{kind}", *(["--create"] if kind == "tmpfiles" else []), f"--root={stage}"]
            subprocess.run([*program, UNITS / f"{kind}.conf"], check=True, capture_output=True)
        self._line = SimulatedLine(stage / "line", feed, speed=2, repeat=True)
        open_for_all(stage)
        self._hold = self._enter()

    def _enter(self) -> subprocess.Popen[bytes]:
        # A network of its own too: ports 80 and 443 are free there, and no one else's.
        places = {str(ROOT), sys.prefix, sys.base_prefix}
        hold = subprocess.Popen(
            ["unshare", "--mount", "--net", "--propagation", "private", "bash", "-c", _ENTER, "enter", *places],
            env={**os.environ, "STAGE": str(self._stage)},
            stdout=subprocess.PIPE,
        )
        if hold.stdout is None:
            raise RuntimeError("a child without standard output")
        with hold.stdout as told:
            if told.readline() != b"ready\n":
                raise RuntimeError("this machine gives no namespaces")
        return hold

    def command(self, user: str, *command: str | Path, before: Sequence[str] = ()) -> list[str]:
        """A command line that runs in here as a user, with the groups and capabilities of their unit."""
        inside = ["nsenter", f"--target={self._hold.pid}", "--mount", "--net", f"--wd={ROOT}", *before]
        if user != "root":
            rights = ["--inh-caps=-all", "--bounding-set=-all", "--no-new-privs"]
            if user == "linekeep-front":
                rights = [f"--{kind}=-all,+net_bind_service" for kind in ("inh-caps", "bounding-set", "ambient-caps")]
                rights.append("--no-new-privs")
            inside += ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", *rights]
        return [*inside, *map(str, command)]

    def run(self, user: str, *command: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(user, *command), input=stdin, capture_output=True, text=True, check=False, timeout=60
        )

    def python(self, user: str, code: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return self.run(user, sys.executable, "-c", code, *arguments)

    def linekeep(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """What root types."""
        return self.run("root", sys.executable, "-m", "appliance.cli", *arguments)

    def start(self) -> None:
        """All daemons at once, in the order that is hardest: who is needed comes last."""
        self.start_tpm()
        for daemon in ("front", "webui", "recorder", "vault"):
            self.start_daemon(daemon)

    def start_daemon(self, daemon: str) -> None:
        program = [sys.executable, "-m", "appliance.cli", "run", "--config", "/etc/linekeep/linekeep.toml", daemon]
        before: list[str] = []
        if daemon == "webui":
            before = [sys.executable, "-c", _LISTEN, *socket_of_unit()]
        self._spawn(daemon, self.command(f"linekeep-{daemon}", *program, before=before), self._line.environment())

    def process(self, daemon: str) -> psutil.Process:
        """The one that hears, keeps or shows calls: of the page, gunicorn's worker, once it answers."""
        process = psutil.Process(self._running[daemon].pid)
        if daemon != "webui":
            return process
        answered = self.python("linekeep-front", _ASK_PAGE, socket_of_unit()[0])
        if answered.stdout != "HTTP/1.1 ":
            raise AssertionError(f"the page does not answer: {answered.stderr}")
        (worker,) = process.children()
        return worker

    def kill(self, daemon: str) -> None:
        process = self._running.pop(daemon)
        process.kill()
        process.wait()

    def stop(self) -> None:
        for name in tuple(self._running):
            self.kill(name)
        self._hold.kill()
        self._hold.wait()

    def log(self, daemon: str) -> str:
        return (self._stage / f"{daemon}.log").read_text("utf-8")

    def wait_until(self, is_so: Callable[[], object]) -> None:
        give_up = time.monotonic() + READY_WITHIN_S
        while not is_so():
            ended = [name for name, process in self._running.items() if process.poll() is not None]
            if ended or time.monotonic() > give_up:
                logs = {name: self.log(name)[-2000:] for name in self._running}
                raise AssertionError(f"{'ended: ' if ended else 'not in time'}{ended}; {logs}")
            time.sleep(0.05)  # what is waited for happens in other processes, which tell nobody

    def start_tpm(self) -> None:
        """Its state lies where the commands look for that of a software TPM."""
        (self._stage / "var/lib/linekeep/tpm").mkdir(mode=0o700, exist_ok=True)
        (self._stage / "run/linekeep/tpm.ctrl").unlink(missing_ok=True)
        (uid,) = self.run("root", "id", "-u", "linekeep-vault").stdout.split()
        for_vault = f"uid={uid},mode=0600"
        self._spawn(
            "tpm",
            self.command(
                *("root", "swtpm", "socket", "--tpm2", "--tpmstate", "dir=/var/lib/linekeep/tpm"),
                *("--server", f"type=unixio,path=/run/linekeep/tpm,{for_vault}"),
                *("--ctrl", f"type=unixio,path=/run/linekeep/tpm.ctrl,{for_vault}"),
                *("--flags", "not-need-init,startup-clear"),
            ),
        )
        self.wait_until((self._stage / "run/linekeep/tpm.ctrl").exists)

    def _spawn(self, name: str, command: list[str], environment: dict[str, str] | None = None) -> None:
        with (self._stage / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                command, env={**os.environ, "HOME": "/nonexistent", **(environment or {})}, stderr=log, umask=0o077
            )


def may_make_namespaces() -> bool:
    """In a container root may be less than root."""
    try:
        tried = subprocess.run(
            ["unshare", "--mount", "--net", "mount", "-t", "tmpfs", "t", "/mnt"], capture_output=True, check=False
        )
    except FileNotFoundError:
        return False
    return tried.returncode == 0


def socket_of_unit() -> list[str]:
    """Path, user, group and mode, as linekeep-webui.socket says them."""
    text = (UNITS / "linekeep-webui.socket").read_text("utf-8")
    wanted = ("ListenStream", "SocketUser", "SocketGroup", "SocketMode")
    return [re.findall(rf"^{name}=(.*)$", text, re.MULTILINE)[0] for name in wanted]


def open_for_all(folder: Path) -> None:
    """Let everybody read what lies here, and get to it."""
    for path in (folder, folder / "line", *(folder / "line").rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o666)
